"""Every link of a page to a file here, and to a heading in it, leads somewhere."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("patterns/*/README.md")]
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(<?([^)\s>]+)>?\)|\b(?:href|src)=\"([^\"]+)\"")


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page, and those that it has itself."""
    text = page.read_text(encoding="utf-8")
    seen: Counter[str] = Counter()
    found = set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))
    for heading in re.findall(r"^#{1,6} (.+?)\s*$", text, re.MULTILINE):
        title = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", title).replace(" ", "-")
        found.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return found


def broken(page: Path) -> list[str]:
    """The links of a page that lead nowhere."""
    found = []
    for groups in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
        link = "".join(groups)
        name, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):  # elsewhere
            continue
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_a_link_to_a_file_or_a_heading_that_is_not_there_is_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# A `title`, twice\n\n# A title twice\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](other.md#a-title-twice) [b](other.md#a-title-twice-1) [c](https://aws.amazon.com)\n"
        "[d](nowhere.md) [e](other.md#no) [f](#no) `[g](code.md)`\n"
    )
    assert broken(page) == ["nowhere.md", "other.md#no", "#no"]


def test_the_page_about_older_notes_names_a_source_and_a_page_for_each_line() -> None:
    page = (ROOT / "docs" / "older-notes.md").read_text(encoding="utf-8")
    rows = [row for row in page.splitlines() if row.startswith("| ") and "You may" not in row]
    assert rows
    for row in rows:
        _, _, today, here, _ = row.split("|")
        assert "](https://docs.aws.amazon.com/" in today, row
        pages = re.findall(r"\(\.\./(patterns/\w+/README\.md)\)", here)
        assert pages, row
        assert all((ROOT / name).is_file() for name in pages), row
