"""The executable promises of the demo stack: no dead letter is lost, and none is redriven forever.

Knows only the stack's outputs, the AWS APIs and the command, which it runs as people do, so it runs
the same on the embedded AWS and on a real account.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serverless_patterns.sandbox import play, queues
from serverless_patterns.sandbox.driver import Driver
from serverless_patterns.sandbox.sender import Event, batch, invoke

from ..shop import Document, Shop, as_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serverless_patterns.sandbox import Deployment
    from serverless_patterns.sandbox.report import Report

QUEUES = ("QueueUrl", "FifoQueueUrl")
LETTERS = ("DeadLetterQueueUrl", "FifoDeadLetterQueueUrl")
FAILURES, UNDELIVERED = "FailureQueueUrl", "UndeliveredQueueUrl"
CUSTOMERS, EACH = 8, 5
HIDDEN = 6  # seconds that the command hides a letter, here


@dataclass
class Command:
    """The command, as a person runs it in a shell of this target, with a journal of its own."""

    drive: Driver
    journal: Path
    told: list[str] = field(default_factory=list)

    def start(self, command: str, output: str, *more: str) -> subprocess.Popen[str]:
        """Start the command on one dead-letter place."""
        where = ["--queue", self.drive[output], "--journal", str(self.journal)]
        line = [sys.executable, "-m", "serverless_patterns.redrive", command, *where, *more]
        return subprocess.Popen(
            line,
            env=play.environment(self.drive.stack.target),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: str, output: str, *more: str) -> tuple[int, str]:
        """Run the command; return its exit status, and what it prints."""
        with self.drive.report.step(f"{command} {output.removesuffix('Url')} {' '.join(more)}"):
            process = self.start(command, output, *more)
            said, _ = process.communicate(timeout=300)
        self.told.append(said)
        return process.returncode, said

    def redrive(self, output: str, *more: str) -> dict[str, Any]:
        """Redrive a place; return the report."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "report.json")
            hidden = ["--hiding", str(HIDDEN), "--json", str(file)]
            _, said = self.run("run", output, *hidden, *more)
            try:
                [report] = json.loads(file.read_text()).values()
            except OSError:
                raise RuntimeError(f"The command reports nothing:\n{said}") from None
        return dict(report)


def run(stack: Deployment, report: Report) -> None:
    """Drive every promise of the page through the deployed stack."""
    shop, drive = Shop("red"), Driver(stack, report)
    with tempfile.TemporaryDirectory() as folder, drive.calm_retries(*QUEUES):
        command = Command(drive, Path(folder, "redrives.jsonl"))
        drive.title("Good orders, and an order that its consumer rejects")
        send(drive, "Orders", shop.orders(100))
        poison = [order | {"total": f"1{order['total']}"} for order in shop.orders(5)]
        send(drive, "Orders whose total is wrong", poison)
        drive.drain("QueueUrl")
        poison_returns(drive, command, poison)

        drive.title("The table is unavailable: the redriver heals it, each message once")
        heals_by_itself(drive, shop.orders(15), len(poison))

        drive.title("The table is unavailable: the command is killed, cancelled, and resumed")
        is_killed(drive, command, shop.orders(50), len(poison))

        drive.title("A FIFO queue keeps the order of each customer")
        turns = in_turn(drive, command, shop)

        drive.title("A function, and a topic that could not reach it")
        called(drive, command, shop)
        drive.dead_letters(
            "what is rejected is kept, byte for byte, with its reason",
            {order["order_id"]: "total" for order in poison}, drive.sent_body, LETTERS[0],
        )  # fmt: skip

    drive.title("Where is every order now?")
    rows = {name: drive.rows(name, "begins_with(pk, :text)", shop.run) for name in TABLES}
    drive.judge(judge_rows, rows)
    left = drive.backlog(*LETTERS, FAILURES, UNDELIVERED)
    drive.check("after the redrives nothing is left", left == 0, left)
    names = {order["customer_id"] for orders in turns for order in orders} | {shop.run}
    shown = [name for name in names if any(name in said for said in command.told)]
    drive.check("the command prints nothing of an order or a customer", not shown, shown[:3])
    drive.not_proven(
        ("sqs-redrive-task", "a task of SQS moves, is cancelled and resumed",
         "the second engine: test_redrive_task.py"),
        ("", "SNS and EventBridge leave what they cannot deliver", "here the scenario leaves it"),
        ("sqs-metrics-and-alarms", "a dead letter raises the alarm, and one that expires another",
         "the second engine: test_alarms.py; the threshold: test_construct.py"),
        ("service-roles", "the mappings have the permissions that they need", "test_security"),
    )  # fmt: skip


