"""API Gateway REST APIs that hand events straight to a service."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .. import template

DOCS = "https://docs.aws.amazon.com/apigateway/latest/developerguide"
SERVICE = re.compile(r":(sqs|sns|states|events|kinesis|firehose|dynamodb):(?:path|action)/")
REFUSALS = ("400", "403", "500", "503")  # statuses with which a service refuses an event
FORM = re.compile(r"\bAction=(SendMessage|SendMessageBatch|Publish|PublishBatch)\b")
INPUT = re.compile(r"\$!?(?:\{!?)?input\.(body|path|json|params)\b")
QUEUE = re.compile(r":sqs:path/[^/]*/(.*)")
SAFE = re.compile(r"\$!?(?:\{!?)?util\.urlEncode\s*\(|#[a-z]+\s*\(", re.IGNORECASE)


def _integrations(scenario: template.Scenario) -> Iterator[tuple[template.Resource, str]]:
    """Yield each method that hands its request to a service, and the service."""
    for method in scenario.of("AWS::ApiGateway::Method"):
        service = SERVICE.search(str(method.get("Integration.Uri")))
        if service and method.get("Integration.Type") == "AWS":
            yield method, service.group(1)


def _templates(method: template.Resource) -> list[str]:
    templates = method.get("Integration.RequestTemplates")
    values = templates.values() if isinstance(templates, Mapping) else []
    return [text for text in values if isinstance(text, str)]


class SuccessForRefusal(template.Rule):
    id = "E9171"
    shortdesc = "A service's refusal must not reach the client as a success"
    description = (
        "An integration response without SelectionPattern is the catch-all: a 2xx there answers "
        "success when the service refused the event, and the client never sends it again. Give "
        "the 2xx a SelectionPattern such as 2\\d{2}, and map 4xx and 5xx to failures."
    )
    source_url = f"{DOCS}/api-gateway-integration-settings-integration-response.html"
    tags = ["apigateway"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for method, service in _integrations(scenario):
            responses = method.list("Integration.IntegrationResponses")
            if template.is_unknown([_facts(response) for response in responses]):
                continue
            refused = [s for s in REFUSALS if _answers_success(responses, s)]
            if refused:
                yield template.Finding(
                    method,
                    f"{method.id} answers 2xx when {service} refuses an event with "
                    f"{' or '.join(refused)}: the client believes that it was taken. Give the 2xx "
                    "the SelectionPattern 2\\d{2}, and map 4xx and 5xx to failures.",
                    ("Integration", "IntegrationResponses"),
                )


def _facts(response: Any) -> list[Any]:
    if not isinstance(response, Mapping):
        return [template.UNKNOWN]
    return [response.get("SelectionPattern"), response.get("StatusCode")]


def _answers_success(responses: list[Any], status: str) -> bool:
    try:
        chosen = [r for r in responses if re.fullmatch(r.get("SelectionPattern") or "(?!)", status)]
    except (re.error, TypeError):
        return False  # a pattern of another dialect
    chosen = chosen or [r for r in responses if not r.get("SelectionPattern")]
    return bool(chosen) and all(str(r.get("StatusCode")).startswith("2") for r in chosen)


class InputNotEncoded(template.Rule):
    id = "E9172"
    shortdesc = "A form-encoded request must encode what the client sent"
    description = (
        "The request to SQS or SNS is form-encoded: a body with & or = in it is cut off, or adds "
        "parameters of the client's choice. Wrap every $input.… in $util.urlEncode(…)."
    )
    source_url = f"{DOCS}/api-gateway-mapping-template-reference.html"
    tags = ["apigateway", "sqs", "sns"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for method, _ in _integrations(scenario):
            for text in _templates(method):
                raw = INPUT.search(_without_calls(text)) if FORM.search(text) else None
                if raw:
                    yield template.Finding(
                        method,
                        f"{method.id} puts $input.{raw.group(1)} into a form-encoded request as "
                        "it is: a body with & in it is cut off, or adds parameters. Wrap it in "
                        "$util.urlEncode(…).",
                        ("Integration", "RequestTemplates"),
                    )


def _without_calls(text: str) -> str:
    """Remove what urlEncode encodes, and what directives such as #set and #if look at."""
    while call := SAFE.search(text):
        depth, end = 1, call.end()
        while depth and end < len(text):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        text = text[: call.start()] + text[end:]
    return text


class Passthrough(template.Rule):
    id = "W9173"
    shortdesc = "A service integration should refuse what it has no template for"
    description = (
        "Unless PassthroughBehavior is NEVER, a body of another content type reaches the service "
        "as the client sent it, past the mapping template. Set PassthroughBehavior to NEVER: the "
        "client gets 415."
    )
    source_url = f"{DOCS}/integration-passthrough-behaviors.html"
    tags = ["apigateway", "sqs", "sns"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for method, service in _integrations(scenario):
            behavior = method.get("Integration.PassthroughBehavior") or "WHEN_NO_MATCH"
            if service not in ("sqs", "sns") or not _templates(method):
                continue
            if behavior != "NEVER" and not template.is_unknown(behavior):
                yield template.Finding(
                    method,
                    f"{method.id} has the PassthroughBehavior {behavior}: a body of another "
                    f"content type reaches {service} as the client sent it. Set it to NEVER.",
                    ("Integration", "PassthroughBehavior"),
                )


class FifoQueueParameters(template.Rule):
    id = "E9174"
    shortdesc = "A request to a FIFO queue must give a message group and a deduplication id"
    description = (
        "SQS refuses a message without a group, and without a deduplication id unless the queue "
        "has ContentBasedDeduplication: every request fails. Add MessageGroupId, and "
        "MessageDeduplicationId where the queue needs it."
    )
    source_url = (
        "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html"
    )
    tags = ["apigateway", "sqs"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for sender, named, sent in _requests(scenario):
            queue = scenario.queue(named)
            fifo = queue.flag("FifoQueue") if queue else str(named).endswith(".fifo")
            content = queue.flag("ContentBasedDeduplication") if queue else None
            if not fifo or not sent or template.UNKNOWN in sent:
                continue
            lacks = ["MessageGroupId"] if "MessageGroupId" not in sent else []
            if content is False and "MessageDeduplicationId" not in sent:
                lacks.append("MessageDeduplicationId")
            if lacks:
                yield template.Finding(
                    sender,
                    f"{sender.id} sends to a FIFO queue without {' and '.join(lacks)}: SQS refuses "
                    "every message. Add it.",
                )


def _requests(scenario: template.Scenario) -> Iterator[tuple[template.Resource, Any, str]]:
    """Yield what APIs send to queues: the sender, the queue's name or URL, and what is sent."""
    for method, _ in _integrations(scenario):
        queue = QUEUE.search(str(method.get("Integration.Uri")))
        templates = _templates(method)
        if queue and templates:
            parameters = method.get("Integration.RequestParameters")
            yield method, queue.group(1), f"{templates} {parameters}"
    for integration in scenario.of("AWS::ApiGatewayV2::Integration"):
        if integration.get("IntegrationSubtype") == "SQS-SendMessage":
            queue_url = integration.get("RequestParameters.QueueUrl")
            yield integration, queue_url, str(integration.get("RequestParameters"))
