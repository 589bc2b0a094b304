"""The executable promises of the demo stack: every rule delivers the orders that it matches.

Knows the stack's outputs, the AWS APIs, the publishing library and the redrive tool only, so it
runs the same on the embedded AWS and on a real account. The ledger counts deliveries: an order
counts once for each target that it is meant for.
"""

from __future__ import annotations

import json
import secrets
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from serverless_patterns.lambdas.foundation import buses
from serverless_patterns.sandbox import outages, queues
from serverless_patterns.sandbox.driver import Driver
from serverless_patterns.sandbox.sender import Event, Reply

from ..limits import EVENTS_ARCHIVE_DELAY
from ..shop import Document, Shop, as_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from serverless_patterns.sandbox import Deployment
    from serverless_patterns.sandbox.report import Report

ORDERS, EXPRESS = 500, 12
SOURCE, ORDER_PLACED = "shop.orders", "OrderPlaced"
QUEUE, DEAD_LETTERS = "FulfilmentQueueUrl", "FulfilmentDeadLetterQueueUrl"
UNDELIVERED = "FulfilmentDeliveryDeadLetterQueueUrl"
STORES = ("Fulfilment", "Customs", "Express")  # each has a table; finance has a queue
LEDGER, FAILURES, UNMATCHED = "LedgerQueueUrl", "ExpressFailureQueueUrl", "UnmatchedQueueUrl"


class Bus:
    """Publishes orders by the library, to a bus whose batches fail in part."""

    def __init__(self, drive: Driver) -> None:
        self.drive = drive
        self.client = outages.FailsInPart(drive.client("events"))
        self.finance: list[Document] = []  # the events that finance has taken

    def publish(
        self, title: str, orders: Sequence[Document], service: str = "standard", batch: int = 10
    ) -> None:
        """Publish orders; each is booked for every target that it is meant for."""
        deliveries = partial(meant_for, service)
        self._send(title, orders, ORDER_PLACED, service, deliveries, batch)

    def publish_unmatched(self, title: str, orders: Sequence[Document]) -> None:
        """Publish events of a type that no rule matches."""
        unmatched = lambda order: [f"Unmatched: {order['order_id']}"]  # noqa: E731
        self._send(title, orders, "OrderArchived", "standard", unmatched, 10)

    def _send(
        self,
        title: str,
        orders: Sequence[Document],
        kind: str,
        service: str,
        deliveries: Any,
        batch: int,
    ) -> None:
        events = [
            Event(
                order["order_id"],
                as_json(order),
                deliveries=deliveries(order),
                extra={"type": kind, "detail": {"service": service, "order": order}},
            )
            for order in orders
        ]
        self.drive.send(title, self._entry, events, batch=batch)

    def _entry(self, events: Sequence[Event]) -> list[Reply]:
        made = [
            buses.Event(str(number), SOURCE, event.extra["type"], event.extra["detail"])
            for number, event in enumerate(events)
        ]
        done = buses.publish(self.client, self.drive["EventBusName"], made)
        return [
            Reply(done.refused.get(one.id, ""), again=one.id in done.unpublished) for one in made
        ]

    def kept(self, shop: Shop) -> list[str]:
        """Return the ledger's ids of all that is stored, taken, or dead-lettered."""
        letters = queues.take(self.drive.stack, self.drive[LEDGER])
        events = [json.loads(letter["Body"]) for letter in letters]
        self.finance += [one for one in events if is_of(shop, one)]  # an earlier run left others
        rows = [f"{name}: {row['pk']}" for name in STORES for row in stored(self.drive, name, shop)]
        taken = [f"Ledger: {event['detail']['order']['order_id']}" for event in self.finance]
        return [*rows, *taken, *self.drive.ledger.dead_lettered]

    def settled(self, shop: Shop, without: Sequence[str] = ()) -> None:
        """Wait until every target has what it is meant to have, but for some."""
        ledger = self.drive.ledger
        wanted = {*ledger.accepted} - {*without} - {*ledger.dead_lettered}
        title = "every target has its orders"
        self.drive.wait_for(title, wanted, lambda: self.kept(shop))


