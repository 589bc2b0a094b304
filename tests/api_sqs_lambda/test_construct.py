"""The promises of the construct beyond those of every queue, consumer and endpoint."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from aws_cdk import App, Duration, Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Annotations, Match, Template

from serverless_patterns.patterns.api_sqs_lambda import mapping
from serverless_patterns.patterns.api_sqs_lambda.construct import NewQueue, RequestField
from tests.api_sqs_lambda.builds import make

GROUP = RequestField.body("order_id")
KEY = RequestField.header("Idempotency-Key")
FIFO = NewQueue(fifo=True)


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Stack")


def integration(stack: Stack) -> dict[str, Any]:
    (resource,) = Template.from_stack(stack).find_resources("AWS::ApiGateway::Method").values()
    found: dict[str, Any] = resource["Properties"]["Integration"]
    return found


def request_template(stack: Stack) -> str:
    return str(integration(stack)["RequestTemplates"]["application/json"])


def source_queue(stack: Stack) -> dict[str, Any]:
    found = Template.from_stack(stack).find_resources(
        "AWS::SQS::Queue", {"Properties": {"RedrivePolicy": Match.any_value()}}
    )
    (resource,) = found.values()
    properties: dict[str, Any] = resource["Properties"]
    return properties


# The answer to the client


def test_the_accepted_answer_names_the_message_and_the_request(stack: Stack) -> None:
    make(stack)
    accepted = integration(stack)["IntegrationResponses"][0]
    assert accepted["StatusCode"] == "202"
    assert json.loads(accepted["ResponseTemplates"]["application/json"]) == {
        "messageId": "$input.path('$.SendMessageResponse.SendMessageResult.MessageId')",
        "requestId": "$context.requestId",
    }


def test_a_message_that_sqs_rejects_is_the_clients_to_fix(stack: Stack) -> None:
    make(stack)
    refused = integration(stack)["IntegrationResponses"][1]
    faults = re.search(
        r'#set\(\$clientFaults = " (.*) "\)', refused["ResponseTemplates"]["application/json"]
    )
    assert faults
    assert set(faults[1].split()) == {
        "InvalidMessageContents",
        "InvalidParameterValue",
        "MissingParameter",
    }


# The message


def test_every_value_that_a_client_can_influence_is_encoded_for_the_form() -> None:
    parameters = mapping.request_template(GROUP, KEY).split("&")
    influenced = [p for p in parameters if re.search(r"\$!?(input|context\.(path|identity))", p)]
    assert len(influenced) == 3  # body, group, deduplication id
    for parameter in influenced:
        name, value = parameter.split("=", 1)
        assert re.fullmatch(r"\$util\.urlEncode\(.*\)", value), name


def test_the_message_carries_what_a_consumer_needs() -> None:
    parameters = dict(
        parameter.split("=", 1) for parameter in mapping.request_template(None, None).split("&")
    )
    assert parameters["MessageBody"] == "$util.urlEncode($input.body)"
    names = {value for name, value in parameters.items() if name.endswith(".Name")}
    assert {"RequestId", "Source", "ReceivedAt"} <= names


@pytest.mark.parametrize("name", ["", "a b", "order-id", "a.", "$.x", "x')", "ordér"])
def test_a_body_field_that_could_change_the_template_is_rejected(name: str) -> None:
    with pytest.raises(ValueError, match="allowed are letters"):
        RequestField.body(name)


@pytest.mark.parametrize("name", ["", "X Y", "X_Y", "X')", "Ключ"])
def test_a_header_that_could_change_the_template_is_rejected(name: str) -> None:
    with pytest.raises(ValueError, match="allowed are letters"):
        RequestField.header(name)


def test_a_header_is_found_in_lower_case_too() -> None:
    encoded = "$!input.params('Idempotency-Key')$!input.params('idempotency-key')"
    assert f'$util.urlEncode("{encoded}")' in mapping.request_template(None, KEY)


def test_the_trace_goes_with_the_message(stack: Stack) -> None:
    make(stack)
    headers = integration(stack)["RequestParameters"]
    assert headers["integration.request.header.X-Amzn-Trace-Id"] == "context.xrayTraceId"


# Who may send


def test_api_gateway_may_send_to_this_queue_and_do_nothing_else(stack: Stack) -> None:
    made = make(stack)
    statement = {
        "Action": "sqs:SendMessage",
        "Effect": "Allow",
        "Resource": stack.resolve(made.queue.queue_arn),
    }
    Template.from_stack(stack).has_resource_properties(
        "AWS::IAM::Policy",
        {
            "PolicyDocument": {"Statement": [statement]},
            "Roles": [stack.resolve(made.entry.role.role_name)],
        },
    )


def test_api_gateway_may_use_the_queues_customer_key(stack: Stack) -> None:
    key = kms.Key(stack, "Key")
    made = make(stack, queue=NewQueue(encryption_key=key))
    may_use = Match.object_like(
        {
            "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
            "Resource": stack.resolve(key.key_arn),
        }
    )
    Template.from_stack(stack).has_resource_properties(
        "AWS::IAM::Policy",
        {
            "PolicyDocument": {"Statement": Match.array_with([may_use])},
            "Roles": [stack.resolve(made.entry.role.role_name)],
        },
    )


def test_a_queue_of_another_account_is_sent_to_there(stack: Stack) -> None:
    arn = "arn:aws:sqs:us-east-1:222222222222:theirs"
    make(stack, queue=sqs.Queue.from_queue_arn(stack, "Theirs", arn))
    assert ":sqs:path/222222222222/theirs" in json.dumps(integration(stack)["Uri"])


# FIFO


def test_a_fifo_queue_runs_in_high_throughput_mode_with_a_fifo_dead_letter_queue(
    stack: Stack,
) -> None:
    make(stack, queue=FIFO, message_group_id=GROUP, deduplication_id=KEY)
    queue = source_queue(stack)
    assert queue["FifoThroughputLimit"] == "perMessageGroupId"
    assert queue["DeduplicationScope"] == "messageGroup"
    assert "ContentBasedDeduplication" not in queue
    assert "MessageDeduplicationId=$util.urlEncode(" in request_template(stack)
    Template.from_stack(stack).all_resources_properties("AWS::SQS::Queue", {"FifoQueue": True})


def test_a_fifo_queue_without_a_deduplication_field_deduplicates_by_content(stack: Stack) -> None:
    make(stack, queue=FIFO, message_group_id=GROUP)
    assert source_queue(stack)["ContentBasedDeduplication"] is True
    assert "MessageDeduplicationId" not in request_template(stack)


def test_a_group_on_a_standard_queue_shares_the_consumer_fairly(stack: Stack) -> None:
    make(stack, message_group_id=RequestField.body("customer_id"))
    group = "MessageGroupId=$util.urlEncode($input.path('$.customer_id'))"
    assert group in request_template(stack)
    assert "FifoQueue" not in source_queue(stack)


def test_a_fifo_queue_without_a_group_is_rejected(stack: Stack) -> None:
    with pytest.raises(ValueError, match="without MessageGroupId: .* Give message_group_id"):
        make(stack, queue=FIFO)


def test_a_deduplication_id_on_a_standard_queue_is_rejected(stack: Stack) -> None:
    with pytest.raises(ValueError, match="does not deduplicate"):
        make(stack, deduplication_id=KEY)


@pytest.mark.parametrize("by_content", [False, True])
def test_an_own_fifo_queue_without_any_deduplication_is_rejected(
    stack: Stack, by_content: bool
) -> None:
    dead_letters = sqs.DeadLetterQueue(
        queue=sqs.Queue(stack, "OwnDlq", fifo=True), max_receive_count=5
    )
    own = sqs.Queue(
        stack,
        "Own",
        fifo=True,
        content_based_deduplication=by_content,
        visibility_timeout=Duration.seconds(60),
        dead_letter_queue=dead_letters,
    )
    if by_content:
        assert make(stack, queue=own, message_group_id=GROUP).queue is own
    else:
        with pytest.raises(ValueError, match="without MessageDeduplicationId: SQS rejects every"):
            make(stack, queue=own, message_group_id=GROUP)


@pytest.mark.parametrize("settings", [{}, {"deduplication_id": KEY}], ids=["none", "given"])
def test_an_imported_fifo_queue_must_deduplicate_unless_messages_name_an_id(
    stack: Stack, settings: dict[str, Any]
) -> None:
    arn = "arn:aws:sqs:us-east-1:111111111111:orders.fifo"
    make(stack, queue=sqs.Queue.from_queue_arn(stack, "Theirs", arn), message_group_id=GROUP,
         **settings)  # fmt: skip
    found = Annotations.from_stack(stack).find_warning("/Stack/Theirs", Match.any_value())
    asked = any("ContentBasedDeduplication" in str(one.entry.data) for one in found)
    assert asked is not bool(settings)
