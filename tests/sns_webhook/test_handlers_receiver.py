"""What the client's receiver does with what SNS posts, real or not."""

from __future__ import annotations

import json
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from serverless_patterns.lambdas.foundation import aws
from serverless_patterns.lambdas.foundation.sns_messages import UnavailableError
from serverless_patterns.lambdas.sns_webhook import receiver
from tests import moto_cloud
from tests.lambdas.signing import NOW, TOPIC, confirmation, message, pem
from tests.moto_cloud import Context, fixture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.moto_cloud import Cloud

CONTEXT: Any = Context()
DAY = 86_400
CHANGE = {
    "change_id": "order-1-1", "order_id": "order-1", "version": 1, "state": "placed",
    "customer_id": "customer-7",
}  # fmt: skip
SEEN = "seen"
ENVIRONMENT = {
    "TABLE_NAME": moto_cloud.TABLE, "SEEN_TABLE_NAME": SEEN, "TOPIC_ARNS": f"{TOPIC} {TOPIC}-2",
    "MAX_AGE_SECONDS": str(15 * DAY),
}  # fmt: skip
cloud = fixture(
    partial(
        moto_cloud.cloud,
        tables={moto_cloud.TABLE: ("pk", "sk"), SEEN: ("pk",)},
        environment=ENVIRONMENT,
    )
)


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the certificate be fetched from nowhere, at the time of the messages."""
    monkeypatch.setattr(receiver, "fetch", lambda _: pem())
    monkeypatch.setattr("time.time", NOW.timestamp)
    receiver._verifier.cache_clear()
    yield
    receiver._verifier.cache_clear()


def post(body: bytes, **event: Any) -> int:
    answer = receiver.handler({"body": body.decode(), **event}, CONTEXT)
    return int(answer["statusCode"])


def change(**fields: Any) -> bytes:
    return message(json.dumps(CHANGE | fields))


def test_a_state_change_is_stored_with_the_id_of_its_message(cloud: Cloud) -> None:
    assert post(change()) == 200
    (row,), (seen,) = cloud.items(), cloud.items(SEEN)
    assert (row["order_id"], row["state"], row["message_id"]) == ("order-1", "placed", seen["pk"])
    assert int(seen["expires_at"]) > NOW.timestamp() + 15 * DAY
    assert cloud.calls == {"TransactWriteItems": 1}


def test_a_replayed_message_changes_nothing_and_is_answered_with_success(cloud: Cloud) -> None:
    assert [post(change()) for _ in range(5)] == [200] * 5
    assert len(cloud.items()) == 1


def test_the_same_change_in_another_message_has_no_second_effect(cloud: Cloud) -> None:
    again = message(json.dumps(CHANGE), MessageId="another")
    assert (post(change()), post(again)) == (200, 200)
    assert len(cloud.items()) == 1


def test_another_change_of_the_same_order_and_version_is_refused(cloud: Cloud) -> None:
    another = message(json.dumps(CHANGE | {"state": "packed"}), MessageId="another")
    assert (post(change()), post(another)) == (200, 400)
    assert [row["state"] for row in cloud.items()] == ["placed"]


def test_two_copies_at_the_same_time_have_one_effect(cloud: Cloud) -> None:
    threads = [threading.Thread(target=post, args=(change(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cloud.items()) == 1


def test_what_is_refused_is_logged_without_what_was_sent(cloud: Cloud) -> None:
    altered = json.loads(change()) | {"Message": "of customer-7"}
    assert post(json.dumps(altered).encode()) == 403
    assert "customer-7" not in cloud.log.getvalue()
    assert [line["reason"] for line in cloud.log_lines("Rejected")] == ["signature"]
    assert cloud.items() == cloud.items(SEEN) == []


@pytest.mark.parametrize(("authority", "status"), [("Amazon", 200), ("Stranger", 403)])
def test_with_a_trust_store_the_certificate_must_be_of_an_authority_in_it(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, authority: str, status: int
) -> None:
    (tmp_path / "store.pem").write_bytes(pem("", authority=authority))
    monkeypatch.setenv("TRUST_STORE", str(tmp_path / "store.pem"))
    assert post(change()) == status
    assert len(cloud.items()) == (status == 200)


def test_an_outage_of_the_table_lets_sns_try_again(cloud: Cloud) -> None:
    cloud.busy = 50
    assert post(change()) == 503
    cloud.busy = 0
    assert post(change()) == 200
    assert len(cloud.items()) == 1


def test_a_certificate_that_cannot_be_fetched_lets_sns_try_again(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(_: str) -> bytes:
        raise UnavailableError("timeout")

    monkeypatch.setattr(receiver, "fetch", fetch)
    receiver._verifier.cache_clear()
    assert post(change()) == 503
    assert cloud.items() == []


def confirm(monkeypatch: pytest.MonkeyPatch, body: bytes, code: str = "") -> tuple[int, list[Any]]:
    asked: list[Any] = []

    class Sns:
        def confirm_subscription(self, **given: Any) -> None:
            asked.append(given)
            if code:
                error: Any = {"Error": {"Code": code}}
                raise ClientError(error, "ConfirmSubscription")

    def client(service: str, *, region: str) -> Sns:
        assert (service, region) == ("sns", "eu-central-1")
        return Sns()

    monkeypatch.setattr(aws, "client", client)
    return post(body), asked


@pytest.mark.usefixtures("cloud")
def test_a_subscription_of_a_known_topic_is_confirmed_by_the_api_of_sns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = {"TopicArn": TOPIC, "Token": "token-1", "AuthenticateOnUnsubscribe": "true"}
    assert confirm(monkeypatch, confirmation()) == (200, [asked])


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize(
    ("body", "code", "status", "calls"),
    [
        (confirmation(TopicArn=f"{TOPIC}-of-a-stranger"), "", 403, 0),
        (confirmation(of="stranger"), "", 403, 0),
        (confirmation(), "InvalidParameter", 403, 1),
        (confirmation(), "InternalError", 503, 1),
        (confirmation(Type="UnsubscribeConfirmation"), "", 200, 0),
    ],
)
def test_nothing_else_is_confirmed(
    monkeypatch: pytest.MonkeyPatch, body: bytes, code: str, status: int, calls: int
) -> None:
    answered, asked = confirm(monkeypatch, body, code)
    assert (answered, len(asked)) == (status, calls)
