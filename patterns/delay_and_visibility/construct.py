"""sender → SQS → Lambda or worker;  sender → Scheduler → SQS;  SQS, Scheduler ⇢ DLQ ⇢ alarm"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_lambda as lambda_

from ..blocks import keys
from ..blocks.alarms import MINUTE, Alarms, Runbook
from ..blocks.consumers import Consumer
from ..blocks.grants import check_grantee, grantee_here, warn_of_fixed
from ..blocks.queues import (
    NewQueue,
    QueueWithDeadLetterQueue,
    delay_of,
    grant_send,
    receives_of,
    retention_of,
    visibility_of,
)
from ..blocks.schedules import QueueSchedules
from ..blocks.values import (
    Path,
    check_removal,
    expect,
    expect_fields,
    in_seconds,
    known_seconds,
    number,
    seconds,
)
from ..checks import period, reject
from ..checks import sqs as checks
from ..limits import SQS_IN_FLIGHT, SQS_MAX_DELAY, SQS_MAX_VISIBILITY

if TYPE_CHECKING:
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_sqs as sqs
    from constructs import Construct

__all__ = ["Alarms", "Backoff", "Consumer", "DelayedQueue", "Later", "NewQueue", "Worker"]

CONSUMES = [
    f"sqs:{verb}" for verb in ("ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility")
]
HALF_A_MINUTE, A_MINUTE, AN_HOUR = seconds(30), seconds(60), seconds(3600)
SHORTEST = 3  # seconds, so that three heartbeats fit
WAITS = 900  # seconds that a message may wait for its turn before an alarm goes off
IN_FLIGHT = Runbook(
    "Most messages that SQS hides at a time are hidden. At the quota, a standard queue hands over "
    "nothing, and a FIFO queue no other group.",
    "Compare ApproximateNumberOfMessagesNotVisible with the messages that fail: each waits for its "
    "retry, hidden. The consumer's log names the reasons.",
    "Fix what they fail for. Meanwhile lower the delays, so that fewer wait at a time, or ask AWS "
    "for a higher quota.",
    "ApproximateNumberOfMessagesNotVisible falls.",
)


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """How long a message that failed stays hidden before its next attempt.

    After its n-th receive: ``first`` x ``factor`` to the power of n - 1, at most ``longest``, of
    which a random half is left out, so that messages that failed together return one by one.

    Attributes:
        first: After the first receive. Default: 30 s.
        factor: By which it grows with each receive, 1 or more. Default: 2.
        longest: At most so long. Default: 1 hour.

    Raises:
        ValueError: delays that are below 1 s, shrink, or are longer than SQS hides a message.
    """

    first: Duration = HALF_A_MINUTE
    factor: float = 2
    longest: Duration = AN_HOUR

    def __post_init__(self) -> None:
        """Reject delays that are too short, that shrink, or that SQS rejects."""
        expect_fields(self, factor=(int, float))
        first, longest = self._known
        if not 1 <= first <= longest:
            raise ValueError(
                f"first is {period(first)} and longest {period(longest)}; first must be 1 s or "
                "more, and longest no less than first."
            )
        if not 1 <= self.factor < math.inf:
            raise ValueError(f"factor is {self.factor:g}; it must be a number of 1 or more.")
        reject(checks.visibility_range("longest", longest))

    @cached_property
    def _known(self) -> tuple[float, float]:
        return known_seconds("first", self.first), known_seconds("longest", self.longest)

    def delay(self, receives: int) -> float:
        """Return the longest delay after so many receives, in seconds."""
        first, longest = self._known
        growth = (receives - 1) * math.log(self.factor)  # a power could overflow
        return first * math.exp(growth) if growth < math.log(longest / first) else longest

    def total(self, receives: float) -> float:
        """Return how long the delays between so many receives take, in seconds."""
        return sum(self.delay(number) for number in range(1, int(receives)))


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A program that works on one message at a time, for hours if need be, in place of a function.

    It keeps its message hidden with heartbeats, so whoever waits for a dead worker's message gets
    it after ``hidden``, however long the job is.

    Attributes:
        hidden: How long a message stays hidden after each heartbeat; three go out in that time.
            Default: 60 s.
        longest: After so long a job is hung: its heartbeats end. At most 12 hours, after which SQS
            shows the message whatever anybody does. Default: 1 hour.

    Raises:
        ValueError: times that SQS rejects.
    """

    hidden: Duration = A_MINUTE
    longest: Duration = AN_HOUR

    def __post_init__(self) -> None:
        """Reject times that SQS rejects, or in which no heartbeat fits."""
        hidden = known_seconds("hidden", self.hidden)
        longest = known_seconds("longest", self.longest)
        if not SHORTEST <= hidden <= longest <= SQS_MAX_VISIBILITY:
            raise ValueError(
                f"hidden is {period(hidden)} and longest {period(longest)}; hidden must be "
                f"{period(SHORTEST)} or more, and longest between that and "
                f"{period(SQS_MAX_VISIBILITY)}: SQS hides a message no longer since it was "
                "received. Split a longer job into steps."
            )


