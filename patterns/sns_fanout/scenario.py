"""The executable promises of the demo stack: every subscriber gets the orders that it asks for.

Knows only the stack's outputs, the AWS APIs and the redrive tools, so it runs the same on the
embedded AWS and on a real account, but for the partner's endpoint, which listens on this machine.
The ledger counts deliveries: an order counts once for each subscriber that it is meant for.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

from serverless_patterns.lambdas.foundation import topics
from serverless_patterns.lambdas.sns_fanout.replicate import NOBODY
from serverless_patterns.sandbox import buckets, outages, queues
from serverless_patterns.sandbox.driver import Driver
from serverless_patterns.sandbox.http_endpoint import Endpoint, listening
from serverless_patterns.sandbox.sender import Event, Reply

from ..shop import Document, Shop, as_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serverless_patterns.sandbox import Deployment
    from serverless_patterns.sandbox.report import Report

ORDERS = 400
STORES = ("Fulfilment", "Finance")  # each has a queue and a table
QUEUES = [f"{name}QueueUrl" for name in STORES]
DEAD_LETTERS = [f"{name}DeadLetterQueueUrl" for name in STORES]
FAILURES, UNDELIVERED = "ReplicaFailureQueueUrl", "PartnerDeliveryDeadLetterQueueUrl"


def run(stack: Deployment, report: Report) -> None:
    """Drive every promise of the page through the deployed stack."""
    drive = Driver(stack, report)
    tests = queues.subscribed(stack, drive["TestTopicArn"])
    with listening() as endpoint, drive.calm_retries(*QUEUES), tests as queue:
        orders = Orders(drive, endpoint, queue)
        drive.title("The partner's endpoint confirms its subscription")
        orders.confirm()

        drive.title("Orders in batches that fail in part, duplicates and poison")
        good = orders.shop.orders(ORDERS)
        orders.publish("Orders", good)
        promise = f"{orders.sns.failed} entries of batches failed, and were published all the same"
        drive.check(promise, orders.sns.failed > 0)
        orders.publish("Duplicates", good[:50])
        wrong = [
            order | {"total": f"1{order['total']}"}
            for order in orders.shop.orders(20)
            if service(order["order_id"]) == "standard"
        ]
        orders.publish("Orders whose total is wrong", wrong)
        orders.settled()
        reasons = {
            delivery: "total"
            for order in wrong
            for delivery in orders.deliveries(order)
            if delivery.startswith(STORES)
        }
        promise = "what no retry can fix is kept by each subscriber with its reason"
        drive.dead_letters(promise, reasons, partial(delivery_of, drive), *DEAD_LETTERS)

        if orders.partner:
            endpoint_fails(drive, orders, endpoint)
        table_unavailable(drive, orders)
        function_fails(drive, orders)
        drive.title("Somebody is told of an upload, by a text that names no object")
        upload(drive)

        drive.title("Where is every order now? The ledger counts it once for each subscriber")
        orders.settled()
        found = {name: orders.stored(name) for name in STORES}
        drive.judge(judge_what_is_stored, found)
        drive.judge(judge_the_archive, {"documents": orders.archived()}, at_least_once=True)
        drive.judge(judge_the_tests, {"documents": orders.tested()}, at_least_once=True)
        taken = [order_of(body) for body in endpoint.taken]
        drive.judge(judge_the_partner, {"documents": taken}, at_least_once=True)
    left = drive.backlog(*DEAD_LETTERS, FAILURES)
    drive.check("after the redrives nothing is left", left == 0, left)
    names = [*STORES, "Replica", "Archive", "Partner"]
    undelivered = drive.backlog(*(f"{name}DeliveryDeadLetterQueueUrl" for name in names))
    drive.check("SNS delivered everything", undelivered == 0, undelivered)
    drive.not_proven(
        ("", "what SNS cannot deliver is kept", "redrive policy, grants: tests/blocks, contracts"),
        ("", "alarms", "metrics and dimensions: tests/contracts"),
        ("sns-delivery-policy", "SNS retries an endpoint", "its policy: tests/blocks"),
        ("sns-maximum-message-size", "topics of 1 MiB", "tests/sns_fanout"),
        ("service-roles", "the mappings may read their queues", "policies: test_security"),
        ("service-roles", "SNS may use Firehose", "policies: test_security"),
    )


class Orders:
    """Publishes orders, and knows whose they are and who has them."""

    def __init__(self, drive: Driver, endpoint: Endpoint, tests: str) -> None:
        self.drive, self.endpoint, self.shop = drive, endpoint, Shop("plc")
        self._tests, self._tested = tests, list[Document]()
        self.sns = outages.FailsInPart(drive.client("sns"))
        self.partner = ""  # the subscription of the endpoint, once it has confirmed

    def confirm(self) -> None:
        """Subscribe the endpoint, as the template would, and confirm as an endpoint does."""
        if not self.drive.stack.target.endpoint_url:
            self.drive.report.not_proven(
                "an endpoint gets orders", "AWS does not reach one on this machine"
            )
            return
        sns, topic = self.drive.client("sns"), {"TopicArn": self.drive["TopicArn"]}
        asked = {"QueueUrl": self.drive[UNDELIVERED], "AttributeNames": ["QueueArn"]}
        undelivered = self.drive.client("sqs").get_queue_attributes(**asked)["Attributes"]
        sns.subscribe(
            **topic,
            Protocol="http",  # it has no certificate that the engine trusts
            Endpoint=self.endpoint.url,
            Attributes={
                "FilterPolicy": json.dumps({"service": ["express"]}),
                "RedrivePolicy": json.dumps({"deadLetterTargetArn": undelivered["QueueArn"]}),
            },
        )
        self.drive.wait("the endpoint is asked to confirm", lambda: bool(self.endpoint.tokens))
        self.partner = sns.confirm_subscription(**topic, Token=self.endpoint.tokens[0])[
            "SubscriptionArn"
        ]
        self.drive.check("an endpoint is subscribed once it has confirmed", bool(self.partner))

    def publish(self, title: str, orders: Sequence[Document]) -> None:
        """Publish orders; each is booked for every subscriber that it is meant for."""
        events = [
            Event(order["order_id"], as_json(order), deliveries=self.deliveries(order))
            for order in orders
        ]
        self.drive.send(title, self._publish, events, batch=50)

    def _publish(self, events: Sequence[Event]) -> list[Reply]:
        made = [
            topics.Event(one.id, one.body.decode(), {"service": service(one.id)}) for one in events
        ]
        done = topics.publish(self.sns, self.drive["TopicArn"], made)
        return [
            Reply(done.refused.get(one.id, ""), again=one.id in done.unpublished) for one in made
        ]

    def deliveries(self, order: Document) -> list[str]:
        """Return the ledger's ids of an order: one for each subscriber that it is meant for."""
        express = service(order["order_id"]) == "express"
        meant = {
            "Fulfilment": True,
            "Finance": order["currency"] == "EUR",
            "Test": express,
            "Archive": True,
            "Partner": express and bool(self.partner),
        }
        return [f"{name}: {order['order_id']}" for name, is_meant in meant.items() if is_meant]

    def stored(self, name: str) -> list[Document]:
        """Return this run's orders that a subscriber has stored."""
        return self.drive.rows(f"{name}TableName", "begins_with(pk, :text)", self.shop.run)

    def archived(self) -> list[Document]:
        """Return this run's orders that the archive has."""
        place = self.drive["BucketName"], self.drive["Prefix"]
        lines = buckets.json_lines(self.drive.stack, *place)
        return [order for _, order in lines if order["order_id"].startswith(self.shop.run)]

    def tested(self) -> list[Document]:
        """Return this run's orders that the tests have got so far."""
        found = [order_of(one["Body"]) for one in queues.take(self.drive.stack, self._tests)]
        self._tested += [one for one in found if one["order_id"].startswith(self.shop.run)]
        return self._tested

    def has(self) -> list[str]:
        """Return the ledger's ids of all that subscribers have, dead letters among them."""
        rows = [f"{name}: {row['order_id']}" for name in STORES for row in self.stored(name)]
        rows += [f"Archive: {order['order_id']}" for order in self.archived()]
        rows += [f"Test: {order['order_id']}" for order in self.tested()]
        rows += [f"Partner: {order_of(body)['order_id']}" for body in [*self.endpoint.taken]]
        return [*rows, *self.drive.ledger.dead_lettered]

    def settled(self) -> None:
        """Wait until the queues are empty, and the others have what they are meant to have."""
        self.drive.drain(*QUEUES)
        others = ("Archive", "Partner", "Test")
        wanted = {one for one in self.drive.ledger.accepted if one.startswith(others)}
        self.drive.wait_for("everybody has the orders", wanted, self.has)
        self.drive.drain(*QUEUES)


