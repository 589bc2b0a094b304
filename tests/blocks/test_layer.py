"""The handlers' dependency layer: built once, the same from the same lock."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from aws_cdk import App, Stack
from aws_cdk.assertions import Template

from serverless_patterns.patterns.blocks import layer

if TYPE_CHECKING:
    from pathlib import Path


def content(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def asset_key(template: Template) -> str:
    (resource,) = template.find_resources("AWS::Lambda::LayerVersion").values()
    key: str = resource["Properties"]["Content"]["S3Key"]
    return key


def test_the_same_lock_builds_the_same_bytes(tmp_path: Path) -> None:
    layer.install(tmp_path / "first")
    layer.install(tmp_path / "second")
    assert content(tmp_path / "first") == content(tmp_path / "second")


def test_the_layer_holds_powertools_where_lambda_looks_for_it(tmp_path: Path) -> None:
    layer.install(tmp_path / "layer")
    assert (tmp_path / "layer" / "python" / "aws_lambda_powertools" / "__init__.py").exists()


def test_a_layer_that_is_there_is_not_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    layer.dependency_layer(Stack(App(), "First"), "Layer")

    def fail(folder: Path) -> None:
        raise AssertionError(f"built again: {folder}")

    monkeypatch.setattr(layer, "install", fail)
    layer.dependency_layer(Stack(App(), "Second"), "Layer")


def test_another_lock_gives_another_asset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    keys = []
    for comment in ("", "# another\n"):
        lock = tmp_path / f"requirements{len(comment)}.txt"
        lock.write_text(layer.LOCK.read_text() + comment)
        monkeypatch.setattr(layer, "LOCK", lock)
        stack = Stack(App(), "Stack")
        layer.dependency_layer(stack, "Layer")
        keys.append(asset_key(Template.from_stack(stack)))
    assert keys[0] != keys[1]


def test_a_lock_that_cannot_be_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "requirements.txt"
    lock.write_text("no-such-package-of-this-name==1.0 --hash=sha256:" + "0" * 64)
    monkeypatch.setattr(layer, "LOCK", lock)
    monkeypatch.setenv("UV_OFFLINE", "1")
    with pytest.raises(RuntimeError, match=r"requirements\.txt could not be installed"):
        layer.install(tmp_path / "layer")
    assert not (tmp_path / "layer").exists()
