"""What people run outside of Lambda needs nothing that only the handlers need."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.parametrize(
    "module",
    [
        "lambdas.foundation.large_messages",
        "patterns.polling_status.client",
        "patterns.request_reply.client",
        "redrive.__main__",
    ],
)
def test_a_client_needs_no_powertools(module: str) -> None:
    without = "import sys; sys.modules['aws_lambda_powertools'] = None"
    code = f"{without}; import serverless_patterns.{module}"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
