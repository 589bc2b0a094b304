"""SQS → Lambda;  SQS ⇢ DLQ ⇢ alarms;  schedule → Lambda: DLQ → SQS, each message once"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_cdk import Duration
from constructs import Construct

from ..blocks import keys
from ..blocks.alarms import MINUTE, Alarms, Runbook
from ..blocks.consumers import Consumer, check_may_run
from ..blocks.grants import grantee_here, warn_of_fixed
from ..blocks.queues import (
    NewQueue,
    QueueWithDeadLetterQueue,
    SqsToLambda,
    grant_send,
    retention_of,
)
from ..blocks.sweeps import check_rate, rule_of
from ..blocks.values import Path, expect, expect_fields, in_seconds, seconds
from ..checks import reject
from ..checks import sqs as checks
from ..limits import SQS_DEFAULT_RETENTION, SQS_MAX_RETENTION

if TYPE_CHECKING:
    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_events as events
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_sqs as sqs

__all__ = ["Alarms", "Consumer", "NewQueue", "RedrivenQueue", "Redriver"]

LONGEST_DEFAULT_WARNING = 2 * 86_400
EVERY = Duration.hours(1)
# What the redriver does with a dead-letter queue, and what the command does besides.
MOVE = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility")
BY_A_PERSON = (
    "sqs:GetQueueAttributes",
    "sqs:GetQueueUrl",
    "sqs:ListDeadLetterSourceQueues",
    "sqs:StartMessageMoveTask",
    "sqs:ListMessageMoveTasks",
    "sqs:CancelMessageMoveTask",
)
EXPIRING = Runbook(
    means="Dead letters are about to be LOST: SQS deletes them when the retention period of the "
    "dead-letter queue is over. In a standard queue it began when the message was first sent.",
    see="Run `python -m serverless_patterns.redrive inspect` with the dead-letter queue: it says "
    "why and how old each is.",
    fix="Fix the cause, then run `python -m serverless_patterns.redrive run`: what is redriven "
    "has a new retention period. To gain time, redrive to another queue with --to.",
    verify="ApproximateAgeOfOldestMessage of the dead-letter queue falls.",
)
REDRIVER_FAILS = Runbook(
    means="The redriver fails, so dead letters of an outage wait for a person.",
    see="Read its log: most often a missing permission.",
    fix="Fix the cause; the next run does the rest. Or run `python -m serverless_patterns.redrive "
    "run`.",
    verify="A run ends without an error.",
)


@dataclass(frozen=True)
class Redriver:
    """A function that moves dead letters back to their queue, each once, after an outage.

    Attributes:
        function: Your function. It gets ``dead_letter_queue_url`` and ``queue_url``; it may serve
            several queues. ``lambdas/dlq_redrive/redriver.py`` is one.
        every: How often it runs, in whole minutes. Default: every hour.

    Raises:
        ValueError: a value of the wrong type, or a rate that EventBridge does not know.
    """

    function: lambda_.IFunction
    every: Duration = EVERY

    def __post_init__(self) -> None:
        """Reject what cannot run."""
        expect_fields(self, function=("IFunction",), every=(Duration,))
        check_rate("every", self.every)


class RedrivenQueue(Construct):
    """A queue whose dead letters are looked after: none expires unseen, none is redriven forever.

    Messages that fail ``max_receive_count`` times move to ``dead_letter_queue``. One alarm goes off
    at once, another before SQS deletes them. A person redrives them with ``python -m
    serverless_patterns.redrive``; a ``redriver`` does it by itself, for each message once, so that
    an outage heals and poison stays. Delivery is at least once; a message that is redriven has a
    new id, and arrives behind newer ones.

    Args:
        queue: Your own queue, or the settings of a new one.
        consumer: Function or alias that processes the messages, or with its settings. Default:
            somebody else.
        redriver: Function that moves dead letters back, or with its settings. Default: a person.
        warning: How long before the first dead letter expires the alarm goes off. Default: 2 days,
            or half of how long one is kept at least, if less.
        alarms: What the alarms do.

    Attributes:
        source: The queue with its dead-letter queue, and the consumer.
        schedule: The rule that runs the redriver; None without one.
        alarms: Those of the source, on dead letters that expire, and of the redriver.

    Raises:
        ValueError: a configuration that would fail or lose events; the message says what to change.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        queue: sqs.IQueue | NewQueue = NewQueue(),
        consumer: lambda_.IFunction | Consumer | None = None,
        redriver: lambda_.IFunction | Redriver | None = None,
        warning: Duration | None = None,
        alarms: Alarms = Alarms(),
    ) -> None:
        expect("redriver", redriver, "IFunction", Redriver, None)
        expect("warning", warning, Duration, None)
        expect("alarms", alarms, Alarms)
        super().__init__(scope, construct_id)
        alarms = alarms.of_pattern(__name__)
        self.source: QueueWithDeadLetterQueue
        if consumer is None:
            self.source = QueueWithDeadLetterQueue(self, "Source", queue=queue, alarms=alarms)
        else:
            self.source = SqsToLambda(self, "Source", queue=queue, consumer=consumer, alarms=alarms)
        self._given = (queue, consumer)
        self.alarms: list[cloudwatch.Alarm] = [*self.source.alarms]
        if self.source.alarms:  # those of a queue elsewhere belong there
            self.alarms += self._before_they_expire(warning, alarms)
        self.schedule = self._redrive(redriver, alarms) if redriver else None

    @property
    def queue(self) -> sqs.IQueue:
        """The queue."""
        return self.source.queue

    @property
    def dead_letter_queue(self) -> sqs.IQueue:
        """The queue with the messages that could not be processed.

        Raises:
            ValueError: the queue is imported, so its dead-letter queue is not known here.
        """
        return self.source.dead_letter_queue

    def _before_they_expire(
        self, warning: Duration | None, alarms: Alarms
    ) -> list[cloudwatch.Alarm]:
        """Go off on a dead letter that expires soon, whenever it was sent.

        The metric counts from the move to the dead-letter queue, and a standard queue's retention
        from the first send: a message that spent a day in a queue is deleted after three in a
        dead-letter queue that keeps four.

        Source:
        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/setting-up-dead-letter-queue-retention.html
        """
        letters = self.source._dead_letter_queue
        if letters is None:  # imported
            return []
        kept, before = retention_of(letters), 0 if self.queue.fifo else retention_of(self.queue)
        if kept is None or before is None:  # only deployment knows
            kept, before = SQS_MAX_RETENTION, SQS_DEFAULT_RETENTION
        left, early = kept - before, in_seconds(warning)
        if early is None:
            early = min(LONGEST_DEFAULT_WARNING, left // 2)
        reject(
            checks.warning_before_expiry(Path(self.queue), left, early),
            checks.alarm_after_dead_letters(Path(self.queue), left - early, left),
        )
        age = letters.metric_approximate_age_of_oldest_message(
            period=seconds(MINUTE), statistic="Maximum"
        )
        return [alarms.above(self, "ExpiringAlarm", age, EXPIRING, threshold=left - early)]

    def _redrive(self, redriver: lambda_.IFunction | Redriver, alarms: Alarms) -> events.Rule:
        redriver = redriver if isinstance(redriver, Redriver) else Redriver(redriver)
        function = redriver.function
        check_may_run("The redriver", function, "no dead letter would be redriven")
        self._grant_moving(function)
        urls = {
            "dead_letter_queue_url": self.dead_letter_queue.queue_url,
            "queue_url": self.queue.queue_url,
        }
        rule = rule_of(self, function, redriver.every, id="Redriver", input=json.dumps(urls))
        errors = function.metric_errors(period=seconds(MINUTE), statistic="Sum")
        self.alarms.append(alarms.above(self, "RedriverErrorsAlarm", errors, REDRIVER_FAILS))
        return rule

    def grant_redrive(self, grantee: iam.IGrantable) -> None:
        """Let ``grantee`` look into the dead-letter queue, and redrive it to the queue.

        Raises:
            ValueError: ``grantee`` cannot be granted it.
        """
        self._grant_moving(grantee, BY_A_PERSON)

    def grant_send_messages(self, grantee: iam.IGrantable) -> None:
        """Let ``grantee`` send to the queue.

        Raises:
            ValueError: ``grantee`` cannot be granted it.
        """
        grant_send(self.queue, grantee_here(self, grantee, self._given))

    def metric_dead_letters(self, **options: Any) -> cloudwatch.Metric:
        """Messages in the dead-letter queue. ``options``: of the metric."""
        return self.source.metric_dead_letters(**options)

    def metric_approximate_age_of_oldest_dead_letter(self, **options: Any) -> cloudwatch.Metric:
        """Seconds since the oldest was dead-lettered. ``options``: of the metric."""
        return self.dead_letter_queue.metric_approximate_age_of_oldest_message(**options)

    def _grant_moving(self, grantee: iam.IGrantable, more: tuple[str, ...] = ()) -> None:
        grantee = grantee_here(self, grantee, self._given)
        letters = self.dead_letter_queue
        letters.grant(grantee, *MOVE, *more)
        grant_send(self.queue, grantee)
        if key := keys.key_of(letters):
            key.grant(grantee, "kms:Decrypt")
        warn_of_fixed(grantee, Path(letters))
