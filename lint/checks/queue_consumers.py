"""Event source mappings: SQS → Lambda."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from .. import template, wiring

LAMBDA_SQS_PAGE = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"
ERRORS_PAGE = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html"
FILTER_PAGE = "https://docs.aws.amazon.com/lambda/latest/dg/with-sqs-filtering.html"
SCALING_PAGE = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html"
FACTOR = 6
SOURCES = (
    "AWS::SQS::Queue",
    "AWS::Kinesis::Stream",
    "AWS::Kinesis::StreamConsumer",
    "AWS::DynamoDB::Table",
    "AWS::DynamoDB::GlobalTable",
)
RECORD = {  # what a record of a queue holds, as Lambda filters it
    "messageId",
    "receiptHandle",
    "body",
    "attributes",
    "messageAttributes",
    "md5OfBody",
    "md5OfMessageAttributes",
    "eventSource",
    "eventSourceARN",
    "awsRegion",
}


def _timeouts(
    scenario: template.Scenario,
) -> Iterator[tuple[template.Resource, template.Resource, int, int, int]]:
    """Yield queue, function, visibility timeout, function timeout and window, where all known."""
    for mapping in scenario.of("AWS::Lambda::EventSourceMapping"):
        queue = scenario.queue(mapping.get("EventSourceArn"))
        function = scenario.function(mapping.get("FunctionName"))
        if queue and function:
            visible = queue.number("VisibilityTimeout", 30)
            timeout = function.number("Timeout", 3)
            window = mapping.number("MaximumBatchingWindowInSeconds", 0)
            if visible is not None and timeout is not None and window is not None:
                yield queue, function, visible, timeout, window


def _pipes(
    scenario: template.Scenario,
) -> Iterator[tuple[template.Resource, template.Resource, int, int, int]]:
    """Yield queue, pipe, visibility timeout, and the timeout of the pipe's functions together."""
    for pipe, queue in wiring.consumed_queues(scenario):
        if pipe.type != "AWS::Pipes::Pipe":
            continue
        kind = pipe.get("TargetParameters.LambdaFunctionParameters.InvocationType")
        waited_for = (
            ("Enrichment", "Target") if kind in (None, "REQUEST_RESPONSE") else ("Enrichment",)
        )
        functions = filter(None, (scenario.function(pipe.get(place)) for place in waited_for))
        timeouts = [function.number("Timeout", 3) for function in functions]
        known = sum(timeout for timeout in timeouts if timeout is not None)
        visible = queue.number("VisibilityTimeout", 30)
        if known and visible is not None:
            yield queue, pipe, visible, known, 0


