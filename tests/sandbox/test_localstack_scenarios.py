"""Scenarios run on the second embedded AWS, unchanged but for fewer events, and none is lost.

Those of patterns that do there what the first engine does not: an API's mapping templates in a real
Velocity, redrive tasks, FIFO topics, records of success, dead letters beside records, a function
that is switched off. All in one engine, side by side.
"""

from __future__ import annotations

import io
import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import pytest
from aws_cdk import App, CfnOutput, DefaultStackSynthesizer, Duration, Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk.assertions import Template
from rich.console import Console

from serverless_patterns.lambdas.sns_fifo_fanout.publisher import publish
from serverless_patterns.patterns import catalog
from serverless_patterns.patterns.async_lambda.construct import Alarms, AsyncLambda, Retries
from serverless_patterns.patterns.shop import Shop
from serverless_patterns.patterns.sns_fifo_fanout.scenario import SUBSCRIBERS
from serverless_patterns.patterns.step_functions_saga import scenario as saga
from serverless_patterns.sandbox import embedded, outages, queues
from serverless_patterns.sandbox.driver import Driver
from serverless_patterns.sandbox.queues import until
from serverless_patterns.sandbox.report import Report
from tests.conftest import ROOT
from tests.running import AT_ONCE, Run, every_promise_holds, it_names_every_fault, selected, start
from tests.sandbox.helpers import create_stack
from tests.sandbox.test_localstack import pytestmark as pytestmark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from serverless_patterns.sandbox import Deployment, Target

ONLY_HERE = [p.slug for p in catalog.patterns() if p.engine == "localstack"]
# And how many events are fewer: the load is the first engine's.
SCENARIOS = {
    "async_lambda": {"INVOICES": 60},
    "api_sqs_lambda": {"ORDERS": 200, "CHANGED_ORDERS": 10},
    "sns_fifo_fanout": {"CHANGES_EACH": 5},
    "dynamodb_streams_lambda": {"ORDERS": 30, "CHANGES_EACH": 4},
}
SAGA, FIFO = "step-functions-saga", "sns-fifo-fanout"
AGE, LONG = 60, {"seconds": 75}  # the lowest age that Lambda takes, and an event that runs longer
SLEEP = "import time\ndef handler(event, context):\n    time.sleep(event['seconds'])\n"


class Runs(NamedTuple):
    """The scenarios by slug, the deployed stacks by name, and one with an event that grows old."""

    scenarios: dict[str, Run]
    stacks: Mapping[str, Deployment]
    aging: Deployment


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, demo_app: Path
) -> Iterator[Runs]:
    logs, pool = tmp_path_factory.mktemp("logs"), ThreadPoolExecutor(AT_ONCE)
    patterns = selected(request, [catalog.find(slug) for slug in (*ONLY_HERE, *SCENARIOS)])
    with (
        pytest.MonkeyPatch.context() as fewer,
        embedded(engine="localstack", cwd=ROOT, log_dir=logs) as target,
    ):
        for slug, counts in SCENARIOS.items():
            for name, count in counts.items():
                fewer.setattr(f"serverless_patterns.patterns.{slug}.scenario.{name}", count)
        names = {*(pattern.stack_name for pattern in patterns), SAGA, FIFO}
        stacks = target.deploy(demo_app, sorted(names), cwd=ROOT)
        started = {p.slug: start(pool, p, stacks[p.stack_name]) for p in patterns}
        yield Runs(started, stacks, let_an_event_grow_old(target))
        pool.shutdown(cancel_futures=True)


def let_an_event_grow_old(target: Target) -> Deployment:
    """Let two long events meet a function that runs one at a time: the other waits for too long."""
    no_rule = DefaultStackSynthesizer(generate_bootstrap_version_rule=False)
    made = Stack(App(), "Stack", synthesizer=no_rule)
    function = lambda_.Function(
        made,
        "Function",
        runtime=lambda_.Runtime.PYTHON_3_13,
        handler="index.handler",
        code=lambda_.Code.from_inline(SLEEP),
        timeout=Duration.seconds(90),
    )
    retries = Retries(attempts=0, max_event_age=Duration.seconds(AGE))
    alarms = Alarms(max_age=Duration.seconds(AGE / 2))
    pattern = AsyncLambda(made, "Async", function=function, retries=retries, alarms=alarms)
    for name, value in {
        "FunctionName": function.function_name,
        "FailureQueueUrl": pattern.failure_queue.queue_url,
        "DeadLetterQueueUrl": pattern.dead_letter_queue.queue_url,
    }.items():
        CfnOutput(made, name, value=value)
    stack = create_stack(target, "aging", dict(Template.from_stack(made).to_json()))
    client, name = stack.client("lambda"), stack["FunctionName"]
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    for _ in range(2):
        client.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(LONG))
    return stack


