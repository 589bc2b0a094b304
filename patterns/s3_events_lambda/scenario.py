"""The executable promises of the demo stack: every upload is read once, and the latest one counts.

Knows only the stack's outputs and the AWS APIs, so it runs the same on the embedded AWS and on a
real account. In the ledger an upload is processed when its version has a result, also the result
that it was gone before anybody could read it.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from serverless_patterns.sandbox import buckets, outages
from serverless_patterns.sandbox.driver import Driver
from serverless_patterns.sandbox.sender import Event, Reply, single

from ..shop import Shop

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from serverless_patterns.sandbox import Deployment
    from serverless_patterns.sandbox.report import Report

LISTS, VERSIONS, DROPPED, UNLUCKY, POISON = 500, 8, 10, 20, 20
# What breaks a key that is not decoded, or decoded twice; each is a folder of a supplier.
STRANGE = (
    "with blank", "a+b", "a%2Bb", "100%", "Müller & Söhne", "部品", "🚗", "q?x=1", 'a"b', "c#d=e",
    "a&b;c", "tab~!'()*",
)  # fmt: skip


def run(stack: Deployment, report: Report) -> None:
    """Drive every promise of the page through the deployed stack."""
    drive = Driver(stack, report)
    uploads = Uploads(drive, Shop("prl"))
    with drive.calm_retries("QueueUrl"):
        drive.title("Uploads: blanks, plus signs, other scripts, long, empty, in parts")
        good_uploads(drive, uploads)
        drive.title("Offers, whose events come through EventBridge")
        offers(drive, uploads)
        drive.title("Corrections, for which S3 invokes the function itself")
        corrections(drive, uploads)
        drive.title("Many uploads to one key, and events that come again and in another order")
        several_versions(drive, uploads)
        drive.title("Objects that are gone or overwritten before their events are read")
        late_consumer(drive, uploads)
        drive.title("Lists that break a rule")
        poison(drive, uploads)
        drive.title("The table is unavailable, then returns")
        outage(drive, uploads)
        drive.title("Events that were dropped on purpose, and the sweep")
        swept(drive, uploads)

    drive.title("Where is every upload now?")
    drive.drain("QueueUrl", "OffersQueueUrl")
    results = uploads.results()
    drive.judge(judge_results, {"results": results})
    read = sum(row["state"] == "read" for row in results)
    reports = len(buckets.keys(stack, drive["BucketName"], "reports/"))
    promise = "each result has its report in the same bucket, and no report invoked the consumer"
    drive.check(promise, reports >= read and not drive.rows("TableName", *OF_REPORTS), reports)
    drive.check("the queue is empty", drive.backlog("QueueUrl") == 0)
    left = drive.backlog("DeadLetterQueueUrl")
    drive.check("after the redrive no dead letter is left", left == 0, left)
    drive.latency("PutObject", drive.sender.seconds)
    drive.not_proven(
        ("", "alarms, and the metric of the sweep", "metrics and dimensions: tests/contracts"),
        (
            "",
            "S3 may send to the queue for this bucket alone",
            "policies: tests/permissions, test_construct",
        ),
    )


OF_REPORTS = ("begins_with(pk, :text)", "reports/")


class Uploads:
    """Uploads price lists, and knows each by the version that S3 gave it."""

    def __init__(self, drive: Driver, shop: Shop) -> None:
        self.drive, self.shop = drive, shop
        self.events: dict[tuple[str, str], str] = {}  # an upload's id by its key and version
        s3, bucket = drive.client("s3"), {"Bucket": drive["BucketName"]}
        self.put = single(
            s3.put_object, lambda event: bucket | {"Key": event.extra["key"], "Body": event.body}
        )

    def send(self, title: str, keys: Sequence[str], put: Any = None, **same: Any) -> list[str]:
        """Upload a list to each key, and return the versions."""
        bodies = [same.get("body") for _ in keys]
        events = [
            Event(
                f"{quote_plus(key, safe='/')}" if key not in keys[:n] else f"{key}#{n}",
                self.shop.price_list() if body is None else body,
                group=key,
                extra={"key": key},
            )
            for n, (key, body) in enumerate(zip(keys, bodies, strict=True))
        ]
        replies = self.drive.send(title, put or self.put, events)
        versions = [reply.value["VersionId"] for reply in replies]
        for event, key, reply in zip(events, keys, replies, strict=True):
            # A rule of the embedded AWS does not say the version.
            self.events[key, reply.value["VersionId"]] = event.id
            self.events[key, f"etag-{reply.value['ETag'].strip(chr(34))}"] = event.id
        return versions

    def key(self, *parts: object, folder: str = "price-lists") -> str:
        """Return a key of this run."""
        return "/".join([folder, self.shop.run, *map(str, parts)]) + ".csv"

    def rows(self) -> list[dict[str, Any]]:
        """Return this run's items."""
        return self.drive.rows("TableName", "contains(pk, :text)", self.shop.run)

    def results(self) -> list[dict[str, Any]]:
        """Return the results of versions, each with its upload's id."""
        return [
            row | {"event": self.events.get((row["pk"], row["sk"][8:]), row["pk"])}
            for row in self.rows()
            if row["sk"].startswith("version#") and row["state"] != "refused"
        ]

    def current(self) -> dict[str, str]:
        """Return the version that counts for each key."""
        return {row["pk"]: row["version"] for row in self.rows() if row["sk"] == "current"}

    def wait_for(self, title: str, keys: Iterable[str], versions: Iterable[str]) -> None:
        """Wait until each version has a result."""
        wanted = {f"{key} {version}" for key, version in zip(keys, versions, strict=True)}
        self.drive.wait_for(
            title, wanted, lambda: [f"{row['pk']} {row['sk'][8:]}" for row in self.rows()]
        )

    def message(self, *rows: dict[str, Any]) -> bytes:
        """Return the notification of versions again, as S3 sends it at times."""
        name = {"name": self.drive["BucketName"]}
        records = [
            {
                "eventName": "ObjectCreated:Put",
                "eventTime": "2026-11-26T12:00:00.000Z",
                "s3": {
                    "bucket": name,
                    "object": {
                        "key": quote_plus(row["pk"], safe="/"),
                        "versionId": row["sk"][8:],
                        "sequencer": row["sequencer"],
                    },
                },
            }
            for row in rows
        ]
        return json.dumps({"Records": records}).encode()


