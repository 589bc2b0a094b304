"""The executable promises of the demo stack: every click is in the lake, kept, or dropped by rule.

Knows only the stack's outputs, the AWS APIs and the two tools of the pattern, its producer and its
replay, so it runs the same on the embedded AWS and on a real account. In the ledger "dead-lettered"
are the clicks under the error prefix.
"""

from __future__ import annotations

import base64
import gzip
import json
import random
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import chain
from secrets import token_bytes
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from serverless_patterns.lambdas.foundation import kpl
from serverless_patterns.lambdas.foundation.streams import Producer, Sent
from serverless_patterns.lambdas.kinesis_firehose_s3.logic import why_it_would_fail
from serverless_patterns.redrive.firehose import ToFirehose
from serverless_patterns.redrive.run import Redrive
from serverless_patterns.redrive.sources import Bucket
from serverless_patterns.sandbox import buckets, logs, outages
from serverless_patterns.sandbox.driver import Driver
from serverless_patterns.sandbox.report import some
from serverless_patterns.sandbox.sender import Event, Reply, single

from ..shop import CLICK_COUNTRIES, Document, Shop, as_csv, as_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from serverless_patterns.sandbox import Deployment
    from serverless_patterns.sandbox.report import Report

CLICKS, BOTS, SINGLE_CLICKS, TERMINAL_CLICKS, SCANS = 3_000, 300, 40, 40, 20
DUPLICATES, UNLUCKY = 50, 30
KEPT = ("click_id", "user_id", "session_id", "country")  # of a click, in its row as they were
CHUNK = 1_000  # clicks that a web server puts at a time
COUNT_ONCE = """
SELECT count(*) AS clicks FROM (
  SELECT click_id, row_number() OVER (PARTITION BY click_id ORDER BY clicked_at) AS copy
  FROM {table} WHERE click_id IN ({names})
) WHERE copy = 1
"""
# This is not executed by every target: the gap, the promise, and the test that holds it instead.
NOT_PROVEN = (
    ("firehose-de-aggregation", "Firehose de-aggregates records before the transform",
     "AWS documents it; here the transform does: test_an_aggregated_record_is_taken_apart_and_its_"
     "bots_are_dropped_alone"),
    ("kinesis-throttling", "records that Kinesis throttles are sent again, and no others",
     "test_only_what_kinesis_did_not_accept_is_sent_again"),
    ("firehose-buffering", "many clicks share an object, and a failed call is retried",
     "test_a_failed_batch_is_retried_and_objects_are_as_large_as_allowed"),
    ("firehose-compression", "JSON lines are compressed",
     "test_without_columns_the_lake_is_compressed_json_lines"),
    ("firehose-source-backup", "source records are stored too",
     "test_source_records_are_stored_on_request"),
    ("firehose-metrics-and-alarms", "an alarm goes off when records fail or the lake falls behind",
     "test_every_alarm_watches_the_right_resource"),
    ("service-roles", "Firehose has the permissions that it needs",
     "test_firehose_may_do_this_and_nothing_else"),
)  # fmt: skip


def run(stack: Deployment, report: Report) -> None:
    """Drive every promise of the page through the deployed stack."""
    started = datetime.now(UTC)
    patience = 900 if stack.executes("firehose-buffering") else 60  # its buffers, and its retries
    shop, drive = Shop("clk"), Driver(stack, report, workers=1, patience=patience)
    malformed = shop.malformed_clicks()
    malformed[f"{shop.run}-broken-aggregate"] = kpl.MAGIC + malformed[f"{shop.run}-array"]

    drive.title("Good clicks, and bots among them")
    bots = shop.bot_clicks(BOTS + 10)
    clicks = good_clicks(drive, shop, bots)

    drive.title("Rejected by the producer and by Kinesis")
    too_large(drive, shop)

    drive.title("Malformed clicks and duplicates")
    records = [Event(name, record) for name, record in malformed.items()]
    put(drive, "Malformed records", records, aggregate=False)
    promise = "a record that is not a valid click is stored under the error prefix, byte for byte"
    drive.eventually(promise, lambda: malformed.keys() <= kept_ids(drive))
    counted_once(drive, shop, clicks[:DUPLICATES])

    drive.title("The transform is unavailable, then returns")
    outage(drive, shop, malformed)

    drive.title("Terminals: one folder for each country")
    terminals(drive, shop)

    drive.title("Scans: binary records, put into Firehose itself")
    scans(drive, shop)

    drive.title("Where is every event now?")
    drive.judge(judge_lake, {"rows": lake(drive, shop.run)})
    folders = {folder: kept(drive, folder) for folder in ("ErrorPrefix", "TerminalErrorPrefix")}
    drive.judge(judge_kept, folders, at_least_once=True)
    dropped = dropped_bots(drive, started)
    drive.check("the log counts every bot that was dropped", dropped == len(bots), dropped)
    drive.ledger.sent.update(bot["click_id"] for bot in bots)
    drive.ledger.refused["bot, dropped by rule"] += dropped
    drive.not_proven(*NOT_PROVEN)
    inside = "" if stack.executes("firehose-buffering") else ", transform and delivery within"
    drive.latency(f"PutRecords{inside}", drive.sender.seconds)


