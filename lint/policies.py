"""What policies allow, evaluated as IAM does: effect, principal, action, resource and condition.

What only deployment knows may be anything: it may allow, and it denies nothing for certain.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import arns
from .template import as_list, is_unknown

if TYPE_CHECKING:
    from .template import Resource, Scenario

SERVICE = re.compile(
    r"([a-z0-9-]+)(?:\.(?:[a-z0-9-]+|\$\{AWS::Region\}))?"
    r"\.(?:amazonaws\.com(?:\.cn)?|\$\{AWS::URLSuffix\})"
)
LITERAL = ("stringequals", "stringequalsignorecase")  # no wildcards
PLAIN = re.compile(r"\$\{[^}]*\}")
SAME = ("arnequals", "arnlike", "stringequals", "stringlike", "stringequalsignorecase")
OTHER = ("arnnotequals", "arnnotlike", "stringnotequals", "stringnotlike")
IF_EXISTS = "ifexists"  # what is not in the request holds; with OTHER, it does so without, too
SOURCE = "aws:sourcearn"
# Keys that a request of a service principal never has: a test for one of them fails.
ABSENT = (
    *("aws:principalorgid", "aws:principalorgpaths", "aws:principalarn", "aws:userid"),
    *("aws:sourcevpc", "aws:sourcevpce", "aws:vpcsourceip"),  # it uses no endpoint of yours
)
OWNER = "aws:sourceowner"  # in a topic's default policy; of services, CloudWatch alone has it
OF_SERVICES = ("aws:sourcearn", "aws:sourceaccount", "aws:sourceorg")  # no role's request has them
PUT_OBJECT = "s3:PutObject"
CLOUDWATCH = "cloudwatch.amazonaws.com"


@dataclass(frozen=True)
class Request:
    """What a principal does.

    Attributes:
        action: Such as ``sqs:SendMessage``.
        resource: What it is done to; None when the policy is of one resource only.
        used: How that is named where it is used.
        service: The service principal that does it; None for a role.
        role: The role that does it, when the policy is of what it uses. Default: it is the role's.
        sources: For what the service does it: a rule, a bucket, a topic. Default: not known.
    """

    action: str
    resource: Resource | None = None
    used: Any = None
    service: str | None = None
    role: Resource | None = None
    sources: tuple[Resource, ...] = ()


def statements(document: Any) -> list[Mapping[str, Any]] | None:
    """Return a policy's statements; None when the policy is not known."""
    listed: list[Any] = [None]
    if isinstance(document, Mapping):
        listed = as_list(document.get("Statement"))
    return listed if all(isinstance(item, Mapping) for item in listed) else None


def allows(scenario: Scenario, documents: Iterable[Any], request: Request) -> bool:
    """Tell whether policies may allow a request: one may, and none denies it for certain."""
    listed = [statements(document) for document in documents]
    if None in listed:
        return True
    every = [item for found in listed for item in found or ()]
    allowed = any(_may_allow(scenario, item, request) for item in every)
    return allowed and not any(_denies(scenario, item, request) for item in every)


def denies(scenario: Scenario, document: Any, request: Request) -> bool:
    """Tell whether a policy denies a request for certain."""
    return any(_denies(scenario, item, request) for item in statements(document) or [])


def _may_allow(scenario: Scenario, statement: Mapping[str, Any], request: Request) -> bool:
    effect = statement.get("Effect")
    return (
        (effect == "Allow" or is_unknown(effect))
        and _may_be_principal(scenario, statement, request)
        and is_action(statement, request.action)
        and _may_be_resource(scenario, statement, request)
        and _may_hold(scenario, statement.get("Condition"), request)
    )


def _denies(scenario: Scenario, statement: Mapping[str, Any], request: Request) -> bool:
    """Tell whether a statement denies a request for certain."""
    targets = [str(item) for item in as_list(statement.get("Resource"))]
    resource = request.resource
    every = "Resource" not in statement and "NotResource" not in statement
    return (
        statement.get("Effect") == "Deny"
        and _holds(scenario, statement.get("Condition"), request)
        and ("Action" in statement or "NotAction" in statement)
        and not is_unknown([statement.get("Action"), statement.get("NotAction")])
        and is_action(statement, request.action)
        and (every or "*" in targets or bool(resource and _names(scenario, targets, resource)))
        and (request.service is None or _is_principal(statement, request.service))
    )


def _names(scenario: Scenario, targets: list[str], resource: Resource) -> bool:
    return any(
        scenario.find(target) == resource or arns.covers(target, resource) for target in targets
    )


def services(statement: Mapping[str, Any]) -> list[Any]:
    """Return the service principals of a statement."""
    principal = statement.get("Principal")
    return as_list(principal.get("Service")) if isinstance(principal, Mapping) else []


