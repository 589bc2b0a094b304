"""The stream of a DynamoDB table as what Lambda reads: a new table, or yours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from aws_cdk import Annotations, RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam

from ..checks import dynamodb as checks
from ..checks import reject
from ..limits import DYNAMODB_KEY_NAME, DYNAMODB_STREAM_KEPT
from . import keys
from .findings import acknowledge_wildcards
from .places import check_here, check_key_here
from .stream_consumers import StreamSource
from .tables import new_table
from .values import Path, check_removal, child_of, expect_fields, stack_of

if TYPE_CHECKING:
    from aws_cdk import aws_kms as kms
    from constructs import Construct

    from .stream_consumers import StreamConsumer

# https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-eventsourcemapping.html
READ = ("DescribeStream", "GetRecords", "GetShardIterator")
HERE = "a reader is made beside its table. Make this construct there."
WHY_LIST = (
    "Lambda lists the streams of the table when the mapping is made, and a new stream of it has a "
    "name that nobody knows."
)


@dataclass(frozen=True, kw_only=True)
class NewTable:
    """Settings of a new table. It is on demand, encrypted, and can be restored to any second.

    Attributes:
        partition_key: Name of the partition key, a string. Default: ``pk``.
        sort_key: Name of the sort key, a string. Default: none.
        stream: What the stream has of each changed item. Default: as it was before and after.
        time_to_live_attribute: Attribute with the second, as a number since 1970, after which
            DynamoDB deletes an item; the stream has that, too. Default: none.
        encryption_key: Customer managed key. Default: a key that AWS owns.
        removal_policy: What happens to the table when the stack is deleted. Default: RETAIN.

    Raises:
        ValueError: a setting that DynamoDB rejects, or a key that encrypts nothing.
    """

    partition_key: str = "pk"
    sort_key: str | None = None
    stream: dynamodb.StreamViewType = dynamodb.StreamViewType.NEW_AND_OLD_IMAGES
    time_to_live_attribute: str | None = None
    encryption_key: kms.IKey | None = None
    removal_policy: RemovalPolicy = RemovalPolicy.RETAIN

    def __post_init__(self) -> None:
        """Reject a setting that DynamoDB rejects."""
        expect_fields(
            self,
            partition_key=(str,),
            sort_key=(str, None),
            stream=(dynamodb.StreamViewType,),
            time_to_live_attribute=(str, None),
            encryption_key=("IKey", None),
        )
        check_removal(self.removal_policy)
        for name in ("partition_key", "sort_key", "time_to_live_attribute"):
            given = getattr(self, name)
            if given is not None and not 1 <= len(given) <= DYNAMODB_KEY_NAME:
                raise ValueError(
                    f"{name} is {given!r}; it must be 1 to {DYNAMODB_KEY_NAME} characters."
                )
        if self.time_to_live_attribute in (self.partition_key, self.sort_key or ""):
            raise ValueError(
                f"time_to_live_attribute is {self.time_to_live_attribute}, a key, which is a "
                "string: nothing would expire. Name another attribute, which is a number."
            )
        if self.sort_key == self.partition_key:
            raise ValueError(
                f"sort_key is {self.sort_key}, as partition_key is. Give the two other names."
            )
        keys.check_key("encryption_key", self.encryption_key)


def table_of(
    scope: Construct, construct_id: str, table: dynamodb.ITable | NewTable
) -> dynamodb.ITable:
    """Make a new table with a stream, or return yours; an imported one gets a warning.

    Raises:
        ValueError: your table has no stream, is of another account or Region, or its key encrypts
            nothing.
    """
    if not isinstance(table, NewTable):
        _check_own_table(scope, table)
        return table
    check_key_here(scope, table.encryption_key)
    return new_table(
        scope,
        construct_id,
        table.partition_key,
        table.sort_key,
        stream=table.stream,
        time_to_live_attribute=table.time_to_live_attribute,
        encryption_key=table.encryption_key,
        removal_policy=table.removal_policy,
    )


def _check_own_table(scope: Construct, table: dynamodb.ITable) -> None:
    """Reject a table without a stream, and one that cannot be read from here.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
    """
    check_here(scope, Path(table, "table "), table, HERE)
    keys.check_key_of(table)
    if table.table_stream_arn is None:
        how = (
            "Give it stream=StreamViewType.NEW_AND_OLD_IMAGES"
            if child_of(table)
            else "Import it with Table.from_table_attributes() and table_stream_arn"
        )
        raise ValueError(
            f"table {Path(table)} has no stream, so no change of it would be seen. {how}."
        )
    if child_of(table) is None:
        missing = keys.ask_for_key(table.encryption_key, "Table.from_table_attributes")
        Annotations.of(table).add_warning_v2(
            "serverless-patterns:imported-table",
            "This table is imported, so its stream cannot be checked: it must be enabled, have the "
            "images that the readers need, and have no other reader but these." + missing,
        )


def source_of(table: dynamodb.ITable) -> StreamSource:
    """Return the stream of a table as what Lambda reads."""
    return StreamSource(
        resource=table,
        arn=table.table_stream_arn or "",
        grant_read=partial(grant_read, table),
        kept=DYNAMODB_STREAM_KEPT,
    )


def grant_read(table: dynamodb.ITable, grantee: iam.IGrantable) -> iam.Grant:
    """Let ``grantee`` read the stream of a table, and use its customer key; no more.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-eventsourcemapping.html
    """
    if table.encryption_key:
        table.encryption_key.grant_decrypt(grantee)
    grant = iam.Grant.add_to_principal(
        grantee=grantee,
        actions=[f"dynamodb:{action}" for action in READ],
        resource_arns=[table.table_stream_arn or ""],
    )
    every = f"{table.table_arn}/stream/*"
    if isinstance(grantee.grant_principal, iam.Role):
        acknowledge_wildcards(grantee.grant_principal, WHY_LIST, every)
    return grant.combine(
        iam.Grant.add_to_principal(
            grantee=grantee, actions=["dynamodb:ListStreams"], resource_arns=[every]
        )
    )


def check_reader(table: dynamodb.ITable, reader: object, consumer: StreamConsumer) -> None:
    """Reject a reader whose filters compare images that the stream does not have.

    The CDK does not tell it of a ``TableV2``: there, and of an imported table, nothing is known.

    Raises:
        ValueError: no change would match.
    """
    if view := _view_of(table):
        stack = stack_of(table)
        patterns = [str(stack.resolve(one).get("pattern")) for one in consumer.filters]
        reject(checks.missing_image(reader, patterns, Path(table), view))


def check_new_images(table: dynamodb.ITable) -> None:
    """Reject a stream that does not say what an item is now; of some tables it is not known.

    Raises:
        ValueError: no change could be shown.
    """
    reject(checks.no_new_image(Path(table), _view_of(table)))


def _view_of(table: dynamodb.ITable) -> str:
    """Return what the stream of a table has of each change; nothing if that is not known."""
    resource = child_of(table)
    if not isinstance(resource, dynamodb.CfnTable):
        return ""
    specification = stack_of(table).resolve(resource.stream_specification) or {}
    return str(specification.get("streamViewType", ""))


def check_readers(table: dynamodb.ITable, readers: int) -> None:
    """Reject more readers of a stream than it takes.

    Raises:
        ValueError: they would throttle each other.
    """
    reject(checks.too_many_readers(Path(table), readers))
