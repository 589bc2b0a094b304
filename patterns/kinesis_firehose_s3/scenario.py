"""The executable promises of the demo stack: every click is in the lake, kept, or dropped by rule.

Knows only the stack's outputs, the AWS APIs and the two tools of the pattern, its producer and its
replay, so it runs the same on the embedded AWS and on a real account. In the ledger "dead-lettered"
are the clicks below the error prefix.
"""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import random
import secrets
import time
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from serverless_patterns.lambdas.kinesis_firehose_s3 import kpl
from serverless_patterns.lambdas.kinesis_firehose_s3.producer import Producer, Sent
from serverless_patterns.lambdas.kinesis_firehose_s3.replay import replay
from serverless_patterns.sandbox import outages
from serverless_patterns.sandbox.queues import until

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from serverless_patterns.sandbox import Deployment
    from serverless_patterns.sandbox.report import Report

SEED = 20261121
CLICKS = 5_000
BOTS = 300
SINGLE_CLICKS = 40
DUPLICATES = 50
TERMINAL_CLICKS = 40
UNLUCKY = 30
COLD_USERS = 800
COUNTRIES = ("DE", "FR", "GB", "CZ")
PAGES = (
    "/", "/cart", "/search?q=Bremsbelag+vorn&mail=someone%40example.com", "/parts/oil/OIL-FLT-3",
    "/parts/brakes/BRK-PAD-F?from=newsletter", "/parts/wipers/24/WPR-24#fit", "/teile/öl & filter",
    "/parts/lamps/LMP-H7;v=2", "/部品/スパークプラグ", "/parts/belts/BLT-ALT/",
)  # fmt: skip
REFERRERS = ("", "https://www.google.com/search?q=oil", "https://shop.example/ü", "not a url")
BROWSERS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/141.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
    "Mozilla/5.0 (iPad; CPU OS 18_1 like Mac OS X) AppleWebKit/605.1.15",
    "Mozilla/5.0 (Linux; Android 16; Pixel 10) Chrome/141.0 Mobile Safari/537.36 🚗",
)
BOT_AGENTS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "curl/8.10.1",
    "",
)


class Shop:
    """Makes realistic clicks, the same ones for the same seed."""

    def __init__(self, run: str) -> None:
        self.run = run
        self._random = random.Random(SEED)  # noqa: S311 - test data
        self._count = 0

    def click(self, **changes: Any) -> dict[str, Any]:
        """Return a valid click; half of them are one user's."""
        self._count += 1
        pick = self._random.choice
        hot = self._random.random() < 0.5
        at = datetime.now(UTC) - timedelta(seconds=self._random.randint(0, 86_400))
        return {
            "click_id": f"{self.run}-{self._count:05}",
            "user_id": "hot" if hot else f"user-{self._random.randint(1, COLD_USERS)}",
            "session_id": f"s-{self._random.randint(1, 10_000)}",
            "clicked_at": at.isoformat(),
            "page": pick(PAGES),
            "referrer": pick(REFERRERS),
            "user_agent": pick(BROWSERS),
            "country": pick(COUNTRIES),
        } | changes

    def clicks(self, count: int, **changes: Any) -> list[dict[str, Any]]:
        """Return that many valid clicks."""
        return [self.click(**changes) for _ in range(count)]

    def bots(self, count: int) -> list[dict[str, Any]]:
        """Return that many clicks of programs."""
        return [self.click(user_agent=self._random.choice(BOT_AGENTS)) for _ in range(count)]

    def malformed(self) -> dict[str, bytes]:
        """Return records that are no clicks, by name."""
        click = self.click()
        text = json.dumps(click)
        wrong = {
            "number": b"42 ",
            "not-json": b'{"click_id": ' + self.run.encode(),
            "truncated": text[:-7].encode(),
            "array": json.dumps([click]).encode(),
            "two-in-one": (text + text).encode(),
            "not-text": b"\xff\xfe" + text.encode("utf-16-le"),
            "blank": f"  {' ' * self._random.randint(1, 90)}\n".encode(),
            "half-surrogate": text.replace("/", r"/\ud83d", 1).encode(),
            "csv-of-seven": to_csv(click).rsplit(b",", 1)[0],
            "csv-open-quote": b'"' + to_csv(click),
            "half-a-mebibyte": json.dumps(click | {"page": "/" + "x" * 500_000}).encode(),
            "broken-aggregate": kpl.MAGIC + text.encode(),
        }
        changes: dict[str, dict[str, Any]] = {
            "no-id": {"click_id": ""},
            "id-to-inject": {"click_id": "x' OR '1'='1"},
            "user-is-a-number": {"user_id": 17},
            "user-is-an-object": {"user_id": {"$ne": None}},
            "no-time-zone": {"clicked_at": "2026-11-21T07:00:00"},
            "no-such-day": {"clicked_at": "2026-02-30T07:00:00Z"},
            "in-the-future": {"clicked_at": (datetime.now(UTC) + timedelta(days=2)).isoformat()},
            "too-old": {"clicked_at": (datetime.now(UTC) - timedelta(days=40)).isoformat()},
            "page-of-another": {"page": "https://evil.example/"},
            "control-character": {"user_agent": "Mozilla\u0000"},
            "no-country": {"country": None},
        }
        for name, change in changes.items():
            wrong[name] = json.dumps(self.click() | change).encode()
        return {f"{self.run}-{name}": record for name, record in wrong.items()}


