"""IAM: which permission a call needs."""

from __future__ import annotations

import json
from inspect import signature
from typing import Any

from ._forward import around, ministack

GAPS = {
    "iam-batch-actions": "A batch call is authorized as an action that IAM does not have.",
    "iam-schedule-groups": "A call about a schedule is authorized for the default group, whatever "
    "group it names.",
    "service-roles": "A role's permissions are not checked when a service acts under it (API "
    "Gateway, Step Functions, Firehose, a mapping, a destination); a function's own calls need its "
    "role.",
}


def batch_actions() -> None:
    """Forward the action that IAM does have: a batch needs the permission of the single call.

    Amazon SQS developer guide, "Amazon SQS API permissions: Actions and resource reference";
    service authorization reference, "Actions defined by Amazon SNS".
    """

    @around(ministack("core.iam_actions"), "extract_iam_action")
    def extract(original: Any, *args: Any, **named: Any) -> str | None:
        action: str | None = original(*args, **named)
        if action and action.startswith(("sqs:", "sns:")):
            return action.removesuffix("Batch")
        return action


def schedule_groups() -> None:
    """Forward the group that a call names to what it is authorized for."""

    @around(ministack("core.iam_actions"), "extract_resource_arn")
    def extract(original: Any, service: str, *args: Any, **named: Any) -> str:
        arn: str = original(service, *args, **named)
        if service != "scheduler":
            return arn
        given = signature(original).bind(service, *args, **named).arguments
        body = json.loads(given["body"]) if given["body"] else {}
        (group,) = given["query_params"].get("groupName", [body.get("GroupName", "default")])
        return arn.replace(":schedule/default/", f":schedule/{group}/")


SHIMS = {"iam-batch-actions": batch_actions, "iam-schedule-groups": schedule_groups}
