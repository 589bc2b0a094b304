"""SNS: FIFO topics in templates."""

from __future__ import annotations

from typing import Any

from ._forward import afterwards, is_true, ministack

GAPS = {
    "sns-archive-and-replay": "A topic's archive and a subscription's replay are ignored.",
    "sns-fifo-topic": "A FIFO topic in a template is created as a standard topic.",
    "sns-message-group-deduplication": "A deduplication id counts in the whole topic, not in "
    "its message group, whatever FifoThroughputScope says.",
    "sns-metrics-and-alarms": "SNS emits no CloudWatch metrics, so alarms on them never change.",
    "sns-subscription-dead-letters": "Messages that SNS cannot deliver are dropped, not sent to "
    "the subscription's dead-letter queue.",
}


def fifo_topic() -> None:
    """Forward what makes a topic a FIFO topic to SNS's own SetTopicAttributes."""
    sns = ministack("services.sns")

    @afterwards("AWS::SNS::Topic")
    def set_attributes(arn: str, properties: dict[str, Any], _old: dict[str, Any]) -> None:
        if is_true(properties.get("FifoTopic")):
            by_content = str(is_true(properties.get("ContentBasedDeduplication"))).lower()
            for name, value in (("FifoTopic", "true"), ("ContentBasedDeduplication", by_content)):
                sns._set_topic_attributes(
                    {"TopicArn": arn, "AttributeName": name, "AttributeValue": value}
                )


SHIMS = {"sns-fifo-topic": fifo_topic}
