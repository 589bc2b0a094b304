"""What a terminal is sent."""

from __future__ import annotations

import re

# What moves a terminal's cursor, colours it or sends keys to it; not line feeds and tabs. Then what
# shows text in another order than it has, and halves of characters, which cannot be written at all.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """Text from outside (a log line, a resource's name), harmless to a terminal."""
    return _CONTROLS.sub("\ufffd", text.replace("\r\n", "\n"))
