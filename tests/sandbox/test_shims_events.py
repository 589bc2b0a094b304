"""The shims for EventBridge: the gap without each, and the right behavior with it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from serverless_patterns.sandbox import queues

from . import helpers as cfn

if TYPE_CHECKING:
    from serverless_patterns.sandbox import Target

FAILS = """
def handler(event, context):
    raise RuntimeError("down")
"""
PUBLISHES = """
import boto3
def handler(event, context):
    entry = {"EventBusName": "publishing", "Source": event, "DetailType": "Placed", "Detail": "{}"}
    return boto3.client("events").put_events(Entries=[entry])["FailedEntryCount"]
"""


def rule(bus: str, target: Any) -> dict[str, Any]:
    return cfn.resource(
        "Events::Rule",
        EventBusName=cfn.ref(bus),
        EventPattern={"source": ["shop"]},
        Targets=[{"Id": "target", "Arn": target}],
    )


def put(target: Target, bus: str) -> None:
    entry = {"EventBusName": bus, "Source": "shop", "DetailType": "Placed", "Detail": "{}"}
    target.client("events").put_events(Entries=[entry])


ARCHIVED = cfn.template(
    {
        "Bus": cfn.resource("Events::EventBus", Name="archived"),
        "Archive": cfn.resource("Events::Archive", SourceArn=cfn.arn("Bus"), RetentionDays=1),
        "Queue": cfn.resource("SQS::Queue"),
        "Rule": rule("Bus", cfn.arn("Queue")),
    },
    ArchiveArn=cfn.arn("Archive"),
    BusArn=cfn.arn("Bus"),
    QueueUrl=cfn.ref("Queue"),
)


def test_an_archive_of_a_template_replays_its_events(shared: Target, without_shims: Target) -> None:
    with pytest.raises(ClientError, match="Unrecognized resource types"):
        # Else upstream makes it: remove the shim.
        cfn.create_stack(without_shims, "archived", ARCHIVED)

    stack = cfn.create_stack(shared, "archived", ARCHIVED)
    put(shared, "archived")
    shared.client("events").start_replay(
        ReplayName="again",
        EventSourceArn=stack["ArchiveArn"],
        EventStartTime=time.time() - 60,
        EventEndTime=time.time() + 60,
        Destination={"Arn": stack["BusArn"]},
    )
    bodies: list[Any] = []

    def twice() -> bool:
        bodies.extend(json.loads(m["Body"]) for m in queues.take(stack, stack["QueueUrl"]))
        return len(bodies) == 2

    queues.until(twice, seconds=60, what="until the event is replayed", pause=0.05)
    assert [body.get("replay-name") for body in bodies] == [None, "again"]
    shared.client("cloudformation").delete_stack(StackName="archived")
    deleted = shared.client("cloudformation").get_waiter("stack_delete_complete")
    deleted.wait(StackName="archived", WaiterConfig=cfn.OFTEN)
    assert not shared.client("events").list_archives()["Archives"]


def failed(target: Target) -> int:
    """Let a rule call a function that fails, and return how many failures are recorded."""
    failures = {"OnFailure": {"Destination": cfn.arn("Failures")}}
    made = cfn.template(
        {
            "Bus": cfn.resource("Events::EventBus", Name="failing"),
            "Failures": cfn.resource("SQS::Queue"),
            "Fails": cfn.function(FAILS),
            "Config": cfn.resource(
                "Lambda::EventInvokeConfig",
                FunctionName=cfn.ref("Fails"),
                Qualifier="$LATEST",
                MaximumRetryAttempts=0,
                DestinationConfig=failures,
            ),
            "Rule": rule("Bus", cfn.arn("Fails")),
        },
        QueueUrl=cfn.ref("Failures"),
        FunctionName=cfn.ref("Fails"),
    )
    stack = cfn.create_stack(target, "failing", made)
    put(target, "failing")
    ran = "until the function has run"
    queues.until(lambda: bool(stack.log_lines(stack["FunctionName"])), seconds=60, what=ran)
    time.sleep(0.5)
    return queues.backlog(stack, stack["QueueUrl"])


def test_what_a_rules_function_fails_is_recorded(shared: Target, without_shims: Target) -> None:
    assert failed(without_shims) == 0, "upstream records it: remove the shim"
    assert failed(shared) == 1


def published(target: Target) -> list[Any]:
    """Return what a function may publish of its own source and of another one: 0 or an error."""
    own = {"StringEquals": {"events:source": "shop", "events:detail-type": ["Placed"]}}
    made = cfn.template(
        {
            "Bus": cfn.resource("Events::EventBus", Name="publishing"),
            "Role": cfn.role(
                "lambda.amazonaws.com", cfn.allow("events:PutEvents", cfn.arn("Bus"), Condition=own)
            ),
            "Publishes": cfn.function(PUBLISHES, Role=cfn.arn("Role"), Timeout=30),
        },
        FunctionName=cfn.ref("Publishes"),
    )
    name = cfn.create_stack(target, "publishing", made)["FunctionName"]
    results = []
    for source in ("shop", "bank"):
        call = {"FunctionName": name, "Payload": json.dumps(source)}
        answer = json.load(target.client("lambda").invoke(**call)["Payload"])
        results.append(answer if answer == 0 else "AccessDenied" in answer["errorMessage"])
    return results


def test_a_publisher_may_name_its_own_source_only(shared: Target, without_shims: Target) -> None:
    assert published(without_shims) == [True, True], "upstream knows the keys: remove the shim"
    assert published(shared) == [0, True]
