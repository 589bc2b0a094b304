"""The shims for Lambda: the gap without each, and the right behavior with it."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from serverless_patterns.sandbox import outages, queues
from serverless_patterns.sandbox.health import Health
from tests.sandbox.helpers import arn, create_stack, function, on, ref, resource, template

if TYPE_CHECKING:
    from serverless_patterns.sandbox import Target

# Fails until its variable says otherwise; tells what it runs with, or how often its process ran.
FAILS = """
import os
runs = 0
def handler(event, context):
    global runs
    runs += 1
    if event == "count":
        return runs
    print("mode", os.environ["MODE"])
    if os.environ["MODE"] == "bad":
        raise ValueError("bad")
    return os.environ["MODE"]
"""
SAYS = """
import sys
def handler(event, context):
    if event == "exit":
        print("exits")
        sys.exit(1)
    sys.stderr.write(event)
"""
# Tells its process, where its code is really, and whether Python keeps it compiled.
TELLS = """
import os
said = "old"
def handler(event, context):
    return os.getpid(), os.path.realpath(__file__), os.path.exists(__cached__), said
"""
BAD = {"Variables": {"MODE": "bad"}}
STACK = template(
    {
        "DeadLetters": resource("SQS::Queue"),
        "Failures": resource("SQS::Queue"),
        "Function": function(
            FAILS, Environment=BAD, DeadLetterConfig={"TargetArn": arn("DeadLetters")}
        ),
        "Reserved": function(ReservedConcurrentExecutions=0),
        "Says": function(SAYS),
        "Unloadable": function("import missing_package"),
        "Tells": function(TELLS),
    },
    FunctionName=ref("Function"),
    Reserved=ref("Reserved"),
    Says=ref("Says"),
    Unloadable=ref("Unloadable"),
    Tells=ref("Tells"),
    DeadLettersUrl=ref("DeadLetters"),
    FailuresArn=arn("Failures"),
    FailuresUrl=ref("Failures"),
)


class Function:
    """The stack of these tests on one target."""

    def __init__(self, target: Target) -> None:
        self.stack = create_stack(target, "lambda-shims", STACK)
        self.name = {"FunctionName": self.stack["FunctionName"]}
        self.lambda_ = target.client("lambda")

    def send(self, event: object = None) -> None:
        self.lambda_.invoke(**self.name, InvocationType="Event", Payload=json.dumps(event))

    def set_mode(self, mode: str) -> None:
        variables = {"Variables": {"MODE": mode}}
        outages.configure(self.stack, self.stack["FunctionName"], Environment=variables)

    def run(self, event: object = None) -> object:
        answer = self.lambda_.invoke(**self.name, Payload=json.dumps(event))
        return json.load(answer["Payload"])

    def count(self, queue: str) -> int:
        return queues.backlog(self.stack, self.stack[queue], queues.WAITING)


shimmed, plain = on("shared", Function), on("without_shims", Function)


def test_the_dead_letter_queue_of_a_template_is_the_functions(
    plain: Function, shimmed: Function
) -> None:
    configuration = plain.lambda_.get_function_configuration(**plain.name)
    assert "DeadLetterConfig" not in configuration, "upstream keeps it now: remove the shim"

    configuration = shimmed.lambda_.get_function_configuration(**shimmed.name)
    queue = shimmed.stack["DeadLettersUrl"].rsplit("/", 1)[1]
    assert configuration["DeadLetterConfig"]["TargetArn"].endswith(queue)
    shimmed.send()
    what = "until it is a dead letter"
    queues.until(lambda: shimmed.count("DeadLettersUrl") == 1, seconds=60, what=what)


def test_a_retry_runs_with_the_settings_of_its_time(plain: Function, shimmed: Function) -> None:
    for its in (shimmed, plain):
        failures = {"OnFailure": {"Destination": its.stack["FailuresArn"]}}
        its.lambda_.put_function_event_invoke_config(**its.name, DestinationConfig=failures)
        its.set_mode("bad")
        its.run()  # now there is a process, so that the first attempt is made at once
        its.send()
        assert its.run() == {"errorMessage": "bad", "errorType": "Runtime.HandlerError"}
        its.set_mode("good")
    what = "until retries fail (upstream retries with the current settings now: remove the shim)"
    queues.until(lambda: plain.count("FailuresUrl") == 1, seconds=60, what=what)
    what = "until a retry runs with the settings of its time"
    log_lines, name = shimmed.stack.log_lines, shimmed.stack["FunctionName"]
    queues.until(lambda: "mode good" in log_lines(name), seconds=60, what=what)
    assert shimmed.count("FailuresUrl") == 0
    assert shimmed.run() == "good"


def test_a_function_that_raises_keeps_its_process(plain: Function, shimmed: Function) -> None:
    runs = {}
    for name, its in (("plain", plain), ("shimmed", shimmed)):
        its.set_mode("bad")
        assert its.run("count") == 1
        failure = its.lambda_.invoke(**its.name, Payload="{}", LogType="Tail")
        assert failure["FunctionError"]
        assert json.load(failure["Payload"])["errorMessage"] == "bad"
        assert "ValueError: bad" in base64.b64decode(failure["LogResult"]).decode()
        runs[name] = its.run("count")
    assert runs["plain"] == 1, "upstream keeps it now: remove the shim"
    assert runs["shimmed"] == 3


def test_a_log_has_all_that_a_function_says_until_it_answers(
    plain: Function, shimmed: Function
) -> None:
    def log(its: Function, event: str) -> list[str]:
        given = {"FunctionName": its.stack["Says"], "Payload": json.dumps(event)}
        answer = its.lambda_.invoke(**given, LogType="Tail")
        return base64.b64decode(answer.get("LogResult", "")).decode().splitlines()

    assert log(plain, "no end of line") == [], "upstream logs it now: remove the shim"
    assert log(shimmed, "no end of line") == ["no end of line"]
    assert log(shimmed, "two\n\nlines\n") == ["two", "", "lines"]
    assert log(shimmed, "") == []
    assert log(shimmed, "exit")[:1] == ["exits"]
    assert log(shimmed, "again") == ["again"]


def test_a_function_that_cannot_be_loaded_says_why_in_its_log(
    plain: Function, shimmed: Function
) -> None:
    logged = {}
    for name, its in (("plain", plain), ("shimmed", shimmed)):
        its.lambda_.invoke(FunctionName=its.stack["Unloadable"])
        logged[name] = "\n".join(its.stack.log_lines(its.stack["Unloadable"]))
    assert "missing_package" not in logged["plain"], "upstream logs it now: remove the shim"
    assert "[ERROR] RuntimeError" in logged["shimmed"]
    assert "No module named 'missing_package'" in logged["shimmed"]


def test_a_function_that_cannot_be_loaded_is_broken_and_each_call_says_why(
    shimmed: Function,
) -> None:
    health, name = Health(shimmed.stack), shimmed.stack["Unloadable"]
    shimmed.lambda_.invoke(FunctionName=name)
    with ThreadPoolExecutor(8) as pool:  # each ends the processes that the others start
        list(pool.map(lambda _: shimmed.lambda_.invoke(FunctionName=name), range(16)))
    (_, error) = health.newest_errors()
    assert "No module named 'missing_package'" in error
    errors = [line for line in shimmed.stack.log_lines(name, limit=None) if "[ERROR]" in line]
    assert [line for line in errors if "missing_package" not in line] == []


def test_reserved_concurrency_of_a_template_throttles(plain: Function, shimmed: Function) -> None:
    answer = plain.lambda_.invoke(FunctionName=plain.stack["Reserved"])
    assert answer["StatusCode"] == 200, "upstream reserves concurrency now: remove the shim"

    with pytest.raises(shimmed.lambda_.exceptions.TooManyRequestsException):
        shimmed.lambda_.invoke(FunctionName=shimmed.stack["Reserved"])


def test_the_processes_of_a_function_share_its_unpacked_code_until_it_is_updated(
    shimmed: Function,
) -> None:
    lambda_, name = shimmed.lambda_, {"FunctionName": shimmed.stack["Tells"]}
    updated = io.BytesIO()
    with zipfile.ZipFile(updated, "w") as archive:
        archive.writestr("index.py", TELLS.replace("old", "new"))
    tell = [json.load(lambda_.invoke(**name)["Payload"])]
    lambda_.update_function_configuration(**name, Environment=BAD)
    tell.append(json.load(lambda_.invoke(**name)["Payload"]))
    lambda_.update_function_code(**name, ZipFile=updated.getvalue())
    tell.append(json.load(lambda_.invoke(**name)["Payload"]))
    processes, files, compiled, words = zip(*tell, strict=True)
    assert len({*processes}) == 3
    assert files[0] == files[1] != files[2]
    assert compiled[1], "by the process before"
    assert words == ("old", "old", "new")
