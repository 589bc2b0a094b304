"""The consumer, with an account that it works in."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from serverless_patterns.lambdas.delay_and_visibility import orders
from tests import moto_cloud
from tests.lambdas.orders import stores_orders

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

DELAYS = {"first": 30, "factor": 2, "longest": 3600}


@contextmanager
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[moto_cloud.Cloud]:
    """An account whose queues hide messages."""
    tables = {moto_cloud.TABLE: ("pk",)}
    environment = {"TABLE_NAME": moto_cloud.TABLE, "BACKOFF": json.dumps(DELAYS)}
    with moto_cloud.cloud(monkeypatch, tables=tables, environment=environment) as made:
        monkeypatch.setenv("QUEUE_URL", made.queue_url)
        yield made


CONSUMERS = {"orders": stores_orders(orders.handler, cloud)}
