"""Two embedded AWSs that the tests of this folder share: as it is used, and without its shims."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from serverless_patterns.sandbox import Target, embedded, shims
from tests.sandbox.helpers import OF_THE_CALLER

if TYPE_CHECKING:
    from collections.abc import Iterator

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


@pytest.fixture(scope="session")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The second engine, started by a caller that has credentials and settings of its own."""
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as caller:
            for name in OF_THE_CALLER:
                caller.setenv(name, "of-the-caller")
            running = embedded(engine="localstack", log_dir=tmp_path_factory.mktemp("logs"))
            target = stack.enter_context(running)
        yield target
