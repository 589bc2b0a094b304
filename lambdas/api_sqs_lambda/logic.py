"""The rules of the shop: what is a valid order or change, and what is the same one again.

Pure: no AWS, no environment, no clock. The API has checked shapes, but a message can also be
sent to the queue directly, so nothing is taken for granted here.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class RefusedError(Exception):
    """What no retry can mend.

    Args:
        reason: Short code, for machines.
        detail: Plain sentence, without a word of what the client sent.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Outcome:
    """What became of a message; ``reason`` and ``detail`` say why it was refused or failed."""

    kind: Literal["stored", "duplicate", "refused", "failed"]
    reason: str = ""
    detail: str = ""

    @classmethod
    def refused(cls, error: RefusedError) -> Outcome:
        """Return the outcome of a message that no retry can mend."""
        return cls("refused", error.reason, error.detail)


STORED = Outcome("stored")
DUPLICATE = Outcome("duplicate")
BEHIND_A_FAILURE = Outcome("failed", "BehindAFailure")


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
    document = _parse(body)
    order = _object(document, "order", "order_id", "customer_id", "currency", "lines", "total")
    _id(order, "order_id")
    _id(order, "customer_id")
    if not isinstance(order["currency"], str) or order["currency"] not in CURRENCIES:
        raise RefusedError("currency", f"currency must be one of {', '.join(CURRENCIES)}.")
    digits = CURRENCIES[order["currency"]]
    lines = order["lines"]
    if not isinstance(lines, list) or not 1 <= len(lines) <= MAX_LINES:
        raise RefusedError("field", f"lines must be a list of 1 to {MAX_LINES}.")
    total = sum((_line_total(line, number, digits) for number, line in enumerate(lines)), Decimal())
    if _amount(order["total"], "total", digits) != total:
        raise RefusedError("total", "total is not the sum of the lines.")
    return Order(order["order_id"], order, _fingerprint(order))


def _line_total(line: Any, number: int, digits: int) -> Decimal:
    where = f"lines[{number}]"
    line = _object(line, where, "sku", "name", "quantity", "unit_price")
    _id(line, "sku", f"{where}.sku")
    _text(line["name"], f"{where}.name", MAX_NAME)
    _quantity(line["quantity"], f"{where}.quantity")
    price = _amount(line["unit_price"], f"{where}.unit_price", digits)
    return price * int(line["quantity"])


def parse_change(body: str, group_id: str | None) -> Change:
    """Return the change in a message's body.

    Args:
        body: The message's body.
        group_id: The message's group. Order is kept within a group, so it must be the order's id.

    Raises:
        RefusedError: it is not a valid change.
    """
    document = _parse(body)
    kind = document.get("kind") if isinstance(document, dict) else None
    match kind:
        case "quantity":
            change = _object(document, kind, *_CHANGE, "sku", "quantity")
            _id(change, "sku")
            _quantity(change["quantity"], "quantity")
        case "cancel_line":
            change = _object(document, kind, *_CHANGE, "sku")
            _id(change, "sku")
        case "note":
            change = _object(document, kind, *_CHANGE, "text")
            _text(change["text"], "text", MAX_NOTE)
        case _:
            raise RefusedError("kind", "kind must be quantity, cancel_line or note.")
    _id(change, "order_id")
    _id(change, "change_id")
    if group_id != change["order_id"]:
        raise RefusedError("group", "The message group is not the order's id.")
    return Change(change["order_id"], change["change_id"], change, _fingerprint(change))


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


def hold_back(
    groups: Sequence[tuple[str, str | None]], outcomes: Mapping[str, Outcome]
) -> dict[str, Outcome]:
    """Return the outcomes with everything behind a failure of its group failed too.

    AWS Lambda developer guide, "Handling errors for an SQS event source": for a FIFO queue, stop
    at the first failure and return all failed and unprocessed messages.

    Args:
        groups: Message id and group of each message, in the order of the queue.
        outcomes: By message id.
    """
    held_back = dict(outcomes)
    failed: set[str | None] = set()
    for message_id, group in groups:
        if group in failed and held_back[message_id].kind != "failed":
            held_back[message_id] = BEHIND_A_FAILURE
        elif held_back[message_id].kind == "failed":
            failed.add(group)
    return held_back


def _parse(body: str) -> Any:
    try:
        document = json.loads(
            body,
            object_pairs_hook=_unique,
            parse_float=_no_float,
            parse_constant=_no_float,
        )
        _canonical(document).encode()
    except UnicodeEncodeError:
        raise RefusedError("text", "A text is not Unicode: half a surrogate pair.") from None
    except json.JSONDecodeError as error:
        raise RefusedError("not_json", f"The body is not JSON at character {error.pos}.") from None
    except (ValueError, RecursionError):
        raise RefusedError("not_json", "The body is JSON out of all proportion.") from None
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        raise RefusedError("duplicate_key", "An object has a key twice.")
    return document


def _no_float(_: str) -> NoReturn:
    raise RefusedError("number", "Numbers must be whole; amounts are texts such as '49.90'.")


def _canonical(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _fingerprint(document: Any) -> str:
    return hashlib.sha256(_canonical(document).encode()).hexdigest()


def _object(value: Any, where: str, *fields: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RefusedError("field", f"{where} must be an object.")
    if missing := [field for field in fields if field not in value]:
        raise RefusedError("field", f"{where} lacks {', '.join(missing)}.")
    if len(value) > len(fields):
        raise RefusedError("field", f"{where} has a field other than {', '.join(fields)}.")
    return value


def _id(document: Mapping[str, Any], field: str, where: str = "") -> None:
    value = document[field]
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise RefusedError("field", f"{where or field} must be 1 to 64 of A-Z a-z 0-9 _ -.")


def _text(value: Any, where: str, longest: int) -> None:
    if not isinstance(value, str) or not 1 <= len(value) <= longest or _CONTROL.search(value):
        raise RefusedError(
            "field", f"{where} must be a text of 1 to {longest} characters, none of control."
        )


def _quantity(value: Any, where: str) -> None:
    if type(value) is not int or not 1 <= value <= MAX_QUANTITY:  # bool is an int too
        raise RefusedError("field", f"{where} must be a whole number from 1 to {MAX_QUANTITY}.")


def _amount(value: Any, where: str, digits: int) -> Decimal:
    """Return an amount; it has one spelling, so that equal orders have equal fingerprints."""
    fraction = rf"\.[0-9]{{{digits}}}" if digits else ""
    if not isinstance(value, str) or not re.fullmatch(rf"(0|[1-9][0-9]{{0,11}}){fraction}", value):
        raise RefusedError("amount", f"{where} must be a text with {digits} decimal places.")
    return Decimal(value)
