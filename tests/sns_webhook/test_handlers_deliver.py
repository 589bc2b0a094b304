"""What the signing function sends to a third party, and what becomes of what it cannot deliver."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from serverless_patterns.lambdas.foundation import aws, endpoints, visibility, webhooks
from serverless_patterns.lambdas.sns_webhook import deliver, register, store
from tests.moto_cloud import Context, fixture, record

from . import handlers
from .handlers import POSTED, SECRETS, URL, change

if TYPE_CHECKING:
    from tests.moto_cloud import Cloud

cloud = fixture(handlers.cloud)


def answers(monkeypatch: pytest.MonkeyPatch, status: int, retry_after: int = 0) -> list[Any]:
    asked: list[Any] = []

    def post(target: Any, body: bytes, *_: Any, **__: Any) -> endpoints.Answer:
        asked.append(target)
        if not status:
            raise endpoints.UnreachableError("timeout")
        return endpoints.Answer(status, retry_after)

    monkeypatch.setattr(endpoints, "post", post)
    return asked


def waits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    found: list[int] = []

    def change(url: str, seconds: dict[str, int]) -> dict[str, str]:
        found.extend(seconds.values())
        return {}

    monkeypatch.setattr(visibility, "change", change)
    return found


def several(count: int) -> list[dict[str, Any]]:
    return [record(change(number)) | {"receiptHandle": str(number)} for number in range(count)]


def test_an_event_is_signed_with_each_valid_secret_for_each_attempt(cloud: Cloud) -> None:
    assert cloud.run(deliver.handler, record(change())) == []
    ((headers, body),) = POSTED
    assert json.loads(body) == change()
    for secret in SECRETS:
        assert webhooks.verify(headers, body, [secret], time.time()) == "order-1-1"


@pytest.mark.parametrize("status", [301, 302, 307, 401, 404, 429, 500, 503])
def test_what_an_endpoint_does_not_take_is_delivered_again(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    asked, waited = answers(monkeypatch, status), waits(monkeypatch)
    assert len(cloud.run(deliver.handler, *several(5))) == 5
    assert (len(asked), len(waited)) == (5, 5)


def test_the_rest_of_a_batch_waits_while_the_endpoint_cannot_be_reached(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, waited = answers(monkeypatch, 0), waits(monkeypatch)
    assert len(cloud.run(deliver.handler, *several(5))) == 5
    assert (len(asked), len(waited)) == (1, 5)


def test_attempts_wait_longer_each_time_by_chance_and_as_long_as_the_endpoint_asks(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited = waits(monkeypatch)
    for attempt, retry_after in ((1, 0), (3, 0), (20, 0), (1, 300), (1, 90_000)):
        answers(monkeypatch, 503, retry_after)
        one = record(change())
        one["attributes"]["ApproximateReceiveCount"] = str(attempt)
        cloud.run(deliver.handler, one)
    assert 30 <= waited[0] <= 60 < 480 <= waited[1] <= 960
    assert 1_800 <= waited[2] <= 3_600
    assert waited[3:] == [300, 3_600]
    answers(monkeypatch, 503)
    cloud.run(deliver.handler, *several(20))
    assert len(set(waited[5:])) > 1


def test_410_ends_the_deliveries_and_keeps_the_events(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answers(monkeypatch, 410)
    assert cloud.run(deliver.handler, record(change()), record(change(2))) == []
    assert cloud.run(deliver.handler, record(change(3))) == []
    assert len(asked) == 1
    assert cloud.reasons() == {"gone": 1, "no_endpoint": 2}


def test_an_endpoint_that_was_registered_meanwhile_is_not_marked_as_gone(cloud: Cloud) -> None:
    store.mark_gone("https://another.example.com/")
    assert [item["url"] for item in cloud.items()] == [URL]
    assert not store.endpoint().get("gone")


def test_a_name_that_has_come_to_lead_into_a_private_network_is_not_posted_to(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    with handlers.cloud(monkeypatch) as cloud:

        def post(target: Any, *_: Any, **__: Any) -> Any:
            return endpoints.resolve(target, lambda *_, **__: [(0, 0, 0, "", ("10.0.0.8", 443))])

        monkeypatch.setattr(endpoints, "post", post)
        assert cloud.run(deliver.handler, record(change())) == []
        assert cloud.reasons() == {"private_address": 1}


def registered(monkeypatch: pytest.MonkeyPatch, event: Any, address: str) -> dict[str, str]:
    found: Any = lambda *_, **__: [(0, 0, 0, "", (address, 443))]  # noqa: E731
    monkeypatch.setattr(endpoints, "resolve", partial(endpoints.resolve, look_up=found))
    context: Any = Context()
    return register.handler(event, context)


def test_a_client_registers_a_public_endpoint_and_no_other(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = {"url": "https://new.example.com/"}
    assert registered(monkeypatch, new, "10.0.0.8")["reason"] == "private_address"
    assert registered(monkeypatch, new | {"more": 1}, "93.184.216.34")["reason"] == "field"
    assert [item["url"] for item in cloud.items()] == [URL]
    assert registered(monkeypatch, new, "93.184.216.34") == {"status": "registered"}
    assert [item["url"] for item in cloud.items()] == [new["url"]]


@pytest.mark.usefixtures("cloud")
def test_during_a_rotation_the_secret_before_is_valid_too(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = {"AWSCURRENT": "new", "AWSPREVIOUS": "old"}

    class Secrets:
        def get_secret_value(self, SecretId: str, VersionStage: str) -> Any:  # noqa: N803
            if VersionStage not in stages:
                error: Any = {"Error": {"Code": "ResourceNotFoundException"}}
                raise ClientError(error, "GetSecretValue")
            return {"SecretString": stages[VersionStage]}

    monkeypatch.undo()
    monkeypatch.setattr(aws, "client", lambda _: Secrets())
    monkeypatch.setenv("SIGNING_ARN", "rotated")
    assert store.secrets() == ["new", "old"]
    del stages["AWSPREVIOUS"]
    assert store.secrets() == ["new", "old"]  # kept for five minutes
    monkeypatch.setenv("SIGNING_ARN", "fresh")
    assert store.secrets() == ["new"]


def test_events_are_posted_one_by_one_and_the_endpoint_is_read_once_a_batch(cloud: Cloud) -> None:
    cloud.run(deliver.handler, *several(5))
    assert cloud.calls == {"GetItem": 1}
    assert len(POSTED) == 5
