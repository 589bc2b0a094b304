"""API Gateway REST APIs that hand events straight to a service."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from serverless_patterns.patterns.checks import sqs

from ..template import UNKNOWN, Finding, Findings, Resource, Scenario, is_unknown, rule

SERVICE = re.compile(r":(sqs|sns|states|events|kinesis|firehose|dynamodb):(?:path|action)/")
REJECTIONS = ("400", "403", "500", "503")  # statuses with which a service rejects an event
FORM = re.compile(r"\bAction=(SendMessage|SendMessageBatch|Publish|PublishBatch)\b")
ACTION = re.compile(r":action/(\w+)$")
# What hands an event over, in a URI, a template or a header; other calls read, or delete.
SENDS = re.compile(
    r"(?<![a-zA-Z])((SendMessage|Publish)(Batch)?|Start(Sync)?Execution|SendTask[a-zA-Z]+|PutEvents"
    r"|PutRecords?|PutRecordBatch|(Put|Update)Item|BatchWriteItem|TransactWriteItems)(?![a-zA-Z])"
)
# Where a call that may fail in part says so in its answer of success.
REPORTS = {
    "PutEvents": "FailedEntryCount",
    "PutRecords": "FailedRecordCount",
    "PutRecordBatch": "FailedPutCount",
    "SendMessageBatch": "Failed",
    "PublishBatch": "Failed",
    "BatchWriteItem": "UnprocessedItems",
    "StartSyncExecution": "status",
}
INPUT = re.compile(r"\$!?(?:\{!?)?input\.(body|path|json|params)\b")
QUEUE = re.compile(r":sqs:path/[^/]*/(.*)")
ENCODED = re.compile(r"\$!?(?:\{!?)?util\.urlEncode\s*\(", re.IGNORECASE)
SAFE = re.compile(rf"{ENCODED.pattern}|#[a-z]+\s*\(", re.IGNORECASE)
ASSIGNED = re.compile(r"#(?:set|foreach)\s*\(\s*\$!?\{?!?(\w+)\}?\s*(?:=|\bin\b)", re.IGNORECASE)
VARIABLE = re.compile(r"\$!?(?:\{!?)?(\w+)")
NUMBER = re.compile(r"\.(size|length|hashCode)\(\)\s*$")


def _integrations(scenario: Scenario) -> Iterator[tuple[Resource, str]]:
    """Yield each method that hands its request to a service, and the service."""
    for method in scenario.of("AWS::ApiGateway::Method"):
        service = SERVICE.search(str(method.get("Integration.Uri")))
        if service and method.get("Integration.Type") == "AWS":
            yield method, service.group(1)


def _sends(method: Resource) -> bool:
    """Tell whether a method hands an event over, as far as it says which action it calls."""
    integration = method.get("Integration")
    said = [integration.get(key) for key in ("Uri", "RequestTemplates", "RequestParameters")]
    return bool(SENDS.search(str(said)))


def _templates(method: Resource) -> list[str]:
    templates = method.get("Integration.RequestTemplates")
    values = templates.values() if isinstance(templates, Mapping) else []
    return [text for text in values if isinstance(text, str)]


@rule("E9171", "apigateway")
def success_for_rejection(scenario: Scenario) -> Findings:
    r"""A service's rejection must not reach the client as a success.

    An integration response without SelectionPattern is the catch-all: a 2xx there answers success
    when the service rejected the event, and the client never sends it again. Give the 2xx a
    SelectionPattern such as 2\d{2}, and map 4xx and 5xx to failures.

    Source:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-integration-settings-integration-response.html
    """
    for method, service in _integrations(scenario):
        responses = method.list("Integration.IntegrationResponses")
        if is_unknown([_facts(response) for response in responses]):
            continue
        rejected = [s for s in REJECTIONS if _answers_success(responses, s)]
        if rejected and _sends(method):
            others = [r for r in responses if not str(r.get("StatusCode")).startswith("2")]
            rest = "these statuses" if others else "4xx and 5xx"
            yield Finding(
                method,
                f"{method} answers 2xx when {service} rejects an event with "
                f"{' or '.join(rejected)}: the client believes that it was accepted. Give the 2xx "
                f"the SelectionPattern 2\\d{{2}}, and map {rest} to failures.",
                ("Integration", "IntegrationResponses"),
            )


def _facts(response: Any) -> list[Any]:
    if not isinstance(response, Mapping):
        return [UNKNOWN]
    return [response.get("SelectionPattern"), response.get("StatusCode")]


def _answers_success(responses: list[Any], status: str) -> bool:
    try:
        chosen = [r for r in responses if re.fullmatch(r.get("SelectionPattern") or "(?!)", status)]
    except (re.error, TypeError):
        return False  # a pattern of another dialect
    chosen = chosen or [r for r in responses if not r.get("SelectionPattern")]
    return bool(chosen) and all(str(r.get("StatusCode")).startswith("2") for r in chosen)


@rule("W9175", "apigateway", "events", "kinesis", "firehose", "sqs", "sns", "stepfunctions")
def partial_failure(scenario: Scenario) -> Findings:
    """An API must look for the failures that a service reports inside a success.

    PutEvents, PutRecords and other batch calls succeed when some entries failed, and
    StartSyncExecution when the execution did: the client believes that all was accepted. Read the
    count of failures in the ResponseTemplates of the 2xx, and override its status with
    $context.responseOverride.status.

    Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
    """
    for method, _ in _integrations(scenario):
        action = ACTION.search(str(method.get("Integration.Uri")))
        form = FORM.search(str(_templates(method)))
        name = action.group(1) if action else form.group(1) if form else ""
        shown = REPORTS.get(name)
        for index, response in enumerate(method.list("Integration.IntegrationResponses")):
            status = response.get("StatusCode") if isinstance(response, Mapping) else None
            if not shown or not str(status).startswith("2"):
                continue
            templates = str(response.get("ResponseTemplates") or {})
            if not is_unknown(templates) and shown.lower() not in templates.lower():
                yield Finding(
                    method,
                    f"{method} answers 2xx when {name} reports failures inside its success: no "
                    f"response template looks at {shown}. Read it, and override the status.",
                    ("Integration", "IntegrationResponses", index),
                )


@rule("E9172", "apigateway", "sqs", "sns")
def input_not_encoded(scenario: Scenario) -> Findings:
    """A form-encoded request must encode what the client sent.

    The request to SQS or SNS is form-encoded: a body with & or = in it is cut off, or adds
    parameters of the client's choice. Wrap every $input.… in $util.urlEncode(…).

    Source:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
    """
    for method, _ in _integrations(scenario):
        for text in _templates(method):
            raw = _as_it_is(text) if FORM.search(text) else None
            if raw:
                yield Finding(
                    method,
                    f"{method} puts ${raw} into a form-encoded request as it is: a "
                    "body with & in it is cut off, or adds parameters. Wrap it in "
                    "$util.urlEncode(…).",
                    ("Integration", "RequestTemplates"),
                )


def _as_it_is(text: str) -> str | None:
    """Return what a template takes from the client and does not encode: an input, or a variable."""
    variables: set[str] = set()
    for found in ASSIGNED.finditer(text):
        value = text[found.end() : _end(text, found.end())]
        if not NUMBER.search(value) and _found(_without_calls(value, ENCODED), variables):
            variables.add(found.group(1))
    return _found(_without_calls(text, SAFE), variables)


def _found(text: str, variables: set[str]) -> str | None:
    used = INPUT.search(text)
    named = (match.group(1) for match in VARIABLE.finditer(text))
    return f"input.{used.group(1)}" if used else next(filter(variables.__contains__, named), None)


def _without_calls(text: str, calls: re.Pattern[str]) -> str:
    """Remove what urlEncode encodes, and the arguments of directives such as #set and #if."""
    while call := calls.search(text):
        text = text[: call.start()] + text[_end(text, call.end()) + 1 :]
    return text


