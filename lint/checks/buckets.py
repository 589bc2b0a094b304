"""Notifications of buckets that S3 rejects, or that match nothing."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

from serverless_patterns.patterns.checks import s3
from serverless_patterns.patterns.limits import SQS_DEFAULT_RETENTION

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


@rule("W9218", "s3", "sqs", shared=s3.expires_before_read)
def expires_before_read(scenario: Scenario) -> Findings:
    """Objects must not expire while messages about them may wait.

    A bucket notifies a queue, and a lifecycle rule of the same objects is over before the retention
    periods of the queue and of its dead-letter queue are: what is read late, or redriven, finds no
    object. Let objects expire later, or messages earlier.
    """
    for bucket in scenario.of("AWS::S3::Bucket"):
        for item in bucket.parts("NotificationConfiguration.QueueConfigurations"):
            queue, filter_ = scenario.queue(item.get("Queue")), _filter(item)
            waits = _waits(scenario, queue) if queue else None
            if waits is None or filter_ is None:
                continue
            for one in bucket.parts("LifecycleConfiguration.Rules"):
                days, prefix = one.number("ExpirationInDays"), one.get("Prefix") or ""
                ours = isinstance(prefix, str) and prefix.startswith(filter_.prefix)
                if days is not None and one.get("Status") == "Enabled" and ours:
                    objects = f"{bucket}: objects of '{prefix}*'"
                    problem = s3.expires_before_read(objects, days * s3.DAY, queue, waits)
                    yield Finding(bucket, problem, one.at)


def _waits(scenario: Scenario, queue: Resource) -> float | None:
    """Return how long a message may be in a queue and in its dead-letter queue, if known."""
    target = scenario.queue(queue.get("RedrivePolicy.deadLetterTargetArn"))
    kept = [
        one.number("MessageRetentionPeriod", SQS_DEFAULT_RETENTION)
        for one in (queue, target)
        if one is not None
    ]
    known = [one for one in kept if one is not None]
    return sum(known) if len(known) == len(kept) else None


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
    ends, names = {"prefix": "", "suffix": ""}, list[Any]()
    for place in ("Filter.S3Key.Rules", "Filter.Key.FilterRules"):
        for rule_ in item.parts(place):
            names.append(rule_.get("Name"))
            ends[str(names[-1]).lower()] = rule_.get("Value")
    known = [*events, *ends.values(), *names]
    if not events or any(not isinstance(one, str) or is_unknown(one) for one in known):
        return None
    return s3.Filter(events, ends["prefix"], ends["suffix"])
