"""The rules of the shop: what is a valid order. Pure: no AWS, no environment, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..foundation import checks, shop, strict_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..foundation.messages import Message

MAX_LINES = 100


@dataclass(frozen=True)
class Order:
    """A valid order; ``fingerprint`` tells the same order from another one under its id."""

    id: str
    document: Mapping[str, Any]
    fingerprint: str


def parse(message: Message) -> Order:
    """Return the order in a message.

    Raises:
        RefusedError: it is not a valid order.
    """
    names = ("order_id", "customer_id", "currency", "lines", "total")
    order = checks.fields(strict_json.parse(message.body), "order", *names)
    checks.identifier(order["order_id"], "order_id")
    checks.identifier(order["customer_id"], "customer_id")
    shop.total(order, MAX_LINES)
    return Order(order["order_id"], order, strict_json.fingerprint(order))
