"""What a resource represents: SAM functions with their events, APIs with their definition.

cfn-lint checks SAM templates as they are written (it merges ``Globals``, and expands nothing), so
the rules would not see the mappings that the SAM transform makes of a function's events. A REST
API's methods may be in its OpenAPI definition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEFINITIONS = {"AWS::ApiGateway::RestApi": "Body", "AWS::Serverless::Api": "DefinitionBody"}
INTEGRATION = "x-amazon-apigateway-integration"
SOURCES = {"SQS": "Queue", "Kinesis": "Stream", "DynamoDB": "Stream"}


@dataclass(frozen=True)
class Part:
    """A resource as CloudFormation gets it, and its place below the SAM resource."""

    id: str
    type: str
    properties: Mapping[str, Any]
    path: tuple[str | int, ...] = ()


def parts(name: str, kind: str, properties: Mapping[str, Any]) -> Iterator[Part]:
    """Yield what a resource represents: itself, and what is written inside it."""
    if kind == "AWS::Serverless::Function":
        yield from _function(name, properties)
        return
    yield Part(name, kind, properties)
    if kind in DEFINITIONS:
        yield from _methods(name, DEFINITIONS[kind], properties)


def _function(name: str, properties: Mapping[str, Any]) -> Iterator[Part]:
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


def _methods(name: str, key: str, properties: Mapping[str, Any]) -> Iterator[Part]:
    for path, verbs in _items(_child(properties.get(key), "paths")):
        for verb, operation in _items(verbs):
            given = _child(operation, INTEGRATION)
            if not isinstance(given, dict):
                continue
            responses = [
                {
                    "SelectionPattern": None if pattern == "default" else pattern,
                    "StatusCode": _child(response, "statusCode"),
                }
                for pattern, response in _items(given.get("responses"))
            ]
            integration = {
                "Type": str(given.get("type")).upper(),
                "Uri": given.get("uri"),
                "PassthroughBehavior": _upper(given.get("passthroughBehavior")),
                "RequestTemplates": given.get("requestTemplates"),
                "RequestParameters": given.get("requestParameters"),
                "IntegrationResponses": responses,
            }
            where = (key, "paths", path, verb, INTEGRATION)
            method = {"Integration": integration}
            yield Part(f"{name} {verb} {path}", "AWS::ApiGateway::Method", method, where)


def _child(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _items(value: Any) -> list[tuple[Any, Any]]:
    return list(value.items()) if isinstance(value, dict) else []


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value
