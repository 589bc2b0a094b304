"""SQS → Lambda: the event source mapping that reports partial failures."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from aws_cdk import Annotations, Token
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs

from . import rules
from .findings import acknowledge

if TYPE_CHECKING:
    from aws_cdk import Duration
    from constructs import Construct

# A backlog then takes no more of the account than this; some new accounts have a quota of 10.
DEFAULT_MAX_CONCURRENCY = 10
# The concurrent calls that the mappings made here may make of a function: they share what it
# reserves.
_CALLS: WeakKeyDictionary[lambda_.IFunction, float] = WeakKeyDictionary()


def consume(
    scope: Construct,
    construct_id: str,
    *,
    queue: sqs.IQueue,
    consumer: lambda_.IFunction,
    batch_size: int = 10,
    max_batching_window: Duration | None = None,
    max_concurrency: int | None = None,
    provisioned_pollers: lambda_.ProvisionedPollerConfig | None = None,
) -> lambda_.EventSourceMapping:
    """Let ``consumer`` process the messages of ``queue``, failing record by record.

    Args:
        scope: Where the mapping is made.
        construct_id: Its id there.
        queue: The source.
        consumer: Function or alias; it must report partial batch failures.
        batch_size: Records a call: 1 to 10; up to 10,000 on a standard queue with a window.
        max_batching_window: Longest wait for a full batch, 1 to 300 s, standard queues only.
        max_concurrency: Concurrent calls, 2 to 1,000. Default: the consumer's reserved
            concurrency (at most 1,000), else 10; none with ``provisioned_pollers``.
        provisioned_pollers: Event pollers kept ready, in place of ``max_concurrency``.

    Raises:
        ValueError: a setting that Lambda refuses or that would dead-letter good messages, or a
            consumer that was imported without its role.
    """
    rules.check_batching(batch_size, max_batching_window, fifo=queue.fifo)
    if max_concurrency is None and provisioned_pollers is None:
        max_concurrency = _default_max_concurrency(rules.reserved_concurrency(consumer))
    rules.check_scaling(consumer, max_concurrency, provisioned_pollers)
    calls = _calls(max_concurrency, provisioned_pollers)
    function = rules.function_of(consumer)
    rules.check_shared(consumer, calls, _CALLS.get(function, 0))
    rules.check_has_role("The consumer", consumer)
    if not isinstance(function, lambda_.Function):
        check_imported_consumer(consumer, queue, max_batching_window, calls)
    _CALLS[function] = _CALLS.get(function, 0) + calls

    queue.grant_consume_messages(consumer)
    mapping = lambda_.EventSourceMapping(
        scope,
        construct_id,
        target=consumer,
        event_source_arn=queue.queue_arn,
        batch_size=batch_size,
        max_batching_window=max_batching_window,
        max_concurrency=max_concurrency,
        provisioned_poller_config=provisioned_pollers,
        report_batch_item_failures=True,
    )
    acknowledge(
        mapping,
        "Serverless::Serverless-LambdaEventSourceMappingDestination",
        "Lambda takes no failure destination for an SQS source; the queue's own redrive policy "
        "moves failed messages to its dead-letter queue.",
    )
    return mapping


def check_imported_consumer(
    consumer: lambda_.IFunction, queue: sqs.IQueue, window: Duration | None, calls: float
) -> None:
    """Refuse a visibility timeout too short for any function; warn of what an imported one needs.

    Raises:
        ValueError: below 6 x the shortest timeout of a function, 1 s, plus the window (AWS Lambda
            developer guide, "Using Lambda with Amazon SQS").
    """
    resource = queue.node.default_child
    longest = "a sixth of the queue's visibility timeout"
    if isinstance(resource, sqs.CfnQueue):
        visibility = rules.visibility_of(resource)
        shortest = rules.visibility_for(1, window)
        rules.check_visibility(visibility, shortest)
        if not visibility.is_unresolved() and shortest is not None:
            spare = visibility.to_seconds() - shortest.to_seconds()
            seconds = 1 + spare // rules.VISIBILITY_FACTOR
            longest = f"{seconds:.0f} s, because the queue hides a message for "
            longest += f"{visibility.to_seconds():.0f} s"
    Annotations.of(consumer).add_warning_v2(
        "serverless-patterns:imported-consumer",
        "This function is imported, so its timeout and reserved concurrency cannot be checked: it "
        f"may run for at most {longest}, must reserve no concurrent executions or at least "
        f"{calls:g}, and must report partial batch failures.",
    )


def _default_max_concurrency(reserved: float | None) -> int:
    if reserved is None:
        return DEFAULT_MAX_CONCURRENCY
    return min(max(rules.MIN_CONCURRENCY, int(reserved)), rules.MAX_CONCURRENCY)


def _calls(max_concurrency: int | None, pollers: lambda_.ProvisionedPollerConfig | None) -> float:
    """Return the concurrent calls that a mapping may make; 0 when only deployment knows."""
    if pollers is not None:
        high = pollers.maximum_pollers or rules.DEFAULT_MAX_POLLERS
        return 0 if Token.is_unresolved(high) else rules.CALLS_OF_A_POLLER * high
    return 0 if Token.is_unresolved(max_concurrency) else max_concurrency or 0
