"""What could hold an execution, or end it half done: each rule at its boundary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.patterns.checks import stepfunctions
from tests.checks.rules import agree, boundaries

if TYPE_CHECKING:
    from collections.abc import Callable

DAY = 86_400
ALL = {"ErrorEquals": ["States.ALL"], "MaxAttempts": 2, "JitterStrategy": "FULL"}
STEP: dict[str, Any] = {"TimeoutSeconds": 5, "Retry": [ALL]}
TWICE = ALL | {"MaxAttempts": 1, "IntervalSeconds": 2}
HALF = (365 * DAY - 2) // 2
NEVER = {"ErrorEquals": ["Declined"], "MaxAttempts": 0}
STATES = "arn:aws:states:::"
WAIT: dict[str, Any] = {"Type": "Wait"}


@boundaries(
    lambda: {
        "a step has a timeout and retries with jitter": [
            (stepfunctions.step("Charge", STEP | changes), expected)
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
                ({"Retry": [ALL | {"MaxAttempts": 0}]}, "has no Retry for States.ALL"),
                ({"Retry": [ALL | {"MaxAttempts": 24}]}, None),
                ({"Retry": [ALL | {"MaxAttempts": 25}]}, "Charge may retry for more than 365 days"),
                (
                    {"Retry": [ALL | {"MaxAttempts": 99_999_999}]},
                    "may retry for more than 365 days",
                ),
                ({"Retry": [ALL | {"MaxAttempts": 9_999, "MaxDelaySeconds": 60}]}, None),
                ({"TimeoutSeconds": HALF, "Retry": [TWICE]}, None),  # a year to the second
                ({"TimeoutSeconds": HALF + 1, "Retry": [TWICE]}, "for more than 365 days"),
                (
                    {"TimeoutSeconds": HALF, "Retry": [TWICE | {"MaxAttempts": 2}]},
                    "for more than 365 days",
                ),
            )
        ],
        "a step that waits for an answer has a timeout": [
            (stepfunctions.has_timeout("Ask", 5), None),
            (stepfunctions.has_timeout("Ask", None), "Ask has no TimeoutSeconds: an answer that"),
            (stepfunctions.has_timeout("Ask", "5"), "Ask has no TimeoutSeconds"),
        ],
        "a step without any retry is found": [
            (stepfunctions.step("Charge", {"TimeoutSeconds": 5}), "has no Retry for States.ALL"),
        ],
        "a step is in JSONata": [
            (stepfunctions.in_jsonata("Charge", "JSONata"), None),
            (stepfunctions.in_jsonata("Charge", "JSONPath"), "State Charge is in JSONPath, for"),
        ],
        "a step acts as the state machine": [
            (stepfunctions.own_role("Charge", None), None),
            (stepfunctions.own_role("Charge", {"RoleArn": "…"}), "Step Charge has Credentials"),
        ],
        "a step waits for its function": [
            (stepfunctions.waits_for_function("Charge", kind), expected)
            for kind, expected in (
                (None, None),
                ("RequestResponse", None),
                ("Event", "Step Charge has InvocationType Event: it would not wait"),
            )
        ],
        "something catches whatever a state may fail with, by name if States.ALL leaves it out": [
            (stepfunctions.caught("Step Charge", errors, may_answer_too_much=large), expected)
            for errors, large, expected in (
                ([], False, "Step Charge has no Catch for States.ALL, nor has a state around it"),
                (["States.DataLimitExceeded"], True, "has no Catch for States.ALL"),
                (["States.ALL"], False, None),
                (["States.ALL"], True, "has no Catch for States.DataLimitExceeded, nor"),
                (["States.ALL"], True, "an answer above 256 KiB would end"),
                (["States.ALL", "States.DataLimitExceeded"], True, None),
            )
        ],
        "a choice has a default, unless a state around it catches": [
            (stepfunctions.has_default("Known?", default, errors), expected)
            for default, errors, expected in (
                (None, [], "Choice Known? has no Default"),
                ("Park", [], None),
                (None, ["States.ALL"], None),
            )
        ],
        "a step names a version or alias by its ARN": [
            (stepfunctions.no_qualifier("Charge", None), None),
            (stepfunctions.no_qualifier("Charge", "live"), "Charge has Qualifier live, but its"),
        ],
        "a step that waits sends the token": [
            (stepfunctions.sends_token("Ask", f"{STATES}sqs:sendMessage{waits}", sent), expected)
            for waits, sent, expected in (
                ("", {}, None),
                (
                    ".waitForTaskToken",
                    {"MessageBody": {"t": "{% $states.context.Task.Token %}"}},
                    None,
                ),
                (".waitForTaskToken", {"MessageBody": "x"}, "Ask waits for a task token that it"),
                (".waitForTaskToken", {}, "Put {% $states.context.Task.Token %} into its"),
            )
        ],
        "States.ALL is alone in the last catch": [
            (
                stepfunctions.all_is_last("Ask", "Catch", [{"ErrorEquals": e} for e in errors]),
                None if fits else "Ask has States.ALL in its Catch beside or before other errors",
            )
            for errors, fits in (
                ([], True),
                ([["X", "Y"]], True),
                ([["X", "Y"], ["States.ALL"]], True),
                ([["X", "States.ALL"]], False),
                ([["States.ALL"], ["X"]], False),
                ([["States.ALL"]], True),
                ([["X"], ["States.ALL"], ["Y"]], False),
            )
        ],
        "a distributed map tolerates no failed item": [
            (stepfunctions.tolerates("Each", fields), expected)
            for fields, expected in (
                ({"Type": "Map"}, None),
                ({"ToleratedFailurePercentage": 5}, "has ToleratedFailurePercentage 5: items that"),
                ({"ToleratedFailureCount": "{% 5 %}"}, "ToleratedFailureCount {% 5 %}"),
            )
        ],
        "an Express state machine has no distributed map": [
            (stepfunctions.express_map("Each", distributed=False), None),
            (stepfunctions.express_map("Each", distributed=True), "Map Each is distributed, which"),
        ],
        "a distributed map runs 1 to 10,000 executions at a time": [
            (stepfunctions.map_concurrency("Each", limit, distributed=True), expected)
            for limit, expected in (
                (10_000, None),
                (10_001, "it must be 1 to 10000"),
                (0, "MaxConcurrency 0"),
            )
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
                (
                    12 * DAY,
                    13 * DAY,
                    "Kept keeps messages for 12 days, but step Park waits 13 days",
                ),
                (13 * DAY, 13 * DAY, None),
                (14 * DAY, 14 * DAY + 1, "keeps messages for 14 days"),
                (60, 0, None),
                (None, 13 * DAY, None),
            )
        ],
        "the steps of an Express execution take 5 minutes at most": [
            (stepfunctions.express_duration("It", [WAIT | {"Seconds": seconds}]), expected)
            for seconds, expected in (
                (300, None),
                (301, "states take up to 301 s, and an Express execution ends after 300 s"),
                ("{% $seconds %}", "take up to 301 s"),  # only run time knows
            )
        ],
    }
)
def test_a_rule_says_what_is_wrong(said: Callable[[], str | None], expected: str | None) -> None:
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
    task = {"Type": "Task", "TimeoutSeconds": 10, "Retry": retries}
    assert stepfunctions.longest_seconds(task) == seconds


@pytest.mark.parametrize("within", ["ItemProcessor", "Iterator", "Branches"])
def test_a_state_takes_as_long_as_those_inside_of_it_in_each_of_its_attempts(within: str) -> None:
    part = {"States": {"Pass": {"Type": "Pass"}, "Wait": WAIT | {"Seconds": 10}}}
    around = {"Type": "Map", within: [part] if within == "Branches" else part}
    assert stepfunctions.longest_seconds(around | {"Retry": [{"MaxAttempts": 1}]}) == 2 * 10 + 1


@pytest.mark.parametrize(
    ("start", "fields", "nowhere"),
    [
        ("A", {"Next": "B", "Catch": [{"Next": "B"}]}, None),
        ("A", {"Choices": [{"Next": "A"}], "Default": "B"}, None),
        ("C", {"End": True}, "The definition, in StartAt, leads to C"),
        ("A", {"Next": "C"}, "State A leads to C"),
        ("A", {"Next": "B", "Catch": [{"Next": "C"}]}, "State A leads to C"),
        ("A", {"Choices": [{"Next": "C"}]}, "State A leads to C"),
        ("A", {"Default": "C"}, "State A leads to C"),
    ],
)
def test_a_state_leads_to_one_that_is_there(
    start: str, fields: dict[str, Any], nowhere: str | None
) -> None:
    machine = {"StartAt": start, "States": {"A": fields, "B": {"Type": "Succeed"}}}
    found = stepfunctions.leads_nowhere("The definition", machine)
    assert found is None if nowhere is None else (found or "").startswith(nowhere)