@dataclass(frozen=True, kw_only=True)
class Later:
    """Delays beyond 15 minutes, and of single messages in a FIFO queue: by EventBridge Scheduler.

    Attributes:
        encryption_key: Customer managed key of the messages that are not due yet, and of those that
            Scheduler could not send. Default: the queue's, else keys of AWS.
        removal_policy: What becomes of the messages that are not due yet when the construct is
            removed. Default: retain.

    Raises:
        ValueError: a removal policy that is not supported, or a key that encrypts nothing.
    """

    encryption_key: kms.IKey | None = None
    removal_policy: RemovalPolicy = RemovalPolicy.RETAIN

    def __post_init__(self) -> None:
        """Reject a removal policy that is not supported, or a key that encrypts nothing."""
        expect_fields(self, encryption_key=("IKey", None))
        check_removal(self.removal_policy)


class DelayedQueue(QueueWithDeadLetterQueue):
    """Deliver a message now, later, or again with a growing delay; hide it while a job runs.

    A message that failed is hidden by ``ChangeMessageVisibility``, that message alone, and each
    time for longer; after ``max_receive_count`` receives it moves to ``dead_letter_queue``. The
    code is in ``lambdas/foundation``: ``visibility.retry_later`` for a function that reports
    partial batch failures, ``workers.run`` for a ``Worker``, ``later.send`` for senders. In a FIFO
    queue a delayed message delays all behind it in its group. Delivery is at least once.

    Args:
        consumer: Function or alias that processes the messages, or with its settings; or a
            ``Worker``, which you run where you like, with ``grant_consume_messages()``.
        queue: Your own queue, or the settings of a new one, its ``delivery_delay`` among them.
        backoff: The delays between attempts.
        later: Lets senders delay one message for longer than SQS can. Default: they cannot.
        alarms: What the alarms do. ``max_age`` is by default 15 minutes more than a message takes
            that succeeds at its second attempt.

    Attributes:
        event_source_mapping: Queue to function; None with a ``Worker``.
        schedules: The group of the messages that are sent later; None without ``later``.

    Raises:
        ValueError: a configuration that SQS rejects or that loses messages; the message says what
            to change.
    """

    event_source_mapping: lambda_.EventSourceMapping | None = None
    schedules: QueueSchedules | None = None

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        consumer: lambda_.IFunction | Consumer | Worker,
        queue: sqs.IQueue | NewQueue = NewQueue(),
        backoff: Backoff = Backoff(),
        later: Later | None = None,
        alarms: Alarms = Alarms(),
    ) -> None:
        _check_given(consumer, queue, backoff, later, alarms)
        worker = consumer if isinstance(consumer, Worker) else None
        function = None if isinstance(consumer, Worker) else Consumer.of(consumer)
        if worker and isinstance(queue, NewQueue) and queue.visibility_timeout is None:
            queue = replace(queue, visibility_timeout=worker.hidden)
        alarms = _patient(alarms.of_pattern(__name__), queue, backoff, worker, function)
        super().__init__(scope, construct_id, queue=queue, consumer=function, alarms=alarms)
        self._backoff, self._worker = backoff, worker
        _check_retries(self.queue, backoff, worker, function)

        if self.alarms:  # else the queue, and its metrics, are elsewhere
            self.alarms.append(_on_in_flight(self, alarms, self.queue))
        if function:
            self.event_source_mapping = self._consume(function, queue)
        if later:
            self.schedules = QueueSchedules(
                self,
                "Later",
                queue=self.queue,
                encryption_key=later.encryption_key or keys.key_of(self.queue),
                removal_policy=later.removal_policy,
                alarms=alarms,
            )
            self.alarms += self.schedules.alarms

    @property
    def environment(self) -> dict[str, str]:
        """What the consumer needs to know: the queue, its delays, and where a worker's refusals go.

        Raises:
            ValueError: a worker's queue is imported, so its dead-letter queue is not known.
        """
        backoff, worker = self._backoff, self._worker
        first, longest = backoff.first.to_seconds(), backoff.longest.to_seconds()
        delays = {"first": first, "factor": backoff.factor, "longest": longest}
        found = {"QUEUE_URL": self.queue.queue_url, "BACKOFF": json.dumps(delays)}
        if worker:
            found["DEAD_LETTER_QUEUE_URL"] = self.dead_letter_queue.queue_url
            found["HIDDEN_SECONDS"] = f"{worker.hidden.to_seconds():g}"
            found["LONGEST_SECONDS"] = f"{worker.longest.to_seconds():g}"
        return found

    @property
    def sender_environment(self) -> dict[str, str]:
        """What a sender needs to know that delays single messages.

        Raises:
            ValueError: the queue is FIFO, which takes no such delay, and ``later`` is not given.
        """
        problem = checks.message_delay("A sender", Path(self.queue), None, fifo=self._fifo)
        if problem and not self.schedules:
            raise ValueError(f"{problem} Give delivery_delay, or later=Later().")
        longest = 0 if self._fifo else SQS_MAX_DELAY
        found = {"QUEUE_URL": self.queue.queue_url, "MESSAGE_DELAY_SECONDS": f"{longest}"}
        if self.schedules:
            found["SCHEDULE_REQUEST"] = self.schedules.schedule_request
        return found

    def grant_send_messages(self, grantee: iam.IGrantable) -> None:
        """Let ``grantee`` send messages, now, with a delay, and ``later`` if that is given.

        Raises:
            ValueError: it cannot be granted that.
        """
        to = grantee_here(self, grantee, (self.queue,))
        check_grantee(self, to)
        grant_send(self.queue, to)
        warn_of_fixed(to, Path(self.queue, "sending to "))
        if self.schedules:
            self.schedules.grant_schedule(grantee)

    def grant_consume_messages(self, grantee: iam.IGrantable) -> None:
        """Let a ``Worker`` receive messages, hide and delete them, and dead-letter refused ones.

        Raises:
            ValueError: a function consumes the queue, or the grantee cannot be granted that.
        """
        if not self._worker:
            raise ValueError(
                f"{self.node.path} has a function that consumes the queue, so a worker would take "
                "its messages. Give consumer=Worker(), or grant nothing."
            )
        to = grantee_here(self, grantee, (self.queue,))
        check_grantee(self, to)
        self.queue.grant(to, *CONSUMES)
        grant_send(self.dead_letter_queue, to)
        key, of_letters = keys.key_of(self.queue), keys.key_of(self.dead_letter_queue)
        if key and not (of_letters and keys.same(key, of_letters)):
            key.grant(to, "kms:Decrypt")
        warn_of_fixed(to, Path(self.queue, "receiving, hiding and deleting messages of "))


