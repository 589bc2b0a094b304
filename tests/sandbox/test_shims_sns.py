"""The shim for FIFO topics closes a gap that is there without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from .helpers import create_stack, document

if TYPE_CHECKING:
    from serverless_patterns.sandbox import Target


def stack(**topic: Any) -> dict[str, Any]:
    return {
        "Resources": {
            "Topic": {"Type": "AWS::SNS::Topic", "Properties": topic},
            "Queue": {
                "Type": "AWS::SQS::Queue",
                "Properties": {"QueueName": f"of-{topic['TopicName']}", "FifoQueue": True},
            },
            "Admission": {
                "Type": "AWS::SQS::QueuePolicy",
                "Properties": {
                    "Queues": [{"Ref": "Queue"}],
                    "PolicyDocument": document(
                        {
                            "Effect": "Allow",
                            "Principal": {"Service": "sns.amazonaws.com"},
                            "Action": "sqs:SendMessage",
                            "Resource": {"Fn::GetAtt": ["Queue", "Arn"]},
                            "Condition": {"ArnEquals": {"aws:SourceArn": {"Ref": "Topic"}}},
                        }
                    ),
                },
            },
            "Subscription": {
                "Type": "AWS::SNS::Subscription",
                "Properties": {
                    "TopicArn": {"Ref": "Topic"},
                    "Protocol": "sqs",
                    "Endpoint": {"Fn::GetAtt": ["Queue", "Arn"]},
                    "RawMessageDelivery": True,
                },
            },
        },
        "Outputs": {
            "TopicArn": {"Value": {"Ref": "Topic"}},
            "QueueUrl": {"Value": {"Ref": "Queue"}},
        },
    }


EXPLICIT = stack(TopicName="explicit.fifo", FifoTopic=True)
BY_CONTENT = stack(TopicName="content.fifo", FifoTopic=True, ContentBasedDeduplication=True)


def attributes(target: Target, topic_arn: str) -> dict[str, str]:
    answer = target.client("sns").get_topic_attributes(TopicArn=topic_arn)
    found: dict[str, str] = answer["Attributes"]
    return found


def test_a_fifo_topic_of_a_template_is_one(without_shims: Target, shared: Target) -> None:
    gap = create_stack(without_shims, "fifo-topic", EXPLICIT)
    assert "FifoTopic" not in attributes(without_shims, gap["TopicArn"]), (
        "upstream makes FIFO topics now: remove the shim"
    )
    outputs = create_stack(shared, "fifo-topic", EXPLICIT)
    found = attributes(shared, outputs["TopicArn"])
    assert (found["FifoTopic"], found["ContentBasedDeduplication"]) == ("true", "false")

    sns = shared.client("sns")
    message = {"TopicArn": outputs["TopicArn"], "Message": "one", "MessageGroupId": "a"}
    with pytest.raises(ClientError, match="MessageDeduplicationId"):
        sns.publish(**message)
    first, again = (sns.publish(**message, MessageDeduplicationId="1") for _ in range(2))
    assert first["SequenceNumber"] == again["SequenceNumber"]
    assert bodies(shared, outputs["QueueUrl"]) == ["one"]


def test_a_fifo_topic_of_a_template_deduplicates_by_content(shared: Target) -> None:
    outputs = create_stack(shared, "fifo-topic-by-content", BY_CONTENT)
    for body in ("one", "one", "two"):
        shared.client("sns").publish(
            TopicArn=outputs["TopicArn"], Message=body, MessageGroupId=body
        )
    assert bodies(shared, outputs["QueueUrl"]) == ["one", "two"]


def bodies(target: Target, queue_url: str) -> list[str]:
    answer = target.client("sqs").receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10)
    return [message["Body"] for message in answer.get("Messages", [])]
