"""The executable promises of the demo stack: each customer sees every change of its own orders.

Knows the stack's outputs, the AWS APIs, the pattern's writer and the page's client, so it runs the
same on the embedded AWS and on a real account. The ledger counts changes, each of which its
customer must come to see: as it happens, or late.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from serverless_patterns.lambdas.appsync_live import feed
from serverless_patterns.lambdas.foundation import versions
from serverless_patterns.lambdas.foundation.tables import serialize
from serverless_patterns.sandbox import outages
from serverless_patterns.sandbox.driver import Driver
from serverless_patterns.sandbox.sender import Event, Reply
from serverless_patterns.sandbox.users import User, sign_up

from ..shop import Document, Shop, as_json
from .client import Client, Clients

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from serverless_patterns.sandbox import Deployment
    from serverless_patterns.sandbox.report import Report

CUSTOMERS, ORDERS, CHANGES = 4, 20, 4
STATUSES = ("placed", "paid", "packed", "shipped", "delivered")
SEEN, FORGED = ("status", "order"), "a forged token"
LARGE = "x" * 250_000


class Screens:
    """The customers, and what each of them sees."""

    def __init__(self, drive: Driver, shop: Shop, clients: Clients) -> None:
        self.drive, self.shop, self.clients = drive, shop, clients
        self.customers = [
            sign_up(drive.stack, f"{shop.run}-{number}@shop.example") for number in range(CUSTOMERS)
        ]
        self.seen_at: dict[tuple[str, int], float] = {}
        self.changes: dict[tuple[str, int], str] = {}  # by customer and version
        self.newest: Counter[str] = Counter()
        self.seen = {one.id: self.watch(one.id, one) for one in self.customers}

    def fetch(self, customer: User, since: int) -> Any:
        """GET what has changed of the customer's orders."""
        url = f"{self.drive['OrdersUrl']}?since={since}"
        headers = {"Authorization": customer.token}
        got = self.drive.stack.http.post(url, headers=headers, signed=False, method="GET")
        if got.status != 200:
            raise OSError(got.status)
        return json.loads(got.body)

    def watch(self, name: str, customer: User, channel: str = "") -> Client:
        """Let a customer watch its channel, or another one."""

        def note(client: Client) -> None:
            for version in [*client.shown[-5:], *client.late[-5:]]:
                self.seen_at.setdefault((name, version), time.time())

        client = Client(lambda: customer.token, lambda since: self.fetch(customer, since), note)
        hosts = {"httpHost": self.drive["HttpHost"], "realtimeHost": self.drive["RealtimeHost"]}
        config = hosts | {"channel": channel or f"/orders/{customer.id}"}
        return self.clients.watch(name, config, client)

    def event(self, customer: User, order: Document, status: str) -> Event:
        """Return a change of an order; those of an order come one after the other."""
        name = f"{self.shop.run}-{order['order_id']}-{status}"
        said = {"change": name, "status": status, "order": order}
        return Event(name, as_json(said), order["order_id"], extra=said | {"customer": customer.id})

    def write(self, title: str, events: Sequence[Event]) -> None:
        """Write changes of orders, many at once."""
        replies = self.drive.send(title, self._entry, events)
        for event, reply in zip(events, replies, strict=True):
            customer = event.extra["customer"]
            self.changes[customer, reply.value] = event.id
            self.newest[customer] = max(self.newest[customer], reply.value)

    def _entry(self, events: Sequence[Event]) -> list[Reply]:
        [event] = events
        said, dynamodb, table = event.extra, self.drive.client("dynamodb"), self.drive["TableName"]
        with suppress(versions.ConflictError):
            version = feed.change(dynamodb, table, said["customer"], said["order"], said["status"])
            return [Reply(value=version)]
        return [Reply(again=True)]

    def wait(self) -> None:
        """Wait until each customer knows all changes of its orders."""
        seen, last = self.seen, self.newest.items()
        title = "every change is seen"
        self.drive.wait(title, lambda: all(seen[it].version >= version for it, version in last))

    def count(self, how: str) -> int:
        """Return how many changes were seen, ``shown`` or ``late``."""
        return sum(len(getattr(client, how)) for client in self.seen.values())


def run(stack: Deployment, report: Report) -> None:
    """Drive every promise of the page through the deployed stack."""
    scheme, rechecks = "wss" if stack.target.endpoint_url else "", [2_000, 30_000]
    with Clients(scheme, stack.target.certificate, rechecks=rechecks) as clients:
        drive_screens(Screens(Driver(stack, report), Shop("liv"), clients))


