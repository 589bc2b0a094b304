"""The arrows of a stack, from its template: which request each is, and which must be refused."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from tests.velocity import everything, methods, render

from .cloud import ACCOUNT, OTHER_ACCOUNT, REGION, Cloud
from .code import calls
from .judge import ADMIN, NOBODY, STRANGER, Request

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# What Lambda does with a function's role to read a queue. Source:
# https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSLambdaSQSQueueExecutionRole.html
READ_QUEUE = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
# https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSLambdaKinesisExecutionRole.html,
# AWSLambdaDynamoDBExecutionRole.html
READ_SHARDS = {
    "kinesis": (
        "DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards",
    ),
    "dynamodb": ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"),
}  # fmt: skip
EVENTS = "events.amazonaws.com"
# What it takes to use a target, by the service in its ARN.
USES = {
    "sqs": "sqs:SendMessage",
    "sns": "sns:Publish",
    "lambda": "lambda:InvokeFunction",
    "states": "states:StartExecution",
    "events": "events:PutEvents",
    "api-destination": "events:InvokeApiDestination",
    "kinesis": "kinesis:PutRecord",
    "firehose": "firehose:PutRecord",
}
READ_STREAM = (
    "kinesis:DescribeStream",
    "kinesis:GetShardIterator",
    "kinesis:GetRecords",
    "kinesis:ListShards",
)
# https://docs.aws.amazon.com/sns/latest/dg/prereqs-kinesis-data-firehose.html
PUT_BY_TOPIC = (
    "firehose:DescribeDeliveryStream",
    "firehose:ListTagsForDeliveryStream",
    "firehose:PutRecordBatch",
)
READ_TABLE = ("glue:GetTable", "glue:GetTableVersion", "glue:GetTableVersions")
# https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html#using-iam-s3
ON_BUCKET = ("s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads")
ON_OBJECT = ("s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject")
# https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
DELIVER_LOGS = (
    *(f"logs:{verb}LogDelivery" for verb in ("Create", "Get", "Update", "Delete")),
    *(f"logs:{what}" for what in ("ListLogDeliveries", "PutResourcePolicy")),
    *(f"logs:Describe{what}" for what in ("ResourcePolicies", "LogGroups")),
)
WRITE_LOGS = ("logs:CreateLogStream", "logs:PutLogEvents")
TRACE = ("xray:PutTraceSegments", "xray:PutTelemetryRecords")
# https://docs.aws.amazon.com/step-functions/latest/dg/concepts-xray-tracing.html
SAMPLE = (*TRACE, "xray:GetSamplingRules", "xray:GetSamplingTargets")
# What the CDK's function empties a bucket with.
EMPTY = ("s3:GetBucketTagging", "s3:ListBucketVersions", "s3:PutBucketPolicy", "s3:DeleteObject")
WRITES = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem"} | {
    "ConditionCheck": "ConditionCheckItem",
    "Get": "GetItem",
}
# What only a call with this text needs.
ONLY_WITH = {
    "GetObjectVersion": "VersionId",
    "ListBucket": "NoSuchKey",
    "ListBucketVersions": "list_object_versions",
}
# What a call of boto3 needs, by the resource's service.
CALLS: dict[str, dict[str, tuple[str, ...]]] = {
    "dynamodb": {
        "put_item": ("PutItem",),
        "get_item": ("GetItem",),
        "query": ("Query",),
        "update_item": ("UpdateItem",),
        "batch_get_item": ("BatchGetItem",),
        "batch_write_item": ("BatchWriteItem",),
        "transact_write_items": ("Put", "Update", "Delete", "ConditionCheck"),
        "transact_get_items": ("Get",),
    },
    "sqs": {
        "send_message": ("SendMessage",),
        "send_message_batch": ("SendMessage",),
        "delete_message_batch": ("DeleteMessage",),
        "change_message_visibility": ("ChangeMessageVisibility",),
        "change_message_visibility_batch": ("ChangeMessageVisibility",),
    },
    "sns": {
        "publish": ("Publish",),
        "publish_batch": ("Publish",),
        "confirm_subscription": ("ConfirmSubscription",),
    },
    "secretsmanager": {"get_secret_value": ("GetSecretValue",)},
    "s3": {
        "put_object": ("PutObject",),
        # ListBucket: or a missing object is one that may not be read.
        "get_object": ("GetObject", "GetObjectVersion", "ListBucket"),
        "delete_objects": ("DeleteObject",),
        "generate_presigned_url": ("PutObject",),  # who signs must be allowed what it signs
        "paginate": ("ListBucketVersions",),
    },
    "kinesis": {"put_record": ("PutRecord",), "put_records": ("PutRecords",)},
    "events": {"put_events": ("PutEvents",)},
    "lambda": {"invoke": ("InvokeFunction",)},
    "states": {
        name: ("".join(word.capitalize() for word in name.split("_")),)
        for name in (
            "start_execution",
            "describe_execution",
            "send_task_success",
            "send_task_failure",
            "send_task_heartbeat",
        )
    },
}

# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/data-api.access.html
STATEMENTS = {
    f"{first}_{second}": f"rds-data:{first.capitalize()}{second.capitalize()}"
    for first, second in (
        ("execute", "statement"),
        ("begin", "transaction"),
        ("commit", "transaction"),
        ("rollback", "transaction"),
    )
}


def arrows(cloud: Cloud) -> list[Request]:
    """Return every request that a stack makes of AWS, its own people's among them."""
    found: list[Request] = []
    for way in (_trusts, _functions, _mappings, _destinations, _entries, _proxies, _subscriptions):
        found += way(cloud)
    for way in (
        _statements,
        _urls,
        _notifications,
        _buses,
        _rules,
        _schedules,
        _planners,
        _workers,
        _requests,
        _channels,
        _graphql,
        _routes,
        _alarms,
        _deliveries,
        _machines,
        _cleaners,
        _people,
    ):
        found += way(cloud)
    keyed = [request for one in found for request in _keys(cloud, one)]
    return list({str(one): one for one in found + keyed}.values())


