"""A page claims what a run proved: no more, and no less."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import ROOT, page_of
from tools import proofs

if TYPE_CHECKING:
    from pathlib import Path

    from serverless_patterns.patterns.catalog import Pattern

DAY = "2026-01-31"
NODE = "tests/contracts/test_x.py::test_it_keeps_all[kinesis_lambda]"
SCENARIO: dict[str, Any] = {"slug": "shop", "engine": "MiniStack", "sent": 1500, "lost": 0,
            "held": ["retail: 40 prices are the newest"]}  # fmt: skip


def page(evidence: str, result: str = "") -> str:
    return f"Before.\n\n{proofs.HEAD}| It works | {evidence} | {result} |\n\nAfter.\n"


def run(*nodes: tuple[str, str], scenarios: tuple[dict[str, Any], ...] = ()) -> proofs.Results:
    results = proofs.Results()
    for node, outcome in nodes:
        results.add(node, outcome, [])
    for scenario in scenarios:
        recorded = [("scenario", json.dumps(scenario))]
        results.add("tests/test_scenarios.py::test_s[shop]", "passed", recorded)
    return results


def result(evidence: str, results: proofs.Results) -> str:
    return proofs.rows(proofs.filled(page(evidence), "shop", results, DAY))[0][2]


def test_every_page_says_what_the_last_run_proved(pattern: Pattern) -> None:
    file = pattern.folder.relative_to(ROOT)
    unproven = [promise for promise, _, result in proofs.rows(page_of(pattern))
                if not result or "**" in result]  # fmt: skip
    assert unproven == [], f"{file}: run `make prove PATTERN={pattern.slug}`"


def test_nine_of_ten_promises_of_a_page_are_proven_by_running_and_the_others_say_why_not(
    pattern: Pattern,
) -> None:
    text = page_of(pattern)
    held = proofs.by_running(text)
    assert sum(held) >= 0.9 * len(held)
    without_reason = [
        promise
        for (promise, evidence, _), proven in zip(proofs.rows(text), held, strict=True)
        if not proven and not re.search(f"{proofs.NOT_HERE}, (as|because) ", evidence)
    ]
    assert without_reason == []


def test_a_row_says_what_ran_and_what_was_counted() -> None:
    handlers = ("tests/shop/test_handlers.py::test_twice", "passed")
    results = run(handlers, (NODE, "passed"), scenarios=(SCENARIO,))
    found = result("scenario; `test_twice`, `test_it_keeps_all`", results)
    assert found == "MiniStack: 1,500 sent, 0 lost; handlers: 1 test; template: 1 test"
    assert (
        result("scenario “prices are the newest”", results) == f"MiniStack: {SCENARIO['held'][0]}"
    )


def test_the_share_counts_what_ran_and_not_what_the_template_says() -> None:
    rows = "| It works | scenario |  |\n| It is private | `test_it_keeps_all` |  |\n"
    filled = proofs.filled(
        f"{proofs.HEAD}{rows}", "shop", run((NODE, "passed"), scenarios=(SCENARIO,)), DAY
    )
    assert filled.startswith("1 of 2 promises (50%) are proven by running")
    assert DAY in filled
    assert (
        proofs.filled(filled, "shop", run((NODE, "passed"), scenarios=(SCENARIO,)), DAY) == filled
    )


@pytest.mark.parametrize("outcome", ["failed", "error"])
def test_what_failed_is_not_shown_as_proven(outcome: str) -> None:
    assert "**not proven**" in result("`test_it_keeps_all`", run((NODE, outcome)))


OTHER_ENGINE = f"{proofs.SCENARIOS[1]}::test_s[shop]", "skipped"


@pytest.mark.parametrize(
    ("evidence", "results"),
    [
        ("`test_it_keeps_all`", run()),
        ("`test_it_keeps_all`", run((NODE, "skipped"))),
        ("LocalStack “newest”", run(scenarios=(SCENARIO,))),
        ("scenario “newest”", run(OTHER_ENGINE, scenarios=(SCENARIO,))),
    ],
    ids=["not selected", "skipped", "of another engine", "of both engines"],
)
def test_a_page_is_not_written_by_a_run_without_all_of_its_evidence(
    evidence: str,
    results: proofs.Results,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    file = tmp_path / "README.md"
    file.write_text(page(evidence, "MiniStack: 1; LocalStack: 1"))
    monkeypatch.setattr(proofs, "pages", lambda: {"shop": file})
    results.scenarios["shop"] = [SCENARIO]
    [kept] = proofs.write(results)
    assert kept.startswith("shop is as it was: not run: ")
    assert file.read_text() == page(evidence, "MiniStack: 1; LocalStack: 1")


def test_a_promise_that_says_that_a_part_is_not_executed_is_not_counted() -> None:
    results = run(("tests/shop/test_handlers.py::test_twice", "passed"), scenarios=(SCENARIO,))
    for evidence, said in (
        ("`test_twice`", "1 of 1"),
        (f"{proofs.NOT_HERE}: `test_twice`", "0 of 1"),
    ):
        assert f"{said} promises" in proofs.filled(page(evidence), "shop", results, DAY)


def test_a_check_that_the_scenario_does_not_make_proves_nothing() -> None:
    assert "did not check" in result("scenario “wholesale”", run(scenarios=(SCENARIO,)))
    lines = proofs.drift(
        page("scenario “wholesale”", "MiniStack: all"), "shop", run(scenarios=(SCENARIO,))
    )
    assert "did not check “wholesale”" in lines[0]


@pytest.mark.parametrize(
    "claimed", ["MiniStack: 9 sent, 0 lost", "template: 1 test; handlers: 2 tests", ""]
)
def test_a_page_that_claims_more_less_or_another_proof_is_found(claimed: str) -> None:
    assert proofs.drift(page("`test_it_keeps_all`", claimed), "shop",
                        run((NODE, "passed"), scenarios=(SCENARIO,)))  # fmt: skip


def test_counts_may_differ_from_run_to_run() -> None:
    results = run((NODE, "passed"), scenarios=(SCENARIO,))
    said = page("scenario, `test_it_keeps_all`", "MiniStack: 3 sent, 0 lost; template: 9 tests")
    assert proofs.drift(said, "shop", results) == []


def test_an_engine_that_is_not_installed_disproves_nothing() -> None:
    said = page("scenario “newest”", "MiniStack: 4 prices; LocalStack: 4 prices")
    assert proofs.drift(said, "shop", run(scenarios=(SCENARIO,))) == []
    other = SCENARIO | {"engine": "LocalStack", "held": []}
    assert proofs.drift(said, "shop", run(scenarios=(SCENARIO, other)))


def test_a_promise_of_all_constructs_counts_for_this_one_alone() -> None:
    others = NODE.replace("kinesis_lambda", "shop"), NODE
    results = run(*((node, "passed") for node in others))
    assert result("`test_it_keeps_all`", results) == "template: 1 test"


def test_a_page_names_only_tests_and_files_that_there_are(pattern: Pattern) -> None:
    tests = proofs.defined()
    missing = {
        name
        for name in proofs.names(page_of(pattern))
        if not (tests[name] if name.startswith("test_") else (ROOT / name).exists())
    }
    assert missing == set()
