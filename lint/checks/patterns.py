"""Event patterns that no event can match."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from .. import wiring
from ..template import At, Finding, Findings, Resource, Scenario, as_list, is_unknown, rule

ENVELOPE = (
    "version",
    "id",
    "detail-type",
    "source",
    "account",
    "time",
    "region",
    "resources",
    "detail",
    "replay-name",
)
FORMS = {  # what the text of a field looks like
    "account": re.compile(r"\d{12}|aws|"),
    "region": re.compile(r"[a-z]+(-[a-z]+)+-\d+|aws-global|"),
}
CLOUDTRAIL, OBJECT = re.compile(r"AWS API Call via CloudTrail"), re.compile(r"Object .*")
OF_BUCKETS, OF_CALLS = {"bucket", "object"}, {"eventName", "eventSource", "requestParameters"}
SIGNS = ("=", "<", "<=", ">", ">=")
FILTERS = {
    "anything-but",
    "cidr",
    "equals-ignore-case",
    "exists",
    "numeric",
    "prefix",
    "suffix",
    "wildcard",
}
# Detail types of AWS's own events that are often written another way, such as ObjectCreated.
DETAIL_TYPES = (
    "AWS API Call via CloudTrail",
    "AWS Health Event",
    "Batch Job State Change",
    "CloudWatch Alarm State Change",
    "CodeBuild Build State Change",
    "CodeCommit Repository State Change",
    "CodePipeline Pipeline Execution State Change",
    "EC2 Instance State-change Notification",
    "ECR Image Action",
    "ECS Task State Change",
    "Glue Job State Change",
    "GuardDuty Finding",
    "Object ACL Updated",
    "Object Created",
    "Object Deleted",
    "Object Restore Completed",
    "Object Storage Class Changed",
    "Object Tags Added",
    "Object Tags Deleted",
    "Parameter Store Change",
    "Scheduled Event",
    "Step Functions Execution Status Change",
)


def _patterns(scenario: Scenario) -> Iterator[tuple[Resource, Mapping[str, Any], At]]:
    """Yield the event patterns of rules and archives."""
    for kind in ("AWS::Events::Rule", "AWS::Events::Archive"):
        for resource in scenario.of(kind):
            pattern = resource.get("EventPattern")
            if isinstance(pattern, str):
                pattern = _parsed(pattern)
            if isinstance(pattern, Mapping):
                yield resource, pattern, ("EventPattern",)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


@rule("E9190", "events", "sns")
def pattern_matches_nothing(scenario: Scenario) -> Findings:
    """An event pattern, and a filter policy, must be one that something can match.

    Every event has the same fields around its detail, and a pattern compares each with a list of
    values: with another field, with a value that is not in a list, or with an empty range, the rule
    or the subscription matches nothing or is rejected. Write the fields as EventBridge does, such
    as detail-type, and each value in a list.

    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern.html
    """
    for resource, pattern, at in _patterns(scenario):
        why = _envelope(pattern) or never(pattern)
        if why:
            yield Finding(resource, f"The event pattern of {resource} matches no event: {why}", at)
    for subscription in wiring.subscriptions(scenario):
        policy = subscription.get("FilterPolicy")
        why = never(policy) if isinstance(policy, Mapping) else None
        if why:
            yield Finding(
                subscription,
                f"The filter policy of {subscription} matches no message: {why}",
                ("FilterPolicy",),
            )


def _envelope(pattern: Mapping[str, Any]) -> str | None:
    """Return why no event's envelope fits a pattern."""
    for name, wanted in pattern.items():
        if name != "$or" and name not in ENVELOPE and not is_unknown(name):
            if wanted == [{"exists": False}]:
                continue
            near = [field for field in ENVELOPE if _plain(field) == _plain(name)]
            hint = f"write it {near[0]}" if near else "put fields of your own below detail"
            return f"events have no field {name}; {hint}."
        if isinstance(wanted, Mapping) and name not in ("$or", "detail"):
            return f"{name} is text in every event, not an object. Give it a list of values."
        if name == "detail" and isinstance(wanted, list):
            return "detail is an object in every event. Give it the fields to compare."
        if name in FORMS and _are_other(wanted, FORMS[name]):
            return f"{name} is never {wanted[0]}."
    return _misspelt(pattern) or _other_detail(pattern)


