"""The diagram shows what a template wires together, and nothing that it does not."""

from __future__ import annotations

import json
import re
from html import unescape
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from tests.sandbox.helpers import arn, document, ref, resource
from tools import diagram
from tools.diagram import render
from tools.wiring import ARROWS, FAILURE, graph, readable, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Resource = dict[str, Any]
VISIBLE = "ApproximateNumberOfMessagesVisible"
DIAGRAMS = {file.parent.name: file for file in diagram.ROOT.glob("patterns/*/diagram.svg")}
TITLE = "API Gateway → SQS → Lambda"
SIGNS = {kind: sign for sign, kind in ARROWS.items()}


def template(**resources: Resource) -> Resource:
    return {"Resources": resources}


QUEUE, FUNCTION, TABLE = map(resource, ("SQS::Queue", "Lambda::Function", "DynamoDB::Table"))
BUCKET = resource("S3::Bucket")


def allow(role: str, target: str, *actions: str) -> Resource:
    allowed = document({"Action": list(actions), "Effect": "Allow", "Resource": arn(target)})
    return resource("IAM::Policy", PolicyDocument=allowed, Roles=[ref(role)])


def source(queue: str, function: str) -> Resource:
    ends = {"EventSourceArn": arn(queue), "FunctionName": ref(function)}
    return resource("Lambda::EventSourceMapping", **ends)


def alarm(queue: str, metric: str = VISIBLE, threshold: int = 0, **more: Any) -> Resource:
    return resource(
        "CloudWatch::Alarm",
        MetricName=metric,
        ComparisonOperator="GreaterThanThreshold",
        Threshold=threshold,
        Dimensions=[{"Name": "QueueName", "Value": {"Fn::GetAtt": [queue, "QueueName"]}}],
        **more,
    )


def lane(name: str, target: str, *actions: str, **kind: Any) -> dict[str, Resource]:
    """A queue with a dead-letter queue, and a function that consumes it and uses a target."""
    queue, dead, role = f"{name}Queue", f"{name}DeadLetterQueue", f"{name}Role"
    redrive = {"deadLetterTargetArn": arn(dead), "maxReceiveCount": 5}
    return {
        dead: resource("SQS::Queue", **kind),
        queue: resource("SQS::Queue", RedrivePolicy=redrive, **kind),
        role: resource("IAM::Role"),
        f"{name}Work": resource("Lambda::Function", Role=arn(role)),
        f"{name}Source": source(queue, f"{name}Work"),
        f"{name}Receive": allow(role, queue, "sqs:ReceiveMessage"),
        f"{name}Policy": allow(role, target, *actions),
    }


def shop(path: str = "{id}") -> Resource:
    """An API in front of a standard and a FIFO queue, each with a dead-letter queue."""
    parts = {
        "Api1A2B3C4D": resource("ApiGateway::RestApi", Name="Api"),
        "ApiRole": resource("IAM::Role"),
        "Root": resource("ApiGateway::Resource", PathPart="shop", ParentId=arn("Api1A2B3C4D")),
        "Logs": resource("Logs::LogGroup"),
        "TopicOfAlarms": resource("SNS::Topic"),
        "Table": TABLE,
    }
    for name, part, kind in (("Orders", path, {}), ("Changes", "changes", {"FifoQueue": True})):
        uri = ["arn:…:sqs:path/…/", {"Fn::GetAtt": [f"{name}Queue", "QueueName"]}]
        to_queue = {"Credentials": arn("ApiRole"), "Type": "AWS", "Uri": {"Fn::Join": ["", uri]}}
        parent, told = ref("Root"), [ref("TopicOfAlarms")]
        parts |= lane(name, "Table", "dynamodb:GetItem", "dynamodb:PutItem", **kind) | {
            f"{name}Path": resource("ApiGateway::Resource", PathPart=part, ParentId=parent),
            f"{name}Method": resource(
                "ApiGateway::Method",
                HttpMethod="POST",
                ResourceId=ref(f"{name}Path"),
                RestApiId=ref("Api1A2B3C4D"),
                Integration=to_queue,
            ),
            f"{name}Alarm": alarm(f"{name}DeadLetterQueue", "Any", AlarmActions=told),
        }
    return template(**parts)


