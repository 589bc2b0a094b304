"""Dead letters of a subscription are delivered in the turn of their group, or stay."""

from __future__ import annotations

import json
from typing import Any

from serverless_patterns.patterns.redrive import subscription
from serverless_patterns.patterns.redrive.sources import Letter

ORDER_BY = ("order_id", "version")


def letter(order: str, version: int, *, raw: bool = False) -> Letter:
    text = json.dumps({"order_id": order, "version": version})
    body = text if raw else json.dumps({"Type": "Notification", "Message": text})
    return Letter(f"{order}-{version}", body, sent_at=100 - version)


def letters() -> list[list[Letter]]:
    mixed = [letter(order, version) for version in (10, 2, 9, 1) for order in ("b", "a")]
    return [mixed[:4], [*mixed[4:], Letter("other", "no JSON", 0)]]


def test_dead_letters_are_delivered_in_the_turn_of_their_group() -> None:
    found = [one for ten in subscription.in_turn(letters(), ORDER_BY) for one in ten]
    turns = [("a", 1), ("a", 2), ("a", 9), ("a", 10), ("b", 1), ("b", 2), ("b", 9), ("b", 10)]
    assert [(group, one.id) for group, one in found] == [
        *((group, f"{group}-{turn}") for group, turn in turns),
        ("", "other"),
    ]


def test_a_raw_message_has_its_turn_too() -> None:
    both = [[letter("a", 2, raw=True), letter("a", 1)]]
    found = [one.id for ten in subscription.in_turn(both, ORDER_BY) for _, one in ten]
    assert found == ["a-1", "a-2"]


class Queue:
    deleted: list[str]

    def __init__(self, *_: Any) -> None:
        Queue.deleted = []

    def batches(self) -> Any:
        return iter(letters())

    def delete(self, ids: list[str]) -> int:
        Queue.deleted += ids
        return 0

    def release(self) -> None:
        """Hide nothing."""


class Aws:
    def get_subscription_attributes(self, **_: str) -> Any:
        policy = json.dumps({"deadLetterTargetArn": "arn:aws:sqs:eu-central-1:1:queue"})
        given = {"Protocol": "https", "Endpoint": "https://a.example/", "RedrivePolicy": policy}
        return {"Attributes": given}

    def get_queue_url(self, **_: str) -> Any:
        return {"QueueUrl": "url"}


def test_what_is_behind_one_that_was_not_taken_stays_and_other_groups_go_on(
    monkeypatch: Any,
) -> None:
    def post(_: str, body: str, __: str) -> None:
        if "Message" in body and json.loads(json.loads(body)["Message"]) == refused:
            raise subscription.NotTakenError("HTTP 503")

    refused = {"order_id": "a", "version": 2}
    monkeypatch.setattr(subscription, "Queue", Queue)
    monkeypatch.setattr(subscription, "post", post)
    report = subscription.Redelivery(lambda _: Aws(), "arn", order_by=ORDER_BY).run()
    assert sorted(Queue.deleted) == ["a-1", "b-1", "b-10", "b-2", "b-9", "other"]
    assert report.kept == {"HTTP 503": 1, "behind one that was not taken": 2}
    assert not report.good
