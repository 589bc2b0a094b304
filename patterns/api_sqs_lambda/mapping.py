"""What API Gateway sends to SQS, and what SQS's answer becomes for the client.

The form-encoded SendMessage call of the SQS Query protocol: every value a client can influence
goes through ``$util.urlEncode``, so no body and no header can add or change a parameter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from aws_cdk import aws_apigateway as apigateway

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

# What SQS says with status 400 of a message that the client can mend. Everything else it
# refuses with 400 (no such queue, a disabled key, throttling) is ours, and becomes a 503.
# Amazon SQS API reference, "SendMessage", Errors, and "Common Error Types".
CLIENT_FAULTS = (
    "InvalidMessageContents",
    "InvalidParameterValue",
    "MissingParameter",
    "EmptyValue",
)


@dataclass(frozen=True)
class RequestField:
    """A value of the request that names a message group or a deduplication id.

    Make one with :meth:`body` or :meth:`header`.
    """

    name: str
    in_header: bool

    @classmethod
    def body(cls, name: str) -> RequestField:
        """Take a field of the JSON body: ``order_id``, or ``order.id`` for a nested one.

        Raises:
            ValueError: the name is not made of letters, digits, ``_`` and dots.
        """
        if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", name, re.ASCII):
            raise ValueError(
                f"body field {name!r}: allowed are letters, digits and _, nested with dots."
            )
        return cls(name, in_header=False)

    @classmethod
    def header(cls, name: str) -> RequestField:
        """Take a request header, which the API then requires (400 without it).

        Raises:
            ValueError: the name is not made of letters, digits and ``-``.
        """
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", name):
            raise ValueError(f"header {name!r}: allowed are letters, digits and -.")
        return cls(name, in_header=True)

    @property
    def template(self) -> str:
        """The value in a mapping template, encoded for the form."""
        source = (
            f"$input.params('{self.name}')" if self.in_header else f"$input.path('$.{self.name}')"
        )
        return f"$util.urlEncode({source})"


def request_parameters(*fields: RequestField | None) -> dict[str, bool]:
    """Return the headers that API Gateway must find before it calls SQS."""
    return {f"method.request.header.{f.name}": True for f in fields if f and f.in_header}


def request_template(group: RequestField | None, deduplication: RequestField | None) -> str:
    """Return the SendMessage call as a mapping template.

    Args:
        group: Where the message group id comes from. Default: none.
        deduplication: Where the deduplication id comes from. Default: none.
    """
    parameters = {
        "Action": "SendMessage",
        "Version": "2012-11-05",
        "MessageBody": "$util.urlEncode($input.body)",
    }
    if group:
        parameters["MessageGroupId"] = group.template
    if deduplication:
        parameters["MessageDeduplicationId"] = deduplication.template
    attributes = {
        "RequestId": ("String", "$context.requestId"),
        "Source": (
            "String",
            '$util.urlEncode("$context.apiId/$context.stage '
            '$context.httpMethod $context.resourcePath")',
        ),
        "ReceivedAt": ("Number", "$context.requestTimeEpoch"),
    }
    for number, (name, (data_type, value)) in enumerate(attributes.items(), start=1):
        attribute = f"MessageAttribute.{number}"
        parameters[f"{attribute}.Name"] = name
        parameters[f"{attribute}.Value.DataType"] = data_type
        parameters[f"{attribute}.Value.StringValue"] = value
    return "&".join(f"{name}={value}" for name, value in parameters.items())


# One line a request, with what finds a failure and nothing that names a person.
ACCESS_LOG = {
    "requestId": "$context.requestId",
    "requestTime": "$context.requestTime",
    "method": "$context.httpMethod",
    "path": "$context.resourcePath",
    "status": "$context.status",
    "integrationStatus": "$context.integrationStatus",
    "responseLatency": "$context.responseLatency",
    "integrationLatency": "$context.integrationLatency",
    "errorType": "$context.error.responseType",
    "errorMessage": "$context.error.message",
    "validationError": "$context.error.validationErrorString",
    "traceId": "$context.xrayTraceId",
}
REFUSED_BY_SCHEMA = """\
{"message": $context.error.messageString, "reason": "$context.error.validationErrorString", \
"requestId": "$context.requestId"}
"""

# A list the template can ask with contains(): Velocity's own lists hold no constants here.
_REFUSED = f"""\
#set($code = $input.path('$.Error.Code'))
#set($clientFaults = " {" ".join(CLIENT_FAULTS)} ")
#set($statuses = {{"true": 422, "false": 503}})
#set($context.responseOverride.status = $statuses.get("$clientFaults.contains(" $code ")"))
{{"message": "The queue refused the message.", "reason": "$!code", \\
"requestId": "$context.requestId"}}
"""
_ACCEPTED = """\
{"messageId": "$input.path('$.SendMessageResponse.SendMessageResult.MessageId')", \
"requestId": "$context.requestId"}
"""
_FAILED = """\
{"message": "The message was not accepted. Send it again.", "requestId": "$context.requestId"}
"""


def integration_responses() -> list[apigateway.IntegrationResponse]:
    """Return the answers: 202 only for SQS's own 200, and the one without a pattern is a 502.

    API Gateway takes the response without a selection pattern for every status that no pattern
    matches, so a 2xx there would swallow failures (API Gateway developer guide, "Set up an
    integration response").
    """
    return [
        apigateway.IntegrationResponse(
            status_code="202", selection_pattern="200", response_templates={JSON: _ACCEPTED}
        ),
        apigateway.IntegrationResponse(
            status_code="422", selection_pattern="400", response_templates={JSON: _REFUSED}
        ),
        apigateway.IntegrationResponse(status_code="502", response_templates={JSON: _FAILED}),
    ]


def method_responses() -> list[apigateway.MethodResponse]:
    """Return the statuses that the method may answer with."""
    return [apigateway.MethodResponse(status_code=code) for code in ("202", "422", "502", "503")]
