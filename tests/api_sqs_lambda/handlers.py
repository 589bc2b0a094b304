"""The consumers, and the changes that one is tried with."""

from __future__ import annotations

from functools import partial
from typing import Any

from serverless_patterns.lambdas.api_sqs_lambda import order_changes, orders
from tests import moto_cloud
from tests.lambdas.consumers import Consumer
from tests.lambdas.orders import stores_orders


def change(number: int = 1, order_id: str = "ord-1", **changes: Any) -> dict[str, Any]:
    """Return a valid change; ``changes`` replace its fields."""
    return {
        "order_id": order_id,
        "change_id": f"chg-{number}",
        "kind": "quantity",
        "sku": "PAD",
        "quantity": number % 999 + 1,
    } | changes


def revisions(cloud: moto_cloud.Cloud, order_id: str = "ord-1") -> list[str]:
    """Return the ids of an order's changes by revision; every revision is there once."""
    rows = [item for item in cloud.items() if item["pk"] == f"ORDER#{order_id}"]
    head = [int(row["revision"]) for row in rows if row["sk"] == "CHANGES"]
    changes = {int(row["revision"]): row["change_id"] for row in rows if row["sk"] != "CHANGES"}
    assert sorted(changes) == list(range(1, len(rows) - len(head) + 1))
    assert head == ([len(changes)] if changes else [])
    return [changes[revision] for revision in sorted(changes)]


cloud = partial(
    moto_cloud.cloud,
    tables={moto_cloud.TABLE: ("pk", "sk")},
    environment={"TABLE_NAME": moto_cloud.TABLE},
)
CONSUMERS = {
    "orders": stores_orders(orders.handler, cloud),
    "order_changes": Consumer(
        order_changes.handler,
        cloud,
        good=lambda number, place: change(place, f"ord-{number}"),
        name=lambda number: f"ord-{number}",
        bad=change(kind="Geheimnis"),
        other=lambda number, place: change(place, f"ord-{number}", sku="DISC"),
        reason="kind",
        work="TransactWriteItems",
        secrets=("Geheimnis", "PAD"),
        applied=lambda cloud, number: [
            int(change.removeprefix("chg-")) for change in revisions(cloud, f"ord-{number}")
        ],
    ),
}
