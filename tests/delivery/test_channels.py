"""The publisher of ``appsync_live``, whatever a shard delivers twice and AppSync does not take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serverless_patterns.lambdas.appsync_live import publisher
from serverless_patterns.lambdas.foundation import channels
from tests import moto_cloud
from tests.appsync_live.test_handlers import change
from tests.lambdas.test_channels import HOST, AppSync

from .sources import Sent, Stream
from .trouble import Trouble

if TYPE_CHECKING:
    from random import Random

CONTEXT: Any = moto_cloud.Context()
ENVIRONMENT = {"NAMESPACE": "orders", "EVENTS_HOST": HOST}
CHANGES, FAULTS, RETRIES = 12, 12, 20


@settings(max_examples=10)
@given(dice=st.randoms(use_true_random=False))
def test_each_change_is_published_or_kept_with_its_reason(dice: Random) -> None:
    trouble, appsync = Trouble(dice, dice.randrange(FAULTS + 1)), AppSync()

    def answer(_: int, events: list[str]) -> Any:
        if trouble.strikes("an event fails inside a 200", 6):
            return {dice.randrange(len(events)): 500}
        return (500, b"") if trouble.strikes("a call fails", 6) else {}

    appsync.answer = answer
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(channels, "signed_post", appsync.post)
        patch.setattr("time.sleep", lambda _: None)
        with moto_cloud.cloud(patch, environment=ENVIRONMENT) as cloud:
            patch.setenv("DEAD_LETTER_QUEUE_URL", cloud.queue_url)
            trouble.at_calls(cloud, lambda: None)
            stream = Stream(
                trouble,
                lambda event, _: publisher.handler(event, CONTEXT),
                make=lambda sent, _: sent.event,
                numbered=lambda record: record["dynamodb"]["SequenceNumber"],
                retries=RETRIES,
            )
            bad = {number for number in range(1, CHANGES + 1) if dice.randrange(6) == 0}
            for number in range(1, CHANGES + 1):
                wrong = {"order": "{"} if number in bad else {}
                stream.send(Sent(change(number, dice.choice(("one", "two")), **wrong)))
            while not stream.idle:
                stream.step()
            letters = [attributes["Reason"] for _, attributes in cloud.letters_there()]
    taken = {event["version"] for events in appsync.taken.values() for event in events}
    assert taken == {*range(1, CHANGES + 1)} - bad
    assert len(letters) >= len(bad), "at least once: the answer of a call may be lost"
    assert {*letters} == ({"not_json"} if bad else set())