def chain(stages: str) -> str:
    """Functions, each behind a queue with a dead-letter queue; the last one writes to a table."""
    parts = {"TableQueue": TABLE}
    for stage, after in pairwise([*stages, "Table"]):
        action = "sqs:SendMessage" if after in stages else "dynamodb:PutItem"
        parts |= lane(stage, f"{after}Queue", action)
    return render(template(**parts), "; ".join([TITLE] * 4))


@pytest.fixture(scope="module")
def drawn() -> str:
    return render(shop(), TITLE)


def wired(resources: Resource) -> list[str]:
    """Each arrow: its ends, its kind and its label."""
    return sorted(
        f"{edge.source} {SIGNS[edge.kind]} {edge.target} {' '.join(edge.label)}".strip()
        for edge in graph({"Resources": resources}).edges
    )


SHOP = [
    "Api1A2B3C4D → ChangesQueue POST /shop/changes",
    "Api1A2B3C4D → OrdersQueue POST /shop/{id}",
    "ChangesQueue → ChangesWork",
    "ChangesQueue ⇢ ChangesDeadLetterQueue after 5 receives",
    "ChangesWork → Table",
    "OrdersQueue → OrdersWork",
    "OrdersQueue ⇢ OrdersDeadLetterQueue after 5 receives",
    "OrdersWork → Table",
]
TRANSFORM = {"Parameters": [{"ParameterName": "LambdaArn", "ParameterValue": arn("Transform")}]}
WIRED: dict[str, tuple[dict[str, Resource], list[str]]] = {
    "an API with queues, and none of its helpers": (shop()["Resources"], SHOP),
    "what a function rejects": (
        shop()["Resources"]
        | {"Reject": allow("OrdersRole", "OrdersDeadLetterQueue", "sqs:SendMessage")},
        sorted([*SHOP, "OrdersWork ⇢ OrdersDeadLetterQueue"]),
    ),
    "a function behind a custom resource is left out": (
        {
            "Bucket": BUCKET,
            "Role": resource("IAM::Role"),
            "Handler": resource("Lambda::Function", Role=arn("Role")),
            "Write": allow("Role", "Bucket", "s3:PutObject"),
            "Custom": {"Type": "Custom::Files", "Properties": {"ServiceToken": arn("Handler")}},
        },
        [],
    ),
    "a topic's subscribers, filters and undelivered messages": (
        {
            "Prices": resource("SNS::Topic", FifoTopic=True),
            "Retail": QUEUE,
            "Lost": QUEUE,
            "Subscription": resource(
                "SNS::Subscription",
                TopicArn=ref("Prices"),
                Endpoint=arn("Retail"),
                FilterPolicy={"channel": ["retail"]},
                RedrivePolicy={"deadLetterTargetArn": arn("Lost")},
            ),
        },
        ["Prices → Retail filter: channel", "Prices ⇢ Lost undelivered"],
    ),
    "a topic's endpoint, which is outside": (
        {
            "Prices": resource("SNS::Topic"),
            "Partner": resource(
                "SNS::Subscription",
                TopicArn=ref("Prices"),
                Protocol="https",
                Endpoint="https://partner.example.com/prices",
                FilterPolicy={"channel": ["retail"]},
            ),
        },
        ["Prices → Partner filter: channel"],
    ),
    "a topic's endpoint that is the URL of a function": (
        {
            "Prices": resource("SNS::Topic"),
            "Partner": resource("Lambda::Function"),
            "Url": resource("Lambda::Url", TargetFunctionArn=arn("Partner")),
            "ToUrl": resource(
                "SNS::Subscription",
                TopicArn=ref("Prices"),
                Protocol="https",
                Endpoint={"Fn::GetAtt": ["Url", "FunctionUrl"]},
            ),
        },
        ["Prices → Url", "Url → Partner"],
    ),
    "a delivery stream's transform, bucket and copy": (
        {
            "Source": resource("Kinesis::Stream"),
            "Delivery": resource(
                "KinesisFirehose::DeliveryStream",
                KinesisStreamSourceConfiguration={"KinesisStreamARN": arn("Source")},
                ExtendedS3DestinationConfiguration={
                    "BucketARN": arn("Clicks"),
                    "ProcessingConfiguration": {"Processors": [TRANSFORM]},
                    "S3BackupConfiguration": {"BucketARN": arn("Clicks")},
                },
            ),
            "Transform": FUNCTION,
            "Clicks": BUCKET,
        },
        # The copy is not all that arrives there.
        ["Delivery → Clicks", "Delivery ⇄ Transform transform", "Source → Delivery"],
    ),
    "a delivery stream's errors in the same bucket": (
        {
            "Delivery": resource(
                "KinesisFirehose::DeliveryStream",
                ExtendedS3DestinationConfiguration={
                    "BucketARN": arn("Clicks"),
                    "ErrorOutputPrefix": "errors/clicks/!{firehose:error-output-type}/",
                },
            ),
            "Clicks": BUCKET,
        },
        ["Delivery → Clicks", "Delivery ⇢ Clicks errors/clicks/"],
    ),
    "a function's destinations, through its alias": (
        {
            "Invoice": FUNCTION,
            "Live": resource("Lambda::Alias", FunctionName=ref("Invoice")),
            "Failed": QUEUE,
            "Done": resource("Events::EventBus"),
            "Settings": resource(
                "Lambda::EventInvokeConfig",
                FunctionName=ref("Live"),
                DestinationConfig={
                    "OnSuccess": {"Destination": arn("Done")},
                    "OnFailure": {"Destination": arn("Failed")},
                },
            ),
        },
        ["Invoice → Done on success", "Invoice ⇢ Failed on failure"],
    ),
    "a function that makes schedules, and the function that they start": (
        {
            "PlanRole": resource("IAM::Role"),
            "Plan": resource("Lambda::Function", Role=arn("PlanRole")),
            "ScheduleRole": resource("IAM::Role"),
            "Run": FUNCTION,
            "Pass": allow("PlanRole", "ScheduleRole", "iam:PassRole"),
            "Start": allow("ScheduleRole", "Run", "lambda:InvokeFunction"),
        },
        ["Plan → Run schedules"],
    ),
    "an unknown resource between two others": (
        {
            "From": QUEUE,
            "To": FUNCTION,
            "Bridge": resource("New::Bridge", SourceArn=arn("From"), TargetArn=arn("To")),
        },
        ["Bridge → To", "From → Bridge"],
    ),
    "no unknown resource at an end": (
        {"From": QUEUE, "To": FUNCTION, "Bridge": resource("New::Bridge", SourceArn=arn("From"))},
        [],
    ),
}


