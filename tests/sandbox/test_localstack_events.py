"""EventBridge's targets outside the account, on the second embedded AWS."""

from __future__ import annotations

import json
from functools import partial
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

import boto3
from aws_cdk import SecretValue
from aws_cdk import aws_events as events

from serverless_patterns.patterns.eventbridge_bus.construct import EventBridgeBus
from serverless_patterns.sandbox import queues
from tests.sandbox.helpers import create_constructs, serve, without_bootstrap
from tests.sandbox.test_localstack import pytestmark as pytestmark

if TYPE_CHECKING:
    from typing import Any

    from serverless_patterns.sandbox import Deployment, Target

PARTNER = "222222222222"
PLACED = events.EventPattern(source=["shop.orders"], detail_type=["OrderPlaced"])


def publish(run: Deployment) -> None:
    """Publish an order that the rule matches, and one that it does not."""
    entry = {"EventBusName": run["BusName"], "Source": "shop.orders"}
    run.client("events").put_events(
        Entries=[
            entry | {"DetailType": "OrderArchived", "Detail": '{"order": "A-0"}'},
            entry | {"DetailType": "OrderPlaced", "Detail": '{"order": "A-1"}'},
        ]
    )


def test_an_api_destination_gets_the_events_of_its_rule_and_the_key_of_its_connection(
    second: Target,
) -> None:
    got: list[tuple[str | None, Any]] = []

    class Partner(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.headers["X-Api-Key"], json.loads(body)))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

    stack = without_bootstrap()
    bus = events.EventBus(stack, "Own")
    key = SecretValue.unsafe_plain_text("a key of the test")
    connection = events.Connection(
        stack,
        "Connection",
        authorization=events.Authorization.api_key("X-Api-Key", key),
        connection_name="partner",  # this engine makes no names
    )
    destination = events.ApiDestination(
        stack,
        "Partner",
        api_destination_name="partner",
        connection=connection,
        endpoint="https://partner.example/orders",
    )
    EventBridgeBus(stack, "Bus", bus=bus).add_target("ToApi", pattern=PLACED, target=destination)
    outputs = {"BusName": bus.event_bus_name, "Name": destination.api_destination_name}
    run = create_constructs(second, "api-destination", stack, **outputs)
    with serve(Partner) as port:
        run.client("events").update_api_destination(
            Name=run["Name"], InvocationEndpoint=f"http://127.0.0.1:{port}/orders"
        )
        publish(run)
        queues.until(lambda: bool(got), seconds=60, what="until the partner has an event")
    (sent_key, event), *more = got
    assert not more
    assert sent_key == "a key of the test"
    assert event["detail"] == {"order": "A-1"}


def test_the_bus_of_another_account_gets_the_events_of_its_rule(second: Target) -> None:
    role = f"arn:aws:iam::{PARTNER}:role/finance"
    given = second.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    finance = boto3.Session(
        given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], second.region
    )
    client: Any = partial(finance.client, endpoint_url=second.endpoint_url)
    theirs, sqs = client("events"), client("sqs")
    bus_arn = theirs.create_event_bus(Name="finance")["EventBusArn"]
    url = sqs.create_queue(QueueName="ledger")["QueueUrl"]
    ledger = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    named = {"EventBusName": "finance"}
    theirs.put_rule(Name="orders", EventPattern='{"source": ["shop.orders"]}', **named)
    targets = [{"Id": "ledger", "Arn": ledger["QueueArn"]}]
    theirs.put_targets(Rule="orders", Targets=targets, **named)

    stack = without_bootstrap()
    bus = events.EventBus(stack, "Shop")
    target = events.EventBus.from_event_bus_arn(stack, "Theirs", bus_arn)
    EventBridgeBus(stack, "Bus", bus=bus).add_target("ToFinance", pattern=PLACED, target=target)
    publish(create_constructs(second, "other-account", stack, BusName=bus.event_bus_name))
    taken: list[Any] = []

    def arrived() -> bool:
        taken.extend(sqs.receive_message(QueueUrl=url).get("Messages", []))
        return bool(taken)

    queues.until(arrived, seconds=60, what="until finance has an event")
    (event,) = (json.loads(message["Body"]) for message in taken)
    assert (event["account"], event["detail"]) == (second.account, {"order": "A-1"})
