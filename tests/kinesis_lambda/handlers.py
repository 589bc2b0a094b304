"""The reader of the stream, and the movements that it is tried with."""

from __future__ import annotations

from functools import partial
from typing import Any

from serverless_patterns.lambdas.kinesis_lambda import stock
from tests import moto_cloud
from tests.delivery.schedules import Delivered
from tests.delivery.shards import Shard
from tests.lambdas.consumers import Consumer


def movement(number: int = 1, part: str = "part-1", **changes: Any) -> dict[str, Any]:
    """Return a valid movement; ``changes`` replace its fields."""
    return {
        "movement_id": f"mov-{number}",
        "part_id": part,
        "direction": "out" if number % 3 else "in",
        "quantity": number % 20 + 1,
    } | changes


def places(cloud: moto_cloud.Cloud, part: str = "part-1") -> list[int]:
    """Return the numbers of a part's movements in the order of their effect; each place is once."""
    rows = [item for item in cloud.items() if item["pk"] == f"PART#{part}"]
    moved = {int(row["place"]): row["movement_id"] for row in rows if "place" in row}
    assert sorted(moved) == list(range(1, len(moved) + 1))
    counts = [int(row["movements"]) for row in rows if row["sk"] == "STOCK"]
    assert counts == ([len(moved)] if moved else [])
    return [int(moved[place].removeprefix("mov-")) for place in sorted(moved)]


cloud = partial(
    moto_cloud.cloud,
    tables={moto_cloud.TABLE: ("pk", "sk")},
    environment={"TABLE_NAME": moto_cloud.TABLE},
)
DELIVERED = {
    "stock": Delivered(
        Consumer(
            stock.handler,
            cloud,
            good=lambda number, place: movement(place, f"part-{number}"),
            name=lambda number: f"part-{number}",
            bad=movement(direction="Geheimnis"),
            other=lambda number, place: movement(place, f"part-{number}", quantity=77),
            reason="field",
            work="TransactWriteItems",
            secrets=("Geheimnis",),
            applied=lambda cloud, number: places(cloud, f"part-{number}"),
        ),
        Shard,
    )
}
