"""The handler's table and dead-letter queue on moto, and what the handler did with them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import Any

from serverless_patterns.lambdas.async_lambda import invoices
from tests import moto_cloud
from tests.moto_cloud import TABLE, Context

VAT_RATES = {"DE": "0.19", "JP": "0.10", "SE": "0.25"}


def request(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A valid request for an invoice."""
    pads = {"sku": "PAD-F", "name": "Bremsbelag", "quantity": 2, "unit_price": "24.95"}
    wipers = {"sku": "WPR-24", "name": "Wischer 24″ 🚗", "quantity": 1, "unit_price": "9.99"}
    return {
        "order_id": f"order-{number}",
        "customer_id": "customer-1",
        "country": "DE",
        "currency": "EUR",
        "lines": [pads, wipers],
        "total": "59.89",
        "requested_at": 1_795_000_000_000,
    } | changes


@dataclass
class Cloud(moto_cloud.Cloud):
    """What the handler uses."""

    def invoke(self, event: Any, request_id: str = "request-1") -> dict[str, str]:
        """Run the handler once."""
        self.monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", self.queue_url)
        return invoices.handler(event, Context(request_id))  # type: ignore[arg-type]


ENVIRONMENT = {"TABLE_NAME": TABLE, "VAT_RATES": json.dumps(VAT_RATES)}
cloud = moto_cloud.fixture(
    partial(moto_cloud.cloud, tables={TABLE: ("pk",)}, environment=ENVIRONMENT, kind=Cloud)
)
