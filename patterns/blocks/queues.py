"""SQS ⇢ DLQ ⇢ alarm: a queue that loses no message, with or without a function behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from aws_cdk import Annotations, Duration
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from ..checks import period, reject
from ..checks import sqs as checks
from ..limits import (
    SQS_DEFAULT_RETENTION,
    SQS_DEFAULT_VISIBILITY,
    SQS_LAMBDA_MIN_RECEIVES,
    SQS_LAMBDA_VISIBILITY_FACTOR,
    SQS_LONG_POLL,
    SQS_MAX_RETENTION,
)
from . import keys
from .alarms import DEAD_LETTERS, Alarms
from .consumers import Consumer, consume, warn_of_imported_consumer
from .findings import acknowledge
from .names import name_known_before_creation
from .places import check_key_here, elsewhere
from .values import (
    Path,
    arn_in,
    child_of,
    expect,
    expect_fields,
    in_seconds,
    made_in,
    number,
    place_of,
    seconds,
    stack_of,
)

if TYPE_CHECKING:
    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_lambda as lambda_


def _known(period: Duration | None, default: int) -> float | None:
    return default if period is None else in_seconds(period)


@dataclass(frozen=True, kw_only=True)
class NewQueue:
    """Settings of a new queue and of its dead-letter queue. Both are encrypted and require TLS.

    Attributes:
        fifo: A FIFO queue, in high-throughput mode. Default: standard.
        content_based_deduplication: FIFO only: SQS deduplicates by the SHA-256 of the body.
            Default: every sender names a deduplication id, unless a construct says otherwise.
        visibility_timeout: How long a received message stays hidden, in whole seconds. Default:
            6 x the consumer's timeout plus its batching window, else 30 s
            (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html).
        retention_period: How long a message waits, 60 s to 14 days. Default: 4 days.
        delivery_delay: How long every message is hidden at first, 0 to 15 minutes; a message of a
            standard queue may have a delay of its own, which wins. A change applies to messages
            that are in the queue already if it is FIFO only
            (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-delay-queues.html).
            Default: none.
        dead_letter_retention_period: The same for the dead-letter queue. Default: 14 days.
        max_receive_count: Receives before a message is dead-lettered, 5 to 1,000. Default: 5, the
            fewest that AWS recommends for a Lambda consumer.
        encryption_key: Customer managed key of both queues. Default: SQS-managed encryption.

    Raises:
        ValueError: settings that would lose events, or a key that encrypts nothing.
    """

    fifo: bool = False
    content_based_deduplication: bool | None = None
    visibility_timeout: Duration | None = None
    retention_period: Duration | None = None
    delivery_delay: Duration | None = None
    dead_letter_retention_period: Duration | None = None
    max_receive_count: int = SQS_LAMBDA_MIN_RECEIVES
    encryption_key: kms.IKey | None = None

    def __post_init__(self) -> None:
        """Reject settings that would lose events."""
        expect_fields(
            self,
            fifo=(bool,),
            content_based_deduplication=(bool, None),
            visibility_timeout=(Duration, None),
            retention_period=(Duration, None),
            delivery_delay=(Duration, None),
            dead_letter_retention_period=(Duration, None),
            max_receive_count=(int,),
            encryption_key=("IKey", None),
        )
        kept = self.retention
        there = _known(self.dead_letter_retention_period, SQS_MAX_RETENTION)
        hidden, receives = in_seconds(self.visibility_timeout), number(self.max_receive_count)
        if kept is not None:
            reject(checks.retention("retention_period", kept))
        if hidden is not None:
            reject(checks.visibility_range("visibility_timeout", hidden))
        delay = in_seconds(self.delivery_delay)
        if delay is not None:
            reject(checks.delay("delivery_delay", delay))
            if kept is not None:
                reject(checks.expires_while_delayed("The new queue", delay, kept))
        if there is not None:
            reject(checks.retention("dead_letter_retention_period", there))
        if kept is not None and there is not None:
            reject(
                checks.dead_letter_retention(
                    "the new queue", kept, "The dead-letter queue", there, fifo=self.fifo
                )
            )
        if receives is not None:
            reject(checks.receives("The new queue", receives))
            if kept is not None and hidden is not None:
                reject(
                    checks.expires_before_dead_lettering("The new queue", receives, hidden, kept)
                )
        keys.check_key("encryption_key", self.encryption_key)

    @property
    def retention(self) -> float | None:
        """How long a message waits, in seconds; None when only deployment knows."""
        return _known(self.retention_period, SQS_DEFAULT_RETENTION)

    def fitted_to(self, consumer: Consumer | None) -> NewQueue:
        """Return the same with a visibility timeout that its consumer needs.

        Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html

        Raises:
            ValueError: it is given and too short, or not given while the consumer is imported, so
                that its timeout is not known; or messages would expire before they are
                dead-lettered.
        """
        if consumer is None:
            return self
        needed, given = consumer.needed_visibility(), self.visibility_timeout
        if given is not None:
            check_visibility("The new queue", in_seconds(given), consumer)
            return self
        if needed is None:
            raise ValueError(
                "The consumer is imported, so its timeout is not known here. Give the queue a "
                f"visibility_timeout: {SQS_LAMBDA_VISIBILITY_FACTOR} x the consumer's timeout plus "
                "max_batching_window."
            )
        return replace(self, visibility_timeout=seconds(needed))


class QueueWithDeadLetterQueue(Construct):
    """A queue whose failed messages move to a dead-letter queue that accepts them from it alone.

    Args:
        queue: Your own queue, or the settings of a new one.
        consumer: Who processes the messages; the visibility timeout follows it. Default: somebody
            else.
        alarms: What the alarms do.

    Attributes:
        queue: The queue; see also ``dead_letter_queue``.
        alarms: On messages that wait for too long, and on dead letters.

    Raises:
        ValueError: a configuration that would lose events; the message says what to change.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        queue: sqs.IQueue | NewQueue = NewQueue(),
        consumer: Consumer | None = None,
        alarms: Alarms = Alarms(),
    ) -> None:
        expect("queue", queue, "IQueue", NewQueue)
        expect("alarms", alarms, Alarms)
        super().__init__(scope, construct_id)
        made_in(scope, self)
        self.queue: sqs.IQueue
        self._dead_letter_queue: sqs.IQueue | None
        if isinstance(queue, NewQueue):
            new, place = queue.fitted_to(consumer), None
            self.queue, self._dead_letter_queue = _new_queues(self, new)
            self._fifo, kept = new.fifo, new.retention
        else:
            place = elsewhere(self, queue)
            check_own_queue(queue, consumer, place)
            self.queue, self._dead_letter_queue = queue, dead_letter_queue_of(queue)
            self._fifo, kept = queue.fifo, retention_of(queue)
        self.alarms: list[cloudwatch.Alarm] = []
        if place:  # so are its metrics
            return
        self.alarms = [alarms.on_oldest_message(self, "OldestMessageAlarm", self.queue, kept)]
        if self._dead_letter_queue:
            self.alarms.append(
                alarms.on_messages(self, "DeadLetterAlarm", self._dead_letter_queue, DEAD_LETTERS)
            )

    @property
    def dead_letter_queue(self) -> sqs.IQueue:
        """The queue with the messages that could not be processed.

        Raises:
            ValueError: the queue is imported, so its dead-letter queue is not known here.
        """
        if self._dead_letter_queue is None:
            raise ValueError(
                "The queue is imported, so its dead-letter queue is not known here. Import that "
                "queue too, and use it directly."
            )
        return self._dead_letter_queue

    def _consume(
        self, consumer: Consumer, given: sqs.IQueue | NewQueue
    ) -> lambda_.EventSourceMapping:
        """Let a function process the messages. ``given``: the queue, as it was given."""
        warn_of_imported_consumer(consumer, visibility_given(given))
        return consume(self, "EventSource", self.queue, consumer, fifo=self._fifo)

    def metric_approximate_age_of_oldest_message(self, **options: Any) -> cloudwatch.Metric:
        """Age of the oldest message in the queue, in seconds. ``options``: of the metric."""
        return self.queue.metric_approximate_age_of_oldest_message(**options)

    def metric_dead_letters(self, **options: Any) -> cloudwatch.Metric:
        """Messages in the dead-letter queue. ``options``: of the metric.

        Raises:
            ValueError: the queue is imported, so its dead-letter queue is not known here.
        """
        return self.dead_letter_queue.metric_approximate_number_of_messages_visible(**options)


