"""Asynchronous invocation of a function: one configuration, and who may invoke."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

import jsii
from aws_cdk import ConstructSelector, Mixins
from aws_cdk import aws_lambda as lambda_
from constructs import IConstruct, IValidation

from ..checks import lambda_ as checks
from .consumers import resource_of
from .grants import grantee_here, warn_of_fixed
from .values import Path, resource_behind, stack_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aws_cdk import aws_iam as iam
    from constructs import Construct

SOURCES = {"aws:sourcearn", "aws:sourceaccount", "aws:principalorgid"}
_VALIDATED: WeakSet[IConstruct] = WeakSet()
_ON_SUCCESS: WeakKeyDictionary[IConstruct, lambda_.IFunction] = WeakKeyDictionary()
_CONFIGURED: WeakKeyDictionary[IConstruct, dict[str, str]] = WeakKeyDictionary()


def check_only_configuration(
    scope: IConstruct, function: lambda_.IFunction, qualifier: str
) -> None:
    """Reject a second configuration of a function's version, alias or ``$LATEST``.

    Source: https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionEventInvokeConfig.html

    Args:
        scope: The construct that makes the configuration.
        function: The function itself.
        qualifier: Which version or alias of it.

    Raises:
        ValueError: another construct of this library has made one. One that anything else makes,
            earlier or later, is rejected when the app is synthesized.
    """
    path, known = scope.node.path, _CONFIGURED.setdefault(function, {})
    if qualifier in known:
        raise ValueError(checks.two_configurations(Path(function), known[qualifier], path))
    known[qualifier] = path
    root = scope.node.root
    if root not in _VALIDATED:
        _VALIDATED.add(root)
        root.node.add_validation(_OneConfiguration(root))


def is_configured(function: lambda_.IFunction, qualifier: str) -> bool:
    """Whether a construct of this library has configured a function's invocation already."""
    return qualifier in _CONFIGURED.get(function, {})


def qualifier_of(target: lambda_.IFunction) -> str:
    """Return the version or alias that is invoked, else ``$LATEST``."""
    if isinstance(target, lambda_.Function):
        return "$LATEST"
    in_arn = target.function_arn.split(":")[7:]  # of a function that is imported by such an ARN
    alias, version = getattr(target, "alias_name", None), getattr(target, "version", "$LATEST")
    return str(alias or (in_arn[0] if in_arn else version))


def check_ends(function: lambda_.IFunction, next_: lambda_.IFunction) -> None:
    """Reject a function whose success invokes it again, by the destinations of other functions.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html

    Raises:
        ValueError: the records of success go around in a loop.
    """
    _ON_SUCCESS[function] = next_
    met, step = [function], next_
    while step not in met:
        if step not in _ON_SUCCESS:
            return
        met.append(step)
        step = _ON_SUCCESS[step]
    raise ValueError(
        f"on_success of {function.node.path} leads back to it, by "
        f"{' and '.join(one.node.path for one in met[1:])}: every record would invoke it again, "
        "without end. Name another destination for one of them."
    )


@jsii.implements(IValidation)
class _OneConfiguration:
    """Finds, at synthesis, every function of an app with two configurations."""

    def __init__(self, root: IConstruct) -> None:
        self._root = root

    def validate(self) -> list[str]:
        configs = _resources(self._root, lambda_.CfnEventInvokeConfig)
        if len(configs) < 2:
            return []
        aliases = {
            stack_of(one).get_logical_id(one): one.name
            for one in _resources(self._root, lambda_.CfnAlias)
        }
        found: dict[str, list[str]] = defaultdict(list)
        for one in configs:
            found[_subject(one, aliases)].append(one.node.path)
        return [
            checks.two_configurations(name, *paths[:2])
            for name, paths in found.items()
            if len(paths) > 1
        ]


def _resources(root: IConstruct, kind: Any) -> list[Any]:
    """Return the resources of a type, chosen in the kernel: it would send each construct here."""
    selected = ConstructSelector.resources_of_type(kind.CFN_RESOURCE_TYPE_NAME)
    return [one for one in Mixins.of(root, selected).selected_constructs if isinstance(one, kind)]


def _subject(config: lambda_.CfnEventInvokeConfig, aliases: Mapping[str, str]) -> str:
    """Return which function, and which version or alias of it, a configuration is of.

    ``aliases``: the names of those of this app, to which the CDK refers by logical id.
    """
    stack, resource = stack_of(config), resource_behind(config.function_name)
    if resource is None:  # imported by its name: that may be another function elsewhere
        unknown = "unknown" in stack.environment
        place = stack.node.path if unknown else stack.environment
        name = json.dumps(stack.resolve(config.function_name))
        in_arn = re.search(r"function:([\w-]+)", name)
        function = f"{in_arn[1] if in_arn else json.loads(name)} of {place}"
    else:
        function = resource.node.scope.node.path
    qualifier = json.dumps(stack.resolve(config.qualifier))
    alias = next((name for one, name in aliases.items() if f'"{one}"' in qualifier), None)
    return f"{function} ({alias or json.loads(qualifier)})"


# Who may invoke


def grant_invoke(
    scope: Construct,
    target: lambda_.IFunction,
    grantee: iam.IGrantable,
    given: Iterable[Any] = (),
) -> iam.Grant:
    """Let ``grantee`` invoke a function, an alias or a version.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/permissions-function-services.html

    Args:
        scope: The construct that grants.
        target: What may be invoked.
        grantee: By whom.
        given: What the construct was given: see ``grantee_here``.

    Raises:
        ValueError: see ``check_grantee``; or nobody of its kind can be allowed to.
    """
    grantee = grantee_here(scope, grantee, given, apart=True)
    check_grantee(grantee)
    try:
        grant = target.grant_invoke(grantee)
    except RuntimeError as error:
        reason = (
            "The function is imported. Import it with same_environment=True if it is of this "
            "account; otherwise allow it where the function is made."
            if resource_of(target) is None
            else "Lambda allows roles, users, accounts, organizations, and services for a source. "
            "Give one of these."
        )
        raise ValueError(f"The grantee cannot be allowed to invoke it. {reason}") from error
    warn_of_fixed(grantee, Path(target, "lambda:InvokeFunction on "))
    return grant


def check_grantee(grantee: iam.IGrantable) -> None:
    """Reject a grant to everybody, to everybody's resources of a service, or to several at once.

    Raises:
        ValueError: a principal "*" or a service without a source; or several principals, of which
            the CDK would allow the last.
    """
    principal = grantee.grant_principal
    fragment = principal.policy_fragment
    named = [(kind, one) for kind, all_ in fragment.principal_json.items() for one in all_]
    conditions = {key.lower() for test in fragment.conditions.values() for key in test}
    if len(named) > 1:
        raise ValueError(
            f"The grantee is {len(named)} principals, of which only one would be allowed. Call the "
            "method for each of them."
        )
    if named[0][0] == "Service" and not conditions & SOURCES:
        service = getattr(principal, "service", "a service")
        problem = checks.invoked_for_anybody("grant_invoke", service)
        raise ValueError(f"{problem} Use target.add_permission() for that.")
    if named[0][1] == "*" and not conditions:
        raise ValueError(
            "The grantee is everybody: any AWS account could invoke the function. Name an account, "
            "or give an organization."
        )
