"""What goes wrong on the way: functions that end in the middle, and AWS that does not answer.

All of it comes from one dice, so that a schedule is repeated by its seed, and Hypothesis makes it
shorter. Trouble ends: each schedule has so much of it, then all goes well.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.moto_cloud import TIMEOUT, UNREACHABLE, cancelled, client_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.moto_cloud import Cloud

# The largest and smallest steps of a clock that jumps, in nanoseconds.
JUMP = 400 * 24 * 3600 * 10**9


class Crash(BaseException):
    """The function's process has ended: killed, or out of time."""


@dataclass
class Trouble:
    """The faults of a schedule.

    Args:
        dice: Decides.
        left: How many more there are.
        seen: What happened so far, by name.
        never: What cannot happen to this handler, by name. Default: all may.
    """

    dice: Random
    left: int
    seen: Counter[str] = field(default_factory=Counter)
    never: str = ""
    _clock: int = 1_790_000_000_000_000_000

    def strikes(self, name: str, one_in: int) -> bool:
        """Whether something goes wrong now."""
        if self.left and name != self.never and self.dice.randrange(one_in) == 0:
            self.left -= 1
            self.seen[name] += 1
            return True
        return False

    def clock(self) -> int:
        """Return what a function's clock says: it differs from host to host, and is set."""
        self._clock += self.dice.choice((1, 10**9, JUMP, -(10**9), -JUMP))
        return self._clock

    def at_calls(self, cloud: Cloud, meanwhile: Callable[[], None]) -> None:
        """Let calls of handlers fail.

        Args:
            cloud: The account that they are made in.
            meanwhile: Lets another invocation run from its begin to its end, in between.
        """

        def at(operation: str, moment: str, body: str) -> None:
            if self.strikes(f"another invocation {moment} a call", 12):
                meanwhile()
            if self.strikes(f"the process ends {moment} a call", 10):
                raise Crash
            if moment == "after":
                if self.strikes("an answer is lost", 10):
                    raise TIMEOUT
            elif self.strikes("a call fails", 8):
                raise self._error(operation, body)
            elif self.strikes("an answer is lost, and the call repeated", 16):
                cloud.lost += 1
            elif self.strikes("AWS is busy, and the call repeated", 16):
                cloud.busy += 1

        cloud.faults.append(at)

    def _error(self, operation: str, body: str) -> Exception:
        if operation == "TransactWriteItems":
            codes = ["None"] * len(json.loads(body)["TransactItems"])
            codes[self.dice.randrange(len(codes))] = self.dice.choice(
                ("TransactionConflict", "ThrottlingError")
            )
            conflict = cancelled(*codes)
        else:
            conflict = client_error("InternalServerError")
        return self.dice.choice((UNREACHABLE, client_error("ThrottlingException"), conflict))
