"""The executable promises of the demo stack: no accepted order is lost, whatever happens.

Knows only the stack's outputs and the AWS APIs, so it runs the same on the embedded AWS and on
a real account.
"""

from __future__ import annotations

import json
import random
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from serverless_patterns.sandbox import outages, queues, tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serverless_patterns.sandbox import Answer, Deployment
    from serverless_patterns.sandbox.report import Report

SEED = 20261121
SENDERS = 16
ORDERS = 1_000
CHANGED_ORDERS = 40
CHANGES_EACH = 8
MIB = 2**20
PARTS = {
    "BRK-PAD-F": "Bremsbelag vorn",
    "OIL-FLT-3": "Filtre à huile",
    "WPR-24": "Wischerblatt 24″",
    "SPK-NGK": "点火プラグ",
    "BLT-ALT": "Пас генератора",
    "CLT-KIT": "Kit d'embrayage",
    "TYR-205": "Tyre 205/55 & rim",
    "MIR-L": "Zrcátko levé 🚗",
    "EXH-M": 'Schalldämpfer = "Sport"',
    "SHK-R": "Amortiguador 100 % gas + oil",
    # An attempt to add parameters to the SQS call: it must stay a part's name.
    "LMP-H7": "Лампа H7&MessageGroupId=evil&DelaySeconds=900&Action=DeleteQueue",
}
CURRENCIES = {"EUR": 2, "USD": 2, "GBP": 2, "JPY": 0, "KWD": 3}


@dataclass(frozen=True)
class Request:
    """One POST: ``event`` is its id in the ledger."""

    event: str
    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    signed: bool = True


class Shop:
    """Makes realistic orders and changes, the same ones for the same seed."""

    def __init__(self, run: str) -> None:
        self.run = run
        self._random = random.Random(SEED)  # noqa: S311 - test data
        self._count = 0

    def order(self) -> dict[str, Any]:
        """Return a valid order."""
        self._count += 1
        currency, digits = self._random.choice(list(CURRENCIES.items()))
        lines, total = [], Decimal(0)
        for sku, name in self._random.sample(list(PARTS.items()), self._random.randint(1, 6)):
            price = Decimal(self._random.randint(100, 90_000)).scaleb(-digits)
            quantity = self._random.randint(1, 9)
            total += price * quantity
            lines.append(
                {"sku": sku, "name": name, "quantity": quantity, "unit_price": f"{price:f}"}
            )
        return {
            "order_id": f"{self.run}-{self._count:05}",
            "customer_id": f"customer-{self._random.randint(1, 200)}",
            "currency": currency,
            "lines": lines,
            "total": f"{total:f}",
        }

    def orders(self, count: int) -> list[dict[str, Any]]:
        """Return that many valid orders."""
        return [self.order() for _ in range(count)]

    def changes(self) -> list[list[dict[str, Any]]]:
        """Return the changes of many orders, each list in the order it must take effect."""
        return [
            [self._change(f"{self.run}-changed-{order:03}", n) for n in range(CHANGES_EACH)]
            for order in range(CHANGED_ORDERS)
        ]

    def _change(self, order_id: str, number: int) -> dict[str, Any]:
        return {
            "order_id": order_id,
            "change_id": f"{order_id}-{number:03}",
            "kind": "quantity",
            "sku": self._random.choice(list(PARTS)),
            "quantity": self._random.randint(1, 9),
        }


def post_order(order: dict[str, Any], variant: str = "", **options: Any) -> Request:
    """Return the request that sends an order, or another one under its id."""
    event = f"{order['order_id']}/{variant}" if variant else order["order_id"]
    return Request(event, "orders", _body(order), **options)


def post_change(change: dict[str, Any]) -> Request:
    """Return the request that sends a change, with its idempotency key."""
    key = {"Idempotency-Key": change["change_id"]}
    return Request(change["change_id"], "order-changes", _body(change), key)


def _body(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, indent=1).encode()


