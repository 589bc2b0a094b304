"""Table → stream → SQS: publishes each event of the outbox, ten a call, and those that fail again.

At least once: a consumer tells a duplicate by its ``event_id``.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..foundation import dead_letters, shards
from ..foundation.outcomes import Outcome
from . import logic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..foundation.messages import Message

PUBLISHED = Outcome("published")


def publish(events: Sequence[tuple[str | None, Message]]) -> dict[str, Outcome]:
    """Send the events; return what became of each, by its message's id."""
    entries = [{"Id": message.id, "MessageBody": text} for text, message in events if text]
    failed = dead_letters.send_all(os.environ["QUEUE_URL"], entries)
    return {
        message.id: Outcome.failed(failed[message.id])
        if message.id in failed
        else (PUBLISHED if text else logic.IGNORED)
        for text, message in events
    }


handler = shards.handler(logic.event, publish)
