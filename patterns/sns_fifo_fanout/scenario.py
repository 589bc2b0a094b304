"""The executable promises of the demo stack: every subscriber gets its price changes, in order.

Knows only the stack's outputs, the AWS APIs and the pattern's publisher, so it runs the same on the
embedded AWS and on a real account. The ledger counts deliveries: a change counts once for each
subscriber that it is meant for.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from serverless_patterns.lambdas.sns_fifo_fanout.publisher import publish
from serverless_patterns.sandbox import buckets, outages
from serverless_patterns.sandbox.driver import Driver
from serverless_patterns.sandbox.report import some
from serverless_patterns.sandbox.sender import Event, Reply

from ..limits import SNS_MESSAGE_BYTES
from ..shop import Document, Shop, as_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serverless_patterns.sandbox import Deployment
    from serverless_patterns.sandbox.report import Report
    from serverless_patterns.sandbox.sender import Entry

PUBLISHERS = 4
MOST = SNS_MESSAGE_BYTES // 1024
PARTS = [f"part{number:03}" for number in range(50)]
CHANGES_EACH = 20
LISTS = ("wholesale", "retail")  # the FIFO subscribers; the third is analytics
BOTH: dict[str, Any] = {"channels": [*LISTS]}
SUBSCRIBERS = ("Wholesale", "Retail", "Analytics")
QUEUES = [f"{name}QueueUrl" for name in SUBSCRIBERS]
WHOLESALE = ("WholesaleFunctionName", "WholesaleQueueUrl", "WholesaleDeadLetterQueueUrl")


def run(stack: Deployment, report: Report) -> None:
    """Drive every promise of the page through the deployed stack."""
    shop, drive = Shop("prc"), Driver(stack, report, PUBLISHERS)
    sns = outages.FailsInPart(drive.client("sns"))
    topic = publisher(sns, stack["TopicArn"])

    with drive.calm_retries(*QUEUES):
        drive.title("Price changes, interleaved; the publisher's batches fail in part")
        first, rest = (shop.price_changes(PARTS, CHANGES_EACH // 2) for _ in range(2))
        changes, application = [*first, *rest], price_management(drive)
        publish_all(drive, application, "Changes by the price-management function", first)
        publish_all(drive, topic, "Changes by the publisher alone", rest)
        promise = f"{sns.failed} entries of batches failed, and were published all the same"
        drive.check(promise, sns.failed > 0)
        [too_long] = shop.price_changes(["too-long"], price="9" * 300_000)
        publish_all(drive, topic, f"A change over {MOST} KiB", [too_long])
        refused = drive.ledger.refused
        only = refused.total() == len(deliveries(too_long))
        drive.check(f"the change over {MOST} KiB is rejected, and no other", only, refused)
        bad = shop.price_changes(PARTS[:5], price="-1.00")
        replies = publish_all(drive, application, "Changes that break a rule of the list", bad)
        all_refused = all(reply.refusal == "price" for reply in replies)
        drive.check("the price-management function publishes none of them", all_refused)

        drive.title("Duplicates")
        again, replay = changes[:100], publisher(outages.Replay(sns.client), stack["TopicArn"])
        publish_all(drive, topic, "Published again within five minutes: SNS drops them", again)
        publish_all(drive, replay, "Published again as new: consumers drop them", again)
        drive.drain(*QUEUES)

        drive.title("The wholesale price list is unavailable, then returns")
        superseded = outage(drive, topic, shop)

        drive.title("Poison")
        reasons = poison(drive, topic, shop)
        drive.drain(*QUEUES)

    drive.title("Where is every change now? The ledger counts it once for each subscriber")
    good = {change["event_id"] for change in changes}
    for name in LISTS:
        items, sent = price_list(drive, name, shop.run), sns.first_sent
        verdict = partial(judge_price_list, name=name, superseded=superseded)
        drive.judge(verdict, {"items": items}, order=("part_id", "stored_at"))
        stored = {item["event_id"]: int(item["stored_at"]) / 1000 for item in items}
        seconds = [stored[it] - sent[it] for it in good & stored.keys() & sent.keys()]
        drive.latency(f"published to {name} list", seconds)
    drive.judge(judge_lake, {"lines": lake(drive, shop.run)}, at_least_once=True)
    promise = "what no retry can fix is kept with its reason, and nothing else is"
    queues = [f"{name}DeadLetterQueueUrl" for name in SUBSCRIBERS]
    drive.dead_letters(promise, reasons, partial(delivery_of, drive), *queues)
    undelivered = drive.backlog(*(f"{name}DeliveryDeadLetterQueueUrl" for name in SUBSCRIBERS))
    drive.check("SNS delivered everything", undelivered == 0, undelivered)
    drive.not_proven(
        ("", "what SNS cannot deliver is kept", "redrive policy, grants: tests/blocks, contracts"),
        ("", "archive and replay",
         "policies: test_subscriptions; a replay's changes: test_handlers_prices"),
        ("", "deduplication within the message group", "FifoThroughputScope: test_construct"),
        ("", "alarms", "metrics, dimensions and thresholds: tests/contracts"),
        ("", "grants of a customer key", "tests/contracts"),
        ("service-roles", "the mappings may read their queues", "policies: test_security"),
    )  # fmt: skip


def publisher(sns: Any, topic_arn: str) -> Entry:
    """Return the entry that is the pattern's publisher, which keeps the order of each part."""

    def call(events: Sequence[Event]) -> list[Reply]:
        published = publish(sns, topic_arn, [event.extra["change"] for event in events])
        codes = published.refused | published.unpublished
        return [Reply(codes.get(event.id, "")) for event in events]

    return call


