"""A stack update that replaces a queue: its messages are gone, unless the queue is retained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import CfnOutput, RemovalPolicy
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Template

from serverless_patterns.sandbox import queues
from tests.sandbox.helpers import create_stack, update_stack, without_bootstrap
from tests.sandbox.test_localstack import pytestmark as needs_the_second

if TYPE_CHECKING:
    from serverless_patterns.sandbox import Target

# An id of the construct that is another one after the update, or a type of the queue.
CHANGES: dict[str, dict[str, Any]] = {
    "another id": {"construct_id": "Renamed"},
    "another type": {"fifo": True},
}


@pytest.fixture(params=["shared", pytest.param("second", marks=needs_the_second)])
def target(request: pytest.FixtureRequest) -> Target:
    found: Target = request.getfixturevalue(request.param)
    return found


def built(
    *, retained: bool, construct_id: str = "Queue", fifo: bool | None = None
) -> dict[str, Any]:
    stack = without_bootstrap()
    queue = sqs.Queue(stack, construct_id, fifo=fifo)
    if retained:
        queue.apply_removal_policy(RemovalPolicy.RETAIN)
    CfnOutput(stack, "Url", value=queue.queue_url)
    return dict(Template.from_stack(stack).to_json())


@pytest.mark.parametrize("change", CHANGES)
def test_messages_of_a_replaced_queue_are_there_only_if_it_was_retained(
    target: Target, change: str
) -> None:
    bodies = {f"order {number}" for number in range(15)}
    for retained in (False, True):
        name = f"{change.replace(' ', '-')}-{retained}"
        before = create_stack(target, name, built(retained=retained))
        sqs_, old = before.client("sqs"), before["Url"]
        for body in bodies:
            sqs_.send_message(QueueUrl=old, MessageBody=body)
        after = update_stack(target, name, built(retained=retained, **CHANGES[change]))
        assert after["Url"] != old
        if retained:
            assert {message["Body"] for message in queues.take(after, old)} == bodies
        else:
            with pytest.raises(sqs_.exceptions.QueueDoesNotExist):
                sqs_.receive_message(QueueUrl=old)
