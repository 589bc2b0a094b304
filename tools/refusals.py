"""The page of what the constructs refuse and warn of, made of the code that does so.

    python -m tools.refusals

Each message says what was given, the rule and the change to make; the AWS pages behind it are those
that the function's docstring names, or that of the functions which call it.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serverless_patterns.patterns import catalog

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "refusals.md"
# Where the AWS pages are that the docstrings name.
PAGES = {
    "Amazon API Gateway important notes": (
        "apigateway/latest/developerguide/api-gateway-known-issues"
    ),
    "Amazon SNS dead-letter queues": "sns/latest/dg/sns-dead-letter-queues",
    "Amazon SNS message archiving for FIFO topic owners": (
        "sns/latest/dg/message-archiving-and-replay-topic-owner"
    ),
    "Amazon SNS subscription filter policy scope": "sns/latest/dg/sns-message-filtering-scope",
    "Best practices for Step Functions": "step-functions/latest/dg/sfn-best-practices",
    "BufferingHints": "firehose/latest/APIReference/API_BufferingHints",
    "Capturing records of Lambda asynchronous invocations": (
        "lambda/latest/dg/invocation-async-retain-records"
    ),
    "Change the data retention period": "streams/latest/dev/kinesis-extended-retention",
    "Choosing workflow type": "step-functions/latest/dg/choosing-workflow-type",
    "Configuring error handling settings for Lambda asynchronous invocations": (
        "lambda/latest/dg/invocation-async-configuring"
    ),
    "Configuring queue parameters": (
        "AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-queue-parameters"
    ),
    "Configuring reserved concurrency for a function": "lambda/latest/dg/configuration-concurrency",
    "Configuring scaling behavior for SQS event source mappings": (
        "lambda/latest/dg/services-sqs-scaling"
    ),
    "CreateEventSourceMapping": "lambda/latest/api/API_CreateEventSourceMapping",
    "Dead-letter queues": "AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues",
    "Defining Lambda function permissions with an execution role": (
        "lambda/latest/dg/lambda-intro-execution-role"
    ),
    "Key management": "AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management",
    "Key states of AWS KMS keys": "kms/latest/developerguide/key-state",
    "Managing Amazon SNS encryption keys and costs": "sns/latest/dg/sns-key-management",
    "Map workflow state": "step-functions/latest/dg/state-map",
    "Message delivery for FIFO topics": "sns/latest/dg/fifo-topic-message-delivery",
    "Name databases, tables, and columns": "athena/latest/ug/tables-databases-columns-names",
    "SendMessage": "AWSSimpleQueueService/latest/APIReference/API_SendMessage",
    "StartSyncExecution": "step-functions/latest/apireference/API_StartSyncExecution",
    "The confused deputy problem": "IAM/latest/UserGuide/confused-deputy",
    "Throttle requests to your REST APIs for better throughput in API Gateway": (
        "apigateway/latest/developerguide/api-gateway-request-throttling"
    ),
    "Transform source data": "firehose/latest/dev/data-transformation",
    "Usage plans and API keys for REST APIs in API Gateway": (
        "apigateway/latest/developerguide/api-gateway-api-usage-plans"
    ),
    "Using Lambda with Amazon SQS": "lambda/latest/dg/services-sqs-configure",
}
CHAPTERS = {"foundation": "Every pattern"} | {p.slug: p.slug for p in catalog.patterns()}
HEAD = """\
# What the constructs refuse

A configuration that would fail or lose events raises `ValueError` at synthesis, before anything is
deployed. These are the messages, {refusals} refusals and {warnings} warnings, with `…` for what was
given. The links lead to AWS's reason; without one, it is a matter of the arguments or of a
pattern's own promise. An id such as [W9104](rules.md) is the same rule in the pack that checks any
template. A value that only deployment knows is never refused.
"""
WARNINGS = """\
## What cannot be checked

