"""Alarms that tell somebody before an event is lost, each with the runbook that fixes it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

from aws_cdk import Annotations, Duration, FeatureFlags, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam

from ..checks import kms as kms_checks
from ..checks import reject
from ..checks import sns as sns_checks
from ..checks import sqs as sqs_checks
from ..limits import CLOUDWATCH_ALARM_ACTIONS
from . import keys
from .grants import service_principal
from .partitions import check_partition
from .places import check_environment
from .values import (
    Path,
    expect,
    expect_fields,
    in_seconds,
    is_token,
    made_in,
    place_of,
    resource_behind,
    seconds,
    stack_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_sqs as sqs
    from constructs import Construct, IConstruct

    # The id of an alarm, its metric and runbook, its threshold, and its periods in a row.
    Row = tuple[str, cloudwatch.Metric, "Runbook", float, int]

CLOUDWATCH = "cloudwatch.amazonaws.com"
SEVERAL_ALARMS = "@aws-cdk/aws-cloudwatch-actions:changeLambdaPermissionLogicalIdForLambdaAction"
# The keys that CloudWatch may use already.
_ALLOWED: WeakSet[kms.IKey] = WeakSet()
# The actions that alarms of a stack may do: a check asks the kernel for much.
_CHECKED: WeakKeyDictionary[Stack, WeakSet[cloudwatch.IAlarmAction]] = WeakKeyDictionary()
LONGEST_DEFAULT_AGE = 900
MINUTE = 60


@dataclass(frozen=True)
class Alarms:
    """What the alarms of a construct do, and when they go off.

    Attributes:
        actions: What every alarm does, such as publish to a topic. Default: nothing.
        max_age: Age of a waiting event from which an alarm goes off. Default: 15 minutes,
            or half of the time that the event is kept if that is shorter.
        runbook_url: Page with an entry for each alarm. Default: the page of the pattern, as a path
            in this repository, in a copy of it, and in the installed package
            ``serverless_patterns``; none, outside a pattern.

    Raises:
        ValueError: an alarm is made with an action that CloudWatch could not carry out.
    """

    actions: Sequence[cloudwatch.IAlarmAction] = ()
    max_age: Duration | None = None
    runbook_url: str | None = None

    def __post_init__(self) -> None:
        """Reject what is no action, no duration or no page, and more actions than an alarm takes.

        Source:
        https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
        """
        expect("actions", self.actions, list, tuple)
        for action in self.actions:
            expect("actions", action, "IAlarmAction")
        if len(self.actions) > CLOUDWATCH_ALARM_ACTIONS:
            raise ValueError(
                f"actions has {len(self.actions)}; an alarm takes {CLOUDWATCH_ALARM_ACTIONS} at "
                "most. Publish to a topic, and subscribe the others to it."
            )
        expect_fields(self, max_age=(Duration, None), runbook_url=(str, None))

    @property
    def topics(self) -> list[IConstruct]:
        """The topics of this app that the actions publish to."""
        topics = [action for action in self.actions if type(action).__name__ == "SnsAction"]
        if not topics:
            return []
        # An action asks nothing of the alarm that it is bound to.
        scope = Stack()
        alarm = cloudwatch.Alarm.from_alarm_arn(scope, "Alarm", "arn:aws:cloudwatch:::alarm:any")
        arns = (action.bind(scope, alarm).alarm_action_arn for action in topics)
        return [found.node.scope for arn in arns if (found := resource_behind(arn))]

    def of_pattern(self, module: str) -> Alarms:
        """Return the same with the page of the pattern that a module, ``__name__``, is of."""
        if self.runbook_url is not None:
            return self
        return replace(self, runbook_url=f"patterns/{module.split('.')[-2]}/README.md")

    def above(
        self,
        scope: Construct,
        construct_id: str,
        metric: cloudwatch.IMetric,
        runbook: Runbook,
        *,
        threshold: float = 0,
        evaluation_periods: int = 1,
        datapoints: int | None = None,
    ) -> cloudwatch.Alarm:
        """Make an alarm that goes off while ``metric`` is above ``threshold``; no data is no alarm.

        Args:
            scope: Where the alarm is made.
            construct_id: Its id there, which is also its entry's heading on the runbook's page.
            metric: With its period and statistic.
            runbook: The alarm's description.
            threshold: The highest value that is still good. Default: 0.
            evaluation_periods: Periods in a row. Default: 1.
            datapoints: In so many of them. Default: all.

        Raises:
            ValueError: an action that CloudWatch could not carry out.
        """
        return self._alarm(
            scope,
            construct_id,
            runbook,
            metric=metric,
            threshold=threshold,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=evaluation_periods,
            datapoints_to_alarm=datapoints,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )

    def silent(
        self,
        scope: Construct,
        construct_id: str,
        metric: cloudwatch.IMetric,
        runbook: Runbook,
        *,
        evaluation_periods: int,
    ) -> cloudwatch.Alarm:
        """Make an alarm that goes off when ``metric`` is 0, or has no data, for so many periods.

        See ``above``.
        """
        return self._alarm(
            scope,
            construct_id,
            runbook,
            metric=metric,
            threshold=1,
            comparison_operator=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
            evaluation_periods=evaluation_periods,
            treat_missing_data=cloudwatch.TreatMissingData.BREACHING,
        )

    def _alarm(
        self, scope: Construct, construct_id: str, runbook: Runbook, **settings: Any
    ) -> cloudwatch.Alarm:
        description = runbook.text(self.runbook_url, construct_id)
        alarm = cloudwatch.Alarm(scope, construct_id, alarm_description=description, **settings)
        if self.actions:
            made_in(scope, alarm)
            checked = _CHECKED.setdefault(stack_of(scope), WeakSet())
            for action in self.actions:
                if action not in checked:
                    _check_action(action, alarm)
                    checked.add(action)
            alarm.add_alarm_action(*self.actions)
        return alarm

    def each(self, scope: Construct, rows: Iterable[Row]) -> list[cloudwatch.Alarm]:
        """Make an alarm for each row, as ``above`` does."""
        return [
            self.above(
                scope, name, metric, runbook, threshold=threshold, evaluation_periods=periods
            )
            for name, metric, runbook, threshold, periods in rows
        ]

    def on_messages(
        self, scope: Construct, construct_id: str, queue: sqs.IQueue, runbook: Runbook
    ) -> cloudwatch.Alarm:
        """Go off while a queue for failed events holds any (CloudWatch user guide).

        Source:
        https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Best_Practice_Recommended_Alarms_AWS_Services.html
        """
        metric = queue.metric_approximate_number_of_messages_visible(
            period=seconds(MINUTE), statistic="Maximum"
        )
        return self.above(scope, construct_id, metric, runbook)

    def on_oldest_message(
        self, scope: Construct, construct_id: str, queue: sqs.IQueue, kept: float | None
    ) -> cloudwatch.Alarm:
        """Go off when the oldest message has waited longer than ``max_age`` for 15 minutes.

        Source:
        https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Best_Practice_Recommended_Alarms_AWS_Services.html

        Args:
            scope: Where the alarm is made.
            construct_id: Its id there.
            queue: Whose messages.
            kept: The queue's retention period in seconds; None when only deployment knows.

        Raises:
            ValueError: messages would be gone before the alarm goes off.
        """
        age = in_seconds(self.max_age)
        if age is not None and kept is not None:
            reject(sqs_checks.alarm_after_retention(Path(queue), age, kept))
        metric = queue.metric_approximate_age_of_oldest_message(
            period=seconds(MINUTE), statistic="Maximum"
        )
        return self.above(
            scope,
            construct_id,
            metric,
            OLDEST_MESSAGE,
            threshold=self.age_or_half_of(kept),
            evaluation_periods=15,
        )

    def age_or_half_of(self, kept: float | None) -> float:
        """Return ``max_age`` in seconds; by default 15 minutes, or half of what is kept if less."""
        if self.max_age is not None:
            return self.max_age.to_seconds()
        return min(LONGEST_DEFAULT_AGE, kept // 2) if kept else LONGEST_DEFAULT_AGE


@dataclass(frozen=True)
class Runbook:
    """What an alarm says to the person on call.

    Attributes:
        means: What has happened, and what is at stake.
        see: How to see it.
        fix: How to fix it.
        verify: How to know that it is fixed.
    """

    means: str
    see: str
    fix: str
    verify: str

    def text(self, page: str | None, alarm: str) -> str:
        """Return the alarm's description, with the link to its entry if there is a page."""
        lines = [self.means, f"See: {self.see}", f"Fix: {self.fix}", f"Verify: {self.verify}"]
        if page is not None:
            lines.append(f"Runbook: {page}#{alarm.lower()}")
        return "\n".join(lines)


