"""A message asks for what is missing and nothing else, and says which of several it is about."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cfnlint.template import Template

from serverless_patterns.lint.template import scenarios
from tests.lint.decoded import DECODED, FILES, RULES

if TYPE_CHECKING:
    from collections.abc import Callable

Resources = dict[str, dict[str, Any]]


def arn(name: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [name, "Arn"]}


def resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::{kind}", "Properties": properties}


def said(rule_id: str, **resources: Any) -> list[str]:
    template = {"Resources": resources}
    return [match.message for match in RULES[rule_id].match(Template("a.json", template))]


QUEUE, OTHER = resource("SQS::Queue"), resource("SQS::Queue")
STREAM = resource("Kinesis::Stream", ShardCount=1)


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    document = {"Statement": list(statements)}
    return resource("SQS::QueuePolicy", Queues=[{"Ref": "Queue"}], PolicyDocument=document)


def allow(service: str, **condition: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}
    return statement | {"Principal": {"Service": service}} | condition


def rule(*targets: dict[str, Any]) -> dict[str, Any]:
    listed = [{"Id": str(index), **target} for index, target in enumerate(targets)]
    return resource("Events::Rule", EventPattern={"source": ["shop"]}, Targets=listed)


def reader(**settings: Any) -> dict[str, Any]:
    return resource(
        "Lambda::EventSourceMapping",
        EventSourceArn=arn("Stream"),
        FunctionName="count",
        StartingPosition="TRIM_HORIZON",
        **settings,
    )


def bucket(**settings: Any) -> dict[str, Any]:
    return resource("S3::Bucket", NotificationConfiguration=settings)


def pipe(parameters: dict[str, Any]) -> dict[str, Any]:
    parameters = {"SqsQueueParameters": parameters}
    return resource("Pipes::Pipe", Target=arn("Fifo"), TargetParameters=parameters)


def alarm(name: Any, **settings: Any) -> dict[str, Any]:
    dimensions = [{"Name": "QueueName", "Value": name}]
    metric = {"Namespace": "AWS/SQS", "MetricName": "ApproximateNumberOfMessagesVisible"}
    return resource("CloudWatch::Alarm", **{"Dimensions": dimensions} | metric | settings)


FIFO = resource("SQS::Queue", FifoQueue=True)
BY_CONTENT = resource("SQS::Queue", FifoQueue=True, ContentBasedDeduplication=True)
GROUP = {"MessageGroupId": "orders"}
WAITS = resource(
    "Events::Rule",
    EventPattern={"source": ["aws.s3"], "detail": {"bucket": {"name": [{"Ref": "Bucket"}]}}},
)
MACHINE = {"DefinitionString": "{}", "StateMachineType": "EXPRESS"}
OFF = {"LoggingConfiguration": {"Level": "OFF"}}
LETTERS = {"DestinationConfig": {"OnFailure": {"Destination": arn("Queue")}}}
FUNCTION = resource("Lambda::Function", Role="arn:aws:iam::123456789012:role/a")
FOR_S3 = resource("Lambda::Permission", FunctionName={"Ref": "Run"}, Principal="s3.amazonaws.com")
INVOKE = {**FOR_S3, "Properties": {**FOR_S3["Properties"], "Action": "lambda:InvokeFunction"}}


def post(uri: str, template: str, *statuses: str, **more: Any) -> dict[str, Any]:
    """A method that hands its body to a service, which answers these statuses whatever it is."""
    integration = {
        "Type": "AWS",
        "Uri": f"arn:aws:apigateway:eu-west-1:{uri}",
        "RequestTemplates": {"application/json": template},
        "IntegrationResponses": [{"StatusCode": status} for status in statuses],
    }
    return resource("ApiGateway::Method", Integration=integration | more)


BY_HEADER = {"integration.request.header.X-Amz-Target": "'AmazonSQS.SendMessage'"}
TO_FIFO = "sqs:path/123456789012/orders.fifo"


@pytest.mark.parametrize(
    ("rule_id", "resources", "asks"),
    [
        (
            "E9171",
            {"Post": post("sns:action/Publish", "", "200")},
            "with 400 or 403 or 500 or 503: the client believes that it was accepted. Give the 2xx "
            "the SelectionPattern 2\\d{2}, and map 4xx and 5xx to failures.",
        ),
        (
            "E9171",
            {"Post": post(TO_FIFO, "{}", "200", RequestParameters=BY_HEADER)},
            "Post answers 2xx when sqs rejects an event with 400",
        ),
        (
            "E9174",
            {"Post": post(TO_FIFO, "Action=SendMessage&MessageBody=a")},
            "Post sends to the FIFO queue orders.fifo without MessageGroupId: SQS",
        ),
        (
            "I9183",
            {
                "Sub": resource(
                    "SNS::Subscription", TopicArn="a", Protocol="sqs", Endpoint=arn("Queue")
                )
            },
            "Sub delivers to Queue without a dead-letter queue",
        ),
        ("W9121", {"Map": reader()}, ", and DestinationConfig.OnFailure.Destination."),
        ("W9121", {"Map": reader(**LETTERS)}, "or MaximumRecordAgeInSeconds."),
        ("E9162", {"Rule": rule({"Arn": arn("Queue")})}, "Add an AWS::SQS::QueuePolicy that"),
        (
            "E9162",
            {"Rule": rule({"Arn": arn("Queue")}), "Mine": policy(allow("s3.amazonaws.com"))},
            "Allow it sqs:SendMessage in Mine.",
        ),
        (
            "E9163",
            {"Rule": rule({"Arn": arn("Run")}), "Run": FUNCTION, "Mine": INVOKE},
            "for events.amazonaws.com; Mine does not allow this.",
        ),
        (
            "E9138",
            {"Rule": rule({"Arn": arn("Fifo"), "SqsParameters": GROUP}), "Fifo": FIFO},
            "without MessageDeduplicationId: SQS rejects every message. Set ContentBased",
        ),
        (
            "E9138",
            {"Rule": rule({"Arn": arn("Fifo")}), "Fifo": BY_CONTENT},
            "without MessageGroupId: SQS rejects every message. Give MessageGroupId.",
        ),
        (
            "E9138",
            {"Pipe": pipe(GROUP), "Fifo": FIFO},
            "Give MessageDeduplicationId, or set ContentBasedDeduplication on the queue.",
        ),
        ("E9184", {"Alarm": alarm({"Ref": "Queue"})}, "gives Ref Queue as QueueName"),
        ("E9184", {"Alarm": alarm(arn("Queue"))}, "gives Queue.Arn as QueueName"),
        ("E9184", {"Alarm": alarm(arn("Queue"))}, "Give Queue.QueueName."),
        ("E9191", {"Rule": WAITS, "Bucket": bucket()}, "Add EventBridgeConfiguration in"),
        (
            "E9191",
            {
                "Rule": WAITS,
                "Bucket": bucket(EventBridgeConfiguration={"EventBridgeEnabled": False}),
            },
            "Set EventBridgeEnabled in",
        ),
        (
            "I9197",
            {"Saga": resource("StepFunctions::StateMachine", **MACHINE)},
            "Set LoggingConfiguration.",
        ),
        (
            "I9197",
            {"Saga": resource("StepFunctions::StateMachine", **MACHINE, **OFF)},
            "Raise the Level of LoggingConfiguration.",
        ),
    ],
)
def test_a_message_asks_for_what_is_missing_only(
    rule_id: str, resources: Resources, asks: str
) -> None:
    (message,) = said(rule_id, Queue=QUEUE, Stream=STREAM, **resources)
    assert asks in message


def test_a_rule_that_ignores_the_first_messages_says_how_many() -> None:
    resources = {"Queue": DEAD, "Other": OTHER, "Alarm": alarm(arn("Other"), **LATE)}
    (scenario,) = scenarios(Template("a", {"Resources": resources}))
    check: Any = RULES["I9186"]
    (found,) = check.check(scenario, ignored=4)
    assert "does not fire for 5 messages in the dead-letter queue Other" in found.message
    assert list(check.check(scenario, ignored=5)) == []


IMPORTED = {"Fn::ImportValue": "name"}
LATE = {"Threshold": 5, "ComparisonOperator": "GreaterThanThreshold"}
DEAD = resource("SQS::Queue", RedrivePolicy={"deadLetterTargetArn": arn("Other")})


@pytest.mark.parametrize(
    ("rule_id", "resources", "known"),
    [
        ("I9186", {"Alarm": alarm(IMPORTED, **LATE)}, {"Alarm": alarm(arn("Other"), **LATE)}),
        (
            "W9185",
            {"Alarm": alarm(IMPORTED, MetricName="NumberOfMessagesSent")},
            {"Alarm": alarm(arn("Other"), MetricName="NumberOfMessagesSent")},
        ),
    ],
)
def test_what_may_be_of_any_resource_is_no_finding_about_one(
    rule_id: str, resources: Resources, known: Resources
) -> None:
    assert said(rule_id, Queue=DEAD, Other=OTHER, **resources) == []
    assert len(said(rule_id, Queue=DEAD, Other=OTHER, **known)) == 1


@pytest.mark.parametrize("service", ["lambda", "scheduler", "pipes"])
def test_a_statement_for_a_service_that_sends_as_a_role_is_to_be_removed(service: str) -> None:
    name = f"{service}.amazonaws.com"
    (message,) = said("W9161", Queue=QUEUE, Policy=policy(allow(name)))
    assert name in message
    assert "Remove the statement" in message
    limited = allow(name, Condition={"ArnLike": {"aws:SourceArn": "arn:aws:sqs:*:*:a"}})
    assert said("W9161", Queue=QUEUE, Policy=policy(limited)) == []
    (message,) = said("W9161", Queue=QUEUE, Policy=policy(allow("events.amazonaws.com")))
    assert "Add a Condition" in message


@pytest.mark.parametrize("suffix", ["amazonaws.com", "amazonaws.com.cn"])
def test_a_statement_that_nothing_needs_is_not_to_be_limited(suffix: str) -> None:
    """Lambda sends as a role, and SQS moves to a dead-letter queue, whatever the policy says."""
    for service, why in (("lambda", "always sends as a role"), ("sqs", "without a permission")):
        (message,) = said("W9161", Queue=QUEUE, Policy=policy(allow(f"{service}.{suffix}")))
        assert why in message
        assert "Remove " in message
        assert "Condition" not in message


ONCE = {"RetryPolicy": {"MaximumRetryAttempts": 0}}
LOST = {"DeadLetterConfig": {"Arn": arn("Fifo")}}
TWO = [{"Arn": arn("Queue")}, {"Arn": arn("Other")}]
UNKNOWN = [{"Arn": {"Fn::ImportValue": name}} for name in ("first", "second")]


@pytest.mark.parametrize(
    ("rule_id", "targets"),
    [
        ("I9183", TWO),
        ("W9192", [target | ONCE for target in TWO]),
        ("E9136", [target | LOST for target in TWO]),
    ],
)
def test_a_message_names_the_target_it_is_about(
    rule_id: str, targets: list[dict[str, Any]]
) -> None:
    first, second = said(rule_id, Queue=QUEUE, Other=OTHER, Fifo=FIFO, Rule=rule(*targets))
    assert "Queue" in first
    assert "Other" in second


@pytest.mark.parametrize(("rule_id", "more"), [("I9183", {}), ("W9192", ONCE), ("E9136", LOST)])
def test_a_sentence_that_is_true_of_several_says_where(rule_id: str, more: dict[str, Any]) -> None:
    found = said(rule_id, Fifo=FIFO, Rule=rule(*(target | more for target in UNKNOWN)))
    assert [message.rpartition(" (at ")[2] for message in found] == ["Targets.0)", "Targets.1)"]


def test_a_finding_keeps_its_place_and_its_values(
    check_generated: Callable[[Path, str], None],
) -> None:
    """A baseline knows a finding by its place. All were read; a change is to be read again."""
    told = [
        f"{file.name}: {'/'.join(map(str, match.path))}\n    {match.message}\n"
        for file, template in zip(FILES, DECODED, strict=True)
        if file.parent.name == "bad"
        for match in RULES[file.name.partition("-")[0]].match(Template(str(file), template))
    ]
    check_generated(Path(__file__).with_name("findings.txt"), "".join(told))


def test_a_message_about_a_cdk_template_names_the_construct() -> None:
    (message,) = said("E9136", Fifo=FIFO, Rule=rule(TWO[0] | LOST), Queue=QUEUE)
    assert not message.endswith("]")
    named = rule(TWO[0] | LOST) | {"Metadata": {"aws:cdk:path": "shop/Placed/Resource"}}
    (message,) = said("E9136", Fifo=FIFO, Rule=named, Queue=QUEUE)
    assert message.endswith(" [shop/Placed/Resource]")