The settings of an imported resource are not known at synthesis. It is used, with a warning:
"""


@dataclass(frozen=True)
class Message:
    """What a construct says of a configuration.

    Attributes:
        kind: ``refusal`` or ``warning``.
        text: The message, with … for values.
        rules: Ids of the rule pack that the docstring names.
        pages: Titles of the AWS pages that the docstrings name.
    """

    kind: str
    text: str
    rules: tuple[str, ...]
    pages: tuple[str, ...]


def messages(module: str) -> Iterator[Message]:
    """Yield what a module refuses and warns of, in the order of the code."""
    loaded = import_module(module)
    tree = ast.parse(Path(str(loaded.__file__)).read_text(encoding="utf-8"))
    for function in _functions(tree):
        said = ast.get_docstring(function) or " ".join(_said_by_callers(function.name, tree))
        for node in ast.walk(function):
            match node:
                case ast.Raise(exc=ast.Call(func=ast.Name(id="ValueError"), args=[text, *_])):
                    yield _message("refusal", text, vars(loaded), said)
                case ast.Call(func=ast.Attribute(attr="add_warning_v2"), args=[_, text]):
                    yield _message("warning", text, vars(loaded), said)


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """Yield functions and methods, without properties: they refuse a question, no configuration."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and "property" not in map(
            ast.unparse, node.decorator_list
        ):
            yield node


def _said_by_callers(name: str, tree: ast.Module) -> Iterator[str]:
    """Yield the docstrings of the functions that call this one, which has none of its own."""
    for function in _functions(tree):
        calls = (node.func for node in ast.walk(function) if isinstance(node, ast.Call))
        if name in (call.id for call in calls if isinstance(call, ast.Name)):
            yield ast.get_docstring(function) or ""


def _message(kind: str, text: ast.expr, known: Mapping[str, Any], said: str) -> Message:
    said = " ".join(said.split())
    return Message(
        kind,
        re.sub(r"(?:…\.?)+$", "…", "".join(_parts(text, known))),
        tuple(dict.fromkeys(re.findall(r"\b[EWI]9\d{3}\b", said))),
        tuple(dict.fromkeys(re.findall(r'(?:guide|reference), "([^"]+)"', said))),
    )


def _parts(text: ast.expr, known: Mapping[str, Any]) -> Iterator[str]:
    """Yield a message's parts: what is known before it is given, and … for what is not."""
    match text:
        case ast.Constant():
            yield str(text.value)
        case ast.JoinedStr():
            for value in text.values:
                yield from _parts(value, known)
        case ast.BinOp(left=left, right=right):
            yield from _parts(left, known)
            yield from _parts(right, known)
        case ast.FormattedValue(value=ast.Name(id=name)) if name.isupper() and name in known:
            yield str(known[name])
        case _:
            yield "…"


def everything() -> Iterator[Message]:
    """Yield what all constructs refuse and warn of."""
    for package in CHAPTERS:
        yield from _of_package(package)


def render() -> str:
    """Return the page as it has to be now."""
    found = list(everything())
    count = {kind: sum(m.kind == kind for m in found) for kind in ("refusal", "warning")}
    parts = [HEAD.format(refusals=count["refusal"], warnings=count["warning"])]
    for package, title in CHAPTERS.items():
        parts += [f"## {title}\n", *_lines(_of_package(package), "refusal"), ""]
    parts += [WARNINGS, *_lines(found, "warning")]
    return "\n".join(parts) + "\n"


def _of_package(package: str) -> Iterator[Message]:
    for file in sorted((ROOT / "patterns" / package).glob("*.py")):
        yield from messages(f"patterns.{package}.{file.stem}")


def _lines(found: Iterable[Message], kind: str) -> Iterator[str]:
    for message in found:
        if message.kind == kind:
            links = [f"[{rule}](rules.md)" for rule in message.rules]
            links += [
                f"[{page}](https://docs.aws.amazon.com/{PAGES[page]}.html)"
                for page in message.pages
            ]
            source = f" ({'; '.join(links)})" if links else ""
            yield f"- {message.text}{source}"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