class Client:
    """Sends requests concurrently, tries again what was throttled, and books every answer.

    Attributes:
        seconds: How long each answer took.
        events: The event that a body belongs to.
    """

    def __init__(self, stack: Deployment, report: Report) -> None:
        self._stack, self._report = stack, report
        self._url = stack["ApiUrl"].rstrip("/")
        self.seconds: list[float] = []
        self.events: dict[bytes, str] = {}

    def send(self, title: str, requests: Sequence[Request]) -> list[Answer]:
        """Send the requests side by side; return their answers."""
        return [answers[0] for answers in self.send_groups(title, [[r] for r in requests])]

    def send_groups(self, title: str, groups: Sequence[Sequence[Request]]) -> list[list[Answer]]:
        """Send many groups side by side, each group's requests one after the other."""
        with (
            self._report.step(title, len(groups)) as advance,
            ThreadPoolExecutor(SENDERS) as senders,
        ):
            all_answers = []
            for group, answers in zip(groups, senders.map(self._send_group, groups), strict=True):
                for request, answer in zip(group, answers, strict=True):
                    self._book(request, answer)
                all_answers.append(answers)
                advance()
        return all_answers

    def _send_group(self, group: Sequence[Request]) -> list[Answer]:
        return [self._send_until_answered(request) for request in group]

    def _send_until_answered(self, request: Request) -> Answer:
        headers = {"Content-Type": "application/json"} | request.headers
        for attempt in range(60):
            answer = self._stack.http.post(
                f"{self._url}/{request.path}", request.body, headers, signed=request.signed
            )
            if answer.status != 429 and answer.status < 500:
                break
            time.sleep(min(2.0, 0.05 * 2**attempt) * random.random())  # noqa: S311 - jitter
        return answer

    def _book(self, request: Request, answer: Answer) -> None:
        ledger = self._report.ledger
        self.events[request.body] = request.event
        self.seconds.append(answer.seconds)
        ledger.sent[request.event] += 1
        if answer.status == 202:
            ledger.accepted[request.event] += 1
        else:
            ledger.refused[str(answer.status)] += 1


def run(stack: Deployment, report: Report) -> None:
    """Drive every promise of the page through the deployed stack."""
    shop = Shop(run=f"ord-{secrets.token_hex(4)}")
    client = Client(stack, report)
    orders = shop.orders(ORDERS)
    changes = shop.changes()

    report.title("Good events")
    client.send("Orders, in any order", [post_order(order) for order in orders])
    client.send_groups("Changes, in order", [[*map(post_change, group)] for group in changes])
    drain(stack, report)

    report.title("Poison and duplicates")
    reasons = poison(client, shop, orders)
    sent_again(stack, report, client, orders, changes)
    drain(stack, report)
    dead_letters_have_a_reason(stack, report, client, reasons)

    report.title("The table is away, and comes back")
    outage(stack, report, client, shop)
    drain(stack, report)

    report.title("Where is every event now?")
    items = stored_items(stack, shop.run)
    orders_are_stored_once(report, items)
    changes_are_in_order(report, items, changes)
    nothing_is_left_behind(stack, report)
    report.latency("POST to answer", client.seconds)
    report.latency("POST to stored", end_to_end(items, orders))


def drain(stack: Deployment, report: Report) -> None:
    """Wait until both queues are empty."""
    with report.step("Waiting for the queues to drain"):
        queues.wait_until_empty(stack, stack["QueueUrl"], stack["FifoQueueUrl"])


def refused_at_the_door(report: Report, client: Client, shop: Shop) -> None:
    """Send what the API or SQS must turn away."""
    note = shop.changes()[0][0] | {"kind": "note"}
    too_long = note | {"text": "x" * MIB}
    outside = note | {"text": "\uffff"}
    keyless = Request(f"{shop.run}-no-key", "order-changes", _body(note))
    expected = {
        ("unsigned", 403): [post_order(order, signed=False) for order in shop.orders(10)],
        ("of another content type", 415): [
            post_order(order, headers={"Content-Type": "text/plain"}) for order in shop.orders(10)
        ],
        ("that break the schema", 400): _breaks_the_schema(shop),
        ("over 1 MiB", 422): [post_change(too_long)],
        ("with a character that SQS does not take", 422): [post_change(outside)],
        ("without an idempotency key", 422): [keyless],
    }
    for (what, status), requests in expected.items():
        seen = {answer.status for answer in client.send(f"Requests {what}", requests)}
        report.check(f"requests {what}: {status}", seen == {status}, seen)


