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

        Raises:
            ValueError: outside 0 to 2 retries, or 60 seconds to 6 hours.
        """
        attempts, age = number(self.attempts), self.known_age
        if attempts is not None and not 0 <= attempts <= LAMBDA_ASYNC_RETRIES:
            raise ValueError(
                f"attempts is {attempts:g}, allowed is 0 to {LAMBDA_ASYNC_RETRIES}: Lambda retries "
                "an event no more often. For more retries put a queue in front of the function."
            )
        if age is not None and not LAMBDA_ASYNC_MIN_AGE <= age <= LAMBDA_ASYNC_MAX_AGE:
            raise ValueError(f"max_event_age is {age:g} s, allowed is 60 seconds to 6 hours.")

    @property
    def age(self) -> float:
        """The maximum age in seconds, as a number or a token."""
        return self.max_event_age.to_seconds() if self.max_event_age else LAMBDA_ASYNC_MAX_AGE

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