TABLES = ("TableName", "ReceiptsTableName")


def send(drive: Driver, title: str, orders: Sequence[Document], output: str = "QueueUrl") -> None:
    """Send orders to a queue, those of a customer in their order."""
    fifo = output.startswith("Fifo")

    def entry(event: Event) -> dict[str, Any]:
        ids = {"MessageGroupId": event.group, "MessageDeduplicationId": event.id} if fifo else {}
        return {"MessageBody": event.body.decode(), **ids}

    events = [
        Event(one["order_id"], as_json(one), one["customer_id"] if fifo else "") for one in orders
    ]
    put = batch(drive.client("sqs").send_message_batch, "Entries", entry, QueueUrl=drive[output])
    drive.send(title, put, events, batch=10)


def fail(
    drive: Driver, orders: Sequence[Document], kept: int = 0, output: str = "QueueUrl"
) -> None:
    """Let the attempts of orders be used up while their table is unavailable."""
    fifo = output.startswith("Fifo")
    function = "CustomerOrdersFunctionName" if fifo else "OrdersFunctionName"
    with drive.quick_retries(output, attempts=2), drive.table_unavailable(function):
        send(drive, "Orders during the outage", orders, output)
        wanted = kept + len(orders)
        found = drive.wait_for_messages("the attempts are used up", LETTERS[fifo], wanted)
    drive.check("an outage dead-letters every order, and loses none", found >= wanted, found)


def poison_returns(drive: Driver, command: Command, poison: Sequence[Document]) -> None:
    """Redrive what nothing can help, and see that it is recognized when it is back."""
    output, count = LETTERS[0], len(poison)
    drive.wait_for_messages("they are dead-lettered", output, count)
    status, said = command.run("list", output)
    drive.check("the list says how many, how old and why", "total" in said and status == 1, said)
    looked = command.redrive(output, "--dry-run")
    first = command.redrive(output, "--rate", "100")
    drive.check("a dry run finds them all", looked["matched"] == first["accepted"] == count, first)
    drive.drain("QueueUrl")
    drive.wait_for_messages("they are back", output, count)
    second = command.redrive(output, "--rate", "100")
    promise = "poison that returns is recognized, and not redriven again"
    back = second["accepted"] == 0 and sum(second["kept"].values()) == count
    drive.check(promise, back and drive.backlog(output) == count, second)


def heals_by_itself(drive: Driver, orders: Sequence[Document], kept: int) -> None:
    """Run the redriver as its schedule does."""
    fail(drive, orders, kept)
    urls = {"dead_letter_queue_url": drive[LETTERS[0]], "queue_url": drive["QueueUrl"]}
    said = drive.call("RedriverFunctionName", urls)
    promise = "the redriver moves what an outage left, and leaves poison where it is"
    drive.check(promise, said == {"moved": len(orders), "kept": kept}, said)
    drive.drain("QueueUrl")


def is_killed(drive: Driver, command: Command, orders: Sequence[Document], kept: int) -> None:
    """Kill the command in the middle, cancel it, and run it again."""
    fail(drive, orders, kept)
    output, all_ = LETTERS[0], kept + len(orders)
    for signal_, less in ((signal.SIGKILL, 10), (signal.SIGTERM, 25)):
        process = command.start("run", output, "--rate", "20", "--hiding", str(HIDDEN))
        until_below(drive, output, all_ - less)
        os.kill(process.pid, signal_)
        process.communicate()
        left, there = drive.backlog(output), drive.backlog("QueueUrl")
        held = f"{signal_.name}: what was not accepted is still there"
        drive.check(held, left >= kept and left + there <= all_ + 20, (left, there))
    time.sleep(HIDDEN + 1)
    shown = partial(queues.backlog, drive.stack, drive[output], queues.IN_FLIGHT)
    # But for what the redriver has looked at.
    drive.wait("what was hidden is shown again", lambda: shown() <= kept)
    done = command.redrive(output, "--rate", "200")
    drive.drain("QueueUrl")
    promise = "a run that was killed or cancelled is resumed, and poison stays"
    drive.check(promise, drive.backlog(output) == kept and done["accepted"] > 0, done)


