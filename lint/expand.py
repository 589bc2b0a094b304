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
HTTP_APIS = {"AWS::ApiGatewayV2::Api": "Body", "AWS::Serverless::HttpApi": "DefinitionBody"}
INTEGRATION = "x-amazon-apigateway-integration"
FUNCTION, MAPPING = "AWS::Lambda::Function", "AWS::Lambda::EventSourceMapping"
SUBSCRIPTION, QUEUE, HOLE = "AWS::SNS::Subscription", "AWS::SQS::Queue", "${?}"
RULES = ("EventBridgeRule", "CloudWatchEvent")
# SAM events that Lambda polls, and where each names its source.
POLLED = {
    "SQS": "Queue",
    "Kinesis": "Stream",
    "DynamoDB": "Stream",
    "MSK": "Stream",
    "MQ": "Broker",
    "DocumentDB": "Cluster",
    "SelfManagedKafka": "",
}


def parts(resource: Resource) -> Iterator[Resource]:
    """Yield what a resource represents: itself, and what is written inside it."""
    if resource.type == "AWS::Serverless::Function":
        yield from _function(resource)
        return
    yield resource
    if resource.type == "AWS::Serverless::StateMachine":
        yield from _state_machine(resource)
    if resource.type in DEFINITIONS:
        yield from _methods(resource, DEFINITIONS[resource.type])
    if resource.type in HTTP_APIS:
        yield from _routes(resource, HTTP_APIS[resource.type])


def _part(whole: Resource, name: str, kind: str, properties: Mapping[str, Any]) -> Resource:
    """Return a resource that is written at the place of this part."""
    path = (*whole.path, *whole.at)
    return replace(whole, id=name, type=kind, properties=properties, path=path, at=())


def _function(whole: Resource) -> Iterator[Resource]:
    own, name = dict(whole.properties), {"FunctionName": f"${{{whole.id}}}"}
    if isinstance(own.get("DeadLetterQueue"), Mapping):
        own["DeadLetterConfig"] = {"TargetArn": whole.get("DeadLetterQueue.TargetArn")}
    yield _part(whole, whole.id, FUNCTION, own)
    config = own.get("EventInvokeConfig")
    if isinstance(config, Mapping):
        there = replace(whole, at=("EventInvokeConfig",))
        kind = "AWS::Lambda::EventInvokeConfig"
        yield _part(there, f"{whole.id}/invoke", kind, {**config, **name})
    for event in whole.parts("Events"):
        kind, given = str(event.get("Type")), event.get("Properties")
        if not isinstance(given, Mapping):
            continue
        there = replace(event, at=(*event.at, "Properties"))
        if kind in POLLED:
            arn = {"EventSourceArn": given.get(POLLED[kind])}
            yield _part(there, f"{whole.id}/{event.at[-1]}", MAPPING, {**given, **arn, **name})
        elif kind == "SNS" and given.get("SqsSubscription"):
            yield from _queue_of_topic(there, whole.id, str(event.at[-1]), given)
        else:
            yield from _event(there, whole.id, str(event.at[-1]), kind, given)


def _state_machine(whole: Resource) -> Iterator[Resource]:
    for event in whole.parts("Events"):
        kind, given = str(event.get("Type")), event.get("Properties")
        if isinstance(given, Mapping) and kind in (*RULES, "Schedule", "ScheduleV2"):
            there = replace(event, at=(*event.at, "Properties"))
            role = {"RoleArn": given.get("RoleArn") or given.get("Role") or HOLE}  # SAM makes one
            yield from _event(there, whole.id, str(event.at[-1]), kind, {**given, **role})


