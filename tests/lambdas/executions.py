"""What Step Functions answers of Standard executions, for handlers that start and describe them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Executions:
    """A fake of ``Cloud``.

    Args:
        started: The input of each, by its name.
        found: What ``DescribeExecution`` says of each.
    """

    started: dict[str, str] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=lambda: {"status": "RUNNING"})

    def __call__(self, operation: str, sent: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if operation == "DescribeExecution":
            name = sent["executionArn"].rpartition(":")[2]
            if name not in self.started:
                return 400, {"__type": "ExecutionDoesNotExist"}
            return 200, {"executionArn": sent["executionArn"], "name": name} | self.found
        if sent["name"] in self.started and self.found["status"] != "RUNNING":
            return 400, {"__type": "ExecutionAlreadyExists"}
        self.started[sent["name"]] = sent["input"]
        return 200, {"executionArn": "arn", "startDate": 0}
