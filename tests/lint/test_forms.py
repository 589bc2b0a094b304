"""Other forms in which a template says the same as a bad one, or only seems to."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lint.test_messages import IMPORTED, Resources, alarm, arn, pipe, post, resource, said

AGE = "ApproximateAgeOfOldestMessage"
LATE = {"Threshold": 5, "ComparisonOperator": "GreaterThanThreshold"}
QUEUE, FIFO = resource("SQS::Queue"), resource("SQS::Queue", FifoQueue=True)
DEAD = resource("SQS::Queue", RedrivePolicy={"deadLetterTargetArn": arn("Other")})
TABLE = resource("DynamoDB::Table", StreamSpecification={"StreamViewType": "KEYS_ONLY"})
IMAGE = '{"dynamodb": {"NewImage": {"a": {"S": ["b"]}}}}'
SEND = "Action=SendMessage&MessageBody=a"
NOWHERE = "sqs:path/123456789012/orders"
ON_STATES = "states:action/StartExecution"
FORMAT = {"DataFormatConversionConfiguration": {"Enabled": True}}


def metrics(*names: str, **settings: Any) -> dict[str, Any]:
    """An alarm on an expression of metrics of the queue Other."""
    dimensions = [{"Name": "QueueName", "Value": {"Fn::GetAtt": ["Other", "QueueName"]}}]
    stats = [
        {"Namespace": "AWS/SQS", "MetricName": name, "Dimensions": dimensions} for name in names
    ]
    listed = [{"Id": "m", "MetricStat": {"Metric": stat}} for stat in stats]
    return resource("CloudWatch::Alarm", Metrics=listed, **LATE | settings)


def on_stream(name: Any) -> dict[str, Any]:
    metric = {"Namespace": "AWS/Kinesis", "MetricName": "IncomingBytes"}
    return resource(
        "CloudWatch::Alarm", Dimensions=[{"Name": "StreamName", "Value": name}], **metric
    )


def lake(**settings: Any) -> dict[str, Any]:
    return resource("KinesisFirehose::DeliveryStream", ExtendedS3DestinationConfiguration=settings)


def transforming(size: str, function: Any = "a") -> dict[str, Any]:
    given = {"BufferSizeInMBs": size, "LambdaArn": function}
    parameters = [{"ParameterName": name, "ParameterValue": value} for name, value in given.items()]
    processor = {"Type": "Lambda", "Parameters": parameters}
    return {"ProcessingConfiguration": {"Enabled": True, "Processors": [processor]}}


def machine(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    definition = {"States": {"Ask": {"Type": "Task", **state}}, **more}
    return resource("StepFunctions::StateMachine", Definition=definition)


def asks(place: str) -> dict[str, Any]:
    waits = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"
    return machine({"Resource": waits, "TimeoutSeconds": 5, place: {"QueueUrl": {"Ref": "Slow"}}})


def mapping(source: Any, **settings: Any) -> dict[str, Any]:
    return resource(
        "Lambda::EventSourceMapping", EventSourceArn=source, FunctionName={"Ref": "Run"}, **settings
    )


def function(**settings: Any) -> dict[str, Any]:
    return resource("Lambda::Function", Role="arn:aws:iam::123456789012:role/a", **settings)


def rule(target: Any, **more: Any) -> dict[str, Any]:
    targets = [{"Id": "1", "Arn": target, **more}]
    return resource("Events::Rule", EventPattern={"source": ["shop"]}, Targets=targets)


def cdk_notifies(**configuration: Any) -> dict[str, Any]:
    """What the CDK makes of a bucket's notifications."""
    properties = {"BucketName": {"Ref": "Bucket"}, "NotificationConfiguration": configuration}
    return {"Type": "Custom::S3BucketNotifications", "Properties": properties}


def invoking(**settings: Any) -> dict[str, Any]:
    return resource("Lambda::EventInvokeConfig", FunctionName={"Ref": "Run"}, **settings)


def subscription(protocol: str = "sqs", **settings: Any) -> dict[str, Any]:
    return resource("SNS::Subscription", TopicArn={"Ref": "Topic"}, Protocol=protocol, **settings)


def pattern(**fields: Any) -> dict[str, Any]:
    given = {name.replace("_", "-"): value for name, value in fields.items()}
    return resource("Events::Rule", EventPattern=given)


def key(**limits: Any) -> dict[str, Any]:
    """A key that EventBridge may use."""
    use = {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}
    statement = use | {"Principal": {"Service": "events.amazonaws.com"}} | limits
    return resource("KMS::Key", KeyPolicy={"Statement": [statement]})


