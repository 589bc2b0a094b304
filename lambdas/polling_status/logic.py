"""What a client is told of its job. Pure: no AWS, no environment, no clock."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..foundation.statuses import DONE, FAILED, JOB

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
FIRST_WAIT, LONGEST_WAIT = 1, 30  # seconds until the next poll
ACCEPTED = "accepted"
# What a client can fix, of SQS and of Step Functions.
CLIENT_FAULTS = (
    "InvalidMessageContents",
    "InvalidParameterValue",
    "InvalidExecutionInput",
    "ValidationException",
)
NOT_TAKEN = {
    "reason": "NotTaken",
    "detail": "The work does not take this request: it is too large, or has a character that it "
    "does not know.",
}
# Whatever keeps it, keeps it for this client, and asks whether it is still so.
KEPT = "private, no-cache"


@dataclass(frozen=True)
class Status:
    """What is known of a job.

    Args:
        state: ``accepted``, ``done`` or ``failed``.
        accepted_at: In Unix seconds.
        deadline: Until when it has to end, in Unix seconds.
        said: What the client is told of its end.
    """

    state: str
    accepted_at: int
    deadline: int
    said: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, items: Sequence[Mapping[str, Any]]) -> Status | None:
        """Return the status that a job's items say; None if there is no such job."""
        found = {item["sk"]: item for item in items}
        if JOB not in found:
            return None
        job = found[JOB]
        state = next((end for end in (DONE, FAILED) if end in found), ACCEPTED)
        end = found.get(state, {})
        said = {name: end[name] for name in ("reason", "detail") if name in end}
        if "result" in end:
            said["result"] = json.loads(end["result"])
        numbers = int(job["at"]), int(job["deadline"])
        return cls(state, *numbers, said)


def owner(context: Mapping[str, Any]) -> str:
    """Return who sent a request, by what API Gateway has verified; nothing if it knows nobody.

    Source:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
    """
    identity, authorizer = context.get("identity") or {}, context.get("authorizer") or {}
    signer = (identity.get("caller") or "").split(":")[0]  # of a role: without its session
    each = (
        ("user", (authorizer.get("claims") or {}).get("sub")),
        ("principal", authorizer.get("principalId")),
        ("identity", identity.get("cognitoIdentityId")),
        ("signer", signer),
    )
    return next((f"{kind}:{name}" for kind, name in each if name), "")


def key(of: str, job_id: str) -> str:
    """Return a job's key; the ids of one owner are not those of another."""
    return f"{of}/{job_id}"


def execution(job: str) -> str:
    """Return the name of a job's execution: no other job has it, and it says nothing."""
    return hashlib.sha256(job.encode()).hexdigest()


def ended(found: Mapping[str, Any]) -> tuple[str, dict[str, str]] | None:
    """Return how an execution ended, and what the client is told; None while it runs."""
    status = found["status"]
    if status in ("RUNNING", "PENDING_REDRIVE"):
        return None
    if status == "SUCCEEDED":
        return DONE, {"result": found.get("output") or "null"}
    detail = "The work could not be finished."
    return FAILED, {"reason": found.get("error") or status, "detail": detail}


def wait(status: Status, now: int) -> int:
    """Return the seconds until the next poll: half of what the job has taken so far.

    A job of any length is then asked about by its logarithm, and known at most half late.
    """
    return max(FIRST_WAIT, min(LONGEST_WAIT, (now - status.accepted_at) // 2))


def accepted(job_id: str, path: str, status: Status, now: int) -> dict[str, Any]:
    """Return the answer to a request that was accepted; where its status is, is relative to it."""
    headers = {"Location": f"{path.rstrip('/').rpartition('/')[2]}/{job_id}"}
    if status.state == ACCEPTED:
        headers["Retry-After"] = str(wait(status, now))
    return _answer(202, {"id": job_id, "state": status.state}, headers)


def told(job_id: str, status: Status, seen: str, now: int) -> dict[str, Any]:
    """Return the answer to a poll: 304 if the client has ``seen`` this state already."""
    headers = {"ETag": f'"{status.state}"'}
    if status.state == ACCEPTED:
        headers["Retry-After"] = str(wait(status, now))
    if headers["ETag"] in [tag.strip().removeprefix("W/") for tag in seen.split(",")]:
        return _answer(304, None, headers)
    return _answer(200, {"id": job_id, "state": status.state, **status.said}, headers)


def cors(allowed: Sequence[str], origin: str) -> dict[str, str]:
    """Return the headers by which a browser lets a page of this origin read an answer.

    Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-cors.html
    """
    if not allowed:
        return {}
    found = origin if origin in allowed else allowed[0]
    exposed = {"Access-Control-Expose-Headers": "ETag,Location,Retry-After"}
    return {"Access-Control-Allow-Origin": found, "Vary": "Origin"} | exposed


def refused(status: int, message: str) -> dict[str, Any]:
    """Return the answer to a request that was not accepted."""
    return _answer(status, {"message": message}, {})


def _answer(status: int, body: Any, headers: Mapping[str, str]) -> dict[str, Any]:
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json", "Cache-Control": KEPT, **headers},
        "body": "" if body is None else json.dumps(body, ensure_ascii=False),
    }
