"""What every synthesized stack lets be done, read from its templates: least privilege."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# Actions that take no resource (AWS service authorization reference).
NEED_ALL_RESOURCES = {
    "sqs:ListQueues",
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    # Vended logs of Step Functions: delivery is set up by account, not by log group.
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
}
# As AWS documents them for an archive of EventBridge that is encrypted with a key of yours.
WILDCARDS = {"kms:ReEncrypt*"}
# Part of what has a name, such as the objects below a prefix, or the executions of one machine.
PART_OF_ONE = re.compile(r"[^*]*<>[/:-][\w/-]*\*(\.\w+)?")
# Written by the CDK for its own custom resources, which only run at deployment.
CDK_PROVIDERS = ("CustomS3AutoDeleteObjects", "CustomResourceProvider")


def resources(template: dict[str, Any], *types: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for logical_id, resource in template["Resources"].items():
        if resource["Type"] in types and not logical_id.startswith(CDK_PROVIDERS):
            yield logical_id, resource.get("Properties", {})


def allowed(template: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every statement that allows, of every policy, attached to a role or to a resource."""
    for logical_id, resource in template["Resources"].items():
        if logical_id.startswith(CDK_PROVIDERS):
            continue
        if resource["Type"] == "AWS::Lambda::Permission":
            action = resource["Properties"]["Action"]
            yield f"{logical_id}.Action", {"Effect": "Allow", "Action": action}
        for name, document in _documents(resource.get("Properties", {})):
            for statement in document["Statement"]:
                if statement["Effect"] == "Allow" and not _is_for_a_provider(statement):
                    yield f"{logical_id}.{name}", statement


def _is_for_a_provider(statement: dict[str, Any]) -> bool:
    principal = json.dumps(statement.get("Principal", {}))
    return any(provider in principal for provider in CDK_PROVIDERS)