def drive_screens(screens: Screens) -> None:
    """Let the customers' orders change, in calm and in trouble."""
    drive, shop, (first, second, *_) = screens.drive, screens.shop, screens.customers
    every = screens.seen.values()
    drive.wait("all are connected", lambda: all(one.states[-1] == "live" for one in every))
    drive.title("Customers look at what is not theirs")
    strangers(screens, first, second)

    drive.title("Many orders change at once")
    all_orders = [(one, order) for one in screens.customers for order in shop.orders(ORDERS)]
    for status in STATUSES[:CHANGES]:
        screens.write(f"Orders {status}", [screens.event(*it, status) for it in all_orders])
    [large] = shop.orders(1)
    hidden = screens.event(first, large | {"note": LARGE}, "placed")
    screens.write("An order that no event can hold", [hidden])
    screens.wait()
    late, live = screens.count("late"), screens.count("shown")
    drive.check(f"{live} changes are shown as they happen, {late} by a fetch", live > late)
    sent, seen = drive.sender.first_sent, screens.seen_at
    seconds = [seen[it] - sent[name] for it, name in screens.changes.items() if it in seen]
    drive.latency("written → seen", seconds)

    drive.title("One customer goes offline, the others are cut off in the middle of a burst")
    before = screens.count("late")
    screens.clients.tell("stop", first.id)
    for customer in screens.customers[1:]:
        threading.Timer(0.2, screens.clients.tell, ["drop", customer.id]).start()
    delivered = [screens.event(*it, STATUSES[-1]) for it in all_orders[:50]]
    screens.write("Orders delivered meanwhile", delivered)
    screens.clients.tell("watch", first.id)
    screens.wait()
    missed = screens.count("late") - before
    promise = f"{missed} changes that customers missed are fetched when they are back"
    drive.check(promise, missed >= ORDERS, missed)

    drive.title("An order that nobody could read, and the same changes twice")
    unreadable(screens, second)
    drive.title("AppSync is unavailable, then returns")
    unavailable(screens, all_orders[-20:])

    drive.title("What has every customer seen, and is it what was written?")
    drive.judge(judge_changes, {"changes": list(found(screens))})
    drive.judge(judge_orders, {"orders": list(orders(screens))})
    left = drive.backlog("FailureQueueUrl")
    drive.check("no failure is left", left == 0, left)
    drive.not_proven(
        ("", "alarms", "metrics and dimensions: tests/contracts"),
        ("", "retries that end, bisecting", "StreamReader, in tests/contracts and kinesis_lambda"),
    )


def strangers(screens: Screens, first: User, second: User) -> None:
    """Look at channels and orders of others, without a token, and publish as a client."""
    drive = screens.drive
    channels = (f"/orders/{first.id}", "/orders/*", f"/orders/{second.id}/more", "/others/x")
    looks = {channel: screens.watch(channel, second, channel) for channel in channels}
    forged = replace(second, token=f"{second.token[:-6]}AAAAAA")
    looks[FORGED] = screens.watch(FORGED, forged)
    # Who may not connect is told so and cut off, which may be quicker.
    ends = {name: {"rejected"} for name in channels} | {FORGED: {"rejected", "offline"}}
    drive.wait_for(
        "all are rejected", {*ends}, lambda: [it for it in ends if ends[it] & {*looks[it].states}]
    )
    wrong = [name for name, one in looks.items() if "live" in one.states]
    drive.check("a customer cannot subscribe to what is not its own channel", not wrong, wrong)
    host, target = drive["HttpHost"], drive.stack.target
    answer = drive.stack.http.post(
        f"{target.endpoint_url or f'https://{host}'}/event",
        as_json({"channel": f"orders/{second.id}", "events": ['{"version": 1}']}),
        {"Host": host, "Authorization": second.token, "Content-Type": "application/json"},
        signed=False,
    )
    drive.check("a client cannot publish", answer.status in (401, 403), answer)
    refused = []
    for other in (replace(first, token=""), forged):
        with suppress(OSError):
            refused.append(screens.fetch(other, 0))
    drive.check("without a valid token nothing is fetched", not refused, refused)


