"""What could hold an execution, or end it half done: each rule at its boundary."""

from __future__ import annotations

from typing import Any

import pytest

from serverless_patterns.patterns.checks import stepfunctions

DAY = 86_400
ALL = {"ErrorEquals": ["States.ALL"], "MaxAttempts": 2, "JitterStrategy": "FULL"}
STEP: dict[str, Any] = {"TimeoutSeconds": 5, "Retry": [ALL]}
NEVER = {"ErrorEquals": ["Declined"], "MaxAttempts": 0}


def holds(problem: str | None, expected: str | None) -> None:
    """Assert that there is no problem, or one that says what is expected."""
    assert (problem is None) == (expected is None), problem
    assert (expected or "") in (problem or "")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, None),
        ({"TimeoutSeconds": None}, "Charge has no TimeoutSeconds"),
        ({"TimeoutSeconds": "{% 5 %}"}, "as a whole number"),
        ({"HeartbeatSeconds": 4}, None),
        ({"HeartbeatSeconds": 5}, "HeartbeatSeconds 5 and TimeoutSeconds 5"),
        ({"HeartbeatSeconds": "{% 4 %}"}, "a whole number"),
        ({"Retry": []}, "Charge has no Retry for States.ALL"),
        ({"Retry": [ALL | {"ErrorEquals": ["States.Timeout"]}]}, "has no Retry for States.ALL"),
        ({"Retry": [ALL | {"JitterStrategy": "NONE"}]}, "retries without JitterStrategy FULL"),
        ({"Retry": [{"ErrorEquals": ["States.ALL"]}]}, "retries without JitterStrategy FULL"),
        ({"Retry": [NEVER, ALL]}, None),
    ],
)
def test_a_step_has_a_timeout_and_retries_with_jitter(
    changes: dict[str, Any], problem: str | None
) -> None:
    holds(stepfunctions.step("Charge", STEP | changes, caught=True), problem)


def test_a_step_that_nothing_catches_is_rejected() -> None:
    problem = stepfunctions.step("Charge", STEP, caught=False)
    holds(problem, "Charge has no Catch for States.ALL, nor has a state around it")


@pytest.mark.parametrize(
    ("limit", "problem"),
    [
        (None, "Lines has MaxConcurrency None, allowed is 1 to 40"),
        (0, "MaxConcurrency 0"),
        (1, None),
        (40, None),
        (41, "MaxConcurrency 41"),
        ("{% 5 %}", "MaxConcurrency {% 5 %}"),
    ],
)
def test_a_map_runs_1_to_40_items_at_a_time(limit: object, problem: str | None) -> None:
    holds(stepfunctions.map_concurrency("Lines", limit), problem)


@pytest.mark.parametrize(("seconds", "accepted"), [(None, True), (60, False), (0, False)])
def test_a_time_limit_of_the_whole_execution_is_rejected(seconds: object, accepted: bool) -> None:
    expected = None if accepted else f"TimeoutSeconds {seconds} for the whole execution"
    holds(stepfunctions.whole_timeout(seconds), expected)


@pytest.mark.parametrize(
    ("resource", "waits"),
    [
        ("arn:aws:states:::sqs:sendMessage", False),
        ("arn:aws:states:::sqs:sendMessage.waitForTaskToken", True),
        ("arn:aws:states:::states:startExecution.sync", True),
        ("arn:aws:states:::states:startExecution.sync:2", True),
        ("arn:aws:states:us-east-1:111111111111:activity:pack", True),
    ],
)
def test_express_does_not_wait(resource: str, waits: bool) -> None:
    expected = f"Park waits for {resource}, which an Express" if waits else None
    holds(stepfunctions.express_waits("Park", resource), expected)


@pytest.mark.parametrize(
    ("runs", "problem"),
    [
        (None, None),
        (9, None),
        (10, "Charge gives up after 10 s, but its function may run for 10 s"),
    ],
)
def test_a_function_ends_before_its_step_gives_up(runs: float | None, problem: str | None) -> None:
    holds(stepfunctions.outlives_step("Charge", 10, runs), problem)


@pytest.mark.parametrize(
    ("kept", "waits", "problem"),
    [
        (13 * DAY - 1, 13 * DAY, "Parked keeps messages for 1123199 s, but step Park waits 112320"),
        (13 * DAY, 13 * DAY, None),
        (14 * DAY, 14 * DAY + 1, "keeps messages for 1209600 s"),
        (60, 0, None),
        (None, 13 * DAY, None),
    ],
)
def test_a_queue_keeps_a_task_token_for_as_long_as_its_step_waits(
    kept: float | None, waits: float, problem: str | None
) -> None:
    holds(stepfunctions.forgets_token("Parked", kept, "Park", waits), problem)


@pytest.mark.parametrize(
    ("retries", "seconds"),
    [
        ([], 10),
        ([NEVER], 10),
        ([{}], 4 * 10 + 1 + 2 + 4),
        ([{"MaxAttempts": 2, "IntervalSeconds": 3, "BackoffRate": 3}], 3 * 10 + 3 + 9),
        ([{"MaxAttempts": 3, "IntervalSeconds": 3, "MaxDelaySeconds": 4}], 4 * 10 + 3 + 4 + 4),
        ([NEVER, {"MaxAttempts": 1}], 2 * 10 + 1),
    ],
)
def test_a_step_takes_as_long_as_its_attempts_and_the_waits_between_them(
    retries: list[dict[str, Any]], seconds: float
) -> None:
    assert stepfunctions.longest_seconds({"TimeoutSeconds": 10, "Retry": retries}) == seconds


@pytest.mark.parametrize(("seconds", "problem"), [(300, None), (301, "steps take up to 301 s")])
def test_the_steps_of_an_express_execution_take_5_minutes_at_most(
    seconds: float, problem: str | None
) -> None:
    holds(stepfunctions.express_duration(seconds), problem)
