"""What a function behind a REST API takes of a request, and what it answers."""

from __future__ import annotations

from typing import Any

import pytest

from serverless_patterns.lambdas.foundation import requests


@pytest.mark.parametrize(
    ("identity", "authorizer", "owner"),
    [
        ({"caller": "A:s"}, {"claims": {"sub": "u-1"}}, "user:u-1"),
        ({}, {"principalId": "p-1"}, "principal:p-1"),
        ({}, {"principalId": "p-1", "claims": "of a Lambda authorizer"}, "principal:p-1"),
        ({"caller": "A:CognitoIdentityCredentials", "cognitoIdentityId": "i-1"}, {},
         "identity:i-1"),
        ({"caller": "AROA1:session"}, {}, "signer:AROA1"),
        ({"caller": "AIDA1"}, {}, "signer:AIDA1"),
        ({"caller": "123456789012:federated"}, {}, "signer:123456789012:federated"),
        ({"caller": None}, {}, ""),
        (None, None, ""),
    ],
)  # fmt: skip
def test_a_request_is_of_whom_the_authorizer_names_else_of_who_signed(
    identity: Any, authorizer: Any, owner: str
) -> None:
    context = {"identity": identity, "authorizer": authorizer}
    assert requests.sender({"requestContext": context}) == owner


@pytest.mark.parametrize(
    ("origin", "told"), [("https://desk.example", "desk"), ("https://evil.example", "shop")]
)
def test_a_page_of_an_origin_that_may_read_answers_can(
    monkeypatch: pytest.MonkeyPatch, origin: str, told: str
) -> None:
    event = {"headers": {"Origin": origin}}
    bare = requests.let_pages_read(requests.answer(200, {}), event)
    assert "Access-Control-Allow-Origin" not in bare["headers"]
    monkeypatch.setenv("CORS_ORIGINS", "https://shop.example https://desk.example")
    found = requests.let_pages_read(requests.answer(404, {}), event, "ETag", "Retry-After")
    assert told in found["headers"]["Access-Control-Allow-Origin"]
    assert found["headers"]["Access-Control-Expose-Headers"] == "ETag,Retry-After"
    assert found["headers"]["Vary"] == "Origin"
