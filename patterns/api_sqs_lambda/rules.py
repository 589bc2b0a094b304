"""The rules of a queue behind an API: what SQS would refuse of each message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Annotations

from ..blocks.queues import NewQueue, resource_of

if TYPE_CHECKING:
    from aws_cdk import aws_sqs as sqs

    from ..blocks.rest import RequestField


def check(
    queue: sqs.IQueue | NewQueue, group: RequestField | None, deduplication: RequestField | None
) -> None:
    """Reject messages that the queue would refuse; warn where its deduplication is not known.

    Lint E9174. Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html

    Raises:
        ValueError: a FIFO queue without a group id or any deduplication, or a standard queue with
            a deduplication id.
    """
    fifo = queue.fifo
    if fifo and group is None:
        raise ValueError(
            "A FIFO queue needs message_group_id: SQS rejects a message without a group. Name the "
            "field that orders belong together by, such as RequestField.body('order_id')."
        )
    if not fifo and deduplication is not None:
        raise ValueError(
            f"deduplication_id is {deduplication.name!r}, but a standard queue does not "
            "deduplicate. Leave it out, or use NewQueue(fifo=True)."
        )
    if isinstance(queue, NewQueue) or not fifo or deduplication is not None:
        return
    resource = resource_of(queue)
    if resource is None:
        Annotations.of(queue).add_warning_v2(
            "serverless-patterns:imported-fifo-queue",
            "This queue is imported, so its deduplication cannot be checked: it needs "
            "ContentBasedDeduplication, since there is no deduplication_id, or SQS rejects every "
            "message.",
        )
    elif not resource.content_based_deduplication:
        raise ValueError(
            "The FIFO queue does not deduplicate by content, so every message needs an id. Give "
            "deduplication_id, or set content_based_deduplication on the queue."
        )
