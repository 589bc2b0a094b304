"""Notifications of buckets that S3 rejects."""

from __future__ import annotations

from itertools import combinations

from serverless_patterns.patterns.checks import s3
from serverless_patterns.patterns.limits import SQS_DEFAULT_RETENTION

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
