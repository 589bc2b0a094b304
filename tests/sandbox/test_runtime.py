"""What the sandbox runs is of this user or of root, and a cache that cannot be written is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from serverless_patterns.sandbox import SandboxError, runtime

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder below one with a CDK CLI in it."""
    file = tmp_path / "node_modules" / "aws-cdk" / "bin" / "cdk"
    file.parent.mkdir(parents=True)
    file.touch()
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


def test_the_cli_of_a_folder_above_is_used(project: Path) -> None:
    assert runtime.find(project).cdk[1].startswith(str(project.parent.resolve()))


def test_a_cli_that_another_user_put_above_is_not_run(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, owner = project.parent.resolve() / "node_modules", runtime._owner
    monkeypatch.setattr(
        runtime, "_owner", lambda path: 4242 if theirs in path.parents else owner(path)
    )
    assert not runtime.find(project).cdk[1].startswith(str(project.parent.resolve()))


def test_a_cache_that_cannot_be_written_is_named_with_what_to_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    with pytest.raises(SandboxError, match=r"/dev/null/serverless-patterns.*Set XDG_CACHE_HOME"):
        runtime._make(runtime.cached_home())
