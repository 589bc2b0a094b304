"""Makes a part of a deployed stack unavailable for a while, and restores it: for scenarios.

Changes are reverted when the block ends, on an exception and on Ctrl-C too, even while the
change is being made. What a killed run left changed, the next one reverts: see ``restore``.
Functions and queues are given by name and by URL.
"""

from __future__ import annotations

import json
import random
import secrets
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ConnectionClosedError

from . import queues

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .target import Deployment

NOTES = Path(".build", "outages")


def restore(stack: Deployment) -> int:
    """Revert what a run that was killed left changed, newest first; return how many changes.

    Each change is noted below ``NOTES`` of the current folder before it is made.
    """
    notes = sorted(_notes(stack).glob("*.json"), reverse=True)
    for note in notes:
        service, operation, arguments = json.loads(note.read_text(encoding="utf-8"))
        getattr(stack.client(service), operation)(**arguments)
        note.unlink()
    return len(notes)


def _notes(stack: Deployment) -> Path:
    # A run of an emulator has keys of its own: nobody reverts there what is gone with another run.
    key = stack.target.keys.access_key if stack.target.endpoint_url else stack.account
    return (NOTES / f"{key}-{stack.region}-{stack.stack_name}").resolve()


@contextmanager
def _reverted(stack: Deployment, service: str, operation: str, **arguments: Any) -> Iterator[None]:
    """Revert a change by a call when the block ends; it is noted first, in case we are killed."""
    folder = _notes(stack)
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / f"{time.time_ns()}-{secrets.token_hex(4)}.json"
    note.write_text(json.dumps([service, operation, arguments]), encoding="utf-8")
    try:
        yield
    finally:
        getattr(stack.client(service), operation)(**arguments)
        note.unlink()


@contextmanager
def table_unavailable(
    stack: Deployment, function: str, variable: str = "TABLE_NAME"
) -> Iterator[None]:
    """Point a function at a table that does not exist; ``variable`` names the right one."""
    with settings_of(stack, function) as (variables, use):
        use(**{variable: f"{variables[variable]}-unavailable"})
        yield


@contextmanager
def settings_of(
    stack: Deployment, function: str
) -> Iterator[tuple[dict[str, str], Callable[..., None]]]:
    """Yield a function's environment, and what changes its settings; they are restored at the end.

    Each call of it takes ``timeout`` in seconds and environment variables; what it leaves out is
    as it was at first.
    """
    before = stack.client("lambda").get_function_configuration(FunctionName=function)
    environment: dict[str, str] = before["Environment"]["Variables"]

    def use(timeout: int = before["Timeout"], **variables: str) -> None:
        on_purpose()
        changed = {"Variables": environment | variables}
        configure(stack, function, Timeout=timeout, Environment=changed)

    undo = {"Timeout": before["Timeout"], "Environment": {"Variables": environment}}
    with broken_on_purpose(stack) as on_purpose, _configured_back(stack, function, undo):
        yield environment, use


@contextmanager
def function_changed(stack: Deployment, function: str, **settings: Any) -> Iterator[None]:
    """Give a function other settings, under the names of ``UpdateFunctionConfiguration``."""
    configuration = stack.client("lambda").get_function_configuration(FunctionName=function)
    undo = {name: configuration[name] for name in settings}
    with broken_on_purpose(stack) as on_purpose, _configured_back(stack, function, undo):
        on_purpose()
        configure(stack, function, **settings)
        yield


@contextmanager
def _configured_back(stack: Deployment, function: str, undo: dict[str, Any]) -> Iterator[None]:
    """Give a function its settings back when the block ends, and wait until it runs with them."""
    arguments = {"FunctionName": function, **undo}
    try:
        with _reverted(stack, "lambda", "update_function_configuration", **arguments):
            yield
    finally:
        _wait_until_updated(stack, function)


@contextmanager
def broken_on_purpose(stack: Deployment) -> Iterator[Callable[[], None]]:
    """Let nobody treat the failures of the stack's functions as faults of theirs.

    Yields the function that says that it begins now.
    """
    outage = object()
    try:
        yield lambda: stack.outages.running.add(outage)
    finally:
        stack.outages.end(outage)


def configure(stack: Deployment, function: str, **settings: Any) -> None:
    """Give a function other settings permanently, and wait until it runs with them.

    Raises botocore's WaiterError if Lambda does not apply them.
    """
    stack.client("lambda").update_function_configuration(FunctionName=function, **settings)
    _wait_until_updated(stack, function)


