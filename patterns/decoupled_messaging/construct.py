"""client → API Gateway → Lambda → DynamoDB → Lambda → SQS → Lambda;  SQS ⇢ DLQ ⇢ alarm"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aws_cdk import Duration
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_

from ..blocks import table_streams, tables
from ..blocks.alarms import Alarms
from ..blocks.consumers import Consumer
from ..blocks.endpoints import Endpoint, NewApi
from ..blocks.polling import HERE, Polled, check_deadline, check_endpoint, check_front, check_queue
from ..blocks.queues import NewQueue, SqsToLambda, grant_send
from ..blocks.relays import watch_reader
from ..blocks.stacks import role_in
from ..blocks.stream_consumers import StreamConsumer, StreamReader
from ..blocks.tables import TableSettings
from ..blocks.values import expect, seconds

if TYPE_CHECKING:
    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_sqs as sqs
    from constructs import Construct

__all__ = [
    "Alarms", "Consumer", "DecoupledMessaging", "Endpoint", "NewApi", "NewQueue", "StreamConsumer",
    "TableSettings",
]  # fmt: skip

QUARTER = seconds(900)
NEW_IMAGE = dynamodb.StreamViewType.NEW_IMAGE
# The item of an order; that of its end is another. A touched order is sent again.
OF_ORDERS: dict[str, Any] = lambda_.FilterCriteria.filter(
    {"eventName": ["INSERT", "MODIFY"], "dynamodb": {"Keys": {"sk": {"S": ["job"]}}}}
)  # type: ignore[assignment]
UNTIL_TOO_OLD = -1


class Decoupled(Polled):
    """A front that answers at once, and a consumer that works later, from a queue."""

    def _work(
        self, consumer: lambda_.IFunction | Consumer, queue: sqs.IQueue | NewQueue, alarms: Alarms
    ) -> None:
        """Let the consumer work, and say how each order ended."""
        consumer = Consumer.of(consumer)
        self.work = SqsToLambda(self, "Work", consumer=consumer, queue=queue, alarms=alarms)
        self.alarms += self.work.alarms
        self.grant_report(consumer.function)

    @property
    def queue(self) -> sqs.IQueue:
        """The queue."""
        return self.work.queue

    @property
    def dead_letter_queue(self) -> sqs.IQueue:
        """The orders that the consumer could not process.

        Raises:
            ValueError: the queue is imported, so its dead-letter queue is not known here.
        """
        return self.work.dead_letter_queue

    def metric_approximate_age_of_oldest_message(self, **options: Any) -> cloudwatch.Metric:
        """Age of the oldest message in the queue, in seconds. ``options``: of the metric."""
        return self.work.metric_approximate_age_of_oldest_message(**options)

    def metric_dead_letters(self, **options: Any) -> cloudwatch.Metric:
        """Messages in the dead-letter queue. ``options``: of the metric.

        Raises:
            ValueError: the queue is imported, so its dead-letter queue is not known here.
        """
        return self.work.metric_dead_letters(**options)


class DecoupledMessaging(Decoupled):
    """Write an order down and answer at once; another service works on it later, from a queue.

    The front makes one write: the item is the order, its status, and its outbox. The relay sends
    what the table's stream has of it to the queue, so that no crash leaves an order without its
    message, or a message without its order. Delivery is at least once; the consumer must be
    idempotent.

    POST answers 202 with the order's request id, ``Location`` and ``Retry-After``; GET of that
    location tells the state: ``accepted``, ``done`` with its result, or ``failed`` with the reason,
    at the ``deadline`` at the latest. The header ``Idempotency-Key`` names the request permanently:
    the same request again is the same order, another one under its key is a 409. A request belongs
    to who signed it, or whom the authorizer named; others get 404.

    The front has no permission to send, and the relay none to write.

    Sources:
    https://docs.aws.amazon.com/prescriptive-guidance/latest/cloud-design-patterns/transactional-outbox.html,
    https://docs.aws.amazon.com/prescriptive-guidance/latest/modernization-integrating-microservices/decouple-messaging.html

    Args:
        front: Function or alias that answers, such as ``lambdas/decoupled_messaging/customer.py``.
            It needs the variables of ``environment``.
        relay: Function that sends, such as ``relay.py`` there, or with its settings; it needs those
            of ``relay_environment``. Default settings: it retries until an order is half a day old.
        consumer: Function or alias that works on the orders, or with its settings, such as
            ``sales.py`` there; it needs those of ``report_environment``, and ``MAX_RECEIVE_COUNT``.
        endpoint: Where clients POST to, and who may.
        table: Your own table with the keys ``pk`` and ``sk``, strings, and a stream with new
            images; or the settings of a new one. Orders do not expire.
        queue: Your own standard queue, or the settings of a new one.
        deadline: When an order that has not ended has failed for its client. Default: 15 minutes.
        alarms: What the alarms do. ``max_age`` is that of a waiting message.

    Attributes:
        table: The orders and their statuses.
        relay: The relay, with its mapping and ``failure_queue``.
        work: The queue with its consumer, ``dead_letter_queue`` and ``event_source_mapping``.
        entry: The way in: its API.
        submit_method, status_method: POST and GET.
        environment, relay_environment, report_environment: Variables of the three functions.
        alarms: Every alarm of the pattern.

    Raises:
        ValueError: a configuration that would fail or lose orders, or tell others of them; the
            message says what to change.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        front: lambda_.IFunction,
        relay: lambda_.IFunction | StreamConsumer,
        consumer: lambda_.IFunction | Consumer,
        endpoint: Endpoint = Endpoint("orders"),
        table: dynamodb.ITable | TableSettings = TableSettings(),
        queue: sqs.IQueue | NewQueue = NewQueue(),
        deadline: Duration = QUARTER,
        alarms: Alarms = Alarms(),
    ) -> None:
        super().__init__(scope, construct_id)
        check_given(front, endpoint, queue, deadline, alarms)
        expect("table", table, TableSettings, "ITable")
        alarms = alarms.of_pattern(__name__)
        relays = _relay(relay)

        self.table = _table(self, table)
        self._answer_by(front, endpoint, deadline, alarms, relays.function, consumer, table, queue)
        self.relay = StreamReader(
            self,
            "Relay",
            source=table_streams.source_of(self.table),
            consumer=relays,
            alarms=alarms,
        )
        stopped = watch_reader(self, relays.function, self.table, alarms)
        self.alarms += [*self.relay.alarms, stopped]
        self._work(consumer, queue, alarms)
        grant_send(self.queue, role_in(self, relays.function))
        self.relay_environment = {"QUEUE_URL": self.queue.queue_url}


