"""requester → SQS → responder → SQS → requester;  SQS ⇢ DLQ ⇢ alarm;  schedule → sweep → SQS"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..blocks.alarms import LONGEST_DEFAULT_AGE, Alarms, Runbook
from ..blocks.answers import AnswerQueues, check_times
from ..blocks.consumers import Consumer
from ..blocks.grants import check_grantee, grantee_here
from ..blocks.queues import (
    NewQueue,
    QueueWithDeadLetterQueue,
    grant_send,
    retention_of,
)
from ..blocks.sweeps import Sweep, run_by_schedule
from ..blocks.values import expect, known_seconds, seconds
from ..limits import SQS_MAX_RETENTION

if TYPE_CHECKING:
    from aws_cdk import Duration
    from aws_cdk import aws_events as events
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_sqs as sqs
    from constructs import Construct

__all__ = ["Alarms", "Consumer", "NewQueue", "RequestReply", "Sweep"]

A_MINUTE, HALF_AN_HOUR = seconds(60), seconds(1800)
CONSUMES = ("ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility")
SWEEP_FAILS = Runbook(
    means="The sweep fails, so answer queues of requesters that are gone are kept.",
    see="Read its log: a missing permission, too many queues for its timeout, or throttling.",
    fix="Fix the cause, then invoke the function by hand: it may run at any time.",
    verify="A run ends without an error.",
)
SWEEP_FINDS = Runbook(
    means="The sweep deleted answer queues whose requesters had ended without closing them.",
    see="Read the sweep's log for how many, and why the processes ended: out of memory, killed at "
    "the end of a deployment, or frozen, as a function is between its calls.",
    fix="Let requesters close() on SIGTERM. The queues are deleted, and callers were told with "
    "NoAnswerError.",
    verify="The next runs find none.",
)


class RequestReply(QueueWithDeadLetterQueue):
    """Call a responder behind a queue as if it were a function: requests wait, and are answered.

    A requester, such as ``client.Requester``, has an answer queue of its own, made when it starts
    and deleted when it ends; its calls share it. A request that nobody waits for any more is not
    worked on. Delivery is at least once, and the responder has one effect for each request id. What
    it refuses is answered with the reason, and moves to ``dead_letter_queue``; so does, without an
    answer, what fails ``max_receive_count`` times.

    Args:
        responder: Function or alias that answers, or with its settings, such as
            ``lambdas/request_reply/quotes.py``. It needs the variables of
            ``responder_environment``. None: a process that you run, with ``grant_respond()``.
        sweep: Deletes the answer queues of requesters that ended without closing them, such as
            ``lambdas/request_reply/sweep.py``. It needs those of ``sweep_environment``.
        queue: Your own queue of requests, or the settings of a new one.
        timeout: How long a requester waits for an answer. Default: 60 s.
        idle: How long after its requester's last heartbeat an answer queue is swept, 5 minutes or
            more. Default: 30 minutes.
        alarms: What the alarms do. ``max_age`` is by default ``timeout``, if that is shorter than
            it would be.

    Attributes:
        event_source_mapping: Queue to responder; None with a process.
        schedule: The rule that runs the sweep.

    Raises:
        ValueError: a configuration that would fail, lose requests, or answer too late; the message
            says what to change.
    """

    event_source_mapping: lambda_.EventSourceMapping | None = None
    schedule: events.Rule

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        responder: lambda_.IFunction | Consumer | None,
        sweep: Sweep,
        queue: sqs.IQueue | NewQueue = NewQueue(),
        timeout: Duration = A_MINUTE,
        idle: Duration = HALF_AN_HOUR,
        alarms: Alarms = Alarms(),
    ) -> None:
        expect("responder", responder, "IFunction", Consumer, None)
        expect("sweep", sweep, Sweep)
        expect("queue", queue, "IQueue", NewQueue)
        expect("alarms", alarms, Alarms)
        consumer = None if responder is None else Consumer.of(responder)
        waits, idle_for = known_seconds("timeout", timeout), known_seconds("idle", idle)
        alarms = _in_time(alarms.of_pattern(__name__), queue, waits)
        super().__init__(scope, construct_id, queue=queue, consumer=consumer, alarms=alarms)
        self._given: list[Any] = [consumer, queue, sweep]
        self._answers = AnswerQueues(self, self.queue, waits, idle_for)
        check_times(self.queue, consumer, waits)
        if consumer:
            self.event_source_mapping = self._consume(consumer, queue)
        self.schedule, on_sweep = run_by_schedule(self, sweep, alarms, SWEEP_FAILS, SWEEP_FINDS)
        self.alarms += on_sweep

    @property
    def answers(self) -> str:
        """What a requester needs to know of its answer queue, as JSON: its name, and attributes."""
        return self._answers.told_to_requesters

    @property
    def answers_prefix(self) -> str:
        """What the names of all answer queues begin with; nobody is answered elsewhere."""
        return self._answers.prefix

    @property
    def requester_environment(self) -> dict[str, str]:
        """The variables of ``Requester.of_environment()``."""
        return {"QUEUE_URL": self.queue.queue_url, "ANSWERS": self.answers}

    @property
    def responder_environment(self) -> dict[str, str]:
        """The variables that the responder needs: where its refusals go, and whom it may answer.

        Raises:
            ValueError: the queue is imported, so its dead-letter queue is not known.
        """
        letters = self.dead_letter_queue.queue_url
        told = {"DEAD_LETTER_QUEUE_URL": letters, "ANSWERS_URL": self._answers.url}
        return told if self.event_source_mapping else told | {"QUEUE_URL": self.queue.queue_url}

    @property
    def sweep_environment(self) -> dict[str, str]:
        """The variables that the sweep needs."""
        return self._answers.told_to_sweep

    def grant_request(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee``, a requester, send requests, and have answer queues.

        Raises:
            ValueError: it cannot be granted that.
        """
        to = self._grantee(grantee)
        grant_send(self.queue, to)
        return self._answers.grant_have(to)

    def grant_respond(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee``, the responder, answer: to queues that requesters make, and no others.

        A process may also receive requests, and dead-letter those that it refuses.

        Raises:
            ValueError: it cannot be granted that.
        """
        to = self._grantee(grantee)
        if not self.event_source_mapping:
            self.queue.grant(to, *(f"sqs:{verb}" for verb in CONSUMES))
            grant_send(self.dead_letter_queue, to)
        return self._answers.grant_answer(to)

    def grant_sweep(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee``, the sweep, find answer queues and delete them, and no others.

        Raises:
            ValueError: it cannot be granted that.
        """
        return self._answers.grant_sweep(self._grantee(grantee))

    def _grantee(self, grantee: iam.IGrantable) -> iam.IGrantable:
        to = grantee_here(self, grantee, self._given)
        check_grantee(self, to)
        return to


def _in_time(alarms: Alarms, queue: sqs.IQueue | NewQueue, waits: float) -> Alarms:
    """Return the alarms with an age at which a requester stops waiting, unless they have one."""
    if alarms.max_age is not None:
        return alarms
    kept = queue.retention if isinstance(queue, NewQueue) else retention_of(queue)
    age = min(waits, LONGEST_DEFAULT_AGE, (kept or SQS_MAX_RETENTION) // 2)
    return replace(alarms, max_age=seconds(age))
