"""The executable promises of the demo stack: every committed write is published and projected.

Knows only the stack's outputs, the AWS APIs and the pattern's outbox, so it runs the same on the
embedded AWS and on a real account. The ledger counts events: each is written in one transaction
with the order that it is about.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ConnectionClosedError

from serverless_patterns.lambdas.dynamodb_streams_lambda import outbox
from serverless_patterns.redrive.sources import Queue
from serverless_patterns.sandbox import outages, queues
from serverless_patterns.sandbox.driver import Driver
from serverless_patterns.sandbox.sender import Event, Reply

from ..shop import Document, Shop, as_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from serverless_patterns.sandbox import Deployment
    from serverless_patterns.sandbox.report import Report
    from serverless_patterns.sandbox.sender import Entry

ORDERS, CHANGES_EACH = 100, 20
HOT_ORDERS, HOT_CHANGES = 5, 20
FAILURES = ("FailureQueueUrl", "PublisherFailureQueueUrl")


def run(stack: Deployment, report: Report) -> None:
    """Drive every promise of the page through the deployed stack."""
    shop, drive = Shop("otb"), Driver(stack, report)
    changes = Changes(drive, shop)

    drive.title("Thousands of changes at once, many of the same order; some are written twice")
    orders, hot = shop.orders(ORDERS), shop.orders(HOT_ORDERS)
    changes.write("Orders placed", [changes.event(order, "placed") for order in orders])
    lasting = [changes.event(order, "changed") for _ in range(CHANGES_EACH) for order in orders]
    changes.write("Changes of each order, in turn", lasting)
    at_once = [changes.event(order, "changed", alone=True) for order in hot * HOT_CHANGES]
    changes.write("Changes of a few orders by many writers at once", at_once)
    promise = (
        f"{changes.conflicts} writes met another one of their order, and were written after it"
    )
    drive.check(promise, changes.conflicts > 0)
    lost = changes.client.lost
    promise = f"{lost} writers ended right after their write, did it again, and no event is twice"
    versions = {row["pk"]: int(row["version"]) for row in rows(drive, "OrdersTableName", shop)}
    drive.check(promise, lost > 0 and versions == Counter(changes.written.values()))
    changes.write("The same events again", lasting[:50])
    canceled = [changes.event(order, "canceled") for order in orders[:10]]
    changes.write("Orders canceled", canceled)

    drive.title("Events that nobody could work on")
    wrong = [order | {"total": f"1{order['total']}"} for order in shop.orders(10)]
    poison = [changes.event(order, "placed") for order in wrong]
    changes.write("Orders whose total is wrong", poison)
    changes.wait({event.id for event in [*lasting, *at_once, *canceled]})
    drive.wait_for_messages("refused events are named", FAILURES[1], len(poison))
    promise = "what no retry can help is kept at once with its reason, and holds up nothing"
    drive.dead_letters(promise, {event.id: "total" for event in poison}, in_failure, *FAILURES)

    drive.title(
        "A crash between the write and the publication: the publisher is down, then returns"
    )
    down = [changes.event(order, "placed") for order in shop.orders(20)]
    with outages.settings_of(stack, stack["PublisherFunctionName"]) as (variables, use):
        use(QUEUE_URL=f"{variables['QUEUE_URL']}-unavailable")
        changes.write("Orders while the publisher is down", down)
        drive.wait(
            "the projection has them, whose reader nothing delays",
            lambda: (
                len({row["last_event"] for row in rows(drive, "TableName", shop)} & ids(down))
                == len(down)
            ),
        )
        published = changes.take() & ids(down)
        drive.check("nothing is published while the publisher is down", not published, published)
        if limited := stack.executes("lambda-stream-limits"):
            what = "until all are given up"
            drive.until(lambda: given_up(drive) >= len(down), what=what)
    if limited:
        publish_given_up(drive)
    changes.wait(ids(down))

    drive.title("Where is every event now, and is the projection the table?")
    drive.eventually(
        "the projection comes to be what the table is",
        lambda: (
            plain(rows(drive, "TableName", shop)) == plain(rows(drive, "OrdersTableName", shop))
        ),
    )
    stores = {"table": "OrdersTableName", "projection": "TableName"}
    drive.judge(
        judge_projection, {name: rows(drive, output, shop) for name, output in stores.items()}
    )
    drive.judge(judge_published, {"published": changes.published}, at_least_once=True)
    twice = len(changes.published) - len({message["Body"] for message in changes.published})
    drive.check(f"{twice} events were published twice, which their id tells", holds=True)
    left = drive.backlog(*FAILURES)
    drive.check("no failure is left", left == 0, left)
    drive.not_proven(
        ("lambda-stream-limits", "what is given up is fetched back from the table's stream",
         "the same scenario on the second engine"),
        ("", "items whose time was over are told from those that somebody deleted",
         "records as DynamoDB writes them: tests/dynamodb_streams_lambda"),
        ("", "alarms", "metrics and dimensions: tests/contracts"),
        ("service-roles", "the mappings may read the stream", "policies: test_security"),
    )  # fmt: skip


def given_up(drive: Driver) -> int:
    """Return how many events the publisher's failure queue names; they stay there."""
    queue, named = Queue(drive.client("sqs"), drive[FAILURES[1]]), 0
    for letters in queue.batches():
        infos = (json.loads(letter.body)["DDBStreamBatchInfo"] for letter in letters)
        named += sum(info["batchSize"] for info in infos)
    queue.release()
    return named


