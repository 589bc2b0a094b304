"""How a job ended, for the client that polls: written once, by whoever knows it first.

A job has up to three items of the table ``STATUS_TABLE_NAME``: ``job`` from its acceptance,
``done`` or ``failed`` from its end. Nothing changes an item, so a late or repeated report takes
nothing back: a job that is done stays done, and a failed one becomes done if a redrive succeeds.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import tables
from .outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .messages import Message

# The attribute of a message that says which job it is.
ATTRIBUTE = "Job"
JOB, DONE, FAILED = "job", "done", "failed"


@dataclass(frozen=True)
class End:
    """How a job ended.

    Args:
        job: Its key.
        state: ``done`` or ``failed``.
        said: What the client is told: ``result``, JSON, of one that is done; ``reason`` and
            ``detail`` of one that failed.
    """

    job: str
    state: str
    said: Mapping[str, str]


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


def report(messages: Sequence[Message], outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """Write what became of the jobs of a batch; return those that have failed for that, by id.

    A message that fails in its last attempt (``MAX_RECEIVE_COUNT``) ends its job, too. One that
    says no job is none.
    """
    ends = {message.id: end for message in messages if (end := _end(message, outcomes[message.id]))}
    return {id_: Outcome.failed(code) for id_, code in put(ends).items()}


def _end(message: Message, outcome: Outcome) -> End | None:
    job = message.text(ATTRIBUTE)
    last = message.receive_count >= int(os.environ["MAX_RECEIVE_COUNT"])
    if not job or outcome.kind == "postponed" or (outcome.kind == "failed" and not last):
        return None
    if outcome.kind == "failed":
        detail = "The work was attempted for the last time. It can be asked for again."
        return End(job, FAILED, {"reason": outcome.reason, "detail": detail})
    if outcome.kind == "refused":
        return End(job, FAILED, {"reason": outcome.reason, "detail": outcome.detail})
    return End(job, DONE, {"result": json.dumps({"outcome": outcome.kind})})


def _new(end: End) -> Any:
    now = int(time.time())
    kept = int(os.environ["STATUS_SECONDS"])
    item = {"pk": end.job, "sk": end.state, "at": now, "expires_at": now + kept, **end.said}
    return tables.new(os.environ["STATUS_TABLE_NAME"], item)
