"""A new standard topic, and what a topic of yours must be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_cdk import Annotations
from aws_cdk import aws_sns as sns

from ..blocks import keys
from ..blocks.subscriptions import SNS, Source
from ..checks import kms as kms_checks
from ..checks import reject

if TYPE_CHECKING:
    from aws_cdk import aws_kms as kms
    from constructs import Construct

AWS_MANAGED_KEY = "alias/aws/sns"


@dataclass(frozen=True, kw_only=True)
class NewTopic:
    """Settings of a new standard topic, which is encrypted and requires TLS.

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
        keys.check_key("encryption_key", self.encryption_key)
        if self.encryption_key is not None:
            key_id = self.encryption_key.key_id
            problem = "every delivery would fail"
            reject(kms_checks.service_may_use("The new topic", key_id, SNS, problem))


def source_of(scope: Construct, topic: sns.ITopic | NewTopic) -> Source:
    """Return your own topic, or a new one, as a source of deliveries.

    Raises:
        ValueError: your own topic is FIFO, or its key encrypts nothing.
    """
    if not isinstance(topic, NewTopic):
        _check_topic(topic)
        return Source(topic)
    made = sns.Topic(scope, "Topic", master_key=topic.encryption_key, enforce_ssl=True)
    source = Source(made)
    if topic.encryption_key is not None:
        source.allow_key(topic.encryption_key)
        return source
    resource: Any = made.node.default_child
    resource.kms_master_key_id = AWS_MANAGED_KEY
    return source


def _check_topic(topic: sns.ITopic) -> None:
    """Reject a FIFO topic; warn of an imported one.

    Source: https://docs.aws.amazon.com/sns/latest/dg/fifo-topic-message-delivery.html

    Raises:
        ValueError: it is FIFO, or its key encrypts nothing.
    """
    if topic.fifo:
        raise ValueError(
            f"topic {topic.node.path} is a FIFO topic, whose order a standard queue loses. Use "
            "SnsFifoFanout, or a standard topic."
        )
    keys.check_key_of(topic)
    if topic.node.default_child is None:
        Annotations.of(topic).add_warning_v2(
            "serverless-patterns:imported-standard-topic",
            "This topic is imported, so its key cannot be checked: if it has a customer key, "
            "import it by from_topic_attributes() with key_arn, so that grant_publish() covers it.",
        )
