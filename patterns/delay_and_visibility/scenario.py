"""The executable promises of the demo stack: what waits comes in its time, and only what failed.

Knows only the stack's outputs and the AWS APIs, so it runs the same on the embedded AWS and on a
real account. The workers are processes on this machine, as a container would run them.
"""

from __future__ import annotations

import json
import os
import signal
import time
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from serverless_patterns.lambdas.delay_and_visibility import importer
from serverless_patterns.sandbox import outages, programs
from serverless_patterns.sandbox.driver import Driver
from serverless_patterns.sandbox.sender import Event, batch

from ..shop import Document, Shop, as_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager

    from serverless_patterns.sandbox import Deployment
    from serverless_patterns.sandbox.report import Report

ORDERS = 500
DELAY, LONGER, LATER = 5, 10, 12  # seconds: of the queue, of a message, of a schedule
GROWN = 3  # attempts whose delays are compared
HIDDEN = 4  # seconds that a worker's job stays hidden after a heartbeat
CLOCK = 0.2  # seconds between the clocks of a log and of SQS
NEVER = 900  # seconds, the longest delay of a queue: longer than anything here is waited for
MINUTE = 0.25  # seconds of a minute: a job of 40 minutes takes 10 s
QUEUE, LETTERS, FUNCTION = "QueueUrl", "DeadLetterQueueUrl", "FunctionName"
JOBS = "JobQueueUrl"
QUEUES = (QUEUE, f"Fifo{QUEUE}")


def run(stack: Deployment, report: Report) -> None:
    """Drive every promise of the page through the deployed stack."""
    shop, drive = Shop("dly"), Driver(stack, report)
    drive.title("A queue that delays, and messages with a delay of their own")
    delays(drive, shop)
    drive.title("Orders, some twice, some wrong")
    orders = shop.orders(ORDERS)
    wrong = [one | {"total": f"1{one['total']}"} for one in shop.orders(10)]
    place(drive, "Orders", QUEUE, orders)
    place(drive, "Orders again", QUEUE, orders[:50])
    place(drive, "Orders whose total is wrong", QUEUE, wrong)
    drive.drain(QUEUE)
    reasons = {one["order_id"]: "total" for one in wrong}
    promise = "what no retry can fix is kept with its reason"
    drive.dead_letters(promise, reasons, drive.sent_body, LETTERS)

    drive.title("The British warehouse closes, then opens again")
    growing(drive, shop)
    drive.title("It stays closed; in a FIFO queue a group waits behind its first message")
    used_up(drive, shop, meanwhile=fifo)
    drive.title("Jobs of forty minutes, in workers that are killed and stopped")
    workers(drive, shop)

    drive.title("Where is every order and every job now?")
    drive.drain(*QUEUES, JOBS)
    found = {name: stored(drive, shop, f"{name}TableName") for name in ("", "Fifo", "Job")}
    drive.judge(judge, {"orders": found[""], "in_order": found["Fifo"], "jobs": found["Job"]})
    drive.not_proven(
        ("", "SQS rejects more than twelve hours since the receive",
         "the code never asks for it: test_workers.py; the construct: test_construct.py"),
        ("", "a new delay of a FIFO queue is that of messages in it, too", "AWS documents it"),
        ("scheduler-dead-letters", "what Scheduler cannot send is a dead letter",
         "the template in test_construct.py, the grants in tests/contracts"),
        ("service-roles", "Scheduler may send to the queue with the schedules' role",
         "policies: tests/contracts"),
        ("", "alarms", "metrics and dimensions: test_construct.py, tests/contracts"),
    )  # fmt: skip


def place(drive: Driver, title: str, queue: str, orders: Sequence[Document]) -> None:
    """Send orders to a queue at once; the group of a FIFO queue is the customer."""
    send, fifo = drive.client("sqs").send_message_batch, queue != QUEUE

    def entry(event: Event) -> dict[str, Any]:
        group = {"MessageGroupId": event.extra["customer"]} if fifo else {}
        return {"MessageBody": event.body.decode(), **group}

    events = [
        Event(
            one["order_id"],
            as_json(one),
            group=one["customer_id"] if fifo else "",
            extra={"customer": one["customer_id"]},
        )
        for one in orders
    ]
    drive.send(title, batch(send, "Entries", entry, QueueUrl=drive[queue]), events, batch=10)


