"""What of a template the embedded AWS does not execute, found before it is deployed.

A table for each engine, ``ROWS`` tried row by row with MiniStack 1.5.33, ``OF_LOCALSTACK`` with
LocalStack 2026.3.0. ``sandbox.shims`` and ``sandbox.localstack`` have the gaps that a scenario asks
about by name; here is what the owner of any stack has to know.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .assembly import Stack


@dataclass(frozen=True)
class Row:
    """One thing that does not happen.

    Attributes:
        types: Pattern of the resource types that it is about, without ``AWS::``.
        why: What does not happen.
        when: Whether a resource with these properties is concerned. Default: each one.
        fix: If the deployment would fail: what to use in its place.
    """

    types: str
    why: str
    when: Callable[[dict[str, Any]], bool] = lambda _: True
    fix: str = ""


def _has(*names: str) -> Callable[[dict[str, Any]], bool]:
    """Whether one of these properties is set, however deep."""
    return lambda properties: any(f'"{name}": ' in json.dumps(properties) for name in names)


def _says(pattern: str) -> Callable[[dict[str, Any]], bool]:
    """Whether the properties, as JSON, match a regular expression."""
    return lambda properties: bool(re.search(pattern, json.dumps(properties)))


def _layer_of_another_account(properties: dict[str, Any]) -> bool:
    return any(isinstance(layer, str) for layer in properties.get("Layers", []))


_STREAMS = (
    "BisectBatchOnFunctionError", "DestinationConfig", "MaximumRecordAgeInSeconds",
    "MaximumRetryAttempts", "TumblingWindowInSeconds",
)  # fmt: skip
# An ARN of API Gateway's integrations: arn:aws:apigateway:us-east-1:sns:action/Publish.
_SERVICE = r":apigateway:.*?:(sns|events|kinesis|firehose|dynamodb|s3|states):(action|path)/"

ROWS = (
    Row(
        "Pipes::Pipe",
        "a pipe reads nothing unless its source is the stream of a DynamoDB table",
        lambda properties: not re.search("StreamArn|:dynamodb:", json.dumps(properties)),
    ),
    Row(
        "ApiGatewayV2::Integration",
        "an HTTP API's calls of an AWS service are answered with 502",
        _has("IntegrationSubtype"),
    ),
    Row(
        "ApiGateway::Method",
        "a REST API's calls of a service other than SQS and Lambda are answered with 504 or 403",
        _says(_SERVICE),
    ),
    Row(
        "CloudWatch::Alarm",
        "no metric of SQS, SNS, API Gateway, Kinesis, Firehose, S3 and Step Functions is kept, so "
        "alarms on them never change",
        _says(r'"AWS/(SQS|SNS|ApiGateway|Kinesis|Firehose|S3|States)"'),
    ),
    Row("CloudWatch::Alarm", "metric math is not computed", _has("Expression")),
    Row("CloudWatch::CompositeAlarm", "composite alarms never change"),
    Row(
        "Events::Rule|Scheduler::Schedule",
        "what a target does not take is not sent to the dead-letter queue",
        _has("DeadLetterConfig"),
    ),
    Row(
        "Lambda::EventSourceMapping",
        "of a stream's mapping retries, bisecting, age, window and failure destination are "
        "ignored: a failing batch is retried without end",
        _has(*_STREAMS),
    ),
    Row(
        "Lambda::EventInvokeConfig",
        "records of successful asynchronous invocations are not sent",
        _has("OnSuccess"),
    ),
    Row(
        "Lambda::EventInvokeConfig",
        "records of invocations are not sent to an event bus",
        _says(r"event-bus/"),
    ),
    Row(
        "SNS::Subscription",
        "messages that SNS cannot deliver are not sent to the subscription's dead-letter queue",
        _has("RedrivePolicy"),
    ),
    Row(
        "SNS::Subscription",
        "of the subscriptions in a template those of queues, functions and Firehose deliver only",
        _says(r'"Protocol": "(https?|email|email-json|sms)"'),
    ),
    Row(
        "Events::Connection|Events::ApiDestination",
        "this resource type is unknown",
        fix="Make it by its API, which works, or leave it out of what you deploy here",
    ),
    Row(
        "AmazonMQ::Broker|Kinesis::StreamConsumer",
        "this resource type is unknown",
        fix="Leave it out of what you deploy here",
    ),
    Row(
        # Whatever its type is called: by the CDK's one function for all of them.
        "Custom::.*",
        "functions have no AWS SDK for JavaScript, which AwsCustomResource needs",
        _says("AWS679f53fac002430cb0da5b7982bd2287"),
        fix="Make the call in a Python function of your own, behind custom_resources.Provider",
    ),
    Row(
        "Custom::CDKBucketDeployment",
        "functions have no AWS CLI, which BucketDeployment needs",
        fix="Leave it out of what you deploy here, and upload the files by the S3 API",
    ),
    Row(
        "Custom::VpcRestrictDefaultSG",
        "functions have no AWS SDK for JavaScript, which restricts the default security group",
        fix="Give the Vpc restrict_default_security_group=False here",
    ),
    Row(
        "Custom::AWSCDKOpenIdConnectProvider",
        "functions have no AWS SDK for JavaScript, which OpenIdConnectProvider needs",
        fix="Use OidcProviderNative, which needs no function",
    ),
    Row(
        "Custom::CrossRegionExport(Writer|Reader)",
        "parameters are not written to another Region, which cross_region_references needs",
        fix="Pass the name of the other Region's resource as a string",
    ),
    Row(
        "Custom::LogRetention",
        "functions have no AWS SDK for JavaScript, which log_retention needs",
        fix="Give the function a log_group with its retention",
    ),
    Row(
        "Lambda::Function",
        "layers of other accounts cannot be fetched, so what they bring is missing",
        _layer_of_another_account,
    ),
    Row(
        r"ECS::.*|RDS::.*|KinesisAnalyticsV2::.*|AutoScaling::.*|WAFv2::.*|MSK::.*",
        "only its settings are kept: nothing runs",
    ),
)


# A type that LocalStack does not know fails the deployment.
OF_LOCALSTACK = (
    Row(r"IAM::(Role|Policy|ManagedPolicy)", "no policy is enforced"),
    Row("ApiGateway::Stage", "no access log is written", _has("AccessLogSetting")),
    Row("CloudWatch::Alarm", "an alarm on a percentile never changes", _has("ExtendedStatistic")),
    Row("CloudWatch::Alarm", "metric math is not computed", _has("Metrics")),
    Row(
        "CloudWatch::Alarm",
        "SQS does not report the age of the oldest message",
        _says('"ApproximateAgeOfOldestMessage"'),
    ),
    Row(
        "CloudWatch::Alarm",
        "no metric of SNS, API Gateway, Kinesis, Firehose, S3 and Step Functions is emitted, so "
        "alarms on them never change",
        _says(r'"AWS/(SNS|ApiGateway|Kinesis|Firehose|S3|States)"'),
    ),
    Row(
        "Events::Rule",
        "what a target does not take is not sent to the dead-letter queue",
        _has("DeadLetterConfig"),
    ),
    Row("Scheduler::Schedule", "a schedule does not start"),
    Row(
        "KinesisFirehose::DeliveryStream",
        "Firehose reads no stream",
        _has("KinesisStreamSourceConfiguration"),
    ),
    Row(
        "Lambda::EventSourceMapping",
        "of a stream's mapping bisecting and the window are ignored",
        _has("BisectBatchOnFunctionError", "TumblingWindowInSeconds"),
    ),
    Row(
        "Lambda::Function",
        "reserved concurrency is ignored",
        _has("ReservedConcurrentExecutions"),
    ),
    Row("Lambda::Url", "a function's URL has a host name that does not resolve"),
    Row("SNS::Topic", "a topic's archive is ignored", _has("ArchivePolicy")),
)


def found_in(stacks: Iterable[Stack], rows: Sequence[Row] = ROWS) -> dict[Row, list[str]]:
    """Return the rows that these stacks meet, each with the construct paths of the resources."""
    found = defaultdict(list)
    for stack in stacks:
        for name, resource in stack.template.get("Resources", {}).items():
            kind, metadata = resource["Type"].removeprefix("AWS::"), resource.get("Metadata", {})
            for row in rows:
                if re.fullmatch(row.types, kind) and row.when(resource.get("Properties", {})):
                    found[row].append(metadata.get("aws:cdk:path", f"{stack.path}/{name}"))
    return found


def check(stacks: Iterable[Stack], rows: Sequence[Row] = ROWS) -> list[str]:
    """Return a line for each thing that does not happen, of an engine's table.

    Raises:
        SandboxError: the deployment would fail.
    """
    found = found_in(stacks, rows)
    if stops := [f"{_of(paths)}: {row.why}. {row.fix}." for row, paths in found.items() if row.fix]:
        raise SandboxError("The embedded AWS cannot deploy this:\n  " + "\n  ".join(stops))
    return [f"{row.why} ({_of(paths)})" for row, paths in found.items()]


def _of(paths: list[str]) -> str:
    """The first of some resources, and how many more there are."""
    return paths[0] + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")
