"""Read from a synthesized template what is wired to what: the graph that a diagram shows.

Only wiring that is in the template is drawn: integrations, subscriptions, event sources, redrive
policies, destinations, rules, and what a role lets code write or read. Roles, policies,
permissions, logs, layers and custom resources are how, not what: they are not drawn.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

NBSP = "\N{NO-BREAK SPACE}"
# What is drawn: resource type → icon (of the npm package aws-icons), the service's own term, in
# which ~ keeps two words together.
NODES = {
    "AWS::ApiGateway::RestApi": ("AmazonAPIGateway", "Amazon API Gateway REST API"),
    "AWS::ApiGatewayV2::Api": ("AmazonAPIGateway", "Amazon API Gateway {ProtocolType} API"),
    "AWS::AmazonMQ::Broker": ("AmazonMQ", "Amazon MQ broker"),
    "AWS::AppSync::Api": ("AWSAppSync", "AWS AppSync Event API"),
    "AWS::AppSync::GraphQLApi": ("AWSAppSync", "AWS AppSync GraphQL API"),
    "AWS::DynamoDB::GlobalTable": ("AmazonDynamoDB", "Amazon DynamoDB table"),
    "AWS::DynamoDB::Table": ("AmazonDynamoDB", "Amazon DynamoDB table"),
    "AWS::ECS::TaskDefinition": ("AmazonElasticContainerService", "Amazon ECS task"),
    "AWS::Events::EventBus": ("AmazonEventBridge", "Amazon EventBridge event bus"),
    "AWS::Events::Rule": ("AmazonEventBridge", "Amazon EventBridge rule"),
    "AWS::Kinesis::Stream": (
        "AmazonKinesisDataStreams",
        "Amazon Kinesis data~stream",
    ),
    "AWS::KinesisAnalyticsV2::Application": (
        "AmazonManagedServiceforApacheFlink",
        "Amazon Managed Service for Apache Flink",
    ),
    "AWS::KinesisFirehose::DeliveryStream": ("AmazonDataFirehose", "Amazon Data Firehose stream"),
    "AWS::Lambda::Function": ("AWSLambda", "AWS Lambda function"),
    "AWS::Pipes::Pipe": ("AmazonEventBridge", "Amazon EventBridge pipe"),
    "AWS::S3::Bucket": ("AmazonSimpleStorageService", "Amazon S3 bucket"),
    "AWS::SNS::Topic": ("AmazonSimpleNotificationService", "Amazon SNS topic"),
    "AWS::SQS::Queue": ("AmazonSimpleQueueService", "Amazon SQS queue"),
    "AWS::Scheduler::Schedule": ("AmazonEventBridge", "Amazon EventBridge schedule"),
    "AWS::StepFunctions::StateMachine": ("AWSStepFunctions", "AWS Step Functions state machine"),
}
FLOW, BOTH, FAILURE = "flow", "both", "failure"
# How they are wired: resource type → (source, target, kind, label). Source and target are
# properties, "" the resource itself; {property} in a label is its value, or its keys.
WIRING = {
    "AWS::ApiGateway::Method": [("RestApiId", "Integration", FLOW, "{HttpMethod} {path}")],
    "AWS::ApiGateway::Authorizer": [("RestApiId", "AuthorizerUri", BOTH, "authorize")],
    "AWS::ApiGatewayV2::Route": [("ApiId", "Target", FLOW, "{RouteKey}")],
    "AWS::AppSync::DataSource": [
        ("ApiId", key, FLOW, "") for key in ("LambdaConfig", "DynamoDBConfig", "EventBridgeConfig")
    ],
    "AWS::Events::Rule": [
        ("EventBusName", "", FLOW, ""),
        ("EventPattern", "", FLOW, ""),
        ("", "Targets.Arn", FLOW, ""),
        ("", "Targets.DeadLetterConfig", FAILURE, "undelivered"),
    ],
    "AWS::KinesisFirehose::DeliveryStream": [
        ("KinesisStreamSourceConfiguration", "", FLOW, ""),
        ("", "ExtendedS3DestinationConfiguration.ProcessingConfiguration", BOTH, "transform"),
        ("", "ExtendedS3DestinationConfiguration.BucketARN", FLOW, ""),
        ("", "ExtendedS3DestinationConfiguration.S3BackupConfiguration", FLOW, "unchanged copy"),
    ],
    "AWS::Lambda::EventInvokeConfig": [
        ("FunctionName", "DestinationConfig.OnSuccess", FLOW, "on success"),
        ("FunctionName", "DestinationConfig.OnFailure", FAILURE, "on failure"),
    ],
    "AWS::Lambda::EventSourceMapping": [
        ("EventSourceArn", "FunctionName", FLOW, ""),
        ("FunctionName", "DestinationConfig.OnFailure", FAILURE, "on failure"),
    ],
    "AWS::Lambda::Function": [("", "DeadLetterConfig", FAILURE, "discarded")],
    "AWS::Pipes::Pipe": [
        ("Source", "", FLOW, ""),
        ("", "Enrichment", BOTH, "enrich"),
        ("", "Target", FLOW, ""),
    ],
    "AWS::S3::Bucket": [("", "NotificationConfiguration", FLOW, "")],
    "AWS::SNS::Subscription": [
        ("TopicArn", "Endpoint", FLOW, "filter: {FilterPolicy}"),
        ("TopicArn", "RedrivePolicy", FAILURE, "undelivered"),
    ],
    "AWS::SQS::Queue": [
        ("", "RedrivePolicy", FAILURE, "after {RedrivePolicy.maxReceiveCount} receives")
    ],
    "AWS::Scheduler::Schedule": [
        ("", "Target.Arn", FLOW, ""),
        ("", "Target.DeadLetterConfig", FAILURE, "undelivered"),
    ],
    "AWS::StepFunctions::StateMachine": [
        ("", key, FLOW, "") for key in ("DefinitionString", "DefinitionSubstitutions", "Definition")
    ],
    "Custom::S3BucketNotifications": [("BucketName", "NotificationConfiguration", FLOW, "")],
}
# A reference to one of these means what it stands for.
STANDS_FOR = {
    "AWS::ApiGatewayV2::Integration": ("IntegrationUri", "RequestParameters"),
    "AWS::Kinesis::StreamConsumer": ("StreamARN",),
    "AWS::Lambda::Alias": ("FunctionName",),
    "AWS::Lambda::Version": ("FunctionName",),
}
# How, not what: these stand between no two resources.
HELPERS = ("AWS::IAM::", "AWS::KMS::", "AWS::Logs::")
# Code shows its calls in what its role may do; consuming is in the event source already.
CALLERS = ("AWS::ECS::TaskDefinition", "AWS::Lambda::Function", "AWS::StepFunctions::StateMachine")
POLICIES = ("AWS::IAM::ManagedPolicy", "AWS::IAM::Policy")
WRITES = re.compile(
    r"(dynamodb:(Put|Update|Delete|BatchWrite|PartiQL)|s3:(Put|Delete)Object|sqs:SendMessage"
    r"|sns:Publish|events:PutEvents|(kinesis|firehose):PutRecord|lambda:Invoke|states:Start"
    r"|execute-api:Invoke|appsync:|dynamodb:\*|s3:\*)"
)
READS = re.compile(r"dynamodb:(Get|BatchGet|Query|Scan)|s3:GetObject")


@dataclass(frozen=True)
class Node:
    """A resource to draw. ``needs_event``: nothing happens until something sends it an event."""

    icon: str
    name: str
    term: str
    needs_event: bool = True


@dataclass(frozen=True)
class Edge:
    """An arrow: a flow (BOTH: with an answer), or where a failed event goes (FAILURE)."""

    source: str
    target: str
    kind: str
    label: tuple[str, ...] = ()


@dataclass(frozen=True)
class Graph:
    """What to draw: nodes by logical id, arrows, alarms per node, the names of whom they tell."""

    nodes: dict[str, Node]
    edges: list[Edge]
    alarms: dict[str, int]
    told: str


def refs(value: Any) -> Iterator[str]:
    """Logical ids that a template value refers to, in order."""
    if isinstance(value, list):
        for item in value:
            yield from refs(item)
    elif isinstance(value, dict):
        for key, inner in sorted(value.items()):
            if key == "Ref":
                yield inner
            elif key == "Fn::GetAtt":
                yield inner[0] if isinstance(inner, list) else inner.split(".")[0]
            elif key == "Fn::Sub":
                yield from re.findall(r"\$\{(\w+)", inner if isinstance(inner, str) else inner[0])
                yield from refs(inner)
            else:
                yield from refs(inner)


def pick(value: Any, path: str) -> Any:
    """The value at a dotted path; of each item where there is a list."""
    for key in filter(None, path.split(".")):
        if isinstance(value, list):
            value = [pick(item, key) for item in value]
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return value


def words(logical_id: str) -> list[str]:
    """The words of a logical id, without CDK's hash, each repeated one at its last place only."""
    plain = re.sub(r"(?<=.)[0-9A-F]{8}$", "", logical_id)
    found = re.findall(r"S3|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", plain)
    return [word for n, word in enumerate(found) if word not in found[n + 1 :]] or [logical_id]


