"""Finds a function that is broken, from its log, so that nobody waits for it in vain."""

from __future__ import annotations

import json
import re
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from .errors import SandboxError
from .logs import FRAME, events_since

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .target import Deployment

NEVER = datetime(1970, 1, 1, tzinfo=UTC)
PAUSE_SECONDS = 2.0  # between two looks
WINDOW = timedelta(seconds=30)
# A function that fails as often as this in the window, and has not succeeded once, is broken.
FAILURES, AFTER = 5, timedelta(seconds=6)

_START = re.compile(r"START RequestId: (\S+)")
_FAILED = re.compile(
    r'^Traceback |^\[ERROR\]|"level": ?"ERROR"|Task timed out|^\w*(Error|Exception):'
)
_DENIED = re.compile(r"AccessDenied|not authorized to perform|AuthorizationError")
# What Powertools adds to each line, whatever it says.
_OF_EVERY_LINE = re.compile(r"cold_start|function_|level$|location$|service$|timestamp$|xray")


class BrokenError(SandboxError):
    """A function of the stack fails every time; the message has its newest error."""


@dataclass
class Invocation:
    """One call of a function, as its log tells it."""

    function: str  # logical id
    request: str
    lines: list[str] = field(default_factory=list)

    @cached_property
    def error(self) -> str:
        """The line that says why it failed; "" if it did not."""
        failed = [number for number, line in enumerate(self.lines) if _FAILED.search(line)]
        if not failed:
            return ""
        denied = [line for line in self.lines if _DENIED.search(line)]
        # The last line of a traceback that is not indented is the error.
        plain = [line for line in self.lines[failed[0] :] if line and not line[0].isspace()]
        return _readable((denied or plain or self.lines)[-1])


def _readable(line: str) -> str:
    """A line of Powertools' log without what each of its lines has; another one as it is."""
    try:
        said = json.loads(line)
        return " ".join(
            value if name == "message" else f"{name}={value}"
            for name, value in said.items()
            if not _OF_EVERY_LINE.match(name)
        )
    except (ValueError, AttributeError):
        return line


class Health:
    """Looks at the functions of a stack while a scenario waits for them."""

    def __init__(self, stack: Deployment) -> None:
        self._stack, self._started, self._looked = stack, datetime.now(UTC), 0.0

    def look(self) -> None:
        """Look at the log, now and then; not while something is broken on purpose.

        Raises:
            BrokenError: a function fails every time, or is denied what it has to do.
        """
        now, outages = datetime.now(UTC), self._stack.outages
        since = max(self._started, outages.ended, now - WINDOW)
        if outages.running or now - since < AFTER or time.monotonic() < self._looked:
            return
        self._looked = time.monotonic() + PAUSE_SECONDS
        for function in self._stack.functions:
            calls = list(self._calls(function, since))
            failed = [call for call in calls if call.error]
            denied = [call for call in failed if _DENIED.search(call.error)]
            if len(denied) >= FAILURES or (len(failed) >= FAILURES and len(failed) == len(calls)):
                raise BrokenError(f"{function} fails every time, so there is nothing to wait for.")

    def newest_errors(self) -> list[str]:
        """Return the newest error of each function, with its request, and how often it failed."""
        try:
            return [
                line for function in self._stack.functions for line in self._newest_error(function)
            ]
        except ClientError:
            return []

    def _newest_error(self, function: str) -> list[str]:
        calls = list(self._calls(function, self._started))
        failed = [call for call in calls if call.error]
        if not failed:
            return []
        count = f"{len(failed):,} of {len(calls):,} calls failed"
        return [f"{function}: {count}, last {failed[-1].request}:", f"  {failed[-1].error}"]

    def _calls(self, function: str, since: datetime) -> Iterator[Invocation]:
        """The calls of a function since a moment, in the order they began."""
        by_stream: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for event in events_since(self._stack, self._stack.functions[function], since):
            by_stream[event["logStreamName"]].append(event)
        found = [call for events in by_stream.values() for call in _of_stream(function, events)]
        yield from (call for _, call in sorted(found, key=lambda pair: pair[0]))


def _of_stream(function: str, events: Sequence[dict[str, Any]]) -> list[tuple[int, Invocation]]:
    """The calls of one environment, each with the time at which it began."""
    calls: list[tuple[int, Invocation]] = []
    for event in events:
        for line in event["message"].splitlines():
            if start := _START.match(line):
                calls.append((event["timestamp"], Invocation(function, start[1])))
            elif calls and not FRAME.match(line):
                calls[-1][1].lines.append(line)
    return calls


@dataclass
class Outages:
    """What of a stack is broken on purpose, and when the last of it was repaired."""

    running: set[object] = field(default_factory=set)
    ended: datetime = NEVER

    def end(self, outage: object) -> None:
        """Note that one has been repaired, now."""
        if outage in self.running:
            self.running.remove(outage)
            self.ended = datetime.now(UTC)
