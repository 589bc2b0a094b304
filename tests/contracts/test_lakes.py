"""What every construct that writes a lake promises of grants, of places and of its neighbours."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_cdk import App, CfnParameter, Duration, Environment, NestedStack, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3

from serverless_patterns.patterns.blocks.firehose import DirectPut
from serverless_patterns.patterns.blocks.lakes import Lake, Table
from serverless_patterns.patterns.blocks.streams import NewStream
from tests.contracts.builds import Build, every_build
from tests.inline import function, properties, rejected, warned

TABLE = Table({"click_id": "string", "clicked_at": "timestamp"})
KEY_ARN = "arn:aws:kms:eu-west-1:222222222222:key/00000000-0000-0000-0000-000000000000"


def resources_of(where: Stack) -> dict[str, Any]:
    key = kms.Key(where, "Key")
    encrypted = kinesis.StreamEncryption.KMS
    return {
        "transform": function(where, timeout=Duration.seconds(60)),
        "stream": kinesis.Stream(where, "Own", encryption=encrypted, encryption_key=key),
        "bucket": s3.Bucket(where, "Lake", encryption_key=key),
    }


@every_build("lake")
def test_a_principal_without_a_policy_here_is_not_granted_what_has_none(
    build: Build, stack: Stack
) -> None:
    here = Stack(App.of(stack), "Here", env=Environment(account="111111111111"))
    role = iam.Role.from_role_arn(here, "Role", "arn:aws:iam::222222222222:role/theirs")
    made = build.make(here, stream=DirectPut(), lake=Lake(table=TABLE))
    for theirs in (iam.AccountPrincipal("222222222222"), role):
        with rejected("no policy here that could allow putting records into Firehose"):
            made.grant_write(theirs)
        with rejected("no policy here that could allow reading a table's schema"):
            made.grant_read(theirs)
    with rejected(r"grantee is iot\.amazonaws\.com, but .*Grant that role"):
        build.make(stack).grant_write(iam.ServicePrincipal("iot.amazonaws.com"))
    with rejected("grantee is None; it must be of type IGrantable"):
        made.grant_write(None)


@every_build("lake")
def test_nobody_is_granted_what_only_an_imported_resource_could_allow(
    build: Build, stack: Stack
) -> None:
    here = Stack(App.of(stack), "Here", env=Environment(account="111111111111", region="eu-west-1"))
    stream = kinesis.Stream.from_stream_arn(
        here, "Theirs", "arn:aws:kinesis:eu-west-1:111111111111:stream/theirs"
    )
    made = build.make(here, stream=stream, bucket=s3.Bucket.from_bucket_name(here, "Lake", "lake"))
    role = iam.Role.from_role_arn(here, "Role", "arn:aws:iam::222222222222:role/theirs")
    for theirs in (iam.AccountPrincipal("222222222222"), role):
        with rejected("Here/Theirs is imported, so its policy cannot be changed here"):
            made.grant_write(theirs)
        with rejected("Here/Lake is imported, so its policy cannot be changed here"):
            made.grant_read(theirs)
    unknown = lambda_.Function.from_function_name(here, "Unknown", "theirs")
    with rejected("The grantee was imported without its role"):
        made.grant_write(unknown)
    own = iam.Role.from_role_arn(here, "Own", "arn:aws:iam::111111111111:role/own")
    made.grant_write(own)
    made.grant_read(own)
    assert "kinesis:PutRecords" in json.dumps(properties(here, "IAM::Policy"))


@every_build("lake")
def test_another_account_writes_only_with_a_customer_key(build: Build, stack: Stack) -> None:
    other, told = iam.AccountPrincipal("222222222222"), "Account 222222222222 cannot use the key of"
    here = Stack(App.of(stack), "Here", env=Environment(account="111111111111"))
    with rejected(f"{told} Here/Pattern/Stream"):
        build.make(here).grant_write(other)
    build.make(stack).grant_write(other)
    keyed = NewStream(encryption_key=kms.Key(here, "Key"))
    build.make(here, "Keyed", stream=keyed).grant_write(other)
    for kind in ("Kinesis::ResourcePolicy", "KMS::Key"):
        assert "222222222222" in json.dumps(properties(here, kind))
    warned(stack, f"Unless account 222222222222 is .*{told}", "/Stack/Pattern/Stream")


@every_build("lake")
@pytest.mark.parametrize("theirs", ["another stack", "the parent", "a nested stack"])
def test_what_you_give_may_be_in_another_stack_of_the_app(
    build: Build, stack: Stack, theirs: str
) -> None:
    app: Any = App.of(stack)
    other = Stack(app, "Other") if theirs == "another stack" else NestedStack(stack, "Nested")
    here, there = (other, stack) if theirs == "the parent" else (stack, other)
    given = resources_of(there)
    made = build.make(here, lake=Lake(table=TABLE), **given)
    reader = iam.Role(here, "Reader", assumed_by=iam.AccountRootPrincipal())
    made.grant_read(reader)
    new = {"stream": NewStream(encryption_key=kms.Key(there, "New"))}
    build.make(here, "New", transform=given["transform"], **new)
    app.synth()


@every_build("lake")
@pytest.mark.parametrize("given", ["transform", "stream", "bucket", "key of a new stream"])
@pytest.mark.parametrize("nested", [False, True])
def test_whoever_gets_a_permission_may_be_in_the_stack_of_what_you_give(
    build: Build, stack: Stack, nested: bool, given: str
) -> None:
    """A policy there would make that stack wait for the lake's, which waits for it."""
    app: Any = App.of(stack)
    there = NestedStack(stack, "Nested") if nested else Stack(app, "Theirs")
    own = resources_of(there)
    settings: dict[str, Any] = {given: own.get(given)}
    if given not in own:
        settings = {"stream": NewStream(encryption_key=own["stream"].encryption_key)}
    made = build.make(stack, lake=Lake(table=TABLE), **settings)
    for grantee in (function(there, "Shop"), own["transform"]):
        made.grant_write(grantee)
        made.grant_read(grantee)
    app.synth()
    assert "kinesis:PutRecords" in json.dumps(properties(stack, "IAM::Policy"))


