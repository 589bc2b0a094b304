"""What is proven where: fills in the table of each pattern's page from a run of its evidence.

A row names a promise and its evidence: a test, a folder of tests, or a check of the scenario. A
whole test run fails if a page claims what it did not prove; ``make prove`` writes the pages.
"""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
HEAD = "| Promise | Evidence | Result |\n|---|---|---|\n"
TABLE = re.compile(r"(?:[^\n]+ by running[^\n]*\n\n)?" + re.escape(HEAD) + r"((?:\|.*\n)+)")
# A check of the scenario, on any engine or on one; a test, or a folder of them; or a scenario.
EVIDENCE = re.compile(
    r"(?:(MiniStack|LocalStack) )?“([^”]+)”|`(tests/[\w/.]+|test_\w+)`|\bscenario\b(?! “)"
)
ENGINES = ("MiniStack", "LocalStack")
SCENARIOS = ("tests/test_scenarios.py", "tests/sandbox/test_localstack_scenarios.py")
# What runs when a test of this path or name does, where it does not only read a template.
RUNS = (
    ("tests/sandbox/test_localstack", "LocalStack"),
    ("tests/sandbox/test_alarms", "LocalStack"),
    ("tests/sandbox/test_redrive_task", "LocalStack"),
    ("tests/sandbox/test_graphql", "graphql-core and Node"),
    ("tests/sandbox/", "MiniStack"),
    ("tests/contracts/test_mapping_templates", "Velocity"),
    ("tests/contracts/test_permissions", "policy simulator"),
    ("tests/delivery/", "handlers"),
    ("tests/lambdas/", "handlers"),
    ("tests/redrive/", "handlers"),
    ("/test_handlers", "handlers"),
    ("/test_client", "client"),
    ("/test_publisher", "handlers"),
    ("_rejected", "synthesis"),  # the promise is what the construct itself does
    ("tests/checks/", "synthesis"),
)
ONLY_TEMPLATE = "template"
NOT_HERE = "not executed here"  # a row that says so counts as proven by the template at most


class NotRunError(Exception):
    """A part of a page's evidence did not run: the message names it."""


@dataclass
class Results:
    """What a test run found: outcomes of tests by name, and scenarios by pattern."""

    tests: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    scenarios: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))

    def add(self, node: str, outcome: str, properties: list[tuple[str, Any]]) -> None:
        """Note the outcome of a test, and what it recorded of a scenario."""
        function = node.partition("[")[0].rpartition("::")[2]
        self.tests[function][node] = outcome
        for name, value in properties:
            if name == "scenario" and outcome == "passed":
                scenario = json.loads(value)
                self.scenarios[scenario["slug"]].append(scenario)

    def skipped(self, slug: str) -> list[str]:
        """Return the tests of a pattern's scenario that were skipped, as an engine is missing."""
        return [
            node
            for nodes in self.tests.values()
            for node, outcome in nodes.items()
            if outcome == "skipped" and node.startswith(SCENARIOS) and f"[{slug}]" in node
        ]

    def of(self, evidence: re.Match[str], slug: str) -> dict[str, str] | None:
        """Return what one piece of evidence proved, by what ran; None if it was not run at all.

        Raises:
            LookupError: it ran, and nothing in it proves the promise.
        """
        engine, check, test = evidence.groups()
        if not test:
            return self._scenario(slug, check, engine)
        nodes = self._nodes(test, slug)
        if not nodes or "skipped" in nodes.values():
            return None
        if set(nodes.values()) != {"passed"}:
            raise LookupError(f"{test} failed")
        counts: dict[str, int] = defaultdict(int)
        for node in nodes:
            counts[next((how for part, how in RUNS if part in node), ONLY_TEMPLATE)] += 1
        return {how: f"{count} test{'s' * (count > 1)}" for how, count in counts.items()}

    def _nodes(self, test: str, slug: str) -> dict[str, str]:
        """Return the outcomes of a test, or of a file or folder of them, for this pattern."""
        if test.startswith("tests/"):
            every = {node: o for nodes in self.tests.values() for node, o in nodes.items()}
            return {node: outcome for node, outcome in every.items() if node.startswith(test)}
        nodes = self.tests[test]
        own = {node: outcome for node, outcome in nodes.items() if slug in node}
        return own or nodes

    def _scenario(self, slug: str, check: str | None, engine: str | None) -> dict[str, str] | None:
        ran = [run for run in self.scenarios[slug] if engine in (None, run["engine"])]
        if not ran:
            return None
        proved = {}
        for scenario in ran:
            held = [text for text in scenario["held"] if check and check in text]
            if not check:
                proved[scenario["engine"]] = f"{scenario['sent']:,} sent, {scenario['lost']} lost"
            elif held:
                proved[scenario["engine"]] = held[0]
        if not proved:
            raise LookupError(f"the scenario did not check “{check}”")
        return proved


def rows(page: str) -> list[list[str]]:
    """Return the cells of each row of a page's table: promise, evidence, result.

    Raises:
        ValueError: the page has no such table.
    """
    found = TABLE.search(page)
    if not found:
        raise ValueError(f"The page has no table of proofs. It starts with:\n{HEAD}")
    lines = found.group(1).splitlines()
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def names(page: str) -> set[str]:
    """Return the tests, files and folders that a page names as evidence."""
    return {e.group(3) for row in rows(page) for e in EVIDENCE.finditer(row[1]) if e.group(3)}


