"""Scenarios run on the second embedded AWS, unchanged but for fewer events, and none is lost.

Those of patterns that do there what the first engine does not: an API's mapping templates in a real
Velocity, redrive tasks, FIFO topics, records of success, dead letters beside records, a function
that is switched off. All in one engine, side by side.
"""

from __future__ import annotations

import io
import json
import secrets
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import pytest
from rich.console import Console

from serverless_patterns.lambdas.sns_fifo_fanout.publisher import publish
from serverless_patterns.patterns import catalog
from serverless_patterns.patterns.shop import Shop
from serverless_patterns.patterns.sns_fifo_fanout.scenario import SUBSCRIBERS
from serverless_patterns.patterns.step_functions_saga import scenario as saga
from serverless_patterns.sandbox import embedded, outages, queues
from serverless_patterns.sandbox.driver import Driver
from serverless_patterns.sandbox.queues import until
from serverless_patterns.sandbox.report import Report
from tests.conftest import ROOT
from tests.proving import record
from tests.sandbox.test_localstack import pytestmark as pytestmark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from serverless_patterns.sandbox import Deployment

# And how many events are fewer: the load is the first engine's.
SCENARIOS = {
    "async_lambda": {"INVOICES": 60},
    "api_sqs_lambda": {"ORDERS": 200, "CHANGED_ORDERS": 10},
    "sns_fifo_fanout": {"CHANGES_EACH": 5},
}
SAGA = "step-functions-saga"


class Run(NamedTuple):
    """A scenario that runs in a thread: what it reports, what it prints, and its end."""

    report: Report
    output: io.StringIO
    end: Future[None]


class Runs(NamedTuple):
    """The scenarios and their stacks by slug, and the deployed saga."""

    scenarios: dict[str, Run]
    stacks: dict[str, Deployment]
    saga: Deployment


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    logs, pool = tmp_path_factory.mktemp("logs"), ThreadPoolExecutor(2)
    patterns = [catalog.find(slug) for slug in SCENARIOS]
    with (
        pytest.MonkeyPatch.context() as fewer,
        embedded(engine="localstack", cwd=ROOT, log_dir=logs) as target,
    ):
        for pattern in patterns:
            for name, count in SCENARIOS[pattern.slug].items():
                fewer.setattr(f"serverless_patterns.patterns.{pattern.slug}.scenario.{name}", count)
        names = [*(pattern.stack_name for pattern in patterns), SAGA]
        stacks = target.deploy(stacks=names, cwd=ROOT)
        started = {}
        for pattern in patterns:
            output = io.StringIO()
            report = Report(Console(file=output, width=100))
            end = pool.submit(pattern.drive, stacks[pattern.stack_name], report)
            started[pattern.slug] = Run(report, output, end)
        own = {pattern.slug: stacks[pattern.stack_name] for pattern in patterns}
        yield Runs(started, own, stacks[SAGA])
        pool.shutdown(cancel_futures=True)


def test_orders_of_the_sagas_api_are_started_once_and_it_tells_how_they_ended(runs: Runs) -> None:
    report = Report(Console(file=io.StringIO()))
    drive, shop = Driver(runs.saga, report, workers=4), Shop("saga")
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
    drive = Driver(runs.saga, Report(Console(file=io.StringIO())))
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


@pytest.mark.parametrize("slug", SCENARIOS)
def test_no_event_of_a_scenario_is_lost(
    slug: str, runs: Runs, record_property: Callable[[str, object], None]
) -> None:
    report, output, end = runs.scenarios[slug]
    try:
        end.result()
        assert report.close(), report.failures
    finally:
        print(output.getvalue())
    record(record_property, slug, "LocalStack", report)
    assert report.ledger.sent.total() > 0
    assert not report.ledger.lost


def test_what_sns_cannot_deliver_is_kept_for_each_subscriber_alone(runs: Runs) -> None:
    """The queue of one subscriber is gone, once its scenario has ended."""
    runs.scenarios["sns_fifo_fanout"].end.result()
    stack = runs.stacks["sns_fifo_fanout"]
    sqs, [change] = (
        stack.client("sqs"),
        Shop("lost").price_changes(["part"], channels=["wholesale"]),
    )
    sqs.delete_queue(QueueUrl=stack["WholesaleQueueUrl"])
    assert not publish(stack.client("sns"), stack["TopicArn"], [change]).unpublished
    kept = {name: stack[f"{name}DeliveryDeadLetterQueueUrl"] for name in SUBSCRIBERS}

    def keeping() -> list[str]:
        return [name for name, url in kept.items() if queues.backlog(stack, url)]

    until(lambda: bool(keeping()), seconds=30, what="until it is kept")
    assert keeping() == ["Wholesale"]
    [message] = sqs.receive_message(QueueUrl=kept["Wholesale"])["Messages"]
    assert change["event_id"] in message["Body"]
