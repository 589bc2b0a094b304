"""Reads what was given to a construct, with few calls into the CDK's kernel.

A value that only deployment knows (a token) is None here: nothing can be said of it at synthesis.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from aws_cdk import Duration, Reference, Tokenization

if TYPE_CHECKING:
    from constructs import IConstruct

# The CDK spells the token of a number as one below this, and that of a string with "${Token[".
_TOKEN_NUMBERS = -1e280


class Path:
    """A construct's path, looked up only when it is printed, with words before it."""

    def __init__(self, construct: IConstruct, words: str = "") -> None:
        self._construct, self._words = construct, words

    def __str__(self) -> str:
        return f"{self._words}{self._construct.node.path}"


def number(value: float | None) -> float | None:
    """Return a number; None for a token, and for none."""
    return None if value is None or value < _TOKEN_NUMBERS else value


def is_token(text: str) -> bool:
    """Whether only deployment knows the text, or a part of it."""
    return "${Token[" in text


@functools.cache
def in_seconds(duration: Duration | None) -> float | None:
    """Return a duration in seconds; None for a token, and for none."""
    if duration is None:
        return None
    try:
        return number(duration.to_seconds())
    except RuntimeError:  # a token in another unit
        return None


@functools.cache
def seconds(count: float) -> Duration:
    """Return a duration of that many seconds; one object serves every construct."""
    return Duration.seconds(count)


def resource_behind(value: Any) -> Any:
    """Return the resource of this app that a reference refers to; None for anything else."""
    if not isinstance(value, str) or not is_token(value):
        return None
    token = Tokenization.reverse_string(value).first_token
    return token.target if isinstance(token, Reference) else None