def send_later(drive: Driver, prefix: str, orders: Sequence[tuple[Document, float | None]]) -> None:
    """Let the stack's sender send orders, each after so many seconds; book what it accepted."""
    fifo = bool(prefix)
    given = [
        {"order": one, "delay_seconds": after, "group": one["customer_id"] if fifo else None}
        for one, after in orders
    ]
    for one, _ in orders:
        event = Event(one["order_id"], as_json(one))
        drive.sender.events[event.id] = event
    results = drive.call(f"{prefix}SendFunctionName", {"orders": given})["results"]
    for id_, result in results.items():
        drive.ledger.book(id_, result.get("reason", ""))


def stored(drive: Driver, shop: Shop, table: str) -> list[Document]:
    """Return what a table has of this run."""
    return drive.rows(table, "begins_with(pk, :text)", shop.run)


def wait(drive: Driver, title: str, condition: Callable[[], bool]) -> None:
    """Wait until a condition holds that takes long to look at."""
    with drive.report.step(f"Waiting until {title}"):
        drive.until(condition, what=f"until {title}", pause=0.5)


def wait_for(drive: Driver, shop: Shop, table: str, orders: Iterable[Document]) -> None:
    """Wait until a table has orders."""
    wanted = ids(orders)
    wait(drive, "they are stored", lambda: wanted <= ids(stored(drive, shop, table)))


def ids(documents: Iterable[Document]) -> set[str]:
    """Return the ids of orders, or of what is stored of them."""
    return {one["order_id"] for one in documents}


def arrivals(drive: Driver, shop: Shop, wanted: set[str], since: float) -> dict[str, float]:
    """Wait for orders; return how many seconds after ``since`` each was stored."""
    found: dict[str, float] = {}

    def all_there() -> bool:
        for table in ("TableName", "FifoTableName"):
            for id_ in ids(stored(drive, shop, table)) & wanted:
                found.setdefault(id_, time.time() - since)
        return set(found) == wanted

    wait(drive, "they are stored", all_there)
    return found


def delays(drive: Driver, shop: Shop) -> None:
    """Send an order with the queue's delay, one with none, one with its own, one by a schedule."""
    plain, at_once, longer, now, later = shop.orders(5)
    since = time.time()
    send_later(drive, "Fifo", [(later, LATER), (later, LATER), (now, 0)])
    send_later(drive, "", [(longer, LONGER), (plain, None)])
    with outages.queue_changed(drive.stack, drive[QUEUE], DelaySeconds=str(NEVER)):
        send_later(drive, "", [(at_once, 0)])
        wait_for(drive, shop, "TableName", [at_once])
    came = arrivals(drive, shop, ids([plain, longer, later]), since)
    by_queue, by_own = came[plain["order_id"]], came[longer["order_id"]]
    promise = "a message waits for the delay of its queue"
    drive.check(promise, by_queue >= DELAY, f"{by_queue:.1f} s")
    promise = "a delay of the message's own wins over the queue's"
    drive.check(promise, by_own >= LONGER, came)
    promise = "a schedule sends a message when it is due, once"
    drive.check(promise, came[later["order_id"]] >= LATER - 1, came)

    code = ""
    try:
        drive.client("sqs").send_message(
            QueueUrl=drive[f"Fifo{QUEUE}"], MessageBody="{}", MessageGroupId="g", DelaySeconds=5
        )
    except ClientError as error:
        code = error.response["Error"]["Code"]
    drive.check("a FIFO queue rejects a delay of a message's own", "Invalid" in code, code)


def retries(drive: Driver, function: str) -> dict[str, list[Document]]:
    """Return the delays that a function has given messages, by their ids."""
    found: dict[str, list[Document]] = {}
    for said in programs.said(drive.stack.log_lines(drive[function], limit=None), "Retry"):
        found.setdefault(said["message_id"], []).append(said)
    return found


def in_currency(shop: Shop, count: int, currency: str, **fields: Any) -> list[Document]:
    """Return orders in a currency of two decimal places."""
    pool = [one for one in shop.orders(6 * count) if one["currency"] in ("EUR", "GBP", "USD")]
    return [one | {"currency": currency, **fields} for one in pool[:count]]


