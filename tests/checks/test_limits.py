"""Every limit says its unit, its source and when it was read, and is written once."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

from serverless_patterns.patterns import limits
from tests.conftest import ROOT

LIMITS = {
    name: value for name, value in vars(limits).items() if name[0].isupper() and name.isupper()
}


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_has_its_unit_source_and_date(name: str) -> None:
    limit = LIMITS[name]
    assert isinstance(limit, limits.Limit)
    assert limit.unit
    assert limit.source.startswith("https://docs.aws.amazon.com/")
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", limit.checked)


def test_every_limit_is_used() -> None:
    code = "".join(
        file.read_text(encoding="utf-8")
        for pattern in (
            "patterns/**/*.py",
            "patterns/*/README.md",
            "lint/**/*.py",
            "redrive/*.py",
            "tests/lambdas/*.py",
            "tests/*/handlers.py",
        )
        for file in ROOT.glob(pattern)
        if file.name != "limits.py"
    )
    assert [name for name in LIMITS if name not in code] == []


def test_the_limits_import_nothing() -> None:
    tree = ast.parse((ROOT / "patterns" / "limits.py").read_text(encoding="utf-8"))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def test_a_check_imports_the_limits_and_the_standard_library_alone() -> None:
    standard = {*sys.stdlib_module_names, "collections.abc"}
    for file in (ROOT / "patterns" / "checks").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                root = str(node.module).partition(".")[0]
                assert node.level or root in standard, f"{file.name}: {node.module}"


def test_every_check_is_judged_by_a_test_of_its_own() -> None:
    tests = "".join(file.read_text(encoding="utf-8") for file in Path(__file__).parent.glob("*.py"))
    for file in (ROOT / "patterns" / "checks").glob("*.py"):
        for check in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(check, ast.FunctionDef) and "Source:" in (ast.get_docstring(check) or ""):
                assert re.search(rf"\b{file.stem}\.{check.name}\b", tests), check.name


def test_a_limit_counts_as_its_number() -> None:
    limit = limits.Limit(5, "receives", "https://docs.aws.amazon.com/")
    assert (limit + 1, f"{limit}", limit.unit) == (6, "5", "receives")
