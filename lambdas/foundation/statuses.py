"""How a job ended, for the client that polls: written once, by whoever knows it first.

A job has up to four items of the table ``STATUS_TABLE_NAME``: ``job`` from its acceptance,
``running`` if its worker says so, ``done`` or ``failed`` from its end. Nothing changes an item, so
a late or repeated report takes nothing back: a job that is done stays done, and a failed one
becomes done if a redrive succeeds. A key that is used again after its job has expired is another
job: all but ``job`` have the time of the acceptance in their sort keys.
"""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import tables
from .outcomes import DUPLICATE, STORED, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .messages import Message

# The attribute of a message that says which job it is.
ATTRIBUTE = "Job"
JOB, RUNNING, DONE, FAILED = "job", "running", "done", "failed"
_NAME = re.compile(r"[0-9a-f]{64}-\d+")


@dataclass(frozen=True)
class End:
    """How a job ended, or that it is ``running``.

    Args:
        job: Its name, which its message says.
        state: ``done`` or ``failed``.
        said: What the client is told: ``result``, JSON, of one that is done; ``reason`` and
            ``detail`` of one that failed.
    """

    job: str
    state: str
    said: Mapping[str, str]


def job_name(key: str, at: int) -> str:
    """Return the name of the job that was accepted under a key at a time."""
    return f"{key}-{at}"


def sort_key(state: str, at: int | str) -> str:
    """Return the sort key of what is said of a job that was accepted at a time."""
    return f"{state}-{at}"


def expiry(now: int) -> dict[str, int]:
    """Return when what is written now expires; nothing if it is kept (no ``STATUS_SECONDS``)."""
    kept = os.environ.get("STATUS_SECONDS")
    return {"expires_at": now + int(kept)} if kept else {}


def items(key: str) -> list[dict[str, Any]]:
    """Return the items of the jobs that had a key."""
    answer = tables.client().query(
        TableName=os.environ["STATUS_TABLE_NAME"],
        KeyConditionExpression="pk = :key",
        ExpressionAttributeValues={":key": {"S": key}},
        ConsistentRead=True,
    )
    return [tables.deserialize(item) for item in answer["Items"]]


def accept(item: Mapping[str, Any]) -> dict[str, Any] | None:
    """Put a job whose key is free, or whose job has expired; else return the item that has it.

    DynamoDB deletes an expired item within days. Source:
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html
    """
    put = tables.new(os.environ["STATUS_TABLE_NAME"], item)
    put["ConditionExpression"] += " OR expires_at <= :now"
    put["ExpressionAttributeValues"] = {":now": {"N": str(item["at"])}}
    client = tables.client()
    try:
        client.put_item(**put)
    except client.exceptions.ConditionalCheckFailedException as error:
        answer: Any = error.response
        return tables.deserialize(answer["Item"])
    return None


def attribute(job: str) -> dict[str, Any]:
    """Return the attribute by which a message says which job it is."""
    return {ATTRIBUTE: {"DataType": "String", "StringValue": job}}


def put(ends: Mapping[str, End]) -> dict[str, str]:
    """Write how jobs ended; return the error codes of those that were not written, by name.

    Args:
        ends: By a name of yours. One that is written already changes nothing.
    """
    first: dict[tuple[str, str], str] = {}
    for name, end in ends.items():
        first.setdefault((end.job, end.state), name)
    failed = tables.put_new({name: _new(ends[name]) for name in first.values()}).failed
    names = {name: first[end.job, end.state] for name, end in ends.items()}
    return {name: failed[it] for name, it in names.items() if it in failed}


def start(messages: Sequence[Message]) -> None:
    """Write that the jobs of a batch are running; a job whose that is not written is ``accepted``.

    It costs a write a job, as its end does.
    """
    put({message.id: End(job, RUNNING, {}) for message in messages if (job := _job(message))})


def report(messages: Sequence[Message], outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """Write what became of the jobs of a batch; return those that have failed for that, by id.

    A message that fails in its last attempt (``MAX_RECEIVE_COUNT``) ends its job, too. One that
    says no job is none.
    """
    ends = {message.id: end for message in messages if (end := _end(message, outcomes[message.id]))}
    return {id_: Outcome.failed(code) for id_, code in put(ends).items()}


def _end(message: Message, outcome: Outcome) -> End | None:
    job = _job(message)
    last = message.receive_count >= int(os.environ["MAX_RECEIVE_COUNT"])
    if not job or outcome.kind == "postponed" or (outcome.kind == "failed" and not last):
        return None
    if outcome.kind == "failed":
        detail = "The last attempt failed. Ask again before you send it again: it may be repeated."
        return End(job, FAILED, {"reason": outcome.reason, "detail": detail})
    if outcome.kind == "refused":
        return End(job, FAILED, {"reason": outcome.reason, "detail": outcome.detail})
    # A message that is delivered again finds what it has done itself.
    done = STORED if outcome == DUPLICATE else outcome
    return End(job, DONE, {"result": json.dumps({"outcome": done.kind})})


def _job(message: Message) -> str:
    said = message.text(ATTRIBUTE)
    return said if _NAME.fullmatch(said) else ""


def _new(end: End) -> Any:
    now, (key, _, at) = int(time.time()), end.job.rpartition("-")
    said = {"at": now, **expiry(now), **end.said}
    item = {"pk": key, "sk": sort_key(end.state, at), **said}
    return tables.new(os.environ["STATUS_TABLE_NAME"], item)