def good_uploads(drive: Driver, uploads: Uploads) -> None:
    """Upload to keys of all kinds; each is read under its own name."""
    plain = [uploads.key(f"supplier-{number % 40}", number) for number in range(LISTS)]
    strange = [uploads.key(name, "list") for name in STRANGE]
    longest = uploads.key("ü" * 400)
    strange.append(longest.replace("ü", "x" * (1026 - len(longest.encode())), 1))
    versions = uploads.send("Lists", plain)
    versions += uploads.send("Lists with strange keys", strange)
    keys = plain + strange
    keys.append(uploads.key("empty"))
    versions += uploads.send("An empty object", keys[-1:], body=b"")
    keys.append(uploads.key("in-parts"))
    versions += uploads.send("A multipart upload", keys[-1:], in_parts(drive))
    uploads.wait_for("all of them are read", keys, versions)
    found = {row["pk"]: row for row in uploads.results()}
    promise = (
        "keys with blanks, plus signs and other scripts, and the longest, are read as uploaded"
    )
    drive.check(promise, all(found[key]["state"] == "read" for key in strange))
    promise = "an empty object is a list without lines, and a multipart upload one upload"
    ends = found[keys[-2]]["lines"], found[keys[-1]]["lines"]
    drive.check(promise, ends == (0, 5), ends)


def offers(drive: Driver, uploads: Uploads) -> None:
    """Upload to the same strange keys in another folder, which a rule watches."""
    keys = [uploads.key(name, "offer", folder="offers") for name in STRANGE]
    uploads.send("Offers with strange keys", keys)
    drive.wait_for("all of them are read", set(keys), uploads.current)
    states = {row["pk"]: row["state"] for row in uploads.rows() if row["sk"] == "current"}
    promise = "through EventBridge the same keys are read as uploaded"
    drive.check(promise, all(states[key] == "read" for key in keys))