def run(stack: Deployment, report: Report) -> None:
    """Drive every promise of the page through the deployed stack."""
    shop, drive = Shop("bus"), Driver(stack, report)
    bus = Bus(drive)
    with drive.calm_retries(QUEUE):
        drive.title("Orders in batches that fail in part, duplicates and poison")
        orders, express = shop.orders(ORDERS), shop.orders(EXPRESS)
        bus.publish("Orders", orders)
        promise = f"{bus.client.failed} entries of batches failed, and were published all the same"
        drive.check(promise, bus.client.failed > 0)
        bus.publish("Express orders", express, "express", batch=1)
        bus.publish("Duplicates", orders[:50])
        in_euros = [order for order in shop.orders(100) if order["currency"] == "EUR"]
        wrong = [order | {"total": f"1{order['total']}"} for order in in_euros]
        publisher_checks(drive, shop.orders(5), wrong)
        bus.publish("Orders whose total is wrong, past the publisher", wrong)
        drive.drain(QUEUE)
        reasons = {f"Fulfilment: {order['order_id']}": "total" for order in wrong}
        promise = "what no retry can fix is kept by the consumer with its reason"
        drive.dead_letters(promise, reasons, partial(delivery_of, drive), DEAD_LETTERS)

        drive.title("Events that no rule matches")
        bus.publish_unmatched("Events of a type that nobody consumes", shop.orders(15))
        drive.wait_for_messages("what no rule matches is kept", UNMATCHED, 15)
        events = [json.loads(one["Body"]) for one in queues.take(stack, stack[UNMATCHED])]
        events = [one for one in events if is_of(shop, one)]
        drive.judge(judge_unmatched, {"events": events}, at_least_once=True)

        drive.title("A function fails until its retries end, and is repaired")
        late = shop.orders(4)
        with drive.table_unavailable("ExpressFunctionName"):
            bus.publish("Express orders during the outage", late, "express", batch=1)
            failed = drive.wait_for_messages("the retries are used up", FAILURES, len(late))
        promise = "what a function fails is kept after its retries"
        drive.check(promise, failed >= len(late), failed)
        redrive(drive)

        drive.title("A target is unavailable for longer than any retry, then its rule is replayed")
        replay_one_rule(drive, bus, shop)
        drive.drain(QUEUE)

    drive.title("Where is every order now? The ledger counts it once for each target")
    bus.settled(shop)
    found = {name: stored(drive, name, shop) for name in STORES}
    drive.judge(judge_what_is_stored, found)
    drive.judge(judge_finance, {"events": bus.finance}, at_least_once=True)
    left = drive.backlog(DEAD_LETTERS, FAILURES)
    drive.check("after the redrives nothing is left", left == 0, left)
    undelivered = drive.backlog(UNDELIVERED)
    drive.check("EventBridge delivered everything", undelivered == 0, undelivered)
    drive.not_proven(
        ("events-dead-letters", "what EventBridge cannot deliver is retried and kept",
         "rule, queue policies and who may send: tests/contracts"),
        ("events-replay-of-one-rule", "a replay reaches one rule only", "here it reaches all"),
        ("events-metrics-and-alarms", "alarms", "metrics and dimensions: tests/eventbridge_bus"),
        ("service-roles", "EventBridge may use its targets", "policies: tests/contracts"),
    )  # fmt: skip


def publisher_checks(drive: Driver, good: Sequence[Document], wrong: Sequence[Document]) -> None:
    """Hand orders to the publishing function: it publishes the good ones only."""
    orders = [{"service": "standard", "order": order} for order in [*good, *wrong]]
    results = drive.call("PublisherFunctionName", {"orders": orders})["results"]
    published = [{"status": "published"}] * len(good)
    refused = [{"status": "refused", "reason": "total"}] * len(wrong)
    promise = "the publisher refuses what breaks the schema, and publishes the rest"
    drive.check(promise, results == published + refused, results[:6])
    for order in good:
        for delivery in meant_for("standard", order):
            drive.ledger.book(delivery)


def redrive(drive: Driver) -> None:
    """Run the redrive tool as its command does."""
    done = drive.redrive_letters(FAILURES)
    drive.check("the redrive sends every failed event again", done.good, done.lines())