def _role(cloud: Cloud, function: Any) -> str:
    name = cloud.named(function) or ""
    if cloud.types[name] != "AWS::Lambda::Function":
        return _role(cloud, cloud.properties[name]["FunctionName"])
    return str(cloud.properties[name]["Role"])


def _all(who: str, actions: Any, on: str, of: str = "") -> list[Request]:
    return [Request(who, action, on, of=of) for action in actions]


def of_source(arn: str) -> dict[str, str]:
    """Return how a service says for what it sends a request."""
    return {"aws:SourceArn": arn, "aws:SourceAccount": ACCOUNT}


def _trusts(cloud: Cloud) -> Iterator[Request]:
    """A service assumes the role that a resource names, for that resource."""
    users: dict[str, tuple[str, dict[str, str]]] = {}
    for name, kind in cloud.types.items():
        text = json.dumps(cloud.properties[name])
        roles = {role for role in cloud.identity if f'"{role}"' in text}
        service, source = {
            "AWS::Lambda::Function": ("lambda", False),
            "AWS::ApiGateway::Method": ("apigateway", False),
            "AWS::ApiGateway::Account": ("apigateway", False),
            "AWS::AppSync::GraphQLApi": ("appsync", False),
            "AWS::KinesisFirehose::DeliveryStream": ("firehose", True),
            "AWS::StepFunctions::StateMachine": ("states", True),
            "AWS::CodeDeploy::DeploymentGroup": ("codedeploy", False),
            "AWS::Events::Rule": ("events", False),
            "AWS::Scheduler::Schedule": ("scheduler", True),
            "AWS::SNS::Subscription": ("sns", False),
        }.get(kind, ("", False))
        arn = cloud.arn(name)
        if kind == "AWS::Scheduler::Schedule":  # it says for which group of schedules
            group = cloud.properties[name].get("GroupName", "default")
            arn = f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule-group/{group}"
        if service:
            users |= {role: (service, of_source(arn) if source else {}) for role in roles}
    for role, (service, context) in users.items():
        yield Request(f"{service}.amazonaws.com", "sts:AssumeRole", role, context)


def _functions(cloud: Cloud) -> Iterator[Request]:
    for properties in cloud.of("AWS::Lambda::Function").values():
        role = str(properties["Role"])
        if group := properties.get("LoggingConfig", {}).get("LogGroup"):
            stream = f"{cloud.arn(cloud.named(group) or '')}:log-stream:2026/11/26/[1]"
            yield from _all(role, WRITE_LOGS, stream)
        if properties.get("TracingConfig"):
            yield from _all(role, TRACE, "*")
        yield from _calls(cloud, properties)


def _calls(cloud: Cloud, properties: Mapping[str, Any]) -> Iterator[Request]:
    """What a function's code calls, on the resources that its environment names."""
    made, texts = calls(properties["Handler"])
    named = {
        variable: cloud.arn(name) if (name := cloud.named(value)) else str(value)
        for variable, value in properties.get("Environment", {}).get("Variables", {}).items()
    }
    for variable, arn in named.items():
        service = arn.split(":")[2] if arn.startswith("arn:") else ""
        for call in made:
            if call.variables and variable not in call.variables:
                continue
            for action in CALLS.get(service, {}).get(call.method, ()):
                only_with = action if action in WRITES else ONLY_WITH.get(action)
                if only_with and only_with not in texts:
                    continue
                on = arn
                index = properties["Environment"]["Variables"].get("INDEX_NAME")
                if action == "Query" and index:
                    on = f"{arn}/index/{index}"
                if service == "s3" and not action.startswith("List"):
                    on = f"{arn}/{_object(cloud, properties, call.key)}"
                on = _execution(arn) if action == "DescribeExecution" else on
                does = f"{service}:{WRITES.get(action, action)}"
                says = _published(cloud, texts) if service == "events" else [{}]
                yield from (
                    Request(properties["Role"], does, on, of=arn, context=one) for one in says
                )