DEAD_LETTERS = Runbook(
    means="Messages could not be processed; each is stored in the dead-letter queue.",
    see="Read a message of the dead-letter queue: its Reason attribute says why the consumer "
    "refused it; without one, look for its message id in the consumer's log.",
    fix="Fix the cause, then start a redrive of the dead-letter queue.",
    verify="The dead-letter queue is empty, and stays empty while the redriven messages are "
    "processed.",
)
OLDEST_MESSAGE = Runbook(
    means="Messages wait for too long. They are lost when the queue's retention period ends.",
    see="Compare the consumer's Errors, Throttles and Duration with the messages that arrive, and "
    "read its log for a dependency that fails.",
    fix="Fix the consumer or its dependency. If it only has too much to do, raise its maximum "
    "concurrency.",
    verify="ApproximateAgeOfOldestMessage falls.",
)


def _place_in(arn: str) -> tuple[str | None, str | None]:
    if is_token(arn):
        return None, None
    _, _, _, region, account, *_ = arn.split(":")
    return account, region


def _warn_of_other_account(alarm: cloudwatch.Alarm, owner: str) -> None:
    """Say what a topic of another account needs.

    Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html
    """
    Annotations.of(alarm).add_warning_v2(
        "serverless-patterns:topic-of-another-account",
        f"The alarms publish to a topic of account {owner}: its policy must allow sns:Publish to "
        "cloudwatch.amazonaws.com with aws:SourceAccount of this account, or nobody hears of it.",
    )


