"""What the handlers promise besides ``tests/lambdas``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serverless_patterns.lambdas.sns_fanout import orders
from tests.lambdas.orders import order
from tests.moto_cloud import fixture, record

from . import handlers

if TYPE_CHECKING:
    from tests.moto_cloud import Cloud

cloud = fixture(handlers.cloud)


def test_another_order_under_a_known_id_is_rejected(cloud: Cloud) -> None:
    first, another = order(), order(customer_id="customer-8")
    assert cloud.run(orders.handler, record(first)) == []
    assert cloud.run(orders.handler, record(another), record(another)) == []
    assert [item["customer_id"] for item in cloud.items()] == ["customer-7"]
    assert cloud.reasons() == {"conflict": 2}


def test_an_order_that_is_sent_twice_in_a_batch_is_stored_once(cloud: Cloud) -> None:
    assert cloud.run(orders.handler, record(order()), record(order())) == []
    assert len(cloud.items()) == 1
    assert cloud.letters() == []
