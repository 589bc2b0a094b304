"""Faults in what a scenario found in the stores: each must make its report red and be named there.

A record is dropped, doubled, changed in one byte or amount, or has changed places with another one.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from copy import copy, deepcopy
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from serverless_patterns.sandbox import judging

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from serverless_patterns.sandbox.judging import Judgement

KEYS = ("pk", "sk")  # of tables whose documents say it all without them
AMOUNT = re.compile(r"\d+\.\d+|\d{2,9}")
MOMENT = 10**9  # seconds since 1970, and more: no amount of the shop's
OF_SQS = ("attempts",)  # how often it has delivered a message: no promise of a pattern's


class Fault(NamedTuple):
    """A fault: what it is, the events that it is about, and what is to be judged with it."""

    what: str
    names: set[str]
    judgements: list[Judgement]


def faults(judgements: Sequence[Judgement]) -> Iterator[Fault]:
    """Yield faults in every store, each with one record of a shape, or with two."""
    for number, judgement in enumerate(judgements):
        at = turns(judgement)
        for store, records in judgement.found.items():
            for what, chosen, changed in (
                *_faults(judgement, records),
                *_swapped(judgement, records, at),
            ):
                found = {**judgement.found, store: changed}
                again = [*judgements]
                again[number] = replace(judgement, found=found)
                names = set[str]().union(*(_names(judgement, record) for record in chosen))
                yield Fault(f"{what} in {store}: {chosen[0]}", names, again)


def _faults(
    judgement: Judgement, records: Sequence[Any]
) -> Iterator[tuple[str, list[Any], list[Any]]]:
    shapes: dict[Any, list[int]] = {}
    several = Counter(frozenset(_names(judgement, it)) for it in records)
    for number, record in enumerate(records):
        if not judgement.at_least_once or several[frozenset(_names(judgement, record))] == 1:
            shape = frozenset(record) if isinstance(record, dict) else ""
            shapes.setdefault(shape, []).append(number)
    for number, *_ in shapes.values():
        record, before, after = records[number], records[:number], records[number + 1 :]
        yield "dropped", [record], [*before, *after]
        if not judgement.at_least_once:
            for copy in _copies(record):
                yield "doubled", [record], [*records, copy]
        for changed in _changed(judgement, record):
            yield "changed", [record], [*before, changed, *after]
    if judgement.order:
        one, other = _in_turn(judgement, records)
        turn = judgement.order[1]
        swapped = {id(one): one | {turn: other[turn]}, id(other): other | {turn: one[turn]}}
        yield "swapped", [one, other], [swapped.get(id(it), it) for it in records]


def _copies(record: Any) -> Iterator[Any]:
    """Yield the record a second time: under each other key, if it has one."""
    keys = [key for key in (*KEYS, "id") if isinstance(record, dict) and key in record]
    yield from ({**record, key: f"{record[key]}~"} for key in keys)
    if not keys:
        yield record


def _changed(judgement: Judgement, record: Any) -> Iterator[Any]:
    """Yield the record with one change, in each place that the event itself says or has an amount.

    Amounts are those that a function computes, too.
    """
    if isinstance(record, bytes):
        yield record[:-1] + bytes([record[-1] ^ 1])
        return
    events = judgement.drive.sender.events
    said = {text for name in _names(judgement, record) if name in events
            for text in _texts(_parsed(events[name].body))}  # fmt: skip
    passed_over = {*OF_SQS, *(judgement.order or ())[1:]}  # a turn is swapped
    for number, (key, value, _) in enumerate(_leaves(record)):
        is_meant = value == record["Body"] if "Body" in record else value in said
        if is_meant or ("Body" not in record and _is_amount(value) and key not in passed_over):
            changed = deepcopy(record)
            place = [*_leaves(changed)][number][2]
            place(value[:-1] + chr(ord(value[-1]) ^ 1) if isinstance(value, str) else value + 1)
            if all(changed.get(key) == record.get(key) for key in KEYS):
                yield changed


def _is_amount(value: Any) -> bool:
    if isinstance(value, str):
        return bool(AMOUNT.fullmatch(value))
    return not isinstance(value, bool) and value < MOMENT


def turns(judgement: Judgement) -> dict[str, Any]:
    """Return what a verdict compares by ``in_turn``: when events took effect, by their ids."""
    at: dict[str, Any] = {}
    drive = copy(judgement.drive)  # others go on with their own
    vars(drive)["in_turn"] = at.update
    judging.again([replace(judgement, drive=drive)])
    return at


def _swapped(
    judgement: Judgement, records: Sequence[Any], at: dict[str, Any]
) -> Iterator[tuple[str, list[Any], list[Any]]]:
    """Yield two of the same group that have changed places, if any are compared by ``in_turn``."""
    places = {
        name: (record, key)
        for record in records
        if at and isinstance(record, dict)
        for name in _names(judgement, record) & at.keys()
        for key, value in record.items()
        if value == at[name] or str(value).lstrip("0") == str(at[name])
    }
    last: dict[str, str] = {}
    for event in judgement.drive.sender.events.values():
        if event.group and event.id in places:
            before = last.get(event.group)
            if before and at[before] < at[event.id]:
                (one, key), (other, _) = places[before], places[event.id]
                new = {id(one): one | {key: other[key]}, id(other): other | {key: one[key]}}
                yield "swapped", [one, other], [new.get(id(it), it) for it in records]
                return
            last[event.group] = event.id


def _in_turn(judgement: Judgement, records: Sequence[Any]) -> tuple[Any, Any]:
    """Return two neighbors of a group, in turn as all there: a verdict must name one of them."""
    group, turn = judgement.order or ("", "")
    sent = {name: number for number, name in enumerate(judgement.drive.sender.events)}
    groups: dict[Any, list[Any]] = {}
    for record in records:
        if turn in record and _names(judgement, record) <= sent.keys():
            groups.setdefault((record.get(group), frozenset(record)), []).append(record)
    for every in groups.values():
        every.sort(key=lambda record: min(sent[name] for name in _names(judgement, record)))
        turns = [record[turn] for record in every]
        in_turn = [
            record
            for number, record in enumerate(every)
            if max(turns[: number + 1]) == record[turn] == min(turns[number:])
        ]
        for one, other in pairwise(in_turn):
            if one[turn] < other[turn]:
                return one, other
    raise LookupError(f"Nothing is in turn by {turn} in {group}.")


def _names(judgement: Judgement, record: Any) -> set[str]:
    """Return the ids of a record's events; of a record that is about none, what its key says."""
    sender = judgement.drive.sender
    if isinstance(record, bytes):
        return {name for body, name in sender.sent.items() if body in record}
    texts = {*_texts(record)}
    texts |= {part for text in texts for part in text.split("#")}
    texts |= {inner for text in texts for inner in _texts(_parsed(text.encode()))}
    keys = [part for key in ("pk", "id") for part in str(record.get(key, "")).split("#")[1:]]
    return (texts & sender.events.keys()) or set(keys)


def _parsed(body: bytes) -> Any:
    try:
        return [json.loads(body)]
    except ValueError:
        return []


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in a document that is not empty."""
    yield from (inner for _, inner, _ in _leaves(value) if isinstance(inner, str) and inner)


def _leaves(value: Any) -> Iterator[tuple[Any, Any, Callable[[Any], None]]]:
    """Yield every text and number in a document, with its key and what replaces it."""
    places = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in places:
        if isinstance(inner, str | int | float | Decimal):
            yield key, inner, lambda other, key=key: value.__setitem__(key, other)  # type: ignore[misc]
        elif isinstance(inner, dict | list):
            yield from _leaves(inner)
