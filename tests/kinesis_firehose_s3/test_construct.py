"""The promises of the construct that the template alone can show."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from aws_cdk import App, CfnParameter, Duration, RemovalPolicy, Size, Stack
from aws_cdk import aws_cloudwatch_actions as cloudwatch_actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk.assertions import Annotations, Match, Template

from serverless_patterns.patterns.kinesis_firehose_s3.construct import KinesisToFirehoseToS3
from tests import inline

COLUMNS = {"click_id": "string", "clicked_at": "timestamp"}


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Stack")


def function(stack: Stack, construct_id: str = "Transform", **settings: Any) -> lambda_.Function:
    return inline.function(stack, construct_id, **{"timeout": Duration.seconds(60)} | settings)


def pattern(stack: Stack, construct_id: str = "Pattern", **settings: Any) -> KinesisToFirehoseToS3:
    transform = settings.pop("transform", None) or function(stack, f"{construct_id}Transform")
    return KinesisToFirehoseToS3(stack, construct_id, transform=transform, **settings)


def only(stack: Stack, kind: str) -> dict[str, Any]:
    (resource,) = Template.from_stack(stack).find_resources(kind).values()
    properties: dict[str, Any] = resource["Properties"]
    return properties


def destination(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = only(stack, "AWS::KinesisFirehose::DeliveryStream")[
        "ExtendedS3DestinationConfiguration"
    ]
    return found


def processor(stack: Stack) -> dict[str, Any]:
    (found,) = destination(stack)["ProcessingConfiguration"]["Processors"]
    return {p["ParameterName"]: p["ParameterValue"] for p in found["Parameters"]}


def statements(stack: Stack, made: KinesisToFirehoseToS3) -> list[dict[str, Any]]:
    """Return what Firehose's role may do."""
    policies = Template.from_stack(stack).find_resources(
        "AWS::IAM::Policy", {"Properties": {"Roles": [stack.resolve(made.role.role_name)]}}
    )
    (policy,) = policies.values()
    found: list[dict[str, Any]] = policy["Properties"]["PolicyDocument"]["Statement"]
    return found


