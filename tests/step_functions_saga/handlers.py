"""The consumers, and a Step Functions that remembers its calls: moto does not know task tokens."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from serverless_patterns.lambdas.step_functions_saga import carrier, starter
from serverless_patterns.patterns import limits
from tests import moto_cloud
from tests.lambdas.consumers import Consumer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

ACCOUNTS, SHIPMENTS = "accounts", "shipments"
MACHINE = f"arn:aws:states:{moto_cloud.REGION}:123456789012:stateMachine:orders"


@dataclass
class Cloud(moto_cloud.Cloud):
    """What the handlers use: executions by name, task tokens and what came of them."""

    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    heartbeats: list[str] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)  # nobody waits for these

    def step_functions(self, operation: str, sent: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Answer as Step Functions does."""
        if sent.get("taskToken") in self.gone:
            return 400, {"__type": "TaskTimedOut"}
        match operation:
            case "StartExecution":
                assert sent["stateMachineArn"] == MACHINE
                if sent["name"] in self.inputs:
                    return 400, {"__type": "ExecutionAlreadyExists"}
                self.inputs[sent["name"]] = sent["input"]
            case "DescribeExecution":
                machine, name = sent["executionArn"].rsplit(":", 1)
                assert machine == MACHINE.replace(":stateMachine:", ":execution:")
                return 200, {"input": self.inputs[name]}
            case "SendTaskSuccess":
                self.outputs[sent["taskToken"]] = sent["output"]
            case _:
                self.heartbeats.append(sent["taskToken"])
        return 200, {}

    def put(self, table: str, **values: Any) -> None:
        kinds = {str: "S", int: "N"}
        item = {name: {kinds[type(value)]: str(value)} for name, value in values.items()}
        moto_cloud.client("dynamodb").put_item(TableName=table, Item=item)

    def row(self, table: str, key: str) -> dict[str, Any] | None:
        return next((item for item in self.items(table) if item["id"] == key), None)


@contextmanager
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    environment = {"ACCOUNTS_TABLE": ACCOUNTS, "SHIPMENTS_TABLE": SHIPMENTS}
    environment["STATE_MACHINE_ARN"] = MACHINE
    tables = {ACCOUNTS: ("id",), SHIPMENTS: ("id",)}
    with moto_cloud.cloud(monkeypatch, tables=tables, environment=environment, kind=Cloud) as cloud:
        cloud.fakes["sfn"] = cloud.step_functions
        monkeypatch.setenv("QUEUE_URL", cloud.queue_url)
        yield cloud


def order(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {"order_id": f"order-{number}", "customer_id": "anna", "total": 31313} | changes


def ship(name: str = "order-1", to: str = "DE", token: str = "") -> dict[str, str]:
    token = token or f"token-{name}"
    return {"action": "ship", "order_id": name, "ship_to": to, "task_token": token}


def cancel(name: str = "order-1") -> dict[str, str]:
    return {"action": "cancel", "order_id": name}


LIMITS = {
    "logic.MAX_INPUT_BYTES": limits.STATES_PAYLOAD_BYTES,
    "logic.MAX_NAME": limits.STATES_EXECUTION_NAME,
    "store.MAX_PUTS": limits.DYNAMODB_BATCH_PUTS,
}
CONSUMERS = {
    "starter": Consumer(
        starter.handler,
        cloud,
        good=lambda number, _: order(number),
        name=lambda number: f"order-{number}",
        bad=order(order_id="anna@example.com"),
        reason="order_id",
        work="StartExecution",
        secrets=("anna", "31313"),
        other=lambda number, _: order(number, total=31314),
        effects=lambda cloud: map(json.loads, cloud.inputs.values()),  # type: ignore[attr-defined]
    ),
    "carrier": Consumer(
        carrier.handler,
        cloud,
        good=lambda number, _: ship(f"order-{number}"),
        name=lambda number: f"order-{number}",
        bad={"action": "burn", "ship_to": "Geheimnis"},
        reason="instruction",
        work="TransactWriteItems",
        untried="only a running task has tokens",
        secrets=("Geheimnis", "token"),
        effects=lambda cloud: [ship(row["id"]) for row in cloud.items(SHIPMENTS)],
    ),
}
