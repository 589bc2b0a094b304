"""SQS."""

from __future__ import annotations

import json
from typing import Any

from ._forward import ministack

GAPS = {
    "sqs-eventual-consistency": "A queue's counts are exact, and its messages can be received at "
    "once.",
    "sqs-metrics-and-alarms": "SQS emits no CloudWatch metrics, so alarms on them never change.",
    "sqs-redrive-task": "StartMessageMoveTask is rejected with InvalidAction.",
    "sqs-source-queues": "ListDeadLetterSourceQueues is rejected with InvalidAction.",
}


def source_queues() -> None:
    """Answer which queues name a dead-letter queue: SQS has their redrive policies."""
    sqs = ministack("services.sqs")

    def sources(data: dict[str, Any], _url: str) -> dict[str, Any]:
        arn = sqs._get_q(data["QueueUrl"])["attributes"]["QueueArn"]
        policies = {
            url: json.loads(queue["attributes"].get("RedrivePolicy") or "{}")
            for url, queue in sqs._queues.items()
        }
        return {
            "queueUrls": [u for u, it in policies.items() if it.get("deadLetterTargetArn") == arn]
        }

    sqs._HANDLERS["ListDeadLetterSourceQueues"] = sources


SHIMS = {"sqs-source-queues": source_queues}
