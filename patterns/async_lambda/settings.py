"""How often, and for how long, Lambda attempts an event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..blocks.values import in_seconds, number
from ..limits import (
    LAMBDA_ASYNC_FIRST_WAIT,
    LAMBDA_ASYNC_MAX_AGE,
    LAMBDA_ASYNC_MIN_AGE,
    LAMBDA_ASYNC_RETRIES,
    LAMBDA_ASYNC_SECOND_WAIT,
)

if TYPE_CHECKING:
    from aws_cdk import Duration

WAITS = (LAMBDA_ASYNC_FIRST_WAIT, LAMBDA_ASYNC_SECOND_WAIT)


@dataclass(frozen=True)
class Retries:
    """How often, and for how long, Lambda attempts an event.

    Attributes:
        attempts: Retries after a failed run, 0 to 2, after 1 and 2 minutes. Default: 2.
        max_event_age: How old an event may grow before Lambda drops it, 60 s to 6 h; longer than
            the retries take. Default: 6 hours.

    Raises:
        ValueError: a setting that Lambda rejects.
    """

    attempts: int = LAMBDA_ASYNC_RETRIES
    max_event_age: Duration | None = None

    def __post_init__(self) -> None:
        """Reject retries that Lambda does not make.

        Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-configuring.html
        """
        attempts, age = number(self.attempts), self.known_age
        if attempts is not None and not 0 <= attempts <= LAMBDA_ASYNC_RETRIES:
            raise ValueError(
                f"attempts is {attempts:g}; it must be 0 to {LAMBDA_ASYNC_RETRIES}: Lambda retries "
                "an event no more often. For more retries put a queue in front of the function."
            )
        if age is not None and not LAMBDA_ASYNC_MIN_AGE <= age <= LAMBDA_ASYNC_MAX_AGE:
            least, most = LAMBDA_ASYNC_MIN_AGE, LAMBDA_ASYNC_MAX_AGE
            raise ValueError(f"max_event_age is {age:g} s; it must be {least} to {most} s.")

    @property
    def known_age(self) -> float | None:
        """The maximum age in seconds; None when only deployment knows."""
        return in_seconds(self.max_event_age) if self.max_event_age else LAMBDA_ASYNC_MAX_AGE

    @property
    def waits(self) -> float:
        """How long Lambda waits before all retries, in seconds; 0 when only deployment knows.

        Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
        """
        return sum(WAITS[: int(number(self.attempts) or 0)])

    def check(self, timeout: float | None, alarm: float | None) -> None:
        """Reject an age at which an event is dropped before its last retry, or before its alarm.

        Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html

        ``timeout`` of the function and age of the ``alarm`` are in seconds, None when not known.
        """
        age, attempts = self.known_age, number(self.attempts) or 0
        needed = self.waits + attempts * (timeout or 0)
        if age is not None and attempts and age <= needed:
            raise ValueError(
                f"max_event_age is {age:g} s, but {attempts:g} retries can take {needed:g} s: "
                "waits of 1 and 2 minutes, runs of up to the function's timeout. The event would "
                "be dropped before its last retry. Raise max_event_age, or lower attempts."
            )
        if age is not None and alarm is not None and alarm >= age:
            raise ValueError(
                f"max_age is {alarm:.0f} s, but events are dropped at max_event_age, {age:.0f} s, "
                "so the alarm would never go off. Lower max_age, or raise max_event_age."
            )