def put(
    drive: Driver,
    title: str,
    events: Sequence[Event],
    stream: str = "StreamName",
    *,
    aggregate: bool = True,
) -> list[Sent]:
    """Send events with the pattern's producer, and return its answer to each call."""
    tool, answers = Producer(drive.client("kinesis"), drive[stream], aggregate), list[Sent]()

    def entry(events: Sequence[Event]) -> list[Reply]:
        answers.append(sent := tool.put(event.body for event in events))
        codes = sent.failed | dict.fromkeys(sent.refused, "too large for a record, not sent")
        return [Reply(codes.get(position, "")) for position in range(len(events))]

    drive.send(title, entry, events, batch=CHUNK)
    return answers


def events_of(
    clicks: Iterable[Document], write: Callable[[Document], bytes] = as_json, *, bots: bool = False
) -> list[Event]:
    """Return the events of clicks; bots are booked later, by what the log says of them."""
    more: dict[str, Any] = {"deliveries": () if bots else None}
    return [Event(it["click_id"], write(it), extra={"click": it}, **more) for it in clicks]


def good_clicks(drive: Driver, shop: Shop, bots: Sequence[Document]) -> list[Document]:
    """Send good clicks and bots, aggregated and one by one, as JSON and as CSV."""
    clicks, singles = shop.clicks(CLICKS), shop.clicks(SINGLE_CLICKS)
    together = events_of(clicks) + events_of(bots[10:], bots=True)
    random.Random(shop.run).shuffle(together)  # noqa: S311 - test data
    began = time.monotonic()
    answers = put(drive, "Clicks and bots, many to a record", together)
    calls = sum(sent.calls for sent in answers)
    promise = f"1,000 small clicks take one call, not 1,000 ({len(together):,} took {calls})"
    drive.check(promise, calls <= 1 + len(together) / 1000, calls)
    lines = events_of(singles, as_csv) + events_of(bots[:10], as_csv, bots=True)
    title = "Clicks and bots of older trackers, CSV, one to a record"
    answers += put(drive, title, lines, aggregate=False)
    wanted = {click["click_id"] for click in clicks + singles}
    drive.eventually("every click is in the lake", lambda: wanted <= copies(drive, shop.run).keys())
    drive.latency("Put to found in Athena", [time.monotonic() - began])
    shards = sum((sent.shards for sent in answers), Counter[str]())
    even = len(shards) > 1 and max(shards.values()) <= shards.total() / 2
    drive.check("a user with half of all clicks makes no hot shard", even, dict(shards))
    return clicks


def judge_lake(drive: Driver, rows: Sequence[Document]) -> None:
    """Book the rows of a lake, and compare each with the click that it was made of."""
    wrong = []
    for name, times in Counter(row["click_id"] for row in rows).items():
        drive.ledger.processed[name] += 1 + max(0, times - drive.ledger.sent[name])
    for row in rows:
        event = drive.sender.events.get(row["click_id"])
        if event and not is_made_of(row, event.extra.get("click", {})):
            wrong.append(row["click_id"])
    promise = "a row of the lake is its click, without the query string, which may name a person"
    drive.check(promise, not wrong, some(wrong))


def is_made_of(row: Document, click: Document) -> bool:
    """Return whether a row tells of this click, and of where on the page it came from no more."""
    return (
        [row[name] for name in KEPT] == [click.get(name) for name in KEPT]
        and milliseconds(row["clicked_at"][:23]) == milliseconds(click["clicked_at"])
        and row["page"] == urlsplit(click["page"]).path
        and row["device"] in ("desktop", "phone", "tablet")
    )


def milliseconds(time: str) -> str:
    """Return a time of UTC as the lake has it; an engine may leave out a fraction of zero."""
    return datetime.fromisoformat(time).strftime("%Y-%m-%d %H:%M:%S.%f")[:23]


