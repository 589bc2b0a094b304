"""The apps whose synthesis is measured: ``python -m benchmarks.apps NAME COUNT``.

By hand means from plain L2 constructs: ``order_entry`` has the very resources of one
``ApiGatewayToSqsToLambda``; ``FIVE`` are the first five patterns as a tutorial writes them, with
74 resources, and without an alarm, an archive or a check. ``five_raw`` has every resource of the
five, and nothing that makes them: the least that the CDK itself takes for them. Each app loads only
the modules of the CDK that it uses, as imports are most of what a small app takes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aws_cdk as cdk
from aws_cdk import App, CfnResource, Duration, Stack
from constructs import Construct

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
LAMBDAS = str(ROOT / "lambdas")
SNAPSHOTS = ROOT / "tests" / "__snapshots__" / "test_templates"
PER_STACK = 15  # a stack holds at most 500 resources
BODY = "Action=SendMessage&MessageBody=$util.urlEncode($input.body)"
FORM = {"integration.request.header.Content-Type": "'application/x-www-form-urlencoded'"}


def function(scope: Construct, name: str) -> cdk.aws_lambda.Function:
    """Make a function with the code that the patterns have."""
    return cdk.aws_lambda.Function(
        scope,
        name,
        runtime=cdk.aws_lambda.Runtime.PYTHON_3_14,
        handler="index.handler",
        timeout=Duration.seconds(10),
        code=cdk.aws_lambda.Code.from_asset(LAMBDAS),
    )


def table(scope: Construct, *users: cdk.aws_lambda.Function) -> None:
    """Make a table that the functions use."""
    key = cdk.aws_dynamodb.Attribute(name="pk", type=cdk.aws_dynamodb.AttributeType.STRING)
    made = cdk.aws_dynamodb.Table(scope, "Table", partition_key=key)
    for user in users:
        made.grant_read_write_data(user)


def queue(
    scope: Construct, name: str, **settings: Any
) -> tuple[cdk.aws_sqs.Queue, cdk.aws_sqs.Queue]:
    """Make a queue and its dead-letter queue."""
    dead = cdk.aws_sqs.Queue(scope, f"{name}Dead", retention_period=Duration.days(14), **settings)
    settings["dead_letter_queue"] = cdk.aws_sqs.DeadLetterQueue(queue=dead, max_receive_count=5)
    return cdk.aws_sqs.Queue(scope, name, visibility_timeout=Duration.minutes(1), **settings), dead


def to_sqs(
    scope: Construct, name: str, target: cdk.aws_sqs.Queue
) -> cdk.aws_apigateway.AwsIntegration:
    """Let API Gateway send to the queue."""
    role = cdk.aws_iam.Role(
        scope, f"{name}Role", assumed_by=cdk.aws_iam.ServicePrincipal("apigateway.amazonaws.com")
    )
    target.grant_send_messages(role)
    return cdk.aws_apigateway.AwsIntegration(
        service="sqs",
        path=f"{Stack.of(scope).account}/{target.queue_name}",
        options=cdk.aws_apigateway.IntegrationOptions(
            credentials_role=role,
            request_parameters=FORM,
            request_templates={"application/json": BODY},
            integration_responses=[cdk.aws_apigateway.IntegrationResponse(status_code="202")],
        ),
    )


ACCEPTED = [cdk.aws_apigateway.MethodResponse(status_code="202")]


def order_entry(scope: Construct, name: str, consumer: cdk.aws_lambda.Function) -> None:
    """Make the resources that one ``ApiGatewayToSqsToLambda`` makes."""
    scope = Construct(scope, name)
    wait = Duration.seconds(20)
    source, dead = queue(scope, "Queue", receive_message_wait_time=wait, enforce_ssl=True)
    consumer.add_event_source(
        cdk.aws_lambda_event_sources.SqsEventSource(
            source, batch_size=10, max_concurrency=10, report_batch_item_failures=True
        )
    )
    log = cdk.aws_logs.LogGroup(scope, "Log", retention=cdk.aws_logs.RetentionDays.ONE_MONTH)
    api = cdk.aws_apigateway.RestApi(
        scope,
        "Api",
        cloud_watch_role=False,
        deploy_options=cdk.aws_apigateway.StageOptions(
            access_log_destination=cdk.aws_apigateway.LogGroupLogDestination(log),
            throttling_rate_limit=100,
            throttling_burst_limit=100,
            tracing_enabled=True,
        ),
    )
    api.add_gateway_response(
        "Refused",
        type=cdk.aws_apigateway.ResponseType.BAD_REQUEST_BODY,
        templates={"text/plain": "no"},
    )
    api.root.add_resource("orders").add_method(
        "POST",
        to_sqs(scope, "Send", source),
        method_responses=ACCEPTED,
        authorization_type=cdk.aws_apigateway.AuthorizationType.IAM,
        request_validator=api.add_request_validator("Validator", validate_request_body=True),
    )
    metrics = {
        "Dead": dead.metric_approximate_number_of_messages_visible(),
        "Old": source.metric_approximate_age_of_oldest_message(),
        "Errors": api.metric_server_error(),
    }
    for alarm, metric in metrics.items():
        cdk.aws_cloudwatch.Alarm(
            scope, f"{alarm}Alarm", metric=metric, threshold=1, evaluation_periods=1
        )


def api_sqs_lambda(stack: Stack) -> None:
    """Build an API, a queue, a function and a table."""
    (source, _), consumer = queue(stack, "Orders"), function(stack, "Store")
    api = cdk.aws_apigateway.RestApi(stack, "Api", cloud_watch_role=False)
    entry = to_sqs(stack, "Orders", source)
    api.root.add_resource("orders").add_method("POST", entry, method_responses=ACCEPTED)
    consumer.add_event_source(cdk.aws_lambda_event_sources.SqsEventSource(source))
    table(stack, consumer)


def sns_fifo_fanout(stack: Stack) -> None:
    """Build a topic with two queues, functions and a table."""
    topic = cdk.aws_sns.Topic(stack, "Topic", fifo=True, content_based_deduplication=True)
    consumers = []
    for name in ("Retail", "Wholesale"):
        (target, _), consumer = queue(stack, name, fifo=True), function(stack, f"Price{name}")
        topic.add_subscription(cdk.aws_sns_subscriptions.SqsSubscription(target))
        consumer.add_event_source(cdk.aws_lambda_event_sources.SqsEventSource(target))
        consumers.append(consumer)
    table(stack, *consumers)


def kinesis_firehose_s3(stack: Stack) -> None:
    """Build a stream, its delivery with a transform, and a bucket."""
    processor = cdk.aws_kinesisfirehose.LambdaFunctionProcessor(function(stack, "Clean"))
    source = cdk.aws_kinesisfirehose.KinesisStreamSource(
        cdk.aws_kinesis.Stream(stack, "Clicks", shard_count=1)
    )
    target = cdk.aws_kinesisfirehose.S3Bucket(
        cdk.aws_s3.Bucket(stack, "Lake"), processors=[processor]
    )
    cdk.aws_kinesisfirehose.DeliveryStream(stack, "Delivery", source=source, destination=target)


def async_lambda(stack: Stack) -> None:
    """Build a function with a queue for each destination, and a table."""
    consumer = function(stack, "Issue")
    consumer.configure_async_invoke(
        on_failure=cdk.aws_lambda_destinations.SqsDestination(cdk.aws_sqs.Queue(stack, "Failures")),
        on_success=cdk.aws_lambda_destinations.SqsDestination(
            cdk.aws_sqs.Queue(stack, "Successes")
        ),
        retry_attempts=2,
    )
    table(stack, consumer)


def step_functions_saga(stack: Stack) -> None:
    """Build a queue, a state machine that compensates, its functions and a table."""
    charge, refund, start = (function(stack, name) for name in ("Charge", "Refund", "Start"))
    caught = [{"ErrorEquals": ["States.ALL"], "Next": "Undo"}]
    pay = {"Type": "Task", "Resource": charge.function_arn, "Next": "Done", "Catch": caught}
    steps = {
        "Pay": pay,
        "Undo": {"Type": "Task", "Resource": refund.function_arn, "Next": "Failed"},
        "Done": {"Type": "Succeed"},
        "Failed": {"Type": "Fail"},
    }
    definition = json.dumps({"StartAt": "Pay", "States": steps})
    body = cdk.aws_stepfunctions.DefinitionBody.from_string(definition)
    machine = cdk.aws_stepfunctions.StateMachine(stack, "Saga", definition_body=body)
    for step in (charge, refund):
        step.grant_invoke(machine)
    machine.grant_start_execution(start)
    start.add_event_source(cdk.aws_lambda_event_sources.SqsEventSource(queue(stack, "Orders")[0]))
    table(stack, charge, refund)


FIVE = (api_sqs_lambda, sns_fifo_fanout, kinesis_firehose_s3, async_lambda, step_functions_saga)


def one_queue(app: App, _: int) -> None:
    """Build the floor: what the CDK itself takes."""
    cdk.aws_sqs.Queue(Stack(app, "floor"), "Queue")


def first_five(app: App, _: int) -> None:
    """Build the first five patterns."""
    from serverless_patterns.patterns import catalog

    for build in FIVE:
        pattern = catalog.find(build.__name__)
        pattern.demo_stack(app, pattern.stack_name)


def five_by_hand(app: App, _: int) -> None:
    """Build the first five patterns by hand."""
    for build in FIVE:
        build(Stack(app, build.__name__.replace("_", "-")))


def five_raw(app: App, _: int) -> None:
    """Build the very resources of the first five patterns, bare, from their snapshots."""
    for build in FIVE:
        stack = Stack(app, build.__name__.replace("_", "-"))
        snapshot = SNAPSHOTS / f"test_a_stack_changes_only_on_purpose[{build.__name__}].json"
        for name, resource in json.loads(snapshot.read_text())["Resources"].items():
            settings = {"type": resource["Type"], "properties": resource.get("Properties", {})}
            CfnResource(stack, name, **settings).override_logical_id(name)


def orders_by_hand(app: App, count: int) -> None:
    """Build the resources of this many constructs by hand."""
    for scope, name, consumer in _places(app, count):
        order_entry(scope, name, consumer)


def orders(app: App, count: int) -> None:
    """Build this many constructs."""
    from serverless_patterns.patterns.api_sqs_lambda import construct

    for scope, name, consumer in _places(app, count):
        endpoint = construct.Endpoint("orders")
        construct.ApiGatewayToSqsToLambda(scope, name, consumer=consumer, endpoint=endpoint)


def _places(app: App, count: int) -> Iterator[tuple[Stack, str, cdk.aws_lambda.Function]]:
    """Yield a stack, a name and a consumer for each construct; some share a stack."""
    for number in range(count):
        if number % PER_STACK == 0:
            stack = Stack(app, f"orders-{number}")
            consumer = function(stack, "Consumer")
        yield stack, f"Orders{number}", consumer


if __name__ == "__main__":
    cdk_app = App()
    globals()[sys.argv[1]](cdk_app, int(sys.argv[2]))
    cdk_app.synth()
