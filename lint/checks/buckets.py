"""Notifications of buckets that S3 rejects, or that match nothing."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from serverless_patterns.patterns.checks import s3

from .. import wiring
from ..template import At, Finding, Findings, Resource, Scenario, as_list, is_unknown, rule

if TYPE_CHECKING:
    from collections.abc import Iterator


@rule("E9206", "s3", shared=s3.overlapping)
def overlapping_notifications(scenario: Scenario) -> Findings:
    """Two notifications of a bucket must not be about the same event of the same object.

    S3 rejects notifications of one event type whose prefixes overlap and whose suffixes overlap,
    also where the events are s3:ObjectCreated:* and s3:ObjectCreated:Put. Make the filters exclude
    each other, let one topic fan out, or use rules of EventBridge, which may overlap.
    """
    for bucket in scenario.of(*wiring.NOTIFIERS):
        found = [*_filters(bucket)]
        for (one, _), (other, at) in combinations(found, 2):
            yield Finding(bucket, s3.overlapping(bucket, one, other), at)


@rule("W9205", "s3", shared=s3.wildcard)
def wildcard_in_a_filter(scenario: Scenario) -> Findings:
    """A filter of a bucket's notifications must not have a wildcard.

    S3 compares * with itself, so a prefix that ends with it, or a suffix that begins with it,
    matches no object, and nothing fails. Leave it out: a prefix matches what begins so.
    """
    for bucket in scenario.of(*wiring.NOTIFIERS):
        for found, at in _filters(bucket):
            yield Finding(bucket, s3.wildcard(f"prefix of {bucket}", found.prefix), at)
            problem = s3.wildcard(f"suffix of {bucket}", found.suffix, suffix=True)
            yield Finding(bucket, problem, at)


@rule("W9210", "s3")
def unencoded_filter(scenario: Scenario) -> Findings:
    """A filter of a bucket's notifications must be URL-encoded.

    S3 compares filters with encoded keys: a blank is +, and every special or non-ASCII character is
    %XX. One that is not encoded matches no object, and nothing fails. A plus itself is %2B: this
    rule cannot tell a + that is meant from a blank.

    Source:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html
    """
    for bucket in scenario.of(*wiring.NOTIFIERS):
        for found, at in _filters(bucket):
            for name, end in (("prefix", found.prefix), ("suffix", found.suffix)):
                yield Finding(bucket, s3.unencoded(f"{name} of {bucket}", end), at)


def _filters(bucket: Resource) -> Iterator[tuple[s3.Filter, At]]:
    """Yield what each notification of a bucket is about, unless only deployment knows."""
    for kind in wiring.NOTIFIED:
        for item in bucket.parts(f"NotificationConfiguration.{kind}"):
            if filter_ := _filter(item):
                yield filter_, item.at


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