def too_large(drive: Driver, shop: Shop) -> None:
    """Send a click that no record can hold, with the producer and past it."""
    [huge] = shop.clicks(1, page="/" + "x" * 2**20)
    [sent] = put(drive, "A click over 1 MiB", events_of([huge]))
    promise = "the producer says at once which events no record can hold, and sends nothing"
    drive.check(promise, (sent.refused, sent.calls) == ([0], 0), sent)
    direct = single(
        drive.client("kinesis").put_record,
        lambda e: {"StreamName": drive["StreamName"], "Data": e.body, "PartitionKey": "k"},
    )
    event = Event(f"{shop.run}-huge-directly", as_json(huge))
    [reply] = drive.send("The same click, past the producer", direct, [event])
    drive.check("Kinesis rejects it too", reply.refusal != "", reply)


def counted_once(drive: Driver, shop: Shop, clicks: Sequence[Document]) -> None:
    """Send clicks a second time, as a producer does that got no answer."""
    put(drive, "Duplicates", events_of(clicks))
    names = [click["click_id"] for click in clicks]
    promise = "a click sent twice is in the lake twice"
    drive.eventually(promise, lambda: copies(drive, shop.run).items() >= {(n, 2) for n in names})
    counted = drive.query(COUNT_ONCE.format(table=drive["TableName"], names=quoted(names)))
    promise = "a click sent twice is counted once by the page's query"
    drive.check(promise, counted == [{"clicks": str(len(names))}], counted)


def outage(drive: Driver, shop: Shop, malformed: Mapping[str, bytes]) -> None:
    """Make the transform unavailable, let it return, and replay what was stored meanwhile."""
    unlucky, lucky = events_of(shop.clicks(UNLUCKY)), events_of(shop.clicks(20))
    # One that is not valid among good ones, in one aggregated record.
    spoilt = Event(f"{shop.run}-spoilt", as_json({"click_id": f"{shop.run}-spoilt"}))
    ids, good = ({event.id for event in group} for group in (unlucky, [*unlucky, *lucky]))
    function = drive["FunctionName"]
    with outages.function_changed(drive.stack, function, Handler="unavailable.handler"):
        put(drive, "Clicks during the outage", unlucky)
        promise = "a batch that a failing transform did not process is stored unmodified"
        drive.eventually(promise, lambda: ids <= kept_ids(drive))
    put(drive, "Good clicks and a bad one in one record", [*lucky, spoilt])
    drive.eventually(
        "each of them is in the lake or under the error prefix",
        lambda: {*good, spoilt.id} <= {*copies(drive, shop.run), *kept_ids(drive)},
    )
    prefix = f"{drive['ErrorPrefix']}processing-failed/"
    way = ToFirehose(drive.client, drive["DeliveryStreamName"])
    source = Bucket(drive.client("s3"), drive["BucketName"], prefix)
    seen, done = (
        Redrive(way, 1_000, dry_run=dry_run, would_fail=why_it_would_fail).run([source])
        for dry_run in (True, False)
    )
    promise = "a look without sending says what would pass now, and why the rest would not"
    said = all(why.startswith("would fail again: ") for why in seen.kept)
    drive.check(promise, said and seen.matched >= UNLUCKY and not seen.accepted, seen.lines())
    promise = "a replay returns to the lake what passes now"
    drive.eventually(promise, lambda: good <= copies(drive, shop.run).keys())
    difference = kept_ids(drive) ^ {*malformed, spoilt.id}
    promise = "a replay leaves what does not pass, and nothing else"
    drive.check(promise, done.accepted >= UNLUCKY and not difference, difference)


def terminals(drive: Driver, shop: Shop) -> None:
    """Send clicks that are stored as JSON lines, each in its country's folder."""
    stack, clicks, prefix = drive.stack, shop.clicks(TERMINAL_CLICKS), drive["TerminalPrefix"]
    # Firehose de-aggregates records before it partitions them; an emulator that does not would
    # have to put one record into two folders.
    aggregate = stack.executes("firehose-de-aggregation")
    for country in CLICK_COUNTRIES:
        events = events_of(click for click in clicks if click["country"] == country)
        title = f"Clicks of terminals in {country}"
        put(drive, title, events, "TerminalStreamName", aggregate=aggregate)
    bucket, folders = drive["BucketName"], {(it["click_id"], it["country"]) for it in clicks}

    def stored() -> list[Document]:
        lines = buckets.json_lines(stack, bucket, prefix)
        found = [it | {"folder": key.split("country=")[1][:2]} for key, it in lines]
        return [it for it in found if it["click_id"].startswith(shop.run)]

    def in_place(lines: Sequence[Document]) -> bool:
        return {(it["click_id"], it["folder"]) for it in lines} >= folders

    promise = "every click is stored in its country's folder"
    drive.eventually(promise, lambda: in_place(stored()))
    drive.judge(judge_terminals, {"rows": stored()})
    if stack.executes("firehose-compression"):
        found = buckets.objects(stack, bucket, prefix)
        plain = [key for key, body in found if body[:2] != buckets.GZIP]
        drive.check("JSON lines are compressed", not plain, plain)
    if stack.executes("firehose-source-backup"):
        backup = buckets.objects(stack, bucket, f"source/{prefix}")
        sources = b"".join(gzip.decompress(body) for _, body in backup)
        missing = [name for name, _ in folders if name.encode() not in sources]
        drive.check("every source record is stored too", not missing, missing)


