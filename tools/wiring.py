"""Read from a synthesized template what is wired to what: the graph that a diagram shows.

Only wiring that is in the template is drawn: integrations, subscriptions, event sources, redrive
policies, destinations, rules, and what a role allows code to write or read. Roles, policies,
permissions, logs, layers and custom resources are not drawn.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

ICONS = Path(__file__).resolve().parents[1] / "node_modules" / "aws-icons" / "icons"
# The service in a resource type → its name, and its icon if that has another name. A service that
# is not here is named as the icon that has its name.
SERVICES = {
    "AmazonMQ": ("Amazon MQ",),
    "ApiGateway": ("Amazon API Gateway",),
    "ApiGatewayV2": ("Amazon API Gateway",),
    "ECS": ("Amazon ECS", "AmazonElasticContainerService"),
    "Events": ("Amazon EventBridge",),
    "Kinesis": ("Amazon Kinesis", "AmazonKinesisDataStreams"),
    "KinesisAnalyticsV2": ("Amazon Managed Service for Apache Flink",),
    "KinesisFirehose": ("Amazon Data Firehose",),
    "Pipes": ("Amazon EventBridge",),
    "S3": ("Amazon S3", "AmazonSimpleStorageService"),
    "SNS": ("Amazon SNS", "AmazonSimpleNotificationService"),
    "SQS": ("Amazon SQS", "AmazonSimpleQueueService"),
    "Scheduler": ("Amazon EventBridge",),
    "StepFunctions": ("AWS Step Functions",),
}
# The service's own terms that are not the words of the resource type.
TERMS = {
    "AWS::ApiGatewayV2::Api": "{ProtocolType} API",
    "AWS::AppSync::Api": "Event API",
    "AWS::AppSync::ChannelNamespace": "channels, by WebSocket",
    "AWS::AppSync::GraphQLApi": "GraphQL API",
    "AWS::DynamoDB::GlobalTable": "table",
    "AWS::ECS::TaskDefinition": "task",
    "AWS::Kinesis::Stream": "data stream",
    "AWS::KinesisAnalyticsV2::Application": "application",
    "AWS::KinesisFirehose::DeliveryStream": "stream",
    "AWS::Lambda::Url": "function URL",
    "AWS::SNS::Subscription": "{Protocol} subscription",
}
# An endpoint is outside of the template: its subscription is drawn instead, with its own icon.
ENDPOINTS = dict.fromkeys(("http", "https"), "AmazonSimpleNotificationServiceHTTPNotification")
CLIENTS = {"ChannelNamespace": "Client"}  # and so is who subscribes to channels
FLOW, BOTH, FAILURE = "flow", "both", "failure"
ARROWS = {"→": FLOW, "⇄": BOTH, "⇢": FAILURE}
# The wiring: resource type, source → target, label. Source and target are properties, "." is the
# resource itself; {property} in a label is its value, or its keys. → is a flow, ⇄ a flow with an
# answer, ⇢ a failure, which is left out if its label has no value.
WIRING: dict[str, list[tuple[str, str, str, str]]] = {}
for _line in """\
AWS::ApiGateway::Method RestApiId → Integration {HttpMethod} {path}
AWS::ApiGateway::Authorizer RestApiId ⇄ AuthorizerUri authorize
AWS::ApiGatewayV2::Route ApiId → Target {RouteKey}
AWS::AppSync::DataSource ApiId → LambdaConfig
AWS::AppSync::DataSource ApiId → DynamoDBConfig
AWS::AppSync::DataSource ApiId → EventBridgeConfig
AWS::AppSync::ChannelNamespace ApiId → .
AWS::DynamoDB::Table . → KinesisStreamSpecification
AWS::Events::Rule EventBusName → .
AWS::Events::Rule EventPattern → .
AWS::Events::Rule . → Targets.Arn
AWS::Events::Rule . ⇢ Targets.DeadLetterConfig undelivered
AWS::KinesisFirehose::DeliveryStream KinesisStreamSourceConfiguration → .
AWS::KinesisFirehose::DeliveryStream . ⇄ $S3.ProcessingConfiguration transform
AWS::KinesisFirehose::DeliveryStream . → $S3.BucketARN
AWS::KinesisFirehose::DeliveryStream . → $S3.S3BackupConfiguration unchanged copy
AWS::KinesisFirehose::DeliveryStream . ⇢ $S3.BucketARN {$S3.ErrorOutputPrefix}
AWS::Lambda::EventInvokeConfig FunctionName → DestinationConfig.OnSuccess on success
AWS::Lambda::EventInvokeConfig FunctionName ⇢ DestinationConfig.OnFailure on failure
AWS::Lambda::EventSourceMapping EventSourceArn → FunctionName
AWS::Lambda::EventSourceMapping FunctionName ⇢ DestinationConfig.OnFailure on failure
AWS::Lambda::Function . ⇢ DeadLetterConfig discarded
AWS::Pipes::Pipe Source → .
AWS::Pipes::Pipe . ⇄ Enrichment enrich
AWS::Pipes::Pipe . → Target
AWS::S3::Bucket . → NotificationConfiguration
AWS::SNS::Subscription TopicArn → Endpoint filter: {FilterPolicy}
AWS::SNS::Subscription TopicArn ⇢ RedrivePolicy undelivered
AWS::SQS::Queue . ⇢ RedrivePolicy after {RedrivePolicy.maxReceiveCount} receives
AWS::Scheduler::Schedule . → Target.Arn
AWS::Scheduler::Schedule . ⇢ Target.DeadLetterConfig undelivered
AWS::StepFunctions::StateMachine . → DefinitionString
AWS::StepFunctions::StateMachine . → DefinitionSubstitutions
AWS::StepFunctions::StateMachine . → Definition
Custom::S3BucketNotifications BucketName → NotificationConfiguration
""".replace("$S3", "ExtendedS3DestinationConfiguration").splitlines():
    _type, _source, _arrow, _target, *_label = _line.split(" ", 4)
    _wire = (_source.strip("."), _target.strip("."), ARROWS[_arrow], "".join(_label))
    WIRING.setdefault(_type, []).append(_wire)
# A reference to one of these means the resource behind it.
STANDS_FOR = {
    "AWS::ApiGatewayV2::Integration": ("IntegrationUri", "RequestParameters"),
    "AWS::Kinesis::StreamConsumer": ("StreamARN",),
    "AWS::Lambda::Alias": ("FunctionName",),
    "AWS::Lambda::Version": ("FunctionName",),
}
# These are never drawn.
HELPERS = (
    "AWS::CloudFormation::", "AWS::Glue::", "AWS::IAM::", "AWS::KMS::", "AWS::Logs::", "AWS::SSM::",
    "AWS::SecretsManager::", "Custom::",
)  # fmt: skip
# Code shows its calls in what its role may do; consuming is in the event source already.
CALLERS = ("AWS::ECS::TaskDefinition", "AWS::Lambda::Function", "AWS::StepFunctions::StateMachine")
POLICIES = ("AWS::IAM::ManagedPolicy", "AWS::IAM::Policy", "AWS::IAM::Role")
WRITES = re.compile(
    r"(dynamodb:(Put|Update|Delete|BatchWrite|PartiQL)|s3:PutObject|sqs:SendMessage"
    r"|sns:Publish|events:PutEvents|(kinesis|firehose):PutRecord|lambda:Invoke|states:Start"
    r"|execute-api:Invoke|scheduler:CreateSchedule|appsync:|dynamodb:\*|s3:\*)"
)
DELETES = re.compile(r"s3:DeleteObject")
MAKES = re.compile("sqs:CreateQueue")
METRIC = "MetricStat.Metric"
READS = re.compile(r"dynamodb:(Get|BatchGet|Query|Scan)|s3:GetObject")


@dataclass(frozen=True)
class Node:
    """A resource to draw. ``needs_event``: nothing happens until something sends it an event."""

    icon: str
    name: str
    service: str
    kind: str
    needs_event: bool = True

    @property
    def term(self) -> str:
        """The service's own term."""
        return f"{self.service} {self.kind}".strip()


