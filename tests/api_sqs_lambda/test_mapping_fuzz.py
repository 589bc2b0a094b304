"""Anything a client may send: the queue holds exactly that, or the client is told no."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from aws_cdk import App, CfnOutput, Stack
from aws_cdk import aws_apigateway as apigateway
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from serverless_patterns.patterns.api_sqs_lambda.construct import (
    Endpoint,
    NewApi,
    NewQueue,
    RequestField,
)
from serverless_patterns.sandbox import Deployment, embedded
from serverless_patterns.sandbox.queues import delete
from tests.api_sqs_lambda.builds import make
from tests.conftest import ROOT
from tests.inline import function

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    max_leaves=8,
)
SMUGGLE = "&MessageGroupId=evil&DelaySeconds=900&Action=DeleteQueue&MessageAttribute.4.Name=x"
# What an HTTP header may hold, and SQS takes as an id.
KEYS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=128)
# Any header beside those that make an HTTP request what it is.
HEADERS = st.dictionaries(
    st.from_regex(r"X-[A-Za-z0-9!#$%&'*+.^_`|~-]{1,20}", fullmatch=True),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=60).map(str.strip),
    max_size=4,
)
MIB = 2**20
fuzz = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def synthesize(folder: Path) -> None:
    """Three queues, no schema, and nobody who takes the messages out.

    The third has its API in one stack and its consumer in another.
    """
    app = App(outdir=str(folder))
    stack, base, apis = (Stack(app, name) for name in ("fuzz", "fuzz-base", "fuzz-api"))
    plain = make(stack, "Plain", endpoint=Endpoint("plain", api=NewApi(rate_limit=10000)))
    fifo = make(
        stack,
        "Fifo",
        endpoint=Endpoint("fifo", api=plain.entry.api),
        queue=NewQueue(fifo=True),
        message_group_id=RequestField.body("group"),
        deduplication_id=RequestField.header("Idempotency-Key"),
    )
    shops = make(
        stack,
        "Shops",
        consumer=function(base),
        endpoint=Endpoint(
            "shops/{shop}/notes",
            api=apigateway.RestApi(apis, "Api"),
            content_types=["text/plain"],
        ),
        attributes={"Shop": RequestField.path("shop"), "Colour": RequestField.query("colour")},
    )
    for one in (plain, fifo, shops):
        mapping: Any = one.event_source_mapping.node.default_child
        mapping.add_property_override("Enabled", False)
        api_stack = apis if one is shops else stack
        CfnOutput(api_stack, f"{one.node.id}Url", value=one.url)
        CfnOutput(stack, f"{one.node.id}QueueUrl", value=one.queue.queue_url)
    app.synth()


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Deployment]]:
    folder = tmp_path_factory.mktemp("fuzz")
    synthesize(folder)
    with embedded(cwd=ROOT) as target:
        yield target.deploy(app=str(folder), stacks=["fuzz-base", "fuzz", "fuzz-api"])


@pytest.fixture(scope="module")
def stack(stacks: Mapping[str, Deployment]) -> Deployment:
    return stacks["fuzz"]


def post(
    stack: Deployment, url: str, body: bytes, headers: dict[str, str], query: str = ""
) -> tuple[int, Any]:
    headers = {"Content-Type": "application/json"} | headers
    answer = stack.http.post(stack.outputs.get(url, url) + query, body, headers)
    return answer.status, json.loads(answer.body)


def take(stack: Deployment, queue: str) -> list[dict[str, Any]]:
    """Take what is in a queue out of it: one message, or none if it was a duplicate."""
    answer = stack.client("sqs").receive_message(
        QueueUrl=stack[queue],
        WaitTimeSeconds=0,
        AttributeNames=["All"],
        MessageAttributeNames=["All"],
    )
    messages: list[dict[str, Any]] = answer.get("Messages", [])
    if messages:
        delete(stack, stack[queue], messages)
    return messages


ONE = '{"n": 1}'
NUMBERS = itertools.count(1)


@fuzz
@given(
    request=st.tuples(JSON_VALUES.map(json.dumps) | st.text(min_size=1), st.just({}))
    | st.tuples(st.just(ONE), HEADERS)
)
@example(request=(SMUGGLE, {}))
@example(request=(json.dumps({"name": SMUGGLE}), {}))
@example(request=("%26Action%3DDeleteQueue+%00", {}))
@example(request=("$input.params('x') #set($x = 1) ${x} ## comment", {}))
@example(request=('"\'\\\\u0027" \r\n\t', {}))
@example(request=("\ufffe", {}))
@example(request=("\x0b", {}))
@example(request=("🚗漢é", {}))
@example(request=(ONE, {"X-Amz-Target": "AmazonSQS.DeleteQueue", "X-Action": "DeleteQueue"}))
@example(request=(ONE, {"X-Forwarded-For": SMUGGLE, "X-HTTP-Method-Override": "DELETE"}))
@example(request=(ONE, {"X-Amzn-Trace-Id": SMUGGLE}))
@example(request=(ONE, {"MessageGroupId": "evil", "Action": "DeleteQueue", "DelaySeconds": "900"}))
def test_the_queue_holds_exactly_what_was_sent_or_the_client_is_told_no(
    stack: Deployment, request: tuple[str, dict[str, str]]
) -> None:
    body, headers = request
    sent = body.encode("utf-8", errors="ignore")
    status, answer = post(stack, "PlainUrl", sent, headers)
    if status != 202:
        assert body != ONE, "a header is no reason"
        assert status in (400, 422), answer
        return
    (message,) = take(stack, "PlainQueueUrl")
    assert message["Body"].encode() == sent
    assert message["MessageId"] == answer["messageId"]
    attributes = message["MessageAttributes"]
    assert attributes.keys() == {"RequestId", "Source", "ReceivedAt"}
    assert attributes["RequestId"]["StringValue"] == answer["requestId"]
    assert "MessageGroupId" not in message["Attributes"]


@fuzz
@given(group=KEYS, key=KEYS, extra=JSON_VALUES)
@example(group="a&MessageGroupId=evil", key="k&DelaySeconds=900", extra=SMUGGLE)
@example(group="%26MessageGroupId%3Devil", key="+", extra=None)
@example(group="$input.body", key="${x}", extra={"group": "other"})
def test_group_and_key_reach_sqs_as_they_are(
    stack: Deployment, group: str, key: str, extra: Any
) -> None:
    key = f"{key}{next(NUMBERS)}"  # SQS drops what has a key of the last five minutes
    body = json.dumps({"group": group, "extra": extra}).encode()
    query = "?Idempotency-Key=evil&idempotency-key=evil"
    status, answer = post(stack, "FifoUrl", body, {"Idempotency-Key": key}, query)
    assert status == (202 if len(key) <= 128 else 422), answer
    if status != 202:
        return
    (message,) = take(stack, "FifoQueueUrl")
    assert message["Body"].encode() == body
    assert message["Attributes"]["MessageGroupId"] == group
    assert message["Attributes"]["MessageDeduplicationId"] == key


# What SQS takes as the value of an attribute, without what makes another path.
VALUES = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0xD7FF, exclude_characters="/."),
    min_size=1,
    max_size=60,
)


@fuzz
@given(shop=VALUES, colour=VALUES, body=st.text(st.characters(codec="ascii", min_codepoint=32)))
@example(shop="a&MessageGroupId=evil", colour="&Action=DeleteQueue", body=SMUGGLE)
@example(shop="$input.body", colour="%26DelaySeconds%3D900", body="no JSON")
def test_path_and_query_reach_the_message_as_they_are(
    stacks: Mapping[str, Deployment], shop: str, colour: str, body: str
) -> None:
    stack = stacks["fuzz"]
    url = stacks["fuzz-api"]["ShopsUrl"].replace("{shop}", quote(shop, safe=""))
    headers = {"Content-Type": "text/plain"}
    query = f"?colour={quote(colour, safe='')}&shop=evil"
    status, answer = post(stack, url, body.encode(), headers, query)
    assert status == (202 if body else 422), answer
    if not body:
        return
    (message,) = take(stack, "ShopsQueueUrl")
    assert message["Body"] == body
    found = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert (found["Shop"], found["Colour"]) == (shop, colour)


# On AWS the attributes count too, so the limit is a little below 1 MiB; the emulator counts the
# body alone. What lies between is left out.
@pytest.mark.parametrize(("size", "status"), [(MIB - 400, 202), (MIB + 1, 422), (MIB + 1024, 422)])
def test_a_message_around_the_limit_is_taken_whole_or_refused(
    stack: Deployment, size: int, status: int
) -> None:
    body = b'"' + b"x" * (size - 2) + b'"'
    answered, _ = post(stack, "PlainUrl", body, {})
    assert answered == status
    assert [m["Body"].encode() for m in take(stack, "PlainQueueUrl")] == [body] * (status == 202)
