"""publisher → SNS → HTTPS endpoint → Lambda → DynamoDB;  SNS ⇢ DLQ ⇢ alarm"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import Annotations, Duration, RemovalPolicy
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from constructs import Construct

from ..blocks.alarms import MINUTE, Alarms, Runbook
from ..blocks.consumers import Consumer
from ..blocks.queues import NewQueue
from ..blocks.subscribers import DEFAULT_POLICY
from ..blocks.subscriptions import Subscription
from ..blocks.tables import new_table
from ..blocks.topic_subscribers import EndpointSubscriber
from ..blocks.topics import TopicFanout, TopicSettings, new_standard_source, own_source
from ..blocks.values import Path, expect, in_seconds, seconds
from ..checks import period, reject
from ..checks import sns as checks
from ..limits import SNS_HTTP_RETRY_TIME, SQS_MAX_RETENTION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..blocks.sources import Source

__all__ = ["Alarms", "Consumer", "NewQueue", "NewTopic", "SnsWebhook", "Subscription"]

# A dead letter of the last day is redelivered with the time at which it was published.
MAX_AGE = SQS_MAX_RETENTION + 24 * SNS_HTTP_RETRY_TIME
RECEIVER_ALARMS = {  # by name, metric and minutes
    ("ErrorsAlarm", "Url5xxCount", 3): Runbook(
        means="The receiver fails: SNS attempts deliveries again for an hour, then dead-letters.",
        see="Read the receiver's log for the exception, or for what is unavailable.",
        fix="Fix the receiver, then ask the sender for a redelivery of the dead letters.",
        verify="Url5xxCount falls to 0, and the sender's dead-letter queue is empty.",
    ),
    ("ThrottlesAlarm", "Throttles", 5): Runbook(
        means="Lambda throttles the receiver: SNS attempts deliveries again for an hour.",
        see="Compare the account's ConcurrentExecutions with its quota, and look for requests that "
        "are not from SNS.",
        fix="Raise the quota, or keep strangers out with a firewall in front of the receiver.",
        verify="Throttles falls to 0.",
    ),
    ("RejectedAlarm", "Url4xxCount", 15): Runbook(
        means="The receiver keeps rejecting requests: they are not from SNS, or messages from SNS "
        "no longer pass.",
        see="Read the Reason in the receiver's log: certificate and timestamp point to the "
        "receiver, topic and signature to the sender.",
        fix="For certificate, renew the trust store; for timestamp, raise max_age. Block senders "
        "that are not SNS. Then ask the sender for a redelivery of the dead letters.",
        verify="Url4xxCount stays at 0 while messages arrive.",
    ),
}


class NewTopic(TopicSettings):
    """Settings of a new standard topic, whose messages are signed with SHA256."""


class SnsWebhook(TopicFanout):
    """Publish a state change once; each client gets it at an HTTPS endpoint of its own.

    Endpoints that verify signatures of SNS are added by ``add_endpoint()``. For third parties that
    know a shared secret, ``add_queue()`` puts a queue in front of a function that signs and posts.
    An endpoint that fails delays nobody else. Delivery is at least once and unordered.

    Args:
        topic: Your own standard topic, which signs with SHA256, or the settings of a new one.
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

    def add_endpoint(
        self,
        construct_id: str,
        *,
        url: str,
        delivery_policy: sns.DeliveryPolicy = DEFAULT_POLICY,
        subscription: Subscription = Subscription(),
        alarms: Alarms | None = None,
    ) -> EndpointSubscriber:
        """Add an HTTPS endpoint that verifies signatures of SNS, such as a ``WebhookReceiver``.

        SNS posts to it at the deployment, which fails with "Unreachable Endpoint" if it is not up,
        and forgets it if it does not confirm in two days. SNS retries an endpoint that is slow or
        down; one that redirects or answers 4xx, 410 too, has its messages dead-lettered at once.

        Args:
            construct_id: Its id below the topic.
            url: Such as ``https://partner.example.com/orders``, in no private network.
            delivery_policy: How often SNS retries, at most for an hour. Default: 14 times.
            subscription: Which events.
            alarms: What its alarms do. Default: as the topic's.

        Raises:
            ValueError: a configuration that would fail or lose events, such as raw delivery, which
                has no signature; the message says what to change.
        """
        alarms = self._to_add(construct_id, subscription, alarms)
        name = Path(self, f"The endpoint {construct_id} of ")
        reject(checks.unsigned(name, raw=bool(subscription.raw_message_delivery)))
        one = EndpointSubscriber(self, construct_id)
        one.subscribe_to(self._source, url, delivery_policy, subscription, alarms)
        self._added(one, construct_id)
        return one


