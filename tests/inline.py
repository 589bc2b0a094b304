"""A function to give to a construct: it does nothing, and needs no asset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import Duration
from aws_cdk import aws_lambda as lambda_

if TYPE_CHECKING:
    from aws_cdk import Stack


def function(stack: Stack, construct_id: str = "Consumer", **settings: Any) -> lambda_.Function:
    return lambda_.Function(
        stack,
        construct_id,
        runtime=lambda_.Runtime.PYTHON_3_14,
        handler="index.handler",
        code=lambda_.Code.from_inline("def handler(event, context): ..."),
        **{"timeout": Duration.seconds(10)} | settings,
    )