def called(how: str) -> dict[str, Any]:
    return {"LambdaFunctionParameters": {"InvocationType": how}}


def open_policy(*services: str) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}
    principal = {"Service": [f"{name}.amazonaws.com" for name in services]}
    document = {"Statement": [statement | {"Principal": principal}]}
    return resource("SQS::QueuePolicy", Queues=[{"Ref": "Queue"}], PolicyDocument=document)


def sent_to(target: Any, **dead_letters: Any) -> dict[str, Any]:
    return rule(target, DeadLetterConfig=dead_letters) if dead_letters else rule(target)


WAITS = resource(
    "Events::Rule",
    EventPattern={"source": ["aws.s3"], "detail": {"bucket": {"name": [{"Ref": "Bucket"}]}}},
)
SLOW, QUICK = resource("SQS::Queue", DelaySeconds=5), {"DelaySeconds": 2, "VisibilityTimeout": 3}
OF_TABLES = "arn:aws:dynamodb:eu-west-1:123456789012"
LAYERS = ["arn:aws:lambda:eu-west-1:123456789012:layer:shared:1"]
ELSEWHERE = "arn:aws:sqs:us-east-1:123456789012:failed"
OF_ANOTHER_ACCOUNT = {"deadLetterTargetArn": "arn:aws:sqs:eu-west-1:210987654321:failed"}
DISABLED = {
    "ExtendedS3DestinationConfiguration": {
        "ProcessingConfiguration": {
            **transforming("9")["ProcessingConfiguration"],
            "Enabled": False,
        }
    }
}
FROM_KAFKA = {
    "DeliveryStreamType": "MSKAsSource",
    "DeliveryStreamEncryptionConfigurationInput": {"KeyType": "AWS_OWNED_CMK"},
}
STREAM_ELSEWHERE = {"Fn::Sub": "arn:aws:kinesis:${AWS::Region}:${AWS::AccountId}:stream/${Name}"}
FIFO_LETTERS = {"deadLetterTargetArn": arn("Fifo"), "maxReceiveCount": 5}
DEAD_LETTERS = {"deadLetterTargetArn": arn("Other"), "maxReceiveCount": 5}
ONCE = {"MaximumRetryAttempts": 0, "FunctionName": {"Ref": "Run"}}
OF_URL = {"FunctionName": {"Ref": "Run"}, "Action": "lambda:InvokeFunctionUrl", "Principal": "*"}
OPEN = {"FunctionName": {"Ref": "Run"}, "Action": "lambda:InvokeFunction", "Principal": "*"}
PIPE = {"Source": arn("Queue"), "Target": arn("Run"), "Enrichment": arn("Run")}
POLLERS = {"ProvisionedPollerConfig": {"MaximumPollers": 3}}
REPORT = {
    "Arn": "arn:aws:scheduler:::aws-sdk:sqs:sendMessage",
    "Input": '{"QueueUrl": "https://sqs.eu-west-1.amazonaws.com/1/a.fifo", "DelaySeconds": 1}',
}


