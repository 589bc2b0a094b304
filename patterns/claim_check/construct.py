"""sender → S3 + SQS → Lambda → S3;  SQS ⇢ DLQ ⇢ alarm;  schedule → sweep → S3"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from aws_cdk.aws_sns import FifoThroughputScope, Topic
from constructs import Construct

from ..blocks import sweeps, topics
from ..blocks.alarms import Alarms, Runbook
from ..blocks.bucket_events import Notification, ThroughEventBridge, Watch, connect
from ..blocks.buckets import NewBucket
from ..blocks.consumers import Consumer, check_has_role, check_may_run
from ..blocks.endpoints import Endpoint, NewApi
from ..blocks.fronts import alarms_of_front
from ..blocks.grants import grantee_here
from ..blocks.queues import NewQueue, SqsToLambda, grant_send, longest_wait
from ..blocks.rest import RestEntry
from ..blocks.subscriptions import Subscription
from ..blocks.sweeps import Sweep, run_by_schedule
from ..blocks.topics import QueueSubscriber, TopicFanout, TopicSettings
from ..blocks.values import DAY, Path, child_of, expect
from ..limits import SNS_RETRIES_TO_SQS, SQS_DEFAULT_RETENTION, SQS_MAX_RETENTION
from .payloads import Payloads, Store

if TYPE_CHECKING:
    from aws_cdk import aws_events as events
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_sns as sns
    from aws_cdk import aws_sqs as sqs

    from ..blocks.sources import Source

__all__ = [
    "Alarms", "ClaimCheck", "ClaimCheckFanout", "Consumer", "Endpoint", "NewApi", "NewBucket",
    "NewQueue", "NewTopic", "Payloads", "Subscription", "Sweep", "Uploads",
]  # fmt: skip

UPLOADS = "uploads/"
SENDER = ("s3:PutObject", "s3:AbortMultipartUpload", "s3:DeleteObject")
LAST_NET = 7 * DAY  # the lifecycle rule comes so long after the sweep, which counts what it finds
SNS_WAITS = SNS_RETRIES_TO_SQS * DAY
SWEEP_FAILS = replace(
    sweeps.SWEEP_FAILS,
    means="The sweep fails, so bodies that no message needs are kept until they expire.",
)
SWEEP_FINDS = Runbook(
    means="The sweep deleted bodies that no message needed: a sender crashed before it had sent "
    "the pointer, or a consumer before it had deleted the body.",
    see="Read the sweep's log for how many, and the consumer's Errors and Duration: one that is "
    "out of time or memory leaves bodies.",
    fix="Fix what crashes. The bodies are deleted.",
    verify="The next runs find none.",
)


class ClaimCheck(SqsToLambda):
    """Send messages of up to 2 GB through a queue: the body waits in S3, and a pointer in SQS.

    The messages are those of AWS's extended client libraries, so they and ``LargeMessages`` may
    send and receive. The body is stored before its message is sent, and deleted after the message:
    a crash leaves an orphan, which the sweep deletes, and never a message without its body.
    Delivery is at least once, in order only within a FIFO queue's message group. What fails
    ``max_receive_count`` times, or points elsewhere, moves to ``dead_letter_queue``; its body is
    kept as long as it.

    Args:
        consumer: Function or alias that processes the messages, or with its settings, such as
            ``lambdas/claim_check/catalogs.py``. It needs the variables of ``environment``.
        payloads: Where the bodies are, and for how long.
        queue: Your own queue, or the settings of a new one.
        sweep: Deletes the bodies that no message needs, and says how many there were. Default: a
            lifecycle rule alone, which is silent.
        alarms: What the alarms do.

    Attributes:
        bucket: The bodies.
        queue: Where the pointers wait; see also ``dead_letter_queue``.
        event_source_mapping: Queue to consumer.
        schedule: The rule that runs the sweep; None without one.
        uploads: The way in for clients of an API; see ``add_uploads``.
        alarms: Every alarm of the pattern.

    Raises:
        ValueError: a configuration that would fail or lose events; the message says what to change.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        consumer: lambda_.IFunction | Consumer,
        payloads: Payloads = Payloads(),
        queue: sqs.IQueue | NewQueue = NewQueue(),
        sweep: Sweep | None = None,
        alarms: Alarms = Alarms(),
    ) -> None:
        expect("payloads", payloads, Payloads)
        expect("queue", queue, "IQueue", NewQueue)
        expect("sweep", sweep, Sweep, None)
        expect("alarms", alarms, Alarms)
        _check_deduplication(queue)
        self._alarms = alarms.of_pattern(__name__)
        super().__init__(scope, construct_id, consumer=consumer, queue=queue, alarms=self._alarms)
        self._given: list[Any] = [consumer, payloads.bucket, queue, sweep]
        self._store = Store(self, payloads, longest_wait(queue), LAST_NET)
        self._store.check(Path(self.queue), longest_wait(queue))
        self.bucket = self._store.bucket
        self.uploads: Uploads | None = None
        self.schedule: events.Rule | None = None
        if sweep:
            made = run_by_schedule(self, sweep, self._alarms, SWEEP_FAILS, SWEEP_FINDS)
            self.schedule, on_sweep = made
            self.alarms += on_sweep

    @property
    def environment(self) -> dict[str, str]:
        """The variables that the consumer needs; and, with them, a sender."""
        return self._store.environment | {"QUEUE_URL": self.queue.queue_url}

    @property
    def sweep_environment(self) -> dict[str, str]:
        """The variables that the sweep needs."""
        return self._store.environment

    def grant_send(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` send messages, store bodies, and delete one whose message is rejected.

        Raises:
            ValueError: ``grantee`` cannot be granted it.
        """
        grant_send(self.queue, grantee_here(self, grantee, self._given))
        return self._store.grant(grantee, self._given, SENDER)

    def grant_claim(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee``, the consumer, read bodies and delete them.

        It may list the bucket: without that, S3 answers for a body that is gone with 403
        (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html).

        Raises:
            ValueError: ``grantee`` cannot be granted it.
        """
        actions = ["s3:GetObject", "s3:DeleteObject"]
        return self._store.grant(grantee, self._given, actions, ["s3:ListBucket"])

    def grant_sweep(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee``, the sweep, list the bucket and delete bodies.

        Raises:
            ValueError: ``grantee`` cannot be granted it.
        """
        actions = ["s3:DeleteObject"]
        return self._store.grant(grantee, self._given, actions, ["s3:ListBucketVersions"])

    def add_uploads(
        self,
        *,
        front: lambda_.IFunction,
        announcer: lambda_.IFunction | Consumer,
        endpoint: Endpoint = Endpoint("uploads"),
    ) -> Uploads:
        """Let clients of an API upload bodies to S3 itself: the API takes at most 10 MB.

        POST answers 201 with a presigned URL, whose signature binds the size and the content type
        that were asked for, and that nothing has been uploaded there. S3 then says that the body is
        there, and ``announcer`` sends its pointer: the client has nothing to confirm.

        Args:
            front: Function that answers, such as ``lambdas/claim_check/uploads.py``. It needs the
                variables of ``front_environment``.
            announcer: Function that sends the pointers, or with its settings, such as
                ``lambdas/claim_check/announce.py``. It needs those of ``announcer_environment``.
            endpoint: Where clients POST to, and who may.

        Raises:
            ValueError: a FIFO queue, to which an upload cannot say its group; pages of other
                origins; or a function that never runs.
        """
        expect("front", front, "IFunction")
        if self._fifo:
            raise ValueError(
                f"{Path(self)} has a FIFO queue, but uploads come in no order and have no message "
                "group. Give uploads a ClaimCheck with a standard queue."
            )
        check_has_role("front", front)
        check_may_run(Path(front, "front "), front, "every request would be answered with 5xx")
        self.uploads = Uploads(self, "Uploads")
        self.uploads.connect(self, front, Consumer.of(announcer), endpoint)
        self.alarms += self.uploads.alarms
        return self.uploads


class Uploads(Construct):
    """client → API Gateway → Lambda;  client → S3 → SQS → Lambda → SQS

    Attributes:
        entry: The way in: its API, and ``grant_execute``.
        events: The queue of what S3 says was uploaded, with its ``dead_letter_queue``.
        front_environment, announcer_environment: The variables that the functions need.
        alarms: The alarms on them.
    """

    entry: RestEntry
    events: SqsToLambda

    def connect(
        self, claims: ClaimCheck, front: lambda_.IFunction, announcer: Consumer, endpoint: Endpoint
    ) -> None:
        """Connect API, bucket and queue."""
        alarms, store, given = claims._alarms, claims._store, [*claims._given, front]
        below = {"PREFIX": f"{store.prefix}{UPLOADS}"}
        self.front_environment = store.environment | below
        self.announcer_environment = claims.environment | below
        self.entry = RestEntry(self, "Entry", endpoint, alarms=alarms)
        if self.entry.origins:
            raise ValueError(
                f"endpoint has CORS for {', '.join(self.entry.origins)}, but the bucket answers no "
                "page of another origin. Leave cors out, and upload from a server."
            )
        self.entry.add_function("POST", front)
        store.grant(front, given, ["s3:PutObject"], below=UPLOADS)
        self.events = SqsToLambda(self, "Events", consumer=announcer, alarms=alarms)
        way = Notification() if store.is_new else ThroughEventBridge()
        watch = [Watch(below["PREFIX"])]
        _, on_way = connect(self, store.bucket, watch, way, self.events.queue, alarms)
        grant_send(claims.queue, grantee_here(self, announcer.function, given))
        on_front = alarms_of_front(self, front, alarms)
        self.alarms = [*self.entry.alarms, *on_front, *self.events.alarms, *on_way]


@dataclass(frozen=True, kw_only=True)
class NewTopic(TopicSettings):
    """Settings of a new topic, which is encrypted and requires TLS. See ``TopicSettings``.

    Attributes:
        fifo: A FIFO topic, in high-throughput mode, for which every publisher names a deduplication
            id. Default: standard.
    """

    fifo: bool = False


class ClaimCheckFanout(TopicFanout):
    """Publish messages of up to 2 GB to several queues: the body waits in S3, once for all of them.

    No consumer knows whether the others have read a body, so none may delete it: it expires after
    ``kept``. Everything else is as of ``ClaimCheck``.

    Args:
        payloads: Where the bodies are, and for how long. Default: twice as long as SNS and a queue
            of the defaults may take, 82 days.
        topic: Your own topic, or the settings of a new one.
        alarms: What the alarms do.

    Attributes:
        bucket: The bodies.
        topic: Where to publish.
        subscribers: Those that were added, in that order.

    Raises:
        ValueError: a configuration that would fail or lose events; the message says what to change.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        payloads: Payloads = Payloads(),
        topic: sns.ITopic | NewTopic = NewTopic(),
        alarms: Alarms = Alarms(),
    ) -> None:
        super().__init__(scope, construct_id)
        expect("payloads", payloads, Payloads)
        self._publish_from(_source_of(self, topic), alarms, __name__)
        usual = SNS_WAITS + SQS_DEFAULT_RETENTION + SQS_MAX_RETENTION
        self._store = Store(self, payloads, usual, net=0)
        self.bucket = self._store.bucket
        self._given.append(payloads.bucket)
        self._ids.add("Bucket")

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a consumer, such as ``lambdas/claim_check/catalogs_shared.py``."""
        return self._store.environment

    def add_queue(
        self,
        construct_id: str,
        *,
        consumer: lambda_.IFunction | Consumer,
        queue: sqs.IQueue | NewQueue = NewQueue(),
        subscription: Subscription = Subscription(),
        alarms: Alarms | None = None,
    ) -> QueueSubscriber:
        """Add a subscriber. See ``TopicFanout.add_queue``.

        Raises:
            ValueError: messages in the envelope of SNS, which no extended client reads; a filter by
                the body, which is in S3; or bodies that expire while the queue may have messages.
        """
        expect("queue", queue, "IQueue", NewQueue)
        expect("subscription", subscription, Subscription)
        _check_deduplication(queue)
        if subscription.raw_message_delivery is False:
            raise ValueError(
                "raw_message_delivery is False, but a pointer and the attribute that tells it are "
                "read from a raw message only. Leave it out."
            )
        if subscription.filter_policy_with_message_body is not None:
            raise ValueError(
                "filter_policy_with_message_body was given, but SNS sees the pointer in place of a "
                "large body, and would drop the event. Use filter_policy, by attributes."
            )
        self._store.check(Path(self, "", f"/{construct_id}"), SNS_WAITS + longest_wait(queue))
        return super().add_queue(
            construct_id, consumer=consumer, queue=queue, subscription=subscription, alarms=alarms
        )

    def grant_send(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` store bodies, and publish messages: see ``grant_publish``.

        Raises:
            ValueError: ``grantee`` cannot be granted it.
        """
        granted = self.grant_publish(grantee)
        return granted.combine(self._store.grant(grantee, self._given, SENDER))

    def grant_read(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee``, a consumer, read bodies.

        Raises:
            ValueError: ``grantee`` cannot be granted it.
        """
        return self._store.grant(grantee, self._given, ["s3:GetObject"], ["s3:ListBucket"])


def _check_deduplication(queue: sqs.IQueue | NewQueue) -> None:
    """Reject deduplication by content: two pointers to equal bodies are not equal.

    Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/using-messagededuplicationid-property.html
    """
    own: Any = queue if isinstance(queue, NewQueue) else child_of(queue)
    if own is not None and own.content_based_deduplication:
        raise ValueError(
            "queue has content_based_deduplication, but each pointer has a key of its own, so a "
            "message that is sent twice would be two. Leave it out: senders name a deduplication "
            "id, such as the SHA-256 of the body, as LargeMessages does."
        )


def _source_of(scope: Construct, topic: sns.ITopic | NewTopic) -> Source:
    expect("topic", topic, NewTopic, "ITopic")
    if not isinstance(topic, NewTopic):
        return topics.own_source(scope, topic, fifo=bool(topics.is_fifo(topic)))
    expect("fifo", topic.fifo, bool)
    if not topic.fifo:
        return topics.new_standard_source(scope, topic)
    in_group = FifoThroughputScope.MESSAGE_GROUP
    return topics.new_fifo_source(scope, topic, Topic, fifo_throughput_scope=in_group)
