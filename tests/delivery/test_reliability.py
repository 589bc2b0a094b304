"""The page keeps what a command counted of other things, and replaces what it counts again."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from tests.declared import TESTS

from . import schedules
from .breaking import FAULTS, untried
from .reliability import PAGE, write
from .sources import Asynchronous, FifoQueue, Queue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from serverless_patterns.patterns.catalog import Pattern

    from .schedules import Delivered

EVERY = dict(schedules.found())
MODELS = re.compile(r"from (tests\.(delivery|crashes)|\.sources)\b")
HEAD = "| Consumer | Fault | Counted |\n|---|---|---|"


def test_rows_are_replaced_by_what_they_are_about(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- faults -->\n<!-- /faults -->\nafter\n")
    write("faults", ["| b | killed | 1 |", "| a | killed | 2 |"], HEAD, page=page)
    write("faults", ["| b | killed | 3 |"], HEAD, page=page)
    rows = "| a | killed | 2 |\n| b | killed | 3 |\n"
    assert page.read_text() == f"before\n<!-- faults -->\n{HEAD}\n{rows}<!-- /faults -->\nafter\n"


def delivered_to(template: dict[str, Any]) -> Iterator[tuple[str, set[Any]]]:
    """Yield the module of each function to which AWS delivers events, with what may deliver."""
    made = template["Resources"]
    for resource in made.values():
        properties = resource.get("Properties", {})
        of = json.dumps(properties.get("FunctionName", ""))
        match resource["Type"]:
            case "AWS::Lambda::EventSourceMapping":
                source = made[properties["EventSourceArn"]["Fn::GetAtt"][0]]
                fifo = source.get("Properties", {}).get("FifoQueue", False)
                is_queue = source["Type"] == "AWS::SQS::Queue"
                by = {FifoQueue if fifo else Queue} if is_queue else {source["Type"]}
            case "AWS::Lambda::EventInvokeConfig":
                by = {Asynchronous}
            case "AWS::KinesisFirehose::DeliveryStream":
                of, by = json.dumps(properties), {resource["Type"]}
            case _:
                continue
        for name, function in made.items():
            if f'"{name}"' in of and function["Type"] == "AWS::Lambda::Function":
                yield function["Properties"]["Handler"].split(".")[-2], by


def of(slug: str, module: str, by: set[Any]) -> list[tuple[str, Delivered]]:
    """Return what the models deliver to a module, by one of these sources or by any shard."""
    sources = by & {Queue, FifoQueue, Asynchronous}
    name = f"{slug}.{module}"
    found = [(it, EVERY[it]) for it in EVERY if it == name or it.startswith(f"{name} ")]
    return [it for it in found if not sources or it[1].kind in sources]


def test_a_model_delivers_to_each_function_to_which_aws_does(
    pattern: Pattern, template: dict[str, Any]
) -> None:
    """Or a test of the pattern's own has a model for it."""
    own = "".join(
        text
        for file in TESTS.glob("*/test_*.py")
        if MODELS.search(text := file.read_text())
        if file.parent.name == pattern.slug or f"lambdas.{pattern.slug} import" in text
    )
    without = [
        module
        for module, by in delivered_to(template)
        if not of(pattern.slug, module, by) and not re.search(rf"\b{module}\b", own)
    ]
    assert without == []


def test_each_consumer_has_survived_every_fault_on_a_running_stack(
    pattern: Pattern, template: dict[str, Any]
) -> None:
    """Or nothing here can tell: see ``untried``."""
    [table] = re.findall(r"<!-- faults -->\n(.*?)<!-- /faults -->", PAGE.read_text(), re.DOTALL)
    rows = [[cell.strip() for cell in row.split("|")[1:4]] for row in table.splitlines()[2:]]
    survived = {(name, fault) for name, fault, counted in rows if "**" not in counted}
    expected = {
        (name, fault)
        for module, by in delivered_to(template)
        if by & {Queue, FifoQueue, Asynchronous}
        for name, delivered in of(pattern.slug, module, by)
        if not untried(delivered.consumer)
        for fault in FAULTS
    }
    assert expected - survived == set(), f"make break PATTERN={pattern.slug}"
    assert {name for name, *_ in rows if name.startswith(f"{pattern.slug}.")} == {
        name for name, _ in expected
    }