def _wait_until_updated(stack: Deployment, function: str) -> None:
    often = {"Delay": 0.1, "MaxAttempts": 3_000}
    waiter = stack.client("lambda").get_waiter("function_updated_v2")
    waiter.wait(FunctionName=function, WaiterConfig=often)


@contextmanager
def queue_changed(stack: Deployment, queue_url: str, **attributes: str) -> Iterator[None]:
    """Give a queue other attributes, under the names of ``SetQueueAttributes``."""
    sqs = stack.client("sqs")
    found = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=list(attributes))
    before = {"QueueUrl": queue_url, "Attributes": found["Attributes"]}
    with _reverted(stack, "sqs", "set_queue_attributes", **before):
        sqs.set_queue_attributes(QueueUrl=queue_url, Attributes=attributes)
        yield


@contextmanager
def quick_retries(
    stack: Deployment, *queue_urls: str, seconds: int = 1, attempts: int | None = None
) -> Iterator[None]:
    """Let queues deliver a failed message again after ``seconds``: an outage fits a scenario.

    ``attempts`` are the failed ones after which a message is dead-lettered. Default: as it is.
    """
    get = stack.client("sqs").get_queue_attributes
    with ExitStack() as changes:
        for url in queue_urls:
            attributes = {"VisibilityTimeout": str(seconds)}
            if attempts:
                found = get(QueueUrl=url, AttributeNames=["RedrivePolicy"])
                policy = json.loads(found["Attributes"]["RedrivePolicy"])
                attributes["RedrivePolicy"] = json.dumps(policy | {"maxReceiveCount": attempts})
            changes.enter_context(queue_changed(stack, url, **attributes))
        yield


@contextmanager
def no_concurrency(stack: Deployment, function: str) -> Iterator[None]:
    """Let a function without reserved concurrency run nothing."""
    name, put = {"FunctionName": function}, stack.client("lambda").put_function_concurrency
    with _reverted(stack, "lambda", "delete_function_concurrency", **name):
        put(**name, ReservedConcurrentExecutions=0)
        yield


@contextmanager
def no_failure_destination(stack: Deployment, function: str) -> Iterator[None]:
    """Remove the failure destination of a function's asynchronous invocations."""
    lambda_, name = stack.client("lambda"), {"FunctionName": function, "Qualifier": "$LATEST"}
    before = lambda_.get_function_event_invoke_config(**name)
    kept = ("MaximumRetryAttempts", "MaximumEventAgeInSeconds", "DestinationConfig")
    settings = name | {key: before[key] for key in kept}
    others = {key: to for key, to in settings["DestinationConfig"].items() if key != "OnFailure"}
    with _reverted(stack, "lambda", "put_function_event_invoke_config", **settings):
        lambda_.put_function_event_invoke_config(**settings | {"DestinationConfig": others})
        yield


@contextmanager
def bucket_notifies_nobody(stack: Deployment, bucket: str) -> Iterator[None]:
    """Remove the notifications of a bucket: nothing announces what is uploaded meanwhile."""
    s3, name = stack.client("s3"), {"Bucket": bucket}
    found = s3.get_bucket_notification_configuration(**name)
    found.pop("ResponseMetadata")
    put, before = (
        "put_bucket_notification_configuration",
        name | {"NotificationConfiguration": found},
    )
    with _reverted(stack, "s3", put, **before):
        s3.put_bucket_notification_configuration(**name, NotificationConfiguration={})
        yield


@contextmanager
def mapping_disabled(stack: Deployment, mapping: str, queue_url: str) -> Iterator[None]:
    """Disable an event source mapping, by its id; at the end, wait until all is read again."""
    lambda_ = stack.client("lambda")
    enabled: dict[str, Any] = {"UUID": mapping, "Enabled": True}

    def until(state: str) -> None:
        what, get = f"until the event source mapping is {state}", lambda_.get_event_source_mapping
        queues.until(lambda: get(UUID=mapping)["State"] == state, seconds=180, what=what)

    queues.wait_until_empty(stack, queue_url)
    # What a poller receives at the moment it is switched off comes back after this time.
    with queue_changed(stack, queue_url, VisibilityTimeout="5"):
        try:
            with _reverted(stack, "lambda", "update_event_source_mapping", **enabled):
                lambda_.update_event_source_mapping(**enabled | {"Enabled": False})
                until("Disabled")
                yield
        finally:
            until("Enabled")
            queues.wait_until_empty(stack, queue_url)


