"""The handler of an API's front: accepts a job, and says how it is.

The job is written down before it is handed over: a client that asks at once finds it, and one that
got no answer sends its request again, under the same id.
"""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from . import aws, jobs, statuses, strict_json
from .jobs import Status
from .logs import logger
from .outcomes import RefusedError
from .requests import answer, body, headers, let_pages_read, sender
from .statuses import End

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aws_lambda_powertools.utilities.typing import LambdaContext

AGAIN = "The request was not accepted. Send it again."


@dataclass(frozen=True)
class Store:
    """Where jobs are written down, and who works. Each call may raise botocore's errors.

    Args:
        accept: Writes a job down whose key is free, with its request; else returns the one that has
            the key. Raises ``RefusedError`` for a request that the work would not take.
        items: Returns the items of the jobs that had a key; see ``statuses``.
        hand_over: Gives the request of a job, by its name, to who works; the same one twice has one
            effect. Default: nobody does, because writing it down is enough.
        look: Returns the execution of a job, if there is one. Default: there is none.
    """

    accept: Callable[[Mapping[str, Any], str], Mapping[str, Any] | None]
    items: Callable[[str], Sequence[Mapping[str, Any]]]
    hand_over: Callable[[str, str], None] = lambda _job, _body: None
    look: Callable[[str], Mapping[str, Any] | None] = lambda _job: None


def handler(store: Store) -> Callable[[Mapping[str, Any], LambdaContext], Any]:
    """Return the handler that answers POST of a job, and GET of its status.

    It reads the variables ``DEADLINE_SECONDS``, and ``STATUS_SECONDS`` unless jobs never expire.
    """

    @logger.inject_lambda_context
    def handle(event: Mapping[str, Any], _: LambdaContext) -> Any:
        said = _answer(store, event)
        return let_pages_read(said, event, "ETag", "Location", "Retry-After")

    return handle


def _answer(store: Store, event: Mapping[str, Any]) -> dict[str, Any]:
    of, sent = sender(event), headers(event)
    if not of:
        return _refused(403, "Sign the request, so that nobody else can see your job.")
    try:
        if event["httpMethod"] == "POST":
            return _accept(store, of, sent.get("idempotency-key"), event)
        return _tell(store, of, event["pathParameters"]["id"], sent.get("if-none-match", ""))
    except (ClientError, BotoCoreError) as error:
        logger.error("Failed", code=aws.code(error))
        return _refused(503, AGAIN)


def _accept(store: Store, of: str, asked: str | None, event: Mapping[str, Any]) -> dict[str, Any]:
    job_id = secrets.token_hex(16) if asked is None else asked
    if not jobs.JOB_ID.fullmatch(job_id):
        return _refused(400, "Idempotency-Key must have 1 to 64 letters, digits, - and _.")
    sent = body(event)
    try:
        fingerprint = strict_json.fingerprint(strict_json.parse(sent, floats=True))
    except RefusedError as error:
        return _refused(400, error.detail)
    now, key = int(time.time()), jobs.key(of, job_id)
    times = {"at": now, "deadline": now + int(os.environ["DEADLINE_SECONDS"])}
    times |= statuses.expiry(now)
    item = {"pk": key, "sk": statuses.JOB, "id": job_id, "fingerprint": fingerprint, **times}
    try:
        known = store.accept(item, sent)
    except RefusedError as error:
        return _refused(422, error.detail)
    if known and known["fingerprint"] != fingerprint:
        return _refused(409, "Idempotency-Key is that of another request.")
    status = Status.of(key, store.items(key) if known else [item], now)
    if status is None:  # it has just expired
        return _refused(503, AGAIN)
    if status.state == jobs.ACCEPTED:  # whoever wrote it may have ended before this
        try:
            store.hand_over(status.job, sent)
        except ClientError as error:
            if aws.code(error) not in jobs.CLIENT_FAULTS:
                raise
            statuses.put({job_id: End(status.job, statuses.FAILED, jobs.NOT_TAKEN)})
            return _refused(422, jobs.NOT_TAKEN["detail"])
    return jobs.accepted(job_id, event["requestContext"]["path"], status, now)


def _tell(store: Store, of: str, job_id: str, seen: str) -> dict[str, Any]:
    now, key = int(time.time()), jobs.key(of, job_id)
    status = Status.of(key, store.items(key), now) if jobs.JOB_ID.fullmatch(job_id) else None
    if status is None:
        return _refused(404, "There is no such job.")
    if status.state != statuses.DONE:  # a failed one may be redriven
        found = store.look(status.job)
        if end := jobs.end(status, found, now):
            if code := statuses.put({job_id: end}).get(job_id):
                logger.error("Failed", code=code)
                return _refused(503, "The status is not known. Ask again.")
            status = Status.of(key, store.items(key), now) or status
        elif found and status.state == jobs.ACCEPTED:
            status = replace(status, state=statuses.RUNNING)
    return jobs.told(job_id, status, seen, now)


def _refused(status: int, message: str) -> dict[str, Any]:
    return answer(status, {"message": message})