class VisibilityBelowTimeout(template.Rule):
    id = "E9111"
    shortdesc = "A queue's visibility timeout must not be below its function's timeout"
    description = (
        "Lambda rejects the event source mapping, and every message would be delivered again "
        "while it is still worked on. Set VisibilityTimeout to at least 6 x the function's "
        "Timeout plus the batching window."
    )
    source_url = LAMBDA_SQS_PAGE
    tags = ["sqs", "lambda"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for queue, function, visible, timeout, window in _timeouts(scenario):
            if visible < timeout:
                yield template.Finding(
                    queue,
                    f"{queue.id} hides a message for {visible} s, but {function.id} may run "
                    f"{timeout} s: Lambda rejects the mapping. Set VisibilityTimeout to "
                    f"{FACTOR * timeout + window} s or more.",
                    ("VisibilityTimeout",),
                )


class VisibilityShort(template.Rule):
    id = "W9112"
    shortdesc = "A queue's visibility timeout should be 6 x its function's or its pipe's timeout"
    description = (
        "A batch that Lambda throttles is retried while its messages stay hidden; when they turn "
        "visible first, they are delivered twice and their receives are used up. Set "
        "VisibilityTimeout to at least 6 x the function's Timeout plus the batching window; of a "
        "pipe, to 6 x the Timeout of its enrichment and its target together."
    )
    source_url = LAMBDA_SQS_PAGE
    tags = ["sqs", "lambda", "pipes"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        rejected = {
            queue.id for queue, _, visible, limit, _ in _timeouts(scenario) if visible < limit
        }
        for queue, function, visible, timeout, window in (*_timeouts(scenario), *_pipes(scenario)):
            needed = FACTOR * timeout + window
            if visible < needed and queue.id not in rejected:
                yield template.Finding(
                    queue,
                    f"{queue.id} hides a message for {visible} s, but {function.id} (timeout "
                    f"{timeout} s, batching window {window} s) needs {needed} s: 6 x the timeout "
                    f"plus the window. Set VisibilityTimeout to {needed} s or more.",
                    ("VisibilityTimeout",),
                )


class MappingAboveReserved(template.Rule):
    id = "W9113"
    shortdesc = "A mapping's MaximumConcurrency must not exceed the reserved concurrency"
    description = (
        "Every poll above the function's reserved concurrency is throttled and counts as a "
        "receive, until good messages are dead-lettered. Reserve at least as many executions as "
        "the mappings of the function may use, or lower MaximumConcurrency."
    )
    source_url = SCALING_PAGE
    tags = ["sqs", "lambda"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for mapping in scenario.of("AWS::Lambda::EventSourceMapping"):
            function = scenario.function(mapping.get("FunctionName"))
            polls = mapping.number("ScalingConfig.MaximumConcurrency")
            reserved = function.number("ReservedConcurrentExecutions") if function else None
            if function and polls and reserved and polls > reserved:
                yield template.Finding(
                    mapping,
                    f"MaximumConcurrency is {polls}, but {function.id} reserves only {reserved} "
                    "executions: throttled polls count as receives and dead-letter good messages. "
                    f"Lower MaximumConcurrency to {reserved}, or reserve {polls}.",
                    ("ScalingConfig", "MaximumConcurrency"),
                )


class BatchItemFailures(template.Rule):
    id = "W9114"
    shortdesc = "A mapping should report batch item failures"
    description = (
        "Without ReportBatchItemFailures one failed record fails its whole batch: the others are "
        "processed again, and dead-lettered with it. Set FunctionResponseTypes to "
        "[ReportBatchItemFailures] and return the failed ids from the handler."
    )
    source_url = ERRORS_PAGE
    tags = ["sqs", "kinesis", "dynamodb", "lambda"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for mapping in scenario.of("AWS::Lambda::EventSourceMapping"):
            source = mapping.get("EventSourceArn")
            batch = mapping.number("BatchSize", 10)
            if not scenario.find(source, *SOURCES) or batch is None or batch <= 1:
                continue
            if not mapping.get("FunctionResponseTypes"):
                yield template.Finding(
                    mapping,
                    f"{mapping.id} does not report batch item failures: one failed record fails "
                    "its whole batch. Set FunctionResponseTypes to [ReportBatchItemFailures], and "
                    "return the failed ids from the handler.",
                )


def _filtered(
    scenario: template.Scenario,
) -> Iterator[tuple[template.Resource, template.Resource, list[Any]]]:
    """Yield the mappings of queues that filter: the mapping, the queue, the filters."""
    for mapping in scenario.of("AWS::Lambda::EventSourceMapping"):
        queue = scenario.queue(mapping.get("EventSourceArn"))
        filters = mapping.list("FilterCriteria.Filters")
        if queue and filters:
            yield mapping, queue, filters


class FilterMatchesNothing(template.Rule):
    id = "E9115"
    shortdesc = "A queue's filter must name what its records hold"
    description = (
        "A record must hold every field that a pattern names, and Lambda deletes the messages that "
        "match no filter: with a field that no record has, it deletes them all. Put the fields of "
        "the message below body."
    )
    source_url = FILTER_PAGE
    tags = ["sqs", "lambda"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for mapping, queue, filters in _filtered(scenario):
            strange = [_strange_fields(item) for item in filters]
            if all(strange):
                yield template.Finding(
                    mapping,
                    f"{mapping.id} filters {queue.id} by {', '.join(sorted(strange[0]))}, which no "
                    "record of a queue has: Lambda deletes every message. Put the fields of the "
                    "message below body.",
                    ("FilterCriteria",),
                )


def _strange_fields(item: Any) -> set[str]:
    """Return the fields that a filter needs and no record has; none when that is not known."""
    pattern = item.get("Pattern") if isinstance(item, Mapping) else None
    try:
        fields = json.loads(pattern) if isinstance(pattern, str) else None
    except ValueError:
        return set()
    if not isinstance(fields, dict) or template.is_unknown(pattern) or "exists" in str(pattern):
        return set()
    return {name for name in fields if name not in RECORD and not name.startswith("$")}


class FilteredMessagesAreDeleted(template.Rule):
    id = "I9116"
    shortdesc = "What a queue's filter leaves out is deleted"
    description = (
        "Lambda removes the messages that match no filter from the queue: no other consumer, and "
        "no dead-letter queue, gets them. Filter where the message is sent (a rule's pattern, a "
        "subscription's filter policy), or drain the rest by a queue of its own."
    )
    source_url = FILTER_PAGE
    tags = ["sqs", "lambda"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for mapping, queue, _ in _filtered(scenario):
            yield template.Finding(
                mapping,
                f"{mapping.id} filters {queue.id}: Lambda deletes every message that does not "
                "match. See that each of them may go.",
                ("FilterCriteria",),
            )
