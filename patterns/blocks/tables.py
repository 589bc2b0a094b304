"""A DynamoDB table on demand, which can be restored to any second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import aws_dynamodb as dynamodb

from . import keys
from .places import check_here
from .values import Path

if TYPE_CHECKING:
    from aws_cdk import RemovalPolicy
    from constructs import Construct


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


def check_own_table(scope: Construct, table: dynamodb.ITable, *names: str, reason: str) -> None:
    """Reject a table that cannot be used from here, and one of this app with other keys.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_KeySchemaElement.html

    Args:
        scope: The construct that was given it.
        table: Your table.
        names: The keys that it needs, which are strings.
        reason: See ``check_here``.

    Raises:
        ValueError: it is of another account or Region, its key encrypts nothing, or its keys have
            other names.
    """
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


def _key(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)
