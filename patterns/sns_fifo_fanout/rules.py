"""What a FIFO topic does not deliver to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Annotations

from ..blocks import keys
from ..blocks.queues import NewQueue
from ..blocks.values import Path
from ..checks import reject
from ..checks import sns as checks

if TYPE_CHECKING:
    from aws_cdk import aws_sns as sns
    from aws_cdk import aws_sqs as sqs

INSTEAD = {
    "LAMBDA": "make the function its consumer, with add_fifo_queue() or add_queue()",
    "FIREHOSE": "write to the stream in its consumer, with add_queue()",
    "HTTP": "call the endpoint in its consumer, with add_fifo_queue()",
    "HTTPS": "call the endpoint in its consumer, with add_fifo_queue()",
}
OTHERWISE = "publish to a standard topic in its consumer"


def check_protocol(protocol: str) -> None:
    """Reject a subscription that is no queue.

    Raises:
        ValueError: SNS does not deliver to it from a FIFO topic.
    """
    reject(
        checks.fifo_topic_protocol("The subscription", protocol, INSTEAD.get(protocol, OTHERWISE))
    )


def check_topic(topic: sns.ITopic) -> None:
    """Reject a topic of yours that keeps no order or takes no message; warn of an imported one.

    Raises:
        ValueError: it is a standard topic, or its key encrypts nothing.
    """
    reject(checks.topic_of_fifo_queue(f"topic {Path(topic)}", fifo=topic.fifo))
    keys.check_key_of(topic)
    if topic.node.default_child is None:
        Annotations.of(topic).add_warning_v2(
            "serverless-patterns:imported-topic",
            "This topic is imported, so its settings cannot be checked: unless it deduplicates by "
            "content, every publisher must name a deduplication id; if it has a customer key, "
            "import it by from_topic_attributes() with key_arn, so that grant_publish() covers it.",
        )


def check_queue(queue: sqs.IQueue | NewQueue, *, fifo: bool) -> None:
    """Reject a queue of the other type than the method that adds it.

    Source: https://docs.aws.amazon.com/sns/latest/dg/fifo-topic-message-delivery.html

    Raises:
        ValueError: a standard queue of yours for ordered events, or a FIFO queue for unordered.
    """
    if queue.fifo == fifo or (isinstance(queue, NewQueue) and fifo):
        return
    name = "The new queue" if isinstance(queue, NewQueue) else f"queue {queue.node.path}"
    kind, method = ("FIFO", "add_fifo_queue") if queue.fifo else ("standard", "add_queue")
    raise ValueError(f"{name} is a {kind} queue. Add it with {method}().")
