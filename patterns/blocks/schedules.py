"""Scheduler → target;  Scheduler ⇢ DLQ ⇢ alarm: a group of schedules, and the role they run by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_cdk import Annotations, Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from constructs import Construct

from ..checks import reject
from ..checks import scheduler as checks
from ..checks import sqs as sqs_checks
from ..limits import SCHEDULER_MAX_AGE, SCHEDULER_NAME, SCHEDULER_RETRIES
from . import keys
from .alarms import MINUTE, Alarms, Runbook
from .findings import acknowledge_wildcards
from .grants import check_grantee, grantee_here, warn_of_fixed
from .names import name_known_before_creation
from .places import check_here, check_key_here
from .queues import ask_for_key, grant_send, queue_for_failures, resource_of
from .values import (
    Path,
    check_removal,
    child_of,
    expect,
    expect_fields,
    has,
    in_seconds,
    number,
    seconds,
    stack_of,
)

if TYPE_CHECKING:
    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_sqs as sqs

SCHEDULER = "scheduler.amazonaws.com"
MANAGES = [f"scheduler:{verb}Schedule" for verb in ("Create", "Get", "Update", "Delete")]


@dataclass(frozen=True)
class Retries:
    """How often, and for how long, Scheduler attempts to hand over a tick.

    Attributes:
        attempts: Retries, 0 to 185, with growing waits. Default: 185.
        max_event_age: How old a tick may grow before Scheduler drops it, 1 minute to 24 hours.
            Default: 24 hours.

    Raises:
        ValueError: a setting that Scheduler rejects.
    """

    attempts: int = SCHEDULER_RETRIES
    max_event_age: Duration | None = None

    def __post_init__(self) -> None:
        """Reject retries that Scheduler does not make.

        Source: https://docs.aws.amazon.com/scheduler/latest/APIReference/API_RetryPolicy.html
        """
        expect_fields(self, attempts=(int,), max_event_age=(Duration, None))
        reject(checks.retries(number(self.attempts), in_seconds(self.max_event_age)))

    @property
    def max_age(self) -> float:
        """The maximum age in seconds."""
        age = self.max_event_age
        return age.to_seconds() if age else SCHEDULER_MAX_AGE


class Schedules(Construct):
    """A group of schedules that all hand their ticks to one target.

    Attributes:
        schedule_group: The group of the schedules.
        role: The role by which Scheduler uses the target, for this group alone.
        dead_letter_queue: The ticks that Scheduler could not hand over.
    """

    schedule_group: scheduler.ScheduleGroup
    role: iam.Role
    dead_letter_queue: sqs.IQueue

    def _hand_over_to(
        self,
        target: lambda_.IFunction | sqs.IQueue,
        retries: Retries,
        dead_letter_queue: sqs.IQueue | None,
        encryption_key: kms.IKey | None,
        removal_policy: RemovalPolicy,
    ) -> None:
        check_removal(removal_policy)
        self._of, self._retries, self._key = target, retries, encryption_key
        self.schedule_group = scheduler.ScheduleGroup(
            self,
            "Group",
            schedule_group_name=name_known_before_creation(self, longest=SCHEDULER_NAME),
            removal_policy=removal_policy,
        )
        self.dead_letter_queue = dead_letter_queue or queue_for_failures(
            self,
            "DeadLetterQueue",
            reason="Ticks that Scheduler could not hand over wait here for a person.",
            encryption_key=encryption_key,
        )
        self.role = self._role()

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
                "Arn": self._target_arn,
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
        grantee = grantee_here(self, grantee, (self._of, self._key))
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

    def metric_dropped(self, **options: Any) -> cloudwatch.Metric:
        """Ticks that Scheduler dropped. ``options``: of the metric."""
        return self.schedule_group.metric_dropped(**options)

    def metric_target_errors(self, **options: Any) -> cloudwatch.Metric:
        """Attempts in which the target answered with an error. ``options``: of the metric."""
        return self.schedule_group.metric_target_errors(**options)

    def metric_dead_letters(self, **options: Any) -> cloudwatch.Metric:
        """Messages in ``dead_letter_queue``. ``options``: of the metric."""
        return self.dead_letter_queue.metric_approximate_number_of_messages_visible(**options)

    @property
    def _target_arn(self) -> str:
        target: Any = self._of
        return str(target.queue_arn if has(target, "queue_arn") else target.function_arn)

    def _role(self) -> iam.Role:
        """Make the role that Scheduler assumes for this group, and for no other.

        Source:
        https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html
        """
        stack, target = stack_of(self), self._of
        of_group = {
            "aws:SourceAccount": stack.account,
            "aws:SourceArn": self.schedule_group.schedule_group_arn,
        }
        principal = iam.ServicePrincipal(SCHEDULER, conditions={"StringEquals": of_group})
        role = iam.Role(self, "Role", assumed_by=principal)
        used = [self.dead_letter_queue]
        if has(target, "queue_arn"):
            grant_send(target, role)  # type: ignore[arg-type]
            used.append(target)  # type: ignore[arg-type]
        else:
            allow = iam.PolicyStatement(
                actions=["lambda:InvokeFunction"], resources=[self._target_arn]
            )
            role.add_to_policy(allow)
        grant_send(self.dead_letter_queue, role)
        of_queues = [key for queue in used if (key := queue.encryption_master_key)]
        if self._key and not any(keys.same(self._key, key) for key in of_queues):
            self._key.grant(role, "kms:Decrypt")
        return role


class QueueSchedules(Schedules):
    """Schedules, made by code, that send one message each to a queue, at any time in the future.

    Args:
        queue: Where the messages go. A FIFO queue must deduplicate by content: Scheduler gives no
            deduplication id.
        encryption_key: Customer managed key of the schedules' input and of the dead-letter queue.
            Default: keys of AWS.
        removal_policy: What becomes of the group, and of every message that is not due yet, when
            the construct is removed. Default: retain.
        alarms: What the alarms do.

    Attributes:
        alarms: On what Scheduler could not send.

    Raises:
        ValueError: a queue that is elsewhere, or that would reject every message.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        queue: sqs.IQueue,
        encryption_key: kms.IKey | None = None,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
        alarms: Alarms = Alarms(),
    ) -> None:
        super().__init__(scope, construct_id)
        check_given(self, "queue", queue, Retries(), None, encryption_key, alarms)
        if queue.fifo:
            _check_deduplication(self, queue)
        self._hand_over_to(queue, Retries(), None, encryption_key, removal_policy)
        self.alarms: list[cloudwatch.Alarm] = [
            *on_group(self, alarms, self.schedule_group),
            on_undelivered(self, alarms, self.dead_letter_queue, SENT_AGAIN),
        ]


