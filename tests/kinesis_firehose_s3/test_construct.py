"""The promises of the construct that the template alone can show."""

from __future__ import annotations

import functools
import json
import re
from contextlib import nullcontext
from typing import Any

import pytest
from aws_cdk import App, CfnParameter, Duration, Size, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Annotations, Match, Template

from serverless_patterns.patterns.kinesis_firehose_s3.construct import (
    Alarms,
    Buffering,
    Lake,
    Table,
    Transform,
)
from tests import inline
from tests.kinesis_firehose_s3.builds import COLUMNS, make

TABLE = Table(COLUMNS)
COUNTRY = ["country"]


class Made:
    """A stack with the construct, and what is in its template."""

    def __init__(self, stack: Stack | None = None, **settings: Any) -> None:
        self.stack = stack or Stack(App(), "Stack")
        self.made = make(self.stack, **settings)

    @functools.cached_property
    def resources(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = Template.from_stack(self.stack).to_json()["Resources"]
        return found

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        return {name: r for name, r in self.resources.items() if r["Type"] == f"AWS::{kind}"}

    def only(self, kind: str) -> dict[str, Any]:
        (resource,) = self.of(kind).values()
        properties: dict[str, Any] = resource["Properties"]
        return properties

    @property
    def destination(self) -> dict[str, Any]:
        found: dict[str, Any] = self.only("KinesisFirehose::DeliveryStream")[
            "ExtendedS3DestinationConfiguration"
        ]
        return found

    @property
    def processor(self) -> dict[str, Any]:
        (found,) = self.destination["ProcessingConfiguration"]["Processors"]
        return {p["ParameterName"]: p["ParameterValue"] for p in found["Parameters"]}

    @property
    def statements(self) -> list[tuple[set[str], Any]]:
        """What Firehose's role may do: actions and resources."""
        role = [self.stack.resolve(self.made.role.role_name)]
        policies = [p["Properties"] for p in self.of("IAM::Policy").values()]
        (document,) = [p["PolicyDocument"] for p in policies if p["Roles"] == role]
        listed = [(s["Action"], s["Resource"]) for s in document["Statement"]]
        return [({one} if isinstance(one, str) else set(one), where) for one, where in listed]

    @property
    def actions(self) -> set[str]:
        return {action for actions, _ in self.statements for action in actions}

    def alarm(self, metric: str) -> dict[str, Any]:
        alarms = [alarm["Properties"] for alarm in self.of("CloudWatch::Alarm").values()]
        found: dict[str, Any] = next(a for a in alarms if a["MetricName"] == metric)
        return found

    def warns(self, path: str, text: str) -> bool:
        expected = Match.string_like_regexp(text)
        return bool(Annotations.from_stack(self.stack).find_warning(path, expected))


@pytest.fixture(scope="module")
def plain() -> Made:
    return Made()


@pytest.fixture(scope="module")
def parquet() -> Made:
    return Made(lake=Lake("clicks/", "failed/clicks/", table=TABLE, keep_source=True))


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Stack")


def function(stack: Stack, **settings: Any) -> lambda_.Function:
    return inline.function(stack, "Function", **{"timeout": Duration.seconds(60)} | settings)


# The stream and the transform


def test_firehose_reads_this_stream(plain: Made) -> None:
    properties = plain.only("KinesisFirehose::DeliveryStream")
    assert properties["DeliveryStreamType"] == "KinesisStreamAsSource"
    assert properties["KinesisStreamSourceConfiguration"] == {
        "KinesisStreamARN": plain.stack.resolve(plain.made.stream.stream_arn),
        "RoleARN": plain.stack.resolve(plain.made.role.role_arn),
    }


def test_the_transform_sees_every_record_in_batches_that_fit_a_call(plain: Made) -> None:
    parameters = plain.processor
    (name,) = plain.of("Lambda::Function")
    assert parameters["LambdaArn"] == {"Fn::GetAtt": [name, "Arn"]}
    assert (parameters["BufferSizeInMBs"], parameters["BufferIntervalInSeconds"]) == ("1", "60")


def test_a_failed_batch_is_tried_again_before_it_is_kept(plain: Made) -> None:
    assert plain.processor["NumberOfRetries"] == "3"


def test_a_batch_may_be_a_part_of_a_mebibyte(stack: Stack) -> None:
    transform = Transform(function(stack), Size.kibibytes(512), Duration.seconds(0), retries=0)
    parameters = Made(stack, transform=transform).processor
    assert parameters["BufferSizeInMBs"] == "0.5"
    assert (parameters["BufferIntervalInSeconds"], parameters["NumberOfRetries"]) == ("0", "0")


def test_an_alias_transforms_in_place_of_its_function(stack: Stack) -> None:
    alias = function(stack).add_alias("live")
    made = Made(stack, transform=alias)
    assert made.processor["LambdaArn"] == stack.resolve(alias.function_arn)


# The lake


def test_with_columns_the_lake_is_parquet_by_the_table(parquet: Made) -> None:
    conversion = parquet.destination["DataFormatConversionConfiguration"]
    assert conversion["Enabled"] is True
    assert conversion["OutputFormatConfiguration"]["Serializer"] == {
        "ParquetSerDe": {"Compression": "SNAPPY"}
    }
    schema = conversion["SchemaConfiguration"]
    assert schema["TableName"] == parquet.made.table.table_name == "events"
    assert schema["DatabaseName"] == parquet.stack.resolve(parquet.made.table.database_name)
    assert parquet.destination["CompressionFormat"] == "UNCOMPRESSED"


def test_the_schema_is_given_once_and_athena_finds_new_days_by_itself(parquet: Made) -> None:
    table = parquet.only("Glue::Table")["TableInput"]
    storage = table["StorageDescriptor"]
    assert {c["Name"]: c["Type"] for c in storage["Columns"]} == COLUMNS
    assert table["PartitionKeys"] == [{"Name": "day", "Type": "string"}]
    bucket = parquet.stack.resolve(parquet.made.bucket.bucket_name)
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
    assert parquet.destination["Prefix"] == "clicks/day=!{timestamp:yyyy-MM-dd}/"


def test_the_database_is_unique_to_the_stack_and_has_a_name_athena_takes(parquet: Made) -> None:
    name = parquet.only("Glue::Database")["DatabaseInput"]["Name"]
    assert "AWS::StackId" in json.dumps(name)
    separator, (path, _) = name["Fn::Join"]
    assert re.fullmatch(r"[a-z0-9_]+", separator + path)


def test_your_own_database_gets_the_table() -> None:
    made = Made(lake=Lake(table=Table(COLUMNS, database_name="shop")))
    assert not made.of("Glue::Database")
    table = made.only("Glue::Table")
    assert table["DatabaseName"] == "shop"
    assert re.fullmatch(r"stack_pattern_lake_[0-9a-f]{8}", table["TableInput"]["Name"])


def test_without_columns_the_lake_is_compressed_json_lines(plain: Made) -> None:
    found = plain.destination
    assert (found["CompressionFormat"], found["FileExtension"]) == ("GZIP", ".jsonl.gz")
    assert "DataFormatConversionConfiguration" not in found
    assert not plain.of("Glue::Table")
    with pytest.raises(ValueError, match=r"no table.*Give the lake a table"):
        _ = plain.made.table


def test_partition_keys_of_the_transform_become_folders() -> None:
    made = Made(lake=Lake(table=TABLE, partition_keys=["country", "device"]))
    assert made.destination["DynamicPartitioningConfiguration"] == {"Enabled": True}
    assert made.destination["Prefix"] == (
        "data/country=!{partitionKeyFromLambda:country}/"
        "device=!{partitionKeyFromLambda:device}/day=!{timestamp:yyyy-MM-dd}/"
    )
    table = made.only("Glue::Table")["TableInput"]
    assert [key["Name"] for key in table["PartitionKeys"]] == ["country", "device", "day"]
    assert table["Parameters"]["projection.country.type"] == "injected"
    template = json.dumps(table["Parameters"]["storage.location.template"])
    assert "country=${country}/device=${device}/day=${day}" in template


def test_the_buffers_are_as_large_as_they_may_be(plain: Made) -> None:
    assert plain.destination["BufferingHints"] == {"SizeInMBs": 128, "IntervalInSeconds": 300}


def test_what_fails_is_kept_by_type_and_day(parquet: Made) -> None:
    assert parquet.destination["ErrorOutputPrefix"] == (
        "failed/clicks/!{firehose:error-output-type}/day=!{timestamp:yyyy-MM-dd}/"
    )


def test_firehose_logs_what_it_cannot_deliver(plain: Made) -> None:
    assert plain.destination["CloudWatchLoggingOptions"]["Enabled"] is True
    assert plain.only("Logs::LogGroup")["RetentionInDays"] == 30


def test_source_records_are_backed_up_on_request(plain: Made, parquet: Made) -> None:
    assert plain.destination["S3BackupMode"] == "Disabled"
    assert parquet.destination["S3BackupMode"] == "Enabled"
    backup = parquet.destination["S3BackupConfiguration"]
    assert backup["BucketARN"] == parquet.stack.resolve(parquet.made.bucket.bucket_arn)
    assert backup["Prefix"] == "source/clicks/day=!{timestamp:yyyy-MM-dd}/"
    assert backup["CompressionFormat"] == "GZIP"


# Permissions and keys


def test_firehose_may_do_this_and_nothing_else(parquet: Made) -> None:
    allowed = {
        "kinesis": "DescribeStream GetRecords GetShardIterator ListShards",
        "lambda": "InvokeFunction",
        "s3": "AbortMultipartUpload GetBucketLocation GetObject ListBucket "
        "ListBucketMultipartUploads PutObject",
        "glue": "GetTable GetTableVersion GetTableVersions",
        "logs": "PutLogEvents",
    }
    assert parquet.actions == {
        f"{service}:{action}" for service, names in allowed.items() for action in names.split()
    }
    assert "*" not in [resource for _, resource in parquet.statements]


def test_firehose_writes_below_this_patterns_folders_alone(parquet: Made) -> None:
    (written,) = [where for actions, where in parquet.statements if "s3:PutObject" in actions]
    folders = ["/clicks/*", "/failed/clicks/*", "/source/clicks/*"]
    assert [resource["Fn::Join"][1][-1] for resource in written] == folders


def test_only_firehose_of_this_account_takes_the_role(plain: Made) -> None:
    account = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    roles = [role["Properties"] for role in plain.of("IAM::Role").values()]
    (trusted,) = (
        role["AssumeRolePolicyDocument"]["Statement"]
        for role in roles
        if "firehose" in json.dumps(role)
    )
    service = {"Service": "firehose.amazonaws.com"}
    assert trusted == [
        {"Action": "sts:AssumeRole", "Effect": "Allow", "Principal": service, "Condition": account}
    ]


def test_delivery_waits_for_its_rights_and_its_table(parquet: Made) -> None:
    (delivery,) = parquet.of("KinesisFirehose::DeliveryStream").values()
    for kind in ("Glue::Table", "IAM::Role", "IAM::Policy"):
        assert set(delivery["DependsOn"]) & set(parquet.of(kind)), kind


def test_a_customer_key_encrypts_stream_and_bucket_and_firehose_may_use_it(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    made, arn = Made(stack, encryption_key=key), stack.resolve(key.key_arn)
    assert made.only("Kinesis::Stream")["StreamEncryption"]["KeyId"] == arn
    encryption = made.only("S3::Bucket")["BucketEncryption"]
    (rule,) = encryption["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["KMSMasterKeyID"] == arn
    assert rule["BucketKeyEnabled"] is True
    allowed = [actions for actions, where in made.statements if where == arn]
    assert set.union(*allowed) == {"kms:Decrypt", "kms:GenerateDataKey"}


def test_grants_let_write_the_stream_and_read_the_lake(stack: Stack) -> None:
    made = Made(stack, lake=Lake(table=TABLE))
    roles = [iam.Role(stack, name, assumed_by=iam.AccountRootPrincipal()) for name in "AB"]
    made.made.grant_write(roles[0])
    made.made.grant_read(roles[1])
    policies = [p["Properties"] for p in made.of("IAM::Policy").values()]
    shop, analyst = (
        json.dumps([p for p in policies if p["Roles"] == [stack.resolve(role.role_name)]])
        for role in roles
    )
    assert "kinesis:PutRecords" in shop
    assert "s3:" not in shop
    assert "glue:GetTable" in analyst
    assert "/data/*" in analyst
    assert "kinesis:" not in analyst


def test_a_reader_in_another_stack_may_read_the_schema_of_this_one(stack: Stack) -> None:
    """``AWS::StackId`` there would be that stack's own: no database would have such a name."""
    other = Stack(App.of(stack), "Other")
    reader = iam.Role(other, "Reader", assumed_by=iam.AccountRootPrincipal())
    make(stack, lake=Lake(table=TABLE)).grant_read(reader)
    policy = json.dumps(Template.from_stack(other).find_resources("AWS::IAM::Policy"))
    assert "glue:GetTable" in policy
    assert "AWS::StackId" not in policy


# Alarms


def test_every_alarm_watches_the_right_resource(plain: Made) -> None:
    names = {
        kind: plain.stack.resolve(token)
        for kind, token in {
            "StreamName": plain.made.stream.stream_name,
            "DeliveryStreamName": plain.made.delivery_stream.ref,
            "BucketName": plain.made.bucket.bucket_name,
        }.items()
    }
    names["FunctionName"] = {"Ref": next(iter(plain.of("Lambda::Function")))}
    expected = {
        "GetRecords.IteratorAgeMilliseconds": ("StreamName", 900_000, 15),
        "WriteProvisionedThroughputExceeded": ("StreamName", 0, 5),
        "ReadProvisionedThroughputExceeded": ("StreamName", 0, 5),
        "PutRecords.FailedRecords": ("StreamName", 0, 5),
        "Errors": ("FunctionName", 0, 3),
        "Throttles": ("FunctionName", 0, 5),
        "Duration": ("FunctionName", 48_000, 15),
        "DeliveryToS3.DataFreshness": ("DeliveryStreamName", 900, 5),
        "PutRequests": ("BucketName", 0, 1),
    }
    assert len(plain.made.alarms) == len(plain.of("CloudWatch::Alarm")) == len(expected)
    for metric, (name, threshold, periods) in expected.items():
        alarm = plain.alarm(metric)
        assert {"Name": name, "Value": names[name]} in alarm["Dimensions"], metric
        assert (alarm["Threshold"], alarm["EvaluationPeriods"]) == (threshold, periods), metric
        assert alarm["ComparisonOperator"] == "GreaterThanThreshold", metric


def test_anything_below_the_error_prefix_raises_an_alarm(parquet: Made) -> None:
    (metrics,) = parquet.only("S3::Bucket")["MetricsConfigurations"]
    assert metrics["Prefix"] == "failed/clicks/"
    dimensions = parquet.alarm("PutRequests")["Dimensions"]
    assert {"Name": "FilterId", "Value": metrics["Id"]} in dimensions


@pytest.mark.parametrize(
    ("alarms", "age"), [(Alarms(), 1600), (Alarms(max_age=Duration.hours(1)), 3600)]
)
def test_the_age_that_raises_an_alarm_follows_the_buffer_or_is_yours(
    alarms: Alarms, age: int
) -> None:
    made = Made(lake=Lake(buffering=Buffering(interval=Duration.seconds(800))), alarms=alarms)
    assert made.alarm("DeliveryToS3.DataFreshness")["Threshold"] == age
    assert made.alarm("GetRecords.IteratorAgeMilliseconds")["Threshold"] == age * 1000


# Bring your own


def test_a_stream_and_a_bucket_of_your_own_are_used_as_they_are(stack: Stack) -> None:
    keys = [kms.Key(stack, name) for name in ("One", "Two")]
    encryption = kinesis.StreamEncryption.KMS
    stream = kinesis.Stream(stack, "Own", encryption=encryption, encryption_key=keys[0])
    bucket = s3.Bucket(stack, "Lake", encryption_key=keys[1])
    made = Made(stack, stream=stream, bucket=bucket)
    assert (made.made.stream, made.made.bucket) == (stream, bucket)
    assert (len(made.of("Kinesis::Stream")), len(made.of("S3::Bucket"))) == (1, 1)
    assert len(made.made.alarms) == 9
    usable = [where for actions, where in made.statements if "kms:Decrypt" in actions]
    assert usable == [stack.resolve(key.key_arn) for key in keys]


def test_lakes_share_a_bucket_with_an_alarm_each(stack: Stack) -> None:
    first = make(stack, "First")
    make(stack, "Second", bucket=first.bucket, lake=Lake("second/", "failed/"))
    (bucket,) = Template.from_stack(stack).find_resources("AWS::S3::Bucket").values()
    metrics = bucket["Properties"]["MetricsConfigurations"]
    assert {it["Prefix"] for it in metrics} == {"errors/", "failed/"}
    assert len({it["Id"] for it in metrics}) == 2


def test_an_imported_bucket_is_used_with_a_warning_that_no_alarm_watches_it(stack: Stack) -> None:
    made = Made(stack, bucket=s3.Bucket.from_bucket_name(stack, "Theirs", "lake"))
    assert len(made.made.alarms) == 8
    expected = "bucket is imported.*errors/.*customer managed key.*from_bucket_attributes"
    assert made.warns("/Stack/Theirs", expected)


def test_an_imported_transform_is_used_with_a_warning_of_what_cannot_be_checked(
    stack: Stack,
) -> None:
    transform = lambda_.Function.from_function_name(stack, "Theirs", "transform")
    made = Made(stack, transform=transform)
    assert len(made.made.alarms) == 8
    assert made.warns("/Stack/Theirs", "at most 300 s.*reserve 0")


# Configurations that plain CDK accepts and that would fail or lose events


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"table": TABLE, "size": 63}, "converts.*allowed is 64 to 128 MiB"),
        ({"table": TABLE, "size": 64}, None),
        ({"partition_keys": COUNTRY, "size": 63}, "partitions.*allowed is 64 to 128 MiB"),
        ({"partition_keys": COUNTRY, "seconds": 59}, "partitions.*allowed is 60 to 900 s"),
        ({"partition_keys": COUNTRY, "size": 64, "seconds": 60}, None),
    ],
)
def test_a_buffer_too_small_for_parquet_or_partitions_is_rejected(
    settings: dict[str, Any], message: str | None
) -> None:
    size, interval = settings.pop("size", 128), settings.pop("seconds", 300)
    buffering = Buffering(size=Size.mebibytes(size), interval=Duration.seconds(interval))
    with pytest.raises(ValueError, match=message) if message else nullcontext():
        Lake(buffering=buffering, **settings)


