"""Whoever is granted to publish can, with the topic's key, and nobody else."""

from __future__ import annotations

from typing import Any

import pytest
from aws_cdk import App, Environment, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns

from serverless_patterns.patterns.blocks.publishers import grant_publish
from tests.inline import properties, rejected, warned

OTHER = "2" * 12
ROLE = f"arn:aws:iam::{OTHER}:role/publisher"
FROM_BUCKET = {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::uploads"}}


def known(account: str = "1" * 12) -> Stack:
    return Stack(App(), "Stack", env=Environment(account=account, region="eu-west-1"))


def managed(stack: Stack) -> sns.Topic:
    topic = sns.Topic(stack, "Topic")
    topic.node.default_child.kms_master_key_id = "alias/aws/sns"  # type: ignore[union-attr]
    return topic


def service(name: str, conditions: dict[str, Any] | None = FROM_BUCKET) -> iam.IGrantable:
    return iam.ServicePrincipal(f"{name}.amazonaws.com", conditions=conditions)


def statements(stack: Stack, kind: str, document: str = "PolicyDocument") -> list[dict[str, Any]]:
    return [one for found in properties(stack, kind) for one in found[document]["Statement"]]


@pytest.mark.parametrize(
    ("publisher", "who"),
    [
        (lambda stack: iam.AccountPrincipal(OTHER), "account 222222222222"),
        (lambda stack: iam.ArnPrincipal(ROLE), "account 222222222222"),
        (lambda stack: iam.Role.from_role_arn(stack, "Role", ROLE), "account 222222222222"),
        (lambda stack: iam.OrganizationPrincipal("o-1234567890"), "principals of any account"),
    ],
    ids=["account", "arn", "role", "organization"],
)
def test_a_publisher_whom_the_aws_managed_key_does_not_allow_is_rejected(
    publisher: Any, who: str
) -> None:
    stack = known()
    with rejected(f"Stack/Topic is encrypted with alias/aws/sns, .* {who} cannot use.*NewTopic"):
        grant_publish(managed(stack), publisher(stack))
    grant_publish(managed(known(OTHER)), iam.AccountPrincipal(OTHER))


def test_everybody_is_rejected(stack: Stack) -> None:
    for everybody in (iam.StarPrincipal(), iam.AnyPrincipal()):
        with rejected("The grantee is everybody: any AWS account could publish"):
            grant_publish(sns.Topic(stack, everybody.to_string()[:4]), everybody)
    grant_publish(sns.Topic(stack, "Topic"), iam.OrganizationPrincipal("o-1234567890"))


def test_a_publisher_that_may_be_of_another_account_is_warned_of(stack: Stack) -> None:
    grant_publish(managed(stack), iam.AccountPrincipal(OTHER))
    warned(stack, "Unless account 222222222222 is that of the topic.*alias/aws/sns", "/Stack/Topic")


def test_a_service_cannot_publish_with_the_aws_managed_key(stack: Stack) -> None:
    with rejected(r"alias/aws/sns.*cannot allow s3\.amazonaws\.com"):
        grant_publish(managed(stack), service("s3"))


def test_a_service_says_for_whose_resources_it_publishes(stack: Stack) -> None:
    topic = sns.Topic(stack, "Topic", master_key=kms.Key(stack, "Key"))
    for conditions in (None, {"Bool": {"aws:SecureTransport": "true"}}):
        with rejected(r"lets s3\.amazonaws\.com publish for anybody's resources.*aws:SourceArn"):
            grant_publish(topic, service("s3", conditions))
    grant_publish(topic, service("s3"))
    (on_topic,) = statements(stack, "SNS::TopicPolicy")
    on_key = statements(stack, "KMS::Key", "KeyPolicy")[-1]
    assert on_topic["Condition"] == on_key["Condition"] == FROM_BUCKET
    assert on_topic["Principal"] == on_key["Principal"] == {"Service": "s3.amazonaws.com"}


def test_eventbridge_uses_the_key_without_a_condition_that_it_could_not_meet(stack: Stack) -> None:
    topic = sns.Topic(stack, "Topic", master_key=kms.Key(stack, "Key"))
    of_rule = {"ArnLike": {"aws:SourceArn": "arn:aws:events:*:*:rule/changes"}}
    grant_publish(topic, service("events", of_rule))
    (on_topic,) = statements(stack, "SNS::TopicPolicy")
    assert on_topic["Condition"] == of_rule
    on_key = statements(stack, "KMS::Key", "KeyPolicy")
    without = [one["Principal"].get("Service") for one in on_key if "Condition" not in one]
    assert "events.amazonaws.com" in without


@pytest.mark.parametrize("publisher", [service("s3"), iam.AccountPrincipal(OTHER)])
def test_a_grant_that_an_imported_topic_cannot_take_is_rejected(
    stack: Stack, publisher: iam.IGrantable
) -> None:
    arn = "arn:aws:sns:us-east-1:111111111111:theirs"
    topic = sns.Topic.from_topic_arn(stack, "Theirs", arn)
    with rejected("Stack/Theirs is imported.*allow sns:Publish to (s3|2222)"):
        grant_publish(topic, publisher)


@pytest.mark.parametrize("publisher", [service("s3"), iam.AccountPrincipal(OTHER)])
def test_an_imported_key_is_told_whom_it_must_allow(
    stack: Stack, publisher: iam.IGrantable
) -> None:
    key = kms.Key.from_key_arn(stack, "Theirs", "arn:aws:kms:us-east-1:111111111111:key/1")
    grant_publish(sns.Topic(stack, "Topic", master_key=key), publisher)
    warned(stack, "must allow kms:Decrypt and kms:GenerateDataKey to (s3|2222)")


def test_a_publisher_of_another_account_may_use_a_customer_key() -> None:
    stack = known()
    topic = sns.Topic(stack, "Topic", master_key=kms.Key(stack, "Key"))
    grant_publish(topic, iam.AccountPrincipal(OTHER))
    for found in (
        statements(stack, "SNS::TopicPolicy"),
        statements(stack, "KMS::Key", "KeyPolicy"),
    ):
        assert f"::{OTHER}:root" in str(found[-1]["Principal"])


def test_a_function_that_was_imported_without_its_role_is_rejected(stack: Stack) -> None:
    arn = "arn:aws:lambda:us-east-1:111111111111:function:publisher"
    function = lambda_.Function.from_function_arn(stack, "Theirs", arn)
    with rejected("grantee Stack/Theirs was imported without its role"):
        grant_publish(sns.Topic(stack, "Topic"), function)


def test_a_grantee_of_the_wrong_type_is_named(stack: Stack) -> None:
    with rejected("grantee is 'arn:x'; it must be of type IGrantable"):
        grant_publish(sns.Topic(stack, "Topic"), "arn:x")  # type: ignore[arg-type]
