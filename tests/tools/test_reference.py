"""The reference describes every argument of every construct, from its docstring."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from tools import reference

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PAGES = reference.pages()
CODE = '''
from .other import Base

__all__ = ["Settings", "Thing"]


@dataclass(frozen=True)
class Settings:
    """How it is.

    Attributes:
        size: In MiB; see ``Thing``. Default: 5.

    A text after a section.
    """

    size: int = FIVE
    names: list[str] = field(default_factory=list)

    @classmethod
    def small(cls, part: str) -> Settings:
        """Make a small one.

        Raises:
            ValueError: it is not.
        """


class Thing(Base):
    """It does this.

    Args:
        settings: Settings of it, or
            a number.
        name: What it is called.

    Attributes:
        one, two: Its parts.
    """

    def __init__(self, scope, construct_id, *, settings: Settings | int = Settings(), name: str):
        pass
'''
OTHER = '''
class Base(Construct):
    """A base.

    Attributes:
        queue: Where it waits.
    """

    @property
    def url(self) -> str:
        """Where it is."""

    def grant_use(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` use it."""

    def _private(self) -> None:
        """Nothing."""
'''


@pytest.mark.parametrize("name", PAGES)
def test_the_reference_says_what_the_docstrings_say(
    name: str, check_generated: Callable[[Path, str], None]
) -> None:
    check_generated(reference.FOLDER / name, PAGES[name])


def test_the_reference_has_a_page_for_each_pattern_and_no_other() -> None:
    there = {file.name for file in reference.FOLDER.glob("*.md")}
    assert there == {*PAGES}, "Run `make snapshot`, and remove the page of a pattern that is gone."


@pytest.mark.parametrize("name", PAGES)
def test_every_argument_attribute_and_method_is_described(name: str) -> None:
    assert re.findall(r"(?m)^- \*\*.*: *$", PAGES[name]) == []


@pytest.fixture
def described(tmp_path: Path) -> Callable[[str], str]:
    (tmp_path / "construct.py").write_text(CODE)
    (tmp_path / "other.py").write_text(OTHER)

    def describe(name: str) -> str:
        found = reference.find(tmp_path / "construct.py", name)
        assert found
        return "\n\n".join(reference.described(found, {"Settings": "settings.md#settings"}))

    return describe


def test_a_setting_is_described_with_types_defaults_and_what_makes_one(
    described: Callable[[str], str],
) -> None:
    text = described("Settings")
    assert text.startswith("## Settings\n\nHow it is.\n\nA text after a section.")
    assert "- **`size`** (`int`): In MiB; see `Thing`. Default: 5." in text
    assert "- **`names`** (`list[str]`, default `list()`): " in text
    assert "- **`Settings.small(part: str)`** → `Settings`: Make a small one." in text
    assert "  - raises `ValueError`: it is not." in text


def test_a_construct_is_described_with_what_it_inherits(described: Callable[[str], str]) -> None:
    text = described("Thing")
    settings = "([`Settings`](settings.md#settings) or `int`, default `Settings()`)"
    assert f"- **`settings`** {settings}: Settings of it, or a number." in text
    assert "- **`name`** (`str`, required): What it is called." in text
    for attribute in ("- **`queue`**: Where", "- **`one, two`**: Its", "- **`url`**: Where"):
        assert attribute in text
    assert "- **`grant_use(grantee: iam.IGrantable)`** → `iam.Grant`: Let `grantee` use it." in text
    assert "private" not in text


def test_a_default_that_is_a_limit_is_its_number() -> None:
    assert reference.default(ast.parse("SQS_MAX_RECEIVES", mode="eval").body) == "1000"
