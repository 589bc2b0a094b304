"""What the embedded AWS does not execute is declared once, with its service, and has a name."""

from __future__ import annotations

import shutil
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from serverless_patterns.patterns.catalog import Pattern
from serverless_patterns.sandbox import Deployment, shims
from serverless_patterns.sandbox.report import Report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

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
    with pytest.raises(ValueError, match="Known: api-gateway-access-logs"):
        executes("sqs-redrive-tasks")


def test_a_gap_is_declared_once_and_a_shim_closes_a_declared_one() -> None:
    declared = [name for service, _ in shims.services() for name in service]
    closed = [name for _, service in shims.services() for name in service]
    assert len(declared) == len(set(declared)) == len(shims.GAPS)
    assert len(closed) == len(set(closed))
    assert shims.GAPS.keys() - shims.EMBEDDED.keys() == set(closed)
    assert all(sentence.endswith(".") for sentence in shims.GAPS.values())


@pytest.fixture
def copied(tmp_path: Path) -> Iterator[ModuleType]:
    """A copy of the folder with the shims, loaded from its path as launch.py loads it."""
    folder = tmp_path / "copied_shims"
    shutil.copytree(Path(shims.__file__).parent, folder)
    (folder / "drones.py").write_text(NEW_SERVICE)
    spec = spec_from_file_location("copied_shims", folder / "__init__.py")
    assert spec
    assert spec.loader
    package = sys.modules["copied_shims"] = module_from_spec(spec)
    spec.loader.exec_module(package)
    yield package
    for name in [name for name in sys.modules if name.split(".")[0] == "copied_shims"]:
        del sys.modules[name]


def test_a_file_is_all_that_a_new_service_needs(
    copied: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {name for service, _ in copied.services() for name in service}
    assert found == {*shims.GAPS, "drones", "weather"}
    monkeypatch.setenv(shims.OPEN_VARIABLE, ",".join(shims.GAPS))  # the others need MiniStack
    copied.apply_all()
    assert sys.modules["copied_shims.drones"].closed == ["drones"]


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
