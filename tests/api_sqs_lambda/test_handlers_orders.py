"""Orders are stored once, in few calls. What every consumer promises is in ``tests/lambdas/``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.api_sqs_lambda import orders
from tests.lambdas.orders import order
from tests.moto_cloud import (
    SENT_AT,
    UNREACHABLE,
    Cloud,
    cancelled,
    client_error,
    ids,
    record,
    string,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

LARGEST: dict[str, Any] = {
    "customer_id": "C" * 64,
    "lines": [{"sku": "S" * 64, "name": "🚗" * 128, "quantity": 999, "unit_price": "10000000.00"}]
    * 100,
    "total": "999000000000.00",
}
OTHER = {"customer_id": "somebody-else"}


def run(cloud: Cloud, *sent: dict[str, Any]) -> list[str]:
    return cloud.run(orders.handler, *sent)


def numbered(numbers: Iterable[int]) -> list[dict[str, Any]]:
    return [record(order(number)) for number in numbers]


def test_an_order_is_stored_with_what_it_came_with(cloud: Cloud) -> None:
    received_at = string(str(SENT_AT - 25), "Number")
    sent = record(order(1), attributes={"RequestId": string("req-1"), "ReceivedAt": received_at})
    assert run(cloud, sent) == []
    [item] = cloud.items()
    assert (item["pk"], item["sk"]) == ("ORDER#ord-1", "ORDER")
    assert (item["total"], item["currency"]) == ("100.00", "EUR")
    assert item["lines"][0]["M"]["name"] == {"S": "Bremsbelag 🚗"}
    assert (item["request_id"], item["message_id"]) == ("req-1", sent["messageId"])
    assert item["received_at"] == str(SENT_AT - 25)
    assert int(item["stored_at"]) > 1_700_000_000_000
    assert len(item["fingerprint"]) == 64
    # A duplicate is known for ever.
    assert not {"ttl", "expires_at", "expiration"} & item.keys()


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"ReceivedAt": string("soon"), "RequestId": string("r" * 200_000)},
        {"ReceivedAt": string("٣"), "RequestId": {"binaryValue": "", "dataType": "Binary"}},
        {"ReceivedAt": string("1" * 40)},
    ],
)
def test_an_order_sent_to_the_queue_directly_is_stored(
    cloud: Cloud, attributes: dict[str, Any]
) -> None:
    sent = record(order(1), attributes=attributes)
    assert run(cloud, sent) == []
    [item] = cloud.items()
    assert (item["request_id"], item["received_at"]) == (sent["messageId"], str(SENT_AT))


def test_orders_of_the_largest_size_fit_the_table(cloud: Cloud) -> None:
    taken = cloud.answer_writes()
    sent = [record(order(1, order_id=f"{n:064}", **LARGEST)) for n in range(50)]
    assert run(cloud, *sent) == []
    assert len(taken) == 50
    sizes = [len(text(json.loads(body)).encode()) for _, body in cloud.requests]
    assert len(sizes) == 2
    assert max(sizes) < 4 * 1024**2
    assert max(len(text(put).encode()) for put in taken) < 400 * 1024


# Duplicates and conflicts


def test_a_redelivered_order_is_stored_once(cloud: Cloud) -> None:
    sent = record(order(1))
    run(cloud, sent)
    before = cloud.items()
    assert run(cloud, sent, record(json.dumps(dict(reversed(order(1).items())), indent=2))) == []
    assert cloud.items() == before
    assert cloud.outcomes() == {"duplicate": 2}
    assert cloud.letters() == []


@pytest.mark.parametrize("stored", [0, 1])
def test_a_conflicting_order_is_dead_lettered_in_one_batch_or_in_two(
    cloud: Cloud, stored: int
) -> None:
    run(cloud, *numbered(range(1, 1 + stored)))
    first, same, other = record(order(1)), record(order(1)), record(order(1, **OTHER))
    assert run(cloud, *((other, same) if stored else (first, same, other)), *numbered([2])) == []
    assert [item["customer_id"] for item in cloud.items()] == ["customer-7"] * 2
    [letter] = cloud.letters()
    assert letter["Body"] == other["body"]
    assert letter["MessageAttributes"]["Reason"]["StringValue"] == "conflict"
    assert cloud.outcomes() == {"duplicate": 1, "stored": 2 - stored, "refused": 1}


def test_orders_of_one_id_fail_together(cloud: Cloud) -> None:
    sent = record(order(1)), record(order(1)), record(order(1, **OTHER))
    cloud.fail("TransactWriteItems", UNREACHABLE)
    assert run(cloud, *sent) == ids(*sent)
    assert cloud.letters() == []


# Failures


@pytest.mark.parametrize("reason", ["ThrottlingError", "TransactionConflict", "ValidationError"])
def test_a_cancelled_transaction_still_stores_every_order(cloud: Cloud, reason: str) -> None:
    run(cloud, record(order(1)))
    cloud.calls.clear()
    cloud.fail("TransactWriteItems", cancelled("None", reason, "None"))
    assert run(cloud, record(order(2)), record(order(1, **OTHER)), record(order(3))) == []
    assert len(cloud.items()) == 3
    assert cloud.calls == {"TransactWriteItems": 1, "PutItem": 3, "SendMessageBatch": 1}
    assert cloud.reasons() == {"conflict": 1}


def test_a_record_that_dynamodb_does_not_take_fails_alone(cloud: Cloud) -> None:
    cloud.fail("TransactWriteItems", client_error("ValidationException"))
    cloud.fail("PutItem", client_error("ValidationException"))
    bad, good = numbered([1, 2])
    assert run(cloud, bad, good) == ids(bad)
    assert [item["pk"] for item in cloud.items()] == ["ORDER#ord-2"]


@pytest.mark.parametrize("puts", [0, 1])
def test_an_unreachable_table_is_not_asked_for_every_record(cloud: Cloud, puts: int) -> None:
    sent = numbered(range(50))
    first = cancelled(*["ThrottlingError"] * 50) if puts else UNREACHABLE
    cloud.fail("TransactWriteItems", first)
    cloud.fail("PutItem", UNREACHABLE)
    assert run(cloud, *sent) == ids(*sent)
    assert (cloud.calls["TransactWriteItems"], cloud.calls["PutItem"]) == (1, puts)


def test_an_order_put_alone_whose_answer_got_lost_is_stored_once(cloud: Cloud) -> None:
    [sent] = numbered([1])
    cloud.fail("TransactWriteItems", cancelled("TransactionConflict"))
    cloud.fail("PutItem", UNREACHABLE, when="after")
    assert run(cloud, sent) == ids(sent)
    [before] = cloud.items()
    assert run(cloud, sent) == []
    assert cloud.items() == [before]


# What orders cost


def test_a_thousand_orders_cost_twenty_calls(cloud: Cloud) -> None:
    taken = cloud.answer_writes()
    for start in range(0, 1_000, 50):
        assert run(cloud, *numbered(range(start, start + 50))) == []
    assert len({put["Item"]["pk"]["S"] for put in taken}) == 1_000
    assert cloud.calls == {"TransactWriteItems": 20}


def test_duplicates_cost_one_more_call_however_many(cloud: Cloud) -> None:
    run(cloud, *numbered(range(10)))
    cloud.calls.clear()
    assert run(cloud, *numbered(range(20))) == []
    assert cloud.calls == {"TransactWriteItems": 2}
    assert len(cloud.items()) == 20


def test_an_order_of_two_lines_is_written_as_one_unit(cloud: Cloud) -> None:
    """A write unit is 1 KB (Amazon DynamoDB developer guide, "on-demand capacity mode")."""
    taken = cloud.answer_writes()
    run(cloud, record(order(1)))
    [put] = taken
    assert len(text(put["Item"]).encode()) <= 1024, "JSON with types is larger than the item"