def _check_deduplication(scope: Construct, queue: sqs.IQueue) -> None:
    """Reject a FIFO queue that takes no message of Scheduler; warn of one that is imported."""
    made = resource_of(queue)
    if made is None:
        Annotations.of(queue).add_warning_v2(
            "serverless-patterns:imported-fifo-queue-of-schedules",
            "This FIFO queue is imported, so it cannot be checked: it must deduplicate by "
            "content, since Scheduler gives no deduplication id.",
        )
        return
    by_content = made.content_based_deduplication is True
    fix = "Set content_based_deduplication on the queue"
    problem = sqs_checks.fifo_message(
        Path(scope), Path(queue), group=True, deduplication=False, by_content=by_content, fix=fix
    )
    reject(problem)


def check_given(
    scope: Construct,
    name: str,
    target: lambda_.IFunction | sqs.IQueue,
    retries: Retries,
    queue: sqs.IQueue | None,
    key: kms.IKey | None,
    alarms: Alarms,
) -> None:
    """Reject what Scheduler cannot use; warn of what is imported.

    Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html

    Args:
        scope: The construct that is given them.
        name: Of the target: ``function`` or ``queue``.
        target: What ticks are handed to.
        retries: Of Scheduler.
        queue: Its dead-letter queue; None for a new one.
        key: The customer managed key, if any.
        alarms: What alarms do.

    Raises:
        ValueError: an argument of a wrong type; a target or a queue of another account or Region,
            a FIFO dead-letter queue, or a key that encrypts nothing.
    """
    expect(name, target, f"I{name.title()}")
    expect("retries", retries, Retries)
    expect("dead_letter_queue", queue, "IQueue", None)
    expect("encryption_key", key, "IKey", None)
    expect("alarms", alarms, Alarms)
    reason = "its alarms and its role belong there. Make this construct in that account and Region."
    check_here(scope, Path(target, f"{name} "), target, reason)
    keys.check_key("encryption_key", key)
    check_key_here(scope, key)
    if queue is None:
        return
    reject(checks.dead_letter_queue(Path(scope), fifo=bool(queue.fifo)))
    check_here(scope, Path(queue, "dead_letter_queue "), queue, reason)
    keys.check_key_of(queue)
    if child_of(queue) is None:
        Annotations.of(queue).add_warning_v2(
            "serverless-patterns:imported-queue-of-schedules",
            "This queue is imported, so it cannot be checked: it must be a standard queue, and "
            f"ticks that Scheduler could not hand over are lost after its retention period."
            f"{ask_for_key(queue)}",
        )


