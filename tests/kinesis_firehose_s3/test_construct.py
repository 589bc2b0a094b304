"""The promises of the construct that the template alone can show."""

from __future__ import annotations

import functools
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, CfnParameter, Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Template

from serverless_patterns.patterns.kinesis_firehose_s3.construct import (
    Alarms,
    Buffering,
    DirectPut,
    Lake,
    NewBucket,
    NewStream,
    Raw,
    Table,
)
from tests.inline import properties, rejected, warned
from tests.kinesis_firehose_s3.builds import COLUMNS, make

if TYPE_CHECKING:
    from tests.stacks import Stacks

TABLE = Table(COLUMNS)
COUNTRY = ["country"]
DAY = "day=!{timestamp:yyyy-MM-dd}/"


class Made:
    """A stack with the construct, and what is in its template."""

    def __init__(self, stack: Stack | None = None, **settings: Any) -> None:
        self.stack = stack or Stack(App(), "Stack")
        self.made = make(self.stack, **settings)

    @functools.cached_property
    def resources(self) -> list[dict[str, Any]]:
        found: dict[str, dict[str, Any]] = Template.from_stack(self.stack).to_json()["Resources"]
        return [{"Id": name} | resource for name, resource in found.items()]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [it["Properties"] for it in self.resources if it["Type"] == f"AWS::{kind}"]

    def only(self, kind: str) -> dict[str, Any]:
        (found,) = self.of(kind)
        return found

    @property
    def destination(self) -> dict[str, Any]:
        properties = self.only("KinesisFirehose::DeliveryStream")
        found: dict[str, Any] = properties["ExtendedS3DestinationConfiguration"]
        return found

    def policy(self, role: iam.IRole) -> list[tuple[set[str], Any]]:
        """What a role may do: actions and resources."""
        name = [self.stack.resolve(role.role_name)]
        (document,) = [p["PolicyDocument"] for p in self.of("IAM::Policy") if p["Roles"] == name]
        listed = [(s["Action"], s["Resource"]) for s in document["Statement"]]
        return [({one} if isinstance(one, str) else set(one), where) for one, where in listed]


@pytest.fixture(scope="module")
def plain() -> Made:
    return Made()


@pytest.fixture(scope="module")
def parquet() -> Made:
    return Made(lake=Lake("clicks/", "failed/clicks/", table=TABLE, keep_source=True))


# The delivery


def test_firehose_reads_this_stream(plain: Made) -> None:
    properties = plain.only("KinesisFirehose::DeliveryStream")
    assert properties["DeliveryStreamType"] == "KinesisStreamAsSource"
    assert properties["KinesisStreamSourceConfiguration"] == {
        "KinesisStreamARN": plain.stack.resolve(plain.made.stream.stream_arn),
        "RoleARN": plain.stack.resolve(plain.made.role.role_arn),
    }


def test_a_failed_batch_is_retried_and_objects_are_as_large_as_allowed(plain: Made) -> None:
    (processor,) = plain.destination["ProcessingConfiguration"]["Processors"]
    told = {it["ParameterName"]: it["ParameterValue"] for it in processor["Parameters"]}
    (function,) = [it["Id"] for it in plain.resources if it["Type"] == "AWS::Lambda::Function"]
    assert told.pop("LambdaArn") == {"Fn::GetAtt": [function, "Arn"]}
    assert told.pop("RoleArn") == plain.stack.resolve(plain.made.role.role_arn)
    batch = {"BufferSizeInMBs": "1", "BufferIntervalInSeconds": "60", "NumberOfRetries": "3"}
    assert told == batch
    assert plain.destination["BufferingHints"] == {"SizeInMBs": 128, "IntervalInSeconds": 300}


def test_failed_records_are_stored_by_type_and_day_and_their_errors_logged(parquet: Made) -> None:
    prefix = "failed/clicks/!{firehose:error-output-type}/" + DAY
    assert parquet.destination["ErrorOutputPrefix"] == prefix
    assert parquet.destination["CloudWatchLoggingOptions"]["Enabled"] is True
    assert parquet.only("Logs::LogGroup")["RetentionInDays"] == 30


