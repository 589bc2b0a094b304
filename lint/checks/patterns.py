"""Event patterns that no event can match."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from serverless_patterns.patterns.checks import patterns

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
            if isinstance(pattern, Mapping):
                yield resource, pattern, ("EventPattern",)


@rule("E9190", "events", "sns", shared=patterns.matches_nothing)
def pattern_matches_nothing(scenario: Scenario) -> Findings:
    """An event pattern, and a filter policy, must be one that something can match.

    Every event has the same fields around its detail, and a pattern compares each with a list of
    values: with another field, with a value that is not in a list, or with an empty range, the rule
    or the subscription matches nothing or is rejected. Write the fields as EventBridge does, such
    as detail-type, and each value in a list.
    """
    for resource, pattern, at in _patterns(scenario):
        name, why = f"The event pattern of {resource}", _envelope(pattern)
        problem = f"{name} matches nothing: {why}" if why else None
        yield Finding(resource, problem or patterns.matches_nothing(name, pattern), at)
    for subscription in wiring.subscriptions(scenario):
        policy = subscription.get("FilterPolicy")
        if isinstance(policy, Mapping):
            name = f"The filter policy of {subscription}"
            problem = patterns.matches_nothing(name, policy)
            yield Finding(subscription, problem, ("FilterPolicy",))


def _envelope(pattern: Mapping[str, Any]) -> str | None:
    """Return why no event's envelope fits a pattern."""
    for name, wanted in {str(key): value for key, value in pattern.items()}.items():
        if name != "$or" and name not in ENVELOPE and not is_unknown(name):
            if wanted == [{"exists": False}] or is_unknown(wanted):
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
