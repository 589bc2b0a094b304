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