def endpoint_fails(drive: Driver, orders: Orders, endpoint: Endpoint) -> None:
    """Let the endpoint answer with an error, hang, and return; the others notice nothing."""
    count = 0
    for title, status in (("fails", 503), ("hangs", 0)):
        drive.title(f"The partner's endpoint {title}")
        with endpoint.failing(status, alive=True):
            count += while_it_fails(drive, orders, endpoint, title)
        letters = drive.wait_for_messages("its orders are kept", UNDELIVERED, count)
        drive.check(f"orders for an endpoint that {title} are kept", letters >= count, letters)
    drive.title("The endpoint returns, and gets what it has missed")
    done = drive.redrive_letters(UNDELIVERED, orders.partner)
    promise = "what an endpoint has missed is delivered to it alone"
    drive.check(promise, done.good and done.accepted >= count, done.lines())


def while_it_fails(drive: Driver, orders: Orders, endpoint: Endpoint, title: str) -> int:
    """Publish orders; return how many of them are the endpoint's."""
    unlucky = orders.shop.orders(40)
    orders.publish(f"Orders while the endpoint {title}", unlucky)
    meant = {one for order in unlucky for one in orders.deliveries(order)}
    of_partner = {one for one in meant if one.startswith("Partner")}
    drive.wait_for("everybody else has the orders", meant - of_partner, orders.has)
    # One that hangs still holds them all: whoever waited for it would not have got theirs.
    count, promise = len(of_partner), f"an endpoint that {title} delays nobody else"
    hangs = not endpoint.status
    drive.eventually(promise, lambda: (endpoint.busy if hangs else endpoint.refused) >= count)
    return count


