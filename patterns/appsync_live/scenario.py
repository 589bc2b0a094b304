"""The executable promises of the demo stack: each customer sees every change of its own orders.

Knows the stack's outputs, the AWS APIs, the pattern's writer and its client, so it runs the same on
the embedded AWS and on a real account. The ledger counts changes, each of which its customer must
come to see: as it happens, or late.
"""

from __future__ import annotations

import json
import secrets
import ssl
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from serverless_patterns.lambdas.appsync_live import feed
from serverless_patterns.lambdas.foundation.tables import serialize
from serverless_patterns.sandbox import outages
from serverless_patterns.sandbox.driver import Driver
from serverless_patterns.sandbox.sender import Event, Reply

from ..shop import Document, Shop, as_json
from .client import Feed, Hosts, Viewer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serverless_patterns.sandbox import Deployment
    from serverless_patterns.sandbox.report import Report

CUSTOMERS, ORDERS, CHANGES = 4, 20, 4
STATUSES = ("placed", "paid", "packed", "shipped", "delivered")
LARGE = "x" * 250_000
STRANGER = "UnauthorizedException"


class Customer(NamedTuple):
    """A user of the pool, whose id is the customer's."""

    id: str
    email: str
    token: str


class Screens:
    """The customers, and what each of them sees."""

    def __init__(self, drive: Driver, shop: Shop) -> None:
        self.drive, self.shop = drive, shop
        self.customers = [self._sign_up(number) for number in range(CUSTOMERS)]
        self.feeds = {customer.id: Feed() for customer in self.customers}
        self.viewers: dict[str, Viewer] = {}
        self.seen_at: dict[tuple[str, int], float] = {}
        self.changes: dict[tuple[str, int], str] = {}  # by customer and version
        self._count = 0
        target = drive.stack.target
        address, trust = None, None
        if target.endpoint_url:  # an emulator
            found = urlsplit(target.endpoint_url)
            address = (str(found.hostname), int(found.port or 443))
            trust = ssl.create_default_context(cafile=str(target.certificate))
        self.hosts = Hosts(drive["HttpHost"], drive["RealtimeHost"], address, trust)

    def _sign_up(self, number: int) -> Customer:
        cognito, pool = self.drive.client("cognito-idp"), self.drive["UserPoolId"]
        email, password = f"{self.shop.run}-{number}@shop.example", f"Aa1!{secrets.token_hex(12)}"
        said = [{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}]
        user = cognito.admin_create_user(
            UserPoolId=pool, Username=email, UserAttributes=said, MessageAction="SUPPRESS"
        )["User"]
        cognito.admin_set_user_password(
            UserPoolId=pool, Username=email, Password=password, Permanent=True
        )
        answer = cognito.initiate_auth(
            ClientId=self.drive["ClientId"],
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": email, "PASSWORD": password},
        )
        attributes = {one["Name"]: one["Value"] for one in user["Attributes"]}
        return Customer(attributes["sub"], email, answer["AuthenticationResult"]["IdToken"])

    def fetch(self, customer: Customer, since: object) -> Any:
        """GET what has changed of the customer's orders; return status and answer."""
        url = f"{self.drive['OrdersUrl']}?since={since}"
        headers = {"Authorization": customer.token}
        got = self.drive.stack.http.post(url, headers=headers, signed=False, method="GET")
        return got.status, json.loads(got.body)

    def _fetch(self, customer: Customer, since: int) -> Any:
        status, answer = self.fetch(customer, since)
        if status != 200:
            raise OSError(status)
        return answer

    def watch(self, customer: Customer, channel: str = "") -> Viewer:
        """Let a customer watch its channel, or another one, from what it knows already."""

        def note() -> None:
            known = self.feeds[customer.id]
            for version in [*known.shown[-5:], *known.late[-5:]]:
                self.seen_at.setdefault((customer.id, version), time.time())

        viewer = Viewer(
            self.hosts,
            channel or f"/orders/{customer.id}",
            lambda: customer.token,
            lambda since: self._fetch(customer, since),
            feed=None if channel else self.feeds[customer.id],
            on_change=(lambda: None) if channel else note,
        )
        viewer.start()
        if not channel:
            self.viewers[customer.id] = viewer
        return viewer

    def event(self, customer: Customer, order: Document, status: str) -> Event:
        """Return a change of an order; those of an order come one after the other."""
        self._count += 1
        name = f"{self.shop.run}-e{self._count:05}"
        said = {"change": name, "status": status, "order": order}
        return Event(name, as_json(said), order["order_id"], extra=said | {"customer": customer.id})

    def write(self, title: str, events: Sequence[Event]) -> None:
        """Write changes of orders, many at once."""
        replies = self.drive.send(title, self._entry, events)
        for event, reply in zip(events, replies, strict=True):
            self.changes[event.extra["customer"], reply.value] = event.id

    def _entry(self, events: Sequence[Event]) -> list[Reply]:
        [event] = events
        said, dynamodb = event.extra, self.drive.client("dynamodb")
        with suppress(feed.ConflictError):
            table, customer = self.drive["TableName"], said["customer"]
            return [Reply(value=feed.change(dynamodb, table, customer, said["order"],
                                            said["status"]))]  # fmt: skip
        return [Reply(again=True)]

    def wait(self, title: str = "every change is seen") -> None:
        """Wait until each customer knows all changes of its orders."""
        newest = dict.fromkeys(self.feeds, 0)
        for customer, version in self.changes:
            newest[customer] = max(newest[customer], version)
        self.drive.wait(
            title, lambda: all(self.feeds[one].version >= newest[one] for one in newest)
        )

    def latencies(self) -> list[float]:
        """Return how long after its write each change was seen."""
        sent, seen = self.drive.sender.first_sent, self.seen_at
        return [seen[it] - sent[name] for it, name in self.changes.items() if it in seen]

    def found(self) -> list[Document]:
        """Return each change that a customer saw, and how."""
        return [
            {"change": self.changes.get((one, version), f"{one} {version}"), "how": how}
            for one, known in self.feeds.items()
            for how, versions in (("live", known.shown), ("late", known.late))
            for version in versions
        ]

    def orders(self) -> list[Document]:
        """Return what the customers see at the end: the newest change of each order."""
        return [
            {"change": self.changes.get((one, order["version"]), ""), "status": order["status"],
             "order": order["order"]}
            for one, known in self.feeds.items()
            for order in known.orders.values()
        ]  # fmt: skip


