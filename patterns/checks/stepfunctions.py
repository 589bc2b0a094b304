"""AWS Step Functions: states that could hold an execution, or end it half done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..limits import (
    EXPRESS_MAX_DURATION,
    SQS_MAX_RETENTION,
    STATES_DEFAULT_ATTEMPTS,
    STATES_INLINE_MAP_CONCURRENCY,
)

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


def has_timeout(name: object, timeout: object) -> str | None:
    """A step that waits for an answer has a timeout.

    Lint I9198. Source: https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html
    """
    if isinstance(timeout, int):
        return None
    return (
        f"{name} has no TimeoutSeconds: an answer that never comes would hold the execution for up "
        "to a year. Give it one, as a whole number."
    )


def step(name: object, state: Mapping[str, Any], *, caught: bool) -> str | None:
    """A step of a saga has a timeout, retries with jitter, and a catch that begins to undo.

    Source: https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html

    Args:
        name: The step.
        state: Its Task state.
        caught: Whether it, or a state around it, catches every error.
    """
    timeout: Any = state.get("TimeoutSeconds")
    heartbeat = state.get("HeartbeatSeconds")
    retries = state.get("Retry", [])
    if problem := has_timeout(f"Step {name}", timeout):
        return problem
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
        f"Map {name} has MaxConcurrency {limit}; it must be 1 to {STATES_INLINE_MAP_CONCURRENCY}. "
        "Without a limit one big order uses the capacity of all others."
    )


def whole_timeout(seconds: object) -> str | None:
    """A saga has no time limit for the whole execution.

    Source: https://docs.aws.amazon.com/step-functions/latest/dg/statemachine-structure.html
    """
    if seconds is None:
        return None
    return (
        f"The definition has TimeoutSeconds {seconds} for the whole execution: that ends it in the "
        "middle and undoes nothing. Leave it out; every step has its own."
    )


def outlives_step(step: object, gives_up: float, runs: float | None) -> str | None:
    """A function ends before its step gives up.

    Source: https://docs.aws.amazon.com/step-functions/latest/dg/connect-lambda.html

    Args:
        step: The step.
        gives_up: Its timeout, in seconds.
        runs: The function's timeout, in seconds; None when it is not known.
    """
    if runs is None or runs < gives_up:
        return None
    return (
        f"Step {step} gives up after {gives_up} s, but its function may run for {runs:g} s: it "
        "would continue to work while the execution already retries or undoes it. Make the step's "
        "TimeoutSeconds the longer one."
    )


def forgets_token(queue: object, kept: float | None, step: object, waits: float) -> str | None:
    """A queue keeps a task token for as long as its step waits for an answer.

    Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html

    Args:
        queue: The queue.
        kept: Its retention period, in seconds; None when it is not known.
        step: The step.
        waits: How long it waits, in seconds; 0 when it does not.
    """
    if kept is None or kept >= waits:
        return None
    return (
        f"{queue} keeps messages for {kept:.0f} s, but step {step} waits {waits:.0f} s for an "
        "answer: the message and its task token would be gone while the execution still waits. "
        f"Raise the queue's retention_period to that ({SQS_MAX_RETENTION} s at most), or lower the "
        "step's TimeoutSeconds."
    )


def longest_seconds(state: Mapping[str, Any]) -> float:
    """Return how long a Task state takes at most, with every retry and every wait before one.

    Source: https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
    """
    timeout = float(state["TimeoutSeconds"])
    return max((_with_retries(timeout, retry) for retry in state["Retry"]), default=timeout)


def _with_retries(timeout: float, retry: Mapping[str, Any]) -> float:
    attempts = int(retry.get("MaxAttempts", STATES_DEFAULT_ATTEMPTS))
    wait, rate = float(retry.get("IntervalSeconds", 1)), float(retry.get("BackoffRate", 2))
    longest = float(retry.get("MaxDelaySeconds", EXPRESS_MAX_DURATION))
    waits = sum(min(longest, wait * rate**attempt) for attempt in range(attempts))
    return timeout * (attempts + 1) + waits


def express_duration(seconds: float) -> str | None:
    """The steps of an Express execution fit into its five minutes, with all their retries.

    Source: https://docs.aws.amazon.com/step-functions/latest/dg/choosing-workflow-type.html
    """
    if seconds <= EXPRESS_MAX_DURATION:
        return None
    return (
        f"express is set, but with all retries the steps take up to {seconds:g} s, and an Express "
        f"execution ends after {EXPRESS_MAX_DURATION} s in the middle, undoing nothing. Lower "
        "TimeoutSeconds and retries, or leave express out."
    )
