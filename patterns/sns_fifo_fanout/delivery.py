"""What SNS needs to deliver from a FIFO topic into a queue, and what it cannot deliver to.

Each grant holds for the service SNS on behalf of this topic of this account alone, so that nobody
else's topic can use it (AWS IAM user guide, "The confused deputy problem").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aws_cdk import Annotations, Stack, Token
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs

from ..foundation import keys, rules

if TYPE_CHECKING:
    from datetime import datetime

    from aws_cdk import aws_kms as kms
    from constructs import IConstruct, IDependable

SNS = "sns.amazonaws.com"
KEY_ACTIONS = ["kms:Decrypt", "kms:GenerateDataKey"]
INSTEAD = {
    "LAMBDA": "use add_fifo_queue() or add_queue() with the function as the consumer",
    "FIREHOSE": "use add_queue() with a consumer that writes to it",
    "HTTP": "use add_fifo_queue() with a consumer that calls it",
    "HTTPS": "use add_fifo_queue() with a consumer that calls it",
}
OTHERWISE = "subscribe it to a standard topic"


class FifoTopic(sns.Topic):
    """A FIFO topic that refuses, at synth, the subscribers that it cannot deliver to."""

    def add_subscription(self, subscription: sns.ITopicSubscription) -> sns.Subscription:
        """Subscribe a queue.

        Raises:
            ValueError: it is no queue (lint E9133), or its dead-letter queue is not a FIFO queue
                (Amazon SNS developer guide, "Message delivery for FIFO topics").
        """
        config = subscription.bind(self)
        protocol = config.protocol
        if protocol != sns.SubscriptionProtocol.SQS:
            raise ValueError(
                f"The subscription's protocol is {protocol.name}, but a FIFO topic delivers to SQS "
                f"queues only. Instead, {INSTEAD.get(protocol.name, OTHERWISE)}."
            )
        if config.dead_letter_queue is not None:
            check_delivery_dead_letter_queue(config.dead_letter_queue)
        return super().add_subscription(subscription)


@dataclass(frozen=True)
class Source:
    """The topic that SNS delivers from.

    Attributes:
        topic: The topic.
        arn: Its ARN, as the policies of queues and keys name it.
        pattern: The same as those in other stacks name it. Default: ``arn``.
    """

    topic: sns.ITopic
    arn: str
    pattern: str | None = None

    def allow_queue(self, queue: sqs.IQueue) -> list[IDependable]:
        """Let SNS deliver from the topic into the queue; return what that waits for."""
        added = queue.add_to_resource_policy(
            self._statement(self._arn_in_stack_of(queue), ["sqs:SendMessage"], queue.queue_arn)
        )
        if not added.statement_added:
            Annotations.of(queue).add_warning_v2(
                "serverless-patterns:imported-queue-policy",
                "This queue is imported, so its policy and encryption cannot be checked or changed "
                f"here: it must allow sqs:SendMessage to {SNS} with aws:SourceArn and "
                "aws:SourceAccount of the topic, and not be encrypted with the AWS managed key, or "
                "nothing is delivered.",
            )
        if queue.encryption_master_key is not None:
            self.allow_key(queue.encryption_master_key)
        return [added.policy_dependable] if added.policy_dependable is not None else []

    def allow_key(self, key: kms.IKey) -> None:
        """Let SNS encrypt with the key what it delivers, and decrypt what it replays."""
        added = key.add_to_resource_policy(
            self._statement(self._arn_in_policy_of(key), KEY_ACTIONS, "*"), True
        )
        if not added.statement_added:
            Annotations.of(key).add_warning_v2(
                "serverless-patterns:imported-key-policy",
                "This key is imported, so its policy cannot be changed here: it must allow "
                f"{' and '.join(KEY_ACTIONS)} to {SNS} with aws:SourceArn and aws:SourceAccount of "
                "the topic, or nothing is delivered.",
            )

    def allow_replay(self) -> None:
        """Let SNS decrypt the archive of a topic of the user's; a new topic's key does so."""
        if self.topic.master_key is not None and not isinstance(self.topic, FifoTopic):
            self.allow_key(self.topic.master_key)

    def _arn_in_policy_of(self, key: kms.IKey) -> str:
        """Return the ARN, or a pattern of it where the key and the topic would name each other."""
        own_key = self.topic.master_key
        if (
            isinstance(self.topic, sns.Topic)
            and not isinstance(self.topic, FifoTopic)
            and own_key is not None
            and own_key.node.path == key.node.path
        ):
            return Stack.of(self.topic).format_arn(service="sns", resource="*")
        return self._arn_in_stack_of(key)

    def _arn_in_stack_of(self, resource: IConstruct) -> str:
        """Return the ARN, or a pattern of it where two stacks would depend on each other."""
        elsewhere = Stack.of(resource).node.path != Stack.of(self.topic).node.path
        return self.pattern if self.pattern and elsewhere else self.arn

    def _statement(self, arn: str, actions: list[str], resource: str) -> iam.PolicyStatement:
        return iam.PolicyStatement(
            principals=[iam.ServicePrincipal(SNS)],
            actions=actions,
            resources=[resource],
            conditions={
                "ArnLike": {"aws:SourceArn": arn},
                "StringEquals": {"aws:SourceAccount": self.topic.env.account},
            },
        )


def check_topic(topic: sns.ITopic) -> None:
    """Refuse a topic that keeps no order or takes no message; warn of one that is imported.

    Raises:
        ValueError: it is a standard topic, which does not deliver to FIFO queues either (lint
            E9134; Amazon SNS developer guide, "Message delivery for FIFO topics"), or its key
            encrypts nothing.
    """
    if not topic.fifo:
        raise ValueError(
            f"topic {topic.node.path} is a standard topic: it keeps no order and does not deliver "
            "to FIFO queues. Make it a FIFO topic (fifo=True), or subscribe standard queues to it "
            "with topic.add_subscription()."
        )
    keys.check_key_of(topic)
    if not isinstance(topic, sns.Topic):
        Annotations.of(topic).add_warning_v2(
            "serverless-patterns:imported-topic",
            "This topic is imported, so its settings cannot be checked: unless it deduplicates by "
            "content, every publisher must name a deduplication id; if it has a customer key, "
            "import it by from_topic_attributes() with key_arn, so that grant_publish() covers it.",
        )


def check_encryption_key(key: kms.IKey | None) -> None:
    """Refuse a key with which nothing could be delivered.

    Raises:
        ValueError: it encrypts nothing, or is one that AWS manages, whose policy cannot admit SNS
            (lint E9151; Amazon SQS developer guide, "Key management").
    """
    keys.check_key("encryption_key", key)
    if key is not None and keys.is_aws_managed(key):
        raise ValueError(
            f"encryption_key is {key.key_id}, which AWS manages: its policy cannot admit SNS, and "
            "every delivery would fail. Give a customer key, or leave it out."
        )


def check_replay(topic: sns.ITopic, replay_from: datetime | None) -> None:
    """Refuse a replay of what is not kept or cannot be read; warn where that is not known.

    Raises:
        ValueError: no time zone, no archive, or an archive encrypted with the AWS managed key
            (Amazon SNS developer guide, "Amazon SNS message archiving for FIFO topic owners").
    """
    if replay_from is None:
        return
    if replay_from.tzinfo is None:
        raise ValueError(
            f"replay_from is {replay_from.isoformat()} without a time zone. Give it one, such as "
            "datetime(2026, 11, 21, 8, 0, tzinfo=UTC)."
        )
    resource = topic.node.default_child
    if not isinstance(resource, sns.CfnTopic):
        Annotations.of(topic).add_warning_v2(
            "serverless-patterns:imported-topic-archive",
            "This topic is imported, so its archive cannot be checked: it must reach back to "
            f"{replay_from.isoformat()}, and a key that encrypts it must admit {SNS}.",
        )
        return
    if resource.archive_policy is None:
        raise ValueError(
            f"replay_from is {replay_from.isoformat()}, but the topic keeps no archive. Set "
            "message_retention_period_in_days on it."
        )
    own_key = topic.master_key
    named = own_key.key_id if own_key else resource.kms_master_key_id or ""
    if keys.AWS_MANAGED in named:
        raise ValueError(
            f"replay_from is {replay_from.isoformat()}, but the topic's archive is encrypted with "
            f"{named}, whose policy cannot admit SNS to read it. Give the topic a customer key."
        )


def check_archive(days: int | None, encryption_key: kms.IKey | None) -> None:
    """Refuse an archive that SNS does not keep, or cannot replay.

    Raises:
        ValueError: not 1 to 365 days; or without a customer key, since the policy of the AWS
            managed key cannot admit SNS to it (Amazon SNS developer guide, "Amazon SNS message
            archiving for FIFO topic owners", "Grant access to an encrypted archive").
    """
    if days is None:
        return
    if not Token.is_unresolved(days) and not 1 <= days <= 365:
        raise ValueError(
            f"message_retention_period_in_days is {days}, allowed is 1 to 365. Leave it out for "
            "no archive."
        )
    if encryption_key is None:
        raise ValueError(
            f"message_retention_period_in_days is {days} without encryption_key: SNS replays an "
            "encrypted archive with a key whose policy admits it, and that of the AWS managed key "
            "does not. Give encryption_key."
        )


def check_queue(queue: sqs.IQueue, *, fifo: bool) -> None:
    """Refuse a queue of the user's that this subscription does not deliver to.

    Raises:
        ValueError: it is of the other type, or encrypted with the AWS managed key (lint E9151;
            Amazon SQS developer guide, "Key management").
    """
    if queue.fifo != fifo:
        kind, method = ("FIFO", "add_fifo_queue") if queue.fifo else ("standard", "add_queue")
        raise ValueError(f"queue {queue.node.path} is a {kind} queue. Add it with {method}().")
    _check_encryption("queue", queue)


def check_delivery_dead_letter_queue(queue: sqs.IQueue) -> None:
    """Refuse a dead-letter queue that would lose what could not be delivered.

    Raises:
        ValueError: it is not a FIFO queue (Amazon SNS developer guide, "Amazon SNS dead-letter
            queues": FIFO topic subscriptions use FIFO queues), or it is encrypted with the AWS
            managed key or one that encrypts nothing.
    """
    if not queue.fifo:
        raise ValueError(
            f"delivery_dead_letter_queue {queue.node.path} is a standard queue, but what a FIFO "
            "topic cannot deliver needs a FIFO queue, whatever the subscribed queue is. Make it "
            "one (fifo=True), or leave it out."
        )
    keys.check_key_of(queue)
    _check_encryption("delivery_dead_letter_queue", queue)
    if not isinstance(queue.node.default_child, sqs.CfnQueue):
        Annotations.of(queue).add_warning_v2(
            "serverless-patterns:imported-delivery-dead-letter-queue",
            "This queue is imported, so its retention period cannot be checked: what SNS cannot "
            "deliver is lost after it, which is 4 days unless it is raised, to 14 at most."
            f"{rules.ask_for_key(queue)}",
        )


def check_apart(queue: sqs.IQueue, delivery_dead_letter_queue: sqs.IQueue | None) -> None:
    """Refuse a dead-letter queue to which nothing can be delivered when it is needed.

    Raises:
        ValueError: it is the subscribed queue itself (Amazon SNS developer guide, "Amazon SNS
            dead-letter queues").
    """
    other = delivery_dead_letter_queue
    if other is not None and (
        other.node.path == queue.node.path or other.queue_arn == queue.queue_arn
    ):
        raise ValueError(
            f"delivery_dead_letter_queue {other.node.path} is the subscribed queue itself: what "
            "cannot be delivered to it would be lost. Give another queue, or leave it out."
        )


def _check_encryption(name: str, queue: sqs.IQueue) -> None:
    key = queue.encryption_master_key
    managed = queue.encryption_type == sqs.QueueEncryption.KMS_MANAGED
    if managed or (key is not None and keys.is_aws_managed(key)):
        raise ValueError(
            f"{name} {queue.node.path} is encrypted with the AWS managed key (KMS_MANAGED), whose "
            "policy cannot admit SNS: every delivery would fail. Use SQS_MANAGED, or KMS with a "
            "key of your own."
        )
