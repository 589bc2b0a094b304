"""The shims for Lambda: the gap without each, and the right behavior with it."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from serverless_patterns.sandbox import Deployment
from serverless_patterns.sandbox.queues import until
from tests.sandbox.helpers import create_stack, function

if TYPE_CHECKING:
    from serverless_patterns.sandbox import Target

# Fails until its variable says otherwise; tells what it runs with, or how often its process ran.
FAILS = """
import os
runs = 0
def handler(event, context):
    global runs
    runs += 1
    if event == "count":
        return runs
    print("mode", os.environ["MODE"])
    if os.environ["MODE"] == "bad":
        raise ValueError("bad")
    return os.environ["MODE"]
"""
STACK = {
    "Resources": {
        "DeadLetters": {"Type": "AWS::SQS::Queue"},
        "Failures": {"Type": "AWS::SQS::Queue"},
        "Function": function(
            FAILS,
            Environment={"Variables": {"MODE": "bad"}},
            DeadLetterConfig={"TargetArn": {"Fn::GetAtt": ["DeadLetters", "Arn"]}},
        ),
        "Reserved": function(ReservedConcurrentExecutions=0),
    },
    "Outputs": {
        "FunctionName": {"Value": {"Ref": "Function"}},
        "Reserved": {"Value": {"Ref": "Reserved"}},
        "DeadLettersUrl": {"Value": {"Ref": "DeadLetters"}},
        "FailuresArn": {"Value": {"Fn::GetAtt": ["Failures", "Arn"]}},
        "FailuresUrl": {"Value": {"Ref": "Failures"}},
    },
}


class Function:
    """The stack of these tests on one target."""

    def __init__(self, target: Target) -> None:
        self.outputs = create_stack(target, "lambda-shims", STACK)
        self.name = self.outputs["FunctionName"]
        self.lambda_ = target.client("lambda")
        self.sqs = target.client("sqs")
        self.log_lines = Deployment(target, "lambda-shims", self.outputs).log_lines

    def send(self, event: object = None) -> None:
        self.lambda_.invoke(
            FunctionName=self.name, InvocationType="Event", Payload=json.dumps(event)
        )

    def set_mode(self, mode: str) -> None:
        self.lambda_.update_function_configuration(
            FunctionName=self.name, Environment={"Variables": {"MODE": mode}}
        )
        self.lambda_.get_waiter("function_updated_v2").wait(
            FunctionName=self.name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 400}
        )

    def run(self, event: object = None) -> object:
        answer = self.lambda_.invoke(FunctionName=self.name, Payload=json.dumps(event))
        return json.load(answer["Payload"])

    def count(self, queue: str) -> int:
        attributes = self.sqs.get_queue_attributes(
            QueueUrl=self.outputs[queue], AttributeNames=["ApproximateNumberOfMessages"]
        )["Attributes"]
        return int(attributes["ApproximateNumberOfMessages"])


@pytest.fixture(scope="module")
def shimmed(shared: Target) -> Function:
    return Function(shared)


@pytest.fixture(scope="module")
def plain(without_shims: Target) -> Function:
    return Function(without_shims)


def test_the_dead_letter_queue_of_a_template_is_the_functions(
    plain: Function, shimmed: Function
) -> None:
    configuration = plain.lambda_.get_function_configuration(FunctionName=plain.name)
    assert "DeadLetterConfig" not in configuration, "upstream keeps it now: remove the shim"

    configuration = shimmed.lambda_.get_function_configuration(FunctionName=shimmed.name)
    assert configuration["DeadLetterConfig"]["TargetArn"].endswith(
        shimmed.outputs["DeadLettersUrl"].rsplit("/", 1)[1]
    )
    shimmed.send()
    until(
        lambda: shimmed.count("DeadLettersUrl") == 1, seconds=20, what="until it is a dead letter"
    )


def test_a_retry_runs_with_the_settings_of_its_time(plain: Function, shimmed: Function) -> None:
    for its in (shimmed, plain):
        its.lambda_.put_function_event_invoke_config(
            FunctionName=its.name,
            DestinationConfig={"OnFailure": {"Destination": its.outputs["FailuresArn"]}},
        )
        its.set_mode("bad")
        its.run()  # now there is a process, so that the first attempt is made at once
        its.send()
        assert its.run() == {"errorMessage": "bad", "errorType": "Runtime.HandlerError"}
        its.set_mode("good")
    until(
        lambda: plain.count("FailuresUrl") == 1,
        seconds=20,
        what="until retries fail (upstream retries with the current settings now: remove the shim)",
    )
    until(
        lambda: "mode good" in shimmed.log_lines(shimmed.name),
        seconds=20,
        what="until a retry runs with the settings of its time",
    )
    assert shimmed.count("FailuresUrl") == 0
    assert shimmed.run() == "good"


def test_a_function_that_raises_keeps_its_process(plain: Function, shimmed: Function) -> None:
    runs = {}
    for name, its in (("plain", plain), ("shimmed", shimmed)):
        its.set_mode("bad")
        assert its.run("count") == 1
        failure = its.lambda_.invoke(FunctionName=its.name, Payload="{}", LogType="Tail")
        assert failure["FunctionError"]
        assert json.load(failure["Payload"])["errorMessage"] == "bad"
        assert "ValueError: bad" in base64.b64decode(failure["LogResult"]).decode()
        runs[name] = its.run("count")
    assert runs["plain"] == 1, "upstream keeps it now: remove the shim"
    assert runs["shimmed"] == 3


def test_reserved_concurrency_of_a_template_throttles(plain: Function, shimmed: Function) -> None:
    answer = plain.lambda_.invoke(FunctionName=plain.outputs["Reserved"])
    assert answer["StatusCode"] == 200, "upstream reserves concurrency now: remove the shim"

    with pytest.raises(shimmed.lambda_.exceptions.TooManyRequestsException):
        shimmed.lambda_.invoke(FunctionName=shimmed.outputs["Reserved"])