def _breaks_the_schema(shop: Shop) -> list[Request]:
    order = shop.order()
    bodies = {
        "empty": b"",
        "one-byte": b"1",
        "not-json": _body(order)[:-1],
        "no-lines": _body(order | {"lines": []}),
        "unknown-field": _body(order | {"discount": "1.00"}),
        "control-character": _body(order).replace(b"order_id", b"order\x0bid"),
        "smuggle": b"x&MessageGroupId=evil&DelaySeconds=900&Action=DeleteQueue",
        "encoded": b"%26Action%3DDeleteQueue+%E2%82%AC",
        "template": "\"'\\ \t\r\n € 漢 🚗 $input.body #set($x = 1) ${x}".encode(),
    }
    return [Request(f"{shop.run}-{name}", "orders", body) for name, body in bodies.items()]


def poison(client: Client, shop: Shop, orders: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Send what only the consumer can refuse; return the reason expected for each event."""
    wrong_total = [order | {"total": f"1{order['total']}"} for order in shop.orders(20)]
    unknown = [order | {"currency": "XXX"} for order in shop.orders(20)]
    conflicts = [order | {"customer_id": "somebody-else"} for order in orders[:10]]
    huge = [
        group[0] | {"kind": "note", "text": "é&=%\"'\n" * 100_000, "change_id": f"huge-{number}"}
        for number, group in enumerate(shop.changes()[:2])
    ]
    client.send("Orders that break a rule", [post_order(o) for o in wrong_total + unknown])
    client.send("Other orders under a known id", [post_order(o, "conflict") for o in conflicts])
    client.send("Changes of almost 1 MiB", [post_change(change) for change in huge])
    return {
        **{order["order_id"]: "total" for order in wrong_total},
        **{order["order_id"]: "currency" for order in unknown},
        **{f"{order['order_id']}/conflict": "conflict" for order in conflicts},
        **{change["change_id"]: "field" for change in huge},
    }


def sent_again(
    stack: Deployment,
    report: Report,
    client: Client,
    orders: Sequence[dict[str, Any]],
    changes: Sequence[Sequence[dict[str, Any]]],
) -> None:
    """Send duplicates through the API, and deliver a batch to the consumer a second time."""
    again = [post_order(order) for order in orders[:50]]
    again += [post_change(change) for group in changes[:5] for change in group]
    seen = {answer.status for answer in client.send("Duplicates", again)}
    report.check("a duplicate is accepted like the first", seen == {202}, seen)

    records = [_sqs_record(order) for order in orders[:10]]
    answer = stack.client("lambda").invoke(
        FunctionName=stack["FunctionName"], Payload=json.dumps({"Records": records})
    )
    result = json.load(answer["Payload"])
    report.check("a redelivered batch is acknowledged", result == {"batchItemFailures": []}, result)


def _sqs_record(order: dict[str, Any]) -> dict[str, Any]:
    return {
        "messageId": secrets.token_hex(16),
        "receiptHandle": "redelivered",
        "body": json.dumps(order),
        "attributes": {
            "ApproximateReceiveCount": "2",
            "SentTimestamp": f"{time.time():.0f}000",
        },
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:redelivered",
    }


def outage(stack: Deployment, report: Report, client: Client, shop: Shop) -> None:
    """Take the table away until retries are used up, bring it back, and redrive."""
    unlucky, lucky = shop.orders(20), shop.orders(50)
    url, dead_letters = stack["QueueUrl"], stack["DeadLetterQueueUrl"]

    def all_dead_lettered() -> bool:
        return queues.backlog(stack, dead_letters) >= len(unlucky)

    with (
        outages.quick_retries(stack, url, tries=2),
        outages.table_away(stack, stack["FunctionName"]),
    ):
        client.send("Orders while the table is away", [post_order(o) for o in unlucky])
        refused_at_the_door(report, client, shop)  # which does not depend on what is behind it
        with report.step("Waiting until their tries are used up"):
            queues.until(all_dead_lettered, seconds=600, what="messages are not dead-lettered")
        client.send("More orders", [post_order(order) for order in lucky])
        with report.step("Waiting for their first failed try"):
            queues.until(
                lambda: queues.in_flight(stack, url) > 0,
                seconds=60,
                what="no order was received",
                pause=0.05,
            )
    report.check("an outage longer than the retries dead-letters and keeps", all_dead_lettered())
    queues.redrive(stack, report, dead_letters, url)


def stored_items(stack: Deployment, run: str) -> list[dict[str, Any]]:
    """Return what the table holds of this run."""
    return tables.rows(stack, stack["TableName"], "begins_with(pk, :text)", f"ORDER#{run}")


def orders_are_stored_once(report: Report, items: Sequence[dict[str, Any]]) -> None:
    """Book every order that the table holds."""
    for item in items:
        if item["sk"] == "ORDER":
            report.ledger.processed[item["pk"].removeprefix("ORDER#")] += 1


def changes_are_in_order(
    report: Report,
    items: Sequence[dict[str, Any]],
    changes: Sequence[Sequence[dict[str, Any]]],
) -> None:
    """Book every change, and compare the order of effect with the order of sending."""
    revisions: dict[str, int] = {}
    for item in items:
        if item["sk"].startswith("CHANGE#"):
            change = item["sk"].removeprefix("CHANGE#")
            revisions[change] = int(item["revision"])
            report.ledger.processed[change] += 1
    for group in changes:
        took_effect = [revisions.get(change["change_id"], 0) for change in group]
        report.ledger.out_of_order += sum(late >= early for late, early in pairwise(took_effect))


def dead_letters_have_a_reason(
    stack: Deployment, report: Report, client: Client, reasons: dict[str, str]
) -> None:
    """Book every dead letter: its body is one that was sent, byte for byte, with its reason."""
    found: dict[str, str] = {}
    for message in queues.take(stack, stack["DeadLetterQueueUrl"], stack["FifoDeadLetterQueueUrl"]):
        event = client.events.get(message["Body"].encode(), message["Body"][:60])
        found[event] = queues.reason(message)
        report.ledger.dead_lettered[event] += 1
    wrong = {
        event: (found.get(event), reason)
        for event, reason in reasons.items()
        if found.get(event) != reason
    }
    report.check("every refused order is kept, byte for byte, with its reason", not wrong, wrong)


def nothing_is_left_behind(stack: Deployment, report: Report) -> None:
    """Check that the redrive left no dead letter, and say what this target cannot show."""
    left = {
        name: queues.backlog(stack, stack[name])
        for name in ("DeadLetterQueueUrl", "FifoDeadLetterQueueUrl")
    }
    report.check("after the redrive no dead letter is left", not any(left.values()), left)
    if not stack.executes("sqs-metrics-and-alarms"):
        report.not_proven("a dead letter raises the alarm", "metric and dimension: test_construct")
    if not stack.executes("api-gateway-access-logs"):
        report.not_proven("every request is in the access log", "the format: test_construct")
    if not stack.executes("service-roles"):
        report.not_proven(
            "API Gateway and the mappings may do what they do",
            "policies: test_construct, test_security",
        )


def end_to_end(items: Sequence[dict[str, Any]], orders: Sequence[dict[str, Any]]) -> list[float]:
    """Return the seconds from the API's receipt to the table, for the good orders."""
    wanted = {f"ORDER#{order['order_id']}" for order in orders}
    return [
        (int(item["stored_at"]) - int(item["received_at"])) / 1000
        for item in items
        if item["sk"] == "ORDER" and item["pk"] in wanted
    ]