def to_json(click: Mapping[str, Any]) -> bytes:
    """Return a click as the web shop sends it."""
    return json.dumps(click, ensure_ascii=False).encode()


def to_csv(click: Mapping[str, Any]) -> bytes:
    """Return a click as the older trackers send it."""
    line = io.StringIO()
    csv.writer(line).writerow(click.values())
    return line.getvalue().encode()


class Sender:
    """Puts events through the pattern's producer and books every answer.

    Attributes:
        events: The event that a record's bytes belong to.
        seconds: How long each call took.
        shards: Records that each shard took.
        bots: Bots that were sent; they are answered by the transform, which counts them.
    """

    def __init__(self, stack: Deployment, report: Report) -> None:
        self._stack, self._report = stack, report
        self.events: dict[bytes, str] = {}
        self.seconds: list[float] = []
        self.shards: Counter[str] = Counter()
        self.bots = 0

    def send(
        self,
        title: str,
        events: Mapping[str, bytes],
        *,
        aggregate: bool = True,
        stream: str = "StreamName",
        bots: Iterable[str] = (),
    ) -> Sent:
        """Send the events, which are known by their ids; those in ``bots`` are to be dropped."""
        names, records, dropped = list(events), list(events.values()), set(bots)
        producer = Producer(self._stack.client("kinesis"), self._stack[stream], aggregate=aggregate)
        with self._report.step(f"{title} ({len(events):,})"):
            sent = producer.put(records)
        ledger = self._report.ledger
        self.events |= {record: name for name, record in events.items()}
        self.seconds += sent.seconds
        self.shards.update(sent.shards)
        for position, name in enumerate(names):
            ledger.sent[name] += 1
            if position in sent.failed:
                ledger.refused[sent.failed[position]] += 1
        ledger.refused["too large for a record, not sent"] += len(sent.refused)
        self.bots += len(dropped)
        ledger.accepted.update(names[p] for p in sent.accepted if names[p] not in dropped)
        return sent


def run(stack: Deployment, report: Report) -> None:
    """Drive every promise of the page through the deployed stack."""
    started = datetime.now(UTC)
    shop = Shop(run=f"clk-{secrets.token_hex(4)}")
    sender = Sender(stack, report)

    report.title("Good clicks, and bots among them")
    clicks = good_clicks(stack, report, sender, shop)

    report.title("Refused at the door")
    too_large(stack, report, sender, shop)

    report.title("Malformed clicks and duplicates")
    malformed = shop.malformed()
    bad_clicks(stack, report, sender, malformed)
    sent_again(stack, report, sender, clicks)

    report.title("The transform is down, and comes back")
    outage(stack, report, sender, shop, malformed)

    report.title("Terminals: one folder a country")
    terminals(stack, report, sender, shop)

    report.title("Where is every click now?")
    for name, copies in lake(stack, shop.run).items():
        report.ledger.processed[name] += 1
        sent = report.ledger.sent[name]
        report.ledger.processed[name] += max(0, copies - sent)
    for folder in ("ErrorPrefix", "TerminalErrorPrefix"):
        report.ledger.dead_lettered.update(kept(stack, sender, folder))
    bots_are_counted(stack, report, sender, started)
    what_is_not_proven(stack, report)
    inside = "" if stack.executes("firehose-buffering") else ", transform and delivery within"
    report.latency(f"PutRecords{inside}", sender.seconds)


