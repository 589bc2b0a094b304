"""Runs a program of a pattern as a process of its own, as a container would: for scenarios."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any

from . import process

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType

    from .target import Target


@dataclass(frozen=True)
class Program:
    """A process that runs."""

    log: IO[str]

    def said(self, message: str) -> list[dict[str, Any]]:
        """Return what it has logged with this message, as JSON."""
        return said(os.pread(self.log.fileno(), 10**7, 0).decode().splitlines(), message)


def said(log: Iterable[str], message: str) -> list[dict[str, Any]]:
    """Return the lines of a log that are JSON and have this message."""
    found = []
    for line in log:
        with suppress(ValueError):
            found.append(json.loads(line))
    return [one for one in found if isinstance(one, dict) and one.get("message") == message]


@contextmanager
def running(target: Target, module: ModuleType, **environment: str) -> Iterator[Program]:
    """Run a module with a target's credentials; it ends with the block, if it has not before.

    Args:
        target: Where it works: the embedded AWS, or the account of the caller.
        module: Run as ``python -m``.
        environment: Its variables, besides those of AWS.
    """
    if target.endpoint_url:
        aws = process.made_up_aws(target.endpoint_url, target.keys)
        aws |= process.trust(target.certificate) if target.certificate else {}
    else:
        aws = {**os.environ, "AWS_DEFAULT_REGION": target.region}
    path = {"PYTHONPATH": os.pathsep.join(filter(None, [str(Path.cwd()), *sys.path]))}
    with TemporaryFile("w+", encoding="utf-8") as log:
        command = [sys.executable, "-m", module.__name__]
        started = process.start(command, aws | path | environment, Path.cwd(), log.fileno())
        try:
            yield Program(log)
        finally:
            process.stop(started)
