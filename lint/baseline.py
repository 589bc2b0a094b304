"""A file of known findings: those are left out, so that only new ones are reported.

A finding is known by its rule, its template and its place, whatever its line and its figures.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cfnlint.match import Match

Known = tuple[str, str, str]


def write(file: Path, matches: Iterable[Match]) -> None:
    """Write a baseline; its templates are relative to its folder.

    Raises:
        ValueError: The file cannot be written.
    """
    keys = ("rule", "template", "at")
    listed = [dict(zip(keys, known, strict=True)) for known in sorted(_known(file, matches))]
    try:
        file.write_text(json.dumps(listed, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{file} cannot be written: {error.strerror}.") from error


def new(file: Path, matches: list[Match]) -> tuple[list[Match], int]:
    """Return the findings that a baseline does not have, and how many of its own are gone.

    Raises:
        ValueError: The file is not a baseline.
    """
    try:
        listed = json.loads(file.read_text(encoding="utf-8"))
        left = Counter((item["rule"], item["template"], item["at"]) for item in listed)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{file} is not a baseline ({error}): make one with --write-baseline."
        ) from error
    kept = []
    for match, known in zip(matches, _known(file, matches), strict=True):
        if left[known] > 0:
            left[known] -= 1
        else:
            kept.append(match)
    return kept, left.total()


def _known(file: Path, matches: Iterable[Match]) -> list[Known]:
    found = []
    for match in matches:
        name = os.path.relpath(match.filename or "", file.parent).replace(os.sep, "/")
        at = "/".join(key for key in getattr(match, "path", ()) if isinstance(key, str))
        found.append((str(match.rule.id), name, at))
    return found
