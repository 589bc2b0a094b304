"""What a resource represents: SAM functions with their events, APIs with their definition.

cfn-lint checks SAM templates as they are written (it merges ``Globals``, and expands nothing), so
the rules would not see the mappings that the SAM transform makes of a function's events. A REST
API's methods may be in its OpenAPI definition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .template import Resource

DEFINITIONS = {"AWS::ApiGateway::RestApi": "Body", "AWS::Serverless::Api": "DefinitionBody"}
INTEGRATION = "x-amazon-apigateway-integration"
SOURCES = {"SQS": "Queue", "Kinesis": "Stream", "DynamoDB": "Stream"}


def parts(resource: Resource) -> Iterator[Resource]:
    """Yield what a resource represents: itself, and what is written inside it."""
    if resource.type == "AWS::Serverless::Function":
        yield from _function(resource)
        return
    yield resource
    if resource.type in DEFINITIONS:
        yield from _methods(resource, DEFINITIONS[resource.type])


def _part(whole: Resource, name: str, kind: str, properties: Mapping[str, Any]) -> Resource:
    """Return a resource that is written at the place of this part."""
    path = (*whole.path, *whole.at)
    return replace(whole, id=name, type=kind, properties=properties, path=path, at=())


def _function(whole: Resource) -> Iterator[Resource]:
    own, name = dict(whole.properties), {"FunctionName": f"${{{whole.id}}}"}
    if isinstance(own.get("DeadLetterQueue"), Mapping):
        own["DeadLetterConfig"] = {"TargetArn": whole.get("DeadLetterQueue.TargetArn")}
    yield _part(whole, whole.id, "AWS::Lambda::Function", own)
    config = own.get("EventInvokeConfig")
    if isinstance(config, Mapping):
        there = replace(whole, at=("EventInvokeConfig",))
        kind = "AWS::Lambda::EventInvokeConfig"
        yield _part(there, f"{whole.id}/invoke", kind, {**config, **name})
    for event in whole.parts("Events"):
        source, given = SOURCES.get(str(event.get("Type"))), event.get("Properties")
        if source and isinstance(given, Mapping):
            mapping = {**given, "EventSourceArn": given.get(source), **name}
            there = replace(event, at=(*event.at, "Properties"))
            kind = "AWS::Lambda::EventSourceMapping"
            yield _part(there, f"{whole.id}/{event.at[-1]}", kind, mapping)


def _methods(api: Resource, key: str) -> Iterator[Resource]:
    for path in api.parts(f"{key}.paths"):
        for verb in path.properties:
            given = path.get(f"{verb}.{INTEGRATION}")
            if not isinstance(given, Mapping):
                continue
            answers = given.get("responses")
            responses = [
                {
                    "SelectionPattern": None if pattern == "default" else pattern,
                    "StatusCode": answer.get("statusCode") if isinstance(answer, Mapping) else None,
                }
                for pattern, answer in (answers.items() if isinstance(answers, Mapping) else ())
            ]
            behavior = given.get("passthroughBehavior")
            integration = {
                "Type": str(given.get("type")).upper(),
                "Uri": given.get("uri"),
                "PassthroughBehavior": behavior and str(behavior).upper(),
                "RequestTemplates": given.get("requestTemplates"),
                "RequestParameters": given.get("requestParameters"),
                "IntegrationResponses": responses,
            }
            there = replace(path, at=(*path.at, verb, INTEGRATION))
            name, kind = f"{api.id} {verb} {path.at[-1]}", "AWS::ApiGateway::Method"
            yield _part(there, name, kind, {"Integration": integration})
