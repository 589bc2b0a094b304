"""The responder, the requests that it is tried with, and an account that it works in."""

from __future__ import annotations

import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from serverless_patterns.lambdas.foundation import replies
from serverless_patterns.lambdas.request_reply import quotes
from tests import moto_cloud
from tests.lambdas.consumers import Consumer, without_addresses
from tests.moto_cloud import TABLE
from tests.queues_in_memory import BASE, PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from tests.moto_cloud import Cloud


def asked(customer: str, quantity: int = 2, sku: str = "BRK-PAD-F") -> dict[str, Any]:
    """Return a request for a quote."""
    return {"sku": sku, "quantity": quantity, "customer_id": customer}


QUOTE = asked("customer-1") | {"quote_id": "id-1", "unit_price": "49.90", "total": "99.80"}


@contextmanager
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """An account with a table."""
    environment = {"TABLE_NAME": TABLE, "ANSWERS_URL": f"{BASE}/{PREFIX}", "IDLE_SECONDS": "1800"}
    with moto_cloud.cloud(monkeypatch, tables={TABLE: ("pk",)}, environment=environment) as made:
        yield made


def _id(said: Any) -> str:
    """Return the id of a request for the suites of all consumers: its customer's begins with it."""
    customer = said.get("customer_id", "") if isinstance(said, dict) else ""
    return str(customer).partition("_")[0]


def _address(asked: Any, variables: dict[str, str]) -> dict[str, Any]:
    """Return who waits for the answer: a requester that is gone."""
    prefix = variables["ANSWERS_URL"].rpartition("/")[2]
    return replies.attributes(f"{prefix}{0:016x}", _id(asked), time.time() + 3600)


def _good(number: int, place: int) -> dict[str, Any]:
    return asked(f"q-{number}-{place}_Geheimnis")


def _applied(cloud: Cloud, number: int) -> list[int]:
    """Return the places of a group's requests, in the order in which they took effect."""
    found = [key.split("-") for key in cloud.stored()]
    return [int(place) for _, group, place in found if group == str(number)]


consumer = partial(
    Consumer,
    cloud=partial(without_addresses, cloud, _id),
    good=_good,
    name=lambda number: f"q-{number}-",
    bad=asked("q-0-0_Geheimnis", sku="NO-PART"),
    reason="sku",
    work="TransactWriteItems",
    secrets=("Geheimnis",),
    other=lambda number, place: asked(f"q-{number}-{place}_Geheimnis", 3),
    attributes=_address,
)
CONSUMERS = {
    "quotes": consumer(quotes.handler),
    "quotes in order": consumer(quotes.in_order, applied=_applied),
}
