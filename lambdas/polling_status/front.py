"""API Gateway → DynamoDB → SQS or Step Functions: accepts a job, and says how it is.

The job is written down before it is handed over: a client that asks at once finds it, and one that
got no answer sends its request again, under the same id.
"""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from ..foundation import aws, statuses, strict_json
from ..foundation.logs import logger
from ..foundation.outcomes import RefusedError
from ..foundation.requests import answer, body, headers, let_pages_read, sender
from ..foundation.statuses import End
from . import logic, store
from .logic import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext

AGAIN = "The request was not accepted. Send it again."


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], _: LambdaContext) -> Any:
    """Answer POST of a job, and GET of its status, as API Gateway's proxy integration asks."""
    return let_pages_read(_answer(event), event, "ETag", "Location", "Retry-After")


def _answer(event: Mapping[str, Any]) -> dict[str, Any]:
    of, sent = sender(event), headers(event)
    if not of:
        return _refused(403, "Sign the request, so that nobody else is told of your job.")
    try:
        if event["httpMethod"] == "POST":
            return _accept(of, sent.get("idempotency-key"), event)
        return _tell(of, event["pathParameters"]["id"], sent.get("if-none-match", ""))
    except (ClientError, BotoCoreError) as error:
        logger.error("Failed", code=aws.code(error))
        return _refused(503, AGAIN)


def _accept(of: str, asked: str | None, event: Mapping[str, Any]) -> dict[str, Any]:
    job_id = secrets.token_hex(16) if asked is None else asked
    if not logic.JOB_ID.fullmatch(job_id):
        return _refused(400, "Idempotency-Key must have 1 to 64 letters, digits, - and _.")
    sent = body(event)
    try:
        fingerprint = strict_json.fingerprint(strict_json.parse(sent, floats=True))
    except RefusedError as error:
        return _refused(400, error.detail)
    now, key = int(time.time()), logic.key(of, job_id)
    kept, given = (int(os.environ[f"{name}_SECONDS"]) for name in ("STATUS", "DEADLINE"))
    times = {"at": now, "deadline": now + given, "expires_at": now + kept}
    item = {"pk": key, "sk": statuses.JOB, "id": job_id, "fingerprint": fingerprint, **times}
    known = store.accept(item)
    if known and known["fingerprint"] != fingerprint:
        return _refused(409, "Idempotency-Key is that of another request.")
    status = Status.of(key, store.items(key) if known else [item], now)
    if status is None:  # it has just expired
        return _refused(503, AGAIN)
    if status.state == logic.ACCEPTED:  # whoever wrote it may have ended before this
        try:
            store.hand_over(status.job, sent)
        except ClientError as error:
            if aws.code(error) not in logic.CLIENT_FAULTS:
                raise
            statuses.put({job_id: End(status.job, statuses.FAILED, logic.NOT_TAKEN)})
            return _refused(422, logic.NOT_TAKEN["detail"])
    return logic.accepted(job_id, event["requestContext"]["path"], status, now)


def _tell(of: str, job_id: str, seen: str) -> dict[str, Any]:
    now, key = int(time.time()), logic.key(of, job_id)
    status = Status.of(key, store.items(key), now) if logic.JOB_ID.fullmatch(job_id) else None
    if status is None:
        return _refused(404, "There is no such job.")
    if status.state != statuses.DONE:  # a failed one may be redriven
        found = store.look(status.job)
        if end := logic.end(status, found, now):
            if code := statuses.put({job_id: end}).get(job_id):
                logger.error("Failed", code=code)
                return _refused(503, "The status is not known. Ask again.")
            status = Status.of(key, store.items(key), now) or status
        elif found and status.state == logic.ACCEPTED:
            status = replace(status, state=statuses.RUNNING)
    return logic.told(job_id, status, seen, now)


def _refused(status: int, message: str) -> dict[str, Any]:
    return answer(status, {"message": message})
