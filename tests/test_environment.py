"""The CDK's Node starts, and caches are written, whatever the caller's environment says."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns import environment
from serverless_patterns.terminal import visible
from tests.conftest import ROOT, run
from tools import setup

if TYPE_CHECKING:
    from pathlib import Path

BROKEN = "--require /no-such-module"  # for NODE_OPTIONS: no Node starts with it
CACHES = {"PIP_CACHE_DIR", "UV_CACHE_DIR", "npm_config_cache", "JSII_RUNTIME_PACKAGE_CACHE_ROOT"}


@pytest.fixture
def no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """A home that nobody can write, not even root."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    for name in CACHES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/dev/null")


@pytest.mark.usefixtures("no_home")
def test_an_app_synthesizes_with_a_home_that_cannot_be_written_and_options_that_break_node(
    tmp_path: Path, cdk_context: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODE_OPTIONS", BROKEN)
    monkeypatch.setenv("CDK_OUTDIR", str(tmp_path))
    monkeypatch.setenv("CDK_CONTEXT_JSON", json.dumps({**cdk_context, "pattern": "async_lambda"}))
    done = run(sys.executable, "app.py", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "async-lambda.template.json").exists()


@pytest.mark.usefixtures("no_home")
def test_set_up_caches_in_the_project_if_the_home_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_CACHE_DIR", "/of/the/caller")
    found = setup.environment_for(tmp_path)
    moved = {name for name in CACHES if found[name].startswith(str(tmp_path / ".build"))}
    assert moved == CACHES - {"UV_CACHE_DIR"}


def test_caches_stay_where_they_are_if_they_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "made" / "on demand"))
    assert environment.caches(ROOT) == {}


def test_set_up_runs_node_without_the_callers_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_OPTIONS", BROKEN)
    assert "NODE_OPTIONS" not in setup.environment_for(ROOT)


def test_text_from_outside_cannot_move_the_cursor_or_colour_the_terminal() -> None:
    assert visible("a\x1b[2J\x07\x9bb\r\x7f") == "a\ufffd[2J\ufffd\ufffdb\ufffd\ufffd"
    assert visible("\u202egnp.exe\u2069") == "\ufffdgnp.exe\ufffd", "not in another order, either"
    assert visible("\ud800").encode() == "\ufffd".encode(), "half a character cannot be written"
    assert visible("ä\t1\r\n2 名\n") == "ä\t1\n2 名\n"
