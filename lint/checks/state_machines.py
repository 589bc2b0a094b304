"""State machines that cannot do what they say, or whose failures nobody sees."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from serverless_patterns.patterns.checks import sqs, stepfunctions
from serverless_patterns.patterns.limits import SQS_DEFAULT_VISIBILITY

from .. import roles
from ..conditions import pairs
from ..definitions import definition, tasks
from ..template import Finding, Findings, Resource, Scenario, is_unknown, rule

TYPES = {
    "AWS::StepFunctions::StateMachine": ("StateMachineType", "LoggingConfiguration"),
    "AWS::Serverless::StateMachine": ("Type", "Logging"),
}
SDK = re.compile(r":aws-sdk:\w+:(\w+)")
# Where a batch call of the SDK says which entries failed.
REPORTS = {
    "putevents": "FailedEntryCount",
    "putrecords": "FailedRecordCount",
    "putrecordbatch": "FailedPutCount",
    "sendmessagebatch": "Failed",
    "publishbatch": "Failed",
    "batchwriteitem": "UnprocessedItems",
}
ASKS = re.compile(r":states:::sqs:sendMessage\.waitForTaskToken$")
TIMEOUTS = ("TimeoutSeconds", "TimeoutSecondsPath", "HeartbeatSeconds", "HeartbeatSecondsPath")


def _machines(scenario: Scenario) -> Iterator[tuple[Resource, bool, str]]:
    """Yield state machines of a known type, whether they are Express, and where they say logs."""
    for kind, (place, logging) in TYPES.items():
        for machine in scenario.of(kind):
            given = machine.get(place) or "STANDARD"
            if given in ("STANDARD", "EXPRESS"):
                yield machine, given == "EXPRESS", logging


@rule("E9196", "stepfunctions", shared=stepfunctions.express_waits)
def express_waits(scenario: Scenario) -> Findings:
    """An Express state machine cannot wait for a job, a callback or an activity.

    Express workflows know request and response only: Step Functions rejects .sync,
    .waitForTaskToken and activities in them. Make the state machine STANDARD, or move the waiting
    part to one that is.
    """
    for machine, express, _ in _machines(scenario):
        for name, task in tasks(definition(machine)) if express else ():
            used = str(task.get("Resource"))
            activity = scenario.find(used, "AWS::StepFunctions::Activity")
            used = f"states:activity:{activity}" if activity else used
            yield Finding(machine, stepfunctions.express_waits(f"{name} of {machine}", used))


@rule("E9201", "pipes", "stepfunctions")
def pipe_waits_for_standard(scenario: Scenario) -> Findings:
    """A pipe cannot wait for a Standard state machine.

    A pipe calls its target synchronously by default, which only Express state machines allow. Set
    InvocationType of StepFunctionStateMachineParameters to FIRE_AND_FORGET, or make the state
    machine EXPRESS; an enrichment must be EXPRESS.

    Source:
    https://docs.aws.amazon.com/eventbridge/latest/pipes-reference/API_PipeTargetStateMachineParameters.html
    """
    for pipe in scenario.of(roles.PIPE):
        for place in ("Target", "Enrichment"):
            machine = scenario.find(pipe.get(place), *TYPES)
            if machine and roles.waits(pipe, place) and roles.express(machine) is False:
                fix = "Set its InvocationType to FIRE_AND_FORGET, or make" * (place == "Target")
                yield Finding(
                    pipe,
                    f"{pipe} waits for {machine}, which is a Standard state machine: Pipes rejects "
                    f"that. {fix or 'Make'} the state machine EXPRESS.",
                    (place,),
                )


@rule("I9197", "stepfunctions", "logs")
def express_without_logs(scenario: Scenario) -> Findings:
    """An Express state machine should log its failures.

    Step Functions keeps no history of Express executions: without logs, nothing shows which event
    failed, and why. Set LoggingConfiguration with the level ERROR or ALL.

    Source: https://docs.aws.amazon.com/step-functions/latest/dg/concepts-express-synchronous.html
    """
    for machine, express, logging in _machines(scenario):
        silent = machine.get(logging) is None or machine.get(f"{logging}.Level") == "OFF"
        if express and silent:
            given = f"Raise the Level of {logging}." if machine.get(logging) else f"Set {logging}."
            yield Finding(
                machine,
                f"{machine} is an Express state machine without logs: nothing says which event "
                f"failed. {given}",
            )


@rule("W9202", "stepfunctions", "events", "kinesis", "firehose", "sqs", "sns", "dynamodb")
def task_ignores_failed_entries(scenario: Scenario) -> Findings:
    """A task must look for the entries of a batch that failed.

    A batch call of the AWS SDK, such as PutEvents or SendMessageBatch, succeeds when some of its
    entries failed: the execution goes on, and they are lost. Compare the count of failures in a
    Choice state, and send the failed entries again.

    Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
    """
    for machine, _, _ in _machines(scenario):
        found = definition(machine)
        for name, task in tasks(found):
            called = SDK.search(str(task.get("Resource")))
            reports = REPORTS.get(called.group(1).lower()) if called else None
            if called and reports and reports not in str(found) and not _chooses_unknown(found):
                yield Finding(
                    machine,
                    f"{name} of {machine} calls {called.group(1)}, which succeeds when some "
                    f"entries failed, and no state looks at {reports}: they are lost. Compare it "
                    "in a Choice state.",
                )


def _chooses_unknown(found: object) -> bool:
    """Tell whether a state of a definition chooses by what only deployment knows."""
    return any(name == "Choices" and is_unknown(asked) for name, asked in pairs(found))


@rule("I9198", "stepfunctions", shared=stepfunctions.has_timeout)
def callback_without_timeout(scenario: Scenario) -> Findings:
    """A task that waits for a callback should have a timeout.

    If the callback never arrives, the execution keeps waiting, and no alarm fires. Set
    TimeoutSeconds or HeartbeatSeconds, and catch States.Timeout.
    """
    for machine, express, _ in _machines(scenario):
        found = definition(machine)
        if express or (isinstance(found, Mapping) and "TimeoutSeconds" in found):
            continue
        for name, task in tasks(found):
            waits = str(task.get("Resource")).endswith(stepfunctions.CALLBACK)
            if waits and not any(limit in task for limit in TIMEOUTS):
                yield Finding(machine, stepfunctions.has_timeout(f"{name} of {machine}", None))


@rule("E9233", "stepfunctions", "sqs", shared=sqs.asked_in_vain)
def task_asks_in_vain(scenario: Scenario) -> Findings:
    """A task that waits for an answer must wait for longer than its queue delays the request.

    A request that is delivered after the task has timed out is never answered in time. Lower
    DelaySeconds of the queue, or raise TimeoutSeconds of the task.
    """
    for machine, name, queue, seconds in _asks(scenario):
        delay = queue.number("DelaySeconds")
        if delay is not None:
            problem = sqs.asked_in_vain(f"{queue}, which {name} asks,", delay, seconds)
            yield Finding(machine, problem, ("DefinitionString",))


@rule("W9234", "stepfunctions", "sqs", "lambda", shared=sqs.retried_too_late)
def task_is_retried_too_late(scenario: Scenario) -> Findings:
    """A task that waits for an answer should wait for a second attempt.

    When a consumer crashes, the request is delivered again after the queue's visibility timeout; if
    the task has timed out by then, the second attempt is too late. Raise TimeoutSeconds of the
    task, or lower VisibilityTimeout of the queue and the Timeout of the function with it.
    """
    for machine, name, queue, seconds in _asks(scenario):
        delay = queue.number("DelaySeconds", 0)
        hidden = queue.number("VisibilityTimeout", SQS_DEFAULT_VISIBILITY)
        if delay is not None and hidden is not None and delay < seconds:
            problem = sqs.retried_too_late(f"{queue}, which {name} asks,", hidden, seconds, delay)
            yield Finding(machine, problem, ("DefinitionString",))


def _asks(scenario: Scenario) -> Iterator[tuple[Resource, str, Resource, int]]:
    """Yield the tasks that wait for an answer to a message: with its queue, and for how long."""
    for machine, express, _ in _machines(scenario):
        for name, task in tasks(definition(machine)) if not express else ():
            sent = task.get("Parameters") or task.get("Arguments")
            seconds = task.get("TimeoutSeconds")
            if ASKS.search(str(task.get("Resource"))) and isinstance(sent, Mapping):
                queue = scenario.queue(sent.get("QueueUrl"))
                if queue and type(seconds) is int:
                    yield machine, f"{name} of {machine}", queue, seconds
