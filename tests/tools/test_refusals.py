"""The pages of rejections and of rules say what the code says, and where AWS says so."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lint import page as rules_page
from serverless_patterns.lint.__main__ import rules
from tools import refusals

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


MODULE = '''
"""Limits."""
MOST, LONG = 10, 345_600
def check(count, names):
    """Reject too many.

    Also W9104. Source: https://docs.aws.amazon.com/another/page.html
    """
    if count > MOST:
        raise ValueError(
            f"count is {count}; it must be 1 to {MOST}, for {period(LONG)}. "
            "Lower it."
        )
    Annotations.of(names).add_warning_v2("id", f"{', '.join(names)} cannot be checked.")
def check_more(count):
    """Reject too few. Source: https://docs.aws.amazon.com/a-page.html."""
    _check_less(count)
def _check_less(count):
    if count < 0:
        raise ValueError("count is negative. Raise it.")
def pure(count: int) -> str | None:
    """A count is positive.

    Lint E9101. Source:
    https://docs.aws.amazon.com/a-page.html
    """
    if count:
        return f"{count} is wrong. Leave it out."
    return None
def _part() -> str:
    return "not a whole message"
def reject(problem):
    raise ValueError(problem)
def reject_with_advice(problem):
    raise ValueError(f"{problem} Ask somebody.")
class Thing:
    @property
    def queue(self):
        raise ValueError("There is none.")
'''
PAGE, OTHER = (
    "https://docs.aws.amazon.com/a-page.html",
    "https://docs.aws.amazon.com/another/page.html",
)


@pytest.fixture(scope="module")
def everything() -> list[refusals.Message]:
    return [message for chapter in refusals.chapters().values() for message in chapter]


@pytest.mark.parametrize("page", [refusals, rules_page], ids=["refusals", "rules"])
def test_the_page_lists_every_one_as_it_is_now(
    page: Any, check_generated: Callable[[Path, str], None]
) -> None:
    check_generated(page.PAGE, page.render())


@pytest.mark.parametrize("module", ["for_a_test.checks", "for_a_test.blocks"])
def test_a_message_is_listed_with_its_limits_its_rules_and_its_sources(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path.joinpath(*module.split(".")).with_suffix(".py")
    file.parent.mkdir()
    file.write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "for_a_test", raising=False)
    found = [(m.kind, m.text, m.rules, m.sources) for m in refusals.messages(module)]
    assert found[:3] == [
        ("refusal", "count is …; it must be 1 to 10, for 4 days. Lower it.", ("W9104",), (OTHER,)),
        ("warning", "… cannot be checked.", ("W9104",), (OTHER,)),
        ("refusal", "count is negative. Raise it.", (), (PAGE,)),
    ]
    returned = [("refusal", "… is wrong. Leave it out.", ("E9101",), (PAGE,))]
    assert found[3:] == (returned if module.endswith("checks") else [])


def test_every_rule_that_is_named_is_in_the_pack(everything: list[refusals.Message]) -> None:
    ids = {rule.id for rule in rules()}
    assert {rule for message in everything for rule in message.rules} <= ids


def test_every_check_names_its_source() -> None:
    checks = refusals.of_package("checks")
    assert checks
    assert [message.text for message in checks if not message.sources] == []


def test_every_source_is_a_page_of_aws(everything: list[refusals.Message]) -> None:
    sources = {source for message in everything for source in message.sources}
    assert [url for url in sources if not url.startswith("https://docs.aws.amazon.com/")] == []


def test_every_refusal_says_what_to_do(everything: list[refusals.Message]) -> None:
    """The rule in one sentence, the change in another; or what is allowed, or to be given."""
    for message in everything:
        if message.kind == "refusal":
            assert re.search(r"\. [A-Z…]|must (be|have)|[:;] use |\b[Gg]ive\b", message.text), (
                message.text
            )
