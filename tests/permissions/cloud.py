"""A template as it would be deployed: physical names and ARNs in place of references, policies."""

from __future__ import annotations

import json
import re
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

ACCOUNT, OTHER_ACCOUNT, REGION = "111122223333", "444455556666", "eu-central-1"
PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/s/0a1b2c3d-0000-4000-8000-0a",
    "AWS::StackName": "s",
    "AWS::URLSuffix": "amazonaws.com",
}
# Where a resource is named, and what its ARN has: the service, and what is before the name.
NAMES = {
    "AWS::CloudWatch::Alarm": ("AlarmName", "cloudwatch", "alarm:"),
    "AWS::DynamoDB::Table": ("TableName", "dynamodb", "table/"),
    "AWS::Events::ApiDestination": ("Name", "events", "api-destination/"),
    "AWS::Events::EventBus": ("Name", "events", "event-bus/"),
    "AWS::Events::Rule": ("Name", "events", "rule/"),
    "AWS::IAM::Role": ("RoleName", "iam", "role/"),
    "AWS::KMS::Key": ("-", "kms", "key/"),
    "AWS::Kinesis::Stream": ("Name", "kinesis", "stream/"),
    "AWS::KinesisFirehose::DeliveryStream": ("DeliveryStreamName", "firehose", "deliverystream/"),
    "AWS::Lambda::Function": ("FunctionName", "lambda", "function:"),
    "AWS::Logs::LogGroup": ("LogGroupName", "logs", "log-group:"),
    "AWS::S3::Bucket": ("BucketName", "s3", ""),
    "AWS::SNS::Topic": ("TopicName", "sns", ""),
    "AWS::SQS::Queue": ("QueueName", "sqs", ""),
    "AWS::SecretsManager::Secret": ("Name", "secretsmanager", "secret:"),
    "AWS::Scheduler::ScheduleGroup": ("Name", "scheduler", "schedule-group/"),
    "AWS::StepFunctions::StateMachine": ("StateMachineName", "states", "stateMachine:"),
}
ARN_IS_REF = (
    "AWS::IAM::ManagedPolicy", "AWS::SNS::Topic", "AWS::SecretsManager::Secret",
    "AWS::StepFunctions::StateMachine",
)  # fmt: skip
GLOBAL = ("iam", "s3")
# Resource policies: where each names what it is of, and where it has its document.
POLICIES = {
    "AWS::SQS::QueuePolicy": "Queues",
    "AWS::SNS::TopicPolicy": "Topics",
    "AWS::S3::BucketPolicy": "Bucket",
}
# AWS's own policies. Source:
# https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSLambdaBasicExecutionRole.html
LOGS = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
MANAGED: dict[str, Any] = {
    "AWSLambdaBasicExecutionRole": {
        "Statement": [{"Effect": "Allow", "Action": LOGS, "Resource": "*"}]
    },
    "AWSCodeDeployRoleForLambdaLimited": {"Statement": []},
}
Document = dict[str, Any]


