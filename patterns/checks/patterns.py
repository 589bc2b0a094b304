"""Event patterns and filter policies: fields, each with the values that it may have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COMPARISONS = {
    "anything-but",
    "cidr",
    "equals-ignore-case",
    "exists",
    "numeric",
    "prefix",
    "suffix",
    "wildcard",
}
SIGNS = ("=", "<", "<=", ">", ">=")


def matches_nothing(name: object, pattern: Mapping[str, Any]) -> str | None:
    """A pattern has values in lists, known comparisons, and ranges that are not empty.

    Lint E9190. Source:
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern.html

    Args:
        name: The pattern, for the message.
        pattern: What it compares; a string with ``${`` is known at deployment only.
    """
    why = why_nothing(pattern)
    if why is None:
        return None
    return f"{name} matches nothing: {why}. Use values and ranges that can occur."


def why_nothing(pattern: Mapping[str, Any], path: str = "") -> str | None:
    """Return why no values fit a pattern, at any depth."""
    for name, wanted in pattern.items():
        why = _why_not(wanted, path, f"{path}{name}", either=name == "$or")
        if why:
            return why
    return None


def _why_not(wanted: Any, path: str, place: str, *, either: bool) -> str | None:
    if either:
        ways = wanted if isinstance(wanted, list) else []
        each = [why_nothing(way, path) for way in ways if isinstance(way, Mapping)]
        return each[0] if each and len(each) == len(ways) and all(each) else None
    if isinstance(wanted, Mapping):
        return why_nothing(wanted, f"{place}.")
    if isinstance(wanted, list):
        each = [_impossible(item) for item in wanted]
        why = (each[0] if each else "the list is empty") if all(each) else None
        return f"{place}: {why}" if why else None
    if _is_open(wanted):
        return None
    return f"{place} is {wanted}, which must be in a list, as [{wanted}]"


def _is_open(value: Any) -> bool:
    return isinstance(value, str) and "${" in value


def _impossible(item: Any) -> str | None:
    """Return why nothing is as an item of a list asks; None when something may be."""
    if isinstance(item, list):
        return "a list in a list is compared with nothing"
    if not isinstance(item, Mapping):
        return None
    strange = [str(name) for name in item if name not in COMPARISONS and not _is_open(name)]
    if strange:
        return f"{strange[0]} is an unknown comparison"
    numeric = item.get("numeric")
    return _empty_range(numeric) if isinstance(numeric, list) else None


def _empty_range(parts: list[Any]) -> str | None:
    odd = [sign for sign in parts[::2] if sign not in SIGNS and not _is_open(sign)]
    if odd or len(parts) % 2:
        return f"{parts} compares no number"
    low, high, closed = float("-inf"), float("inf"), True
    for sign, bound in zip(parts[::2], parts[1::2], strict=False):
        if isinstance(bound, bool) or not isinstance(bound, int | float):
            return None
        if sign in (">", ">=", "="):
            low, closed = max(low, bound), closed and sign != ">"
        if sign in ("<", "<=", "="):
            high, closed = min(high, bound), closed and sign != "<"
    empty = low > high or (low == high and not closed)
    return f"no number is {' '.join(map(_figure, parts))}" if empty else None


def _figure(part: Any) -> str:
    return part if isinstance(part, str) else f"{part:g}"
