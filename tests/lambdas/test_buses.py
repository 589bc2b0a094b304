"""Publishing to an event bus in batches, whatever fails in part."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_patterns.lambdas.foundation import buses
from serverless_patterns.lambdas.foundation.buses import Event, publish
from serverless_patterns.lambdas.foundation.publishing import Published
from tests.moto_cloud import UNREACHABLE, client_error

if TYPE_CHECKING:
    from collections.abc import Callable

RETRIED, REFUSED = "InternalFailure", "MalformedDetail"


@dataclass
class Bus:
    """A bus that fails as it is told to: neither moto nor AWS can be made to.

    Args:
        fails: Gives the error code of an event at a call, if any.
    """

    fails: Callable[[str, int], str | None] = lambda event, call: None
    calls: int = 0
    published: list[str] = field(default_factory=list)
    attempts: list[str] = field(default_factory=list)

    def put_events(self, Entries: Any) -> Any:  # noqa: N803
        self.calls += 1
        assert 1 <= len(Entries) <= buses.MAX_ENTRIES
        total = sum(buses.size(("", entry)) for entry in Entries)
        assert total <= buses.MAX_BYTES or len(Entries) == 1
        results = []
        for entry in Entries:
            name = json.loads(entry["Detail"])["name"]
            self.attempts.append(name)
            if code := self.fails(name, self.calls):
                results.append({"ErrorCode": code})
            else:
                self.published.append(name)
                results.append({"EventId": f"id-{name}"})
        return {"Entries": results}


def events(count: int, size: int = 0) -> list[Event]:
    text = "x" * size
    return [Event(f"{n}", "shop", "Placed", {"name": f"{n}", "text": text}) for n in range(count)]


def put(bus: Any, sent: list[Event], **options: Any) -> Published:
    return publish(bus, "bus", sent, **{"sleep": lambda _: None} | options)


def test_a_thousand_events_take_a_hundred_calls_and_one_by_one_a_thousand() -> None:
    batched, single = Bus(), Bus()
    put(batched, events(1_000))
    for event in events(1_000):
        put(single, [event])
    assert (batched.calls, single.calls) == (100, 1_000)
    assert sorted(batched.published) == sorted(single.published)


@given(st.sets(st.integers(0, 24)), st.integers(1, 4))
def test_only_failed_entries_are_sent_again(failing: set[int], times: int) -> None:
    seen: dict[str, int] = {}

    def fails(name: str, _: int) -> str | None:
        seen[name] = seen.get(name, 0) + 1
        return RETRIED if int(name) in failing and seen[name] <= times else None

    bus = Bus(fails)
    done = put(bus, events(25))
    assert len(done.accepted) == len(bus.published) == 25
    assert seen == {f"{n}": times + 1 if n in failing else 1 for n in range(25)}


def test_what_no_retry_can_help_is_refused_alone_and_at_once() -> None:
    bus = Bus(lambda name, _: REFUSED if name == "3" else None)
    done = put(bus, events(10))
    assert done.refused == {"3": REFUSED}
    assert len(bus.published) == 9
    assert bus.attempts.count("3") == 1


def test_an_event_that_still_fails_is_returned_with_its_code() -> None:
    bus = Bus(lambda name, _: "ThrottlingException" if name == "3" else None)
    done = put(bus, events(10), attempts=3)
    assert done.unpublished == {"3": "ThrottlingException"}
    assert bus.attempts.count("3") == 3


def test_a_call_that_fails_as_a_whole_is_repeated() -> None:
    class Unreachable(Bus):
        def put_events(self, Entries: Any) -> Any:  # noqa: N803
            self.calls += 1
            if self.calls == 1:
                raise UNREACHABLE
            return super().put_events(Entries)

    bus = Unreachable()
    assert len(put(bus, events(10)).accepted) == 10
    given_up = put(Unreachable(), events(2), attempts=1)
    assert given_up.unpublished == dict.fromkeys("01", "EndpointConnectionError")


def test_one_event_at_fault_fails_no_other_of_its_call() -> None:
    class Strict(Bus):
        def put_events(self, Entries: Any) -> Any:  # noqa: N803
            if any('"name":"3"' in entry["Detail"] for entry in Entries):
                raise client_error("ValidationException")
            return super().put_events(Entries)

    done = put(Strict(), events(10))
    assert done.refused == {"3": "ValidationException"}
    assert len(done.accepted) == 9


@pytest.mark.parametrize(("size", "calls"), [(40_000, 1), (400_000, 5), (1_100_000, 10)])
def test_a_call_holds_less_than_a_megabyte(size: int, calls: int) -> None:
    bus = Bus()
    put(bus, events(10, size))
    assert bus.calls == calls


def test_between_two_attempts_it_waits_longer_and_longer_up_to_five_seconds_with_jitter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("random.random", lambda: 0.5)
    put(Bus(lambda *_: RETRIED), events(1), sleep=waits.append)
    assert waits == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.5, 2.5]


def test_as_long_as_a_call_fits_into_the_time_left_it_is_made() -> None:
    bus = Bus(lambda _, call: RETRIED if call == 1 else None)
    assert len(put(bus, events(1), seconds_left=lambda: 15.0).accepted) == 1
    assert bus.calls == 2


def test_a_result_says_what_became_of_an_event_and_why() -> None:
    found = Published({"1": "id-1"}, {"2": REFUSED}, {"3": RETRIED})
    assert [found.result(id_) for id_ in "123"] == [
        {"status": "published"},
        {"status": "refused", "reason": REFUSED},
        {"status": "unpublished", "reason": RETRIED},
    ]


def test_what_does_not_fit_into_the_time_left_is_returned() -> None:
    left = iter([60.0, 1.0, 1.0, 1.0])
    done = put(Bus(), events(20), seconds_left=lambda: next(left))
    assert len(done.accepted) == 10
    assert set(done.unpublished.values()) == {"OutOfTime"}
