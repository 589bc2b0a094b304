"""A crash before and after every call leaves no message without its body, and nothing for long."""

from __future__ import annotations

from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.claim_check import announce, catalogs, catalogs_in_order
from tests.claim_check.handlers import BUCKET, PREFIX, catalog, cloud
from tests.claim_check.world import (
    bodies,
    deliver,
    keys,
    messages,
    pointer,
    pointing,
    swept,
    without_object,
)
from tests.moto_cloud import UNREACHABLE, client, record

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.moto_cloud import Cloud

ALL = {"older_than_seconds": -60}


class Crash(BaseException):
    """The process is gone: nothing catches it, and nothing is cleaned up."""


class Crashes:
    """Crashes at one moment: before or after a call of AWS; looks at every one of them."""

    def __init__(self, at: int) -> None:
        self.at, self.seen, self.bare, self.crashed, self.dead = at, 0, list[str](), "", False

    def __call__(self, operation: str, moment: str, _: str) -> None:
        self.bare += without_object()
        self.seen += 1
        if self.seen == self.at:
            self.crashed, self.dead = f"{moment} {operation}", True
        if self.dead:  # it calls nothing more, not even to clean up
            raise Crash

    def until(self, step: Callable[[], Any], done: Callable[[], bool] = lambda: True) -> None:
        """Repeat a step until it is done, in a new process after a crash."""
        for _ in range(5):
            self.dead = False
            try:
                step()
            except Crash:
                continue
            if done():
                return
        raise AssertionError("It does not end.")


@pytest.mark.parametrize("handler", [catalogs.handler, catalogs_in_order.handler])
def test_a_crash_at_any_place_leaves_no_message_without_its_body_and_no_orphan(
    handler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fifo = handler is catalogs_in_order.handler
    group: Any = {"group_id": "supplier"} if fifo else {}
    places: list[str] = []
    for at in count(1):
        with monkeypatch.context() as patch, cloud(patch, fifo=fifo) as made:
            crashes = Crashes(at)
            made.faults.append(crashes)
            crashes.until(partial(messages(threshold=0).send, catalog("list", parts=2), **group))
            crashes.until(partial(deliver, made, handler), lambda: not bodies())
            crashes.until(partial(swept, **ALL))
            # What is left is of a sender that crashed, and no message needs it.
            crashes.until(partial(swept, **ALL, kept_seconds=-60), lambda: not keys())
            made.faults.clear()
            assert crashes.bare == [], crashes.crashed
            assert made.letters() == []
            stored = [item["pk"] for item in made.items() if not item["pk"].startswith("payload#")]
            assert stored == ["list"], crashes.crashed
        if not crashes.crashed:
            break
        places.append(crashes.crashed)
    calls = {"PutObject", "SendMessage", "GetObject", "TransactWriteItems"}
    calls |= {"DeleteMessageBatch", "DeleteObjects", "ListObjectVersions"}
    assert {f"{when} {call}" for when in ("before", "after") for call in calls} <= {*places}


def test_a_crash_of_the_announcer_sends_the_pointer_again_and_the_body_is_read_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text, key = catalog("list", parts=2), f"{PREFIX}uploaded"
    one = {"key": key, "eTag": "e", "size": len(text), "sequencer": "0A"}
    said = {"eventName": "ObjectCreated:Put", "eventTime": "2026-11-26T12:00:00.000Z"}
    event = record({"Records": [said | {"s3": {"bucket": {"name": BUCKET}, "object": one}}]})
    for at in (1, 2, 3):
        with monkeypatch.context() as patch, cloud(patch) as made:
            client("s3").put_object(Bucket=BUCKET, Key=key, Body=text.encode())
            crashes = Crashes(at)
            made.faults.append(crashes)
            crashes.until(partial(made.run, announce.handler, event))
            sent = len(bodies())
            made.faults.clear()
            crashes.until(partial(deliver, made, catalogs.handler), lambda: not bodies())
            assert sent == (2 if crashes.crashed == "after SendMessage" else 1)
            assert sorted(item["pk"] for item in made.items()) == ["list", f"payload#{key}"]
            assert (keys(), made.letters()) == ([], [])


def test_a_failure_in_the_middle_of_a_large_body_leaves_no_object_no_message_and_no_part(
    cloud: Cloud,
) -> None:
    cloud.fail("UploadPart", UNREACHABLE, times=9)
    with pytest.raises(Exception, match="Could not connect"):
        messages().send(b"x" * 1024**2 for _ in range(20))
    assert (keys(), bodies()) == ([], [])
    assert "Uploads" not in client("s3").list_multipart_uploads(Bucket=BUCKET)


def test_a_message_that_could_not_be_deleted_keeps_its_body_and_is_done_with_next_time(
    cloud: Cloud,
) -> None:
    messages(threshold=0).send(catalog("list"))
    gone = client("sqs").exceptions.ReceiptHandleIsInvalid
    cloud.fail("DeleteMessageBatch", gone({"Error": {"Code": "Invalid"}}, "DeleteMessageBatch"))
    assert len(deliver(cloud, catalogs.handler)) == 1
    assert len(keys()) == len(bodies()) == 1
    assert deliver(cloud, catalogs.handler) == []
    assert (keys(), bodies()) == ([], [])


def test_a_message_whose_body_never_was_is_dead_lettered(cloud: Cloud) -> None:
    cloud.run(catalogs.handler, pointing(pointer(BUCKET, f"{PREFIX}gone")))
    assert cloud.reasons() == {"payload_gone": 1}
