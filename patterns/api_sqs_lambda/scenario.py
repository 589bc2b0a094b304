"""The executable promises of the demo stack: no accepted order is lost, whatever happens.

Knows only the stack's outputs and the AWS APIs, so it runs the same on the embedded AWS and on
a real account.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from serverless_patterns.sandbox import queues
from serverless_patterns.sandbox.driver import Driver
from serverless_patterns.sandbox.sender import Event, http

from ..shop import Document, Shop, as_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serverless_patterns.sandbox import Deployment
    from serverless_patterns.sandbox.report import Report
    from serverless_patterns.sandbox.sender import Entry

ORDERS = 1_000
CHANGED_ORDERS, CHANGES_EACH = 25, 8
MIB = 2**20
QUEUES = ("QueueUrl", "FifoQueueUrl")
DEAD_LETTERS = ("DeadLetterQueueUrl", "FifoDeadLetterQueueUrl")


def run(stack: Deployment, report: Report) -> None:
    """Drive every promise of the page through the deployed stack."""
    shop, drive, api = Shop("ord"), Driver(stack, report), http(stack, "ApiUrl")
    orders = shop.orders(ORDERS)
    changes = shop.order_changes(CHANGED_ORDERS, CHANGES_EACH)
    all_changes = [change for each in changes for change in each]

    with drive.calm_retries(*QUEUES):
        drive.title("Good events")
        drive.send("Orders, in any order", api, [order_request(order) for order in orders])
        drive.send("Changes, each order's in order", api, [*map(change_request, all_changes)])
        drive.drain(*QUEUES)

        drive.title("Poison and duplicates")
        reasons: dict[str, str] = {}
        for title, reason, requests in poison(shop, orders):
            drive.send(title, api, requests)
            reasons |= {request.id: reason for request in requests}
        again = [order_request(order) for order in orders[:50]]
        again += [change_request(change) for change in all_changes[:40]]
        seen = {reply.value.status for reply in drive.send("Duplicates", api, again)}
        drive.check("a duplicate is accepted like the first", seen == {202}, seen)
        drive.redeliver("FunctionName", [as_json(order) for order in orders[:10]])
        drive.drain(*QUEUES)
        promise = "every rejected order is kept, byte for byte, with its reason"
        drive.dead_letters(promise, reasons, drive.sent_body, *DEAD_LETTERS)

        drive.title("The table is unavailable, then returns")
        outage(drive, api, shop)
        drive.redrive("DeadLetterQueueUrl", "QueueUrl")
        drive.drain(*QUEUES)

    drive.title("Where is every event now?")
    items = drive.rows("TableName", "begins_with(pk, :text)", f"ORDER#{shop.run}")
    verdict = partial(judge_what_is_stored, changes=changes)
    drive.judge(verdict, {"items": items}, order=("order_id", "revision"))
    left = drive.backlog(*DEAD_LETTERS)
    drive.check("after the redrive no dead letter is left", left == 0, left)
    drive.not_proven(
        ("sqs-metrics-and-alarms", "a dead letter raises the alarm",
         "metric and dimension: tests/contracts"),
        ("api-gateway-access-logs", "every request is in the access log",
         "the format: tests/contracts"),
        ("service-roles", "API Gateway and the mappings have the permissions that they need",
         "policies: tests/contracts, test_security"),
    )  # fmt: skip
    drive.latency("POST to answer", drive.sender.seconds)
    drive.latency("POST to stored", end_to_end(items, orders))


def order_request(order: Document, variant: str = "", **extra: Any) -> Event:
    """Return the request that sends an order; ``variant`` tells another one under its id."""
    event = f"{order['order_id']}/{variant}" if variant else order["order_id"]
    return Event(event, as_json(order, indent=1), extra={"path": "orders"} | extra)


def change_request(change: Document) -> Event:
    """Return the request that sends a change, with its idempotency key and in its order's turn."""
    extra = {"path": "order-changes", "headers": {"Idempotency-Key": change["change_id"]}}
    return Event(change["change_id"], as_json(change, indent=1), change["order_id"], extra=extra)


def poison(shop: Shop, orders: Sequence[Document]) -> list[tuple[str, str, list[Event]]]:
    """Return what only the consumer can reject: a title, the reason expected, the requests."""
    wrong_total = [order | {"total": f"1{order['total']}"} for order in shop.orders(20)]
    unknown = [order | {"currency": "XXX"} for order in shop.orders(20)]
    others = [order | {"customer_id": "somebody-else"} for order in orders[:10]]
    text = "é&=%\"'\n" * 100_000
    huge = [
        change | {"kind": "note", "text": text, "change_id": f"{change['change_id']}-huge"}
        for [change] in shop.order_changes(2, 1)
    ]
    return [
        ("Orders whose total is wrong", "total", [*map(order_request, wrong_total)]),
        ("Orders in an unknown currency", "currency", [*map(order_request, unknown)]),
        ("Other orders under a known id", "conflict",
         [order_request(order, "conflict") for order in others]),
        ("Changes of almost 1 MiB", "field", [*map(change_request, huge)]),
    ]  # fmt: skip


