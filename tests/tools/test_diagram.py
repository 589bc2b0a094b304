"""The diagram shows what a template wires together, and nothing that it does not."""

from __future__ import annotations

import json
import re
import sys
from html import unescape
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from tools import diagram
from tools.diagram import render
from tools.wiring import BOTH, FAILURE, FLOW, Graph, graph

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

VISIBLE = "ApproximateNumberOfMessagesVisible"
DIAGRAMS = sorted(diagram.ROOT.glob("patterns/*/diagram.svg"))
TITLE = "API Gateway → SQS → Lambda"


def arn(node: str) -> dict[str, list[str]]:
    return {"Fn::GetAtt": [node, "Arn"]}


def resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::{kind}", "Properties": properties}


def template(**resources: dict[str, Any]) -> dict[str, Any]:
    return {"Resources": resources}


def allow(role: str, target: str, *actions: str) -> dict[str, Any]:
    statement = {"Action": list(actions), "Effect": "Allow", "Resource": arn(target)}
    return resource("IAM::Policy", PolicyDocument={"Statement": [statement]}, Roles=[{"Ref": role}])


def method(path: str, queue: str) -> dict[str, Any]:
    return resource(
        "ApiGateway::Method",
        HttpMethod="POST",
        ResourceId={"Ref": path},
        RestApiId={"Ref": "Api1A2B3C4D"},
        Integration={
            "Credentials": arn("ApiRole"),
            "Type": "AWS",
            "Uri": {"Fn::Join": ["", ["arn:…:sqs:path/…/", {"Fn::GetAtt": [queue, "QueueName"]}]]},
        },
    )


def shop() -> dict[str, Any]:
    """An API in front of a standard and a FIFO queue, each with a dead-letter queue."""
    parts: dict[str, dict[str, Any]] = {
        "Api1A2B3C4D": resource("ApiGateway::RestApi", Name="Api"),
        "ApiRole": resource("IAM::Role"),
        "Root": resource("ApiGateway::Resource", PathPart="shop", ParentId=arn("Api1A2B3C4D")),
        "Logs": resource("Logs::LogGroup"),
        "TopicOfAlarms": resource("SNS::Topic"),
        "Table": resource("DynamoDB::Table"),
    }
    for name, path, fifo in (("Orders", "{id}", False), ("Changes", "changes", True)):
        kind = {"FifoQueue": True} if fifo else {}
        queue, dead, function = f"{name}Queue", f"{name}DeadLetterQueue", f"Store{name}"
        parts |= {
            f"{name}Path": resource(
                "ApiGateway::Resource", PathPart=path, ParentId={"Ref": "Root"}
            ),
            f"{name}Method": method(f"{name}Path", queue),
            dead: resource("SQS::Queue", **kind),
            queue: resource(
                "SQS::Queue",
                RedrivePolicy={"deadLetterTargetArn": arn(dead), "maxReceiveCount": 5},
                **kind,
            ),
            f"{name}Role": resource("IAM::Role"),
            function: resource("Lambda::Function", Role=arn(f"{name}Role")),
            f"{name}Source": resource(
                "Lambda::EventSourceMapping",
                EventSourceArn=arn(queue),
                FunctionName={"Ref": function},
            ),
            f"{name}Receive": allow(f"{name}Role", queue, "sqs:ReceiveMessage"),
            f"{name}Write": allow(f"{name}Role", "Table", "dynamodb:GetItem", "dynamodb:PutItem"),
            f"{name}Alarm": resource(
                "CloudWatch::Alarm",
                Dimensions=[{"Name": "QueueName", "Value": {"Fn::GetAtt": [dead, "QueueName"]}}],
                AlarmActions=[{"Ref": "TopicOfAlarms"}],
            ),
        }
    return template(**parts)


Box = tuple[str, float, float, float, float]


def slug(file: Path) -> str:
    return file.parent.name