@pytest.mark.parametrize("name", WIRED)
def test_events_and_failures_go_where_the_template_wires_them(name: str) -> None:
    resources, arrows = WIRED[name]
    assert wired(resources) == arrows


@pytest.mark.parametrize(
    ("more", "sign"),
    [
        ({"Alarm": alarm("Parked")}, "⇢"),
        ({}, "→"),
        ({"Alarm": alarm("Parked", metric="ApproximateAgeOfOldestMessage")}, "→"),
        ({"Alarm": alarm("Parked", threshold=100)}, "→"),
        ({"Alarm": alarm("Parked"), "Work": FUNCTION, "Source": source("Parked", "Work")}, "→"),
    ],
    ids=["should be empty", "not watched", "watched for age", "watched for many", "consumed"],
)
def test_an_event_in_a_queue_is_a_failure_where_the_queue_should_be_empty(
    more: dict[str, Resource], sign: str
) -> None:
    machine = resource("StepFunctions::StateMachine", DefinitionString=arn("Parked"))
    assert f"Saga {sign} Parked" in wired({"Saga": machine, "Parked": QUEUE} | more)


def test_code_that_empties_a_dead_letter_queue_is_behind_it() -> None:
    parts = lane("Orders", "Table", "dynamodb:PutItem") | {
        "Table": TABLE,
        "Role": resource("IAM::Role"),
        "Redriver": resource("Lambda::Function", Role=arn("Role")),
        "Moves": allow("Role", "OrdersDeadLetterQueue", "sqs:ReceiveMessage"),
        "Sends": allow("Role", "OrdersQueue", "sqs:SendMessage"),
    }
    kinds = {(edge.source, edge.target): edge.kind for edge in graph(template(**parts)).edges}
    assert kinds["OrdersDeadLetterQueue", "Redriver"] == FAILURE
    assert kinds["Redriver", "OrdersQueue"] != FAILURE
    assert ("OrdersQueue", "OrdersWork") in kinds


