"""What is believed of what SNS posts to an endpoint, and everything that is refused."""

from __future__ import annotations

import json
from datetime import timedelta
from http.client import HTTPSConnection
from typing import Any

import pytest

from serverless_patterns.lambdas.foundation import sns_messages
from serverless_patterns.lambdas.foundation.outcomes import RefusedError
from serverless_patterns.lambdas.foundation.sns_messages import Verifier

from .signing import CERTIFICATE, MESSAGE_ID, NOW, TOPIC, message, pem

DAY = 86_400


def verifier(**given: Any) -> Verifier:
    given = {"certificate": lambda _: pem()} | given
    return Verifier(topics=frozenset({TOPIC}), max_age=15 * DAY, **given)


def refusal(body: bytes, *, later: float = 0, **given: Any) -> str:
    with pytest.raises(RefusedError) as error:
        verifier(**given).verify(body, NOW.timestamp() + later)
    assert error.value.detail.endswith(".")
    return error.value.reason


def altered(**fields: Any) -> bytes:
    return json.dumps(json.loads(message("text")) | fields).encode()


def test_a_message_that_sns_has_signed_is_taken_as_it_was_published() -> None:
    text = 'line\n"Message"\nünïcode \u0001 ' + "x" * 100_000
    taken = verifier().verify(message(text, Subject="Subject"), NOW.timestamp())
    assert (taken.body, taken.subject, taken.topic) == (text, "Subject", TOPIC)
    assert (taken.kind, taken.id, taken.token) == ("Notification", MESSAGE_ID, "")
    assert (taken.region, taken.published_at) == ("eu-central-1", NOW.timestamp())
    assert verifier().verify(message("text"), NOW.timestamp()).subject == ""


def test_the_certificate_is_the_one_that_the_message_names() -> None:
    asked = list[str]()

    def fetched(url: str) -> bytes:
        asked.append(url)
        return pem()

    assert verifier(certificate=fetched).verify(message("text"), NOW.timestamp())
    assert asked == [CERTIFICATE]


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-central-1", "sns.eu-central-1.amazonaws.com"),
        ("us-gov-west-1", "sns.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "sns.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_each_region_has_certificates_on_a_host_of_its_own(region: str, host: str) -> None:
    assert sns_messages.host_of(region) == host


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
        ({"Signature": "*" + json.loads(message("text"))["Signature"]}, "signature"),
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
    body = message("text", SigningCertURL=url)
    assert refusal(body, certificate=lambda _: pytest.fail("fetched")) == "certificate_url"


def test_a_topic_that_keeps_an_order_posts_to_no_endpoint() -> None:
    fifo = Verifier(frozenset({f"{TOPIC}.fifo"}), lambda _: pytest.fail("fetched"), DAY)
    with pytest.raises(RefusedError) as error:
        fifo.verify(message("text", TopicArn=f"{TOPIC}.fifo"), NOW.timestamp())
    assert error.value.reason == "topic"


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
        (pem(of="weak"), "certificate"),
    ],
    ids=["none", "of a stranger", "of another region", "over", "weak"],
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
    given: Any = {"certificate": lambda _: stranger, "trust_store": pem("")}
    assert refusal(message("text"), **given) == "certificate"


def test_a_signature_by_another_key_or_with_sha1_is_refused() -> None:
    assert refusal(message("text", of="stranger")) == "signature"
    assert refusal(message("text", sha1=True)) == "signature_version"
    assert refusal(message("text", sha1=True, SignatureVersion="2")) == "signature"


@pytest.mark.parametrize(("later", "taken"), [(-301, False), (-300, True), (15 * DAY, True),
                                              (15 * DAY + 1, False)])  # fmt: skip
def test_a_message_is_taken_until_its_dead_letter_is_over(later: float, taken: bool) -> None:
    given: dict[str, Any] = {"certificate": lambda _: pem(days=100)}
    if taken:
        assert verifier(**given).verify(message("text"), NOW.timestamp() + later)
    else:
        assert refusal(message("text"), later=later, **given) == "timestamp"


@pytest.mark.parametrize(
    "text",
    ["now", "2026-11-27T00:00:00", "2026-13-27T00:00:00Z", "\u0662026-11-27T00:00:00Z",
     "2026-11-27T00:00:00.1234567Z"],
)  # fmt: skip
def test_a_signed_message_of_no_point_in_time_is_refused(text: str) -> None:
    assert refusal(message("text", Timestamp=text)) == "timestamp"


def test_a_certificate_is_valid_from_its_first_second_to_its_last() -> None:
    for now, text in ((NOW - timedelta(days=30), "first"), (NOW + timedelta(days=1), "last")):
        body = message(text, Timestamp=f"{now:%Y-%m-%dT%H:%M:%S}Z")
        assert verifier().verify(body, now.timestamp()).body == text


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not_json"), (b"[]", "type"), (b"\xff", "not_json"), (b"{" * 100_000, "not_json"),
        (b'{"Type": "Notification", "Type": "Other"}', "duplicate_key"),
        (b" " * (sns_messages.MAX_BODY + 1), "too_large"),
        (b" " * sns_messages.MAX_BODY, "not_json"),
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused_before_anything_is_asked(body: bytes, reason: str) -> None:
    assert refusal(body, certificate=lambda _: pytest.fail("fetched")) == reason


class Answer:
    def __init__(self, status: int) -> None:
        self.status = status

    def read(self, most: int) -> bytes:
        return b"x" * most


def test_a_certificate_is_fetched_once_and_a_redirect_is_not_followed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, str]] = []
    status = {"now": 302}

    def request(self: HTTPSConnection, method: str, path: str) -> None:
        asked.append((self.host, path))

    monkeypatch.setattr(HTTPSConnection, "request", request)
    monkeypatch.setattr(HTTPSConnection, "getresponse", lambda _: Answer(status["now"]))
    sns_messages.fetch.cache_clear()
    with pytest.raises(sns_messages.UnavailableError, match="302"):
        sns_messages.fetch(CERTIFICATE)
    status["now"] = 200
    assert sns_messages.fetch(CERTIFICATE) == sns_messages.fetch(CERTIFICATE)
    assert len(asked) == 2
    assert {host for host, _ in asked} == {"sns.eu-central-1.amazonaws.com"}
    sns_messages.fetch.cache_clear()