def corrections(drive: Driver, uploads: Uploads) -> None:
    """Upload good corrections and wrong ones, and good ones during an outage, and redrive these."""

    def put(title: str, names: Iterable[Any], **same: Any) -> tuple[list[str], list[str]]:
        keys = [uploads.key(name, "correction", folder="corrections") for name in names]
        return keys, uploads.send(title, keys, **same)

    good, versions = put("Corrections with strange keys", STRANGE)
    uploads.wait_for("all of them are read", good, versions)
    wrong, _ = put("Corrections with a wrong price", range(5), body=b"SKU-1,1.2.3,EUR\n")
    drive.wait_for_messages("they are recorded", "FailureQueueUrl", 5)
    promise = "what the function fails is recorded after its retries"
    drive.dead_letters(promise, dict.fromkeys(wrong, ""), event_of, "FailureQueueUrl")
    with drive.table_unavailable("CorrectionsFunctionName"):
        late, versions = put("Corrections during an outage", range(10, 15))
        drive.wait_for_messages("the retries are used up", "FailureQueueUrl", 5)
    done = drive.redrive_letters("FailureQueueUrl")
    uploads.wait_for("after the redrive they are read", late, versions)
    promise = "an outage longer than the retries loses no event: the redrive sends each again"
    drive.check(promise, done.good, done.lines())


def in_parts(drive: Driver) -> Any:
    """Return the entry of a multipart upload, of one part: only the last may be small."""
    s3 = drive.client("s3")

    def upload(events: Sequence[Event]) -> list[Reply]:
        [event] = events
        where = {"Bucket": drive["BucketName"], "Key": event.extra["key"]}
        part = where | {"UploadId": s3.create_multipart_upload(**where)["UploadId"]}
        etag = s3.upload_part(**part, PartNumber=1, Body=event.body)["ETag"]
        parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
        return [Reply(value=s3.complete_multipart_upload(**part, MultipartUpload=parts))]

    return upload


def several_versions(drive: Driver, uploads: Uploads) -> None:
    """Upload to the same keys again and again; repeat the events, the oldest last."""
    keys = [uploads.key("weekly", number % 10) for number in range(10 * VERSIONS)]
    versions = uploads.send("Lists to ten keys", keys)
    uploads.wait_for("all of them are read", keys, versions)
    latest = dict(zip(keys, versions, strict=True))
    drive.drain("QueueUrl")
    ours = [row for row in uploads.results() if row["pk"] in latest]
    before = len(ours), {key: uploads.current().get(key) for key in latest}
    oldest_last = sorted(ours, key=lambda row: row["sequencer"], reverse=True)
    drive.redeliver("FunctionName", [uploads.message(row) for row in oldest_last])
    drive.redeliver("FunctionName", [uploads.message(*oldest_last[:30])] * 2)
    after = (
        len([row for row in uploads.results() if row["pk"] in latest]),
        {key: uploads.current().get(key) for key in latest},
    )
    promise = "the latest upload of a key counts, in whatever order and how often events come"
    drive.check(promise, before == after and after[1] == latest)


def late_consumer(drive: Driver, uploads: Uploads) -> None:
    """Delete versions, and overwrite others, while nobody reads the queue."""
    s3, bucket = drive.client("s3"), drive["BucketName"]
    gone = [uploads.key("gone", number) for number in range(5)]
    over = [uploads.key("over", number % 5) for number in range(10)]
    removed = [uploads.key("removed", number) for number in range(5)]
    mapping = drive.client("lambda").list_event_source_mappings(FunctionName=drive["FunctionName"])
    uuid = mapping["EventSourceMappings"][0]["UUID"]
    with outages.mapping_disabled(drive.stack, uuid, drive["QueueUrl"]):
        versions = uploads.send("Lists that are deleted before they are read", gone)
        for key, version in zip(gone, versions, strict=True):
            s3.delete_object(Bucket=bucket, Key=key, VersionId=version)
        uploads.send("Lists that are overwritten before they are read", over)
        uploads.send("Lists that are removed before they are read", removed)
        for key in removed:
            s3.delete_object(Bucket=bucket, Key=key)
    states = {(row["pk"], row["sk"]): row["state"] for row in uploads.rows()}
    promise = (
        "what was deleted before its event was read is recorded as gone, and dead-letters nothing"
    )
    of_gone = [state for (key, _), state in states.items() if key in gone]
    drive.check(promise, of_gone == ["gone"] * 5, of_gone)
    promise = "an overwritten version is read all the same, and the later one counts"
    of_over = [state for (key, kind), state in states.items() if key in over and kind != "current"]
    drive.check(promise, of_over == ["read"] * 10, of_over)
    promise = "a key whose object was removed counts as removed"
    drive.check(promise, all(states.get((key, "current")) == "removed" for key in removed))


