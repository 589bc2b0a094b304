"""API Gateway starts executions and asks for their status, whatever a client sends."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from serverless_patterns.patterns.blocks import executions
from serverless_patterns.patterns.blocks.rest import RequestField


@pytest.mark.parametrize(
    "call",
    [
        executions.start("arn", RequestField.body("order.id"), express=False),
        executions.start("arn", RequestField.body("order_id"), express=True),
        executions.describe("arn:", "name"),
    ],
    ids=["start-nested", "start-express", "describe"],
)
def test_every_value_that_a_client_can_influence_is_escaped(call: Any) -> None:
    influenced = re.findall(r"\$!?(?:input|context\.(?:path|identity))", call.request)
    assert len(influenced) in (1, 2)
    escaped = re.findall(r"\$!util\.escapeJavaScript\(\$!input", call.request)
    # What escapeJavaScript writes as \' JSON does not know.
    assert len(influenced) == len(escaped) == call.request.count('.replaceAll("\\\\\'", "\'")')


def test_a_refusal_tells_the_clients_faults_from_ours() -> None:
    faults = {"InvalidExecutionInput": 422, "InvalidName": 422, "ValidationException": 422}
    start = executions.start("arn", RequestField.body("order_id"), express=False)
    assert start.client_faults == faults | {"ExecutionAlreadyExists": 409}
    describe = executions.describe("arn:", "name")
    assert set(describe.client_faults.values()) == {404}
    conflict = '#if($code == "ExecutionAlreadyExists")#set($context.responseOverride.status = 409)'
    missing = '#if($code == "ExecutionDoesNotExist" || $code == "InvalidArn" || '
    for call, override in ((start, conflict), (describe, missing)):
        assert override in (call.responses()[1].response_templates or {})["application/json"]


def test_a_post_starts_an_execution_named_by_the_order() -> None:
    call = executions.start("arn", RequestField.body("order.id"), express=False)
    assert (call.action, call.status) == ("StartExecution", 202)
    sent = json.loads(call.request.replace('replaceAll("\\\\\'", "\'")', "unquoted()"))
    assert sent["name"].startswith("$!util.escapeJavaScript($!input.path('$.order.id'))")
    assert sent["input"].startswith("$!util.escapeJavaScript($!input.body)")
    assert sent["stateMachineArn"] == "arn"


def test_a_get_tells_the_status_without_what_the_client_sent() -> None:
    call = executions.describe("arn:", "name")
    assert (call.action, call.status) == ("DescribeExecution", 200)
    assert "'$.status'" in call.answer
    assert "'$.output'" in call.answer
    assert "'$.input'" not in call.answer


def test_express_waits_for_the_outcome_and_says_when_it_failed() -> None:
    call = executions.start("arn", RequestField.body("order_id"), express=True)
    assert (call.action, call.status) == ("StartSyncExecution", 200)
    failed = "#if($input.path('$.status') != \"SUCCEEDED\")"
    assert f"{failed}#set($context.responseOverride.status = 502)" in call.answer
    assert 502 in call.statuses