def result(evidence: str, slug: str, results: Results) -> dict[str, list[str]] | None:
    """Return what the evidence of a row proved, by what ran, or None if a part was not run.

    Raises:
        LookupError: a part ran, and does not prove it.
    """
    proved: dict[str, list[str]] = {}
    for found in EVIDENCE.finditer(evidence):
        part = results.of(found, slug)
        if part is None:
            return None
        for how, counted in part.items():
            proved.setdefault(how, []).append(counted)
    return proved


def cell(proved: dict[str, list[str]]) -> str:
    """Return the result of a row as its page says it."""
    running = [how for how in proved if how != ONLY_TEMPLATE]
    parts = [f"{how}: {', '.join(_summed(proved[how]))}" for how in [*running, ONLY_TEMPLATE]
             if how in proved]  # fmt: skip
    return "; ".join(parts).replace("|", "\\|")


def _summed(counted: list[str]) -> list[str]:
    """Add up the tests, and keep what scenarios counted."""
    tests = [int(text.split()[0]) for text in counted if re.fullmatch(r"\d+ tests?", text)]
    others = [text for text in dict.fromkeys(counted) if not re.fullmatch(r"\d+ tests?", text)]
    total = sum(tests)
    return [*others, f"{total} test{'s' * (total > 1)}"] if tests else others


def _hows(text: str) -> set[str]:
    """Return what ran, as the result of a row names it."""
    known = {*ENGINES, ONLY_TEMPLATE, *(how for _, how in RUNS)}
    return {how for how in known if re.search(rf"(?:^|; ){how}: ", text)}


def drift(page: str, slug: str, results: Results) -> list[str]:
    """Return a line for each row of a page that claims more or less than a run proved."""
    wrong = []
    for promise, evidence, claimed in rows(page):
        try:
            proved = result(evidence, slug, results)
        except LookupError as error:
            wrong.append(f"{slug}: “{promise}”: {error}")
            continue
        if proved is None:
            continue
        missing = {e["engine"] for e in results.scenarios[slug]}
        now, before = set(proved), _hows(claimed)
        # An engine that is not installed here proves nothing, and disproves nothing.
        before -= {engine for engine in ENGINES if engine not in missing and engine not in now}
        if now != before:
            wrong.append(f"{slug}: “{promise}”: proven by {sorted(now)}, says {sorted(before)}")
    return wrong


def by_running(page: str) -> list[bool]:
    """Return for each promise of a page whether its result proves by running all of it."""
    return [
        NOT_HERE not in evidence and bool(_hows(said) - {ONLY_TEMPLATE})
        for _, evidence, said in rows(page)
    ]


def filled(page: str, slug: str, results: Results, today: str) -> str:
    """Return a page with the results of a run.

    Raises:
        NotRunError: a part of its evidence did not run.
    """
    table, left = HEAD, results.skipped(slug)
    for promise, evidence, _ in rows(page):
        try:
            proved = result(evidence, slug, results)
            now = cell(proved or {})
        except LookupError as error:
            proved, now = {}, f"**not proven**: {error}"
        if proved is None:
            left.append(promise)
        table += f"| {promise} | {evidence} | {now} |\n"
    if left:
        raise NotRunError(f"not run: {'; '.join(left)}")
    held = by_running(table)
    share, by = f"{sum(held)} of {len(held)} promises ({sum(held) / len(held):.0%})", "by running"
    if not all(held):
        by += "; the others say why not"
    said = f"{share} are proven {by}. Written by `make prove` on {today}.\n\n"
    return TABLE.sub(lambda _: said + table, page)


def pages() -> dict[str, Path]:
    """Return the page of each pattern that has one, by slug."""
    return {file.parent.name: file for file in sorted(ROOT.glob("patterns/*/README.md"))}


def defined() -> dict[str, set[str]]:
    """Return the files of each test, by its name."""
    files: dict[str, set[str]] = defaultdict(set)
    for file in ROOT.glob("tests/**/test_*.py"):
        for name in re.findall(r"^\s*def (test_\w+)", file.read_text("utf-8"), re.MULTILINE):
            files[name].add(file.relative_to(ROOT).as_posix())
    return files


def write(results: Results) -> list[str]:
    """Write the pages of the patterns whose scenario ran; return a line for each that is not.

    A page has the results of one run, so it keeps those that it has if a part did not run now.
    """
    today, kept = datetime.now(UTC).date().isoformat(), []
    for slug, file in pages().items():
        if results.scenarios[slug]:
            try:
                file.write_text(filled(file.read_text("utf-8"), slug, results, today), "utf-8")
            except NotRunError as error:
                kept.append(f"{slug} is as it was: {error}")
    return kept


def selection(slugs: list[str]) -> list[str]:
    """Return pytest's arguments that run the evidence of these patterns, or of all."""
    chosen = {slug: file for slug, file in pages().items() if slug in (slugs or pages())}
    named = {name for file in chosen.values() for name in names(file.read_text("utf-8"))}
    where, tests = defined(), {name for name in named if name.startswith("test_")}
    files = {file for name in tests for file in where[name]} | (named - tests)
    folders = {name for name in named if name.startswith("tests/")}
    scenario = " or ".join(chosen)
    words = [*sorted(tests), *sorted(_keyword(name) for name in folders)]
    words.append(f"((test_scenarios or test_localstack_scenarios) and ({scenario}))")
    there = [file for file in SCENARIOS if (ROOT / file).exists()]
    return [*sorted(files), *there, "-k", " or ".join(words)]


def _keyword(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2].removesuffix(".py")


if __name__ == "__main__":
    print("\0".join(selection(sys.argv[1:])), end="")  # for xargs -0