def _documents(value: Any, name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        if isinstance(value.get("Statement"), list):
            yield name, value
        for key, item in value.items():
            yield from _documents(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from _documents(item, name)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def shown(resource: Any) -> str:
    """An ARN in a template, with <> in place of each resource that it names."""
    if isinstance(resource, str):
        return resource
    parts = resource["Fn::Join"][1] if "Fn::Join" in resource else [resource]
    return "".join(
        part if isinstance(part, str) else "" if "AWS::" in str(part.get("Ref")) else "<>"
        for part in parts
    )


def is_named(resource: Any) -> bool:
    text = shown(resource)
    return "*" not in text or bool(PART_OF_ONE.fullmatch(text))


def too_wide(where: str, statement: dict[str, Any]) -> list[str]:
    """What a statement that allows does not name: its actions, or the resource if it has one."""
    of_a_key = where.endswith(".KeyPolicy")  # there, * is the key itself
    of_its_owner = of_a_key and ':root"' in json.dumps(statement["Principal"])
    named = of_a_key or all(is_named(it) for it in listed(statement.get("Resource", [])))
    return [
        action
        for action in listed(statement["Action"])
        if ("*" in action and action not in WILDCARDS and not of_its_owner)
        or (not named and action not in NEED_ALL_RESOURCES)
    ] + [key for key in statement if key.startswith("Not")]


def test_a_policy_names_what_it_allows_and_with_which_resource(template: dict[str, Any]) -> None:
    found = {where: wide for where, one in allowed(template) if (wide := too_wide(where, one))}
    assert not found


def test_each_statement_that_allows_more_is_noticed(template: dict[str, Any]) -> None:
    statements = [*allowed(template)]
    assert statements
    for where, one in statements:
        service = listed(one["Action"])[0].partition(":")[0]
        if not too_wide(where, {**one, "Principal": ""}):  # else it is the owner of a key
            assert too_wide(where, {**one, "Action": [*listed(one["Action"]), f"{service}:*"]})
        if "*" not in listed(one.get("Resource", "*")):
            assert too_wide(where, {**one, "Resource": "*"})
            assert too_wide(where, {**one, "Resource": [*listed(one["Resource"]), "*"]})
        for resource in listed(one.get("Resource", [])):
            if "*" not in shown(resource):  # else that is part of one resource
                others = {"Fn::Join": ["", [resource, "*"]]}  # those whose names begin so
                assert too_wide(where, {**one, "Resource": others})


# What Lambda does with the function's role (AWS Lambda developer guide, "Using Lambda with SQS").
READ_A_STREAM = {"kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:ListShards"}
READ_A_TABLE = {"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"}
READ_A_QUEUE = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
# How a function uses what its variables name, where not any use will do.
USED_BY: dict[str, str | tuple[str, ...]] = {
    "AWS::DynamoDB::Table": "dynamodb:",
    "AWS::S3::Bucket": ("s3:PutObject", "s3:GetObject", "s3:ListBucketVersions"),
    "AWS::SNS::Topic": ("sns:Publish", "sns:ConfirmSubscription"),
    "AWS::SQS::Queue": "sqs:",
    "AWS::StepFunctions::StateMachine": "states:StartExecution",
}
# These compare the name with what they are sent, and call nothing of it.
COMPARED = {("lambdas.claim_check.announce.handler", "BUCKET_NAME")}


def permitted(template: dict[str, Any], role: str) -> Iterator[tuple[str, Any]]:
    """Every action that a role may take, each with a resource."""
    for _, policy in resources(template, "AWS::IAM::Policy"):
        if {"Ref": role} in policy["Roles"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                for action in listed(statement["Action"]) * (statement["Effect"] == "Allow"):
                    yield from ((action, resource) for resource in listed(statement["Resource"]))


def roles(template: dict[str, Any]) -> dict[str, str]:
    """The role of each function."""
    functions = resources(template, "AWS::Lambda::Function")
    return {name: properties["Role"]["Fn::GetAtt"][0] for name, properties in functions}


def test_a_function_may_read_the_queue_that_feeds_it(template: dict[str, Any]) -> None:
    for name, mapping in resources(template, "AWS::Lambda::EventSourceMapping"):
        role = roles(template)[mapping["FunctionName"]["Ref"]]
        queue = mapping["EventSourceArn"]
        kind = template["Resources"][queue["Fn::GetAtt"][0]]["Type"]
        streams = {"AWS::Kinesis::Stream": READ_A_STREAM, "AWS::DynamoDB::Table": READ_A_TABLE}
        needed = streams.get(kind, READ_A_QUEUE)
        assert {a for a, r in permitted(template, role) if r == queue} >= needed, name


def test_a_function_may_use_what_its_variables_name(template: dict[str, Any]) -> None:
    for name, function in resources(template, "AWS::Lambda::Function"):
        may = list(permitted(template, roles(template)[name]))
        for variable, value in function.get("Environment", {}).get("Variables", {}).items():
            if (function["Handler"], variable) in COMPARED:
                continue
            if isinstance(value, dict) and "Ref" in value:  # else arrows.py knows who it names
                needed = USED_BY.get(template["Resources"][value["Ref"]]["Type"], "")
                used = [r for action, r in may if action.startswith(needed)]
                assert f'"{value["Ref"]}"' in json.dumps(used), (name, variable)


def test_a_function_that_writes_files_may_do_so_in_a_folder_only(template: dict[str, Any]) -> None:
    for name, role in roles(template).items():
        for action, files in permitted(template, role):
            if action.startswith("s3:Put"):
                assert re.search(r"/[\w-]+/\*\"", json.dumps(files)), (name, files)


def test_an_api_checks_each_body_by_the_schema_of_what_is_posted_there(
    template: dict[str, Any],
) -> None:
    made = template["Resources"]
    for name, method in resources(template, "AWS::ApiGateway::Method"):
        if method["HttpMethod"] == "POST":
            path = made[method["ResourceId"]["Ref"]]["Properties"]["PathPart"]
            model = made[method["RequestModels"]["application/json"]["Ref"]]["Properties"]
            assert model["Schema"]["title"] == "".join(map(str.title, path[:-1].split("-"))), name
            assert model["Schema"]["required"], name
            validator = made[method["RequestValidatorId"]["Ref"]]["Properties"]
            assert validator["ValidateRequestBody"] is True, name


def test_a_service_that_may_send_is_limited_by_source(template: dict[str, Any]) -> None:
    found = [
        where
        for where, statement in allowed(template)
        if "Service" in (statement.get("Principal") or {})
        if where.endswith(".PolicyDocument")  # of a resource, not the trust of a role
        if not re.search(r"aws:Source(Arn|Account)", json.dumps(statement.get("Condition", {})))
    ]
    assert not found


def test_nobody_outside_the_account_is_let_in(template: dict[str, Any]) -> None:
    found = [
        where
        for where, statement in allowed(template)
        if statement.get("Principal") in ("*", {"AWS": "*"})
        if not statement.get("Condition")
    ]
    assert not found


def test_every_function_logs_to_a_group_of_the_stack(template: dict[str, Any]) -> None:
    elsewhere = [
        name
        for name, properties in resources(template, "AWS::Lambda::Function")
        if "LogGroup" not in properties.get("LoggingConfig", {})
    ]
    assert not elsewhere


def test_no_variable_of_a_function_holds_a_secret(template: dict[str, Any]) -> None:
    suspicious = re.compile(r"SECRET|PASSWORD|TOKEN|CREDENTIAL|API_?KEY", re.IGNORECASE)
    for name, properties in resources(template, "AWS::Lambda::Function"):
        variables = properties.get("Environment", {}).get("Variables", {})
        assert not [key for key in variables if suspicious.search(key)], name


def test_no_client_of_a_user_pool_uses_oauth(template: dict[str, Any]) -> None:
    # By default the CDK allows every flow, the implicit one too, and redirects to example.com.
    for logical_id, client in resources(template, "AWS::Cognito::UserPoolClient"):
        assert client["AllowedOAuthFlowsUserPoolClient"] is False, logical_id
        assert "CallbackURLs" not in client, logical_id
