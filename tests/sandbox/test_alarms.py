"""Every alarm of every demo stack goes off and returns in an engine, and somebody hears of it.

The alarms are those of the synthesized templates, as they are there, and what they watch has the
type and the name that it has there, but nothing else: no function runs. Four things differ, and
each is proven elsewhere. A topic is the action of each alarm, as demo stacks know nobody to tell
(contracts: ``Alarms(actions=...)`` reaches each alarm). A percentile is a maximum, which the engine
can evaluate: equal values have the same of both; the other engine evaluates the percentile itself.
A log group is in place of what this engine cannot make (``UNKNOWN``); the other one makes it. And
time does not pass: data have the timestamps of the periods before now, and the engine is asked to
look at its alarms as of now, and as of an hour later, when the data are too old.

An alarm on an expression is left out: no engine evaluates one, so tests of its template are all.

The messages in a queue are the engine's own metric. All other data are put, under the dimensions
that the service gives them in its user guide (``WATCHED``), which are taken from the resource, and
not from its alarm: an alarm on another name or value hears nothing.
"""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from serverless_patterns.patterns import catalog
from serverless_patterns.patterns.sns_fanout.construct import Alerts
from serverless_patterns.sandbox import queues
from tests.sandbox.helpers import (
    create_constructs,
    create_stack,
    function,
    ref,
    resource,
    subscription,
    template,
    without_bootstrap,
)
from tests.sandbox.test_localstack import pytestmark as pytestmark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from serverless_patterns.sandbox import Target
    from tests.stacks import Stacks

