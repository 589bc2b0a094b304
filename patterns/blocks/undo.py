"""A definition that undoes what it has done when a step fails: nothing may end it in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..checks import reject
from ..checks import stepfunctions as checks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .definitions import Definition


def check_undo(definition: Definition, *, express: bool, parked: str | None = None) -> None:
    """Reject a definition that could end half done, with nothing to undo it.

    What no catch sees, such as States.Runtime or a failing expression of a Choice, it cannot find.

    Source: https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html

    Args:
        definition: The definition.
        express: Whether it is of an Express state machine.
        parked: The queue that gets what cannot be undone. Default: none.

    Raises:
        ValueError: nothing is sent to ``parked``; a timeout of the whole execution; a step without
            timeout or retries; a step, Map or Parallel state that does not catch what it can; a
            Choice without Default; a Map without a limit, or that tolerates failed items; in
            Express, also that of a Map's items, a step that waits, or more than five minutes.
    """
    states = definition.states
    if parked and f"${{{parked}}}" not in definition.text:
        raise ValueError(
            f"The definition does not use ${{{parked}}}, so nobody would learn of what cannot be "
            "undone. Send it to that queue when undoing fails."
        )
    reject(
        checks.whole_timeout(definition.machine.get("TimeoutSeconds")),
        *(checks.step(step.name, step.fields) for step in definition.steps),
        *(
            checks.caught(one.title, one.caught, may_answer_too_much=one.may_answer_too_much)
            for one in states
            if one.kind in ("Task", "Map", "Parallel")
        ),
        *(
            checks.has_default(one.name, one.fields.get("Default"), one.caught)
            for one in states
            if one.kind == "Choice"
        ),
    )
    maps = [state for state in states if state.kind == "Map"]
    for one in maps:
        limit = one.fields.get("MaxConcurrency")
        reject(
            checks.map_concurrency(one.name, limit, distributed=one.distributed),
            checks.tolerates(one.name, one.fields),
        )
        if express:
            reject(checks.express_map(one.name, distributed=one.distributed))
        if one.express_items:
            inside = one.fields["ItemProcessor"]["States"].values()
            _check_express(f"Each item of Map {one.name}", inside, definition, f"{one.name}/")
    if express:
        top = definition.machine["States"].values()
        _check_express("The state machine", top, definition)


def _check_express(
    name: str, states: Iterable[Any], definition: Definition, within: str = ""
) -> None:
    """Reject what an Express execution cannot do, or not within its five minutes."""
    steps = [step for step in definition.steps if step.name.startswith(within)]
    reject(
        *(checks.express_waits(step.name, step.resource) for step in steps),
        checks.express_duration(name, states),
    )
