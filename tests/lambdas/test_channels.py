"""Publishing to channels of AppSync Events, whatever fails inside a 200."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from serverless_patterns.lambdas.foundation import channels
from serverless_patterns.lambdas.foundation.channels import MAX_EVENT_BYTES
from serverless_patterns.lambdas.foundation.outcomes import RefusedError
from tests.moto_cloud import REGION, UNREACHABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HOST = "api.appsync-api.eu-central-1.amazonaws.com"


@dataclass
class AppSync:
    """What AppSync was sent, by channel; ``answer`` fails some of a call's events."""

    calls: list[tuple[str, list[str]]] = field(default_factory=list)
    taken: dict[str, list[Any]] = field(default_factory=dict)
    answer: Callable[[int, list[str]], dict[int, int] | tuple[int, bytes]] = lambda *_: {}

    def post(self, address: str, body: bytes) -> tuple[int, bytes]:
        assert address == f"{HOST}/event"
        said = json.loads(body)
        assert len(said["events"]) <= channels.MAX_EVENTS
        assert sum(map(channels.size, said["events"])) <= MAX_EVENT_BYTES
        self.calls.append((said["channel"], said["events"]))
        failed = self.answer(len(self.calls), said["events"])
        if isinstance(failed, tuple):
            return failed
        done = [{"identifier": "x", "index": at} for at in range(len(said["events"]))
                if at not in failed]  # fmt: skip
        self.taken.setdefault(said["channel"], []).extend(
            json.loads(said["events"][one["index"]]) for one in done
        )
        wrong = [{"index": at, "code": code, "errorMessage": "no"} for at, code in failed.items()]
        return 200, json.dumps({"successful": done, "failed": wrong}).encode()


@pytest.fixture
def appsync() -> AppSync:
    return AppSync()


def publish(appsync: AppSync, **events: Sequence[Any]) -> dict[str, str]:
    """Publish events to channels; return what failed, by ``channel-place``."""
    sent = {
        channel: [(f"{channel}-{at}", json.dumps(one)) for at, one in enumerate(given)]
        for channel, given in events.items()
    }
    return channels.publish(HOST, sent, post=appsync.post, sleep=lambda _: None)


def test_an_event_that_failed_inside_a_200_is_sent_again_alone(appsync: AppSync) -> None:
    appsync.answer = lambda call, _: {1: 500, 3: 400} if call == 1 else {}
    assert publish(appsync, one=[1, 2, 3, 4, 5]) == {}
    assert [len(events) for _, events in appsync.calls] == [5, 2]
    assert appsync.taken == {"one": [1, 3, 5, 2, 4]}


@pytest.mark.parametrize("body", [b'{"successful": [], "failed": []}', b"{}", b"<html>", b"[]"])
def test_an_event_of_which_a_200_says_nothing_is_sent_again(body: bytes, appsync: AppSync) -> None:
    appsync.answer = lambda call, _: (200, body) if call == 1 else {}
    assert publish(appsync, one=[1]) == {}
    assert len(appsync.calls) == 2


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{}", "Unanswered"),
        (b'{"successful": [], "failed": []}', "Unanswered"),
        (b'{"successful": [], "failed": [{"index": 0}]}', "Failed"),
        (b'{"successful": [], "failed": [{"index": 0, "code": 429}]}', "429"),
    ],
)
def test_an_event_of_which_no_200_says_more_has_failed(
    body: bytes, code: str, appsync: AppSync
) -> None:
    appsync.answer = lambda *_: (200, body)
    assert publish(appsync, one=[1]) == {"one-0": code}


def test_what_still_fails_is_reported_and_the_channel_is_left_alone(appsync: AppSync) -> None:
    throttled = (429, b'{"errors": [{"errorType": "Throttled"}]}')
    appsync.answer = lambda _, events: throttled if '"x"' in events else {}
    failed = publish(appsync, one=[1], two=["x"] * 12)
    assert list(failed.values()) == ["Throttled"] * 5 + ["BehindAFailure"] * 7
    assert Counter(name for name, _ in appsync.calls) == {"one": 1, "two": channels.ATTEMPTS}


def test_the_events_behind_a_batch_that_failed_are_all_named(appsync: AppSync) -> None:
    appsync.answer = lambda _, events: (500, b"") if "11" in events else {}
    failed = publish(appsync, one=list(range(1, 19)))
    assert failed == {f"one-{at}": "Http500" for at in range(10, 15)} | {
        f"one-{at}": "BehindAFailure" for at in range(15, 18)
    }


def test_between_two_attempts_it_waits_twice_as_long_with_jitter(
    appsync: AppSync, monkeypatch: pytest.MonkeyPatch
) -> None:
    appsync.answer = lambda *_: (500, b"")
    waits: list[float] = []
    for share in (1.0, 0.5):
        monkeypatch.setattr("random.random", lambda share=share: share)
        channels.publish(HOST, {"a": [("1", "{}")]}, post=appsync.post, sleep=waits.append)
    assert waits == [0.2, 0.4, 0.1, 0.2]


@pytest.mark.parametrize("status", [401, 500])
def test_an_answer_that_is_no_200_fails_every_event(status: int, appsync: AppSync) -> None:
    appsync.answer = lambda *_: (status, b"<html>")
    assert publish(appsync, one=[1, 2]) == dict.fromkeys(("one-0", "one-1"), f"Http{status}")


def test_an_unreachable_appsync_fails_every_event(appsync: AppSync) -> None:
    def answer(*_: Any) -> Any:
        raise UNREACHABLE

    appsync.answer = answer
    assert publish(appsync, one=[1]) == {"one-0": "EndpointConnectionError"}


def test_events_that_are_large_together_are_sent_in_several_calls(appsync: AppSync) -> None:
    text = "é" * (MAX_EVENT_BYTES // 20)  # seven bytes each, as JSON writes it twice
    assert publish(appsync, one=[text] * 5) == {}
    assert [len(events) for _, events in appsync.calls] == [2, 2, 1]


@pytest.mark.parametrize("owner", ["", "cust_1", "x" * 51, "-a", "a/b", "*"])
def test_a_channel_that_nobody_could_subscribe_to_is_refused(owner: str) -> None:
    with pytest.raises(RefusedError, match="1 to 50 letters, digits or inner dashes"):
        channels.channel("orders", owner)


@pytest.mark.parametrize("endpoint", ["", "https://127.0.0.1:4566/"])
def test_a_publication_is_signed_by_the_functions_role_for_appsync(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Any] = []

    class Http:
        def send(self, request: Any) -> Any:
            sent.append(request)
            return type("Answer", (), {"status_code": 200, "content": b"{}"})

    credentials = boto3.Session("made-up", "made-up").get_credentials()
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setattr(channels, "_tools", lambda: (credentials, Http()))
    if endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    assert channels.signed_post(f"{HOST}/event", b"{}") == (200, b"{}")
    [request] = sent
    assert request.url == f"{endpoint or f'https://{HOST}/'}event"
    assert (request.method, request.body) == ("POST", b"{}")
    assert request.headers["Host"] == HOST
    assert request.headers["Content-Type"] == "application/json"
    assert f"/{REGION}/appsync/aws4_request" in str(request.headers["Authorization"])
