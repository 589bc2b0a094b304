"""The outcome of a message, in words that all handlers share.

Pure: no AWS, no environment, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass


class RefusedError(Exception):
    """No retry can help.

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
    """The outcome of a message.

    Args:
        kind: ``refused``: no retry can help, so it goes to the dead-letter queue; ``failed``: it
            is delivered again; ``postponed``: the same, and nothing is wrong. Any other word is the
            pattern's own, and says that the message is done with.
        reason: Short code of why it was refused or failed.
        detail: Plain sentence of the same.
    """

    kind: str
    reason: str = ""
    detail: str = ""

    @classmethod
    def refused(cls, error: RefusedError) -> Outcome:
        """Return the outcome of a message that no retry can help."""
        return cls("refused", error.reason, error.detail)

    @classmethod
    def failed(cls, code: str) -> Outcome:
        """Return the outcome of a message that is delivered again, with the error's code."""
        return cls("failed", code)


STORED = Outcome("stored")
DUPLICATE = Outcome("duplicate")
POSTPONED = Outcome("postponed")
BEHIND_A_FAILURE = Outcome.failed("BehindAFailure")
CONFLICT = Outcome("refused", "conflict", "Something else is stored under this id.")


def compare(fingerprint: str, stored: str) -> Outcome:
    """Return what a document is when another one is stored under its id already."""
    return DUPLICATE if fingerprint == stored else CONFLICT
