"""Each shim has its gap without it (if not: upstream closed it, remove the shim) and closes it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from serverless_patterns.sandbox import Target


def sources(target: Target) -> tuple[list[str], str]:
    """Return the queues that a dead-letter queue serves, and the one that it does serve."""
    sqs: Any = target.client("sqs")
    dead = sqs.create_queue(QueueName="serving")["QueueUrl"]
    asked = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
    policy = {"deadLetterTargetArn": asked["Attributes"]["QueueArn"], "maxReceiveCount": 5}
    given = {"RedrivePolicy": json.dumps(policy)}
    served = sqs.create_queue(QueueName="served", Attributes=given)["QueueUrl"]
    sqs.create_queue(QueueName="other")
    return sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"], served


def test_the_queues_that_a_dead_letter_queue_serves_are_named(
    shared: Target, without_shims: Target
) -> None:
    with pytest.raises(ClientError, match="InvalidAction"):
        sources(without_shims)  # else upstream answers: remove the shim

    found, served = sources(shared)
    assert found == [served]
