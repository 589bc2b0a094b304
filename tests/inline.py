"""A function to give to a construct: it does nothing, and needs no asset; and its refusal."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import Duration
from aws_cdk import aws_lambda as lambda_

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

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


def rejected(problem: str | None) -> AbstractContextManager[Any]:
    """Expect a ``ValueError`` that says this; None: expect none."""
    return pytest.raises(ValueError, match=problem) if problem else nullcontext()
