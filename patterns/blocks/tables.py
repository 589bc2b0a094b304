"""A DynamoDB table on demand, which can be restored to any second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import aws_dynamodb as dynamodb

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


def _key(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)
