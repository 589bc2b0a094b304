"""Lets the process of a step end before or after each of its calls to AWS, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.delivery.trouble import Crash

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Place = tuple[str, str]  # ``before`` or ``after``, and the call


class Crashes:
    """Ends the process at one moment: before or after a call. For ``Cloud.faults``.

    Args:
        at: Which moment, from 1.
        look: Called at every moment, also when nothing ends there. Default: nobody looks.

    Attributes:
        crashed: What it was, such as ``before SendMessage``; "" if there were not so many moments.
    """

    def __init__(self, at: int, look: Callable[[], Any] = lambda: None) -> None:
        self._at, self._look, self._seen, self.crashed, self._dead = at, look, 0, "", False

    def __call__(self, operation: str, moment: str, _: str) -> None:
        """Count a moment of a call."""
        self._look()
        self._seen += 1
        if self._seen == self._at:
            self.crashed, self._dead = f"{moment} {operation}", True
        if self._dead:  # it calls nothing more, not even to clean up
            raise Crash

    def until(self, step: Callable[[], Any], done: Callable[[], bool] = lambda: True) -> None:
        """Repeat a step until it is done, in a new process after a crash."""
        for _ in range(20):
            self._dead = False
            try:
                step()
            except Crash:
                continue
            if done():
                return
        raise AssertionError("It does not end.")


class CrashesAt(Crashes):
    """Ends the process at each of several places, the first time that it comes there.

    Args:
        places: Where.
        name: Returns what a call is named in a place, by its operation and body.
        look: Says what is wrong at this very moment; nothing if all is well.

    Attributes:
        count: How often it ended.
        wrong: What was wrong, and where.
    """

    def __init__(
        self,
        places: Sequence[Place],
        name: Callable[[str, str], str],
        look: Callable[[], str],
    ) -> None:
        super().__init__(0, look)
        self._left, self._name = [*places], name
        self.count, self.wrong = 0, list[str]()

    def __call__(self, operation: str, moment: str, body: str) -> None:
        place = (moment, self._name(operation, body))
        if problem := self._look():
            self.wrong.append(f"{place}: {problem}")
        if not self._dead and place in self._left:
            self._left.remove(place)
            self.count += 1
            self._dead = True
        if self._dead:
            raise Crash
