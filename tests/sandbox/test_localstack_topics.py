"""Topics on the second embedded AWS: messages of 1 MiB, and endpoints that fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aws_cdk import Size
from aws_cdk import aws_lambda as lambda_
from botocore.exceptions import ClientError

from serverless_patterns.patterns.limits import SNS_MAX_MESSAGE_BYTES, SNS_MESSAGE_BYTES
from serverless_patterns.patterns.sns_fanout.construct import NewTopic, SnsFanout
from serverless_patterns.sandbox import queues
from serverless_patterns.sandbox.http_endpoint import listening
from tests.sandbox import helpers as cfn
from tests.sandbox.helpers import create_constructs, without_bootstrap
from tests.sandbox.test_localstack import pytestmark as pytestmark
from tests.sandbox.test_sns_endpoints import deliver, kept

if TYPE_CHECKING:
    from typing import Any

    from serverless_patterns.sandbox import Target

GOT = """
def handler(event, context):
    for record in event["Records"]:
        print("got", *([len(record["body"]), "queued"] if "body" in record
                       else [len(record["Sns"]["Message"]), "called"]))
"""


def test_a_topic_of_1_mib_delivers_such_messages_and_another_one_rejects_them(
    second: Target,
) -> None:
    stack = without_bootstrap()
    function = lambda_.Function(
        stack,
        "Function",
        runtime=lambda_.Runtime.PYTHON_3_13,
        handler="index.handler",
        code=lambda_.Code.from_inline(GOT),
    )
    large = SnsFanout(stack, "Large", topic=NewTopic(max_message_size=Size.mebibytes(1)))
    large.add_queue("Queued", consumer=function)
    large.add_function("Called", function=function)
    outputs = {
        "LargeArn": large.topic.topic_arn,
        "SmallArn": SnsFanout(stack, "Small").topic.topic_arn,
        "FunctionName": function.function_name,
    }
    run = create_constructs(second, "large-messages", stack, **outputs)
    sns, text = run.client("sns"), "x" * SNS_MAX_MESSAGE_BYTES
    with pytest.raises(ClientError, match="too long"):
        sns.publish(TopicArn=run["SmallArn"], Message="x" * (SNS_MESSAGE_BYTES + 1))
    with pytest.raises(ClientError, match="too long"):
        sns.publish(TopicArn=run["LargeArn"], Message=text + "x")
    sns.publish(TopicArn=run["LargeArn"], Message=text)

    def got() -> set[str]:
        return {line for line in run.log_lines(run["FunctionName"]) if line.startswith("got")}

    both = {f"got {len(text)} queued", f"got {len(text)} called"}
    queues.until(lambda: got() == both, seconds=60, what="until the queue and the function have it")


def test_what_an_endpoint_does_not_take_is_kept_by_the_second_engine(second: Target) -> None:
    resources = {"Topic": cfn.resource("SNS::Topic"), "Queue": cfn.resource("SQS::Queue")}
    outputs: dict[str, Any] = {"TopicArn": cfn.ref("Topic"), "QueueUrl": cfn.ref("Queue")}
    made = cfn.template(resources, **outputs, QueueArn=cfn.arn("Queue"))
    stack = cfn.create_stack(second, "failing-endpoint", made)
    with listening() as endpoint:
        deliver(stack, endpoint)
        found = kept(stack, 2)
    assert sorted(one["Message"] for one in found) == ['{"kept": false}', '{"kept": true}']