def good_clicks(
    stack: Deployment, report: Report, sender: Sender, shop: Shop
) -> list[dict[str, Any]]:
    """Send good clicks and bots, aggregated and one by one, as JSON and as CSV."""
    clicks, bots = shop.clicks(CLICKS), shop.bots(BOTS)
    together = clicks + bots
    random.Random(SEED).shuffle(together)  # noqa: S311 - test data
    began = time.monotonic()
    sent = sender.send(
        "Clicks and bots, many to a record",
        {click["click_id"]: to_json(click) for click in together},
        bots=[bot["click_id"] for bot in bots],
    )
    report.check(
        f"1,000 small clicks take one call, not 1,000 ({len(together):,} took {sent.calls})",
        sent.calls <= 1 + len(together) / 1000,
        sent.calls,
    )
    singles, single_bots = shop.clicks(SINGLE_CLICKS), shop.bots(10)
    lines = {click["click_id"]: to_csv(click) for click in singles + single_bots}
    sender.send(
        "Clicks and bots of older trackers, CSV, one to a record",
        lines,
        aggregate=False,
        bots=[bot["click_id"] for bot in single_bots],
    )
    wait_for(stack, report, [click["click_id"] for click in clicks + singles], shop.run)
    report.latency("Put to found in Athena", [time.monotonic() - began])
    shares = [count / sender.shards.total() for count in sender.shards.values()]
    report.check(
        "a user with half of all clicks makes no hot shard",
        len(shares) > 1 and max(shares) <= 0.5,
        dict(sender.shards),
    )
    rows_are_clean(stack, report, clicks + singles)
    return clicks


def rows_are_clean(stack: Deployment, report: Report, clicks: Sequence[Mapping[str, Any]]) -> None:
    """Compare rows of the lake with the clicks that they were made of."""
    chosen = {click["click_id"]: click for click in (*clicks[:30], *clicks[-30:])}
    names = ", ".join(f"'{name}'" for name in chosen)
    rows = query(
        stack,
        "SELECT click_id, user_id, clicked_at, page, device, country, source, day "  # noqa: S608
        f"FROM {stack['TableName']} WHERE click_id IN ({names})",
    )
    wrong = [row for row in rows if not _matches(chosen[row["click_id"]], row)]
    report.check("a row of the lake is its click", not wrong and len(rows) == len(chosen), wrong)
    leaks = [row["page"] for row in rows if "?" in row["page"] or "@" in row["page"]]
    report.check("no query string, which may name a person, gets into the lake", not leaks, leaks)


def _matches(click: Mapping[str, Any], row: Mapping[str, str]) -> bool:
    at = datetime.fromisoformat(click["clicked_at"]).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    return (
        row["user_id"] == click["user_id"]
        and row["country"] == click["country"]
        and row["clicked_at"].startswith(at)
        and click["page"].startswith(row["page"])
        and row["device"] in ("desktop", "phone", "tablet")
    )


def too_large(stack: Deployment, report: Report, sender: Sender, shop: Shop) -> None:
    """Send what no record can hold: the producer refuses it, and so does Kinesis."""
    huge = to_json(shop.click(page="/" + "x" * 2**20))
    sent = sender.send("A click over 1 MiB", {f"{shop.run}-huge": huge})
    report.check(
        "the producer says at once what no record can hold, and sends nothing",
        (sent.refused, sent.calls) == ([0], 0),
        sent,
    )
    kinesis = stack.client("kinesis")
    name = f"{shop.run}-huge-directly"
    report.ledger.sent[name] += 1
    try:
        kinesis.put_record(StreamName=stack["StreamName"], Data=huge, PartitionKey="k")
        report.ledger.accepted[name] += 1
    except kinesis.exceptions.ClientError as error:
        report.ledger.refused[error.response["Error"]["Code"]] += 1
    report.check("Kinesis refuses it too", name not in report.ledger.accepted)