def test_source_records_are_stored_on_request(plain: Made, parquet: Made) -> None:
    assert plain.destination["S3BackupMode"] == "Disabled"
    assert parquet.destination["S3BackupMode"] == "Enabled"
    backup = parquet.destination["S3BackupConfiguration"]
    assert backup["BucketARN"] == parquet.stack.resolve(parquet.made.bucket.bucket_arn)
    assert backup["Prefix"] == "source/clicks/" + DAY
    assert backup["CompressionFormat"] == "GZIP"


def test_delivery_waits_for_its_permissions_and_its_table(parquet: Made) -> None:
    (waits,) = [
        it["DependsOn"] for it in parquet.resources if it["Type"].endswith("DeliveryStream")
    ]
    kinds = {it["Type"] for it in parquet.resources if it["Id"] in waits}
    assert kinds >= {"AWS::Glue::Table", "AWS::IAM::Role", "AWS::IAM::Policy"}


# The lake


def test_with_columns_the_lake_is_parquet_by_the_table_that_athena_reads(parquet: Made) -> None:
    conversion = parquet.destination["DataFormatConversionConfiguration"]
    snappy = {"ParquetSerDe": {"Compression": "SNAPPY"}}
    assert conversion["Enabled"] is True
    assert conversion["OutputFormatConfiguration"]["Serializer"] == snappy
    assert parquet.destination["CompressionFormat"] == "UNCOMPRESSED"
    schema, table = conversion["SchemaConfiguration"], parquet.only("Glue::Table")
    assert schema["TableName"] == table["TableInput"]["Name"] == "events"
    assert parquet.made.table.table_name == "events"
    name = parquet.stack.resolve(parquet.made.table.database_name)
    assert schema["DatabaseName"] == table["DatabaseName"] == name
    assert parquet.only("Glue::Database")["DatabaseInput"]["Name"] == name
    columns = table["TableInput"]["StorageDescriptor"]["Columns"]
    assert {c["Name"]: c["Type"] for c in columns} == COLUMNS


def test_athena_finds_new_days_by_itself(parquet: Made) -> None:
    table = parquet.only("Glue::Table")["TableInput"]
    assert table["TableType"] == "EXTERNAL_TABLE"
    assert table["PartitionKeys"] == [{"Name": "day", "Type": "string"}]
    bucket = parquet.stack.resolve(parquet.made.bucket.bucket_name)
    location = {"Fn::Join": ["", ["s3://", bucket, "/clicks/"]]}
    assert table["StorageDescriptor"]["Location"] == location
    assert table["Parameters"] == {
        "classification": "parquet",
        "EXTERNAL": "TRUE",
        "projection.enabled": "true",
        "projection.day.type": "date",
        "projection.day.format": "yyyy-MM-dd",
        "projection.day.range": "2020-01-01,NOW",
        "storage.location.template": {"Fn::Join": ["", ["s3://", bucket, "/clicks/day=${day}"]]},
    }
    assert parquet.destination["Prefix"] == "clicks/" + DAY


def test_partition_keys_of_the_transform_become_folders() -> None:
    made = Made(lake=Lake(table=TABLE, partition_keys=["country", "device"]))
    assert made.destination["DynamicPartitioningConfiguration"] == {"Enabled": True}
    assert made.destination["Prefix"] == (
        "data/country=!{partitionKeyFromLambda:country}/"
        "device=!{partitionKeyFromLambda:device}/" + DAY
    )
    table = made.only("Glue::Table")["TableInput"]
    assert [key["Name"] for key in table["PartitionKeys"]] == ["country", "device", "day"]
    assert table["Parameters"]["projection.country.type"] == "injected"
    template = json.dumps(table["Parameters"]["storage.location.template"])
    assert "country=${country}/device=${device}/day=${day}" in template


def test_what_firehose_cannot_change_makes_another_delivery_stream() -> None:
    def named(**settings: Any) -> str:
        kind = "AWS::KinesisFirehose::DeliveryStream"
        (found,) = [it for it in Made(lake=Lake(**settings)).resources if it["Type"] == kind]
        return str(found["Id"])

    on_and_off = [
        named(partition_keys=keys, keep_source=kept)
        for keys in ([], COUNTRY)
        for kept in (False, True)
    ]
    assert len(set(on_and_off)) == 4
    assert named(prefix="other/", table=TABLE) == on_and_off[0]
    assert named(partition_keys=["device"]) == on_and_off[2]


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


