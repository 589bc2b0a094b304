"""A DynamoDB table on demand, which can be restored to any second; or yours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_cdk import RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb

from . import keys
from .places import check_here, check_key_here
from .values import Path, check_removal, expect_fields

if TYPE_CHECKING:
    from aws_cdk import aws_kms as kms
    from constructs import Construct


@dataclass(frozen=True, kw_only=True)
class TableSettings:
    """Settings of a new table. It is on demand, encrypted, and can be restored to any second.

    Attributes:
        encryption_key: Customer managed key. Default: a key that AWS owns.
        removal_policy: What happens to the table when the stack is deleted. Default: RETAIN.

    Raises:
        ValueError: a key that encrypts nothing.
    """

    encryption_key: kms.IKey | None = None
    removal_policy: RemovalPolicy = RemovalPolicy.RETAIN

    def __post_init__(self) -> None:
        """Reject what DynamoDB rejects."""
        expect_fields(self, encryption_key=("IKey", None))
        check_removal(self.removal_policy)
        keys.check_key("encryption_key", self.encryption_key)


def new_table(
    scope: Construct,
    construct_id: str,
    partition_key: str,
    sort_key: str | None = None,
    *,
    removal_policy: RemovalPolicy,
    **settings: Any,
) -> dynamodb.Table:
    """Make a table whose keys are strings.

    Args:
        scope: Where it is made.
        construct_id: Its id there.
        partition_key: Name of the partition key.
        sort_key: Name of the sort key. Default: none.
        removal_policy: What happens to it when the stack is deleted.
        settings: Further arguments of the CDK's ``Table``.
    """
    return dynamodb.Table(
        scope,
        construct_id,
        partition_key=_key(partition_key),
        sort_key=_key(sort_key) if sort_key else None,
        billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
        point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
            point_in_time_recovery_enabled=True
        ),
        removal_policy=removal_policy,
        **settings,
    )


def table_of(
    scope: Construct,
    construct_id: str,
    table: dynamodb.ITable | TableSettings,
    *names: str,
    reason: str,
    **settings: Any,
) -> dynamodb.ITable:
    """Make a new table, or return yours if it can be used from here and has these keys.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_KeySchemaElement.html

    Args:
        scope: Where it is made.
        construct_id: Its id there.
        table: Your own, or the settings of a new one.
        names: Its keys, which are strings.
        reason: Why yours must be of this account and Region: see ``check_here``.
        settings: Further arguments of the CDK's ``Table`` for a new one.

    Raises:
        ValueError: yours is of another account or Region, its key encrypts nothing, or its keys
            have other names.
    """
    if isinstance(table, TableSettings):
        check_key_here(scope, table.encryption_key)
        settings |= {"encryption_key": table.encryption_key}
        return new_table(
            scope, construct_id, *names, removal_policy=table.removal_policy, **settings
        )
    check_here(scope, Path(table, "table "), table, reason)
    keys.check_key_of(table)
    resource: Any = table.node.default_child
    if isinstance(resource, dynamodb.CfnTable):
        schema: Any = resource.key_schema
        found = [key.attribute_name for key in schema]
        if found != [*names]:
            raise ValueError(
                f"table {Path(table)} has the keys {', '.join(found)}; it needs "
                f"{' and '.join(names)}, strings. Give a table with these, or leave it out."
            )
    return table


def _key(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)