def actions(stack: Stack, made: KinesisToFirehoseToS3) -> set[str]:
    return {
        action
        for statement in statements(stack, made)
        for action in (
            [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        )
    }


# The stream


def test_the_stream_scales_by_itself_and_remembers_a_long_weekend(stack: Stack) -> None:
    pattern(stack)
    properties = only(stack, "AWS::Kinesis::Stream")
    assert properties["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}
    assert properties["RetentionPeriodHours"] == 7 * 24


def test_shards_are_provisioned_on_request(stack: Stack) -> None:
    pattern(stack, shard_count=3, retention_period=Duration.days(1))
    properties = only(stack, "AWS::Kinesis::Stream")
    assert properties["StreamModeDetails"] == {"StreamMode": "PROVISIONED"}
    assert (properties["ShardCount"], properties["RetentionPeriodHours"]) == (3, 24)


def test_firehose_reads_this_stream(stack: Stack) -> None:
    made = pattern(stack)
    properties = only(stack, "AWS::KinesisFirehose::DeliveryStream")
    assert properties["DeliveryStreamType"] == "KinesisStreamAsSource"
    assert properties["KinesisStreamSourceConfiguration"] == {
        "KinesisStreamARN": stack.resolve(made.stream.stream_arn),
        "RoleARN": stack.resolve(made.role.role_arn),
    }


# The transform


def test_the_transform_sees_every_record_in_batches_that_fit_a_call(stack: Stack) -> None:
    transform = function(stack)
    pattern(stack, transform=transform)
    parameters = processor(stack)
    assert parameters["LambdaArn"] == stack.resolve(transform.function_arn)
    assert (parameters["BufferSizeInMBs"], parameters["BufferIntervalInSeconds"]) == ("1", "60")


def test_a_failed_batch_is_tried_again_before_it_is_kept(stack: Stack) -> None:
    pattern(stack)
    assert processor(stack)["NumberOfRetries"] == "3"


def test_a_batch_may_be_a_part_of_a_mebibyte(stack: Stack) -> None:
    pattern(
        stack,
        transform_buffering_size=Size.kibibytes(512),
        transform_buffering_interval=Duration.seconds(0),
        transform_retries=0,
    )
    parameters = processor(stack)
    assert parameters["BufferSizeInMBs"] == "0.5"
    assert (parameters["BufferIntervalInSeconds"], parameters["NumberOfRetries"]) == ("0", "0")


def test_an_alias_transforms_in_place_of_its_function(stack: Stack) -> None:
    alias = function(stack).add_alias("live")
    pattern(stack, transform=alias)
    assert processor(stack)["LambdaArn"] == stack.resolve(alias.function_arn)


# The lake


def test_with_columns_the_lake_is_parquet_by_the_table(stack: Stack) -> None:
    made = pattern(stack, columns=COLUMNS)
    conversion = destination(stack)["DataFormatConversionConfiguration"]
    assert conversion["Enabled"] is True
    assert conversion["OutputFormatConfiguration"]["Serializer"] == {
        "ParquetSerDe": {"Compression": "SNAPPY"}
    }
    schema = conversion["SchemaConfiguration"]
    assert schema["TableName"] == made.table.table_name == "events"
    assert schema["DatabaseName"] == stack.resolve(made.table.database_name)
    assert destination(stack)["CompressionFormat"] == "UNCOMPRESSED"


def test_the_schema_is_given_once_and_athena_finds_new_days_by_itself(stack: Stack) -> None:
    made = pattern(stack, columns=COLUMNS, prefix="clicks/")
    table = only(stack, "AWS::Glue::Table")["TableInput"]
    storage = table["StorageDescriptor"]
    assert storage["Columns"] == [
        {"Name": "click_id", "Type": "string"},
        {"Name": "clicked_at", "Type": "timestamp"},
    ]
    assert table["PartitionKeys"] == [{"Name": "day", "Type": "string"}]
    bucket = stack.resolve(made.bucket.bucket_name)
    assert storage["Location"] == {"Fn::Join": ["", ["s3://", bucket, "/clicks/"]]}
    assert table["Parameters"] == {
        "classification": "parquet",
        "EXTERNAL": "TRUE",
        "projection.enabled": "true",
        "projection.day.type": "date",
        "projection.day.format": "yyyy-MM-dd",
        "projection.day.range": "2020-01-01,NOW",
        "storage.location.template": {"Fn::Join": ["", ["s3://", bucket, "/clicks/day=${day}"]]},
    }
    assert destination(stack)["Prefix"] == "clicks/day=!{timestamp:yyyy-MM-dd}/"


def test_the_database_is_unique_to_the_stack_and_has_a_name_athena_takes(stack: Stack) -> None:
    pattern(stack, columns=COLUMNS)
    name = only(stack, "AWS::Glue::Database")["DatabaseInput"]["Name"]
    assert "AWS::StackId" in json.dumps(name)
    separator, (path, _) = name["Fn::Join"]
    assert re.fullmatch(r"[a-z0-9_]+", separator + path)


def test_a_database_of_the_users_gets_the_table(stack: Stack) -> None:
    pattern(stack, columns=COLUMNS, database_name="shop")
    Template.from_stack(stack).resource_count_is("AWS::Glue::Database", 0)
    table = only(stack, "AWS::Glue::Table")
    assert table["DatabaseName"] == "shop"
    assert re.fullmatch(r"stack_pattern_lake_[0-9a-f]{8}", table["TableInput"]["Name"])


def test_without_columns_the_lake_is_compressed_json_lines(stack: Stack) -> None:
    made = pattern(stack)
    found = destination(stack)
    assert (found["CompressionFormat"], found["FileExtension"]) == ("GZIP", ".jsonl.gz")
    assert "DataFormatConversionConfiguration" not in found
    Template.from_stack(stack).resource_count_is("AWS::Glue::Table", 0)
    with pytest.raises(ValueError, match=r"no table.*Give columns"):
        _ = made.table


def test_partition_keys_of_the_transform_become_folders(stack: Stack) -> None:
    pattern(stack, columns=COLUMNS, partition_keys=["country", "device"])
    found = destination(stack)
    assert found["DynamicPartitioningConfiguration"] == {"Enabled": True}
    assert found["Prefix"] == (
        "data/country=!{partitionKeyFromLambda:country}/"
        "device=!{partitionKeyFromLambda:device}/day=!{timestamp:yyyy-MM-dd}/"
    )
    table = only(stack, "AWS::Glue::Table")["TableInput"]
    assert [key["Name"] for key in table["PartitionKeys"]] == ["country", "device", "day"]
    parameters = table["Parameters"]
    assert parameters["projection.country.type"] == "injected"
    template = json.dumps(parameters["storage.location.template"])
    assert "country=${country}/device=${device}/day=${day}" in template


def test_the_buffers_are_as_large_as_they_may_be(stack: Stack) -> None:
    pattern(stack)
    assert destination(stack)["BufferingHints"] == {"SizeInMBs": 128, "IntervalInSeconds": 300}


def test_what_fails_is_kept_by_type_and_day(stack: Stack) -> None:
    pattern(stack, error_prefix="failed/")
    assert destination(stack)["ErrorOutputPrefix"] == (
        "failed/!{firehose:error-output-type}/day=!{timestamp:yyyy-MM-dd}/"
    )


def test_firehose_logs_what_it_cannot_deliver(stack: Stack) -> None:
    pattern(stack)
    options = destination(stack)["CloudWatchLoggingOptions"]
    assert options["Enabled"] is True
    Template.from_stack(stack).has_resource_properties(
        "AWS::Logs::LogGroup", {"RetentionInDays": 30}
    )


def test_source_records_are_backed_up_on_request(stack: Stack) -> None:
    made = pattern(stack, prefix="clicks/", back_up_source=True)
    found = destination(stack)
    assert found["S3BackupMode"] == "Enabled"
    backup = found["S3BackupConfiguration"]
    assert backup["BucketARN"] == stack.resolve(made.bucket.bucket_arn)
    assert backup["Prefix"] == "source/clicks/day=!{timestamp:yyyy-MM-dd}/"
    assert backup["CompressionFormat"] == "GZIP"
    other = Stack(App(), "Other")
    pattern(other)
    assert destination(other)["S3BackupMode"] == "Disabled"


def test_the_bucket_takes_tls_only_and_is_not_public(stack: Stack) -> None:
    pattern(stack)
    assert set(only(stack, "AWS::S3::Bucket")["PublicAccessBlockConfiguration"].values()) == {True}
    denied = [
        statement["Condition"]
        for statement in only(stack, "AWS::S3::BucketPolicy")["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Deny"
    ]
    assert {"Bool": {"aws:SecureTransport": "false"}} in denied
    assert {"NumericLessThan": {"s3:TlsVersion": 1.2}} in denied


def test_old_objects_become_cheaper_and_none_but_source_records_expire(stack: Stack) -> None:
    pattern(stack)
    rules = only(stack, "AWS::S3::Bucket")["LifecycleConfiguration"]["Rules"]
    assert [rule.get("Prefix") for rule in rules if "ExpirationInDays" in rule] == ["source/"]
    assert {"StorageClass": "INTELLIGENT_TIERING", "TransitionInDays": 30} in [
        transition for rule in rules for transition in rule.get("Transitions", [])
    ]
    assert any("AbortIncompleteMultipartUpload" in rule for rule in rules)


def test_what_is_new_outlives_the_stack_unless_it_is_told_otherwise(stack: Stack) -> None:
    pattern(stack)
    pattern(stack, "Demo", removal_policy=RemovalPolicy.DESTROY)
    for kind in ("AWS::Kinesis::Stream", "AWS::S3::Bucket"):
        found = Template.from_stack(stack).find_resources(kind)
        policies = {resource["DeletionPolicy"] for resource in found.values()}
        assert policies == {"Retain", "Delete"}
    Template.from_stack(stack).resource_count_is("Custom::S3AutoDeleteObjects", 1)


# Rights and keys


def test_firehose_may_do_this_and_nothing_else(stack: Stack) -> None:
    made = pattern(stack, columns=COLUMNS)
    assert actions(stack, made) == {
        "kinesis:DescribeStream",
        "kinesis:GetRecords",
        "kinesis:GetShardIterator",
        "kinesis:ListShards",
        "lambda:InvokeFunction",
        "s3:AbortMultipartUpload",
        "s3:GetBucketLocation",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:ListBucketMultipartUploads",
        "s3:PutObject",
        "glue:GetTable",
        "glue:GetTableVersion",
        "glue:GetTableVersions",
        "logs:PutLogEvents",
    }
    assert not [s for s in statements(stack, made) if s["Resource"] == "*"]


def test_firehose_writes_below_this_patterns_folders_alone(stack: Stack) -> None:
    made = pattern(stack, prefix="clicks/", error_prefix="errors/clicks/", back_up_source=True)
    (written,) = [
        statement["Resource"]
        for statement in statements(stack, made)
        if "s3:PutObject" in statement["Action"]
    ]
    assert [resource["Fn::Join"][1][-1] for resource in written] == [
        "/clicks/*",
        "/errors/clicks/*",
        "/source/clicks/*",
    ]


def test_only_firehose_of_this_account_takes_the_role(stack: Stack) -> None:
    made = pattern(stack)
    Template.from_stack(stack).has_resource_properties(
        "AWS::IAM::Role",
        {
            "AssumeRolePolicyDocument": {
                "Statement": [
                    {
                        "Action": "sts:AssumeRole",
                        "Effect": "Allow",
                        "Principal": {"Service": "firehose.amazonaws.com"},
                        "Condition": {
                            "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
                        },
                    }
                ]
            }
        },
    )
    assert made.role.role_arn


def test_delivery_waits_for_its_rights_and_its_table(stack: Stack) -> None:
    pattern(stack, columns=COLUMNS)
    rendered = Template.from_stack(stack)
    (delivery,) = rendered.find_resources("AWS::KinesisFirehose::DeliveryStream").values()
    for kind in ("AWS::Glue::Table", "AWS::IAM::Role"):
        assert set(delivery["DependsOn"]) & set(rendered.find_resources(kind)), kind
    policies = rendered.find_resources("AWS::IAM::Policy")
    assert set(delivery["DependsOn"]) & set(policies)


def test_everything_is_encrypted(stack: Stack) -> None:
    pattern(stack)
    assert only(stack, "AWS::Kinesis::Stream")["StreamEncryption"] == {
        "EncryptionType": "KMS",
        "KeyId": "alias/aws/kinesis",
    }
    encryption = only(stack, "AWS::S3::Bucket")["BucketEncryption"]
    (rule,) = encryption["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}


def test_a_customer_key_encrypts_stream_and_bucket_and_firehose_may_use_it(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    made = pattern(stack, encryption_key=key)
    arn = stack.resolve(key.key_arn)
    assert only(stack, "AWS::Kinesis::Stream")["StreamEncryption"]["KeyId"] == arn
    (rule,) = only(stack, "AWS::S3::Bucket")["BucketEncryption"][
        "ServerSideEncryptionConfiguration"
    ]
    assert rule["ServerSideEncryptionByDefault"]["KMSMasterKeyID"] == arn
    assert rule["BucketKeyEnabled"] is True
    allowed = [s["Action"] for s in statements(stack, made) if s["Resource"] == arn]
    assert {
        action for some in allowed for action in ([some] if isinstance(some, str) else some)
    } == {
        "kms:Decrypt",
        "kms:GenerateDataKey",
    }


def test_grants_let_write_the_stream_and_read_the_lake(stack: Stack) -> None:
    made = pattern(stack, columns=COLUMNS)
    shop = iam.Role(stack, "Shop", assumed_by=iam.AccountRootPrincipal())
    analyst = iam.Role(stack, "Analyst", assumed_by=iam.AccountRootPrincipal())
    made.grant_write(shop)
    made.grant_read(analyst)
    for role, action in ((shop, "kinesis:PutRecords"), (analyst, "glue:GetTable")):
        Template.from_stack(stack).has_resource_properties(
            "AWS::IAM::Policy",
            {
                "PolicyDocument": {
                    "Statement": Match.array_with(
                        [Match.object_like({"Action": Match.array_with([action])})]
                    )
                },
                "Roles": [stack.resolve(role.role_name)],
            },
        )
    text = json.dumps(Template.from_stack(stack).to_json())
    assert "/data/*" in text


def test_a_reader_in_another_stack_may_read_the_schema_of_this_one() -> None:
    """``AWS::StackId`` there would be that stack's own: no database would have such a name."""
    app = App()
    stack, other = Stack(app, "Stack"), Stack(app, "Other")
    reader = iam.Role(other, "Reader", assumed_by=iam.AccountRootPrincipal())
    pattern(stack, columns=COLUMNS).grant_read(reader)
    policy = json.dumps(only(other, "AWS::IAM::Policy"))
    assert "glue:GetTable" in policy
    assert "AWS::StackId" not in policy


# Alarms


def test_every_alarm_watches_the_right_resource(stack: Stack) -> None:
    transform = function(stack)
    topic = sns.Topic(stack, "Topic")
    made = pattern(stack, transform=transform, alarm_actions=[cloudwatch_actions.SnsAction(topic)])
    stream = ("StreamName", stack.resolve(made.stream.stream_name))
    called = ("FunctionName", stack.resolve(transform.function_name))
    expected = {
        "GetRecords.IteratorAgeMilliseconds": (stream, 900_000, 15),
        "WriteProvisionedThroughputExceeded": (stream, 0, 5),
        "ReadProvisionedThroughputExceeded": (stream, 0, 5),
        "PutRecords.FailedRecords": (stream, 0, 5),
        "Errors": (called, 0, 3),
        "Throttles": (called, 0, 5),
        "Duration": (called, 48_000, 15),
        "DeliveryToS3.DataFreshness": (
            ("DeliveryStreamName", stack.resolve(made.delivery_stream.ref)),
            900,
            5,
        ),
        "PutRequests": (("BucketName", stack.resolve(made.bucket.bucket_name)), 0, 1),
    }
    assert len(made.alarms) == len(expected)
    for metric, ((name, value), threshold, evaluations) in expected.items():
        Template.from_stack(stack).has_resource_properties(
            "AWS::CloudWatch::Alarm",
            {
                "MetricName": metric,
                "Dimensions": Match.array_with([{"Name": name, "Value": value}]),
                "Threshold": threshold,
                "EvaluationPeriods": evaluations,
                "ComparisonOperator": "GreaterThanThreshold",
                "TreatMissingData": "notBreaching",
                "AlarmDescription": Match.any_value(),
                "AlarmActions": [stack.resolve(topic.topic_arn)],
            },
        )


def test_anything_below_the_error_prefix_raises_an_alarm(stack: Stack) -> None:
    pattern(stack, error_prefix="failed/")
    (metrics,) = only(stack, "AWS::S3::Bucket")["MetricsConfigurations"]
    assert metrics["Prefix"] == "failed/"
    Template.from_stack(stack).has_resource_properties(
        "AWS::CloudWatch::Alarm",
        {
            "MetricName": "PutRequests",
            "Dimensions": Match.array_with([{"Name": "FilterId", "Value": metrics["Id"]}]),
        },
    )


def test_the_age_that_raises_an_alarm_follows_the_buffer(stack: Stack) -> None:
    pattern(stack, buffering_interval=Duration.seconds(800))
    Template.from_stack(stack).has_resource_properties(
        "AWS::CloudWatch::Alarm",
        {"MetricName": "DeliveryToS3.DataFreshness", "Threshold": 1600},
    )


# Bring your own


def test_a_stream_and_a_bucket_of_the_users_are_used_as_they_are(stack: Stack) -> None:
    stream, bucket = kinesis.Stream(stack, "OwnStream"), s3.Bucket(stack, "OwnBucket")
    made = pattern(stack, stream=stream, bucket=bucket)
    assert (made.stream, made.bucket) == (stream, bucket)
    Template.from_stack(stack).resource_count_is("AWS::Kinesis::Stream", 1)
    Template.from_stack(stack).resource_count_is("AWS::S3::Bucket", 1)
    assert len(made.alarms) == 9


def test_keys_of_the_users_stream_and_bucket_may_be_used(stack: Stack) -> None:
    keys = [kms.Key(stack, name) for name in ("One", "Two")]
    stream = kinesis.Stream(
        stack, "Own", encryption=kinesis.StreamEncryption.KMS, encryption_key=keys[0]
    )
    bucket = s3.Bucket(stack, "Lake", encryption_key=keys[1])
    made = pattern(stack, stream=stream, bucket=bucket)
    usable = [s["Resource"] for s in statements(stack, made) if "kms" in json.dumps(s["Action"])]
    assert usable == [stack.resolve(key.key_arn) for key in keys]


def test_an_imported_bucket_is_used_with_a_warning_that_no_alarm_watches_it(stack: Stack) -> None:
    bucket = s3.Bucket.from_bucket_name(stack, "Imported", "lake")
    made = pattern(stack, bucket=bucket)
    assert len(made.alarms) == 8
    Annotations.from_stack(stack).has_warning(
        "*", Match.string_like_regexp("bucket is imported.*errors/")
    )


def test_an_imported_transform_is_used_with_a_warning_of_what_cannot_be_checked(
    stack: Stack,
) -> None:
    transform = lambda_.Function.from_function_attributes(
        stack,
        "Imported",
        function_arn="arn:aws:lambda:us-east-1:111111111111:function:transform",
        same_environment=True,
    )
    made = pattern(stack, transform=transform)
    assert len(made.alarms) == 8
    Annotations.from_stack(stack).has_warning("*", Match.string_like_regexp("5 minutes"))


@pytest.mark.parametrize(
    "settings",
    [{"shard_count": 2}, {"retention_period": Duration.days(2)}],
    ids=lambda settings: next(iter(settings)),
)
def test_own_stream_with_stream_settings_is_refused(stack: Stack, settings: dict[str, Any]) -> None:
    stream = kinesis.Stream(stack, "Own")
    with pytest.raises(ValueError, match=f"stream was given together with {next(iter(settings))}"):
        pattern(stack, stream=stream, **settings)


def test_own_bucket_with_bucket_settings_is_refused(stack: Stack) -> None:
    with pytest.raises(ValueError, match="bucket was given together with lifecycle_rules"):
        pattern(stack, bucket=s3.Bucket(stack, "Own"), lifecycle_rules=[])


def test_a_key_or_a_removal_policy_with_nothing_new_is_refused(stack: Stack) -> None:
    own = {"stream": kinesis.Stream(stack, "Stream"), "bucket": s3.Bucket(stack, "Bucket")}
    for settings in (
        {"encryption_key": kms.Key(stack, "Key")},
        {"removal_policy": RemovalPolicy.DESTROY},
    ):
        name = next(iter(settings))
        with pytest.raises(ValueError, match=f"given together with {name}"):
            pattern(stack, name, **own, **settings)
    assert pattern(stack, "One", stream=own["stream"], removal_policy=RemovalPolicy.DESTROY)


def test_a_database_without_a_table_is_refused(stack: Stack) -> None:
    with pytest.raises(ValueError, match="without columns there is no table"):
        pattern(stack, database_name="shop")


def test_two_instances_fit_in_one_stack(stack: Stack) -> None:
    first = pattern(stack, "First", columns=COLUMNS)
    pattern(stack, "Second", columns=COLUMNS)
    pattern(stack, "Third", bucket=first.bucket, prefix="third/", error_prefix="failed/third/")
    Template.from_stack(stack).resource_count_is("AWS::KinesisFirehose::DeliveryStream", 3)
    buckets = Template.from_stack(stack).find_resources("AWS::S3::Bucket").values()
    shared = next(b for b in buckets if len(b["Properties"]["MetricsConfigurations"]) == 2)
    ids = {metrics["Id"] for metrics in shared["Properties"]["MetricsConfigurations"]}
    assert len(ids) == 2


# Configurations that plain CDK accepts and that would fail or lose events


def refused(stack: Stack, message: str, **settings: Any) -> None:
    with pytest.raises(ValueError, match=message):
        pattern(stack, **settings)


@pytest.mark.parametrize(("seconds", "accepted"), [(300, True), (301, False), (900, False)])
def test_a_transform_that_firehose_does_not_wait_for_is_refused(
    stack: Stack, seconds: int, accepted: bool
) -> None:
    transform = function(stack, timeout=Duration.seconds(seconds))
    if accepted:
        assert pattern(stack, transform=transform)
    else:
        refused(stack, f"may run for {seconds} s.*at most 300 s", transform=transform)


def test_the_timeout_of_the_function_behind_an_alias_counts(stack: Stack) -> None:
    alias = function(stack, timeout=Duration.minutes(6)).add_alias("live")
    refused(stack, "may run for 360 s", transform=alias)


@pytest.mark.parametrize(
    ("kibibytes", "accepted"),
    [(204, False), (205, True), (3 * 1024, True), (3 * 1024 + 1, False), (10 * 1024, False)],
)
def test_a_batch_that_does_not_fit_a_call_is_refused(
    stack: Stack, kibibytes: int, accepted: bool
) -> None:
    size = Size.kibibytes(kibibytes)
    if accepted:
        assert pattern(stack, transform_buffering_size=size)
    else:
        refused(stack, r"allowed is 0.2 to 3 MiB", transform_buffering_size=size)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"buffering_size": Size.mebibytes(129)}, "allowed is 1 to 128 MiB"),
        ({"buffering_size": Size.kibibytes(1023)}, "allowed is 1 to 128 MiB"),
        ({"buffering_size": Size.kibibytes(1536)}, "whole mebibytes"),
        (
            {"buffering_size": Size.mebibytes(63), "columns": COLUMNS},
            "allowed is 64 to 128 MiB with columns",
        ),
        (
            {"buffering_size": Size.mebibytes(63), "partition_keys": ["country"]},
            "allowed is 64 to 128 MiB with partition_keys",
        ),
        ({"buffering_interval": Duration.seconds(901)}, "allowed is 0 to 900 s"),
        (
            {"buffering_interval": Duration.seconds(59), "partition_keys": ["country"]},
            "allowed is 60 to 900 s with partition_keys",
        ),
        ({"transform_buffering_interval": Duration.seconds(901)}, "allowed is 0 to 900 s"),
        ({"transform_retries": 301}, "allowed is 0 to 300"),
        ({"transform_retries": -1}, "allowed is 0 to 300"),
        ({"shard_count": 0}, "allowed is 1 or more"),
        ({"retention_period": Duration.hours(23)}, "24 hours to 365 days"),
        ({"retention_period": Duration.days(366)}, "24 hours to 365 days"),
        ({"retention_period": Duration.minutes(24 * 60 + 1)}, "whole hours"),
        ({"max_data_age": Duration.minutes(5)}, "would ring all the time"),
    ],
)
def test_what_firehose_or_kinesis_would_refuse_is_refused(
    stack: Stack, settings: dict[str, Any], message: str
) -> None:
    refused(stack, message, **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"buffering_size": Size.mebibytes(1)},
        {"buffering_size": Size.mebibytes(128), "buffering_interval": Duration.seconds(900)},
        {"buffering_size": Size.mebibytes(64), "columns": COLUMNS},
        {"buffering_size": Size.mebibytes(64), "partition_keys": ["country"]},
        {"buffering_interval": Duration.seconds(0)},
        {"buffering_interval": Duration.seconds(60), "partition_keys": ["country"]},
        {"transform_retries": 300},
        {"shard_count": 1},
        {"retention_period": Duration.hours(24)},
        {"retention_period": Duration.days(365)},
        {"max_data_age": Duration.seconds(301)},
    ],
)
def test_what_is_just_allowed_is_accepted(stack: Stack, settings: dict[str, Any]) -> None:
    assert pattern(stack, **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"prefix": "data"},
        {"prefix": "/data/"},
        {"prefix": "data//"},
        {"prefix": ""},
        {"error_prefix": "errors/!{firehose:error-output-type}/"},
        {"prefix": "clïcks/"},
    ],
)
def test_a_prefix_that_is_no_folder_is_refused(stack: Stack, settings: dict[str, Any]) -> None:
    refused(stack, f"{next(iter(settings))} is .*allowed is a folder", **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"prefix": "data/", "error_prefix": "data/errors/"},
        {"prefix": "errors/clicks/", "error_prefix": "errors/"},
        {"prefix": "data/", "error_prefix": "data/"},
        {"error_prefix": "source/", "back_up_source": True},
    ],
)
def test_errors_that_a_query_would_read_as_data_are_refused(
    stack: Stack, settings: dict[str, Any]
) -> None:
    refused(stack, "would be read as part of the other", **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"columns": {}}, "columns is empty"),
        ({"columns": {"ClickId": "string"}}, "fold names to lower case"),
        ({"columns": {"click-id": "string"}}, "fold names to lower case"),
        ({"columns": {"day": "string"}}, "already as a partition"),
        (
            {"columns": {"country": "string"}, "partition_keys": ["country"]},
            "country.*already as a partition",
        ),
        ({"partition_keys": ["Country"]}, "fold names to lower case"),
        ({"partition_keys": ["day"]}, "the day of arrival already"),
        ({"partition_keys": ["a", "a"]}, "each may be there once"),
    ],
)
def test_a_table_that_athena_would_not_read_is_refused(
    stack: Stack, settings: dict[str, Any], message: str
) -> None:
    refused(stack, message, **settings)


