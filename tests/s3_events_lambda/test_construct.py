"""The promises of the construct beyond those of every queue, consumer, key and alarm."""

from __future__ import annotations

from typing import Any

import pytest
from aws_cdk import Stack
from aws_cdk import aws_kms as kms
from aws_cdk.assertions import Match, Template

from serverless_patterns.patterns.s3_events_lambda.construct import (
    NewBucket,
    NewQueue,
    S3EventsToSqsToLambda,
    Sweep,
    Watch,
)
from tests.inline import function, properties, rejected
from tests.s3_events_lambda.builds import make

LOOP = r"results_prefix is '{}', but s3:ObjectCreated:\* of 'lists/\*' is watched.*without end"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"results_prefix": "lists/done/"}, LOOP.format("lists/done/")),
        ({"results_prefix": "li"}, LOOP.format("li")),
        ({"results_prefix": ""}, "results_prefix is empty"),
        ({"results_prefix": "reports/"}, None),
        ({"watch": []}, "watch is empty, so nothing would arrive"),
        ({"watch": [Watch("lists/a"), Watch("lists/")]}, "two notifications for the same event"),
        ({"watch": [Watch("lists/", ".csv"), Watch("lists/", ".xml")]}, None),
        ({"watch": [Watch("lists/"), Watch("lists/", events=["ObjectRemoved"])]}, None),
        ({"queue": NewQueue(fifo=True)}, "notifies queue .*, which is FIFO"),
    ],
    ids=lambda given: str(given)[:40],
)
def test_what_would_fail_or_never_end_is_rejected(
    stack: Stack, given: dict[str, Any], problem: str | None
) -> None:
    with rejected(problem):
        make(stack, **{"watch": [Watch("lists/")]} | given)


def test_the_grants_end_at_what_is_watched(stack: Stack) -> None:
    reader = function(stack, "Reader")
    made = make(stack, watch=[Watch("lists/", ".csv")], results_prefix="reports/")
    made.grant_read(reader)
    made.grant_put(reader)
    made.grant_write_results(reader)
    made.grant_sweep(reader)
    template = Template.from_stack(stack)
    template.has_resource_properties(
        "AWS::IAM::Policy",
        {
            "PolicyDocument": {
                "Statement": Match.array_with(
                    [
                        Match.object_like({"Action": ["s3:GetObject", "s3:GetObjectVersion"]}),
                        Match.object_like({"Action": "s3:ListBucket"}),
                        Match.object_like({"Action": ["s3:PutObject", "s3:AbortMultipartUpload"]}),
                        Match.object_like({"Action": "s3:PutObject"}),
                        Match.object_like({"Action": "sqs:SendMessage"}),
                        Match.object_like({"Action": "s3:ListBucketVersions"}),
                    ]
                )
            }
        },
    )
    texts = str(template.find_resources("AWS::IAM::Policy"))
    assert "/lists/*.csv" in texts
    assert "/reports/*" in texts
    assert "'/*'" not in texts


def test_results_without_a_place_are_not_granted(stack: Stack) -> None:
    with rejected("has no results_prefix"):
        make(stack).grant_write_results(function(stack, "Writer"))


def test_the_sweep_runs_by_a_schedule_that_alone_may_invoke_it(stack: Stack) -> None:
    made = make(stack)
    [rule] = properties(stack, "Events::Rule")
    assert rule["ScheduleExpression"] == "rate(1 hour)"
    [permission] = properties(stack, "Lambda::Permission")
    assert permission["SourceArn"] == stack.resolve(made.schedule.rule_arn)  # type: ignore[union-attr]
    [found] = [
        alarm for alarm in properties(stack, "CloudWatch::Alarm")
        if alarm["MetricName"] == "ObjectsFound"
    ]  # fmt: skip
    assert (found["Namespace"], found["Threshold"]) == ("ServerlessPatterns", 0)
    assert [one["Name"] for one in found["Dimensions"]] == ["FunctionName"]


def test_without_a_sweep_nothing_is_scheduled(stack: Stack) -> None:
    made = S3EventsToSqsToLambda(stack, "Events", consumer=function(stack))
    assert made.schedule is None
    assert made.topic is None
    assert properties(stack, "Events::Rule") == []


def test_a_sweep_that_never_runs_is_rejected(stack: Stack) -> None:
    never = function(stack, "Never", reserved_concurrent_executions=0)
    with rejected("nothing would be found"):
        make(stack, sweep=Sweep(never))


def test_a_bucket_with_a_key_of_its_own_is_encrypted_with_it(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    made = make(stack, bucket=NewBucket(encryption_key=key))
    made.grant_put(function(stack, "Uploader"))
    [made_bucket] = properties(stack, "S3::Bucket")
    assert "aws:kms" in str(made_bucket["BucketEncryption"])