class SqsToLambda(QueueWithDeadLetterQueue):
    """SQS → Lambda;  SQS ⇢ DLQ ⇢ alarm

    A message that fails ``max_receive_count`` times moves to ``dead_letter_queue`` and raises an
    alarm. Delivery is at least once, in order only within a FIFO queue's message group.

    Args:
        consumer: Function or alias that processes the messages, or with its settings.
        queue: Your own queue, or the settings of a new one.
        alarms: What the alarms do.

    Attributes:
        event_source_mapping: Queue to consumer.

    Raises:
        ValueError: a configuration that would lose events; the message says what to change.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        consumer: lambda_.IFunction | Consumer,
        queue: sqs.IQueue | NewQueue = NewQueue(),
        alarms: Alarms = Alarms(),
    ) -> None:
        consumer = Consumer.of(consumer)
        super().__init__(scope, construct_id, queue=queue, consumer=consumer, alarms=alarms)
        self.event_source_mapping = self._consume(consumer, queue)


def queue_for_failures(
    scope: Construct,
    construct_id: str,
    *,
    reason: str,
    fifo: bool = False,
    encryption_key: kms.IKey | None = None,
) -> sqs.Queue:
    """Make a queue in which failed events wait for a person, for 14 days.

    For what is no redrive target of another queue: the failures of a destination, a subscription,
    a rule, a state machine.

    Args:
        scope: Where it is made.
        construct_id: Its id there.
        reason: Why nothing consumes it and no dead-letter queue follows, for its auditor.
        fifo: Whether it is a FIFO queue. Default: standard.
        encryption_key: Customer managed key. Default: SQS-managed encryption.
    """
    queue = sqs.Queue(
        scope,
        construct_id,
        fifo=fifo or None,
        retention_period=seconds(SQS_MAX_RETENTION),
        encryption_master_key=encryption_key,
        encryption=_encryption(encryption_key),
        enforce_ssl=True,
    )
    _remember(scope, encryption_key, queue)
    rules = ("AwsSolutions::AwsSolutions-SQS3", "Serverless::Serverless-SQSRedrivePolicy")
    acknowledge(queue, rules, reason)
    return queue


def grant_send(queue: sqs.IQueue, grantee: iam.IGrantable) -> None:
    """Let ``grantee`` send to a queue, encrypted with a customer managed key or not; no more.

    The CDK's own ``grant_send_messages`` adds permissions to look into the queue.
    """
    queue.grant(grantee, "sqs:SendMessage")
    key = keys.key_of(queue)
    if key:
        key.grant(grantee, "kms:Decrypt", "kms:GenerateDataKey")


def _new_queues(scope: Construct, new: NewQueue) -> tuple[sqs.Queue, sqs.Queue]:
    if new.content_based_deduplication and not new.fifo:
        raise ValueError(
            "content_based_deduplication was given for a standard queue, which does not "
            "deduplicate. Leave it out, or make the queue FIFO."
        )
    check_key_here(scope, new.encryption_key)
    name = name_known_before_creation(scope, ".fifo" if new.fifo else "")
    dead_letter_queue = sqs.Queue(
        scope,
        "DeadLetterQueue",
        fifo=new.fifo or None,
        retention_period=new.dead_letter_retention_period or seconds(SQS_MAX_RETENTION),
        encryption=_encryption(new.encryption_key),
        encryption_master_key=new.encryption_key,
        enforce_ssl=True,
    )
    resource: Any = child_of(dead_letter_queue)
    resource.redrive_allow_policy = {
        "redrivePermission": "byQueue",
        "sourceQueueArns": [arn_in(stack_of(scope), "sqs", name)],
    }
    acknowledge(
        dead_letter_queue,
        "Serverless::Serverless-SQSRedrivePolicy",
        "It is the dead-letter queue: its messages wait here for a person.",
    )
    queue = sqs.Queue(
        scope,
        "Queue",
        queue_name=name,
        fifo=new.fifo or None,
        content_based_deduplication=new.content_based_deduplication or None,
        deduplication_scope=sqs.DeduplicationScope.MESSAGE_GROUP if new.fifo else None,
        fifo_throughput_limit=(sqs.FifoThroughputLimit.PER_MESSAGE_GROUP_ID if new.fifo else None),
        visibility_timeout=new.visibility_timeout,
        delivery_delay=new.delivery_delay,
        retention_period=new.retention_period or seconds(SQS_DEFAULT_RETENTION),
        receive_message_wait_time=seconds(SQS_LONG_POLL),
        encryption=_encryption(new.encryption_key),
        encryption_master_key=new.encryption_key,
        enforce_ssl=True,
        dead_letter_queue=sqs.DeadLetterQueue(
            queue=dead_letter_queue, max_receive_count=new.max_receive_count
        ),
    )
    _remember(scope, new.encryption_key, queue, dead_letter_queue)
    return queue, dead_letter_queue


def _remember(scope: Construct, key: kms.IKey | None, *made: sqs.Queue) -> None:
    """Keep what is known of new queues: each question to the CDK takes its time."""
    made_in(scope, *made)
    keys.remember_key(key, *made)


def _encryption(key: kms.IKey | None) -> sqs.QueueEncryption:
    return sqs.QueueEncryption.KMS if key else sqs.QueueEncryption.SQS_MANAGED


def visibility_given(queue: sqs.IQueue | NewQueue) -> float | None:
    """Return the visibility timeout that a queue was given, in seconds; None when it was not."""
    if isinstance(queue, NewQueue):
        return in_seconds(queue.visibility_timeout)
    return visibility_of(queue)


# Your own queue


def check_own_queue(
    queue: sqs.IQueue, consumer: Consumer | None = None, place: str | None = None
) -> None:
    """Reject a queue of yours that loses messages; warn of one that is imported.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html

    Args:
        queue: The queue.
        consumer: Who processes its messages. Default: somebody else.
        place: The other account or Region that it is in. Default: none.

    Raises:
        ValueError: no dead-letter queue, one of the other type or one that rejects it, a key that
            encrypts nothing, or a setting that would lose events.
    """
    keys.check_key_of(queue)
    resource = resource_of(queue)
    if not isinstance(queue, sqs.Queue) or resource is None:
        needed = consumer.needed_visibility() if consumer else None
        _warn_of_imported_queue(queue, needed, place)
        return
    path = Path(queue)
    if queue.dead_letter_queue is None:
        raise ValueError(checks.no_dead_letter_queue(f"queue {path}"))
    kept, hidden = retention_of(queue), visibility_of(queue)
    _check_dead_letter_queue(queue.dead_letter_queue.queue, queue, resource, kept)
    receives, delay = float(queue.dead_letter_queue.max_receive_count), delay_of(queue)
    if delay is not None and kept is not None:
        reject(checks.expires_while_delayed(path, delay, kept))
    reject(checks.receives(path, receives))
    check_visibility(path, hidden, consumer)
    if hidden is not None and kept is not None:
        reject(checks.expires_before_dead_lettering(path, receives, hidden, kept))


def check_visibility(queue: object, hidden: float | None, consumer: Consumer | None) -> None:
    """Reject a message that turns visible again while its consumer may still work on it.

    Of an imported consumer the timeout is taken to be 1 s, the shortest there is.

    Raises:
        ValueError: the visibility timeout is too short for the consumer.
    """
    if consumer is None or hidden is None:
        return
    facts, window = consumer.facts, in_seconds(consumer.max_batching_window)
    timeout = facts.timeout if facts.own else 1
    if timeout is not None:
        function = Path(consumer.function)
        reject(checks.visibility(queue, hidden, function, timeout, window or 0))


def resource_of(queue: sqs.IQueue) -> sqs.CfnQueue | None:
    """Return the resource of a queue; None when it is imported."""
    resource = child_of(queue)
    return resource if isinstance(resource, sqs.CfnQueue) else None


def retention_of(queue: sqs.IQueue) -> float | None:
    """Return how long a queue keeps messages, in seconds; of an imported one, the longest."""
    resource = resource_of(queue)
    if resource is None:
        return SQS_MAX_RETENTION
    kept = resource.message_retention_period
    return SQS_DEFAULT_RETENTION if kept is None else number(kept)


def delay_of(queue: sqs.IQueue) -> float | None:
    """Return how long a queue delays messages, in seconds; None when it is not known."""
    resource = resource_of(queue)
    return None if resource is None else number(resource.delay_seconds or 0)


def receives_of(queue: sqs.IQueue) -> float | None:
    """Return after how many receives a queue dead-letters a message; None when it is not known."""
    found = queue.dead_letter_queue if isinstance(queue, sqs.Queue) else None
    return number(found.max_receive_count) if found else None


def visibility_of(queue: sqs.IQueue) -> float | None:
    """Return a queue's visibility timeout in seconds; None when it is not known."""
    resource = resource_of(queue)
    if resource is None:
        return None
    hidden = resource.visibility_timeout
    return SQS_DEFAULT_VISIBILITY if hidden is None else number(hidden)


