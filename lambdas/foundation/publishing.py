"""Sends batches of which a service may take some entries and fail others, with HTTP 200."""

from __future__ import annotations

import math
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from . import aws

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping, Sequence

Entry = TypeVar("Entry")
# Seconds: three attempts of a client that waits one to connect and two to read, and pauses.
LONGEST_CALL = 15


@dataclass
class Published:
    """What became of events, by the sender's ids.

    Args:
        accepted: The service's id of the event.
        refused: Error code; sending it again unmodified would not help.
        unpublished: Error code of an event whose last attempt failed, or of the one before it, if
            nothing may be published behind a gap.
    """

    accepted: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    unpublished: dict[str, str] = field(default_factory=dict)

    def result(self, id_: str) -> dict[str, str]:
        """Return the ``status`` of an event, with a ``reason`` unless it is published."""
        for status, codes in (("refused", self.refused), ("unpublished", self.unpublished)):
            if id_ in codes:
                return {"status": status, "reason": codes[id_]}
        return {"status": "published"}


def send(
    batch: Sequence[tuple[str, Entry]],
    call: Callable[[Sequence[tuple[str, Entry]]], Iterable[tuple[str, str, str]]],
    refusals: Container[str],
    result: Published,
) -> dict[str, str]:
    """Send one batch; return the codes of entries that may be sent again, by id.

    Args:
        batch: The entries, each with its id.
        call: Sends them, and returns for each its id, what became of it (``accepted``, ``refused``
            or ``again``), and the service's id or the code of the error.
        refusals: Codes of an error of the whole call that no retry can help.
        result: Where the others are noted.
    """
    try:
        answers = [*call(batch)]
    except (ClientError, BotoCoreError) as error:
        code = aws.code(error)
        if code not in refusals:
            return dict.fromkeys((id_ for id_, _ in batch), code)
        if len(batch) == 1:
            result.refused[batch[0][0]] = code
            return {}
        failed: dict[str, str] = {}
        for one in batch:  # one of them is at fault: the others must not suffer
            failed |= send([one], call, refusals, result)
        return failed
    again: dict[str, str] = {}
    noted = {"accepted": result.accepted, "refused": result.refused, "again": again}
    for id_, outcome, text in answers:
        noted[outcome][id_] = text
    return again


def send_all(
    entries: Mapping[str, Entry],
    call: Callable[[Sequence[tuple[str, Entry]]], Iterable[tuple[str, str, str]]],
    refusals: Container[str],
    *,
    most: int,
    largest: int,
    size: Callable[[tuple[str, Entry]], int],
    attempts: int = 8,
    seconds_left: Callable[[], float] = lambda: math.inf,
    sleep: Callable[[float], None] = time.sleep,
) -> Published:
    """Send entries in batches, in no order, and again only those that failed.

    Args:
        entries: By the sender's ids.
        call: See ``send``.
        refusals: See ``send``.
        most: Entries of a call.
        largest: Bytes of a call.
        size: Bytes of an entry.
        attempts: For each entry. Default: 8.
        seconds_left: Until the caller has to answer; what is waiting when they are too few for a
            call is unpublished. Default: forever.
        sleep: Waits before the next attempt. Default: ``time.sleep``.
    """
    result, waiting = Published(), entries
    for attempt in range(attempts):
        codes: dict[str, str] = {}
        for batch in aws.batches(waiting.items(), most=most, largest=largest, size=size):
            late = seconds_left() < LONGEST_CALL
            ids = [id_ for id_, _ in batch]
            codes |= (
                dict.fromkeys(ids, "OutOfTime") if late else send(batch, call, refusals, result)
            )
        waiting, result.unpublished = {id_: waiting[id_] for id_ in codes}, codes
        if not waiting or seconds_left() < LONGEST_CALL:
            break
        sleep(min(5.0, 0.1 * 2**attempt) * random.random())  # noqa: S311 - jitter
    return result