def _event(
    there: Resource, owner: str, name: str, kind: str, given: Mapping[str, Any]
) -> Iterator[Resource]:
    """Yield what SAM makes of an event that is sent to a function or a state machine."""
    arn, made = f"${{{owner}.Arn}}", f"{owner}/{name}"
    dead = given.get("DeadLetterConfig")
    if isinstance(dead, Mapping) and "Arn" not in dead:  # SAM makes that queue, and its policy
        queue = str(dead.get("QueueLogicalId") or f"{owner}{name}Queue")
        yield _part(there, queue, QUEUE, {})
        dead = {"Arn": f"${{{queue}.Arn}}"}
    target = {
        "Arn": arn,
        "RoleArn": given.get("RoleArn"),
        "DeadLetterConfig": dead,
        "RetryPolicy": given.get("RetryPolicy"),
    }
    match kind:
        case "EventBridgeRule" | "CloudWatchEvent" | "Schedule":
            rule = {**given, "EventPattern": given.get("Pattern"), "Targets": [target]}
            if kind == "Schedule":
                rule["ScheduleExpression"] = given.get("Schedule") or HOLE
                enabled = str(given.get("Enabled", "true")).lower()
                state = {"true": given.get("State"), "false": "DISABLED"}
                rule["State"] = state.get(enabled, HOLE)
            yield _part(there, made, "AWS::Events::Rule", rule)
        case "ScheduleV2":
            target["RoleArn"] = given.get("RoleArn") or HOLE
            yield _part(there, made, "AWS::Scheduler::Schedule", {**given, "Target": target})
        case "SNS":
            of = {"Protocol": "lambda", "Endpoint": arn, "TopicArn": given.get("Topic")}
            yield _part(there, made, SUBSCRIPTION, {**given, **of})
        case "S3":
            notified = {"LambdaFunctionConfigurations": [{"LambdaFunctionArn": arn}]}
            of = {"BucketName": given.get("Bucket"), "NotificationConfiguration": notified}
            yield _part(there, made, "Custom::S3BucketNotifications", of)
        case "IoTRule":
            payload = {"Actions": [{"Lambda": {"FunctionArn": arn}}], "Sql": given.get("Sql")}
            yield _part(there, made, "AWS::IoT::TopicRule", {"TopicRulePayload": payload})
        case "CloudWatchLogs":
            filtered = {**given, "DestinationArn": arn}
            yield _part(there, made, "AWS::Logs::SubscriptionFilter", filtered)


def _queue_of_topic(
    there: Resource, owner: str, name: str, given: Mapping[str, Any]
) -> Iterator[Resource]:
    """Yield the queue between a topic and a function, and what SAM makes around it."""
    settings = given.get("SqsSubscription")
    if isinstance(settings, Mapping):
        queue = settings.get("QueueArn")
    else:
        settings, queue = {}, f"${{{owner}{name}Queue.Arn}}"
        yield _part(there, f"{owner}{name}Queue", QUEUE, {})
    of = {"Protocol": "sqs", "Endpoint": queue, "TopicArn": given.get("Topic")}
    yield _part(there, f"{owner}/{name}/topic", SUBSCRIPTION, {**given, **of})
    if settings:
        policy = str(settings.get("QueuePolicyLogicalId") or f"{owner}{name}QueuePolicy")
        allowed = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue}
        allowed |= {"Principal": {"Service": "sns.amazonaws.com"}}
        allowed |= {"Condition": {"ArnEquals": {"aws:SourceArn": given.get("Topic")}}}
        document = {"Statement": [allowed]}
        of = {"Queues": [settings.get("QueueUrl")], "PolicyDocument": document}
        yield _part(there, policy, "AWS::SQS::QueuePolicy", of)
    mapping = {"EventSourceArn": queue, "FunctionName": f"${{{owner}}}"}
    yield _part(there, f"{owner}/{name}", MAPPING, {**settings, **mapping})


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
                    "ResponseTemplates": answer.get("responseTemplates")
                    if isinstance(answer, Mapping)
                    else None,
                }
                for pattern, answer in (answers.items() if isinstance(answers, Mapping) else ())
            ]
            behavior = given.get("passthroughBehavior")
            integration = {
                "Type": str(given.get("type")).upper(),
                "IntegrationHttpMethod": given.get("httpMethod"),
                "Uri": given.get("uri"),
                "Credentials": given.get("credentials"),
                "PassthroughBehavior": behavior and str(behavior).upper(),
                "RequestTemplates": given.get("requestTemplates"),
                "RequestParameters": given.get("requestParameters"),
                "IntegrationResponses": responses,
            }
            there = replace(path, at=(*path.at, verb, INTEGRATION))
            name, kind = f"{api.id} {verb} {path.at[-1]}", "AWS::ApiGateway::Method"
            yield _part(there, name, kind, {"Integration": integration})


def _routes(api: Resource, key: str) -> Iterator[Resource]:
    """Yield the integrations of an HTTP API's definition."""
    for path in api.parts(f"{key}.paths"):
        for verb in path.properties:
            given = path.get(f"{verb}.{INTEGRATION}")
            if isinstance(given, Mapping):
                there = replace(path, at=(*path.at, verb, INTEGRATION))
                integration = {
                    "IntegrationSubtype": given.get("integrationSubtype"),
                    "CredentialsArn": given.get("credentials"),
                    "RequestParameters": given.get("requestParameters"),
                }
                name, kind = f"{api.id} {verb} {path.at[-1]}", "AWS::ApiGatewayV2::Integration"
                yield _part(there, name, kind, integration)
