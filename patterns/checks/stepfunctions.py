"""AWS Step Functions: states that could hold an execution, or end it half done."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from ..limits import (
    EXPRESS_MAX_DURATION,
    SQS_MAX_RETENTION,
    STATES_DEFAULT_ATTEMPTS,
    STATES_DEFAULT_BACKOFF,
    STATES_DEFAULT_INTERVAL,
    STATES_DISTRIBUTED_MAP_CONCURRENCY,
    STATES_INLINE_MAP_CONCURRENCY,
    STATES_MAX_DURATION,
    STATES_PAYLOAD_BYTES,
)
from . import period

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

CALLBACK = ".waitForTaskToken"
DATA_LIMIT = "States.DataLimitExceeded"


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


def step(name: object, state: Mapping[str, Any]) -> str | None:
    """A step of a saga has a timeout, and retries with jitter.

    Source: https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html

    Args:
        name: The step.
        state: Its Task state.
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
    if not any("States.ALL" in r["ErrorEquals"] and r.get("MaxAttempts") != 0 for r in retries):
        return (
            f"Step {name} has no Retry for States.ALL: one lost packet would undo the whole saga. "
            "Give it one, with a limit."
        )
    if any(r.get("MaxAttempts") != 0 and r.get("JitterStrategy") != "FULL" for r in retries):
        return (
            f"Step {name} retries without JitterStrategy FULL: after an outage all executions "
            "would retry at the same moment. Set it."
        )
    if longest_seconds({"Type": "Task", **state}) > STATES_MAX_DURATION:
        return (
            f"Step {name} may retry for more than {period(STATES_MAX_DURATION)}, when Step "
            "Functions ends the execution in the middle. Set MaxDelaySeconds, or lower MaxAttempts."
        )
    return None


def caught(name: object, errors: Collection[str], *, may_answer_too_much: bool) -> str | None:
    """Whatever a state of a saga can catch begins to undo: States.ALL is not every error.

    It catches neither States.DataLimitExceeded, which a Catch may name, nor States.Runtime, which
    always ends the execution.

    Source: https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html

    Args:
        name: The state.
        errors: What it, or a state around it, catches.
        may_answer_too_much: Whether nothing limits the size of its answer.
    """
    if "States.ALL" not in errors:
        return (
            f"{name} has no Catch for States.ALL, nor has a state around it: the steps before "
            "it would not be undone. Give it one that begins to undo."
        )
    if may_answer_too_much and DATA_LIMIT not in errors:
        return (
            f"{name} has no Catch for {DATA_LIMIT}, nor has a state around it, and States.ALL does "
            f"not catch it: an answer above {STATES_PAYLOAD_BYTES // 1024} KiB would end the saga "
            "half done. Give it a Catch for that error that begins to undo."
        )
    return None


def has_default(name: object, default: object, errors: Collection[str]) -> str | None:
    """A Choice of a saga has a Default: it cannot catch that none of its choices fits.

    Source: https://docs.aws.amazon.com/step-functions/latest/dg/state-choice.html

    Args:
        name: The Choice.
        default: Its default state.
        errors: What a state around it catches.
    """
    if default is not None or "States.ALL" in errors:
        return None
    return (
        f"Choice {name} has no Default: an input that fits none of its choices would end the saga "
        "half done. Give it one that begins to undo."
    )


def map_concurrency(name: object, limit: object, *, distributed: bool = False) -> str | None:
    """A Map runs 1 to 40 items at a time, and a distributed one 1 to 10,000.

    Source: https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
    """
    most = STATES_DISTRIBUTED_MAP_CONCURRENCY if distributed else STATES_INLINE_MAP_CONCURRENCY
    if isinstance(limit, int) and 1 <= limit <= most:
        return None
    return (
        f"Map {name} has MaxConcurrency {limit}; it must be 1 to {most}. Without a limit one big "
        "order uses the capacity of all others."
    )


def tolerates(name: object, state: Mapping[str, Any]) -> str | None:
    """A distributed Map of a saga tolerates no failed item.

    Source: https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
    """
    found = [key for key in state if key.startswith("ToleratedFailure")]
    if not found:
        return None
    return (
        f"Map {name} has {found[0]} {state[found[0]]}: items that fail would stay half done, and "
        "nothing would be undone. Leave it out, and catch and park inside of the Map what fails."
    )


def in_jsonata(name: object, language: str) -> str | None:
    """A step says in JSONata what it does with which resource.

    Source: https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
    """
    if language == "JSONata":
        return None
    return (
        f"State {name} is in {language}, for which no permission is derived. Set QueryLanguage of "
        "the definition to JSONata, and write Arguments instead of Parameters."
    )


def own_role(name: object, credentials: object) -> str | None:
    """A step acts as the state machine, whose role gets the permissions.

    Source:
    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-access-cross-acct-resources.html
    """
    if credentials is None:
        return None
    return (
        f"Step {name} has Credentials: it would act as another role, for which no permission is "
        "derived. Leave them out, or bring your own state machine."
    )


def waits_for_function(name: object, invocation_type: object) -> str | None:
    """A step waits for its function, and so learns of its failure.

    Source: https://docs.aws.amazon.com/step-functions/latest/dg/connect-lambda.html
    """
    if invocation_type in (None, "RequestResponse"):
        return None
    return (
        f"Step {name} has InvocationType {invocation_type}: it would not wait for its function, so "
        "nothing would be retried or undone when the function fails. Leave it out."
    )