def unreadable(screens: Screens, customer: User) -> None:
    """Write what is no order, then another change; publish some changes again."""
    drive, shop, seen = screens.drive, screens.shop, screens.seen[customer.id]
    version, broken = seen.version + 1, Event(f"{shop.run}-broken", b"{")

    def put(_: Sequence[Event]) -> list[Reply]:
        item = {"status": "placed", "order": "{", "change": broken.id}
        return [Reply(value=versions.put(*where, customer.id, f"ORDER#{broken.id}", item))]

    where = drive.client("dynamodb"), drive["TableName"]
    drive.send("An order that is not JSON", put, [broken])
    drive.wait_for_messages("it is named", "FailureQueueUrl", 1)
    promise = "what cannot be read is kept with its reason, and holds up nothing"
    drive.dead_letters(promise, {broken.id: "not_json"}, in_failure, "FailureQueueUrl")
    screens.write("Another order", [screens.event(customer, shop.orders(1)[0], "placed")])
    screens.wait()
    seen.late.remove(version)  # it was passed over
    shown = [*seen.shown]
    rows = drive.rows("TableName", "begins_with(sk, :text)", f"ORDER#{shop.run}")
    again = [record(row) for row in rows if row["pk"] == customer.id and row["order"] != "{"]
    answer = drive.call("FunctionName", {"Records": again[:50]})
    same = answer == {"batchItemFailures": []} and seen.shown == shown
    drive.check("changes that are published again change nothing", same)


def record(row: Document) -> Document:
    """Return a change as the table's stream tells it."""
    keys = serialize({"pk": row["pk"], "sk": row["sk"]})
    said = {"Keys": keys, "NewImage": serialize(row), "SequenceNumber": str(row["version"])}
    return {"eventName": "MODIFY", "eventSource": "aws:dynamodb", "dynamodb": said}


def unavailable(screens: Screens, every: Sequence[tuple[User, Document]]) -> None:
    """Change orders while the function cannot reach AppSync."""
    drive, before = screens.drive, screens.count("shown")
    all_of_them = before + screens.count("late") + len(every)
    with outages.settings_of(drive.stack, drive["FunctionName"]) as (variables, use):
        use(EVENTS_HOST=f"0{variables['EVENTS_HOST']}")
        screens.write("Orders meanwhile", [screens.event(*it, STATUSES[-1]) for it in every])
        time.sleep(2)
        none = screens.count("shown") == before
        drive.check("nothing is shown while AppSync is unavailable", none)
    promise = "changes that AppSync did not take are published when it returns, or fetched"
    drive.eventually(promise, lambda: screens.count("shown") + screens.count("late") == all_of_them)


def found(screens: Screens) -> Iterator[Document]:
    """Yield each change that a customer saw, and how."""
    for one, seen in screens.seen.items():
        for how, numbers in (("live", seen.shown), ("late", seen.late)):
            for version in numbers:
                change = screens.changes.get((one, version), f"{one} {version}")
                yield {"change": change, "how": how}


def orders(screens: Screens) -> Iterator[Document]:
    """Yield what the customers see at the end: the newest change of each order."""
    for one, seen in screens.seen.items():
        for order in seen.orders.values():
            change = screens.changes.get((one, order["version"]), "")
            yield {"change": change} | {it: order[it] for it in SEEN}


def judge_changes(drive: Driver, changes: Sequence[Document]) -> None:
    """Book every change that its customer saw, live or late."""
    for seen in changes:
        drive.ledger.processed[seen["change"]] += 1
    late, missed = sum(seen["how"] == "late" for seen in changes), drive.ledger.lost
    promise = f"{len(changes) - late} changes were shown live, {late} late, none missed"
    drive.check(promise, not missed, sorted(missed)[:6])


def judge_orders(drive: Driver, orders: Sequence[Document]) -> None:
    """Compare each customer's screen with the newest change of each order, as it was written."""
    newest = {
        event.group: {it: event.extra[it] for it in ("change", *SEEN)}
        for event in drive.sender.events.values()
        if event.extra
    }
    promise = f"every screen has the newest state of its orders, {len(newest)} in all"
    drive.compare(promise, map(plain, orders), map(plain, newest.values()))


def plain(document: Document) -> str:
    """Return a document as text, without what makes it long."""
    return json.dumps(document, sort_keys=True).replace(LARGE, "x…")


def in_failure(_: str, message: Document) -> str:
    """Return the id of the change that a failure has."""
    with suppress(KeyError, TypeError, ValueError):
        (one,) = json.loads(message["Body"])["payload"]["Records"]
        return str(one["dynamodb"]["NewImage"]["change"]["S"])
    return str(message["Body"])[:60]