def _check_action(action: cloudwatch.IAlarmAction, alarm: cloudwatch.Alarm) -> None:
    """Reject what CloudWatch cannot publish to or call: nobody would hear of the alarm.

    An action is recognized by its name, so that no module is imported only to ask.

    Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html

    Raises:
        ValueError: it is FIFO, in another Region, in a stack that the CDK cannot refer to,
            encrypted with the AWS managed key, or with a key that encrypts nothing; or a function,
            without the feature flag that lets several alarms call it.
    """
    kind = type(action).__name__
    if kind == "LambdaAction":
        _check_flag(alarm)
    if kind not in ("SnsAction", "LambdaAction"):
        return
    arn = action.bind(alarm, alarm).alarm_action_arn
    if kind == "LambdaAction":
        _check_function(alarm, arn)
        return
    check_partition(alarm, "The topic of alarms", arn)
    topic = resource_behind(arn)
    fifo = bool(topic.fifo_topic) if topic else arn.endswith(".fifo")
    reject(sns_checks.topic_of_alarm(Path(topic.node.scope) if topic else arn, fifo=fifo))
    account, here = place_of(stack_of(alarm))
    owner, there = place_of(stack_of(topic)) if topic else _place_in(arn)
    if there and here and there != here:
        raise ValueError(
            f"An alarm's action publishes to {Path(topic.node.scope) if topic else arn}, a topic "
            f"of Region {there}, but CloudWatch publishes to topics of the alarm's own Region, "
            f"{here}, only: nobody would hear of the alarm. Give a topic of {here}."
        )
    if topic is None:
        if owner and account and owner != account:
            _warn_of_other_account(alarm, owner)
        return
    path, key = Path(topic.node.scope), topic.kms_master_key_id
    check_environment(alarm, Path(topic.node.scope, "The topic of alarms "), topic.node.scope)
    if key is None:
        return
    reject(
        kms_checks.service_may_use(
            f"Topic {path}", key, CLOUDWATCH, "nobody would hear of the alarm"
        )
    )
    keys.check_resource(f"The key of {path}", resource_behind(key))
    allow_cloudwatch(getattr(topic.node.scope, "master_key", None))


def _check_function(alarm: cloudwatch.Alarm, arn: str) -> None:
    """Reject a function of another Region; warn of one in another account.

    Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-actions-Lambda.html

    Raises:
        ValueError: it is there, or in another partition.
    """
    check_partition(alarm, "The function of alarms", arn)
    function, (account, here) = resource_behind(arn), place_of(stack_of(alarm))
    owner, there = place_of(stack_of(function)) if function else _place_in(arn)
    if account and owner and account != owner:
        Annotations.of(alarm).add_warning_v2(
            "serverless-patterns:function-of-another-account",
            f"The alarms call a function of account {owner}: its policy must allow "
            "lambda:InvokeFunction to lambda.alarms.cloudwatch.amazonaws.com with "
            "aws:SourceAccount of this account, or nobody hears of it.",
        )
    if here and there and here != there:
        raise ValueError(
            f"An alarm's action calls {Path(function.node.scope) if function else arn}, a function "
            f"of Region {there}, but AWS documents no call of one outside the alarm's Region, "
            f"{here}. Give a function of {here}, or a topic that the other one is subscribed to."
        )


def _check_flag(alarm: cloudwatch.Alarm) -> None:
    """Reject a function that the CDK lets one alarm call: every construct has several.

    Source: https://docs.aws.amazon.com/cdk/v2/guide/featureflags.html

    Raises:
        ValueError: the feature flag that lets several alarms call it is not set.
    """
    if not FeatureFlags.of(alarm).is_enabled(SEVERAL_ALARMS):
        raise ValueError(
            "actions has a LambdaAction, but the CDK lets one alarm call a function, and there are "
            f"several. Set the feature flag {SEVERAL_ALARMS} in cdk.json."
        )


def allow_cloudwatch(key: kms.IKey | None) -> None:
    """Let CloudWatch use the key of a topic; warn of a key whose policy cannot be changed here.

    AWS documents no condition for it.

    Source: https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
    """
    if key is None or key in _ALLOWED:
        return
    _ALLOWED.add(key)
    allow = iam.PolicyStatement(
        principals=[service_principal(CLOUDWATCH)],
        actions=["kms:Decrypt", "kms:GenerateDataKey"],
        resources=["*"],
    )
    if not key.add_to_resource_policy(allow, True).statement_added:
        Annotations.of(key).add_warning_v2(
            "serverless-patterns:imported-key-of-alarms",
            "This key is imported, so its policy cannot be changed here: it must allow kms:Decrypt "
            "and kms:GenerateDataKey to cloudwatch.amazonaws.com, or nobody hears of the alarms.",
        )
