"""The handler's table and dead-letter queue on moto, and what the handler did with them."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.async_lambda import dead_letters, invoices, store
from tests import moto_cloud
from tests.moto_cloud import Context

if TYPE_CHECKING:
    from collections.abc import Iterator

VAT_RATES = {"DE": "0.19", "JP": "0.10", "SE": "0.25"}


def request(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A valid request for an invoice."""
    lines = [
        {"sku": "BRK-PAD-F", "name": "Bremsbelag vorn", "quantity": 2, "unit_price": "24.95"},
        {"sku": "WPR-24", "name": "Wischerblatt 24″ 🚗", "quantity": 1, "unit_price": "9.99"},
    ]
    return {
        "order_id": f"order-{number}",
        "customer_id": "customer-1",
        "country": "DE",
        "currency": "EUR",
        "lines": copy.deepcopy(lines),
        "total": "59.89",
        "requested_at": 1_795_000_000_000,
    } | changes


@dataclass
class Cloud(moto_cloud.Cloud):
    """What the handler uses."""

    def run(self, event: Any, request_id: str = "request-1") -> dict[str, str]:
        """Run the handler once."""
        return invoices.handler(event, Context(request_id))  # type: ignore[arg-type]


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with moto_cloud.account(monkeypatch, store.client, dead_letters.client):
        yield


@pytest.fixture
def cloud(aws: None, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    cloud = Cloud(**moto_cloud.resources(monkeypatch, invoices.logger, "pk"))
    monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", cloud.queue_url)
    monkeypatch.setenv("VAT_RATES", json.dumps(VAT_RATES))
    for client in (store.client(), dead_letters.client()):
        cloud.watch(client)
    return cloud
