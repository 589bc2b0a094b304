"""The page of the refusals says what the constructs say, and where AWS says so."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from serverless_patterns.lint.__main__ import rules
from tools import refusals

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

MODULE = '''
"""Limits."""
MOST = 10
def check(count, names):
    """Refuse too many.

    Raises:
        ValueError: above the limit (AWS guide, "Another page"). Also W9104.
    """
    if count > MOST:
        raise ValueError(
            f"count is {count}, allowed is 1 to {MOST}. "
            "Lower it."
        )
    Annotations.of(names).add_warning_v2("id", f"{', '.join(names)} cannot be checked.")
def check_more(count):
    """Refuse too few (AWS API reference, "A page")."""
    _check_less(count)
def _check_less(count):
    if count < 0:
        raise ValueError("count is negative. Raise it.")
class Thing:
    @property
    def queue(self):
        raise ValueError("There is none.")
'''


def test_the_page_lists_every_refusal_as_it_is_now(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("update_snapshots"):
        refusals.PAGE.write_text(refusals.render(), encoding="utf-8")
    assert refusals.PAGE.read_text(encoding="utf-8") == refusals.render(), "Run `make snapshot`."


def test_a_message_stands_with_its_limits_its_rules_and_its_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "limits_for_a_test.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    found = list(refusals.messages("limits_for_a_test"))
    assert [(m.kind, m.text, m.rules, m.pages) for m in found] == [
        ("refusal", "count is …, allowed is 1 to 10. Lower it.", ("W9104",), ("Another page",)),
        ("warning", "… cannot be checked.", ("W9104",), ("Another page",)),
        ("refusal", "count is negative. Raise it.", (), ("A page",)),
    ]


def test_every_rule_and_page_that_is_named_is_known() -> None:
    ids, named = {rule.id for rule in rules()}, list(refusals.everything())
    assert {rule for message in named for rule in message.rules} <= ids
    assert {page for message in named for page in message.pages} == set(refusals.PAGES)


def test_every_refusal_says_what_to_do() -> None:
    """The rule in one sentence, the change in another; or what is allowed, or to be given."""
    for message in refusals.everything():
        if message.kind == "refusal":
            assert re.search(r"\. [A-Z…]|allowed|\b[Gg]ive\b", message.text), message.text
