"""What the express function and the publishing function promise."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from serverless_patterns.lambdas.eventbridge_bus import express, orders, publish
from serverless_patterns.lambdas.foundation.orders import NotStoredError
from serverless_patterns.lambdas.foundation.outcomes import RefusedError
from tests.lambdas.orders import order
from tests.moto_cloud import Context, fixture, record

from . import handlers

if TYPE_CHECKING:
    from tests.moto_cloud import Cloud

cloud = fixture(handlers.cloud)


def call(handler: Any, event: Any) -> Any:
    return handler(json.loads(json.dumps(event)), Context())


def test_an_express_order_is_stored_once_however_often_it_comes(cloud: Cloud) -> None:
    assert [call(express.handler, order())["status"] for _ in range(2)] == ["stored", "duplicate"]
    (item,) = cloud.items()
    assert (item["pk"], item["message_id"]) == ("ord-1", "request")


def test_a_hundred_orders_of_the_queue_cost_two_calls_and_one_by_one_or_express_a_hundred(
    cloud: Cloud,
) -> None:
    everything = [order(number) for number in range(100)]
    for size, calls in ((50, 2), (1, 100)):
        cloud.calls.clear()
        for first in range(0, 100, size):
            assert cloud.run(orders.handler, *map(record, everything[first : first + size])) == []
        assert cloud.calls.total() == calls
    cloud.calls.clear()
    assert {call(express.handler, one)["status"] for one in everything} == {"duplicate"}
    assert cloud.calls.total() == 100


@pytest.mark.parametrize("wrong", [order(customer_id="customer-8"), order(total="1.00"), {}, []])
def test_an_order_that_no_retry_can_help_fails_with_its_reason(cloud: Cloud, wrong: Any) -> None:
    call(express.handler, order())
    with pytest.raises(RefusedError, match=r"conflict|total|field"):
        call(express.handler, wrong)
    assert len(cloud.items()) == 1


def test_an_express_order_fails_while_the_table_is_unavailable(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TABLE_NAME", "gone")
    with pytest.raises(NotStoredError, match="ResourceNotFoundException"):
        call(express.handler, order())
    assert "customer-7" not in cloud.log.getvalue()


def test_only_orders_that_keep_to_the_schema_are_published(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    boto3.client("events").create_event_bus(Name="shop")
    monkeypatch.setenv("EVENT_BUS_NAME", "shop")
    good = {"service": "express", "order": order()}
    wrong = [{"service": "drone", "order": order()}, {"order": order()}, {**good, "order": {}}]
    results = call(publish.handler, {"orders": [*wrong, good]})["results"]
    refused = {"status": "refused", "reason": "field"}
    assert results == [refused] * 3 + [{"status": "published"}]
    (body,) = [body for operation, body in cloud.requests if operation == "PutEvents"]
    (entry,) = json.loads(body)["Entries"]
    assert json.loads(entry.pop("Detail")) == good
    assert entry == {"EventBusName": "shop", "Source": "shop.orders", "DetailType": "OrderPlaced"}
    assert "customer-7" not in cloud.log.getvalue()
