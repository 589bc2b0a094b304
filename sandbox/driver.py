"""Drives a scenario: sends its events, takes the steps that scenarios share, checks promises."""

from __future__ import annotations

import json
import secrets
import time
from collections import Counter
from contextlib import suppress
from copy import copy
from functools import cache
from typing import TYPE_CHECKING, Any

from serverless_patterns.redrive.owners import Found
from serverless_patterns.redrive.run import Redrive
from serverless_patterns.redrive.sources import Queue

from . import outages, queues, tables
from .health import Health
from .judging import Judgement
from .report import some
from .sender import WORKERS, Sender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence, Set
    from contextlib import AbstractContextManager

    from serverless_patterns.redrive.run import Report as Redriven

    from .report import Report
    from .target import Deployment

CALM_SECONDS = 10
REDELIVERIES = 3


class Driver:
    """Drives one scenario. Queues, functions and tables are named by the stack's outputs.

    Args:
        stack: What is driven.
        report: Where every step and every promise is reported.
        workers: Calls at the same time. Default: 16.
        patience: Seconds that the stack may take for an event, on a busy machine too. A wait
            ends as soon as what it waits for is there. Default: 300.
    """

    def __init__(
        self, stack: Deployment, report: Report, workers: int = WORKERS, patience: float = 300
    ) -> None:
        self.stack, self.client = stack, stack.client
        self._patience, self._health = patience, Health(stack)
        self.sender = Sender(report, workers)
        self.send = self.sender.send
        self._report_to(report)

    def _report_to(self, report: Report) -> None:
        self.report, self.ledger = report, report.ledger
        self.title, self.check, self.latency = report.title, report.check, report.latency

    def reporting_to(self, report: Report) -> Driver:
        """Return this driver as it is, with another report."""
        other = copy(self)
        other._report_to(report)
        return other

    def __getitem__(self, output: str) -> str:
        """The value of an output of the stack."""
        return self.stack[output]

    def wait(
        self, title: str, condition: Callable[[], bool], *, seconds: float | None = None
    ) -> None:
        """Wait until ``condition`` holds, at most ``seconds``, else as long as the patience lasts.

        Raises TimeoutError with the title, such as "the orders are stored", if it does not.
        """
        with self.report.step(f"Waiting until {title}"):
            self.until(condition, seconds=seconds, what=f"until {title}", pause=0.05)

    def until(
        self,
        condition: Callable[[], bool],
        *,
        seconds: float | None = None,
        what: str,
        pause: float = 0.2,
    ) -> None:
        """Wait as ``queues.until`` does, else as long as the patience lasts.

        Raises BrokenError as soon as a function is broken.
        """

        def held() -> bool:
            if condition():
                return True
            self._health.look()
            return False

        most = self._patience if seconds is None else seconds
        queues.until(held, seconds=most, what=what, pause=pause)

    def eventually(self, promise: str, condition: Callable[[], bool]) -> None:
        """Check a promise that takes its time to come true, as long as the patience lasts."""
        try:
            with self.report.step("Waiting"):
                self.until(condition, what=promise, pause=0.3)
            self.check(promise, holds=True)
        except TimeoutError:
            self.check(promise, holds=False)

    def wait_for(
        self,
        title: str,
        wanted: Set[str],
        found: Callable[[], Iterable[str]],
        *,
        seconds: float | None = None,
    ) -> None:
        """Wait until every event wanted is found. Raises TimeoutError that names those missing."""
        missing = set(wanted)

        def all_found() -> bool:
            missing.difference_update(found())
            return not missing

        try:
            self.wait(title, all_found, seconds=seconds)
        except TimeoutError as error:
            raise TimeoutError(f"{error} Missing are {some(missing)}.") from None

    def judge(
        self,
        verdict: Callable[..., object],
        found: Mapping[str, Sequence[Any]],
        order: tuple[str, str] | None = None,
        *,
        at_least_once: bool = False,
    ) -> None:
        """Check and book what stores hold, as ``verdict`` does. See ``Judgement``."""
        self.report.judgements.append(Judgement(self, verdict, found, order, at_least_once))
        verdict(self, **found)

    def as_sent(self, promise: str, stored: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Check that what is stored for events has every field of theirs, as it was sent.

        ``stored`` are events' ids, each with a document. One that was not sent is none of it.
        """
        events = self.sender.events
        wrong = [
            id_
            for id_, row in stored
            if id_ in events and not _content(events[id_].body).items() <= row.items()
        ]
        self.check(promise, not wrong, some(wrong))

    def in_turn(self, at: Mapping[str, Any]) -> None:
        """Book the events that took effect before one that was sent before them in their group.

        ``at`` is when they did, or their place, by their ids; events that are not in it count not.
        """
        last: dict[str, Any] = {}
        for event in self.sender.events.values():
            if not event.group or event.id not in at:
                continue
            if event.group in last and at[event.id] <= last[event.group]:
                self.ledger.out_of_order.update([event.id])
            else:
                last[event.group] = at[event.id]

    def compare(self, promise: str, found: Iterable[Any], wanted: Iterable[Any]) -> None:
        """Check that these are found, as many times as they are wanted, and no others."""
        differ = Counter(found)
        differ.subtract(Counter(wanted))
        wrong = sorted(str(one) for one, times in differ.items() if times)
        self.check(promise, not wrong, wrong[:6])

    def drain(self, *queue_outputs: str) -> None:
        """Wait until the queues hold nothing, neither waiting nor in flight."""
        urls = [self.stack[output] for output in queue_outputs]
        with self.report.step("Waiting until the queues are empty"):
            queues.wait_until_empty(self.stack, *urls, meanwhile=self._health.look)

    def backlog(self, *queue_outputs: str) -> int:
        """Return how many messages the queues hold: waiting, delayed or in flight."""
        return sum(queues.backlog(self.stack, self.stack[output]) for output in queue_outputs)

    def wait_for_messages(self, title: str, queue: str, count: int, seconds: float = 600) -> int:
        """Wait until a queue holds so many messages, and return how many it holds then.

        Too few after ``seconds`` are no error: check the number returned.
        """
        with suppress(TimeoutError):
            self.wait(title, lambda: self.backlog(queue) >= count, seconds=seconds)
        return self.backlog(queue)

    def rows(self, table: str, where: str, text: str) -> list[dict[str, Any]]:
        """Return the items of a table that meet a condition. See ``tables.rows``."""
        return tables.rows(self.stack, self.stack[table], where, text)

    def query(self, sql: str) -> list[dict[str, str]]:
        """Run a query in Athena, in the stack's workgroup and database; return rows by column.

        Raises RuntimeError with the reason if it fails, and TimeoutError after two minutes.
        """
        athena, where = self.client("athena"), {"Database": self["DatabaseName"]}
        query = athena.start_query_execution(
            QueryString=sql, WorkGroup=self["WorkGroupName"], QueryExecutionContext=where
        )["QueryExecutionId"]
        status: dict[str, str] = {}

        def ended() -> bool:
            found = athena.get_query_execution(QueryExecutionId=query)
            status.update(found["QueryExecution"]["Status"])
            return status["State"] not in ("QUEUED", "RUNNING")

        queues.until(ended, seconds=120, what="until Athena answers", pause=0.05)
        if status["State"] != "SUCCEEDED":
            raise RuntimeError(f"Athena: {status.get('StateChangeReason')}\n{sql}")
        pages = athena.get_paginator("get_query_results").paginate(QueryExecutionId=query)
        names, *rows = [
            [cell.get("VarCharValue", "") for cell in row["Data"]]
            for page in pages
            for row in page["ResultSet"]["Rows"]
        ]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def quick_retries(
        self, *queue_outputs: str, seconds: int = 1, attempts: int | None = None
    ) -> AbstractContextManager[None]:
        """Let queues deliver failed messages again soon. See ``outages.quick_retries``."""
        urls = [self.stack[output] for output in queue_outputs]
        return outages.quick_retries(self.stack, *urls, seconds=seconds, attempts=attempts)

    def calm_retries(self, *queue_outputs: str) -> AbstractContextManager[None]:
        """Let queues deliver a failed message again after ten seconds, and not after minutes.

        For a whole scenario: on a busy machine a call may time out, and its messages come back.
        """
        return self.quick_retries(*queue_outputs, seconds=CALM_SECONDS)

    def table_unavailable(
        self, function: str, variable: str = "TABLE_NAME"
    ) -> AbstractContextManager[None]:
        """Point a function at a table that does not exist. See ``outages.table_unavailable``."""
        return outages.table_unavailable(self.stack, self.stack[function], variable)

    def logged(self, function: str, text: str, ids: Iterable[str]) -> bool:
        """Return whether a function has logged a line lately with a text and one of these ids."""
        lines, wanted = self.stack.log_lines(self.stack[function], limit=200), list(ids)
        return any(text in line and any(id_ in line for id_ in wanted) for line in lines)

    def call(self, function: str, event: Any) -> Any:
        """Invoke a function, wait, and return its answer; ``function`` is an output."""
        name, payload = self.stack[function], json.dumps(event)
        return json.load(
            self.client("lambda").invoke(FunctionName=name, Payload=payload)["Payload"]
        )

    def redeliver(self, function: str, bodies: Iterable[bytes]) -> None:
        """Hand bodies to an SQS consumer again, as SQS does at times, and check its answer."""
        now = f"{time.time():.0f}000"
        records = [
            {
                "messageId": secrets.token_hex(16),
                "receiptHandle": "redelivered",
                "body": body.decode(),
                "attributes": {"ApproximateReceiveCount": "2", "SentTimestamp": now},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:redelivered",
            }
            for body in bodies
        ]
        for _ in range(REDELIVERIES):
            result = self.call(function, {"Records": records})
            if "errorType" not in result:
                break  # else the whole call failed, as on a busy machine: SQS delivers all again
        promise = "a redelivered batch is acknowledged"
        self.check(promise, result == {"batchItemFailures": []}, result)

    def redrive(self, source: str, target: str) -> None:
        """Move the messages of a dead-letter queue back to its source: by SQS where it can."""
        if self.stack.executes("sqs-redrive-task"):
            queues.start_redrive(self.stack, self.stack[source])
            return
        self.report.not_proven(
            "redrive by SQS itself (StartMessageMoveTask)",
            "the redrive allow policy: tests/contracts; here the redrive command moves them",
        )
        with self.report.step("Moving the dead letters back"):
            queues.move_back(self.stack, self.stack[source], self.stack[target])

    def redrive_letters(self, output: str, to: str | None = None, **options: Any) -> Redriven:
        """Send what a queue keeps to whom it was meant for, as the command does.

        Whose a letter is, it says itself, and the account confirms it.

        Args:
            output: The stack's output with the queue's URL.
            to: Where all go. Default: to whom they were meant for.
            options: Of the redrive.
        """
        source = Queue(self.client("sqs"), self[output])
        tool = Redrive(Found(self.client, source, to), queues.ALL_AT_ONCE, **options)
        with self.report.step(f"Redriving {output.removesuffix('Url')}"):
            return tool.run([source])

    def dead_letters(
        self,
        promise: str,
        expected: Mapping[str, str],
        name: Callable[[str, dict[str, Any]], str],
        *queue_outputs: str,
    ) -> None:
        """Take the dead letters out of queues, book them, and compare them with what is expected.

        Args:
            promise: What is checked: every expected event is there with its reason, and no other.
            expected: Reasons by event; "" where the service, and not the consumer, dead-letters.
            name: Returns an event's id, given the queue's output and the message.
            queue_outputs: Outputs with the dead-letter queues.
        """

        def verdict(drive: Driver, **letters: Sequence[dict[str, Any]]) -> None:
            each = [(name(output, it), it) for output in letters for it in letters[output]]
            drive.ledger.dead_lettered.update(event for event, _ in each)
            found = {(event, queues.reason(message)) for event, message in each}
            wrong = sorted(found ^ set(expected.items()))
            drive.check(promise, not wrong, wrong[:6])

        taken = {it: [*queues.take(self.stack, self.stack[it])] for it in queue_outputs}
        self.judge(verdict, taken, at_least_once=True)

    def sent_body(self, _: str, message: dict[str, Any]) -> str:
        """Return the id of the event that was sent with this very body, else the body's start."""
        body: str = message["Body"]
        return self.sender.sent.get(body.encode(), body[:60])

    def sent_content(self, _: str, message: dict[str, Any]) -> str:
        """Return the id of the event that was sent with this JSON, else the body's start.

        Lambda keeps the content of an asynchronous event, and not its bytes.
        """
        body: str = message["Body"]
        wanted = _content(body.encode())
        found = (id_ for sent, id_ in self.sender.sent.items() if _content(sent) == wanted)
        return next(found, body[:60])

    def failure_record(self, function: str, event: Any, condition: str) -> str:
        """Return Lambda's record of an event that a function never saw: ``EventAgeExceeded``."""
        arn = f"arn:aws:lambda:{self.stack.region}:{self.stack.account}:function"
        context = {
            "requestId": secrets.token_hex(16),
            "functionArn": f"{arn}:{self.stack[function]}:$LATEST",
            "condition": condition,
            "approximateInvokeCount": 0,
        }
        record = {"version": "1.0", "requestContext": context, "requestPayload": event}
        return json.dumps(record | {"responseContext": None, "responsePayload": None})

    def not_proven(self, *gaps: tuple[str, str, str]) -> None:
        """Report what this target does not execute.

        Each has the gap's name in ``sandbox.shims``, or "" if a scenario proves it nowhere; the
        promise; what covers it instead.
        """
        for gap, promise, instead in gaps:
            if not gap or not self.stack.executes(gap):
                self.report.not_proven(promise, instead)


@cache
def _content(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body
