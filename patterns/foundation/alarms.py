"""Alarms that tell somebody before an event is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from . import keys, rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_cdk import aws_sqs as sqs
    from constructs import Construct

LONGEST_DEFAULT_AGE = Duration.minutes(15)


def alarm_on_dead_letters(
    scope: Construct,
    construct_id: str,
    *,
    dead_letter_queue: sqs.IQueue,
    actions: Sequence[cloudwatch.IAlarmAction] = (),
) -> cloudwatch.Alarm:
    """Raise when anything is in the dead-letter queue, and stay until it is empty again."""
    return alarm_when_above(
        scope,
        construct_id,
        metric=dead_letter_queue.metric_approximate_number_of_messages_visible(
            period=Duration.minutes(1), statistic="Maximum"
        ),
        threshold=0,
        evaluation_periods=1,
        description=(
            "Messages could not be processed. Read one in the dead-letter queue (its Reason "
            "attribute, or the consumer's log for its message id), fix the cause, then start a "
            "redrive of the dead-letter queue."
        ),
        actions=actions,
    )


def alarm_on_oldest_message(
    scope: Construct,
    construct_id: str,
    *,
    queue: sqs.IQueue,
    max_age: Duration | None = None,
    actions: Sequence[cloudwatch.IAlarmAction] = (),
) -> cloudwatch.Alarm:
    """Raise when the oldest message has waited longer than ``max_age`` for 15 minutes.

    Period and evaluations: CloudWatch user guide, "Recommended alarms", Amazon SQS.

    Args:
        scope: Where the alarm is made.
        construct_id: Its id there.
        queue: Whose messages.
        max_age: Default: 15 minutes, or half of the queue's retention period if that is shorter.
        actions: What the alarm does. Default: nothing.

    Raises:
        ValueError: messages would be gone by then; see ``rules``.
    """
    if max_age is None:
        max_age = _default_max_age(rules.retention_of_queue(queue))
    rules.check_max_message_age(max_age, queue)
    return alarm_when_above(
        scope,
        construct_id,
        metric=queue.metric_approximate_age_of_oldest_message(
            period=Duration.minutes(1), statistic="Maximum"
        ),
        threshold=max_age.to_seconds(),
        evaluation_periods=15,
        description=(
            f"The oldest message has waited for more than {max_age.to_human_string()}. Look at "
            "the consumer's errors and throttles and at what it depends on; raise its "
            "concurrency if it only has too much to do. Messages are lost when the queue's "
            "retention period ends."
        ),
        actions=actions,
    )


def _default_max_age(retention: Duration) -> Duration:
    if retention.is_unresolved():
        return LONGEST_DEFAULT_AGE
    half = Duration.seconds(retention.to_seconds() // 2)
    return min(LONGEST_DEFAULT_AGE, half, key=Duration.to_seconds)


def alarm_when_above(
    scope: Construct,
    construct_id: str,
    *,
    metric: cloudwatch.Metric,
    description: str,
    threshold: float = 0,
    evaluation_periods: int = 1,
    actions: Sequence[cloudwatch.IAlarmAction] = (),
) -> cloudwatch.Alarm:
    """Raise when ``metric`` is above ``threshold`` in every period; no data is no alarm.

    Args:
        scope: Where the alarm is made.
        construct_id: Its id there.
        metric: With its period and statistic.
        description: What has happened and what to do, for whoever is woken by it.
        threshold: The highest value that is still good. Default: 0.
        evaluation_periods: Periods in a row. Default: 1.
        actions: What the alarm does. Default: nothing.

    Raises:
        ValueError: an action that CloudWatch could not carry out.
    """
    alarm = cloudwatch.Alarm(
        scope,
        construct_id,
        metric=metric,
        threshold=threshold,
        comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
        evaluation_periods=evaluation_periods,
        treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        alarm_description=description,
    )
    for action in actions:
        _check_action(action, alarm)
    alarm.add_alarm_action(*actions)
    return alarm


def _check_action(action: cloudwatch.IAlarmAction, alarm: cloudwatch.Alarm) -> None:
    """Refuse a topic that CloudWatch cannot publish to: nobody would hear of the alarm.

    An action is known by its name, so that no module is imported only to ask.

    Raises:
        ValueError: it is encrypted with the AWS managed key, whose policy cannot admit CloudWatch
            (lint E9151; Amazon SNS developer guide, "Managing Amazon SNS encryption keys and
            costs"), or its key encrypts nothing.
    """
    if type(action).__name__ != "SnsAction":
        return
    topic = keys.behind(action.bind(alarm, alarm).alarm_action_arn)
    key = getattr(topic, "kms_master_key_id", None)
    if key is None:
        return
    path = topic.node.path.rsplit("/", 1)[0]
    if keys.AWS_MANAGED in key:
        raise ValueError(
            f"alarm_actions has topic {path}, which is encrypted with the AWS managed key: its "
            "policy cannot admit CloudWatch, so nobody would hear of the alarm. Use a customer key "
            "that admits cloudwatch.amazonaws.com, or none."
        )
    keys.check_resource(f"The key of {path}", keys.behind(key))
