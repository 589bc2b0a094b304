"""The owner of a stack is told what the embedded AWS will not execute of it, before it is there."""

from __future__ import annotations

from typing import Any

import pytest

from serverless_patterns.sandbox import SandboxError, engines, unsupported
from serverless_patterns.sandbox.assembly import Stack
from tests.sandbox.helpers import arn, resource

STATES = {"Fn::Sub": "arn:${AWS::Partition}:apigateway:${AWS::Region}:states:action/StartExecution"}
SQS = {"Fn::Sub": "arn:${AWS::Partition}:apigateway:${AWS::Region}:sqs:path/orders"}
QUEUE, STREAM = {"SourceArn": arn("Queue")}, {"SourceArn": {"Fn::GetAtt": ["T", "StreamArn"]}}
TARGET = {"Arn": arn("Queue"), "Id": "Queue"}
DEAD = {"DeadLetterConfig": {"Arn": arn("Dead")}}
HERE, THERE = {"Ref": "Layer"}, "arn:aws:lambda:us-east-1:123456789012:layer:insights:1"
LAMBDA = "arn:aws:sns:us-east-1:000000000000:topic"

# A resource, its properties that are not executed, properties that are (None: there are none).
CASES: list[tuple[str, dict[str, Any], dict[str, Any] | None]] = [
    ("Pipes::Pipe", {"Source": QUEUE}, {"Source": STREAM}),
    ("ApiGatewayV2::Integration", {"IntegrationSubtype": "SQS-SendMessage"}, {"Type": "AWS_PROXY"}),
    ("ApiGateway::Method", {"Integration": {"Uri": STATES}}, {"Integration": {"Uri": SQS}}),
    ("CloudWatch::Alarm", {"Namespace": "AWS/SQS"}, {"Namespace": "AWS/Lambda"}),
    ("CloudWatch::Alarm", {"Metrics": [{"Expression": "a + b"}]}, {"Namespace": "Shop"}),
    ("CloudWatch::CompositeAlarm", {}, None),
    ("Events::Rule", {"Targets": [TARGET | DEAD]}, {"Targets": [TARGET]}),
    ("Scheduler::Schedule", {"Target": TARGET | DEAD}, {"Target": TARGET}),
    ("Lambda::EventSourceMapping", {"MaximumRetryAttempts": 3}, {"BatchSize": 10}),
    ("Lambda::EventInvokeConfig", {"OnSuccess": {}}, {"OnFailure": {"Destination": LAMBDA}}),
    (
        "Lambda::EventInvokeConfig",
        {"OnFailure": {"Destination": "arn:aws:events:us-east-1:0:event-bus/shop"}},
        {"MaximumRetryAttempts": 0},
    ),
    ("SNS::Subscription", {"RedrivePolicy": {}}, {"Protocol": "sqs"}),
    ("SNS::Subscription", {"Protocol": "https"}, {"Protocol": "lambda"}),
    ("Lambda::Function", {"Layers": [HERE, THERE]}, {"Layers": [HERE]}),
    ("ECS::Service", {}, None),
]
OF_LOCALSTACK: list[tuple[str, dict[str, Any], dict[str, Any] | None]] = [
    ("IAM::Policy", {}, None),
    ("ApiGateway::Stage", {"AccessLogSetting": {}}, {"StageName": "prod"}),
    ("CloudWatch::Alarm", {"ExtendedStatistic": "p90"}, {"Statistic": "Sum"}),
    ("CloudWatch::Alarm", {"Metrics": [{"Expression": "a + b"}]}, {"Namespace": "Shop"}),
    (
        "CloudWatch::Alarm",
        {"MetricName": "ApproximateAgeOfOldestMessage"},
        {"MetricName": "ApproximateNumberOfMessagesVisible"},
    ),
    ("CloudWatch::Alarm", {"Namespace": "AWS/SNS"}, {"Namespace": "AWS/SQS"}),
    ("Events::Rule", {"Targets": [TARGET | DEAD]}, {"Targets": [TARGET]}),
    ("Scheduler::Schedule", {}, None),
    (
        "KinesisFirehose::DeliveryStream",
        {"KinesisStreamSourceConfiguration": {}},
        {"DeliveryStreamType": "DirectPut"},
    ),
    ("Lambda::EventSourceMapping", {"TumblingWindowInSeconds": 3}, {"MaximumRetryAttempts": 3}),
    ("Lambda::Function", {"ReservedConcurrentExecutions": 1}, {"Layers": [HERE]}),
    ("Lambda::Url", {}, None),
    ("SNS::Topic", {"ArchivePolicy": {}}, {"FifoTopic": True}),
]
# Of the CDK's own function for calls of AWS.
CALLS = {"ServiceToken": arn("AWS679f53fac002430cb0da5b7982bd22872D164C4C")}
STOPS = [
    ("AWS::Events::Connection", "Make it by its API"),
    ("AWS::AmazonMQ::Broker", "Leave it out"),
    ("Custom::CDKBucketDeployment", "upload the files"),
    ("Custom::VpcRestrictDefaultSG", "restrict_default_security_group=False"),
    ("Custom::AWSCDKOpenIdConnectProvider", "OidcProviderNative"),
    ("Custom::CrossRegionExportWriter", "as a string"),
    ("Custom::LogRetention", "log_group with its retention"),
]


