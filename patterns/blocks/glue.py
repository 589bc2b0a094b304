"""The table that Firehose converts by and Athena queries: one schema for both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_cdk import Aws, Fn, Names
from aws_cdk import aws_glue as glue
from aws_cdk import aws_iam as iam
from aws_cdk.aws_kinesisfirehose import CfnDeliveryStream
from constructs import Construct

from .firehose import ACCOUNT, DAY, allow
from .grants import check_policy
from .names import id_of_stack
from .values import stack_of

if TYPE_CHECKING:
    from aws_cdk import aws_s3 as s3

    from .lakes import Lake, Table

# Athena lists the folders of these days and no others, so the first one is before any data.
# https://docs.aws.amazon.com/athena/latest/ug/partition-projection-setting-up.html
FIRST_DAY = "2020-01-01"
TABLE_NAME = "events"  # in a database of its own; else a name made of the construct's path
_HIVE = "org.apache.hadoop.hive.ql.io"


@dataclass(frozen=True)
class _Format:
    """Hive's classes for a file format, and how Firehose writes it."""

    reader: str
    serde: str
    serializer: dict[str, Any]


_FORMATS = {
    "PARQUET": _Format(
        "parquet.MapredParquet",
        "parquet.serde.ParquetHiveSerDe",
        {"parquet_ser_de": CfnDeliveryStream.ParquetSerDeProperty(compression="SNAPPY")},
    ),
    "ORC": _Format(
        "orc.Orc",
        "orc.OrcSerde",
        {"orc_ser_de": CfnDeliveryStream.OrcSerDeProperty(compression="SNAPPY")},
    ),
}


def table_of(
    scope: Construct, construct_id: str, lake: Lake, bucket: s3.IBucket
) -> LakeTable | None:
    """Make the table over a lake, if it has one."""
    return LakeTable(scope, construct_id, lake.table, bucket, lake) if lake.table else None


class LakeTable(Construct):
    """A table over Parquet or ORC files whose partitions nobody has to add.

    Athena works out the folders itself (partition projection): one a day. A query must name every
    further partition key with ``=`` or ``IN``, since its values are not known (type ``injected``).

    Args:
        table: Its columns and database.
        bucket: Where the files are.
        lake: Their folder and its partitions.

    Attributes:
        database_name: The Glue database.
        table_name: The Glue table.
    """

    def __init__(
        self, scope: Construct, construct_id: str, table: Table, bucket: s3.IBucket, lake: Lake
    ) -> None:
        super().__init__(scope, construct_id)
        self._format = _FORMATS[table.file_format]
        self.database_name = table.database_name or self._own_database_name()
        self.table_name = _name_from_path(self) if table.database_name else TABLE_NAME
        location = f"s3://{bucket.bucket_name}/{lake.prefix}"
        template = location + "/".join(f"{key}=${{{key}}}" for key in lake.partitions)
        self.table = glue.CfnTable(
            self,
            "Table",
            catalog_id=ACCOUNT,
            database_name=self.database_name,
            table_input=glue.CfnTable.TableInputProperty(
                name=self.table_name,
                table_type="EXTERNAL_TABLE",
                parameters={
                    "classification": table.file_format.lower(),
                    "EXTERNAL": "TRUE",
                    "projection.enabled": "true",
                    f"projection.{DAY}.type": "date",
                    f"projection.{DAY}.format": "yyyy-MM-dd",
                    f"projection.{DAY}.range": f"{FIRST_DAY},NOW",
                    "storage.location.template": template,
                }
                | {f"projection.{key}.type": "injected" for key in lake.partition_keys},
                partition_keys=[_column(key, "string") for key in lake.partitions],
                storage_descriptor=glue.CfnTable.StorageDescriptorProperty(
                    columns=[_column(name, kind) for name, kind in table.columns.items()],
                    location=location,
                    input_format=f"{_HIVE}.{self._format.reader}InputFormat",
                    output_format=f"{_HIVE}.{self._format.reader}OutputFormat",
                    serde_info=glue.CfnTable.SerdeInfoProperty(
                        serialization_library=f"{_HIVE}.{self._format.serde}"
                    ),
                ),
            ),
        )
        if table.database_name is None:
            database = glue.CfnDatabase.DatabaseInputProperty(name=self.database_name)
            self.table.add_resource_dependency(
                glue.CfnDatabase(self, "Database", catalog_id=ACCOUNT, database_input=database)
            )

    def _own_database_name(self) -> str:
        """Return a name as unique as the stack's id; Athena takes no dashes in it."""
        first = Fn.select(0, Fn.split("-", id_of_stack(self)))
        return Fn.join("_", [_name_from_path(self), first])

    @property
    def arns(self) -> list[str]:
        """What a principal needs permissions on to read the schema: catalog, database and table."""
        database, stack = self.database_name, stack_of(self)
        names = ("catalog", f"database/{database}", f"table/{database}/{self.table_name}")
        return [stack.format_arn(service="glue", resource=name) for name in names]

    def grant_read(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` read the schema; more is needed where Lake Formation manages the catalog.

        Raises:
            ValueError: it has no policy that this could be added to.
        """
        check_policy(self, grantee, "reading a table's schema")
        return iam.Grant.add_to_principal(
            grantee=grantee,
            actions=["glue:GetDatabase", "glue:GetTable", "glue:GetPartitions"],
            resource_arns=self.arns,
        )

    def grant_read_to_firehose(self, role: iam.Role) -> None:
        """Let Firehose read the schema.

        Source: https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html
        """
        allow(role, self.arns, "glue:GetTable", "glue:GetTableVersion", "glue:GetTableVersions")

    def conversion(
        self, role_arn: str
    ) -> CfnDeliveryStream.DataFormatConversionConfigurationProperty:
        """Return the conversion of JSON to the table's files by its columns."""
        of = CfnDeliveryStream
        json = of.DeserializerProperty(open_x_json_ser_de=of.OpenXJsonSerDeProperty())
        return of.DataFormatConversionConfigurationProperty(
            enabled=True,
            input_format_configuration=of.InputFormatConfigurationProperty(deserializer=json),
            output_format_configuration=of.OutputFormatConfigurationProperty(
                serializer=of.SerializerProperty(**self._format.serializer)
            ),
            schema_configuration=of.SchemaConfigurationProperty(
                catalog_id=ACCOUNT,
                region=Aws.REGION,
                role_arn=role_arn,
                database_name=self.database_name,
                table_name=self.table_name,
                version_id="LATEST",
            ),
        )


def _name_from_path(scope: Construct) -> str:
    return Names.unique_resource_name(scope, max_length=100, separator="_").lower()


def _column(name: str, kind: str) -> glue.CfnTable.ColumnProperty:
    return glue.CfnTable.ColumnProperty(name=name, type=kind)
