from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import moto_cloud
from tests.request_reply.handlers import BASE, NAME
from tests.request_reply.handlers import cloud as make
from tests.request_reply.world import LETTERS, REQUESTS, Queues

if TYPE_CHECKING:
    from tests.moto_cloud import Cloud

cloud = moto_cloud.fixture(make)


@pytest.fixture
def queues(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Queues:
    """Return the queues of an account: of requests, of letters, and of answers."""
    found = Queues(REQUESTS, LETTERS, f"{BASE}/{NAME}")
    cloud.fakes["sqs"] = found
    monkeypatch.setenv("QUEUE_URL", REQUESTS)
    monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", LETTERS)
    return found
