"""What can go wrong here, for the user to read."""

from __future__ import annotations

import os
import re
from pathlib import Path

from serverless_patterns.terminal import visible


class SandboxError(Exception):
    """Something the sandbox needs is missing, failed or refused; the message says what to do."""


def last_lines(log: Path, count: int = 20) -> str:
    """The last lines of a log file, indented, and the file's path."""
    try:
        lines = log.read_text(errors="replace").splitlines()[-count:]
    except OSError:
        lines = []
    shown = "\n".join(f"    {visible(line)}" for line in lines)
    return f"{shown}\n{disk_is_full(shown)}  Log: {log}"


def disk_is_full(text: str) -> str:
    """A line that says what to do, if a text says that there is no space left; else nothing."""
    if not re.search(r"No space left|ENOSPC|Errno 28", text):
        return ""
    temporary = os.environ.get("TMPDIR", "/tmp")  # noqa: S108 - named, not used
    return f"  The disk is full: make room in {temporary} (or set TMPDIR) or in {Path.cwd()}.\n"