def run(stack: Deployment, report: Report) -> None:
    """Drive every promise of the page through the deployed stack."""
    shop, drive = Shop("liv"), Driver(stack, report)
    screens = Screens(drive, shop)
    first, second, *_ = screens.customers
    for customer in screens.customers:
        screens.watch(customer)
    try:
        drive.wait("the customers are connected",
                   lambda: all(one.connections for one in screens.viewers.values()))  # fmt: skip
        drive.title("Customers look at what is not theirs")
        strangers(screens, first, second)

        drive.title("Many orders change at once")
        orders = {one: shop.orders(ORDERS) for one in screens.customers}
        every = [(one, order) for one, placed in orders.items() for order in placed]
        screens.write("Orders", [screens.event(*it, "placed") for it in every])
        for status in STATUSES[1:CHANGES]:
            screens.write(f"Orders {status}", [screens.event(*it, status) for it in every])
        (large,) = shop.orders(1)
        screens.write("An order that no event can hold",
                      [screens.event(first, large | {"note": LARGE}, "placed")])  # fmt: skip
        screens.wait()
        late = sum(len(known.late) for known in screens.feeds.values())
        live = sum(len(known.shown) for known in screens.feeds.values())
        drive.check(f"{live} changes are shown as they happen, {late} by a fetch", live > late)
        drive.latency("written → seen", screens.latencies())

        drive.title("One customer goes offline, the connections of the others are cut")
        before = len(screens.feeds[first.id].late)
        screens.viewers[first.id].stop()
        screens.write("Orders delivered meanwhile",
                      [screens.event(*it, STATUSES[-1]) for it in every[:50]])  # fmt: skip
        for viewer in screens.viewers.values():
            viewer.drop()
        screens.watch(first)
        screens.wait()
        missed = len(screens.feeds[first.id].late) - before
        promise = f"{missed} changes that a customer missed are fetched when it is back"
        drive.check(promise, missed >= ORDERS, missed)

        drive.title("An order that nobody could read, and the same changes twice")
        unreadable(screens, second)
        drive.title("AppSync is unavailable, then returns")
        unavailable(screens, every[-20:])
    finally:
        for viewer in screens.viewers.values():
            viewer.stop()
    judge_at_the_end(screens)


def strangers(screens: Screens, first: Customer, second: Customer) -> None:
    """Look at channels and orders of others, without a token, and publish as a client."""
    drive = screens.drive
    channels = (f"/orders/{first.id}", "/orders/*", f"/orders/{second.id}/more", "/others/x")
    viewers = {channel: screens.watch(second, channel) for channel in channels}
    forged = second._replace(token=f"{second.token[:-6]}AAAAAA")
    viewers["a forged token"] = screens.watch(forged, f"/orders/{second.id}")
    drive.wait("all are answered", lambda: not any(one.is_alive() for one in viewers.values()))
    wrong = [name for name, one in viewers.items() if STRANGER not in one.rejected]
    drive.check("a customer cannot subscribe to what is not its own channel", not wrong, wrong)
    drive.check("a client cannot publish", published(screens, second) == "publish_error")
    got = {"none": first._replace(token=""), "forged": forged}
    statuses = {name: screens.fetch(one, 0)[0] for name, one in got.items()}
    drive.check("without a valid token nothing is fetched", {*statuses.values()} == {401}, statuses)


