"""A crash at every place, in every combination: never one write without the other, never twice."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import chain, combinations, count
from typing import TYPE_CHECKING, Any

from serverless_patterns.lambdas.decoupled_messaging import sales
from serverless_patterns.lambdas.foundation import aws, statuses
from tests.crashes import CrashesAt
from tests.delivery.trouble import Crash
from tests.lambdas.orders import order
from tests.moto_cloud import TABLE, client, make_table, record, string

from .handlers import ORDERS, changes, post, send

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.crashes import Place
    from tests.moto_cloud import Cloud

BODY = json.dumps(order())
SOLD, ENDED = f"Transact {TABLE}", f"Transact {ORDERS}"
CALLS = ("PutItem", "SendMessageBatch", SOLD, ENDED)
_numbers = count()
PLACES = [(when, call) for call in CALLS for when in ("before", "after")]


def named(operation: str, body: str) -> str:
    if operation != "TransactWriteItems":
        return operation
    return SOLD if f'"TableName": "{TABLE}"' in body else ENDED


def subsets(places: list[Place]) -> Iterator[list[Place]]:
    sizes = range(len(places) + 1)
    yield from map(list, chain.from_iterable(combinations(places, size) for size in sizes))


class World:
    """The shop in one account: its queue, its tables, and what Lambda does for it."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._queue = client("sqs").create_queue(QueueName=f"sales-{next(_numbers)}")["QueueUrl"]
        make_table(ORDERS, "pk", "sk")
        make_table(TABLE, "pk")
        self._stream: list[Any] = []

    @property
    def written(self) -> list[Any]:
        return [item for item in self._cloud.items(ORDERS) if item["sk"] == "job"]

    @property
    def ends(self) -> list[str]:
        items = self._cloud.items(ORDERS)
        return [item["sk"].partition("-")[0] for item in items if item["sk"] != "job"]

    @property
    def sold(self) -> list[Any]:
        return self._cloud.items(TABLE)

    @property
    def messages(self) -> list[Any]:
        return self._cloud.messages_in(self._queue)

    def problem(self) -> str:
        alone = not self.written and (self.messages or self.sold)
        return "a message, or its effect, without the order" if alone else ""

    def relay(self) -> None:
        """Hand what the stream has to the relay: every order that was ever written."""
        self._stream = self._stream or changes()
        if self._stream:
            assert send(self._cloud, *self._stream, url=self._queue) == []

    def sell(self) -> None:
        """Hand what the queue has to sales."""
        records = [
            record(body, attributes={"Job": string(said["Job"])}) for body, said in self.messages
        ]
        if records:
            assert self._cloud.run(sales.handler, *records) == []

    def send_at_once(self) -> None:
        """Send as a front does that has no outbox."""
        aws.client("sqs").send_message(QueueUrl=self._queue, MessageBody=BODY)


def test_an_order_and_its_message_are_never_alone_and_never_twice_in_effect(cloud: Cloud) -> None:
    crashed = runs = 0
    for returns, of in ((True, PLACES), (False, PLACES[:2])):  # whether a client asks again
        for places in subsets(of):
            world = World(cloud)
            crashes = CrashesAt(places, named, world.problem)
            cloud.faults[:] = [crashes]
            if returns:
                crashes.until(lambda: post(BODY))
            else:
                with suppress(Crash):
                    post(BODY)
            written = len(world.written)
            crashes.until(world.relay)
            sent = len(world.messages)
            crashes.until(world.sell)
            cloud.faults.clear()
            assert crashes.wrong == []
            assert written == (returns or ("before", "PutItem") not in places), places
            assert sent == written * (1 + (("after", "SendMessageBatch") in places)), places
            assert [row["order_id"] for row in world.sold] == ["ord-1"] * written, places
            assert len(world.written) == written
            assert world.ends == ["done"] * written, places
            crashed, runs = crashed + crashes.count, runs + 1
    assert (runs, crashed) == (260, 1027), "a thousand crashes, and some"


def test_two_writes_one_after_the_other_are_found_to_lose_an_order_or_a_message(
    cloud: Cloud,
) -> None:
    item = {"pk": "k", "sk": "job", "id": "order-1", "fingerprint": "f", "at": 1, "deadline": 9}
    for order_first, place in ((True, ("after", "PutItem")), (False, ("after", "SendMessage"))):
        world = World(cloud)
        writes: list[Any] = [lambda: statuses.accept(item), world.send_at_once]
        crashes = CrashesAt([place], named, world.problem)
        cloud.faults[:] = [crashes]
        with suppress(Crash):
            for write in writes if order_first else reversed(writes):
                write()
        cloud.faults.clear()
        assert len(world.written) + len(world.messages) == 1, "one of them is alone"
        assert (world.problem() != "") is not order_first
