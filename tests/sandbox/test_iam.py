"""Policies hold on the embedded AWS: what no grant allows is refused, as on AWS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from serverless_patterns.sandbox import Keys
from serverless_patterns.sandbox.target import made_up_session

from . import helpers as cfn

if TYPE_CHECKING:
    from serverless_patterns.sandbox import Target

CALLER = """
import boto3
def handler(event, context):
    service, operation = event["call"]
    call = getattr(boto3.client(service), operation)
    try:
        call(**event["arguments"])
    except Exception as error:
        return getattr(error, "response", {}).get("Error", {}).get("Code", repr(error))
    return "done"
"""
WAIT = {
    "Type": "Task",
    "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
    "Parameters": {"QueueUrl": "${Tokens}", "MessageBody.$": "$$.Task.Token"},
    "TimeoutSeconds": 60,
    "End": True,
}
MACHINE = cfn.resource(
    "StepFunctions::StateMachine",
    RoleArn=cfn.arn("MachineRole"),
    DefinitionString={"Fn::Sub": json.dumps({"StartAt": "Wait", "States": {"Wait": WAIT}})},
)
PLAIN_HTTP = {"Bool": {"aws:SecureTransport": "false"}}
STACK = cfn.template(
    {
        "Granted": cfn.resource("SQS::Queue"),
        "Other": cfn.resource("SQS::Queue"),
        "Tokens": cfn.resource("SQS::Queue"),
        "Topic": cfn.resource("SNS::Topic"),
        "Admitted": cfn.subscription("Topic", "Granted"),
        "Uninvited": cfn.subscription("Topic", "Other"),
        "Mine": MACHINE,
        "Theirs": MACHINE,
        "Policy": cfn.resource(
            "SQS::QueuePolicy",
            Queues=[cfn.ref("Granted")],
            PolicyDocument=cfn.document(
                cfn.delivery("Topic", "Granted"),
                cfn.allow(
                    "sqs:*", cfn.arn("Granted"), Effect="Deny", Principal="*", Condition=PLAIN_HTTP
                ),
            ),
        ),
        "MachineRole": cfn.role(
            "states.amazonaws.com", cfn.allow("sqs:SendMessage", cfn.arn("Tokens"))
        ),
        "Role": cfn.role(
            "lambda.amazonaws.com",
            cfn.allow("sqs:SendMessage", cfn.arn("Granted")),
            cfn.allow("states:SendTaskSuccess", cfn.arn("Mine")),
            cfn.allow("sns:Publish", cfn.ref("Topic")),
        ),
        "Caller": cfn.function(CALLER, Role=cfn.arn("Role")),
    },
    **{name: cfn.ref(name) for name in ("Granted", "Other", "Tokens", "Topic")},
    **{name: cfn.ref(name) for name in ("Mine", "Theirs", "Caller")},
)


class Stack:
    """The stack of these tests on one target."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.outputs = cfn.create_stack(target, "iam", STACK).outputs

    def call(self, service: str, operation: str, **arguments: Any) -> str:
        """Let the function make a call, and return its error code, or ``done``."""
        event = json.dumps({"call": [service, operation], "arguments": arguments})
        invoke = self.target.client("lambda").invoke
        answer = invoke(FunctionName=self.outputs["Caller"], Payload=event)
        result: str = json.load(answer["Payload"])
        return result

    def send(self, queue: str) -> str:
        return self.call("sqs", "send_message", QueueUrl=self.outputs[queue], MessageBody="x")

    def send_batch(self, queue: str) -> str:
        entries = [{"Id": "1", "MessageBody": "x"}]
        return self.call("sqs", "send_message_batch", QueueUrl=self.outputs[queue], Entries=entries)

    def publish_batch(self) -> str:
        entries = {"PublishBatchRequestEntries": [{"Id": "1", "Message": "x"}]}
        return self.call("sns", "publish_batch", TopicArn=self.outputs["Topic"], **entries)

    def answer_a_task_of(self, machine: str) -> str:
        """Start an execution, and let the function answer the task that it waits in."""
        self.target.client("stepfunctions").start_execution(stateMachineArn=self.outputs[machine])
        (token,) = self.receive("Tokens", wait=10)
        return self.call("stepfunctions", "send_task_success", taskToken=token, output="{}")

    def receive(self, queue: str, wait: int = 1) -> list[str]:
        sqs, url = self.target.client("sqs"), self.outputs[queue]
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=wait)
        messages = answer.get("Messages", [])
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [message["Body"] for message in messages]


stack, plain = cfn.on("shared", Stack), cfn.on("without_shims", Stack)


def test_a_function_may_do_what_its_role_allows_and_no_more(stack: Stack) -> None:
    assert stack.send("Granted") == "done"
    assert stack.send("Other") == "AccessDenied"
    assert stack.call("sqs", "purge_queue", QueueUrl=stack.outputs["Granted"]) == "AccessDenied"


def test_a_topic_delivers_only_where_a_queues_policy_admits_it(stack: Stack) -> None:
    stack.receive("Granted")
    stack.target.client("sns").publish(TopicArn=stack.outputs["Topic"], Message="delivered")
    assert "delivered" in stack.receive("Granted", wait=5)
    assert not stack.receive("Other")


def test_a_queue_that_refuses_plain_http_does_so(stack: Stack) -> None:
    session = made_up_session(stack.target.keys)
    sqs = session.client(
        "sqs", endpoint_url=stack.target.endpoint_url, verify=str(stack.target.certificate)
    )
    url = stack.outputs["Granted"]
    sqs.send_message(QueueUrl=url, MessageBody="over HTTPS")
    sqs.meta.events.register("before-send", came_over_http)
    with pytest.raises(ClientError, match="AccessDenied"):
        sqs.send_message(QueueUrl=url, MessageBody="over HTTP")
    assert "over HTTPS" in stack.receive("Granted")


def came_over_http(request: Any, **_: Any) -> None:
    """Say what a proxy in front of the server says of a request that came to it in plain HTTP."""
    request.headers["X-Forwarded-Proto"] = "http"


def test_credentials_that_nobody_has_are_refused(shared: Target) -> None:
    session = made_up_session(Keys("AKIA-NOBODYS", "secret"))
    sts = session.client("sts", endpoint_url=shared.endpoint_url, verify=str(shared.certificate))
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        sts.get_caller_identity()


def test_a_batch_needs_the_permission_of_the_single_call(plain: Stack, stack: Stack) -> None:
    gap = {plain.send_batch("Granted"), plain.publish_batch()}
    assert "done" not in gap, "upstream knows the actions of batch calls now: remove the shim"
    assert stack.send_batch("Granted") == stack.publish_batch() == "done"
    assert stack.send_batch("Other") == "AccessDenied"


def test_a_task_is_answered_with_a_permission_for_its_state_machine(
    plain: Stack, stack: Stack
) -> None:
    gap = plain.answer_a_task_of("Mine")
    assert gap == "AccessDeniedException", "upstream knows a token's machine: remove the shim"
    assert stack.answer_a_task_of("Mine") == "done"
    assert stack.answer_a_task_of("Theirs") == "AccessDeniedException"