Json = dict[str, Any]
PASS = {"StartAt": "End", "States": {"End": {"Type": "Succeed"}}}
ROLE = "arn:aws:iam::000000000000:role/any"
BUCKET = {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::any"}
HOUR = 3600
ALARMS = ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")
LATER = 20  # seconds, so that what the engine reports meanwhile is of the last period
OF_CHANNELS = ("EventAPIId", "ChannelNamespaceName")
WAITING = ("AWS/SQS", "ApproximateNumberOfMessagesVisible")  # the engine reports it itself


class Watched(NamedTuple):
    """A type of resources that alarms watch.

    Attributes:
        namespace: Of its metrics.
        dimensions: Those of a resource's metrics, given its physical id and its properties.
        kept: Properties that tell its name.
        others: Properties without which it cannot be made.
        named: Properties that name it, where the engine gives no name.
    """

    namespace: str
    dimensions: Callable[[str, Json], list[Json]]
    kept: tuple[str, ...] = ()
    others: Json = {}  # noqa: RUF012 - read only
    named: tuple[str, ...] = ()


def _of_filters(bucket: str, properties: Json) -> list[Json]:
    filters = properties["MetricsConfigurations"]
    return [{"BucketName": bucket, "FilterId": each["Id"]} for each in filters]


def _of_rule(id_: str, _: Json) -> list[Json]:
    """A rule's id has its bus and its name; the engine writes them either way.

    On the account's own bus, rules have no other dimension.
    """
    parts = [part for part in id_.rpartition("/")[2].split("|") if part != "default"]
    if len(parts) == 1:
        return [{"RuleName": parts[0]}]
    return [{"EventBusName": bus, "RuleName": name} for bus, name in (parts, reversed(parts))]


# User guides: "Available CloudWatch metrics for Amazon SQS", "Monitoring Amazon SNS topics using
# CloudWatch", "Types of metrics for Lambda functions", "Monitoring the Kinesis Data Streams service
# with CloudWatch", "Monitor Firehose with CloudWatch metrics", "Amazon S3 metrics and dimensions",
# "Monitoring Step Functions metrics using CloudWatch", "Amazon API Gateway dimensions and metrics",
# "Monitoring Amazon EventBridge", "Monitoring Amazon EventBridge Scheduler with Amazon CloudWatch",
# "CloudWatch metrics" of AppSync Events.
WATCHED = {
    "AWS::SQS::Queue": Watched(
        "AWS/SQS",
        lambda url, _: [{"QueueName": url.rpartition("/")[2]}],
        ("QueueName", "FifoQueue"),
    ),
    "AWS::SNS::Topic": Watched(
        "AWS/SNS",
        lambda arn, _: [{"TopicName": arn.rpartition(":")[2]}],
        ("TopicName", "FifoTopic"),
    ),
    "AWS::Lambda::Function": Watched(
        "AWS/Lambda", lambda name, _: [{"FunctionName": name}], others=function()["Properties"]
    ),
    "AWS::StepFunctions::StateMachine": Watched(
        "AWS/States",
        lambda arn, _: [{"StateMachineArn": arn}],
        ("StateMachineType",),
        {"DefinitionString": json.dumps(PASS), "RoleArn": ROLE},
    ),
    "AWS::ApiGateway::RestApi": Watched(
        "AWS/ApiGateway", lambda _, properties: [{"ApiName": properties["Name"]}], ("Name",)
    ),
    "AWS::Kinesis::Stream": Watched(
        "AWS/Kinesis", lambda name, _: [{"StreamName": name}], others={"ShardCount": 1}
    ),
    "AWS::KinesisFirehose::DeliveryStream": Watched(
        "AWS/Firehose",
        lambda name, _: [{"DeliveryStreamName": name}],
        others={"ExtendedS3DestinationConfiguration": BUCKET},
        named=("DeliveryStreamName",),
    ),
    "AWS::S3::Bucket": Watched("AWS/S3", _of_filters, ("MetricsConfigurations",)),
    "AWS::Events::EventBus": Watched("AWS/Events", lambda _id, _properties: [], ("Name",)),
    "AWS::Events::Rule": Watched(
        "AWS/Events", _of_rule, ("Name", "EventBusName"), {"EventPattern": {"source": ["any"]}}
    ),
    "AWS::Scheduler::ScheduleGroup": Watched(
        "AWS/Scheduler", lambda name, _: [{"ScheduleGroup": name}], ("Name",)
    ),
    "AWS::AppSync::Api": Watched("AWS/AppSync", lambda id_, _: [{"EventAPIId": id_}]),
    "AWS::AppSync::ChannelNamespace": Watched(
        "AWS/AppSync",
        lambda id_, _: [dict(zip(OF_CHANNELS, id_.split("/"), strict=True))],
        ("ApiId", "Name"),
    ),
}
BY_NAME = (
    "AWS::AppSync::ChannelNamespace",
    "AWS::Events::Rule",
    "AWS::Scheduler::ScheduleGroup",
)
UNKNOWN = ("AWS::AppSync::Api", "AWS::AppSync::ChannelNamespace")  # the engine cannot make them
OTHER = Watched("", lambda _id, _properties: [])


def names_in(value: Any) -> Iterator[str]:
    """The logical ids that a value refers to."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("Ref", "Fn::GetAtt"):
                yield inner if key == "Ref" else inner[0]
            else:
                yield from names_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from names_in(inner)


def alarms_of(resources: Json) -> Json:
    """Properties of the alarms of a template, by logical id, but those on an expression."""
    alarms = {n: r["Properties"] for n, r in resources.items() if r["Type"] in ALARMS}
    return {name: alarm for name, alarm in alarms.items() if "Metrics" not in alarm}


def watched_by(alarm: Json, resources: Json) -> list[str]:
    """The resources that an alarm refers to; if none, each one of its namespace.

    An alarm has the name of a namespace, rule or group, as a reference would give more than that.
    """
    values = [each["Value"] for each in alarm["Dimensions"]]
    named = [name for name, found in resources.items() if found["Type"] in BY_NAME
             and found["Properties"].get("Name") in values]  # fmt: skip
    referred = [name for name in names_in(alarm["Dimensions"]) if name in resources]
    return [*referred, *named] or [
        name
        for name, found in resources.items()
        if WATCHED.get(found["Type"], OTHER).namespace == alarm["Namespace"]
    ]


def with_alarms_only(resources: Json) -> Json:
    """A template of the alarms and what they watch, with a queue that hears of them.

    And of an alarm on each dimension two that watch nothing: of another value, of another name.
    """
    told = {
        "Heard": resource("SNS::Topic"),
        "Told": resource("SQS::Queue"),
        "Hears": subscription("Heard", "Told"),
    }
    watched, alarms, deaf = {}, {}, {}
    for name, alarm in alarms_of(resources).items():
        for other in watched_by(alarm, resources):
            kind, properties = resources[other]["Type"], resources[other].get("Properties", {})
            kept = {key: properties[key] for key in WATCHED[kind].kept if key in properties}
            own = dict.fromkeys(WATCHED[kind].named, other)
            watched[other] = {"Type": kind, "Properties": kept | own | WATCHED[kind].others}
        alarm = {**alarm, "AlarmActions": [ref("Heard")]}
        alarm.pop("AlarmDescription")  # a template may have 51,200 bytes
        if alarm.pop("ExtendedStatistic", ""):
            alarm["Statistic"] = "Maximum"
        alarms[name] = resource("CloudWatch::Alarm", **alarm)
        [*others, last] = alarm["Dimensions"]
        value = {**last, "Value": {"Fn::Join": ["", [last["Value"], "s"]]}}
        for wrong in (value, {**last, "Name": last["Name"].lower()}):
            made = {**alarm, "Dimensions": [*others, wrong]}
            deaf[f"Deaf{last['Name']}{wrong == value}"] = resource("CloudWatch::Alarm", **made)
    return template(told | watched | alarms | deaf)


def with_stand_ins(resources: Json) -> Json:
    """The resources with a log group in place of each that the engine does not know.

    Its name is made of what is kept of the other, and is what each attribute of that gives.
    """
    unknown = {name: found for name, found in resources.items() if found["Type"] in UNKNOWN}
    text = json.dumps(resources)
    for name in unknown:
        text = re.sub(rf'{{"Fn::GetAtt": \["{name}", "\w+"\]}}', json.dumps(ref(name)), text)
    made: Json = json.loads(text)
    for name in unknown:
        parts = [*made[name]["Properties"].values()]
        named = {"LogGroupName": {"Fn::Join": ["/", parts]}} if parts else {}
        made[name] = resource("Logs::LogGroup", **named)
    return made


class Metric(NamedTuple):
    """What an alarm watches, and the periods in which it has to be too high, or too low."""

    alarm: Json
    dimensions: list[Json]
    url: str  # of a queue

    @property
    def periods(self) -> int:
        return int(self.alarm.get("DatapointsToAlarm") or self.alarm["EvaluationPeriods"])

    def data(self, at: float, periods: range) -> list[Json]:
        """A bad value in each of these periods before a time."""
        more = 1 if self.alarm["ComparisonOperator"].startswith("Greater") else -1
        return [
            {
                "MetricName": self.alarm["MetricName"],
                "Dimensions": [{"Name": key, "Value": each[key]} for key in each],
                "Timestamp": at - (number + 0.5) * self.alarm["Period"],
                "Value": self.alarm["Threshold"] + more,
            }
            for each in self.dimensions
            for number in periods
        ]


class Stack:
    """The alarms of a pattern's stack, and what they watch, in the engine."""

    def __init__(self, target: Target, slug: str, whole: Json) -> None:
        self.made = with_alarms_only(whole["Resources"])["Resources"]
        self.alarms = alarms_of(whole["Resources"])
        made = {"Resources": with_stand_ins(self.made)}
        self.deployment = create_stack(target, slug.replace("_", "-"), made)
        pages = target.client("cloudformation").get_paginator("list_stack_resources")
        self.ids = {
            found["LogicalResourceId"]: found["PhysicalResourceId"]
            for page in pages.paginate(StackName=self.deployment.stack_name)
            for found in page["StackResourceSummaries"]
        }
        self.metrics = [
            self._metric(alarm, name)
            for alarm in self.alarms.values()
            for name in watched_by(alarm, self.made)
        ]
        self.states: list[dict[str, str]] = []
        self.told: set[str] = set()

    def _metric(self, alarm: Json, name: str) -> Metric:
        watched, id_ = WATCHED[self.made[name]["Type"]], self.ids[name]
        dimensions = watched.dimensions(id_, self.made[name]["Properties"])
        own = not alarm["Namespace"].startswith("AWS/")  # a metric that the function itself logs
        namespace = alarm["Namespace"] if own else watched.namespace
        return Metric({**alarm, "Namespace": namespace}, dimensions, id_)

    def almost(self, at: float) -> None:
        """Put the data of all periods but the last."""
        for metric in self.metrics:
            self._put(metric, metric.data(at, range(1, metric.periods)))

    def bad(self, at: float) -> None:
        """Put those of the last period, too, or send a message."""
        for metric in self.metrics:
            if (metric.alarm["Namespace"], metric.alarm["MetricName"]) == WAITING:
                fifo = {"MessageGroupId": "g", "MessageDeduplicationId": "d"}
                ids = fifo if metric.url.endswith(".fifo") else {}
                sqs = self.deployment.client("sqs")
                sqs.send_message(QueueUrl=metric.url, MessageBody="lost", **ids)
            else:
                self._put(metric, metric.data(at, range(1)))

    def _put(self, metric: Metric, data: list[Json]) -> None:
        if data:
            put = self.deployment.client("cloudwatch").put_metric_data
            put(Namespace=metric.alarm["Namespace"], MetricData=data)

    def listen(self) -> None:
        """Take what has been told until every alarm was, at most a minute."""
        sqs, deadline = self.deployment.client("sqs"), time.monotonic() + 60
        wanted = {self.ids[name] for name in self.alarms}
        while not wanted <= self.told and time.monotonic() < deadline:
            take = sqs.receive_message(
                QueueUrl=self.ids["Told"], WaitTimeSeconds=1, MaxNumberOfMessages=10
            )
            bodies = [json.loads(message["Body"]) for message in take.get("Messages", [])]
            self.told |= {b["AlarmName"] for b in bodies if b["NewStateValue"] == "ALARM"}


@pytest.fixture(scope="module")
def seen(alone: Target, stacks: Stacks) -> dict[str, Stack]:
    """The stacks of all patterns, looked at before their alarms go off, while, and afterwards."""
    templates = {pattern.slug: stacks.template(pattern.slug) for pattern in catalog.patterns()}
    with ThreadPoolExecutor(4) as pool:
        made = [*pool.map(partial(Stack, alone), templates, templates.values())]
        at = time.time() + LATER
        [*pool.map(lambda stack: stack.almost(at), made)]
        look(alone, made, at)
        [*pool.map(lambda stack: stack.bad(at), made)]
        look(alone, made, time.time() + LATER)
        [*pool.map(Stack.listen, made)]
        look(alone, made, at + HOUR)
        alone.http.post(f"{alone.endpoint_url}/_sandbox/alarms")  # time goes on
    return dict(zip(templates, made, strict=True))


def evaluate(target: Target, at: float) -> None:
    """Have the engine evaluate its alarms as of a time: as many with each request as it can."""
    following = "0"
    while following:
        url = f"{target.endpoint_url}/_sandbox/alarms?at={at}&next={following}"
        answer = target.http.post(url)
        assert answer.status == 200, answer
        following = answer.body.decode()


def look(target: Target, made: list[Stack], at: float) -> None:
    """Have the engine evaluate its alarms as of a time, and keep their states."""
    evaluate(target, at)
    pages = target.client("cloudwatch").get_paginator("describe_alarms").paginate()
    states = {a["AlarmName"]: a["StateValue"] for page in pages for a in page["MetricAlarms"]}
    for stack in made:
        names = {name: stack.ids[name] for name in alarms_of(stack.made)}
        stack.states.append({name: states[id_] for name, id_ in names.items()})


def test_an_alarm_waits_for_all_of_its_periods_goes_off_and_returns(
    pattern: catalog.Pattern, seen: dict[str, Stack]
) -> None:
    stack = seen[pattern.slug]
    assert stack.alarms
    for name in stack.alarms:
        before, while_, after = [states[name] for states in stack.states]
        assert (before, while_, after) == ("OK", "ALARM", "OK"), name


def test_somebody_hears_of_each_alarm(pattern: catalog.Pattern, seen: dict[str, Stack]) -> None:
    stack = seen[pattern.slug]
    assert stack.told == {stack.ids[name] for name in stack.alarms}


def test_an_alarm_on_another_dimension_hears_nothing(
    pattern: catalog.Pattern, seen: dict[str, Stack]
) -> None:
    stack = seen[pattern.slug]
    deaf = {name: state for name, state in stack.states[1].items() if name not in stack.alarms}
    assert len(deaf) >= 2
    assert set(deaf.values()) == {"OK"}, deaf


def test_an_alarm_on_a_percentile_counts_the_share_of_bad_values(
    shared: Target, stacks: Stacks
) -> None:
    """In the first engine, which looks at no dimension, and at all periods as one."""
    cloudwatch = shared.client("cloudwatch")
    found = [
        alarm
        for pattern in catalog.patterns()
        for alarm in alarms_of(stacks.template(pattern.slug)["Resources"]).values()
        if "ExtendedStatistic" in alarm
    ]
    assert found
    for number, alarm in enumerate(found):
        name, watched = f"percentile-{number}", {"Namespace": "Test", "MetricName": f"Test{number}"}
        put = {**alarm, **watched, "AlarmName": name, "Dimensions": []}
        cloudwatch.put_metric_alarm(**put)
        allowed = 100 - int(alarm["ExtendedStatistic"].removeprefix("p"))

        def state_with(
            bad: int, alarm: Json = alarm, watched: Json = watched, name: str = name
        ) -> str:
            values = {alarm["Threshold"] + 1: bad, alarm["Threshold"]: 100 - bad}
            data = {"MetricName": watched["MetricName"]}
            data |= {"Values": [*values], "Counts": [*values.values()]}
            cloudwatch.put_metric_data(Namespace=watched["Namespace"], MetricData=[data])
            [found] = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
            return str(found["StateValue"])

        assert state_with(allowed - 2) == "OK"
        assert state_with(allowed + 5) == "ALARM"
        assert state_with(1) == "OK"


def test_an_alarm_tells_people_before_text_messages_cost_more_than_their_budget(
    alone: Target,
) -> None:
    """SNS's metric has no dimension ("Monitoring Amazon SNS topics using CloudWatch")."""
    stack = without_bootstrap()
    alerts = Alerts(
        stack,
        "Alerts",
        emails=["on-call@example.com"],
        phone_numbers=["+491701234567"],
        monthly_sms_budget=5,
    )
    [alarm] = [it for it in alerts.alarms if it.node.id == "SmsSpendAlarm"]
    outputs = {"Alarm": alarm.alarm_name, "Topic": alerts.topic.topic_arn}
    run = create_constructs(alone, "text-messages", stack, **outputs)
    cloudwatch, sqs, sns = run.client("cloudwatch"), run.client("sqs"), run.client("sns")
    url = sqs.create_queue(QueueName="told-of-text-messages")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    sns.subscribe(TopicArn=run["Topic"], Protocol="sqs", Endpoint=arn["QueueArn"])

    def spent(dollars: float) -> str:
        """The state of the alarm when so much is spent."""
        data = {"MetricName": "SMSMonthToDateSpentUSD", "Value": dollars, "Timestamp": time.time()}
        cloudwatch.put_metric_data(Namespace="AWS/SNS", MetricData=[data])
        evaluate(alone, time.time() + LATER)
        [found] = cloudwatch.describe_alarms(AlarmNames=[run["Alarm"]])["MetricAlarms"]
        return str(found["StateValue"])

    assert spent(3.9) == "OK"
    assert spent(4.1) == "ALARM"
    alone.http.post(f"{alone.endpoint_url}/_sandbox/alarms")  # time goes on
    queues.until(lambda: queues.backlog(run, url) == 1, seconds=60, what="until people are told")
    [told] = queues.take(run, url)
    assert json.loads(json.loads(told["Body"])["Message"])["NewStateValue"] == "ALARM"