@pytest.mark.parametrize(
    ("rule_id", "resources", "says"),
    [
        ("I9182", {"A": alarm({"Fn::GetAtt": ["Other", "QueueName"]}, Namespace="Shop")}, "Other:"),
        ("E9184", {"A": on_stream(arn("Stream"))}, "gives Stream.Arn as StreamName"),
        ("E9184", {"A": on_stream(arn("Stream"))}, "never fires. Give Ref."),
        ("E9171", {"Post": post(ON_STATES, "{}", "200")}, "when states rejects an event"),
        (
            "E9172",
            {"Post": post(NOWHERE, "#set($o = $input.body)Action=SendMessage&MessageBody=$o")},
            "Post puts $o into",
        ),
        (
            "W9175",
            {"Post": post(NOWHERE, "Action=SendMessageBatch&a=b", "200")},
            "when SendMessageBatch reports failures inside its success: no response template "
            "looks at Failed.",
        ),
        ("W9173", {"Post": post(NOWHERE, SEND)}, "has the PassthroughBehavior WHEN_NO_MATCH: a"),
        (
            "E9138",
            {"Pipe": pipe({"MessageGroupId": "a"}), "Fifo": FIFO},
            "Pipe sends to the FIFO queue Fifo without MessageDeduplicationId",
        ),
        (
            "E9132",
            {
                "Bucket": resource(
                    "S3::Bucket",
                    NotificationConfiguration={
                        "QueueConfigurations": [{"Queue": {"Fn::Sub": "arn:aws:sqs:${P}:1:a.fifo"}}]
                    },
                )
            },
            "Bucket notifies its target, which is FIFO",
        ),
        (
            "E9143",
            {"Lake": lake(Prefix="!{timestamp:yyyy}/")},
            "Lake has a prefix with expressions, and has no ErrorOutputPrefix",
        ),
        ("I9147", {"Lake": lake(Prefix="a/", **FORMAT)}, "ErrorOutputPrefix of Lake"),
        ("I9147", {"Lake": lake(Prefix="a/", **transforming("1"))}, "ErrorOutputPrefix of Lake"),
        (
            "E9141",
            {"Fits": lake(**transforming("x")), "Lake": lake(**transforming("4"))},
            "BufferSizeInMBs of Lake is 4 MiB",
        ),
        (
            "W9195",
            {"Map": mapping(arn("Queue")), "Run": function(ReservedConcurrentExecutions=0)},
            "every poll is throttled and counts as a receive, until good messages are "
            "dead-lettered. Reserve 2 or more",
        ),
        (
            "E9191",
            {"Rule": WAITS, "Bucket": resource("S3::Bucket"), "Told": cdk_notifies()},
            "Rule waits for events of Bucket, which does not send any",
        ),
        (
            "W9112",
            {
                "Pipe": resource("Pipes::Pipe", **PIPE),
                "Run": function(),
                "Queue": resource("SQS::Queue", VisibilityTimeout=35),
            },
            "Pipe (timeout 6 s, batching window 0 s) needs 36 s",
        ),
        (
            "W9113",
            {
                "Map": mapping(arn("Queue"), **POLLERS),
                "Run": function(ReservedConcurrentExecutions=20),
            },
            "3 pollers make 30 concurrent calls of Run, but it reserves only 20",
        ),
        (
            "W9113",
            {
                **{
                    name: mapping(arn(name), ScalingConfig={"MaximumConcurrency": 5})
                    for name in ("One", "Two", "Three")
                },
                "Run": function(ReservedConcurrentExecutions=12),
            },
            "Run in addition to the 10 of its other mappings",
        ),
        (
            "E9231",
            {"Slow": resource("SQS::Queue", DelaySeconds=345_600)},
            "Slow delays messages by 4 days, but keeps them for 4 days only",
        ),
        (
            "E9232",
            {"Due": resource("Scheduler::Schedule", Target=REPORT)},
            "Due gives messages to the FIFO queue https://sqs.eu-west-1.amazonaws.com/1/a.fifo",
        ),
        ("E9233", {"Saga": asks("Parameters"), "Slow": SLOW}, "Slow, which Ask of Saga asks, del"),
        ("E9233", {"Saga": asks("Arguments"), "Slow": SLOW}, "waits for 5 s: none is answered"),
        (
            "W9234",
            {"Saga": asks("Arguments"), "Slow": QUEUE},
            "Slow, which Ask of Saga asks, hides a request for 30 s, but",
        ),
        (
            "E9126",
            {
                "Pipe": resource(
                    "Pipes::Pipe",
                    Source={"Fn::GetAtt": ["Table", "StreamArn"]},
                    SourceParameters={"FilterCriteria": {"Filters": [{"Pattern": IMAGE}]}},
                ),
                "Table": TABLE,
            },
            "Pipe filters by NewImage, but the stream of Table has KEYS_ONLY",
        ),
        ("W9161", {"Open": resource("Lambda::Permission", **OPEN)}, "Open lets everyone invoke"),
        (
            "E9138",
            {"First": rule(arn("Other")), "Second": rule(arn("Fifo")), "Fifo": FIFO},
            "Second sends to the FIFO queue Fifo",
        ),
        (
            "E9172",
            {"Post": post(NOWHERE, "Action=SendMessage&a=$util.urlEncode('a')$input.body")},
            "Post puts $input.body into",
        ),
        (
            "W9173",
            {"Post": post("sns:path//", "Action=Publish&Message=a")},
            "Post has the PassthroughBehavior WHEN_NO_MATCH: a body of another content type "
            "reaches sns",
        ),
        (
            "E9152",
            {
                "Rule": rule(arn("Kept")),
                "Another": rule(arn("Other")),
                "Kept": resource("SQS::Queue", KmsMasterKeyId={"Ref": "Key"}),
                "Key": key(Condition={"ArnEquals": {"aws:SourceArn": arn("Another")}}),
            },
            "Rule sends to Kept, which Key encrypts, and the key's policy does not",
        ),
        (
            "W9195",
            {
                "Nightly": resource(
                    "Events::Rule",
                    ScheduleExpression="rate(1 day)",
                    Targets=[{"Id": "1", "Arn": arn("Run")}],
                ),
                "Run": function(ReservedConcurrentExecutions=0),
            },
            "Run, which gets events from Nightly, reserves 0 concurrent executions",
        ),
        (
            "W9112",
            {
                "Pipe": resource(
                    "Pipes::Pipe", **PIPE, TargetParameters=called("REQUEST_RESPONSE")
                ),
                "Run": function(),
                "Queue": resource("SQS::Queue", VisibilityTimeout=35),
            },
            "Pipe (timeout 6 s,",
        ),
        (
            "W9112",
            {
                "Pipe": resource("Pipes::Pipe", **PIPE, TargetParameters=called("FIRE_AND_FORGET")),
                "Run": function(Timeout=6),
                "Queue": QUEUE,
            },
            "Queue hides a message for 30 s, but Pipe (timeout 6 s,",
        ),
        (
            "W9112",
            {"Map": mapping(arn("Other")), "Run": function(Timeout=30)},
            "Run (timeout 30 s, batching window 0 s) needs 180 s",
        ),
        (
            "E9232",
            {
                "Saga": machine(
                    {
                        "Resource": "arn:aws:states:::sqs:sendMessage",
                        "Arguments": {"QueueUrl": {"Ref": "Fifo"}, "DelaySeconds": 5},
                    }
                ),
                "Fifo": FIFO,
            },
            "Ask of Saga gives messages to the FIFO queue Fifo",
        ),
        (
            "W9121",
            {"Map": mapping(f"{OF_TABLES}:table/t/stream/1", StartingPosition="TRIM_HORIZON")},
            "Map retries a failing batch until its records expire",
        ),
        (
            "W9121",
            {"Map": mapping(IMPORTED, Topics=["a"], StartingPosition="TRIM_HORIZON")},
            "Set DestinationConfig.OnFailure.Destination.",
        ),
        (
            "I9209",
            {"Once": resource("Scheduler::Schedule", ScheduleExpression="at(2020-01-01T08:00:00)")},
            "Once is at 2020-01-01 08:00 in UTC, which is over",
        ),
        (
            "E9115",
            {
                "Map": mapping(
                    f"{OF_TABLES}:table/t/stream/1",
                    FilterCriteria={"Filters": [{"Pattern": '{"status": ["a"]}'}]},
                )
            },
            "Map filters by status, which no record of dynamodb has: every record is skipped",
        ),
        (
            "E9115",
            {
                "Map": mapping(
                    {"Fn::GetAtt": ["Table", "StreamArn"]},
                    FilterCriteria={"Filters": [{"Pattern": '{"status": ["a"]}'}]},
                ),
                "Table": TABLE,
            },
            "Map filters by status, which no record of dynamodb has",
        ),
        (
            "E9115",
            {
                "Pipe": resource(
                    "Pipes::Pipe",
                    Source=arn("Queue"),
                    SourceParameters={
                        "FilterCriteria": {"Filters": [{"Pattern": '{"status": ["a"]}'}]}
                    },
                )
            },
            "Pipe filters by status, which no record of sqs has: every record is deleted",
        ),
        (
            "E9115",
            {
                "Map": mapping(
                    IMPORTED, FilterCriteria={"Filters": [{"Pattern": '{"status": ["a"]}'}]}
                )
            },
            "Map filters by status, which no record of sqs has",
        ),
        (
            "E9231",
            {"Slow": resource("SQS::Queue", DelaySeconds=900, MessageRetentionPeriod=60)},
            "Slow delays messages by 15 minutes, but keeps them for 60 s only",
        ),
        (
            "E9109",
            {"Run": function(Layers=LAYERS), "Rule": sent_to(arn("Run"), Arn=ELSEWHERE)},
            "Rule is in Region eu-west-1, its dead-letter queue arn:aws:sqs:us-east-1:1234",
        ),
        (
            "E9109",
            {
                "Run": function(),
                "Queue": resource("SQS::Queue", RedrivePolicy=OF_ANOTHER_ACCOUNT),
            },
            "Queue is in account 123456789012, its dead-letter queue",
        ),
        (
            "W9161",
            {"Open": open_policy("events", "s3")},
            "Open lets events.amazonaws.com, s3.amazonaws.com send for anybody's",
        ),
        (
            "W9161",
            {"Open": open_policy("lambda", "pipes")},
            "Open lets lambda.amazonaws.com, pipes.amazonaws.com send, but such a service",
        ),
        (
            "E9162",
            {
                "Rule": rule(arn("Queue")),
                "First": open_policy("s3"),
                "Second": open_policy("sns"),
            },
            "Allow it sqs:SendMessage in First or Second.",
        ),
        (
            "E9163",
            {
                "Rule": rule(arn("Run")),
                "Run": function(),
                "One": resource("Lambda::Permission", **OPEN | {"Principal": "s3.amazonaws.com"}),
                "Two": resource("Lambda::Permission", **OPEN | {"Principal": "sns.amazonaws.com"}),
            },
            "; One, Two does not allow this.",
        ),
        (
            "E9163",
            {
                "Rule": rule({"Ref": "Live"}),
                "Run": function(),
                "Live": resource("Lambda::Alias", FunctionName={"Ref": "Run"}, Name=IMPORTED),
            },
            "Rule is not allowed to invoke Live of Run: every event is lost",
        ),
        (
            "I9194",
            {
                "One": rule(arn("Run")),
                "Two": rule(arn("Run")),
                "Run": function(),
                "Config": invoking(MaximumRetryAttempts=1),
            },
            "Run gets events from One and others and has no failure destination",
        ),
        (
            "I9194",
            {"One": rule(arn("Run")), "Run": function(), "Config": invoking()},
            "Run gets events from One and has no failure destination",
        ),
        (
            "E9131",
            {
                "Config": invoking(
                    DestinationConfig={"OnFailure": {"Destination": "arn:aws:sns:a:1:b.fifo"}}
                )
            },
            "is a FIFO topic, but",
        ),
        (
            "E9131",
            {
                "Config": invoking(
                    DestinationConfig={"OnFailure": {"Destination": "arn:aws:sqs:a:1:b.fifo"}}
                )
            },
            "is a FIFO queue, but",
        ),
        (
            "E9136",
            {"Rule": sent_to(IMPORTED, Arn=arn("Fifo")), "Fifo": FIFO},
            "A target, to which Rule sends, has a FIFO dead-letter queue",
        ),
        (
            "E9138",
            {"Rule": rule("arn:aws:sqs:eu-west-1:123456789012:a.fifo")},
            "FIFO queue arn:aws:sqs:eu-west-1:123456789012:a.fifo without MessageGroupId: SQS "
            "rejects every message. Give MessageGroupId.",
        ),
        (
            "E9189",
            {
                "Run": function(),
                "One": invoking(),
                "Two": invoking(Qualifier="$LATEST"),
            },
            "Run ($LATEST) has two configurations",
        ),
        (
            "E9189",
            {
                "Run": function(),
                "Four": resource("Lambda::Version", FunctionName={"Ref": "Run"}),
                "One": invoking(Qualifier={"Fn::GetAtt": ["Four", "Version"]}),
                "Two": invoking(Qualifier={"Fn::GetAtt": ["Four", "Version"]}),
            },
            "Run (Four) has two configurations",
        ),
        (
            "E9146",
            {"Lake": resource("KinesisFirehose::DeliveryStream", **FROM_KAFKA)},
            "Lake reads",
        ),
        (
            "E9142",
            {
                "Lake": lake(
                    **transforming("1", {"Fn::Sub": "${Run.Arn}:$LATEST"}),
                ),
                "Run": function(Timeout=301),
            },
            "Run may run for 301 s",
        ),
        (
            "E9190",
            {"Rule": pattern(own=["a"])},
            "events have no field own; put fields of your own below detail.",
        ),
        ("E9190", {"Rule": pattern(source={"prefix": "a"})}, "source is text in every event, not"),
        ("E9190", {"Rule": pattern(detail=["a"])}, "detail is an object in every event."),
        (
            "E9190",
            {"Rule": pattern(traceId=[{"exists": False}], own=["a"])},
            "events have no field own",
        ),
        (
            "E9190",
            {"Rule": pattern(source=["aws.s3"], detail_type=["s3:ObjectCreated:Put"])},
            "the detail-type is Object Created.",
        ),
        (
            "E9169",
            {"Errors": resource("Logs::SubscriptionFilter", DestinationArn=STREAM_ELSEWHERE)},
            "Errors sends to its destination without a role: CloudWatch Logs is",
        ),
        (
            "W9112",
            {"Map": mapping(arn("Other"), MaximumBatchingWindowInSeconds=20), "Run": function()},
            "Other hides a message for 30 s, but Run (timeout 3 s, batching window 20 s) needs 38",
        ),
        (
            "E9111",
            {"Map": mapping(arn("Other")), "Run": function(Timeout=31)},
            "Other hides a message for 30 s, but Run (timeout 31 s, batching window 0 s)",
        ),
        (
            "W9106",
            {
                "Map": mapping(arn("Queue")),
                "Queue": resource(
                    "SQS::Queue",
                    RedrivePolicy={"deadLetterTargetArn": arn("Other"), "maxReceiveCount": 1000},
                    VisibilityTimeout=346,
                ),
            },
            "Queue keeps a message for 4 days, but 1000 receives of 346 s",
        ),
        (
            "W9106",
            {
                "Map": mapping(arn("Queue")),
                "Queue": resource(
                    "SQS::Queue",
                    RedrivePolicy={"deadLetterTargetArn": arn("Other"), "maxReceiveCount": 10},
                    MessageRetentionPeriod=300,
                ),
            },
            "Queue keeps a message for 300 s, but 10 receives of 30 s",
        ),
        (
            "W9113",
            {
                "Map": mapping(arn("Queue"), ProvisionedPollerConfig={"MinimumPollers": 2}),
                "Run": function(ReservedConcurrentExecutions=20),
            },
            "200 pollers make 2000 concurrent calls of Run",
        ),
        (
            "W9222",
            {
                "Old": alarm(arn("Other"), MetricName=AGE, **LATE | {"Threshold": 3}),
                "Queue": resource("SQS::Queue", RedrivePolicy=DEAD_LETTERS),
            },
            "The threshold of Old has the alarm go off 3 s after a message was dead-lettered, but "
            "a dead letter of Queue may be deleted after 0 s",
        ),
        (
            "W9234",
            {"Saga": asks("Arguments"), "Slow": resource("SQS::Queue", **QUICK)},
            "hides a request for 3 s (with 2 s of delay, 5 s), but",
        ),
        (
            "E9132",
            {
                "Bucket": resource(
                    "S3::Bucket",
                    NotificationConfiguration={"QueueConfigurations": [{"Queue": arn("Fifo")}]},
                ),
                "Fifo": FIFO,
            },
            "Bucket notifies Fifo, which is FIFO",
        ),
        (
            "E9212",
            {
                "Topic": resource("SNS::Topic", MaximumMessageSize=300_000),
                **{f"S{number}": subscription() for number in range(101)},
            },
            "so it can have 100 subscriptions, and not 101",
        ),
        (
            "W9218",
            {
                "Bucket": resource(
                    "S3::Bucket",
                    NotificationConfiguration={
                        "QueueConfigurations": [
                            {"Event": "s3:ObjectCreated:*", "Queue": IMPORTED},
                            {"Event": "s3:ObjectCreated:*", "Queue": arn("Other")},
                        ]
                    },
                    LifecycleConfiguration={
                        "Rules": [{"Status": "Enabled", "ExpirationInDays": 4}]
                    },
                )
            },
            "Bucket: objects of '*' expire after 4 days, but a message about one may wait for 4",
        ),
        (
            "E9189",
            {
                "Run": resource("Serverless::Function", AutoPublishAlias="live"),
                "First": invoking(),
                "Second": invoking(Qualifier="live"),
            },
            "Run (live)",
        ),
        (
            "E9203",
            {
                "Rule": resource(
                    "Events::Rule",
                    ScheduleExpression="rate(1 hour)",
                    EventBusName={"Fn::GetAtt": ["Bus", "Arn"]},
                ),
                "Bus": resource("Events::EventBus", Name="shop"),
            },
            "Rule is a schedule on the bus Bus, but",
        ),
    ],
)
def test_a_fault_is_found_in_this_form_too(rule_id: str, resources: Resources, says: str) -> None:
    given = {"Queue": DEAD, "Other": QUEUE, "Stream": resource("Kinesis::Stream")}
    (message,) = said(rule_id, **given | resources)
    assert says in message


