"""Shims for the embedded AWS: each passes on something that MiniStack drops on the way.

A shim forwards what the template or the request has to the service that does the right thing; it
never imitates a service. Each has a test that shows the gap without it, and so tells when upstream
has closed it and the shim can go. Loaded by ``launch.py``, on the embedded AWS's own Python.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SHIMS: tuple["Callable[[], None]", ...] = ()


def apply_all() -> None:
    """Apply every shim. Called once, before the server starts."""
    for shim in SHIMS:
        shim()