@dataclass(frozen=True)
class Edge:
    """An arrow: a flow (BOTH: with an answer), or where a failed event goes (FAILURE)."""

    source: str
    target: str
    kind: str
    label: tuple[str, ...] = ()


@dataclass(frozen=True)
class Graph:
    """What to draw: nodes by logical id, arrows, alarms per node, the topics that they notify.

    ``answers``: queues of which the client receives.
    """

    nodes: dict[str, Node]
    edges: list[Edge]
    alarms: dict[str, int]
    told: str
    answers: Sequence[str] = ()


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
    """The words of a logical id, without hashes, each repeated one at its last place only."""
    plain = re.sub(r"(?<=.)[0-9A-F]{8}$", "", logical_id)
    plain = re.sub(r"(?<=[a-z])(?=[a-f]*\d)[0-9a-f]{8}(?=[A-Z])", "", plain)
    found = re.findall(r"S3|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", plain)
    return [word for n, word in enumerate(found) if word not in found[n + 1 :]] or [logical_id]


def readable(name: Sequence[str]) -> str:
    """Words as a name: `Order changes queue`."""
    text = lowered(name)
    return text[:1].upper() + text[1:]


def lowered(name: Sequence[str]) -> str:
    """Words in lower case but for abbreviations: `REST API`."""
    short = {"Api", "Dlq", "Fifo", "Http", "Rest", "Sns", "Sqs"}
    cased = [w.upper() if w in short else w if w.isupper() else w.lower() for w in name]
    return " ".join(cased).replace("dead letter", "dead-letter")


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
        self.edges: dict[tuple[str, str, bool], Edge] = {}
        self.guesses: list[tuple[str, Edge]] = []
        self.answers: list[str] = []

    def of(self, *types: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Resources of these types, with their properties."""
        for node, resource in self.resources.items():
            if resource["Type"] in types:
                yield node, resource["Properties"]

    def follow(self, value: Any) -> Iterator[str]:
        """The resources that a value refers to, or those behind them."""
        for node in refs(value):
            resource = self.resources.get(node)
            if resource and resource["Type"] in STANDS_FOR:
                yield from self.follow(
                    [resource["Properties"].get(key) for key in STANDS_FOR[resource["Type"]]]
                )
            elif resource and not resource["Type"].startswith(HELPERS):
                yield node

    def connect(self, source: str, target: str, kind: str, label: str = "") -> None:
        """Add an arrow, or a label to one that has labels; one without a label means everything."""
        key = (source, target, kind == FAILURE)
        known = self.edges.get(key)
        if not known and source != target:
            self.edges[key] = Edge(source, target, kind, (label,) if label else ())
        elif known and label and known.label and label not in known.label:
            self.edges[key] = replace(known, label=(*known.label, label))

    def read_wiring(self) -> None:
        """Read what resources say themselves: see WIRING."""
        for node, resource in self.resources.items():
            properties = resource["Properties"]
            for source, target, kind, label in WIRING.get(resource["Type"], ()):
                text = self.label(label, properties)
                if kind == FAILURE and label and not text:
                    continue
                for tail in self.follow(pick(properties, source)) if source else (node,):
                    heads = [*self.follow(pick(properties, target))] if target else [node]
                    for head in heads:
                        self.connect(tail, head, kind, text)
                    outside = target == "Endpoint" and not heads
                    if outside and properties.get("Protocol") in ENDPOINTS:
                        self.connect(tail, node, kind, text)
            if resource["Type"] not in WIRING | STANDS_FOR:  # a guess, by its words
                for key, value in sorted(properties.items()):
                    for other in self.follow(value):
                        if re.search("Source|Input", key):
                            self.guesses.append((node, Edge(other, node, FLOW)))
                        elif re.search("Target|Destination|Output", key):
                            self.guesses.append((node, Edge(node, other, FLOW)))

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
        # A value that a service fills in itself (!{...}) is not known here.
        return re.sub(
            r"{([\w.]+)}", lambda found: str(texts[found[1]]).partition("!{")[0] or "…", label
        )

    def path(self, resource: Any) -> str:
        """The URL path of an API's resource."""
        for node in refs(resource):
            properties = self.resources[node]["Properties"]
            if "PathPart" in properties:
                return f"{self.path(properties['ParentId'])}/{properties['PathPart']}"
        return ""

    def callers(self) -> dict[str, str]:
        """The code of each role."""
        return {
            role: node
            for node, properties in self.of(*CALLERS)
            for role in refs([properties.get(key) for key in ("Role", "RoleArn", "TaskRoleArn")])
        }

    def allowed(self) -> list[tuple[str, dict[str, Any]]]:
        """What each role may do, statement by statement."""
        return [
            (role, statement)
            for node, policy in self.of(*POLICIES)
            for role in (node, *refs(policy.get("Roles")))
            for statement in _statements(policy)
        ]

    def read_answers(self) -> None:
        """Read where code sends to queues that are made when who asks runs: in no template."""
        allowed, callers = self.allowed(), self.callers()
        made = [arn for _, one in allowed if MAKES.search(str(one)) for arn in _arns(one)]
        for role, statement in allowed:
            sends = "sqs:SendMessage" in str(statement.get("Action"))
            if sends and role in callers and any(arn in made for arn in _arns(statement)):
                name = f"{''.join(words(callers[role]))}Answers"
                self.resources[name] = {"Type": "AWS::SQS::Queue", "Properties": {}}
                self.connect(callers[role], name, FLOW)
                self.answers.append(name)

    def read_permissions(self) -> None:
        """Read what code may write and read, where no wiring says it already."""
        callers, allowed = self.callers(), self.allowed()
        failures = {edge.target for edge in self.edges.values() if edge.kind == FAILURE}
        found = [
            (callers[role], target, str(statement.get("Action")))
            for role, statement in allowed
            if role in callers
            for target in self.follow(statement.get("Resource"))
        ]
        for pattern, label in ((WRITES, ""), (READS, "reads"), (DELETES, "deletes")):
            wired = {(edge.source, edge.target) for edge in self.edges.values()}
            if pattern is READS:
                wired |= {(target, source) for source, target in wired}
            for caller, target, actions in found:
                if pattern.search(actions) and (caller, target) not in wired:
                    self.connect(caller, target, FAILURE if target in failures else FLOW, label)
        for caller, queue, actions in found:
            if "sqs:ReceiveMessage" in actions and (queue, caller, False) not in self.edges:
                self.connect(queue, caller, FAILURE if queue in failures else FLOW)
        # Code that passes a role to Scheduler makes schedules of what the role may start.
        for caller, passed in [
            (callers[role], refs(statement.get("Resource")))
            for role, statement in allowed
            if role in callers and "iam:PassRole" in str(statement.get("Action"))
        ]:
            given = set(passed)
            for role, statement in allowed:
                actions = str(statement.get("Action")) if role in given else ""
                for target in self.follow(statement.get("Resource")):
                    if "lambda:Invoke" in actions:
                        self.connect(caller, target, FLOW, "schedules")
                    elif "sqs:SendMessage" in actions:
                        self._schedules_message(caller, target)

    def _schedules_message(self, caller: str, queue: str) -> None:
        """Draw where the schedules that code makes send: as the code, else what is undelivered."""
        if (caller, queue, False) in self.edges:
            self.edges[caller, queue, False] = Edge(caller, queue, FLOW, ("now, or by schedule",))
        elif all(edge.target != queue for edge in self.edges.values()):
            self.connect(caller, queue, FAILURE, "undelivered")

    def read_alarms(self) -> None:
        """Make failures of the arrows to a queue that should be empty: see _alarms_at_one."""
        consumed = {edge.source for edge in self.edges.values() if edge.kind != FAILURE}
        parked = {
            queue
            for _, alarm in self.of("AWS::CloudWatch::Alarm")
            if _alarms_at_one(alarm)
            for queue in self.follow([alarm.get("Dimensions"), alarm.get("Metrics")])
        } - consumed
        for key, edge in self.edges.items():
            if edge.target in parked:
                self.edges[key] = replace(edge, kind=FAILURE)

    def drawn(self) -> list[Edge]:
        """The arrows to draw: those of a guessed resource only if it is between two others."""
        behind = set(refs([r["Properties"].get("ServiceToken") for r in self.resources.values()]))
        edges = list(self.edges.values())
        known = {node for edge in edges for node in (edge.source, edge.target)}
        known |= {e.source for _, e in self.guesses} & {e.target for _, e in self.guesses}
        edges += [edge for node, edge in self.guesses if node in known]
        edges = [edge for edge in edges if not behind & {edge.source, edge.target}]
        return sorted(edges, key=lambda e: (e.kind != FLOW, _is_fifo(self.resources[e.target])))


def graph(template: dict[str, Any]) -> Graph:
    """What a template wires together."""
    read = _Template(template)
    read.read_wiring()
    read.read_permissions()
    read.read_answers()
    read.read_alarms()
    edges = read.drawn()
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
        if number > 1:
            what = replace(what, service=f"{number} {what.service}", kind=f"{what.kind}s")
        nodes[node] = replace(what, name=readable(names[node]))
    edges = [edge for edge in edges if edge.target not in alike]
    return Graph(nodes, edges, +Counter(alarms), told, read.answers)


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
    properties = resource["Properties"]
    service, kind = resource["Type"].split("::")[-2:]
    owner = next((o for o in ("AWS", "Amazon") if any(ICONS.glob(f"*/{o}{service}.svg"))), "")
    names = SERVICES.get(service, (f"{owner} {service}".strip(),))
    term = TERMS.get(resource["Type"], lowered(words(kind)))
    term = term.replace("{ProtocolType}", str(properties.get("ProtocolType")))
    protocol = str(properties.get("Protocol"))
    term = term.replace("{Protocol}", protocol.upper())
    starts = kind != "Schedule" and "ScheduleExpression" not in properties
    fifo = "FIFO " * _is_fifo(resource)
    icon = ENDPOINTS.get(protocol, CLIENTS.get(kind, names[-1].replace(" ", "")))
    return Node(icon, node, names[0], fifo + term, needs_event=starts)


def _alarms_at_one(alarm: dict[str, Any]) -> bool:
    """Whether an alarm fires at the first message in a queue: only failures arrive there."""
    metrics = [alarm.get("MetricName"), *pick(alarm.get("Metrics", []), METRIC + ".MetricName")]
    first = {"GreaterThanThreshold": 0, "GreaterThanOrEqualToThreshold": 1}
    threshold = first.get(alarm.get("ComparisonOperator", ""), "none")
    return "ApproximateNumberOfMessagesVisible" in metrics and alarm.get("Threshold") == threshold


def _alarms(read: _Template, nodes: Mapping[str, Node]) -> tuple[dict[str, int], str]:
    """How many alarms watch each node, and the names of the topics that they notify."""
    names = {str(read.resources[node]["Properties"].get("Name")): node for node in nodes}
    watched: Counter[str] = Counter()
    told: dict[str, None] = {}
    for _, alarm in read.of("AWS::CloudWatch::Alarm"):
        dimensions = [alarm.get("Dimensions"), pick(alarm.get("Metrics"), METRIC)]
        values = [d.get("Value") for d in alarm.get("Dimensions", [])]
        seen = [n for n in read.follow(dimensions) if n in nodes]
        seen += [names[value] for value in values if isinstance(value, str) and value in names]
        watched.update(seen[:1])
        told |= dict.fromkeys(read.follow(alarm.get("AlarmActions")) if seen else ())
    return dict(watched), ", ".join(readable(words(topic)) for topic in told)


def _is_fifo(resource: dict[str, Any]) -> bool:
    properties = resource.get("Properties", {})
    return bool(properties.get("FifoQueue") or properties.get("FifoTopic"))


def _arns(statement: dict[str, Any]) -> list[Any]:
    """The resources of a statement."""
    found = statement.get("Resource")
    return found if isinstance(found, list) else [found]


def _statements(value: Any) -> Iterator[dict[str, Any]]:
    """The statements of policies, however deep."""
    for item in value if isinstance(value, list) else value.values():
        if isinstance(item, dict) and "Action" in item:
            yield item
        elif isinstance(item, dict | list):
            yield from _statements(item)