def until_below(drive: Driver, output: str, most: int) -> None:
    """Wait until a queue has no more than so many messages, hidden ones among them."""
    drive.until(lambda: drive.backlog(output) <= most, what="until it runs", pause=0.05)


def in_turn(drive: Driver, command: Command, shop: Shop) -> list[list[Document]]:
    """Redrive the orders of several customers, and kill the command meanwhile."""
    turns = [shop.orders(EACH) for _ in range(CUSTOMERS)]
    for number, orders in enumerate(turns):
        for order in orders:
            order["customer_id"] = f"{shop.run}-customer-{number:02}"
    mixed = [order for some in zip(*turns, strict=True) for order in some]
    fail(drive, mixed, output="FifoQueueUrl")
    output = LETTERS[1]
    process = command.start("run", output, "--rate", "20", "--hiding", str(HIDDEN))
    until_below(drive, output, len(mixed) - 10)
    process.kill()
    process.communicate()
    time.sleep(HIDDEN + 1)
    command.redrive(output, "--rate", "200")
    drive.drain("FifoQueueUrl")
    return turns


def called(drive: Driver, command: Command, shop: Shop) -> None:
    """Let the function fail, leave dead letters as SNS does, and redrive both."""
    orders = shop.orders(6)
    with drive.table_unavailable("FunctionName"):
        call = invoke(drive.stack, "FunctionName")
        drive.send("Receipts during the outage", call, [*map(receipt, orders)])
        count = drive.wait_for_messages("the retries are used up", FAILURES, len(orders))
    drive.check("what a function fails is recorded", count >= len(orders), count)
    done = command.redrive(FAILURES, "--rate", "100")
    drive.check("a record goes to its function again", done["accepted"] >= len(orders), done)
    missed = shop.orders(6)
    leave(drive, missed)
    done = command.redrive(UNDELIVERED, "--rate", "100")
    promise = "what SNS could not deliver goes to its subscriber alone"
    drive.check(promise, done["accepted"] == len(missed), done)
    wanted = {order["order_id"] for order in [*orders, *missed]}
    printed = partial(drive.rows, "ReceiptsTableName", "begins_with(pk, :text)", shop.run)
    drive.wait_for("the receipts are stored", wanted, lambda: [row["pk"] for row in printed()])


def receipt(order: Document) -> Event:
    """Return the event of a receipt."""
    return Event(order["order_id"], as_json(order))


def leave(drive: Driver, orders: Sequence[Document]) -> None:
    """Leave dead letters in the form in which SNS leaves them.

    https://docs.aws.amazon.com/sns/latest/dg/sns-dead-letter-queues.html
    """
    given = {"RequestID": "made-up", "ErrorCode": "KMSAccessDeniedException", "ErrorMessage": "no"}
    texts = {k: {"DataType": "String", "StringValue": v} for k, v in given.items()}

    def entry(event: Event) -> dict[str, Any]:
        about = {"Type": "Notification", "MessageId": event.id, "TopicArn": drive["TopicArn"]}
        body = json.dumps(about | {"Message": event.body.decode()})
        return {"MessageBody": body, "MessageAttributes": texts}

    put = batch(
        drive.client("sqs").send_message_batch, "Entries", entry, QueueUrl=drive[UNDELIVERED]
    )
    drive.send("Orders that SNS could not deliver", put, [*map(receipt, orders)], batch=10)


def judge_rows(drive: Driver, **found: Sequence[Document]) -> None:
    """Book every order, and compare the places of a customer's orders with how they were sent."""
    rows = [row for name in TABLES for row in found[name]]
    drive.ledger.processed.update(row["pk"] for row in rows)
    drive.as_sent("what is stored is what was sent", ((row["pk"], row) for row in rows))
    drive.in_turn({row["pk"]: int(row["place"]) for row in rows if row.get("place")})
