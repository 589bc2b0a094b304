"""SQS."""

from __future__ import annotations

import json
from typing import Any

from ._forward import ministack

GAPS = {
    "sqs-eventual-consistency": "A queue's counts are exact, and its messages can be received at "
    "once.",
    "sqs-metrics-and-alarms": "SQS emits no CloudWatch metrics, so alarms on them never change.",
    "sqs-receipt-handles": "Receipt handles have hyphens, at which AWS's extended client for "
    "Python cuts them off.",
    "sqs-redrive-task": "StartMessageMoveTask is rejected with InvalidAction.",
    "sqs-source-queues": "ListDeadLetterSourceQueues is rejected with InvalidAction.",
}


def source_queues() -> None:
    """Answer which queues name a dead-letter queue: SQS has their redrive policies."""
    sqs = ministack("services.sqs")

    def sources(data: dict[str, Any], _url: str) -> dict[str, Any]:
        arn = sqs._get_q(data["QueueUrl"])["attributes"]["QueueArn"]
        found = [
            sqs._externalize_url(url)
            for url, queue in sqs._queues.items()
            if arn in json.loads(queue["attributes"].get("RedrivePolicy") or "{}").values()
        ]
        return {"queueUrls": found}

    sqs._HANDLERS["ListDeadLetterSourceQueues"] = sources


def receipt_handles() -> None:
    """Name receipt handles as AWS does, without hyphens."""
    sqs = ministack("services.sqs")
    collect = sqs._collect_msgs

    def collected(*given: Any) -> Any:
        found = collect(*given)
        for message in found:
            message["receipt_handle"] = message["receipt_handle"].replace("-", "")
        return found

    sqs._collect_msgs = collected


SHIMS = {"sqs-receipt-handles": receipt_handles, "sqs-source-queues": source_queues}