@dataclass
class FailsInPart:
    """A client of SNS or EventBridge whose batches fail in part, with HTTP 200.

    Half of the failed entries were not accepted; the others were, but the caller is told that they
    failed, as when an answer is lost: sending those again sends them a second time.
    """

    client: Any
    share: float = 0.06  # of the entries: they fail
    failed: int = 0  # entries that the caller was told have failed
    # When each entry was sent first, by deduplication id, in Unix seconds.
    first_sent: dict[str, float] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)
    _random: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311

    def publish_batch(self, PublishBatchRequestEntries: Any, **topic: str) -> Any:  # noqa: N803
        """Publish most of a batch."""
        fate: dict[str, float] = {}
        with self._lock:
            for entry in PublishBatchRequestEntries:
                self.first_sent.setdefault(entry.get("MessageDeduplicationId", ""), time.time())
                fate[entry["Id"]] = self._random.random() / self.share
            failed = [id_ for id_, draw in fate.items() if draw < 1]
            self.failed += len(failed)
        sent = [entry for entry in PublishBatchRequestEntries if fate[entry["Id"]] >= 0.5]
        publish = self.client.publish_batch
        answer = publish(**topic, PublishBatchRequestEntries=sent) if sent else {}
        told = [entry for entry in answer.get("Successful", []) if fate[entry["Id"]] >= 1]
        error = {"Code": "InternalError", "SenderFault": False}
        made_up = [{"Id": id_, **error} for id_ in failed]
        return {"Successful": told, "Failed": made_up + answer.get("Failed", [])}

    def put_events(self, Entries: Any) -> Any:  # noqa: N803
        """Put most of a batch; each result is in the place of its entry."""
        with self._lock:
            fate = [self._random.random() / self.share for _ in Entries]
            self.failed += sum(draw < 1 for draw in fate)
        sent = [entry for entry, draw in zip(Entries, fate, strict=True) if draw >= 0.5]
        answers = iter(self.client.put_events(Entries=sent)["Entries"] if sent else ())
        error = {"ErrorCode": "InternalFailure", "ErrorMessage": "made up"}
        results = [next(answers) if draw >= 0.5 else error for draw in fate]
        return {"Entries": [error if d < 1 else r for d, r in zip(fate, results, strict=True)]}


@dataclass
class RecordsFailInPart:
    """A client of Kinesis whose PutRecords fails in part, with HTTP 200, and accepts the rest.

    Of every few records, one was not accepted, and one was, but its answer says that it failed.
    """

    client: Any
    every: int = 16
    failed: int = 0  # records that the caller was told have failed
    _count: Iterator[int] = field(default_factory=count)

    def put_records(self, StreamName: str, Records: Sequence[Any]) -> Any:  # noqa: N803
        """Put most of the records."""
        fates = [next(self._count) % self.every for _ in Records]
        sent = [record for record, fate in zip(Records, fates, strict=True) if fate]
        answer = self.client.put_records(StreamName=StreamName, Records=sent) if sent else {}
        told = iter(answer.get("Records", []))
        failure = {"ErrorCode": "InternalFailure", "ErrorMessage": "made up"}
        results = [next(told) if fate else failure for fate in fates]
        results = [failure if fate == 1 else one for one, fate in zip(results, fates, strict=True)]
        self.failed += sum("ErrorCode" in one for one in results)
        return {"FailedRecordCount": self.failed, "Records": results}


@dataclass
class AnswersLost:
    """A client that does what it is told, and now and then is not answered: did it happen, or not?

    So it is for a program that ends right after its write and is started again.
    """

    client: Any
    operation: str  # whose answers are lost
    every: int = 16
    lost: int = 0  # answers
    _count: Iterator[int] = field(default_factory=count)

    def __getattr__(self, name: str) -> Any:
        """Return what the client has; its operation loses some answers."""
        found = getattr(self.client, name)

        def call(**given: Any) -> Any:
            answer = found(**given)
            if next(self._count) % self.every:
                return answer
            self.lost += 1
            raise ConnectionClosedError(endpoint_url="made up")

        return call if name == self.operation else found


@dataclass
class Replay:
    """A client of SNS that sends everything as new, as when a topic replays its archive."""

    client: Any

    def publish_batch(self, **request: Any) -> Any:
        """Publish a batch under new deduplication ids."""
        for entry in request["PublishBatchRequestEntries"]:
            entry["MessageDeduplicationId"] = secrets.token_hex(16)
        return self.client.publish_batch(**request)
