"""The executable promises of the demo stack: every catalog is read, and no message lacks its body.

Knows only the stack's outputs and the AWS APIs, so it runs the same on the embedded AWS and on a
real account. Senders are ``LargeMessages`` and ``LargeNotifications``, as a user would run them.
The ledger counts what a topic delivers once for each subscriber.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from serverless_patterns.lambdas.foundation.large_messages import LargeMessages, LargeNotifications
from serverless_patterns.lambdas.foundation.pointers import KIND, Pointer
from serverless_patterns.sandbox import buckets, queues
from serverless_patterns.sandbox.driver import Driver
from serverless_patterns.sandbox.sender import Event, Reply, single

from ..shop import Shop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from serverless_patterns.sandbox import Deployment
    from serverless_patterns.sandbox.report import Report

SMALL, ALWAYS, ORDERED, SHARED, UPLOADED, POISON, UNLUCKY, ORPHANS = 100, 80, 40, 40, 10, 15, 15, 5
MEBIBYTE = 1024**2
READERS = ("Search", "Prices")  # a function of the stack; and we, by a queue of our own
QUEUED, IN_ORDER, FANNED_OUT = "catalogs/", "in-order/", "shared/"
QUEUES = ("QueueUrl", "FifoQueueUrl", "UploadsQueueUrl", "SearchQueueUrl")
LETTERS = "DeadLetterQueueUrl"


def run(stack: Deployment, report: Report) -> None:
    """Drive every promise of the page through the deployed stack."""
    drive = Driver(stack, report)
    steps = {
        "Catalogs of all sizes, in messages and in S3": of_all_sizes,
        "Uploads that no API has to carry": uploads,
        "Forged pointers, and catalogs that break a rule": refused,
        "The table is unavailable, then returns": outage,
        "Senders and consumers that crash, and the sweep": swept,
    }
    prices = queues.subscribed(stack, drive["TopicArn"], RawMessageDelivery="true")
    with drive.calm_retries(*QUEUES), prices as queue:
        catalogs = Catalogs(drive, Shop("cat"), queue)
        for title, step in steps.items():
            drive.title(title)
            step(drive, catalogs)
        drive.title("Where is every catalog now?")
        drive.drain(*QUEUES)
        drive.judge(catalogs.judge, {by: catalogs.rows(by) for by in ("", *READERS)})
    left = drive.backlog(*(one.replace("Queue", "DeadLetterQueue") for one in QUEUES))
    drive.check("after the redrive no dead letter is left", left == 0, left)
    left = len(catalogs.keys(QUEUED) + catalogs.keys(IN_ORDER))
    drive.check("every body of a queue is deleted, and of no other", left == 0, left)
    kept = len(catalogs.keys(FANNED_OUT))
    promise = "what a topic has sent to several consumers, none of them deletes"
    drive.check(promise, kept >= SHARED, kept)
    drive.latency("LargeMessages.send", drive.sender.seconds)
    drive.not_proven(
        ("sqs-metrics-and-alarms", "alarms, and the metric of the sweep",
         "metrics and dimensions: tests/contracts"),
        ("", "a presigned URL takes no other size or type", "no engine compares it: tests/lambdas"),
        ("", "bodies expire", "no engine applies lifecycle rules: test_construct.py"),
    )  # fmt: skip


class Catalogs:
    """Makes the catalogs of a run, sends them, and reads what became of them."""

    def __init__(self, drive: Driver, shop: Shop, prices: str) -> None:
        self.drive, self.shop, self.bucket = drive, shop, drive["BucketName"]
        self._said: dict[str, tuple[str, str, int]] = {}  # fingerprint and supplier, by the id
        self.queue = self._messages("QueueUrl", QUEUED)
        self.always = self._messages("QueueUrl", QUEUED, threshold=0)
        self.in_order = self._messages("FifoQueueUrl", IN_ORDER, threshold=0)
        where: Any = {"bucket": self.bucket, "prefix": FANNED_OUT, "session": drive}
        self.topic = LargeNotifications(drive["TopicArn"], threshold=0, **where)
        self._prices, self._read = LargeMessages(prices, shared=True, **where), list[Any]()

    def _messages(self, queue: str, prefix: str, **given: Any) -> LargeMessages:
        url = self.drive[queue]
        return LargeMessages(url, bucket=self.bucket, prefix=prefix, session=self.drive, **given)

    def make(self, count: int, size: int = 0, said: int = 0) -> list[Event]:
        """Return catalogs of at least so many bytes; ``said``: a wrong number of parts."""
        return [self._one(size, said) for _ in range(count)]

    def _one(self, size: int, said: int) -> Event:
        number = len(self._said)
        id_, supplier = f"{self.shop.run}-{number:04}", f"supplier-{number % 9}"
        part = {"sku": "BRK-PAD-F", "price": "49.90", "description": "Bremsbelag vorn. " * 100}
        line = json.dumps(part)
        parts = 2 + size // len(line) if size else 0  # of one line, it is JSON as a whole
        head = {"catalog_id": id_, "supplier": supplier, "parts": said or parts}
        body = "\n".join([json.dumps(head), *[line] * parts]).encode()
        self._said[id_] = hashlib.sha256(body).hexdigest(), supplier, parts
        return Event(id_, body)

    def send(self, title: str, call: Callable[..., str], events: list[Event]) -> None:
        """Send catalogs."""
        entry = single(call, lambda event: {"body": event.body, **event.extra})
        self.drive.send(title, entry, events)

    def rows(self, by: str) -> list[dict[str, Any]]:
        """Return this run's catalogs that a reader has; what comes twice and is equal, once."""
        if by != "Prices":
            return self.drive.rows(f"{by}TableName", "begins_with(pk, :text)", self.shop.run)
        while messages := self._prices.receive(wait_seconds=0):
            for message in messages:
                body = message.read()
                row = json.loads(body.splitlines()[0])
                row["fingerprint"] = hashlib.sha256(body).hexdigest()
                self._read += [row] if row not in self._read else []
                message.delete()
        return self._read

    def wait_for(self, events: Iterable[Event], by: str = "") -> None:
        """Wait until a reader has these."""
        ids = {event.id for event in events}
        self.drive.wait_for("they are read", ids, lambda: (r["catalog_id"] for r in self.rows(by)))

    def keys(self, folder: str) -> list[str]:
        """Return the keys of the bodies that are there."""
        return buckets.keys(self.drive.stack, self.bucket, folder)

    def pointers(self) -> dict[str, str]:
        """Return the ids of the catalogs whose bodies are there, by the pointer to each."""
        found = buckets.objects(self.drive.stack, self.bucket, QUEUED)
        sent = self.drive.sender.sent
        return {Pointer(self.bucket, key, 1).body: sent[body] for key, body in found}

    def judge(self, drive: Driver, **tables: Sequence[dict[str, Any]]) -> None:
        """Book every catalog that is stored, and compare what was read with what was sent."""
        for by, rows in tables.items():
            ids = [row["catalog_id"] for row in rows]
            drive.ledger.processed.update(f"{by}: {id_}" if by else id_ for id_ in ids)
            read = [(row["fingerprint"], row["supplier"], row["parts"]) for row in rows]
            found = zip(ids, read, strict=True)
            wrong = [id_ for id_, said in found if self._said.get(id_) != said]
            promise = f"each catalog was read as it was sent{', by ' * bool(by)}{by}"
            drive.check(promise, not wrong, wrong[:6])
        drive.in_turn({row["pk"]: row["read_at"] for row in tables[""] if "read_at" in row})


