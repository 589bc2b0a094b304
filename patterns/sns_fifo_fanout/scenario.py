"""The executable promises of the demo stack: every subscriber gets its price changes, in order.

Knows only the stack's outputs and the AWS APIs, so it runs the same on the embedded AWS and on a
real account. The ledger counts deliveries: a change counts once for each subscriber that it is
meant for.
"""

from __future__ import annotations

import json
import random
import secrets
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any

from serverless_patterns.lambdas.sns_fifo_fanout.publisher import Published, publish
from serverless_patterns.sandbox import outages, queues, tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from serverless_patterns.sandbox import Deployment
    from serverless_patterns.sandbox.report import Report

    Change = dict[str, Any]

SEED = 20261121
PUBLISHERS = 4
PARTS = 50
CHANGES_EACH = 20
LISTS = ("wholesale", "retail")  # the FIFO subscribers; the third is analytics
SUBSCRIBERS = (*LISTS, "analytics")
CURRENCIES = {"EUR": 2, "USD": 2, "GBP": 2, "JPY": 0, "KWD": 3}
BATCH = 10


class Shop:
    """Changes prices: the same changes for the same seed, under ids of their own in each run."""

    def __init__(self, run: str) -> None:
        self.run = run
        self._random = random.Random(SEED)  # noqa: S311 - test data
        self._versions: Counter[str] = Counter()
        self._started = datetime.now(UTC) - timedelta(days=2)
        self._count = 0

    def change(self, part: str, **fields: Any) -> Change:
        """Return a part's next price change; ``fields`` replace what it says."""
        part_id = f"{self.run}-{part}"
        self._versions[part_id] += 1
        self._count += 1
        version = self._versions[part_id]
        currency, digits = self._random.choice(list(CURRENCIES.items()))
        price = f"{self._random.randint(1, 90_000)}" + (f".{5:0{digits}}" if digits else "")
        moment = self._started + timedelta(seconds=90 * self._count)
        return {
            "event_id": f"{part_id}-{version:03}",
            "part_id": part_id,
            "version": version,
            "price": price,
            "currency": currency,
            "channels": self._random.choice([["wholesale"], ["retail"], ["wholesale", "retail"]]),
            "changed_at": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        } | fields

    def changes(self, parts: Iterable[str], count: int, **fields: Any) -> list[Change]:
        """Return the next changes of many parts, interleaved; each part's in order."""
        turns = [part for part in parts for _ in range(count)]
        self._random.shuffle(turns)
        return [self.change(part, **fields) for part in turns]


@dataclass
class FailsInPart:
    """SNS as a publisher may see it: some entries of a batch fail, with HTTP 200.

    Half of them were not taken; the others were, but the publisher is told that they failed, as
    when an answer gets lost: trying those again publishes them a second time.
    """

    client: Any
    share: float = 0.06
    failed: int = 0
    sent_at: dict[str, float] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)
    _random: random.Random = field(default_factory=lambda: random.Random(SEED))  # noqa: S311

    def publish_batch(self, **request: Any) -> Any:
        """Publish a batch, but for what fails."""
        entries = request.pop("PublishBatchRequestEntries")
        with self._lock:
            for entry in entries:
                self.sent_at.setdefault(entry["MessageDeduplicationId"], time.time())
            fate = {entry["Id"]: self._random.random() / self.share for entry in entries}
            self.failed += sum(draw < 1 for draw in fate.values())
        taken = [entry for entry in entries if fate[entry["Id"]] >= 0.5]
        answer = (
            self.client.publish_batch(**request, PublishBatchRequestEntries=taken) if taken else {}
        )
        told = [entry for entry in answer.get("Successful", []) if fate[entry["Id"]] >= 1]
        failed = [
            {"Id": entry_id, "Code": "InternalError", "SenderFault": False}
            for entry_id, draw in fate.items()
            if draw < 1
        ]
        return {"Successful": told, "Failed": failed + answer.get("Failed", [])}


