"""The executable promises of the demo stack: each reminder takes effect once, when it is due.

Knows only the stack's outputs and the AWS APIs, so it runs the same on the embedded AWS and on a
real account. The ledger counts reminders: of an order that was moved, the last one.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from serverless_patterns.sandbox import queues
from serverless_patterns.sandbox.driver import Driver
from serverless_patterns.sandbox.sender import Event, batch

from ..shop import Document, Shop, as_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from serverless_patterns.sandbox import Deployment
    from serverless_patterns.sandbox.report import Report

REMINDERS, MOVED, CANCELED, UNLUCKY = 2_000, 10, 10, 5
LATE = 7200  # seconds
QUEUE, LETTERS = "QueueUrl", "DeadLetterQueueUrl"
FAILURES, UNDELIVERED = "FailureQueueUrl", "UndeliveredQueueUrl"
ATTRIBUTES = ("scheduled-time", "execution-id", "attempt-number", "schedule-arn")


def run(stack: Deployment, report: Report) -> None:
    """Drive every promise of the page through the deployed stack."""
    shop, drive = Shop("rem"), Driver(stack, report)
    with routine_of_the_shop(drive) as routine, drive.calm_retries(QUEUE):
        drive.title("A reminder for each order, some moved, some canceled, and poison")
        made = reminders(shop, REMINDERS, seconds=20)
        moved, canceled = (reminders(shop, count, seconds=180) for count in (MOVED, CANCELED))
        earlier = [one | {"version": 2, "remind_at": due(20)} for one in moved]
        never = [one | {"version": 2, "remind_at": None} for one in canceled]
        plan(drive, "Reminders", made)
        plan(drive, "Duplicates", made[:20])
        plan(drive, "Reminders that are moved", moved, counted=False)
        plan(drive, "To another time", earlier)
        plan(drive, "Reminders that are canceled", canceled, counted=False)
        plan(drive, "No reminders", never, counted=False)
        wrong = [one | {"remind_at": "tomorrow"} for one in reminders(shop, 5, seconds=20)]
        plan(drive, "Reminders at no time", wrong)
        drive.drain(QUEUE)
        reasons = {one["order_id"]: "time" for one in wrong}
        promise = "what no retry can fix is kept with its reason"
        drive.dead_letters(promise, reasons, drive.sent_body, LETTERS)
        drive.eventually(
            "a reminder's schedule is deleted once it has run", lambda: not planned(drive, shop)
        )
        wanted = {*names(made + earlier)}
        drive.wait_for("every reminder has come", wanted, lambda: names(ticks(drive, shop)))

        drive.title("The same tick again, and one that comes late")
        again_and_late(drive, made[0], routine)

        drive.title("The table is unavailable when reminders are due, then returns")
        unlucky = reminders(shop, UNLUCKY, seconds=5)
        with drive.table_unavailable("FunctionName"):
            plan(drive, "Reminders that are due during the outage", unlucky)
            title = "each has failed three times"
            drive.wait(title, lambda: len(failures(drive)) >= UNLUCKY, seconds=600)
        kept = len(failures(drive))
        promise = "a tick that fails in every attempt is recorded in the failure queue"
        drive.check(promise, kept == UNLUCKY, kept)
        redrive(drive, FAILURES)
        lucky = {*names(unlucky)}
        drive.wait_for("each has come", lucky, lambda: names(ticks(drive, shop)))

    drive.title("Scheduler could not hand ticks over, and leaves them in the dead-letter queue")
    undelivered(drive, routine)

    drive.title("Where is every reminder now?")
    drive.judge(judge_reminders, {"came": ticks(drive, shop)})
    came = {*names(ticks(drive, shop))} & {*names(canceled)}
    drive.check("a canceled reminder never comes", not came, came)
    ends = {FAILURES: len(failures(drive)), UNDELIVERED: drive.backlog(UNDELIVERED)}
    for output, left in ends.items():
        drive.check(f"after the redrive {output.removesuffix('Url')} is empty", left == 0, left)
    drive.not_proven(
        ("scheduler-dead-letters", "what Scheduler cannot hand over is a dead letter",
         "the template in test_construct.py, the grants in tests/contracts"),
        ("scheduler-time-zones", "a schedule runs by the clock of its time zone",
         "the hours of a change in every time zone: tests/checks/test_scheduler.py"),
        ("scheduler-context-attributes", "Scheduler fills in the time of a tick",
         "AWS documents it; the scenario fills in those of the template itself"),
        ("service-roles", "Scheduler may run the function with the schedules' role",
         "policies: tests/contracts"),
        ("", "alarms", "metrics and dimensions: test_construct.py, tests/contracts"),
    )  # fmt: skip


def due(seconds: int) -> str:
    """Return a time from now, in UTC."""
    return f"{datetime.now(UTC) + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


def reminders(shop: Shop, count: int, seconds: int) -> list[Document]:
    """Return the first change of orders, all due at the same time."""
    at = due(seconds)
    return [
        {"order_id": o["order_id"], "customer_id": o["customer_id"], "version": 1, "remind_at": at}
        for o in shop.orders(count)
    ]


def plan(drive: Driver, title: str, changes: Sequence[Document], *, counted: bool = True) -> None:
    """Send changes to the queue; those that are not counted come to nothing."""
    send = drive.client("sqs").send_message_batch
    deliveries = None if counted else ()
    events = [Event(one["order_id"], as_json(one), deliveries=deliveries) for one in changes]
    drive.send(title, batch(send, "Entries", _entry, QueueUrl=drive[QUEUE]), events, batch=10)


def _entry(event: Event) -> dict[str, Any]:
    unique = f"{event.id}-{datetime.now(UTC):%H%M%S%f}"
    return {
        "MessageBody": event.body.decode(),
        "MessageGroupId": event.id,
        "MessageDeduplicationId": unique,
    }


@contextmanager
def routine_of_the_shop(drive: Driver) -> Iterator[list[Any]]:
    """Yield the schedules of the template; they rest where they would run without their time."""
    scheduler, group = drive.client("scheduler"), drive["ScheduleGroupName"]
    listed = scheduler.list_schedules(GroupName=group, MaxResults=100)["Schedules"]
    found = [scheduler.get_schedule(GroupName=group, Name=one["Name"]) for one in listed]
    routine = [one for one in found if one["ActionAfterCompletion"] != "DELETE"]

    def update(state: str) -> None:
        kept = ("Name", "GroupName", "ScheduleExpression", "FlexibleTimeWindow", "Target")
        for one in routine if not drive.stack.executes("scheduler-context-attributes") else ():
            scheduler.update_schedule(**{key: one[key] for key in kept}, State=state)

    update("DISABLED")
    try:
        yield routine
    finally:
        update("ENABLED")


def failures(drive: Driver) -> list[Document]:
    """Return what failed, but for ticks that came without their time before the routine rested."""
    found = queues.peek(drive.stack, drive[FAILURES])
    return [it for it in found if "<aws.scheduler.scheduled-time>" not in it["Body"]]


def planned(drive: Driver, shop: Shop) -> list[str]:
    """Return the names of this run's schedules."""
    listed = drive.client("scheduler").list_schedules(
        GroupName=drive["ScheduleGroupName"], NamePrefix=shop.run, MaxResults=100
    )
    return [one["Name"] for one in listed["Schedules"]]


