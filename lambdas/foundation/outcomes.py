"""What becomes of a message: the words that all handlers of queues share.

Pure: no AWS, no environment, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class RefusedError(Exception):
    """What no retry can mend.

    Args:
        reason: Short code, for machines.
        detail: Plain sentence, without a word of what was sent.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Outcome:
    """What became of a message.

    Args:
        kind: ``refused``: no retry can mend it; ``failed``: it is delivered again; any other word
            is the pattern's own, and says that the message is done with.
        reason: Short code of why it was refused or failed.
        detail: Plain sentence of the same.
    """

    kind: str
    reason: str = ""
    detail: str = ""

    @classmethod
    def refused(cls, error: RefusedError) -> Outcome:
        """Return the outcome of a message that no retry can mend."""
        return cls("refused", error.reason, error.detail)


BEHIND_A_FAILURE = Outcome("failed", "BehindAFailure")


def hold_back(
    groups: Sequence[tuple[str, str | None]], outcomes: Mapping[str, Outcome]
) -> dict[str, Outcome]:
    """Return the outcomes with everything behind a failure of its group failed too.

    AWS Lambda developer guide, "Handling errors for an SQS event source": for a FIFO queue, stop
    at the first failure and return all failed and unprocessed messages.

    Args:
        groups: Message id and group of each message, in the order of the queue.
        outcomes: By message id.
    """
    held_back = dict(outcomes)
    failed: set[str | None] = set()
    for message_id, group in groups:
        if group in failed and held_back[message_id].kind != "failed":
            held_back[message_id] = BEHIND_A_FAILURE
        elif held_back[message_id].kind == "failed":
            failed.add(group)
    return held_back
