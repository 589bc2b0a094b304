"""Scheduler → Lambda;  Scheduler ⇢ DLQ ⇢ alarm;  Lambda ⇢ failure queue ⇢ alarm"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import RemovalPolicy
from aws_cdk import aws_scheduler as scheduler

from ..blocks.alarms import Alarms
from ..blocks.failures import AGAIN, keep_failures
from ..blocks.schedules import Retries, Schedules, check_given, on_group, on_undelivered
from ..blocks.values import stack_of
from .rules import check_period, check_time, check_words, expression_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_sqs as sqs
    from constructs import Construct

__all__ = ["Alarms", "Retries", "SchedulerToLambda"]

# https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
TICK = {
    "schedule": "<aws.scheduler.schedule-arn>",
    "scheduled_at": "<aws.scheduler.scheduled-time>",
    "execution": "<aws.scheduler.execution-id>",
    "attempt": "<aws.scheduler.attempt-number>",
}


class SchedulerToLambda(Schedules):
    """Run a function at a time: once, at a rate, or by the calendar of a time zone.

    ``add_schedule()`` makes a schedule in the template; ``grant_schedule()`` lets code make
    one-time schedules while it runs, such as a reminder for each order. All of them are in a group
    of their own. Scheduler hands a tick to Lambda asynchronously. What it cannot hand over, after
    its retries, moves to ``dead_letter_queue``; a tick that fails in the function, after the two
    retries of Lambda, becomes a record in ``failure_queue``. Delivery is at least once, so
    ``function`` must be idempotent: schedule and scheduled time name a tick.

    Args:
        function: Function, alias or version to run. You own its code.
        retries: How often, and for how long, Scheduler attempts to hand over a tick.
        dead_letter_queue: Your own standard queue. Default: a new one.
        encryption_key: Customer managed key of the schedules' input and of the new queues.
            Default: keys of AWS.
        removal_policy: What becomes of the group, and of every schedule that code has made, when
            the construct is removed. Default: retain.
        alarms: What the alarms do.

    Attributes:
        function: The function that was given.
        schedule_group: The group of the schedules.
        role: The role by which Scheduler runs the function, for this group alone.
        dead_letter_queue: The ticks that Scheduler could not hand over.
        alarms: Every alarm of the pattern.

    Raises:
        ValueError: a configuration that would fail or lose events; the message says what to change.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        function: lambda_.IFunction,
        retries: Retries = Retries(),
        dead_letter_queue: sqs.IQueue | None = None,
        encryption_key: kms.IKey | None = None,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
        alarms: Alarms = Alarms(),
    ) -> None:
        super().__init__(scope, construct_id)
        own, key = dead_letter_queue, encryption_key
        check_given(self, "function", function, retries, own, key, alarms)
        alarms = alarms.of_pattern(__name__)
        self.function = function
        self._hand_over_to(function, retries, own, key, removal_policy)
        self._failures, of_function = keep_failures(self, function, encryption_key, alarms)
        self.alarms: list[cloudwatch.Alarm] = [
            *on_group(self, alarms, self.schedule_group),
            on_undelivered(self, alarms, self.dead_letter_queue, AGAIN),
            *of_function,
        ]

    def add_schedule(
        self,
        construct_id: str,
        schedule: scheduler.ScheduleExpression | datetime,
        *,
        input: Mapping[str, Any] | None = None,  # noqa: A002 - AWS's word
        time_window: scheduler.TimeWindow | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        enabled: bool = True,
        description: str | None = None,
    ) -> scheduler.CfnSchedule:
        """Make a schedule in the template; it runs within the minute, or within its time window.

        The function gets ``schedule``, ``scheduled_at``, ``execution``, ``attempt`` and your
        ``input``. A one-time schedule stays after it has run, until you remove it: CloudFormation
        must find what it has made.

        Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html

        Args:
            construct_id: Its id, below this construct.
            schedule: Such as ``ScheduleExpression.cron(hour="6", minute="0",
                time_zone=TimeZone.EUROPE_BERLIN)``; or a ``datetime`` with a time zone, to run
                once. (``ScheduleExpression.at()`` names the UTC time of a ``datetime``, and calls
                it the local one.)
            input: What the function gets as ``input``; JSON. Default: an empty object.
            time_window: ``TimeWindow.flexible(Duration.minutes(15))`` runs at any time in the 15
                minutes after each scheduled time. Default: off.
            start: From when a recurring schedule runs, with a time zone. Default: at once.
            end: Until when a recurring schedule runs, with a time zone. Default: forever.
            enabled: Whether it runs. Default: True.
            description: For people. Default: none.

        Raises:
            ValueError: a local time that does not exist, or comes twice; an unknown expression or
                time zone; a period that holds no time; an input or a description that is too long.
        """
        text, zone = expression_of(construct_id, schedule)
        check_time(self, construct_id, text, zone)
        check_period(construct_id, text, time_window, start, end)
        check_words(construct_id, input, description, enabled)
        part = scheduler.CfnSchedule
        window = time_window or scheduler.TimeWindow.off()
        made = part(
            self,
            construct_id,
            group_name=self.schedule_group.schedule_group_name,
            schedule_expression=text,
            schedule_expression_timezone=zone,
            flexible_time_window=part.FlexibleTimeWindowProperty(
                mode=window.mode,
                maximum_window_in_minutes=(
                    window.max_window.to_minutes() if window.max_window else None
                ),
            ),
            start_date=start.isoformat() if start else None,
            end_date=end.isoformat() if end else None,
            state="ENABLED" if enabled else "DISABLED",
            description=description,
            kms_key_arn=self._key and self._key.key_arn,
            target=self._target(stack_of(self).to_json_string(TICK | {"input": input or {}})),
        )
        # The group's name is known before the group is there, and a role before its policy.
        made.node.add_dependency(self.schedule_group, self.role)
        return made

    @property
    def failure_queue(self) -> sqs.IQueue:
        """The queue with the records of ticks that failed in the function.

        Raises:
            ValueError: ``AsyncLambda`` was given the function before, and has that queue.
        """
        if self._failures is None:
            raise ValueError(
                "AsyncLambda was given the function before, so its failures are kept there. Use "
                "the failure_queue of that construct."
            )
        return self._failures

    def _target(self, given: str) -> scheduler.CfnSchedule.TargetProperty:
        part, retries = scheduler.CfnSchedule, self._retries
        return part.TargetProperty(
            arn=self.function.function_arn,
            role_arn=self.role.role_arn,
            input=given,
            dead_letter_config=part.DeadLetterConfigProperty(arn=self.dead_letter_queue.queue_arn),
            retry_policy=part.RetryPolicyProperty(
                maximum_retry_attempts=retries.attempts,
                maximum_event_age_in_seconds=retries.max_age,
            ),
        )
