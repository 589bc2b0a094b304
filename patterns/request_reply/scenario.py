"""The executable promises of the demo stack: each caller gets its own answer, or is told why not.

Knows only the stack's outputs and the AWS APIs, so it runs the same on the embedded AWS and on a
real account. The requesters are in this process, as in a web shop; the responders of the fleet are
processes of their own.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections import Counter
from threading import Timer
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from serverless_patterns.lambdas.foundation import replies
from serverless_patterns.lambdas.request_reply import logic, quotes
from serverless_patterns.sandbox import programs
from serverless_patterns.sandbox.driver import Driver
from serverless_patterns.sandbox.report import some
from serverless_patterns.sandbox.sender import Event, Reply, single

from ..shop import Document, Shop, as_json
from .client import NoAnswerError, RejectedError, Requester

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from serverless_patterns.sandbox import Deployment
    from serverless_patterns.sandbox.report import Report

AT_ONCE, BY_THREADS, IN_ORDER, POISON, UNLUCKY, STRAY = 1000, 200, 200, 15, 20, 4
HOUR = 3600
QUEUE, LETTERS, FUNCTION = "QueueUrl", "DeadLetterQueueUrl", "FunctionName"
QUEUES = (QUEUE, f"Fleet{QUEUE}")


def run(stack: Deployment, report: Report) -> None:
    """Drive every promise of the page through the deployed stack."""
    drive = Driver(stack, report)
    with drive.calm_retries(*QUEUES), requester(drive) as first, requester(drive) as second:
        calls = Calls(drive, Shop("rpc"), first)
        drive.title("A thousand calls at once, over one answer queue")
        at_once(drive, calls)
        drive.title("Calls of threads, the same ones again, and other ones under their ids")
        again(drive, calls, second)
        drive.title("Requests that the shop refuses, and forged addresses")
        refused(drive, calls)
        drive.title("Answers that are late, come twice, or are for nobody")
        strays(drive, calls)
        drive.title("The table is unavailable, then returns")
        outage(drive, calls)
        drive.title("Requesters that are gone, and the sweep")
        swept(drive, calls)
    with requester(drive, "Fleet") as fleet:
        drive.title("Responders in processes, one of which is killed")
        killed(drive, Calls(drive, calls.shop, fleet))

    drive.title("Where is every request now?")
    drive.drain(*QUEUES)
    rows = {name: [*calls.done(name).values()] for name in ("TableName", "FleetTableName")}
    drive.judge(judge, rows)
    left = queues_of(drive) + queues_of(drive, "Fleet")
    drive.check("a requester that ends deletes its answer queue", not left, left)
    drive.latency("Requester.call", drive.sender.seconds)
    drive.not_proven(
        ("", "what each role may do", "policies: tests/contracts, tests/request_reply"),
        ("", "alarms, and the metric of the sweep", "metrics and dimensions: tests/contracts"),
    )


def requester(drive: Driver, name: str = "", **settings: Any) -> Requester:
    """Return a requester of one of the two queues."""
    return Requester(drive[f"{name}{QUEUE}"], drive[f"{name}Answers"], session=drive, **settings)


def queues_of(drive: Driver, name: str = "") -> list[str]:
    """Return the URLs of the answer queues that there are."""
    prefix = json.loads(drive[f"{name}Answers"])["prefix"]
    found: list[str] = drive.client("sqs").list_queues(QueueNamePrefix=prefix).get("QueueUrls", [])
    return found


class Calls:
    """Makes the requests of a run, and calls with them."""

    def __init__(self, drive: Driver, shop: Shop, by: Requester) -> None:
        self.drive, self.shop, self.by, self._made = drive, shop, by, 0

    def make(self, count: int, **fields: Any) -> list[Event]:
        """Return requests for quotes, each with the id of its own."""
        skus, events = list(logic.PRICES), []
        for _ in range(count):
            self._made += 1
            number = self._made
            asked: Document = {"sku": skus[number % len(skus)], "quantity": 1 + number % 90}
            id_ = f"{self.shop.run}-{self.by.name[-4:]}-{number:04}"
            asked |= {"customer_id": f"customer-of-{id_}", **fields}
            events.append(Event(id_, as_json(asked)))
        return events

    def entry(self, by: Requester | None = None, **given: Any) -> Callable[..., list[Reply]]:
        """Return what calls with one event, and says what it was told."""

        def call(events: Sequence[Event]) -> list[Reply]:
            [event] = events
            asked = {"request_id": event.id, **given, **event.extra}
            return [self._told(lambda: (by or self.by).call(json.loads(event.body), **asked))]

        return call

    def _told(self, call: Callable[[], Any]) -> Reply:
        try:
            return Reply(value=call())
        except RejectedError as error:  # SQS has taken it
            return Reply(value=error)
        except NoAnswerError as error:
            return Reply(error.reason, again=True)
        except (ClientError, BotoCoreError) as error:
            return Reply(type(error).__name__, again=True)

    def all_at_once(self, events: Sequence[Event]) -> list[Reply]:
        """Call with all of them at the same time, in one event loop."""

        async def each() -> list[Any]:
            calls = (self.by.call_async(json.loads(one.body), request_id=one.id) for one in events)
            return await asyncio.gather(*calls)

        return [Reply(value=told) for told in asyncio.run(each())]

    def send(self, title: str, events: Sequence[Event], **given: Any) -> list[Any]:
        """Call with requests, and return what each was told: its result, or its rejection."""
        return [one.value for one in self.drive.send(title, self.entry(**given), events)]

    def arguments(self, event: Event, seconds: float = HOUR) -> dict[str, Any]:
        """Return the arguments that send a request past a requester, with any address."""
        to, until = event.extra.get("to", self.by.name), time.time() + seconds
        return {
            "QueueUrl": self.drive[QUEUE],
            "MessageBody": event.body.decode(),
            "MessageAttributes": replies.attributes(to, event.id, until),
        }

    def raw(self, *events: Event) -> None:
        """Send requests past a requester."""
        send = self.drive.client("sqs").send_message
        self.drive.send("Requests past the requester", single(send, self.arguments), events)

    def done(self, table: str = "TableName") -> dict[str, Document]:
        """Return this run's quotes that a table has, by their ids."""
        found = self.drive.rows(table, "begins_with(pk, :text)", self.shop.run)
        return {row["pk"]: row for row in found}

    def check(self, promise: str, events: Sequence[Event], told: Sequence[Any]) -> None:
        """Check that each caller was told the answer to its own request."""
        wrong = [
            one.id
            for one, it in zip(events, told, strict=True)
            if not isinstance(it, dict)
            or not json.loads(one.body).items() <= it.items()
            or [it["quote_id"], it["unit_price"], it["total"]] != [one.id, *costs(it)]
        ]
        self.drive.check(promise, not wrong, wrong[:6])


