"""The handlers' dependency layer: built once, the same from the same lock."""

from __future__ import annotations

import hashlib
import zipfile
from typing import TYPE_CHECKING

import pytest
from aws_cdk import App, Stack

from serverless_patterns.patterns.blocks import layer
from tests.inline import properties

if TYPE_CHECKING:
    from pathlib import Path


def empty(archive: Path, *_: object) -> None:
    """Stand in for the build of a layer."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    zipfile.ZipFile(archive, "w").close()


def test_the_same_lock_builds_the_same_bytes(tmp_path: Path) -> None:
    archives = [tmp_path / name / "layer.zip" for name in ("first", "second")]
    for archive in archives:
        layer.build(archive)
    assert archives[0].read_bytes() == archives[1].read_bytes()


def test_the_layer_holds_powertools_where_lambda_looks_for_it(tmp_path: Path) -> None:
    layer.build(tmp_path / "layer.zip")
    names = zipfile.ZipFile(tmp_path / "layer.zip").namelist()
    assert "python/aws_lambda_powertools/__init__.py" in names
    assert not [name for name in names if name.endswith((".pyc", "/RECORD"))]


def test_a_layer_that_is_there_is_not_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    layer.dependency_layer(Stack(App(), "First"), "Layer")

    def fail(archive: Path, *_: object) -> None:
        raise AssertionError(f"built again: {archive}")

    monkeypatch.setattr(layer, "build", fail)
    layer.dependency_layer(Stack(App(), "Second"), "Layer")


def test_the_layer_is_for_the_runtime_and_processor_of_the_functions(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(layer, "build", empty)
    layer.dependency_layer(stack, "Layer")
    (version,) = properties(stack, "Lambda::LayerVersion")
    assert version["CompatibleRuntimes"] == [layer.RUNTIME.name]
    assert version["CompatibleArchitectures"] == [layer.ARCHITECTURE.name]


@pytest.mark.parametrize("setting", ["PYTHON_VERSION", "PLATFORM"])
def test_another_python_or_platform_gives_another_asset(
    setting: str, stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(layer, "build", empty)
    layer.dependency_layer(stack, "One")
    monkeypatch.setattr(layer, setting, "another")
    layer.dependency_layer(stack, "Other")
    one, other = properties(stack, "Lambda::LayerVersion")
    assert one["Content"]["S3Key"] != other["Content"]["S3Key"]


@pytest.mark.parametrize(
    ("hashed", "problem"), [(True, "has no usable wheels"), (False, "must have .*a hash")]
)
def test_a_package_that_would_be_built_here_or_has_no_hash_is_not_installed(
    hashed: bool, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "source-1.0.tar.gz").touch()
    digest = f" --hash=sha256:{hashlib.sha256(b'').hexdigest()}"
    lock = tmp_path / "requirements.txt"
    there = f"--no-index\n--find-links {tmp_path.as_uri()}"
    lock.write_text(f"{there}\nsource==1.0{digest * hashed}")
    monkeypatch.setattr(layer, "LOCK", lock)
    with pytest.raises(RuntimeError, match=problem):
        layer.build(tmp_path / "layer.zip")


def test_another_lock_gives_another_asset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    keys = []
    for comment in ("", "# another\n"):
        lock = tmp_path / f"requirements{len(comment)}.txt"
        lock.write_text(layer.LOCK.read_text() + comment)
        monkeypatch.setattr(layer, "LOCK", lock)
        stack = Stack(App(), "Stack")
        layer.dependency_layer(stack, "Layer")
        (version,) = properties(stack, "Lambda::LayerVersion")
        keys.append(version["Content"]["S3Key"])
    assert keys[0] != keys[1]


def test_a_lock_that_cannot_be_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "requirements.txt"
    lock.write_text("no-such-package-of-this-name==1.0 --hash=sha256:" + "0" * 64)
    monkeypatch.setattr(layer, "LOCK", lock)
    monkeypatch.setenv("UV_OFFLINE", "1")
    with pytest.raises(RuntimeError, match=r"requirements\.txt could not be installed"):
        layer.build(tmp_path / "layer.zip")
    assert not (tmp_path / "layer.zip").exists()
