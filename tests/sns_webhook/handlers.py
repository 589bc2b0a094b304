"""The consumer that signs, with an account and an endpoint that it works with."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from serverless_patterns.lambdas.foundation import endpoints, strict_json
from serverless_patterns.lambdas.sns_webhook import deliver, store
from tests import moto_cloud
from tests.lambdas.consumers import Consumer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from tests.moto_cloud import Cloud

URL = "https://partner.example.com/hook"
SECRETS = ["whsec_" + "bmV3" * 8, "whsec_" + "b2xk" * 8]
POSTED: list[tuple[dict[str, str], bytes]] = []  # headers and bodies of the last account


@contextmanager
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    environment = {
        "CLIENT": "carrier", "ENDPOINTS_TABLE_NAME": moto_cloud.TABLE, "SIGNING_ARN": "secret",
    }  # fmt: skip
    tables = {moto_cloud.TABLE: ("pk",)}
    with moto_cloud.cloud(monkeypatch, tables=tables, environment=environment) as here:
        monkeypatch.setenv("QUEUE_URL", here.queue_url)
        monkeypatch.setattr(store, "secrets", lambda: SECRETS)
        POSTED.clear()

        def post(_: Any, body: bytes, headers: Any, **__: Any) -> endpoints.Answer:
            try:
                at(here, "before", body)
                POSTED.append((dict(headers), body))
                at(here, "after", body)
            except BotoCoreError as error:
                raise endpoints.UnreachableError(type(error).__name__) from None
            except ClientError:
                return endpoints.Answer(503)
            return endpoints.Answer(200)

        monkeypatch.setattr(endpoints, "post", post)
        moto_cloud.client("dynamodb").put_item(
            TableName=moto_cloud.TABLE, Item={"pk": {"S": "carrier"}, "url": {"S": URL}}
        )
        yield here


def at(here: Cloud, moment: str, body: bytes) -> None:
    """Let go wrong what goes wrong with a call of AWS."""
    for fault in list(here.faults):
        fault("Post", moment, body.decode())


def change(number: int = 1, place: int = 0, **fields: Any) -> dict[str, Any]:
    order = f"order-{number}"
    return {
        "change_id": f"{order}-{place + 1}", "order_id": order, "version": place + 1,
        "state": "packed", "customer_id": "customer-secret",
    } | fields  # fmt: skip


def effects(_: Cloud) -> list[str]:
    """The client knows a second webhook by its id."""
    taken = {headers["webhook-id"]: body for headers, body in POSTED}
    return [strict_json.fingerprint(json.loads(body)) for body in taken.values()]


CONSUMERS = {
    "deliver": Consumer(
        handler=deliver.handler,
        cloud=cloud,
        good=change,
        name=lambda number: f"order-{number}",
        bad=change(state="lost"),
        reason="field",
        work="GetItem",
        secrets=("customer-secret",),
        effects=effects,
    )
}
