"""A body that a mapping template has to read is text."""

from __future__ import annotations

import pytest

from serverless_patterns.patterns.checks import api_gateway

JSON, TEXT, FORM = "application/json", "text/plain", "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("binary", "content_types", "expected"),
    [
        ([], [JSON], None),
        (["image/png", "image/*"], [JSON, FORM], None),
        (["*/*"], [JSON], "Shop treats */* as binary, so API Gateway answers 500 to " + JSON),
        (["image/png", "text/*"], [JSON, TEXT], "treats text/* as binary"),
        ([FORM], [JSON, FORM], f"answers 500 to {FORM}, which a mapping template turns into"),
        (["application/*"], [TEXT], None),
        (["json/*"], [JSON], None),
    ],
)
def test_a_content_type_that_the_api_treats_as_binary_is_found(
    binary: list[str], content_types: list[str], expected: str | None
) -> None:
    found = api_gateway.text_as_binary("Shop", binary, content_types)
    assert (found is None) is (expected is None)
    assert (expected or "") in (found or "")
