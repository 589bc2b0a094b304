"""What was found in the stores is judged, and can be judged again with a fault in it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.sandbox import judging
from serverless_patterns.sandbox.sender import Event, Reply
from tests.faults import faults

from .fakes import driver

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serverless_patterns.sandbox.driver import Driver


def event(number: int) -> Event:
    body = f'{{"id": "event-{number}", "shop": "north", "lines": [{{"sku": "x{number}"}}]}}'
    return Event(f"event-{number}", body.encode())


def row(number: int) -> dict[str, Any]:
    return {"pk": f"E#event-{number}", "id": f"event-{number}", "shop": "north", "turn": number,
            "lines": [{"sku": f"x{number}"}], "price": f"{number}.50", "at": 10**9}  # fmt: skip


def strict(drive: Driver, rows: Sequence[Any]) -> None:
    drive.ledger.processed.update(each["id"] for each in rows)
    drive.as_sent("as sent", ((each["id"], each) for each in rows))
    wanted = {f"event-{number}": (number, f"{number}.50") for number in (1, 2, 3)}
    wrong = [it["id"] for it in rows if (it["turn"], it["price"]) != wanted.get(it["id"])]
    drive.check("in turn, at its price", not wrong, wrong)


@pytest.fixture
def drive() -> Driver:
    """A driver that has sent three events."""
    made = driver()
    made.send("events", lambda call: [Reply() for _ in call], [event(n) for n in (1, 2, 3)])
    return made


def test_what_is_judged_again_is_booked_in_a_silent_report_of_its_own(
    drive: Driver, capsys: pytest.CaptureFixture[str]
) -> None:
    drive.judge(strict, {"rows": [row(1), row(2), row(3)]})
    again = judging.again(drive.report.judgements)
    assert again.failures == drive.report.failures == []
    assert drive.ledger.processed == again.ledger.processed
    assert again.ledger.rows() == drive.ledger.rows()
    assert capsys.readouterr().out == ""


def test_what_is_lost_is_counted_and_named_alone(drive: Driver) -> None:
    drive.judge(strict, {"rows": [row(1), row(3)]})
    again = judging.again(drive.report.judgements)
    assert dict(again.ledger.rows())["lost"] == 1
    assert "no event is lost: 1: event-2" in again.failures


def test_every_fault_in_a_store_is_found_by_a_strict_verdict(drive: Driver) -> None:
    drive.judge(strict, {"rows": [row(1), row(2), row(3)]}, order=("shop", "turn"))
    made = [*faults(drive.report.judgements)]
    kinds = [fault.what.split()[0] for fault in made]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "dropped": 1, "doubled": 2, "changed": 4, "swapped": 1
    }  # fmt: skip
    for fault in made:
        assert judging.again(fault.judgements).failures, fault.what
        assert fault.names <= {"event-1", "event-2"}


def test_two_that_change_places_are_two_of_which_a_verdict_names_one() -> None:
    def judge(drive: Driver, rows: Sequence[Any]) -> None:
        drive.ledger.processed.update(each["id"] for each in rows)
        in_turn = [each for each in rows if each["id"] != "event-2"]
        late = [two["id"] for one, two in pairwise(in_turn) if one["turn"] > two["turn"]]
        drive.ledger.out_of_order.update(late)

    drive, north, south = driver(), {"shop": "north"}, {"shop": "south"}
    drive.send("events", lambda call: [Reply() for _ in call], [*map(event, range(1, 7))])
    superseded = [row(1) | south, row(2) | south | {"turn": 9}, row(3) | south]
    at_once = [row(4) | north, row(5) | north | {"turn": 4}, row(6) | north]
    drive.judge(judge, {"rows": [*superseded, *at_once]}, order=("shop", "turn"))
    assert drive.report.failures == []
    [swapped] = (it for it in faults(drive.report.judgements) if it.what.startswith("swapped"))
    failures = "".join(judging.again(swapped.judgements).failures)
    assert any(name in failures for name in swapped.names)


def test_two_of_a_group_change_places_where_a_verdict_compares_their_turns() -> None:
    def judge(drive: Driver, rows: Sequence[Any]) -> None:
        drive.ledger.processed.update(each["id"] for each in rows)
        drive.in_turn({each["id"]: int(each["place"]) for each in rows})

    drive, groups = driver(), {1: "a", 2: "b", 3: "a", 4: "", 5: ""}
    events = [replace(event(number), group=group) for number, group in groups.items()]
    drive.send("events", lambda call: [Reply() for _ in call], events)
    rows = [row(number) | {"place": f"{10**6 + number:09}"} for number in groups]
    drive.judge(judge, {"rows": rows})
    assert drive.report.failures == []
    [swapped] = (it for it in faults(drive.report.judgements) if it.what.startswith("swapped"))
    assert swapped.names == {"event-1", "event-3"}
    assert judging.again(swapped.judgements).failures == ["no event is out of order: 1: event-3"]


def test_a_store_that_delivers_at_least_once_may_have_a_record_twice(drive: Driver) -> None:
    twice = [row(1), row(1), row(2), row(3)]
    drive.judge(strict, {"rows": twice}, at_least_once=True)
    made = [*faults(drive.report.judgements)]
    assert {fault.what.split()[0] for fault in made} == {"dropped", "changed"}
    assert {name for fault in made for name in fault.names} == {"event-2"}


@pytest.mark.parametrize(
    ("changed", "holds"),
    [({}, True), ({"more": 1}, True), ({"shop": "north "}, False), ({"lines": []}, False)],
)
def test_what_is_stored_has_every_field_as_it_was_sent(
    drive: Driver, changed: dict[str, Any], *, holds: bool
) -> None:
    drive.as_sent("as sent", [("event-1", row(1) | changed), ("never-sent", {})])
    assert drive.report.failures == ([] if holds else ["as sent: 1: event-1"])


@pytest.mark.parametrize(
    ("found", "holds"), [("ab", True), ("ba", True), ("a", False), ("abb", False), ("abc", False)]
)
def test_things_are_compared_as_often_as_they_are_there(found: str, *, holds: bool) -> None:
    drive = driver()
    drive.compare("alike", found, "ab")
    assert (drive.report.failures == []) is holds


def test_a_wait_for_events_in_vain_names_those_that_are_missing() -> None:
    drive = driver(patience=0)
    drive.wait_for("they are there", {"a"}, lambda: "ab")
    with pytest.raises(TimeoutError, match=r"until they are there, .* Missing are 1: b\."):
        drive.wait_for("they are there", {"a", "b"}, lambda: "a")