def _statements(cloud: Cloud) -> Iterator[Request]:
    """A function runs statements by the Data API, which reads its secret for it."""
    for properties in cloud.of("AWS::Lambda::Function").values():
        variables = properties.get("Environment", {}).get("Variables", {})
        if cluster := variables.get("CLUSTER_ARN"):
            methods = {call.method for call in calls(properties["Handler"])[0]}
            actions = [action for method, action in STATEMENTS.items() if method in methods]
            yield from _all(properties["Role"], actions, cluster)
            yield Request(
                properties["Role"], "secretsmanager:GetSecretValue", variables["SECRET_ARN"]
            )


def _published(cloud: Cloud, texts: frozenset[str]) -> list[dict[str, str]]:
    """What code says of the events that it publishes: a source and a type that a rule waits for."""
    patterns = [rule.get("EventPattern", {}) for rule in cloud.of("AWS::Events::Rule").values()]
    said = {
        (source, kind)
        for pattern in patterns
        for source in pattern.get("source", [])
        for kind in pattern.get("detail-type", [])
        if {str(source), str(kind)} <= texts
    }
    return [{"events:source": source, "events:detail-type": kind} for source, kind in sorted(said)]


def _object(cloud: Cloud, function: Mapping[str, Any], key: str) -> str:
    """Return a key that a call is about: unless it is known, one that the function is told of."""
    own = [] if key else [one for one in cloud.types if cloud.properties[one] is function]
    queues = [
        one["EventSourceArn"]
        for one in cloud.of("AWS::Lambda::EventSourceMapping").values()
        if cloud.named(one["FunctionName"]) in own
    ]
    told = [*queues, *map(cloud.arn, own)]
    for bucket in cloud.of("AWS::S3::Bucket").values():
        found = bucket.get("NotificationConfiguration", {})
        kinds = [found.get(f"{kind}Configurations", ()) for kind in ("Queue", "Lambda")]
        for one in chain(*kinds):
            if (one.get("Queue") or one["Function"]) in told:
                rules = one.get("Filter", {}).get("S3Key", {}).get("Rules", ())
                ends = {rule["Name"]: rule["Value"] for rule in rules}
                return f"{ends.get('prefix', '')}x{ends.get('suffix', '')}"
    for rule in cloud.of("AWS::Events::Rule").values():
        if any(target["Arn"] in queues for target in rule.get("Targets", ())):
            [one] = rule["EventPattern"]["detail"]["object"]["key"]
            return str(one["wildcard"]).replace("*", "x")
    prefix = function.get("Environment", {}).get("Variables", {}).get("PREFIX", "")
    return f"{key}x" if key else f"{prefix}x"


def _execution(machine: str) -> str:
    return machine.replace(":stateMachine:", ":execution:") + ":its-name"


def _mappings(cloud: Cloud) -> Iterator[Request]:
    for properties in cloud.of("AWS::Lambda::EventSourceMapping").values():
        role, queue = _role(cloud, properties["FunctionName"]), properties["EventSourceArn"]
        service = queue.split(":")[2]
        reads = [f"{service}:{one}" for one in READ_SHARDS.get(service, ())]
        yield from _all(role, reads or READ_QUEUE, queue)
        failed = properties.get("DestinationConfig", {}).get("OnFailure", {})
        yield from _sends(role, failed["Destination"]) if failed else ()


def _destinations(cloud: Cloud) -> Iterator[Request]:
    for properties in cloud.of("AWS::Lambda::EventInvokeConfig").values():
        for one in properties["DestinationConfig"].values():
            yield from _sends(_role(cloud, properties["FunctionName"]), one["Destination"])
    for properties in cloud.of("AWS::Lambda::Function").values():
        if target := properties.get("DeadLetterConfig", {}).get("TargetArn"):
            yield from _sends(str(properties["Role"]), target)


def _sends(role: str, target: str) -> list[Request]:
    return [Request(role, USES[target.split(":")[2]], target)]


def _entries(cloud: Cloud) -> Iterator[Request]:
    resolved = {
        "Resources": {
            name: {"Type": kind, "Properties": cloud.properties[name]}
            for name, kind in cloud.types.items()
        }
    }
    for method in methods(resolved):
        role = cloud.properties[method.name]["Integration"]["Credentials"]
        called = re.search(r":(\w+):(?:action/(\w+)|path/\d+/(.+))$", method.calls)
        assert called, method.calls
        for template in method.requests.values():
            text = render(template, everything("its-name", template)).text
            if called[1] == "sqs":
                action, queue = re.findall(r"Action=(\w+)", text)[0], cloud.named(called[3])
                yield Request(role, f"sqs:{action}", cloud.arn(queue or ""))
                continue
            given = json.loads(text)
            on = given.get("stateMachineArn") or given.get("executionArn")
            yield Request(role, f"{called[1]}:{called[2]}", on)


