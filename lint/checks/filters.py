"""What the filters of mappings, pipes and subscriptions leave out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from serverless_patterns.patterns.checks import filters

from .. import arns
from ..template import Finding, Findings, Resource, Scenario, is_unknown, rule
from .queue_consumers import MAPPING, is_queue
from .streams import STREAMS

PIPE = "AWS::Pipes::Pipe"


def _filtered(scenario: Scenario) -> Iterator[tuple[Resource, str, str, list[Any]]]:
    """Yield what filters: the reader, the service of its source, the property, the filters."""
    for kind, source, place in (
        (MAPPING, "EventSourceArn", "FilterCriteria"),
        (PIPE, "Source", "SourceParameters.FilterCriteria"),
    ):
        for reader in scenario.of(kind):
            found = reader.list(f"{place}.Filters")
            service = _service(scenario, reader, reader.get(source)) if found else None
            if service in filters.RECORDS:
                yield reader, service, place, found


def _service(scenario: Scenario, reader: Resource, source: Any) -> str | None:
    """Return the service of a source, if the template shows it."""
    stream = scenario.find(source, *STREAMS)
    if stream:
        return "kinesis" if stream.type.startswith("AWS::Kinesis") else "dynamodb"
    if scenario.queue(source) or (reader.type == MAPPING and is_queue(scenario, reader)):
        return "sqs"
    return arns.service(source)


@rule("E9115", "sqs", "kinesis", "dynamodb", "lambda", "pipes", shared=filters.matches_nothing)
def filter_matches_nothing(scenario: Scenario) -> Findings:
    """A filter must name fields and values that its source's records have.

    A record must have every field that a pattern names. With a field that no record has, Lambda
    deletes every message of a queue, and skips every record of a stream. Put the fields of the
    message below body, those of a Kinesis record below data, and those of an item below dynamodb,
    in an image, each with its type.
    """
    for reader, service, place, items in _filtered(scenario):
        problem = filters.matches_nothing(reader, service, [_pattern(item) for item in items])
        yield Finding(reader, problem, tuple(place.split(".")))


def _pattern(item: Any) -> str | None:
    """Return the pattern of a filter; None when that is not known."""
    pattern = item.get("Pattern") if isinstance(item, Mapping) else None
    return pattern if isinstance(pattern, str) and not is_unknown(pattern) else None


@rule("I9116", "sqs", "lambda")
def filtered_messages_are_deleted(scenario: Scenario) -> Findings:
    """Messages that a queue's filter leaves out are deleted.

    Lambda removes the messages that match no filter from the queue: no other consumer, and no
    dead-letter queue, gets them. Filter where the message is sent (a rule's pattern, a
    subscription's filter policy), or send the rest to a queue of its own.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs-filtering.html
    """
    for reader, _, place, _ in _filtered(scenario):
        queue = scenario.queue(reader.get("EventSourceArn"))
        if queue:
            yield Finding(
                reader,
                f"{reader} filters {queue}: Lambda deletes every message that does not match. Make "
                "sure that none of them is needed.",
                (place,),
            )
