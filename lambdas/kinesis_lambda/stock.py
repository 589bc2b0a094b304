"""Kinesis → DynamoDB: movements of parts, each applied once and in the order of its part.

Fifty movements cost one read and one write call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..foundation import aws, shards
from ..foundation.outcomes import BEHIND_A_FAILURE, STORED, Outcome
from . import logic, store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..foundation.messages import Message

    Received = Sequence[tuple[logic.Movement, Message]]


def apply(received: Received) -> dict[str, Outcome]:
    """Apply the movements that are new; return what became of each message, by its id."""
    outcomes: dict[str, Outcome] = {}
    failed: dict[str, str] = {}
    for some in aws.batches(received, most=store.MAX_MOVEMENTS):
        # What is behind a failure of its part waits, or the part's order would be lost.
        ready = [one for one in some if one[0].part_id not in failed]
        outcomes |= {message.id: BEHIND_A_FAILURE for _, message in some}
        outcomes |= _apply_together(ready, failed) if ready else {}
    return outcomes


def _apply_together(received: Received, failed: dict[str, str]) -> dict[str, Outcome]:
    """Apply movements in one call, and add the error codes of parts to ``failed``."""
    outcomes: dict[str, Outcome] = {}
    before, stored = store.read([movement for movement, _ in received])
    after, new = dict(before), dict[str, list[tuple[logic.Movement, int]]]()
    for movement, message in received:
        result = after[movement.part_id].after(movement, stored)
        if isinstance(result, Outcome):
            outcomes[message.id] = result
            continue
        after[movement.part_id] = result
        stored[movement.key] = movement.fingerprint
        new.setdefault(movement.part_id, []).append((movement, result.movements))
        outcomes[message.id] = STORED
    failed |= store.write(new, before, after)
    return {
        message.id: (
            Outcome.failed(failed[movement.part_id])
            if movement.part_id in failed
            else outcomes[message.id]
        )
        for movement, message in received
    }


handler = shards.handler(logic.parse, apply)
