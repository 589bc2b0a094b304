"""Resources of several stacks: where to make what they need, so that no two need each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast
from weakref import WeakKeyDictionary

from aws_cdk import FeatureFlags, Names
from aws_cdk import aws_iam as iam
from constructs import Construct

from .values import asked_once, child_of, is_token, made_in, node_of, path_of, role_of, stack_of

if TYPE_CHECKING:
    from aws_cdk import Stack
    from aws_cdk import aws_lambda as lambda_
    from constructs import IConstruct

# Without it, the CDK names the policy of an imported role by the role's path in its stack alone.
SAFE_NAMES = "@aws-cdk/aws-iam:importedRoleStackSafeDefaultPolicyName"
_IMPORTS: WeakKeyDictionary[IConstruct, dict[tuple[str, str], Stack]] = WeakKeyDictionary()
# The roles that are imported so that their policies are a construct's own, by the roles' paths.
_APART: WeakKeyDictionary[IConstruct, dict[str, iam.IRole]] = WeakKeyDictionary()
# The stacks that a stack needs by what a construct in it was given, each with a name of that.
_NEEDS: WeakKeyDictionary[Stack, WeakKeyDictionary[Stack, str]] = WeakKeyDictionary()


def same_stack(one: IConstruct, other: IConstruct) -> bool:
    """Whether two constructs are in one stack; a nested stack is another one than its parent."""
    return stack_of(one) is stack_of(other)


def same_deployment(one: IConstruct, other: IConstruct) -> bool:
    """Whether two constructs are deployed together: nested stacks are, with their parent."""
    return _nesting(stack_of(one))[0] is _nesting(stack_of(other))[0]


def apart(one: IConstruct, other: IConstruct) -> tuple[Stack, Stack] | None:
    """Return the stacks of two constructs that CloudFormation deploys one after the other.

    Of a nested stack that is the one below the parent that both have. None when one of the two
    stacks has the other nested: then single resources wait for it.
    """
    ours, theirs = _nesting(stack_of(one)), _nesting(stack_of(other))
    return next(((a, b) for a, b in zip(ours, theirs, strict=False) if a is not b), None)


def _nesting(stack: Stack) -> list[Stack]:
    """Return a stack with those in which it is nested, the outermost first."""
    parent = stack.nested_stack_parent
    return [*(_nesting(parent) if parent else ()), stack]


def needs(one: IConstruct, other: IConstruct) -> bool:
    """Whether the stack of one construct is known to need that of the other."""
    stacks = apart(one, other)
    return stacks is not None and bool(_way(*stacks))


def check_order(scope: IConstruct, name: object, resource: IConstruct) -> None:
    """Remember that the stack of ``scope`` needs that of a resource; reject circular dependencies.

    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-exports.html

    Raises:
        ValueError: the resource's stack needs this one already.
    """
    if same_stack(scope, resource) or (stacks := apart(scope, resource)) is None:
        return
    here, there = stacks
    if here.environment != there.environment:  # the CDK refers to names then
        return
    if way := _way(there, here):
        raise ValueError(
            f"{name} is in stack {there.node.path}, which needs {here.node.path} already, for "
            f"{', '.join(way)}: stacks that need each other cannot be deployed. Make the "
            "two constructs in one stack, or leave one of the two connections out."
        )
    _NEEDS.setdefault(here, WeakKeyDictionary()).setdefault(there, str(name))


def _way(start: Stack, end: Stack, met: frozenset[Stack] = frozenset()) -> list[str]:
    """Return for what one stack needs another one, over others or not; nothing if it does not."""
    for there, name in _NEEDS.get(start, {}).items():
        if there is end:
            return [name]
        if there not in met and (way := _way(there, end, met | {start})):
            return [name, *way]
    return []


def beside(scope: Construct, resource: IConstruct) -> Construct:
    """Return where to make what ``resource`` needs: ``scope``, or below ``resource`` if elsewhere.

    A stack that needs another one cannot be needed by it.
    """
    if same_stack(scope, resource):
        return scope
    construct_id = Names.node_unique_id(scope.node)
    known = resource.node.try_find_child(construct_id)
    return cast("Construct", known or Construct(cast("Construct", resource), construct_id))


def role_in(scope: Construct, function: lambda_.IFunction) -> iam.IRole:
    """Return a function's role, as one to which the stack of ``scope`` can grant what it has.

    The policy of a role of another stack would need the resource, while this stack needs the role.
    So it becomes a policy of this stack; what relies on it has to depend on the returned role.

    Args:
        scope: Where that policy is made.
        function: A function that has a role.

    Raises:
        ValueError: it is imported, and another stack's policy would replace this one's.
    """
    return _role_in(scope, cast("iam.IRole", role_of(function)))


def grantee_in(scope: Construct, grantee: iam.IGrantable, resource: IConstruct) -> iam.IGrantable:
    """Return whom to grant ``resource``; a role of another stack by a policy in that of ``scope``.

    A role in the resource's own stack has its policy there.
    """
    principal = grantee.grant_principal
    if not isinstance(principal, iam.Role) or same_stack(principal, resource):
        return grantee
    return _role_in(scope, principal)


def role_apart(scope: Construct, role: iam.IRole) -> iam.IRole:
    """Return a role of this app so that its policy is one of ``scope``.

    A function waits for the policies of its role, but not for that one: so that may name what waits
    for the function.
    """
    if known := made_apart(scope, role):
        return known
    made = iam.Role.from_role_name(
        scope,
        Names.node_unique_id(node_of(role)),
        role.role_name,
        # A role has one policy of a name, whichever of the stacks that share it made it.
        default_policy_name=_name_of_policy(scope),
    )
    made_in(scope, made)
    return _APART.setdefault(scope, {}).setdefault(path_of(role), made)


@asked_once
def _name_of_policy(scope: Construct) -> str:
    return Names.unique_resource_name(scope, max_length=100)


def made_apart(scope: Construct, role: iam.IRole) -> iam.IRole | None:
    """Return what ``role_apart`` has returned; None if it was not asked."""
    return _APART.get(scope, {}).get(path_of(role))


def is_apart(role: object) -> bool:
    """Whether ``role_apart`` made a role, which then takes every permission."""
    return any(role is made for roles in _APART.values() for made in roles.values())


def _role_in(scope: Construct, role: iam.IRole) -> iam.IRole:
    if not isinstance(role, iam.Role) and child_of(role) is None:
        _check_policy_of_import(role)
        return role
    if same_stack(scope, role):
        return role
    return role_apart(scope, role)


def _check_policy_of_import(role: iam.IRole) -> None:
    """Reject a role that two stacks import so that the policy of one would replace the other's.

    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutRolePolicy.html

    Raises:
        ValueError: both import it under the same id, and the CDK gives both policies one name.
    """
    stack, arn = stack_of(role), role.role_arn
    if is_token(arn) or FeatureFlags.of(role).is_enabled(SAFE_NAMES):
        return
    place = role.node.path.removeprefix(stack.node.path)
    known = _IMPORTS.setdefault(role.node.root, {}).setdefault((arn, place), stack)
    if known is not stack:
        raise ValueError(
            f"{known.node.path} and {stack.node.path} both import the role {arn} as {place[1:]}, "
            "so its policies would have the same name and one would replace the other. Import it "
            f"under another id, or set the feature flag {SAFE_NAMES} in cdk.json."
        )
