"""What a client is told of its job. Pure: no AWS, no environment, no clock.

A job is what a client asked for, and polls by its id.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .requests import answer
from .statuses import DONE, FAILED, JOB, RUNNING, End, job_name, sort_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
FIRST_WAIT, LONGEST_WAIT = 1, 30  # seconds until the next poll
ACCEPTED = "accepted"
# What a client can fix, of SQS and of Step Functions.
CLIENT_FAULTS = {"InvalidMessageContents", "InvalidParameterValue"}
CLIENT_FAULTS |= {"InvalidExecutionInput", "ValidationException"}
NOT_TAKEN = {
    "reason": "NotTaken",
    "detail": "The work does not take this request: it is too large, or has an unknown character.",
}
TOO_LATE = {
    "reason": "DeadlineExceeded",
    "detail": "It took too long, and may still be done. Ask again before you send it again.",
}
UNFINISHED = "The work could not be finished."


@dataclass(frozen=True)
class Status:
    """What is known of a job.

    Args:
        job: Its name, which no other job has.
        state: ``accepted``, ``running``, ``done`` or ``failed``.
        accepted_at: In Unix seconds.
        deadline: Until when it has to end, in Unix seconds.
        said: What the client is told of its end.
    """

    job: str
    state: str
    accepted_at: int
    deadline: int
    said: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, key: str, items: Sequence[Mapping[str, Any]], now: int) -> Status | None:
        """Return the status that a job's items say; None if there is no such job, or none now."""
        found = {item["sk"]: item for item in items}
        job = found.get(JOB)
        if job is None or job.get("expires_at", now + 1) <= now:
            return None
        at = int(job["at"])
        names = {state: sort_key(state, at) for state in (DONE, FAILED, RUNNING)}
        state = next((state for state, name in names.items() if name in found), ACCEPTED)
        end = found.get(names.get(state, ""), {})
        said = {name: end[name] for name in ("reason", "detail") if name in end}
        if "result" in end:
            said["result"] = json.loads(end["result"])
        return cls(job_name(key, at), state, at, int(job["deadline"]), said)


def key(of: str, job_id: str) -> str:
    """Return the key of a job: that of no other owner's, and it says nothing."""
    return hashlib.sha256(f"{of}/{job_id}".encode()).hexdigest()


def end(status: Status, found: Mapping[str, Any] | None, now: int) -> End | None:
    """Return how a job has ended that nobody has reported: its execution has, or its time is up.

    Args:
        status: What is known of it.
        found: Its execution, as Step Functions describes it, if there is one.
        now: In Unix seconds.
    """
    found = found or {"status": "RUNNING"}
    if found["status"] == "SUCCEEDED":
        return End(status.job, DONE, {"result": found.get("output") or "null"})
    if status.state == FAILED:
        return None
    if found["status"] not in ("RUNNING", "PENDING_REDRIVE"):
        reason = found.get("error") or found["status"]
        return End(status.job, FAILED, {"reason": reason, "detail": UNFINISHED})
    return End(status.job, FAILED, TOO_LATE) if now >= status.deadline else None


def wait(status: Status, now: int) -> int:
    """Return the seconds until the next poll: half of what the job has taken; so late at most."""
    return max(FIRST_WAIT, min(LONGEST_WAIT, (now - status.accepted_at) // 2))


def accepted(job_id: str, path: str, status: Status, now: int) -> dict[str, Any]:
    """Return the answer to a request that was accepted; where its status is, is relative to it."""
    last = path.rpartition("/")[2]
    headers = {"Location": f"{last}/{job_id}" if last else job_id} | _again(status, now)
    return answer(202, {"id": job_id, "state": status.state}, headers)


def told(job_id: str, status: Status, seen: str, now: int) -> dict[str, Any]:
    """Return the answer to a poll: 304 if the client has ``seen`` this state already."""
    headers = {"ETag": f'"{status.state}"'} | _again(status, now)
    if {headers["ETag"], "*"} & {tag.strip().removeprefix("W/") for tag in seen.split(",")}:
        return answer(304, None, headers)
    return answer(200, {"id": job_id, "state": status.state, **status.said}, headers)


def _again(status: Status, now: int) -> dict[str, str]:
    """Return when to ask again, until the job has ended."""
    return {} if status.state in (DONE, FAILED) else {"Retry-After": str(wait(status, now))}