def boxes_of_texts(picture: str) -> Iterator[Box]:
    """What each text covers, in the widest font: left, top, right, bottom."""
    for x, y, size, weight, anchor, text in re.findall(
        r'<text x="(.*?)" y="(.*?)" font-size="(.*?)" font-weight="(.*?)"[^>]*'
        r'text-anchor="(.*?)">(.*?)</text>',
        picture,
    ):
        width = diagram._width(unescape(text), int(size), bold=int(weight) > 400)
        left = float(x) - (width / 2 if anchor == "middle" else 0)
        yield text, left, float(y) - 0.75 * int(size), left + width, float(y) + 0.2 * int(size)


def positions(picture: str) -> dict[str, tuple[float, float]]:
    """Where each text is."""
    return {
        name: (float(x), float(y))
        for x, y, name in re.findall(r'<text x="(.*?)" y="(.*?)"[^>]*>(.*?)</text>', picture)
    }


def icons(picture: str) -> list[tuple[float, float]]:
    found = re.findall(r'x="([\d.-]+)" y="([\d.-]+)" width="48" height="48"', picture)
    return [(float(x), float(y)) for x, y in found]


def boxes_of_arrows(picture: str) -> Iterator[Box]:
    """What each straight line of an arrow covers."""
    for path in re.findall(r'<path class="\w+" d="(.*?)"', picture):
        points = [tuple(map(float, p.split())) for p in re.findall(r"[\d.-]+ [\d.-]+", path)]
        for (x, y), (u, v) in pairwise(points):
            yield f"arrow {path}", min(x, u), min(y, v), max(x, u), max(y, v)


def overlap(one: Sequence[float], other: Sequence[float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@pytest.fixture
def orders() -> dict[str, Any]:
    return shop()


@pytest.fixture(scope="module")
def drawn() -> str:
    return render(shop(), TITLE)


def arrows(found: Graph, kind: str) -> set[tuple[str, str]]:
    return {(edge.source, edge.target) for edge in found.edges if edge.kind == kind}


def label(found: Graph, target: str) -> str:
    (edge,) = [edge for edge in found.edges if edge.target == target]
    return " ".join(edge.label)


def test_events_flow_from_the_api_to_the_table(orders: dict[str, Any]) -> None:
    assert arrows(graph(orders), FLOW) == {
        ("Api1A2B3C4D", "OrdersQueue"),
        ("OrdersQueue", "StoreOrders"),
        ("StoreOrders", "Table"),
        ("Api1A2B3C4D", "ChangesQueue"),
        ("ChangesQueue", "StoreChanges"),
        ("StoreChanges", "Table"),
    }


def test_an_arrow_from_an_api_names_the_request(orders: dict[str, Any]) -> None:
    assert label(graph(orders), "OrdersQueue") == "POST /shop/{id}"


def test_a_failed_message_goes_to_the_dead_letter_queue(orders: dict[str, Any]) -> None:
    found = graph(orders)
    assert arrows(found, FAILURE) == {
        ("OrdersQueue", "OrdersDeadLetterQueue"),
        ("ChangesQueue", "ChangesDeadLetterQueue"),
    }
    assert label(found, "OrdersDeadLetterQueue") == "after 5 receives"


def test_what_a_function_rejects_goes_to_the_dead_letter_queue(orders: dict[str, Any]) -> None:
    orders["Resources"]["Reject"] = allow("OrdersRole", "OrdersDeadLetterQueue", "sqs:SendMessage")
    assert ("StoreOrders", "OrdersDeadLetterQueue") in arrows(graph(orders), FAILURE)


def alarm(queue: str, metric: str = VISIBLE, threshold: int = 0) -> dict[str, Any]:
    return resource(
        "CloudWatch::Alarm",
        MetricName=metric,
        ComparisonOperator="GreaterThanThreshold",
        Threshold=threshold,
        Dimensions=[{"Name": "QueueName", "Value": {"Fn::GetAtt": [queue, "QueueName"]}}],
    )


def saga(**more: dict[str, Any]) -> dict[str, Any]:
    """A state machine that sends to a queue of the stack."""
    machine = resource("StepFunctions::StateMachine", DefinitionString=arn("Parked"))
    return template(Saga=machine, Parked=resource("SQS::Queue"), **more)


def test_an_event_in_a_queue_that_should_be_empty_is_a_failure() -> None:
    found = graph(saga(Alarm=alarm("Parked")))
    assert arrows(found, FAILURE) == {("Saga", "Parked")}
    assert not arrows(found, FLOW)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"Alarm": alarm("Parked", metric="ApproximateAgeOfOldestMessage")},
        {"Alarm": alarm("Parked", threshold=100)},
        {
            "Alarm": alarm("Parked"),
            "Function": resource("Lambda::Function"),
            "Source": resource(
                "Lambda::EventSourceMapping",
                EventSourceArn=arn("Parked"),
                FunctionName=arn("Function"),
            ),
        },
    ],
    ids=["not watched", "watched for its age", "watched for many", "consumed"],
)
def test_an_event_in_a_queue_that_may_hold_some_is_no_failure(more: dict[str, Any]) -> None:
    assert not arrows(graph(saga(**more)), FAILURE)