def growing(drive: Driver, shop: Shop) -> None:
    """Close a warehouse for some attempts: only its orders wait, and longer each time."""
    mixed = shop.orders(60)
    closed = ids(one for one in mixed if one["currency"] == "GBP")
    before = set(retries(drive, FUNCTION))

    def attempts() -> dict[str, list[Document]]:
        found = retries(drive, FUNCTION).items()
        return {id_: lines for id_, lines in found if id_ not in before}

    def have_failed() -> bool:
        seen = attempts()
        return len(seen) >= len(closed) and min(map(len, seen.values())) >= GROWN

    with outages.settings_of(drive.stack, drive[FUNCTION]) as (_, use):
        use(CLOSED="GBP")
        place(drive, "Orders, some of the closed warehouse", QUEUE, mixed)
        open_ones = [one for one in mixed if one["order_id"] not in closed]
        wait_for(drive, shop, "TableName", open_ones)
        wait(drive, f"each of the others has failed {GROWN} times", have_failed)
        early = ids(stored(drive, shop, "TableName")) & closed
    seen = attempts()
    promise = "only the failed messages of a batch are delivered again"
    drive.check(promise, not early and len(seen) == len(closed), (early, len(seen), len(closed)))
    lines = [(one["receives"], one["seconds"]) for each in seen.values() for one in each]
    wrong = [(n, seconds) for n, seconds in lines if not 2**n / 2 <= seconds <= 2**n]
    promise = f"the delay doubles with each of {len(lines)} failed attempts, a random half left out"
    drive.check(promise, not wrong and len({seconds for _, seconds in lines}) >= GROWN, wrong)
    hasty = [
        (first, second)
        for each in seen.values()
        for first, second in pairwise(each)
        if moment(second) - moment(first) < first["seconds"] - CLOCK
    ]
    drive.check("no message returns before its delay is over", not hasty, hasty[:3])
    wait_for(drive, shop, "TableName", mixed)


def moment(line: Document) -> float:
    """Return when a line was logged, in Unix seconds."""
    return datetime.strptime(line["timestamp"], "%Y-%m-%d %H:%M:%S,%f%z").timestamp()


def used_up(drive: Driver, shop: Shop, meanwhile: Callable[[Driver, Shop], None]) -> None:
    """Keep a warehouse closed for all attempts, then redrive its orders."""
    unlucky = in_currency(shop, 8, "GBP")
    with (
        outages.settings_of(drive.stack, drive[FUNCTION]) as (_, use),
        outages.quick_retries(drive.stack, drive[QUEUE], seconds=180, attempts=3),
    ):
        use(CLOSED="GBP")
        place(drive, "Orders of the closed warehouse", QUEUE, unlucky)
        meanwhile(drive, shop)
        letters = drive.wait_for_messages("their receives are used up", LETTERS, len(unlucky))
    promise = "a message that fails in every attempt is dead-lettered"
    drive.check(promise, letters >= len(unlucky), letters)
    drive.redrive(LETTERS, QUEUE)
    wait_for(drive, shop, "TableName", unlucky)


def fifo(drive: Driver, shop: Shop) -> None:
    """Let the first order of a group wait: those behind it do, too, and no other group."""
    table, queue, function = "FifoTableName", f"Fifo{QUEUE}", f"Fifo{FUNCTION}"
    blocked = in_currency(shop, 1, "GBP", customer_id=f"{shop.run}-a")
    blocked += in_currency(shop, 5, "EUR", customer_id=f"{shop.run}-a")
    others = in_currency(shop, 6, "EUR", customer_id=f"{shop.run}-b")
    others += in_currency(shop, 6, "EUR", customer_id=f"{shop.run}-c")
    before = set(retries(drive, function))

    def attempts() -> dict[str, int]:
        found = retries(drive, function).items()
        return {id_: len(lines) for id_, lines in found if id_ not in before}

    with outages.settings_of(drive.stack, drive[function]) as (_, use):
        use(CLOSED="GBP")
        place(drive, "Orders of three customers", queue, [*blocked, *others])
        wait_for(drive, shop, table, others)
        wait(drive, "the first of the third fails", lambda: GROWN in attempts().values())
        early = ids(stored(drive, shop, table)) & ids(blocked)
    drive.check("a group waits behind its delayed message, and no other group", not early, early)
    holds = len(attempts()) == 1
    drive.check("those that wait behind it use up no receives", holds, attempts())
    wait_for(drive, shop, table, blocked)


