"""A stack without AWS, and what drives it."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from serverless_patterns.sandbox.driver import Driver
from serverless_patterns.sandbox.health import Outages
from serverless_patterns.sandbox.report import Report


class Stack(dict[str, str]):
    """A stack of outputs, with clients that a test makes; it executes what it is told to."""

    region, account = "eu-west-1", "123456789012"

    def __init__(self, client: Any = None, *, http: Any = None, executes: bool = True) -> None:
        super().__init__(
            DeadLetterQueueUrl="dlq",
            QueueUrl="queue",
            FunctionName="function",
            ApiUrl="https://api/prod/",
        )
        self.http, self._client, self._executes = http, client, executes
        self.outages = Outages()

    def client(self, _: str) -> Any:
        return self._client

    def executes(self, _: str) -> bool:
        return self._executes


def driver(client: Any = None, *, executes: bool = True, **options: Any) -> Driver:
    stack: Any = Stack(client, executes=executes)
    return Driver(stack, Report(Console(file=io.StringIO())), **options)
