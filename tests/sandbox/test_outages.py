"""What is unavailable comes back, however the block ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.sandbox import outages, queues
from tests.conftest import ROOT
from tests.sandbox.helpers import arn, create_stack, function, ref, resource, template

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from serverless_patterns.sandbox import Deployment, Target

BEFORE = {"TABLE_NAME": "table", "OTHER": "other"}
REDRIVE = {"deadLetterTargetArn": arn("DeadLetters"), "maxReceiveCount": 5}
STACK = template(
    {
        "DeadLetters": resource("SQS::Queue"),
        "Queue": resource("SQS::Queue", VisibilityTimeout=60, RedrivePolicy=REDRIVE),
        "Function": function(Environment={"Variables": BEFORE}, Timeout=3),
    },
    FunctionName=ref("Function"),
    QueueUrl=ref("Queue"),
    DeadLetterQueueUrl=ref("DeadLetters"),
    DeadLetterQueueArn=arn("DeadLetters"),
)


@pytest.fixture(scope="module")
def stack(shared: Target) -> Deployment:
    made = create_stack(shared, "outages", STACK)
    where = {"Destination": made["DeadLetterQueueArn"]}
    made.client("lambda").put_function_event_invoke_config(
        FunctionName=made["FunctionName"],
        Qualifier="$LATEST",
        MaximumRetryAttempts=1,
        MaximumEventAgeInSeconds=60,
        DestinationConfig={"OnFailure": where, "OnSuccess": where},
    )
    return made


def seen(stack: Deployment) -> dict[str, str]:
    """The environment that the function itself sees."""
    answer = stack.client("lambda").invoke(FunctionName=stack["FunctionName"], Payload="{}")
    found: dict[str, str] = json.load(answer["Payload"])
    return {name: found[name] for name in BEFORE}


def settings(stack: Deployment) -> dict[str, Any]:
    """All that an outage may change."""
    lambda_, name = stack.client("lambda"), {"FunctionName": stack["FunctionName"]}
    queue = stack.client("sqs").get_queue_attributes(
        QueueUrl=stack["QueueUrl"], AttributeNames=["VisibilityTimeout", "RedrivePolicy"]
    )["Attributes"]
    configuration = lambda_.get_function_configuration(**name)
    asynchronous = lambda_.get_function_event_invoke_config(**name, Qualifier="$LATEST")
    to = asynchronous["DestinationConfig"]
    concurrency = lambda_.get_function_concurrency(**name)
    return {
        "variables": configuration["Environment"]["Variables"],
        "timeout": configuration["Timeout"],
        "hidden": int(queue["VisibilityTimeout"]),
        "attempts": int(json.loads(queue["RedrivePolicy"])["maxReceiveCount"]),
        "concurrency": concurrency.get("ReservedConcurrentExecutions"),
        "retries": asynchronous["MaximumRetryAttempts"],
        "age": asynchronous["MaximumEventAgeInSeconds"],
        "destinations": {outcome for outcome, place in to.items() if place},
    }


def used(stack: Deployment, function: str) -> AbstractContextManager[Any]:
    """Settings of a function, used twice: the second time restores what it leaves out."""
    both = ExitStack()
    _, use = both.enter_context(outages.settings_of(stack, function))
    use(timeout=4, TABLE_NAME="gone")
    use(OTHER="new")
    return both


NO_TABLE = {"variables": BEFORE | {"TABLE_NAME": "table-unavailable"}}


# Without an error, and with the one of Ctrl-C, which few handlers of exceptions see.
@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
@pytest.mark.parametrize(
    ("outage", "of", "options", "change"),
    [
        (outages.table_unavailable, "FunctionName", {}, NO_TABLE),
        (outages.table_unavailable, "FunctionName", {"variable": "OTHER"},
         {"variables": BEFORE | {"OTHER": "other-unavailable"}}),
        (used, "FunctionName", {}, {"variables": BEFORE | {"OTHER": "new"}}),
        (outages.function_changed, "FunctionName", {"Timeout": 4}, {"timeout": 4}),
        (outages.no_concurrency, "FunctionName", {}, {"concurrency": 0}),
        (outages.no_failure_destination, "FunctionName", {}, {"destinations": {"OnSuccess"}}),
        (outages.quick_retries, "QueueUrl", {"seconds": 7}, {"hidden": 7}),
        (outages.quick_retries, "QueueUrl", {"attempts": 2}, {"hidden": 1, "attempts": 2}),
    ],
)  # fmt: skip
def test_what_is_unavailable_is_so_for_the_block_only_however_it_ends(
    stack: Deployment,
    outage: Any,
    of: str,
    options: dict[str, Any],
    change: dict[str, Any],
    error: type[BaseException] | None,
) -> None:
    before = settings(stack)
    with pytest.raises(error) if error else nullcontext(), outage(stack, stack[of], **options):
        assert settings(stack) == before | change
        if error:
            raise error
    assert settings(stack) == before


def test_a_function_runs_with_its_settings_in_the_block_and_after_it(stack: Deployment) -> None:
    with outages.table_unavailable(stack, stack["FunctionName"]):
        assert seen(stack) == BEFORE | {"TABLE_NAME": "table-unavailable"}
    assert seen(stack) == BEFORE


def test_quick_retries_within_quick_retries_end_with_their_own_block(stack: Deployment) -> None:
    before, url = settings(stack), stack["QueueUrl"]
    with outages.quick_retries(stack, url):
        with outages.quick_retries(stack, url, attempts=2):
            assert settings(stack) == before | {"hidden": 1, "attempts": 2}
        assert settings(stack) == before | {"hidden": 1}
    assert settings(stack) == before


def test_a_change_that_is_interrupted_is_undone_too(
    stack: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, configure, calls = settings(stack), outages.configure, []

    def interrupted(*args: Any, **settings: Any) -> None:
        configure(*args, **settings)
        calls.append(settings)
        if len(calls) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(outages, "configure", interrupted)
    unavailable = outages.table_unavailable(stack, stack["FunctionName"])
    with pytest.raises(KeyboardInterrupt), unavailable:
        pytest.fail("the change was interrupted")
    assert len(calls) == 1
    assert settings(stack) == before


def test_what_a_killed_run_left_changed_is_reverted_by_the_next_one(stack: Deployment) -> None:
    before, child = settings(stack), os.fork()
    if not child:  # killed in the middle of three outages, with connections of its own
        stack.target._clients.clear()
        with (
            outages.quick_retries(stack, stack["QueueUrl"], attempts=2),
            outages.table_unavailable(stack, stack["FunctionName"]),
            outages.no_concurrency(stack, stack["FunctionName"]),
        ):
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    changed = settings(stack)
    assert (changed["hidden"], changed["attempts"], changed["concurrency"]) == (1, 2, 0)
    assert outages.restore(stack) == 3
    assert settings(stack) == before
    assert outages.restore(stack) == 0


# A scenario that changes something and restores it, in place of a pattern's.
DRIVE = """
import runpy, sys, time
from serverless_patterns.patterns import catalog

