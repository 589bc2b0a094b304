"""Settings of the site that ``make docs`` builds of the pages, which are Markdown for GitHub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

project = "Serverless patterns"
extensions = ["myst_parser"]
html_theme = "furo"
root_doc = "README"
include_patterns = ["*.md", "docs/**.md", "patterns/*/README.md"]
myst_heading_anchors = 6  # as on GitHub
suppress_warnings = ["misc.highlighting_failure", "myst.header"]

# What the side bar lists; GitHub shows the pages without it.
SECTIONS = {
    "Patterns": ("patterns/*/README.md",),
    "Reference": ("docs/reference/*.md",),
    "More": ("docs/*.md", "CONTRIBUTING.md", "CHANGELOG.md"),
}


def add_contents(_: Any, name: str, source: list[str]) -> None:
    """Add the side bar's contents to the first page."""
    if name == root_doc:
        for title, patterns in SECTIONS.items():
            files = [file for pattern in patterns for file in sorted(ROOT.glob(pattern))]
            names = "\n".join(str(file.relative_to(ROOT).with_suffix("")) for file in files)
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n{names}\n```\n"


def setup(app: Any) -> None:
    """Register the side bar's contents."""
    app.connect("source-read", add_contents)