def price_management(drive: Driver) -> Entry:
    """Return the entry that is the stack's function for programs that change prices."""

    def call(events: Sequence[Event]) -> list[Reply]:
        changes = [event.extra["change"] for event in events]
        answer = drive.call("ChangePricesFunctionName", {"changes": changes})
        return [Reply(result.get("reason", "")) for result in answer["results"]]

    return call


def publish_all(
    drive: Driver, topic: Entry, title: str, changes: Sequence[Document]
) -> list[Reply]:
    """Publish changes side by side; a part's by one publisher, in order. Return the replies."""
    events = []
    for change in changes:
        lane = f"publisher {sum(change['part_id'].encode()) % PUBLISHERS}"
        ids, extra = deliveries(change), {"change": change}
        events.append(Event(change["event_id"], as_json(change), lane, ids, extra))
    return drive.send(title, topic, events, batch=len(events))


def deliveries(change: Document) -> list[str]:
    """Return the ledger's ids of a change: one for each subscriber that it is meant for."""
    return [f"{name}: {change['event_id']}" for name in (*change["channels"], "analytics")]


def delivery_of(drive: Driver, queue: str, message: Document) -> str:
    """Return the ledger's id of a dead letter in the queue with this output."""
    name = queue.removesuffix("DeadLetterQueueUrl").lower()
    return f"{name}: {drive.sent_content(queue, message)}"


def outage(drive: Driver, topic: Entry, shop: Shop) -> set[str]:
    """Make the wholesale list unavailable, for less and for more than its retries bridge.

    Returns:
        Event ids of the changes that are older than what the list has when they are redriven.
    """
    parts = [f"outage{number:02}" for number in range(10)]
    function, queue, letters = WHOLESALE

    def has(name: str) -> set[str]:
        return {item["event_id"] for item in price_list(drive, name, shop.run)}

    # More attempts than a busy machine uses up until retail has them: a dead letter loses its turn.
    with drive.quick_retries(queue, attempts=100):
        with drive.table_unavailable(function):
            meanwhile = shop.price_changes(parts, 5, **BOTH)
            publish_all(drive, topic, "Changes during the outage", meanwhile)
            wanted = {change["event_id"] for change in meanwhile}
            drive.wait_for("retail has them all", wanted, lambda: has("retail"))
            had = wanted & has("wholesale")
        drive.check("retail has every change while wholesale has none yet", not had, had)
        drive.drain(*QUEUES)

        with drive.table_unavailable(function), drive.quick_retries(queue, attempts=2):
            older = shop.price_changes(parts, 1, **BOTH)
            publish_all(drive, topic, "Older prices, for longer than the retries", older)
            drive.wait_for_messages("wholesale dead-letters them", letters, len(older))
        newer = shop.price_changes(parts, 1, **BOTH)
        publish_all(drive, topic, "Newer prices, when it has returned", newer)
        drive.drain(*QUEUES)
        drive.redrive(letters, queue)
        drive.drain(*QUEUES)
    prices = [it for it in price_list(drive, "wholesale", shop.run) if it["sk"] == "PRICE"]
    current = {price["event_id"] for price in prices}
    promise = "a redriven older price is recorded and does not overwrite the newer one"
    drive.check(promise, {change["event_id"] for change in newer} <= current)
    return {change["event_id"] for change in older}


