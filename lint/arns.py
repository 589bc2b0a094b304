"""Amazon Resource Names: what a resource's looks like, and whether a pattern may cover it.

Values are resolved ones (``template.py``): a hole in them may be anything.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .template import Resource, Scenario

# Where a resource is named, and what its ARN has: the service, and what stands before the name.
NAMES = {
    "AWS::SQS::Queue": ("QueueName", "sqs", ""),
    "AWS::SNS::Topic": ("TopicName", "sns", ""),
    "AWS::Lambda::Function": ("FunctionName", "lambda", "function:"),
    "AWS::Events::EventBus": ("Name", "events", "event-bus/"),
    "AWS::Events::Rule": ("Name", "events", "rule/"),
    "AWS::Scheduler::Schedule": ("Name", "scheduler", "schedule/"),
    "AWS::S3::Bucket": ("BucketName", "s3", ""),
    "AWS::Kinesis::Stream": ("Name", "kinesis", "stream/"),
    "AWS::KinesisFirehose::DeliveryStream": ("DeliveryStreamName", "firehose", "deliverystream/"),
    "AWS::StepFunctions::StateMachine": ("StateMachineName", "states", "stateMachine:"),
    "AWS::Serverless::StateMachine": ("Name", "states", "stateMachine:"),
    "AWS::DynamoDB::Table": ("TableName", "dynamodb", "table/"),
    "AWS::DynamoDB::GlobalTable": ("TableName", "dynamodb", "table/"),
    "AWS::Logs::LogGroup": ("LogGroupName", "logs", "log-group:"),
    "AWS::CloudWatch::Alarm": ("AlarmName", "cloudwatch", "alarm:"),
    "AWS::CloudWatch::CompositeAlarm": ("AlarmName", "cloudwatch", "alarm:"),
    "AWS::IoT::TopicRule": ("RuleName", "iot", "rule/"),
    "AWS::IAM::Role": ("RoleName", "iam", "role/"),
    "AWS::IAM::ManagedPolicy": ("ManagedPolicyName", "iam", "policy/"),
    "AWS::KMS::Alias": ("AliasName", "kms", ""),
}
# What Ref returns is a name, or a queue's URL, and not the ARN.
BY_NAME = (
    "AWS::CloudWatch::Alarm",
    "AWS::DynamoDB::Table",
    "AWS::Events::Rule",
    "AWS::IoT::TopicRule",
    "AWS::Kinesis::Stream",
    "AWS::KinesisFirehose::DeliveryStream",
    "AWS::Lambda::Function",
    "AWS::Logs::LogGroup",
    "AWS::S3::Bucket",
    "AWS::SQS::Queue",
)
FUNCTION = "AWS::Lambda::Function"
OWN_REGION, OWN_ACCOUNT = "${AWS::Region}", "${AWS::AccountId}"
SERVICE, REGION, ACCOUNT, REST = range(2, 6)
NAME = re.compile(r"[\w.-]+")
# ``${AWS::Region}`` has colons of its own.
PART = re.compile(r"((?:[^:$]|\$\{[^}]*\}|\$)*)(?::|$)")
WILD = re.compile(r"[*?]")
# The name of an alias or a version behind a function, or SAM's own alias or version of one.
QUALIFIED = re.compile(
    r"(?:function:[^:]+|\$\{[A-Za-z0-9]+(?:\.Arn)?\}):([^:]+)$|\$\{[A-Za-z0-9]+\.(Alias|Version)\}$"
)
OPEN = re.compile(r"\$\{(?!!)[^}]*\}|\{\{resolve:[^}]*\}\}")
BEFORE = re.compile(r"(?:[\w-]+[:/])+(?=\$\{)")  # what stands before a name, such as stream/
FIRST = re.compile(r"\$\{([A-Za-z0-9]+)(?:\.[A-Za-z0-9.]+)?\}(?:[:/].*)?", re.DOTALL)


def split(arn: Any) -> list[str]:
    """Return the six parts of an ARN; nothing when the value is none."""
    if not isinstance(arn, str) or not arn.startswith("arn:"):
        return []
    found: list[str] = []
    at = 0
    while len(found) < REST and at <= len(arn):
        match = PART.match(arn, at)
        if not match:
            return []
        found.append(match.group(1))
        at = match.end()
    return [*found, arn[at:]] if len(found) == REST and arn[at:] else []


def service(value: Any) -> str | None:
    """Return the service of an ARN, such as ``sqs``; None when the value is no ARN."""
    parts = split(value)
    return parts[SERVICE] if parts else None


def rest(resource: Resource) -> str | None:
    """Return what follows the account in a resource's ARN; None when it is given no name."""
    place, _, before = NAMES.get(resource.type, ("", "", ""))
    name = resource.get(place) if place else None
    if not isinstance(name, str) or "${?}" in name:
        return None
    bus = resource.get("EventBusName") or "default"
    if resource.type != "AWS::Events::Rule" or re.search(r"(^|/)default$", str(bus)):
        return f"{before}{name}"
    return f"{before}{bus}/{name}" if NAME.fullmatch(str(bus)) else f"{before}*{name}"


def index(resources: Iterable[Resource]) -> dict[tuple[str, str], Resource]:
    """Return the resources that are given names, by type and name, and by their ARN's ends."""
    found: dict[tuple[str, str], Resource] = {}
    for resource in resources:
        own = rest(resource)
        if own:
            place, of, _ = NAMES[resource.type]
            found[resource.type, str(resource.get(place))] = resource
            found[of, own] = resource
    return found