# Workers


def worker(drive: Driver, hidden: int = HIDDEN) -> AbstractContextManager[programs.Program]:
    """Run a worker process."""
    return programs.running(
        drive.stack.target,
        importer,
        QUEUE_URL=drive[JOBS],
        DEAD_LETTER_QUEUE_URL=drive["JobDeadLetterQueueUrl"],
        TABLE_NAME=drive["JobTableName"],
        BACKOFF=json.dumps({"first": 1, "factor": 2, "longest": 10}),
        HIDDEN_SECONDS=str(hidden),
        LONGEST_SECONDS=str(NEVER),
        MINUTE_SECONDS=str(MINUTE),
    )


def workers(drive: Driver, shop: Shop) -> None:
    """Run jobs that take far longer than they are hidden, and end the workers in the midst."""

    def job(number: int, minutes: int = 40) -> Document:
        return {"job_id": f"{shop.run}-job-{number}", "supplier": "Bosch", "minutes": minutes}

    def put(*jobs: Document) -> None:
        send, queue = drive.client("sqs").send_message_batch, drive[JOBS]
        entry = batch(send, "Entries", lambda it: {"MessageBody": it.body.decode()}, QueueUrl=queue)
        drive.send("Jobs", entry, [Event(one["job_id"], as_json(one)) for one in jobs])

    def done(one: Document) -> Document:
        found: list[Document] = []

        def there() -> bool:
            rows = stored(drive, shop, "JobTableName")
            found[:] = [row for row in rows if row["job_id"] == one["job_id"]]
            return bool(found)

        wait(drive, "the job is done", there)
        return found[0]

    with worker(drive) as first, worker(drive) as second:
        put(job(1))
        attempts = done(job(1))["attempts"]
        taken = first.said("Job") + second.said("Job")
        promise = "a job of forty minutes stays hidden by its heartbeats, and is done once"
        drive.check(promise, (attempts, len(taken)) == (1, 1), (attempts, taken))

        put(job(2))
        wait(drive, "a worker has the job", lambda: len(first.said("Job") + second.said("Job")) > 1)
        last = max(first.said("Job")[-1:] + second.said("Job")[-1:], key=moment)
        heir = second if last in first.said("Job") else first
        before = len(heir.said("Job"))
        os.kill(last["pid"], signal.SIGKILL)
        promise = "a killed worker's job is another's once it is no longer hidden"
        drive.eventually(promise, lambda: len(heir.said("Job")) > before)
        attempts = done(job(2))["attempts"]
        drive.check("it is done in the next attempt", attempts == last["receives"] + 1, attempts)
    with worker(drive, hidden=NEVER) as stopped:
        put(job(3))
        wait(drive, "a worker has the job", lambda: bool(stopped.said("Job")))
        with worker(drive) as heir:
            os.kill(stopped.said("Job")[-1]["pid"], signal.SIGTERM)
            promise = "a worker that is told to end shows its job at once"
            drive.eventually(promise, lambda: bool(heir.said("Job")))
            done(job(3))
            put(job(1), job(4, 1), job(5, 1) | {"supplier": ""})
            done(job(4))
            drive.drain(JOBS)
    promise = "a job that no retry can fix is kept with its reason"
    reasons = {f"{shop.run}-job-5": "field"}
    drive.dead_letters(promise, reasons, drive.sent_body, "JobDeadLetterQueueUrl")


def judge(
    drive: Driver,
    orders: Sequence[Document],
    in_order: Sequence[Document],
    jobs: Sequence[Document],
) -> None:
    """Book every order and job that is stored, and compare it with what was sent."""
    found = [(one["order_id"], one) for one in [*orders, *in_order]]
    found += [(one["job_id"], one) for one in jobs]
    drive.ledger.processed.update(id_ for id_, _ in found)
    drive.as_sent("what is stored is what was sent", found)
