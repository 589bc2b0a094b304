"""What the responder promises besides ``tests/lambdas``: quotes; and what the sweep does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serverless_patterns.lambdas.request_reply import quotes
from tests.queues_in_memory import ANSWERS, BASE, LETTERS, PREFIX, work
from tests.request_reply.handlers import QUOTE, asked

if TYPE_CHECKING:
    from tests.moto_cloud import Cloud
    from tests.queues_in_memory import Queues

OTHER = f"{PREFIX}fedcba9876543210"


def test_the_same_request_twice_in_a_batch_has_one_effect_and_two_answers(
    cloud: Cloud, queues: Queues
) -> None:
    queues.put(asked("customer-1"))
    queues.put(asked("customer-1"), OTHER)
    queues.queues[f"{BASE}/{OTHER}"] = []
    assert work(quotes.handler) == []
    assert queues.bodies(ANSWERS) == queues.bodies(f"{BASE}/{OTHER}") == [{"result": QUOTE}]
    assert len(cloud.items()) == 1
    assert cloud.outcomes() == {"answered": 1, "duplicate": 1}


def test_another_request_under_an_id_is_refused_in_a_batch_and_after_it(queues: Queues) -> None:
    for quantity in (2, 3):
        queues.put(asked("customer-1", quantity))
    work(quotes.handler)
    queues.put(asked("customer-1", 4))
    work(quotes.handler)
    reasons = [one.get("error", {}).get("reason") for one in queues.bodies(ANSWERS)]
    assert reasons == [None, "conflict", "conflict"]
    assert len(queues.queues[LETTERS]) == 2


def test_a_quote_costs_what_its_parts_cost(cloud: Cloud, queues: Queues) -> None:
    for number, quantity in enumerate((0, 1001, True, "2")):
        queues.put(asked("c", quantity), id_=f"id-{number}")  # type: ignore[arg-type]
    work(quotes.handler)
    assert [one["error"]["reason"] for one in queues.bodies(ANSWERS)] == ["field"] * 4