def source_of(scope: Construct, topic: sns.ITopic | NewTopic) -> Source:
    """Return your own topic, or a new one, as a source of deliveries.

    Raises:
        ValueError: your own topic is FIFO, signs with SHA1, or its key encrypts nothing.
    """
    expect("topic", topic, NewTopic, "ITopic")
    if isinstance(topic, NewTopic):
        return new_standard_source(scope, topic, signature_version="2")
    name, source = Path(topic, "topic "), own_source(scope, topic, fifo=False)
    if topic.fifo:
        raise ValueError(
            f"{name} is a FIFO topic, which delivers to SQS queues only, and to no endpoint. "
            "Give a standard topic; a version in the event tells receivers the order."
        )
    resource = topic.node.default_child
    if isinstance(resource, sns.CfnTopic):
        reject(checks.signature(name, resource.signature_version))
    else:
        Annotations.of(topic).add_warning_v2(
            "serverless-patterns:imported-topic-signature",
            "This topic is imported, so it cannot be checked: its SignatureVersion must be 2, or "
            "receivers reject its messages.",
        )
    return source


class WebhookReceiver(Construct):
    """Let a function receive the messages of known topics, each once, at a public URL.

    The function verifies each message itself: its URL is open to everybody. See
    ``lambdas/sns_webhook/receiver.py``, which reads ``TOPIC_ARNS``, ``MAX_AGE_SECONDS`` and
    ``SEEN_TABLE_NAME``.

    Args:
        function: Receives.
        topics: ARNs of the topics that may send, or topics of this app.
        max_age: For how long after it was published a message is taken. Default: 15 days, so that
            dead letters can be redelivered until they expire.
        alarms: What the alarms do.

    Attributes:
        url: Where to subscribe.
        function_url: The function's URL.
        seen_table: Ids of the messages that were taken, until ``max_age`` is over.
        alarms: The receiver's alarms.

    Raises:
        ValueError: no topic, or an age at which retries of SNS would be rejected.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        function: lambda_.Function,
        topics: Sequence[sns.ITopic | str],
        max_age: Duration = Duration.seconds(MAX_AGE),
        alarms: Alarms = Alarms(),
    ) -> None:
        super().__init__(scope, construct_id)
        _check_receiver(function, topics, max_age, alarms)
        arns = [one if isinstance(one, str) else one.topic_arn for one in topics]
        self.function = function
        self.seen_table = new_table(
            self,
            "Seen",
            "pk",
            time_to_live_attribute="expires_at",
            removal_policy=RemovalPolicy.DESTROY,
        )
        self.seen_table.grant(function, "dynamodb:PutItem")
        function.add_to_role_policy(
            iam.PolicyStatement(
                actions=["sns:ConfirmSubscription"],
                resources=arns,
                conditions={"Bool": {"aws:SecureTransport": "true"}},
            )
        )
        function.add_environment("TOPIC_ARNS", " ".join(arns))
        function.add_environment("MAX_AGE_SECONDS", str(max_age.to_seconds()))
        function.add_environment("SEEN_TABLE_NAME", self.seen_table.table_name)
        # Nobody but SNS could sign a request for IAM, and SNS does not: the message is signed.
        none = lambda_.FunctionUrlAuthType.NONE
        self.function_url = lambda_.FunctionUrl(self, "Url", function=function, auth_type=none)
        self.url: str = self.function_url.url
        # https://docs.aws.amazon.com/lambda/latest/dg/urls-monitoring.html
        every: dict[str, Any] = {"period": seconds(MINUTE), "statistic": "Sum"}
        self.alarms: list[cloudwatch.Alarm] = alarms.of_pattern(__name__).each(
            self,
            [
                (name, function.metric(metric, **every), runbook, 0, minutes)
                for (name, metric, minutes), runbook in RECEIVER_ALARMS.items()
            ],
        )


def _check_receiver(
    function: lambda_.Function,
    topics: Sequence[sns.ITopic | str],
    max_age: Duration,
    alarms: Alarms,
) -> None:
    """Reject a receiver that would reject messages which are good."""
    expect("function", function, lambda_.Function)
    expect("topics", topics, list, tuple)
    expect("max_age", max_age, Duration)
    expect("alarms", alarms, Alarms)
    age = in_seconds(max_age)
    if age is not None and age <= SNS_HTTP_RETRY_TIME:
        raise ValueError(
            f"max_age is {period(age)}: SNS retries for {period(SNS_HTTP_RETRY_TIME)}, and the "
            "receiver would reject what it retries last. Give more, up to the retention of the "
            "sender's dead-letter queue."
        )
    if not topics:
        raise ValueError("topics is empty, so every message would be rejected. Name one.")
