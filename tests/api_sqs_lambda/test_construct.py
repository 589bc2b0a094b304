"""The promises of the construct that the template alone can show."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from aws_cdk import App, Duration, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudwatch_actions as cloudwatch_actions
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Annotations, Match, Template

from serverless_patterns.patterns.api_sqs_lambda import mapping
from serverless_patterns.patterns.api_sqs_lambda.construct import (
    ApiGatewayToSqsToLambda,
    RequestField,
)
from tests.inline import function

GROUP = RequestField.body("order_id")
KEY = RequestField.header("Idempotency-Key")


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Stack")


def pattern(
    stack: Stack, construct_id: str = "Pattern", **settings: Any
) -> ApiGatewayToSqsToLambda:
    consumer = settings.pop("consumer", None) or function(stack, f"{construct_id}Consumer")
    return ApiGatewayToSqsToLambda(stack, construct_id, consumer=consumer, **settings)


def template(stack: Stack) -> Template:
    return Template.from_stack(stack)


def method(stack: Stack) -> dict[str, Any]:
    (resource,) = template(stack).find_resources("AWS::ApiGateway::Method").values()
    properties: dict[str, Any] = resource["Properties"]
    return properties


def source_queue(stack: Stack) -> dict[str, Any]:
    found = template(stack).find_resources(
        "AWS::SQS::Queue", {"Properties": {"RedrivePolicy": Match.any_value()}}
    )
    (resource,) = found.values()
    properties: dict[str, Any] = resource["Properties"]
    return properties


# The answer to the client


def test_only_an_answer_of_200_from_sqs_becomes_a_2xx(stack: Stack) -> None:
    pattern(stack)
    responses = method(stack)["Integration"]["IntegrationResponses"]
    assert [(r.get("SelectionPattern"), r["StatusCode"]) for r in responses] == [
        ("200", "202"),
        ("400", "422"),
        (None, "502"),
    ]


def test_a_fault_that_is_not_the_clients_is_a_503(stack: Stack) -> None:
    pattern(stack)
    refused = method(stack)["Integration"]["IntegrationResponses"][1]
    text = refused["ResponseTemplates"]["application/json"]
    assert (
        '#if(!$clientFaults.contains(" $code "))#set($context.responseOverride.status = 503)#end'
        in text
    )
    faults = re.search(r'#set\(\$clientFaults = " (.*) "\)', text)
    assert faults
    assert set(faults[1].split()) == {
        "InvalidMessageContents",
        "InvalidParameterValue",
        "MissingParameter",
    }


def test_every_status_that_the_integration_may_answer_is_declared(stack: Stack) -> None:
    pattern(stack)
    properties = method(stack)
    declared = {response["StatusCode"] for response in properties["MethodResponses"]}
    answered = {r["StatusCode"] for r in properties["Integration"]["IntegrationResponses"]}
    assert answered | {"503"} == declared


def test_the_accepted_answer_names_the_message_and_the_request(stack: Stack) -> None:
    pattern(stack)
    accepted = method(stack)["Integration"]["IntegrationResponses"][0]
    body = json.loads(accepted["ResponseTemplates"]["application/json"])
    assert body == {
        "messageId": "$input.path('$.SendMessageResponse.SendMessageResult.MessageId')",
        "requestId": "$context.requestId",
    }


def test_anything_but_json_is_turned_away(stack: Stack) -> None:
    pattern(stack)
    integration = method(stack)["Integration"]
    assert integration["PassthroughBehavior"] == "NEVER"
    assert list(integration["RequestTemplates"]) == ["application/json"]


def test_a_body_that_breaks_the_schema_is_turned_away_with_the_reason(stack: Stack) -> None:
    schema = apigateway.JsonSchema(type=apigateway.JsonSchemaType.OBJECT, required=["order_id"])
    pattern(stack, schema=schema)
    rendered = template(stack)
    rendered.has_resource_properties(
        "AWS::ApiGateway::RequestValidator",
        {"ValidateRequestBody": True, "ValidateRequestParameters": True},
    )
    rendered.has_resource_properties(
        "AWS::ApiGateway::Model", {"Schema": {"required": ["order_id"], "type": "object"}}
    )
    rendered.has_resource_properties(
        "AWS::ApiGateway::GatewayResponse",
        {
            "ResponseType": "BAD_REQUEST_BODY",
            "ResponseTemplates": {
                "application/json": Match.string_like_regexp(r"error\.validationErrorString")
            },
        },
    )
    assert list(method(stack)["RequestModels"]) == ["application/json"]


# The message


def test_every_value_that_a_client_can_influence_is_encoded_for_the_form() -> None:
    rendered = mapping.request_template(GROUP, KEY)
    for parameter in rendered.split("&"):
        name, value = parameter.split("=", 1)
        if "$input" in value:
            assert value.startswith("$util.urlEncode("), name


def test_the_message_carries_what_a_consumer_needs() -> None:
    parameters = dict(
        parameter.split("=", 1) for parameter in mapping.request_template(None, None).split("&")
    )
    assert parameters["MessageBody"] == "$util.urlEncode($input.body)"
    names = {value for name, value in parameters.items() if name.endswith(".Name")}
    assert {"RequestId", "Source", "ReceivedAt"} <= names


@pytest.mark.parametrize("name", ["", "a b", "order-id", "a.", "$.x", "x')", "ordér"])
def test_a_body_field_that_could_change_the_template_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="allowed are letters"):
        RequestField.body(name)


@pytest.mark.parametrize("name", ["", "X Y", "X_Y", "X')", "Ключ"])
def test_a_header_that_could_change_the_template_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="allowed are letters"):
        RequestField.header(name)


def test_a_header_is_found_in_lower_case_too() -> None:
    assert KEY.template == (
        "$util.urlEncode(\"$!input.params('Idempotency-Key')$!input.params('idempotency-key')\")"
    )


def test_the_trace_goes_with_the_message(stack: Stack) -> None:
    pattern(stack)
    headers = method(stack)["Integration"]["RequestParameters"]
    assert headers["integration.request.header.X-Amzn-Trace-Id"] == "context.xrayTraceId"


# Who may call


def test_requests_must_be_signed_by_default(stack: Stack) -> None:
    pattern(stack)
    assert method(stack)["AuthorizationType"] == "AWS_IAM"


def test_an_authorizer_of_the_users_takes_the_place_of_iam(stack: Stack) -> None:
    pool = cognito.UserPool(stack, "Pool")
    authorizer = apigateway.CognitoUserPoolsAuthorizer(
        stack, "Authorizer", cognito_user_pools=[pool]
    )
    pattern(stack, authorizer=authorizer)
    assert method(stack)["AuthorizationType"] == "COGNITO_USER_POOLS"


def test_a_token_authorizer_of_the_users_takes_the_place_of_iam(stack: Stack) -> None:
    authorizer = apigateway.TokenAuthorizer(stack, "Authorizer", handler=function(stack))
    pattern(stack, authorizer=authorizer)
    assert method(stack)["AuthorizationType"] == "CUSTOM"


def test_a_usage_plan_requires_an_api_key_and_covers_the_stage(stack: Stack) -> None:
    plan = apigateway.UsagePlan(stack, "Plan")
    pattern(stack, usage_plan=plan)
    properties = method(stack)
    assert (properties["ApiKeyRequired"], properties["AuthorizationType"]) == (True, "NONE")
    template(stack).has_resource_properties(
        "AWS::ApiGateway::UsagePlan", {"ApiStages": [{"ApiId": Match.any_value()}]}
    )


def test_grant_execute_allows_this_one_method(stack: Stack) -> None:
    caller = iam.Role(stack, "Caller", assumed_by=iam.AccountRootPrincipal())
    pattern(stack, path="orders").grant_execute(caller)
    template(stack).has_resource_properties(
        "AWS::IAM::Policy",
        {
            "PolicyDocument": {
                "Statement": [Match.object_like({"Action": "execute-api:Invoke"})],
            },
            "Roles": [stack.resolve(caller.role_name)],
        },
    )


def test_api_gateway_may_send_to_this_queue_and_do_nothing_else(stack: Stack) -> None:
    made = pattern(stack)
    template(stack).has_resource_properties(
        "AWS::IAM::Policy",
        {
            "PolicyDocument": {
                "Statement": [
                    {
                        "Action": "sqs:SendMessage",
                        "Effect": "Allow",
                        "Resource": stack.resolve(made.queue.queue_arn),
                    }
                ]
            },
            "Roles": [stack.resolve(made.api_role.role_name)],
        },
    )


def test_the_account_wide_role_for_logs_is_made_only_when_asked_for(stack: Stack) -> None:
    pattern(stack)
    template(stack).resource_count_is("AWS::ApiGateway::Account", 0)
    other = Stack(App(), "Other")
    pattern(other, cloud_watch_role=True)
    template(other).resource_count_is("AWS::ApiGateway::Account", 1)


def test_the_stage_throttles_traces_and_logs_as_json(stack: Stack) -> None:
    pattern(stack, rate_limit=20, burst_limit=30)
    (stage,) = template(stack).find_resources("AWS::ApiGateway::Stage").values()
    properties = stage["Properties"]
    (settings,) = properties["MethodSettings"]
    assert (settings["ThrottlingRateLimit"], settings["ThrottlingBurstLimit"]) == (20, 30)
    assert properties["TracingEnabled"] is True
    line = json.loads(properties["AccessLogSetting"]["Format"])
    assert {"requestId", "status", "errorMessage"} <= line.keys()
    assert not any("identity" in value for value in line.values())
    template(stack).has_resource_properties("AWS::Logs::LogGroup", {"RetentionInDays": 30})


# The queue


def test_both_queues_are_encrypted_and_refuse_plain_http(stack: Stack) -> None:
    pattern(stack)
    rendered = template(stack)
    rendered.all_resources_properties("AWS::SQS::Queue", {"SqsManagedSseEnabled": True})
    rendered.resource_count_is("AWS::SQS::QueuePolicy", 2)
    rendered.all_resources_properties(
        "AWS::SQS::QueuePolicy",
        {
            "PolicyDocument": {
                "Statement": [
                    Match.object_like(
                        {
                            "Effect": "Deny",
                            "Action": "sqs:*",
                            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                        }
                    )
                ]
            }
        },
    )


def test_a_customer_key_encrypts_both_queues_and_admits_api_gateway(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    made = pattern(stack, encryption_key=key)
    rendered = template(stack)
    rendered.all_resources_properties(
        "AWS::SQS::Queue", {"KmsMasterKeyId": stack.resolve(key.key_arn)}
    )
    rendered.has_resource_properties(
        "AWS::IAM::Policy",
        {
            "PolicyDocument": {
                "Statement": Match.array_with(
                    [
                        Match.object_like(
                            {
                                "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
                                "Resource": stack.resolve(key.key_arn),
                            }
                        )
                    ]
                )
            },
            "Roles": [stack.resolve(made.api_role.role_name)],
        },
    )


def test_the_dead_letter_queue_takes_messages_from_its_own_source_alone(stack: Stack) -> None:
    pattern(stack)
    queues = template(stack).find_resources("AWS::SQS::Queue")
    (name,) = [
        q["Properties"]["QueueName"] for q in queues.values() if "QueueName" in q["Properties"]
    ]
    (policy,) = [
        q["Properties"]["RedriveAllowPolicy"]
        for q in queues.values()
        if "RedriveAllowPolicy" in q["Properties"]
    ]
    assert policy["redrivePermission"] == "byQueue"
    (arn,) = policy["sourceQueueArns"]
    assert json.dumps(name) in json.dumps(arn)


def test_the_queue_name_is_unique_to_the_stack(stack: Stack) -> None:
    pattern(stack)
    assert {"Ref": "AWS::StackId"} in _leaves(source_queue(stack)["QueueName"])


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict) and "Ref" not in value:
        return [leaf for item in value.values() for leaf in _leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in _leaves(item)]
    return [value]


def test_the_dead_letter_queue_keeps_messages_longer_than_its_source(stack: Stack) -> None:
    pattern(stack, retention_period=Duration.days(13))
    assert source_queue(stack)["MessageRetentionPeriod"] == 13 * 86_400
    template(stack).has_resource_properties(
        "AWS::SQS::Queue",
        {"MessageRetentionPeriod": 14 * 86_400, "RedriveAllowPolicy": Match.any_value()},
    )


def test_the_visibility_timeout_follows_the_consumer_and_the_window(stack: Stack) -> None:
    consumer = function(stack, timeout=Duration.seconds(20))
    pattern(stack, consumer=consumer, max_batching_window=Duration.seconds(5))
    assert source_queue(stack)["VisibilityTimeout"] == 6 * 20 + 5


def test_the_visibility_timeout_follows_the_function_behind_an_alias(stack: Stack) -> None:
    alias = function(stack, timeout=Duration.seconds(20)).add_alias("live")
    pattern(stack, consumer=alias)
    assert source_queue(stack)["VisibilityTimeout"] == 6 * 20


def test_a_fifo_queue_runs_in_high_throughput_mode_with_a_fifo_dead_letter_queue(
    stack: Stack,
) -> None:
    pattern(stack, fifo=True, message_group_id=GROUP, deduplication_id=KEY)
    queue = source_queue(stack)
    assert queue["FifoThroughputLimit"] == "perMessageGroupId"
    assert queue["DeduplicationScope"] == "messageGroup"
    assert "ContentBasedDeduplication" not in queue
    template(stack).all_resources_properties("AWS::SQS::Queue", {"FifoQueue": True})


def test_a_fifo_queue_without_a_deduplication_field_deduplicates_by_content(stack: Stack) -> None:
    pattern(stack, fifo=True, message_group_id=GROUP)
    assert source_queue(stack)["ContentBasedDeduplication"] is True
    assert "MessageDeduplicationId" not in _request_template(stack)


def test_a_group_on_a_standard_queue_shares_the_consumer_fairly(stack: Stack) -> None:
    pattern(stack, message_group_id=RequestField.body("customer_id"))
    assert "MessageGroupId=$util.urlEncode($input.path('$.customer_id'))" in _request_template(
        stack
    )
    assert "FifoQueue" not in source_queue(stack)


def _request_template(stack: Stack) -> str:
    rendered: str = method(stack)["Integration"]["RequestTemplates"]["application/json"]
    return rendered


# The consumer


def test_one_failed_message_does_not_run_the_others_again(stack: Stack) -> None:
    pattern(stack)
    template(stack).has_resource_properties(
        "AWS::Lambda::EventSourceMapping",
        {
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "ScalingConfig": {"MaximumConcurrency": 10},
        },
    )


def test_the_mapping_polls_no_more_than_the_consumer_may_run(stack: Stack) -> None:
    pattern(stack, consumer=function(stack, reserved_concurrent_executions=7))
    template(stack).has_resource_properties(
        "AWS::Lambda::EventSourceMapping", {"ScalingConfig": {"MaximumConcurrency": 7}}
    )


def test_provisioned_pollers_take_the_place_of_the_concurrency_limit(stack: Stack) -> None:
    pollers = lambda_.ProvisionedPollerConfig(minimum_pollers=2, maximum_pollers=20)
    pattern(stack, provisioned_pollers=pollers)
    template(stack).has_resource_properties(
        "AWS::Lambda::EventSourceMapping",
        {
            "ProvisionedPollerConfig": {"MinimumPollers": 2, "MaximumPollers": 20},
            "ScalingConfig": Match.absent(),
        },
    )


def test_an_alias_consumes_in_place_of_its_function(stack: Stack) -> None:
    alias = function(stack).add_alias("live")
    pattern(stack, consumer=alias)
    (mapping_,) = template(stack).find_resources("AWS::Lambda::EventSourceMapping").values()
    assert ":live" in json.dumps(mapping_["Properties"]["FunctionName"])


# Alarms


def test_a_dead_letter_and_an_old_message_raise_an_alarm_on_the_right_queue(stack: Stack) -> None:
    topic = sns.Topic(stack, "Topic")
    made = pattern(
        stack,
        max_message_age=Duration.minutes(3),
        alarm_actions=[cloudwatch_actions.SnsAction(topic)],
    )
    expected = {
        "ApproximateNumberOfMessagesVisible": (made.dead_letter_queue, 0),
        "ApproximateAgeOfOldestMessage": (made.queue, 180),
    }
    for metric, (queue, threshold) in expected.items():
        template(stack).has_resource_properties(
            "AWS::CloudWatch::Alarm",
            {
                "MetricName": metric,
                "Dimensions": [{"Name": "QueueName", "Value": stack.resolve(queue.queue_name)}],
                "Threshold": threshold,
                "ComparisonOperator": "GreaterThanThreshold",
                "TreatMissingData": "notBreaching",
                "AlarmDescription": Match.any_value(),
                "AlarmActions": [stack.resolve(topic.topic_arn)],
            },
        )


# Bring your own


def own_queue(stack: Stack, *, fifo: bool | None = None, **settings: Any) -> sqs.Queue:
    kept = sqs.Queue(stack, "OwnDlq", fifo=fifo, retention_period=Duration.days(14))
    defaults: dict[str, Any] = {
        "visibility_timeout": Duration.seconds(60),
        "dead_letter_queue": sqs.DeadLetterQueue(queue=kept, max_receive_count=5),
    }
    return sqs.Queue(stack, "Own", fifo=fifo, **defaults | settings)


def test_a_queue_of_the_users_is_used_as_it_is(stack: Stack) -> None:
    queue = own_queue(stack)
    made = pattern(stack, queue=queue)
    assert made.queue is queue
    assert made.dead_letter_queue.node.path == "Stack/OwnDlq"
    template(stack).resource_count_is("AWS::SQS::Queue", 2)


def test_an_imported_queue_is_used_with_a_warning_of_what_cannot_be_checked(stack: Stack) -> None:
    queue = sqs.Queue.from_queue_arn(stack, "Imported", "arn:aws:sqs:us-east-1:111111111111:orders")
    made = pattern(stack, queue=queue)
    Annotations.from_stack(stack).has_warning(
        "*", Match.string_like_regexp("imported.*cannot be checked")
    )
    with pytest.raises(ValueError, match="imported"):
        made.metric_dead_letters()


def test_an_api_of_the_users_gets_the_method(stack: Stack) -> None:
    api = apigateway.RestApi(stack, "Own")
    made = pattern(stack, api=api, path="v1/orders")
    assert made.api is api
    template(stack).resource_count_is("AWS::ApiGateway::RestApi", 1)
    template(stack).has_resource_properties("AWS::ApiGateway::Resource", {"PathPart": "v1"})


@pytest.mark.parametrize(
    "settings",
    [
        {"fifo": True},
        {"visibility_timeout": Duration.minutes(5)},
        {"retention_period": Duration.days(1)},
        {"max_receive_count": 5},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_own_queue_with_queue_settings_is_refused(stack: Stack, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"queue was given together with {next(iter(settings))}"):
        pattern(stack, queue=own_queue(stack), **settings)


@pytest.mark.parametrize(
    "settings",
    [{"rate_limit": 5}, {"burst_limit": 5}, {"cloud_watch_role": True}],
    ids=lambda settings: next(iter(settings)),
)
def test_own_api_with_api_settings_is_refused(stack: Stack, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"api was given together with {next(iter(settings))}"):
        pattern(stack, api=apigateway.RestApi(stack, "Own"), **settings)


def test_two_instances_fit_in_one_stack(stack: Stack) -> None:
    first = pattern(stack, "First", path="orders")
    pattern(stack, "Second", path="returns", api=first.api)
    pattern(stack, "Third")
    template(stack).resource_count_is("AWS::ApiGateway::Method", 3)


# Configurations that plain CDK accepts and that would fail or lose events


def test_a_fifo_queue_without_a_group_is_refused(stack: Stack) -> None:
    with pytest.raises(ValueError, match="needs message_group_id"):
        pattern(stack, fifo=True)


def test_a_deduplication_id_on_a_standard_queue_is_refused(stack: Stack) -> None:
    with pytest.raises(ValueError, match="does not deduplicate"):
        pattern(stack, deduplication_id=KEY)


def test_an_own_fifo_queue_without_any_deduplication_is_refused(stack: Stack) -> None:
    with pytest.raises(ValueError, match="does not deduplicate by content"):
        pattern(stack, queue=own_queue(stack, fifo=True), message_group_id=GROUP)
    made = pattern(
        stack,
        "ByContent",
        queue=sqs.Queue(
            stack,
            "ByContentQueue",
            fifo=True,
            content_based_deduplication=True,
            visibility_timeout=Duration.seconds(60),
            dead_letter_queue=sqs.DeadLetterQueue(
                queue=sqs.Queue(stack, "ByContentDlq", fifo=True), max_receive_count=5
            ),
        ),
        message_group_id=GROUP,
    )
    assert made.queue.fifo


def test_a_queue_without_a_dead_letter_queue_is_refused(stack: Stack) -> None:
    queue = own_queue(stack, dead_letter_queue=None)
    with pytest.raises(ValueError, match="no dead-letter queue"):
        pattern(stack, queue=queue)


def test_a_fifo_queue_with_a_standard_dead_letter_queue_is_refused(stack: Stack) -> None:
    kept = sqs.Queue(stack, "Standard", retention_period=Duration.days(14))
    queue = own_queue(
        stack,
        fifo=True,
        dead_letter_queue=sqs.DeadLetterQueue(queue=kept, max_receive_count=5),
    )
    with pytest.raises(ValueError, match="must be of the same type"):
        pattern(stack, queue=queue, message_group_id=GROUP, deduplication_id=KEY)


@pytest.mark.parametrize(
    ("seconds", "accepted"), [(9, False), (10, False), (59, False), (60, True)]
)
def test_a_visibility_timeout_below_six_times_the_functions_is_refused(
    stack: Stack, seconds: int, accepted: bool
) -> None:
    def make() -> object:
        return pattern(stack, visibility_timeout=Duration.seconds(seconds))

    if accepted:
        assert make()
    else:
        with pytest.raises(ValueError, match="needs at least 60 s"):
            make()


def test_an_own_queue_with_a_short_visibility_timeout_is_refused(stack: Stack) -> None:
    queue = own_queue(stack, visibility_timeout=Duration.seconds(59))
    with pytest.raises(ValueError, match=r"visibility_timeout is 59 s.*needs at least 60 s"):
        pattern(stack, queue=queue)


def test_an_own_queue_with_the_default_visibility_timeout_is_refused(stack: Stack) -> None:
    queue = own_queue(stack, visibility_timeout=None)
    with pytest.raises(ValueError, match="visibility_timeout is 30 s"):
        pattern(stack, queue=queue)


def test_an_imported_consumer_needs_a_visibility_timeout(stack: Stack) -> None:
    consumer = lambda_.Function.from_function_attributes(
        stack,
        "Imported",
        function_arn="arn:aws:lambda:us-east-1:111111111111:function:consumer",
        role=iam.Role.from_role_arn(stack, "Role", "arn:aws:iam::111111111111:role/consumer"),
        same_environment=True,
    )
    with pytest.raises(ValueError, match="imported, so its timeout is not known"):
        pattern(stack, consumer=consumer)
    assert pattern(stack, "Given", consumer=consumer, visibility_timeout=Duration.minutes(3))


@pytest.mark.parametrize(("reserved", "accepted"), [(9, False), (10, True), (None, True)])
def test_a_reserved_concurrency_below_the_mappings_is_refused(
    stack: Stack, reserved: int | None, accepted: bool
) -> None:
    consumer = function(stack, reserved_concurrent_executions=reserved)

    def make() -> object:
        return pattern(stack, consumer=consumer, max_concurrency=10)

    if accepted:
        assert make()
    else:
        with pytest.raises(ValueError, match="reserves only 9"):
            make()


@pytest.mark.parametrize(("days", "accepted"), [(13, True), (14, False), (15, False)])
def test_a_source_that_keeps_messages_as_long_as_its_dead_letter_queue_is_refused(
    stack: Stack, days: int, accepted: bool
) -> None:
    def make() -> object:
        return pattern(stack, retention_period=Duration.days(days))

    if accepted:
        assert make()
    else:
        with pytest.raises(ValueError, match="retention_period"):
            make()


def test_an_own_queue_that_outlives_its_dead_letter_queue_is_refused(stack: Stack) -> None:
    kept = sqs.Queue(stack, "Short", retention_period=Duration.days(4))
    queue = own_queue(stack, dead_letter_queue=sqs.DeadLetterQueue(queue=kept, max_receive_count=5))
    with pytest.raises(ValueError, match="would expire there early"):
        pattern(stack, queue=queue)


@pytest.mark.parametrize(
    ("receives", "accepted"), [(1, False), (4, False), (5, True), (1001, False)]
)
def test_too_few_receives_before_dead_lettering_are_refused(
    stack: Stack, receives: int, accepted: bool
) -> None:
    def make() -> object:
        return pattern(stack, max_receive_count=receives)

    if accepted:
        assert make()
    else:
        with pytest.raises(ValueError, match="allowed is 5 to 1000"):
            make()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 11}, "allowed is 1 to 10.*with max_batching_window"),
        ({"batch_size": 0}, "allowed is 1 to 10"),
        (
            {"batch_size": 10_001, "max_batching_window": Duration.seconds(1)},
            "allowed is 1 to 10000",
        ),
        ({"max_batching_window": Duration.seconds(301)}, "allowed is 1 to 300 s"),
        ({"fifo": True, "message_group_id": GROUP, "batch_size": 11}, "allowed is 1 to 10"),
        (
            {
                "fifo": True,
                "message_group_id": GROUP,
                "max_batching_window": Duration.seconds(1),
            },
            "takes no batching window",
        ),
        ({"max_concurrency": 1}, "allowed is 2 to 1000"),
        ({"max_concurrency": 1001}, "allowed is 2 to 1000"),
        (
            {
                "max_concurrency": 5,
                "provisioned_pollers": lambda_.ProvisionedPollerConfig(
                    minimum_pollers=2, maximum_pollers=3
                ),
            },
            "takes one of them",
        ),
        (
            {
                "provisioned_pollers": lambda_.ProvisionedPollerConfig(
                    minimum_pollers=5, maximum_pollers=4
                )
            },
            "minimum not above the maximum",
        ),
    ],
)
def test_a_mapping_that_lambda_would_refuse_is_refused(
    stack: Stack, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        pattern(stack, **settings)


@pytest.mark.parametrize(
    ("settings", "accepted"),
    [
        ({"rate_limit": 0}, False),
        ({"rate_limit": 0.5}, True),
        ({"burst_limit": 0}, False),
        ({"burst_limit": 1}, True),
    ],
)
def test_a_limit_that_turns_every_request_away_is_refused(
    stack: Stack, settings: dict[str, Any], accepted: bool
) -> None:
    if accepted:
        assert pattern(stack, **settings)
    else:
        with pytest.raises(ValueError, match=f"{next(iter(settings))} is 0, .*429"):
            pattern(stack, **settings)


def test_a_disabled_key_is_refused(stack: Stack) -> None:
    key = kms.Key(stack, "Key", enabled=False)
    with pytest.raises(ValueError, match="encryption_key is Stack/Key, which is disabled"):
        pattern(stack, encryption_key=key)


@pytest.mark.parametrize(("seconds", "accepted"), [(300, False), (301, True)])
def test_a_queue_that_deletes_before_it_dead_letters_is_refused(
    stack: Stack, seconds: int, accepted: bool
) -> None:
    def make() -> object:
        period = Duration.seconds(seconds)
        return pattern(stack, retention_period=period, max_message_age=Duration.minutes(1))

    if accepted:
        assert make()
    else:
        with pytest.raises(ValueError, match="deleted before it is dead-lettered"):
            make()


def test_an_alarm_on_messages_that_are_gone_by_then_is_refused(stack: Stack) -> None:
    retention, age = Duration.minutes(10), Duration.minutes(15)
    with pytest.raises(ValueError, match=r"max_message_age is 900 s.*for 600 s"):
        pattern(stack, retention_period=retention, max_message_age=age)


@pytest.mark.parametrize(("minutes", "age"), [(10, 300), (30, 900), (60, 900)])
def test_the_oldest_message_raises_an_alarm_before_it_is_gone(
    stack: Stack, minutes: int, age: int
) -> None:
    pattern(stack, retention_period=Duration.minutes(minutes))
    template(stack).has_resource_properties(
        "AWS::CloudWatch::Alarm",
        {"MetricName": "ApproximateAgeOfOldestMessage", "Threshold": age},
    )


# What is imported is used with a warning of what it needs


def imported_api(stack: Stack) -> apigateway.IRestApi:
    return apigateway.RestApi.from_rest_api_attributes(
        stack, "Theirs", rest_api_id="theirs", root_resource_id="root"
    )


def test_an_imported_api_must_be_deployed_again(stack: Stack) -> None:
    pattern(stack, api=imported_api(stack))
    Annotations.from_stack(stack).has_warning(
        "/Stack/Theirs", Match.string_like_regexp("imported.*deployed again")
    )


def test_a_usage_plan_for_an_imported_api_is_refused(stack: Stack) -> None:
    plan = apigateway.UsagePlan(stack, "Plan")
    with pytest.raises(ValueError, match=r"usage_plan was given together with Stack/Theirs"):
        pattern(stack, api=imported_api(stack), usage_plan=plan)


def test_a_queue_of_another_account_is_sent_to_there(stack: Stack) -> None:
    arn = "arn:aws:sqs:us-east-1:222222222222:theirs"
    pattern(stack, queue=sqs.Queue.from_queue_arn(stack, "Theirs", arn))
    uri = json.dumps(method(stack)["Integration"]["Uri"])
    assert ":sqs:path/222222222222/theirs" in uri


def test_an_imported_consumer_is_told_how_long_it_may_run(stack: Stack) -> None:
    role = iam.Role.from_role_arn(stack, "Role", "arn:aws:iam::111111111111:role/consumer")
    consumer = lambda_.Function.from_function_attributes(
        stack,
        "Theirs",
        function_arn="arn:aws:lambda:us-east-1:111111111111:function:consumer",
        role=role,
        same_environment=True,
    )
    pattern(stack, consumer=consumer, visibility_timeout=Duration.minutes(3))
    Annotations.from_stack(stack).has_warning(
        "/Stack/Theirs", Match.string_like_regexp("at most 30 s.*at least 10")
    )


@pytest.mark.parametrize("settings", [{}, {"deduplication_id": KEY}], ids=["none", "given"])
def test_an_imported_fifo_queue_must_deduplicate_unless_messages_name_an_id(
    stack: Stack, settings: dict[str, Any]
) -> None:
    arn = "arn:aws:sqs:us-east-1:111111111111:orders.fifo"
    queue = sqs.Queue.from_queue_arn(stack, "Theirs", arn)
    pattern(stack, queue=queue, message_group_id=GROUP, **settings)
    found = Annotations.from_stack(stack).find_warning(
        "/Stack/Theirs", Match.string_like_regexp("ContentBasedDeduplication")
    )
    assert len(found) == (0 if settings else 1)
