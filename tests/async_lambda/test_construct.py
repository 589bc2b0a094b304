"""The promises of the construct beyond those of every queue and alarm."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, CfnParameter, Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Annotations, Match, Template

from serverless_patterns.patterns.async_lambda.construct import Alarms, Retries
from tests.async_lambda.builds import CANARY, make
from tests.inline import function

if TYPE_CHECKING:
    from collections.abc import Callable

ARN = "arn:aws:{}:us-east-1:111111111111:theirs"
CONFIG, FUNCTION = "AWS::Lambda::EventInvokeConfig", "AWS::Lambda::Function"
both = pytest.mark.parametrize("name", ["on_success", "on_failure"])


class Made:
    """A stack with the construct, and its template, made once."""

    def __init__(self, stack: Stack, **settings: Any) -> None:
        self.stack = stack
        self.construct = make(stack, **settings)
        self.caller = iam.Role(stack, "Caller", assumed_by=iam.AccountRootPrincipal())
        self.construct.grant_redrive(self.caller)
        self.template = Template.from_stack(stack)

    def resolve(self, value: Any) -> Any:
        return self.stack.resolve(value)

    def only(self, kind: str) -> dict[str, Any]:
        (resource,) = self.template.find_resources(kind).values()
        return dict(resource)

    def config(self) -> dict[str, Any]:
        found: dict[str, Any] = self.only(CONFIG)["Properties"]
        return found

    def statements(self, *, caller: bool = False) -> list[dict[str, Any]]:
        """The statements of the function's role, or of the caller's."""
        role = self.resolve(self.caller.role_name)
        return [
            statement
            for policy in self.template.find_resources("AWS::IAM::Policy").values()
            if (role in policy["Properties"]["Roles"]) is caller
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        ]

    def allowed(self, resource: Any, *, caller: bool = False) -> set[str]:
        """The actions that the function's role, or the caller's, allows on a resource."""
        actions: set[str] = set()
        for statement in self.statements(caller=caller):
            resources, action = statement["Resource"], statement["Action"]
            if resource in (resources if isinstance(resources, list) else [resources]):
                actions |= {action} if isinstance(action, str) else set(action)
        return actions


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Stack")


@pytest.fixture(scope="module")
def made() -> Made:
    return Made(Stack(App(), "Stack"))


@pytest.fixture(scope="module")
def rolled() -> Made:
    return Made(Stack(App(), "Stack"), rollout=CANARY)


def a_queue(stack: Stack, **settings: Any) -> sqs.Queue:
    return sqs.Queue(stack, "OwnQueue", **settings)


def a_topic(stack: Stack, **settings: Any) -> sns.Topic:
    return sns.Topic(stack, "OwnTopic", **settings)


def imported(stack: Stack) -> lambda_.IFunction:
    return lambda_.Function.from_function_attributes(
        stack,
        "Imported",
        function_arn=ARN.format("lambda").replace(":theirs", ":function:imported"),
        role=iam.Role.from_role_arn(stack, "Role", "arn:aws:iam::111111111111:role/imported"),
        same_environment=True,
    )


# Retries, age and destinations


def test_a_failed_event_is_tried_twice_more_within_six_hours(made: Made) -> None:
    found = made.config()
    assert (found["MaximumRetryAttempts"], found["MaximumEventAgeInSeconds"]) == (2, 21_600)
    assert found["Qualifier"] == "$LATEST"


def test_retries_and_age_are_as_given(stack: Stack) -> None:
    found = Made(stack, retries=Retries(0, Duration.minutes(10)))
    config = found.config()
    assert (config["MaximumRetryAttempts"], config["MaximumEventAgeInSeconds"]) == (0, 600)
    found.template.has_resource_properties(  # it rings long before events are dropped
        "AWS::CloudWatch::Alarm", {"MetricName": "AsyncEventAge", "Threshold": 300_000}
    )


def test_a_record_of_each_failure_goes_to_a_queue(made: Made) -> None:
    arn = made.resolve(made.construct.failure_queue.queue_arn)
    assert made.config()["DestinationConfig"] == {"OnFailure": {"Destination": arn}}


def test_the_dead_letter_queue_is_the_functions_and_another_one(made: Made) -> None:
    arn = made.resolve(made.construct.dead_letter_queue.queue_arn)
    assert made.only(FUNCTION)["Properties"]["DeadLetterConfig"] == {"TargetArn": arn}
    assert arn != made.resolve(made.construct.failure_queue.queue_arn)


DESTINATIONS: dict[str, tuple[Callable[[Stack], Any], str, set[str]]] = {
    "queue": (a_queue, "queue_arn", {"sqs:SendMessage"}),
    "topic": (a_topic, "topic_arn", {"sns:Publish"}),
    "function": (lambda s: function(s, "Other"), "function_arn", {"lambda:InvokeFunction"}),
    "bus": (lambda s: events.EventBus(s, "Bus"), "event_bus_arn", {"events:PutEvents"}),
    "bucket": (lambda s: s3.Bucket(s, "Bucket"), "bucket_arn", {"s3:ListBucket"}),
}


@pytest.mark.parametrize("kind", ["queue", "topic", "function", "bus"])
def test_a_record_of_each_success_goes_where_it_is_told(stack: Stack, kind: str) -> None:
    new, attribute, actions = DESTINATIONS[kind]
    destination = new(stack)
    found = Made(stack, on_success=destination)
    arn = stack.resolve(getattr(destination, attribute))
    assert found.config()["DestinationConfig"]["OnSuccess"] == {"Destination": arn}
    assert found.allowed(arn) == actions


@pytest.mark.parametrize("kind", DESTINATIONS)
def test_a_record_of_each_failure_goes_where_it_is_told(stack: Stack, kind: str) -> None:
    new, attribute, actions = DESTINATIONS[kind]
    destination = new(stack)
    found = Made(stack, on_failure=destination)
    arn = stack.resolve(getattr(destination, attribute))
    assert found.config()["DestinationConfig"] == {"OnFailure": {"Destination": arn}}
    assert found.allowed(arn) == actions
    if kind == "bucket":  # it may write records there, and read none
        objects = [s for s in found.statements() if "aws/lambda/async/*" in json.dumps(s)]
        assert "s3:PutObject" in objects[0]["Action"]
        assert not any("Get" in action for action in objects[0]["Action"])
    if kind != "queue":
        with pytest.raises(ValueError, match=r"Records of failures go to a .*, not to a queue"):
            found.construct.metric_failed_events()


def test_the_function_may_send_to_its_queues_and_do_nothing_else(made: Made) -> None:
    for queue in (made.construct.failure_queue, made.construct.dead_letter_queue):
        assert made.allowed(made.resolve(queue.queue_arn)) == {"sqs:SendMessage"}
    assert {statement["Action"] for statement in made.statements()} == {"sqs:SendMessage"}


def test_the_settings_come_after_what_they_need(made: Made) -> None:
    """Lambda rejects a destination that the role may not send to yet."""
    functions = made.template.find_resources(FUNCTION)
    (function_id,) = functions
    assert function_id in made.only(CONFIG)["DependsOn"]
    policies = made.template.find_resources("AWS::IAM::Policy")
    assert set(functions[function_id]["DependsOn"]) & set(policies)


# Encryption


def test_a_customer_key_encrypts_both_queues_and_admits_the_function(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    found, arn = Made(stack, encryption_key=key), stack.resolve(key.key_arn)
    found.template.all_resources_properties("AWS::SQS::Queue", {"KmsMasterKeyId": arn})
    assert found.allowed(arn) == {"kms:Decrypt", "kms:GenerateDataKey"}


def test_the_function_may_publish_to_a_topic_with_a_customer_key(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    found = Made(stack, on_success=a_topic(stack, master_key=key))
    allowed = found.allowed(stack.resolve(key.key_arn))
    assert {"kms:Decrypt", "kms:GenerateDataKey*"} <= allowed


def test_a_key_that_no_queue_would_use_is_rejected(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    letters = sqs.Queue(stack, "Letters")
    with pytest.raises(ValueError, match="no queue is new"):
        make(stack, on_failure=a_queue(stack), dead_letter_queue=letters, encryption_key=key)
    assert make(stack, "Half", on_failure=a_topic(stack), encryption_key=key)


# Concurrency, rollout, and who may invoke


def test_reserved_concurrency_is_the_functions(stack: Stack) -> None:
    found = Made(stack, reserved_concurrency=7)
    assert found.only(FUNCTION)["Properties"]["ReservedConcurrentExecutions"] == 7


def test_a_rollout_publishes_a_version_and_moves_an_alias_to_it(rolled: Made, made: Made) -> None:
    assert rolled.only("AWS::Lambda::Alias")["Properties"]["Name"] == "live"
    group = rolled.only("AWS::CodeDeploy::DeploymentGroup")["Properties"]
    assert group["DeploymentConfigName"] == "CodeDeployDefault.LambdaCanary10Percent5Minutes"
    assert rolled.construct.deployment_group is not None
    made.template.resource_count_is("AWS::Lambda::Version", 0)  # none is published unasked
    assert made.construct.deployment_group is None


def test_an_alarm_rolls_back(rolled: Made) -> None:
    group = rolled.only("AWS::CodeDeploy::DeploymentGroup")["Properties"]
    assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
    (alarm,) = group["AlarmConfiguration"]["Alarms"]
    alarms = rolled.template.find_resources("AWS::CloudWatch::Alarm")
    watched = alarms[alarm["Name"]["Ref"]]["Properties"]
    assert watched["MetricName"] == "Errors"
    names = {dimension["Name"] for dimension in watched["Dimensions"]}
    assert names == {"FunctionName", "Resource"}


def test_with_a_rollout_the_settings_are_the_aliases(rolled: Made) -> None:
    assert isinstance(rolled.construct.target, lambda_.Alias)
    (alias_id,) = rolled.template.find_resources("AWS::Lambda::Alias")
    qualifier = rolled.config()["Qualifier"]
    assert qualifier == "live" or alias_id in json.dumps(qualifier)
    assert alias_id in rolled.only(CONFIG)["DependsOn"]


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
    assert Made(stack, function=own).config()["Qualifier"] == "$LATEST"


def test_grant_invoke_allows_the_alias_and_not_the_function(rolled: Made) -> None:
    (alias_id,) = rolled.template.find_resources("AWS::Lambda::Alias")
    invoke = [s for s in rolled.statements(caller=True) if s["Action"] == "lambda:InvokeFunction"]
    assert invoke
    assert all(alias_id in json.dumps(statement["Resource"]) for statement in invoke)


def test_a_service_without_a_source_may_not_invoke(stack: Stack) -> None:
    made = make(stack)
    service = iam.ServicePrincipal("s3.amazonaws.com")
    with pytest.raises(ValueError, match="anybody's resources"):
        made.grant_invoke(service)
    source = {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::bucket"}}
    made.grant_invoke(iam.PrincipalWithConditions(service, source))
    Template.from_stack(stack).has_resource_properties(
        "AWS::Lambda::Permission", {"SourceArn": "arn:aws:s3:::bucket"}
    )


def test_grant_redrive_allows_what_the_redrive_does(made: Made) -> None:
    actions = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"}
    for queue in (made.construct.failure_queue, made.construct.dead_letter_queue):
        assert actions <= made.allowed(made.resolve(queue.queue_arn), caller=True)
    arn = made.resolve(made.construct.function.function_arn)
    assert made.allowed(arn, caller=True) == {"lambda:InvokeFunction"}


# Alarms


@pytest.mark.parametrize(
    ("metric", "periods", "threshold"),
    [
        ("Errors", 3, 0),
        ("Throttles", 5, 0),
        ("Duration", 15, 9_000),
        ("AsyncEventsDropped", 1, 0),
        ("AsyncEventAge", 5, 900_000),
        ("DestinationDeliveryFailures", 1, 0),
        ("DeadLetterErrors", 1, 0),
    ],
)
def test_every_alarm_that_aws_recommends_is_there(
    made: Made, metric: str, periods: int, threshold: int
) -> None:
    name = made.resolve(made.construct.function.function_name)
    made.template.has_resource_properties(
        "AWS::CloudWatch::Alarm",
        {
            "MetricName": metric,
            "Namespace": "AWS/Lambda",
            "Dimensions": [{"Name": "FunctionName", "Value": name}],
            "Period": 60,
            "EvaluationPeriods": periods,
            "Threshold": threshold,
            "ComparisonOperator": "GreaterThanThreshold",
        },
    )
    assert len(made.construct.alarms) == 7 + 2


def test_a_failed_event_raises_an_alarm_that_names_the_redrive(made: Made) -> None:
    for queue in (made.construct.failure_queue, made.construct.dead_letter_queue):
        made.template.has_resource_properties(
            "AWS::CloudWatch::Alarm",
            {
                "MetricName": "ApproximateNumberOfMessagesVisible",
                "Dimensions": [{"Name": "QueueName", "Value": made.resolve(queue.queue_name)}],
                "Threshold": 0,
                "AlarmDescription": Match.string_like_regexp("python -m .*async_lambda.redrive"),
            },
        )


def test_the_metrics_are_the_functions(made: Made) -> None:
    it = made.construct
    for metric in (it.metric_async_event_age(), it.metric_async_events_dropped()):
        assert metric.dimensions == {"FunctionName": it.function.function_name}
    assert it.metric_failed_events().dimensions == {"QueueName": it.failure_queue.queue_name}
    assert it.metric_dead_letters().dimensions == {"QueueName": it.dead_letter_queue.queue_name}


# Bring your own


def test_queues_of_your_own_are_used_as_they_are(stack: Stack) -> None:
    queue, letters = a_queue(stack), sqs.Queue(stack, "Letters")
    found = Made(stack, on_failure=queue, dead_letter_queue=letters)
    assert found.construct.failure_queue is queue
    assert found.construct.dead_letter_queue is letters
    assert found.allowed(stack.resolve(letters.queue_arn)) == {"sqs:SendMessage"}
    found.template.resource_count_is("AWS::SQS::Queue", 2)


def test_the_dead_letter_queue_of_the_function_stays(stack: Stack) -> None:
    queue = a_queue(stack)
    found = Made(stack, function=function(stack, dead_letter_queue=queue))
    assert found.construct.dead_letter_queue is queue
    found.template.resource_count_is("AWS::SQS::Queue", 2)


def test_the_dead_letter_topic_of_the_function_stays(stack: Stack) -> None:
    topic = a_topic(stack)
    found = Made(stack, function=function(stack, dead_letter_topic=topic))
    target = found.only(FUNCTION)["Properties"]["DeadLetterConfig"]["TargetArn"]
    assert target == stack.resolve(topic.topic_arn)
    with pytest.raises(ValueError, match="dead-letter topic"):
        found.construct.metric_dead_letters()


@pytest.mark.parametrize("kind", [events.EventBus, sns.Topic, function])
def test_one_receiver_may_take_the_records_of_successes_and_failures(
    stack: Stack, kind: Callable[[Stack, str], Any]
) -> None:
    """The record says which it is, an event by its detail-type too."""
    receiver = kind(stack, "Receiver")
    found = Made(stack, on_success=receiver, on_failure=receiver).config()["DestinationConfig"]
    assert found["OnSuccess"] == found["OnFailure"]


def test_constructs_may_share_a_failure_queue(stack: Stack) -> None:
    first = make(stack, "First")
    make(stack, "Second", on_failure=first.failure_queue)
    Template.from_stack(stack).resource_count_is(CONFIG, 2)


# Configurations that plain CDK accepts and that would fail or lose events


def disabled(stack: Stack) -> kms.Key:
    return kms.Key(stack, "Key", enabled=False)


LOSSY: dict[str, tuple[Callable[[Stack], Any], str]] = {
    "FIFO queue": (lambda stack: a_queue(stack, fifo=True), "is a FIFO queue"),
    "imported FIFO queue": (
        lambda stack: sqs.Queue.from_queue_arn(stack, "Theirs", ARN.format("sqs") + ".fifo"),
        "is a FIFO queue",
    ),
    "FIFO topic": (lambda stack: a_topic(stack, fifo=True), "is a FIFO topic"),
    "stream": (lambda stack: kinesis.Stream(stack, "Stream"), "is a Stream, but Lambda sends"),
    "disabled key": (
        lambda stack: a_queue(stack, encryption_master_key=disabled(stack)),
        "The key of Stack/OwnQueue is Stack/Key, which is disabled",
    ),
}


@pytest.mark.parametrize("name", ["on_success", "on_failure", "dead_letter_queue"])
@pytest.mark.parametrize("kind", LOSSY)
def test_a_destination_that_would_lose_records_is_rejected(
    stack: Stack, kind: str, name: str
) -> None:
    lossy, problem = LOSSY[kind]
    with pytest.raises(ValueError, match=problem if "key" in kind else f"{name} {problem}"):
        make(stack, **{name: lossy(stack)})


@pytest.mark.parametrize("kind", ["FIFO queue", "disabled key"])
def test_a_dead_letter_queue_of_the_function_that_would_lose_events_is_rejected(
    stack: Stack, kind: str
) -> None:
    lossy, problem = LOSSY[kind]
    with pytest.raises(ValueError, match=problem):
        make(stack, function=function(stack, dead_letter_queue=lossy(stack)))


def test_a_disabled_key_is_rejected(stack: Stack) -> None:
    with pytest.raises(ValueError, match="encryption_key is Stack/Key, which is disabled"):
        make(stack, encryption_key=disabled(stack))


def test_a_bucket_for_successes_is_rejected(stack: Stack) -> None:
    with pytest.raises(ValueError, match=r"on_success is a bucket, .*of failures to buckets"):
        make(stack, on_success=s3.Bucket(stack, "Bucket"))


@both
def test_a_function_that_would_invoke_itself_without_end_is_rejected(
    stack: Stack, name: str
) -> None:
    own = function(stack)
    with pytest.raises(ValueError, match="without end"):
        make(stack, function=own, **{name: own.add_alias("live")})


@both
def test_a_function_that_takes_no_record_is_rejected(stack: Stack, name: str) -> None:
    none, one = (
        function(stack, f"Other{reserved}", reserved_concurrent_executions=reserved)
        for reserved in (0, 1)
    )
    with pytest.raises(ValueError, match=f"{name} reserves 0 concurrent executions"):
        make(stack, **{name: none.add_alias("live")})
    assert make(stack, "Other", **{name: one.add_alias("live")})


def test_one_queue_in_two_places_is_rejected(stack: Stack) -> None:
    queue = a_queue(stack)
    with pytest.raises(ValueError, match="on_success and on_failure are the same"):
        make(stack, on_success=queue, on_failure=queue)
    with pytest.raises(ValueError, match="on_failure and dead_letter_queue are the same"):
        make(stack, "Other", on_failure=queue, dead_letter_queue=queue)


@pytest.mark.parametrize(
    "settings",
    [{"retry_attempts": 1}, {"max_event_age": Duration.hours(1)}],
    ids=lambda settings: next(iter(settings)),
)
def test_a_function_with_settings_of_its_own_is_rejected(
    stack: Stack, settings: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="Lambda takes one configuration"):
        make(stack, function=function(stack, **settings))


def test_retries_that_lambda_does_not_make_are_rejected() -> None:
    for attempts in (-1, 3):
        with pytest.raises(ValueError, match=f"attempts is {attempts}, allowed is 0 to 2"):
            Retries(attempts)
    for seconds in (59, 21_601):
        with pytest.raises(ValueError, match="allowed is 60 seconds to 6 hours"):
            Retries(0, Duration.seconds(seconds))
    for attempts, seconds in ((0, 60), (1, 21_600), (2, 21_600)):
        assert Retries(attempts, Duration.seconds(seconds))


@pytest.mark.parametrize(("attempts", "needed"), [(1, 70), (2, 200)])
def test_an_age_at_which_the_event_is_gone_before_its_last_retry_is_rejected(
    stack: Stack, attempts: int, needed: int
) -> None:
    with pytest.raises(ValueError, match="dropped before its last retry"):
        make(stack, retries=Retries(attempts, Duration.seconds(needed)))
    assert make(stack, "Longer", retries=Retries(attempts, Duration.seconds(needed + 1)))


def test_a_setting_that_the_function_has_already_is_rejected(stack: Stack) -> None:
    own = function(stack, dead_letter_queue=a_queue(stack))
    with pytest.raises(ValueError, match="has a dead-letter queue or topic already"):
        make(stack, function=own, dead_letter_queue=sqs.Queue(stack, "Second"))
    with pytest.raises(ValueError, match="alias of its own"):
        make(stack, "Other", function=own.add_alias("live"), rollout=CANARY)


def test_an_alarm_on_events_that_are_dropped_by_then_is_rejected(stack: Stack) -> None:
    retries = Retries(max_event_age=Duration.minutes(10))
    with pytest.raises(ValueError, match=r"max_age is 600 s.*max_event_age, 600 s"):
        make(stack, retries=retries, alarms=Alarms(max_age=Duration.minutes(10)))
    assert make(stack, "Earlier", retries=retries, alarms=Alarms(max_age=Duration.seconds(599)))


def test_a_function_that_may_run_nothing_is_rejected(stack: Stack) -> None:
    own = function(stack, reserved_concurrent_executions=0)
    with pytest.raises(ValueError, match="never runs it: Lambda would send every event straight"):
        make(stack, function=own)
    with pytest.raises(ValueError, match="reserved_concurrency is 0, so Lambda never runs"):
        make(stack, "Given", reserved_concurrency=0)
    assert make(stack, "One", reserved_concurrency=1)


def test_a_second_reservation_is_rejected(stack: Stack) -> None:
    own = function(stack, reserved_concurrent_executions=3)
    with pytest.raises(ValueError, match="reserves 3 already"):
        make(stack, function=own, reserved_concurrency=5)
    number = CfnParameter(stack, "Number", type="Number").value_as_number
    unknown = function(stack, "Unknown", reserved_concurrent_executions=number)
    with pytest.raises(ValueError, match="reserves some already"):
        make(stack, "Other", function=unknown, reserved_concurrency=5)
    assert make(stack, "Third", function=unknown)


# Imported resources are used with a warning of what they need


def warned(stack: Stack, pattern: str, path: str = "/Stack/Theirs") -> None:
    Annotations.from_stack(stack).has_warning(path, Match.string_like_regexp(pattern))


IMPORTED: dict[str, tuple[Callable[[Stack], Any], str]] = {
    "queue": (
        lambda stack: sqs.Queue.from_queue_arn(stack, "Theirs", ARN.format("sqs")),
        "retention period.*key_arn",
    ),
    "topic": (
        lambda stack: sns.Topic.from_topic_arn(stack, "Theirs", ARN.format("sns")),
        "subscribe.*key_arn",
    ),
    "function": (
        lambda stack: lambda_.Function.from_function_attributes(
            stack,
            "Theirs",
            function_arn=ARN.format("lambda").replace(":theirs", ":function:theirs"),
            same_environment=True,
        ),
        "reserve 0",
    ),
    "event bus": (lambda s: events.EventBus.from_event_bus_name(s, "Theirs", "theirs"), "rule"),
    "bucket": (
        lambda stack: s3.Bucket.from_bucket_name(stack, "Theirs", "theirs"),
        "policy.*encryption_key",
    ),
}


@pytest.mark.parametrize("kind", IMPORTED)
def test_an_imported_destination_is_told_what_it_needs(stack: Stack, kind: str) -> None:
    theirs, needs = IMPORTED[kind]
    make(stack, on_failure=theirs(stack))
    warned(stack, f"This {kind} is imported.*on_failure.*{needs}")


@pytest.mark.parametrize("given", ["here", "to the function"])
def test_an_imported_dead_letter_queue_is_told_what_it_needs(stack: Stack, given: str) -> None:
    queue = sqs.Queue.from_queue_arn(stack, "Theirs", ARN.format("sqs"))
    if given == "here":
        make(stack, dead_letter_queue=queue)
    else:
        make(stack, function=function(stack, dead_letter_queue=queue))
    warned(stack, "imported.*dead_letter_queue.*retention period")


def test_an_imported_function_is_used_with_a_warning_of_what_cannot_be_checked(
    stack: Stack,
) -> None:
    found = Made(stack, function=imported(stack))
    warned(stack, "imported.*cannot be checked", "/Stack/Imported")
    assert found.config()["FunctionName"] == "imported"
    with pytest.raises(ValueError, match="imported"):
        assert found.construct.dead_letter_queue


@pytest.mark.parametrize("name", ["dead_letter_queue", "reserved_concurrency", "rollout"])
def test_a_setting_that_an_imported_function_cannot_take_is_rejected(
    stack: Stack, name: str
) -> None:
    values = {"dead_letter_queue": a_queue(stack), "reserved_concurrency": 5, "rollout": CANARY}
    with pytest.raises(ValueError, match=rf"{name} was given.*imported"):
        make(stack, function=imported(stack), **{name: values[name]})


@pytest.mark.parametrize(("seconds", "told"), [(1980, True), (1981, False)])
def test_an_imported_function_is_told_how_long_it_may_run(
    stack: Stack, seconds: int, told: bool
) -> None:
    make(stack, function=imported(stack), retries=Retries(max_event_age=Duration.seconds(seconds)))
    found = Annotations.from_stack(stack).find_warning(
        "/Stack/Imported", Match.string_like_regexp("timeout below 900 s")
    )
    assert bool(found) == told


def test_a_function_imported_without_its_role_is_rejected(stack: Stack) -> None:
    own = lambda_.Function.from_function_name(stack, "Imported", "theirs")
    with pytest.raises(ValueError, match="imported without its role"):
        make(stack, function=own)
