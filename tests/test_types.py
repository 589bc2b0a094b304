"""The types hold; here, so that mypy runs beside the other tests of ``make test``."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT


def test_the_types_hold() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