@pytest.mark.parametrize(("reserved", "accepted"), [(0, False), (1, True)])
def test_a_transform_that_may_not_run_is_refused(
    stack: Stack, reserved: int, accepted: bool
) -> None:
    transform = function(stack, reserved_concurrent_executions=reserved).add_alias("live")
    if accepted:
        assert pattern(stack, transform=transform)
    else:
        refused(stack, "transform reserves 0 concurrent.*error prefix", transform=transform)


def test_a_disabled_key_is_refused(stack: Stack) -> None:
    key = kms.Key(stack, "Key", enabled=False)
    refused(stack, "encryption_key is Stack/Key, which is disabled", encryption_key=key)


def test_a_stream_or_bucket_with_a_disabled_key_is_refused(stack: Stack) -> None:
    key = kms.Key(stack, "Key", enabled=False)
    kind = kinesis.StreamEncryption.KMS
    stream = kinesis.Stream(stack, "Stream", encryption=kind, encryption_key=key)
    refused(stack, "key of Stack/Stream is Stack/Key, which is disabled", stream=stream)
    bucket = s3.Bucket(stack, "Bucket", encryption_key=key)
    with pytest.raises(ValueError, match="key of Stack/Bucket is Stack/Key, which is disabled"):
        pattern(stack, "Other", bucket=bucket)


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize(("seconds", "accepted"), [(86_399, True), (86_400, False)])
def test_an_alarm_on_records_that_are_gone_by_then_is_refused(
    stack: Stack, own: bool, seconds: int, accepted: bool
) -> None:
    settings: dict[str, Any] = (
        {"stream": kinesis.Stream(stack, "Own")} if own else {"retention_period": Duration.days(1)}
    )
    age = Duration.seconds(seconds)
    if accepted:
        assert pattern(stack, max_data_age=age, **settings)
    else:
        refused(stack, "max_data_age is 86400 s.*for 86400 s", max_data_age=age, **settings)