def dead_letter_queue_of(queue: sqs.IQueue) -> sqs.IQueue | None:
    """Return a queue's dead-letter queue; None without one, or when ``queue`` is imported."""
    if not isinstance(queue, sqs.Queue) or queue.dead_letter_queue is None:
        return None
    return queue.dead_letter_queue.queue


def longest_wait(queue: sqs.IQueue | NewQueue) -> float:
    """Return how long a message may be in a queue and then in its dead-letter queue, in seconds.

    One that its consumer rejects is sent to the dead-letter queue anew; so both times count. What
    is not known here is the longest.
    """
    if isinstance(queue, NewQueue):
        kept = queue.retention, in_seconds(queue.dead_letter_retention_period)
    else:
        letters = dead_letter_queue_of(queue)
        kept = retention_of(queue), retention_of(letters) if letters else None
    return sum(SQS_MAX_RETENTION if one is None else one for one in kept)


def ask_for_key(queue: sqs.IQueue) -> str:
    """Return what a warning says of an imported queue's key; nothing when the key is known."""
    if keys.key_of(queue) is not None:
        return ""
    return " If it has a customer key, import it with key_arn, so that the key's use is granted."


def _warn_of_imported_queue(queue: sqs.IQueue, needed: float | None, place: str | None) -> None:
    there = (
        f" It is in {place}: its alarms belong there, and its policy must allow this account's "
        "roles to send and receive."
        if place
        else ""
    )
    longer = "" if queue.fifo else " with a longer retention period"
    hidden = (
        f"{SQS_LAMBDA_VISIBILITY_FACTOR} x the consumer's timeout plus the batching window"
        if needed is None
        else period(needed)
    )
    Annotations.of(queue).add_warning_v2(
        "serverless-patterns:imported-queue",
        "This queue is imported, so its settings cannot be checked: it needs a dead-letter queue "
        f"of its own type{longer}, which gets no alarm here, a maxReceiveCount of at least "
        f"{SQS_LAMBDA_MIN_RECEIVES}, a visibility timeout of at least {hidden}, and a retention "
        f"period above maxReceiveCount x that timeout.{there}{ask_for_key(queue)}",
    )


