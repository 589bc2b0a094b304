"""The rules of the shop: what is a valid order or change, and what is the same one again.

Pure: no AWS, no environment, no clock. The API has checked shapes, but a message can also be
sent to the queue directly, so nothing is taken for granted here.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ..foundation import checks, strict_json
from ..foundation.outcomes import Outcome, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_LINES = 100
MAX_QUANTITY = 999
MAX_NAME = 128
MAX_NOTE = 500

# Decimal places of the currencies that the shop takes (ISO 4217, "minor unit").
CURRENCIES = {
    "BHD": 3, "CAD": 2, "CHF": 2, "CZK": 2, "EUR": 2, "GBP": 2, "JPY": 0, "KWD": 3, "PLN": 2,
    "SEK": 2, "USD": 2,
}  # fmt: skip

_CHANGE = ("order_id", "change_id", "kind")


STORED = Outcome("stored")
DUPLICATE = Outcome("duplicate")


@dataclass(frozen=True)
class Order:
    """A valid order; ``fingerprint`` tells the same order from another one under its id."""

    id: str
    document: Mapping[str, Any]
    fingerprint: str


@dataclass(frozen=True)
class Change:
    """A valid change of an order; ``fingerprint`` tells it from another one under its id."""

    order_id: str
    id: str
    document: Mapping[str, Any]
    fingerprint: str


@dataclass(frozen=True)
class History:
    """Changes applied to an order: how many, and the fingerprints of those asked for, by id."""

    revision: int
    fingerprints: Mapping[str, str]


def parse_order(body: str) -> Order:
    """Return the order in a message's body.

    Raises:
        RefusedError: it is not a valid order.
    """
    document = strict_json.parse(body)
    fields = ("order_id", "customer_id", "currency", "lines", "total")
    order = checks.fields(document, "order", *fields)
    checks.identifier(order["order_id"], "order_id")
    checks.identifier(order["customer_id"], "customer_id")
    if not isinstance(order["currency"], str) or order["currency"] not in CURRENCIES:
        raise RefusedError("currency", f"currency must be one of {', '.join(CURRENCIES)}.")
    digits = CURRENCIES[order["currency"]]
    lines = order["lines"]
    if not isinstance(lines, list) or not 1 <= len(lines) <= MAX_LINES:
        raise RefusedError("field", f"lines must be a list of 1 to {MAX_LINES}.")
    total = sum((_line_total(line, number, digits) for number, line in enumerate(lines)), Decimal())
    if checks.amount(order["total"], "total", digits) != total:
        raise RefusedError("total", "total is not the sum of the lines.")
    return Order(order["order_id"], order, strict_json.fingerprint(order))


def _line_total(line: Any, number: int, digits: int) -> Decimal:
    where = f"lines[{number}]"
    line = checks.fields(line, where, "sku", "name", "quantity", "unit_price")
    checks.identifier(line["sku"], f"{where}.sku")
    checks.text(line["name"], f"{where}.name", MAX_NAME)
    quantity = checks.whole(line["quantity"], f"{where}.quantity", MAX_QUANTITY)
    return checks.amount(line["unit_price"], f"{where}.unit_price", digits) * quantity


def parse_change(body: str, group_id: str | None) -> Change:
    """Return the change in a message's body.

    Args:
        body: The message's body.
        group_id: The message's group. Order is kept within a group, so it must be the order's id.

    Raises:
        RefusedError: it is not a valid change.
    """
    document = strict_json.parse(body)
    kind = document.get("kind") if isinstance(document, dict) else None
    match kind:
        case "quantity":
            change = checks.fields(document, kind, *_CHANGE, "sku", "quantity")
            checks.identifier(change["sku"], "sku")
            checks.whole(change["quantity"], "quantity", MAX_QUANTITY)
        case "cancel_line":
            change = checks.fields(document, kind, *_CHANGE, "sku")
            checks.identifier(change["sku"], "sku")
        case "note":
            change = checks.fields(document, kind, *_CHANGE, "text")
            checks.text(change["text"], "text", MAX_NOTE)
        case _:
            raise RefusedError("kind", "kind must be quantity, cancel_line or note.")
    checks.identifier(change["order_id"], "order_id")
    checks.identifier(change["change_id"], "change_id")
    if group_id != change["order_id"]:
        raise RefusedError("group", "The message group is not the order's id.")
    return Change(change["order_id"], change["change_id"], change, strict_json.fingerprint(change))


def compare(fingerprint: str, stored: str) -> Outcome:
    """Return what a document is when another one stands already under its id."""
    if fingerprint == stored:
        return DUPLICATE
    return Outcome("refused", "conflict", "Something else is stored under this id.")


def place(changes: Iterable[Change], histories: Mapping[str, History]) -> list[int | Outcome]:
    """Return for each change, in this order, its revision, or why it gets none.

    Args:
        changes: In the order of the queue.
        histories: By order id: what is stored for the orders and changes asked about.
    """
    revisions = {order_id: history.revision for order_id, history in histories.items()}
    known = {
        (order_id, change_id): fingerprint
        for order_id, history in histories.items()
        for change_id, fingerprint in history.fingerprints.items()
    }
    places: list[int | Outcome] = []
    for change in changes:
        key = (change.order_id, change.id)
        if key in known:
            places.append(compare(change.fingerprint, known[key]))
            continue
        known[key] = change.fingerprint
        revisions[change.order_id] += 1
        places.append(revisions[change.order_id])
    return places
