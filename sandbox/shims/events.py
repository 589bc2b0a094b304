"""EventBridge: archives, connections and API destinations in templates, and how it invokes."""

from __future__ import annotations

import json
from typing import Any

from ._forward import around, ministack, resources, succeeded

GAPS = {
    "events-archive": "An archive in a template is refused.",
    "events-archive-delay": "An archive has an event at once; AWS asks to wait for ten minutes.",
    "events-asynchronous-invocation": "A function that a rule or a schedule invokes is run once: "
    "it is not retried, and its failure is not recorded.",
    "events-condition-keys": "A policy's conditions on the source and type of published events are "
    "never met.",
    "events-dead-letters": "What a rule cannot deliver is dropped: it is neither retried nor sent "
    "to the rule's dead-letter queue.",
    "events-metrics-and-alarms": "EventBridge emits no CloudWatch metrics, so alarms on them never "
    "change.",
    "events-replay-of-one-rule": "A replay sends to every rule of the bus, whatever FilterArns "
    "names.",
}
SERVICE = "services.eventbridge"


def archive() -> None:
    """Forward an archive to EventBridge's own API, which keeps events and replays them."""
    events = ministack(SERVICE)

    def create(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        name = properties.get("ArchiveName") or f"{stack}-{logical_id}"[:48]
        given = {
            "ArchiveName": name,
            "EventSourceArn": properties["SourceArn"],
            "RetentionDays": int(properties.get("RetentionDays", 0)),
        }
        if pattern := properties.get("EventPattern"):
            given["EventPattern"] = pattern if isinstance(pattern, str) else json.dumps(pattern)
        body = succeeded("AWS::Events::Archive", events._create_archive(given))
        return name, {"Arn": json.loads(body)["ArchiveArn"]}

    def delete(name: str, _properties: dict[str, Any]) -> None:
        succeeded("AWS::Events::Archive", events._delete_archive({"ArchiveName": name}))

    resources()["AWS::Events::Archive"] = {"create": create, "delete": delete}


def asynchronous_invocation() -> None:
    """Forward an event to Lambda's own asynchronous invocation, as S3's notifications are."""
    events, functions = ministack(SERVICE), ministack("services.lambda_svc")

    @around(events, "_dispatch_to_lambda")
    def dispatch(original: Any, arn: str, payload: str) -> None:
        function, config, _ = functions._get_func_record_for_ref(arn)
        if not function or not config:
            original(arn, payload)
            return
        record = functions._execution_record_for_config(function, config)
        functions.invoke_async_with_retry(record, json.loads(payload))


def condition_keys() -> None:
    """Forward to IAM's evaluation what published events say of their source and type."""

    @around(ministack("core.iam_actions"), "request_tag_context")
    def context(original: Any, service: str, action: str, body: bytes, *args: Any) -> Any:
        found = dict(original(service, action, body, *args))
        if action == "events:PutEvents":
            entries = json.loads(body or b"{}").get("Entries", [])
            for key, name in (("events:source", "Source"), ("events:detail-type", "DetailType")):
                said = {str(entry.get(name)) for entry in entries}
                found[key] = said.pop() if len(said) == 1 else sorted(said)
        return found


SHIMS = {
    "events-archive": archive,
    "events-asynchronous-invocation": asynchronous_invocation,
    "events-condition-keys": condition_keys,
}
