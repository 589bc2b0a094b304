"""Keys that encrypt nothing are rejected; keys that cannot be read are warned of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, Environment, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Annotations, Match

from serverless_patterns.patterns.blocks.keys import GRANTS_BY_ALIAS, check_key, check_key_of
from tests.inline import rejected, warned

if TYPE_CHECKING:
    from collections.abc import Callable

    from constructs import Construct

ARN = "arn:aws:kms:us-east-1:111111111111:key/1"


def test_an_enabled_key_is_accepted_without_a_word(stack: Stack) -> None:
    for key in (
        None,
        kms.Key(stack, "Default"),
        kms.Key(stack, "Enabled", enabled=True),
        kms.Alias.from_alias_name(stack, "Managed", "alias/aws/sqs"),
    ):
        check_key("encryption_key", key)
    Annotations.from_stack(stack).has_no_warning("*", Match.any_value())


@pytest.mark.parametrize(
    ("principal", "actions", "enough"),
    [
        (iam.ArnPrincipal("arn:aws:iam::111111111111:role/admin"), ["kms:*"], False),
        (iam.AccountRootPrincipal(), ["kms:*"], True),
        (iam.AccountPrincipal("111111111111"), ["kms:Decrypt", "kms:GenerateDataKey*"], True),
        (iam.AccountRootPrincipal(), ["kms:Decrypt"], False),
        (iam.AnyPrincipal(), ["*"], True),
    ],
)
def test_a_key_whose_policy_lets_no_iam_policy_decide_is_warned_of(
    stack: Stack, principal: iam.IPrincipal, actions: list[str], enough: bool
) -> None:
    allow = iam.PolicyStatement(principals=[principal], actions=actions, resources=["*"])
    check_key("key", kms.Key(stack, "Theirs", policy=iam.PolicyDocument(statements=[allow])))
    said = Match.string_like_regexp("does not name the account's root.*has no effect")
    assert bool(Annotations.from_stack(stack).find_warning("/Stack/Theirs", said)) is not enough


def test_a_disabled_key_is_rejected(stack: Stack) -> None:
    key = kms.Key(stack, "Key", enabled=False)
    for one in (key, key.add_alias("alias/mine")):
        with rejected("encryption_key is Stack/Key, which is disabled"):
            check_key("encryption_key", one)


@pytest.mark.parametrize(
    "settings",
    [
        {"key_spec": kms.KeySpec.RSA_2048},
        {"key_spec": kms.KeySpec.HMAC_256, "key_usage": kms.KeyUsage.GENERATE_VERIFY_MAC},
    ],
    ids=["asymmetric", "hmac"],
)
def test_a_key_that_is_not_symmetric_is_rejected(stack: Stack, settings: dict[str, Any]) -> None:
    with rejected(r"is Stack/Key, of the type .*SYMMETRIC_DEFAULT"):
        check_key("encryption_key", kms.Key(stack, "Key", **settings))
    check_key("encryption_key", kms.Key(stack, "Symmetric", key_spec=kms.KeySpec.SYMMETRIC_DEFAULT))


def test_an_imported_key_is_used_with_a_warning_of_what_it_needs(stack: Stack) -> None:
    key = kms.Key.from_key_arn(stack, "Theirs", ARN)
    check_key("encryption_key", key)
    warned(stack, "cannot be checked.*enabled and symmetric")


def test_an_alias_that_the_cdk_grants_nothing_on_is_rejected(stack: Stack) -> None:
    alias = kms.Alias.from_alias_name(stack, "Alias", "alias/shop")
    with rejected("encryption_key is alias/shop, .*from_key_arn.*applyImportedAliasPermissions"):
        check_key("encryption_key", alias)
    queue = sqs.Queue(stack, "Own", encryption_master_key=alias)
    with rejected("key of Stack/Own is alias/shop"):
        check_key_of(queue)


def test_an_alias_whose_key_can_be_granted_is_used(stack: Stack) -> None:
    key = kms.Key.from_key_arn(stack, "Theirs", ARN)
    known = kms.Alias.from_alias_attributes(
        stack, "Alias", alias_name="alias/shop", alias_target_key=key
    )
    check_key("encryption_key", known)
    warned(stack, "cannot be checked.*enabled and symmetric")
    granted = Stack(App(context={GRANTS_BY_ALIAS: True}), "Stack")
    check_key("encryption_key", kms.Alias.from_alias_name(granted, "Theirs", "alias/shop"))
    warned(granted, "cannot be checked.*enabled and symmetric")


def test_a_key_of_another_region_or_partition_is_rejected() -> None:
    stack = Stack(App(), "Stack", env=Environment(region="eu-west-1"))
    check_key(
        "encryption_key", kms.Key.from_key_arn(stack, "Here", ARN.replace("us-east", "eu-west"))
    )
    with rejected("is a key of the Region us-east-1, .* is in eu-west-1: .*a replica"):
        check_key("encryption_key", kms.Key.from_key_arn(stack, "There", ARN))
    with rejected("encryption_key is .*, of the partition aws-cn, but this stack"):
        check_key("encryption_key", kms.Key.from_key_arn(stack, "Cn", ARN.replace("aws", "aws-cn")))


def test_a_resource_of_another_region_has_its_key_there() -> None:
    stack = Stack(App(), "Stack", env=Environment(region="eu-west-1"))
    arn = "arn:aws:sqs:us-east-1:111111111111:theirs"
    check_key_of(sqs.Queue.from_queue_attributes(stack, "Own", queue_arn=arn, key_arn=ARN))


ID = dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING)
RESOURCES: dict[str, Callable[[Construct, kms.IKey], object]] = {
    "queue": lambda scope, key: sqs.Queue(scope, "Own", encryption_master_key=key),
    "topic": lambda scope, key: sns.Topic(scope, "Own", master_key=key),
    "stream": lambda scope, key: kinesis.Stream(scope, "Own", encryption_key=key),
    "bucket": lambda scope, key: s3.Bucket(scope, "Own", encryption_key=key),
    "bus": lambda scope, key: events.EventBus(scope, "Own", kms_key=key),
    "table": lambda scope, key: dynamodb.Table(scope, "Own", partition_key=ID, encryption_key=key),
}


@pytest.mark.parametrize("kind", RESOURCES)
def test_the_disabled_key_of_a_resource_is_rejected(stack: Stack, kind: str) -> None:
    make = RESOURCES[kind]
    with rejected(r"key of Stack/Own is Stack/Key, which is disabled"):
        check_key_of(make(stack, kms.Key(stack, "Key", enabled=False)))
    other = Stack(App(), "Other")
    check_key_of(make(other, kms.Key(other, "Key")))
