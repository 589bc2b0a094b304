"""AWS Step Functions: states that could hold an execution, or end it half done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..limits import STATES_INLINE_MAP_CONCURRENCY

if TYPE_CHECKING:
    from collections.abc import Mapping

CALLBACK = ".waitForTaskToken"


def express_waits(step: object, resource: str) -> str | None:
    """An Express execution cannot wait for a job, a callback or an activity.

    Lint E9196. Source:
    https://docs.aws.amazon.com/step-functions/latest/dg/choosing-workflow-type.html
    """
    if not (resource.endswith((CALLBACK, ".sync", ".sync:2")) or ":activity:" in resource):
        return None
    return (
        f"{step} waits for {resource}, which an Express state machine cannot. Make the state "
        "machine Standard, or send without waiting."
    )


def step(name: object, state: Mapping[str, Any], *, caught: bool) -> str | None:
    """A step of a saga has a timeout, retries with jitter, and a catch that begins to undo.

    Source: https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html

    Args:
        name: The step.
        state: Its Task state.
        caught: Whether it, or a state around it, catches every error.
    """
    timeout, heartbeat = state.get("TimeoutSeconds"), state.get("HeartbeatSeconds")
    retries = state.get("Retry", [])
    if not isinstance(timeout, int):
        return (
            f"Step {name} has no TimeoutSeconds: an answer that never comes would hold the saga "
            "for a year. Give it one, as a whole number."
        )
    if heartbeat is not None and not (isinstance(heartbeat, int) and heartbeat < timeout):
        return (
            f"Step {name} has HeartbeatSeconds {heartbeat} and TimeoutSeconds {timeout}: the "
            "heartbeat must be the shorter one, and a whole number. Lower it."
        )
    if not any("States.ALL" in retry["ErrorEquals"] for retry in retries):
        return (
            f"Step {name} has no Retry for States.ALL: one lost packet would undo the whole saga. "
            "Give it one, with a limit."
        )
    if any(r.get("MaxAttempts") != 0 and r.get("JitterStrategy") != "FULL" for r in retries):
        return (
            f"Step {name} retries without JitterStrategy FULL: after an outage all executions "
            "would retry at the same moment. Set it."
        )
    if not caught:
        return (
            f"Step {name} has no Catch for States.ALL, nor has a state around it: the steps before "
            "it would not be undone. Give it one that begins to undo."
        )
    return None


def map_concurrency(name: object, limit: object) -> str | None:
    """An inline Map runs 1 to 40 items at a time.

    Source: https://docs.aws.amazon.com/step-functions/latest/dg/state-map-inline.html
    """
    if isinstance(limit, int) and 1 <= limit <= STATES_INLINE_MAP_CONCURRENCY:
        return None
    return (
        f"Map {name} has MaxConcurrency {limit}, allowed is 1 to {STATES_INLINE_MAP_CONCURRENCY}. "
        "Without a limit one big order uses the capacity of all others."
    )
