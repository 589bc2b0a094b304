"""Embedded AWS shared by the tests of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from serverless_patterns.sandbox import Target, embedded, shims

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with embedded(log_dir=tmp_path_factory.mktemp("logs")) as target:
        yield target


@pytest.fixture(scope="session")
def without_shims(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    names = ",".join(shim.__name__ for shim in shims.SHIMS)
    logs = tmp_path_factory.mktemp("logs")
    with embedded(log_dir=logs, environment={shims.WITHOUT_VARIABLE: names}) as target:
        yield target
