"""Scheduler → Lambda;  Scheduler ⇢ DLQ ⇢ alarm;  Lambda ⇢ failure queue ⇢ alarm"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from constructs import Construct

from ..blocks import keys
from ..blocks.alarms import Alarms
from ..blocks.failures import keep_failures
from ..blocks.findings import acknowledge_wildcards
from ..blocks.grants import check_grantee, grantee_here, warn_of_fixed
from ..blocks.names import name_known_before_creation
from ..blocks.queues import grant_send, queue_for_failures
from ..blocks.values import check_removal, stack_of
from .rules import (
    Retries,
    check_given,
    check_period,
    check_time,
    check_words,
    expression_of,
    on_group,
    on_undelivered,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_sqs as sqs

__all__ = ["Alarms", "Retries", "SchedulerToLambda"]

SCHEDULER = "scheduler.amazonaws.com"
LONGEST_PATH = 27  # so that the name of the group has at most 64 characters
# https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
TICK = {
    "schedule": "<aws.scheduler.schedule-arn>",
    "scheduled_at": "<aws.scheduler.scheduled-time>",
    "execution": "<aws.scheduler.execution-id>",
    "attempt": "<aws.scheduler.attempt-number>",
}
MANAGES = [f"scheduler:{verb}Schedule" for verb in ("Create", "Get", "Update", "Delete")]


class SchedulerToLambda(Construct):
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
        check_removal(removal_policy)
        check_given(self, function, retries, dead_letter_queue, encryption_key, alarms)
        alarms = alarms.of_pattern(__name__)
        self.function, self._retries, self._key = function, retries, encryption_key

        self.schedule_group = scheduler.ScheduleGroup(
            self,
            "Group",
            schedule_group_name=name_known_before_creation(self, longest_path=LONGEST_PATH),
            removal_policy=removal_policy,
        )
        self.dead_letter_queue = dead_letter_queue or queue_for_failures(
            self,
            "DeadLetterQueue",
            reason="Ticks that Scheduler could not hand over wait here for a person.",
            encryption_key=encryption_key,
        )
        self.role = self._role()
        self._failures, of_function = keep_failures(self, function, encryption_key, alarms)
        self.alarms: list[cloudwatch.Alarm] = [
            *on_group(self, alarms, self.schedule_group),
            on_undelivered(self, alarms, self.dead_letter_queue),
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
            ValueError: a time that there is not, or not once; an unknown expression or time zone;
                a period that holds no time; an input or a description that is too long.
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
    def schedule_request(self) -> str:
        """What ``CreateSchedule`` needs besides name, expression and input; JSON.

        For the environment of code that was granted ``grant_schedule()``. Such a schedule runs
        once, and is deleted afterwards.

        Source: https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html
        """
        key = {"KmsKeyArn": self._key.key_arn} if self._key else {}
        request = {
            "GroupName": self.schedule_group.schedule_group_name,
            "ActionAfterCompletion": "DELETE",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {
                "Arn": self.function.function_arn,
                "RoleArn": self.role.role_arn,
                "DeadLetterConfig": {"Arn": self.dead_letter_queue.queue_arn},
                "RetryPolicy": {
                    "MaximumRetryAttempts": self._retries.attempts,
                    "MaximumEventAgeInSeconds": self._retries.max_age,
                },
            },
        }
        return str(stack_of(self).to_json_string(request | key))

    def grant_schedule(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` create, read, change and delete schedules of this group.

        The schedules that it makes can run with ``role`` only.

        Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/security_iam_id-based-policies.html

        Raises:
            ValueError: it is no role, user or function with a role of this account.
        """
        grantee = grantee_here(self, grantee, (self.function, self._key))
        check_grantee(self, grantee)
        stack, group = stack_of(self), self.schedule_group.schedule_group_name
        schedules = stack.format_arn(
            service="scheduler", resource="schedule", resource_name=f"{group}/*"
        )
        add = iam.Grant.add_to_principal
        grant = add(grantee=grantee, actions=MANAGES, resource_arns=[schedules])
        passed = {"StringEquals": {"iam:PassedToService": SCHEDULER}}
        grant = grant.combine(
            add(
                grantee=grantee,
                actions=["iam:PassRole"],
                resource_arns=[self.role.role_arn],
                conditions=passed,
            )
        )
        if self._key:
            via = f"scheduler.{stack.region}.{stack.url_suffix}"
            context = {"kms:EncryptionContext:aws:scheduler:schedule:arn": schedules}
            grant = grant.combine(
                add(
                    grantee=grantee,
                    actions=["kms:DescribeKey", "kms:GenerateDataKey", "kms:Decrypt"],
                    resource_arns=[self._key.key_arn],
                    conditions={"StringLike": {"kms:ViaService": via} | context},
                )
            )
        role: Any = grantee.grant_principal
        if hasattr(role, "node"):
            reason = "Code makes up the names of its schedules; the group is this construct's own."
            acknowledge_wildcards(role, reason, schedules)
        warn_of_fixed(grantee, "scheduler:CreateSchedule in the group, and iam:PassRole")
        return grant

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

    def metric_dropped(self, **options: Any) -> cloudwatch.Metric:
        """Ticks that Scheduler gave up. ``options``: of the metric."""
        return self.schedule_group.metric_dropped(**options)

    def metric_target_errors(self, **options: Any) -> cloudwatch.Metric:
        """Attempts in which Lambda answered with an error. ``options``: of the metric."""
        return self.schedule_group.metric_target_errors(**options)

    def metric_dead_letters(self, **options: Any) -> cloudwatch.Metric:
        """Messages in ``dead_letter_queue``. ``options``: of the metric."""
        return self.dead_letter_queue.metric_approximate_number_of_messages_visible(**options)

    def _role(self) -> iam.Role:
        """Make the role that Scheduler assumes for this group, and for no other.

        Source:
        https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html
        """
        stack = stack_of(self)
        of_group = {
            "aws:SourceAccount": stack.account,
            "aws:SourceArn": self.schedule_group.schedule_group_arn,
        }
        principal = iam.ServicePrincipal(SCHEDULER, conditions={"StringEquals": of_group})
        role = iam.Role(self, "Role", assumed_by=principal)
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["lambda:InvokeFunction"], resources=[self.function.function_arn]
            )
        )
        grant_send(self.dead_letter_queue, role)
        of_queue = self.dead_letter_queue.encryption_master_key
        if self._key and not (of_queue and keys.same(self._key, of_queue)):
            self._key.grant(role, "kms:Decrypt")
        return role

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
