"""What the embedded AWS does not execute is declared once, with its service, and has a name."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from serverless_patterns.patterns.catalog import Pattern
from serverless_patterns.sandbox import Deployment, shims
from serverless_patterns.sandbox.report import Report

if TYPE_CHECKING:
    from pathlib import Path

    from serverless_patterns.sandbox import Target

OWN = {"orders-by-drone": "A drone does not start."}
NEW_SERVICE = """
closed = []
GAPS = {"drones": "A drone does not start.", "weather": "It never rains."}
SHIMS = {"drones": lambda: closed.append("drones")}
"""


def test_a_gap_must_be_known(shared: Target) -> None:
    executes = Deployment(shared, "stack", {}).executes
    assert not executes("sqs-redrive-task")
    assert executes("api-gateway-request-validation")
    with pytest.raises(ValueError, match=r"Known: .*, api-gateway-access-logs"):
        executes("sqs-redrive-tasks")


def test_a_gap_is_declared_once_and_a_shim_closes_a_declared_one() -> None:
    declared = [name for service, _ in shims.services() for name in service]
    closed = [name for _, service in shims.services() for name in service]
    assert len(declared) == len(set(declared)) == len(shims.GAPS)
    assert len(closed) == len(set(closed))
    assert shims.GAPS.keys() - shims.EMBEDDED.keys() == set(closed)
    assert all(sentence.endswith(".") for sentence in shims.GAPS.values())


def test_a_file_is_all_that_a_new_service_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "drones.py").write_text(NEW_SERVICE)
    monkeypatch.setattr(shims, "__path__", [*shims.__path__, str(tmp_path)])
    found = {name for service, _ in shims.services() for name in service}
    assert found == {*shims.GAPS, "drones", "weather"}
    monkeypatch.setenv(shims.OPEN_VARIABLE, ",".join(shims.GAPS))  # the others need MiniStack
    shims.apply_all()
    assert sys.modules[f"{shims.__name__}.drones"].closed == ["drones"]


def test_a_scenario_may_bring_gaps_of_its_own_which_an_account_does_not_lack(
    shared: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack, other = Deployment(shared, "stack", {}), Deployment(shared, "other", {})
    stack.also_lacks(OWN)
    stack.also_lacks(OWN)  # driven again
    assert not stack.executes("orders-by-drone")
    assert not stack.executes("sqs-redrive-task")
    with pytest.raises(ValueError, match=r"Unknown gap 'orders'.*orders-by-drone"):
        stack.executes("orders")
    with pytest.raises(ValueError, match="Unknown gap"):
        other.executes("orders-by-drone")
    with pytest.raises(ValueError, match=r"Known gaps already: sqs-redrive-task\."):
        stack.also_lacks({"sqs-redrive-task": "No."})
    monkeypatch.setattr(shared, "endpoint_url", None)
    assert stack.executes("orders-by-drone"), "an account does"


def test_the_gaps_of_a_scenario_are_known_when_it_runs(
    shared: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[bool] = []
    scenario = SimpleNamespace(
        GAPS=OWN, run=lambda stack, _: found.append(stack.executes("orders-by-drone"))
    )
    monkeypatch.setattr(Pattern, "module", lambda _pattern, _name: scenario)
    Pattern("orders").drive(Deployment(shared, "orders", {}), Report())
    assert found == [False]