class Cloud:
    """A template with every reference resolved.

    Attributes:
        properties: Of each resource, by its logical id.
        types: The type of each resource.
        policies: Each policy of the template, by a name of ours.
        identity: The names of the policies of each role, by the role's ARN.
        resource: The name of the policy of each resource that has one, by the resource's ARN.
    """

    def __init__(self, template: Mapping[str, Any]) -> None:
        self._raw = template["Resources"]
        self._parameters = template.get("Parameters", {})
        self.types = {name: resource["Type"] for name, resource in self._raw.items()}
        self.properties: dict[str, dict[str, Any]] = {
            name: self._resolve(resource.get("Properties", {}))
            for name, resource in self._raw.items()
        }
        self.policies: dict[str, Document] = {}
        self.identity: dict[str, list[str]] = {}
        self.resource: dict[str, str] = {}
        for name, kind in self.types.items():
            self._collect(name, kind, self.properties[name])

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the properties of the resources of a type."""
        return {name: self.properties[name] for name, its in self.types.items() if its == kind}

    def arn(self, name: str) -> str:
        """Return the ARN of a resource."""
        kind = self.types[name]
        if kind == "AWS::Lambda::Alias":
            function = self._resolve(self._raw[name]["Properties"]["FunctionName"])
            return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}:{self._physical(name)}"
        bus = self._resolve(self._raw[name].get("Properties", {}).get("EventBusName", "default"))
        if kind == "AWS::Events::Rule" and bus != "default":
            return f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{bus}/{self._physical(name)}"
        _, service, before = NAMES.get(kind, ("", kind.split("::")[1].lower(), f"{kind}/"))
        place = ":" if service in GLOBAL[1:] else f"{REGION}:{ACCOUNT}"
        place = f":{ACCOUNT}" if service == "iam" else place
        return f"arn:aws:{service}:{place}:{before}{self._physical(name)}"

    def named(self, value: Any) -> str | None:
        """Return the id of the resource that a name, a URL or an ARN is of."""
        return self._names.get(str(value).removesuffix(":*"))

    @cached_property
    def _names(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for name in self.types:
            arn = self.arn(name)
            found |= {arn: name, self._physical(name): name, str(self._ref(name)): name}
        return found

    def _physical(self, name: str) -> str:
        place = NAMES.get(self.types[name], ("Name", "", ""))[0]
        given = self._raw[name].get("Properties", {}).get(place)
        return str(self._resolve(given)) if given else name

    def _ref(self, name: str) -> Any:
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self._parameters:
            return self._parameters[name].get("Default", name)
        kind = self.types[name]
        if kind in (*ARN_IS_REF, "AWS::Lambda::Alias", "AWS::Lambda::Version"):
            return self.arn(name)
        if kind == "AWS::SQS::Queue":
            return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{self._physical(name)}"
        return self._physical(name)

    def _attribute(self, name: str, attribute: str) -> str:
        if attribute == "Arn":
            return self.arn(name) + (":*" if self.types[name] == "AWS::Logs::LogGroup" else "")
        if attribute == "StreamArn":
            return f"{self.arn(name)}/stream/2026-11-26T00:00:00.000"
        if attribute.endswith("SecretArn"):
            return f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}"
        names = ("QueueName", "TopicName", "Name")
        return self._physical(name) if attribute in names else f"{name}.{attribute}"

    def _resolve(self, value: Any) -> Any:
        match value:
            case {"Ref": str(name)}:
                return self._ref(name)
            case {"Fn::GetAtt": [str(name), str(attribute)]}:
                return self._attribute(name, attribute)
            case {"Fn::Join": [str(between), listed]}:
                return between.join(map(str, self._resolve(listed)))
            case {"Fn::Split": [str(at), text]}:
                return self._resolve(text).split(at)
            case {"Fn::Select": [number, listed]}:
                return self._resolve(listed)[int(number)]
            case {"Fn::Sub": str(text)}:
                return re.sub(r"\$\{([\w:]+)\}", lambda one: str(self._ref(one[1])), text)
            case {"Fn::If": [_, _, otherwise]}:
                return self._resolve(otherwise)
            case {"Fn::ImportValue": name}:
                return self._resolve(name)
            case {"Fn::GetAZs": _}:
                return [f"{REGION}{zone}" for zone in "abc"]
            case dict():
                assert not [key for key in value if key.startswith("Fn::")], f"resolve {value}"
                return {key: self._resolve(item) for key, item in value.items()}
            case list():
                return [self._resolve(item) for item in value]
        return value

    def _collect(self, name: str, kind: str, properties: Mapping[str, Any]) -> None:
        if kind == "AWS::IAM::Role":
            arn = self.arn(name)
            self.policies[f"{name} trust"] = properties["AssumeRolePolicyDocument"]
            self.resource[arn] = f"{name} trust"
            own = self.identity.setdefault(arn, [])
            for managed in properties.get("ManagedPolicyArns", []):
                short = managed.rsplit("/", 1)[-1]
                self.policies[f"AWS {short}"] = MANAGED[short]
                own.append(f"AWS {short}")
            for inline in properties.get("Policies", []):
                self.policies[f"{name} {inline['PolicyName']}"] = inline["PolicyDocument"]
                own.append(f"{name} {inline['PolicyName']}")
        elif kind == "AWS::IAM::Policy":
            self.policies[name] = properties["PolicyDocument"]
            for role in properties["Roles"]:
                arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
                self.identity.setdefault(arn, []).append(name)
        elif kind == "AWS::KMS::Key":
            self.policies[name] = properties["KeyPolicy"]
            self.resource[self.arn(name)] = name
        elif kind in POLICIES:
            self.policies[name] = properties["PolicyDocument"]
            of = properties[POLICIES[kind]]
            for one in of if isinstance(of, list) else [of]:
                self.resource[self.arn(self.named(one) or "")] = name
        elif kind == "AWS::Lambda::Permission":
            arn = self.arn(self.named(properties["FunctionName"]) or "")
            self.resource[arn] = f"{arn} permissions"
            document = self.policies.setdefault(self.resource[arn], {"Statement": []})
            document["Statement"].append(_permission(properties, arn))
        elif kind.endswith(("Policy", "Permission")):
            raise NotImplementedError(f"{kind}: say in POLICIES what it is of")

    def definition(self, name: str) -> Any:
        """Return the definition of a state machine, with its substitutions."""
        text = self.properties[name]["DefinitionString"]
        for key, value in self.properties[name].get("DefinitionSubstitutions", {}).items():
            text = text.replace(f"${{{key}}}", str(value))
        return json.loads(text)


def _permission(properties: Mapping[str, Any], function: str) -> Document:
    """Return the statement that a permission of a function is."""
    source = {
        "ArnLike": {"aws:SourceArn": properties.get("SourceArn")},
        "StringEquals": {"aws:SourceAccount": properties.get("SourceAccount")},
        "StringLike": {"lambda:FunctionUrlAuthType": properties.get("FunctionUrlAuthType")},
        "Bool": {"lambda:InvokedViaFunctionUrl": properties.get("InvokedViaFunctionUrl")},
    }
    conditions = {key: each for key, each in source.items() if None not in each.values()}
    anybody = properties["Principal"] == "*"
    return {
        "Effect": "Allow",
        "Principal": "*" if anybody else {"Service": properties["Principal"]},
        "Action": properties["Action"],
        "Resource": function,
        **({"Condition": conditions} if conditions else {}),
    }