def check_given(
    front: lambda_.IFunction, endpoint: Endpoint, queue: Any, deadline: Duration, alarms: Alarms
) -> None:
    """Reject arguments that would fail or lose orders, or tell others of them."""
    check_front(front)
    check_endpoint(endpoint)
    expect("queue", queue, "IQueue", NewQueue)
    check_queue("queue", queue)
    check_deadline(deadline, queue)
    expect("alarms", alarms, Alarms)


def _relay(relay: lambda_.IFunction | StreamConsumer) -> StreamConsumer:
    """Return the relay with its filter; what it has no own settings for waits for the queue."""
    expect("relay", relay, "IFunction", StreamConsumer)
    if not isinstance(relay, StreamConsumer):
        relay = StreamConsumer(function=relay, retry_attempts=UNTIL_TOO_OLD)
    if relay.filters:
        raise ValueError(
            "relay has filters, but what they leave out would never be sent. Leave filters out."
        )
    return replace(relay, filters=[OF_ORDERS])


def _table(scope: Construct, table: dynamodb.ITable | TableSettings) -> dynamodb.ITable:
    """Make the table, or return yours if its stream has what is to be sent.

    Raises:
        ValueError: yours has other keys, no stream, or one without new images.
    """
    made = tables.table_of(scope, "Orders", table, "pk", "sk", reason=HERE, stream=NEW_IMAGE)
    if not isinstance(table, TableSettings):
        table_streams.table_of(scope, "Orders", made)
        table_streams.check_new_images(made)
    return made