def bad_clicks(
    stack: Deployment, report: Report, sender: Sender, malformed: Mapping[str, bytes]
) -> None:
    """Send what is no click; it is kept as it came."""
    sender.send("Malformed records", malformed, aggregate=False)

    def all_kept() -> bool:
        return set(malformed) <= set(kept(stack, sender, "ErrorPrefix"))

    with report.step("Waiting for them below the error prefix"):
        until(all_kept, seconds=patience(stack), what="malformed clicks are not kept", pause=0.5)
    report.check("what is no click is kept below the error prefix, byte for byte", all_kept())


def sent_again(
    stack: Deployment, report: Report, sender: Sender, clicks: Sequence[Mapping[str, Any]]
) -> None:
    """Send clicks a second time, as a producer does that got no answer."""
    again = {click["click_id"]: to_json(click) for click in clicks[:DUPLICATES]}
    sender.send("Duplicates", again)
    run_id = clicks[0]["click_id"].rsplit("-", 1)[0]

    def all_twice() -> bool:
        copies = lake(stack, run_id)
        return all(copies[name] == 2 for name in again)

    with report.step("Waiting for them in the lake"):
        until(all_twice, seconds=patience(stack), what="duplicates are not in the lake", pause=0.5)
    names = ", ".join(f"'{name}'" for name in again)
    counted = query(stack, COUNT_ONCE.format(table=stack["TableName"], names=names))
    report.check(
        "a click sent twice is counted once by the page's query",
        counted == [{"clicks": str(DUPLICATES)}],
        counted,
    )


COUNT_ONCE = """
SELECT count(*) AS clicks FROM (
  SELECT click_id, row_number() OVER (PARTITION BY click_id ORDER BY clicked_at) AS copy
  FROM {table} WHERE click_id IN ({names})
) WHERE copy = 1
"""


def outage(
    stack: Deployment,
    report: Report,
    sender: Sender,
    shop: Shop,
    malformed: Mapping[str, bytes],
) -> None:
    """Take the transform away, bring it back, and replay what was kept meanwhile."""
    unlucky = shop.clicks(UNLUCKY)
    # One that is no click among good ones, in one aggregated record.
    spoilt = {f"{shop.run}-spoilt": json.dumps({"click_id": f"{shop.run}-spoilt"}).encode()}
    with transform_away(stack):
        sender.send(
            "Clicks while the transform is down",
            {click["click_id"]: to_json(click) for click in unlucky},
        )
        wanted = {click["click_id"] for click in unlucky}
        with report.step("Waiting for them below the error prefix"):
            until(
                lambda: wanted <= set(kept(stack, sender, "ErrorPrefix")),
                seconds=patience(stack),
                what="clicks of the outage are not kept",
                pause=0.5,
            )
    report.check("what a failing transform did not process is kept as it came", True)
    lucky = shop.clicks(20)
    sender.send(
        "Good clicks and one bad one in one record",
        {click["click_id"]: to_json(click) for click in lucky} | spoilt,
    )
    everything = [click["click_id"] for click in (*unlucky, *lucky)]
    with report.step("Waiting for them too"):
        until(
            lambda: (
                {*everything, *spoilt}
                <= {*lake(stack, shop.run), *kept(stack, sender, "ErrorPrefix")}
            ),
            seconds=patience(stack),
            what="clicks are nowhere",
            pause=0.5,
        )
    settings: dict[str, Any] = {
        "bucket": stack["BucketName"],
        "prefix": stack["ErrorPrefix"] + "processing-failed/",
        "stream_name": stack["StreamName"],
    }
    s3, kinesis = stack.client("s3"), stack.client("kinesis")
    seen = replay(s3, kinesis, **settings)
    report.check(
        "a look without sending says what would pass now, and why the rest would not",
        seen.reasons["ok"] >= UNLUCKY and not seen.sent,
        seen.reasons,
    )
    with report.step("Replaying the error prefix"):
        done = replay(s3, kinesis, **settings, send=True)
    wait_for(stack, report, everything, shop.run)
    left = set(kept(stack, sender, "ErrorPrefix"))
    report.check(
        "a replay brings back what passes now, and leaves what does not",
        done.sent >= UNLUCKY and left == {*malformed, *spoilt},
        left ^ {*malformed, *spoilt},
    )


