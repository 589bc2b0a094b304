"""An API above its rate: API Gateway answers 429 until the sender is slow enough."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, CfnOutput, DefaultStackSynthesizer, Stack
from aws_cdk.assertions import Template
from rich.console import Console

from serverless_patterns.patterns.api_sqs_lambda.construct import (
    ApiGatewayToSqsToLambda,
    Endpoint,
    NewApi,
)
from serverless_patterns.sandbox.report import Report
from serverless_patterns.sandbox.sender import Event, Sender, http
from tests import inline
from tests.sandbox.helpers import create_stack

if TYPE_CHECKING:
    from serverless_patterns.sandbox import Deployment, Target

RATE, BURST, EVENTS = 5, 3, 12


@pytest.fixture(scope="module")
def stack(shared: Target) -> Deployment:
    no_rule = DefaultStackSynthesizer(generate_bootstrap_version_rule=False)
    made = Stack(App(), "Stack", synthesizer=no_rule)
    endpoint = Endpoint(api=NewApi(rate_limit=RATE, burst_limit=BURST))
    consumer = inline.function(made)
    pattern = ApiGatewayToSqsToLambda(made, "Entry", consumer=consumer, endpoint=endpoint)
    CfnOutput(made, "ApiUrl", value=pattern.entry.api.deployment_stage.url_for_path())
    return create_stack(shared, "throttled", dict(Template.from_stack(made).to_json()))


def test_what_is_throttled_with_429_is_sent_again_and_accepted_once(stack: Deployment) -> None:
    post, answers = http(stack, "ApiUrl"), list[Any]()

    def entry(events: Any) -> Any:
        replies = post(events)
        answers.extend(reply.value for reply in replies)
        return replies

    body, extra = b'{"order_id": "o1"}', {"path": "messages"}
    events = [Event(f"e{number}", body, extra=extra) for number in range(EVENTS)]
    report = Report(Console(file=io.StringIO()))
    Sender(report).send("Above the rate", entry, events)
    statuses = [answer.status for answer in answers]
    assert set(statuses) == {202, 429}
    assert json.loads(answers[statuses.index(429)].body)["message"] == "Too Many Requests"
    accepted = [json.loads(answer.body)["messageId"] for answer in answers if answer.status == 202]
    assert len(set(accepted)) == len(accepted) == EVENTS == report.ledger.accepted.total()
