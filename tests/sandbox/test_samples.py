"""Apps of the kinds that public samples have deploy as they are, and an event goes through each."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from serverless_patterns.sandbox.queues import until
from tests.sandbox.samples.app import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable

    from serverless_patterns.sandbox import Deployment, Target

MARK = "order-1"


@pytest.fixture(scope="module")
def deployed(shared: Target) -> dict[str, Deployment]:
    folder = Path(__file__).parent / "samples"
    names = [sample.__name__.replace("_", "-") for sample in SAMPLES]
    return shared.deploy(f"{sys.executable} app.py", names, cwd=folder)


def post(path: str) -> Callable[[Deployment], None]:
    """POST with an HTTP client that knows nothing of the sandbox, and without a signature."""

    def send(stack: Deployment) -> None:
        with urllib3.PoolManager(ca_certs=str(stack.target.certificate)) as http:
            url = stack["Url"].rstrip("/") + path
            answer = http.request("POST", url, body=MARK, headers={"Content-Type": "text/plain"})
        assert answer.status in (200, 201), answer.data

    return send


def call(service: str, operation: str, arguments: Callable[[Deployment], Any]) -> Any:
    return lambda stack: getattr(stack.client(service), operation)(**arguments(stack))


to_queue = call(
    "sqs", "send_message", lambda stack: {"QueueUrl": stack["QueueUrl"], "MessageBody": MARK}
)
upload = call(
    "s3",
    "put_object",
    lambda stack: {"Bucket": stack["BucketName"], "Key": f"{MARK}.json", "Body": b"{}"},
)
SENDS: dict[str, Callable[[Deployment], Any]] = {
    "rest_api_function_table": post("/orders"),
    "http_api": post("/orders"),
    "function_url": post("/"),
    "queue": to_queue,
    "topic_with_filter": call(
        "sns",
        "publish",
        lambda stack: {
            "TopicArn": stack["TopicArn"],
            "Message": MARK,
            "MessageAttributes": {"kind": {"DataType": "String", "StringValue": "order"}},
        },
    ),
    "bucket_function": upload,
    "bucket_queue": upload,
    "event_bus": call(
        "events",
        "put_events",
        lambda stack: {
            "Entries": [
                {
                    "EventBusName": stack["BusName"],
                    "Source": "shop",
                    "DetailType": "placed",
                    "Detail": json.dumps({"id": MARK}),
                }
            ]
        },
    ),
    "table_stream": call(
        "dynamodb",
        "put_item",
        lambda stack: {"TableName": stack["TableName"], "Item": {"id": {"S": MARK}}},
    ),
    "stream": call(
        "kinesis",
        "put_record",
        lambda stack: {
            "StreamName": stack["StreamName"],
            "Data": MARK.encode(),
            "PartitionKey": MARK,
        },
    ),
    "state_machine": call(
        "stepfunctions",
        "start_execution",
        lambda stack: {
            "stateMachineArn": stack["StateMachineArn"],
            "input": json.dumps({"total": 101, "id": MARK}),
        },
    ),
    "node_function": to_queue,
    "nested_stack": to_queue,
}
ENCODED = {"stream": "b3JkZXItMQ=="}  # in base64


@pytest.mark.parametrize("name", SENDS)
def test_an_event_goes_through(name: str, deployed: dict[str, Deployment]) -> None:
    stack = deployed[name.replace("_", "-")]
    SENDS[name](stack)
    mark = ENCODED.get(name, MARK)

    def logged() -> bool:
        return any(mark in line for line in stack.log_lines(stack["FunctionName"]))

    until(logged, seconds=60, what=f"until the function of {name} has logged its event")


def test_an_http_api_answers_without_a_signature_what_no_route_of_it_matches(
    deployed: dict[str, Deployment],
) -> None:
    """API Gateway developer guide, "Configure CORS for HTTP APIs"."""
    stack = deployed["http-api"]
    asks = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    with urllib3.PoolManager(ca_certs=str(stack.target.certificate)) as http:
        preflight = http.request("OPTIONS", f"{stack['Url']}/orders", headers=asks)
        assert preflight.headers["access-control-allow-origin"] == "https://shop.example"
        assert preflight.status in (200, 204)
        assert http.request("GET", f"{stack['Url']}/nothing").status == 404


def test_a_custom_resource_behind_the_provider_framework_is_made(
    deployed: dict[str, Deployment],
) -> None:
    assert deployed["provider"]["Said"] == "hello"


def test_every_sample_is_tried() -> None:
    assert {sample.__name__ for sample in SAMPLES} == {*SENDS, "provider"}
