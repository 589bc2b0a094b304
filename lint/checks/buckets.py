"""Notifications of buckets that S3 rejects."""

from __future__ import annotations

from itertools import combinations

from serverless_patterns.patterns.checks import s3

from .. import wiring
from ..template import Finding, Findings, Resource, Scenario, as_list, is_unknown, rule


@rule("E9206", "s3", shared=s3.overlapping)
def overlapping_notifications(scenario: Scenario) -> Findings:
    """Two notifications of a bucket must not be about the same event of the same object.

    S3 rejects notifications of one event type whose prefixes overlap and whose suffixes overlap,
    also where the events are s3:ObjectCreated:* and s3:ObjectCreated:Put. Make the filters exclude
    each other, let one topic fan out, or use rules of EventBridge, which may overlap.
    """
    for bucket in scenario.of(*wiring.NOTIFIERS):
        found = [
            (filter_, item.at)
            for kind in wiring.NOTIFIED
            for item in bucket.parts(f"NotificationConfiguration.{kind}")
            if (filter_ := _filter(item))
        ]
        for (one, _), (other, at) in combinations(found, 2):
            yield Finding(bucket, s3.overlapping(bucket, one, other), at)


def _filter(item: Resource) -> s3.Filter | None:
    """Return what a notification is about; None where only deployment knows."""
    events = tuple(as_list(item.get("Event") or item.get("Events") or []))
    ends = {"prefix": "", "suffix": ""}
    rules = item.get("Filter.S3Key.Rules") or item.get("Filter.Key.FilterRules") or []
    for rule_ in as_list(rules):
        ends[str(rule_.get("Name")).lower()] = rule_.get("Value")
    known = [*events, *ends.values()]
    if not events or any(not isinstance(one, str) or is_unknown(one) for one in known):
        return None
    return s3.Filter(events, ends["prefix"], ends["suffix"])
