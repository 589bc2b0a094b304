"""What a queue's consumer reports of its jobs, for the clients that poll."""

from __future__ import annotations

import json
from typing import Any

from serverless_patterns.lambdas.foundation import statuses
from serverless_patterns.lambdas.foundation.messages import Message
from serverless_patterns.lambdas.foundation.outcomes import POSTPONED
from serverless_patterns.lambdas.foundation.statuses import DONE, End
from serverless_patterns.lambdas.polling_status import orders
from tests import moto_cloud
from tests.lambdas.orders import order
from tests.moto_cloud import UNREACHABLE, Cloud, ids, record, string
from tests.polling_status import handlers
from tests.polling_status.handlers import STATUSES

cloud = moto_cloud.fixture(handlers.cloud)


def job(number: int = 1, *, receive_count: int = 1, **changes: Any) -> dict[str, Any]:
    attributes = {"Job": string(f"{number:064x}-7")}
    return record(order(number, **changes), attributes=attributes, receive_count=receive_count)


def ends(cloud: Cloud) -> dict[int, Any]:
    """Return how each job has ended, by its number."""
    return {int(item["pk"], 16): item for item in cloud.items(STATUSES)}


def test_a_job_ends_as_its_message_does(cloud: Cloud) -> None:
    assert cloud.run(orders.handler, job(1), job(2, total="1.00"), job(1)) == []
    found = ends(cloud)
    assert found[1]["sk"] == "done-7"
    assert int(found[1]["expires_at"]) - int(found[1]["at"]) == 604_800
    assert json.loads(found[1]["result"]) == {"outcome": "stored"}
    assert (found[2]["sk"], found[2]["reason"]) == ("failed-7", "total")
    assert found[2]["detail"].startswith("total is not the sum")


def test_a_message_that_says_no_job_is_processed_all_the_same(cloud: Cloud) -> None:
    strange = record(order(2), attributes={"Job": string("a job of somebody else's")})
    assert cloud.run(orders.handler, record(order(1)), strange) == []
    assert len(cloud.items()) == 2
    assert cloud.items(STATUSES) == []


def test_a_worker_may_say_that_its_jobs_are_running(cloud: Cloud) -> None:
    statuses.start([Message.of(job(1)), Message.of(record(order(2)))])
    assert ends(cloud)[1]["sk"] == "running-7"
    assert len(cloud.items(STATUSES)) == 1
    cloud.fail("TransactWriteItems", UNREACHABLE)
    statuses.start([Message.of(job(3))])  # and whose is not written is worked on all the same


def test_only_the_last_attempt_of_a_message_ends_its_job(cloud: Cloud) -> None:
    cloud.fail_all_about("ord-1")
    early, last = job(1, receive_count=4), job(1, receive_count=5)
    assert cloud.run(orders.handler, early, job(2)) == ids(early)
    assert 1 not in ends(cloud)
    assert cloud.run(orders.handler, last, job(3)) == ids(last)
    assert ends(cloud)[1]["sk"] == "failed-7"
    assert "Throttling" in ends(cloud)[1]["reason"]
    assert ends(cloud)[1]["detail"].startswith("The last attempt failed.")


def test_a_job_whose_message_is_postponed_has_not_ended(cloud: Cloud) -> None:
    message = Message.of(job(1, receive_count=9))
    assert statuses.report([message], {message.id: POSTPONED}) == {}
    assert ends(cloud) == {}


def test_a_job_whose_end_is_not_written_is_delivered_again_and_not_dead_lettered(
    cloud: Cloud,
) -> None:
    cloud.fail_all_about(f"{2:064x}")
    wrong = job(2, total="1.00")
    assert cloud.run(orders.handler, job(1), wrong) == ids(wrong)
    assert cloud.letters() == []
    cloud.faults.clear()
    assert cloud.run(orders.handler, wrong) == []
    assert (ends(cloud)[2]["sk"], len(cloud.letters())) == ("failed-7", 1)


def test_a_job_that_is_delivered_again_ends_as_it_would_have_at_first(cloud: Cloud) -> None:
    cloud.fail_all_about(f"{1:064x}")
    message = job(1)
    assert cloud.run(orders.handler, message) == ids(message)
    assert len(cloud.items()) == 1, "the order is stored, its end is not"
    cloud.faults.clear()
    assert cloud.run(orders.handler, message) == []
    assert json.loads(ends(cloud)[1]["result"]) == {"outcome": "stored"}


def test_the_ends_of_a_thousand_jobs_cost_20_calls_and_one_by_one_1000(cloud: Cloud) -> None:
    taken = cloud.answer_writes()
    for batch in range(20):
        assert cloud.run(orders.handler, *(job(50 * batch + n) for n in range(50))) == []
    assert len(taken) == 2_000, "an order and an end each"
    assert cloud.calls["TransactWriteItems"] == 40
    del cloud.fakes["dynamodb"]
    cloud.calls.clear()
    for number in range(10):
        statuses.put({"": End(f"{number:064x}-8", DONE, {"result": "1"})})
    assert cloud.calls["TransactWriteItems"] == 10
