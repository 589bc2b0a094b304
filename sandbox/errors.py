"""What can go wrong here, for the user to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serverless_patterns.terminal import visible

if TYPE_CHECKING:
    from pathlib import Path


class SandboxError(Exception):
    """Something the sandbox needs is missing, failed or refused; the message says what to do."""


def last_lines(log: Path, count: int = 20) -> str:
    """The last lines of a log file, indented, and the file's path."""
    try:
        lines = log.read_text(errors="replace").splitlines()[-count:]
    except OSError:
        lines = []
    return "\n".join(f"    {visible(line)}" for line in lines) + f"\n  Log: {log}"
