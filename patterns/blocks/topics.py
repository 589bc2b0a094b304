"""publisher → SNS → SQS → Lambda;  SNS, SQS ⇢ DLQ ⇢ alarm: a topic and its subscribers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from aws_cdk import Annotations
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from constructs import Construct

from ..checks import kms as kms_checks
from ..checks import period, reject
from ..checks import sns as checks
from ..limits import SNS_HTTP_RETRY_TIME, SNS_RETRIES_TO_SQS
from . import keys, places, publishers
from .alarms import MINUTE, Alarms, Runbook
from .consumers import Consumer
from .grants import grantee_here, warn_of_fixed
from .names import name_known_before_creation, pattern_of_name
from .queues import NewQueue, SqsToLambda
from .sources import SNS, Source
from .stacks import check_order
from .subscriptions import Delivered, Subscription, deliver_to_queue
from .values import Path, child_of, expect, is_token, made_in, seconds, stack_of

if TYPE_CHECKING:
    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_sqs as sqs


# Every caller of the account that may publish may use it, so no grant is needed:
# https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#aws-managed-cmk
AWS_MANAGED_KEY = "alias/aws/sns"
# Metric, minutes in a row, what to do:
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Best_Practice_Recommended_Alarms_AWS_Services.html
TOPIC_ALARMS = (
    (
        "NumberOfNotificationsFailed",
        5,
        Runbook(
            means=f"Deliveries keep failing. SNS retries for {SNS_RETRIES_TO_SQS} days when SQS, "
            f"Lambda or Firehose is at fault, for up to {period(SNS_HTTP_RETRY_TIME)} when an "
            "endpoint is, and not at all when a policy, a key or the address is.",
            see="Read the ErrorCode attribute of a message in a delivery dead-letter queue, or "
            "turn on the topic's delivery status logging.",
            fix="Fix the policy of the subscriber or of its key, or bring the subscriber back.",
            verify="NumberOfNotificationsFailed falls to 0, and NumberOfNotificationsDelivered "
            "rises.",
        ),
    ),
    (
        "NumberOfNotificationsRedrivenToDlq",
        1,
        Runbook(
            means="SNS moved events to a subscriber's delivery dead-letter queue.",
            see="The UndeliveredAlarm that went off says which subscriber.",
            fix="Follow the runbook of that alarm.",
            verify="NumberOfNotificationsRedrivenToDlq stays at 0 while events are published.",
        ),
    ),
    (
        "NumberOfNotificationsFailedToRedriveToDlq",
        1,
        Runbook(
            means="Events are LOST: SNS could deliver them neither to a subscriber nor to its "
            "delivery dead-letter queue.",
            see="Look at the policy of each delivery dead-letter queue and of its key; AWS "
            "CloudTrail shows who changed them.",
            fix="Fix the policy, then replay the topic's archive, or publish the events again.",
            verify="NumberOfNotificationsFailedToRedriveToDlq stays at 0, and the subscriber has "
            "the events.",
        ),
    ),
    (
        "NumberOfNotificationsFilteredOut-InvalidAttributes",
        1,
        Runbook(
            means="A publisher sends attributes that a filter policy cannot read, so a subscriber "
            "does not get the events.",
            see="Compare the publisher's message attributes with the subscriptions' filter "
            "policies: a String.Array must be JSON.",
            fix="Fix the publisher, then publish the events again.",
            verify="The metric stays at 0 while new events are published.",
        ),
    ),
    (
        "NumberOfNotificationsFilteredOut-InvalidMessageBody",
        1,
        Runbook(
            means="A publisher sends bodies that are not JSON, so a subscriber that filters by the "
            "body does not get the events.",
            see="Read the log of the publisher for what it sends.",
            fix="Fix the publisher, then publish the events again.",
            verify="The metric stays at 0 while new events are published.",
        ),
    ),
)


@dataclass(frozen=True, kw_only=True)
class TopicSettings:
    """Settings of a new topic of either type, which is encrypted and requires TLS.

    Attributes:
        encryption_key: Customer managed key of the topic, and of every new queue of its subscribers
            that has none of its own; its policy comes to allow SNS for this topic. Default: the AWS
            managed key of SNS, with which AWS services cannot publish, and SQS-managed encryption.

    Raises:
        ValueError: a key that encrypts nothing or that SNS may not use.
    """

    encryption_key: kms.IKey | None = None

    def __post_init__(self) -> None:
        """Reject a key with which SNS cannot deliver."""
        key = self.encryption_key
        expect("encryption_key", key, "IKey", None)
        keys.check_key("encryption_key", key)
        if key is not None:
            otherwise = "every delivery would fail"
            reject(kms_checks.service_may_use("The new topic", key.key_id, SNS, otherwise))


def new_source(
    topic: sns.Topic, settings: TopicSettings, *, arn: str | None = None, pattern: str | None = None
) -> Source:
    """Return a new topic as a source of deliveries, encrypted. ``arn``, ``pattern``: its own."""
    key = settings.encryption_key
    source = Source(topic, arn=arn, pattern=pattern, encryption_key=key)
    if key is not None:
        places.check_key_here(topic, key)
        source.allow_key(key)
    else:
        resource: Any = child_of(topic)
        resource.kms_master_key_id = AWS_MANAGED_KEY
    return source


def new_standard_source(scope: Construct, settings: TopicSettings, **options: Any) -> Source:
    """Return a new standard topic as a source of deliveries. ``options``: of the topic."""
    key = settings.encryption_key
    made = sns.Topic(scope, "Topic", master_key=key, enforce_ssl=True, **options)
    made_in(scope, made)
    return new_source(made, settings)


def new_fifo_source(
    scope: Construct, settings: TopicSettings, kind: type[sns.Topic], **options: Any
) -> Source:
    """Return a new FIFO topic as a source of deliveries. ``kind``, ``options``: of the topic."""
    name = name_known_before_creation(scope, ".fifo")
    key = settings.encryption_key
    made = kind(
        scope, "Topic", fifo=True, topic_name=name, master_key=key, enforce_ssl=True, **options
    )
    made_in(scope, made)
    # The ARN is made of the name: the policy of the topic's key cannot refer to the topic itself.
    arn, pattern = (
        stack_of(scope).format_arn(service="sns", resource=resource)
        for resource in (name, pattern_of_name(scope, ".fifo"))
    )
    return new_source(made, settings, arn=arn, pattern=pattern)


def is_fifo(topic: sns.ITopic) -> bool | None:
    """Whether a topic is FIFO; None when it is imported with an ARN that only deployment knows."""
    fifo: bool = topic.fifo
    unknown = not fifo and topic.node.default_child is None and is_token(topic.topic_arn)
    return None if unknown else fifo


def own_source(scope: Construct, topic: sns.ITopic, *, fifo: bool) -> Source:
    """Return your own topic as a source of deliveries; warn of what cannot be checked of it.

    Raises:
        ValueError: its key encrypts nothing, or its stack needs that of ``scope``.
    """
    source = Source(topic, scope=scope, fifo=fifo)
    places.check_name(scope, Path(topic, "topic "), topic.topic_arn, "topic_name")
    if topic.node.default_child:
        check_order(scope, Path(topic, "topic "), topic)
    if source.elsewhere:
        allowed = source.elsewhere.startswith("Region") or _allow_subscribing(scope, topic)
        asked = "" if allowed else " Its policy must allow sns:Subscribe to this account."
        Annotations.of(topic).add_warning_v2(
            "serverless-patterns:topic-elsewhere",
            f"This topic is in another {source.elsewhere}. Its metrics are there: put the alarms "
            f"on its deliveries there too.{asked}",
        )
    keys.check_key_of(topic)
    if topic.node.default_child is None:
        ids = (
            "it must be FIFO; unless it deduplicates by content, every publisher must name a "
            "deduplication id; "
        )
        Annotations.of(topic).add_warning_v2(
            "serverless-patterns:imported-topic",
            f"This topic is imported, so its settings cannot be checked: {ids * fifo}if it "
            "has a customer key, import it by from_topic_attributes() with key_arn, so that "
            "grant_publish() covers it.",
        )
    return source


def _allow_subscribing(scope: Construct, topic: sns.ITopic) -> bool:
    """Let this account subscribe to a topic of another one; return whether its policy is known."""
    account = iam.AccountPrincipal(stack_of(scope).account)
    allow = iam.PolicyStatement(
        actions=["sns:Subscribe"], principals=[account], resources=[topic.topic_arn]
    )
    return topic.add_to_resource_policy(allow).statement_added


class QueueSubscriber(SqsToLambda, Delivered):
    """A subscriber of a topic that takes its events from a queue, at its own pace.

    Attributes:
        queue: Where the events wait; see also ``dead_letter_queue``.
        subscription: Topic to queue.
        delivery_dead_letter_queue: What SNS could not deliver into ``queue``.
        event_source_mapping: Queue to consumer.
        alarms: The subscriber's alarms.
    """

    def subscribe_to(self, source: Source, settings: Subscription, alarms: Alarms) -> None:
        """Take the events of a topic, and keep those that SNS cannot deliver.

        Raises:
            ValueError: see ``deliver_to_queue``.
        """
        delivery = deliver_to_queue(self, source, self.queue, settings, alarms=alarms)
        self.alarms += self._delivered(delivery)


class TopicFanout(Construct):
    """A topic with alarms on its deliveries, and the subscribers that are added to it.

    Attributes:
        topic: Where to publish.
        subscribers: Those that were added, in that order.
    """

    topic: sns.ITopic

    def add_queue(
        self,
        construct_id: str,
        *,
        consumer: lambda_.IFunction | Consumer,
        queue: sqs.IQueue | NewQueue = NewQueue(),
        subscription: Subscription = Subscription(),
        alarms: Alarms | None = None,
    ) -> QueueSubscriber:
        """Add a subscriber that gets the events at its own pace, at least once.

        From a standard queue it gets them in large batches, in no order; from the FIFO queue of a
        FIFO topic in order within each message group, of which an event that fails holds up its
        own group until it is processed or dead-lettered.

        Args:
            construct_id: Its id below the fan-out.
            consumer: Function or alias that processes the messages, or with its settings.
            queue: Your own queue, or the settings of a new one, such as ``NewQueue(fifo=True)``.
            subscription: Which events it gets, and in what form.
            alarms: What its alarms do, and when they go off. Default: as the fan-out's.

        Raises:
            ValueError: a configuration that would fail or lose events; the message says what to
                change.
        """
        alarms = self._to_add(construct_id, subscription, alarms)
        expect("consumer", consumer, Consumer, "IFunction")
        expect("queue", queue, NewQueue, "IQueue")
        if queue.fifo:
            reject(checks.topic_of_fifo_queue(Path(self.topic, "topic "), fifo=self._source.fifo))
        if isinstance(queue, NewQueue) and queue.encryption_key is None:
            queue = replace(queue, encryption_key=self._source.encryption_key)
        one = QueueSubscriber(self, construct_id, consumer=consumer, queue=queue, alarms=alarms)
        one.subscribe_to(self._source, subscription, alarms)
        self._added(one, construct_id, consumer, queue)
        return one

    def _to_add(
        self, construct_id: str, subscription: Subscription, alarms: Alarms | None
    ) -> Alarms:
        """Reject what no subscriber can have, and return the alarms of the one to add."""
        expect("construct_id", construct_id, str)
        in_path = construct_id.replace("/", "--")  # as the CDK has it
        if not in_path or in_path in self._ids:
            taken = f"which {Path(self)} has already" if in_path else "which is empty"
            raise ValueError(
                f"construct_id is {construct_id!r}, {taken}. Give the subscriber another one."
            )
        expect("subscription", subscription, Subscription)
        expect("alarms", alarms, Alarms, None)
        alarms = alarms or self._alarms
        return replace(alarms, runbook_url=alarms.runbook_url or self._alarms.runbook_url)

    def _added(self, one: Any, construct_id: str, *given: Any) -> None:
        self.subscribers.append(one)
        self._given += given
        self._ids.add(construct_id.replace("/", "--"))

    def _publish_from(self, source: Source, alarms: Alarms, module: str) -> None:
        """Deliver from a topic, and watch it. ``module``: see ``Alarms.of_pattern``."""
        expect("alarms", alarms, Alarms)
        alarms = alarms.of_pattern(module)
        self.topic, self._source, self._alarms = source.topic, source, alarms
        self.subscribers: list[QueueSubscriber] = []
        self._given: list[Any] = [self.topic, source]
        rows = [
            (
                f"{metric.replace('-', '')}Alarm",
                self.topic.metric(metric, period=seconds(MINUTE), statistic="Sum"),
                runbook,
                0,
                periods,
            )
            for metric, periods, runbook in (() if source.elsewhere else TOPIC_ALARMS)
        ]
        self._topic_alarms = alarms.each(self, rows)
        self._ids = {"Topic", *(name for name, *_ in rows)}

    @property
    def alarms(self) -> list[cloudwatch.Alarm]:
        """Every alarm of the pattern, the subscribers' included."""
        of_subscribers = [alarm for one in self.subscribers for alarm in one.alarms]
        return self._topic_alarms + of_subscribers

    def grant_publish(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` publish, and use the topic's customer key for it.

        Args:
            grantee: Who; a service with a condition on its source, such as
                ``ServicePrincipal("s3.amazonaws.com", conditions=…)``.

        Raises:
            ValueError: see ``publishers.grant_publish``.
        """
        grantee = grantee_here(self, grantee, self._given)
        grant = publishers.grant_publish(self.topic, grantee)
        warn_of_fixed(grantee, f"sns:Publish to {Path(self.topic)} and the use of its key, if any")
        return grant

    def metric_number_of_messages_published(self, **options: Any) -> cloudwatch.Metric:
        """Messages published to the topic. ``options``: of the metric."""
        return self.topic.metric_number_of_messages_published(**options)

    def metric_number_of_notifications_failed(self, **options: Any) -> cloudwatch.Metric:
        """Deliveries that failed, over all subscribers. ``options``: of the metric."""
        return self.topic.metric_number_of_notifications_failed(**options)