def test_helper_resources_are_left_out(orders: dict[str, Any]) -> None:
    drawn = graph(orders).nodes
    assert not {"ApiRole", "OrdersRole", "Root", "Logs", "OrdersMethod", "OrdersWrite"} & set(drawn)
    assert len(drawn) == 8


def test_a_function_behind_a_custom_resource_is_left_out() -> None:
    found = graph(
        template(
            Bucket=resource("S3::Bucket"),
            Role=resource("IAM::Role"),
            Handler=resource("Lambda::Function", Role=arn("Role")),
            Write=allow("Role", "Bucket", "s3:PutObject"),
            Custom={"Type": "Custom::Files", "Properties": {"ServiceToken": arn("Handler")}},
        )
    )
    assert not found.nodes


def test_alarms_are_a_badge_on_what_they_watch(orders: dict[str, Any], drawn: str) -> None:
    found = graph(orders)
    assert found.alarms == {"OrdersDeadLetterQueue": 1, "ChangesDeadLetterQueue": 1}
    assert "CloudWatch alarm, sent to Topic of alarms" in drawn


def test_each_lane_is_named_and_says_its_kind(orders: dict[str, Any]) -> None:
    nodes = graph(orders).nodes
    assert nodes["OrdersQueue"].name == "Orders queue"
    assert nodes["OrdersQueue"].term == "Amazon SQS queue"
    assert nodes["ChangesDeadLetterQueue"].name == "Changes dead-letter queue"
    assert nodes["ChangesDeadLetterQueue"].term == "Amazon SQS FIFO queue"


def test_a_construct_that_holds_most_of_a_stack_is_not_in_every_name() -> None:
    queues = {f"PricesRetail{n}Queue1A2B3C4D": resource("SQS::Queue") for n in "AB"}
    consumers = {
        f"Source{n}": resource(
            "Lambda::EventSourceMapping", EventSourceArn=arn(queue), FunctionName={"Ref": "Store"}
        )
        for n, queue in enumerate(queues)
    }
    found = graph(template(Store=resource("Lambda::Function"), **queues, **consumers))
    assert [node.name for node in found.nodes.values()] == ["A queue", "Store", "B queue"]


def test_a_topic_shows_its_subscribers_filters_and_undelivered_messages() -> None:
    redrive = {"deadLetterTargetArn": arn("Lost")}
    found = graph(
        template(
            Prices=resource("SNS::Topic", FifoTopic=True),
            Retail=resource("SQS::Queue", FifoQueue=True),
            Lost=resource("SQS::Queue", FifoQueue=True),
            Subscription=resource(
                "SNS::Subscription",
                TopicArn={"Ref": "Prices"},
                Endpoint=arn("Retail"),
                FilterPolicy={"channel": ["retail"]},
                RedrivePolicy=redrive,
            ),
        )
    )
    assert arrows(found, FLOW) == {("Prices", "Retail")}
    assert arrows(found, FAILURE) == {("Prices", "Lost")}
    assert label(found, "Retail") == "filter: channel"
    assert found.nodes["Prices"].term == "Amazon SNS FIFO topic"