def _proxies(cloud: Cloud) -> Iterator[Request]:
    """A method calls the function that answers it, for this path of this stage."""
    stages = {one["RestApiId"]: name for name, one in cloud.of("AWS::ApiGateway::Stage").items()}
    for properties in cloud.of("AWS::ApiGateway::Method").values():
        if properties["Integration"]["Type"] != "AWS_PROXY":
            continue
        function = re.findall(r"/functions/(.+)/invocations", properties["Integration"]["Uri"])[0]
        api, at = properties["RestApiId"], cloud.named(properties["ResourceId"])
        parts: list[str] = []
        while at and cloud.types[at] == "AWS::ApiGateway::Resource":
            parts.insert(0, cloud.properties[at]["PathPart"].replace("{", "a-").strip("}"))
            at = cloud.named(cloud.properties[at]["ParentId"])
        called = f"{api}/{stages[api]}/{properties['HttpMethod']}/{'/'.join(parts)}"
        source = {"aws:SourceArn": f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{called}"}
        yield Request("apigateway.amazonaws.com", "lambda:InvokeFunction", function, source)
        for role in _roles_of_people(cloud) if properties["AuthorizationType"] == "AWS_IAM" else ():
            yield Request(ADMIN, "sts:AssumeRole", role)
            yield Request(role, "execute-api:Invoke", source["aws:SourceArn"])


def _urls(cloud: Cloud) -> Iterator[Request]:
    """Anybody calls a function's URL without authorization, and the function at no other way.

    https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
    """
    for properties in cloud.of("AWS::Lambda::Url").values():
        function = cloud.arn(cloud.named(properties["TargetFunctionArn"]) or "")
        how = {"lambda:FunctionUrlAuthType": properties["AuthType"]}
        yield Request(STRANGER, "lambda:InvokeFunctionUrl", function, how)
        how = {"lambda:InvokedViaFunctionUrl": "true"}
        yield Request(STRANGER, "lambda:InvokeFunction", function, how)


def _roles_of_people(cloud: Cloud) -> list[str]:
    """The roles that people and programs of the account assume, to call what a stack offers."""
    root = f"arn:aws:iam::{ACCOUNT}:root"
    return [
        cloud.arn(name)
        for name, one in cloud.of("AWS::IAM::Role").items()
        if root in json.dumps(one["AssumeRolePolicyDocument"])
    ]


def _subscriptions(cloud: Cloud) -> Iterator[Request]:
    for properties in cloud.of("AWS::SNS::Subscription").values():
        context, role = of_source(properties["TopicArn"]), properties.get("SubscriptionRoleArn")
        targets = [properties.get("RedrivePolicy", {}).get("deadLetterTargetArn")]
        if properties["Protocol"] in ("sqs", "lambda", "firehose"):
            targets.append(properties["Endpoint"])
        for target in filter(None, targets):
            yield from _uses("sns", target, context, role if ":firehose:" in target else None)
            if ":firehose:" in target:
                yield from _all(str(role), PUT_BY_TOPIC, target)


def _channels(cloud: Cloud) -> Iterator[Request]:
    """What reads a stream publishes to the channels of the stack."""
    for channels in cloud.of("AWS::AppSync::ChannelNamespace").values():
        api = f"arn:aws:appsync:{REGION}:{ACCOUNT}:apis/{channels['ApiId']}"
        for mapping in cloud.of("AWS::Lambda::EventSourceMapping").values():
            role = _role(cloud, mapping["FunctionName"])
            yield Request(
                role, "appsync:EventPublish", f"{api}/channelNamespace/{channels['Name']}"
            )


def _graphql(cloud: Cloud) -> Iterator[Request]:
    """What reads a stream calls the mutations of the stack's GraphQL APIs, which write logs."""
    for field in cloud.of("AWS::AppSync::Resolver").values():
        fields = f"arn:aws:appsync:{REGION}:{ACCOUNT}:apis/{field['ApiId']}/types/Mutation/fields"
        for mapping in cloud.of("AWS::Lambda::EventSourceMapping").values():
            if field["TypeName"] == "Mutation":
                role = _role(cloud, mapping["FunctionName"])
                yield Request(role, "appsync:GraphQL", f"{fields}/{field['FieldName']}")
    for name, group in cloud.of("AWS::Logs::LogGroup").items():
        for api in cloud.of("AWS::AppSync::GraphQLApi").values():
            if str(group.get("LogGroupName")).startswith("/aws/appsync/apis/"):
                role = api["LogConfig"]["CloudWatchLogsRoleArn"]
                yield from _all(role, WRITE_LOGS, f"{cloud.arn(name)}:log-stream:x")


def _routes(cloud: Cloud) -> Iterator[Request]:
    """An HTTP API calls the function of a route."""
    integrations = cloud.of("AWS::ApiGatewayV2::Integration")
    for route in cloud.of("AWS::ApiGatewayV2::Route").values():
        function = next(
            one["IntegrationUri"] for name, one in integrations.items() if name in route["Target"]
        )
        path = f"{route['ApiId']}/$default/{route['RouteKey'].replace(' ', '')}"
        source = of_source(f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{path}")
        yield Request("apigateway.amazonaws.com", "lambda:InvokeFunction", function, source)


def _notifications(cloud: Cloud) -> Iterator[Request]:
    """A bucket notifies queues, topics and functions."""
    for name, properties in cloud.of("AWS::S3::Bucket").items():
        context = of_source(cloud.arn(name))
        for kind, each in properties.get("NotificationConfiguration", {}).items():
            for one in each if kind.endswith("Configurations") else ():
                target = one.get("Queue") or one.get("Topic") or one["Function"]
                yield from _uses("s3", target, context, None)


def _uses(service: str, target: str, source: Mapping[str, str], role: Any) -> Iterator[Request]:
    """A service uses a target: with its role, or as itself for its source."""
    action = USES["api-destination" if ":api-destination/" in target else target.split(":")[2]]
    if role:
        yield Request(role, action, target)
    else:
        yield Request(f"{service}.amazonaws.com", action, target, source)


def _buses(cloud: Cloud) -> Iterator[Request]:
    """EventBridge encrypts a bus and its archive with its key, and keeps what it cannot encrypt."""
    for name, properties in cloud.of("AWS::Events::EventBus").items():
        bus, key = cloud.arn(name), cloud.named(properties.get("KmsKeyIdentifier"))
        said = {**of_source(bus), "kms:EncryptionContext:aws:events:event-bus:arn": bus}
        for action in ("Decrypt", "GenerateDataKey", "ReEncryptFrom") if key else ():
            yield Request(EVENTS, f"kms:{action}", cloud.arn(str(key)), said)
        if failed := properties.get("DeadLetterConfig"):
            yield from _uses("events", failed["Arn"], of_source(bus), None)


def _rules(cloud: Cloud) -> Iterator[Request]:
    for name, properties in cloud.of("AWS::Events::Rule").items():
        source = of_source(cloud.arn(name))
        for target in properties.get("Targets", []):
            yield from _uses("events", target["Arn"], source, target.get("RoleArn"))
            if failed := target.get("DeadLetterConfig"):
                yield from _uses("events", failed["Arn"], source, None)
            if "dead_letter_queue_url" in str(target.get("Input")):
                yield from _moves(cloud, target)


def _moves(cloud: Cloud, target: Any) -> Iterator[Request]:
    """A redriver is told between which queues it moves messages."""
    urls = json.loads(target["Input"])
    letters, queue = (urls[name] for name in ("dead_letter_queue_url", "queue_url"))
    role = _role(cloud, target["Arn"])
    take = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility")
    yield from _all(role, take, cloud.arn(cloud.named(letters) or ""))
    yield Request(role, "sqs:SendMessage", cloud.arn(cloud.named(queue) or ""))


def _schedules(cloud: Cloud) -> Iterator[Request]:
    for properties in cloud.of("AWS::Scheduler::Schedule").values():
        target = properties["Target"]
        for one in filter(None, (target, target.get("DeadLetterConfig"))):
            yield from _uses("scheduler", one["Arn"], {}, target["RoleArn"])
        if key := properties.get("KmsKeyArn"):
            yield Request(target["RoleArn"], "kms:Decrypt", key)


def _planners(cloud: Cloud) -> Iterator[Request]:
    """A function that is told what a schedule needs makes some, which run by the role it names.

    https://docs.aws.amazon.com/scheduler/latest/UserGuide/security_iam_id-based-policies.html
    """
    for properties in cloud.of("AWS::Lambda::Function").values():
        told = str(properties.get("Environment", {}).get("Variables", {}).get("SCHEDULE_REQUEST"))
        if told == "None":
            continue
        role, given = properties["Role"], json.loads(told)
        on = f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/{given['GroupName']}/any"
        manage = [f"scheduler:{verb}Schedule" for verb in ("Create", "Get", "Update", "Delete")]
        yield from _all(role, manage, on)
        passed = {"iam:PassedToService": "scheduler.amazonaws.com"}
        target, runs_by = given["Target"], given["Target"]["RoleArn"]
        yield Request(role, "iam:PassRole", runs_by, passed)
        group = f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule-group/{given['GroupName']}"
        yield Request("scheduler.amazonaws.com", "sts:AssumeRole", runs_by, of_source(group))
        for one in (target, target["DeadLetterConfig"]):
            yield from _uses("scheduler", one["Arn"], {}, runs_by)
        if "KmsKeyArn" in given:
            yield Request(runs_by, "kms:Decrypt", given["KmsKeyArn"])
        via = {"kms:ViaService": f"scheduler.{REGION}.amazonaws.com", OF_SCHEDULE: on}
        for action in ("DescribeKey", "GenerateDataKey", "Decrypt") if "KmsKeyArn" in given else ():
            yield Request(role, f"kms:{action}", given["KmsKeyArn"], via)


def _workers(cloud: Cloud) -> Iterator[Request]:
    """A container works on the queues that no function consumes, with tables that none uses."""
    functions = json.dumps([
        *cloud.of("AWS::Lambda::Function").values(),
        *cloud.of("AWS::Lambda::EventSourceMapping").values(),
    ])  # fmt: skip
    for name, one in cloud.of("AWS::IAM::Role").items():
        ours = "ecs-tasks." in json.dumps(one["AssumeRolePolicyDocument"])
        if not ours or "ANSWERS_URL" in functions:  # see ``_requests``
            continue
        role = cloud.arn(name)
        yield Request("ecs-tasks.amazonaws.com", "sts:AssumeRole", role)
        for queue, its in cloud.of("AWS::SQS::Queue").items():
            if "RedrivePolicy" in its and cloud.arn(queue) not in functions:
                on = cloud.arn(queue)
                verbs = ("ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility")
                yield from _all(role, [f"sqs:{verb}" for verb in verbs], on)
                refused = its["RedrivePolicy"]["deadLetterTargetArn"]
                yield Request(role, "sqs:SendMessage", refused)
        for table in cloud.of("AWS::DynamoDB::Table"):
            if f'"{table}"' not in functions:
                on_table = ("dynamodb:GetItem", "dynamodb:PutItem")
                yield from _all(role, on_table, cloud.arn(table))


MADE_LATER = "0123456789abcdef"  # ends the name of a queue that is in no template


def _requests(cloud: Cloud) -> Iterator[Request]:
    """Functions and containers ask and answer over queues, where requesters make those of answers.

    What a requester makes has the key of the queue of requests.
    """
    told: dict[str, list[Any]] = {}
    for one in cloud.of("AWS::Lambda::Function").values():
        variables = one.get("Environment", {}).get("Variables", {})
        if "ANSWERS_URL" in variables:
            prefix = variables["ANSWERS_URL"].rpartition("/")[2]
            told.setdefault(prefix, []).append((one["Role"], "IDLE_SECONDS" in variables))
    mappings = json.dumps([*cloud.of("AWS::Lambda::EventSourceMapping").values()])
    queues = [name for name, it in cloud.of("AWS::SQS::Queue").items() if "RedrivePolicy" in it]
    roles = {
        cloud.arn(name): name
        for name, it in cloud.of("AWS::IAM::Role").items()
        if told and "ecs-tasks." in json.dumps(it["AssumeRolePolicyDocument"])
    }
    for role in roles:
        yield Request("ecs-tasks.amazonaws.com", "sts:AssumeRole", role)
    for (prefix, functions), queue in zip(told.items(), queues if told else (), strict=True):
        requests, answers = cloud.arn(queue), f"{cloud.arn(queue).rpartition(':')[0]}:{prefix}"
        answers += MADE_LATER
        for role, sweeps in functions:
            verbs = ["ListQueueTags", "DeleteQueue"] if sweeps else ["SendMessage"]
            yield from _all(role, [f"sqs:{verb}" for verb in verbs], answers, requests)
            yield from _all(role, ["sqs:ListQueues"] * sweeps, "*")
        for role, name in roles.items():
            if "Requester" in name:
                verbs = ["CreateQueue", "TagQueue", "ReceiveMessage", "DeleteMessage"]
                verbs.append("DeleteQueue")
                yield Request(role, "sqs:SendMessage", requests)
                yield from _all(role, [f"sqs:{verb}" for verb in verbs], answers, requests)
            elif requests not in mappings:
                verbs = ["ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility"]
                yield from _all(role, [f"sqs:{verb}" for verb in verbs], requests)
                letters = cloud.properties[queue]["RedrivePolicy"]["deadLetterTargetArn"]
                yield Request(role, "sqs:SendMessage", letters)
                yield Request(role, "sqs:SendMessage", answers, of=requests)
                for table in cloud.of("AWS::DynamoDB::Table"):
                    if f'"{table}"' not in json.dumps(cloud.of("AWS::Lambda::Function")):
                        yield Request(role, "dynamodb:PutItem", cloud.arn(table))


def _alarms(cloud: Cloud) -> Iterator[Request]:
    """An alarm publishes; a topic without a policy of its own has one of AWS's that allows it."""
    for name, properties in cloud.of("AWS::CloudWatch::Alarm").items():
        for action in ("AlarmActions", "OKActions", "InsufficientDataActions"):
            for target in properties.get(action, []):
                if target in cloud.resource:
                    yield from _uses("cloudwatch", target, of_source(cloud.arn(name)), None)


def _deliveries(cloud: Cloud) -> Iterator[Request]:
    for properties in cloud.of("AWS::KinesisFirehose::DeliveryStream").values():
        if reads := properties.get("KinesisStreamSourceConfiguration"):
            yield from _all(reads["RoleARN"], READ_STREAM, reads["KinesisStreamARN"])
        s3 = properties["ExtendedS3DestinationConfiguration"]
        for one in filter(None, (s3, s3.get("S3BackupConfiguration"))):
            role, bucket = one["RoleARN"], one["BucketARN"]
            yield from _all(role, ON_BUCKET, bucket)
            for prefix in (one["Prefix"], one["ErrorOutputPrefix"]):
                yield from _all(role, ON_OBJECT, f"{bucket}/{prefix.split('!')[0]}x", bucket)
            logs = one["CloudWatchLoggingOptions"]
            group = cloud.arn(cloud.named(logs["LogGroupName"]) or "")
            stream = f"{group}:log-stream:{logs['LogStreamName']}"
            yield Request(role, "logs:PutLogEvents", stream)
        for processor in s3.get("ProcessingConfiguration", {}).get("Processors", []):
            if processor["Type"] != "Lambda":
                continue
            given = {one["ParameterName"]: one["ParameterValue"] for one in processor["Parameters"]}
            yield Request(given["RoleArn"], "lambda:InvokeFunction", given["LambdaArn"])
        if schema := s3.get("DataFormatConversionConfiguration", {}).get("SchemaConfiguration"):
            base = f"arn:aws:glue:{REGION}:{ACCOUNT}"
            table = f"{schema['DatabaseName']}/{schema['TableName']}"
            for on in ("catalog", f"database/{schema['DatabaseName']}", f"table/{table}"):
                yield from _all(schema["RoleARN"], READ_TABLE, f"{base}:{on}")


def _machines(cloud: Cloud) -> Iterator[Request]:
    for name, properties in cloud.of("AWS::StepFunctions::StateMachine").items():
        role = properties["RoleArn"]
        if properties.get("LoggingConfiguration"):
            yield from _all(role, DELIVER_LOGS, "*")
        if properties.get("TracingConfiguration", {}).get("Enabled"):
            yield from _all(role, SAMPLE, "*")
        for task in _tasks(cloud.definition(name)):
            given = task["Arguments"]
            call = task["Resource"].split(":::")[-1].removeprefix("aws-sdk:").split(".")[0]
            for action, target in _of_task(call, given):
                yield Request(role, action, cloud.arn(cloud.named(target) or ""))
            if task["Resource"].endswith(".waitForTaskToken"):
                yield from _answers(cloud, cloud.arn(name), given)


def _answers(cloud: Cloud, machine: str, given: Mapping[str, Any]) -> Iterator[Request]:
    """Who reads the queue of a task that waits answers with its token, as its code does."""
    queue = cloud.arn(cloud.named(given["QueueUrl"]) or "")
    for properties in cloud.of("AWS::Lambda::EventSourceMapping").values():
        if properties["EventSourceArn"] == queue:
            function = cloud.properties[cloud.named(properties["FunctionName"]) or ""]
            for call in calls(function["Handler"])[0]:
                if call.method.startswith("send_task_"):
                    (action,) = CALLS["states"][call.method]
                    yield Request(function["Role"], f"states:{action}", machine)


def _tasks(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if value.get("Type") == "Task":
            yield value
        for item in value.values():
            yield from _tasks(item)
    elif isinstance(value, list):
        for item in value:
            yield from _tasks(item)


def _of_task(call: str, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    match call:
        case "lambda:invoke":
            yield "lambda:InvokeFunction", given["FunctionName"]
        case "sqs:sendMessage":
            yield "sqs:SendMessage", given["QueueUrl"]
        case "dynamodb:transactWriteItems":
            for item in given["TransactItems"]:
                for kind, write in item.items():
                    yield f"dynamodb:{WRITES[kind]}", write["TableName"]
        case "dynamodb:putItem" | "dynamodb:getItem" | "dynamodb:updateItem":
            yield f"dynamodb:{call[9].upper()}{call[10:]}", given["TableName"]
        case _:
            raise NotImplementedError(f"say what a task that calls {call} needs")


def _cleaners(cloud: Cloud) -> Iterator[Request]:
    """The CDK's function empties a bucket before it is deleted."""
    for properties in cloud.of("Custom::S3AutoDeleteObjects").values():
        bucket = cloud.arn(cloud.named(properties["BucketName"]) or "")
        role = _role(cloud, properties["ServiceToken"])
        for action in EMPTY:
            on = f"{bucket}/any" if action.endswith("Object") else bucket
            yield Request(role, action, on, of=bucket)


def _people(cloud: Cloud) -> Iterator[Request]:
    """Who administers the account still may: send dead letters again, read and publish."""
    actions = {
        "sqs": ("sqs:ReceiveMessage",),
        "sns": ("sns:Publish",),
        "s3": ("s3:ListBucket", "s3:GetObject"),
        "kms": ("kms:DescribeKey",),
    }
    for arn in cloud.resource:
        for action in actions.get(arn.split(":")[2], ()):
            on = f"{arn}/any" if action == "s3:GetObject" else arn
            tls = {"s3:TlsVersion": "1.2"} if ":s3:" in arn else {}
            yield Request(ADMIN, action, on, tls, of=arn)


# Where a resource names the key that encrypts it.
KEYS = {
    "AWS::SQS::Queue": "KmsMasterKeyId",
    "AWS::SNS::Topic": "KmsMasterKeyId",
    "AWS::Kinesis::Stream": "StreamEncryption.KeyId",
    "AWS::DynamoDB::Table": "SSESpecification.KMSMasterKeyId",
    "AWS::S3::Bucket": "BucketEncryption.ServerSideEncryptionConfiguration"
    ".ServerSideEncryptionByDefault.KMSMasterKeyID",
}
READS = ("sqs:ReceiveMessage", "kinesis:GetRecords", "s3:GetObject", "dynamodb:GetItem")
SENDS = ("sqs:SendMessage", "sns:Publish", "s3:PutObject", "kinesis:PutRecord")


def _keys(cloud: Cloud, arrow: Request) -> Iterator[Request]:
    """What an arrow needs of the key of what it leads to."""
    name = cloud.named(arrow.owner) or ""
    value: Any = cloud.properties.get(name, {})
    for part in KEYS.get(cloud.types.get(name, ""), "-").split("."):
        value = value[0] if isinstance(value, list) else value
        value = value.get(part) if isinstance(value, dict) else None
    key = cloud.named(value)
    if key is None or arrow.who == ADMIN or cloud.types[key] != "AWS::KMS::Key":
        return
    via = {"kms:ViaService": f"{arrow.action.split(':')[0]}.{REGION}.amazonaws.com"}
    context = {**arrow.context, **(via if arrow.who.startswith("arn:") else {})}
    if arrow.action == "sns:Publish" and arrow.who.split(".")[0] in ("cloudwatch", "events"):
        context = {}  # AWS documents no condition of theirs on a topic's key
    actions = ["kms:Decrypt"] * (arrow.action in READS + SENDS)
    actions += ["kms:GenerateDataKey"] * (arrow.action in SENDS)
    for action in actions:
        yield Request(arrow.who, action, cloud.arn(key), context)


OF_SCHEDULE = "kms:EncryptionContext:aws:scheduler:schedule:arn"
# A resource's name in its ARN.
NAME = (
    r"^(arn:aws:[^:]+:[^:]*:[^:]*:(?:(?:log-group|execution|function|stateMachine):|"
    r"(?:table|database|stream|role|key|schedule)/)?)([^:/]+)(.*)$"
)
SECURE = ("sqs:", "sns:", "s3:")  # the rest of AWS accepts HTTPS only, and no policy says it


def _beside(cloud: Cloud, arrow: Request) -> str | None:
    """Return the nearest source that a policy must refuse; None if it cannot.

    A policy cannot name a source that needs what has the policy. A delivery stream needs its role:
    any of the account may use it. A topic without a name needs its key: any of the Region may. A
    topic that people hear of alarms by does not know those: any of the Region may.
    """
    own = arrow.context["aws:SourceArn"]
    source = cloud.properties.get(cloud.named(own) or "", {})
    if arrow.who == "firehose.amazonaws.com":
        return None
    if arrow.who == "cloudwatch.amazonaws.com":
        return own.replace(f":{REGION}:", ":eu-west-1:")
    needs = cloud.named(source.get("KmsMasterKeyId")) == cloud.named(arrow.on)
    if needs and "TopicName" not in source:
        return own.replace(f":{REGION}:", ":eu-west-1:")
    beside = own.replace(":stateMachine:", ":activity:")
    if re.search(r":execute-api:.*/a-[^/]*$", own):  # of any value of a path's parameter
        beside = re.sub("/(GET|POST)/", "/PUT/", own)
    return beside if beside != own else f"{own}-beside"


def strangers(cloud: Cloud, arrow: Request) -> Iterator[Request]:
    """Yield the requests like an arrow that must be refused.

    By another account, by a role of this account without policies, by plain HTTP, for another
    source or another account's, by another service, and to a resource beside the right one.
    """
    if any(key.startswith("lambda:") for key in arrow.context):
        yield replace(arrow, context={})  # not by the URL, which is open to anybody
        return
    later = arrow.on.endswith(MADE_LATER)  # whoever makes it gives it a policy
    if arrow.action.startswith(SECURE) and arrow.on != "*" and not later:
        yield replace(arrow, https=False)
    if "s3:TlsVersion" in arrow.context:
        yield replace(arrow, context={"s3:TlsVersion": "1.1"})
    if arrow.on != "*" and arrow.owner in cloud.resource:
        for who in (STRANGER, NOBODY):
            yield replace(arrow, who=who)
    if arrow.who == ADMIN:
        return
    for key in arrow.context.keys() & {"events:source", "events:detail-type"}:
        yield replace(arrow, context={**arrow.context, key: "another"})
    if not arrow.who.startswith("arn:"):
        yield replace(arrow, who="ec2.amazonaws.com")
        if arrow.context:
            own = arrow.context["aws:SourceArn"]
            elsewhere = own.replace(f":{ACCOUNT}:", f":{OTHER_ACCOUNT}:")
            yield replace(arrow, context={})
            if "aws:SourceAccount" in json.dumps(
                cloud.policies.get(cloud.resource.get(arrow.owner, ""))
            ):
                yield replace(arrow, context={**of_source(own), "aws:SourceAccount": OTHER_ACCOUNT})
            yield replace(
                arrow, context={**of_source(elsewhere), "aws:SourceAccount": OTHER_ACCOUNT}
            )
            if beside := _beside(cloud, arrow):
                yield replace(arrow, context=of_source(beside))
        return
    for key in ("iam:PassedToService", *(("kms:ViaService",) * (OF_SCHEDULE in arrow.context))):
        if key in arrow.context:
            yield replace(arrow, context={**arrow.context, key: "ec2.amazonaws.com"})
    if OF_SCHEDULE in arrow.context:
        beside = re.sub(NAME, r"\1\2-beside\3", arrow.context[OF_SCHEDULE])
        yield replace(arrow, context={**arrow.context, OF_SCHEDULE: beside})
    if arrow.on != "*":
        beside = r"\1beside-\2\3" if later else r"\1\2-beside\3"
        yield replace(arrow, on=re.sub(NAME, beside, arrow.on), of="")
        account = arrow.on.replace(f":{ACCOUNT}:", f":{OTHER_ACCOUNT}:")
        if account != arrow.on:
            yield replace(arrow, on=account, of="")
