"""The executable promises of the demo stack: each movement counts once, in the order of its part.

Knows only the stack's outputs, the AWS APIs, and the pattern's two tools, its producer and its
replay, so it runs the same on the embedded AWS and on a real account. In the ledger
"dead-lettered" are the movements that the failure queue names.
"""

from __future__ import annotations

import base64
import json
from collections import Counter, defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from serverless_patterns.lambdas.foundation import kpl
from serverless_patterns.lambdas.foundation.streams import Producer
from serverless_patterns.redrive.ranges import fetch
from serverless_patterns.redrive.sources import Queue
from serverless_patterns.sandbox import outages, queues
from serverless_patterns.sandbox.driver import Driver
from serverless_patterns.sandbox.report import some
from serverless_patterns.sandbox.sender import Event, Reply

from ..shop import Document, Shop, as_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serverless_patterns.sandbox import Deployment
    from serverless_patterns.sandbox.report import Report

ENGINE = "localstack"
PARTS = [f"part-{number:02}" for number in range(24)]
LANES, CHUNK = 4, 400  # senders at the same time, and what each puts at once
EACH, SINGLY, UNLUCKY = 80, 6, 3  # movements of a part: aggregated, alone, during the outage
# What no engine executes: the promise, and what proves it instead.
NOT_PROVEN = (
    ("lambda-stream-batches", "a batch is halved until the record that fails is alone",
     "test_a_record_that_ends_the_function_is_isolated_named_and_replayed"),
    ("kinesis-resharding", "records from before a split or a merge come before those after it",
     "test_none_is_lost_and_order_is_kept_while_shards_split_and_merge"),
    ("lambda-stream-batches", "totals of windows",
     "test_totals_of_windows_equal_a_plain_count_whatever_comes_twice"),
    ("kinesis-throttling", "records that Kinesis throttles are sent again, and no others",
     "test_only_what_kinesis_did_not_accept_is_sent_again"),
    ("service-roles", "the mappings may read the stream", "policies: test_security"),
)  # fmt: skip


def run(stack: Deployment, report: Report) -> None:
    """Drive every promise of the page through the deployed stack."""
    shop, drive = Shop("kin"), Driver(stack, report)
    drive.title("Movements in calls that fail in part, aggregated and alone, twice, and poison")
    movements = shop.movements(PARTS, EACH)
    client = outages.RecordsFailInPart(drive.client("kinesis"))
    put(drive, "Movements, many in a record", events_of(movements), client)
    put(drive, "Duplicates", events_of(movements[:100]), client)
    wrong = poison(shop)
    put(drive, "Poison among good ones", [*wrong, *events_of(shop.movements(PARTS, 2))], client)
    alone = events_of(shop.movements(PARTS, SINGLY))
    put(drive, "Movements, each a record", alone, client, aggregate=False)
    promise = f"{client.failed} records of calls failed, and were sent again"
    drive.check(promise, client.failed > 0)
    wait_until_applied(drive, shop)
    letters = queues.take(stack, stack["FailureQueueUrl"])
    drive.judge(judge_refused, {"letters": [fetched(drive, it) for it in letters]})
    outage(drive, shop)

    drive.title("Where is every movement now?")
    rows = drive.rows("TableName", "contains(pk, :text)", shop.run)
    drive.judge(judge_stock, {"rows": rows}, order=("part_id", "place"))
    left = drive.backlog("FailureQueueUrl", "TotalsFailureQueueUrl")
    drive.check("after the replay no failure is left", left == 0, left)
    lines = stack.log_lines(stack["TotalsFunctionName"], limit=200)
    drive.check("the second reader got events, too", any('"Batch"' in line for line in lines))
    drive.not_proven(*NOT_PROVEN)


def outage(drive: Driver, shop: Shop) -> None:
    """Make the table unavailable for longer than the retries, and replay what was given up."""
    drive.title("The table is unavailable for longer than the retries, then returns")
    unlucky = events_of(shop.movements(PARTS, UNLUCKY), late=True)
    with drive.table_unavailable("FunctionName"):
        put(drive, "Movements during the outage", unlucky, drive.client("kinesis"))
        given_up = drive.wait_for_messages("the retries are used up", "FailureQueueUrl", 1)
        drive.until(lambda: named(drive) >= len(unlucky), what="until all are given up")
    drive.check("an outage longer than the retries is named in the failure queue", given_up > 0)
    lucky = events_of(shop.movements(PARTS, 1))
    put(drive, "Movements after the outage", lucky, drive.client("kinesis"))
    wait_until_applied(drive, shop, {event.id for event in unlucky})
    seen = drive.redrive_letters("FailureQueueUrl", dry_run=True)
    promise = "a dry run says how many records can be fetched back, and changes nothing"
    drive.check(promise, seen.matched > 0 and not (seen.accepted or seen.kept), seen.lines())
    done = drive.redrive_letters("FailureQueueUrl")
    promise = "every range that was given up is fetched back from the stream and run again"
    drive.check(promise, done.accepted > 0 and not done.kept, done.lines())


