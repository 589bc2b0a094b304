"""SNS → function URL → DynamoDB: the client's endpoint. Answers 200 only to what it has kept.

The id of a message is stored in one transaction with what the message changes: a second delivery,
by SNS or by somebody who has recorded the first, finds the id and changes nothing.
"""

from __future__ import annotations

import base64
import binascii
import functools
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from ..foundation import aws
from ..foundation.logs import logger
from ..foundation.outcomes import RefusedError
from ..foundation.sns_messages import (
    CONFIRMATION,
    DISTRUSTED,
    MAX_BODY,
    NOTIFICATION,
    Notification,
    UnavailableError,
    Verifier,
    fetch,
)
from . import store
from .states import parse

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

# Whoever may not confirm, or has a token that is over: no retry helps.
FINAL = ("InvalidParameter", "NotFound", "AuthorizationError", "InvalidParameterException")


@logger.inject_lambda_context
def handler(event: dict[str, Any], _: LambdaContext) -> dict[str, Any]:
    """Take a request of a function URL or an API."""
    try:
        message = _verifier().verify(_body(event), time.time())
        outcome = _take(message)
    except RefusedError as error:
        return _refused(error)
    except UnavailableError as error:
        return _unavailable(str(error))
    except (ClientError, BotoCoreError) as error:
        return _unavailable(aws.code(error))
    logger.info("Taken", message_id=message.id, kind=message.kind, outcome=outcome)
    return {"statusCode": 200}


def _unavailable(why: str) -> dict[str, Any]:
    """Answer with 503: SNS delivers the message again."""
    logger.error("Unavailable", error=why)
    return {"statusCode": 503}


def _take(message: Notification) -> str:
    if message.kind == CONFIRMATION:
        return _confirm(message)
    if message.kind != NOTIFICATION:
        return "ignored"  # its link would subscribe again, whoever ended the subscription
    return store.keep(message, parse(message.body))


def _confirm(message: Notification) -> str:
    """Confirm by SNS's API: its answer is of SNS, whatever address the message names."""
    try:
        aws.client("sns", region=message.region).confirm_subscription(
            TopicArn=message.topic, Token=message.token, AuthenticateOnUnsubscribe="true"
        )
    except ClientError as error:
        if error.response["Error"]["Code"] in FINAL:
            raise RefusedError("token", "SNS does not know the token.") from None
        raise
    return "confirmed"


def _refused(error: RefusedError) -> dict[str, Any]:
    """Answer with 4xx, which SNS does not retry, and Lambda counts."""
    logger.warning("Rejected", reason=error.reason, detail=error.detail)
    known = {"too_large": 413} | dict.fromkeys((*DISTRUSTED, "token"), 403)
    return {"statusCode": known.get(error.reason, 400), "body": error.reason}


def _body(event: dict[str, Any]) -> bytes:
    body = event.get("body") or ""
    if len(body) > 2 * MAX_BODY:
        raise RefusedError("too_large", f"The body has more than {MAX_BODY} bytes.")
    try:
        return base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()
    except (binascii.Error, UnicodeEncodeError):
        raise RefusedError("not_json", "The body is not UTF-8.") from None


@functools.cache
def _verifier() -> Verifier:
    trusted = os.environ.get("TRUST_STORE", "")
    return Verifier(
        topics=frozenset(os.environ["TOPIC_ARNS"].split()),
        certificate=fetch,
        max_age=float(os.environ["MAX_AGE_SECONDS"]),
        trust_store=Path(trusted).read_bytes() if trusted else b"",
    )
