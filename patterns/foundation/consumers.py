"""SQS → Lambda: the event source mapping that reports partial failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import aws_lambda as lambda_

from . import rules
from .findings import acknowledge

if TYPE_CHECKING:
    from aws_cdk import Duration
    from aws_cdk import aws_sqs as sqs
    from constructs import Construct

# A backlog then takes no more of the account than this; some new accounts have a quota of 10.
DEFAULT_MAX_CONCURRENCY = 10


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
            concurrency, else 10; none with ``provisioned_pollers``.
        provisioned_pollers: Event pollers kept ready, in place of ``max_concurrency``.

    Raises:
        ValueError: a setting that Lambda refuses or that would dead-letter good messages.
    """
    rules.check_batching(batch_size, max_batching_window, fifo=queue.fifo)
    if max_concurrency is None and provisioned_pollers is None:
        reserved = rules.reserved_concurrency(consumer)
        max_concurrency = DEFAULT_MAX_CONCURRENCY if reserved is None else max(2, int(reserved))
    rules.check_scaling(consumer, max_concurrency, provisioned_pollers)

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
