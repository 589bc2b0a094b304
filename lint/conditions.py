"""Which combinations of a template's conditions are checked: all, or a selection of very many.

Conditions are connected when one is made of the other, when they ask for the same parameter, or
when the resources that use them refer to each other. Of many combinations, those are selected that
have each combination of connected conditions in them: what a rule finds depends on connected
resources. When even connected conditions have too many, the selection is drawn at random, always
the same one, and the template is told.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, compress, product
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from cfnlint.template import Template

MAX = 128  # more combinations of conditions than these are not checked
MAX_SETTINGS = 4096  # of parameters, from which the combinations follow
WORD = re.compile(r"[\w-]+")
Case = dict[str, bool]


@dataclass(frozen=True)
class Selection:
    """The combinations to check, and the connected conditions that have more than these."""

    cases: list[Case] = field(default_factory=lambda: [{}])
    partial: list[list[str]] = field(default_factory=list)


def select(cfn: Template, resources: Mapping[str, Any]) -> Selection:
    """Return the combinations of the conditions that a template's resources use."""
    stated = as_object(cfn.template.get("Conditions"))
    used = [name for name in sorted(_used(resources)) if name in stated]
    draw = Random(0)  # noqa: S311 - no secret: the same selection each time
    groups = _connected(_made_of(used, cfn.template))
    options = {group[0]: _possible(cfn, group, draw) for group in groups}
    every = [cases for cases, _ in options.values()]
    whole = all(complete for _, complete in options.values())
    if not all(every) or (whole and math.prod(map(len, every)) <= MAX):
        return Selection([_merged(row) for row in product(*every)])

    columns, partly = [], []
    for group in _connected(_links(resources, options)):
        own = [options[name] for name in group if name in options]
        rows, count = [cases for cases, _ in own], math.prod(len(cases) for cases, _ in own)
        if count <= MAX and all(complete for _, complete in own):
            column = [_merged(row) for row in product(*rows)] * MAX
            column = draw.sample(column[:MAX], MAX)
        else:
            column = [_merged(map(draw.choice, rows)) for _ in range(MAX)]
            partly.append(sorted(column[0]))
        columns.append(column)
    return Selection([_merged(row) for row in zip(*columns, strict=True)], partly)


def case_of(cases: list[Case], found: set[int]) -> str:
    """Return in which case something is found, in words; empty when it always is.

    Args:
        cases: Every combination that was checked.
        found: The places in ``cases`` of those in which it is found.
    """
    others = [case.items() for place, case in enumerate(cases) if place not in found]
    told = set.intersection(*(set(cases[place].items()) for place in found))
    if any(told <= case for case in others):  # one of several cases: say the first
        told = set(cases[min(found)].items())
    kept: list[tuple[str, bool]] = []
    left = others
    while left:
        best = min(sorted(told), key=lambda item: sum(item in case for case in left))
        kept.append(best)
        left = [case for case in left if best in case]
    for item in list(kept):
        rest = set(kept) - {item}
        if others and not any(rest <= case for case in others):
            kept.remove(item)
    return " and ".join(f"{name} is {str(value).lower()}" for name, value in sorted(kept))


def _possible(cfn: Template, names: list[str], draw: Random) -> tuple[list[Case], bool]:
    """Return the combinations of conditions that a deployment can have, and whether it is all.

    A parameter has each value that a condition compares it with, or another one. What conditions
    compare otherwise is equal or not.
    """
    conditions = as_object(cfn.template.get("Conditions"))
    asked: dict[str, list[str | None]] = {}

    def note(place: str, value: str | None) -> bool:
        asked.setdefault(place, []).append(value)
        return False

    for name in names:
        _holds(conditions[name], conditions, note)
    values = [_values(cfn, place, compared) for place, compared in asked.items()]
    whole = math.prod(map(len, values)) <= MAX_SETTINGS
    rows = product(*values) if whole else ([*map(draw.choice, values)] for _ in range(MAX_SETTINGS))
    found: dict[tuple[bool, ...], Case] = {}
    for row in rows:
        if len(found) == MAX and not whole:
            break
        is_now = partial(_is, dict(zip(asked, row, strict=True)))
        case = {name: _holds(conditions[name], conditions, is_now) for name in names}
        found[tuple(case.values())] = case
    cases = list(found.values())
    if "Rules" in cfn.template:  # they exclude some
        known = ({name: {value} for name, value in case.items()} for case in cases)
        cases = list(compress(cases, [any(cfn.conditions.build_scenarios(sets)) for sets in known]))
    return (cases, whole) if len(cases) <= MAX else (draw.sample(cases, MAX), False)