def test_a_delivery_stream_asks_a_function_and_writes_to_a_bucket() -> None:
    parameter = {"ParameterName": "LambdaArn", "ParameterValue": arn("Transform")}
    destination = {
        "BucketARN": arn("Clicks"),
        "ProcessingConfiguration": {"Processors": [{"Parameters": [parameter]}]},
        "RoleARN": arn("Role"),
        "S3BackupConfiguration": {"BucketARN": arn("Clicks"), "RoleARN": arn("Role")},
    }
    found = graph(
        template(
            Source=resource("Kinesis::Stream"),
            Delivery=resource(
                "KinesisFirehose::DeliveryStream",
                KinesisStreamSourceConfiguration={
                    "KinesisStreamARN": arn("Source"),
                    "RoleARN": arn("Role"),
                },
                ExtendedS3DestinationConfiguration=destination,
            ),
            Transform=resource("Lambda::Function"),
            Clicks=resource("S3::Bucket"),
            Role=resource("IAM::Role"),
        )
    )
    assert arrows(found, FLOW) == {("Source", "Delivery"), ("Delivery", "Clicks")}
    assert arrows(found, BOTH) == {("Delivery", "Transform")}
    assert label(found, "Clicks") == ""  # the copy is not all that arrives there


def test_what_a_delivery_stream_could_not_process_is_a_failure_in_the_same_bucket() -> None:
    errors = "errors/clicks/!{firehose:error-output-type}/"
    destination = {"BucketARN": arn("Clicks"), "ErrorOutputPrefix": errors}
    stream = resource(
        "KinesisFirehose::DeliveryStream", ExtendedS3DestinationConfiguration=destination
    )
    found = graph(template(Delivery=stream, Clicks=resource("S3::Bucket")))
    assert arrows(found, FLOW) == arrows(found, FAILURE) == {("Delivery", "Clicks")}
    assert [edge.label for edge in found.edges] == [(), ("errors/clicks/",)]


def test_destinations_of_a_function_follow_through_its_alias() -> None:
    found = graph(
        template(
            Invoice=resource("Lambda::Function"),
            Live=resource("Lambda::Alias", FunctionName={"Ref": "Invoice"}),
            Failed=resource("SQS::Queue"),
            Done=resource("Events::EventBus"),
            Settings=resource(
                "Lambda::EventInvokeConfig",
                FunctionName={"Ref": "Live"},
                DestinationConfig={
                    "OnSuccess": {"Destination": arn("Done")},
                    "OnFailure": {"Destination": arn("Failed")},
                },
            ),
        )
    )
    assert arrows(found, FLOW) == {("Invoice", "Done")}
    assert arrows(found, FAILURE) == {("Invoice", "Failed")}


def test_a_state_machine_calls_its_functions_in_the_order_of_its_definition() -> None:
    steps = ["Reserve", "Charge", "Ship"]
    parts = [part for step in steps for part in ("…", arn(step))]
    found = graph(
        template(
            **{step: resource("Lambda::Function") for step in steps},
            Saga=resource(
                "StepFunctions::StateMachine", DefinitionString={"Fn::Join": ["", parts]}
            ),
        )
    )
    assert list(found.nodes) == ["Saga", *steps]


def test_an_unknown_resource_is_drawn_only_between_two_others() -> None:
    between = resource("New::Bridge", SourceArn=arn("From"), TargetArn=arn("To"))
    parts = {"From": resource("SQS::Queue"), "To": resource("Lambda::Function")}
    drawn = graph(template(Bridge=between, **parts)).nodes
    assert list(drawn) == ["From", "Bridge", "To"]
    assert drawn["Bridge"].term == "New bridge"
    assert "New bridge" in render(template(Bridge=between, **parts), TITLE)
    del between["Properties"]["TargetArn"]
    assert not graph(template(Bridge=between, **parts)).nodes


