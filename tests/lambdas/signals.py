"""What a program does when its container is told to end, without telling the tests so."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ENDS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def kept() -> Iterator[None]:
    """Have the signals do afterwards what they do now."""
    before = [signal.getsignal(one) for one in ENDS]
    try:
        yield
    finally:
        for one, how in zip(ENDS, before, strict=True):
            signal.signal(one, how)
