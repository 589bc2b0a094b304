"""A definition that could end half done, with nothing to undo it, is rejected."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.patterns.blocks.definitions import Definition
from serverless_patterns.patterns.blocks.undo import check_undo
from tests.inline import rejected
from tests.sagas import CATCH, RESERVE, SAGA, changed

if TYPE_CHECKING:
    from collections.abc import Iterator


def check(machine: dict[str, Any], problem: str | None = None, *, express: bool = False) -> None:
    with rejected(problem):
        check_undo(Definition(json.dumps(machine)), express=express)


def added(state: dict[str, Any]) -> dict[str, Any]:
    """Return the saga with one more state."""
    return SAGA | {"States": SAGA["States"] | {"Added": state}}


def spread(machine: dict[str, Any], execution_type: str = "EXPRESS") -> dict[str, Any]:
    """Return a saga whose Map is distributed."""
    lines = (found := copy.deepcopy(machine))["States"]["Lines"]
    config = {"Mode": "DISTRIBUTED", "ExecutionType": execution_type}
    lines["ItemProcessor"]["ProcessorConfig"] = config
    lines["MaxConcurrency"] = 1000
    return found


@pytest.mark.parametrize(
    ("machine", "problem"),
    [
        (SAGA, None),
        (SAGA | {"TimeoutSeconds": 60}, "TimeoutSeconds 60 for the whole execution"),
        (changed("Charge", TimeoutSeconds=None), "Charge has no TimeoutSeconds"),
        (changed("Lines", "Reserve", Retry=None), "Lines/Reserve has no Retry"),
        (changed("Charge", Catch=None), "Charge has no Catch for States.ALL"),
        (changed("Charge", Catch=CATCH[1:]), "Charge has no Catch for States.DataLimitExceeded"),
        # What its item catches is not what the Map itself may fail with.
        (changed("Lines", Catch=None), "Map Lines has no Catch for States.ALL"),
        (changed("Lines", Catch=CATCH[1:]), "Map Lines has no Catch for States.DataLimitExceeded"),
        (changed("Lines", MaxConcurrency=None), "MaxConcurrency None"),
        (changed("Lines", MaxConcurrency=1000), "must be 1 to 40"),
        (changed("Lines", ToleratedFailureCount=1), "Lines has ToleratedFailureCount 1"),
        (added({"Type": "Parallel", "Branches": []}), "Parallel Added has no Catch"),
        (added({"Type": "Choice", "Choices": []}), "Choice Added has no Default"),
        (spread(SAGA), None),
        (spread(changed("Lines", Catch=CATCH[1:])), "Map Lines has no Catch for States.DataLimit"),
        (spread(changed("Lines", Catch=CATCH[1:], ResultWriter={"Resource": "s3"})), None),
        (spread(changed("Lines", "Reserve", TimeoutSeconds=100), "STANDARD"), None),
    ],
)
def test_a_saga_that_could_stay_half_done_is_rejected(machine: Any, problem: str | None) -> None:
    check(machine, problem)


@pytest.mark.parametrize(
    ("state", "unlimited"),
    [
        (changed("Charge")["States"]["Charge"], True),
        (RESERVE | {"Resource": "arn:aws:states:::dynamodb:getItem"}, True),
        (RESERVE | {"Resource": "arn:aws:states:::dynamodb:putItem"}, False),
        (
            RESERVE
            | {
                "Resource": "arn:aws-cn:states:::dynamodb:updateItem",
                "Arguments": {"ReturnValues": "ALL_NEW"},
            },
            True,
        ),
        (RESERVE, False),
        (RESERVE | {"Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken"}, False),
    ],
)
def test_an_answer_that_nothing_limits_has_to_be_caught_by_name(
    state: dict[str, Any], unlimited: bool
) -> None:
    problem = "has no Catch for States.DataLimitExceeded, nor" if unlimited else None
    check(added(state | {"Catch": CATCH[1:]}), problem)


def places(value: Any) -> Iterator[list[Any]]:
    """Yield the way to each value in a definition, outside of what its steps send."""
    inner: Any = enumerate(value) if isinstance(value, list) else ()
    for key, one in value.items() if isinstance(value, dict) else inner:
        yield [key]
        yield from ([key, *rest] for rest in places(one) if key != "Arguments")


@pytest.mark.parametrize("way", [*places(spread(SAGA))], ids=lambda way: "/".join(map(str, way)))
def test_a_value_of_a_wrong_type_anywhere_is_rejected_in_plain_words_or_does_not_matter(
    way: list[Any],
) -> None:
    values: list[Any] = [None, 5, "{% 5 %}", [], [{}], {}]
    for wrong in values:
        within: Any = (machine := spread(SAGA))
        for key in way[:-1]:
            within = within[key]
        within[way[-1]] = wrong
        definition, said = Definition(json.dumps(machine)), "."
        try:
            check_undo(definition, express=False)
            _ = [list(state.permissions()) for state in definition.states]
        except ValueError as error:
            said = str(error)
        assert said.endswith("."), "a sentence of ours"


def test_express_rejects_states_that_could_take_longer_than_five_minutes() -> None:
    # Three attempts and two waits of 1 and 2 s: charge 36 s, park 18 s, so 246 s are left.
    check(changed("Lines", "Reserve", TimeoutSeconds=81), express=True)
    longer = changed("Lines", "Reserve", TimeoutSeconds=82)
    check(longer, "The state machine is Express.* take up to 303 s", express=True)
    check(added({"Type": "Wait", "Seconds": 300}), "take up to 372 s", express=True)


def test_express_rejects_a_distributed_map_and_what_its_express_items_cannot_do() -> None:
    check(spread(SAGA), "Map Lines is distributed", express=True)
    longer = spread(changed("Lines", "Reserve", TimeoutSeconds=100))
    check(longer, "Each item of Map Lines is Express.* 303 s")
    waits = spread(changed("Lines", "Reserve", Resource=f"{RESERVE['Resource']}.waitForTaskToken"))
    check(waits, "Lines/Reserve waits for .*which an Express")
