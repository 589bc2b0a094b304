"""Checks of a document's fields. Each raises RefusedError, which names the field, never its value.

Pure: no AWS, no environment, no clock.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from .outcomes import RefusedError

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def fields(value: Any, where: str, *names: str) -> dict[str, Any]:
    """Return an object that has these fields and no others."""
    if not isinstance(value, dict):
        raise RefusedError("field", f"{where} must be an object.")
    if missing := [name for name in names if name not in value]:
        raise RefusedError("field", f"{where} lacks {', '.join(missing)}.")
    if len(value) > len(names):
        raise RefusedError("field", f"{where} has a field other than {', '.join(names)}.")
    return value


def identifier(value: Any, where: str) -> str:
    """Return an id."""
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise RefusedError("field", f"{where} must be 1 to 64 letters, digits, _ or -.")
    return value


def text(value: Any, where: str, longest: int) -> str:
    """Return a string that is not empty."""
    if not isinstance(value, str) or not 1 <= len(value) <= longest or _CONTROL.search(value):
        raise RefusedError(
            "field",
            f"{where} must be a string of 1 to {longest} characters without control characters.",
        )
    return value


def whole(value: Any, where: str, largest: int, *, reason: str = "field") -> int:
    """Return a whole number from 1."""
    if type(value) is not int or not 1 <= value <= largest:  # bool is an int too
        raise RefusedError(reason, f"{where} must be a whole number from 1 to {largest}.")
    return value


def amount(value: Any, where: str, digits: int) -> Decimal:
    """Return an amount; it has one spelling, so that equal documents have equal fingerprints."""
    fraction = rf"\.[0-9]{{{digits}}}" if digits else ""
    if not isinstance(value, str) or not re.fullmatch(rf"(0|[1-9][0-9]{{0,11}}){fraction}", value):
        raise RefusedError("amount", f"{where} must be a string with {digits} decimal places.")
    return Decimal(value)
