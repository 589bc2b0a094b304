"""API Gateway → DynamoDB → SQS or Step Functions: accepts a job, and says how it is.

The job is written down before it is handed over: a client that asks at once finds it, and one that
got no answer sends its request again, under the same id.
"""

from __future__ import annotations

import os
import secrets
import time
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from ..foundation import aws, statuses, strict_json
from ..foundation.logs import logger
from ..foundation.outcomes import RefusedError
from . import logic, store
from .logic import Status, refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext

NO_SUCH_JOB = "There is no such job."
AGAIN = "The request was not accepted. Send it again."


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], _: LambdaContext) -> dict[str, Any]:
    """Answer POST of a job, and GET of its status.

    Args:
        event: The request, as API Gateway's proxy integration says it.
    """
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    answer = _answer(event, headers)
    allowed = os.environ.get("CORS_ORIGINS", "").split()
    answer["headers"] |= logic.cors(allowed, headers.get("origin") or "")
    return answer


def _answer(event: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
    of = logic.owner(event["requestContext"])
    if not of:
        return refused(403, "Sign the request, so that nobody else is told of your job.")
    try:
        if event["httpMethod"] == "POST":
            return _accept(of, headers.get("idempotency-key"), event)
        return _tell(of, event["pathParameters"]["id"], headers.get("if-none-match") or "")
    except (ClientError, BotoCoreError) as error:
        logger.error("Failed", code=aws.code(error))
        return refused(503, AGAIN)


def _accept(of: str, asked: str | None, event: Mapping[str, Any]) -> dict[str, Any]:
    job_id = secrets.token_hex(16) if asked is None else asked
    if not logic.JOB_ID.fullmatch(job_id):
        return refused(400, "Idempotency-Key must have 1 to 64 letters, digits, - and _.")
    body = event.get("body") or ""
    try:
        fingerprint = strict_json.fingerprint(strict_json.parse(body))
    except RefusedError as error:
        return refused(400, error.detail)
    now, job = int(time.time()), logic.key(of, job_id)
    item = {
        "at": now,
        "deadline": now + int(os.environ["DEADLINE_SECONDS"]),
        "expires_at": now + int(os.environ["STATUS_SECONDS"]),
        "fingerprint": fingerprint,
    }
    known = store.accept(job, item)
    if known and known["fingerprint"] != fingerprint:
        return refused(409, "Idempotency-Key is that of another request.")
    status = Status.of(store.items(job)) if known else Status(logic.ACCEPTED, now, now)
    if status is None:  # it has just expired
        return refused(503, AGAIN)
    if status.state == logic.ACCEPTED:  # whoever wrote it may have ended before this
        try:
            store.hand_over(job, body)
        except ClientError as error:
            if aws.code(error) not in logic.CLIENT_FAULTS:
                raise
            statuses.put({job: statuses.End(job, statuses.FAILED, logic.NOT_TAKEN)})
            return refused(422, logic.NOT_TAKEN["detail"])
    return logic.accepted(job_id, event["requestContext"]["path"], status, now)


def _tell(of: str, job_id: str, seen: str) -> dict[str, Any]:
    now, job = int(time.time()), logic.key(of, job_id)
    status = Status.of(store.items(job)) if logic.JOB_ID.fullmatch(job_id) else None
    if status is None:
        return refused(404, NO_SUCH_JOB)
    if status.state == logic.ACCEPTED and (end := _end(job, status, now)):
        code = statuses.put({job: end}).get(job)
        if code:
            logger.error("Failed", code=code)
            return refused(503, "The status is not known. Ask again.")
        status = Status.of(store.items(job)) or status
    return logic.told(job_id, status, seen, now)


def _end(job: str, status: Status, now: int) -> statuses.End | None:
    """Return how a job has ended that nobody has reported: its execution did, or its time is up."""
    found = store.look(job)
    if found and (end := logic.ended(found)):
        return statuses.End(job, *end)
    if now < status.deadline:
        return None
    detail = "It took too long, and may still be done. Ask again before you send it again."
    return statuses.End(job, statuses.FAILED, {"reason": "DeadlineExceeded", "detail": detail})
