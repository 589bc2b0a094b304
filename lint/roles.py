"""What a role of the template is used for, and whether its policies allow that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import wiring
from .template import REFERENCE, as_list, is_unknown

if TYPE_CHECKING:
    from .template import At, Resource, Scenario

ROLE, MANAGED = "AWS::IAM::Role", "AWS::IAM::ManagedPolicy"
# Policies of AWS itself that allow nothing to be sent, published or invoked.
SILENT = {
    "AWSLambdaBasicExecutionRole",
    "AWSLambdaDynamoDBExecutionRole",
    "AWSLambdaKinesisExecutionRole",
    "AWSLambdaSQSQueueExecutionRole",
    "AWSLambdaVPCAccessExecutionRole",
    "AWSXRayDaemonWriteAccess",
    "AWSXrayWriteOnlyAccess",
    "CloudWatchLambdaInsightsExecutionRolePolicy",
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
    "AWS::StepFunctions::StateMachine": ("states:StartExecution", "states:StartSyncExecution"),
    "AWS::Serverless::StateMachine": ("states:StartExecution", "states:StartSyncExecution"),
}
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
S3 = "ExtendedS3DestinationConfiguration"
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
    "AWS::KinesisFirehose::DeliveryStream": (
        f"{S3}.RoleARN", "firehose", (f"{S3}.BucketARN",), ()
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Use:
    """A role that a service assumes to use a target, and the property that says so."""

    user: Resource
    role: Resource
    service: str
    target: Any
    at: At
    failure: bool = False


def uses(scenario: Scenario) -> Iterator[Use]:
    """Yield what the roles of the template are used for, as far as targets name the use."""
    for rule in wiring.rule_targets(scenario):
        role = scenario.find(rule.role, ROLE)
        if role:
            yield Use(rule.source, role, rule.service, rule.target, rule.at)
    for kind, (place, service, targets, failures) in ROLES.items():
        for user in scenario.of(kind):
            holder = user if place else scenario.function(user.get("FunctionName"))
            role = scenario.find(holder.get(place or "Role"), ROLE) if holder else None
            for at in (*targets, *failures):
                where, failed = tuple(at.split(".")), at in failures
                if role:
                    yield Use(user, role, f"{service}.amazonaws.com", user.get(at), where, failed)


def target(scenario: Scenario, value: Any) -> Resource | None:
    """Return what a value names, if it is something that can be sent to or invoked."""
    return scenario.function(value) or scenario.find(value, *USES)


def lacks(scenario: Scenario, role: Resource, used: Resource) -> str | None:
    """Return what a role lacks to use a resource; None when it may have it."""
    statements = _statements(scenario, role)
    if statements is None or _opened_by_its_own_policy(scenario, used):
        return None
    actions = USES[used.type]
    if not any(_grants(scenario, item, action, used) for item in statements for action in actions):
        return f"{actions[0]} on {used.id}"
    key = wiring.key(scenario, used.get("KmsMasterKeyId"))
    if key is None or not _leaves_it_to_roles(key):
        return None
    granted = any(_grants(scenario, item, USE_KEY, key) for item in statements)
    return None if granted else f"{USE_KEY} on {key.id}"


def _leaves_it_to_roles(key: Resource) -> bool:
    """Tell whether a key's policy names no principal but the account itself and services."""
    listed = wiring.statements(key.get("KeyPolicy"))
    allowed = [item.get("Principal") for item in listed or [{}] if item.get("Effect") != "Deny"]
    named = [item if isinstance(item, Mapping) else {"AWS": item} for item in allowed]
    accounts = [name for item in named for name in as_list(item.get("AWS", []))]
    return all(set(item) <= {"AWS", "Service"} for item in named) and all(
        str(name).endswith(":root") for name in accounts
    )


def _statements(scenario: Scenario, role: Resource) -> list[Mapping[str, Any]] | None:
    """Return the statements of all policies of a role; None when one of them cannot be seen."""
    found: list[Mapping[str, Any]] = []
    for document in _documents(scenario, role):
        listed = wiring.statements(document)
        if listed is None:
            return None
        found += listed
    return found


def _documents(scenario: Scenario, role: Resource) -> Iterator[Any]:
    """Yield the documents of a role's policies; None for one that cannot be seen."""
    if scenario.has_hidden_permissions:
        yield None
    for policy in as_list(role.get("Policies")):
        yield policy.get("PolicyDocument") if isinstance(policy, Mapping) else None
    for arn in as_list(role.get("ManagedPolicyArns")):
        managed = scenario.find(arn, MANAGED)
        if managed or str(arn).rsplit("/", 1)[-1] not in SILENT:
            yield managed.get("PolicyDocument") if managed else None
    for policy in scenario.of("AWS::IAM::Policy", "AWS::IAM::RolePolicy", MANAGED):
        for name in as_list(policy.get("Roles")) + as_list(policy.get("RoleName")):
            holder = scenario.find(name, ROLE)
            if holder is None:
                yield None  # it may be this role
            elif holder is role:
                yield policy.get("PolicyDocument")


def _opened_by_its_own_policy(scenario: Scenario, used: Resource) -> bool:
    """Tell whether a policy of the resource may allow the role."""
    for policy in scenario.of(*RESOURCE_POLICIES):
        if f"${{{used.id}" not in str(policy.properties):
            continue
        if policy.type == "AWS::Lambda::Permission":
            if not str(policy.get("Principal")).endswith(".amazonaws.com"):
                return True
            continue
        listed = wiring.statements(policy.get("PolicyDocument")) or [{}]
        if any(map(wiring.allows_an_account, listed)):
            return True
    return False


def _grants(scenario: Scenario, statement: Mapping[str, Any], action: str, used: Resource) -> bool:
    if statement.get("Effect") != "Allow":
        return is_unknown(statement.get("Effect"))
    if "Action" not in statement or "Resource" not in statement:
        return True  # NotAction, NotResource
    unknown = is_unknown(as_list(statement["Action"]))
    if not unknown and not wiring.allows(statement, action):
        return False
    return any(_covers(scenario, text, used) for text in as_list(statement["Resource"]))


def _covers(scenario: Scenario, text: Any, used: Resource) -> bool:
    """Tell whether a Resource may be the one used: not when it names others of the template."""
    names = [name for name, _ in REFERENCE.findall(text)] if isinstance(text, str) else []
    named = [item for name in names if (item := target(scenario, f"${{{name}}}"))]
    return used in named or len(named) < max(len(names), 1)
