"""What loses events, as pure functions over plain values: one file a service.

Each returns the problem, as a sentence that names what was given and what to change, or None. The
constructs raise it as ``ValueError`` at synthesis, and the rule pack reports it of any template, so
both say the same. A name is anything that can be printed. Imports ``limits`` only.
"""

from __future__ import annotations


def reject(*problems: str | None) -> None:
    """Raise the first of the problems that there is.

    Raises:
        ValueError: there is one.
    """
    for problem in problems:
        if problem is not None:
            raise ValueError(problem)


def period(seconds: float) -> str:
    """Return a time as people say it: ``4 days``, ``1 hour 30 minutes``; ``90 s`` below 10 min."""
    if seconds < 600:
        return f"{seconds:g} s"
    parts, left = [], seconds
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        count, left = divmod(left, length)
        parts += [f"{count:g} {unit}{'s' * (count > 1)}"] * (count > 0)
    return " ".join([*parts, f"{left:g} s"] if left else parts)
