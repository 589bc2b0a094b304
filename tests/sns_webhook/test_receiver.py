"""What the client's receiver takes, and everything that it refuses."""

from __future__ import annotations

import json
import threading
from functools import partial
from http.client import HTTPSConnection
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.foundation.outcomes import RefusedError
from serverless_patterns.lambdas.sns_webhook import notifications, receiver
from serverless_patterns.lambdas.sns_webhook.notifications import Verifier
from tests import moto_cloud
from tests.moto_cloud import Context, fixture

from .signing import CERTIFICATE, NOW, TOPIC, confirmation, message, pem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.moto_cloud import Cloud

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


def verifier(**given: Any) -> Verifier:
    given = {"certificate": lambda _: pem()} | given
    return Verifier(topics=frozenset({TOPIC}), max_age=15 * DAY, **given)


def refusal(body: bytes, *, later: float = 0, **given: Any) -> str:
    with pytest.raises(RefusedError) as error:
        verifier(**given).verify(body, NOW.timestamp() + later)
    return error.value.reason


def altered(**fields: Any) -> bytes:
    return json.dumps(json.loads(message("text")) | fields).encode()


def test_a_message_that_sns_has_signed_is_taken_as_it_was_published() -> None:
    text = 'line\n"Message"\nünïcode \u0001 ' + "x" * 100_000
    taken = verifier().verify(message(text, Subject="Subject"), NOW.timestamp())
    assert (taken.body, taken.subject, taken.topic) == (text, "Subject", TOPIC)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"Message": "another"}, "signature"),
        ({"MessageId": "another"}, "signature"),
        ({"Subject": "one that was not signed"}, "signature"),
        ({"Timestamp": "2026-11-26T23:59:59.000Z"}, "signature"),
        ({"Type": "SubscriptionConfirmation", "Token": "t", "SubscribeURL": "u"}, "signature"),
        ({"Signature": "not base64"}, "signature"),
        ({"Signature": ""}, "signature"),
        ({"SignatureVersion": "1"}, "signature_version"),
        ({"SignatureVersion": "3"}, "signature_version"),
        ({"TopicArn": f"{TOPIC}-of-a-stranger"}, "topic"),
        ({"Type": "Other"}, "type"),
        ({"Type": ["Notification"]}, "type"),
        ({"Message": 1}, "field"),
        ({"Message": None}, "field"),
    ],
)
def test_an_altered_message_is_refused(fields: dict[str, Any], reason: str) -> None:
    assert refusal(altered(**fields)) == reason


@pytest.mark.parametrize(
    "url",
    [
        CERTIFICATE.replace("https", "http"),
        CERTIFICATE.replace("amazonaws.com", "amazonaws.com.evil.example"),
        CERTIFICATE.replace("https://", "https://evil.example/?"),
        CERTIFICATE.replace("https://", "https://evil.example@"),
        CERTIFICATE.replace("https://", "https://me@"),
        CERTIFICATE.replace("sns.eu", "evil.sns.eu"),
        CERTIFICATE.replace("sns.eu", "snsXeu"),
        CERTIFICATE.replace("eu-central-1", "us-east-1"),
        CERTIFICATE.replace(".com/", ".com:8443/"),
        CERTIFICATE.replace(".com/", ".com/bucket/"),
        CERTIFICATE + "\n",
        CERTIFICATE + "?a.pem",
        "https://s3.eu-central-1.amazonaws.com/evil/SimpleNotificationService-00.pem",
    ],
)
def test_a_certificate_is_fetched_from_sns_in_the_topics_region_only(url: str) -> None:
    fetched: list[str] = []
    body = message("text", SigningCertURL=url)
    assert refusal(body, certificate=lambda one: fetched.append(one) or pem()) == "certificate_url"
    assert fetched == []


def test_nothing_is_fetched_for_a_stranger_s_topic() -> None:
    body = message("text", TopicArn=f"{TOPIC}-of-a-stranger")
    assert refusal(body, certificate=lambda _: pytest.fail("fetched")) == "topic"


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        (b"no certificate", "certificate"),
        (pem("sns.evil.example"), "certificate"),
        (pem("sns.us-east-1.amazonaws.com"), "certificate"),
        (pem(days=-1), "certificate"),
    ],
)
def test_a_certificate_that_is_not_of_sns_or_is_over_is_refused(
    certificate: bytes, reason: str
) -> None:
    assert refusal(message("text"), certificate=lambda _: certificate) == reason


