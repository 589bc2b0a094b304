"""The executable promises of the demo stack: every accepted order reaches sales, once in effect.

Knows only the stack's outputs and the AWS APIs, so it runs the same on the embedded AWS and on a
real account.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from serverless_patterns.sandbox import outages
from serverless_patterns.sandbox.driver import Driver
from serverless_patterns.sandbox.sender import Event, http

from ..shop import Document, Shop, as_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serverless_patterns.sandbox import Deployment
    from serverless_patterns.sandbox.report import Report

    Documents = Sequence[Document]

ORDERS, POISON, DURING, CLIENTS, KEY = 300, 20, 30, 6, "Idempotency-Key"
QUEUE, LETTERS, FAILURES = "QueueUrl", "DeadLetterQueueUrl", "FailureQueueUrl"


def run(stack: Deployment, report: Report) -> None:
    """Drive every promise of the page through the deployed stack."""
    shop, drive = Shop("dec"), Driver(stack, report, CLIENTS)
    clients = Clients(drive)
    with drive.calm_retries(QUEUE):
        drive.title("Orders under load, some of them twice")
        orders = shop.orders(ORDERS)
        clients.submit("Orders", orders)
        clients.submit("Orders again, under their keys", orders[:60])
        told = clients.poll(orders)
        _http_of_an_order(drive, orders[0])
        _sent_again(drive, orders[:40])

        drive.title("Orders that sales refuses")
        wrong = [order | {"total": f"1{order['total']}"} for order in shop.orders(POISON)]
        clients.submit("Orders whose total is wrong", wrong)
        told += clients.poll(wrong)
        reasons = {order["order_id"]: "total" for order in wrong}
        promise = "what no retry can fix is kept with its reason"
        drive.dead_letters(promise, reasons, drive.sent_body, LETTERS)

        drive.title("A crash between the two writes: the relay is down, then returns")
        between = shop.orders(DURING)
        _crash(drive, clients, between)
        told += clients.poll(between)

        drive.title("The store of sales is unavailable to the last attempt, then returns")
        unlucky = shop.orders(DURING)
        with drive.quick_retries(QUEUE), drive.table_unavailable("FunctionName"):
            clients.submit("Orders during the outage", unlucky)
            ids = {it["order_id"] for it in unlucky}
            answered = {*drive.ledger.accepted} & ids
            sold = {row["pk"] for row in drive.rows("TableName", "pk <> :text", "")} & ids
            promise = "customers are answered as before, while sales can store nothing"
            drive.check(promise, answered == ids and not sold, (len(answered), len(sold)))
            found = {(it["state"], "reason" in it) for it in clients.poll(unlucky)}
            promise = "an order that fails to the last attempt is failed for its client"
            drive.check(promise, found == {("failed", True)}, found)
            drive.wait_for_messages("their attempts are used up", LETTERS, len(unlucky))
        drive.redrive(LETTERS, QUEUE)
        drive.drain(QUEUE)
        told += (after := clients.poll(unlucky))
        redriven = {it["state"] for it in after} == {"done"}
        drive.check("a failed order that is redriven becomes done", redriven)

    drive.title("Where is every order now?")
    every = [*orders, *wrong, *between, *unlucky]
    rows = partial(drive.rows, where="begins_with(pk, :text)", text=shop.run)
    written = drive.rows("OrdersTableName", "begins_with(id, :text)", shop.run)
    ends = [_end(order, done=order not in wrong) for order in every]

    def judge(drive: Driver, rows: Documents, written: Documents, told: Documents) -> None:
        drive.ledger.processed.update(row["order_id"] for row in rows)
        drive.as_sent("what sales has is what was sent", ((row["order_id"], row) for row in rows))
        promise = "the customer's table has every order once, as it was sent"
        sent = [(order["order_id"], as_json(order).decode()) for order in every]
        drive.compare(promise, ((item["id"], item["body"]) for item in written), sent)
        alone = {row["order_id"] for row in rows} - {item["id"] for item in written}
        drive.check("sales has no order that the customer's table has not", not alone, alone)
        said, expected = ([as_json(it, sort_keys=True) for it in its] for its in (told, ends))
        drive.compare("every client was told how its order ended", said, expected)

    drive.judge(judge, {"rows": rows("TableName"), "written": written, "told": told})
    left = drive.backlog(LETTERS, FAILURES)
    drive.check("after the redrive no dead letter is left", left == 0, left)
    drive.latency("POST", drive.sender.seconds)
    drive.not_proven(
        ("", "the same with Aurora in place of DynamoDB",
         "real PostgreSQL: tests/decoupled_messaging/test_handlers_on_postgresql.py"),
        ("sqs-metrics-and-alarms", "alarms", "metrics and dimensions: tests/contracts"),
        ("service-roles", "API Gateway and the mappings have the permissions that they need",
         "policies: tests/contracts, test_security"),
    )  # fmt: skip


class Clients:
    """Clients that submit orders, and poll until each has ended."""

    def __init__(self, drive: Driver) -> None:
        self._drive, self._api = drive, http(drive.stack, "ApiUrl")

    def submit(self, title: str, orders: Documents) -> None:
        """POST orders, each under a key of its own, which is its request id."""

        def event(order: Document) -> Event:
            extra = {"path": "orders", "headers": {KEY: order["order_id"]}}
            return Event(order["order_id"], as_json(order), extra=extra)

        replies = self._drive.send(title, self._api, [event(order) for order in orders])
        seen = {reply.value.headers.get("Location") for reply in replies}
        expected = {f"orders/{order['order_id']}" for order in orders}
        self._drive.check(f"{title}: each answer says where its status is", seen == expected)

    def poll(self, orders: Documents) -> list[Document]:
        """Return what the clients are told in the end."""
        with self._drive.report.step("Clients poll"), ThreadPoolExecutor(CLIENTS) as pool:
            return list(pool.map(lambda it: self._poll(it["order_id"]), orders))

    def _poll(self, id_: str) -> Document:
        told: Document = {}

        def ended() -> bool:
            answer = self._drive.stack.http.get(url(self._drive, id_))
            if answer.status == 200:
                told.update(json.loads(answer.body))
            return told.get("state") in ("done", "failed")

        with suppress(TimeoutError):
            self._drive.until(ended, what=f"until {id_} has ended", pause=0.5)
        return {name: value for name, value in told.items() if name != "detail"}


def url(drive: Driver, *path: str) -> str:
    """Return where orders are submitted, or the status of one."""
    return "/".join([drive["ApiUrl"].rstrip("/"), "orders", *path])


def _end(order: Document, *, done: bool) -> Document:
    said: Document = {"result": {"outcome": "stored"}} if done else {"reason": "total"}
    return {"id": order["order_id"], "state": "done" if done else "failed", **said}


def _http_of_an_order(drive: Driver, order: Document) -> None:
    """Ask as another client would, and under a key that is taken."""
    customer, id_ = drive.stack.http_as(drive["CustomerRoleArn"]), order["order_id"]
    theirs, nobodys = (customer.get(url(drive, it)) for it in (id_, "none"))
    same = (theirs.status, theirs.body) == (nobodys.status, nobodys.body) == (404, nobodys.body)
    drive.check("a client is not told of another one's order, nor that there is one", same)
    for promise, key, changed, status in (
        ("another order under the same key is a conflict", id_, {"currency": "CHF"}, 409),
        ("what the queue would never take is refused before it is written", f"{id_}-x",
         {"note": "\uffff"}, 422),
    ):  # fmt: skip
        headers = {"Content-Type": "application/json", KEY: key}
        answer = drive.stack.http.post(url(drive), as_json(order | changed), headers)
        drive.check(promise, answer.status == status, answer.status)


def _sent_again(drive: Driver, orders: Documents) -> None:
    """Touch orders, so that the relay sends them again; hand others to sales again."""
    touch, table = drive.client("dynamodb").update_item, drive["OrdersTableName"]
    half, now = len(orders) // 2, {":now": {"N": f"{time.time():.0f}"}}
    drive.drain(QUEUE)
    ids = {order["order_id"] for order in orders[:half]}
    for item in drive.rows("OrdersTableName", "sk = :text", "job"):
        if item["id"] in ids:
            key, how = {name: {"S": item[name]} for name in ("pk", "sk")}, "SET touched = :now"
            touch(TableName=table, Key=key, UpdateExpression=how, ExpressionAttributeValues=now)
    promise = "an order that is touched is sent again"
    drive.eventually(promise, lambda: drive.logged("FunctionName", "duplicate", [""]))
    drive.redeliver("FunctionName", [as_json(order) for order in orders[half:]])


def _crash(drive: Driver, clients: Clients, orders: Documents) -> None:
    """Accept orders while nobody can send them."""
    ids, stack = {order["order_id"] for order in orders}, drive.stack
    with outages.settings_of(stack, drive["RelayFunctionName"]) as (variables, use):
        use(QUEUE_URL=f"{variables['QUEUE_URL']}-unavailable")
        clients.submit("Orders while the relay is down", orders)
        clients.submit("The same again, by clients that lost the answer", orders[:10])
        written = {it["id"] for it in drive.rows("OrdersTableName", "sk = :text", "job")} & ids
        sold = {row["pk"] for row in drive.rows("TableName", "pk <> :text", "")} & ids
        promise = "an order that is accepted is written, and waits for the relay"
        drive.check(promise, written == ids and not sold, (len(written), len(sold)))
