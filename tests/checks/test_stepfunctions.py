"""What could hold an execution, or end it half done: each rule at its boundary."""

from __future__ import annotations

from typing import Any

import pytest

from serverless_patterns.patterns.checks import stepfunctions
from tests.checks.rules import agree, boundaries

DAY = 86_400
ALL = {"ErrorEquals": ["States.ALL"], "MaxAttempts": 2, "JitterStrategy": "FULL"}
STEP: dict[str, Any] = {"TimeoutSeconds": 5, "Retry": [ALL]}
NEVER = {"ErrorEquals": ["Declined"], "MaxAttempts": 0}
STATES = "arn:aws:states:::"


@boundaries(
    {
        "a step has a timeout and retries with jitter": [
            (stepfunctions.step("Charge", STEP | changes, caught=True), expected)
            for changes, expected in (
                ({}, None),
                ({"TimeoutSeconds": None}, "Charge has no TimeoutSeconds"),
                ({"TimeoutSeconds": "{% 5 %}"}, "as a whole number"),
                ({"HeartbeatSeconds": 4}, None),
                ({"HeartbeatSeconds": 5}, "HeartbeatSeconds 5 and TimeoutSeconds 5"),
                ({"HeartbeatSeconds": "{% 4 %}"}, "a whole number"),
                ({"Retry": []}, "Charge has no Retry for States.ALL"),
                ({"Retry": [ALL | {"ErrorEquals": ["States.Timeout"]}]}, "has no Retry for States"),
                ({"Retry": [ALL | {"JitterStrategy": "NONE"}]}, "without JitterStrategy FULL"),
                ({"Retry": [{"ErrorEquals": ["States.ALL"]}]}, "without JitterStrategy FULL"),
                ({"Retry": [NEVER, ALL]}, None),
            )
        ],
        "something catches a step": [
            (
                stepfunctions.step("Charge", STEP, caught=False),
                "Charge has no Catch for States.ALL, nor has a state around it",
            ),
        ],
        "a map runs 1 to 40 items at a time": [
            (stepfunctions.map_concurrency("Lines", limit), expected)
            for limit, expected in (
                (None, "Lines has MaxConcurrency None; it must be 1 to 40"),
                (0, "MaxConcurrency 0"),
                (1, None),
                (40, None),
                (41, "MaxConcurrency 41"),
                ("{% 5 %}", "MaxConcurrency {% 5 %}"),
            )
        ],
        "the whole execution has no time limit": [
            (stepfunctions.whole_timeout(None), None),
            (stepfunctions.whole_timeout(60), "TimeoutSeconds 60 for the whole execution"),
            (stepfunctions.whole_timeout(0), "TimeoutSeconds 0 for the whole execution"),
        ],
        "Express does not wait": [
            (
                stepfunctions.express_waits("Park", resource),
                f"Park waits for {resource}, which an Express" if waits else None,
            )
            for resource, waits in (
                (f"{STATES}sqs:sendMessage", False),
                (f"{STATES}sqs:sendMessage.waitForTaskToken", True),
                (f"{STATES}states:startExecution.sync", True),
                (f"{STATES}states:startExecution.sync:2", True),
                ("arn:aws:states:us-east-1:111111111111:activity:pack", True),
            )
        ],
        "a function ends before its step gives up": [
            (stepfunctions.outlives_step("Charge", 10, None), None),
            (stepfunctions.outlives_step("Charge", 10, 9), None),
            (
                stepfunctions.outlives_step("Charge", 10, 10),
                "Charge gives up after 10 s, but its function may run for 10 s",
            ),
        ],
        "a queue keeps a task token for as long as its step waits": [
            (stepfunctions.forgets_token("Kept", kept, "Park", waits), expected)
            for kept, waits, expected in (
                (13 * DAY - 1, 13 * DAY, "Kept keeps messages for 1123199 s, but step Park waits"),
                (13 * DAY, 13 * DAY, None),
                (14 * DAY, 14 * DAY + 1, "keeps messages for 1209600 s"),
                (60, 0, None),
                (None, 13 * DAY, None),
            )
        ],
        "the steps of an Express execution take 5 minutes at most": [
            (stepfunctions.express_duration(300), None),
            (stepfunctions.express_duration(301), "steps take up to 301 s"),
        ],
    }
)
def test_a_rule_says_what_is_wrong(said: str | None, expected: str | None) -> None:
    agree(said, expected)


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
