"""Publishing by the mutation of a GraphQL API, whatever fails inside a 200."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.foundation import channels, mutations
from serverless_patterns.patterns import limits
from tests.moto_cloud import UNREACHABLE

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = "api.appsync-api.eu-central-1.amazonaws.com"


class AppSync:
    """What AppSync was sent; ``fails`` names the error of a mutation, ``answer`` replaces all."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.taken: list[tuple[str, str, Any]] = []
        self.fails: Callable[[int, Any], str] = lambda *_: ""
        self.answer: Callable[[int], Any] = lambda _: None

    def post(self, address: str, body: bytes) -> tuple[int, bytes]:
        assert address == f"{HOST}/graphql"
        said = json.loads(body)
        fields = re.findall(r"(m\d+): (\w+)\(owner: \$(\w+), event: \$(\w+)\)", said["query"])
        self.calls.append(len(fields))
        if (answer := self.answer(len(self.calls))) is not None:
            return answer  # type: ignore[no-any-return]
        data: dict[str, Any] = {}
        errors = []
        for alias, mutation, owner, event in fields:
            owner, text = said["variables"][owner], said["variables"][event]
            if error := self.fails(len(self.calls), json.loads(text)):
                data[alias] = None
                errors.append({"path": [alias], "data": None, "errorType": error, "message": "no"})
            else:
                data[alias] = {"owner": owner, "event": text}
                self.taken.append((mutation, owner, json.loads(text)))
        return 200, json.dumps({"data": data} | ({"errors": errors} if errors else {})).encode()


@pytest.fixture
def appsync() -> AppSync:
    return AppSync()


def publish(appsync: AppSync, **events: Any) -> dict[str, str]:
    """Publish events of owners; return what failed, by ``owner-place``."""
    sent = {
        f"orders/{owner}": [(f"{owner}-{at}", json.dumps(one)) for at, one in enumerate(given)]
        for owner, given in events.items()
    }
    return mutations.publish(HOST, sent, post=appsync.post, sleep=lambda _: None)


def test_changes_of_several_owners_are_one_request_with_a_mutation_each(appsync: AppSync) -> None:
    assert publish(appsync, one=[1, 2], two=[3]) == {}
    assert appsync.calls == [3]
    assert appsync.taken == [("publishOrders", *it) for it in (("one", 1), ("one", 2), ("two", 3))]


def test_a_thousand_changes_of_ten_owners_take_forty_requests(appsync: AppSync) -> None:
    assert publish(appsync, **{f"c{number}": range(100) for number in range(10)}) == {}
    assert appsync.calls == [25] * 40


def test_a_mutation_that_failed_inside_a_200_is_sent_again_alone(appsync: AppSync) -> None:
    appsync.fails = lambda call, event: "InternalFailure" if call == 1 and event in (2, 4) else ""
    assert publish(appsync, one=[1, 2, 3, 4, 5]) == {}
    assert appsync.calls == [5, 2]
    assert [event for *_, event in appsync.taken] == [1, 3, 5, 2, 4]


def test_a_mutation_that_still_fails_is_reported_by_its_own_error(appsync: AppSync) -> None:
    appsync.fails = lambda _, event: "Unauthorized" if event == 2 else ""
    assert publish(appsync, one=[1, 2], two=[3]) == {"one-1": "Unauthorized"}
    assert appsync.calls == [3, 1, 1]


def test_the_events_behind_a_request_that_failed_are_all_named(appsync: AppSync) -> None:
    appsync.answer = lambda call: (503, b"") if call > 1 else None
    failed = publish(appsync, one=range(60))
    assert failed == {f"one-{at}": "Http503" for at in range(25, 50)} | {
        f"one-{at}": "BehindAFailure" for at in range(50, 60)
    }


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"data": null, "errors": [{"path": null, "errorType": "ValidationError"}]}',
         "ValidationError"),
        (b'{"data": null, "errors": [{"message": "no"}]}', "Failed"),
        (b'{"data": {"m0": null}}', "Unanswered"),
        (b"{}", "Unanswered"),
        (b"[]", "Unanswered"),
        (b"<html>", "Unanswered"),
    ],
)  # fmt: skip
def test_an_event_of_which_no_200_says_that_it_is_published_has_failed(
    body: bytes, code: str, appsync: AppSync
) -> None:
    appsync.answer = lambda _: (200, body)
    assert publish(appsync, one=[1]) == {"one-0": code}
    assert appsync.calls == [1] * channels.ATTEMPTS


def test_an_unreachable_api_fails_every_event(appsync: AppSync) -> None:
    def answer(_: int) -> Any:
        raise UNREACHABLE

    appsync.answer = answer
    assert publish(appsync, one=[1], two=[2]) == dict.fromkeys(
        ("one-0", "two-0"), "EndpointConnectionError"
    )


def test_what_a_client_is_sent_of_the_largest_event_is_within_appsyncs_limit() -> None:
    """AppSync's limit is of a message: the event, in JSON, with its owner and the names."""
    text = '"' * ((channels.MAX_EVENT_BYTES - 2) // 2)
    assert channels.size(text) == channels.MAX_EVENT_BYTES
    data = {"onX".ljust(52, "x"): {"owner": "x" * 50, "event": text}}
    frame = {"id": "orders", "type": "data", "payload": {"data": data}}
    assert len(json.dumps(frame)) <= 1000 * limits.APPSYNC_SUBSCRIPTION_KB


def test_events_that_are_large_together_are_sent_in_several_requests(appsync: AppSync) -> None:
    assert publish(appsync, one=["x" * 100_000] * 5) == {}
    assert appsync.calls == [2, 2, 1]
