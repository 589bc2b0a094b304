"""Every handler, against all that AWS may do while it delivers: one effect an event, none lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serverless_patterns.lambdas.foundation import dead_letters

from . import torture
from .schedules import Delivered, Schedule, found

if TYPE_CHECKING:
    from random import Random

EVERY = dict(found())
# About ten events and twenty deliveries each.
SCHEDULES = 30


@pytest.mark.parametrize("delivered", EVERY.values(), ids=EVERY)
def test_each_event_takes_effect_once_or_is_kept_with_its_reason(delivered: Delivered) -> None:
    @settings(max_examples=SCHEDULES)
    @given(st.randoms(use_true_random=False))
    def play(dice: Random) -> None:
        Schedule(delivered, dice).play()

    play()


def test_a_seed_plays_the_same_again() -> None:
    first, again = (torture.play(7, "", range(40, 44)) for _ in range(2))
    assert first == again
    assert first.schedules == 4
    assert first.trouble


def test_a_broken_promise_names_the_schedule_that_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "send", lambda _: {})
    found = torture.play(7, "api_sqs_lambda.orders", range(20))
    name, number = found.failures[0].split("SCHEDULE=")
    assert name == "api_sqs_lambda.orders, SEED=7 "
    (again,) = torture.run(1, 7, "api_sqs_lambda.orders", int(number.split(":")[0])).failures
    assert again == found.failures[0]