def test_orders_of_the_sagas_api_are_started_once_and_it_tells_how_they_ended(runs: Runs) -> None:
    report = Report(Console(file=io.StringIO()))
    drive, shop = Driver(runs.stacks[SAGA], report, workers=4), Shop("saga")
    saga.through_the_api(drive, saga.Sagas(drive, shop))
    assert not report.failures
    assert not report.not_proven_here
    pages = drive.client("stepfunctions").get_paginator("list_executions")
    started = [
        execution["status"]
        for page in pages.paginate(stateMachineArn=drive["StateMachineArn"])
        for execution in page["executions"]
        if execution["name"].startswith(shop.run)
    ]
    assert started == ["SUCCEEDED"] * 10


def test_a_carrier_without_a_sign_of_life_is_given_up_before_its_day_is_over(runs: Runs) -> None:
    """Its heartbeat is two seconds, not fifteen minutes; all else is the saga as it is deployed."""
    drive = Driver(runs.stacks[SAGA], Report(Console(file=io.StringIO())))
    sagas, sfn = saga.Sagas(drive, Shop("saga")), drive.client("stepfunctions")
    original = sfn.describe_state_machine(stateMachineArn=drive["StateMachineArn"])
    definition = json.loads(original["definition"])
    [waits] = [state for state in definition["States"].values() if "HeartbeatSeconds" in state]
    assert waits["TimeoutSeconds"] >= 3600
    waits["HeartbeatSeconds"] = 2
    twin = sfn.create_state_machine(
        name=f"twin-{secrets.token_hex(4)}",
        definition=json.dumps(definition),
        roleArn=original["roleArn"],
    )["stateMachineArn"]
    [order] = sagas.orders(1)
    with outages.mapping_disabled(drive.stack, drive["CarrierMappingId"], drive["CarrierQueueUrl"]):
        started = sfn.start_execution(stateMachineArn=twin, input=json.dumps(order))["executionArn"]

        def ended() -> bool:
            return bool(sfn.describe_execution(executionArn=started)["status"] != "RUNNING")

        until(ended, seconds=120, what="until the carrier is given up")
    found = sfn.describe_execution(executionArn=started)
    assert (found["status"], found["error"]) == ("FAILED", "carrier_silent")


@pytest.mark.parametrize("slug", [*ONLY_HERE, *SCENARIOS])
def test_no_event_of_a_scenario_is_lost(
    slug: str, runs: Runs, record_property: Callable[[str, object], None]
) -> None:
    every_promise_holds(runs.scenarios[slug], slug, "LocalStack", record_property)


@pytest.mark.parametrize("slug", ONLY_HERE)
def test_a_scenario_is_red_and_names_the_event_whatever_is_wrong_in_a_store(
    slug: str, runs: Runs
) -> None:
    it_names_every_fault(runs.scenarios[slug])


def test_an_event_past_its_age_is_recorded_and_a_dead_letter(runs: Runs) -> None:
    stack, found = runs.aging, {}

    def arrived(url: str) -> bool:
        return queues.backlog(stack, url) > 0

    for name in ("FailureQueueUrl", "DeadLetterQueueUrl"):
        until(partial(arrived, stack[name]), seconds=AGE + 60, what="until it is past its age")
        [message] = queues.take(stack, stack[name])
        found[name] = json.loads(message["Body"])
    record = found["FailureQueueUrl"]
    assert record["requestContext"]["condition"] == "EventAgeExceeded"
    assert record["requestPayload"] == found["DeadLetterQueueUrl"] == LONG


def test_what_sns_cannot_deliver_is_kept_for_each_subscriber_alone(runs: Runs) -> None:
    """The queue of one subscriber is gone, once its scenario has ended."""
    if "sns_fifo_fanout" in runs.scenarios:
        runs.scenarios["sns_fifo_fanout"].end.result()
    stack = runs.stacks[FIFO]
    sqs, [change] = (
        stack.client("sqs"),
        Shop("lost").price_changes(["part"], channels=["wholesale"]),
    )
    sqs.delete_queue(QueueUrl=stack["WholesaleQueueUrl"])
    assert not publish(stack.client("sns"), stack["TopicArn"], [change]).unpublished
    kept = {name: stack[f"{name}DeliveryDeadLetterQueueUrl"] for name in SUBSCRIBERS}

    def keeping() -> list[str]:
        return [name for name, url in kept.items() if queues.backlog(stack, url)]

    until(lambda: bool(keeping()), seconds=60, what="until it is kept")
    assert keeping() == ["Wholesale"]
    [message] = sqs.receive_message(QueueUrl=kept["Wholesale"])["Messages"]
    assert change["event_id"] in message["Body"]
