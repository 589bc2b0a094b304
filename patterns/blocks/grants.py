"""Who gets a permission: a grant that would leave nobody with it is rejected."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from aws_cdk import Annotations, CfnResource
from aws_cdk import aws_iam as iam

from .partitions import check_partition
from .places import elsewhere
from .stacks import check_order, is_apart, needs, role_apart, same_stack
from .values import (
    Path,
    asked_once,
    child_of,
    expect,
    has,
    is_token,
    known_role,
    path_of,
    role_of,
    stack_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aws_cdk import IResource
    from constructs import Construct


def grantee_here(
    scope: Construct,
    grantee: iam.IGrantable,
    given: Iterable[Any] = (),
    *,
    apart: bool = False,
    told: bool = False,
) -> iam.IGrantable:
    """Return a grantee so that its permissions are made by ``scope``, if need be.

    Beside the grantee, they would make it, or its stack, wait for this construct, which waits for
    it already if it, or something of its stack, was given.

    Args:
        scope: The construct that grants.
        grantee: Who gets the permissions.
        given: What the construct was given: resources, or settings with a function or a key.
        apart: Whether what is granted is a function, which waits for the policies of its own role:
            two that are granted each other would wait for each other. Default: False.
        told: Whether a function that was given has the name of what is granted in its variables, so
            that it waits for that anyway if it is of the same stack. Default: False.

    Raises:
        ValueError: it is nobody who can be granted anything, or is of another partition.
    """
    expect("grantee", grantee, "IGrantable")
    role: Any = principal_of(grantee)
    if not isinstance(role, iam.Role):
        _check_known(scope, role)
        return grantee
    found = [getattr(it, name, None) for it in given for name in ("function", "encryption_key")]
    known_here = [it for it in (*given, *found) if has(it, "node")]
    if same_stack(role, scope):  # a function waits for the policy of its role
        waits = apart or (not told and _is_of(role, known_here))
    else:
        waits = needs(scope, role) or any(same_stack(it, role) for it in known_here)
    if waits:
        return role_apart(scope, role)
    check_order(role, Path(scope), scope)
    return grantee


@asked_once
def principal_of(grantee: iam.IGrantable) -> Any:
    """Return who gets what a grantee is granted: a role itself, of a function its role."""
    if has(grantee, "role_arn"):
        return grantee
    return known_role(grantee) or grantee.grant_principal


def _check_known(scope: Construct, principal: Any) -> None:
    """Reject a function that was imported without its role, and who is of another partition."""
    try:
        fragment = principal.policy_fragment
    except RuntimeError as error:
        raise ValueError(
            "The grantee was imported without its role, so it cannot be granted permissions. "
            "Import it with from_function_attributes() and role."
        ) from error
    for arn in fragment.principal_json.get("AWS", ()):
        check_partition(scope, "The grantee", arn)


def _is_of(role: Any, known_here: Iterable[Any]) -> bool:
    """Whether a role is that of a function which a construct was given."""
    functions = (it for it in known_here if has(it, "function_arn") and has(it, "role"))
    own = [found for it in functions if (found := role_of(it))]
    return role in own or any(path_of(role) == path_of(one) for one in own)


@functools.cache
def service_principal(name: str) -> iam.ServicePrincipal:
    """Return a service of AWS as a principal; one object serves every policy."""
    return iam.ServicePrincipal(name)


def allow_service(resource: Any, service: str, statement: iam.PolicyStatement) -> iam.Grant:
    """Let a service use a resource by its policy; return what can be waited for.

    ``add_to_resource_policy()`` asks the kernel twice for what it returns.
    """
    return iam.Grant.add_statement_to_resource_policy(
        statement=statement,
        resource=resource,
        grantee=service_principal(service),
        actions=[],
        resource_arns=[],
    )


def permission(
    scope: Construct, function_arn: str, service: str, source_arn: str, account: str | None = None
) -> CfnResource:
    """Let a service invoke a function for one source.

    ``CfnPermission`` would import modules of four more services only to check types.

    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-permission.html

    Args:
        scope: Where it is made.
        function_arn: The function.
        service: Who may invoke it.
        source_arn: On behalf of what.
        account: Whose source it has to be. Default: any account's, if its ARN has one anyway.
    """
    settings = {
        "Action": "lambda:InvokeFunction",
        "FunctionName": function_arn,
        "Principal": service,
        "SourceAccount": account,
        "SourceArn": source_arn,
    }
    return CfnResource(scope, "Permission", type="AWS::Lambda::Permission", properties=settings)


def warn_of_fixed(grantee: iam.IGrantable, what: object) -> None:
    """Warn of a role that has taken no permission, although the CDK says so.

    Source: https://docs.aws.amazon.com/cdk/v2/guide/permissions.html

    Args:
        grantee: To whom it was granted; a role that can be changed has a policy below it since.
        what: The permission, as a noun.
    """
    role: Any = principal_of(grantee)
    changeable = isinstance(role, iam.Role | iam.User | iam.Group | iam.PrincipalBase)
    if changeable or is_apart(role) or not has(role, "node") or role.node.children:
        return
    Annotations.of(role).add_warning_v2(
        "serverless-patterns:fixed-role",
        "This role cannot be changed here, since it is imported with mutable=False or is of "
        f"another account: its own policies must allow {what}.",
    )


def check_grantee(scope: Construct, grantee: iam.IGrantable) -> None:
    """Reject who cannot be granted what has no policy of its own: a state machine, a method.

    Sources:
    https://docs.aws.amazon.com/step-functions/latest/dg/security_iam_service-with-iam.html,
    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-authorization-flow.html

    Args:
        scope: The construct that grants.
        grantee: To whom.

    Raises:
        ValueError: a service, an account or everybody; a function that was imported without its
            role; or a role or user of another account, or of a stack of another Region.
    """
    principal: Any = principal_of(grantee)
    if isinstance(principal, iam.PrincipalBase | iam.UnknownPrincipal):
        raise ValueError(
            f"The grantee, of type {type(principal).__name__}, has no role or user to attach a "
            "policy to. Grant a role, a user, or a function that is imported with its role."
        )
    # A policy, as a grantee, is beside whatever it is attached to.
    if has(principal, "node") and (place := elsewhere(scope, principal)):
        raise ValueError(
            f"The grantee is in {place}, where nothing can be granted from here. Let it assume a "
            "role of this account and Region, and grant that role."
        )


def check_policy(scope: Construct, grantee: iam.IGrantable, what: str) -> None:
    """Reject a grantee without a policy here for what has no policy that could name it.

    The CDK says that it has granted a role of another account what only that account can.

    Args:
        scope: What is granted, or the construct that it is of.
        grantee: Who would get the permission.
        what: The permission, as a noun.

    Raises:
        ValueError: it is an account, a service or another principal that is no role, user, group
            or function, or one of another account.
    """
    if not _has_policy(scope, grantee):
        raise ValueError(
            f"The grantee has no policy here that could allow {what}. Grant a role, a user or a "
            "function of this account, and let others assume the role."
        )


def check_policy_of_imported(resource: IResource, grantee: iam.IGrantable) -> None:
    """Reject a grantee whom only the policy of a resource could allow, which is imported.

    Raises:
        ValueError: that policy cannot be changed here.
    """
    if child_of(resource) is None and not _has_policy(resource, grantee):
        raise ValueError(
            f"{Path(resource)} is imported, so its policy cannot be changed here to allow the "
            "grantee. Allow it in the stack of the resource, or grant a role of this account."
        )


def _has_policy(scope: Any, grantee: iam.IGrantable) -> bool:
    principal: Any = principal_of(grantee)
    if isinstance(principal, iam.PrincipalBase):
        return False
    account, here = principal.principal_account, stack_of(scope).account
    return account is None or is_token(account) or is_token(here) or account == here
