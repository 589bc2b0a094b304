"""The page about troubleshooting quotes messages that the code says, and no other."""

from __future__ import annotations

import ast
import re

import pytest

from serverless_patterns.sandbox import outages
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
QUOTED = re.findall(r"^\*\*`(.+?)`\*\*", PAGE, re.MULTILINE)
FOLDERS = ("serverless_patterns", "sandbox", "tools", "patterns", "redrive")
PARTS = r"…|: | failed"  # of a message; its values, and what is put together
# What AWS and its tools say.
OF_OTHERS = ("is not authorized to perform", "SSM parameter /cdk-bootstrap/")


def texts() -> str:
    """Every string of the code; its f-strings with … for values."""
    found = []
    for folder in FOLDERS:
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    parts = [
                        part.value if isinstance(part, ast.Constant) else "…"
                        for part in node.values
                    ]
                    found.append("".join(map(str, parts)))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return "\n".join(found)


@pytest.fixture(scope="module")
def said() -> str:
    return texts() + (ROOT / "tests" / "conftest.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("message", QUOTED)
def test_a_message_on_the_page_is_one_that_a_user_meets(message: str, said: str) -> None:
    if not any(text in message for text in OF_OTHERS):
        missing = [part for part in re.split(PARTS, message) if part.strip(" (") not in said]
        assert not missing


def test_the_page_quotes_messages() -> None:
    assert len(QUOTED) > 20


def test_the_page_says_where_it_is_noted_what_a_killed_scenario_left_changed() -> None:
    assert f"`{outages.NOTES}`" in PAGE
