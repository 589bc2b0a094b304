"""A check that a construct and the rule pack both make is one function: both say its sentence.

The table has a mistake for each such rule. A construct raises it, and the pack reports it of a
template in templates/bad, with the same figures.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from datetime import datetime
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from aws_cdk import App, Duration, Size, Stack
from aws_cdk import aws_appsync as appsync
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as cloudwatch_actions
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from cfnlint.decode import decode
from cfnlint.template import Template

from serverless_patterns.lint.__main__ import rules
from serverless_patterns.patterns import checks
from serverless_patterns.patterns.api_sqs_lambda import rules as api_rules
from serverless_patterns.patterns.blocks import keys, subscribers, subscriptions
from serverless_patterns.patterns.blocks.alarms import Alarms, Runbook
from serverless_patterns.patterns.blocks.aurora import cluster_of
from serverless_patterns.patterns.blocks.consumers import Consumer, check_may_run
from serverless_patterns.patterns.blocks.definitions import Definition
from serverless_patterns.patterns.blocks.destinations import Target
from serverless_patterns.patterns.blocks.firehose import Buffering
from serverless_patterns.patterns.blocks.invocations import (
    check_grantee,
    check_only_configuration,
)
from serverless_patterns.patterns.blocks.lakes import Lake, Table
from serverless_patterns.patterns.blocks.queues import NewQueue, SqsToLambda, check_own_queue
from serverless_patterns.patterns.blocks.routes import Delivery, route
from serverless_patterns.patterns.blocks.schedules import Retries, check_given
from serverless_patterns.patterns.blocks.sources import Source
from serverless_patterns.patterns.blocks.stream_consumers import (
    StreamConsumer,
    StreamReader,
    source_of,
)
from serverless_patterns.patterns.blocks.transforms import Transform
from serverless_patterns.patterns.blocks.undo import check_undo
from serverless_patterns.patterns.claim_check.construct import Payloads
from serverless_patterns.patterns.delay_and_visibility.construct import DelayedQueue
from serverless_patterns.patterns.dlq_redrive.construct import RedrivenQueue
from serverless_patterns.patterns.dynamodb_streams_lambda.construct import (
    DynamoDbStreamsToLambda,
    NewTable,
    operations,
)
from serverless_patterns.patterns.kinesis_lambda.construct import KinesisToLambda
from serverless_patterns.patterns.limits import SQS_DEFAULT_RETENTION
from serverless_patterns.patterns.s3_events_lambda.construct import S3EventsToSqsToLambda, Watch
from serverless_patterns.patterns.scheduler_lambda.rules import expression_of
from serverless_patterns.patterns.sns_fifo_fanout import rules as fanout_rules
from serverless_patterns.patterns.sns_webhook.construct import SnsWebhook
from tests.appsync_live.builds import make as make_live
from tests.blocks.test_aurora import own as own_cluster
from tests.claim_check.builds import make as make_claims
from tests.conftest import ROOT
from tests.inline import function
from tests.request_reply.builds import make_for_a_process

if TYPE_CHECKING:
    from collections.abc import Callable

BAD, CHECKS = Path(__file__).parent / "templates" / "bad", ROOT / "lint" / "checks"
SHARED = {str(rule.id): rule for rule in rules() if getattr(rule, "shared", None)}
CALLBACK = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"
# What each side has words of its own for, besides names.
WORDS = {"fix": "…", "instead": "…", "otherwise": "…", "kind": "…", "resource": CALLBACK}
DAYS_18 = Duration.days(18)
BERLIN_SKIPS = datetime(2099, 3, 29, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
RAW = subscriptions.Subscription(raw_message_delivery=True)
EMPTY = sns.BetweenCondition(start=10, stop=5)
TO_QUEUE = {"QueueUrl": "${Queue}", "MessageBody": "{}"}


def event_api_with_a_key(stack: Stack) -> Any:
    make_live(stack, api=appsync.EventApi(stack, "Api", api_name="live"))


def seconds(count: int) -> Duration:
    return Duration.seconds(count)


def own_queue(
    stack: Stack, letters: dict[str, Any] | None = None, receives: int = 5, **settings: Any
) -> None:
    kept = sqs.Queue(stack, "Letters", **{"retention_period": Duration.days(14)} | (letters or {}))
    if letters == {}:
        kept.node.default_child.redrive_allow_policy = {"redrivePermission": "denyAll"}  # type: ignore[union-attr]
    dead_letters = sqs.DeadLetterQueue(queue=kept, max_receive_count=receives)
    check_own_queue(sqs.Queue(stack, "Queue", dead_letter_queue=dead_letters, **settings))


def dead_letters_elsewhere(_stack: Stack) -> None:
    environment = {"account": "111111111111", "region": "eu-west-1"}
    here = Stack(App(), "Here", env=environment)
    there = sqs.Queue.from_queue_arn(here, "There", "arn:aws:sqs:us-east-1:111111111111:failed")
    dead_letters = sqs.DeadLetterQueue(queue=there, max_receive_count=5)
    check_own_queue(sqs.Queue(here, "Queue", dead_letter_queue=dead_letters))


def delayed_fifo(stack: Stack) -> DelayedQueue:
    consumer = Consumer(function(stack), batch_size=1)
    return DelayedQueue(stack, "Delayed", consumer=consumer, queue=NewQueue(fifo=True))


def consume(stack: Stack, hidden: int = 60, reserved: int | None = None, **settings: Any) -> None:
    consumer = function(stack, reserved_concurrent_executions=reserved)
    queue = NewQueue(visibility_timeout=seconds(hidden))
    SqsToLambda(stack, "Block", consumer=Consumer(consumer, **settings), queue=queue)


def ask(stack: Stack, **settings: Any) -> None:
    """Ask a responder that is a process, for a minute."""
    make_for_a_process(stack, queue=NewQueue(**settings))


def read_twice(stack: Stack) -> None:
    both, orders = function(stack), KinesisToLambda(stack, "Orders")
    orders.add_consumer("Stored", both)
    orders.add_consumer("StoredAgain", both)


def read_stream(stack: Stack, **settings: Any) -> None:
    consumer = StreamConsumer(function=function(stack), **settings)
    stream = kinesis.Stream(stack, "Stream")
    StreamReader(stack, "Block", source=source_of(stream), consumer=consumer, alarms=Alarms())


def read_table(stack: Stack, view: dynamodb.StreamViewType, readers: int) -> None:
    """Read a table by a filter that compares the new image."""
    changes = DynamoDbStreamsToLambda(stack, "Block", table=NewTable(stream=view))
    new = operations("MODIFY", dynamodb={"NewImage": {"total": {"N": [{"exists": True}]}}})
    for number in range(readers):
        reads = function(stack, f"Reader{number}")
        changes.add_consumer(f"Reader{number}", StreamConsumer(function=reads, filters=[new]))


def notify(stack: Stack) -> None:
    key = kms.Alias.from_alias_name(stack, "Key", "alias/aws/sns")
    action = cloudwatch_actions.SnsAction(sns.Topic(stack, "Topic", master_key=key))
    metric = cloudwatch.Metric(namespace="AWS/SQS", metric_name="Any")
    Alarms([action]).above(stack, "Alarm", metric, Runbook("It rang.", "Look.", "Fix.", "Verify."))


def saga(*, express: bool = False, **fields: Any) -> None:
    retry = {"ErrorEquals": ["States.ALL"], "JitterStrategy": "FULL"}
    step = {"Type": "Task", "Retry": [retry], "Catch": [{"ErrorEquals": ["States.ALL"]}], **fields}
    check_undo(Definition(json.dumps({"States": {"Ask": step}})), express=express)


def send(stack: Stack) -> None:
    queue = sqs.Queue(stack, "Queue", fifo=True, content_based_deduplication=True)
    sent = "arn:aws:states:::sqs:sendMessage"
    step = {"Type": "Task", "Resource": sent, "Arguments": TO_QUEUE, "TimeoutSeconds": 1}
    definition = {"QueryLanguage": "JSONata", "States": {"Send": step}}
    Definition(json.dumps(definition)).check({"Queue": queue})


def twice(stack: Stack) -> None:
    own = function(stack)
    for _ in range(2):
        check_only_configuration(stack, own, "$LATEST")


def routed(stack: Stack, bus: Any = None, dead_letters: Any = None) -> None:
    kept = sqs.Queue(stack, "Dead", **dead_letters) if dead_letters else None
    of = bus or events.EventBus(stack, "Shop")
    pattern = events.EventPattern(source=["shop.orders"])
    route(stack, of, pattern, bus or function(stack), delivery=Delivery(dead_letter_queue=kept))


def watch_bucket(stack: Stack, **given: Any) -> None:
    S3EventsToSqsToLambda(stack, "Events", consumer=function(stack), **given)


def endpoint(stack: Stack, url: str = "https://partner.example.com/orders", **given: Any) -> None:
    topic = sns.Topic(stack, "Topic")
    topic.node.default_child.maximum_message_size = given.pop("size", None)  # type: ignore[union-attr]
    policy = sns.DeliveryPolicy(healthy_retry_policy=sns.HealthyRetryPolicy(**given))
    of = subscriptions.Subscription()
    subscribers.deliver_to_endpoint(
        stack, Source(topic), url, of, delivery_policy=policy, alarms=Alarms()
    )


MISTAKES: dict[str, Callable[[Stack], object]] = {
    "E9101": lambda stack: own_queue(stack, {"fifo": True}),
    "W9102": lambda stack: check_own_queue(sqs.Queue(stack, "Queue")),
    "W9103": lambda stack: own_queue(stack, {"retention_period": Duration.days(4)}),
    "W9104": lambda stack: own_queue(stack, receives=4),
    "E9105": lambda stack: own_queue(stack, {}),
    "W9106": lambda stack: own_queue(
        stack, visibility_timeout=seconds(360), retention_period=seconds(1800)
    ),
    "E9109": dead_letters_elsewhere,
    "E9111": lambda stack: consume(stack, hidden=9),
    "W9112": lambda stack: consume(stack, hidden=64, max_batching_window=seconds(5)),
    "W9113": lambda stack: consume(stack, reserved=20, max_concurrency=21),
    "E9115": lambda stack: read_stream(stack, filters=[{"pattern": '{"shop": ["north"]}'}]),
    "E9131": lambda stack: Target.of("on_failure", sqs.Queue(stack, "Queue", fifo=True)).check(
        stack, function(stack)
    ),
    "E9132": lambda stack: watch_bucket(stack, queue=NewQueue(fifo=True)),
    "W9123": lambda stack: StreamConsumer(
        function=function(stack), starting_position=lambda_.StartingPosition.LATEST
    ),
    "W9124": lambda stack: read_stream(stack, max_record_age=Duration.days(1)),
    "E9126": lambda stack: read_table(stack, dynamodb.StreamViewType.KEYS_ONLY, readers=1),
    "W9127": lambda stack: read_table(stack, dynamodb.StreamViewType.NEW_IMAGE, readers=3),
    "E9133": lambda stack: fanout_rules.check_protocol("HTTPS"),
    "E9134": lambda stack: fanout_rules.check_topic(sns.Topic(stack, "Topic")),
    "E9135": lambda stack: subscriptions.check_dead_letter_queue(
        sqs.Queue(stack, "Queue"), topic_fifo=True
    ),
    "E9136": lambda stack: routed(stack, dead_letters={"fifo": True}),
    "E9137": lambda stack: check_given(
        stack,
        "function",
        function(stack),
        Retries(),
        sqs.Queue(stack, "Queue", fifo=True),
        None,
        Alarms(),
    ),
    "E9138": send,
    "E9141": lambda stack: Transform(function(stack), batch_size=Size.mebibytes(3.1)),
    "E9142": lambda stack: Transform(function(stack, timeout=seconds(301))),
    "E9144": lambda stack: Lake(
        table=Table(columns={"a": "string"}), buffering=Buffering(size=Size.mebibytes(63))
    ),
    "I9147": lambda stack: Lake(prefix="clicks/", error_prefix="clicks/"),
    "E9151": notify,
    "E9153": lambda stack: keys.check_key("The key", kms.Key(stack, "Key", enabled=False)),
    "W9161": lambda stack: check_grantee(iam.ServicePrincipal("s3.amazonaws.com")),
    "W9188": lambda stack: Alarms(max_age=Duration.days(4)).on_oldest_message(
        stack, "Alarm", sqs.Queue(stack, "Queue"), SQS_DEFAULT_RETENTION
    ),
    "E9231": lambda stack: NewQueue(delivery_delay=seconds(900), retention_period=seconds(900)),
    "E9232": lambda stack: delayed_fifo(stack).sender_environment,
    "E9233": lambda stack: ask(stack, delivery_delay=seconds(60), visibility_timeout=seconds(30)),
    "W9234": lambda stack: ask(stack, visibility_timeout=seconds(60)),
    "E9174": lambda stack: api_rules.check_message(NewQueue(fifo=True), None, None),
    "E9190": lambda stack: subscriptions.Subscription(
        filter_policy={"total": sns.SubscriptionFilter.numeric_filter(between=EMPTY)}
    ),
    "W9195": lambda stack: check_may_run(
        "It", function(stack, reserved_concurrent_executions=0), "nothing happens"
    ),
    "E9196": lambda stack: saga(express=True, Resource=CALLBACK, TimeoutSeconds=1),
    "E9189": twice,
    "E9204": lambda stack: routed(stack, bus=events.EventBus(stack, "Shop")),
    "W9218": lambda stack: make_claims(stack, payloads=Payloads(prefix="lists/", kept=DAYS_18)),
    "W9222": lambda stack: RedrivenQueue(stack, "Redriven", warning=seconds(0)),
    "W9205": lambda _: Watch("lists/*"),
    "E9206": lambda stack: watch_bucket(stack, watch=[Watch("lists/"), Watch("lists/new/")]),
    "E9207": lambda _: expression_of("Report", BERLIN_SKIPS),
    "W9221": event_api_with_a_key,
    "E9241": lambda stack: cluster_of(stack, "Database", own_cluster(stack)),
    "W9211": lambda stack: endpoint(stack, "http://partner.example.com/orders"),
    "E9212": lambda stack: endpoint(stack, size=262_145),
    "E9219": read_twice,
    "E9213": lambda stack: endpoint(stack, num_min_delay_retries=4),
    "I9214": lambda stack: SnsWebhook(stack, "Webhook", topic=sns.Topic(stack, "Topic")),
    "I9215": lambda stack: SnsWebhook(stack, "Webhook").add_endpoint(
        "To", url="https://partner.example.com/", subscription=RAW
    ),
    "I9198": lambda stack: saga(Resource=CALLBACK),
}


class Spy:
    """A check that also keeps what it said, and the same without the words of either side."""

    def __init__(self, check: Callable[..., str | None]) -> None:
        self.check, self.signature = check, inspect.signature(check)
        self.said: list[str] = []
        self.plain: set[str] = set()

    def __call__(self, *given: Any, **named: Any) -> str | None:
        problem = self.check(*given, **named)
        if problem:
            words = {
                name: WORDS.get(name, f"<{name}>")
                for name, parameter in self.signature.parameters.items()
                if name in WORDS or parameter.annotation == "object"
            }
            bound = self.signature.bind(*given, **named).arguments
            self.said.append(problem)
            self.plain.add(str(self.check(**bound | words)))
        return problem


@pytest.mark.parametrize("rule_id", SHARED)
def test_a_construct_and_the_rule_pack_say_the_same_sentence(
    rule_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule: Any = SHARED[rule_id]
    construct, pack = Spy(rule.shared), Spy(rule.shared)
    place = f"{rule.shared.__module__}.{rule.shared.__name__}"
    monkeypatch.setattr(place, construct)
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - it says what the check says
        MISTAKES[rule_id](Stack(App(), "Stack"))
    assert construct.said[0] in str(raised.value)

    monkeypatch.setattr(place, pack)
    templates: list[Any] = [decode(str(file))[0] for file in BAD.glob(f"{rule_id}-*")]
    found = [match.message for each in templates for match in rule.match(Template("a", each))]
    assert set(pack.said) <= set(found)
    assert construct.plain & pack.plain, (construct.plain, pack.plain)


def test_a_shared_check_names_its_rules_and_a_rule_its_shared_check() -> None:
    named: dict[str, Any] = {}
    for module in iter_modules(checks.__path__, f"{checks.__name__}."):
        for check in vars(import_module(module.name)).values():
            if inspect.isfunction(check) and check.__module__ == module.name:
                lint = re.search(r"Lint ((?:[EWI]9\d{3}(?:, )?)+)", check.__doc__ or "")
                named |= dict.fromkeys(lint[1].split(", ") if lint else [], check)
    assert named == {rule_id: getattr(rule, "shared", None) for rule_id, rule in SHARED.items()}
    assert named.keys() == MISTAKES.keys()


@pytest.mark.parametrize("file", sorted(CHECKS.glob("*.py")), ids=lambda file: file.stem)
def test_no_rule_has_a_figure_of_its_own(file: Path) -> None:
    """0 and 1 count and switch, 2 is a place; 415 is a status."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for rule in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
        values = [node.value for node in ast.walk(rule) if isinstance(node, ast.Constant)]
        numbers = {value for value in values if isinstance(value, int | float)}
        text = " ".join(value for value in values if isinstance(value, str))
        said = set(re.findall(r"(?<![\w\\])\d+(?![\w{])", text))
        assert numbers <= {0, 1, 2}, rule.name
        assert said <= {"0", "1", "2", "415"}, rule.name


DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef
# Numbers in messages that are no figure of AWS: statuses, and a table's own.
STATUSES = {"202", "400", "403", "410", "413", "415", "422", "429", "500", "502", "503", "504"}
OF_ITS_OWN = {
    "blocks/subscriptions.py": {"2026", "8", "11", "21"},  # the date of an example
    "kinesis_firehose_s3/scenario.py": {"1,000"},  # clicks that it counts
}


@pytest.mark.parametrize(
    "file",
    sorted({*ROOT.glob("patterns/**/*.py")} - {*ROOT.glob("patterns/shop.py")}),
    ids=lambda file: f"{file.parent.name}/{file.stem}",
)
def test_no_message_has_a_figure_of_its_own(file: Path) -> None:
    """A docstring may say a figure; a message takes it from the limits. 2 is a place."""
    nodes = [*ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    docs = {ast.get_docstring(node, clean=False) for node in nodes if isinstance(node, DOCUMENTED)}
    values = {node.value for node in nodes if isinstance(node, ast.Constant)} - docs
    prose = " ".join(value for value in values if isinstance(value, str) and " " in value)
    said = {number.strip(".,") for number in re.findall(r"(?<![\w.:/-])\d[\d.,]*(?![\w{])", prose)}
    assert said <= {"0", "1", "2"} | STATUSES | OF_ITS_OWN.get("/".join(file.parts[-2:]), set())
