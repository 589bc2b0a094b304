"""Hides the messages that failed until their next attempt, for longer each time, and no other."""

from __future__ import annotations

import json
import math
import os
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import aws, dead_letters
from .logs import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .messages import Message
    from .outcomes import Outcome

# Amazon SQS API reference, "ChangeMessageVisibility": since the message was received.
LONGEST_SECONDS = 43_200


@dataclass(frozen=True)
class Backoff:
    """The delays between the attempts at a message: see ``Backoff`` of the construct.

    Args:
        first: Seconds after the first receive.
        factor: By which it grows with each receive.
        longest: At most so many seconds.
    """

    first: float
    factor: float
    longest: float

    @classmethod
    def of_environment(cls) -> Backoff:
        """Return the delays that the construct tells."""
        return cls(**json.loads(os.environ["BACKOFF"]))

    def delay(self, receives: int, draw: Callable[[], float] = random.random) -> int:
        """Return the delay after so many receives, in seconds: between half of it and all."""
        growth = min(math.log(self.longest / self.first), (receives - 1) * math.log(self.factor))
        grown = round(self.first * math.exp(growth), 3)
        return math.ceil(grown / 2 * (1 + draw()))


def retry_later(messages: Sequence[Message], outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """Hide each message that failed until its next attempt; show a postponed one at once.

    For ``report`` of ``batch.handler``. A message that SQS did not hide returns after the queue's
    visibility timeout.
    """
    backoff, delays = Backoff.of_environment(), {}
    for message in messages:
        kind = outcomes[message.id].kind
        if kind in ("failed", "postponed"):
            seconds = backoff.delay(message.receive_count) if kind == "failed" else 0
            delays[message.receipt_handle] = seconds
            receives, reason = message.receive_count, outcomes[message.id].reason
            logger.info("Retry", **message.ids, receives=receives, seconds=seconds, reason=reason)
    failed = change(os.environ["QUEUE_URL"], delays)
    if failed:
        logger.warning("NotHidden", records=len(failed), codes=sorted(set(failed.values())))
    return {}


def change(queue_url: str, seconds: Mapping[str, int]) -> dict[str, str]:
    """Hide messages for so many seconds from now, ten a call; return the codes of failures.

    Args:
        queue_url: Of their queue.
        seconds: By receipt handle; 0 shows the message at once.
    """
    handles = dict(zip(map(str, range(len(seconds))), seconds, strict=True))
    entries = (
        {"Id": id_, "ReceiptHandle": handle, "VisibilityTimeout": seconds[handle]}
        for id_, handle in handles.items()
    )
    call = aws.client("sqs").change_message_visibility_batch
    failed = dead_letters.call_all(call, queue_url, entries)
    return {handles[id_]: code for id_, code in failed.items()}
