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
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox.target import Answer, Deployment

    from sandbox.report import Report

SEED = 20261121
SENDERS = 16
ORDERS = 1_000
CHANGED_ORDERS = 40
CHANGES_EACH = 8
JSON = "application/json"
PARTS = (
    ("BRK-PAD-F", "Bremsbelag vorn"), ("OIL-FLT-3", "Filtre à huile"), ("WPR-24", "Wischerblatt 24″"),
    ("SPK-NGK", "点火プラグ"), ("BLT-ALT", "Пас генератора"), ("LMP-H7", "Лампа H7"),
    ("CLT-KIT", "Kit d'embrayage"), ("TYR-205", "Tyre 205/55 & rim"), ("BAT-70", "Bateria 70 Ah"),
    ("MIR-L", "Zrcátko levé 🚗"), ("EXH-M", "Schalldämpfer = \"Sport\""), ("SHK-R", "Amortiguador 100%"),
)  # fmt: skip
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
    """Makes realistic orders and changes; the same ones for the same seed and run."""

    def __init__(self, run: str) -> None:
        self.run = run
        self._random = random.Random(SEED)  # noqa: S311 - test data
        self._count = 0

    def order(self, **changes: Any) -> dict[str, Any]:
        """Return a valid order; ``changes`` replace fields afterwards."""
        self._count += 1
        currency = self._random.choice(list(CURRENCIES))
        digits = CURRENCIES[currency]
        lines, total = [], Decimal(0)
        for sku, name in self._random.sample(PARTS, self._random.randint(1, 6)):
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
        } | changes

    def orders(self, count: int) -> list[dict[str, Any]]:
        """Return that many valid orders."""
        return [self.order() for _ in range(count)]

    def changes(self) -> dict[str, list[dict[str, Any]]]:
        """Return changes by order id, each list in the order it must take effect."""
        return {
            order_id: [
                {
                    "order_id": order_id,
                    "change_id": f"{order_id}-{number:03}",
                    "kind": "quantity",
                    "sku": self._random.choice(PARTS)[0],
                    "quantity": self._random.randint(1, 9),
                }
                for number in range(CHANGES_EACH)
            ]
            for order_id in (f"{self.run}-changed-{n:03}" for n in range(CHANGED_ORDERS))
        }


def post_order(order: dict[str, Any], **options: Any) -> Request:
    """Return the request that sends an order."""
    body = json.dumps(order, ensure_ascii=False).encode()
    return Request(order["order_id"], "orders", body, **options)


def post_change(change: dict[str, Any]) -> Request:
    """Return the request that sends a change, with its idempotency key."""
    headers = {"Idempotency-Key": change["change_id"]}
    return Request(
        change["change_id"], "order-changes", json.dumps(change).encode(), headers=headers
    )


class Client:
    """Sends requests concurrently, tries again what was throttled, and books every answer."""

    def __init__(self, stack: Deployment, report: Report) -> None:
        self._stack, self._report = stack, report
        self._url = stack["ApiUrl"].rstrip("/")
        self.seconds: list[float] = []
        self.throttled = 0

    def send(self, title: str, requests: list[Request]) -> list[Answer]:
        """Send each request once it is accepted or refused for good; answers in their order."""
        with (
            self._report.step(title, len(requests)) as advance,
            ThreadPoolExecutor(SENDERS) as senders,
        ):
            answers = []
            for answer in senders.map(self._send_until_answered, requests):
                answers.append(answer)
                advance()
        for request, answer in zip(requests, answers, strict=True):
            self._book(request.event, answer)
        return answers

    def send_in_order(self, title: str, groups: Iterable[list[Request]]) -> None:
        """Send each group's requests one after the other, many groups side by side."""
        groups = list(groups)

        def send_group(group: list[Request]) -> list[tuple[str, Answer]]:
            return [(request.event, self._send_until_answered(request)) for request in group]

        with (
            self._report.step(title, len(groups)) as advance,
            ThreadPoolExecutor(SENDERS) as senders,
        ):
            for answered in senders.map(send_group, groups):
                for event, answer in answered:
                    self._book(event, answer)
                advance()

    def _send_until_answered(self, request: Request) -> Answer:
        headers = {"Content-Type": JSON} | request.headers
        for attempt in range(60):
            answer = self._stack.http.post(
                f"{self._url}/{request.path}", request.body, headers, signed=request.signed
            )
            if answer.status != 429 and answer.status < 500:
                break
            self.throttled += answer.status == 429
            time.sleep(min(2.0, 0.05 * 2**attempt) * random.random())  # noqa: S311 - jitter
        self.seconds.append(answer.seconds)
        return answer

    def _book(self, event: str, answer: Answer) -> None:
        ledger = self._report.ledger
        ledger.sent[event] += 1
        if answer.status == 202:
            ledger.accepted[event] += 1
        else:
            ledger.refused[f"{answer.status} {_text(answer)}"] += 1


def run(stack: Deployment, report: Report) -> None:
    """Drive every promise of the page through the deployed stack."""
    shop = Shop(run=f"ord-{secrets.token_hex(4)}")
    client = Client(stack, report)
    orders = shop.orders(ORDERS)

    report.console.print("Good orders and changes")
    client.send("Orders", [post_order(order) for order in orders])
    changes = shop.changes()
    client.send_in_order("Changes", [[post_change(c) for c in group] for group in changes.values()])

    report.console.print("Refused at the door")
    refused_at_the_door(stack, report, client, shop)

    report.console.print("Kept with a reason")
    poison = poison_orders(client, shop, orders)
    duplicates(stack, report, client, shop, orders, changes)

    report.console.print("The table is away, and comes back")
    outage(stack, report, client, shop)

    drain(stack, report)
    settle(stack, report, poison, orders)
    report.latency("POST to answer", client.seconds)
    report.close()
