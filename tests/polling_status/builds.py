"""How the contract suites make the construct: in front of a queue, and of a state machine."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as stepfunctions

from serverless_patterns.patterns.polling_status.construct import NewStatuses, PollingStatus
from tests import inline
from tests.contracts.builds import Build

if TYPE_CHECKING:
    from aws_cdk import Stack


def queue(stack: Stack, construct_id: str) -> sqs.Queue:
    letters = sqs.Queue(stack, f"{construct_id}Letters", enforce_ssl=True)
    dead_letter_queue = sqs.DeadLetterQueue(max_receive_count=5, queue=letters)
    return sqs.Queue(
        stack, f"{construct_id}Queue", enforce_ssl=True, dead_letter_queue=dead_letter_queue
    )


def machine(stack: Stack, construct_id: str, **settings: Any) -> stepfunctions.StateMachine:
    body = stepfunctions.DefinitionBody.from_chainable(
        stepfunctions.Pass(stack, f"{construct_id}Pass")
    )
    return stepfunctions.StateMachine(
        stack, f"{construct_id}Machine", definition_body=body, **settings
    )


def make(
    stack: Stack,
    construct_id: str = "Pattern",
    /,
    *,
    work: Any = queue,
    key: Any = None,
    **settings: Any,
) -> PollingStatus:
    front = settings.pop("front", None) or inline.function(stack, f"{construct_id}Front")
    work = work(stack, construct_id) if callable(work) else work
    if key:
        settings["statuses"] = NewStatuses(encryption_key=key)
    return PollingStatus(stack, construct_id, front=front, work=work, **settings)


BUILDS = [
    Build("polling_status", make, frozenset({"alarms", "key"})),
    Build("polling_status machine", partial(make, work=machine), frozenset({"alarms", "key"})),
]