def _check_dead_letter_queue(
    dead_letter_queue: sqs.IQueue, queue: sqs.Queue, source: sqs.CfnQueue, kept: float | None
) -> None:
    fifo, path, dead_letter_path = queue.fifo, Path(queue), Path(dead_letter_queue)
    reject(checks.dead_letter_queue_type(path, fifo=fifo, dead_letter_fifo=dead_letter_queue.fifo))
    places = place_of(queue), place_of(dead_letter_queue)
    reject(checks.dead_letter_queue_place(path, places[0], dead_letter_path, places[1]))
    keys.check_key_of(dead_letter_queue)
    there = retention_of(dead_letter_queue)
    if kept is not None and there is not None:
        reject(
            checks.retention("retention_period", kept),
            checks.retention("dead_letter_retention_period", there),
            checks.dead_letter_retention(path, kept, dead_letter_path, there, fifo=fifo),
        )
    resource = resource_of(dead_letter_queue)
    if resource is None:
        _warn_of_imported_dead_letter_queue(dead_letter_queue, queue, kept)
        return
    policy = stack_of(resource).resolve(resource.redrive_allow_policy)
    reason = _denies(policy, source) if isinstance(policy, Mapping) else None
    reject(checks.redrive_allowed(path, dead_letter_path, reason))