@every_build("lake")
@pytest.mark.parametrize("place", ["account 222222222222", "Region eu-west-1"])
@pytest.mark.parametrize("given", ["transform", "stream", "bucket"])
def test_what_firehose_cannot_reach_from_here_is_rejected(
    build: Build, given: str, place: str
) -> None:
    app, here = App(), {"account": "111111111111", "region": "us-east-1"}
    word, other = place.lower().split()
    stack = Stack(app, "Stack", env=Environment(**here))
    there = Stack(app, "There", env=Environment(**here | {word: other}))
    with rejected(f"There/.* is in {place}, but"):
        build.make(stack, **{given: resources_of(there)[given]})


@every_build("lake")
def test_an_imported_bucket_of_another_account_is_written_to_with_a_warning(
    build: Build, stack: Stack
) -> None:
    here = Stack(App.of(stack), "Here", env=Environment(account="111111111111", region="eu-west-1"))
    theirs = s3.Bucket.from_bucket_attributes(
        here,
        "Theirs",
        bucket_name="lake",
        account="222222222222",
        encryption_key=kms.Key.from_key_arn(here, "Key", KEY_ARN),
    )
    build.make(here, bucket=theirs)
    warned(here, "in account 222222222222: its policy.*allow the role of Firehose", "/Here/Theirs")
    (policy,) = [p for p in properties(here, "IAM::Policy") if "s3:PutObject" in json.dumps(p)]
    allowed = [(s["Action"], s["Resource"]) for s in policy["PolicyDocument"]["Statement"]]
    assert "s3:PutObjectAcl" in [action for action, _ in allowed]
    assert (["kms:Decrypt", "kms:GenerateDataKey"], KEY_ARN) in allowed
    spaces = {alarm["Namespace"] for alarm in properties(here, "CloudWatch::Alarm")}
    assert "AWS/S3" not in spaces


@every_build("lake")
@pytest.mark.parametrize(
    ("second", "problem"),
    [
        (Lake(), "error_prefix of Stack/Second 'errors/' is within error_prefix of Stack/First"),
        (Lake(error_prefix="failed/", table=TABLE), "prefix of Stack/Second 'data/' is within"),
        (Lake("data/eu/", "failed/"), "'data/eu/' is within prefix of Stack/First 'data/'"),
        (Lake("errors/eu/", "failed/"), "is within error_prefix of Stack/First"),
        (Lake(error_prefix="failed/"), None),
        (Lake("clicks/", "failed/", keep_source=True), None),
    ],
)
def test_a_lake_in_a_folder_of_another_one_is_rejected(
    build: Build, stack: Stack, second: Lake, problem: str | None
) -> None:
    bucket = build.make(stack, "First").bucket
    with rejected(problem):
        build.make(stack, "Second", bucket=bucket, lake=second)


@every_build("lake")
def test_a_filter_that_would_make_two_stacks_wait_for_each_other_is_rejected(
    build: Build, stack: Stack
) -> None:
    folder = CfnParameter(stack, "Folder").value_as_string
    bucket = s3.Bucket(Stack(App.of(stack), "Other"), "Lake")
    with rejected("error_prefix is known at deployment only, but Other/Lake is in another stack"):
        build.make(stack, bucket=bucket, lake=Lake("clicks/", folder))


@every_build("lake")
@pytest.mark.parametrize(
    ("argument", "problem"),
    [
        ("transform", "IFunction or Transform"),
        ("stream", "IStream or NewStream or DirectPut"),
        ("bucket", "IBucket or NewBucket"),
        ("lake", "Lake"),
        ("alarms", "Alarms"),
    ],
)
def test_an_argument_of_the_wrong_type_is_named(
    build: Build, stack: Stack, argument: str, problem: str
) -> None:
    with rejected(f"{argument} is 'clicks'; it must be of type {problem}"):
        build.make(stack, **{argument: "clicks"})