def published(screens: Screens, customer: Customer) -> str:
    """Return what AppSync answers a customer that publishes to its own channel."""
    authorization = {"Authorization": customer.token, "host": screens.hosts.http}
    channel = f"/orders/{customer.id}"
    frame = {"type": "publish", "id": "1", "channel": channel, "events": ['{"version": 1}']}
    with screens.hosts.open(customer.token) as opened:
        opened.send(json.dumps({"type": "connection_init"}))
        opened.send(json.dumps(frame | {"authorization": authorization}))
        while True:
            answer = json.loads(opened.recv(30))
            if answer["type"].startswith("publish"):
                return str(answer["type"])


def unreadable(screens: Screens, customer: Customer) -> None:
    """Write what is no order, then another change; publish some changes again."""
    drive, shop = screens.drive, screens.shop
    version = screens.feeds[customer.id].version + 1
    broken = Event(f"{shop.run}-broken", b"{", deliveries=[f"{shop.run}-broken"])

    def put(events: Sequence[Event]) -> list[Reply]:
        item = {"status": "placed", "order": events[0].body.decode(), "change": broken.id}
        feed.put(drive.client("dynamodb"), drive["TableName"], customer.id, broken.id, item)
        return [Reply()]

    drive.send("An order that is not JSON", put, [broken])
    drive.wait_for_messages("it is named", "FailureQueueUrl", 1, seconds=60)
    promise = "what cannot be read is kept with its reason, and holds up nothing"
    drive.dead_letters(promise, {broken.id: "not_json"}, in_failure, "FailureQueueUrl")
    screens.write("Another order", [screens.event(customer, shop.orders(1)[0], "placed")])
    screens.wait()
    known = screens.feeds[customer.id]
    known.late.remove(version)  # it was passed over
    shown = [*known.shown]
    rows = drive.rows("TableName", "begins_with(sk, :text)", f"ORDER#{shop.run}")
    records = [record(row) for row in rows if row["pk"] == customer.id and row["order"] != "{"]
    payload = json.dumps({"Records": records[:50]})
    answer = drive.client("lambda").invoke(FunctionName=drive["FunctionName"], Payload=payload)
    acknowledged = json.load(answer["Payload"]) == {"batchItemFailures": []}
    drive.check("changes that are published again change nothing",
                acknowledged and known.shown == shown)  # fmt: skip


def record(row: Document) -> Document:
    """Return a change as the table's stream tells it."""
    keys = serialize({name: row[name] for name in ("pk", "sk")})
    said = {"Keys": keys, "NewImage": serialize(row), "SequenceNumber": str(row["version"])}
    return {"eventName": "MODIFY", "eventSource": "aws:dynamodb", "dynamodb": said}


def unavailable(screens: Screens, every: Sequence[tuple[Customer, Document]]) -> None:
    """Change orders while the function cannot reach AppSync."""
    drive = screens.drive
    shown = {one: len(known.shown) for one, known in screens.feeds.items()}
    with outages.settings_of(drive.stack, drive["FunctionName"]) as (variables, use):
        use(EVENTS_HOST=f"0{variables['EVENTS_HOST']}")
        screens.write("Orders meanwhile", [screens.event(*it, STATUSES[-1]) for it in every])
        time.sleep(2)
        now = {one: len(known.shown) for one, known in screens.feeds.items()}
        drive.check("nothing is shown while AppSync is unavailable", now == shown, now)
    screens.wait("the changes are seen")
    drive.check("changes that AppSync did not take are published when it returns, or fetched",
                holds=True)  # fmt: skip


def judge_at_the_end(screens: Screens) -> None:
    """Compare what the customers saw with what was written."""
    drive = screens.drive
    drive.title("What has every customer seen, and is it what was written?")
    drive.judge(judge_changes, {"changes": screens.found()})
    drive.judge(judge_orders, {"orders": screens.orders()})
    left = drive.backlog("FailureQueueUrl")
    drive.check("no failure is left", left == 0, left)
    drive.not_proven(
        ("", "alarms", "metrics and dimensions: tests/contracts"),
        ("", "retries that end, bisecting", "StreamReader, in tests/contracts and kinesis_lambda"),
    )


def judge_changes(drive: Driver, changes: Sequence[Document]) -> None:
    """Book every change that its customer saw, live or late."""
    for seen in changes:
        drive.ledger.processed[seen["change"]] += 1
    late = [seen for seen in changes if seen["how"] == "late"]
    missed = drive.ledger.lost
    promise = f"{len(changes) - len(late)} changes were shown live, {len(late)} late, none missed"
    drive.check(promise, not missed, sorted(missed)[:6])


def judge_orders(drive: Driver, orders: Sequence[Document]) -> None:
    """Compare each customer's screen with the newest change of each order, as it was written."""
    newest = {
        event.extra["order"]["order_id"]: {key: event.extra[key] for key in ("change", "status",
                                                                             "order")}
        for event in drive.sender.events.values()
        if "order" in event.extra
    }  # fmt: skip
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
