"""What a FIFO topic does not deliver to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..blocks.topics import is_fifo
from ..blocks.values import Path
from ..checks import reject
from ..checks import sns as checks

if TYPE_CHECKING:
    from aws_cdk import aws_sns as sns

INSTEAD = {
    "LAMBDA": "make the function its consumer, with add_queue()",
    "FIREHOSE": "write to the stream in its consumer, with add_queue()",
    "HTTP": "call the endpoint in its consumer, with add_queue()",
}
INSTEAD["HTTPS"] = INSTEAD["HTTP"]
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
    """Reject a topic of yours that keeps no order.

    Raises:
        ValueError: it is a standard topic.
    """
    fifo = is_fifo(topic) is not False
    reject(checks.topic_of_fifo_queue(Path(topic, "topic "), fifo=fifo))