def _values(cfn: Template, place: str, compared: list[str | None]) -> list[Any]:
    """Return what a parameter can be, as far as conditions tell; None is any other value."""
    if None in compared:
        return [True, False]
    parameter = as_object(as_object(cfn.template.get("Parameters")).get(place))
    allowed = [_text(value) for value in parameter.get("AllowedValues") or ()]
    known = [value for value in dict.fromkeys(compared) if not allowed or value in allowed]
    return known + [None] * (not allowed or bool(set(allowed) - set(known)))


def _is(setting: Mapping[str, Any], place: str, value: str | None) -> bool:
    return bool(setting[place] if value is None else setting[place] == value)


def _holds(
    value: Any,
    conditions: Mapping[str, Any],
    ask: Callable[[str, str | None], bool],
    inside: tuple[str, ...] = (),
) -> bool:
    """Tell whether a condition holds; ``ask`` says whether a parameter has a value."""

    def holds(item: Any) -> bool:
        return _holds(item, conditions, ask, inside)

    match value:
        case {"Condition": str(name)} if name in conditions and name not in inside:
            return _holds(conditions[name], conditions, ask, (*inside, name))
        case {"Fn::Not": [item]}:
            return not holds(item)
        case {"Fn::And": [*items]}:
            return all([*map(holds, items)])  # each is asked
        case {"Fn::Or": [*items]}:
            return any([*map(holds, items)])
        case {"Fn::Equals": [{"Ref": str(name)}, other] | [other, {"Ref": str(name)}]}:
            if (text := _text(other)) is not None:
                return ask(name, text)
        case {"Fn::Equals": [left, right]} if _text(left) is not None:
            if _text(right) is not None:
                return _text(left) == _text(right)
    return ask(repr(value), None)


def _text(value: Any) -> str | None:
    """Return a literal as CloudFormation compares it; None for what is none."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float) else None


def _merged(cases: Iterable[Case]) -> Case:
    return dict(chain.from_iterable(case.items() for case in cases))


def _connected(links: Mapping[str, set[str]]) -> list[list[str]]:
    """Return names in groups: those that share a link, directly or by others."""
    groups: list[tuple[set[str], list[str]]] = []
    for name, own in links.items():
        touched = [group for group in groups if group[0] & own]
        groups = [group for group in groups if group not in touched]
        together = own.union(*(shared for shared, _ in touched))
        groups.append((together, [*chain(*(members for _, members in touched)), name]))
    return [members for _, members in groups]


def _made_of(names: list[str], template: Mapping[str, Any]) -> dict[str, set[str]]:
    """Return the parameters and conditions of which each condition is made, itself among them."""
    conditions, rules = (as_object(template.get(name)) for name in ("Conditions", "Rules"))
    ruled = [_asked(rule) for rule in rules.values()]
    made = {}
    for name in names:
        found, todo = set(), {name}
        while todo:
            found |= todo
            more = [_asked(conditions.get(item)) for item in todo]
            more += [rule for rule in ruled if rule & todo]  # it keeps combinations from being
            todo = set().union(*more) - found
        made[name] = found
    return made


def _asked(value: Any) -> set[str]:
    """Return the parameters and conditions that a condition or a rule names."""
    named = [item for key, item in pairs(value) if key in ("Ref", "Condition")]
    return {item for item in named if isinstance(item, str)}


def _links(resources: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, set[str]]:
    """Return what connects resources (ids, names, conditions), and the options of conditions."""
    bodies = {name: raw for name, raw in resources.items() if isinstance(raw, dict)}
    links = {name: set(cases[0]) for name, (cases, _) in options.items() if cases}
    named = {
        str(value)
        for raw in bodies.values()
        for key, value in pairs(raw.get("Properties"))
        if str(key).endswith("Name") and isinstance(value, str)
    }
    for name, raw in bodies.items():
        words = {word for text in _texts(raw) for word in WORD.findall(text)}
        mine = {f"a resource {word}" for word in (bodies.keys() | named) & (words | {name})}
        links[f"a resource {name}"] = mine | _used({name: raw})
    return links


def _used(resources: Mapping[str, Any]) -> set[str]:
    """Return the conditions that resources use."""
    stated = [raw.get("Condition") for raw in resources.values() if isinstance(raw, dict)]
    chosen = [
        item[0]
        for key, item in pairs(resources)
        if key == "Fn::If" and isinstance(item, list) and item
    ]
    return {name for name in stated + chosen if isinstance(name, str)}


def as_object(value: Any) -> dict[str, Any]:
    """Return an object; an empty one for what is none."""
    return value if isinstance(value, dict) else {}


def pairs(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the keys and values of objects, at any depth."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key, item
            yield from pairs(item)
    elif isinstance(value, list):
        for item in value:
            yield from pairs(item)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from chain.from_iterable(map(_texts, value.values()))
    elif isinstance(value, list):
        yield from chain.from_iterable(map(_texts, value))
    elif isinstance(value, str):
        yield str(value)