def test_a_service_that_no_table_names_has_its_icon() -> None:
    pipe = resource("Pipes::Pipe", Source=arn("From"), Target=arn("Jobs"))
    jobs = template(From=resource("SQS::Queue"), Pipe=pipe, Jobs=resource("Batch::JobQueue"))
    assert graph(jobs).nodes["Jobs"].term == "AWS Batch job queue"
    assert '<symbol id="AWSBatch"' in render(jobs, TITLE)


def test_ends_of_the_same_failure_are_drawn_as_one() -> None:
    lanes = ("Retail", "Wholesale")
    parts = {"Topic": resource("SNS::Topic")}
    for lane in lanes:
        parts[f"{lane}Lost"] = resource("SQS::Queue")
        parts[f"{lane}Subscription"] = resource(
            "SNS::Subscription",
            TopicArn={"Ref": "Topic"},
            RedrivePolicy={"deadLetterTargetArn": arn(f"{lane}Lost")},
        )
    found = graph(template(**parts))
    assert [(node.name, node.term) for node in found.nodes.values()] == [
        ("Topic", "Amazon SNS topic"),
        ("Lost", "2 Amazon SQS queues"),
    ]


def test_only_failures_are_dashed(drawn: str) -> None:
    lines = re.findall(r'<path class="(\w+)"(.*?)/>', drawn)
    dashed = {kind for kind, rest in lines if "stroke-dasharray" in rest}
    assert dashed == {FAILURE}
    assert all("stroke-dasharray" in rest for kind, rest in lines if kind == FAILURE)
    assert sum(kind == FAILURE for kind, _ in lines) == 2 + 1  # and the legend's


def test_the_same_wiring_gives_the_same_bytes(orders: dict[str, Any], drawn: str) -> None:
    text = json.dumps(orders, sort_keys=True)
    assert render(json.loads(text.replace("1A2B3C4D", "D4C3B2A1")), TITLE) == drawn


def test_the_file_stands_alone(drawn: str) -> None:
    assert set(re.findall(r'href="(.)', drawn)) == {"#"}
    assert set(re.findall(r"url\((.)", drawn)) == {"#"}
    assert "http" not in drawn.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert len(drawn.encode()) < 150_000
    names = re.findall(r'(?<!xlink:)href="#(\w+)"|url\(#(\w+)\)', drawn)
    assert {one or other for one, other in names} <= set(re.findall(r'id="(\w+)"', drawn))


def test_it_is_a_white_card_in_any_theme(drawn: str) -> None:
    left, top, width, height = map(float, re.findall(r'viewBox="(.*?)"', drawn)[0].split())
    card = (
        f'<rect x="{left + 0.5:g}" y="{top + 0.5:g}" width="{width - 1:g}" height="{height - 1:g}"'
    )
    assert re.search(re.escape(card) + r'[^>]* fill="#fff"', drawn)


def test_labels_are_escaped(orders: dict[str, Any]) -> None:
    orders["Resources"]["OrdersPath"]["Properties"]["PathPart"] = "a&b<c>"
    drawn = render(orders, "<b> & co")
    assert "POST /shop/a&amp;b&lt;c&gt;" in drawn
    assert ElementTree.fromstring(drawn).findtext("{*}title") == "<b> & co"  # noqa: S314 - our own


def test_events_flow_from_left_to_right_and_failures_down(drawn: str) -> None:
    at = positions(drawn)
    path = [at[name] for name in ("Client", "API", "Orders queue", "Store orders", "Table")]
    assert [x for x, _ in path] == sorted(x for x, _ in path)
    assert len({y for _, y in path}) == 1
    queue, below = at["Orders queue"], at["Orders"]
    assert below[0] == queue[0]
    assert below[1] > queue[1]