def _check_given(
    consumer: object, queue: object, backoff: object, later: object, alarms: object
) -> None:
    """Reject arguments of the wrong type."""
    expect("consumer", consumer, "IFunction", Consumer, Worker)
    expect("queue", queue, "IQueue", NewQueue)
    expect("backoff", backoff, Backoff)
    expect("later", later, Later, None)
    expect("alarms", alarms, Alarms)


def _patient(
    alarms: Alarms,
    queue: sqs.IQueue | NewQueue,
    backoff: Backoff,
    worker: Worker | None,
    function: Consumer | None,
) -> Alarms:
    """Return alarms that do not go off for a message that is hidden as it should be.

    SQS leaves out of the metric what a standard queue has handed over three times and more:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
    """
    if alarms.max_age is not None:
        return alarms
    if isinstance(queue, NewQueue):
        delay, kept = in_seconds(queue.delivery_delay), queue.retention
    else:
        delay, kept = delay_of(queue), retention_of(queue)
    worked = worker.longest.to_seconds() if worker else function and function.needed_visibility()
    age = WAITS + (delay or 0) + (worked or 0) + backoff.total(2)
    return replace(alarms, max_age=seconds(min(age, kept // 2 if kept else age)))


def _check_retries(
    queue: sqs.IQueue, backoff: Backoff, worker: Worker | None, function: Consumer | None
) -> None:
    """Reject retries that SQS rejects, or that a message does not live to see.

    Raises:
        ValueError: a delay that ends more than 12 hours after the receive, delays that take longer
            than the retention period, or several messages of a FIFO queue at a time.
    """
    batch = number(function.batch_size) if function else 1
    hidden = worker.longest.to_seconds() if worker else visibility_of(queue)
    kept, receives = retention_of(queue), receives_of(queue)
    if batch is not None:
        reject(checks.uses_up_receives(Path(queue), batch, fifo=queue.fifo))
    if hidden is None:
        return
    if function:  # a worker knows how long it has had a message
        reject(checks.backoff_beyond_visibility("longest", backoff.longest.to_seconds(), hidden))
    if kept is not None and receives is not None:
        waits = (delay_of(queue) or 0) + backoff.total(receives)
        reject(checks.expires_between_retries(Path(queue), receives, waits, hidden, kept))


def _on_in_flight(scope: Construct, alarms: Alarms, queue: sqs.IQueue) -> Any:
    """Go off when four fifths of the messages that may be in flight are.

    Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html
    """
    metric = queue.metric_approximate_number_of_messages_not_visible(
        period=seconds(MINUTE), statistic="Maximum"
    )
    most = SQS_IN_FLIGHT * 4 // 5
    return alarms.above(scope, "InFlightAlarm", metric, IN_FLIGHT, threshold=most)
