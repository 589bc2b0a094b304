"""What was redriven from this machine: so that a run resumes, and poison is recognized.

A line holds a dead letter's id, a digest of its content and the time; no content.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from serverless_patterns.patterns.limits import SQS_MAX_RETENTION

from . import records

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .sources import Bucket, Letter, Queue

# The longest that a message waits, once more in its queue and again in its dead-letter queue.
REMEMBERED = 2 * SQS_MAX_RETENTION


def default_path() -> Path:
    """Return the file of this user: below ``XDG_STATE_HOME``, by default ``~/.local/state``."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "serverless-patterns" / "redrives.jsonl"


class Journal:
    """Which dead letters somebody accepted, and when.

    Args:
        path: The file; it and its folder are made by the first note.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ids: set[str] = set()
        self._contents: dict[str, str] = {}  # digest -> id of the letter that had it first
        since = time.time() - REMEMBERED
        for line in path.read_text().splitlines() if path.is_file() else ():
            try:
                at, id_, digest = json.loads(line)
            except (TypeError, ValueError):  # a line that a crash cut off
                continue
            if at >= since:
                self._remember(id_, digest)

    def accepted(self, source: Queue | Bucket, letter: Letter) -> bool:
        """Whether an earlier run had this very letter accepted, and stopped before deleting it."""
        return _digest(source, letter.id) in self._ids

    def returned(self, source: Queue | Bucket, letter: Letter) -> bool:
        """Whether a letter of this content was redriven before, and failed again."""
        return _digest(source, records.content(letter)) in self._contents

    def note(self, source: Queue | Bucket, letters: Iterable[Letter]) -> None:
        """Write down that letters were accepted; they are deleted after that."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            for letter in letters:
                id_ = _digest(source, letter.id)
                digest = _digest(source, records.content(letter))
                file.write(json.dumps([int(time.time()), id_, digest]) + "\n")
                self._remember(id_, digest)

    def _remember(self, id_: str, digest: str) -> None:
        self._ids.add(id_)
        self._contents.setdefault(digest, id_)


def _digest(source: Queue | Bucket, text: str) -> str:
    return hashlib.sha256(f"{source.arn}\n{text}".encode(errors="surrogatepass")).hexdigest()
