"""The executable promises of the demo stack: every subscriber gets the orders that it asks for.

Knows only the stack's outputs and the AWS APIs, so it runs the same on the embedded AWS and on a
real account. The ledger counts deliveries: an order counts once for each subscriber that it is
meant for.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from serverless_patterns.sandbox import outages
from serverless_patterns.sandbox.driver import Driver
from serverless_patterns.sandbox.sender import Event, batch

from ..shop import Document, Shop, as_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serverless_patterns.sandbox import Deployment
    from serverless_patterns.sandbox.report import Report

ORDERS = 1_000
SUBSCRIBERS = ("Fulfilment", "Express", "Finance")
QUEUES = [f"{name}QueueUrl" for name in SUBSCRIBERS]
DEAD_LETTERS = [f"{name}DeadLetterQueueUrl" for name in SUBSCRIBERS]


def run(stack: Deployment, report: Report) -> None:
    """Drive every promise of the page through the deployed stack."""
    shop, drive = Shop("plc"), Driver(stack, report)
    sns = outages.FailsInPart(drive.client("sns"))
    topic = batch(
        sns.publish_batch, "PublishBatchRequestEntries", _entry, TopicArn=stack["TopicArn"]
    )

    def publish(title: str, orders: Sequence[Document]) -> None:
        events = [
            Event(order["order_id"], as_json(order), deliveries=deliveries(order))
            for order in orders
        ]
        drive.send(title, topic, events, batch=10)

    with drive.calm_retries(*QUEUES):
        drive.title("Orders in batches that fail in part, duplicates and poison")
        orders = shop.orders(ORDERS)
        publish("Orders", orders)
        promise = f"{sns.failed} entries of batches failed, and were published all the same"
        drive.check(promise, sns.failed > 0)
        publish("Duplicates", orders[:50])
        wrong = [order | {"total": f"1{order['total']}"} for order in shop.orders(20)]
        publish("Orders whose total is wrong", wrong)
        drive.drain(*QUEUES)
        reasons = {delivery: "total" for order in wrong for delivery in deliveries(order)}
        promise = "what no retry can fix is kept by each subscriber with its reason"
        drive.dead_letters(promise, reasons, partial(delivery_of, drive), *DEAD_LETTERS)

        drive.title("The table of fulfilment is unavailable, then returns")
        unlucky = shop.orders(20)
        with (
            drive.quick_retries("FulfilmentQueueUrl", attempts=2),
            drive.table_unavailable("FulfilmentFunctionName"),
        ):
            publish("Orders during the outage", unlucky)
            in_euros = {order["order_id"] for order in unlucky if order["currency"] == "EUR"}
            drive.wait_for(
                "finance has its orders",
                in_euros,
                lambda: [order["order_id"] for order in stored(drive, "Finance", shop)],
            )
            letters = drive.wait_for_messages(
                "the attempts of fulfilment are used up", DEAD_LETTERS[0], len(unlucky)
            )
        promise = "an outage of one subscriber dead-letters its orders, and delays nobody else"
        # At least: an order whose answer was lost was published, and is dead-lettered, twice.
        drive.check(promise, letters >= len(unlucky), letters)
        drive.redrive(DEAD_LETTERS[0], QUEUES[0])
        drive.drain(*QUEUES)

    drive.title("Where is every order now? The ledger counts it once for each subscriber")
    drive.judge(judge_what_is_stored, {name: stored(drive, name, shop) for name in SUBSCRIBERS})
    left = drive.backlog(*DEAD_LETTERS)
    drive.check("after the redrive no dead letter is left", left == 0, left)
    undelivered = drive.backlog(*(f"{name}DeliveryDeadLetterQueueUrl" for name in SUBSCRIBERS))
    drive.check("SNS delivered everything", undelivered == 0, undelivered)
    drive.not_proven(
        ("", "what SNS cannot deliver is kept", "redrive policy, grants: tests/blocks, contracts"),
        ("", "alarms", "metrics and dimensions: tests/contracts"),
        ("service-roles", "the mappings may read their queues", "policies: test_security"),
    )


def _entry(event: Event) -> dict[str, Any]:
    service = "express" if event.id.endswith(("3", "7")) else "standard"
    attribute = {"DataType": "String", "StringValue": service}
    return {"Message": event.body.decode(), "MessageAttributes": {"service": attribute}}


def deliveries(order: Document) -> list[str]:
    """Return the ledger's ids of an order: one for each subscriber that it is meant for."""
    meant = {
        "Fulfilment": True,
        "Express": order["order_id"].endswith(("3", "7")),
        "Finance": order["currency"] == "EUR",
    }
    return [f"{name}: {order['order_id']}" for name in SUBSCRIBERS if meant[name]]


def delivery_of(drive: Driver, queue: str, message: Document) -> str:
    """Return the ledger's id of a dead letter in the queue with this output."""
    return f"{queue.removesuffix('DeadLetterQueueUrl')}: {drive.sent_body(queue, message)}"


def stored(drive: Driver, name: str, shop: Shop) -> list[Document]:
    """Return this run's orders that a subscriber has stored."""
    return drive.rows(f"{name}TableName", "begins_with(pk, :text)", shop.run)


def judge_what_is_stored(drive: Driver, **orders: Sequence[Document]) -> None:
    """Book every order that each subscriber has."""
    for name, rows in orders.items():
        drive.ledger.processed.update(f"{name}: {row['order_id']}" for row in rows)
        drive.as_sent(f"{name} has what was sent", ((row["order_id"], row) for row in rows))
