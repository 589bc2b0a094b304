"""Webhooks by the scheme of Standard Webhooks: what verifies, and what does not."""

from __future__ import annotations

import pytest

from serverless_patterns.lambdas.foundation import webhooks
from serverless_patterns.lambdas.foundation.outcomes import RefusedError

# The example of the reference library's tests.
SECRET, ID, SENT = (
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "msg_p5jXN8AQM9LWM0D4loKWxJek",
    1614265330,
)
BODY, SIGNATURE = b'{"test": 2432232314}', "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
OLD, STRANGER = "whsec_" + "b2xk" * 8, "whsec_" + "c3Ry" * 8


def refusal(
    headers: dict[str, str], body: bytes = BODY, now: float = SENT, secret: str = SECRET
) -> str:
    with pytest.raises(RefusedError) as error:
        webhooks.verify(headers, body, [secret], now)
    assert error.value.detail.endswith(".")
    return error.value.reason


def test_a_signature_is_that_of_the_published_example() -> None:
    headers = webhooks.sign(ID, SENT, BODY, [SECRET])
    assert headers["webhook-signature"] == SIGNATURE
    assert webhooks.verify({k.title(): v for k, v in headers.items()}, BODY, [SECRET], SENT) == ID


def test_during_a_rotation_a_receiver_knows_the_old_secret_the_new_one_or_both() -> None:
    headers = webhooks.sign(ID, SENT, BODY, [SECRET, OLD])
    for known in ([SECRET], [OLD], [STRANGER, OLD]):
        assert webhooks.verify(headers, BODY, known, SENT) == ID
    assert refusal(headers, secret=STRANGER) == "signature"


def test_an_altered_or_replayed_webhook_is_refused() -> None:
    headers = webhooks.sign(ID, SENT, BODY, [SECRET])
    assert refusal(headers, body=BODY + b" ") == "signature"
    assert refusal(headers | {"webhook-id": "another"}) == "signature"
    assert refusal(headers | {"webhook-timestamp": str(SENT + 1)}) == "signature"
    for now in (SENT + 301, SENT - 301):
        assert refusal(headers, now=now) == "timestamp"
    for now in (SENT + 300, SENT - 300):
        assert webhooks.verify(headers, BODY, [SECRET], now) == ID
    del headers["webhook-signature"]
    assert refusal(headers) == "signature"


@pytest.mark.parametrize(
    "signature", ["", "v1", "v1,", ",", "v1,é", "v2,x", SIGNATURE.replace("v1", "v1a"), "v1,%" * 99]
)
def test_what_is_no_signature_is_refused(signature: str) -> None:
    headers = webhooks.sign(ID, SENT, BODY, [SECRET]) | {"webhook-signature": signature}
    assert refusal(headers) == "signature"


@pytest.mark.parametrize("timestamp", ["", "now", "-1", "1e9", "9" * 13, "٣" * 10])
def test_what_is_no_time_is_refused(timestamp: str) -> None:
    headers = webhooks.sign(ID, SENT, BODY, [SECRET]) | {"webhook-timestamp": timestamp}
    assert refusal(headers) == "headers"


@pytest.mark.parametrize("secret", ["whsec_", "c2hvcnQ=", "not base64!"])
def test_a_secret_that_is_too_short_or_none_signs_nothing(secret: str) -> None:
    with pytest.raises(ValueError, match="secret"):
        webhooks.sign(ID, SENT, BODY, [secret])
    with pytest.raises(ValueError, match="secret"):
        webhooks.sign(ID, SENT, BODY, [])
