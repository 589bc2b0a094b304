"""Dead letters are delivered in the turn of their group, or stay."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from serverless_patterns.redrive.run import BEHIND, Redrive
from serverless_patterns.redrive.sources import InTurn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serverless_patterns.redrive.sources import Letter


def message(order: str, version: int, *, raw: bool = False) -> dict[str, Any]:
    text = json.dumps({"order_id": order, "version": version})
    body = text if raw else json.dumps({"Type": "Notification", "Message": text})
    id_ = f"{order}-{version}"
    sent = {"SentTimestamp": str(100 - version)}
    return {"MessageId": id_, "ReceiptHandle": id_, "Body": body, "Attributes": sent}


class Sqs:
    def __init__(self, *messages: dict[str, Any]) -> None:
        self.left, self.deleted = [messages[:4], messages[4:]], list[str]()

    def receive_message(self, **_: Any) -> Any:
        return {"Messages": self.left.pop(0) if self.left else []}

    def delete_message_batch(self, QueueUrl: str, Entries: Any) -> Any:  # noqa: N803
        self.deleted += [one["ReceiptHandle"] for one in Entries]
        return {}

    def change_message_visibility_batch(self, **_: Any) -> None:
        """Show what is left."""


class Way:
    def __init__(self, refused: str = "") -> None:
        self.refused, self.given = refused, list[str]()

    def deliver(self, letters: Sequence[Letter]) -> dict[str, str]:
        self.given += [one.id for one in letters]
        return {one.id: "HTTP 503" for one in letters if one.id == self.refused}


def mixed() -> Sqs:
    other = {**message("c", 1), "MessageId": "other", "ReceiptHandle": "other", "Body": "no JSON"}
    both = [message(one, v, raw=v == 2) for v in (10, 2, 9, 1) for one in ("b", "a")]
    return Sqs(*both, other)


def test_dead_letters_are_delivered_in_the_turn_of_their_group() -> None:
    way = Way()
    report = Redrive(way, 1_000).run([InTurn(mixed(), "url", ("order_id", "version"))])
    turns = [f"{group}-{turn}" for group in "ab" for turn in (1, 2, 9, 10)]
    assert way.given == [*turns, "other"]
    assert (report.accepted, report.good) == (9, True)


def test_what_is_behind_one_that_was_not_taken_stays_and_other_groups_go_on() -> None:
    sqs = mixed()
    report = Redrive(Way("a-2"), 1_000).run([InTurn(sqs, "url", ("order_id", "version"))])
    assert sorted(sqs.deleted) == ["a-1", "b-1", "b-10", "b-2", "b-9", "other"]
    assert report.kept == {"HTTP 503": 1, BEHIND: 2}
    assert not report.good
