from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from . import handlers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.moto_cloud import Cloud


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with handlers.cloud(monkeypatch) as cloud:
        yield cloud
