"""The types hold; here, so that mypy runs beside the other tests of ``make test``."""

from __future__ import annotations

import sys

from tests.conftest import ROOT, run


def test_the_types_hold() -> None:
    done = run(sys.executable, "-m", "mypy", cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