def test_orc_is_read_and_written_as_orc() -> None:
    made = Made(lake=Lake(table=Table(COLUMNS, file_format="ORC")))
    conversion = made.destination["DataFormatConversionConfiguration"]
    orc = {"OrcSerDe": {"Compression": "SNAPPY"}}
    assert conversion["OutputFormatConfiguration"]["Serializer"] == orc
    table = made.only("Glue::Table")["TableInput"]
    assert table["Parameters"]["classification"] == "orc"
    hive = "org.apache.hadoop.hive.ql.io.orc.Orc"
    stored = table["StorageDescriptor"]
    assert stored["InputFormat"] == f"{hive}InputFormat"
    assert stored["OutputFormat"] == f"{hive}OutputFormat"
    assert stored["SerdeInfo"] == {"SerializationLibrary": f"{hive}Serde"}


# Without a transform, and without a stream


NEWLINE = {"Type": "AppendDelimiterToRecord"}


@pytest.mark.parametrize(
    ("lake", "processors"),
    [(Lake(), [NEWLINE]), (Lake(table=TABLE), None), (Lake(files=Raw(file_extension=".x")), None)],
    ids=["lines", "table", "raw"],
)
def test_without_a_transform_records_are_stored_as_they_come(
    stack: Stack, lake: Lake, processors: Any
) -> None:
    made = Made(stack, transform=None, lake=lake)
    assert not made.of("Lambda::Function")
    found = made.destination.get("ProcessingConfiguration", {}).get("Processors")
    assert found == processors
    allowed = [action for actions, _ in made.policy(made.made.role) for action in actions]
    assert not [action for action in allowed if action.startswith("lambda:")]
    assert not [it for it in made.of("CloudWatch::Alarm") if it["Namespace"] == "AWS/Lambda"]


def test_raw_records_keep_their_bytes_and_get_your_extension() -> None:
    found = Made(lake=Lake(files=Raw(file_extension=".bin"))).destination
    assert (found["CompressionFormat"], found["FileExtension"]) == ("UNCOMPRESSED", ".bin")


def test_partition_keys_that_nothing_returns_are_rejected(stack: Stack) -> None:
    with rejected("partition_keys are country, but there is no transform"):
        make(stack, transform=None, lake=Lake(partition_keys=COUNTRY))


def test_senders_put_records_into_firehose_itself_without_a_stream(stack: Stack) -> None:
    made = Made(stack, stream=DirectPut())
    sender = iam.Role(stack, "Sender", assumed_by=iam.AccountRootPrincipal())
    made.made.grant_write(sender)
    delivery = made.only("KinesisFirehose::DeliveryStream")
    assert delivery["DeliveryStreamType"] == "DirectPut"
    encrypted = {"KeyType": "AWS_OWNED_CMK"}
    assert delivery["DeliveryStreamEncryptionConfigurationInput"] == encrypted
    assert not made.of("Kinesis::Stream")
    arn = stack.resolve(made.made.delivery_stream.attr_arn)
    assert made.policy(sender) == [({"firehose:PutRecord", "firehose:PutRecordBatch"}, arn)]
    reads = [actions for actions, _ in made.policy(made.made.role)]
    assert not [action for some in reads for action in some if action.startswith("kinesis:")]
    name = {"Name": "DeliveryStreamName", "Value": stack.resolve(made.made.delivery_stream.ref)}
    (throttled,) = [it for it in made.of("CloudWatch::Alarm") if "Throttled" in it["MetricName"]]
    assert (throttled["MetricName"], throttled["Dimensions"]) == ("ThrottledRecords", [name])
    with rejected("There is no stream"):
        made.made.metric_iterator_age()