def poison(drive: Driver, uploads: Uploads) -> None:
    """Upload what is no price list."""
    keys = [uploads.key("wrong", number) for number in range(POISON)]
    uploads.send("Lists with a wrong price", keys, body=b"SKU-1,1.2.3,EUR\n")
    drive.wait_for_messages("they are dead-lettered", "DeadLetterQueueUrl", POISON)
    drive.drain("QueueUrl")
    promise = "a list that breaks a rule is kept as its event, with the reason"
    drive.dead_letters(promise, dict.fromkeys(keys, "amount"), event_of, "DeadLetterQueueUrl")


def event_of(_: str, message: dict[str, Any]) -> str:
    """Return the id of the upload that a dead letter is about."""
    try:
        body = json.loads(message["Body"])
        [record] = body.get("requestPayload", body)["Records"]
        key: str = record["s3"]["object"]["key"]
    except (ValueError, KeyError):
        return str(message["Body"])[:60]
    return key


def outage(drive: Driver, uploads: Uploads) -> None:
    """Upload while no result can be stored, and redrive what was dead-lettered."""
    keys = [uploads.key("unlucky", number) for number in range(UNLUCKY)]
    with (
        drive.quick_retries("QueueUrl", attempts=2),
        drive.table_unavailable("FunctionName"),
    ):
        versions = uploads.send("Lists during the outage", keys)
        letters = drive.wait_for_messages(
            "the attempts are used up", "DeadLetterQueueUrl", len(keys)
        )
    promise = "an outage of the table dead-letters the events, and loses none"
    drive.check(promise, letters >= len(keys), letters)
    drive.redrive("DeadLetterQueueUrl", "QueueUrl")
    uploads.wait_for("they are read after all", keys, versions)


def swept(drive: Driver, uploads: Uploads) -> None:
    """Upload while the bucket notifies nobody; the sweep finds it, once."""
    lists = [uploads.key("silent", number) for number in range(DROPPED)]
    straight = [uploads.key("silent", number, folder="corrections") for number in range(DROPPED)]
    keys = lists + straight
    with outages.bucket_notifies_nobody(drive.stack, drive["BucketName"]):
        versions = uploads.send("Lists and corrections that nobody announces", keys)
    drive.drain("QueueUrl")
    silent = {key for key, _ in uploads.current().items() if key in keys}
    first, direct = sweep(drive), sweep(drive, "CorrectionsSweepFunctionName")
    promise = f"the sweep finds the {DROPPED} uploads that no event announced, and nothing else"
    drive.check(promise, not silent and first == DROPPED, first)
    promise = "so does the sweep of what S3 hands to a function itself"
    drive.check(promise, direct == DROPPED, direct)
    uploads.wait_for("they are read", keys, versions)
    drive.drain("QueueUrl")
    again = sweep(drive), sweep(drive, "CorrectionsSweepFunctionName")
    drive.check("a second sweep finds nothing", again == (0, 0), again)


def sweep(drive: Driver, function: str = "SweepFunctionName") -> int:
    """Run a sweep over objects of any age; return how many it found."""
    return int(drive.call(function, {"older_than_seconds": -60}).get("found", -1))


def judge_results(drive: Driver, results: Sequence[dict[str, Any]]) -> None:
    """Book every version that has a result, and compare what was read with what was uploaded."""
    drive.ledger.processed.update(row["event"] for row in results)
    events = drive.sender.events
    wrong = [
        row["event"]
        for row in results
        if row["state"] == "read"
        and row["event"] in events
        and (row["fingerprint"], row["lines"])
        != (hashlib.sha256(body := events[row["event"]].body).hexdigest(), len(body.splitlines()))
    ]
    drive.check("each version was read as it was uploaded", not wrong, wrong[:6])
