"""Event source mappings: SQS → Lambda."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from serverless_patterns.patterns.checks import lambda_, sqs
from serverless_patterns.patterns.limits import (
    LAMBDA_DEFAULT_TIMEOUT,
    SQS_DEFAULT_VISIBILITY,
    SQS_LAMBDA_CALLS_A_POLLER,
    SQS_LAMBDA_DEFAULT_BATCH,
    SQS_LAMBDA_DEFAULT_MAX_POLLERS,
    SQS_LAMBDA_VISIBILITY_FACTOR,
)

from .. import arns, wiring
from ..template import Finding, Findings, Resource, Scenario, is_unknown, rule
from .streams import is_stream

if TYPE_CHECKING:
    from collections.abc import Iterator

MAPPING = "AWS::Lambda::EventSourceMapping"
CONCURRENCY, POLLERS = ("ScalingConfig", "MaximumConcurrency"), ("ProvisionedPollerConfig",)

# Queue, its visibility timeout, its consumer, the consumer's timeout and batching window.
Hidden = tuple[Resource, int, Resource, int, int]


def _mappings(scenario: Scenario) -> Iterator[Hidden]:
    """Yield the queues of functions where everything is known."""
    for mapping in scenario.of(MAPPING):
        queue = scenario.queue(mapping.get("EventSourceArn"))
        function = scenario.function(mapping.get("FunctionName"))
        if queue and function:
            hidden = queue.number("VisibilityTimeout", SQS_DEFAULT_VISIBILITY)
            timeout = function.number("Timeout", LAMBDA_DEFAULT_TIMEOUT)
            window = mapping.number("MaximumBatchingWindowInSeconds", 0)
            if hidden is not None and timeout is not None and window is not None:
                yield queue, hidden, function, timeout, window


def _pipes(scenario: Scenario) -> Iterator[Hidden]:
    """Yield the queues of pipes, with the timeouts of the functions that a pipe waits for."""
    for pipe, queue in wiring.consumed_queues(scenario):
        if pipe.type != "AWS::Pipes::Pipe":
            continue
        kind = pipe.get("TargetParameters.LambdaFunctionParameters.InvocationType")
        waits = kind in (None, "REQUEST_RESPONSE")
        places = ("Enrichment", "Target") if waits else ("Enrichment",)
        functions = filter(None, (scenario.function(pipe.get(place)) for place in places))
        timeouts = [function.number("Timeout", LAMBDA_DEFAULT_TIMEOUT) for function in functions]
        known = sum(timeout for timeout in timeouts if timeout is not None)
        hidden = queue.number("VisibilityTimeout", SQS_DEFAULT_VISIBILITY)
        if known and hidden is not None:
            yield queue, hidden, pipe, known, 0


@rule("E9111", "sqs", "lambda", shared=sqs.visibility)
def visibility_below_timeout(scenario: Scenario) -> Findings:
    """A queue's visibility timeout must not be below its function's timeout.

    Lambda rejects the event source mapping, and every message would be delivered again while it is
    still being processed. Set VisibilityTimeout to at least {SQS_LAMBDA_VISIBILITY_FACTOR} x the
    function's Timeout plus the batching window.
    """
    for queue, hidden, function, timeout, window in _mappings(scenario):
        if hidden < timeout:
            problem = sqs.visibility(queue, hidden, function, timeout, window)
            yield Finding(queue, problem, ("VisibilityTimeout",))


@rule("W9112", "sqs", "lambda", "pipes", shared=sqs.visibility)
def short_visibility(scenario: Scenario, *, factor: int = SQS_LAMBDA_VISIBILITY_FACTOR) -> Findings:
    """A visibility timeout should be {SQS_LAMBDA_VISIBILITY_FACTOR} x the consumer's timeout.

    A batch that Lambda throttles is retried while its messages stay hidden; if they become visible
    first, they are delivered twice and use up their receives. Set VisibilityTimeout to at least
    {SQS_LAMBDA_VISIBILITY_FACTOR} x the function's Timeout plus the batching window; for a pipe, to
    {SQS_LAMBDA_VISIBILITY_FACTOR} x the Timeout of its enrichment and its target together.
    """
    mappings = list(_mappings(scenario))
    rejected = {queue.id for queue, hidden, _, timeout, _ in mappings if hidden < timeout}
    for queue, hidden, consumer, timeout, window in (*mappings, *_pipes(scenario)):
        if queue.id not in rejected:
            problem = sqs.visibility(queue, hidden, consumer, timeout, window, factor)
            yield Finding(queue, problem, ("VisibilityTimeout",))


@rule("W9113", "sqs", "lambda", shared=lambda_.polls_above_reserved)
def polls_above_reserved(scenario: Scenario) -> Findings:
    """A function's mappings must not exceed its reserved concurrency.

    Every poll above the function's reserved concurrency is throttled and counts as a receive, until
    good messages are dead-lettered. Raise ReservedConcurrentExecutions to what the function's
    mappings use together, or lower a mapping's MaximumConcurrency or MaximumPollers (each poller
    makes up to {SQS_LAMBDA_CALLS_A_POLLER} calls).
    """
    calls: Counter[str] = Counter()
    for mapping, polls, pollers in _polls(scenario):
        function = scenario.function(mapping.get("FunctionName"))
        reserved = function.number("ReservedConcurrentExecutions") if function else None
        if function and polls and reserved:
            others = calls[function.id]
            problem = lambda_.polls_above_reserved(
                function, polls, reserved, others=others, pollers=pollers
            )
            yield Finding(mapping, problem, POLLERS if pollers else CONCURRENCY)
            calls[function.id] += polls


def _polls(scenario: Scenario) -> Iterator[tuple[Resource, int, int]]:
    """Yield what mappings poll: the mapping, its concurrent calls, its provisioned pollers."""
    for mapping in scenario.of(MAPPING):
        pollers = 0
        if scenario.queue(mapping.get("EventSourceArn")) and mapping.get(POLLERS[0]):
            default = SQS_LAMBDA_DEFAULT_MAX_POLLERS
            pollers = mapping.number(f"{POLLERS[0]}.MaximumPollers", default) or 0
        calls = mapping.number(".".join(CONCURRENCY)) or SQS_LAMBDA_CALLS_A_POLLER * pollers
        if mapping.flag("Enabled", default=True):
            yield mapping, calls, pollers


@rule("W9114", "sqs", "kinesis", "dynamodb", "lambda")
def batch_item_failures(scenario: Scenario) -> Findings:
    """A mapping should report batch item failures.

    Without ReportBatchItemFailures one failed record fails its whole batch: the others are
    processed again, and dead-lettered with it. Set FunctionResponseTypes to
    [ReportBatchItemFailures] and return the failed ids from the handler. A stream's mapping with
    BisectBatchOnFunctionError halves the batch until the failed record is alone.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """
    for mapping in scenario.of(MAPPING):
        batch = mapping.number("BatchSize", SQS_LAMBDA_DEFAULT_BATCH)
        source = is_queue(scenario, mapping) or is_stream(scenario, mapping)
        isolates = mapping.flag("BisectBatchOnFunctionError") is not False
        reports = isolates or mapping.get("FunctionResponseTypes")
        if source and batch and batch > 1 and not reports:
            yield Finding(
                mapping,
                f"{mapping} does not report batch item failures: one failed record fails its whole "
                "batch. Set FunctionResponseTypes to [ReportBatchItemFailures], and return the "
                "failed ids from the handler.",
            )


def is_queue(scenario: Scenario, mapping: Resource) -> bool:
    """Tell whether a mapping reads a queue: other sources have a starting position, or queues."""
    source = mapping.get("EventSourceArn")
    if scenario.queue(source) or arns.service(source) == "sqs":
        return True
    others = any(mapping.get(place) is not None for place in ("StartingPosition", "Queues"))
    return is_unknown(source) and not arns.service(source) and not others