def test_alarms_are_a_badge_on_what_they_watch(drawn: str) -> None:
    assert graph(shop()).alarms == {"OrdersDeadLetterQueue": 1, "ChangesDeadLetterQueue": 1}
    assert "CloudWatch alarm, sent to Topic of alarms" in drawn


def test_each_lane_is_named_and_says_its_kind() -> None:
    named = {(node.name, node.term) for node in graph(shop()).nodes.values()}
    assert named >= {
        ("Orders queue", "Amazon SQS queue"),
        ("Changes dead-letter queue", "Amazon SQS FIFO queue"),
    }


def test_a_construct_that_holds_most_of_a_stack_is_not_in_every_name() -> None:
    queues = {f"PricesRetail{n}Queue1A2B3C4D": QUEUE for n in "AB"}
    sources = {f"Source{n}": source(queue, "Store") for n, queue in enumerate(queues)}
    found = graph(template(Store=FUNCTION, **queues, **sources))
    assert [node.name for node in found.nodes.values()] == ["A queue", "Store", "B queue"]


def machine(*steps: str) -> Resource:
    definition = {"Fn::Join": ["", [part for step in steps for part in ("…", arn(step))]]}
    return resource("StepFunctions::StateMachine", DefinitionString=definition)


@pytest.mark.parametrize("logical_id", ["OrdersMailc63654f3Queue552CC68A", "OrdersMailQueue"])
def test_a_name_has_no_hashes(logical_id: str) -> None:
    assert readable(words(logical_id)) == "Orders mail queue"


def test_a_state_machine_calls_its_functions_in_the_order_of_its_definition() -> None:
    steps = ["Reserve", "Charge", "Ship"]
    found = graph(template(**dict.fromkeys(steps, FUNCTION), Saga=machine(*steps)))
    assert list(found.nodes) == ["Saga", *steps]


def test_a_service_that_no_table_names_has_its_icon_and_an_unknown_one_a_box() -> None:
    pipe = resource("Pipes::Pipe", Source=arn("From"), Target=arn("Jobs"))
    bridge = resource("New::Bridge", SourceArn=arn("From"), TargetArn=arn("Jobs"))
    jobs = template(From=QUEUE, Pipe=pipe, Jobs=resource("Batch::JobQueue"), Bridge=bridge)
    terms = {name: node.term for name, node in graph(jobs).nodes.items()}
    assert (terms["Jobs"], terms["Bridge"]) == ("AWS Batch job queue", "New bridge")
    assert '<symbol id="AWSBatch"' in render(jobs, TITLE)


def test_ends_of_the_same_failure_are_drawn_as_one() -> None:
    parts = {"Topic": resource("SNS::Topic"), "RetailLost": QUEUE, "WholesaleLost": QUEUE}
    for lost in ("RetailLost", "WholesaleLost"):
        redrive = {"deadLetterTargetArn": arn(lost)}
        parts[f"{lost}Of"] = resource(
            "SNS::Subscription", TopicArn=ref("Topic"), RedrivePolicy=redrive
        )
    assert [(node.name, node.term) for node in graph(template(**parts)).nodes.values()] == [
        ("Topic", "Amazon SNS topic"),
        ("Lost", "2 Amazon SQS queues"),
    ]


def test_failures_are_dashed_and_nothing_else_is(drawn: str) -> None:
    lines = re.findall(r'<path class="(\w+)"(.*?)/>', drawn)
    assert all((kind == FAILURE) == ("stroke-dasharray" in rest) for kind, rest in lines)
    assert sum(kind == FAILURE for kind, _ in lines) == 2 + 1  # and the legend's


