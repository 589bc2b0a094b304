"""What a SAM function stands for: the function, and its event source mappings.

cfn-lint checks SAM templates as they are written (it merges ``Globals``, and expands nothing), so
the rules would not see the resources that the SAM transform makes of a function's events.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SOURCES = {"SQS": "Queue", "Kinesis": "Stream", "DynamoDB": "Stream"}


@dataclass(frozen=True)
class Part:
    """A resource as CloudFormation gets it, and where it stands below the SAM resource."""

    id: str
    type: str
    properties: Mapping[str, Any]
    path: tuple[str | int, ...] = ()


def parts(name: str, kind: str, properties: Mapping[str, Any]) -> Iterator[Part]:
    """Yield what a resource stands for: itself, unless it is a SAM function."""
    if kind != "AWS::Serverless::Function":
        yield Part(name, kind, properties)
        return
    own = dict(properties)
    queue = own.get("DeadLetterQueue")
    if isinstance(queue, dict):
        own["DeadLetterConfig"] = {"TargetArn": queue.get("TargetArn")}
    yield Part(name, "AWS::Lambda::Function", own)
    invoke = own.get("EventInvokeConfig")
    if isinstance(invoke, dict):
        config = {**invoke, "FunctionName": f"${{{name}}}"}
        yield Part(
            f"{name}/invoke", "AWS::Lambda::EventInvokeConfig", config, ("EventInvokeConfig",)
        )
    events = own.get("Events")
    for key, event in events.items() if isinstance(events, dict) else ():
        source = SOURCES.get(str(event.get("Type"))) if isinstance(event, dict) else None
        if source and isinstance(event.get("Properties"), dict):
            mapping = {
                **event["Properties"],
                "EventSourceArn": event["Properties"].get(source),
                "FunctionName": f"${{{name}}}",
            }
            path = ("Events", key, "Properties")
            yield Part(f"{name}/{key}", "AWS::Lambda::EventSourceMapping", mapping, path)