def poison(drive: Driver, topic: Entry, shop: Shop) -> dict[str, str]:
    """Publish what consumers must reject; return the reason expected for each delivery."""
    parts = [f"poison{number:02}" for number in range(10)]
    first = shop.price_changes(parts, **BOTH)
    price = shop.price_changes(parts[:5], price="-1.00", **BOTH)
    currency = shop.price_changes(parts[5:], currency="XXX", **BOTH)
    mixed = [*first, *price, *currency, *shop.price_changes(parts, **BOTH)]
    publish_all(drive, topic, "Good, poison and good prices of the same parts", mixed)
    other = {"price": "1.00", "currency": "EUR"}
    others = [c | other | {"event_id": f"{c['event_id']}-conflict"} for c in first[:5]]
    publish_all(drive, topic, "Other prices under a known version", others)
    reasons = {delivery: "price" for change in price for delivery in deliveries(change)}
    reasons |= {delivery: "currency" for change in currency for delivery in deliveries(change)}
    # Analytics keeps every line; the lists have one price a version.
    return reasons | {delivery: "conflict" for c in others for delivery in deliveries(c)[:2]}


def price_list(drive: Driver, name: str, run: str) -> list[Document]:
    """Return what a list has of this run: each part's current price, and every change recorded."""
    return drive.rows(f"{name.title()}TableName", "begins_with(pk, :text)", f"PART#{run}")


def judge_price_list(
    drive: Driver, items: Sequence[Document], *, name: str, superseded: set[str]
) -> None:
    """Book what a price list has, and compare the order of effect with that of the versions.

    A price takes effect only if it is newer than the current one, in the same write that records
    it; else it is recorded as superseded. So each superseded change came out of order.
    """
    prices = [item for item in items if item["sk"] == "PRICE"]
    recorded = sorted(
        (item for item in items if item["sk"] != "PRICE"),
        key=lambda item: (item["part_id"], item["version"]),
    )
    drive.ledger.processed.update(f"{name}: {item['event_id']}" for item in recorded)
    drive.as_sent(f"{name}: a price is what was sent", ((it["event_id"], it) for it in items))
    in_turn = [item for item in recorded if item["event_id"] not in superseded]
    drive.ledger.out_of_order.update(it["event_id"] for it in in_turn if it.get("superseded"))
    drive.ledger.out_of_order.update(
        late["event_id"]
        for early, late in pairwise(in_turn)
        if early["part_id"] == late["part_id"] and early["stored_at"] > late["stored_at"]
    )
    newest = {item["part_id"]: item["event_id"] for item in recorded}
    promise = f"{name}: the newest price of each of {len(prices)} parts counts"
    drive.compare(promise, (price["event_id"] for price in prices), newest.values())


def lake(drive: Driver, run: str) -> list[Document]:
    """Return the lines of this run in the lake, each with the key of its object."""
    with drive.report.step("Reading the lake"):
        found = buckets.json_lines(drive.stack, drive["BucketName"], "price-changes/")
        return [{"key": key} | line for key, line in found if line["event_id"].startswith(run)]


def judge_lake(drive: Driver, lines: Sequence[Document]) -> None:
    """Book what the lake has: each event id once, as its readers do."""
    changes = {change["event_id"] for change in lines}
    drive.ledger.processed.update(f"analytics: {event_id}" for event_id in changes)
    promise = f"analytics: {len(lines)} lines of {len(changes)} changes; a second line is the same"
    drive.as_sent(promise, ((change["event_id"], change) for change in lines))
    astray = {it["event_id"] for it in lines if f"/date={it['changed_at'][:10]}/" not in it["key"]}
    drive.check("analytics: every line is in the folder of its day", not astray, some(astray))
