"""What the front of an API answers in the moment in which a job expires."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serverless_patterns.lambdas.foundation import fronts
from tests.lambdas.rest import request
from tests.moto_cloud import Context

if TYPE_CHECKING:
    import pytest


def test_a_request_whose_job_expires_right_now_is_to_be_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DEADLINE_SECONDS", "60")
    store = fronts.Store(accept=lambda item, _: item, items=lambda _: [])
    context: Any = Context()
    answer = fronts.handler(store)(request("POST", "jobs", "{}"), context)
    assert (answer["statusCode"], "Send it again" in answer["body"]) == (503, True)