def test_a_customer_key_encrypts_what_is_put_into_firehose(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    made, arn = Made(stack, stream=DirectPut(key)), stack.resolve(key.key_arn)
    sender = iam.Role(stack, "Sender", assumed_by=iam.AccountRootPrincipal())
    made.made.grant_write(sender)
    delivery = made.only("KinesisFirehose::DeliveryStream")
    encrypted = {"KeyType": "CUSTOMER_MANAGED_CMK", "KeyARN": arn}
    assert delivery["DeliveryStreamEncryptionConfigurationInput"] == encrypted
    assert [actions for actions, where in made.policy(made.made.role) if where == arn]
    used = [actions for actions, where in made.policy(sender) if where == arn]
    assert used == [{"kms:Decrypt", "kms:GenerateDataKey"}], "Firehose looks at it in each call"


# Permissions and keys


def test_firehose_may_do_this_and_nothing_else(parquet: Made) -> None:
    allowed = (
        "kinesis:DescribeStream kinesis:GetRecords kinesis:GetShardIterator kinesis:ListShards "
        "lambda:InvokeFunction s3:AbortMultipartUpload s3:GetBucketLocation s3:GetObject "
        "s3:ListBucket s3:ListBucketMultipartUploads s3:PutObject glue:GetTable "
        "glue:GetTableVersion glue:GetTableVersions logs:PutLogEvents"
    )
    statements = parquet.policy(parquet.made.role)
    assert set.union(*(actions for actions, _ in statements)) == set(allowed.split())
    assert "*" not in [resource for _, resource in statements]
    (written,) = [where for actions, where in statements if "s3:PutObject" in actions]
    folders = ["/clicks/*", "/failed/clicks/*", "/source/clicks/*"]
    assert [resource["Fn::Join"][1][-1] for resource in written] == folders


def test_only_firehose_of_this_account_takes_the_role(plain: Made) -> None:
    trusts = [s for r in plain.of("IAM::Role") for s in r["AssumeRolePolicyDocument"]["Statement"]]
    (firehose,) = [it for it in trusts if "firehose" in it["Principal"]["Service"]]
    account = {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    assert firehose["Condition"] == {"StringEquals": account}


def test_a_customer_key_encrypts_stream_and_bucket_and_firehose_may_use_it(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    new = {"stream": NewStream(encryption_key=key), "bucket": NewBucket(encryption_key=key)}
    made, arn = Made(stack, **new), stack.resolve(key.key_arn)
    assert made.only("Kinesis::Stream")["StreamEncryption"]["KeyId"] == arn
    encryption = made.only("S3::Bucket")["BucketEncryption"]
    (rule,) = encryption["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["KMSMasterKeyID"] == arn
    assert rule["BucketKeyEnabled"] is True
    allowed = [actions for actions, where in made.policy(made.made.role) if where == arn]
    assert set.union(*allowed) == {"kms:Decrypt", "kms:GenerateDataKey"}


def test_grants_let_write_the_stream_and_read_the_lake(stack: Stack) -> None:
    made = Made(stack, lake=Lake(table=TABLE))
    shop, analyst = (
        iam.Role(stack, name, assumed_by=iam.AccountRootPrincipal()) for name in ("Shop", "Analyst")
    )
    made.made.grant_write(shop)
    made.made.grant_read(analyst)
    may_write, may_read = (str(made.policy(role)) for role in (shop, analyst))
    assert "kinesis:PutRecords" in may_write
    assert "s3:" not in may_write
    assert "glue:GetTable" in may_read
    assert "/data/*" in may_read
    assert "kinesis:" not in may_read


def test_a_reader_in_another_stack_may_read_the_schema_of_this_one(stack: Stack) -> None:
    """``AWS::StackId`` there would be that stack's own: no database would have such a name."""
    other = Stack(App.of(stack), "Other")
    reader = iam.Role(other, "Reader", assumed_by=iam.AccountRootPrincipal())
    make(stack, lake=Lake(table=TABLE)).grant_read(reader)
    policy = json.dumps(Template.from_stack(other).find_resources("AWS::IAM::Policy"))
    assert "glue:GetTable" in policy
    assert "AWS::StackId" not in policy


# Alarms


def test_every_alarm_watches_the_right_resource(parquet: Made) -> None:
    made, resolve = parquet.made, parquet.stack.resolve
    (function,) = [it["Id"] for it in parquet.resources if it["Type"] == "AWS::Lambda::Function"]
    (metrics,) = parquet.only("S3::Bucket")["MetricsConfigurations"]
    assert metrics["Prefix"] == "failed/clicks/"
    stream = {"StreamName": resolve(made.stream.stream_name)}
    transform = {"FunctionName": {"Ref": function}}
    delivery = {"DeliveryStreamName": resolve(made.delivery_stream.ref)}
    errors = {"BucketName": resolve(made.bucket.bucket_name), "FilterId": metrics["Id"]}
    found = {
        alarm["MetricName"]: (
            {dimension["Name"]: dimension["Value"] for dimension in alarm["Dimensions"]},
            alarm["Threshold"],
            alarm["EvaluationPeriods"],
        )
        for alarm in parquet.of("CloudWatch::Alarm")
        if alarm["ComparisonOperator"] == "GreaterThanThreshold"
    }
    assert found == {
        "GetRecords.IteratorAgeMilliseconds": (stream, 900_000, 15),
        "WriteProvisionedThroughputExceeded": (stream, 0, 5),
        "ReadProvisionedThroughputExceeded": (stream, 0, 5),
        "PutRecords.FailedRecords": (stream, 0, 5),
        "Errors": (transform, 0, 3),
        "Throttles": (transform, 0, 5),
        "Duration": (transform, 48_000, 15),
        "DeliveryToS3.DataFreshness": (delivery, 900, 5),
        "PutRequests": (errors, 0, 1),
    }
    assert len(made.alarms) == len(found)


@pytest.mark.parametrize(("given", "age"), [(None, 1600), (Duration.hours(1), 3600)])
def test_the_age_that_raises_an_alarm_follows_the_buffer_or_is_yours(given: Any, age: int) -> None:
    slow = Lake(buffering=Buffering(interval=Duration.seconds(800)))
    made = Made(lake=slow, alarms=Alarms(max_age=given))
    thresholds = {it["MetricName"]: it["Threshold"] for it in made.of("CloudWatch::Alarm")}
    assert thresholds["DeliveryToS3.DataFreshness"] == age
    assert thresholds["GetRecords.IteratorAgeMilliseconds"] == age * 1000


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
    usable = [where for actions, where in made.policy(made.made.role) if "kms:Decrypt" in actions]
    assert usable == [stack.resolve(key.key_arn) for key in keys]


def test_lakes_share_a_bucket_with_an_alarm_each(stack: Stack) -> None:
    first = make(stack, "First")
    make(stack, "Second", bucket=first.bucket, lake=Lake("second/", "failed/"))
    (lake,) = properties(stack, "S3::Bucket")
    metrics = lake["MetricsConfigurations"]
    assert {it["Prefix"] for it in metrics} == {"errors/", "failed/"}
    assert len({it["Id"] for it in metrics}) == 2


def test_an_imported_bucket_or_transform_is_used_with_a_warning_of_what_is_missing(
    stack: Stack,
) -> None:
    bucket = s3.Bucket.from_bucket_name(stack, "Lake", "lake")
    transform = lambda_.Function.from_function_name(stack, "Clean", "clean")
    made = Made(stack, bucket=bucket, transform=transform)
    assert len(made.made.alarms) == 9 - 2
    warned(stack, "bucket is imported.*errors/.*customer managed key", "/Stack/Lake")
    warned(stack, "at most 300 s.*reserve 0", "/Stack/Clean")


# Configurations that plain CDK accepts and that would fail or lose events


@pytest.mark.parametrize(
    ("age", "message"),
    [(300, "max_age is 300 s.*go off all the time"), (301, None), (604_800, "for 7 days.*gone")],
)
def test_an_alarm_that_rings_always_or_too_late_is_rejected(
    stack: Stack, age: int, message: str | None
) -> None:
    with rejected(message):
        make(stack, alarms=Alarms(max_age=Duration.seconds(age)))


def test_an_alarm_on_records_that_firehose_has_dropped_by_then_is_rejected(stack: Stack) -> None:
    with rejected("max_age is 1 day, but Firehose keeps records for 1 day"):
        make(stack, stream=DirectPut(), alarms=Alarms(max_age=Duration.days(1)))


def test_a_folder_that_only_deployment_knows_is_accepted(stack: Stack) -> None:
    folder = CfnParameter(stack, "Folder", default="clicks/").value_as_string
    made = Made(stack, lake=Lake(folder, keep_source=True))
    assert made.destination["Prefix"] == {"Fn::Join": ["", [{"Ref": "Folder"}, DAY]]}


def test_results_of_queries_are_encrypted_whatever_a_client_asks_for(stacks: Stacks) -> None:
    resources = stacks.template("kinesis_firehose_s3")["Resources"].values()
    (group,) = [one for one in resources if one["Type"] == "AWS::Athena::WorkGroup"]
    settings = group["Properties"]["WorkGroupConfiguration"]
    assert settings["EnforceWorkGroupConfiguration"] is True
    encryption = settings["ResultConfiguration"]["EncryptionConfiguration"]
    assert encryption == {"EncryptionOption": "SSE_S3"}