def at_once(drive: Driver, calls: Calls) -> None:
    """Call a thousand times in one event loop."""
    events = calls.make(AT_ONCE)
    told = drive.send("Calls at once", calls.all_at_once, events, batch=AT_ONCE)
    promise = "a thousand calls at once are each told their own answer, over one queue"
    calls.check(promise, events, [one.value for one in told])
    found = calls.by.counts["answered"], len(queues_of(drive))
    drive.check("each requester has one answer queue", found == (AT_ONCE, 2), found)


def again(drive: Driver, calls: Calls, other: Requester) -> None:
    """Call from threads, from another process's requester again, and with another document."""
    events = calls.make(BY_THREADS)
    told = calls.send("Calls of threads", events)
    calls.check("calls of threads are each told their own answer", events, told)
    same = calls.send("The same calls by another requester", events[:50], by=other)
    drive.check("the same request again has the same answer", same == told[:50])
    others = [
        Event(f"{one.id}-other", two.body, extra={"request_id": one.id})
        for one, two in zip(events, calls.make(STRAY), strict=False)
    ]
    reasons = [getattr(one, "reason", one) for one in calls.send("Others under their ids", others)]
    promise = "another request under the id of one is rejected"
    drive.check(promise, reasons == ["conflict"] * STRAY, reasons)
    drive.wait_for_messages("they are dead-lettered", LETTERS, STRAY)
    expected = {one.id: "conflict" for one in others}
    drive.dead_letters("they are kept with that reason", expected, drive.sent_body, LETTERS)


def refused(drive: Driver, calls: Calls) -> None:
    """Ask for parts that there are not, and for answers to queues of others."""
    wrong = calls.make(POISON, sku="NO-PART")
    told = calls.send("Requests for parts that there are not", wrong)
    reasons = [getattr(one, "reason", one) for one in told]
    drive.check("a refused request is answered with why", reasons == ["sku"] * POISON, reasons)
    sqs, victim, own = drive.client("sqs"), f"{calls.shop.run}-victim", calls.by.name
    url = sqs.create_queue(QueueName=victim)["QueueUrl"]
    forged = [victim, url, f"{own}/../{victim}", own[:-1], drive[QUEUE].rpartition("/")[2], "-"]
    events = [
        Event(one.id, one.body, extra={"to": to})
        for one, to in zip(calls.make(len(forged)), forged, strict=True)
    ]
    calls.raw(*events)
    drive.wait_for_messages("they are dead-lettered", LETTERS, POISON + len(forged))
    expected = {one.id: "sku" for one in wrong} | {one.id: "reply_to" for one in events}
    promise = "refused requests, and those with a forged address, are kept with their reason"
    drive.dead_letters(promise, expected, drive.sent_body, LETTERS)
    found = sqs.receive_message(QueueUrl=url).get("Messages", [])
    drive.check("nothing is sent to a queue that a forged address names", not found, found)
    sqs.delete_queue(QueueUrl=url)