def outage(drive: Driver, api: Entry, shop: Shop) -> None:
    """Make the table unavailable until retries are used up, then let it return."""
    unlucky, lucky = shop.orders(10), shop.orders(30)
    with (
        drive.quick_retries("QueueUrl", attempts=2),
        drive.table_unavailable("FunctionName"),
    ):
        drive.send("Orders during the outage", api, [*map(order_request, unlucky)])
        rejected_by_the_api(drive, api, shop)  # whatever is behind it
        found = drive.wait_for_messages(
            "their attempts are used up", "DeadLetterQueueUrl", len(unlucky)
        )
        promise = "an outage longer than the retries dead-letters every order, and loses none"
        drive.check(promise, found >= len(unlucky), found)
        drive.send("More orders", api, [*map(order_request, lucky)])
        in_flight = partial(queues.backlog, drive.stack, drive["QueueUrl"], queues.IN_FLIGHT)
        drive.wait("their first attempt runs", lambda: in_flight() > 0)


def rejected_by_the_api(drive: Driver, api: Entry, shop: Shop) -> None:
    """Send what the API or SQS must reject."""
    [[note]] = shop.order_changes(1, 1)
    note |= {"kind": "note"}
    [order] = shop.orders(1)
    body = as_json(order)
    malformed = {
        "empty": b"",
        "one-byte": b"1",
        "not-json": body[:-1],
        "no-lines": as_json(order | {"lines": []}),
        "unknown-field": as_json(order | {"discount": "1.00"}),
        "control-character": body.replace(b"order_id", b"order\x0bid"),
        "smuggle": b"x&MessageGroupId=evil&DelaySeconds=900&Action=DeleteQueue",
        "encoded": b"%26Action%3DDeleteQueue+%E2%82%AC",
        "template": "\"'\\ \t\r\n € 漢 🚗 $input.body #set($x = 1) ${x}".encode(),
    }
    plain: Document = {"headers": {"Content-Type": "text/plain"}}
    orders, changes = {"path": "orders"}, {"path": "order-changes"}
    for what, status, requests in (
        ("unsigned", 403, [order_request(order, signed=False) for order in shop.orders(5)]),
        ("of another content type", 415, [order_request(o, **plain) for o in shop.orders(5)]),
        ("that break the schema", 400,
         [Event(f"{shop.run}-{name}", made, extra=orders) for name, made in malformed.items()]),
        ("over 1 MiB", 422, [change_request(note | {"text": "x" * MIB})]),
        ("with a character that SQS does not accept", 422,
         [change_request(note | {"text": "\uffff"})]),
        ("without an idempotency key", 422,
         [Event(f"{shop.run}-no-key", as_json(note), extra=changes)]),
    ):  # fmt: skip
        seen = {reply.value.status for reply in drive.send(f"Requests {what}", api, requests)}
        drive.check(f"requests {what}: {status}", seen == {status}, seen)


def judge_what_is_stored(
    drive: Driver, items: Sequence[Document], changes: Sequence[Sequence[Document]]
) -> None:
    """Book every order and change, and compare the order of effect with the order of sending."""
    heads = [(it["pk"], it["revision"]) for it in items if "order_id" not in it]
    stored = [
        (item.get("change_id") or item["order_id"], item) for item in items if "order_id" in item
    ]
    drive.ledger.processed.update(event for event, _ in stored)
    drive.as_sent("what is stored is what was sent", stored)
    revisions = {event: item["revision"] for event, item in stored if "revision" in item}
    counted = Counter(item["pk"] for _, item in stored if "revision" in item)
    drive.compare("each history has as many changes as its head says", heads, counted.items())
    for each in changes:
        ids = [change["change_id"] for change in each if change["change_id"] in revisions]
        drive.ledger.out_of_order.update(
            late for early, late in pairwise(ids) if revisions[late] <= revisions[early]
        )


def end_to_end(items: Sequence[Document], orders: Sequence[Document]) -> list[float]:
    """Return the seconds from the API's receipt to the table, for the good orders."""
    wanted = {f"ORDER#{order['order_id']}" for order in orders}
    return [
        (int(item["stored_at"]) - int(item["received_at"])) / 1000
        for item in items
        if item["sk"] == "ORDER" and item["pk"] in wanted
    ]