def test_the_same_wiring_gives_the_same_bytes(drawn: str) -> None:
    text = json.dumps(shop(), sort_keys=True)
    assert render(json.loads(text.replace("1A2B3C4D", "D4C3B2A1")), TITLE) == drawn


def test_the_file_stands_alone(drawn: str) -> None:
    assert "http" not in drawn.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert len(drawn.encode()) < 150_000
    names = re.findall(r'href="(.*?)"|url\((.*?)\)', drawn)
    ids = {f"#{name}" for name in re.findall(r'id="(\w+)"', drawn)}
    assert {one or other for one, other in names} <= ids


def test_it_is_a_white_card_in_any_theme(drawn: str) -> None:
    _, _, width, height = map(float, re.findall(r'viewBox="(.*?)"', drawn)[0].split())
    card = f'width="{width - 1:g}" height="{height - 1:g}" rx="8" fill="#fff"'
    assert card in drawn


def test_labels_are_escaped() -> None:
    drawn = render(shop("a&b<c>"), "<b> & co")
    assert "POST /shop/a&amp;b&lt;c&gt;" in drawn
    assert ElementTree.fromstring(drawn).findtext("{*}title") == "<b> & co"  # noqa: S314 - our own


def test_events_flow_from_left_to_right_and_failures_down(drawn: str) -> None:
    at = {
        name: (float(x), float(y))
        for x, y, name in re.findall(r'<text x="(.*?)" y="(.*?)"[^>]*>(.*?)</text>', drawn)
    }
    path = [at[name] for name in ("Client", "API", "Orders queue", "Orders work", "Table")]
    assert [x for x, _ in path] == sorted(x for x, _ in path)
    assert len({y for _, y in path}) == 1
    queue, below = at["Orders queue"], at["Orders"]
    assert below[0] == queue[0]
    assert below[1] > queue[1]


def test_in_the_narrowest_form_the_only_stop_after_one_is_below_it_with_its_failures() -> None:
    parts = lane("Orders", "Table", "dynamodb:PutItem") | {
        "Table": resource("DynamoDB::Table", KinesisStreamSpecification=arn("Changes")),
        "Changes": resource("Kinesis::Stream"),
        "ChangesSource": source("Changes", "Share"),
        "Share": resource("Lambda::Function", DeadLetterConfig=arn("Discarded")),
        "Discarded": QUEUE,
    }
    narrow = diagram._Drawing(graph(template(**parts)), TITLE, diagram.FORMS[-1])
    column = [narrow.at[name] for name in ("Changes", "Share", "Discarded")]
    assert len({x for x, _ in column}) == 1
    assert [y for _, y in column] == sorted({y for _, y in column})
    assert narrow._beside("OrdersDeadLetterQueue") == ["after 5", "receives"]


def test_lines_of_two_sources_that_fan_out_stay_apart_and_differ_in_colour() -> None:
    parts = dict.fromkeys(("Charge", "Ship"), FUNCTION)
    parts |= dict.fromkeys(("Counter", "Shop"), machine("Charge", "Ship"))
    line = r'<path class="flow" d="[^"]*L(.*?)" fill="none" stroke="(.*?)"'
    lines = re.findall(line, render(template(**parts), TITLE))
    assert len(set(lines)) == len(lines) == 2 + 4
    colours = [colour for _, colour in lines]
    assert sorted(map(colours.count, set(colours))) == [2, 4]


def test_answers_reach_who_asked_in_a_queue_that_it_makes_when_it_runs() -> None:
    made = {"Fn::Sub": "arn:aws:sqs:${AWS::Region}:${AWS::AccountId}:answers-*"}
    allowed = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": [made]}
    makes = allowed | {"Action": ["sqs:CreateQueue", "sqs:ReceiveMessage"]}
    parts = lane("Orders", "Stored", "dynamodb:PutItem") | {
        "Stored": TABLE,
        "Answer": resource(
            "IAM::Policy", PolicyDocument=document(allowed), Roles=[ref("OrdersRole")]
        ),
    }
    title = "requester → SQS → responder → SQS → requester"
    assert render(template(**parts), title).count(">Requester</text>") == 1
    asker = resource("IAM::Policy", PolicyDocument=document(makes), Roles=["any"])
    drawn = render(template(**parts, Asker=asker), title)
    assert drawn.count(">Requester</text>") == 2
    assert "; Orders work → Work answers; " in drawn
    assert "; Work answers → Requester<" in drawn