@pytest.mark.parametrize(
    ("rule_id", "resources"),
    [
        ("W9188", {"A": metrics(AGE, Threshold=345_600)}),
        ("I9186", {"A": alarm(arn("Other"), MetricName="NumberOfMessagesReceived", **LATE)}),
        (
            "I9186",
            {
                "A": metrics(
                    "ApproximateNumberOfMessagesVisible", "ApproximateNumberOfMessagesNotVisible"
                )
            },
        ),
        ("E9181", {"A": alarm("", Dimensions=[IMPORTED])}),
        ("E9181", {"A": alarm("", Dimensions=IMPORTED)}),
        ("E9171", {"Post": post(NOWHERE, SEND, IMPORTED)}),  # type: ignore[arg-type]
        ("E9171", {"Post": post(NOWHERE, SEND, "200", Type="AWS_PROXY")}),
        ("W9175", {"Post": post(NOWHERE, SEND, "200")}),
        ("W9175", {"Post": post(NOWHERE, "{}", "200")}),
        ("W9175", {"Post": post("events:action/PutEvents", "{}", IMPORTED)}),  # type: ignore[arg-type]
        ("W9173", {"Post": post(ON_STATES, "{}")}),
        ("W9173", {"Post": post(NOWHERE, SEND, PassthroughBehavior="NEVER")}),
        (
            "I9183",
            {
                "Sub": resource(
                    "SNS::Subscription",
                    Endpoint=arn("Other"),
                    RedrivePolicy={"deadLetterTargetArn": arn("Other")},
                )
            },
        ),
        (
            "E9241",
            {
                "Shop": resource("RDS::DBCluster", DBClusterIdentifier="shop"),
                "Policy": resource(
                    "IAM::Policy",
                    PolicyDocument={
                        "Statement": [
                            {
                                "Effect": "Allow",
                                "Action": "rds-data:BatchExecuteStatement",
                                "Resource": arn("Shop"),
                            },
                            {
                                "Effect": "Deny",
                                "Action": "rds-data:ExecuteStatement",
                                "Resource": arn("Shop"),
                            },
                        ]
                    },
                ),
            },
        ),
        (
            "E9191",
            {
                "Rule": WAITS,
                "Bucket": resource("S3::Bucket"),
                "Told": cdk_notifies(EventBridgeConfiguration={}),
            },
        ),
        (
            "W9193",
            {
                "Rule": rule(arn("Run")),
                "Run": function(),
                "Config": resource(
                    "Lambda::EventInvokeConfig", **ONCE | {"MaximumRetryAttempts": 1}
                ),
            },
        ),
        ("I9198", {"Saga": machine({"Resource": "a.waitForTaskToken"}, TimeoutSeconds=60)}),
        ("I9147", {"Lake": lake(Prefix="a/")}),
        ("W9161", {"Url": resource("Lambda::Permission", **OF_URL)}),
        (
            "W9161",
            {"Url": resource("Lambda::Permission", **OPEN, FunctionUrlAuthType="NONE")},
        ),
        (
            "W9161",
            {"Url": resource("Lambda::Permission", **OPEN, InvokedViaFunctionUrl=True)},
        ),
        ("W9112", {"Pipe": resource("Pipes::Pipe", Source=arn("Queue"), Target=IMPORTED)}),
        (
            "W9114",
            {"Map": mapping(arn("Queue"), FunctionResponseTypes=["ReportBatchItemFailures"])},
        ),
        (
            "W9114",
            {"Map": mapping({"Fn::Sub": "arn:aws:kafka:${AWS::Region}:123456789012:cluster/a/b"})},
        ),
        ("W9102", {"Map": mapping(arn("Queue"))}),
        ("W9127", {name: mapping(arn("Stream")) for name in ("One", "Two", "Three")}),
        (
            "E9172",
            {"Post": post(NOWHERE, f"{SEND}$util.urlEncode(\"$context.a('b') $input.body\")")},
        ),
        (
            "E9171",
            {
                "Post": post(
                    NOWHERE,
                    SEND,
                    IntegrationResponses=[
                        {"SelectionPattern": "4..", "StatusCode": IMPORTED},
                        {"StatusCode": "200"},
                    ],
                )
            },
        ),
        (
            "W9218",
            {
                "Bucket": resource(
                    "S3::Bucket",
                    NotificationConfiguration={
                        "QueueConfigurations": [
                            {"Event": "s3:ObjectCreated:*", "Queue": arn("Queue")}
                        ]
                    },
                    LifecycleConfiguration={
                        "Rules": [{"Status": "Enabled", "ExpirationInDays": 4}]
                    },
                ),
                "Queue": resource(
                    "SQS::Queue", RedrivePolicy=DEAD_LETTERS, MessageRetentionPeriod=IMPORTED
                ),
            },
        ),
        (
            "E9153",
            {
                "Kept": resource("SQS::Queue", KmsMasterKeyId={"Ref": "Key"}),
                "Key": resource("KMS::Key", KeySpec=IMPORTED),
            },
        ),
        *(
            ("W9161", {"Open": resource("Lambda::Permission", **OPEN, **{limit: "a"})})
            for limit in ("SourceArn", "SourceAccount", "PrincipalOrgID")
        ),
        (
            "E9162",
            {
                "Rule": rule(arn("Other")),
                "Policy": {
                    "Type": "AWS::SQS::QueueInlinePolicy",
                    "Properties": {
                        "Queue": {"Ref": "Other"},
                        "PolicyDocument": open_policy("events")["Properties"]["PolicyDocument"],
                    },
                },
            },
        ),
        (
            "E9164",
            {
                "Rule": rule({"Ref": "Topic"}),
                "Topic": resource("SNS::Topic"),
                "Policy": resource(
                    "SNS::TopicInlinePolicy",
                    TopicArn={"Ref": "Topic"},
                    PolicyDocument={
                        "Statement": [
                            {
                                "Effect": "Allow",
                                "Action": "sns:Publish",
                                "Resource": "*",
                                "Principal": {"Service": "events.amazonaws.com"},
                            }
                        ]
                    },
                ),
            },
        ),
        (
            "E9163",
            {
                "Rule": rule(arn("Run")),
                "Run": function(),
                "Open": resource("Lambda::Permission", **OPEN, SourceArn=arn("Rule")),
            },
        ),
        (
            "E9160",
            {
                "Rule": rule(arn("Log")),
                "Log": resource("Logs::LogGroup"),
                "Put": {
                    "Type": "Custom::CloudwatchLogResourcePolicy",
                    "Properties": {"Update": '{"action": "putResourcePolicy"}'},
                },
            },
        ),
        (
            "E9169",
            {
                "Errors": resource(
                    "Logs::SubscriptionFilter", DestinationArn=arn("Stream"), RoleArn=IMPORTED
                )
            },
        ),
        ("E9169", {"Errors": resource("Logs::SubscriptionFilter", DestinationArn=arn("Run"))}),
        (
            "W9121",
            {"Map": mapping(IMPORTED, DocumentDBEventSourceConfig={}, StartingPosition="LATEST")},
        ),
        (
            "W9222",
            {
                "Old": alarm(arn("Fifo"), MetricName=AGE, **LATE),
                "Fifo": FIFO,
                "Source": resource("SQS::Queue", FifoQueue=True, RedrivePolicy=FIFO_LETTERS),
            },
        ),
        ("W9102", {"Map": mapping(arn("Other"))}),
        (
            "W9113",
            {
                "Map": mapping(arn("Queue"), Enabled=False, **POLLERS),
                "Run": function(ReservedConcurrentExecutions=2),
            },
        ),
        ("W9113", {"Map": mapping(arn("Queue"), **POLLERS), "Run": function()}),
        (
            "E9189",
            {"Run": function(), "One": invoking(), "Two": invoking(Qualifier="live")},
        ),
        (
            "E9189",
            {
                "Run": function(),
                "One": invoking(Qualifier=IMPORTED),
                "Two": invoking(Qualifier=IMPORTED),
            },
        ),
        ("E9190", {"Rule": pattern(**{"$or": [{"source": ["a"]}, {"detail": {"b": ["c"]}}]})}),
        ("E9190", {"Rule": pattern(source=["aws.s3"], detail={"bucket": {"name": ["a"]}})}),
        ("E9190", {"Rule": pattern(source=["aws.s3", "shop"], detail_type=["ObjectCreated"])}),
        ("E9190", {"Rule": pattern(account=IMPORTED)}),
        ("E9111", {"Map": mapping(arn("Other")), "Run": function(Timeout=30)}),
        (
            "I9186",
            {"A": alarm(arn("Other"), Threshold=0, ComparisonOperator="GreaterThanThreshold")},
        ),
        ("W9187", {"Rule": resource("IoT::TopicRule", TopicRulePayload={"Actions": []})}),
        ("E9145", {"Lake": lake(CompressionFormat="GZIP")}),
        ("E9144", {"Lake": lake(BufferingHints={"SizeInMBs": 1})}),
        ("E9141", {"Lake": resource("KinesisFirehose::DeliveryStream", **DISABLED)}),
        (
            "W9122",
            {"Map": mapping(arn("Stream"), StartingPosition="TRIM_HORIZON")},
        ),
        (
            "I9214",
            {"Sub": subscription("https"), "Topic": resource("SNS::Topic", SignatureVersion="2")},
        ),
        (
            "E9213",
            {"Sub": subscription(DeliveryPolicy={"healthyRetryPolicy": {"numRetries": 101}})},
        ),
        ("E9213", {"Sub": subscription("https", DeliveryPolicy=IMPORTED)}),
        ("E9213", {"Sub": subscription("https", DeliveryPolicy={"throttlePolicy": {}})}),
        (
            "W9127",
            {
                "Table": resource("DynamoDB::GlobalTable", Replicas=[{"Region": "eu-west-1"}]),
                **{
                    name: mapping({"Fn::GetAtt": ["Table", "StreamArn"]}) for name in ("One", "Two")
                },
            },
        ),
    ],
)
def test_what_only_seems_a_fault_is_none(rule_id: str, resources: Resources) -> None:
    given = {"Queue": DEAD, "Other": QUEUE, "Stream": resource("Kinesis::Stream")}
    assert said(rule_id, **given | resources) == []