def test_a_batch_that_only_deployment_knows_reaches_firehose(stack: Stack) -> None:
    seconds = CfnParameter(stack, "Seconds", type="Number", default=60).value_as_number
    mebibytes = CfnParameter(stack, "Mebibytes", type="Number", default=1).value_as_number
    pattern(
        stack,
        transform_buffering_interval=Duration.seconds(seconds),
        transform_buffering_size=Size.mebibytes(mebibytes),
    )
    found = processor(stack)
    assert found["BufferIntervalInSeconds"] == {"Ref": "Seconds"}
    assert found["BufferSizeInMBs"] == {"Ref": "Mebibytes"}


def test_a_folder_that_only_deployment_knows_is_accepted(stack: Stack) -> None:
    folder = CfnParameter(stack, "Folder", default="clicks/").value_as_string
    pattern(stack, prefix=folder, back_up_source=True)
    assert destination(stack)["Prefix"] == {
        "Fn::Join": ["", [{"Ref": "Folder"}, "day=!{timestamp:yyyy-MM-dd}/"]]
    }


# What is imported is used with a warning of what it needs


STREAM_ARN = "arn:aws:kinesis:us-east-1:111111111111:stream/theirs"


def test_an_imported_stream_is_told_how_long_it_must_keep_records(stack: Stack) -> None:
    stream = kinesis.Stream.from_stream_arn(stack, "Theirs", STREAM_ARN)
    made = pattern(stack, stream=stream, max_data_age=Duration.minutes(20))
    assert len(made.alarms) == 9
    Annotations.from_stack(stack).has_warning(
        "/Stack/Theirs",
        Match.string_like_regexp("longer than max_data_age, 20 minutes.*from_stream_attributes"),
    )