@pytest.mark.parametrize("prefix", ["data", "/data/", "data//", "", "a/!{firehose:x}/", "clïcks/"])
@pytest.mark.parametrize("name", ["prefix", "error_prefix"])
def test_a_prefix_that_is_no_folder_is_rejected(name: str, prefix: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} is .*allowed is a folder"):
        Lake(prefix) if name == "prefix" else Lake(error_prefix=prefix)


@pytest.mark.parametrize(
    "lake",
    [("data/", "data/errors/"), ("errors/clicks/", "errors/"), ("data/", "data/")],
    ids=" ".join,
)
def test_errors_that_a_query_would_read_as_data_are_rejected(lake: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="would also read what is stored there"):
        Lake(*lake)


def test_errors_among_the_source_records_are_rejected() -> None:
    assert Lake(error_prefix="source/")
    with pytest.raises(ValueError, match="would also read what is stored there"):
        Lake(error_prefix="source/", keep_source=True)


@pytest.mark.parametrize(
    ("columns", "partition_keys", "message"),
    [
        ({}, (), "columns is empty"),
        ({"ClickId": "string"}, (), "fold names to lower case"),
        ({"click-id": "string"}, (), "fold names to lower case"),
        ({"day": "string"}, (), "already as a partition"),
        ({"country": "string"}, COUNTRY, "country.*already as a partition"),
        (COLUMNS, ["Country"], "fold names to lower case"),
        (COLUMNS, ["day"], "the day of arrival already"),
        (COLUMNS, ["a", "a"], "each is allowed once"),
    ],
)
def test_a_table_that_athena_would_not_read_is_rejected(
    columns: dict[str, str], partition_keys: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Lake(table=Table(columns), partition_keys=partition_keys)


@pytest.mark.parametrize(
    ("age", "message"),
    [(300, "max_age is 300 s.*ring all the time"), (301, None), (604_800, "for 604800 s.*gone")],
)
def test_an_alarm_that_rings_always_or_too_late_is_rejected(
    stack: Stack, age: int, message: str | None
) -> None:
    with pytest.raises(ValueError, match=message) if message else nullcontext():
        make(stack, alarms=Alarms(max_age=Duration.seconds(age)))


# What only deployment knows


def test_a_batch_that_only_deployment_knows_reaches_firehose(stack: Stack) -> None:
    count, mebibytes, seconds = (
        CfnParameter(stack, name, type="Number", default=1).value_as_number
        for name in ("Count", "Mebibytes", "Seconds")
    )
    transform = Transform(
        function(stack), Size.mebibytes(mebibytes), Duration.seconds(seconds), int(count)
    )
    found = Made(stack, transform=transform).processor
    assert found["BufferIntervalInSeconds"] == {"Ref": "Seconds"}
    assert found["BufferSizeInMBs"] == {"Ref": "Mebibytes"}
    assert found["NumberOfRetries"] == {"Ref": "Count"}


def test_a_folder_that_only_deployment_knows_is_accepted(stack: Stack) -> None:
    folder = CfnParameter(stack, "Folder", default="clicks/").value_as_string
    made = Made(stack, lake=Lake(folder, keep_source=True))
    assert made.destination["Prefix"] == {
        "Fn::Join": ["", [{"Ref": "Folder"}, "day=!{timestamp:yyyy-MM-dd}/"]]
    }
