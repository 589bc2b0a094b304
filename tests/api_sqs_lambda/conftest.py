"""The handlers' table and queues on moto, and what the handlers did with them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.api_sqs_lambda import order_changes, orders, store
from serverless_patterns.lambdas.foundation import dead_letters, reporting
from tests import moto_cloud

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Cloud(moto_cloud.Cloud):
    """What the handlers use."""

    requests: list[dict[str, Any]] = field(default_factory=list, repr=False)

    def orders(self, *records: dict[str, Any]) -> list[str]:
        """Run the handler of orders; return the ids of the records to deliver again."""
        return self.run_batch(orders.handler, self.queue_url, records)

    def changes(self, *records: dict[str, Any]) -> list[str]:
        """Run the handler of changes; return the ids of the records to deliver again."""
        return self.run_batch(order_changes.handler, self.fifo_queue_url, records)

    def reasons(self) -> Counter[str]:
        """Take every message out of the dead-letter queues; return their reasons."""
        return Counter(
            letter["MessageAttributes"]["Reason"]["StringValue"] for letter in self.letters()
        )

    def summaries(self) -> list[dict[str, Any]]:
        """Return the log's lines about a batch."""
        return [line for line in self.log_lines() if line["message"] == "Batch"]

    def take_the_table_away(self) -> None:
        self.monkeypatch.setenv("TABLE_NAME", "away")

    def bring_the_table_back(self) -> None:
        self.monkeypatch.setenv("TABLE_NAME", moto_cloud.TABLE)

    def watch(self, client: Any) -> None:
        """Remember the requests, too."""

        def before(params: dict[str, Any], **_: Any) -> None:
            self.requests.append(json.loads(params["body"]))

        client.meta.events.register("before-call", before)
        super().watch(client)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with moto_cloud.account(monkeypatch, store.client, dead_letters.client):
        cloud = Cloud(**moto_cloud.resources(monkeypatch, reporting.logger, "pk", "sk"))
        for client in (store.client(), store.client(tries=1), dead_letters.client()):
            cloud.watch(client)
        yield cloud
