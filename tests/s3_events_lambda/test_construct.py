"""The promises of the constructs beyond those of every queue, consumer, key and alarm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Duration
from aws_cdk import aws_kms as kms
from aws_cdk.assertions import Match, Template

from serverless_patterns.patterns.async_lambda.construct import AsyncLambda, Retries
from serverless_patterns.patterns.s3_events_lambda.construct import NewBucket, Watch
from tests.inline import function, properties
from tests.s3_events_lambda.builds import make, make_direct

if TYPE_CHECKING:
    from aws_cdk import Stack


def test_s3_invokes_a_function_for_one_bucket_of_this_account(stack: Stack) -> None:
    alias = function(stack).add_alias("live")
    made = make_direct(stack, function=alias, watch=[Watch("lists/", ".csv")], sweep=None)
    [bucket] = properties(stack, "S3::Bucket")
    [told] = bucket["NotificationConfiguration"]["LambdaConfigurations"]
    assert told["Function"] == stack.resolve(alias.function_arn)
    [permission] = properties(stack, "Lambda::Permission")
    assert permission["SourceAccount"] == {"Ref": "AWS::AccountId"}
    assert stack.resolve(made.bucket_name) == bucket["BucketName"]
    assert bucket["BucketName"] in permission["SourceArn"]["Fn::Join"][1]
    alias_config = Match.object_like({"Qualifier": "live", "MaximumEventAgeInSeconds": 21_600})
    template = Template.from_stack(stack)
    template.has_resource_properties("AWS::Lambda::EventInvokeConfig", alias_config)


def test_the_function_of_a_bucket_can_know_its_name(stack: Stack) -> None:
    """It is not the bucket's Ref: the bucket waits for the function."""
    invoked = function(stack, "Invoked")
    watch = [Watch("lists/")]
    made = make_direct(stack, function=invoked, watch=watch, results_prefix="reports/")
    made.grant_read(invoked)
    made.grant_write_results(invoked)
    invoked.add_environment("BUCKET_NAME", made.bucket_name)
    Template.from_stack(stack)  # it rejects a circle


def test_async_lambda_keeps_the_failures_of_a_function_that_it_was_given(stack: Stack) -> None:
    invoked = function(stack, "Invoked")
    AsyncLambda(stack, "Async", function=invoked, retries=Retries(max_event_age=Duration.hours(1)))
    made = make_direct(stack, function=invoked, sweep=None)
    assert (made.failure_queue, made.alarms) == (None, [])
    [config] = properties(stack, "Lambda::EventInvokeConfig")
    assert config["MaximumEventAgeInSeconds"] == 3600


def test_a_bucket_with_a_key_of_its_own_is_encrypted_with_it(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    made = make(stack, bucket=NewBucket(encryption_key=key))
    made.grant_put(function(stack, "Uploader"))
    [made_bucket] = properties(stack, "S3::Bucket")
    assert "aws:kms" in str(made_bucket["BucketEncryption"])
