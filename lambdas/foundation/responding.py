"""The responder's side: works once on what somebody still waits for, and answers before it lets go.

A request is deleted when its answer is sent, and never before. So a crash at any place brings it
again, and the second time has the same answer and no second effect.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from . import batch, dead_letters, replies
from .logs import logger
from .outcomes import Outcome, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .batch import Handler, Write
    from .messages import Message
    from .replies import Request

    T = TypeVar("T")

# Nobody waits for it any more: work that is late is work in vain, and delays the rest.
EXPIRED = Outcome("expired")
NOBODY = Outcome("nobody")  # it was worked on, but its requester is gone


@dataclass(frozen=True)
class Answered(Outcome):
    """The outcome of a request that has an answer: ``answered``, or ``duplicate`` for the same one.

    Args:
        answer: As ``replies.result`` makes it.
    """

    answer: str = ""


def handler(parse: Callable[[Request], T], write: Write[T], *, fifo: bool = False) -> Handler:
    """Return the handler of a queue of requests. See ``batch.handler``.

    Refused requests are answered with the reason, and kept in the dead-letter queue with it. Those
    that fail are not answered: they are delivered again, while somebody waits for them.

    Args:
        parse: Returns what a request asks for, or raises ``RefusedError``.
        write: Works on requests; returns ``Answered`` for each that is done. It must have one
            effect for each id of a request, and the same answer each time.
        fifo: Whether the queue keeps an order. Default: no.
    """

    def read(message: Message) -> tuple[Request, T]:
        found = replies.request(message, _prefix())
        return found, parse(found)

    def work(parsed: Sequence[tuple[tuple[Request, T], Message]]) -> dict[str, Outcome]:
        now = time.time() * 1000
        late = {message.id: EXPIRED for (one, _), message in parsed if one.deadline <= now}
        wanted = [(said, message) for (_, said), message in parsed if message.id not in late]
        return late | (dict(write(wanted)) if wanted else {})

    return batch.handler(read, work, fifo=fifo, report=lambda *about: answer(*about))


def answer(messages: Sequence[Message], outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """Send the answers, ten a call; return what became of those that could not be sent."""
    found: dict[str, Outcome] = {}
    by_queue: dict[str, list[tuple[str, Any]]] = {}
    for message in messages:
        outcome = outcomes[message.id]
        if isinstance(outcome, Answered):
            said = replies.fitting(outcome.answer)
        elif outcome.kind == "refused":
            said = replies.error(outcome.reason, outcome.detail)
        else:
            continue
        try:
            to = replies.address(message, _prefix())
        except RefusedError:  # it is dead-lettered for that
            continue
        by_queue.setdefault(to.queue, []).append((message.id, _entry(to.id, said)))
    for queue, entries in by_queue.items():
        for message_id, code in _send(queue, entries).items():
            if code not in replies.GONE:
                found[message_id] = Outcome.failed(code)
            elif outcomes[message_id].kind != "refused":
                found[message_id] = NOBODY
    return found


def _send(queue: str, entries: Sequence[tuple[str, Any]]) -> dict[str, str]:
    """Send answers to a queue; return the codes of failures, by the requests' message ids."""
    url = os.environ["ANSWERS_URL"].removesuffix(_prefix()) + queue
    failed = dead_letters.send_all(url, ({"Id": id_, **one} for id_, one in entries))
    if failed:
        logger.warning("NotAnswered", answers=len(failed), codes=sorted(set(failed.values())))
    return failed


def _entry(id_: str, said: str) -> dict[str, Any]:
    return {"MessageBody": said, "MessageAttributes": {replies.CORRELATION_ID: replies.text(id_)}}


def _prefix() -> str:
    return os.environ["ANSWERS_URL"].rpartition("/")[2]