def again_and_late(drive: Driver, came: Document, routine: Sequence[Any]) -> None:
    """Hand ticks to the function as Scheduler does: one that has come, and some two hours late."""
    again = {"execution": "again", "attempt": "2", "input": {}}
    event = again | {"schedule": came["order_id"], "scheduled_at": came["remind_at"]}
    answer = drive.call("FunctionName", event)
    drive.check("a tick that comes again changes nothing", answer["status"] == "duplicate", answer)
    for schedule in routine:
        text, values = schedule["Target"]["Input"], (due(-LATE), "late", "1", schedule["Arn"])
        for name, value in zip(ATTRIBUTES, values, strict=True):
            text = text.replace(f"<aws.scheduler.{name}>", value)
        first, second = (drive.call("FunctionName", json.loads(text)) for _ in range(2))
        kind = json.loads(text)["input"]["kind"]
        promise = f"a late tick of the {kind} is recognized, and takes effect once"
        done = (first["status"], second["status"]) == ("done", "duplicate")
        drive.check(promise, done and first["late_seconds"] >= LATE, (first, second))


def redrive(drive: Driver, queue: str) -> None:
    """Send the ticks in a queue to the function again, as the command does."""
    done = drive.redrive_letters(queue)
    drive.check(f"the redrive of {queue.removesuffix('Url')} sends every tick", done.good)


def undelivered(drive: Driver, routine: Sequence[Any]) -> None:
    """Leave dead letters of the template's schedules as Scheduler does, and redrive them.

    https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html
    """
    put, at, wanted = drive.client("sqs").send_message, due(-3 * LATE), set()
    for schedule in routine:
        said = {"SCHEDULE_ARN": schedule["Arn"], "SCHEDULED_TIME": at, "EXECUTION_ID": "dead"}
        said |= {"ERROR_CODE": "TooManyRequestsException", "RETRY_ATTEMPTS": "185"}
        request = {"FunctionName": schedule["Target"]["Arn"], "InvocationType": "Event"}
        body = json.dumps(request | {"Payload": schedule["Target"]["Input"]})
        given = {name: {"DataType": "String", "StringValue": text} for name, text in said.items()}
        put(QueueUrl=drive[UNDELIVERED], MessageBody=body, MessageAttributes=given)
        wanted.add(f"{schedule['Arn']}#{at}")
    redrive(drive, UNDELIVERED)
    of_template = "begins_with(pk, :text)", "arn:"
    drive.eventually(
        "a tick that Scheduler could not hand over takes effect once it is redriven",
        lambda: {row["pk"] for row in drive.rows("TableName", *of_template)} >= wanted,
    )


def ticks(drive: Driver, shop: Shop) -> list[Document]:
    """Return the changes that the reminders of this run come from, of those that have come."""
    return [as_change(row) for row in drive.rows("TableName", "begins_with(pk, :text)", shop.run)]


def as_change(row: Document) -> Document:
    """Return the change that a tick comes from."""
    given = json.loads(row["input"])
    wanted = {name: given[name] for name in ("order_id", "customer_id", "version")}
    return wanted | {"remind_at": row["pk"].rsplit("#", 1)[1]}


def names(changes: Iterable[Document]) -> list[str]:
    """Return the orders of changes."""
    return [one["order_id"] for one in changes]


def judge_reminders(drive: Driver, came: Sequence[Document]) -> None:
    """Book every reminder, and compare it with the last change of its order."""
    drive.ledger.processed.update(names(came))
    seen = ((one["order_id"], one) for one in came)
    drive.as_sent("a reminder is what was asked for last, at the time asked for", seen)
