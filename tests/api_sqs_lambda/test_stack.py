"""What the demo stack chooses for its two kinds of events."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.stacks import Stacks


def test_order_changes_are_in_order_within_their_order_and_once_for_each_idempotency_key(
    stacks: Stacks,
) -> None:
    resources = stacks.template("api_sqs_lambda")["Resources"]
    (sent,) = (
        resource["Properties"]["Integration"]["RequestTemplates"]["application/json"]
        for name, resource in resources.items()
        if resource["Type"] == "AWS::ApiGateway::Method" and "orderchanges" in name
    )
    assert "&MessageGroupId=$!util.urlEncode($!input.path('$.order_id'))&" in sent
    key = sent.partition("&MessageDeduplicationId=")[2].partition("&")[0]
    assert "header.get('Idempotency-Key')" in key
    assert "header.get('idempotency-key')" in key, "as HTTP/2 spells it"
