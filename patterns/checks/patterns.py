"""Event patterns and filter policies: fields, each with the values that it may have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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


# What no pattern of several matches, and whether two of them can match one event


Path = tuple[str, ...]
Values = frozenset[tuple[str, Any]]
ENVELOPE = ("source", "detail-type", "account", "region", "id", "time", "version")
ABSENT = ("absent", "")


def comparable(pattern: Mapping[str, Any]) -> dict[Path, Values]:
    """Return the fields of a pattern whose opposite a pattern can say, each with its values.

    A value is a kind, ``text`` (a wildcard), ``number`` or ``absent``, and the value itself.
    ``anything-but``, ranges, addresses, spelling without case, true, false, null and ``$or`` have
    no opposite that could be combined with others: an event that differs in these alone counts as
    matched.
    """
    found: dict[Path, Values] = {}
    for path, wanted in _leaves(pattern):
        values = frozenset(map(_value, wanted))
        if None not in values and len({kind for kind, _ in values}) == 1:  # type: ignore[misc]
            found[path] = values  # type: ignore[assignment]
    return found


def others(patterns: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the pattern of what none of the patterns matches; None if they match everything.

    In each of them one field has to differ. Ways that include a more general way are left out. An
    array in an event may match both a pattern and its opposite.

    Source:
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
    """
    ways: list[dict[Path, Values]] = [{}]
    for pattern in patterns:
        each = comparable(pattern).items()
        ways = _most_general(
            [
                {**way, path: both}
                for way in ways
                for path, values in each
                if (both := _neither(way.get(path, values), values))
            ]
        )
    if not ways:
        return None
    said = [_opposite(way) for way in ways]
    return said[0] if len(said) == 1 else {"$or": said}


def can_match_both(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether an event may match two patterns: no field has plain values that differ.

    An event is told from others by its envelope; arrays in its detail may match both.
    """
    first, second = comparable(one), comparable(other)
    return not any(
        first[path].isdisjoint(second[path])
        for path in first.keys() & second.keys()
        if path[0] in ENVELOPE and not any("*" in str(v) for _, v in first[path] | second[path])
    )


def _leaves(pattern: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, list[Any]]]:
    for name, wanted in pattern.items():
        if isinstance(wanted, Mapping):
            yield from _leaves(wanted, (*path, name))
        elif isinstance(wanted, list):  # the ways of $or are no values
            yield (*path, name), wanted


def _value(item: Any) -> tuple[str, Any] | None:
    """Return a value as ``comparable`` does; None if it has no opposite."""
    if isinstance(item, str):
        return "text", _escaped(item)
    if isinstance(item, int | float) and not isinstance(item, bool):
        return "number", item
    match item:
        case {"prefix": str(start)}:
            return "text", f"{_escaped(start)}*"
        case {"suffix": str(end)}:
            return "text", f"*{_escaped(end)}"
        case {"wildcard": str(text)}:
            return "text", text
        case {"exists": True}:
            return ABSENT
    return None


def _neither(one: Values, other: Values) -> Values:
    """Return the values to differ from all of; nothing if no pattern can say so."""
    both = one | other
    if ABSENT in both:
        return frozenset({ABSENT})
    return both if len({kind for kind, _ in both}) == 1 else frozenset()


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("*", "\\*")


def _most_general(
    ways: list[dict[Path, Values]],
) -> list[dict[Path, Values]]:
    """Leave out each way that asks for all that another one asks for, and each second one."""
    kept: list[dict[Path, Values]] = []
    for way in sorted(ways, key=lambda way: sum(map(len, way.values()))):
        if not any(all(k <= way.get(path, frozenset()) for path, k in one.items()) for one in kept):
            kept.append(way)
    return kept


def _opposite(way: Mapping[Path, Values]) -> dict[str, Any]:
    """Return the pattern of events that differ in all these fields."""
    pattern: dict[str, Any] = {}
    for path, values in sorted(way.items()):
        inner = pattern
        for name in path[:-1]:
            inner = inner.setdefault(name, {})
        inner[path[-1]] = _differs(values, optional=path[0] not in ENVELOPE)
    return pattern


def _differs(values: Values, *, optional: bool) -> list[Any]:
    absent = [{"exists": False}] * optional
    if ABSENT in values:
        return absent
    listed = sorted(value for _, value in values)
    if any("*" in str(value) or "\\" in str(value) for value in listed):
        return [{"anything-but": {"wildcard": listed}}, *absent]
    return [{"anything-but": listed}, *absent]