# Alarms

SENT_AGAIN = "Fix the cause, then send the MessageBody of each to the queue again."
# By metric: after how many minutes in a row it goes off, and what to do then.
ON_GROUP = {
    "InvocationDroppedCount": (1, Runbook(
        "Scheduler dropped ticks after its retries. They are in the dead-letter queue, or LOST.",
        "Compare InvocationsSentToDeadLetterCount: the dead-letter queue has that many of them.",
        "Follow the runbook of UndeliveredAlarm.",
        "InvocationDroppedCount stays at 0.",
    )),
    "InvocationsFailedToBeSentToDeadLetterCount": (1, Runbook(
        "Ticks are LOST: Scheduler could hand them neither to the target nor to the dead-letter "
        "queue.",
        "Look at the schedules' role, at the queue, its policy and key; AWS CloudTrail shows who "
        "changed them.",
        "Fix what blocks the delivery, then hand the ticks of that time to the target.",
        "InvocationsFailedToBeSentToDeadLetterCount stays at 0.",
    )),
    "TargetErrorCount": (3, Runbook(
        "The target answers Scheduler with errors. Scheduler retries, then drops the tick.",
        "Read ERROR_CODE of a dead letter; without one, AWS CloudTrail shows who changed the role "
        "or the target.",
        "Allow the role to use the target, or bring the target back.",
        "TargetErrorCount falls to 0.",
    )),
    "TargetErrorThrottledCount": (5, Runbook(
        "The target throttles Scheduler: too many ticks in the same minute. They come late.",
        "Compare the schedules of that minute with the account's quota of the target's requests.",
        "Spread the ticks over several minutes, or raise the quota.",
        "TargetErrorThrottledCount falls to 0.",
    )),
}  # fmt: skip


def on_group(
    scope: Construct, alarms: Alarms, group: scheduler.ScheduleGroup
) -> list[cloudwatch.Alarm]:
    """Make the alarms on a group of schedules.

    Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/monitoring-cloudwatch.html
    """

    def metric(name: str) -> cloudwatch.Metric:
        return group.metric(name, statistic="Sum", period=seconds(MINUTE))

    rows = [(f"{n}Alarm", metric(n), book, 0.0, minutes) for n, (minutes, book) in ON_GROUP.items()]
    return alarms.each(scope, rows)


def on_undelivered(
    scope: Construct, alarms: Alarms, queue: sqs.IQueue, again: str
) -> cloudwatch.Alarm:
    """Make the alarm on the ticks that Scheduler could not hand over.

    ``again``: how they are handed over again, a sentence.
    """
    runbook = Runbook(
        "Scheduler could not hand ticks to the target; each is stored in the dead-letter queue.",
        "Read the attributes of a message: ERROR_CODE and ERROR_MESSAGE say why, SCHEDULE_ARN and "
        "SCHEDULED_TIME which tick it is.",
        f"{again} It is most often the role, the target's quota, or a target that is gone. The "
        "redrive of Amazon SQS does not work for this queue.",
        "The dead-letter queue is empty, and stays empty while schedules run.",
    )
    return alarms.on_messages(scope, "UndeliveredAlarm", queue, runbook)