def named(scenario: Scenario, value: str, types: tuple[str, ...]) -> Resource | None:
    """Return the resource that a name, or an ARN without references, is of."""
    parts = split(value)
    if value.startswith("https://sqs."):
        return scenario.names.get(("AWS::SQS::Queue", value.rsplit("/", 1)[-1]))
    if not parts:
        return next(filter(None, (scenario.names.get((kind, value)) for kind in types)), None)
    end = parts[REST] if _is_own(parts) else ""
    while end:
        resource = scenario.names.get((parts[SERVICE], end))
        if resource:
            return resource
        end = end[: max(end.rfind(":"), end.rfind("/"), 0)]
    return None


def reference(value: str) -> str:
    """Return what an ARN of this account has as its name, such as a reference; or else nothing."""
    parts = split(value)
    own = bool(parts) and parts[ACCOUNT] in (OWN_ACCOUNT, "")
    return BEFORE.sub("", parts[REST], count=1) if own else ""


def _is_own(parts: list[str]) -> bool:
    """Tell whether an ARN is of this account and Region: both as such, or both literally."""
    region, account = parts[REGION] or OWN_REGION, parts[ACCOUNT] or OWN_ACCOUNT
    return (region == OWN_REGION) == (account == OWN_ACCOUNT) or not parts[REGION]


def may_cover(scenario: Scenario, pattern: Any, resource: Resource, used: Any = None) -> bool:
    """Tell whether a pattern, or a reference, may be of a resource: not when it is of another.

    Args:
        scenario: The template.
        pattern: An ARN with wildcards, a reference, or ``*``.
        resource: What is used.
        used: How it is named where it is used, such as the alias of a function.
    """
    if not isinstance(pattern, str):
        return True
    parts = split(pattern)
    reference = FIRST.fullmatch(parts[REST].removeprefix(_kind(resource)) if parts else pattern)
    other = scenario.resources.get(reference.group(1)) if reference else None
    if other is not None and not parts and pattern == f"${{{other.id}}}" and other.type in BY_NAME:
        return False  # a name, or a URL, is no ARN
    if other is not None:
        function = scenario.function(f"${{{other.id}}}") or other
        if function != resource:
            return function.type not in NAMES and function.type != resource.type
        return resource.type != FUNCTION or _same_version(scenario, pattern, used)
    if not parts or resource.type not in NAMES:
        return True
    own = rest(resource) or f"{_kind(resource)}*"
    return may_match(parts[SERVICE], _service(resource)) and any(
        may_match(parts[REST], text) for text in (own, f"{own}:*", f"{own}/*")
    )


def covers(pattern: str, resource: Resource) -> bool:
    """Tell whether a pattern covers a resource of this account and Region for certain."""
    parts, own = split(pattern), rest(resource)
    if not parts or resource.type not in NAMES or not may_match(parts[SERVICE], _service(resource)):
        return False
    here = parts[REGION] in ("*", "", OWN_REGION) and parts[ACCOUNT] in ("*", "", OWN_ACCOUNT)
    if own and not OPEN.search(own + parts[REST]):
        return here and bool(_regex(parts[REST]).fullmatch(own))
    return here and parts[REST] in ("*", f"{_kind(resource)}*")


def _service(resource: Resource) -> str:
    return NAMES[resource.type][1]


def _kind(resource: Resource) -> str:
    return NAMES.get(resource.type, ("", "", ""))[2]


def _same_version(scenario: Scenario, pattern: str, used: Any) -> bool:
    """Tell whether what is allowed and what is invoked may be the same version of a function."""
    allowed, invoked = qualifier(scenario, pattern), qualifier(scenario, used)
    if used is None or "$LATEST" in (allowed, invoked):
        return True
    return bool(allowed) == bool(invoked) and may_match(allowed, invoked)


def qualifier(scenario: Scenario, value: Any) -> str:
    """Return the alias or version that a value names; nothing for the function itself.

    One whose name only deployment knows is ``${Alias}``, which may be any.
    """
    if not isinstance(value, str):
        return ""
    found = scenario.find(value, "AWS::Lambda::Alias", "AWS::Lambda::Version")
    if found:
        name = found.get("Name")
        return name if isinstance(name, str) and "${" not in name else f"${{{found.id}}}"
    match = QUALIFIED.search(value)
    return (match.group(1) or match.group(2) or "") if match else ""


def is_bucket_alone(pattern: Any, bucket: Resource) -> bool:
    """Tell whether a pattern is of a bucket and not of the objects in it."""
    parts = split(pattern)
    named = {f"${{{bucket.id}}}", rest(bucket)}
    return pattern == f"${{{bucket.id}.Arn}}" or bool(parts and parts[REST] in named)


def unqualified(value: Any) -> Any:
    """Return what names a function without the alias or version behind its ARN."""
    match = QUALIFIED.search(value) if isinstance(value, str) else None
    return value[: match.start(1) - 1] if match and match.group(1) else None


@lru_cache(maxsize=4096)
def may_match(pattern: str, value: str) -> bool:
    """Tell whether a pattern may match a value, when holes and wildcards may be anything."""
    if pattern == value:
        return True
    one, other = (OPEN.sub("*", text.replace("${!", "{")) for text in (pattern, value))
    if not WILD.search(other):
        return bool(_regex(one).fullmatch(other))
    if not WILD.search(one):
        return bool(_regex(other).fullmatch(one))
    starts = (WILD.split(one)[0], WILD.split(other)[0])
    ends = (WILD.split(one)[-1], WILD.split(other)[-1])
    return (starts[0].startswith(starts[1]) or starts[1].startswith(starts[0])) and (
        ends[0].endswith(ends[1]) or ends[1].endswith(ends[0])
    )


def _regex(pattern: str) -> re.Pattern[str]:
    text = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(text, re.DOTALL)