def stack(*resources: dict[str, Any]) -> Stack:
    made = {f"R{number}": found for number, found in enumerate(resources)}
    return Stack("orders", "Shop/Orders", "orders", "", "", {"Resources": made})


@pytest.mark.parametrize(("kind", "ignored", "executed"), CASES)
def test_a_resource_that_is_not_executed_is_named(
    kind: str, ignored: dict[str, Any], executed: dict[str, Any] | None
) -> None:
    [line] = unsupported.check([stack(resource(kind, **ignored))])
    assert line.endswith("(Shop/Orders/R0)")
    if executed is not None:
        assert not unsupported.check([stack(resource(kind, **executed))])


@pytest.mark.parametrize(("kind", "ignored", "executed"), OF_LOCALSTACK)
def test_a_resource_that_the_second_engine_does_not_execute_is_named(
    kind: str, ignored: dict[str, Any], executed: dict[str, Any] | None
) -> None:
    check = engines.find("localstack").check
    [line] = check([stack(resource(kind, **ignored))])
    assert line.endswith("(Shop/Orders/R0)")
    if executed is not None:
        assert not check([stack(resource(kind, **executed))])


def test_resources_of_one_reason_are_one_line_with_the_path_of_the_first() -> None:
    alarm = resource("CloudWatch::Alarm", Namespace="AWS/SQS")
    named = alarm | {"Metadata": {"aws:cdk:path": "Shop/Orders/Alarm"}}
    [line] = unsupported.check([stack(named, alarm), stack(alarm)])
    assert line.endswith("(Shop/Orders/Alarm and 2 more)")


@pytest.mark.parametrize(("kind", "fix"), STOPS)
def test_what_cannot_be_deployed_is_refused_with_what_to_use(kind: str, fix: str) -> None:
    with pytest.raises(SandboxError, match=f"Shop/Orders/R0: .*{fix}"):
        unsupported.check([stack({"Type": kind, "Properties": {}})])


@pytest.mark.parametrize("kind", ["Custom::AWS", "Custom::CallsAnApi"])
def test_an_api_call_of_the_cdks_is_refused_under_any_name(kind: str) -> None:
    with pytest.raises(SandboxError, match="a Python function of your own"):
        unsupported.check([stack({"Type": kind, "Properties": CALLS})])
    assert not unsupported.check([stack({"Type": kind, "Properties": {"ServiceToken": arn("F")}})])


def test_every_row_of_the_table_has_an_example() -> None:
    resources = [resource(kind, **ignored) for kind, ignored, _ in CASES]
    resources += [{"Type": kind, "Properties": {}} for kind, _ in STOPS]
    resources.append({"Type": "Custom::AWS", "Properties": CALLS})
    assert set(unsupported.found_in([stack(*resources)])) == set(unsupported.ROWS)
