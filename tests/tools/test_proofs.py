"""A page claims what a run proved: no more, and no less."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import ROOT, page_of
from tools import proofs

if TYPE_CHECKING:
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


@pytest.mark.parametrize("results", [run(), run((NODE, "skipped"))])
def test_what_did_not_run_is_not_shown_as_proven(results: proofs.Results) -> None:
    assert result("`test_it_keeps_all`", results) == "**not run**"


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
