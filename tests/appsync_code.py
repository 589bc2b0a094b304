"""What stands, in Node, for the module that AppSync gives to the code that it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

UTILS = """export const util = {
  unauthorized() { throw Object.assign(new Error('Unauthorized'), { kind: 'Unauthorized' }); },
};
"""


def give_utils(folder: Path) -> None:
    """Put the module where code in this folder finds it."""
    module = folder / "node_modules" / "@aws-appsync" / "utils"
    module.mkdir(parents=True)
    (module / "package.json").write_text('{"type": "module", "main": "index.js"}')
    (module / "index.js").write_text(UTILS)