def table_unavailable(drive: Driver, orders: Orders) -> None:
    """Make the table of one subscriber unavailable, and redrive what it could not store."""
    drive.title("The table of fulfilment is unavailable, then returns")
    unlucky = orders.shop.orders(20)
    with (
        drive.quick_retries("FulfilmentQueueUrl", attempts=2),
        drive.table_unavailable("FulfilmentFunctionName"),
    ):
        orders.publish("Orders during the outage", unlucky)
        wanted = {one for order in unlucky for one in orders.deliveries(order)}
        wanted -= {one for one in wanted if one.startswith("Fulfilment")}
        drive.wait_for("everybody else has the orders", wanted, orders.has)
        letters = drive.wait_for_messages(
            "the attempts of fulfilment are used up", DEAD_LETTERS[0], len(unlucky)
        )
    promise = "an outage of one subscriber dead-letters its orders, and delays nobody else"
    # At least: an order whose answer was lost was published, and is dead-lettered, twice.
    drive.check(promise, letters >= len(unlucky), letters)
    drive.redrive(DEAD_LETTERS[0], QUEUES[0])
    drive.drain(*QUEUES)


def function_fails(drive: Driver, orders: Orders) -> None:
    """Let the function fail until its retries end, and run again what it failed."""
    drive.title("The function cannot publish, then can again")
    unlucky = [one for one in orders.shop.orders(40) if service(one["order_id"]) == "express"]
    with drive.table_unavailable("ReplicaFunctionName", "TOPIC_ARN"):
        orders.publish("Orders during the outage", unlucky)
        failed = drive.wait_for_messages("the retries are used up", FAILURES, len(unlucky))
    drive.check("what a function fails is kept after its retries", failed >= len(unlucky), failed)
    done = drive.redrive_letters(FAILURES)
    drive.check("the redrive sends every failed event again", done.good, done.lines())


