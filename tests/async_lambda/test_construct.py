"""The promises of the construct beyond those of every queue and alarm."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, CfnParameter, Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Annotations, Match, Template

from serverless_patterns.patterns.async_lambda.construct import Alarms, Retries
from serverless_patterns.patterns.blocks.queues import SqsToLambda
from tests.async_lambda.builds import CANARY, imported, make
from tests.inline import function
from tests.test_security import listed

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[[Stack], Any]

CONFIG, FUNCTION = "AWS::Lambda::EventInvokeConfig", "AWS::Lambda::Function"


class Made:
    """A stack with the construct and somebody who may redrive, and its template, made once."""

    def __init__(self, stack: Stack, **settings: Any) -> None:
        self.resolve = stack.resolve
        self.construct = make(stack, **settings)
        self.caller = iam.Role(stack, "Caller", assumed_by=iam.AccountRootPrincipal())
        self.construct.grant_redrive(self.caller)
        self.template = Template.from_stack(stack)

    def only(self, kind: str) -> tuple[str, Any]:
        """The one resource of a type: its id and its properties."""
        ((logical_id, resource),) = self.template.find_resources(kind).items()
        return logical_id, resource["Properties"]

    def destinations(self) -> dict[str, Any]:
        """The ARN of each destination."""
        found = self.only(CONFIG)[1]["DestinationConfig"]
        return {name: destination["Destination"] for name, destination in found.items()}

    def allowed(self, resource: Any = None, *, caller: bool = False) -> set[str]:
        """The actions that the function's role, or the caller's, allows on one or any resource."""
        role, actions = self.resolve(self.caller.role_name), set()
        for policy in self.template.find_resources("AWS::IAM::Policy").values():
            if (role in policy["Properties"]["Roles"]) is caller:
                for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
                    if resource is None or resource in listed(statement["Resource"]):
                        actions |= {*listed(statement["Action"])}
        return actions


@functools.cache
def default() -> Made:
    return Made(Stack(App(), "Stack"))


@functools.cache
def rolled() -> Made:
    return Made(Stack(App(), "Stack"), rollout=CANARY)


def a_queue(stack: Stack, construct_id: str = "OwnQueue", **settings: Any) -> sqs.Queue:
    return sqs.Queue(stack, construct_id, **settings)


def a_topic(stack: Stack, **settings: Any) -> sns.Topic:
    return sns.Topic(stack, "OwnTopic", **settings)


# Retries, age and destinations


def test_a_failed_event_is_attempted_twice_more_within_six_hours() -> None:
    config = default().only(CONFIG)[1]
    assert (config["MaximumRetryAttempts"], config["MaximumEventAgeInSeconds"]) == (2, 21_600)
    assert config["Qualifier"] == "$LATEST"


def test_retries_age_and_concurrency_are_as_given(stack: Stack) -> None:
    made = Made(stack, retries=Retries(0, Duration.minutes(10)), reserved_concurrency=7)
    config = made.only(CONFIG)[1]
    assert (config["MaximumRetryAttempts"], config["MaximumEventAgeInSeconds"]) == (0, 600)
    assert made.only(FUNCTION)[1]["ReservedConcurrentExecutions"] == 7
    made.template.has_resource_properties(  # it goes off long before events are dropped
        "AWS::CloudWatch::Alarm", {"MetricName": "AsyncEventAge", "Threshold": 300_000}
    )


def test_a_failed_event_goes_to_two_queues_and_the_function_may_send_there_alone() -> None:
    made = default()
    failed, letters = (
        made.resolve(queue.queue_arn)
        for queue in (made.construct.failure_queue, made.construct.dead_letter_queue)
    )
    assert made.destinations() == {"OnFailure": failed}
    assert made.only(FUNCTION)[1]["DeadLetterConfig"] == {"TargetArn": letters} != failed
    assert made.allowed(failed) == made.allowed(letters) == {"sqs:SendMessage"}
    assert made.allowed() == {"sqs:SendMessage"}, "and nothing else"


DESTINATIONS: dict[str, tuple[Make, str, set[str]]] = {
    "queue": (a_queue, "queue_arn", {"sqs:SendMessage"}),
    "topic": (a_topic, "topic_arn", {"sns:Publish"}),
    "function": (lambda s: function(s, "Other"), "function_arn", {"lambda:InvokeFunction"}),
    "bus": (lambda s: events.EventBus(s, "Bus"), "event_bus_arn", {"events:PutEvents"}),
    "bucket": (lambda s: s3.Bucket(s, "Bucket"), "bucket_arn", {"s3:ListBucket"}),
}


@pytest.mark.parametrize("name", ["on_success", "on_failure"])
@pytest.mark.parametrize("kind", DESTINATIONS)
def test_a_record_of_each_success_or_failure_goes_where_it_is_told(
    stack: Stack, kind: str, name: str
) -> None:
    new, attribute, actions = DESTINATIONS[kind]
    destination = new(stack)
    if (kind, name) == ("bucket", "on_success"):
        with pytest.raises(ValueError, match=r"on_success is a bucket, .*of failures to buckets"):
            make(stack, on_success=destination)
        return
    made, arn = Made(stack, **{name: destination}), stack.resolve(getattr(destination, attribute))
    assert made.destinations()["OnSuccess" if name == "on_success" else "OnFailure"] == arn
    assert made.allowed(arn) == actions
    if kind == "bucket":  # it may write records there, and read none
        records = {"Fn::Join": ["", [arn, "/aws/lambda/async/*"]]}
        assert "s3:PutObject" in made.allowed(records)
        assert not any("Get" in action for action in made.allowed())
    if name == "on_failure" and kind != "queue":
        with pytest.raises(ValueError, match=r"Records of failures go to a .*, not to a queue"):
            made.construct.metric_failed_events()


def test_the_settings_come_after_what_they_need() -> None:
    """Lambda rejects a destination that the role may not send to yet."""
    template = default().template
    ((function_id, own),) = template.find_resources(FUNCTION).items()
    (config,) = template.find_resources(CONFIG).values()
    assert function_id in config["DependsOn"]
    assert set(own["DependsOn"]) & set(template.find_resources("AWS::IAM::Policy"))


def test_a_customer_key_encrypts_both_queues_and_allows_the_function(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    made, arn = Made(stack, encryption_key=key), stack.resolve(key.key_arn)
    made.template.all_resources_properties("AWS::SQS::Queue", {"KmsMasterKeyId": arn})
    assert made.allowed(arn) == {"kms:Decrypt", "kms:GenerateDataKey"}


def test_the_function_may_publish_to_a_topic_with_a_customer_key(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    made = Made(stack, on_success=a_topic(stack, master_key=key))
    assert {"kms:Decrypt", "kms:GenerateDataKey*"} <= made.allowed(stack.resolve(key.key_arn))


# Rollout, and who may invoke


def test_a_rollout_publishes_a_version_and_moves_an_alias_to_it() -> None:
    assert rolled().only("AWS::Lambda::Alias")[1]["Name"] == "live"
    group = rolled().only("AWS::CodeDeploy::DeploymentGroup")[1]
    assert group["DeploymentConfigName"] == "CodeDeployDefault.LambdaCanary10Percent5Minutes"
    assert rolled().construct.deployment_group is not None
    default().template.resource_count_is("AWS::Lambda::Version", 0)  # none is published unasked
    assert default().construct.deployment_group is None


def test_an_alarm_rolls_back() -> None:
    group = rolled().only("AWS::CodeDeploy::DeploymentGroup")[1]
    assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
    (alarm,) = group["AlarmConfiguration"]["Alarms"]
    alarms = rolled().template.find_resources("AWS::CloudWatch::Alarm")
    watched = alarms[alarm["Name"]["Ref"]]["Properties"]
    assert watched["MetricName"] == "Errors"
    names = {dimension["Name"] for dimension in watched["Dimensions"]}
    assert names == {"FunctionName", "Resource"}


def test_with_a_rollout_the_alias_has_the_settings_and_alone_may_be_invoked() -> None:
    made = rolled()
    assert isinstance(made.construct.target, lambda_.Alias)
    alias_id, _ = made.only("AWS::Lambda::Alias")
    (config,) = made.template.find_resources(CONFIG).values()
    qualifier = config["Properties"]["Qualifier"]
    assert qualifier == "live" or alias_id in json.dumps(qualifier)
    assert alias_id in config["DependsOn"]
    assert made.allowed({"Ref": alias_id}, caller=True) == {"lambda:InvokeFunction"}
    arn = made.resolve(made.construct.function.function_arn)
    assert made.allowed(arn, caller=True) == set()


def test_an_alias_or_a_version_of_your_own_gets_the_settings(stack: Stack) -> None:
    own = function(stack)
    version = own.current_version
    imported_alias = lambda_.Alias.from_alias_attributes(
        stack, "ImportedAlias", alias_name="green", alias_version=version
    )
    qualifiers = {own.add_alias("blue"): "blue", version: version.version, imported_alias: "green"}
    for number, (target, qualifier) in enumerate(qualifiers.items()):
        made = make(stack, f"Pattern{number}", function=target)
        assert (made.target, made.function) == (target, own)
        assert stack.resolve(made.event_invoke_config.qualifier) == stack.resolve(qualifier)
    (resource,) = Template.from_stack(stack).find_resources(FUNCTION).values()
    assert "DeadLetterConfig" in resource["Properties"]


def test_a_function_class_of_your_own_may_have_any_attribute(stack: Stack) -> None:
    class Release(lambda_.Function):
        version, alias_name, lambda_ = "1.2.0", "live", None

    code = lambda_.Code.from_inline("def handler(event, context): ...")
    runtime = lambda_.Runtime.PYTHON_3_14
    own = Release(stack, "Own", runtime=runtime, handler="index.handler", code=code)
    assert Made(stack, function=own).only(CONFIG)[1]["Qualifier"] == "$LATEST"


def test_a_service_without_a_source_may_not_invoke(stack: Stack) -> None:
    with pytest.raises(ValueError, match="anybody's resources"):
        make(stack).grant_invoke(iam.ServicePrincipal("s3.amazonaws.com"))


def test_grant_redrive_allows_what_the_redrive_does() -> None:
    made = default()
    actions = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"}
    for queue in (made.construct.failure_queue, made.construct.dead_letter_queue):
        assert actions <= made.allowed(made.resolve(queue.queue_arn), caller=True)
    arn = made.resolve(made.construct.function.function_arn)
    assert made.allowed(arn, caller=True) == {"lambda:InvokeFunction"}


def test_grant_redrive_takes_records_from_a_bucket_too(stack: Stack) -> None:
    bucket = s3.Bucket(stack, "Bucket")
    made = Made(stack, on_failure=bucket)
    records = {"Fn::Join": ["", [stack.resolve(bucket.bucket_arn), "/aws/lambda/async/*"]]}
    assert {"s3:GetObject*", "s3:DeleteObject*"} <= made.allowed(records, caller=True)


def test_a_function_imported_by_the_arn_of_its_alias_gets_the_settings_there(stack: Stack) -> None:
    config = Made(stack, function=imported(stack, ":live")).only(CONFIG)[1]
    assert (config["FunctionName"], config["Qualifier"]) == ("theirs", "live")


# Alarms


def test_every_alarm_that_aws_recommends_is_there() -> None:
    made = default()
    name = made.resolve(made.construct.function.function_name)
    alarms = [
        a["Properties"] for a in made.template.find_resources("AWS::CloudWatch::Alarm").values()
    ]
    of_function = {
        alarm["MetricName"]: (alarm["EvaluationPeriods"], alarm["Threshold"])
        for alarm in alarms
        if alarm["Dimensions"] == [{"Name": "FunctionName", "Value": name}]
        and (alarm["Namespace"], alarm["Period"]) == ("AWS/Lambda", 60)
        and alarm["ComparisonOperator"] == "GreaterThanThreshold"
    }
    assert of_function == {
        "Errors": (3, 0),
        "Throttles": (5, 0),
        "Duration": (15, 9_000),
        "AsyncEventsDropped": (1, 0),
        "AsyncEventAge": (5, 900_000),
        "DestinationDeliveryFailures": (1, 0),
        "DeadLetterErrors": (1, 0),
    }
    assert len(made.construct.alarms) == len(alarms) == 7 + 2


def test_a_failed_event_raises_an_alarm_that_names_the_redrive() -> None:
    made = default()
    for queue in (made.construct.failure_queue, made.construct.dead_letter_queue):
        made.template.has_resource_properties(
            "AWS::CloudWatch::Alarm",
            {
                "MetricName": "ApproximateNumberOfMessagesVisible",
                "Dimensions": [{"Name": "QueueName", "Value": made.resolve(queue.queue_name)}],
                "Threshold": 0,
                "AlarmDescription": Match.string_like_regexp("python -m .*redrive"),
            },
        )


@pytest.mark.parametrize("name", ["on_failure", "dead_letter_queue"])
def test_a_consumer_may_process_failed_events_again(stack: Stack, name: str) -> None:
    again = SqsToLambda(stack, "Again", consumer=function(stack, "Reprocess"))
    made = Made(stack, **{name: again.queue})
    arn = stack.resolve(again.queue.queue_arn)
    assert made.only("AWS::Lambda::EventSourceMapping")[1]["EventSourceArn"] == arn
    assert made.allowed(arn) >= {"sqs:SendMessage", "sqs:ReceiveMessage"}
    watched = json.dumps(made.template.find_resources("AWS::CloudWatch::Alarm"))
    alarms = watched.count("ApproximateNumberOfMessagesVisible")  # of both dead-letter queues
    assert alarms == 2, "failed events that are processed again raise none"


def test_the_metrics_are_the_functions() -> None:
    it = default().construct
    for metric in (it.metric_async_event_age(), it.metric_async_events_dropped()):
        assert metric.dimensions == {"FunctionName": it.function.function_name}
    assert it.metric_failed_events().dimensions == {"QueueName": it.failure_queue.queue_name}
    assert it.metric_dead_letters().dimensions == {"QueueName": it.dead_letter_queue.queue_name}


# Bring your own


def test_queues_of_your_own_are_used_as_they_are(stack: Stack) -> None:
    queues = both_queues(stack)
    made, letters = Made(stack, **queues), queues["dead_letter_queue"]
    assert made.construct.failure_queue is queues["on_failure"]
    assert made.construct.dead_letter_queue is letters
    assert made.allowed(stack.resolve(letters.queue_arn)) == {"sqs:SendMessage"}
    made.template.resource_count_is("AWS::SQS::Queue", 2)


def test_the_dead_letter_queue_or_topic_of_the_function_stays(stack: Stack) -> None:
    made = make(stack, function=with_letters(stack))
    assert made.dead_letter_queue.node.path == "Stack/OwnQueue"
    topic = a_topic(stack)
    other = make(stack, "Other", function=function(stack, "Told", dead_letter_topic=topic))
    found = Template.from_stack(stack).find_resources(FUNCTION).values()
    targets = [resource["Properties"]["DeadLetterConfig"]["TargetArn"] for resource in found]
    assert targets == stack.resolve([made.dead_letter_queue.queue_arn, topic.topic_arn])
    with pytest.raises(ValueError, match="dead-letter topic"):
        other.metric_dead_letters()


@pytest.mark.parametrize("kind", [events.EventBus, sns.Topic, function])
def test_one_receiver_may_take_the_records_of_successes_and_failures(
    stack: Stack, kind: Callable[[Stack, str], Any]
) -> None:
    """The record says which it is, an event by its detail-type too."""
    receiver = kind(stack, "Receiver")
    found = Made(stack, on_success=receiver, on_failure=receiver).destinations()
    assert found["OnSuccess"] == found["OnFailure"]


def test_constructs_may_share_a_failure_queue(stack: Stack) -> None:
    first = make(stack, "First")
    second = make(stack, "Second", on_failure=first.failure_queue)
    assert second.failure_queue is first.failure_queue
    assert second.dead_letter_queue.node.path == "Stack/Second/DeadLetterQueue"


# Configurations that plain CDK accepts and that would fail or lose events


def disabled(stack: Stack) -> kms.Key:
    return kms.Key(stack, "Key", enabled=False)


def aged(attempts: int, seconds: int) -> dict[str, Any]:
    return {"retries": Retries(attempts, Duration.seconds(seconds))}


def alarmed(seconds: int) -> dict[str, Any]:
    alarms = Alarms(max_age=Duration.seconds(seconds))
    return {"retries": Retries(max_event_age=Duration.minutes(10)), "alarms": alarms}


def reserves(stack: Stack, reserved: float, name: str = "Consumer") -> lambda_.Function:
    return function(stack, name, reserved_concurrent_executions=reserved)


def unknown(stack: Stack) -> lambda_.Function:
    return reserves(stack, CfnParameter(stack, "Number", type="Number").value_as_number)


def with_letters(stack: Stack, **settings: Any) -> lambda_.Function:
    return function(stack, dead_letter_queue=a_queue(stack, **settings))


def to_itself(stack: Stack, name: str) -> dict[str, Any]:
    own = function(stack)
    return {"function": own, name: own.add_alias("live")}


def no_role(stack: Stack) -> lambda_.IFunction:
    return lambda_.Function.from_function_name(stack, "Imported", "theirs")


def both_queues(stack: Stack) -> dict[str, Any]:
    return {"on_failure": a_queue(stack), "dead_letter_queue": a_queue(stack, "Letters")}


def one_queue(stack: Stack, *names: str) -> dict[str, Any]:
    return dict.fromkeys(names, a_queue(stack))


NEVER_RUNS = "function reserves 0 concurrent .*: Lambda would send every event straight"
ITSELF, AGE, TAKEN = "without end", "dropped before its last retry", "takes one configuration"
LOST: list[tuple[Make, str]] = [
    (lambda s: {"function": with_letters(s, fifo=True)}, "is a FIFO queue"),
    (lambda s: {"function": function(s, dead_letter_topic=a_topic(s, fifo=True))}, "a FIFO topic"),
    (lambda s: {"function": with_letters(s, encryption_master_key=disabled(s))},
     "The key of Stack/OwnQueue is Stack/Key, which is disabled"),
    (lambda s: {"encryption_key": disabled(s)}, "encryption_key is Stack/Key, which is disabled"),
    (lambda s: both_queues(s) | {"encryption_key": kms.Key(s, "Key")}, "no queue is new"),
    (lambda s: to_itself(s, "on_success"), ITSELF),
    (lambda s: to_itself(s, "on_failure"), ITSELF),
    (lambda s: {"on_success": reserves(s, 0, "Other")}, "on_success reserves 0 concurrent"),
    (lambda s: {"on_failure": reserves(s, 0, "Other").add_alias("live")}, "on_failure reserves 0"),
    (lambda s: one_queue(s, "on_success", "on_failure"), "on_success and on_failure are the same"),
    (lambda s: one_queue(s, "on_failure", "dead_letter_queue"), "dead_letter_queue are the same"),
    (lambda s: {"function": function(s, retry_attempts=1)}, TAKEN),
    (lambda s: {"function": function(s, max_event_age=Duration.hours(1))}, TAKEN),
    (lambda _: aged(-1, 600), "attempts is -1; it must be 0 to 2"),
    (lambda _: aged(3, 600), "attempts is 3; it must be 0 to 2"),
    (lambda _: aged(0, 59), "max_event_age is 59 s; it must be 60 s to 6 hours"),
    (lambda _: aged(0, 21_601), "is 6 hours 1 s; it must be 60 s to 6 hours"),
    (lambda _: aged(1, 70), AGE),
    (lambda _: aged(2, 200), AGE),
    (lambda _: alarmed(600), r"max_age is 10 minutes.*max_event_age, 10 minutes"),
    (lambda s: {"function": with_letters(s), "dead_letter_queue": a_queue(s, "Second")},
     "has a dead-letter queue or topic already"),
    (lambda s: {"function": function(s).add_alias("a"), "rollout": CANARY}, "alias of its own"),
    (lambda s: {"function": reserves(s, 0)}, f"The {NEVER_RUNS}"),
    (lambda _: {"reserved_concurrency": 0}, f"With reserved_concurrency, the {NEVER_RUNS}"),
    (lambda _: {"reserved_concurrency": -1}, "reserves -1 concurrent"),
    (lambda s: {"function": reserves(s, 3), "reserved_concurrency": 5}, "reserves 3 already"),
    (lambda s: {"function": unknown(s), "reserved_concurrency": 5}, "reserves some already"),
    (lambda s: {"function": no_role(s)}, "imported without its role"),
    *(
        (lambda s, name=name, value=value: {"function": imported(s), name: value(s)},
         f"{name} was given.*imported")
        for name, value in (
            ("dead_letter_queue", a_queue),
            ("reserved_concurrency", lambda _: 5),
            ("rollout", lambda _: CANARY),
        )
    ),
]  # fmt: skip


WRONG_TYPES: dict[str, Any] = {
    "function": "arn", "on_success": "arn", "on_failure": {}, "dead_letter_queue": "arn",
    "retries": 1, "reserved_concurrency": "5", "rollout": "canary", "encryption_key": "alias/shop",
    "alarms": [],
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_TYPES)
def test_an_argument_of_the_wrong_type_is_named(stack: Stack, name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} is "):
        make(stack, **{name: WRONG_TYPES[name]})


@pytest.mark.parametrize(("settings", "problem"), LOST)
def test_a_configuration_that_would_fail_or_lose_events_is_rejected(
    stack: Stack, settings: Make, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        make(stack, **settings(stack))


@pytest.mark.parametrize(
    "settings",
    [
        lambda s: {"on_failure": a_topic(s), "encryption_key": kms.Key(s, "Key")},
        lambda s: {"on_failure": reserves(s, 1, "Other").add_alias("live")},
        lambda _: aged(0, 60),
        lambda _: aged(2, 21_600),
        lambda _: aged(1, 71),
        lambda _: aged(2, 201),
        lambda _: alarmed(599),
        lambda _: {"reserved_concurrency": 1},
        lambda s: {"function": unknown(s)},
    ],
)
def test_what_is_just_within_the_rules_is_accepted(stack: Stack, settings: Make) -> None:
    assert make(stack, **settings(stack))


# Imported resources are used with a warning of what they need


def warned(stack: Stack, pattern: str) -> bool:
    warning = Match.string_like_regexp(pattern)
    return bool(Annotations.from_stack(stack).find_warning("/Stack/Theirs", warning))


@pytest.mark.parametrize(("seconds", "told"), [(1980, True), (1981, False)])
def test_an_imported_function_is_used_with_a_warning_of_what_cannot_be_checked(
    stack: Stack, seconds: int, told: bool
) -> None:
    retries = Retries(max_event_age=Duration.seconds(seconds))
    made = Made(stack, function=imported(stack), retries=retries)
    assert warned(stack, "imported.*cannot be checked")
    assert warned(stack, "timeout below 900 s") == told
    assert made.only(CONFIG)[1]["FunctionName"] == "theirs"
    with pytest.raises(ValueError, match="imported"):
        assert made.construct.dead_letter_queue
