"""The runbook section of a pattern's page, made of the descriptions of its stack's alarms."""

from __future__ import annotations

import re
from typing import Any

START, END = "<!-- runbook -->\n", "<!-- /runbook -->\n"


def section(template: dict[str, Any]) -> str:
    """Return an entry for each alarm of a stack, by the alarm's id.

    Raises:
        ValueError: two alarms of one id have different descriptions.
    """
    entries: dict[str, str] = {}
    for logical_id, resource in sorted(template["Resources"].items()):
        if resource["Type"] != "AWS::CloudWatch::Alarm":
            continue
        text, _, link = resource["Properties"]["AlarmDescription"].rpartition("\nRunbook: ")
        name = _name(logical_id, link.partition("#")[2])
        if entries.setdefault(name, text) != text:
            raise ValueError(f"Two alarms {name} of one stack have different descriptions.")
    return "\n".join(_entry(name, entries[name]) for name in sorted(entries))


def filled(page: str, template: dict[str, Any]) -> str:
    """Return a page with its runbook section as it has to be now."""
    return re.sub(
        f"{START}.*?{END}", lambda _: f"{START}\n{section(template)}\n{END}", page, flags=re.DOTALL
    )


def _name(logical_id: str, anchor: str) -> str:
    """Return the alarm's construct id: the end of its logical id that the link's anchor spells."""
    start = logical_id.lower().rfind(anchor)
    return logical_id[start : start + len(anchor)]


def _entry(name: str, text: str) -> str:
    means, *steps = text.splitlines()
    items = [re.sub(r"^(\w+): ", r"- **\1**: ", step) for step in steps]
    return "\n".join([f"### {name}", "", means, "", *items, ""])