def test_what_is_imported_with_its_key_is_not_asked_for_it(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    stream = kinesis.Stream.from_stream_attributes(
        stack, "Stream", stream_arn=STREAM_ARN, encryption_key=key
    )
    bucket = s3.Bucket.from_bucket_attributes(
        stack, "Bucket", bucket_name="lake", encryption_key=key
    )
    made = pattern(stack, stream=stream, bucket=bucket)
    warnings = Annotations.from_stack(stack)
    warnings.has_warning("*", Match.string_like_regexp("bucket is imported"))
    warnings.has_no_warning("*", Match.string_like_regexp("customer key"))
    assert {"kms:Decrypt", "kms:GenerateDataKey"} <= actions(stack, made)


def test_an_imported_bucket_is_asked_for_its_key(stack: Stack) -> None:
    pattern(stack, bucket=s3.Bucket.from_bucket_name(stack, "Theirs", "lake"))
    Annotations.from_stack(stack).has_warning(
        "/Stack/Theirs", Match.string_like_regexp("customer key.*from_bucket_attributes")
    )


def test_an_imported_transform_is_told_that_it_must_be_able_to_run(stack: Stack) -> None:
    transform = lambda_.Function.from_function_name(stack, "Theirs", "transform")
    pattern(stack, transform=transform)
    Annotations.from_stack(stack).has_warning(
        "/Stack/Theirs", Match.string_like_regexp("at most 5 minutes.*reserve 0")
    )