@pytest.mark.parametrize("sender", ["client", "publisher"])
def test_the_sender_has_its_name_of_the_flow_line(sender: str) -> None:
    assert f">{sender.capitalize()}</text>" in render(shop(), f"{sender} → API → SQS")


def test_a_bucket_is_uploaded_to_though_results_come_back_into_it() -> None:
    notifies = {"QueueConfigurations": [{"Queue": arn("OrdersQueue")}]}
    bucket = resource("S3::Bucket", NotificationConfiguration=notifies)
    parts = lane("Orders", "Bucket", "s3:PutObject") | {"Bucket": bucket}
    assert ">Upload</text>" in render(template(**parts), "upload → S3 → SQS")


@pytest.fixture(scope="module", params=[*sorted(DIAGRAMS), "long chain"])
def picture(request: pytest.FixtureRequest) -> str:
    file = DIAGRAMS.get(request.param)
    return file.read_text("utf-8") if file else chain("ABCDE")


def test_text_is_legible_at_the_width_of_a_page(picture: str) -> None:
    width = float(re.findall(r'<svg[^>]* width="(.*?)"', picture)[0])
    smallest = min(map(int, re.findall(r'font-size="(\d+)"', picture)))
    assert smallest * min(1, diagram.PAGE / width) >= diagram.LEGIBLE


Box = tuple[str, float, float, float, float]  # what it is, left, top, right, bottom


def boxes_of_texts(picture: str) -> Iterator[Box]:
    """What each text covers, in the widest font."""
    for x, y, size, weight, anchor, text in re.findall(
        r'<text x="(.*?)" y="(.*?)" font-size="(.*?)" font-weight="(.*?)"[^>]*'
        r'text-anchor="(.*?)">(.*?)</text>',
        picture,
    ):
        width = diagram._width(unescape(text), int(size), bold=int(weight) > 400)
        left = float(x) - (width / 2 if anchor == "middle" else 0)
        yield text, left, float(y) - 0.75 * int(size), left + width, float(y) + 0.2 * int(size)


def boxes_of_icons_and_arrows(picture: str) -> Iterator[Box]:
    for icon in re.findall(r'x="([\d.-]+)" y="([\d.-]+)" width="48" height="48"', picture):
        x, y = map(float, icon)
        yield f"icon at {x} {y}", x, y, x + 48, y + 48
    for path in re.findall(r'<path class="\w+" d="(.*?)"', picture):
        points = [tuple(map(float, p.split())) for p in re.findall(r"[\d.-]+ [\d.-]+", path)]
        for (x, y), (u, v) in pairwise(points):
            yield f"arrow {path}", min(x, u), min(y, v), max(x, u), max(y, v)


def overlap(one: Sequence[float], other: Sequence[float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def test_texts_cover_neither_each_other_nor_icons_nor_arrows(picture: str) -> None:
    texts = list(boxes_of_texts(picture))
    taken = [*texts, *boxes_of_icons_and_arrows(picture)]
    left, top, width, height = map(float, re.findall(r'viewBox="(.*?)"', picture)[0].split())
    for n, (text, *box) in enumerate(texts):
        assert left < box[0] < box[2] < left + width, text
        assert top < box[1] < box[3] < top + height, text
        covered = [what for what, *other in taken[n + 1 :] if overlap(box, other)]
        assert not covered, f"{text!r} covers {covered}"


def test_a_stack_without_wiring_is_rejected() -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        render(template(Bucket=BUCKET), TITLE)


def test_a_missing_layout_engine_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(diagram, "ROOT", tmp_path)
    with pytest.raises(RuntimeError, match="npm ci"):
        render(shop(), TITLE)
