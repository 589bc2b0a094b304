"""The customer's orders in DynamoDB. Raises botocore's errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..foundation import outbox, statuses
from .logic import MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping


def accept(item: Mapping[str, Any], body: str) -> Mapping[str, Any] | None:
    """Put an order whose key is free, with what is to be sent; else return the one that has it.

    Raises:
        RefusedError: nobody could send it.
    """
    outbox.check(body, MAX_BYTES)
    return statuses.accept({**item, "body": body})
