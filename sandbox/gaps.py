"""What the embedded AWS is known not to execute, as far as the patterns meet it.

A scenario asks ``deployment.executes("...")`` before it expects such a thing to happen, and says
``not proven here`` otherwise. ``shims/`` says what the gaps are, one file a service; a pattern's
scenario may add its own (``Deployment.also_lacks``).
"""

from __future__ import annotations

from . import shims

# Name -> sentence. An emulator other than the embedded AWS is assumed to have all of them.
GAPS: dict[str, str] = {}
# Those that no shim closes: what the embedded AWS does not execute.
EMBEDDED: dict[str, str] = {}

for _gaps, _closed in shims.services():
    GAPS |= _gaps
    EMBEDDED |= {name: gap for name, gap in _gaps.items() if name not in _closed}
