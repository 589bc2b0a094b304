"""A process that is gone at chosen places; AWS keeps what it has taken."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    # Whether the process is gone before AWS does it, or before it knows that; and what it does.
    Place = tuple[str, str]


class Crash(BaseException):
    """The process is gone: nothing catches it, and nothing is cleaned up."""


@dataclass
class Crashes:
    """Crashes at each place, the first time that it comes there.

    Args:
        places: Where.
        name: Returns what a call is named in a place, by its operation and body.
        look: Says what is wrong at this very moment; it is asked before and after every call.
    """

    places: list[Place]
    name: Callable[[str, str], str]
    look: Callable[[], str] = str
    count: int = 0
    wrong: list[str] = field(default_factory=list)
    _gone: bool = False

    def __post_init__(self) -> None:
        self._left = [*self.places]

    def __call__(self, operation: str, when: str, body: str) -> None:
        place = (when, self.name(operation, body))
        if problem := self.look():
            self.wrong.append(f"{place}: {problem}")
        if self._gone:  # it calls nothing more, not even to clean up
            raise Crash
        if place in self._left:
            self._left.remove(place)
            self.count += 1
            self._gone = True
            raise Crash

    def until_done(self, step: Callable[[], object], *, again: bool = True) -> None:
        """Do a step, and again in a new process after a crash."""
        for _ in range(20):
            self._gone = False
            try:
                step()
            except Crash:
                if again:
                    continue
            return
        raise AssertionError("It does not end.")