def readable(name: Sequence[str]) -> str:
    """Words as a name: `Order changes queue`."""
    short = {"Api", "Dlq", "Fifo", "Sns", "Sqs"}
    lowered = [w.upper() if w in short else w if w.isupper() else w.lower() for w in name]
    text = " ".join(lowered).replace("dead letter", "dead-letter")
    return text[:1].upper() + text[1:]


class _Template:
    """A template's resources, in an order that neither JSON keys nor CDK's hashes decide."""

    def __init__(self, template: dict[str, Any]) -> None:
        resources = template["Resources"].items()
        self.resources: dict[str, dict[str, Any]] = {
            node: {"Properties": {}} | resource
            for node, resource in sorted(
                resources, key=lambda item: (_is_fifo(item[1]), words(item[0]), item[0])
            )
        }
        self.edges: dict[tuple[str, str], Edge] = {}

    def of(self, *types: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Resources of these types, with their properties."""
        for node, resource in self.resources.items():
            if resource["Type"] in types:
                yield node, resource["Properties"]

    def follow(self, value: Any) -> Iterator[str]:
        """The resources that a value refers to, or those that they stand for."""
        for node in refs(value):
            resource = self.resources.get(node)
            if resource and resource["Type"] in STANDS_FOR:
                yield from self.follow(
                    [resource["Properties"].get(key) for key in STANDS_FOR[resource["Type"]]]
                )
            elif resource and not resource["Type"].startswith(HELPERS):
                yield node

    def connect(self, source: str, target: str, kind: str, label: str = "") -> None:
        """Add an arrow, or a label to one that has some; one without says all already."""
        known = self.edges.get((source, target))
        if not known and source != target:
            self.edges[source, target] = Edge(source, target, kind, (label,) if label else ())
        elif known and label and known.label and label not in known.label:
            self.edges[source, target] = replace(known, label=(*known.label, label))

    def read_wiring(self) -> None:
        """What resources say themselves: see WIRING."""
        for node, resource in self.resources.items():
            properties = resource["Properties"]
            for source, target, kind, label in WIRING.get(resource["Type"], ()):
                text = self.label(label, properties)
                for tail in self.follow(pick(properties, source)) if source else (node,):
                    for head in self.follow(pick(properties, target)) if target else (node,):
                        self.connect(tail, head, kind, text)
            if resource["Type"] not in NODES | WIRING | STANDS_FOR:  # a guess, by its words
                for key, value in sorted(properties.items()):
                    for other in self.follow(value):
                        if re.search("Source|Input", key):
                            self.connect(other, node, FLOW)
                        elif re.search("Target|Destination|Output", key):
                            self.connect(node, other, FLOW)

    def label(self, label: str, properties: dict[str, Any]) -> str:
        """A label with the values of the properties it names; empty if one has none."""
        values = {
            name: self.path(properties["ResourceId"]) or "/"
            if name == "path"
            else pick(properties, name)
            for name in re.findall(r"{([\w.]+)}", label)
        }
        if not all(values.values()):
            return ""
        texts = {n: ", ".join(sorted(v)) if isinstance(v, dict) else v for n, v in values.items()}
        return re.sub(r"{([\w.]+)}", lambda found: str(texts[found[1]]), label)

    def path(self, resource: Any) -> str:
        """The URL path of an API's resource."""
        for node in refs(resource):
            properties = self.resources[node]["Properties"]
            if "PathPart" in properties:
                return f"{self.path(properties['ParentId'])}/{properties['PathPart']}"
        return ""

    def read_permissions(self) -> None:
        """What code may write and read, where no wiring says it already."""
        callers = {
            role: node
            for node, properties in self.of(*CALLERS)
            for role in refs([properties.get(key) for key in ("Role", "RoleArn", "TaskRoleArn")])
        }
        documents = [
            (list(refs(p.get("Roles"))), p.get("PolicyDocument")) for _, p in self.of(*POLICIES)
        ]
        documents += [([role], p.get("Policies")) for role, p in self.of("AWS::IAM::Role")]
        failures = {edge.target for edge in self.edges.values() if edge.kind == FAILURE}
        found = [
            (callers[role], target, str(statement.get("Action")))
            for roles, document in documents
            for role in roles
            if role in callers
            for statement in _statements(document)
            for target in self.follow(statement.get("Resource"))
        ]
        for pattern, label in ((WRITES, ""), (READS, "reads")):
            for caller, target, actions in found:
                known = (caller, target) in self.edges or (
                    pattern is READS and (target, caller) in self.edges
                )
                if pattern.search(actions) and not known:
                    self.connect(caller, target, FAILURE if target in failures else FLOW, label)


def graph(template: dict[str, Any]) -> Graph:
    """What a template wires together; an unknown type only where it stands between two others."""
    read = _Template(template)
    read.read_wiring()
    read.read_permissions()
    behind = set(refs([r["Properties"].get("ServiceToken") for r in read.resources.values()]))
    edges = [e for e in read.edges.values() if not behind & {e.source, e.target}]
    drawn = {node for node, resource in read.resources.items() if resource["Type"] in NODES}
    drawn |= {e.source for e in edges} & {e.target for e in edges}
    edges = [e for e in edges if e.source in drawn and e.target in drawn]
    edges.sort(key=lambda edge: (edge.kind != FLOW, _is_fifo(read.resources[edge.target])))
    nodes = {node: _node(node, read.resources[node]) for node in _along(edges, read.resources)}
    alarms, told = _alarms(read, nodes)
    alike = _alike(edges, nodes)
    names = _names([node for node in nodes if node not in alike])
    for node, first in alike.items():
        del nodes[node]
        alarms[first] = alarms.get(first, 0) + alarms.pop(node, 0)
        names[first] = [word for word in names[first] if word in words(node)]
    for node, what in nodes.items():
        number = 1 + list(alike.values()).count(node)
        term = what.term if number == 1 else f"{number} {what.term}s"
        nodes[node] = replace(what, name=readable(names[node]), term=term)
    return Graph(nodes, [e for e in edges if e.target not in alike], +Counter(alarms), told)


def _alike(edges: Sequence[Edge], nodes: Mapping[str, Node]) -> dict[str, str]:
    """Ends of the same failure that are drawn as one: each further one, and the first."""
    firsts: dict[tuple[object, ...], str] = {}
    alike = {}
    for edge in edges:
        alone = sum(edge.target in (e.source, e.target) for e in edges) == 1
        if edge.kind == FAILURE and alone:
            same = (edge.source, edge.label, nodes[edge.target].term)
            if firsts.setdefault(same, edge.target) != edge.target:
                alike[edge.target] = firsts[same]
    return alike


def _names(nodes: Sequence[str]) -> dict[str, list[str]]:
    """The words of each name, without the construct's name that most of them start with."""
    names = {node: words(node) for node in nodes}
    starts: Counter[tuple[str, ...]] = Counter()
    for name in names.values():
        starts.update(tuple(name[:length]) for length in range(1, len(name)))
    most = [start for start, number in starts.items() if 2 * number > len(nodes)]
    common: tuple[str, ...] = max([(), *most], key=len)
    short = {
        node: name[len(common) :] if tuple(name[: len(common)]) == common else name
        for node, name in names.items()
    }
    clear = Counter(map(tuple, short.values()))
    return {
        n: short[n] if len(short[n]) > 1 and clear[tuple(short[n])] == 1 else names[n]
        for n in names
    }


def _along(edges: Sequence[Edge], order: Iterable[str]) -> dict[str, None]:
    """The ends of the arrows in the order in which an event meets them, lane after lane."""
    met: dict[str, None] = {}

    def meet(node: str) -> None:
        if node not in met:
            met[node] = None
            for edge in edges:
                if edge.source == node:
                    meet(edge.target)

    sources, targets = {edge.source for edge in edges}, {edge.target for edge in edges}
    for node in order:
        if node in sources - targets:
            meet(node)
    for node in order:  # a circle has no start
        if node in sources:
            meet(node)
    return met


def _node(node: str, resource: dict[str, Any]) -> Node:
    kind, properties = resource["Type"], resource["Properties"]
    icon, term = NODES.get(kind, ("", kind.replace("AWS::", "").replace("::", " ")))
    term = term.replace("{ProtocolType}", str(properties.get("ProtocolType"))).replace("~", NBSP)
    if _is_fifo(resource):
        term = re.sub("(queue|topic)$", r"FIFO \1", term)
    starts = kind != "AWS::Scheduler::Schedule" and "ScheduleExpression" not in properties
    return Node(icon, node, term, needs_event=starts)


def _alarms(read: _Template, nodes: Mapping[str, Node]) -> tuple[dict[str, int], str]:
    """How many alarms watch each node, and the names of the topics that they tell."""
    names = {str(read.resources[node]["Properties"].get("Name")): node for node in nodes}
    watched: Counter[str] = Counter()
    told: dict[str, None] = {}
    for _, alarm in read.of("AWS::CloudWatch::Alarm"):
        dimensions = [alarm.get("Dimensions"), pick(alarm.get("Metrics"), "MetricStat.Metric")]
        values = [d.get("Value") for d in alarm.get("Dimensions", [])]
        seen = [n for n in read.follow(dimensions) if n in nodes]
        seen += [names[value] for value in values if isinstance(value, str) and value in names]
        watched.update(seen[:1])
        told |= dict.fromkeys(read.follow(alarm.get("AlarmActions")) if seen else ())
    return dict(watched), ", ".join(readable(words(topic)) for topic in told)


def _is_fifo(resource: dict[str, Any]) -> bool:
    properties = resource.get("Properties", {})
    return bool(properties.get("FifoQueue") or properties.get("FifoTopic"))


def _statements(value: Any) -> Iterator[dict[str, Any]]:
    """The statements of policies, however deep."""
    for item in value if isinstance(value, list) else (value or {}).values():
        if isinstance(item, dict) and "Action" in item:
            yield item
        elif isinstance(item, dict | list):
            yield from _statements(item)
