"""The executable promises of the demo stack: every click is in the lake, kept, or dropped by rule.

Knows only the stack's outputs, the AWS APIs and the two tools of the pattern, its producer and its
replay, so it runs the same on the embedded AWS and on a real account. In the ledger "dead-lettered"
are the clicks below the error prefix.
"""

from __future__ import annotations

import base64
import gzip
import json
import random
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from serverless_patterns.lambdas.kinesis_firehose_s3 import kpl
from serverless_patterns.lambdas.kinesis_firehose_s3.producer import Producer, Sent
from serverless_patterns.lambdas.kinesis_firehose_s3.replay import replay
from serverless_patterns.sandbox import buckets, logs, outages
from serverless_patterns.sandbox.driver import Driver
from serverless_patterns.sandbox.sender import Event, Reply, single

from ..shop import CLICK_COUNTRIES, Document, Shop, as_csv, as_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from serverless_patterns.sandbox import Deployment
    from serverless_patterns.sandbox.report import Report
    from serverless_patterns.sandbox.sender import Entry

CLICKS, BOTS, SINGLE_CLICKS, TERMINAL_CLICKS = 3_000, 300, 40, 40
DUPLICATES, UNLUCKY = 50, 30
CHUNK = 1_000  # clicks that a web server puts at a time
COUNT_ONCE = """
SELECT count(*) AS clicks FROM (
  SELECT click_id, row_number() OVER (PARTITION BY click_id ORDER BY clicked_at) AS copy
  FROM {table} WHERE click_id IN ({names})
) WHERE copy = 1
"""


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
    drive.send("Malformed records", producer(drive, aggregate=False)[0], records, batch=CHUNK)
    promise = "what is not a valid click is kept below the error prefix, byte for byte"
    drive.eventually(promise, lambda: malformed.keys() <= kept(drive).keys())
    counted_once(drive, shop, clicks[:DUPLICATES])

    drive.title("The transform is unavailable, then returns")
    outage(drive, shop, malformed)

    drive.title("Terminals: one folder for each country")
    terminals(drive, shop)

    drive.title("Where is every click now?")
    for name, copies in lake(drive, shop.run).items():
        drive.ledger.processed[name] += 1 + max(0, copies - drive.ledger.sent[name])
    drive.ledger.dead_lettered.update(kept(drive) + kept(drive, "TerminalErrorPrefix"))
    dropped = dropped_bots(drive, started)
    drive.check("the log counts every bot that was dropped", dropped == len(bots), dropped)
    drive.ledger.sent.update(bot["click_id"] for bot in bots)
    drive.ledger.refused["bot, dropped by rule"] += dropped
    what_is_not_proven(drive)
    inside = "" if stack.executes("firehose-buffering") else ", transform and delivery within"
    drive.latency(f"PutRecords{inside}", drive.sender.seconds)


def producer(
    drive: Driver, output: str = "StreamName", *, aggregate: bool = True
) -> tuple[Entry, list[Sent]]:
    """Return the entry that is the pattern's producer, and a list of what it says of each call."""
    results: list[Sent] = []

    def put(events: Sequence[Event]) -> list[Reply]:
        tool = Producer(drive.client("kinesis"), drive[output], aggregate=aggregate)
        sent = tool.put([event.body for event in events])
        codes = sent.failed | dict.fromkeys(sent.refused, "too large for a record, not sent")
        results.append(sent)
        return [Reply(codes.get(position, "")) for position in range(len(events))]

    return put, results


def click_events(
    clicks: Iterable[Document], write: Callable[[Document], bytes] = as_json, *, bots: bool = False
) -> list[Event]:
    """Return the events of clicks; bots are booked later, by what the log says of them."""
    deliveries = () if bots else None
    return [Event(click["click_id"], write(click), deliveries=deliveries) for click in clicks]


def good_clicks(drive: Driver, shop: Shop, bots: Sequence[Document]) -> list[Document]:
    """Send good clicks and bots, aggregated and one by one, as JSON and as CSV."""
    clicks, singles = shop.clicks(CLICKS), shop.clicks(SINGLE_CLICKS)
    together = click_events(clicks) + click_events(bots[10:], bots=True)
    random.Random(shop.run).shuffle(together)  # noqa: S311 - test data
    began = time.monotonic()
    many, results = producer(drive)
    drive.send("Clicks and bots, many to a record", many, together, batch=CHUNK)
    calls = sum(sent.calls for sent in results)
    promise = f"1,000 small clicks take one call, not 1,000 ({len(together):,} took {calls})"
    drive.check(promise, calls <= 1 + len(together) / 1000, calls)
    old, more = producer(drive, aggregate=False)
    lines = click_events(singles, as_csv) + click_events(bots[:10], as_csv, bots=True)
    drive.send("Clicks and bots of older trackers, CSV, one to a record", old, lines, batch=CHUNK)
    wanted = {click["click_id"] for click in clicks + singles}
    drive.eventually("every click is in the lake", lambda: wanted <= lake(drive, shop.run).keys())
    drive.latency("Put to found in Athena", [time.monotonic() - began])
    shards = sum((Counter(sent.shards) for sent in results + more), Counter[str]())
    even = len(shards) > 1 and max(shards.values()) <= shards.total() / 2
    drive.check("a user with half of all clicks makes no hot shard", even, dict(shards))
    rows_are_clean(drive, [*clicks[:30], *singles[-30:]])
    return clicks