class Publisher:
    """Publishes changes side by side, and books every delivery that each asks for."""

    def __init__(self, stack: Deployment, report: Report) -> None:
        self._report = report
        self._topic_arn = stack["TopicArn"]
        self.sns = FailsInPart(stack.client("sns"))

    def publish(self, title: str, changes: Sequence[Change]) -> None:
        """Publish the changes, a part's by one publisher, in order."""
        shares: list[list[Change]] = [[] for _ in range(PUBLISHERS)]
        for change in changes:
            shares[sum(change["part_id"].encode()) % PUBLISHERS].append(change)

        def publish_share(share: list[Change]) -> Published:
            return publish(self.sns, self._topic_arn, share)

        with self._report.step(title), ThreadPoolExecutor(PUBLISHERS) as pool:
            for share, published in zip(shares, pool.map(publish_share, shares), strict=True):
                refused = published.refused | published.unpublished
                for change in share:
                    self._book(change, refused.get(change["event_id"]))

    def publish_again(self, title: str, changes: Sequence[Change]) -> None:
        """Publish changes under new deduplication ids: SNS has forgotten them, or replays them."""
        entries = [
            {
                "Id": str(number % BATCH),
                "Message": json.dumps(change),
                "MessageGroupId": change["part_id"],
                "MessageDeduplicationId": secrets.token_hex(16),
                "MessageAttributes": {
                    "channels": {
                        "DataType": "String.Array",
                        "StringValue": json.dumps(change["channels"]),
                    }
                },
            }
            for number, change in enumerate(changes)
        ]
        with self._report.step(title):
            for start in range(0, len(entries), BATCH):
                answer = self.sns.client.publish_batch(
                    TopicArn=self._topic_arn,
                    PublishBatchRequestEntries=entries[start : start + BATCH],
                )
                codes = {entry["Id"]: entry["Code"] for entry in answer.get("Failed", [])}
                for entry, change in zip(
                    entries[start:], changes[start : start + BATCH], strict=False
                ):
                    self._book(change, codes.get(entry["Id"]))

    def _book(self, change: Change, code: str | None) -> None:
        ledger = self._report.ledger
        for delivery in deliveries(change):
            ledger.sent[delivery] += 1
            if code is None:
                ledger.accepted[delivery] += 1
            else:
                ledger.refused[code] += 1


def deliveries(change: Change) -> list[str]:
    """Return the ledger's ids of a change: one for each subscriber that it is meant for."""
    return [
        f"{subscriber}: {change['event_id']}" for subscriber in (*change["channels"], "analytics")
    ]


def run(stack: Deployment, report: Report) -> None:
    """Drive every promise of the page through the deployed stack."""
    shop = Shop(run=f"prc-{secrets.token_hex(4)}")
    publisher = Publisher(stack, report)
    parts = [f"part{number:03}" for number in range(PARTS)]

    report.title("Price changes, interleaved, in batches that fail in part")
    changes = shop.changes(parts, CHANGES_EACH)
    publisher.publish(f"{len(changes):,} changes of {PARTS} parts", changes)
    failed = publisher.sns.failed
    report.check(f"{failed} entries of batches failed, and were published all the same", failed > 0)
    too_long = shop.change("too-long", price="9" * 300_000)
    publisher.publish("A change over 256 KiB", [too_long])
    refused = report.ledger.refused.total()
    report.check("the change over 256 KiB is refused, and no other", refused == len(
        deliveries(too_long)), report.ledger.refused)  # fmt: skip
    drain(stack, report)

    report.title("Duplicates")
    publisher.publish("Published again within five minutes: SNS drops them", changes[:100])
    publisher.publish_again("Published again as new, like a replay: consumers drop them",
                            changes[:100])  # fmt: skip
    drain(stack, report)

    report.title("The wholesale price list is away, and comes back")
    superseded = outage(stack, report, publisher, shop)
    drain(stack, report)

    report.title("Poison")
    reasons = poison(report, publisher, shop)
    drain(stack, report)

    report.title("Where is every change now? The ledger counts it once for each subscriber")
    for name in LISTS:
        items = price_list(stack, name, shop.run)
        changes_are_in_order(report, name, items, superseded)
        seconds = [
            int(item["stored_at"]) / 1000 - publisher.sns.sent_at[item["event_id"]]
            for item in items
            if item["sk"] != "PRICE" and item["event_id"] in {c["event_id"] for c in changes}
        ]
        report.latency(f"published to {name} list", seconds)
    lake_is_complete(stack, report, shop.run)
    dead_letters_have_a_reason(stack, report, reasons)
    not_proven_here(stack, report)