def strays(drive: Driver, calls: Calls) -> None:
    """Have answers sent that no call waits for."""
    before = calls.by.counts.copy()
    late, twice, unknown, gone, expired = (calls.make(STRAY) for _ in range(5))
    given_up = [calls.entry(timeout=0.001)([one])[0].refusal for one in late]
    drive.check("a call without an answer ends in time", given_up == ["timeout"] * STRAY, given_up)
    calls.send("Calls", twice)
    calls.raw(*late, *twice, *unknown)
    wanted = dict.fromkeys(("late", "duplicate", "nobody"), STRAY)
    promise = "answers that are late, come twice or are for nobody are dropped and counted"
    drive.eventually(promise, lambda: calls.by.counts - before >= Counter(wanted))
    nobody = calls.by.name[: -replies.NAME_LENGTH] + "0" * replies.NAME_LENGTH
    calls.raw(*(Event(one.id, one.body, extra={"to": nobody}) for one in gone))
    drive.wait_for("they are worked on", {one.id for one in gone}, calls.done)
    for one in expired:
        drive.client("sqs").send_message(**calls.arguments(one, seconds=-1))
    drive.drain(QUEUE)
    done = {one.id for one in expired} & calls.done().keys()
    drive.check("what nobody waits for any more is not worked on", not done, done)
    left = drive.backlog(LETTERS)
    drive.check("a requester that is gone dead-letters nothing", left == 0, left)


def outage(drive: Driver, calls: Calls) -> None:
    """Call while nothing can be stored, and again with the same ids when it can."""
    unlucky = calls.make(UNLUCKY)
    with drive.table_unavailable(FUNCTION):
        told = [calls.entry(timeout=3)([one])[0].refusal for one in unlucky[:3]]
    drive.check("in an outage callers are told in time", told == ["timeout"] * 3, told)
    told = calls.send("The same calls, and others, after the outage", unlucky, timeout=15)
    calls.check("calls again after an outage are answered, each with one effect", unlucky, told)


def swept(drive: Driver, calls: Calls) -> None:
    """Leave answer queues as crashes do, sweep them, and delete the one that is in use."""
    sqs, told = drive.client("sqs"), json.loads(drive["Answers"])
    old = {replies.HEARTBEAT: str(int(time.time()) - HOUR)}
    for number in range(STRAY):
        name = f"{told['prefix']}{number:016x}"
        sqs.create_queue(QueueName=name, Attributes=told["attributes"], tags=old)
    found = [drive.call("SweepFunctionName", {}).get("found") for _ in range(2)]
    promise = "the sweep deletes the queues of requesters that are gone, and no other"
    drive.check(promise, [*found, len(queues_of(drive))] == [STRAY, 0, 2], found)
    name = calls.by.name
    sqs.delete_queue(QueueUrl=next(it for it in queues_of(drive) if name in it))
    drive.wait("the requester has another queue", lambda: calls.by.name != name)
    events = calls.make(1)
    promise = "a requester whose queue was deleted makes another"
    calls.check(promise, events, calls.send("A call over it", events))


def killed(drive: Driver, calls: Calls) -> None:
    """Let processes answer, and kill one in the midst."""

    def responder() -> Any:
        return programs.running(
            drive.stack.target,
            quotes,
            QUEUE_URL=drive[f"Fleet{QUEUE}"],
            DEAD_LETTER_QUEUE_URL=drive[f"Fleet{LETTERS}"],
            ANSWERS_URL=drive["FleetAnswersUrl"],
            TABLE_NAME=drive["FleetTableName"],
        )

    with responder() as first, responder():
        drive.wait("a responder is ready", lambda: bool(first.said("Loop")))
        events = [
            Event(one.id, one.body, extra={"group": f"g-{number % 20}"})
            for number, one in enumerate(calls.make(IN_ORDER))
        ]
        kill = Timer(0.5, os.kill, (first.said("Loop")[0]["pid"], signal.SIGKILL))
        kill.start()
        told = calls.send("Calls while one of two responders is killed", events)
        kill.join()
    promise = "a responder that is killed loses no request: each has one effect, and its answer"
    calls.check(promise, events, told)


def judge(drive: Driver, **tables: Sequence[Document]) -> None:
    """Book every quote that is stored, and compare it with what was asked for."""
    rows = [row for table in tables.values() for row in table]
    drive.ledger.processed.update(row["pk"] for row in rows)
    drive.as_sent("each quote is what was asked for", [(row["pk"], row) for row in rows])
    wrong = [row["pk"] for row in rows if [row["unit_price"], row["total"]] != costs(row)]
    drive.check("each quote costs what its parts cost", not wrong, some(wrong))


def costs(asked: Document) -> list[str]:
    """Return the price of a part and of all that are asked for, counted in cents."""
    price = logic.PRICES.get(asked["sku"], "0")
    return [price, f"{int(price.replace('.', '')) * int(asked['quantity']) / 100:.2f}"]
