"""API Gateway starts executions and asks for their status."""

from __future__ import annotations

import json

from serverless_patterns.patterns.blocks import executions
from serverless_patterns.patterns.blocks.endpoints import RequestField
from tests.velocity import Sent, render

START = executions.start("arn", RequestField.body("order.id"), express=False)
EXPRESS = executions.start("arn", RequestField.body("order_id"), express=True)
DESCRIBE = executions.describe("arn:", "name")


def test_a_post_starts_an_execution_named_by_the_order() -> None:
    assert (START.action, START.status) == ("StartExecution", 202)
    assert (EXPRESS.action, EXPRESS.status) == ("StartSyncExecution", 200)
    body = '{"order": {"id": "o-1"}}'
    sent = json.loads(render(START.request, Sent(body)).text)
    assert sent == {"stateMachineArn": "arn", "name": "o-1", "input": body}


def test_a_get_asks_for_the_execution_that_the_path_names() -> None:
    assert (DESCRIBE.action, DESCRIBE.status) == ("DescribeExecution", 200)
    sent = json.loads(render(DESCRIBE.request, Sent(path={"name": "o-1"})).text)
    assert sent == {"executionArn": "arn:o-1"}