def _warn_of_imported_dead_letter_queue(
    dead_letter_queue: sqs.IQueue, queue: sqs.Queue, kept: float | None
) -> None:
    longer = "its source" if kept is None else period(kept)
    keeps = "" if queue.fifo else f"it must keep messages longer than {longer}, and "
    Annotations.of(dead_letter_queue).add_warning_v2(
        "serverless-patterns:imported-dead-letter-queue",
        "This dead-letter queue is imported, so its settings cannot be checked: "
        f"{keeps}a redrive allow policy must allow {queue.node.path}, its source.",
    )


def _denies(policy: Mapping[str, Any], source: sqs.CfnQueue) -> str | None:
    """Return what a redrive allow policy says against a source; None when it allows it."""
    listed, permission = policy.get("sourceQueueArns"), policy.get("redrivePermission")
    if permission == "denyAll":
        return "denies all"
    if permission != "byQueue" or not isinstance(listed, list):
        return None
    others = all(_is_of_another_queue(arn, source) for arn in listed)
    return "names other queues only" if others else None


def _is_of_another_queue(arn: Any, queue: sqs.CfnQueue) -> bool:
    """Whether an ARN is certainly not the queue's: it refers to another, or has another name."""
    stack = stack_of(queue)
    match arn, stack.resolve(queue.queue_name):
        case {"Fn::GetAtt": [logical_id, _]}, _:
            return bool(logical_id != stack.get_logical_id(queue))
        case str(), str(name):
            return arn.rsplit(":", 1)[-1] != name
        case _:
            return False