def of_all_sizes(drive: Driver, catalogs: Catalogs) -> None:
    """Send catalogs of all sizes by every way, and some twice."""
    small, always = catalogs.make(SMALL), catalogs.make(ALWAYS)
    large = [*catalogs.make(3, MEBIBYTE), *catalogs.make(1, 9 * MEBIBYTE)]
    catalogs.send("Catalogs in the message itself", catalogs.queue.send, small)
    catalogs.send("Catalogs in S3, always", catalogs.always.send, always)
    catalogs.send("Catalogs above the threshold, one of them in parts", catalogs.queue.send, large)
    catalogs.send("The same catalogs again", catalogs.always.send, always[:20])
    ordered = [
        Event(one.id, one.body, f"group-{it % 6}", extra={"group_id": f"group-{it % 6}"})
        for it, one in enumerate(catalogs.make(ORDERED))
    ]
    catalogs.send("Catalogs in order", catalogs.in_order.send, ordered)
    shared = [
        Event(one.id, one.body, deliveries=[f"{name}: {one.id}" for name in READERS])
        for one in catalogs.make(SHARED)
    ]
    catalogs.send("Catalogs for several", catalogs.topic.publish, shared)
    catalogs.wait_for([*small, *always, *large, *ordered])
    for name in READERS:
        catalogs.wait_for(shared, name)


def uploads(drive: Driver, catalogs: Catalogs) -> None:
    """Ask the API where to upload to, upload there, and do nothing more."""
    http, url = drive.stack.http, f"{drive['ApiUrl'].rstrip('/')}/uploads"

    def ask(size: object) -> Any:
        asked = json.dumps({"content_type": "application/jsonl", "size": size}).encode()
        return http.post(url, asked, {"Content-Type": "application/json"})

    def upload(events: Sequence[Event]) -> list[Reply]:
        [event] = events
        if (answer := ask(len(event.body))).status != 201:
            return [Reply(str(answer.status), again=answer.status >= 429)]
        said = json.loads(answer.body)
        headers = {name: it for name, it in said["headers"].items() if name != "Content-Length"}
        put = http.post(said["url"], event.body, headers, signed=False, method="PUT")
        return [Reply("" if put.status == 200 else str(put.status), again=put.status >= 500)]

    made = catalogs.make(UPLOADED) + catalogs.make(1, 11 * MEBIBYTE)
    events = [Event(one.id, one.body, group="one client") for one in made]
    drive.send("Uploads, one of them larger than an API takes", upload, events)
    catalogs.wait_for(events)
    statuses = [ask(size).status for size in (0, 2 * 1024 * MEBIBYTE + 1)]
    drive.check("nobody may upload nothing, or more than 2 GB", statuses == [400, 400], statuses)