def rows_are_clean(drive: Driver, clicks: Sequence[Document]) -> None:
    """Compare rows of the lake with the clicks that they were made of."""
    chosen = {click["click_id"]: click for click in clicks}
    sql = "SELECT click_id, user_id, clicked_at, page, device, country, source, day FROM {} "
    sql += f"WHERE click_id IN ({quoted(chosen)})"
    rows = drive.query(sql.format(drive["TableName"]))
    wrong = [row for row in rows if not _matches(chosen[row["click_id"]], row)]
    drive.check("a row of the lake is its click", not wrong and len(rows) == len(chosen), wrong)
    leaks = [row["page"] for row in rows if "?" in row["page"] or "@" in row["page"]]
    promise = "no query string, which may name a person, gets into the lake"
    drive.check(promise, not leaks, leaks)


def _matches(click: Mapping[str, Any], row: Mapping[str, str]) -> bool:
    at = datetime.fromisoformat(click["clicked_at"]).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    same = all(row[name] == click[name] for name in ("user_id", "country"))
    begins = row["clicked_at"].startswith(at) and click["page"].startswith(row["page"])
    return same and begins and row["device"] in ("desktop", "phone", "tablet")


def too_large(drive: Driver, shop: Shop) -> None:
    """Send what no record can hold: the producer rejects it, and so does Kinesis."""
    [huge] = shop.clicks(1, page="/" + "x" * 2**20)
    entry, results = producer(drive)
    drive.send("A click over 1 MiB", entry, click_events([huge]))
    promise = "the producer says at once what no record can hold, and sends nothing"
    drive.check(promise, (results[0].refused, results[0].calls) == ([0], 0), results)
    put = single(
        drive.client("kinesis").put_record,
        lambda e: {"StreamName": drive["StreamName"], "Data": e.body, "PartitionKey": "k"},
    )
    direct = Event(f"{shop.run}-huge-directly", as_json(huge))
    [reply] = drive.send("The same click, past the producer", put, [direct])
    drive.check("Kinesis rejects it too", reply.refusal != "", reply)


def counted_once(drive: Driver, shop: Shop, clicks: Sequence[Document]) -> None:
    """Send clicks a second time, as a producer does that got no answer."""
    drive.send("Duplicates", producer(drive)[0], click_events(clicks), batch=CHUNK)
    names = [click["click_id"] for click in clicks]

    def all_twice() -> bool:
        copies = lake(drive, shop.run)
        return all(copies[name] == 2 for name in names)

    drive.eventually("a click sent twice is in the lake twice", all_twice)
    counted = drive.query(COUNT_ONCE.format(table=drive["TableName"], names=quoted(names)))
    promise = "a click sent twice is counted once by the page's query"
    drive.check(promise, counted == [{"clicks": str(len(names))}], counted)


def outage(drive: Driver, shop: Shop, malformed: Mapping[str, bytes]) -> None:
    """Make the transform unavailable, let it return, and replay what was kept meanwhile."""
    unlucky, lucky = click_events(shop.clicks(UNLUCKY)), click_events(shop.clicks(20))
    # One that is not valid among good ones, in one aggregated record.
    spoilt = Event(f"{shop.run}-spoilt", as_json({"click_id": f"{shop.run}-spoilt"}))
    ids, everything = ({event.id for event in group} for group in (unlucky, [*unlucky, *lucky]))
    name = drive["FunctionName"]
    with outages.function_changed(drive.stack, name, Handler="unavailable.handler"):
        drive.send("Clicks during the outage", producer(drive)[0], unlucky, batch=CHUNK)
        promise = "what a failing transform did not process is kept as it came"
        drive.eventually(promise, lambda: ids <= kept(drive).keys())
    mixed = [*lucky, spoilt]
    drive.send("Good clicks and a bad one in one record", producer(drive)[0], mixed, batch=CHUNK)
    somewhere = {*everything, spoilt.id}
    promise = "each of them is in the lake or kept"
    drive.eventually(promise, lambda: somewhere <= {*lake(drive, shop.run), *kept(drive)})
    tool = partial(replay, drive.client("s3"), drive.client("kinesis"), bucket=drive["BucketName"])
    prefix = drive["ErrorPrefix"] + "processing-failed/"
    again = partial(tool, prefix=prefix, stream_name=drive["StreamName"])
    seen = again()
    passes = seen.reasons["ok"] >= UNLUCKY and not seen.sent
    promise = "a look without sending says what would pass now, and why the rest would not"
    drive.check(promise, passes, seen.reasons)
    with drive.report.step("Replaying the error prefix"):
        done = again(send=True)
    promise = "a replay returns to the lake what passes now"
    drive.eventually(promise, lambda: everything <= lake(drive, shop.run).keys())
    difference = kept(drive).keys() ^ {*malformed, spoilt.id}
    promise = "a replay leaves what does not pass, and nothing else"
    drive.check(promise, done.sent >= UNLUCKY and not difference, difference)