def drain(stack: Deployment, report: Report) -> None:
    """Wait until the three queues are empty."""
    with report.step("Waiting for the queues to drain"):
        queues.wait_until_empty(stack, *(stack[f"{name.title()}QueueUrl"] for name in SUBSCRIBERS))


def outage(stack: Deployment, report: Report, publisher: Publisher, shop: Shop) -> set[str]:
    """Take the wholesale list away, for less and for more than the retries bridge.

    Returns:
        Event ids of the changes that are older than what the list has when they are redriven.
    """
    both = {"channels": ["wholesale", "retail"]}
    parts = [f"outage{number:02}" for number in range(20)]
    function, url = stack["WholesaleFunctionName"], stack["WholesaleQueueUrl"]
    dead_letters = stack["WholesaleDeadLetterQueueUrl"]

    with outages.quick_retries(stack, url):
        with outages.table_away(stack, function):
            meanwhile = shop.changes(parts, 5, **both)
            publisher.publish("Changes while the list is away", meanwhile)
            wanted = {change["event_id"] for change in meanwhile}
            with report.step("Waiting for retail to have them all"):
                queues.until(
                    lambda: wanted <= recorded(stack, "retail", shop.run),
                    seconds=120,
                    what="retail does not get its changes",
                )
            had = wanted & recorded(stack, "wholesale", shop.run)
        report.check("retail has every change while wholesale has none yet", not had, had)
        drain(stack, report)

        with outages.table_away(stack, function), outages.quick_retries(stack, url, tries=2):
            older = shop.changes(parts[:BATCH], 1, **both)
            publisher.publish("Older prices, while it is away until retries are used up", older)
            with report.step("Waiting for wholesale to dead-letter them"):
                queues.until(
                    lambda: queues.backlog(stack, dead_letters) >= len(older),
                    seconds=600,
                    what="messages are not dead-lettered",
                )
        newer = shop.changes(parts[:BATCH], 1, **both)
        publisher.publish("Newer prices, when it is back", newer)
        drain(stack, report)
        queues.redrive(stack, report, dead_letters, url)
        drain(stack, report)
    current = {
        item["event_id"]
        for item in price_list(stack, "wholesale", shop.run)
        if item["sk"] == "PRICE"
    }
    report.check(
        "a redriven older price is recorded and does not overwrite the newer one",
        {change["event_id"] for change in newer} <= current,
    )
    return {change["event_id"] for change in older}


def poison(report: Report, publisher: Publisher, shop: Shop) -> dict[str, str]:
    """Publish what consumers must refuse; return the reason expected for each delivery."""
    both = {"channels": ["wholesale", "retail"]}
    parts = [f"poison{number:02}" for number in range(10)]
    first = [shop.change(part, **both) for part in parts]
    wrong = {
        "price": [shop.change(part, price="-1.00", **both) for part in parts[:5]],
        "currency": [shop.change(part, currency="XXX", **both) for part in parts[5:]],
    }
    after = [shop.change(part, **both) for part in parts]
    conflicts = [
        change | {"event_id": f"{change['event_id']}-conflict", "price": "1.00", "currency": "EUR"}
        for change in first[:5]
    ]
    publisher.publish("Good prices, poison prices, good prices, of the same parts",
                      [*first, *wrong["price"], *wrong["currency"], *after])  # fmt: skip
    publisher.publish("Other prices under a known version", conflicts)
    reasons = {
        delivery: reason
        for reason, changes in wrong.items()
        for change in changes
        for delivery in deliveries(change)
    }
    return reasons | {
        f"{name}: {change['event_id']}": "conflict" for change in conflicts for name in LISTS
    }


def recorded(stack: Deployment, name: str, run: str) -> set[str]:
    """Return the event ids that a price list has."""
    return {item["event_id"] for item in price_list(stack, name, run) if item["sk"] != "PRICE"}


