"""client → API Gateway → SQS → Lambda;  SQS ⇢ DLQ ⇢ alarm"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..blocks.alarms import Alarms
from ..blocks.consumers import Consumer
from ..blocks.endpoints import Endpoint, NewApi, RequestField
from ..blocks.grants import grantee_here
from ..blocks.queues import NewQueue, SqsToLambda, grant_send
from ..blocks.rest import RestEntry
from . import rules
from .mapping import send_message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_sqs as sqs
    from constructs import Construct

__all__ = [
    "Alarms",
    "ApiGatewayToSqsToLambda",
    "Consumer",
    "Endpoint",
    "NewApi",
    "NewQueue",
    "RequestField",
]


class ApiGatewayToSqsToLambda(SqsToLambda):
    """Accept a request now, work on it later: POST returns 202 once SQS holds the message.

    API Gateway calls SQS itself, with no function between them. A message that fails
    ``max_receive_count`` times moves to ``dead_letter_queue`` and raises an alarm. Delivery is
    at least once, in order only within a FIFO queue's message group, so the consumer must be
    idempotent and report partial batch failures.

    The client sees 202 with ``messageId`` and ``requestId``; 400 for a body that breaks the
    schema; 403 unsigned; 415 for another content type; 422 for a message that SQS rejects (empty,
    too large, a character outside its set, no group or deduplication id, no value of an
    attribute); 429 throttled; 5xx when the queue did not take the message. The message carries the
    body byte for byte and the attributes ``RequestId``, ``Source`` and ``ReceivedAt``
    (milliseconds since 1970).

    Args:
        consumer: Function or alias that processes the messages, or a ``Consumer`` with its
            settings. You own its code.
        endpoint: Where clients POST to, and who may.
        queue: Your own queue, or the settings of a new one. A new FIFO queue without
            ``deduplication_id`` deduplicates by content.
        message_group_id: Where the group id comes from: order is kept within it (FIFO, required),
            or tenants share the consumer fairly by it (standard). Default: none.
        deduplication_id: FIFO: where the deduplication id comes from. Default: SQS uses the
            SHA-256 of the body.
        attributes: Further attributes of the message, up to 7, each with where its value comes
            from: ``{"Caller": RequestField.context("identity.userArn")}``. Every request must have
            them. Default: none.
        alarms: What the alarms do.

    Attributes:
        entry: The way in: its API, and the role with which API Gateway sends to the queue.
        method: POST of the path.
        queue: The queue between them; see also ``dead_letter_queue``.
        event_source_mapping: Queue to consumer.
        alarms: Every alarm of the pattern.

    Raises:
        ValueError: a configuration that would fail or lose events; the message says what to
            change.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        consumer: lambda_.IFunction | Consumer,
        endpoint: Endpoint = Endpoint(),
        queue: sqs.IQueue | NewQueue = NewQueue(),
        message_group_id: RequestField | None = None,
        deduplication_id: RequestField | None = None,
        attributes: Mapping[str, RequestField] | None = None,
        alarms: Alarms = Alarms(),
    ) -> None:
        consumer, attributes = Consumer.of(consumer), attributes or {}
        fields = message_group_id, deduplication_id, attributes
        rules.check(scope, consumer, endpoint, queue, *fields, alarms)
        alarms = alarms.of_pattern(__name__)
        self._given = (consumer, queue)
        if isinstance(queue, NewQueue) and queue.fifo and deduplication_id is None:
            queue = replace(queue, content_based_deduplication=True)
        # The queue, its dead-letter queue and its consumer come first: the API sends to it.
        super().__init__(scope, construct_id, consumer=consumer, queue=queue, alarms=alarms)

        self.entry = RestEntry(self, "Entry", endpoint, alarms=alarms)
        grant_send(self.queue, self.entry.role)
        self.method = self.entry.add_post(send_message(self.queue, *fields))
        self.alarms += self.entry.alarms

    @property
    def url(self) -> str:
        """Where to POST to.

        Raises:
            ValueError: the API's stage is not known here.
        """
        return self.entry.url

    def grant_execute(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` POST, with requests that it signs.

        Raises:
            ValueError: requests are not signed, or ``grantee`` cannot be granted it.
        """
        return self.entry.grant_execute(grantee_here(self, grantee, self._given))
