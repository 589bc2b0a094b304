"""Publishing to a standard topic in batches, whatever fails in part."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.foundation import topics
from serverless_patterns.lambdas.foundation.topics import Event, publish
from tests.moto_cloud import client_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from serverless_patterns.lambdas.foundation.publishing import Published


@dataclass
class Topic:
    """A topic that fails as it is told to: neither moto nor AWS can be made to.

    Args:
        fails: Says of a message at a call whether it fails, and whether the sender is at fault.
    """

    fails: Callable[[str, int], bool | None] = lambda message, call: None
    largest: int = topics.MAX_BYTES
    calls: int = 0
    published: list[Any] = field(default_factory=list)
    attempts: list[str] = field(default_factory=list)

    def publish_batch(self, TopicArn: str, PublishBatchRequestEntries: Any) -> Any:  # noqa: N803
        self.calls += 1
        entries = PublishBatchRequestEntries
        assert TopicArn == "arn"
        assert 1 <= len({one["Id"] for one in entries}) == len(entries) <= 10
        size = sum(len(one["Message"]) for one in entries)
        assert size <= self.largest or len(entries) == 1
        answer: dict[str, list[Any]] = {"Successful": [], "Failed": []}
        for one in entries:
            fault = self.fails(one["Message"][:2], self.calls)
            self.attempts.append(one["Message"][:2])
            if fault is None:
                self.published.append(one)
                answer["Successful"].append({"Id": one["Id"], "MessageId": "m"})
            else:
                answer["Failed"].append({"Id": one["Id"], "Code": "Code", "SenderFault": fault})
        return answer


def events(count: int, size: int = 0) -> list[Event]:
    return [Event(f"{n}", f"{n:02}{'x' * size}", {"of": "shop"}) for n in range(count)]


def put(topic: Any, sent: list[Event], **options: Any) -> Published:
    return publish(topic, "arn", sent, **{"sleep": lambda _: None} | options)


def test_a_thousand_events_take_a_hundred_calls_to_a_topic() -> None:
    topic = Topic()
    assert len(put(topic, events(1_000)).accepted) == 1_000
    assert topic.calls == 100


def test_an_event_is_published_with_its_attributes() -> None:
    topic = Topic()
    assert put(topic, events(1)).accepted.keys() == {"0"}
    attribute = {"of": {"DataType": "String", "StringValue": "shop"}}
    assert topic.published[0] == {"Id": "0", "Message": "00", "MessageAttributes": attribute}


def test_only_failed_entries_are_sent_again_to_a_topic() -> None:
    topic = Topic(lambda message, call: False if message in ("03", "17") and call < 5 else None)
    done = put(topic, events(25))
    assert len(done.accepted) == len(topic.published) == 25
    assert {one for one in topic.attempts if topic.attempts.count(one) > 1} == {"03", "17"}


def test_an_entry_of_the_senders_fault_is_refused_at_once_and_one_that_keeps_failing_returned() -> (
    None
):
    topic = Topic(lambda message, _: {"01": True, "02": False}.get(message))
    done = put(topic, events(10), attempts=3)
    assert (done.refused, done.unpublished) == ({"1": "Code"}, {"2": "Code"})
    assert (topic.attempts.count("01"), topic.attempts.count("02")) == (1, 3)
    assert len(done.accepted) == 8


def test_one_message_that_sns_rejects_fails_no_other_of_its_call() -> None:
    class Strict(Topic):
        def publish_batch(self, TopicArn: str, PublishBatchRequestEntries: Any) -> Any:  # noqa: N803
            if any(one["Message"] == "03" for one in PublishBatchRequestEntries):
                raise client_error("InvalidParameter")
            return super().publish_batch(TopicArn, PublishBatchRequestEntries)

    done = put(Strict(), events(10))
    assert done.refused == {"3": "InvalidParameter"}
    assert len(done.accepted) == 9


@pytest.mark.parametrize(("largest", "calls"), [(topics.MAX_BYTES, 5), (1024**2, 1)])
def test_a_call_holds_as_much_as_the_topic_takes(largest: int, calls: int) -> None:
    topic = Topic(largest=largest)
    put(topic, events(10, 100_000), largest=largest)
    assert topic.calls == calls