def scans(drive: Driver, shop: Shop) -> None:
    """Put binary records into Firehose without a stream, and find their bytes as they were."""
    firehose, name = drive.client("firehose"), drive["ScanDeliveryStreamName"]
    events = [Event(f"{shop.run}-scan-{n}", token_bytes(400)) for n in range(SCANS)]

    def entry(events: Sequence[Event]) -> list[Reply]:
        records = [{"Data": event.body} for event in events]
        answer = firehose.put_record_batch(DeliveryStreamName=name, Records=records)
        codes = [it.get("ErrorCode", "") for it in answer["RequestResponses"]]
        return [Reply(code, again=code != "") for code in codes]

    def stored() -> list[bytes]:
        found = buckets.objects(drive.stack, drive["BucketName"], drive["ScanPrefix"])
        return [body for _, body in found]

    def book(drive: Driver, objects: Sequence[bytes]) -> None:
        everything = b"".join(objects)
        drive.ledger.processed.update(
            it.id for it in events for _ in range(everything.count(it.body))
        )

    drive.send("Diagnostic scans", entry, events, batch=SCANS)
    promise = "every binary record is stored, byte for byte"
    drive.eventually(promise, lambda: all(it.body in b"".join(stored()) for it in events))
    drive.judge(book, {"objects": stored()})


def judge_terminals(drive: Driver, rows: Sequence[Document]) -> None:
    """Judge the clicks of terminals as those of the lake, and the folder that each is in."""
    judge_lake(drive, rows)
    astray = [row["click_id"] for row in rows if row["country"] != row["folder"]]
    drive.check("no click is in another country's folder", not astray, some(astray))


def kept(drive: Driver, folder: str = "ErrorPrefix") -> list[bytes]:
    """Return the events under an error prefix, as they were sent."""
    lines = buckets.json_lines(drive.stack, drive["BucketName"], drive[folder])
    records = (base64.b64decode(line["rawData"]) for _, line in lines)
    return [event for record in records for event in kpl.split(record)]


def kept_ids(drive: Driver) -> set[str]:
    """Return the ids of this run's events under the error prefix, by their bytes."""
    return {name for event in kept(drive) if (name := drive.sender.sent.get(event))}


def judge_kept(drive: Driver, **events: Sequence[bytes]) -> None:
    """Book the events that are kept; those of other runs are none of ours."""
    names = (drive.sender.sent.get(event) for event in chain(*events.values()))
    drive.ledger.dead_lettered.update(name for name in names if name)


def lake(
    drive: Driver,
    run: str,
    columns: str = f"{', '.join(KEPT)}, page, clicked_at, device",
    group: str = "",
) -> list[dict[str, str]]:
    """Return this run's clicks in the lake, as Athena sees them."""
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    where = f"FROM {drive['TableName']} WHERE day >= '{yesterday}' AND click_id LIKE '{run}%'"
    return drive.query(f"SELECT {columns} {where} {group}")


def copies(drive: Driver, run: str) -> Counter[str]:
    """Count the copies of each of this run's clicks in the lake."""
    rows = lake(drive, run, "click_id, count(*) AS copies", "GROUP BY click_id")
    return Counter({row["click_id"]: int(row["copies"]) for row in rows})


def quoted(names: Iterable[str]) -> str:
    """Return names as a list in SQL."""
    return ", ".join(f"'{name}'" for name in names)


def dropped_bots(drive: Driver, since: datetime) -> int:
    """Return how many bots the transforms' logs say were dropped."""
    names = drive["FunctionName"], drive["TerminalFunctionName"]
    lines = [line for name in names for line in logs.lines_since(drive.stack, name, since)]
    return sum(json.loads(line)["dropped_bots"] for line in lines if '"message":"Batch"' in line)