def terminals(drive: Driver, shop: Shop) -> None:
    """Send clicks that are kept as JSON lines, each in its country's folder."""
    stack, clicks, prefix = drive.stack, shop.clicks(TERMINAL_CLICKS), drive["TerminalPrefix"]
    for country in CLICK_COUNTRIES:
        # Firehose de-aggregates records before it partitions them; an emulator that does not
        # would have to put one record into two folders.
        aggregate = stack.executes("firehose-de-aggregation")
        entry, _ = producer(drive, "TerminalStreamName", aggregate=aggregate)
        events = click_events(click for click in clicks if click["country"] == country)
        drive.send(f"Clicks of terminals in {country}", entry, events, batch=CHUNK)
    bucket, keys = drive["BucketName"], dict[str, str]()
    folders = {click["click_id"]: f"{prefix}country={click['country']}/day=" for click in clicks}

    def all_in_place() -> bool:
        lines = buckets.json_lines(stack, bucket, prefix)
        keys.update({line["click_id"]: key for key, line in lines})
        return all(folder in keys.get(name, "") for name, folder in folders.items())

    drive.eventually("every click is stored in its country's folder", all_in_place)
    drive.ledger.processed.update(folders.keys() & keys.keys())
    if stack.executes("firehose-compression"):
        found = buckets.objects(stack, bucket, prefix)
        plain = [key for key, body in found if body[:2] != buckets.GZIP]
        drive.check("JSON lines are compressed", not plain, plain)
    if stack.executes("firehose-source-backup"):
        backup = buckets.objects(stack, bucket, f"source/{prefix}")
        sources = b"".join(gzip.decompress(body) for _, body in backup)
        missing = [name for name in folders if name.encode() not in sources]
        drive.check("every source record is kept too", not missing, missing)


def kept(drive: Driver, folder: str = "ErrorPrefix") -> Counter[str]:
    """Count this run's events below an error prefix, by their bytes as they were sent."""
    lines = buckets.json_lines(drive.stack, drive["BucketName"], drive[folder])
    records = (base64.b64decode(line["rawData"]) for _, line in lines)
    events = (event for record in records for event in kpl.split(record))
    return Counter(name for event in events if (name := drive.sender.sent.get(event)))


def lake(drive: Driver, run: str) -> Counter[str]:
    """Count the copies of this run's clicks in the lake, as Athena sees them."""
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    sql = "SELECT click_id, count(*) AS copies FROM {} WHERE day >= '{}' AND click_id LIKE '{}%' "
    rows = drive.query(sql.format(drive["TableName"], yesterday, run) + "GROUP BY click_id")
    return Counter({row["click_id"]: int(row["copies"]) for row in rows})


def quoted(names: Iterable[str]) -> str:
    """Return names as a list in SQL."""
    return ", ".join(f"'{name}'" for name in names)


def dropped_bots(drive: Driver, since: datetime) -> int:
    """Return how many bots the transforms' logs say were dropped."""
    names = drive["FunctionName"], drive["TerminalFunctionName"]
    lines = [line for name in names for line in logs.lines_since(drive.stack, name, since)]
    return sum(json.loads(line)["dropped_bots"] for line in lines if '"message":"Batch"' in line)


def what_is_not_proven(drive: Driver) -> None:
    """Say what this target does not execute, and which test holds it instead."""
    drive.not_proven(
        ("firehose-de-aggregation", "Firehose de-aggregates records before the transform",
         "AWS documents it; here the transform does: test_an_aggregated_record_is_taken_apart"),
        ("kinesis-throttling", "what Kinesis throttles is sent again, and nothing else",
         "test_only_what_kinesis_did_not_take_is_sent_again"),
        ("firehose-buffering", "many clicks share an object, and a failed call is retried",
         "test_the_buffers_are_as_large_as_they_may_be, "
         "test_a_failed_batch_is_tried_again_before_it_is_kept"),
        ("firehose-compression", "JSON lines are compressed",
         "test_without_columns_the_lake_is_compressed_json_lines"),
        ("firehose-source-backup", "source records are kept too",
         "test_source_records_are_backed_up_on_request"),
        ("firehose-metrics-and-alarms",
         "an alarm says so when records fail or the lake falls behind",
         "test_every_alarm_watches_the_right_resource"),
        ("service-roles", "Firehose has the permissions that it needs",
         "test_firehose_may_do_this_and_nothing_else"),
    )  # fmt: skip
