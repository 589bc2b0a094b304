"""Alarms of a topic, each with the runbook that fixes it."""

from __future__ import annotations

from ..blocks.alarms import Runbook

# Metric, minutes in a row, what to do:
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Best_Practice_Recommended_Alarms_AWS_Services.html
TOPIC_ALARMS = (
    (
        "NumberOfNotificationsFailed",
        5,
        Runbook(
            means="Deliveries keep failing. SNS retries for 23 days when SQS is at fault, and not "
            "at all when the queue, its policy or its key is.",
            see="Read the ErrorCode attribute of a message in a delivery dead-letter queue, or "
            "turn on the topic's delivery status logging.",
            fix="Fix the policy of the subscribed queue or of its key, or bring the queue back.",
            verify="NumberOfNotificationsFailed falls to 0, and NumberOfNotificationsDelivered "
            "rises.",
        ),
    ),
    (
        "NumberOfNotificationsRedrivenToDlq",
        1,
        Runbook(
            means="SNS moved events to a subscriber's delivery dead-letter queue.",
            see="The UndeliveredAlarm that rings says which subscriber.",
            fix="Follow the runbook of that alarm.",
            verify="NumberOfNotificationsRedrivenToDlq stays at 0 while events are published.",
        ),
    ),
    (
        "NumberOfNotificationsFailedToRedriveToDlq",
        1,
        Runbook(
            means="Events are LOST: SNS could deliver them neither to a subscriber nor to its "
            "delivery dead-letter queue.",
            see="Look at the policy of each delivery dead-letter queue and of its key; AWS "
            "CloudTrail shows who changed them.",
            fix="Fix the policy, then replay the topic's archive, or publish the events again.",
            verify="NumberOfNotificationsFailedToRedriveToDlq stays at 0, and the subscriber has "
            "the events.",
        ),
    ),
    (
        "NumberOfNotificationsFilteredOut-InvalidAttributes",
        1,
        Runbook(
            means="A publisher sends attributes that a filter policy cannot read, so a subscriber "
            "does not get the events.",
            see="Compare the publisher's message attributes with the subscriptions' filter "
            "policies: a String.Array must be JSON.",
            fix="Fix the publisher, then publish the events again.",
            verify="The metric stays at 0 while new events are published.",
        ),
    ),
    (
        "NumberOfNotificationsFilteredOut-InvalidMessageBody",
        1,
        Runbook(
            means="A publisher sends bodies that are not JSON, so a subscriber that filters by the "
            "body does not get the events.",
            see="Read the log of the publisher for what it sends.",
            fix="Fix the publisher, then publish the events again.",
            verify="The metric stays at 0 while new events are published.",
        ),
    ),
)