def no_qualifier(name: object, qualifier: object) -> str | None:
    """A step names a version or alias by its ARN, which its permission is for.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-aliases.html
    """
    if qualifier is None:
        return None
    return (
        f"Step {name} has Qualifier {qualifier}, but its permission is for the function as it is "
        "given. Leave Qualifier out, and give the version or alias in resources."
    )


def sends_token(name: object, resource: str, arguments: object) -> str | None:
    """A step that waits for an answer sends the token that the answer needs.

    Source: https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html
    """
    if not resource.endswith(CALLBACK) or "Task.Token" in json.dumps(arguments):
        return None
    return (
        f"Step {name} waits for a task token that it does not send, so nobody could answer. Put "
        "{% $states.context.Task.Token %} into its Arguments."
    )


def all_is_last(name: object, kind: str, handlers: Sequence[Mapping[str, Any]]) -> str | None:
    """States.ALL is alone in the last Retry or Catch: Step Functions rejects any other place.

    Source: https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html

    Args:
        name: The state.
        kind: ``Retry`` or ``Catch``.
        handlers: All of this kind, in their order.
    """
    errors = [one["ErrorEquals"] for one in handlers]
    early = any("States.ALL" in one for one in errors[:-1])
    if not early and (not errors or "States.ALL" not in errors[-1] or len(errors[-1]) == 1):
        return None
    return (
        f"{name} has States.ALL in its {kind} beside or before other errors, which Step Functions "
        "rejects. Make it the last one, alone in its ErrorEquals."
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
        f"Step {step} gives up after {period(gives_up)}, but its function may run for "
        f"{period(runs)}: it would continue to work while the execution already retries or undoes "
        "it. Make the step's TimeoutSeconds the longer one."
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
        f"{queue} keeps messages for {period(kept)}, but step {step} waits {period(waits)} for an "
        "answer: the message and its task token would be gone while the execution still waits. "
        f"Raise the queue's retention_period to that ({period(SQS_MAX_RETENTION)} at most), or "
        "lower the step's TimeoutSeconds."
    )


def parts(state: Mapping[str, Any]) -> Sequence[Any]:
    """Return what a Map or a Parallel state runs inside."""
    mapped = state.get("ItemProcessor", state.get("Iterator"))  # the latter is its old name
    return state.get("Branches", ()) if mapped is None else [mapped]


def leads_nowhere(name: object, machine: Mapping[str, Any]) -> str | None:
    """A state leads to another one of the same definition, or of the same part of it.

    Source: https://docs.aws.amazon.com/step-functions/latest/dg/statemachine-structure.html
    """
    states = machine["States"]
    found = [(f"{name}, in StartAt,", machine.get("StartAt"))]
    for one, fields in states.items():
        ways = [fields, *fields.get("Catch", ()), *fields.get("Choices", ())]
        nexts = [fields.get("Default"), *(way.get("Next") for way in ways)]
        found += [(f"State {one}", next_) for next_ in nexts]
    for who, next_ in found:
        if isinstance(next_, str) and next_ not in states:
            return f"{who} leads to {next_}, which is no state beside it. Name one of those."
    return None


def longest_seconds(state: Mapping[str, Any]) -> float:
    """Return how long a state takes at most, with every retry and every wait before one.

    Of a Map it is one round: only run time knows how many its items need.

    Source: https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
    """
    own = state.get("TimeoutSeconds" if state["Type"] == "Task" else "Seconds", 0)
    inside = sum(longest_seconds(one) for part in parts(state) for one in part["States"].values())
    attempt = (own if isinstance(own, int | float) else EXPRESS_MAX_DURATION + 1) + inside
    return max((_with_retries(attempt, one) for one in state.get("Retry", ())), default=attempt)


def _with_retries(attempt: float, retry: Mapping[str, Any]) -> float:
    """Return how long a state takes with one of its retriers, as far as an execution may take."""
    total = attempt
    wait = float(retry.get("IntervalSeconds", STATES_DEFAULT_INTERVAL))
    rate = float(retry.get("BackoffRate", STATES_DEFAULT_BACKOFF))
    longest = float(retry.get("MaxDelaySeconds", math.inf))
    for _ in range(int(retry.get("MaxAttempts", STATES_DEFAULT_ATTEMPTS))):
        if total > STATES_MAX_DURATION:
            break
        total += min(longest, wait) + attempt
        wait *= rate
    return total


def express_duration(name: object, states: Iterable[Mapping[str, Any]]) -> str | None:
    """The states of an Express execution fit into its five minutes, with all their retries.

    Source: https://docs.aws.amazon.com/step-functions/latest/dg/choosing-workflow-type.html
    """
    seconds = sum(map(longest_seconds, states))
    if seconds <= EXPRESS_MAX_DURATION:
        return None
    return (
        f"{name} is Express, but with all waits and retries its states take up to {seconds:g} s, "
        f"and an Express execution ends after {EXPRESS_MAX_DURATION} s in the middle, undoing "
        "nothing. Lower TimeoutSeconds and retries, or make it Standard."
    )


def express_map(name: object, *, distributed: bool) -> str | None:
    """An Express state machine has no distributed Map.

    Source: https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
    """
    if not distributed:
        return None
    return (
        f"Map {name} is distributed, which Express state machines do not support. Leave express "
        "out, or make the Map INLINE."
    )