def put(
    drive: Driver, title: str, events: Sequence[Event], client: Any, *, aggregate: bool = True
) -> None:
    """Send events with the pattern's producer, those of a part in order."""
    parts = {event.body: str(event.extra["part"]) for event in events}
    tool = Producer(client, drive["StreamName"], aggregate, key=parts.__getitem__)

    def entry(events: Sequence[Event]) -> list[Reply]:
        sent = tool.put(event.body for event in events)
        codes = sent.failed | dict.fromkeys(sent.refused, "too large for a record, not sent")
        return [Reply(codes.get(position, "")) for position in range(len(events))]

    drive.send(title, entry, events, batch=CHUNK)


def events_of(movements: Sequence[Document], *, late: bool = False) -> list[Event]:
    """Return the events of movements; those of a part share a lane, so that none overtakes."""
    return [
        Event(
            it["movement_id"],
            as_json(it),
            f"lane-{int(it['part_id'][-2:]) % LANES}",
            extra={"part": it["part_id"], "late": late},
        )
        for it in movements
    ]


def poison(shop: Shop) -> list[Event]:
    """Return what is no movement, each in the lane of a part and with the reason for refusal."""
    [one, *_] = shop.movements(PARTS[:1], 1)
    text = as_json(one)
    wrong = {
        "not-json": (b'{"movement_id": ' + shop.run.encode(), "not_json"),
        "truncated": (text[:-3], "not_json"),
        "not-text": (b'{"movement_id": "\xff\xfe"}', "text"),
        "no-direction": (as_json(one | {"direction": "sideways"}), "field"),
        "float": (as_json(one | {"quantity": 1.5}), "number"),
        "negative": (as_json(one | {"quantity": -1}), "field"),
        "extra": (as_json(one | {"note": "?"}), "field"),
        "empty-object": (b'{"%s": 1}' % shop.run.encode(), "field"),
    }
    return [
        Event(f"{shop.run}-{name}", body, "lane-0", extra={"part": one["part_id"], "reason": why})
        for name, (body, why) in wrong.items()
    ]


def wait_until_applied(drive: Driver, shop: Shop, but: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    """Wait until the table has every good movement that was accepted, but some."""
    events = drive.sender.events.values()
    wanted = {event.id for event in events if "reason" not in event.extra} - but

    def applied() -> list[str]:
        rows = drive.rows("TableName", "contains(pk, :text)", shop.run)
        return [row["movement_id"] for row in rows if "movement_id" in row]

    drive.wait_for("the movements are applied", wanted, applied)


def named(drive: Driver) -> int:
    """Return how many events the failure queue names; they stay there."""
    queue = Queue(drive.client("sqs"), drive["FailureQueueUrl"])
    try:
        letters = [json.loads(letter.body) for batch in queue.batches() for letter in batch]
    finally:
        queue.release()
    kinesis = drive.client("kinesis")
    records = [record for one in letters for record in fetch(kinesis, one["KinesisBatchInfo"])]
    return len({event for record in records for event in inside(record)})


def inside(record: Document) -> list[bytes]:
    """Return the events in a record of the stream."""
    return kpl.split(base64.b64decode(record["kinesis"]["data"]))


def fetched(drive: Driver, letter: Document) -> Document:
    """Return the event that a letter of the function names, fetched from the stream, and why."""
    [record] = fetch(drive.client("kinesis"), json.loads(letter["Body"])["KinesisBatchInfo"])
    place = int(letter["MessageAttributes"]["OriginalMessageId"]["StringValue"].rpartition("-")[2])
    body = inside(record)[place]
    return {"event": drive.sender.sent.get(body, str(body)), "reason": queues.reason(letter)}


def judge_refused(drive: Driver, letters: Sequence[Document]) -> None:
    """Book what the failure queue names: every refused movement once, with its reason."""
    drive.ledger.dead_lettered.update(letter["event"] for letter in letters)
    events = drive.sender.events.values()
    wanted = [(it.id, it.extra["reason"]) for it in events if "reason" in it.extra]
    promise = "every movement that is refused is named once in the failure queue, with its reason"
    drive.compare(promise, [(it["event"], it["reason"]) for it in letters], wanted)


def judge_stock(drive: Driver, rows: Sequence[Document]) -> None:
    """Book every movement; compare each part's stock with a plain count, and its order."""
    moved = [row for row in rows if "movement_id" in row]
    drive.ledger.processed.update(row["movement_id"] for row in moved)
    drive.as_sent("what is stored is what was sent", ((it["movement_id"], it) for it in moved))
    stock = [(it["pk"], (it["movements"], it["on_hand"])) for it in rows if "movement_id" not in it]
    count, on_hand = Counter[str](), Counter[str]()
    of_part: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for row in moved:
        count[row["part_id"]] += 1
        on_hand[row["part_id"]] += row["quantity"] * (1 if row["direction"] == "in" else -1)
        of_part[row["part_id"]].append((row["place"], row["movement_id"]))
    counted = [(f"PART#{part}", (count[part], on_hand[part])) for part in count]
    drive.compare("each part's stock is a plain count of its movements", stock, counted)
    late = {event.id for event in drive.sender.events.values() if event.extra.get("late")}
    for each in of_part.values():
        ids = [id_ for _, id_ in sorted(each) if id_ not in late]
        wrong = [second for first, second in pairwise(ids) if second < first]
        drive.ledger.out_of_order.update(wrong)
    drive.check(
        "movements of a part take effect in order, but those that were replayed",
        not drive.ledger.out_of_order,
        some({*drive.ledger.out_of_order}),
    )
