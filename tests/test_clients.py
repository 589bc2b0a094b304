"""What people run outside of Lambda: what it needs, and how many connections it keeps."""

from __future__ import annotations

import subprocess
import sys
from unittest.mock import MagicMock

import pytest

from serverless_patterns.patterns.request_reply import client
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


def test_a_requester_keeps_a_connection_for_each_of_its_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "USABLE_AFTER", 0)
    told = {"prefix": "answers-", "timeout": 1, "heartbeat": 300, "attributes": {}}
    for threads, connections in ((4, None), (8, 17)):
        session = MagicMock()
        session.client.return_value.receive_message.return_value = {}
        client.Requester("https://queue", told, threads=threads, session=session).close()
        config = session.client.call_args.kwargs.get("config")
        assert (config and config.max_pool_connections) == connections
