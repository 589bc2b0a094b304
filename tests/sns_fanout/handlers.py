"""The consumer and the function of the tests' topic, with an account that they work in."""

from __future__ import annotations

import json
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from moto.sns.models import sns_backends

from serverless_patterns.lambdas.sns_fanout import orders, replicate
from tests import moto_cloud
from tests.delivery.schedules import Delivered
from tests.delivery.sources import Asynchronous
from tests.lambdas.consumers import Consumer
from tests.lambdas.orders import order, stores_orders

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from tests.moto_cloud import Cloud

cloud = partial(
    moto_cloud.cloud,
    tables={moto_cloud.TABLE: ("pk",)},
    environment={"TABLE_NAME": moto_cloud.TABLE},
)
CONSUMERS = {"orders": stores_orders(orders.handler, cloud)}


@contextmanager
def with_topic(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """An account with the topic of the tests."""
    with moto_cloud.cloud(monkeypatch) as made:
        topic = moto_cloud.client("sns").create_topic(Name="tests")["TopicArn"]
        monkeypatch.setenv("TOPIC_ARN", topic)
        yield made


def notification(document: Any) -> dict[str, Any]:
    """Return what SNS invokes a function with."""
    return {"Records": [{"Sns": {"Message": moto_cloud.text(document)}}]}


def replicated(_: Cloud) -> set[str]:
    """Return the orders that were published: twice is once to who stores them."""
    (topic,) = sns_backends[moto_cloud.ACCOUNT][moto_cloud.REGION].topics.values()
    return {json.loads(message)["order_id"] for _, message, *_ in topic.sent_notifications}


DELIVERED = {
    "replicate": Delivered(
        Consumer(
            replicate.handler,
            with_topic,
            good=lambda number, _: notification(order(number)),
            name=lambda number: f"ord-{number}",
            bad=notification({"lines": "Geheimnis"}),
            reason="field",
            work="Publish",
            secrets=("Geheimnis", "customer-7", "49.90", "Bremsbelag"),
            effects=replicated,
            identity=lambda event: json.loads(event["Records"][0]["Sns"]["Message"])["order_id"],
        ),
        Asynchronous,
    )
}