def _end(text: str, start: int) -> int:
    """Return the place of the parenthesis that closes the one before a place."""
    depth, end = 1, start
    while depth and end < len(text):
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        end += 1
    return end - 1 if not depth else end


@rule("W9173", "apigateway", "sqs", "sns")
def passthrough(scenario: Scenario) -> Findings:
    """A service integration should reject content types that it has no template for.

    Unless PassthroughBehavior is NEVER, a body of another content type reaches the service as the
    client sent it, past the mapping template. Set PassthroughBehavior to NEVER: the client gets
    415.

    Source:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/integration-passthrough-behaviors.html
    """
    for method, service in _integrations(scenario):
        behavior = method.get("Integration.PassthroughBehavior") or "WHEN_NO_MATCH"
        if service not in ("sqs", "sns") or not _templates(method):
            continue
        if behavior != "NEVER" and not is_unknown(behavior):
            yield Finding(
                method,
                f"{method} has the PassthroughBehavior {behavior}: a body of another content type "
                f"reaches {service} as the client sent it. Set it to NEVER.",
                ("Integration", "PassthroughBehavior"),
            )


@rule("E9174", "apigateway", "sqs", shared=sqs.fifo_message)
def fifo_queue_parameters(scenario: Scenario) -> Findings:
    """A request to a FIFO queue needs a message group and a deduplication id.

    SQS rejects a message without a group, and without a deduplication id unless the queue has
    ContentBasedDeduplication: every request fails. Add MessageGroupId, and MessageDeduplicationId
    where the queue needs it.
    """
    for sender, named, sent in _requests(scenario):
        queue = scenario.queue(named)
        fifo = queue.flag("FifoQueue") if queue else str(named).endswith(".fifo")
        if fifo and sent and UNKNOWN not in sent:
            problem = sqs.fifo_message(
                sender,
                queue or named,
                group="MessageGroupId" in sent,
                deduplication="MessageDeduplicationId" in sent,
                by_content=queue.flag("ContentBasedDeduplication") if queue else None,
            )
            yield Finding(sender, problem)


def _requests(scenario: Scenario) -> Iterator[tuple[Resource, Any, str]]:
    """Yield what APIs send to queues: the sender, the queue's name or URL, and what is sent."""
    for method, _ in _integrations(scenario):
        queue = QUEUE.search(str(method.get("Integration.Uri")))
        templates = _templates(method)
        if queue and templates and _sends(method):
            parameters = method.get("Integration.RequestParameters")
            yield method, queue.group(1), f"{templates} {parameters}"
    for integration in scenario.of("AWS::ApiGatewayV2::Integration"):
        if integration.get("IntegrationSubtype") == "SQS-SendMessage":
            queue_url = integration.get("RequestParameters.QueueUrl")
            yield integration, queue_url, str(integration.get("RequestParameters"))