def price_list(stack: Deployment, name: str, run: str) -> list[dict[str, Any]]:
    """Return what a price list has of this run."""
    table = stack[f"{name.title()}TableName"]
    return tables.rows(stack, table, "begins_with(pk, :text)", f"PART#{run}")


def changes_are_in_order(
    report: Report, name: str, items: Sequence[dict[str, Any]], superseded: set[str]
) -> None:
    """Book what a price list has.

    A price takes effect only if it is newer than the one that counts, in the same write that
    records it; else it is recorded as superseded. So each superseded change came out of order.
    """
    ledger = report.ledger
    newest: dict[str, int] = {}
    for item in items:
        if item["sk"] == "PRICE":
            continue
        ledger.processed[f"{name}: {item['event_id']}"] += 1
        newest[item["part_id"]] = max(newest.get(item["part_id"], 0), int(item["version"]))
        ledger.out_of_order += item["superseded"] and item["event_id"] not in superseded
    prices = {item["part_id"]: int(item["version"]) for item in items if item["sk"] == "PRICE"}
    report.check(f"{name}: the newest price of each of {len(prices)} parts counts",
                 prices == newest)  # fmt: skip


def lake_is_complete(stack: Deployment, report: Report, run: str) -> None:
    """Book what the lake has: each event id once, as its readers do."""
    s3 = stack.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=stack["BucketName"], Prefix="price-changes/"
    )
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def read(key: str) -> list[tuple[str, Change]]:
        body = s3.get_object(Bucket=stack["BucketName"], Key=key)["Body"].read()
        return [(key, json.loads(line)) for line in body.splitlines()]

    with report.step("Reading the lake", len(keys)) as advance, ThreadPoolExecutor(8) as pool:
        lines = []
        for found in pool.map(read, keys):
            lines += [pair for pair in found if pair[1]["event_id"].startswith(run)]
            advance()
    changes: dict[str, Change] = {}
    for _, change in lines:
        changes.setdefault(change["event_id"], change)
    report.ledger.processed.update(f"analytics: {event_id}" for event_id in changes)
    report.check(
        f"analytics: {len(lines)} lines of {len(changes)} changes; a second line is the same",
        all(change == changes[change["event_id"]] for _, change in lines),
    )
    report.check(
        "analytics: every line is in the folder of its day",
        all(f"/date={change['changed_at'][:10]}/" in key for key, change in lines),
    )


def dead_letters_have_a_reason(stack: Deployment, report: Report, reasons: dict[str, str]) -> None:
    """Book every dead letter: it is one that was expected, with its reason."""
    found: dict[str, str] = {}
    for name in SUBSCRIBERS:
        for message in queues.take(stack, stack[f"{name.title()}DeadLetterQueueUrl"]):
            event = f"{name}: {json.loads(message['Body'])['event_id']}"
            found[event] = queues.reason(message)
            report.ledger.dead_lettered[event] += 1
    report.check(
        "what no retry can mend is kept with its reason, and nothing else is",
        found == reasons,
        set(found.items()) ^ set(reasons.items()),
    )
    undelivered = sum(
        queues.backlog(stack, stack[f"{name.title()}DeliveryDeadLetterQueueUrl"])
        for name in SUBSCRIBERS
    )
    report.check("SNS delivered everything", undelivered == 0, undelivered)


def not_proven_here(stack: Deployment, report: Report) -> None:
    """Say what this scenario does not show on any target, or not on this one."""
    for promise, instead in (
        ("what SNS cannot deliver is kept", "redrive policy and its grants: test_construct"),
        (
            "archive and replay",
            "policies: test_construct; a replay's changes: test_handlers_prices",
        ),
        ("deduplication within the message group", "FifoThroughputScope: test_construct"),
        ("alarms", "metrics, dimensions and thresholds: test_construct"),
        ("grants of a customer key", "test_construct"),
    ):
        report.not_proven(promise, instead)
    if not stack.executes("service-roles"):
        report.not_proven("the mappings may read their queues", "policies: test_security")
