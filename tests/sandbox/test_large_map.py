"""A Map over a file of any length, which a page shows, run by the embedded AWS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aws_cdk import App, CfnOutput, DefaultStackSynthesizer, Stack
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Template

from serverless_patterns.patterns.step_functions_saga.construct import Saga, StepFunctionsSaga
from serverless_patterns.patterns.step_functions_saga.stack import FOLDER
from serverless_patterns.sandbox import queues
from tests.sagas import table
from tests.sandbox.helpers import create_stack

if TYPE_CHECKING:
    from serverless_patterns.sandbox import Target

LINES: list[dict[str, Any]] = [
    {"delivery_id": "D1", "sku": f"part-{number}", "quantity": 2} for number in range(25)
]


def goods_in() -> dict[str, Any]:
    """The template of the page's example, with outputs."""
    no_rule = DefaultStackSynthesizer(generate_bootstrap_version_rule=False)
    stack = Stack(App(), "Stack", synthesizer=no_rule)
    stock, deliveries = table(stack, "Stock"), s3.Bucket(stack, "Deliveries")
    saga = Saga(
        definition=FOLDER / "goods_in.asl.json",
        resources={"Stock": stock, "Deliveries": deliveries},
    )
    made = StepFunctionsSaga(stack, "GoodsIn", saga=saga, name_field="delivery_id")
    assert made.parked_queue
    for name, value in {
        "Machine": made.state_machine.state_machine_arn,
        "Bucket": deliveries.bucket_name,
        "Table": stock.table_name,
        "ParkedUrl": made.parked_queue.queue_url,
    }.items():
        CfnOutput(stack, name, value=value)
    return dict(Template.from_stack(stack).to_json())


def ends(states: Any, machine: str) -> str:
    """Run an execution; return its status at its end."""
    arn = states.start_execution(stateMachineArn=machine, input="{}")["executionArn"]

    def status() -> str:
        return str(states.describe_execution(executionArn=arn)["status"])

    queues.until(lambda: status() != "RUNNING", seconds=60, what="until the file is processed")
    return status()


def test_each_line_of_a_large_file_is_booked_once_and_a_bad_one_is_parked(shared: Target) -> None:
    stack = create_stack(shared, "goods-in", goods_in())
    states, database = stack.client("stepfunctions"), stack.client("dynamodb")
    bad = {"delivery_id": "D1", "sku": "part-without-quantity"}
    body = "\n".join(map(json.dumps, [*LINES, bad]))
    stack.client("s3").put_object(Bucket=stack["Bucket"], Key="goods_in.jsonl", Body=body)
    for count in (1, 2):  # the second time, everything is booked already
        assert ends(states, stack["Machine"]) == "SUCCEEDED"
        pages = database.get_paginator("scan").paginate(TableName=stack["Table"])
        rows = {row["id"]["S"]: row for page in pages for row in page["Items"]}
        assert len(rows) == 2 * len(LINES)
        assert {rows[f"PART#{line['sku']}"]["available"]["N"] for line in LINES} == {"2"}
        parked = stack.client("sqs").get_queue_attributes(
            QueueUrl=stack["ParkedUrl"], AttributeNames=["ApproximateNumberOfMessages"]
        )
        assert parked["Attributes"]["ApproximateNumberOfMessages"] == str(count)
