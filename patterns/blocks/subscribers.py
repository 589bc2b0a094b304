"""SNS → HTTPS endpoint, function or Firehose: what each subscriber needs besides its subscription.

Each has a dead-letter queue of its own, and an alarm on it: see ``subscriptions.deliver``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns

from ..checks import reject
from ..checks import sns as checks
from . import places
from .consumers import check_may_run
from .grants import permission, service_principal
from .sources import SNS
from .subscriptions import Delivery, Subscription, deliver
from .values import Path, expect, in_seconds, is_token, number, seconds

if TYPE_CHECKING:
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk.aws_kinesisfirehose import CfnDeliveryStream
    from constructs import Construct

    from .alarms import Alarms
    from .sources import Source

# https://docs.aws.amazon.com/sns/latest/dg/prereqs-kinesis-data-firehose.html
PUT = ("DescribeDeliveryStream", "ListTagsForDeliveryStream", "PutRecord", "PutRecordBatch")

# 14 retries within 34 to 56 minutes, by how SNS counts the backoff: it retries for an hour at most.
DEFAULT_POLICY = sns.DeliveryPolicy(
    healthy_retry_policy=sns.HealthyRetryPolicy(
        num_retries=14,
        num_min_delay_retries=2,
        num_max_delay_retries=8,
        min_delay_target=seconds(20),
        max_delay_target=seconds(300),
        backoff_function=sns.BackoffFunction.EXPONENTIAL,
    )
)


def deliver_to_endpoint(
    scope: Construct,
    source: Source,
    url: str,
    settings: Subscription,
    *,
    delivery_policy: sns.DeliveryPolicy = DEFAULT_POLICY,
    alarms: Alarms,
) -> Delivery:
    """Subscribe an HTTPS endpoint to a topic; SNS delivers once the endpoint has confirmed it.

    SNS retries while an answer is 429 or 5xx, or does not come within 15 seconds. Anything else
    that is no success, such as 404 or a redirect, is final: the event moves to the dead-letter
    queue at once.

    Sources: https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html and
    https://docs.aws.amazon.com/sns/latest/dg/SendMessageToHttp.prepare.html

    Args:
        scope: Where subscription, queue and alarm are made.
        source: The topic, a standard one.
        url: Where to post, such as ``https://partner.example.com/orders``.
        settings: Which events, and in what form.
        delivery_policy: How often SNS retries, at most how many deliveries it makes a second, and
            their content type. Default: 14 retries within an hour, any number a second, text/plain.
        alarms: What the alarm does.

    Raises:
        ValueError: no public URL with TLS, retries that SNS does not make, or see ``deliver``.
    """
    expect("url", url, str)
    expect("delivery_policy", delivery_policy, sns.DeliveryPolicy)
    if not is_token(url):
        reject(checks.https_endpoint(Path(scope, "The endpoint of "), url))
    policy = _checked(Path(scope, "delivery_policy of "), delivery_policy, settings)
    https = sns.SubscriptionProtocol.HTTPS
    delivery = deliver(scope, source, settings, protocol=https, endpoint=url, alarms=alarms)
    resource: Any = delivery.subscription.node.default_child
    resource.delivery_policy = policy
    return delivery


def _checked(name: object, given: sns.DeliveryPolicy, settings: Subscription) -> dict[str, Any]:
    """Return a delivery policy in the spelling of SNS.

    The CDK's own has another spelling of the backoff function, and lets retries through that take
    longer than an hour.
    """
    policy: dict[str, Any] = {}
    if retry := given.healthy_retry_policy:
        policy["healthyRetryPolicy"] = _retries(name, retry)
    if throttle := given.throttle_policy:
        rate = throttle.max_receives_per_second
        if (known := number(rate)) is not None and (known < 1 or known % 1):
            raise ValueError(f"{name} has {known:g} deliveries a second; give a whole number.")
        policy["throttlePolicy"] = {"maxReceivesPerSecond": rate}
    if (request := given.request_policy) and request.header_content_type:
        if not settings.raw_message_delivery:
            reject(checks.content_type(name, request.header_content_type))
        policy["requestPolicy"] = {"headerContentType": request.header_content_type}
    return policy


def _retries(name: object, given: sns.HealthyRetryPolicy) -> dict[str, Any]:
    delays = {"minDelayTarget": given.min_delay_target, "maxDelayTarget": given.max_delay_target}
    shortest, longest = (
        in_seconds(delay) if delay is not None else checks.DEFAULT_RETRIES[key]
        for key, delay in delays.items()
    )
    retries = given.num_retries
    counts = {
        "numRetries": checks.DEFAULT_RETRIES["numRetries"] if retries is None else retries,
        "numNoDelayRetries": given.num_no_delay_retries or 0,
        "numMinDelayRetries": given.num_min_delay_retries or 0,
        "numMaxDelayRetries": given.num_max_delay_retries or 0,
    }
    known = [number(count) for count in counts.values()]
    if shortest is not None and longest is not None and None not in known:
        total, *phases = [count or 0 for count in known]
        of_phases = (phases[0], phases[1], phases[2])
        reject(checks.http_retries(name, total, (shortest, longest), of_phases))
    spelled: dict[str, Any] = {
        key: delay.to_seconds() for key, delay in delays.items() if delay is not None
    }
    if given.backoff_function is not None:
        spelled["backoffFunction"] = given.backoff_function.name.lower()
    return counts | spelled


def deliver_to_function(
    scope: Construct,
    source: Source,
    function: lambda_.IFunction,
    settings: Subscription,
    *,
    alarms: Alarms,
) -> Delivery:
    """Subscribe a function to a topic, and let SNS invoke it for this topic alone.

    SNS is done once Lambda has accepted an event, which it wraps in its JSON; what the function
    then fails is Lambda's to retry and to record: see ``failures.keep_failures``.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html

    Args:
        scope: Where subscription, permission, queue and alarm are made.
        source: The topic, a standard one.
        function: Function or alias.
        settings: Which events.
        alarms: What the alarm does.

    Raises:
        ValueError: the function is elsewhere or never runs, or see ``deliver``.
    """
    expect("function", function, "IFunction")
    places.check_here(
        scope,
        Path(function, "function "),
        function,
        "its alarms and failures belong there. Subscribe it in a stack of that account and Region.",
    )
    check_may_run("function", function, "no event would be processed")
    arn, protocol = function.function_arn, sns.SubscriptionProtocol.LAMBDA
    delivery = deliver(scope, source, settings, protocol=protocol, endpoint=arn, alarms=alarms)
    allowed = permission(scope, arn, SNS, source.topic.topic_arn)
    delivery.subscription.node.add_dependency(allowed)
    return delivery


def deliver_to_firehose(
    scope: Construct,
    source: Source,
    delivery_stream: CfnDeliveryStream,
    settings: Subscription,
    *,
    alarms: Alarms,
) -> Delivery:
    """Subscribe a delivery stream to a topic, by a role with which SNS puts records into it.

    Source: https://docs.aws.amazon.com/sns/latest/dg/prereqs-kinesis-data-firehose.html

    Args:
        scope: Where subscription, role, queue and alarm are made.
        source: The topic, a standard one.
        delivery_stream: With direct put.
        settings: Which events, and in what form.
        alarms: What the alarm does.

    Raises:
        ValueError: the topic takes larger messages than Firehose, or see ``deliver``.
    """
    resource: Any = source.topic.node.default_child
    size = number(getattr(resource, "maximum_message_size", None))
    reject(checks.record_size(Path(source.topic, "topic "), size or 0))
    arn = delivery_stream.attr_arn
    role = iam.Role(scope, "SubscriptionRole", assumed_by=service_principal(SNS))
    actions = [f"firehose:{action}" for action in PUT]
    role.add_to_policy(iam.PolicyStatement(actions=actions, resources=[arn]))
    delivery = deliver(
        scope,
        source,
        settings,
        protocol=sns.SubscriptionProtocol.FIREHOSE,
        endpoint=arn,
        alarms=alarms,
        subscription_role_arn=role.role_arn,
    )
    delivery.subscription.node.add_dependency(role)
    return delivery