def refused(drive: Driver, catalogs: Catalogs) -> None:
    """Send what no consumer may read, and what it can make nothing of."""
    wrong = catalogs.make(POISON, said=7)
    drive.drain(*QUEUES)
    catalogs.send("Catalogs that say another number of parts", catalogs.always.send, wrong)
    s3, sqs, bucket = drive.client("s3"), drive.client("sqs"), catalogs.bucket
    victims = [f"{IN_ORDER}victim", f"{QUEUED}{catalogs.shop.run}-victim"]
    for key in victims:
        s3.put_object(Bucket=bucket, Key=key, Body=b"not yours")
    forged = {
        Pointer(f"{bucket}-of-others", f"{QUEUED}any", 7).body: "bucket",
        Pointer(bucket, victims[0], 7).body: "key",
        Pointer(bucket, f"{QUEUED}../{victims[0]}", 7).body: "key",
        Pointer(bucket, f"{QUEUED}%2e%2e/victim", 7).body: "key",
        Pointer(bucket, victims[1], 7).body: "payload_size",
        Pointer(bucket, f"{QUEUED}{catalogs.shop.run}-nobody", 7).body: "payload_gone",
        json.dumps([KIND, {"s3BucketName": bucket}]): "pointer",
    }
    reasons = {f"forged-{number}": why for number, why in enumerate(forged.values())}
    events = [Event(id_, body.encode()) for id_, body in zip(reasons, forged, strict=True)]
    told = {"QueueUrl": drive["QueueUrl"], "MessageAttributes": Pointer("", "", 7).attributes}
    send = single(sqs.send_message, lambda event: told | {"MessageBody": event.body.decode()})
    drive.send("Forged pointers", send, events)
    drive.wait_for_messages("they are dead-lettered", LETTERS, len(events) + POISON)
    drive.drain(*QUEUES)
    there = catalogs.keys(IN_ORDER) + catalogs.keys(QUEUED)
    promise = "what a forged pointer names is neither read nor deleted"
    drive.check(promise, {*victims} <= {*there}, there[:6])
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in victims]})
    known = catalogs.pointers()
    expected = reasons | {event.id: "parts" for event in wrong}
    kept = {*known.values()} >= expected.keys() - reasons.keys()
    drive.check("the body of a dead letter is kept with it", kept, len(known))

    def name(_: str, letter: dict[str, Any]) -> str:
        return known.get(letter["Body"]) or drive.sent_body(_, letter)

    promise = "forged pointers, and catalogs that break a rule, are kept with their reason"
    drive.dead_letters(promise, expected, name, LETTERS)


def outage(drive: Driver, catalogs: Catalogs) -> None:
    """Send while nothing can be stored, and redrive what was dead-lettered."""
    unlucky = catalogs.make(UNLUCKY)
    quick = drive.quick_retries("QueueUrl", attempts=2)
    with quick, drive.table_unavailable("FunctionName"):
        catalogs.send("Catalogs during the outage", catalogs.always.send, unlucky)
        letters = drive.wait_for_messages("the attempts are used up", LETTERS, UNLUCKY)
    known = {*catalogs.pointers().values()}
    promise = "an outage dead-letters the pointers, and keeps their bodies"
    drive.check(promise, letters >= UNLUCKY and {event.id for event in unlucky} <= known, letters)
    drive.redrive(LETTERS, "QueueUrl")
    catalogs.wait_for(unlucky)


def swept(drive: Driver, catalogs: Catalogs) -> None:
    """Leave bodies as crashes do, and sweep them."""
    drive.drain(*QUEUES)
    any_age, marks = {"older_than_seconds": -60}, f"payload#{QUEUED}"
    rows = drive.rows("TableName", "begins_with(pk, :text)", marks)
    done = {row["pk"].removeprefix("payload#") for row in rows}
    # Consumers crashed when they had deleted the message, senders before they had sent the pointer.
    of_senders = [f"{QUEUED}{catalogs.shop.run}-{number}" for number in range(ORPHANS)]
    for key in [*sorted(done)[:ORPHANS], *of_senders]:
        drive.client("s3").put_object(Bucket=catalogs.bucket, Key=key, Body=b"x")
    there = {*catalogs.keys(QUEUED)}
    found = sweep(drive, **any_age)
    promise = "the sweep deletes the bodies whose work is done, and no other"
    right = found == len(there & done) >= ORPHANS and {*catalogs.keys(QUEUED)} == there - done
    drive.check(promise, right, found)
    found = sweep(drive, **any_age, kept_seconds=-60)
    promise = "the sweep deletes the bodies that are older than any message"
    drive.check(promise, found == len(there - done) and not catalogs.keys(QUEUED), found)
    again = sweep(drive, **any_age, kept_seconds=-60)
    drive.check("a second sweep finds nothing", again == 0, again)


def sweep(drive: Driver, **event: int) -> int:
    """Run the sweep; return how many bodies it found."""
    return int(drive.call("SweepFunctionName", event).get("found", -1))
