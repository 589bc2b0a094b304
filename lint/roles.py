"""What a role of the template is used for, and whether its policies allow that."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import arns, policies, wiring
from .definitions import definition, tasks
from .template import REFERENCE, as_list, is_unknown

if TYPE_CHECKING:
    from .template import At, Resource, Scenario

ROLE, MANAGED = "AWS::IAM::Role", "AWS::IAM::ManagedPolicy"
# What AWS's own policies allow that send nothing and invoke nothing; others may allow anything.
READS_QUEUE = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
READS_STREAM = ("kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:ListShards")
SUBSCRIBES = ("kinesis:SubscribeToShard",)  # enhanced fan-out
READS_TABLE = ("dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:DescribeStream")
AWS_POLICIES: dict[str, tuple[str, ...]] = {
    "AWSLambdaBasicExecutionRole": (),
    "AmazonAPIGatewayPushToCloudWatchLogs": (),
    "AmazonS3ReadOnlyAccess": (),
    "AmazonSSMReadOnlyAccess": (),
    "CloudWatchLogsFullAccess": (),
    "AWSLambdaDynamoDBExecutionRole": READS_TABLE,
    "AWSLambdaKinesisExecutionRole": (*READS_STREAM, *SUBSCRIBES, "kinesis:DescribeStream*"),
    "AWSLambdaSQSQueueExecutionRole": READS_QUEUE,
    "AWSLambdaVPCAccessExecutionRole": (),
    "AWSXRayDaemonWriteAccess": (),
    "AWSXrayWriteOnlyAccess": (),
    "CloudWatchLambdaInsightsExecutionRolePolicy": (),
}
# What allows the use of a resource, by its type; one of them is enough.
USES = {
    "AWS::SQS::Queue": ("sqs:SendMessage",),
    "AWS::SNS::Topic": ("sns:Publish",),
    "AWS::Lambda::Function": ("lambda:InvokeFunction",),
    "AWS::Events::EventBus": ("events:PutEvents",),
    "AWS::S3::Bucket": ("s3:PutObject",),
    "AWS::Kinesis::Stream": ("kinesis:PutRecord", "kinesis:PutRecords"),
    "AWS::KinesisFirehose::DeliveryStream": ("firehose:PutRecord", "firehose:PutRecordBatch"),
    "AWS::StepFunctions::StateMachine": ("states:StartExecution",),
    "AWS::Serverless::StateMachine": ("states:StartExecution",),
    "AWS::DynamoDB::Table": ("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:BatchWriteItem"),
}
# What reading a source needs, by its type: all of them.
READS = {
    "AWS::SQS::Queue": READS_QUEUE,
    "AWS::Kinesis::Stream": READS_STREAM[:2],
    "AWS::DynamoDB::Table": READS_TABLE,
}
# The same by the service of a source outside of the template.
READS_OF = {
    "sqs": READS_QUEUE,
    "kinesis": READS_STREAM[:2],
    "dynamodb": READS_TABLE,
    "kafka": ("kafka:GetBootstrapBrokers",),
    "mq": ("mq:DescribeBroker",),
}
KEYS = {
    "AWS::Kinesis::Stream": "StreamEncryption.KeyId",
    "AWS::DynamoDB::Table": "SSESpecification.KMSMasterKeyId",
}
SYNCHRONOUS = ("states:StartSyncExecution",)
READ_KEY = "kms:Decrypt"
USE_KEY = "kms:GenerateDataKey"  # what sending to something encrypted needs besides
RESOURCE_POLICIES = (
    "AWS::SQS::QueuePolicy",
    "AWS::SQS::QueueInlinePolicy",
    "AWS::SNS::TopicPolicy",
    "AWS::SNS::TopicInlinePolicy",
    "AWS::S3::BucketPolicy",
    "AWS::Events::EventBusPolicy",
    "AWS::Kinesis::ResourcePolicy",
    "AWS::Lambda::Permission",
)

ON_FAILURE, ON_SUCCESS = (
    f"DestinationConfig.{on}.Destination" for on in ("OnFailure", "OnSuccess")
)
PIPE, DELIVERY = "AWS::Pipes::Pipe", "AWS::KinesisFirehose::DeliveryStream"
MACHINES = ("AWS::StepFunctions::StateMachine", "AWS::Serverless::StateMachine")
FIREHOSE, APIGATEWAY = "firehose.amazonaws.com", "apigateway.amazonaws.com"
STATES = "states.amazonaws.com"
# Where a resource names its role ("" for that of its function), the service that assumes it, what
# it sends to, and where it sends failures.
ROLES: dict[str, tuple[str, str, tuple[str, ...], tuple[str, ...]]] = {
    "AWS::Lambda::Function": ("Role", "lambda", (), ("DeadLetterConfig.TargetArn",)),
    "AWS::Lambda::EventInvokeConfig": ("", "lambda", (ON_SUCCESS,), (ON_FAILURE,)),
    "AWS::Lambda::EventSourceMapping": ("", "lambda", (), (ON_FAILURE,)),
    "AWS::Scheduler::Schedule": (
        "Target.RoleArn", "scheduler", ("Target.Arn",), ("Target.DeadLetterConfig.Arn",)
    ),
    "AWS::Pipes::Pipe": (
        "RoleArn",
        "pipes",
        ("Target", "Enrichment"),
        tuple(
            f"SourceParameters.{kind}StreamParameters.DeadLetterConfig.Arn"
            for kind in ("Kinesis", "DynamoDB")
        ),
    ),
    "AWS::SNS::Subscription": ("SubscriptionRoleArn", "sns", ("Endpoint",), ()),
}  # fmt: skip
# What API Gateway calls by a URI: the service, and the action or the path.
CALLED = re.compile(r":apigateway:[^/]*:([a-z0-9]+):(?:action/(\w+)|path/(.*))$")
FORM = re.compile(r"""\bAction(?:=|['"]*:\s*['"]*)(\w+)""")
# Actions of an API that send events, and what each needs.
API_ACTIONS = {
    "sqs": {"SendMessage": "sqs:SendMessage", "SendMessageBatch": "sqs:SendMessage"},
    "sns": {"Publish": "sns:Publish", "PublishBatch": "sns:Publish"},
    "states": {name: f"states:{name}" for name in ("StartExecution", "StartSyncExecution")},
    "events": {"PutEvents": "events:PutEvents"},
    "kinesis": {name: f"kinesis:{name}" for name in ("PutRecord", "PutRecords")},
    "firehose": {name: f"firehose:{name}" for name in ("PutRecord", "PutRecordBatch")},
    "dynamodb": {name: f"dynamodb:{name}" for name in ("PutItem", "UpdateItem", "BatchWriteItem")},
    "lambda": {"Invoke": "lambda:InvokeFunction"},
    "s3": {"PutObject": "s3:PutObject"},
}
OF_PATH = {("lambda", "POST"): "Invoke", ("s3", "PUT"): "PutObject"}
# What an HTTP API's integration calls, what names the target, and what that needs.
SUBTYPES = {
    "SQS-SendMessage": ("sqs", "QueueUrl", "sqs:SendMessage"),
    "EventBridge-PutEvents": ("events", "EventBusName", "events:PutEvents"),
    "Kinesis-PutRecord": ("kinesis", "StreamName", "kinesis:PutRecord"),
    "StepFunctions-StartExecution": ("states", "StateMachineArn", "states:StartExecution"),
    "StepFunctions-StartSyncExecution": ("states", "StateMachineArn", "states:StartSyncExecution"),
}
# What a schedule calls through the SDK, and what that needs.
SDK = re.compile(r":aws-sdk:(\w+:\w+)")
SDK_ACTIONS = {
    "sqs:sendmessage": ("sqs", "sqs:SendMessage"),
    "sns:publish": ("sns", "sns:Publish"),
    "lambda:invoke": ("lambda", "lambda:InvokeFunction"),
    "eventbridge:putevents": ("events", "events:PutEvents"),
    "kinesis:putrecord": ("kinesis", "kinesis:PutRecord"),
    "firehose:putrecord": ("firehose", "firehose:PutRecord"),
    "sfn:startexecution": ("states", "states:StartExecution"),
    "sfn:startsyncexecution": ("states", "states:StartSyncExecution"),
}
# What a task of a state machine calls, what names its target, and what that needs.
TASK = re.compile(r":states:::(\w+:\w+)")
INVOKED = ("lambda", "FunctionName", "lambda:InvokeFunction")  # a task that is a function, too
TASKS = {
    "sqs:sendMessage": ("sqs", "QueueUrl", "sqs:SendMessage"),
    "sns:publish": ("sns", "TopicArn", "sns:Publish"),
    "lambda:invoke": INVOKED,
    "dynamodb:putItem": ("dynamodb", "TableName", "dynamodb:PutItem"),
    "dynamodb:updateItem": ("dynamodb", "TableName", "dynamodb:UpdateItem"),
    "states:startExecution": ("states", "StateMachineArn", "states:StartExecution"),
}
# Where an action of an IoT rule names what it sends to.
IOT = {
    "Sqs": ("sqs", "QueueUrl"),
    "Sns": ("sns", "TargetArn"),
    "Kinesis": ("kinesis", "StreamName"),
    "Firehose": ("firehose", "DeliveryStreamName"),
    "S3": ("s3", "BucketName"),
    "StepFunctions": ("states", "StateMachineName"),
    "DynamoDBv2": ("dynamodb", "PutItem.TableName"),
    "DynamoDB": ("dynamodb", "TableName"),
}


@dataclass(frozen=True)
class Use:
    """A role that a service assumes to use a target, and the property that says so.

    Attributes:
        user: What is given the role.
        role: The role.
        service: The service principal that assumes it.
        target: What is used, as it is named there.
        at: The property that names it.
        does: What is done, such as ``sends to``.
        needs: What the role has to allow, one of each group. Default: what the target's type needs.
        failure: Whether it sends what failed.
    """

    user: Resource
    role: Resource
    service: str
    target: Any
    at: At
    does: str = "sends to"
    needs: tuple[tuple[str, ...], ...] = ()
    failure: bool = False


def uses(scenario: Scenario) -> Iterator[Use]:
    """Yield what the roles of the template are used for, as far as targets name the use."""
    for rule in wiring.rule_targets(scenario):
        role = scenario.find(rule.role, ROLE)
        if role:
            yield Use(rule.source, role, rule.service, rule.target, rule.at)
    for kind, (place, service, targets, failures) in ROLES.items():
        for user in scenario.of(kind):
            role = _role(scenario, user, place)
            for at in (*targets, *failures):
                where, failed = tuple(at.split(".")), at in failures
                if role:
                    yield Use(
                        user, role, f"{service}.amazonaws.com", user.get(at), where,
                        needs=_needs(scenario, user, at), failure=failed,
                    )  # fmt: skip
    for way in (_polls, _deliveries_of_firehose, _integrations, _actions, _calls, _tasks):
        yield from way(scenario)


def _role(scenario: Scenario, user: Resource, place: str) -> Resource | None:
    """Return the role that a property names; without a property, that of your function."""
    holder = user if place else scenario.function(user.get("FunctionName"))
    return scenario.find(holder.get(place or "Role"), ROLE) if holder else None


def waits(pipe: Resource, place: str) -> bool | None:
    """Tell whether a pipe waits for a state machine's answer; None when that is not known."""
    kind = pipe.get(f"{place}Parameters.StepFunctionStateMachineParameters.InvocationType")
    kind = "REQUEST_RESPONSE" if place == "Enrichment" else kind or "REQUEST_RESPONSE"
    return None if is_unknown(kind) else kind == "REQUEST_RESPONSE"


def express(machine: Resource) -> bool | None:
    """Tell whether a state machine is Express; None when that is not known."""
    place = "Type" if machine.type == "AWS::Serverless::StateMachine" else "StateMachineType"
    kind = machine.get(place) or "STANDARD"
    return {"STANDARD": False, "EXPRESS": True}.get(str(kind))


def _needs(scenario: Scenario, user: Resource, at: str) -> tuple[tuple[str, ...], ...]:
    """Return what a pipe needs to start a state machine; nothing for the default of the type."""
    machine = scenario.find(user.get(at), *MACHINES) if user.type == PIPE else None
    if machine is None:
        return ()
    starts, synchronously = USES[machine.type], waits(user, at)
    if synchronously is None or (synchronously and not express(machine)):
        return ((*starts, *SYNCHRONOUS),)
    return (SYNCHRONOUS if synchronously else starts,)


def _polls(scenario: Scenario) -> Iterator[Use]:
    """Yield what Lambda, Pipes and Firehose read with a role."""
    stream = "KinesisStreamSourceConfiguration"
    for kind, place, service, source in (
        ("AWS::Lambda::EventSourceMapping", "", "lambda", "EventSourceArn"),
        (PIPE, "RoleArn", "pipes", "Source"),
        (DELIVERY, f"{stream}.RoleARN", "firehose", f"{stream}.KinesisStreamARN"),
    ):
        for user in scenario.of(kind):
            role = _role(scenario, user, place)
            arn, at = user.get(source), tuple(source.split("."))
            found = scenario.find(arn, *READS)
            needed = READS[found.type] if found else READS_OF.get(arns.service(arn) or "", ())
            if scenario.find(arn, "AWS::Kinesis::StreamConsumer") or "/consumer/" in str(arn):
                needed = SUBSCRIBES
            if role and needed:
                needs = tuple((action,) for action in needed)
                yield Use(user, role, f"{service}.amazonaws.com", arn, at, "reads", needs)


def _deliveries_of_firehose(scenario: Scenario) -> Iterator[Use]:
    """Yield what delivery streams write to, and the functions that transform for them."""
    for stream in scenario.of(DELIVERY):
        for place in stream.properties:
            if not str(place).endswith("DestinationConfiguration"):
                continue
            for inner in ("", ".S3Configuration", ".S3BackupConfiguration"):
                settings = f"{place}{inner}"
                role = scenario.find(stream.get(f"{settings}.RoleARN"), ROLE)
                if role:
                    at, bucket = tuple(settings.split(".")), stream.get(f"{settings}.BucketARN")
                    yield Use(stream, role, FIREHOSE, bucket, (*at, "BucketARN"))
            for processor in stream.parts(f"{place}.ProcessingConfiguration.Processors"):
                given = {
                    str(item.get("ParameterName")): item.get("ParameterValue")
                    for item in processor.parts("Parameters")
                }
                role = scenario.find(given.get("RoleArn", stream.get(f"{place}.RoleARN")), ROLE)
                enabled = stream.flag(f"{place}.ProcessingConfiguration.Enabled")
                if role and enabled and given.get("LambdaArn"):
                    function = given["LambdaArn"]
                    yield Use(stream, role, FIREHOSE, function, processor.at, "transforms with")


def _integrations(scenario: Scenario) -> Iterator[Use]:
    """Yield what APIs call as a role."""
    for method in scenario.of("AWS::ApiGateway::Method"):
        role = scenario.find(method.get("Integration.Credentials"), ROLE)
        called = CALLED.search(str(method.get("Integration.Uri")))
        if not role or not called:
            continue
        service, action, path = called.groups()
        templates = str(method.get("Integration.RequestTemplates"))
        templates += str(method.get("Integration.RequestParameters"))
        verb = str(method.get("Integration.IntegrationHttpMethod"))
        name = action or OF_PATH.get((service, verb)) or _form_action(service, templates)
        allowed = API_ACTIONS.get(service, {}).get(name)
        if allowed:
            named = _only(scenario, path or templates, service)
            if service == "sqs" and path:
                named = _of(scenario, service, path.rsplit("/", 1)[-1])
            at = ("Integration", "Credentials")
            yield Use(method, role, APIGATEWAY, named, at, "calls", ((allowed,),))
    for integration in scenario.of("AWS::ApiGatewayV2::Integration"):
        role = scenario.find(integration.get("CredentialsArn"), ROLE)
        service, place, allowed = SUBTYPES.get(
            str(integration.get("IntegrationSubtype")), ("", "", "")
        )
        if role and service:
            target = _of(scenario, service, integration.get(f"RequestParameters.{place}"))
            where = ("CredentialsArn",)
            yield Use(integration, role, APIGATEWAY, target, where, "calls", ((allowed,),))


def _form_action(service: str, templates: str) -> str:
    """Return the action that a form-encoded request to SQS or SNS names."""
    found = FORM.search(templates)
    return found.group(1) if found and service in ("sqs", "sns") else ""


def _of(scenario: Scenario, service: str, value: Any) -> str | None:
    """Return a reference to the resource of a service that a value names; None for another one."""
    kinds = [kind for kind in USES if arns.NAMES[kind][1] == service]
    found = scenario.function(value) if service == "lambda" else scenario.find(value, *kinds)
    return f"${{{found.id}}}" if found else None


def _only(scenario: Scenario, text: str, service: str) -> str | None:
    """Return the one resource of a service that a request names; None when none or several are."""
    found = {
        item.id: f"${{{name}}}"
        for name, _ in REFERENCE.findall(text)
        if (item := target(scenario, f"${{{name}}}")) and arns.NAMES[item.type][1] == service
    }
    return next(iter(found.values())) if len(found) == 1 else None


def _actions(scenario: Scenario) -> Iterator[Use]:
    """Yield what IoT rules and log groups send to as a role."""
    for rule, action, failed in wiring.iot_actions(scenario):
        for name, (service, place) in IOT.items():
            role = scenario.find(action.get(f"{name}.RoleArn"), ROLE)
            if role:
                target = _of(scenario, service, action.get(f"{name}.{place}"))
                at = (*action.at, name)
                yield Use(rule, role, "iot.amazonaws.com", target, at, failure=failed)
    for item in scenario.of(wiring.LOGS):
        role = scenario.find(item.get("RoleArn"), ROLE)
        if role:
            target = item.get("DestinationArn")
            yield Use(item, role, "logs.amazonaws.com", target, ("DestinationArn",))


def _calls(scenario: Scenario) -> Iterator[Use]:
    """Yield what schedules call by the name of an action of the SDK."""
    for schedule in scenario.of("AWS::Scheduler::Schedule"):
        called = SDK.search(str(schedule.get("Target.Arn")))
        role = scenario.find(schedule.get("Target.RoleArn"), ROLE)
        service, allowed = (
            SDK_ACTIONS.get(called.group(1).lower(), ("", "")) if called else ("", "")
        )
        if role and service:
            named = _only(scenario, str(schedule.get("Target.Input")), service)
            at = ("Target", "Arn")
            yield Use(schedule, role, "scheduler.amazonaws.com", named, at, "calls", ((allowed,),))


def _tasks(scenario: Scenario) -> Iterator[Use]:
    """Yield what the tasks of state machines send to and invoke."""
    for machine in scenario.of(*MACHINES):
        place = "Role" if machine.type == "AWS::Serverless::StateMachine" else "RoleArn"
        role = scenario.find(machine.get(place), ROLE)
        for _, task in tasks(definition(machine)) if role else ():
            used = str(task.get("Resource"))
            called = TASK.search(used)
            given = task.get("Parameters", task.get("Arguments"))
            service, at, allowed = TASKS.get(called.group(1) if called else "", INVOKED)
            name = given.get(at) if called and isinstance(given, Mapping) else used
            known = _of(scenario, service, name)
            target = name if service == "lambda" and known else known
            if role and target and task.get("Credentials") is None:
                yield Use(machine, role, STATES, target, (), "calls", ((allowed,),))


def target(scenario: Scenario, value: Any) -> Resource | None:
    """Return what a value names, if it is something that can be sent to, invoked or read."""
    return scenario.function(value) or scenario.find(value, *USES, *READS)


def lacks(scenario: Scenario, use: Use) -> tuple[str, bool] | None:
    """Return what the role of a use lacks, and whether a policy denies it; None when it may."""
    used = target(scenario, use.target)
    documents = list(_documents(scenario, use.role))
    if None in documents or (used is None and not use.needs):
        return None
    if scenario.hides_permissions(use.role, used):
        return None
    for group in use.needs or (USES[used.type],) if used else use.needs:
        if used and _opened_by_its_own_policy(scenario, use, used, group[0]):
            continue
        if not any(_grants(scenario, documents, action, used, use.target) for action in group):
            request = policies.Request(group[0], used, use.target)
            denied = any(policies.denies(scenario, document, request) for document in documents)
            return f"{group[0]} on {used}" if used else group[0], denied
    key = wiring.key(scenario, _key_of(used)) if used else None
    if key is None or not _leaves_it_to_roles(key):
        return None
    action = READ_KEY if use.does == "reads" else USE_KEY
    granted = _grants(scenario, documents, action, key)
    return None if granted else (f"{action} on {key.id}", False)


def _grants(
    scenario: Scenario, documents: list[Any], action: str, used: Resource | None, name: Any = None
) -> bool:
    return policies.allows(scenario, documents, policies.Request(action, used, name))


def _key_of(used: Resource) -> Any:
    """Return what names the key that encrypts a resource."""
    for rule in used.parts("BucketEncryption.ServerSideEncryptionConfiguration"):
        return rule.get("ServerSideEncryptionByDefault.KMSMasterKeyID")
    return used.get(KEYS.get(used.type, "KmsMasterKeyId"))


def _leaves_it_to_roles(key: Resource) -> bool:
    """Tell whether a key's policy names no principal but the account itself and services."""
    listed = policies.statements(key.get("KeyPolicy"))
    allowed = [item.get("Principal") for item in listed or [{}] if item.get("Effect") != "Deny"]
    named = [item if isinstance(item, Mapping) else {"AWS": item} for item in allowed]
    accounts = [name for item in named for name in as_list(item.get("AWS", []))]
    return all(set(item) <= {"AWS", "Service"} for item in named) and all(
        str(name).endswith(":root") for name in accounts
    )


def _documents(scenario: Scenario, role: Resource) -> Iterator[Any]:
    """Yield the documents of a role's policies; None for one that cannot be seen."""
    for policy in as_list(role.get("Policies")):
        yield policy.get("PolicyDocument") if isinstance(policy, Mapping) else None
    for arn in as_list(role.get("ManagedPolicyArns")):
        managed, known = scenario.find(arn, MANAGED), AWS_POLICIES.get(str(arn).rsplit("/", 1)[-1])
        if managed or known is None:
            yield managed.get("PolicyDocument") if managed else None
        else:
            yield {"Statement": {"Effect": "Allow", "Action": [*known], "Resource": "*"}}
    for policy in scenario.of("AWS::IAM::Policy", "AWS::IAM::RolePolicy", MANAGED):
        for name in as_list(policy.get("Roles")) + as_list(policy.get("RoleName")):
            holder = scenario.find(name, ROLE)
            if holder is None:
                yield None  # it may be this role
            elif holder is role:
                yield policy.get("PolicyDocument")


def _opened_by_its_own_policy(scenario: Scenario, use: Use, used: Resource, action: str) -> bool:
    """Tell whether a policy of the resource may allow the role."""
    request = policies.Request(action, used, use.target, role=use.role)
    for policy in scenario.of(*RESOURCE_POLICIES):
        if used.id not in str(policy.properties) and not is_unknown(policy.properties):
            continue
        if policy.type == "AWS::Lambda::Permission":
            if not policies.SERVICE.fullmatch(str(policy.get("Principal"))):
                return True
        elif policies.allows(scenario, [policy.get("PolicyDocument")], request):
            return True
    return False