@pytest.mark.parametrize(
    "name", ["sns.amazonaws.com", "sns.eu-central-1.amazonaws.com",
             "sns-signing.eu-central-1.amazonaws.com", "sns-eu-central-1.amazonaws.com"]
)  # fmt: skip
def test_the_names_of_sns_in_every_kind_of_region_are_known(name: str) -> None:
    known = verifier(certificate=lambda _: pem(name), trust_store=pem(""))
    assert known.verify(message("text"), NOW.timestamp()).body == "text"


def test_a_chain_that_ends_elsewhere_than_in_the_trust_store_is_refused() -> None:
    stranger = pem(authority="Stranger")
    alone = verifier(certificate=lambda _: stranger)
    assert alone.verify(message("text"), NOW.timestamp()).body == "text"
    given = {"certificate": lambda _: stranger, "trust_store": pem("")}
    assert refusal(message("text"), **given) == "certificate"


def test_a_signature_by_another_key_or_with_sha1_is_refused() -> None:
    assert refusal(message("text", of="stranger")) == "signature"
    assert refusal(message("text", sha1=True)) == "signature_version"
    assert refusal(message("text", sha1=True, SignatureVersion="2")) == "signature"


@pytest.mark.parametrize(("later", "taken"), [(-301, False), (-299, True), (14 * DAY, True),
                                              (15 * DAY + 1, False)])  # fmt: skip
def test_a_message_is_taken_until_its_dead_letter_is_over(later: float, taken: bool) -> None:
    given: dict[str, Any] = {"certificate": lambda _: pem(days=100)}
    if taken:
        assert verifier(**given).verify(message("text"), NOW.timestamp() + later)
    else:
        assert refusal(message("text"), later=later, **given) == "timestamp"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not_json"), (b"[]", "type"), (b"\xff", "not_json"), (b"{" * 100_000, "not_json"),
        (b'{"Type": "Notification", "Type": "Other"}', "duplicate_key"),
        (b" " * (notifications.MAX_BODY + 1), "too_large"),
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused_before_anything_is_asked(body: bytes, reason: str) -> None:
    assert refusal(body, certificate=lambda _: pytest.fail("fetched")) == reason


# The function


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the certificate be fetched from nowhere, at the time of the messages."""
    monkeypatch.setattr(receiver, "fetch", lambda _: pem())
    monkeypatch.setattr(receiver.time, "time", NOW.timestamp)
    receiver._verifier.cache_clear()
    yield
    receiver._verifier.cache_clear()


def post(body: bytes, **event: Any) -> int:
    answer = receiver.handler({"body": body.decode(), **event}, Context())
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


def test_what_is_refused_is_counted_and_logged_without_what_was_sent(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    assert post(altered(Message="of customer-7")) == 403
    metric = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert metric["MessagesRejected"] == [1.0]
    assert "customer-7" not in cloud.log.getvalue()
    assert [line["reason"] for line in cloud.log_lines("Rejected")] == ["signature"]
    assert cloud.items() == cloud.items(SEEN) == []


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
        raise receiver.UnavailableError("timeout")

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
                raise receiver.ClientError(error, "ConfirmSubscription")

    def client(service: str, *, region: str) -> Sns:
        assert (service, region) == ("sns", "eu-central-1")
        return Sns()

    monkeypatch.setattr(receiver.aws, "client", client)
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


# The certificate's way


class Answer:
    def __init__(self, status: int) -> None:
        self.status = status

    def read(self, most: int) -> bytes:
        return b"x" * most


def test_a_certificate_is_fetched_once_and_a_redirect_is_not_followed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    asked: list[tuple[str, str]] = []
    status = {"now": 302}

    def request(self: HTTPSConnection, method: str, path: str) -> None:
        asked.append((self.host, path))

    monkeypatch.setattr(HTTPSConnection, "request", request)
    monkeypatch.setattr(HTTPSConnection, "getresponse", lambda _: Answer(status["now"]))
    receiver.fetch.cache_clear()
    with pytest.raises(receiver.UnavailableError, match="302"):
        receiver.fetch(CERTIFICATE)
    status["now"] = 200
    assert receiver.fetch(CERTIFICATE) == receiver.fetch(CERTIFICATE)
    assert len(asked) == 2
    assert {host for host, _ in asked} == {"sns.eu-central-1.amazonaws.com"}
    receiver.fetch.cache_clear()
