"""The promises of the construct beyond those of every queue, consumer and endpoint."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Annotations, Match, Template

from serverless_patterns.patterns.api_sqs_lambda import mapping, rules
from serverless_patterns.patterns.api_sqs_lambda.construct import NewQueue, RequestField
from tests.api_sqs_lambda.builds import make
from tests.inline import properties, rejected
from tests.velocity import HOSTILE, Sent, assert_arrives, render

GROUP = RequestField.body("order_id")
KEY = RequestField.header("Idempotency-Key")
CALLER = RequestField.context("identity.userArn")
CLAIM = RequestField.context("authorizer.claims.custom:tenant")
FIFO = NewQueue(fifo=True)


def integration(stack: Stack) -> dict[str, Any]:
    (method,) = properties(stack, "ApiGateway::Method")
    return dict(method["Integration"])


@pytest.fixture(scope="module")
def default() -> dict[str, Any]:
    """The integration of a method with the defaults."""
    stack = Stack(App(), "Stack")
    make(stack)
    return integration(stack)


# The message


@pytest.mark.parametrize("value", HOSTILE)
def test_every_value_that_a_client_can_influence_is_encoded_for_the_form(value: str) -> None:
    attributes = {"Caller": CALLER, "Tenant": RequestField.query("tenant")}
    attributes |= {"Claim": CLAIM, "Customer": RequestField.path("customer")}
    assert_arrives(mapping.request_template(GROUP, KEY, attributes), value)


def test_a_header_is_taken_in_any_spelling_and_not_from_the_query_string() -> None:
    template = f"$util.urlEncode({RequestField.header('X-Id').value})"
    elsewhere: Any = {"querystring": {"X-Id": "q"}, "path": {"X-Id": "p"}}
    for spelling in ("X-Id", "x-id"):
        assert render(template, Sent(header={spelling: "its"}, **elsewhere)).text == "its"
    assert render(template, Sent(**elsewhere)).text == ""


def test_the_message_carries_what_a_consumer_needs_and_who_sent_it() -> None:
    template = mapping.request_template(None, None, {"Caller": CALLER})
    parameters = dict(parameter.split("=", 1) for parameter in template.split("&"))
    assert parameters["MessageBody"] == "$!util.urlEncode($!input.body)"
    names = {value for name, value in parameters.items() if name.endswith(".Name")}
    assert names == {"RequestId", "Source", "ReceivedAt", "Caller"}
    caller = parameters["MessageAttribute.4.Value.StringValue"]
    assert caller == "$!util.urlEncode($!context.identity.userArn)"
    assert not {"MessageGroupId", "MessageDeduplicationId"} & parameters.keys()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *(("body", name) for name in ("", "a b", "order-id", "a.", "$.x", "x')", "ordér")),
        *(("header", name) for name in ("", "X Y", "X_Y", "X')", "Ключ")),
        *(("path", name) for name in ("", "a b", "a-b", "a')")),
        *(("query", name) for name in ("", "a b", "a')")),
        *(("context", name) for name in ("", "a b", ".a", "a.", "a.b')", "a.-b")),
    ],
)
def test_a_field_that_could_change_the_template_is_rejected(kind: str, name: str) -> None:
    with pytest.raises(ValueError, match="use letters"):
        getattr(RequestField, kind)(name)


def test_a_claim_may_have_the_prefix_of_an_own_attribute() -> None:
    claims = Sent(context={"authorizer.claims.custom:tenant": "its"})
    assert render(CLAIM.value, claims).text == "its"


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        ({f"A{number}": CALLER for number in range(8)}, "has 8; it must have 7 at most, since"),
        ({"Source": CALLER}, "has 'Source'; a name must be"),
        ({"AWS.Trace": CALLER}, "has 'AWS.Trace'; a name must be"),
        ({"a b": CALLER}, "has 'a b'; a name must be"),
        ({"a..b": CALLER}, "has 'a..b'; a name must be"),
        (
            {"Caller": "identity.userArn"},
            r"attributes\['Caller'\] is 'identity.userArn'; it must be",
        ),
        ([CALLER], "attributes is .*; it must be of type dict"),
        ({f"A{number}": CALLER for number in range(7)}, None),
    ],
)
def test_attributes_that_sqs_does_not_take_are_rejected(
    attributes: Any, problem: str | None
) -> None:
    with rejected(problem):
        rules.check_attributes(attributes)


def test_no_header_lets_sqs_reject_a_call(default: dict[str, Any]) -> None:
    """SQS rejects one whose X-Amzn-Trace-Id is none, such as an id without Root=."""
    form = "'application/x-www-form-urlencoded'"
    assert default["RequestParameters"] == {"integration.request.header.Content-Type": form}


# Who may send


@pytest.mark.parametrize("keyed", [False, True])
def test_api_gateway_may_send_to_this_queue_and_do_nothing_else(stack: Stack, keyed: bool) -> None:
    key = kms.Key(stack, "Key")
    made = make(stack, queue=NewQueue(encryption_key=key if keyed else None))
    allowed: list[Any] = [("sqs:SendMessage", made.queue.queue_arn)]
    allowed += [(["kms:Decrypt", "kms:GenerateDataKey"], key.key_arn)] if keyed else []
    statements = [
        {"Action": action, "Effect": "Allow", "Resource": stack.resolve(arn)}
        for action, arn in allowed
    ]
    Template.from_stack(stack).has_resource_properties(
        "AWS::IAM::Policy",
        {
            "PolicyDocument": {"Statement": statements},
            "Roles": [stack.resolve(made.entry.role.role_name)],
        },
    )


def test_a_queue_of_another_account_is_sent_to_there(stack: Stack) -> None:
    arn = "arn:aws:sqs:us-east-1:222222222222:theirs"
    make(stack, queue=sqs.Queue.from_queue_arn(stack, "Theirs", arn))
    assert ":sqs:path/222222222222/theirs" in json.dumps(integration(stack)["Uri"])


# FIFO


@pytest.mark.parametrize("key", [KEY, None], ids=["key", "content"])
def test_a_fifo_queue_deduplicates_by_the_field_or_by_content(
    stack: Stack, key: RequestField | None
) -> None:
    make(stack, queue=FIFO, message_group_id=GROUP, deduplication_id=key)
    (queue,) = (one for one in properties(stack, "SQS::Queue") if "RedrivePolicy" in one)
    assert queue.get("ContentBasedDeduplication") is (None if key else True)
    template = integration(stack)["RequestTemplates"]["application/json"]
    assert ("MessageDeduplicationId=$!util.urlEncode(" in template) is bool(key)
    assert "MessageGroupId=$!util.urlEncode($!input.path('$.order_id'))" in template


def test_a_group_on_a_standard_queue_shares_the_consumer_fairly(stack: Stack) -> None:
    make(stack, message_group_id=RequestField.body("customer_id"))
    template = integration(stack)["RequestTemplates"]["application/json"]
    assert "MessageGroupId=$!util.urlEncode($!input.path('$.customer_id'))" in template


def test_ids_that_do_not_fit_the_queue_are_rejected(stack: Stack) -> None:
    with pytest.raises(ValueError, match=r"without MessageGroupId: .* Give message_group_id"):
        make(stack, queue=FIFO)
    for name in ("message_group_id", "deduplication_id"):
        given: Any = {name: "order_id"}
        with pytest.raises(ValueError, match=f"{name} is 'order_id'; it must be of type"):
            make(stack, f"Wrong{name}", queue=FIFO, **given)
    with pytest.raises(ValueError, match="a standard queue does not deduplicate"):
        make(stack, "Standard", deduplication_id=KEY)


def test_an_own_fifo_queue_without_any_deduplication_is_rejected(stack: Stack) -> None:
    rules.check_message(
        sqs.Queue(stack, "By", fifo=True, content_based_deduplication=True), GROUP, None
    )
    own = sqs.Queue(stack, "Own", fifo=True)
    rules.check_message(own, GROUP, KEY)
    for queue in (own, replace(FIFO, content_based_deduplication=False)):
        with pytest.raises(ValueError, match="without MessageDeduplicationId: SQS rejects every"):
            rules.check_message(queue, GROUP, None)


@pytest.mark.parametrize("key", [None, KEY], ids=["none", "given"])
def test_an_imported_fifo_queue_must_deduplicate_unless_messages_name_an_id(
    stack: Stack, key: RequestField | None
) -> None:
    arn = "arn:aws:sqs:us-east-1:111111111111:orders.fifo"
    rules.check_message(sqs.Queue.from_queue_arn(stack, "Theirs", arn), GROUP, key)
    told = Match.string_like_regexp("needs ContentBasedDedup.*:imported-fifo-queue]")
    found = Annotations.from_stack(stack).find_warning("/Stack/Theirs", told)
    assert bool(found) is not bool(key)
