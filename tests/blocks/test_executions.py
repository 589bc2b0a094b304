"""API Gateway starts executions and asks for their status, whatever a client sends."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from serverless_patterns.patterns.blocks import executions
from serverless_patterns.patterns.blocks.apis import Cors
from serverless_patterns.patterns.blocks.endpoints import RequestField

START = executions.start("arn", RequestField.body("order.id"), express=False)
EXPRESS = executions.start("arn", RequestField.body("order_id"), express=True)
DESCRIBE = executions.describe("arn:", "name")


@pytest.mark.parametrize("call", [START, EXPRESS, DESCRIBE], ids=["start", "express", "describe"])
def test_every_value_that_a_client_can_influence_is_escaped(call: Any) -> None:
    influenced = re.findall(r"\$!?(?:input|context\.(?:path|identity))", call.request)
    assert len(influenced) in (1, 2)
    escaped = re.findall(r"\$!util\.escapeJavaScript\(\$!input", call.request)
    # What escapeJavaScript writes as \' JSON does not know.
    assert len(influenced) == len(escaped) == call.request.count('.replaceAll("\\\\\'", "\'")')


def test_a_refusal_tells_the_clients_faults_from_ours() -> None:
    faults = {"InvalidExecutionInput": 422, "InvalidName": 422, "ValidationException": 422}
    assert START.client_faults == faults | {"ExecutionAlreadyExists": 409}
    assert set(DESCRIBE.client_faults.values()) == {404}
    conflict = '#if($code == "ExecutionAlreadyExists")#set($context.responseOverride.status = 409)'
    missing = '#if($code == "ExecutionDoesNotExist" || $code == "InvalidArn" || '
    for call, override in ((START, conflict), (DESCRIBE, missing)):
        assert (
            override in (call.responses(Cors(None))[1].response_templates or {})["application/json"]
        )


def test_a_post_starts_an_execution_named_by_the_order() -> None:
    assert (START.action, START.status) == ("StartExecution", 202)
    sent = json.loads(START.request.replace('replaceAll("\\\\\'", "\'")', "unquoted()"))
    assert sent["name"].startswith("$!util.escapeJavaScript($!input.path('$.order.id'))")
    assert sent["input"].startswith("$!util.escapeJavaScript($!input.body)")
    assert sent["stateMachineArn"] == "arn"


def test_a_get_tells_the_status_without_what_the_client_sent() -> None:
    assert (DESCRIBE.action, DESCRIBE.status) == ("DescribeExecution", 200)
    assert "'$.status'" in DESCRIBE.answer
    assert "'$.output'" in DESCRIBE.answer
    assert "'$.input'" not in DESCRIBE.answer


def test_express_waits_for_the_outcome_and_says_when_it_failed() -> None:
    assert (EXPRESS.action, EXPRESS.status) == ("StartSyncExecution", 200)
    failed = "#if($input.path('$.status') != \"SUCCEEDED\")"
    assert f"{failed}#set($context.responseOverride.status = 502)" in EXPRESS.answer
    assert 502 in EXPRESS.statuses
