"""The responder, the requests that it is tried with, and an account that it works in."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from serverless_patterns.lambdas.request_reply import quotes, wire
from serverless_patterns.patterns import limits
from tests import moto_cloud
from tests.lambdas.consumers import Consumer
from tests.moto_cloud import REGION, TABLE, client

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pytest

    from tests.moto_cloud import Cloud

PREFIX = "shop-answers-"
NAME = f"{PREFIX}0123456789abcdef"
BASE = f"https://sqs.{REGION}.amazonaws.com/123456789012"


@contextmanager
def cloud(monkeypatch: pytest.MonkeyPatch, *, fifo: bool = False) -> Iterator[Cloud]:
    """An account with a queue of requests, a table, and a requester's answer queue."""
    environment = {"TABLE_NAME": TABLE, "ANSWERS_URL": f"{BASE}/{PREFIX}", "IDLE_SECONDS": "1800"}
    with moto_cloud.cloud(monkeypatch, tables={TABLE: ("pk",)}, environment=environment) as made:
        attributes = {"FifoQueue": "true"} if fifo else {}
        name = "requests.fifo" if fifo else "requests"
        url = client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        monkeypatch.setenv("QUEUE_URL", url)
        client("sqs").create_queue(QueueName=NAME)
        yield made
