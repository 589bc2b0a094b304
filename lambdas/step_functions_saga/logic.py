"""The rules of the shop: how an execution is named, what a carrier does, what a payment became.

Pure: no AWS, no environment, no clock.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..foundation.outcomes import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..foundation.messages import Message

# AWS Step Functions API reference, "StartExecution".
MAX_INPUT_BYTES, MAX_NAME = 262_144, 80
_NAME = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_NAME}}}")
_TOKEN, _PLACE = re.compile(r"[!-~]{1,2048}"), re.compile(r"[ -~]{0,64}")

SERVED = {"AT", "BE", "CH", "CZ", "DE", "DK", "ES", "FR", "IT", "NL", "PL", "SE"}
# Where a parcel goes by ship: the carrier gives signs of life until it is there.
SLOW = {"IS", "MT"}
SLOW_RECEIVES = 2


@dataclass(frozen=True)
class Instruction:
    """What the saga tells the carrier."""

    action: Literal["ship", "cancel"]
    order_id: str
    ship_to: str = ""
    task_token: str = ""


def parse_name(message: Message) -> str:
    """Return the name of an order's execution: its id, so that nothing is started twice.

    Raises:
        RefusedError: the body is no JSON object with a usable ``order_id``, or it is too large.
    """
    if len(message.body.encode()) > MAX_INPUT_BYTES:
        raise RefusedError("size", f"The order has more than {MAX_INPUT_BYTES} bytes.")
    name = _object(message.body).get("order_id")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise RefusedError("order_id", f"order_id must be 1 to {MAX_NAME} letters, digits, _ or -.")
    return name


def same_order(body: str, other: str) -> bool:
    """Return whether two bodies hold the same order, however they are written."""
    return _object(body) == _object(other)


def parse_instruction(message: Message) -> Instruction:
    """Return what a message tells the carrier.

    Raises:
        RefusedError: it is no instruction of the saga's.
    """
    asked: Instruction | None = None
    match _object(message.body):
        case {"action": "ship", "order_id": str(order), "ship_to": str(to), "task_token": str(tok)}:
            asked = Instruction("ship", order, to, tok) if _TOKEN.fullmatch(tok) else None
        case {"action": "cancel", "order_id": str(order)}:
            asked = Instruction("cancel", order)
    if asked and _NAME.fullmatch(asked.order_id) and _PLACE.fullmatch(asked.ship_to):
        return asked
    raise RefusedError("instruction", "It is neither ship nor cancel, or lacks a field.")


def carriers_choice(
    asked: Instruction, receive_count: int
) -> Literal["cancel", "ship", "later", "refuse"]:
    """Return what the carrier does about an instruction now."""
    if asked.action == "cancel":
        return "cancel"
    if asked.ship_to in SLOW:
        return "later" if receive_count < SLOW_RECEIVES else "ship"
    return "ship" if asked.ship_to in SERVED else "refuse"


def charge_outcome(payment: str | None, *, covered: bool) -> str:
    """Return what became of a charge that was not made now.

    Args:
        payment: State of the payment that is stored already; None if there is none.
        covered: Whether the account covers it.

    Raises:
        ValueError: neither prevents it: the write failed for another reason.
    """
    if payment == "charged":
        return "charged"
    if payment == "refunded":
        return "cancelled"
    if not covered:
        return "declined"
    raise ValueError("The charge is neither made nor refused.")


def _object(body: str) -> Mapping[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusedError("not_json", "The body is not JSON.") from None
    if not isinstance(value, dict):
        raise RefusedError("not_json", "The body is not a JSON object.")
    return value
