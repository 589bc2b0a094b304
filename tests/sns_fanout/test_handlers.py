"""What the handlers promise besides ``tests/lambdas``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from serverless_patterns.lambdas.sns_fanout import orders
from tests.moto_cloud import record

from . import handlers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.moto_cloud import Cloud


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with handlers.cloud(monkeypatch) as cloud:
        yield cloud


def test_another_order_under_a_known_id_is_rejected(cloud: Cloud) -> None:
    first, another = handlers.order(), handlers.order(customer_id="customer-8")
    assert cloud.run(orders.handler, record(first)) == []
    assert cloud.run(orders.handler, record(another), record(another)) == []
    assert [item["customer_id"] for item in cloud.items()] == ["customer-7"]
    assert cloud.reasons() == {"conflict": 2}


def test_an_order_that_is_sent_twice_in_a_batch_is_stored_once(cloud: Cloud) -> None:
    assert cloud.run(orders.handler, record(handlers.order()), record(handlers.order())) == []
    assert len(cloud.items()) == 1
    assert cloud.letters() == []