def publish_given_up(drive: Driver) -> None:
    """Fetch what the publisher gave up back from the table's stream, and run it again."""
    seen = drive.redrive_letters(FAILURES[1], dry_run=True)
    promise = "a dry run says how many changes can be fetched back, and changes nothing"
    drive.check(promise, seen.matched > 0 and not (seen.accepted or seen.kept), seen.lines())
    done = drive.redrive_letters(FAILURES[1])
    promise = "every range that was given up is fetched back from the table's stream and run again"
    drive.check(promise, done.accepted > 0 and not done.kept, done.lines())


class Changes:
    """Writes orders with their events, and takes what is published.

    Attributes:
        published: The messages that were taken.
        conflicts: Transactions that met another one of their order, and were begun again.
        written: The order that each event changed, by its id.
        client: Of DynamoDB; some of its writes are not answered.
    """

    def __init__(self, drive: Driver, shop: Shop) -> None:
        self._drive, self._shop = drive, shop
        self.published: list[Document] = []
        self.conflicts = self._number = 0
        self.written = dict[str, str]()
        self.client = outages.AnswersLost(drive.client("dynamodb"), "transact_write_items")

    def event(self, order: Document, kind: str, *, alone: bool = False) -> Event:
        """Return an event; those of an order come one after the other, unless ``alone``."""
        self._number += 1
        document = None if kind == "canceled" else order
        said = {"event_id": f"{self._shop.run}-e{self._number:05}", "order_id": order["order_id"]}
        body = as_json(said | {"type": kind, "order": document})
        group = "" if alone else order["order_id"]
        return Event(said["event_id"], body, group, extra={"order": order, "document": document})

    def write(self, title: str, events: Sequence[Event]) -> None:
        """Write each event with its order."""
        self._drive.send(title, self._entry(), events)

    def _entry(self) -> Entry:
        table = self._drive["OrdersTableName"]

        def write(events: Sequence[Event]) -> list[Reply]:
            [event] = events
            said = (event.id, event.body.decode())
            order_id, document = event.extra["order"]["order_id"], event.extra["document"]
            try:
                outbox.change(self.client, table, order_id, said, document)
            except outbox.ConflictError:
                self.conflicts += 1
                return [Reply("conflict", again=True)]
            except ConnectionClosedError:
                return [Reply("no answer", again=True)]
            self.written[event.id] = order_id
            return [Reply()]

        return write

    def take(self) -> set[str]:
        """Take what is published; return the ids of all events that were, so far."""
        stack = self._drive.stack
        self.published += queues.take(stack, stack["EventsQueueUrl"])
        return {self._drive.sent_body("", message) for message in self.published}

    def wait(self, events: set[str]) -> None:
        """Wait until events are published."""
        self._drive.wait_for("events are published", events, self.take)


def ids(events: Iterable[Event]) -> set[str]:
    """Return the ids of events."""
    return {event.id for event in events}


def rows(drive: Driver, table: str, shop: Shop) -> list[Document]:
    """Return this run's orders that a table has now."""
    found = drive.rows(table, "begins_with(pk, :text)", shop.run)
    return [row for row in found if row["sk"] == "ORDER" and "gone" not in row]


def plain(orders: Iterable[Document]) -> list[str]:
    """Return orders without their place in the stream, which only the projection has."""
    texts = (
        json.dumps({k: v for k, v in order.items() if k != "place"}, sort_keys=True, default=str)
        for order in orders
    )
    return sorted(texts)


def in_failure(_: str, message: Document) -> str:
    """Return the id of the event that a failure names, which has its change."""
    with suppress(KeyError, TypeError, ValueError):
        (record,) = json.loads(message["Body"])["payload"]["Records"]
        said = json.loads(record["dynamodb"]["NewImage"]["event"]["S"])
        return str(said["event_id"])
    return str(message["Body"])[:60]


def judge_projection(drive: Driver, table: Sequence[Any], projection: Sequence[Any]) -> None:
    """Compare the projection with the table, item by item."""
    promise = f"the projection equals the table, {len(table):,} orders"
    drive.compare(promise, plain(projection), plain(table))


def judge_published(drive: Driver, published: Sequence[Document]) -> None:
    """Book every event that was published, whether once or again."""
    found = {drive.sent_body("", message) for message in published}
    drive.ledger.processed.update(found)
