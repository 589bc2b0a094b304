"""Dead letters of every kind, of a deployed stack, go to whom the account names for them.

The letters of EventBridge, Scheduler, streams and Firehose have the forms of AWS's guides, as no
engine leaves them all; everything that the redrive asks and calls is the engine's.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.redrive.owners import Found, places_of
from serverless_patterns.redrive.run import Redrive, Report
from serverless_patterns.sandbox import queues
from serverless_patterns.sandbox.queues import until
from tests.sandbox import helpers as cfn
from tests.sandbox.helpers import allow, arn, ref, resource

if TYPE_CHECKING:
    from serverless_patterns.sandbox import Deployment, Target

TELLS = """
import boto3, json, os
def handler(event, context):
    boto3.client("sqs").send_message(QueueUrl=os.environ["URL"], MessageBody=json.dumps(event))
"""
SAGA = {
    "StartAt": "Park",
    "States": {
        "Park": {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            "Parameters": {
                "QueueUrl": "${Parked}",
                "MessageBody": {
                    "execution.$": "$$.Execution.Id", "task_token.$": "$$.Task.Token",
                    "error": "RefundError",
                },
            },
            "End": True,
        }
    },
}  # fmt: skip
PASS = {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}
TRANSFORMED = {"InputPathsMap": {"order": "$.detail.order"}, "InputTemplate": '{"got": <order>}'}
EVENT = {
    "version": "0", "id": "e-1", "source": "shop", "detail-type": "Placed", "account": "1",
    "time": "2026-11-27T12:00:00Z", "region": "us-east-1", "resources": [], "detail": {"order": 7},
}  # fmt: skip
TARGETS: dict[str, dict[str, Any]] = {
    "Queue": {"InputTransformer": TRANSFORMED},
    "Fifo": {"SqsParameters": {"MessageGroupId": "g"}},
    "Function": {},
    "Machine": {},
    "Stream": {"KinesisParameters": {"PartitionKeyPath": "$.id"}},
    "Other": {},
}
DIES = {"DeadLetterConfig": {"Arn": arn("OfRules")}}
FAILS = {"DestinationConfig": {"OnFailure": {"Destination": arn("OfStream")}}}
ANY = cfn.role("any.amazonaws.com", allow("*", "*"))


def rule(bus: str, target: str, **more: Any) -> dict[str, Any]:
    one = {"Id": "t", "Arn": arn(target), **more}
    pattern = {"source": ["shop"]} if bus == "Other" else {"source": ["never"]}
    return resource("Events::Rule", EventBusName=ref(bus), EventPattern=pattern, Targets=[one])


def schedule(target: Any, text: Any) -> dict[str, Any]:
    to = {"Arn": target, "RoleArn": arn("Role"), "Input": text}
    to["DeadLetterConfig"] = {"Arn": arn("OfSchedules")}
    never, off = "at(2099-01-01T00:00:00)", {"Mode": "OFF"}
    kind = "Scheduler::Schedule"
    return resource(kind, ScheduleExpression=never, FlexibleTimeWindow=off, Target=to)


STACK = cfn.template(
    {
        **dict.fromkeys(("OfRules", "OfSchedules", "OfStream", "Parked"), resource("SQS::Queue")),
        **dict.fromkeys(("Queue", "Told"), resource("SQS::Queue")),
        "Fifo": resource("SQS::Queue", FifoQueue=True, QueueName="redriven-ways.fifo"),
        "Role": ANY,
        "Function": cfn.function(
            TELLS, Role=arn("Role"), Environment={"Variables": {"URL": ref("Told")}}
        ),
        "Machine": resource(
            "StepFunctions::StateMachine", RoleArn=arn("Role"), DefinitionString=json.dumps(PASS)
        ),
        "Stream": resource("Kinesis::Stream", ShardCount=1),
        "Source": resource("Kinesis::Stream", ShardCount=1),
        "Bus": resource("Events::EventBus", Name="redriven-ways"),
        "Other": resource("Events::EventBus", Name="redriven-ways-other"),
        "OnOther": rule("Other", "Queue", InputPath="$.detail"),
        **{f"To{name}": rule("Bus", name, **TARGETS[name], **DIES) for name in TARGETS},
        "Tick": schedule(arn("Function"), '{"tick": "<aws.scheduler.scheduled-time>"}'),
        "Call": schedule(
            "arn:aws:scheduler:::aws-sdk:sqs:sendMessage",
            {"Fn::Sub": '{"QueueUrl": "${Queue}", "MessageBody": "called"}'},
        ),
        "Mapping": resource(
            "Lambda::EventSourceMapping", StartingPosition="LATEST", Enabled=False,
            EventSourceArn=arn("Source"), FunctionName=ref("Function"), **FAILS,
        ),
        "Saga": resource(
            "StepFunctions::StateMachine", RoleArn=arn("Role"),
            DefinitionString={"Fn::Sub": json.dumps(SAGA)},
        ),
        "Bucket": resource("S3::Bucket"),
        "Delivery": resource(
            "KinesisFirehose::DeliveryStream",
            ExtendedS3DestinationConfiguration={
                "BucketARN": arn("Bucket"), "RoleARN": arn("Role"), "Prefix": "lake/",
                "ErrorOutputPrefix": "errors/!{firehose:error-output-type}/",
            },
        ),
    },
    **{name: ref(name) for name in ("Queue", "Fifo", "Told", "Parked", "OfRules", "OfSchedules")},
    **{name: ref(name) for name in ("OfStream", "Stream", "Source", "Bucket", "Machine", "Saga")},
    **{f"{name}Arn": arn(name) for name in ("Function", "Source", *(f"To{it}" for it in TARGETS))},
    **{name: arn(name) for name in ("Tick", "Call")},
)  # fmt: skip


def leave(stack: Deployment, queue: str, body: Any, **texts: str) -> None:
    given = {name: {"DataType": "String", "StringValue": text} for name, text in texts.items()}
    url, text = stack[queue], json.dumps(body)
    stack.client("sqs").send_message(QueueUrl=url, MessageBody=text, MessageAttributes=given)


def leave_all(stack: Deployment) -> None:
    """Leave letters of every kind, as AWS does."""
    for name in TARGETS:
        leave(stack, "OfRules", EVENT, RULE_ARN=stack[f"To{name}Arn"], ERROR_CODE="NO_PERMISSIONS")
    tick = {"FunctionName": "any", "Payload": '{"tick": "<aws.scheduler.scheduled-time>"}'}
    told = {"SCHEDULED_TIME": "2026-11-27T12:00:00Z", "ERROR_CODE": "Throttling"}
    leave(stack, "OfSchedules", tick, SCHEDULE_ARN=stack["Tick"], **told)
    call = {"QueueUrl": stack["Queue"], "MessageBody": "called"}
    leave(stack, "OfSchedules", call, SCHEDULE_ARN=stack["Call"], **told)
    put = stack.client("kinesis").put_record(
        StreamName=stack["Source"], Data=b"x", PartitionKey="k"
    )
    at = {f"{end}SequenceNumber": put["SequenceNumber"] for end in ("start", "end")}
    batch = {"shardId": put["ShardId"], "streamArn": stack["SourceArn"], "batchSize": 1} | at
    context = {"functionArn": stack["FunctionArn"], "condition": "RetryAttemptsExhausted"}
    leave(stack, "OfStream", {"requestContext": context, "KinesisBatchInfo": batch})
    start = stack.client("stepfunctions").start_execution(stateMachineArn=stack["Saga"])
    until(
        lambda: queues.backlog(stack, stack["Parked"]) == 1, seconds=60, what="until it is parked"
    )
    assert start["executionArn"]
    failed = {"attemptsMade": 4, "rawData": "Y2xpY2s=", "errorCode": "Lambda.FunctionError"}
    where = {"Bucket": stack["Bucket"], "Key": "errors/processing-failed/one"}
    stack.client("s3").put_object(Body=json.dumps(failed), **where)


@pytest.fixture(scope="module")
def redriven(shared: Target) -> tuple[Deployment, dict[str, Report]]:
    stack = cfn.create_stack(shared, "redriven-ways", STACK)
    leave_all(stack)
    reports = {}
    for place in places_of(shared.client, "redriven-ways"):
        way = Found(shared.client, place.source, place.to)
        [kind] = place.kinds
        tool = Redrive(way, 1_000)
        tool._started += 2  # S3 tells the time in whole seconds
        reports[kind] = tool.run([place.source])
    return stack, reports


def taken(stack: Deployment, output: str, count: int) -> list[Any]:
    """Return the bodies in a queue, once they are that many."""
    url = stack[output]
    until(lambda: queues.backlog(stack, url) >= count, seconds=60, what=f"for {count} in {output}")
    return sorted(message["Body"] for message in queues.peek(stack, url))


Redriven = tuple["Deployment", dict[str, Report]]


def test_each_letter_is_accepted_and_gone(redriven: Redriven) -> None:
    stack, reports = redriven
    assert {kind: (one.accepted, one.good) for kind, one in reports.items()} == {
        "rule": (6, True), "schedule": (2, True), "stream": (1, True), "saga": (1, True),
        "firehose": (1, True),
    }  # fmt: skip
    left = ("OfRules", "OfSchedules", "OfStream", "Parked")
    assert [queues.backlog(stack, stack[name]) for name in left] == [0] * 4
    assert not stack.client("s3").list_objects_v2(Bucket=stack["Bucket"], Prefix="errors/")[
        "KeyCount"
    ]


def test_the_target_of_a_rule_gets_the_event_in_the_rules_form(redriven: Redriven) -> None:
    stack, _ = redriven
    # By a rule, by another bus, and by a schedule.
    assert taken(stack, "Queue", 3) == ["called", '{"got": 7}', '{"order": 7}']
    assert [json.loads(one) for one in taken(stack, "Fifo", 1)] == [EVENT]
    [run] = stack.client("stepfunctions").list_executions(stateMachineArn=stack["Machine"])[
        "executions"
    ]
    assert run["name"] == "redrive-e-1"


def test_a_function_gets_events_ticks_and_records(redriven: Redriven) -> None:
    stack, _ = redriven
    told = [json.loads(one) for one in taken(stack, "Told", 3)]
    assert EVENT in told
    assert {"tick": "2026-11-27T12:00:00Z"} in told
    [records] = [one["Records"] for one in told if "Records" in one]
    assert [one["kinesis"]["data"] for one in records] == ["eA=="]


def test_a_parked_saga_goes_on(redriven: Redriven) -> None:
    stack, _ = redriven
    list_ = stack.client("stepfunctions").list_executions

    def state() -> str:
        [run] = list_(stateMachineArn=stack["Saga"])["executions"]
        return str(run["status"])

    until(lambda: state() == "SUCCEEDED", seconds=60, what="until it has ended")


def test_a_stream_and_a_lake_get_records(redriven: Redriven) -> None:
    stack, _ = redriven
    kinesis = stack.client("kinesis")
    [shard] = kinesis.list_shards(StreamName=stack["Stream"])["Shards"]
    at = {"ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
    iterator = kinesis.get_shard_iterator(StreamName=stack["Stream"], **at)["ShardIterator"]
    [record] = kinesis.get_records(ShardIterator=iterator)["Records"]
    assert (json.loads(record["Data"]), record["PartitionKey"]) == (EVENT, "e-1")
    s3, where = stack.client("s3"), {"Bucket": stack["Bucket"], "Prefix": "lake/"}
    until(lambda: s3.list_objects_v2(**where)["KeyCount"] > 0, seconds=60, what="until it is there")
    [found] = s3.list_objects_v2(**where)["Contents"]
    assert s3.get_object(Bucket=stack["Bucket"], Key=found["Key"])["Body"].read() == b"click"
