"""SQS → S3, DynamoDB: price lists, each version read once; the latest upload of a key counts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from ..foundation import aws, batch, objects, tables
from ..foundation.outcomes import DUPLICATE, STORED, Outcome, RefusedError
from . import logic, store
from .logic import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ..foundation.messages import Message
    from ..foundation.objects import ObjectEvent


def parse(message: Message) -> list[ObjectEvent]:
    """Return the events in a message.

    Raises:
        RefusedError: it is no event of our bucket.
    """
    return objects.parse(message, os.environ["BUCKET_NAME"])


def write(parsed: Sequence[tuple[list[ObjectEvent], Message]]) -> dict[str, Outcome]:
    """Read each version, and store the results of the batch in as few calls as they take.

    A message may have several events. It is done when each of them is; those that are done already
    are found done when it comes again.
    """
    outcome = read(event for said, _ in parsed for event in said)
    return {message.id: logic.together(map(outcome, said)) for said, message in parsed}


def read(said: Iterable[ObjectEvent]) -> Callable[[ObjectEvent], Outcome]:
    """Read what the events are about, and return the function that returns each one's outcome."""
    events = {_name(event): event for event in said}
    works = _work(events)
    answer = tables.put_new(_puts(events, works))

    def outcome(event: ObjectEvent) -> Outcome:
        name = _name(event)
        names = [it for it in (name, _current(event.key)) if it in answer.failed]
        if names:
            return Outcome.failed(answer.failed[names[0]])
        found = works[name].outcome
        return DUPLICATE if found == STORED and name in answer.found else found

    return outcome


def _work(events: Mapping[str, ObjectEvent]) -> dict[str, Work]:
    """Read what the events are about. Once S3 cannot be reached, the others are not attempted."""
    works: dict[str, Work] = {}
    unreachable: Work | None = None
    for name, event in events.items():
        try:
            work = unreachable or _read(event)
        except ClientError as error:
            work = Work(Outcome.failed(aws.code(error)))
        except BotoCoreError as error:
            work = unreachable = Work(Outcome.failed(aws.code(error)))
        works[name] = work
    return works


def _read(event: ObjectEvent) -> Work:
    if event.kind == "ObjectRemoved" and not logic.is_of_one_version(event):
        return Work(logic.REMOVED, "removed", counts=True)
    if event.kind != "ObjectCreated":
        return Work(logic.SKIPPED)
    try:
        content = store.fetch(event)
        if isinstance(content, Outcome):
            return Work(content, content.kind, result={})
        found = logic.read(content)
    except RefusedError as error:
        why = {"reason": error.reason}
        return Work(Outcome.refused(error), "refused", counts=True, result=why)
    store.report(event, found)
    said = {"lines": found.lines, "fingerprint": found.fingerprint}
    return Work(STORED, "read", counts=True, result=said)


def _puts(events: Mapping[str, ObjectEvent], works: Mapping[str, Work]) -> dict[str, object]:
    results = {
        name: store.result(events[name], work.state, **work.result)
        for name, work in works.items()
        if work.result is not None
    }
    latest = logic.newest(events[name] for name, work in works.items() if work.counts)
    return results | {
        _current(key): store.current(event, works[_name(event)].state)
        for key, event in latest.items()
    }


def _name(event: ObjectEvent) -> str:
    return f"{event.kind} {event.id} {event.key}"


def _current(key: str) -> str:
    return f"current {key}"


handler = batch.handler(parse, write)
