"""API Gateway starts executions and asks for their status."""

from __future__ import annotations

import json
import re

import pytest

from serverless_patterns.patterns.blocks import executions
from serverless_patterns.patterns.blocks.endpoints import RequestField
from serverless_patterns.patterns.blocks.rest import ServiceCall
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


def test_a_name_is_a_field_of_the_clients_to_be_checked_and_a_path_needs_none() -> None:
    assert START.fields == (RequestField.body("order.id"),)
    assert DESCRIBE.fields == ()


@pytest.mark.parametrize(
    ("call", "statuses"),
    [
        (START, [202, 409, 422, 502, 503]),
        (EXPRESS, [200, 409, 422, 502, 503]),
        (DESCRIBE, [200, 404, 422, 502, 503]),
    ],
    ids=lambda it: it.action if isinstance(it, ServiceCall) else "",
)
def test_a_client_gets_these_statuses_alone(call: ServiceCall, statuses: list[int]) -> None:
    assert (call.service, call.statuses) == ("states", statuses)


@pytest.mark.parametrize("call", [START, EXPRESS, DESCRIBE], ids=lambda call: str(call.action))
def test_what_a_client_does_not_send_is_nothing_and_never_its_own_name(call: ServiceCall) -> None:
    used = re.findall(r"\$!?util", call.request)
    assert set(used) == {"$!util"}
