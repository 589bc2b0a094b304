"""What the filters of mappings, pipes and subscriptions leave out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from serverless_patterns.patterns.checks import patterns

from .. import arns
from ..template import Finding, Findings, Resource, Scenario, is_unknown, rule
from .queue_consumers import MAPPING, is_queue
from .streams import STREAMS

PIPE = "AWS::Pipes::Pipe"
OF_ALL = {"eventSource", "eventSourceARN", "awsRegion"}
OF_STREAMS = {"eventID", "eventName", "eventVersion", *OF_ALL}
# The fields of a source's records, as Lambda and Pipes filter them.
RECORDS = {
    "sqs": {
        "messageId",
        "receiptHandle",
        "body",
        "attributes",
        "messageAttributes",
        "md5OfBody",
        "md5OfMessageAttributes",
        *OF_ALL,
    },
    "kinesis": {
        "kinesis",
        "kinesisSchemaVersion",
        "partitionKey",
        "sequenceNumber",
        "data",
        "approximateArrivalTimestamp",
        "invokeIdentityArn",
        *OF_STREAMS,
    },
    "dynamodb": {"dynamodb", "userIdentity", *OF_STREAMS},
}
CHANGES = ("INSERT", "MODIFY", "REMOVE")
BELOW = {"sqs": "body", "kinesis": "data", "dynamodb": "dynamodb"}


def _filtered(scenario: Scenario) -> Iterator[tuple[Resource, str, str, list[Any]]]:
    """Yield what filters: the reader, the service of its source, the property, the filters."""
    for kind, source, place in (
        (MAPPING, "EventSourceArn", "FilterCriteria"),
        (PIPE, "Source", "SourceParameters.FilterCriteria"),
    ):
        for reader in scenario.of(kind):
            filters = reader.list(f"{place}.Filters")
            service = _service(scenario, reader, reader.get(source)) if filters else None
            if service in RECORDS:
                yield reader, service, place, filters


def _service(scenario: Scenario, reader: Resource, source: Any) -> str | None:
    """Return the service of a source, if the template shows it."""
    stream = scenario.find(source, *STREAMS)
    if stream:
        return "kinesis" if stream.type.startswith("AWS::Kinesis") else "dynamodb"
    if scenario.queue(source) or (reader.type == MAPPING and is_queue(scenario, reader)):
        return "sqs"
    return arns.service(source)


@rule("E9115", "sqs", "kinesis", "dynamodb", "lambda", "pipes")
def filter_matches_nothing(scenario: Scenario) -> Findings:
    """A filter must name fields and values that its source's records have.

    A record must have every field that a pattern names. With a field that no record has, Lambda
    deletes every message of a queue, and skips every record of a stream. Put the fields of the
    message below body, those of a Kinesis record below data, and those of an item below dynamodb.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
    """
    for reader, service, place, filters in _filtered(scenario):
        problems = [_problem(item, service) for item in filters]
        if all(problems):
            does = "deleted" if service == "sqs" else "skipped"
            yield Finding(
                reader,
                f"{reader} filters {problems[0]}: every record is {does}. Put fields of your own "
                f"below {BELOW[service]}.",
                tuple(place.split(".")),
            )


def _problem(item: Any, service: str) -> str | None:
    """Return why no record fits a filter; None also when that is not known."""
    pattern = item.get("Pattern") if isinstance(item, Mapping) else None
    try:
        fields = json.loads(pattern) if isinstance(pattern, str) else None
    except ValueError:
        return None
    if not isinstance(fields, dict) or is_unknown(pattern):
        return None
    strange = {
        name
        for name, wanted in fields.items()
        if name not in RECORDS[service] and not name.startswith("$") and "exists" not in str(wanted)
    }
    if strange:
        return f"by {', '.join(sorted(strange))}, which no record of {service} has"
    changes = fields.get("eventName")
    if service == "dynamodb" and isinstance(changes, list) and changes:
        texts = [change for change in changes if isinstance(change, str)]
        if len(texts) == len(changes) and not set(texts) & {*CHANGES}:
            return f"by eventName {texts[0]}, which is one of {', '.join(CHANGES)}"
    why = patterns.why_nothing(fields)
    return f"by a pattern that nothing fits ({why})" if why else None


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