def is_everyone(statement: Mapping[str, Any]) -> bool:
    """Tell whether a statement's principal is everyone."""
    principal = statement.get("Principal")
    named = principal.get("AWS") if isinstance(principal, Mapping) else principal
    return "*" in as_list(named)


def _is_principal(statement: Mapping[str, Any], service: str) -> bool:
    """Tell whether a statement is for a service for certain."""
    return is_everyone(statement) or any(is_service(name, service) for name in services(statement))


def _may_be_principal(scenario: Scenario, statement: Mapping[str, Any], request: Request) -> bool:
    principal, service = statement.get("Principal"), request.service
    if "NotPrincipal" in statement or is_everyone(statement):
        return True
    if not isinstance(principal, Mapping):
        return is_unknown(principal) or (service is None and request.role is None)
    if service is None:
        return request.role is None or any(
            arns.may_cover(scenario, name, request.role) for name in as_list(principal.get("AWS"))
        )
    if "AWS" in principal and is_service(CLOUDWATCH, service):
        return True  # an alarm publishes for its account
    return _is_principal(statement, service) or any(
        arns.may_match(str(name), service) for name in services(statement) if is_unknown(name)
    )


def is_service(name: Any, service: str) -> bool:
    """Tell whether a principal is a service, by its Region's or its partition's name too."""
    found, wanted = SERVICE.fullmatch(str(name)), SERVICE.fullmatch(service)
    return bool(found and wanted and found.group(1) == wanted.group(1))


def is_action(statement: Mapping[str, Any], action: str) -> bool:
    """Tell whether a statement may be about an action."""
    listed = as_list(statement.get("Action", statement.get("NotAction")))
    if is_unknown(listed):
        return True
    named = any(arns.may_match(str(item).lower(), action.lower()) for item in listed)
    return named if "Action" in statement else not named


def _may_be_resource(scenario: Scenario, statement: Mapping[str, Any], request: Request) -> bool:
    resource = request.resource
    if resource is None or ("Resource" not in statement and "NotResource" not in statement):
        return True
    if "Resource" not in statement:
        excluded = [str(item) for item in as_list(statement["NotResource"])]
        return "*" not in excluded and not _names(scenario, excluded, resource)
    return any(
        arns.may_cover(scenario, item, resource, request.used)
        for item in as_list(statement["Resource"])
        if not (request.action == PUT_OBJECT and arns.is_bucket_alone(item, resource))
    )


def tests(condition: Any) -> list[tuple[str, str, list[Any]]]:
    """Return the tests of a condition: operator and key in lower case, and the wanted values."""
    return [
        (str(operator).lower(), str(key).lower(), as_list(wanted))
        for operator, keys in (condition.items() if isinstance(condition, Mapping) else ())
        for key, wanted in (keys.items() if isinstance(keys, Mapping) else ())
    ]


def _holds(scenario: Scenario, condition: Any, request: Request) -> bool:
    """Tell whether a condition holds for certain: it is none, or all of it asks for another."""
    if not condition:
        return True
    asked = tests(condition)
    return bool(request.service and asked) and all(
        operator.removesuffix(IF_EXISTS) in OTHER and _is_other(scenario, key, wanted, request)
        for operator, key, wanted in asked
    )


def _is_other(scenario: Scenario, key: str, wanted: list[Any], request: Request) -> bool:
    """Tell whether a request has another value than these for certain, or none."""
    if key == SOURCE and request.sources:
        return not _may_pass(scenario, key, wanted, request)
    return key in ABSENT


def _may_hold(scenario: Scenario, condition: Any, request: Request) -> bool:
    if request.role:
        return not any(key.startswith(OF_SERVICES) for _, key, _ in tests(condition))
    if request.service is None:
        return True
    return all(
        _may_pass(scenario, key, _literal(wanted) if plain in LITERAL else wanted, request)
        for operator, key, wanted in tests(condition)
        if (plain := operator.removesuffix(IF_EXISTS)) in SAME
        and (plain == operator or key == SOURCE)  # a service always names its source
    )


def _literal(wanted: list[Any]) -> list[Any]:
    """Return the values that may be the same as another: no ARN and no account has wildcards."""
    return [
        item
        for item in wanted
        if not (isinstance(item, str) and re.search(r"[*?]", PLAIN.sub("", item)))
    ]


def _may_pass(scenario: Scenario, key: str, wanted: list[Any], request: Request) -> bool:
    if key == SOURCE and (request.sources or not wanted):
        return any(
            arns.may_cover(scenario, item, source) for item in wanted for source in request.sources
        )
    if key == OWNER:
        return is_service(CLOUDWATCH, str(request.service))
    return key not in ABSENT


def limits_the_source(condition: Any) -> bool:
    """Tell whether a condition may limit for whom a statement is."""
    if not isinstance(condition, Mapping):
        return condition is not None
    found = [key for _, key, _ in tests(condition)]
    return is_unknown(condition) or any(
        key.startswith(("aws:source", "aws:principal", "aws:vpc")) for key in found
    )
