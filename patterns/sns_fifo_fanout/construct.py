"""publisher → SNS FIFO → SQS → Lambda;  SNS, SQS ⇢ DLQ ⇢ alarm"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..blocks.alarms import Alarms
from ..blocks.consumers import Consumer
from ..blocks.queues import NewQueue
from ..blocks.subscriptions import Subscription
from ..blocks.topics import TopicFanout
from .topic import NewTopic, source_of

if TYPE_CHECKING:
    from aws_cdk import aws_sns as sns
    from constructs import Construct

__all__ = [
    "Alarms",
    "Consumer",
    "NewQueue",
    "NewTopic",
    "SnsFifoFanout",
    "Subscription",
]


class SnsFifoFanout(TopicFanout):
    """Publish an event once, in order; every subscriber takes it at its own pace.

    Subscribers are added by ``add_queue()``, each with its own queue, filter and consumer. Order is
    kept within a message group, in FIFO queues (``NewQueue(fifo=True)``); from a standard queue
    events may come out of order and more than once, and without their group. A subscriber that
    fails or lags holds up nobody else. Events that SNS cannot deliver move to the subscriber's
    ``delivery_dead_letter_queue``, events that its consumer cannot process to its
    ``dead_letter_queue``; both raise an alarm.

    SNS delivers a deduplication id once in five minutes. After that, and from a replay or a
    redrive, an event can come again, and behind newer ones: consumers must be idempotent and keep
    an older event from undoing a newer one.

    Args:
        topic: Your own FIFO topic, or the settings of a new one.
        alarms: What the alarms do.

    Attributes:
        topic: Where to publish.
        subscribers: Those that were added, in that order.

    Raises:
        ValueError: a configuration that would fail or lose events; the message says what to
            change.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        topic: sns.ITopic | NewTopic = NewTopic(),
        alarms: Alarms = Alarms(),
    ) -> None:
        super().__init__(scope, construct_id)
        self._publish_from(source_of(self, topic), alarms, __name__)
