"""The transform, and the clicks that it is tried with."""

from datetime import UTC, datetime
from typing import Any

from serverless_patterns.lambdas.kinesis_firehose_s3 import transform
from tests import moto_cloud
from tests.delivery.schedules import Delivered
from tests.delivery.sources import ARRIVED_AT, Transform
from tests.lambdas.consumers import Consumer

from .conftest import click

CLICKED_AT = datetime.fromtimestamp(ARRIVED_AT / 1000, UTC).isoformat()


def _good(number: int, _: int) -> dict[str, Any]:
    return click(number, clicked_at=CLICKED_AT)


DELIVERED = {
    "transform": Delivered(
        Consumer(
            transform.handler,
            moto_cloud.cloud,
            good=_good,
            name=lambda number: f"click-{number}",
            bad=click(country="Germany"),
            reason="field",
            work="",
            secrets=(),
            identity=lambda event: str(event["click_id"]),
        ),
        Transform,
    )
}
