"""What a topic delivers to a function, Firehose and an endpoint."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from serverless_patterns.sandbox import buckets, queues
from serverless_patterns.sandbox.http_endpoint import Endpoint, listening

from . import helpers as cfn

if TYPE_CHECKING:
    from serverless_patterns.sandbox import Deployment, Target

FAILS = (
    "def handler(event, context):\n    raise RuntimeError(event['Records'][0]['Sns']['Message'])"
)


def created(target: Target) -> Deployment:
    """A topic with a function that fails and a delivery stream, and a queue for dead letters."""
    failed = {"OnFailure": {"Destination": cfn.arn("Queue")}}
    bucket = {"BucketARN": cfn.arn("Bucket"), "RoleARN": cfn.arn("Role"), "Prefix": "data/"}
    topic = {"TopicArn": cfn.ref("Topic")}
    resources = {
        "Role": cfn.role("firehose.amazonaws.com"),
        "Caller": cfn.role("lambda.amazonaws.com", cfn.allow("*", "*")),
        "Topic": cfn.resource("SNS::Topic"),
        "Queue": cfn.resource("SQS::Queue"),
        "Admission": cfn.resource(
            "SQS::QueuePolicy",
            Queues=[cfn.ref("Queue")],
            PolicyDocument=cfn.document(cfn.delivery("Topic", "Queue")),
        ),
        "Bucket": cfn.resource("S3::Bucket"),
        "Delivery": cfn.resource(
            "KinesisFirehose::DeliveryStream", ExtendedS3DestinationConfiguration=bucket
        ),
        "Function": cfn.function(FAILS, Role=cfn.arn("Caller")),
        "Invoke": cfn.resource(
            "Lambda::EventInvokeConfig",
            FunctionName=cfn.ref("Function"),
            Qualifier="$LATEST",
            MaximumRetryAttempts=2,
            DestinationConfig=failed,
        ),
        "Called": cfn.resource(
            "SNS::Subscription", **topic, Protocol="lambda", Endpoint=cfn.arn("Function")
        ),
        "Archived": cfn.resource(
            "SNS::Subscription",
            **topic,
            Protocol="firehose",
            Endpoint=cfn.arn("Delivery"),
            RawMessageDelivery=True,
            SubscriptionRoleArn=cfn.arn("Role"),
            FilterPolicyScope="MessageBody",
            FilterPolicy={"kept": [True]},
        ),
    }
    outputs: dict[str, Any] = {"TopicArn": cfn.ref("Topic"), "QueueUrl": cfn.ref("Queue")}
    outputs |= {"BucketName": cfn.ref("Bucket"), "QueueArn": cfn.arn("Queue")}
    return cfn.create_stack(target, "sns-endpoints", cfn.template(resources, **outputs))


def deliver(stack: Deployment, endpoint: Endpoint) -> None:
    """Subscribe an endpoint that fails, confirm, and publish a message."""
    sns, topic = stack.client("sns"), {"TopicArn": stack["TopicArn"]}
    sns.subscribe(
        **topic,
        Protocol="http",
        Endpoint=endpoint.url,
        Attributes={"RedrivePolicy": json.dumps({"deadLetterTargetArn": stack["QueueArn"]})},
    )
    queues.until(lambda: bool(endpoint.tokens), seconds=60, what="until it is asked to confirm")
    sns.confirm_subscription(**topic, Token=endpoint.tokens[0])
    endpoint.status = 503
    sns.publish(**topic, Message='{"kept": true}')
    sns.publish(**topic, Message='{"kept": false}')
    queues.until(lambda: endpoint.refused == 2, seconds=60, what="until the endpoint has failed")


def kept(stack: Deployment, count: int) -> list[dict[str, Any]]:
    """The messages in the queue, once there are so many."""
    backlog = lambda: queues.backlog(stack, stack["QueueUrl"]) >= count  # noqa: E731
    queues.until(backlog, seconds=60, what=f"until {count} messages are kept")
    return [json.loads(one["Body"]) for one in queues.take(stack, stack["QueueUrl"])]


def test_functions_firehose_and_endpoints_get_what_a_topic_publishes_or_it_is_kept(
    shared: Target, without_shims: Target
) -> None:
    for target in (without_shims, shared):
        stack = created(target)
        with listening() as endpoint:
            deliver(stack, endpoint)
            if target is without_shims:
                assert queues.backlog(stack, stack["QueueUrl"]) == 0, "upstream keeps: remove it"
                assert not buckets.keys(stack, stack["BucketName"]), "upstream stores: remove it"
                continue
            found = kept(stack, 4)
        records = [one for one in found if "requestContext" in one]
        assert len(records) == 2
        assert {one["requestContext"]["approximateInvokeCount"] for one in records} == {3}
        letters = [one["Message"] for one in found if one.get("Type") == "Notification"]
        assert sorted(letters) == ['{"kept": false}', '{"kept": true}']
        [(_, body)] = buckets.objects(stack, stack["BucketName"], "data/")
        assert json.loads(body) == {"kept": True}
