"""SQS queue ⇢ dead-letter queue: what the consumer cannot process is kept, not lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Duration, Fn, Names, ScopedAws, Stack
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from . import keys, rules
from .findings import acknowledge

if TYPE_CHECKING:
    from aws_cdk import aws_kms as kms


class QueueWithDeadLetterQueue(Construct):
    """A queue whose failed messages move to a dead-letter queue that takes them from it alone.

    Both are encrypted and refuse plain HTTP. The dead-letter queue keeps its messages for
    14 days, longer than any source may (Amazon SQS developer guide, "Dead-letter queues").

    Args:
        visibility_timeout: Hidden time after a receive, in whole seconds.
        fifo: A FIFO queue, in high-throughput mode. Default: standard.
        content_based_deduplication: FIFO only: SQS deduplicates by the SHA-256 of the body.
            Default: every sender names a deduplication id.
        retention_period: How long a message waits, 60 s to 14 days. Default: 4 days.
        dead_letter_retention_period: The same for the dead-letter queue. Default: 14 days.
        max_receive_count: Receives before a message is dead-lettered, 5 to 1,000. Default: 5,
            the fewest that AWS recommends for a Lambda consumer.
        encryption_key: Customer key for both queues. Default: SQS-managed encryption.

    Raises:
        ValueError: a setting that would lose events, or a key that encrypts nothing; see
            ``rules`` and ``keys``.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        visibility_timeout: Duration,
        fifo: bool = False,
        content_based_deduplication: bool = False,
        retention_period: Duration | None = None,
        dead_letter_retention_period: Duration | None = None,
        max_receive_count: int | None = None,
        encryption_key: kms.IKey | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        if max_receive_count is None:
            max_receive_count = rules.MIN_RECEIVE_COUNT
        retention = retention_period or rules.DEFAULT_RETENTION
        dead_letter_retention = dead_letter_retention_period or rules.MAX_RETENTION
        rules.check_retention(retention, dead_letter_retention, fifo=fifo)
        rules.check_receives(max_receive_count)
        rules.check_receives_fit(visibility_timeout, max_receive_count, retention)
        keys.check_key("encryption_key", encryption_key)

        encryption = sqs.QueueEncryption.KMS if encryption_key else sqs.QueueEncryption.SQS_MANAGED
        name = name_known_before_creation(self, ".fifo" if fifo else "")
        self.dead_letter_queue = sqs.Queue(
            self,
            "DeadLetterQueue",
            fifo=fifo or None,
            retention_period=dead_letter_retention,
            encryption=encryption,
            encryption_master_key=encryption_key,
            enforce_ssl=True,
        )
        _admit_only(self.dead_letter_queue, name)
        acknowledge(
            self.dead_letter_queue,
            "Serverless::Serverless-SQSRedrivePolicy",
            "It is the dead-letter queue: its messages wait here for a person.",
        )
        self.queue = sqs.Queue(
            self,
            "Queue",
            queue_name=name,
            fifo=fifo or None,
            content_based_deduplication=content_based_deduplication or None,
            deduplication_scope=sqs.DeduplicationScope.MESSAGE_GROUP if fifo else None,
            fifo_throughput_limit=sqs.FifoThroughputLimit.PER_MESSAGE_GROUP_ID if fifo else None,
            visibility_timeout=visibility_timeout,
            retention_period=retention,
            receive_message_wait_time=Duration.seconds(20),
            encryption=encryption,
            encryption_master_key=encryption_key,
            enforce_ssl=True,
            dead_letter_queue=sqs.DeadLetterQueue(
                queue=self.dead_letter_queue, max_receive_count=max_receive_count
            ),
        )


def name_known_before_creation(scope: Construct, suffix: str) -> str:
    """Return a physical name made of the construct's path and the stack's own id.

    For resources that name each other, such as a queue and its dead-letter queue (redrive policy,
    redrive allow policy): with two generated names CloudFormation finds a circle. The stack's id
    keeps this one as unique as a generated name: it differs in every stack, account, region and
    re-creation. At most 80 characters with ``suffix``.
    """
    stack_uuid = Fn.select(2, Fn.split("/", ScopedAws(scope).stack_id))
    return Fn.join("-", [_path_in_name(scope), stack_uuid]) + suffix


def pattern_of_name(scope: Construct, suffix: str) -> str:
    """Return what ``name_known_before_creation`` matches, for a policy in another stack.

    The stack's id there would make the two stacks depend on each other.
    """
    return f"{_path_in_name(scope)}-*{suffix}"


def _path_in_name(scope: Construct) -> str:
    return Names.unique_resource_name(scope, max_length=38)


def _admit_only(dead_letter_queue: sqs.Queue, source_name: str) -> None:
    resource = dead_letter_queue.node.default_child
    if not isinstance(resource, sqs.CfnQueue):  # pragma: no cover - a queue has this child
        raise TypeError(f"{dead_letter_queue.node.path} has no CfnQueue")
    source_arn = Stack.of(dead_letter_queue).format_arn(service="sqs", resource=source_name)
    resource.redrive_allow_policy = {
        "redrivePermission": "byQueue",
        "sourceQueueArns": [source_arn],
    }
