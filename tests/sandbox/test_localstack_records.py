"""Where Lambda sends its records of asynchronous invocations, on the second embedded AWS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs

from serverless_patterns.patterns.async_lambda.construct import AsyncLambda, Retries
from serverless_patterns.sandbox import queues
from tests.inline import function
from tests.sandbox.helpers import create_constructs, without_bootstrap
from tests.sandbox.test_localstack import pytestmark as pytestmark

if TYPE_CHECKING:
    from serverless_patterns.sandbox import Target

DIVIDES = lambda_.Code.from_inline("def handler(event, _):\n    return 1 / event['by']\n")
TELLS = lambda_.Code.from_inline(
    "import json\ndef handler(event, _):\n    print('told', json.dumps(event))\n"
)
GOOD, BAD = {"by": 1}, {"by": 0}


def test_a_record_goes_to_a_topic_a_function_or_a_bus(second: Target) -> None:
    stack = without_bootstrap()
    topic, bus = sns.Topic(stack, "Topic"), events.EventBus(stack, "Bus")
    heard, seen = sqs.Queue(stack, "Heard"), sqs.Queue(stack, "Seen")
    topic.add_subscription(subscriptions.SqsSubscription(heard, raw_message_delivery=True))
    any_event = events.EventPattern(account=[stack.account])
    events.Rule(
        stack, "Rule", event_bus=bus, event_pattern=any_event, targets=[targets.SqsQueue(seen)]
    )
    tells = function(stack, "Tells", code=TELLS)
    outputs = {"Topics": heard.queue_url, "Buses": seen.queue_url, "Told": tells.function_name}
    ends: dict[str, tuple[Any, Any]] = {"First": (topic, tells), "Second": (bus, topic)}
    for name, (on_success, on_failure) in ends.items():
        divides = function(stack, f"{name}Divides", code=DIVIDES)
        outputs[f"{name}Name"] = divides.function_name
        once = Retries(attempts=0)
        settings = {"retries": once, "on_success": on_success, "on_failure": on_failure}
        AsyncLambda(stack, name, function=divides, **settings)
    run = create_constructs(second, "records", stack, **outputs)
    for name in ends:
        for event in (GOOD, BAD):
            run.client("lambda").invoke(
                FunctionName=run[f"{name}Name"], InvocationType="Event", Payload=json.dumps(event)
            )

    def told() -> list[Any]:
        lines = run.log_lines(run["Told"])
        return [json.loads(line[5:]) for line in lines if line.startswith("told ")]

    def arrived() -> bool:
        here = [queues.backlog(run, run[name]) for name in ("Topics", "Buses")]
        return [*here, len(told())] == [2, 1, 1]

    queues.until(arrived, seconds=60, what="until each has its records")
    by_topic = [json.loads(one["Body"]) for one in queues.take(run, run["Topics"])]
    by_bus = [json.loads(one["Body"])["detail"] for one in queues.take(run, run["Buses"])]

    def said(records: list[Any]) -> list[Any]:
        found = [(it["requestContext"]["condition"], it["requestPayload"]) for it in records]
        return sorted(found, key=str)

    good, bad = ("Success", GOOD), ("RetriesExhausted", BAD)
    assert (said(by_topic), said(by_bus), said(told())) == ([bad, good], [good], [bad])