def _are_other(wanted: Any, form: re.Pattern[str]) -> bool:
    """Tell whether all values are texts that a field never has."""
    listed = wanted if isinstance(wanted, list) else []
    return bool(listed) and all(
        isinstance(item, str) and not is_unknown(item) and not form.fullmatch(item)
        for item in listed
    )


def _other_detail(pattern: Mapping[str, Any]) -> str | None:
    """Return which field of a bucket's events a pattern asks of CloudTrail, or the reverse."""
    kinds, detail = pattern.get("detail-type"), pattern.get("detail")
    if pattern.get("source") != ["aws.s3"] or not isinstance(detail, Mapping):
        return None
    for matching, strange, instead in (
        (CLOUDTRAIL, OF_BUCKETS, "requestParameters.bucketName"),
        (OBJECT, OF_CALLS, "bucket.name and object.key"),
    ):
        found = sorted(strange & detail.keys())
        texts = [kind for kind in as_list(kinds) if isinstance(kind, str)]
        if found and texts and texts == kinds and all(map(matching.fullmatch, texts)):
            return f"{texts[0]} has no detail.{found[0]}; compare {instead}."
    return None


def _plain(text: str) -> str:
    """Return a name without what is often written another way."""
    return re.sub(r"[^a-z]", "", re.sub(r"^s3:|:.*", "", text.lower()))


def _misspelt(pattern: Mapping[str, Any]) -> str | None:
    """Return the right text of what a pattern of AWS's own events writes another way."""
    sources, kinds = pattern.get("source"), pattern.get("detail-type")
    if not isinstance(sources, list) or not all(isinstance(item, str) for item in sources):
        return None
    lower = [item.lower() for item in sources]
    if sources and all(text.startswith("aws.") for text in lower) and not set(lower) & {*sources}:
        return f"the source is {lower[0]}, in lower case."
    if not sources or not all(item.startswith("aws.") for item in sources):
        return None
    right = {_plain(text): text for text in DETAIL_TYPES}
    if isinstance(kinds, list) and kinds and all(isinstance(item, str) for item in kinds):
        meant = [right.get(_plain(item)) for item in kinds]
        if None not in meant and not {*kinds} & {*DETAIL_TYPES}:
            return f"the detail-type is {meant[0]}."
    return None


def never(pattern: Mapping[str, Any], path: str = "") -> str | None:
    """Return why no values fit a pattern, at any depth."""
    for name, wanted in pattern.items():
        place = f"{path}{name}"
        if name == "$or":
            ways = wanted if isinstance(wanted, list) else []
            each = [never(way, path) for way in ways if isinstance(way, Mapping)]
            why = each[0] if each and len(each) == len(ways) and all(each) else None
        elif isinstance(wanted, Mapping):
            why = never(wanted, f"{place}.")
        elif isinstance(wanted, list):
            each = [_impossible(item) for item in wanted]
            empty = "the list is empty" if not wanted else None
            why = empty or (each[0] if all(each) else None)
            why = why and f"{place}: {why}."
        else:
            why = None
            if not (isinstance(wanted, str) and is_unknown(wanted)):
                why = f"{place} is {wanted}, which must be in a list, as [{wanted}]."
        if why:
            return why
    return None


def _impossible(item: Any) -> str | None:
    """Return why nothing is as an item of a list asks; None when something may be."""
    if isinstance(item, list):
        return "a list in a list is compared with nothing"
    if not isinstance(item, Mapping) or is_unknown(item):
        return None
    strange = [str(name) for name in item if name not in FILTERS]
    if strange:
        return f"{strange[0]} is no comparison that EventBridge knows"
    numeric = item.get("numeric")
    return _empty_range(numeric) if isinstance(numeric, list) else None


def _empty_range(parts: list[Any]) -> str | None:
    odd = [sign for sign in parts[::2] if sign not in SIGNS and not is_unknown(sign)]
    if odd or len(parts) % 2:
        return f"{parts} is no comparison of numbers"
    low, high, closed = float("-inf"), float("inf"), True
    for sign, bound in zip(parts[::2], parts[1::2], strict=False):
        if isinstance(bound, bool) or not isinstance(bound, int | float):
            return None
        if sign in (">", ">=", "="):
            low, closed = max(low, bound), closed and sign != ">"
        if sign in ("<", "<=", "="):
            high, closed = min(high, bound), closed and sign != "<"
    empty = low > high or (low == high and not closed)
    return f"no number is {' '.join(map(str, parts))}" if empty else None