@contextmanager
def transform_away(stack: Deployment) -> Iterator[None]:
    """Name a handler that the function does not have."""
    name = stack["FunctionName"]
    handler = stack.client("lambda").get_function_configuration(FunctionName=name)["Handler"]
    with outages.function_changed(stack, name, Handler=f"{handler}_away"):
        yield


def terminals(stack: Deployment, report: Report, sender: Sender, shop: Shop) -> None:
    """Send clicks that are kept as JSON lines, each in its country's folder."""
    clicks = shop.clicks(TERMINAL_CLICKS)
    for country in COUNTRIES:
        sender.send(
            f"Clicks of terminals in {country}",
            {c["click_id"]: to_json(c) for c in clicks if c["country"] == country},
            stream="TerminalStreamName",
            # Firehose takes records apart before it partitions them; an emulator that does not
            # would have to put one record into two folders.
            aggregate=stack.executes("firehose-de-aggregation"),
        )
    rows: dict[str, str] = {}

    def all_there() -> bool:
        rows.clear()
        for key, line in json_lines(stack, stack["TerminalPrefix"]):
            rows[line["click_id"]] = key
        return all(click["click_id"] in rows for click in clicks)

    with report.step("Waiting for them in their folders"):
        until(all_there, seconds=patience(stack), what="terminals' clicks are missing", pause=0.5)
    for click in clicks:
        report.ledger.processed[click["click_id"]] += 1
    misplaced = [
        rows[click["click_id"]]
        for click in clicks
        if f"{stack['TerminalPrefix']}country={click['country']}/day="
        not in rows[click["click_id"]]
    ]
    report.check("every click lies in its country's folder", not misplaced, misplaced)
    if stack.executes("firehose-compression"):
        plain = [key for key, body in objects(stack, stack["TerminalPrefix"]) if body[:2] != GZIP]
        report.check("JSON lines are compressed", not plain, plain)
    if stack.executes("firehose-source-backup"):
        prefix = f"source/{stack['TerminalPrefix']}"
        sources = b"".join(gzip.decompress(body) for _, body in objects(stack, prefix))
        missing = [c["click_id"] for c in clicks if c["click_id"].encode() not in sources]
        report.check("every source record is kept too", not missing, missing)


GZIP = b"\x1f\x8b"


def json_lines(stack: Deployment, prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every line below a folder, with its object's key."""
    for key, body in objects(stack, prefix):
        text = gzip.decompress(body) if body[:2] == GZIP else body
        for line in text.splitlines():
            yield key, json.loads(line)


def objects(stack: Deployment, prefix: str) -> Iterator[tuple[str, bytes]]:
    """Yield every object below a folder."""
    s3 = stack.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=stack["BucketName"], Prefix=prefix)
    for page in pages:
        for item in page.get("Contents", []):
            yield (
                item["Key"],
                s3.get_object(Bucket=stack["BucketName"], Key=item["Key"])["Body"].read(),
            )


def kept(stack: Deployment, sender: Sender, folder: str) -> Counter[str]:
    """Count this run's events below an error prefix, by their bytes as they were sent."""
    found: Counter[str] = Counter()
    for _, body in objects(stack, stack[folder]):
        for line in body.splitlines():
            for event in kpl.split(base64.b64decode(json.loads(line)["rawData"])):
                if name := sender.events.get(event):
                    found[name] += 1
    return found


def lake(stack: Deployment, run: str) -> Counter[str]:
    """Count the copies of this run's clicks in the lake, as Athena sees them."""
    today = datetime.now(UTC).date()
    rows = query(
        stack,
        f"SELECT click_id, count(*) AS copies FROM {stack['TableName']} "  # noqa: S608
        f"WHERE day >= '{today - timedelta(days=1)}' AND click_id LIKE '{run}%' GROUP BY click_id",
    )
    return Counter({row["click_id"]: int(row["copies"]) for row in rows})


