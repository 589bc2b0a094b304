"""What every construct promises, whatever it is made of; and every stack, of all it has."""

from __future__ import annotations

import inspect
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import aws_cloudwatch_actions as cloudwatch_actions
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk.assertions import Template

from serverless_patterns.patterns import catalog
from serverless_patterns.patterns.blocks.alarms import Alarms
from tests.contracts.builds import Build, builds, every_build, resources_of, template_of, texts
from tests.inline import properties, rejected

if TYPE_CHECKING:
    from aws_cdk import Stack

    from tests.stacks import Stacks

    Resources = dict[str, dict[str, Any]]

DAYS_14 = 14 * 86_400
TLS_ONLY = {"Bool": {"aws:SecureTransport": "false"}}
ENCRYPTED_BY = {
    "AWS::SQS::Queue": ("SqsManagedSseEnabled", "KmsMasterKeyId"),
    "AWS::SNS::Topic": ("KmsMasterKeyId",),
    "AWS::S3::Bucket": ("BucketEncryption",),
    "AWS::Kinesis::Stream": ("StreamEncryption",),
}
# Metric → the statistic by which its alarm goes off as soon as one event is at stake.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Best_Practice_Recommended_Alarms_AWS_Services.html
STATISTICS = {
    "4XXError": "Sum",
    "5XXError": "Average",  # the rate
    "ApproximateAgeOfOldestMessage": "Maximum",
    "ApproximateNumberOfMessagesNotVisible": "Maximum",  # near the quota, it hands over none
    "ApproximateNumberOfMessagesVisible": "Maximum",
    "AsyncEventAge": "Maximum",
    "AsyncEventsDropped": "Sum",
    "BroadcastEventServerError": "Sum",
    "DeadLetterErrors": "Sum",
    "DeliveryToS3.DataFreshness": "Maximum",
    "DestinationDeliveryFailures": "Sum",
    "Duration": "p90",
    "Errors": "Sum",
    "ExecutionThrottled": "Sum",
    "ExecutionsAborted": "Sum",
    "ExecutionsFailed": "Sum",
    "ExecutionsTimedOut": "Sum",
    "FailedInvocations": "Sum",
    "GetRecords.IteratorAgeMilliseconds": "Maximum",
    "InvocationDroppedCount": "Sum",
    "InvocationsFailedToBeSentToDeadLetterCount": "Sum",
    "InvocationsFailedToBeSentToDlq": "Sum",
    "InvocationsSentToDlq": "Sum",
    "Invocations": "Sum",  # of a relay, which is silent when it is not called
    "IteratorAge": "Maximum",
    "NumberOfNotificationsFailed": "Sum",
    "NumberOfNotificationsFailedToRedriveToDlq": "Sum",
    "NumberOfNotificationsFilteredOut-InvalidAttributes": "Sum",
    "NumberOfNotificationsFilteredOut-InvalidMessageBody": "Sum",
    "NumberOfNotificationsRedrivenToDlq": "Sum",
    "ObjectsFound": "Sum",  # by a sweep: the events of each were lost
    "OutboxAge": "Maximum",
    "PublishDataMessageServerError": "Sum",
    "PutRecords.FailedRecords": "Sum",
    "PutRequests": "Sum",
    "ReadProvisionedThroughputExceeded": "Sum",
    "SMSMonthToDateSpentUSD": "Maximum",  # it grows until the month ends
    "SuccessfulRequestLatency": "SampleCount",  # how many were written
    "TargetErrorCount": "Sum",
    "TargetErrorThrottledCount": "Sum",
    "ThrottledRecords": "Sum",
    "ThrottledRules": "Sum",
    "Throttles": "Sum",
    "Url4xxCount": "Sum",
    "Url5xxCount": "Sum",
    "WriteProvisionedThroughputExceeded": "Sum",
}
NEEDED = ("Invocations",)  # metrics whose silence is what an alarm is about
OPERATIONS = ("PutItem",)  # dimensions that name no resource
OF_ACCOUNT = ("SMSMonthToDateSpentUSD",)  # metrics of no resource
POLICIES_NAME = ("Queues", "Topics", "Bucket")
SUBJECTS = {str(build): build for build in builds()} | {
    f"{pattern.stack_name}-stack": pattern for pattern in catalog.patterns()
}


def of_build(build: Build) -> Resources:
    """The resources of a stack with this construct alone."""
    found: Resources = template_of(build)["Resources"]
    return found


