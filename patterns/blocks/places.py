"""Where a resource is: in another account or Region than the construct that is given it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import Stage

from . import keys
from .partitions import check_partition
from .stacks import check_order
from .values import INTERFACES, Path, child_of, is_token, place_of, stack_of

if TYPE_CHECKING:
    from aws_cdk import IResource
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_kms as kms
    from constructs import IConstruct

# Whoever may use one of these needs a policy of its own only.
NAMED = ("table_arn", "bucket_arn", "state_machine_arn")


def elsewhere(scope: IConstruct, resource: IResource) -> str | None:
    """Return the account or Region of a resource, if it is known to be another one; else None.

    The owner of a bucket that is imported by its name is not known, for example.

    Raises:
        ValueError: it is of another partition.
    """
    here = place_of(stack_of(scope))
    if not any(here):  # nothing can be known to be elsewhere
        return None
    if here[1] and child_of(resource) is None:
        found = (getattr(resource, attribute, None) for attribute, _ in INTERFACES.values())
        for arn in found:
            check_partition(scope, Path(resource), arn)
    there = _place_in_arn(resource) or place_of(resource)
    for word, own, other in zip(("account", "Region"), here, there, strict=True):
        if own and other and own != other:
            return f"{word} {other}"
    return None


def _place_in_arn(resource: Any) -> tuple[str, str] | None:
    """Return the account and Region in the ARN of a table or a function, if they are known.

    An imported table or version says that it is where its stack is.
    """
    arn: str = getattr(resource, "table_arn", None) or getattr(resource, "function_arn", None) or ""
    if is_token(arn) or arn.count(":") < 5:
        return None
    _, _, _, region, account, _ = arn.split(":", 5)
    return account, region


def check_here(scope: IConstruct, name: object, resource: IResource, reason: str) -> None:
    """Reject a resource of another account or Region.

    Args:
        scope: The construct that is given it.
        name: The resource, with its path.
        resource: The resource itself.
        reason: Why it has to be in those of the construct, and in a second sentence what to do.

    Raises:
        ValueError: it is in another one, or in a stack that the CDK cannot refer to.
    """
    if place := elsewhere(scope, resource):
        why, advice = reason.split(". ", 1)
        raise ValueError(f"{name} is in {place}, but {why}. {advice}")
    check_environment(scope, name, resource)


def check_environment(
    scope: IConstruct, name: object, resource: IResource, *, needed: bool = True
) -> None:
    """Reject a resource of another stack that the CDK cannot refer to from this one.

    Source: https://docs.aws.amazon.com/cdk/v2/guide/environments.html

    Args:
        scope: The construct that is given it.
        name: The resource, with its path.
        resource: The resource itself.
        needed: Whether the stack of ``scope`` needs that of the resource. Default: True.

    Raises:
        ValueError: this app makes it in another stage, or in a stack of another environment, or of
            an unknown one. A table, bucket or state machine may be in the latter if its name is
            known.
    """
    here, there = stack_of(scope), stack_of(resource)
    if here is not there and Stage.of(here) is not Stage.of(there) and child_of(resource):
        raise ValueError(
            f"{name} is in stack {there.node.path}, but what needs it is in another stage, in "
            f"{here.node.path}: the CDK connects stacks of one stage only. Make both in one stage, "
            "or import the resource by its ARN."
        )
    if here is there or not child_of(resource):
        return
    if here.environment == there.environment:
        if needed:
            check_order(scope, name, resource)
        return
    known = (getattr(resource, arn) for arn in NAMED if hasattr(type(resource), arn))
    if any(is_known(scope, arn) for arn in known):
        return
    raise ValueError(
        f"{name} is in stack {there.node.path} ({there.environment}), but what needs it is in "
        f"{here.node.path} ({here.environment}): the CDK connects stacks of one account and Region "
        "only. Give both stacks the same env, or import the resource by its ARN."
    )


def is_known(scope: IConstruct, arn: str) -> bool:
    """Whether the stack of ``scope`` can name a resource, which may be of another environment."""
    try:
        stack_of(scope).resolve(arn)
    except RuntimeError:  # it gets its name when it is created
        return False
    return True


def check_name(scope: IConstruct, name: object, arn: str, argument: str) -> None:
    """Reject a resource of another account or Region that cannot be named here.

    Args:
        scope: The construct that is given it.
        name: The resource, with its path.
        arn: Its ARN.
        argument: What names it.

    Raises:
        ValueError: it has no name before it is created.
    """
    if not is_known(scope, arn):
        raise ValueError(
            f"{name} is of another account or Region, where it gets its name when it is created. "
            f"Give it a {argument}."
        )


def other_account(resource: IResource, grantee: iam.IGrantable) -> str | None:
    """Return the account of a grantee, if it is known and not known to be the resource's own."""
    account = grantee.grant_principal.principal_account
    own = resource.env.account
    return account if account and not is_token(account) and account != own else None


def check_key_here(scope: IConstruct, key: kms.IKey | None) -> None:
    """Reject a key that a new resource cannot be encrypted with, since it is elsewhere.

    Raises:
        ValueError: it is in another Region, or this app makes it in another account.
    """
    if key is None:
        return
    keys.check_region("encryption_key", key, scope)
    if child_of(key):
        reason = "its policy cannot be set from here. Import it with Key.from_key_arn()."
        check_here(scope, Path(key, "encryption_key "), key, reason)