def upload(drive: Driver) -> None:
    """Upload an object whose key names somebody, and read what people are told."""
    key = {"Bucket": drive["BucketName"], "Key": "errors/jane.doe@example.com"}
    with queues.subscribed(drive.stack, drive["AlertTopicArn"]) as queue:
        try:
            drive.client("s3").put_object(**key, Body=b"not an order")
            drive.wait("somebody is told", lambda: queues.backlog(drive.stack, queue) > 0)
            texts = [one["Body"] for one in queues.take(drive.stack, queue)]
        finally:
            drive.client("s3").delete_object(**key)
    name = f"An object was uploaded to {drive['BucketName']}."
    right = any(name in text for text in texts) and "jane.doe" not in str(texts)
    drive.check("people are told of an upload, and not of whom it is about", right, texts)


def service(order_id: str) -> str:
    """Return how an order is sent."""
    return "express" if order_id.endswith(("3", "7")) else "standard"


def order_of(body: str) -> Document:
    """Return the order in a notification of SNS."""
    order: Document = json.loads(json.loads(body)["Message"])
    return order


def delivery_of(drive: Driver, queue: str, message: Document) -> str:
    """Return the ledger's id of a dead letter in the queue with this output."""
    return f"{queue.removesuffix('DeadLetterQueueUrl')}: {drive.sent_body(queue, message)}"


def judge_what_is_stored(drive: Driver, **orders: Sequence[Document]) -> None:
    """Book every order that each subscriber has."""
    for name, rows in orders.items():
        drive.ledger.processed.update(f"{name}: {row['order_id']}" for row in rows)
        drive.as_sent(f"{name} has what was sent", ((row["order_id"], row) for row in rows))


def judge_the_tests(drive: Driver, documents: Sequence[Document]) -> None:
    """Book every order that the tests got, at least once; none is about a person."""
    drive.ledger.processed.update({f"Test: {order['order_id']}" for order in documents})
    persons = [order["order_id"] for order in documents if order["customer_id"] != NOBODY]
    drive.check("no order of the tests is about a person", not persons, persons[:6])
    sent = drive.sender.events
    whole = [order | customer(sent.get(order["order_id"])) for order in documents]
    drive.as_sent("Test has what was sent", ((order["order_id"], order) for order in whole))


def customer(sent: Event | None) -> Document:
    """Return who placed an order."""
    return {"customer_id": json.loads(sent.body)["customer_id"]} if sent else {}


def judge_the_archive(drive: Driver, documents: Sequence[Document]) -> None:
    """Book every order that was archived, at least once."""
    drive.ledger.processed.update({f"Archive: {order['order_id']}" for order in documents})
    stored = ((order["order_id"], order) for order in documents)
    drive.as_sent("the archive has what was published", stored)


def judge_the_partner(drive: Driver, documents: Sequence[Document]) -> None:
    """Book every order that the partner's endpoint has taken, at least once."""
    drive.ledger.processed.update({f"Partner: {order['order_id']}" for order in documents})
    taken = ((order["order_id"], order) for order in documents)
    drive.as_sent("the partner got what was published", taken)