def replay_one_rule(drive: Driver, bus: Bus, shop: Shop) -> None:
    """Lose the events of one rule, as when its target is unavailable for a day; replay them."""
    events, rule = drive.client("events"), drive["FulfilmentRuleArn"]
    _, bus_name, rule_name = rule.rsplit(":", 1)[-1].split("/")
    name = {"Name": rule_name, "EventBusName": bus_name}
    began, before, missed = datetime.now(UTC), shop.orders(20), shop.orders(20)
    bus.publish("Orders before", before)
    bus.settled(shop)
    events.disable_rule(**name)
    try:
        bus.publish("Orders that fulfilment misses", missed)
        bus.settled(shop, without=[f"Fulfilment: {order['order_id']}" for order in missed])
    finally:
        events.enable_rule(**name)
    then, taken = {name: stored(drive, name, shop) for name in STORES}, len(bus.finance)
    if drive.stack.executes("events-archive-delay"):
        time.sleep(EVENTS_ARCHIVE_DELAY)
    replay = f"replay-{secrets.token_hex(4)}"
    events.start_replay(
        ReplayName=replay,
        EventSourceArn=drive["ArchiveArn"],
        EventStartTime=began.replace(microsecond=0),
        EventEndTime=datetime.now(UTC),
        Destination={
            "Arn": events.describe_event_bus(Name=bus_name)["Arn"],
            "FilterArns": [rule],
        },
    )
    drive.wait(
        "the replay is completed",
        lambda: events.describe_replay(ReplayName=replay)["State"] == "COMPLETED",
        seconds=900,
    )
    bus.settled(shop)
    if drive.stack.executes("events-replay-of-one-rule"):  # finance would have taken them again
        drive.check("a replay reaches one rule only", len(bus.finance) == taken, len(bus.finance))
    now = {target: stored(drive, target, shop) for target in STORES}
    new = [row["pk"] for row in now["Fulfilment"] if row not in then["Fulfilment"]]
    drive.compare("a replay brings what one rule missed", new, [o["order_id"] for o in missed])
    same = all(row in now[target] for target in STORES for row in then[target])
    promise = "a replay repeats no effect: what was stored before is as it was"
    drive.check(promise, same and len(now["Customs"]) == len(then["Customs"]))


def meant_for(service: str, order: Document) -> list[str]:
    """Return the ledger's ids of an order: one for each target that it is meant for."""
    meant: Mapping[str, bool] = {
        "Fulfilment": True,
        "Ledger": order["currency"] == "EUR",
        "Customs": order["currency"] in ("JPY", "KWD"),
        "Express": service == "express",
    }
    return [f"{name}: {order['order_id']}" for name, is_meant in meant.items() if is_meant]


def delivery_of(drive: Driver, queue: str, message: Document) -> str:
    """Return the ledger's id of a dead letter of fulfilment."""
    return f"Fulfilment: {drive.sent_content(queue, message)}"


def stored(drive: Driver, name: str, shop: Shop) -> list[Document]:
    """Return this run's orders that a target has stored."""
    return drive.rows(f"{name}TableName", "begins_with(pk, :text)", shop.run)


def is_of(shop: Shop, event: Document) -> bool:
    """Whether an event is of this run."""
    order_id: str = event["detail"]["order"]["order_id"]
    return order_id.startswith(shop.run)


def judge_unmatched(drive: Driver, events: Sequence[Document]) -> None:
    """Book what no rule has matched."""
    found = {f"Unmatched: {event['detail']['order']['order_id']}" for event in events}
    drive.ledger.dead_lettered.update(found)
    wanted = {one for one in drive.ledger.accepted if one.startswith("Unmatched")}
    drive.compare("events that no rule matches are kept, and no others", found, wanted)
    orders = [event["detail"]["order"] for event in events]
    drive.as_sent("they are as they were sent", ((one["order_id"], one) for one in orders))


def judge_finance(drive: Driver, events: Sequence[Document]) -> None:
    """Book what another bus has handed on, at least once."""
    orders = {event["detail"]["order"]["order_id"]: event["detail"]["order"] for event in events}
    drive.ledger.processed.update(f"Ledger: {order}" for order in orders)
    drive.as_sent("finance has what was sent", orders.items())


def judge_what_is_stored(drive: Driver, **orders: Sequence[Document]) -> None:
    """Book every order that each target has."""
    for name, rows in orders.items():
        drive.ledger.processed.update(f"{name}: {row['pk']}" for row in rows)
        sent = {row["pk"]: drive.sender.events.get(row["pk"]) for row in rows}
        whole = {id_: json.loads(event.body) for id_, event in sent.items() if event}
        if name != "Customs":  # it declares a part
            whole = {}
        stored = ((row["pk"], whole.get(row["pk"], {}) | row) for row in rows)
        drive.as_sent(f"{name} has what was sent", stored)
