"""What the responder promises besides ``tests/lambdas``: quotes; and what the sweep does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.foundation import replies
from serverless_patterns.lambdas.foundation.sweeps import UnfinishedError
from serverless_patterns.lambdas.request_reply import quotes, sweep
from tests.moto_cloud import Context, client_error
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


def swept(**event: Any) -> dict[str, int]:
    context: Any = Context()
    return sweep.handler(event, context)


def test_the_sweep_deletes_queues_without_a_heartbeat_and_no_other(
    cloud: Cloud, queues: Queues
) -> None:
    now = time.time()
    ages = {"0" * 16: now - 1801, "1" * 16: now - 1700, "2" * 16: now}
    for name, beat in ages.items():
        tags = {replies.HEARTBEAT: f"{beat:.0f}"}
        queues("CreateQueue", {"QueueName": f"{PREFIX}{name}", "tags": tags})
    queues("CreateQueue", {"QueueName": "another-answers", "tags": {}})
    assert swept() == {"looked": 4, "found": 2}  # one is without a tag
    left = {url.rpartition("/")[2] for url in queues.queues}
    assert left == {"requests", "letters", "another-answers", PREFIX + "1" * 16, PREFIX + "2" * 16}
    assert swept(idle_seconds=1000) == {"looked": 2, "found": 1}


def test_a_queue_that_its_requester_deletes_meanwhile_is_no_error(
    cloud: Cloud, queues: Queues
) -> None:
    def close(name: str, *_: str) -> None:
        if name == "ListQueueTags":
            queues.queues.pop(ANSWERS, None)

    cloud.faults.append(close)
    assert swept() == {"looked": 1, "found": 0}


def test_a_sweep_that_may_not_delete_or_has_no_time_left_fails(
    cloud: Cloud, queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.fail("DeleteQueue", client_error("AccessDenied"))
    with pytest.raises(Exception, match="AccessDenied"):
        swept()
    monkeypatch.setattr(sweep, "ENDS_BEFORE", 10**9)
    with pytest.raises(UnfinishedError, match="there are more"):
        swept()
    assert '"ObjectsFound":' in cloud.log.getvalue() or cloud.log_lines("Sweep")[-1]["found"] == 1