def drive(_):
    try:
        print("changed", flush=True)
        time.sleep(60)
    finally:
        print("restored", flush=True)

catalog.find = drive
sys.argv[1:] = ["scenario", "any"]
runpy.run_module("serverless_patterns", run_name="__main__")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_scenario_that_is_terminated_or_loses_its_terminal_restores_what_it_changed(
    number: int,
) -> None:
    command = [sys.executable, "-c", DRIVE]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "changed\n"
        process.send_signal(number)
        assert process.communicate(timeout=60)[0].startswith("restored\n")
    assert process.returncode == 130


def test_messages_are_taken_from_every_queue_once_and_are_gone_then(stack: Deployment) -> None:
    urls = (stack["QueueUrl"], stack["DeadLetterQueueUrl"])
    for number in range(25):
        why = {"DataType": "String", "StringValue": f"why {number}"}
        stack.client("sqs").send_message(
            QueueUrl=urls[number % 2], MessageBody=str(number), MessageAttributes={"Reason": why}
        )
    found = {message["Body"]: queues.reason(message) for message in queues.take(stack, *urls)}
    assert found == {str(number): f"why {number}" for number in range(25)}
    assert [queues.backlog(stack, url) for url in urls] == [0, 0]


def test_a_queue_is_read_again_after_the_block_and_then_empty(stack: Deployment) -> None:
    sqs, lambda_ = stack.client("sqs"), stack.client("lambda")
    url = sqs.create_queue(QueueName="read-again", Attributes={"VisibilityTimeout": "30"})[
        "QueueUrl"
    ]
    names = {"QueueUrl": url, "AttributeNames": ["QueueArn", "VisibilityTimeout"]}
    source = sqs.get_queue_attributes(**names)["Attributes"]["QueueArn"]
    mapping = lambda_.create_event_source_mapping(
        EventSourceArn=source, FunctionName=stack["FunctionName"]
    )["UUID"]
    with outages.mapping_disabled(stack, mapping, url):
        assert lambda_.get_event_source_mapping(UUID=mapping)["State"] == "Disabled"
        sqs.send_message(QueueUrl=url, MessageBody="kept")
        assert queues.backlog(stack, url) == 1
    assert lambda_.get_event_source_mapping(UUID=mapping)["State"] == "Enabled"
    assert queues.backlog(stack, url) == 0
    assert sqs.get_queue_attributes(**names)["Attributes"]["VisibilityTimeout"] == "30"
    lambda_.delete_event_source_mapping(UUID=mapping)


def test_messages_of_a_run_are_collected_and_others_stay(stack: Deployment) -> None:
    url = stack["DeadLetterQueueUrl"]
    for number in range(4):
        body = json.dumps({"order_id": f"o{number}"})
        stack.client("sqs").send_message(QueueUrl=url, MessageBody=body)
    found = queues.collect(stack, url, "order_id", {"o1", "o3"})
    assert sorted(body["order_id"] for body in found) == ["o1", "o3"]
    assert queues.backlog(stack, url) == 2
    assert queues.collect(stack, url, "order_id", {"o9"}, seconds=0) == []
