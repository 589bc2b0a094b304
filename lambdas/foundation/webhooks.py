"""Webhooks signed with a shared secret, by the scheme of Standard Webhooks.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

Pure: no AWS, no environment, no clock.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from typing import TYPE_CHECKING

from .outcomes import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TOLERANCE = 300  # seconds
FEWEST_BYTES = 24  # of a secret


def sign(id_: str, timestamp: int, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """Return the headers of a webhook, with a signature for each secret.

    During a rotation two secrets are valid, and the receiver may know either.

    Args:
        id_: Of the event: the same in every attempt.
        timestamp: Of this attempt, in Unix seconds.
        body: As it is sent.
        secrets: In base64, with or without ``whsec_`` before it.

    Raises:
        ValueError: there is no secret, or one is not base64 of enough bytes.
    """
    if not secrets:
        raise ValueError("No secret was given: nobody could verify the webhook.")
    return {
        "webhook-id": id_,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(_signature(id_, timestamp, body, one) for one in secrets),
    }


def verify(
    headers: Mapping[str, str],
    body: bytes,
    secrets: Sequence[str],
    now: float,
    tolerance: int = TOLERANCE,
) -> str:
    """Return the id of a webhook, by which the caller refuses a second one.

    Args:
        headers: Of the request, in any spelling.
        body: As it was received.
        secrets: Those that are valid.
        now: In Unix seconds.
        tolerance: How far the sender's clock may be from ours. Default: 300 seconds.

    Raises:
        RefusedError: it is not signed with one of the secrets, or is of another time.
        ValueError: a secret is not base64 of enough bytes.
    """
    given = {name.lower(): value for name, value in headers.items()}
    id_, timestamp = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
    if not id_ or not re.fullmatch(r"[0-9]{1,12}", timestamp):
        raise RefusedError("headers", "The webhook's headers are missing.")
    if abs(now - int(timestamp)) > tolerance:
        raise RefusedError("timestamp", "The webhook is too old, or of the future.")
    found = given.get("webhook-signature", "").encode().split(b" ")
    wanted = [_signature(id_, int(timestamp), body, one).encode() for one in secrets]
    if not any(hmac.compare_digest(one, other) for one in wanted for other in found):
        raise RefusedError("signature", "No signature is one of this body by a valid secret.")
    return id_


def _signature(id_: str, timestamp: int, body: bytes, secret: str) -> str:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise ValueError("A secret is not base64.") from None
    if len(key) < FEWEST_BYTES:
        raise ValueError(f"A secret has less than {FEWEST_BYTES} bytes.")
    signed = b".".join((id_.encode(), str(timestamp).encode(), body))
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"