def patience(stack: Deployment) -> float:
    """Return how many seconds a record may take: Firehose fills its buffers, and tries again."""
    return 900 if stack.executes("firehose-buffering") else 30


def wait_for(stack: Deployment, report: Report, names: Sequence[str], run: str) -> None:
    """Wait until the lake holds all of these clicks."""
    with report.step("Waiting for the lake"):
        until(
            lambda: lake(stack, run).keys() >= set(names),
            seconds=patience(stack),
            what="clicks are not in the lake",
            pause=0.5,
        )


def query(stack: Deployment, sql: str) -> list[dict[str, str]]:
    """Run a query in Athena.

    Raises:
        RuntimeError: it failed; the message says why.
    """
    athena = stack.client("athena")
    query_id = athena.start_query_execution(
        QueryString=sql,
        WorkGroup=stack["WorkGroupName"],
        QueryExecutionContext={"Database": stack["DatabaseName"]},
    )["QueryExecutionId"]

    def status() -> Any:
        return athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]["Status"]

    until(
        lambda: status()["State"] not in ("QUEUED", "RUNNING"),
        seconds=120,
        what="Athena does not answer",
        pause=0.05,
    )
    if status()["State"] != "SUCCEEDED":
        raise RuntimeError(f"Athena: {status().get('StateChangeReason')}\n{sql}")
    pages = athena.get_paginator("get_query_results").paginate(QueryExecutionId=query_id)
    rows = [
        [cell.get("VarCharValue", "") for cell in row["Data"]]
        for page in pages
        for row in page["ResultSet"]["Rows"]
    ]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def bots_are_counted(stack: Deployment, report: Report, sender: Sender, started: datetime) -> None:
    """Compare the bots that were sent with those that the transform's log says it dropped."""
    counted = 0
    for name in ("FunctionName", "TerminalFunctionName"):
        for line in log_lines(stack, stack[name], started):
            if '"message":"Batch"' in line:
                counted += json.loads(line)["dropped_bots"]
    report.check("the log counts every bot that was dropped", counted == sender.bots, counted)
    report.ledger.refused["bot, dropped by rule"] += counted


def log_lines(stack: Deployment, function_name: str, since: datetime) -> Iterator[str]:
    """Yield what a function has logged."""
    configuration = stack.client("lambda").get_function_configuration(FunctionName=function_name)
    pages = (
        stack.client("logs")
        .get_paginator("filter_log_events")
        .paginate(
            logGroupName=configuration["LoggingConfig"]["LogGroup"],
            startTime=int(since.timestamp() * 1000),
        )
    )
    for page in pages:
        for event in page["events"]:
            yield event["message"]


def what_is_not_proven(stack: Deployment, report: Report) -> None:
    """Say what this target does not execute, and which test holds it instead."""
    for gap, promise, test in (
        (
            "firehose-de-aggregation",
            "Firehose takes aggregated records apart before the transform",
            "AWS documents it; here the transform does: test_an_aggregated_record_is_taken_apart",
        ),
        (
            "kinesis-throttling",
            "what Kinesis throttles is sent again, and nothing else",
            "test_only_what_kinesis_did_not_take_is_sent_again",
        ),
        (
            "firehose-buffering",
            "many clicks share an object, and a failed call is tried again",
            "test_the_buffers_are_as_large_as_they_may_be, "
            "test_a_failed_batch_is_tried_again_before_it_is_kept",
        ),
        (
            "firehose-compression",
            "JSON lines are compressed",
            "test_without_columns_the_lake_is_compressed_json_lines",
        ),
        (
            "firehose-source-backup",
            "source records are kept too",
            "test_source_records_are_backed_up_on_request",
        ),
        (
            "firehose-metrics-and-alarms",
            "an alarm says so when records fail or the lake falls behind",
            "test_every_alarm_watches_the_right_resource",
        ),
        (
            "service-roles",
            "Firehose may do what it does",
            "test_firehose_may_do_this_and_nothing_else",
        ),
    ):
        if not stack.executes(gap):
            report.not_proven(promise, test)
