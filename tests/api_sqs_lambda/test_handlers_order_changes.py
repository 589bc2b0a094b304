"""Changes are applied once and in order. What every consumer promises is in ``tests/lambdas/``."""

from __future__ import annotations

from typing import Any

import pytest

from serverless_patterns.lambdas.api_sqs_lambda import order_changes
from tests.moto_cloud import UNREACHABLE, Cloud, client_error, ids, string
from tests.moto_cloud import record as sqs_record

from .handlers import change, revisions


def record(document: Any, group: str = "ord-1", **options: Any) -> dict[str, Any]:
    return sqs_record(document, group, **options)


def run(cloud: Cloud, *sent: dict[str, Any]) -> list[str]:
    return cloud.run(order_changes.handler, *sent)


def test_changes_are_applied_in_the_order_of_the_queue(cloud: Cloud) -> None:
    assert run(cloud, *(record(change(number)) for number in (3, 1, 2))) == []
    assert run(cloud, record(change(0))) == []
    assert revisions(cloud) == ["chg-3", "chg-1", "chg-2", "chg-0"]


def test_a_change_is_stored_with_what_it_came_with(cloud: Cloud) -> None:
    sent = record(change(1), attributes={"RequestId": string("req-1")})
    run(cloud, sent)
    [row] = [item for item in cloud.items() if item["sk"] == "CHANGE#chg-1"]
    assert (row["kind"], row["sku"], row["quantity"]) == ("quantity", "PAD", "2")
    assert row["sequence_number"] == sent["attributes"]["SequenceNumber"]
    assert (row["request_id"], row["message_id"]) == ("req-1", sent["messageId"])
    assert row["received_at"] == sent["attributes"]["SentTimestamp"]
    assert int(row["stored_at"]) > 1_700_000_000_000


def test_a_batch_costs_one_read_and_one_write(cloud: Cloud) -> None:
    sent = [record(change(n, order), order) for order in ("a", "b") for n in range(5)]
    assert run(cloud, *sent) == []
    assert cloud.calls == {"TransactGetItems": 1, "TransactWriteItems": 1}
    assert len(revisions(cloud, "a")) == len(revisions(cloud, "b")) == 5
    cloud.calls.clear()
    assert run(cloud, *sent) == []
    assert cloud.calls == {"TransactGetItems": 1}


@pytest.mark.parametrize("batches", [1, 3])
@pytest.mark.parametrize("other", [False, True])
def test_a_change_sent_twice_is_applied_once_and_another_of_its_id_refused(
    cloud: Cloud, batches: int, other: bool
) -> None:
    second = change(1, quantity=77) if other else change(1)
    sent = [record(change(1)), record(second), record(change(2))]
    for part in [sent] if batches == 1 else [[one] for one in sent]:
        assert run(cloud, *part) == []
    assert revisions(cloud) == ["chg-1", "chg-2"]
    kinds = [line["outcomes"] for line in cloud.log_lines("Batch")]
    assert sum(kind.get("duplicate", 0) for kind in kinds) == (not other)
    letters = cloud.letters()
    assert [letter["Body"] for letter in letters] == [sent[1]["body"]] * other
    reasons = [letter["MessageAttributes"]["Reason"]["StringValue"] for letter in letters]
    assert reasons == ["conflict"] * other


def test_another_change_of_one_id_is_refused_although_the_first_ones_answer_got_lost(
    cloud: Cloud,
) -> None:
    sent = [record(change(1)), record(change(1, quantity=77)), record(change(2))]
    cloud.fail("TransactWriteItems", UNREACHABLE, when="after")
    assert run(cloud, *sent) == ids(*sent)
    assert run(cloud, *sent) == []
    assert revisions(cloud) == ["chg-1", "chg-2"]
    assert [letter["Body"] for letter in cloud.letters()] == [sent[1]["body"]]


@pytest.mark.parametrize("code", ["TransactionCanceledException", "ValidationException"])
def test_a_failed_order_does_not_fail_the_other_orders(cloud: Cloud, code: str) -> None:
    sent = [record(change(n, order), order) for n in (1, 2) for order in ("a", "b")]
    cloud.fail("TransactWriteItems", client_error(code), times=2)  # of all, then of the first
    assert run(cloud, *sent) == ids(sent[0], sent[2])
    assert revisions(cloud, "b") == ["chg-1", "chg-2"]
    assert run(cloud, sent[0], sent[2]) == []
    assert revisions(cloud, "a") == ["chg-1", "chg-2"]


@pytest.mark.parametrize("already", [0, 1])
@pytest.mark.parametrize("theirs", [["chg-11"], ["chg-11", "chg-12"]])
def test_a_writer_in_between_makes_the_change_fail_not_overwrite(
    cloud: Cloud, already: int, theirs: list[str]
) -> None:
    run(cloud, *(record(change(number)) for number in range(already)))
    late = record(change(10))

    def somebody_else_appends(operation: str, moment: str, _: str) -> None:
        if (operation, moment) == ("TransactGetItems", "after"):
            cloud.faults.clear()
            run(cloud, *(record(change(11 + number)) for number in range(len(theirs))))

    cloud.faults.append(somebody_else_appends)
    assert run(cloud, late) == ids(late)
    assert revisions(cloud)[already:] == theirs
    assert run(cloud, late) == []
    assert revisions(cloud)[already:] == [*theirs, "chg-10"]
