"""Events as an attacker, or a broken producer, sends them: almost right, in one place absurd."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hypothesis.strategies import SearchStrategy

# What parsers of numbers, dates, addresses, names and JSON have raised on.
ABSURD: tuple[Any, ...] = (
    None, True, 0, -1, 2**63, 10**400, 1.5, float("nan"), float("inf"), "", " ", [], {}, [[]],
    "\ud800", "\x00", "\u0661", "//[", "/[::1", "http://[", "http://a:x/", "//a:99999999/",
    "9999-12-31T23:59:59.999999-23:59", "0001-01-01T00:00:00+23:59", "2026-02-30T00:00:00Z",
    "2026-11-21T08:00:00.1234567890Z", "1e999999", "-0", "NaN", "1" * 5000, "x" * 70_000,
    "%s%n", "${jndi:x}", "\u202e", "'; --", "../../etc/passwd", ["x"] * 500,
)  # fmt: skip
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
ANYTHING: SearchStrategy[Any] = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
# Deeper than any parser recurses, and not JSON at all.
RAW = ("[" * 100_000, '{"a":' * 5_000, "", "\ufeff{}", '{"a": 1, "a": 2}', "null", "{}{}")


def documents(good: Any) -> SearchStrategy[Any]:
    """Return good events with one value replaced, removed, or beside one too many."""
    places = list(_places(good))

    def change(drawn: tuple[tuple[Any, ...], Any, str]) -> Any:
        place, value, how = drawn
        document = {"": copy.deepcopy(good)}
        owner: Any = document
        *path, last = ("", *place)
        for step in path:
            owner = owner[step]
        if how == "removed" and place:
            del owner[last]
        elif how == "added" and isinstance(owner, dict):
            owner[str(value)[:50]] = value
        else:
            owner[last] = value
        return document[""]

    values = st.sampled_from(ABSURD) | ANYTHING
    how = st.sampled_from(("replaced", "replaced", "replaced", "removed", "added"))
    return st.tuples(st.sampled_from(places), values, how).map(change)


def bodies(good: Any) -> SearchStrategy[str]:
    """Return the bodies of such events, and texts that are no events."""
    as_json = documents(good).map(lambda document: json.dumps(document))
    return as_json | st.sampled_from(RAW) | st.text(max_size=50)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where a document has values, itself included."""
    yield path
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value if isinstance(value, list) else ())
    )
    for key, one in inner:
        yield from _places(one, (*path, key))
