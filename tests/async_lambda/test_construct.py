"""The promises of the construct that the template alone can show."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, CfnParameter, Duration, Stack
from aws_cdk import aws_cloudwatch_actions as cloudwatch_actions
from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Annotations, Match, Template

from serverless_patterns.patterns.async_lambda.construct import AsyncLambda
from tests import inline

if TYPE_CHECKING:
    from collections.abc import Callable

CANARY = codedeploy.LambdaDeploymentConfig.CANARY_10_PERCENT_5_MINUTES


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Stack")


def function(stack: Stack, construct_id: str = "Function", **settings: Any) -> lambda_.Function:
    return inline.function(stack, construct_id, **settings)


def pattern(stack: Stack, construct_id: str = "Pattern", /, **settings: Any) -> AsyncLambda:
    target = settings.pop("function", None) or function(stack, f"{construct_id}Function")
    return AsyncLambda(stack, construct_id, function=target, **settings)


def imported(stack: Stack) -> lambda_.IFunction:
    return lambda_.Function.from_function_attributes(
        stack,
        "Imported",
        function_arn="arn:aws:lambda:us-east-1:111111111111:function:imported",
        role=iam.Role.from_role_arn(stack, "Role", "arn:aws:iam::111111111111:role/imported"),
        same_environment=True,
    )


def template(stack: Stack) -> Template:
    return Template.from_stack(stack)


def properties(stack: Stack, kind: str, **wanted: Any) -> dict[str, Any]:
    found = template(stack).find_resources(kind, {"Properties": wanted} if wanted else None)
    (resource,) = found.values()
    result: dict[str, Any] = resource["Properties"]
    return result


def config(stack: Stack) -> dict[str, Any]:
    return properties(stack, "AWS::Lambda::EventInvokeConfig")


def statements(stack: Stack) -> list[dict[str, Any]]:
    return [
        statement
        for policy in template(stack).find_resources("AWS::IAM::Policy").values()
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    ]


def allowed(stack: Stack, resource: Any) -> set[str]:
    """Return the actions that policies of the stack allow on a resource."""
    actions: set[str] = set()
    for statement in statements(stack):
        resources = statement["Resource"]
        if resource in (resources if isinstance(resources, list) else [resources]):
            action = statement["Action"]
            actions |= {action} if isinstance(action, str) else set(action)
    return actions


# Retries, age and destinations


def test_a_failed_event_is_tried_twice_more_within_six_hours(stack: Stack) -> None:
    pattern(stack)
    found = config(stack)
    assert (found["MaximumRetryAttempts"], found["MaximumEventAgeInSeconds"]) == (2, 21_600)
    assert found["Qualifier"] == "$LATEST"


def test_retries_and_age_are_as_given(stack: Stack) -> None:
    pattern(stack, retry_attempts=0, max_event_age=Duration.minutes(1))
    found = config(stack)
    assert (found["MaximumRetryAttempts"], found["MaximumEventAgeInSeconds"]) == (0, 60)


def test_a_record_of_each_failure_goes_to_a_queue_that_keeps_it_for_two_weeks(
    stack: Stack,
) -> None:
    made = pattern(stack)
    arn = stack.resolve(made.failure_queue.queue_arn)
    assert config(stack)["DestinationConfig"] == {"OnFailure": {"Destination": arn}}
    template(stack).all_resources_properties("AWS::SQS::Queue", {"MessageRetentionPeriod": 1209600})


def test_the_dead_letter_queue_is_the_functions_and_another_one(stack: Stack) -> None:
    made = pattern(stack)
    arn = stack.resolve(made.dead_letter_queue.queue_arn)
    assert properties(stack, "AWS::Lambda::Function")["DeadLetterConfig"] == {"TargetArn": arn}
    assert arn != stack.resolve(made.failure_queue.queue_arn)


def a_queue(stack: Stack, **settings: Any) -> sqs.Queue:
    return sqs.Queue(stack, "OwnQueue", **settings)


def a_topic(stack: Stack, **settings: Any) -> sns.Topic:
    return sns.Topic(stack, "OwnTopic", **settings)


DESTINATIONS: dict[str, tuple[Callable[[Stack], Any], str, set[str]]] = {
    "queue": (a_queue, "queue_arn", {"sqs:SendMessage"}),
    "topic": (a_topic, "topic_arn", {"sns:Publish"}),
    "function": (
        lambda stack: function(stack, "Other"),
        "function_arn",
        {"lambda:InvokeFunction"},
    ),
    "bus": (
        lambda stack: events.EventBus(stack, "Bus"),
        "event_bus_arn",
        {"events:PutEvents"},
    ),
    "bucket": (lambda stack: s3.Bucket(stack, "Bucket"), "bucket_arn", {"s3:ListBucket"}),
}


@pytest.mark.parametrize("kind", ["queue", "topic", "function", "bus"])
def test_a_record_of_each_success_goes_where_it_is_told(stack: Stack, kind: str) -> None:
    make, attribute, actions = DESTINATIONS[kind]
    destination = make(stack)
    pattern(stack, on_success=destination)
    arn = stack.resolve(getattr(destination, attribute))
    assert config(stack)["DestinationConfig"]["OnSuccess"] == {"Destination": arn}
    assert allowed(stack, arn) == actions


@pytest.mark.parametrize("kind", DESTINATIONS)
def test_a_record_of_each_failure_goes_where_it_is_told(stack: Stack, kind: str) -> None:
    make, attribute, actions = DESTINATIONS[kind]
    destination = make(stack)
    pattern(stack, on_failure=destination)
    arn = stack.resolve(getattr(destination, attribute))
    assert config(stack)["DestinationConfig"] == {"OnFailure": {"Destination": arn}}
    assert allowed(stack, arn) == actions


def test_the_function_may_write_records_into_a_bucket_and_read_none(stack: Stack) -> None:
    pattern(stack, on_failure=s3.Bucket(stack, "Bucket"))
    on_objects = [s for s in statements(stack) if "aws/lambda/async/*" in json.dumps(s)]
    (statement,) = on_objects
    assert "s3:PutObject" in statement["Action"]
    assert not any("Get" in action for action in statement["Action"])


def test_the_function_may_send_to_its_queues_and_do_nothing_else(stack: Stack) -> None:
    made = pattern(stack)
    for queue in (made.failure_queue, made.dead_letter_queue):
        assert allowed(stack, stack.resolve(queue.queue_arn)) == {"sqs:SendMessage"}
    assert {statement["Action"] for statement in statements(stack)} == {"sqs:SendMessage"}


def test_the_settings_come_after_what_they_need(stack: Stack) -> None:
    """Lambda refuses a destination that the role may not send to yet."""
    made = pattern(stack)
    (resource,) = template(stack).find_resources("AWS::Lambda::EventInvokeConfig").values()
    (function_id,) = template(stack).find_resources("AWS::Lambda::Function")
    (policy_id,) = template(stack).find_resources("AWS::IAM::Policy")
    functions = template(stack).find_resources("AWS::Lambda::Function")
    assert function_id in resource["DependsOn"]
    assert policy_id in functions[function_id]["DependsOn"]
    assert made.event_invoke_config.function_name


# Encryption


def test_the_new_queues_are_encrypted_and_refuse_plain_http(stack: Stack) -> None:
    pattern(stack)
    template(stack).all_resources_properties("AWS::SQS::Queue", {"SqsManagedSseEnabled": True})
    template(stack).resource_count_is("AWS::SQS::QueuePolicy", 2)
    template(stack).all_resources_properties(
        "AWS::SQS::QueuePolicy",
        {
            "PolicyDocument": {
                "Statement": [
                    Match.object_like(
                        {
                            "Effect": "Deny",
                            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                        }
                    )
                ]
            }
        },
    )


def test_a_customer_key_encrypts_both_queues_and_admits_the_function(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    pattern(stack, encryption_key=key)
    arn = stack.resolve(key.key_arn)
    template(stack).all_resources_properties("AWS::SQS::Queue", {"KmsMasterKeyId": arn})
    assert allowed(stack, arn) == {"kms:Decrypt", "kms:GenerateDataKey"}


def test_the_function_may_publish_to_a_topic_with_a_customer_key(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    pattern(stack, on_success=a_topic(stack, master_key=key))
    assert {"kms:Decrypt", "kms:GenerateDataKey*"} <= allowed(stack, stack.resolve(key.key_arn))


def test_a_key_that_no_queue_would_use_is_refused(stack: Stack) -> None:
    with pytest.raises(ValueError, match="no queue is new"):
        pattern(
            stack,
            on_failure=a_queue(stack),
            dead_letter_queue=sqs.Queue(stack, "Letters"),
            encryption_key=kms.Key(stack, "Key"),
        )
    assert pattern(
        stack, "Half", on_failure=a_topic(stack), encryption_key=kms.Key(stack, "OtherKey")
    )


# Concurrency, rollout, and who may invoke


def test_reserved_concurrency_is_the_functions(stack: Stack) -> None:
    pattern(stack, reserved_concurrency=7)
    assert properties(stack, "AWS::Lambda::Function")["ReservedConcurrentExecutions"] == 7


def test_a_rollout_publishes_a_version_and_moves_an_alias_to_it(stack: Stack) -> None:
    made = pattern(stack, rollout=CANARY)
    alias = properties(stack, "AWS::Lambda::Alias")
    assert alias["Name"] == "live"
    group = properties(stack, "AWS::CodeDeploy::DeploymentGroup")
    assert group["DeploymentConfigName"] == "CodeDeployDefault.LambdaCanary10Percent5Minutes"
    assert made.deployment_group is not None


def test_an_alarm_rolls_back(stack: Stack) -> None:
    pattern(stack, rollout=CANARY)
    group = properties(stack, "AWS::CodeDeploy::DeploymentGroup")
    assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
    (alarm,) = group["AlarmConfiguration"]["Alarms"]
    alarms = template(stack).find_resources("AWS::CloudWatch::Alarm")
    watched = alarms[alarm["Name"]["Ref"]]["Properties"]
    assert watched["MetricName"] == "Errors"
    assert {dimension["Name"] for dimension in watched["Dimensions"]} == {
        "FunctionName",
        "Resource",
    }


def test_with_a_rollout_the_settings_are_the_aliases(stack: Stack) -> None:
    made = pattern(stack, rollout=CANARY)
    assert isinstance(made.target, lambda_.Alias)
    (alias_id,) = template(stack).find_resources("AWS::Lambda::Alias")
    assert alias_id in json.dumps(config(stack)["Qualifier"]) or config(stack)["Qualifier"] == (
        "live"
    )
    (resource,) = template(stack).find_resources("AWS::Lambda::EventInvokeConfig").values()
    assert alias_id in resource["DependsOn"]


def test_no_version_is_published_unasked(stack: Stack) -> None:
    made = pattern(stack)
    template(stack).resource_count_is("AWS::Lambda::Version", 0)
    assert made.deployment_group is None


def test_an_alias_of_the_users_gets_the_settings(stack: Stack) -> None:
    alias = function(stack).add_alias("blue")
    made = pattern(stack, function=alias)
    assert made.target is alias
    assert json.dumps(config(stack)["Qualifier"]).count("$LATEST") == 0
    assert "DeadLetterConfig" in properties(stack, "AWS::Lambda::Function")


def test_a_version_of_the_users_gets_the_settings(stack: Stack) -> None:
    version = function(stack).current_version
    pattern(stack, function=version)
    assert config(stack)["Qualifier"] == stack.resolve(version.version)


def test_grant_invoke_allows_the_alias_and_not_the_function(stack: Stack) -> None:
    caller = iam.Role(stack, "Caller", assumed_by=iam.AccountRootPrincipal())
    made = pattern(stack, rollout=CANARY)
    made.grant_invoke(caller)
    (alias_id,) = template(stack).find_resources("AWS::Lambda::Alias")
    statement = properties(stack, "AWS::IAM::Policy", Roles=[stack.resolve(caller.role_name)])[
        "PolicyDocument"
    ]["Statement"]
    assert all(alias_id in json.dumps(entry["Resource"]) for entry in statement)


def test_a_service_without_a_source_may_not_be_admitted(stack: Stack) -> None:
    made = pattern(stack)
    with pytest.raises(ValueError, match="anybody's resources"):
        made.grant_invoke(iam.ServicePrincipal("s3.amazonaws.com"))
    made.grant_invoke(
        iam.PrincipalWithConditions(
            iam.ServicePrincipal("s3.amazonaws.com"),
            {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::bucket"}},
        )
    )
    template(stack).has_resource_properties(
        "AWS::Lambda::Permission", {"SourceArn": "arn:aws:s3:::bucket"}
    )


def test_grant_redrive_allows_what_the_redrive_does(stack: Stack) -> None:
    made = pattern(stack, function=function(stack, role=None))
    operator = iam.Role(stack, "Operator", assumed_by=iam.AccountRootPrincipal())
    made.grant_redrive(operator)
    policy = properties(stack, "AWS::IAM::Policy", Roles=[stack.resolve(operator.role_name)])
    actions: set[str] = set()
    for statement in policy["PolicyDocument"]["Statement"]:
        action = statement["Action"]
        actions |= {action} if isinstance(action, str) else set(action)
    assert {
        "lambda:InvokeFunction",
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:ChangeMessageVisibility",
    } <= actions


# Alarms


def test_every_alarm_that_aws_recommends_is_there_and_acts(stack: Stack) -> None:
    topic = sns.Topic(stack, "Topic")
    made = pattern(stack, alarm_actions=[cloudwatch_actions.SnsAction(topic)])
    expected = {
        "Errors": (3, 0),
        "Throttles": (5, 0),
        "Duration": (15, 9_000),
        "AsyncEventsDropped": (1, 0),
        "AsyncEventAge": (5, 900_000),
        "DestinationDeliveryFailures": (1, 0),
        "DeadLetterErrors": (1, 0),
    }
    name = stack.resolve(made.function.function_name)
    for metric, (periods, threshold) in expected.items():
        template(stack).has_resource_properties(
            "AWS::CloudWatch::Alarm",
            {
                "MetricName": metric,
                "Namespace": "AWS/Lambda",
                "Dimensions": [{"Name": "FunctionName", "Value": name}],
                "Period": 60,
                "EvaluationPeriods": periods,
                "Threshold": threshold,
                "ComparisonOperator": "GreaterThanThreshold",
                "TreatMissingData": "notBreaching",
                "AlarmActions": [stack.resolve(topic.topic_arn)],
            },
        )
    assert len(made.alarms) == len(expected) + 2


def test_a_failed_event_raises_an_alarm_that_names_the_redrive(stack: Stack) -> None:
    made = pattern(stack)
    for queue in (made.failure_queue, made.dead_letter_queue):
        template(stack).has_resource_properties(
            "AWS::CloudWatch::Alarm",
            {
                "MetricName": "ApproximateNumberOfMessagesVisible",
                "Dimensions": [{"Name": "QueueName", "Value": stack.resolve(queue.queue_name)}],
                "Threshold": 0,
                "AlarmDescription": Match.string_like_regexp("patterns.async_lambda.redrive"),
            },
        )


def test_an_event_raises_an_alarm_long_before_it_is_too_old(stack: Stack) -> None:
    pattern(stack, retry_attempts=0, max_event_age=Duration.minutes(10))
    template(stack).has_resource_properties(
        "AWS::CloudWatch::Alarm", {"MetricName": "AsyncEventAge", "Threshold": 300_000}
    )


# Bring your own


def test_a_failure_queue_of_the_users_is_used_as_it_is(stack: Stack) -> None:
    queue = a_queue(stack)
    made = pattern(stack, on_failure=queue)
    assert made.failure_queue is queue
    template(stack).resource_count_is("AWS::SQS::Queue", 2)


def test_a_dead_letter_queue_of_the_users_is_used_as_it_is(stack: Stack) -> None:
    queue = a_queue(stack)
    made = pattern(stack, dead_letter_queue=queue)
    assert made.dead_letter_queue is queue
    assert allowed(stack, stack.resolve(queue.queue_arn)) == {"sqs:SendMessage"}


def test_the_dead_letter_queue_of_the_function_stays(stack: Stack) -> None:
    queue = a_queue(stack)
    made = pattern(stack, function=function(stack, dead_letter_queue=queue))
    assert made.dead_letter_queue is queue
    template(stack).resource_count_is("AWS::SQS::Queue", 2)


def test_the_dead_letter_topic_of_the_function_stays(stack: Stack) -> None:
    topic = a_topic(stack)
    made = pattern(stack, function=function(stack, dead_letter_topic=topic))
    target = properties(stack, "AWS::Lambda::Function")["DeadLetterConfig"]["TargetArn"]
    assert target == stack.resolve(topic.topic_arn)
    with pytest.raises(ValueError, match="dead-letter topic"):
        made.metric_dead_letters()


def test_records_that_go_elsewhere_have_no_failure_queue(stack: Stack) -> None:
    made = pattern(stack, on_failure=a_topic(stack))
    with pytest.raises(ValueError, match="go to a topic"):
        made.metric_failed_events()


def test_an_imported_function_is_used_with_a_warning_of_what_cannot_be_checked(
    stack: Stack,
) -> None:
    made = pattern(stack, function=imported(stack))
    Annotations.from_stack(stack).has_warning(
        "*", Match.string_like_regexp("imported.*cannot be checked")
    )
    assert config(stack)["FunctionName"] == "imported"
    with pytest.raises(ValueError, match="imported"):
        assert made.dead_letter_queue


@pytest.mark.parametrize("name", ["dead_letter_queue", "reserved_concurrency", "rollout"])
def test_a_setting_that_an_imported_function_cannot_take_is_refused(
    stack: Stack, name: str
) -> None:
    value = {
        "dead_letter_queue": a_queue(stack),
        "reserved_concurrency": 5,
        "rollout": CANARY,
    }[name]
    with pytest.raises(ValueError, match=rf"{name} was given.*imported"):
        pattern(stack, function=imported(stack), **{name: value})


def test_the_metrics_are_the_functions(stack: Stack) -> None:
    made = pattern(stack)
    name = made.function.function_name
    for metric in (made.metric_async_event_age(), made.metric_async_events_dropped()):
        assert metric.dimensions == {"FunctionName": name}
    assert made.metric_failed_events().dimensions == {"QueueName": made.failure_queue.queue_name}
    assert made.metric_dead_letters().dimensions == {"QueueName": made.dead_letter_queue.queue_name}


def test_two_instances_fit_in_one_stack(stack: Stack) -> None:
    first = pattern(stack, "First")
    pattern(stack, "Second", on_failure=first.failure_queue)
    pattern(stack, "Third", rollout=CANARY)
    template(stack).resource_count_is("AWS::Lambda::EventInvokeConfig", 3)


# Configurations that plain CDK accepts and that would fail or lose events


@pytest.mark.parametrize("name", ["on_success", "on_failure", "dead_letter_queue"])
def test_a_fifo_queue_is_refused(stack: Stack, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is a FIFO queue"):
        pattern(stack, **{name: a_queue(stack, fifo=True)})


@pytest.mark.parametrize("name", ["on_success", "on_failure"])
def test_a_fifo_topic_is_refused(stack: Stack, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is a FIFO topic"):
        pattern(stack, **{name: a_topic(stack, fifo=True)})


def test_an_imported_fifo_queue_is_refused(stack: Stack) -> None:
    arn = "arn:aws:sqs:us-east-1:111111111111:failures.fifo"
    with pytest.raises(ValueError, match="on_failure is a FIFO queue"):
        pattern(stack, on_failure=sqs.Queue.from_queue_arn(stack, "ImportedQueue", arn))


def test_a_fifo_dead_letter_queue_of_the_function_is_refused(stack: Stack) -> None:
    own = function(stack, dead_letter_queue=a_queue(stack, fifo=True))
    with pytest.raises(ValueError, match="dead_letter_queue is a FIFO queue"):
        pattern(stack, function=own)


def test_a_bucket_for_successes_is_refused(stack: Stack) -> None:
    with pytest.raises(ValueError, match=r"on_success is a bucket, .*of failures to buckets"):
        pattern(stack, on_success=s3.Bucket(stack, "Bucket"))


@pytest.mark.parametrize("name", ["on_success", "on_failure"])
def test_a_destination_that_lambda_does_not_know_is_refused(stack: Stack, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is a Stream"):
        pattern(stack, **{name: kinesis.Stream(stack, "Stream")})


@pytest.mark.parametrize("name", ["on_success", "on_failure"])
def test_a_function_that_would_invoke_itself_without_end_is_refused(
    stack: Stack, name: str
) -> None:
    own = function(stack)
    with pytest.raises(ValueError, match="without end"):
        pattern(stack, function=own, **{name: own.add_alias("live")})


def test_one_queue_in_two_places_is_refused(stack: Stack) -> None:
    queue = a_queue(stack)
    with pytest.raises(ValueError, match="on_success and on_failure are the same"):
        pattern(stack, on_success=queue, on_failure=queue)
    with pytest.raises(ValueError, match="on_failure and dead_letter_queue are the same"):
        pattern(stack, "Other", on_failure=queue, dead_letter_queue=queue)


@pytest.mark.parametrize("kind", [events.EventBus, sns.Topic, function])
def test_one_receiver_may_take_the_records_of_successes_and_failures(
    stack: Stack, kind: Callable[[Stack, str], Any]
) -> None:
    """The record says which it is, an event by its detail-type too."""
    receiver = kind(stack, "Receiver")
    pattern(stack, on_success=receiver, on_failure=receiver)
    found = config(stack)["DestinationConfig"]
    assert found["OnSuccess"] == found["OnFailure"]


def test_what_a_function_of_a_class_of_your_own_knows_of_itself_is_its_own(stack: Stack) -> None:
    class Release(lambda_.Function):
        version, alias_name, lambda_ = "1.2.0", "live", None

    code = lambda_.Code.from_inline("def handler(event, context): ...")
    runtime = lambda_.Runtime.PYTHON_3_14
    own = Release(stack, "Own", runtime=runtime, handler="index.handler", code=code)
    pattern(stack, function=own)
    assert config(stack)["Qualifier"] == "$LATEST"


def test_a_second_dead_letter_queue_is_refused(stack: Stack) -> None:
    own = function(stack, dead_letter_queue=a_queue(stack))
    with pytest.raises(ValueError, match="has a dead-letter queue or topic already"):
        pattern(stack, function=own, dead_letter_queue=sqs.Queue(stack, "Second"))


@pytest.mark.parametrize(
    "settings",
    [{"retry_attempts": 1}, {"max_event_age": Duration.hours(1)}],
    ids=lambda settings: next(iter(settings)),
)
def test_a_function_with_settings_of_its_own_is_refused(
    stack: Stack, settings: dict[str, Any]
) -> None:
    own = function(stack, **settings)
    with pytest.raises(ValueError, match="Lambda takes one configuration"):
        pattern(stack, function=own)


@pytest.mark.parametrize(
    ("retries", "accepted"), [(-1, False), (0, True), (1, True), (2, True), (3, False)]
)
def test_more_retries_than_lambda_makes_are_refused(
    stack: Stack, retries: int, accepted: bool
) -> None:
    def make() -> object:
        return pattern(stack, retry_attempts=retries)

    if accepted:
        assert make()
    else:
        with pytest.raises(ValueError, match=f"retry_attempts is {retries}, allowed is 0 to 2"):
            make()


@pytest.mark.parametrize(
    ("seconds", "accepted"), [(59, False), (60, True), (21_600, True), (21_601, False)]
)
def test_an_age_that_lambda_does_not_know_is_refused(
    stack: Stack, seconds: int, accepted: bool
) -> None:
    def make() -> object:
        return pattern(stack, retry_attempts=0, max_event_age=Duration.seconds(seconds))

    if accepted:
        assert make()
    else:
        with pytest.raises(ValueError, match="allowed is 60 seconds to 6 hours"):
            make()


@pytest.mark.parametrize(
    ("retries", "seconds", "accepted"),
    [(1, 70, False), (1, 71, True), (2, 200, False), (2, 201, True)],
)
def test_an_age_at_which_the_event_is_gone_before_its_last_retry_is_refused(
    stack: Stack, retries: int, seconds: int, accepted: bool
) -> None:
    def make() -> object:
        return pattern(stack, retry_attempts=retries, max_event_age=Duration.seconds(seconds))

    if accepted:
        assert make()
    else:
        with pytest.raises(ValueError, match="dropped before its last retry"):
            make()


@pytest.mark.parametrize(("reserved", "accepted"), [(0, False), (1, True)])
def test_a_function_that_may_run_nothing_is_refused(
    stack: Stack, reserved: int, accepted: bool
) -> None:
    own = function(stack, reserved_concurrent_executions=reserved)
    if accepted:
        assert pattern(stack, function=own)
        assert pattern(stack, "Given", reserved_concurrency=reserved)
    else:
        with pytest.raises(ValueError, match="would run nothing"):
            pattern(stack, function=own)
        with pytest.raises(ValueError, match="would run nothing"):
            pattern(stack, "Given", reserved_concurrency=reserved)


def test_a_second_reservation_is_refused(stack: Stack) -> None:
    own = function(stack, reserved_concurrent_executions=3)
    with pytest.raises(ValueError, match="reserves 3 already"):
        pattern(stack, function=own, reserved_concurrency=5)


def test_a_rollout_of_an_alias_is_refused(stack: Stack) -> None:
    with pytest.raises(ValueError, match="alias of its own"):
        pattern(stack, function=function(stack).add_alias("live"), rollout=CANARY)


@pytest.mark.parametrize(("seconds", "accepted"), [(599, True), (600, False)])
def test_an_alarm_on_events_that_are_dropped_by_then_is_refused(
    stack: Stack, seconds: int, accepted: bool
) -> None:
    def make() -> object:
        age, wait = Duration.minutes(10), Duration.seconds(seconds)
        return pattern(stack, max_event_age=age, max_wait=wait)

    if accepted:
        assert make()
    else:
        with pytest.raises(ValueError, match=r"max_wait is 600 s.*max_event_age, 600 s"):
            make()


def test_a_disabled_key_is_refused(stack: Stack) -> None:
    key = kms.Key(stack, "Key", enabled=False)
    with pytest.raises(ValueError, match="encryption_key is Stack/Key, which is disabled"):
        pattern(stack, encryption_key=key)


@pytest.mark.parametrize("name", ["on_success", "on_failure", "dead_letter_queue"])
def test_a_queue_with_a_disabled_key_is_refused(stack: Stack, name: str) -> None:
    queue = a_queue(stack, encryption_master_key=kms.Key(stack, "Key", enabled=False))
    with pytest.raises(ValueError, match="key of Stack/OwnQueue is Stack/Key, which is disabled"):
        pattern(stack, **{name: queue})


def test_a_dead_letter_queue_of_the_function_with_a_disabled_key_is_refused(stack: Stack) -> None:
    queue = a_queue(stack, encryption_master_key=kms.Key(stack, "Key", enabled=False))
    with pytest.raises(ValueError, match="which is disabled"):
        pattern(stack, function=function(stack, dead_letter_queue=queue))


@pytest.mark.parametrize("name", ["on_success", "on_failure"])
@pytest.mark.parametrize(("reserved", "accepted"), [(0, False), (1, True)])
def test_a_function_that_takes_no_record_is_refused(
    stack: Stack, name: str, reserved: int, accepted: bool
) -> None:
    other = function(stack, "Other", reserved_concurrent_executions=reserved)
    if accepted:
        assert pattern(stack, **{name: other.add_alias("live")})
    else:
        with pytest.raises(ValueError, match=f"{name} reserves 0 concurrent executions"):
            pattern(stack, **{name: other.add_alias("live")})


def test_a_reservation_that_only_deployment_knows_is_one_already(stack: Stack) -> None:
    number = CfnParameter(stack, "Number", type="Number").value_as_number
    own = function(stack, reserved_concurrent_executions=number)
    with pytest.raises(ValueError, match="reserves some already"):
        pattern(stack, function=own, reserved_concurrency=5)
    assert pattern(stack, "Other", function=own)


# What is imported is used with a warning of what it needs


QUEUE_ARN = "arn:aws:sqs:us-east-1:111111111111:theirs"
IMPORTED: dict[str, tuple[Callable[[Stack], Any], str]] = {
    "queue": (
        lambda stack: sqs.Queue.from_queue_arn(stack, "Theirs", QUEUE_ARN),
        "retention period.*key_arn",
    ),
    "topic": (
        lambda stack: sns.Topic.from_topic_arn(
            stack, "Theirs", "arn:aws:sns:us-east-1:111111111111:theirs"
        ),
        "subscribe.*key_arn",
    ),
    "function": (
        lambda stack: lambda_.Function.from_function_attributes(
            stack,
            "Theirs",
            function_arn="arn:aws:lambda:us-east-1:111111111111:function:theirs",
            same_environment=True,
        ),
        "reserve 0",
    ),
    "event bus": (
        lambda stack: events.EventBus.from_event_bus_name(stack, "Theirs", "theirs"),
        "rule",
    ),
    "bucket": (
        lambda stack: s3.Bucket.from_bucket_name(stack, "Theirs", "theirs"),
        "policy.*encryption_key",
    ),
}


@pytest.mark.parametrize("kind", IMPORTED)
def test_an_imported_destination_is_told_what_it_needs(stack: Stack, kind: str) -> None:
    make, needs = IMPORTED[kind]
    pattern(stack, on_failure=make(stack))
    Annotations.from_stack(stack).has_warning(
        "/Stack/Theirs", Match.string_like_regexp(f"This {kind} is imported.*on_failure.*{needs}")
    )


@pytest.mark.parametrize("given", ["here", "to the function"])
def test_an_imported_dead_letter_queue_is_told_what_it_needs(stack: Stack, given: str) -> None:
    queue = sqs.Queue.from_queue_arn(stack, "Theirs", QUEUE_ARN)
    if given == "here":
        pattern(stack, dead_letter_queue=queue)
    else:
        pattern(stack, function=function(stack, dead_letter_queue=queue))
    Annotations.from_stack(stack).has_warning(
        "/Stack/Theirs", Match.string_like_regexp("imported.*dead_letter_queue.*retention period")
    )


@pytest.mark.parametrize(("seconds", "told"), [(1980, True), (1981, False)])
def test_an_imported_function_is_told_how_long_it_may_run(
    stack: Stack, seconds: int, told: bool
) -> None:
    pattern(stack, function=imported(stack), max_event_age=Duration.seconds(seconds))
    found = Annotations.from_stack(stack).find_warning(
        "/Stack/Imported", Match.string_like_regexp("timeout below 900 s")
    )
    assert bool(found) == told


def test_a_function_imported_without_its_role_is_refused(stack: Stack) -> None:
    own = lambda_.Function.from_function_name(stack, "Imported", "theirs")
    with pytest.raises(ValueError, match="imported without its role"):
        pattern(stack, function=own)


def test_an_imported_alias_of_a_function_of_this_app_gets_the_settings(stack: Stack) -> None:
    own = function(stack)
    alias = lambda_.Alias.from_alias_attributes(
        stack, "Alias", alias_name="blue", alias_version=own.current_version
    )
    made = pattern(stack, function=alias)
    assert made.function is own
    assert config(stack)["Qualifier"] == "blue"
