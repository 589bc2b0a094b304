"""Two embedded AWSs that the tests of this folder share: as it is used, and without its shims."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import astuple
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from serverless_patterns.sandbox import Keys, Target, embedded, engines, runtime, shims
from serverless_patterns.sandbox.emulator import emulator_target
from tests.conftest import ROOT, WORKER
from tests.sandbox.helpers import OF_THE_CALLER
from tests.sandbox.sharing import one_for_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

RETRY_SOON = {"LAMBDA_ASYNC_RETRY_BASE_SECONDS": "0.5"}
CLOSED = ",".join(shims.GAPS.keys() - shims.EMBEDDED.keys())


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Started by a caller that has credentials and settings of its own."""
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as caller:
            for name in OF_THE_CALLER:
                caller.setenv(name, "of-the-caller")
            logs = tmp_path_factory.mktemp("logs")
            target = stack.enter_context(embedded(log_dir=logs, environment=RETRY_SOON))
        yield target


@pytest.fixture(scope="session")
def without_shims(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    settings = {**RETRY_SOON, shims.OPEN_VARIABLE: CLOSED}
    with embedded(log_dir=tmp_path_factory.mktemp("logs"), environment=settings) as target:
        yield target


@contextmanager
def started(logs: Path) -> Iterator[Target]:
    """The second engine, started by a caller that has credentials and settings of its own."""
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as caller:
            for name in OF_THE_CALLER:
                caller.setenv(name, "of-the-caller")
            target = stack.enter_context(embedded(engine="localstack", log_dir=logs))
        yield target


@pytest.fixture(scope="session")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The second engine, one for all workers: so names of stacks differ from file to file."""
    base, chosen = tmp_path_factory.getbasetemp(), engines.find("localstack")
    start = partial(started, tmp_path_factory.mktemp("logs"))

    def tell(target: Target) -> list[str]:
        return [str(target.endpoint_url), str(target.log_dir), *astuple(target.keys)]

    def join(told: list[str]) -> AbstractContextManager[Target]:
        url, logs, *keys = told
        found, folder = runtime.find(ROOT), tmp_path_factory.mktemp("joined")
        where = ("embedded", url, found, folder, Path(logs))
        return emulator_target(*where, chosen.gaps, None, Keys(*keys), chosen.check)

    with one_for_all(base.parent if WORKER else base, start, tell, join) as target:
        yield target


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A second engine that no other file uses, whose clock may be stopped."""
    with started(tmp_path_factory.mktemp("logs")) as target:
        yield target
