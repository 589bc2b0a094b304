"""The page of the rules says what the rules say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serverless_patterns.lint import page

if TYPE_CHECKING:
    import pytest


def test_the_page_lists_every_rule_as_it_is_now(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("update_snapshots"):
        page.PAGE.write_text(page.render(), encoding="utf-8")
    assert page.PAGE.read_text(encoding="utf-8") == page.render(), "Run `make snapshot`."