def test_lines_of_two_sources_that_fan_out_stay_apart() -> None:
    steps = {"Charge": resource("Lambda::Function"), "Ship": resource("Lambda::Function")}
    definition = {"Fn::Join": ["", [arn(step) for step in steps]]}
    sagas = {
        name: resource("StepFunctions::StateMachine", DefinitionString=definition)
        for name in ("Counter", "Shop")
    }
    lines = re.findall(
        r'<path class="flow" d="[^"]*L(.*?)"', render(template(**steps, **sagas), TITLE)
    )
    assert len(set(lines)) == len(lines) == 2 + 4


def chain(stages: str) -> str:
    """Functions, each behind a queue with a dead-letter queue; the last one writes to a table."""
    parts: dict[str, dict[str, Any]] = {
        "Table": resource("DynamoDB::Table"),
        "Write": allow(f"{stages[-1]}Role", "Table", "dynamodb:PutItem"),
    }
    for stage, after in zip(stages, f"{stages[1:]}-", strict=True):
        redrive = {"deadLetterTargetArn": arn(f"{stage}DeadLetterQueue"), "maxReceiveCount": 5}
        parts |= {
            f"{stage}Queue": resource("SQS::Queue", RedrivePolicy=redrive),
            f"{stage}DeadLetterQueue": resource("SQS::Queue"),
            f"{stage}Role": resource("IAM::Role"),
            f"{stage}Work": resource("Lambda::Function", Role=arn(f"{stage}Role")),
            f"{stage}Send": allow(f"{stage}Role", f"{after}Queue", "sqs:SendMessage"),
            f"{stage}Source": resource(
                "Lambda::EventSourceMapping",
                EventSourceArn=arn(f"{stage}Queue"),
                FunctionName=arn(f"{stage}Work"),
            ),
        }
    return render(template(**parts), "; ".join([TITLE] * 4))


@pytest.fixture(scope="module", params=[*DIAGRAMS, None], ids=[*map(slug, DIAGRAMS), "long chain"])
def picture(request: pytest.FixtureRequest) -> str:
    return request.param.read_text("utf-8") if request.param else chain("ABCDE")


def test_the_last_stop_is_below_the_one_before_where_columns_are_saved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(diagram, "FORMS", [form for form in diagram.FORMS if form.fold])
    at = positions(chain("AB"))
    assert at["Table"][0] == at["B work"][0]
    assert at["Table"][1] > at["B work"][1] == at["A work"][1]


def test_text_is_legible_at_the_width_of_a_page(picture: str) -> None:
    width = float(re.findall(r'<svg[^>]* width="(.*?)"', picture)[0])
    smallest = min(map(int, re.findall(r'font-size="(\d+)"', picture)))
    assert smallest * min(1, diagram.PAGE / width) >= diagram.LEGIBLE


def test_texts_cover_neither_each_other_nor_icons_nor_arrows(picture: str) -> None:
    texts = list(boxes_of_texts(picture))
    taken = texts + [(f"icon at {x} {y}", x, y, x + 48, y + 48) for x, y in icons(picture)]
    taken += boxes_of_arrows(picture)
    left, top, width, height = map(float, re.findall(r'viewBox="(.*?)"', picture)[0].split())
    for n, (text, *box) in enumerate(texts):
        assert left < box[0] < box[2] < left + width, text
        assert top < box[1] < box[3] < top + height, text
        covered = [what for what, *other in taken[n + 1 :] if overlap(box, other)]
        assert not covered, f"{text!r} covers {covered}"


def test_a_stack_without_wiring_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        render(template(Bucket=resource("S3::Bucket")), TITLE)


def test_a_missing_layout_engine_says_what_to_do(
    orders: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(diagram, "ROOT", tmp_path)
    with pytest.raises(RuntimeError, match="npm ci"):
        render(orders, TITLE)


def test_the_command_writes_the_file(
    orders: dict[str, Any], drawn: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source, out = tmp_path / "template.json", tmp_path / "diagram.svg"
    source.write_text(json.dumps(orders))
    monkeypatch.setattr(sys, "argv", ["diagram", str(source), str(out), "--title", TITLE])
    diagram.main()
    assert out.read_text("utf-8") == drawn