def metrics_of(alarm: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return what an alarm watches, each metric with where its statistic and period are."""
    queries = [one["MetricStat"] for one in alarm.get("Metrics", ()) if "MetricStat" in one]
    return [(one["Metric"], one) for one in queries] or [(alarm, alarm)]


@pytest.fixture(params=SUBJECTS)
def resources(request: pytest.FixtureRequest, stacks: Stacks) -> Resources:
    """The resources of a construct alone, or of a pattern's stack."""
    subject = SUBJECTS[request.param]
    if isinstance(subject, Build):
        return of_build(subject)
    found: Resources = stacks.template(subject.slug)["Resources"]
    return found


def of(resources: Resources, kind: str) -> Resources:
    """The properties of the resources of one type."""
    return {
        logical_id: resource.get("Properties", {})
        for logical_id, resource in resources.items()
        if resource["Type"] == kind
    }


def requires_tls(resources: Resources, kind: str, logical_id: str) -> bool:
    """Whether a policy of a queue, topic or bucket denies every call without TLS."""
    return any(
        (statement["Effect"], statement.get("Condition")) == ("Deny", TLS_ONLY)
        and statement["Action"] in ("sqs:*", "sns:Publish", "s3:*")
        for policy in of(resources, f"{kind}Policy").values()
        if f'"{logical_id}"' in json.dumps([policy.get(key) for key in POLICIES_NAME])
        for statement in policy["PolicyDocument"]["Statement"]
    )


@every_build()
def test_two_instances_fit_in_one_stack(build: Build, stack: Stack) -> None:
    for construct_id in ("First", "Second"):
        build.make(stack, construct_id)
    template = Template.from_stack(stack).to_json()
    assert len(template["Resources"]) >= 2 * len(of_build(build))
    assert not template.get("Outputs")


@every_build()
@pytest.mark.parametrize("argument", ["queue", "consumer", "endpoint", "alarms", "topic"])
def test_an_argument_of_a_wrong_type_is_rejected_in_plain_words(
    build: Build, argument: str, stack: Stack
) -> None:
    for wrong in ("orders", {"fifo": True}) if argument in build.takes else ():
        with rejected("; it must be of type "):
            build.make(stack, f"Pattern{type(wrong)}", **{argument: wrong})


@pytest.mark.parametrize("kind", ENCRYPTED_BY)
def test_everything_that_keeps_data_is_encrypted_private_and_requires_tls(
    resources: Resources, kind: str
) -> None:
    for logical_id, keeps in of(resources, kind).items():
        assert any(keeps.get(name) for name in ENCRYPTED_BY[kind]), logical_id
        if kind != "AWS::Kinesis::Stream":  # Kinesis has no endpoint without TLS
            assert requires_tls(resources, kind, logical_id), logical_id
        if kind == "AWS::S3::Bucket":
            assert [*keeps["PublicAccessBlockConfiguration"].values()] == [True] * 4, logical_id
            policies = of(resources, "AWS::S3::BucketPolicy").values()
            (policy,) = [one for one in policies if one["Bucket"] == {"Ref": logical_id}]
            oldest = {"NumericLessThan": {"s3:TlsVersion": 1.2}}
            statements = policy["PolicyDocument"]["Statement"]
            assert oldest in [one.get("Condition") for one in statements], logical_id


def test_every_dead_letter_queue_serves_its_source_alone_and_keeps_messages_longer(
    resources: Resources,
) -> None:
    queues = of(resources, "AWS::SQS::Queue")
    sources = {name: queue for name, queue in queues.items() if "RedrivePolicy" in queue}
    for name, source in sources.items():
        target = source["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
        kept = queues[target]["MessageRetentionPeriod"]
        assert source["MessageRetentionPeriod"] < kept == DAYS_14, name
        assert source["RedrivePolicy"]["maxReceiveCount"] >= 5, name
        allowed = queues[target]["RedriveAllowPolicy"]
        assert allowed["redrivePermission"] == "byQueue", target
        (arn,) = allowed["sourceQueueArns"]
        assert texts(source["QueueName"]) <= texts(arn), target
        assert "AWS::StackId" in texts(source["QueueName"]), "it is unique to the stack"


@every_build()
def test_every_queue_without_a_consumer_keeps_failures_for_14_days(build: Build) -> None:
    resources = of_build(build)
    read = json.dumps(of(resources, "AWS::Lambda::EventSourceMapping"))
    for logical_id, queue in of(resources, "AWS::SQS::Queue").items():
        # One with a dead-letter queue of its own has a consumer: a worker.
        if f'"{logical_id}"' not in read and "RedrivePolicy" not in queue:
            assert queue["MessageRetentionPeriod"] == DAYS_14, logical_id


def test_every_mapping_reports_failed_records_one_by_one(resources: Resources) -> None:
    for logical_id, mapping in of(resources, "AWS::Lambda::EventSourceMapping").items():
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"], logical_id


def test_every_alarm_watches_a_resource_and_is_quiet_without_data(resources: Resources) -> None:
    alarms = of(resources, "AWS::CloudWatch::Alarm")
    assert alarms
    named = ("AWS::ApiGateway::RestApi", "AWS::Scheduler::ScheduleGroup",
             "AWS::AppSync::ChannelNamespace")  # fmt: skip
    names = {str(one.get("Name")) for kind in named for one in of(resources, kind).values()}
    for logical_id, alarm in alarms.items():
        silence = alarm.get("MetricName") in NEEDED
        assert alarm["TreatMissingData"] == ("breaching" if silence else "notBreaching"), logical_id
        watched = [metric for metric, _ in metrics_of(alarm)]
        values = [it["Value"] for metric in watched for it in metric.get("Dimensions", [])]
        values = [value for value in values if value not in OPERATIONS]
        assert values or alarm["MetricName"] in OF_ACCOUNT, logical_id
        for value in values:
            refers = isinstance(value, dict) or value in names
            assert refers or "FilterId" in json.dumps(alarm["Dimensions"]), logical_id


@every_build()
def test_every_alarm_goes_off_by_the_statistic_of_its_metric_of_a_minute(build: Build) -> None:
    for alarm in of(of_build(build), "AWS::CloudWatch::Alarm").values():
        for it, said in metrics_of(alarm):
            metric, statistic = it["MetricName"], said.get("Statistic") or said.get("Stat")
            assert metric in STATISTICS, f"Add {metric} to STATISTICS, with the reason."
            assert (statistic or said["ExtendedStatistic"]) == STATISTICS[metric], metric
            assert said["Period"] == (60 if it is alarm else 900), metric
            below = it is alarm and metric in NEEDED
            compares = "LessThanThreshold" if below else "GreaterThanThreshold"
            assert alarm["ComparisonOperator"] == compares, metric


@every_build()
def test_every_metric_that_a_construct_offers_is_of_what_it_has(build: Build, stack: Stack) -> None:
    build.make(stack, "Pattern")
    for one in stack.node.find_all():
        for name, method in inspect.getmembers(type(one), inspect.isfunction):
            if not (name.startswith("metric_") and method.__module__.startswith("serverless_")):
                continue
            try:
                metric = getattr(one, name)(label="Ours")
            except ValueError:
                assert name == "metric_iterator_age"  # senders put records into Firehose itself
                continue
            assert metric.label == "Ours", name
            named = stack.resolve(metric.dimensions)
            assert named, name
            assert [key for key, value in named.items() if not isinstance(value, dict)] == [], name


@every_build()
def test_a_failed_event_of_which_lambda_loses_the_record_raises_an_alarm(build: Build) -> None:
    kinds = ("Lambda::EventInvokeConfig", "Lambda::EventSourceMapping")
    recorded = [
        one["FunctionName"]
        for kind in kinds
        for one in resources_of(build, kind)
        if "OnFailure" in one.get("DestinationConfig", {})
    ]
    watched = [
        dimension["Value"]
        for alarm in resources_of(build, "CloudWatch::Alarm")
        if alarm.get("MetricName") == "DestinationDeliveryFailures"
        for dimension in alarm["Dimensions"]
    ]
    assert [name for name in recorded if name not in watched] == []


@every_build()
def test_every_alarm_says_how_to_fix_it_and_links_to_its_runbook_entry(build: Build) -> None:
    for logical_id, alarm in of(of_build(build), "AWS::CloudWatch::Alarm").items():
        text = alarm["AlarmDescription"]
        assert re.search(r"(?s).+\nSee: .+\nFix: .+\nVerify: .+", text), logical_id
        assert len(text) <= 1024, logical_id
        if build.slug not in {pattern.slug for pattern in catalog.patterns()}:
            assert "Runbook: " not in text, "a block alone has no page"
            continue
        text, link = text.rsplit("\nRunbook: ", 1)
        page, anchor = link.split("#")
        assert page == f"patterns/{build.slug}/README.md", logical_id
        readme = (catalog.find(build.slug).folder / "README.md").read_text(encoding="utf-8")
        headings = re.findall(r"(?m)^### (\w+)$", readme)
        assert anchor in [heading.lower() for heading in headings], "Run `make snapshot`."
        said = [line.removeprefix(f"{line.split(':')[0]}: ") for line in text.splitlines()[1:]]
        assert [one for one in (text.splitlines()[0], *said) if one not in readme] == [], logical_id


@every_build("alarms")
def test_every_alarm_does_what_it_is_told(build: Build, stack: Stack) -> None:
    topics = [sns.Topic(stack, name) for name in ("Chat", "Pager")]
    actions = [cloudwatch_actions.SnsAction(topic) for topic in topics]
    made = build.make(stack, "Pattern", alarms=Alarms(actions, runbook_url="https://wiki/orders"))
    alarms = properties(stack, "CloudWatch::Alarm")
    assert len(alarms) >= len(made.alarms) > 0
    for alarm in alarms:
        assert alarm["AlarmActions"] == [stack.resolve(topic.topic_arn) for topic in topics]
        assert "\nRunbook: https://wiki/orders#" in alarm["AlarmDescription"]


@every_build("alarms")
def test_an_alarm_that_nobody_would_hear_of_is_rejected(build: Build, stack: Stack) -> None:
    key = kms.Alias.from_alias_name(stack, "Key", "alias/aws/sns")
    deaf = cloudwatch_actions.SnsAction(sns.Topic(stack, "Topic", master_key=key))
    with pytest.raises(ValueError, match=r"Topic Stack/Topic .*AWS managed key.*nobody would hear"):
        build.make(stack, "Pattern", alarms=Alarms([deaf]))
