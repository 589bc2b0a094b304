"""What the embedded AWS does not execute as AWS does, and shims that close some of it.

One file a service, found by looking into this folder. Each has

* ``GAPS``: what the embedded AWS does not execute of that service: name -> sentence;
* ``SHIMS``, if any: the gaps that a shim closes: name -> function that changes MiniStack in place.

A shim forwards what a template or a request has to the service that does the right thing; it never
imitates a service. Each has a test that shows the gap without it, and so tells when upstream has
closed it and the shim can go.

``launch.py`` loads this folder on the embedded AWS's own Python, which lacks the rest of this
package; a target on the project's, which lacks MiniStack. So a file imports its neighbours here
only, and MiniStack inside its shims.

A scenario asks ``deployment.executes("...")`` before it expects such a thing to happen, and says
``not proven here`` otherwise. It may add gaps of its own (``Deployment.also_lacks``).
"""

from __future__ import annotations

import os
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Comma-separated names of gaps to leave open: how the tests of shims show them.
OPEN_VARIABLE = "SANDBOX_OPEN_GAPS"


def services() -> Iterator[tuple[dict[str, str], dict[str, Callable[[], None]]]]:
    """``GAPS`` and ``SHIMS`` of each file of this folder."""
    for found in iter_modules(__path__):
        if not found.name.startswith("_"):
            service = import_module(f".{found.name}", __name__)
            yield service.GAPS, getattr(service, "SHIMS", {})


# Name -> sentence. An emulator other than the embedded AWS is assumed to have all of them.
GAPS = {name: gap for gaps, _ in services() for name, gap in gaps.items()}
# Those that no shim closes: what the embedded AWS does not execute.
EMBEDDED = {n: gap for gaps, shims in services() for n, gap in gaps.items() if n not in shims}


def apply_all() -> None:
    """Close every gap that a shim closes. Called once, before the server starts."""
    left_open = os.environ.get(OPEN_VARIABLE, "").split(",")
    for _, shims in services():
        for gap, close in shims.items():
            if gap not in left_open:
                close()
