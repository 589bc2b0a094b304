"""What API Gateway sends to SQS, and what SQS's answer becomes for the client.

The form-encoded SendMessage call of the SQS Query protocol: every value a client can influence
goes through ``$util.urlEncode``, so no body and no header can add or change a parameter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from aws_cdk import aws_apigateway as apigateway

JSON = "application/json"

# The trace id goes as a header: SQS keeps it as the message's AWSTraceHeader (AWS X-Ray developer
# guide, "Amazon SQS and AWS X-Ray"), and no message is refused when a request has none.
REQUEST_HEADERS = {
    "integration.request.header.Content-Type": "'application/x-www-form-urlencoded'",
    "integration.request.header.X-Amzn-Trace-Id": "context.xrayTraceId",
}

# What SQS says, with status 400, of a message that the client can mend. Everything else it
# refuses with 400 (no such queue, a key it may not use, throttling) is ours: 503, send it again.
# Amazon SQS API reference, "SendMessage" and "Common Error Types".
CLIENT_FAULTS = ("InvalidMessageContents", "InvalidParameterValue", "MissingParameter")

_REQUEST_ID = '"requestId": "$context.requestId"'
_ACCEPTED = (
    '{"messageId": "$input.path(\'$.SendMessageResponse.SendMessageResult.MessageId\')", '
    + _REQUEST_ID
    + "}"
)
# The condition stands inside the reason, where it prints nothing, so that the answer stays JSON
# on an emulator that knows no #if.
_REFUSED = f"""\
#set($code = $input.path('$.Error.Code'))
#set($detail = $util.escapeJavaScript($input.path('$.Error.Message')).replaceAll("\\\\'", "'"))
#set($clientFaults = " {" ".join(CLIENT_FAULTS)} ")
{{"message": "The queue refused the message.", "reason": "$!code\
#if(!$clientFaults.contains(" $code "))#set($context.responseOverride.status = 503)#end", \
"detail": "$!detail", {_REQUEST_ID}}}"""
_FAILED = f'{{"message": "The message was not accepted. Send it again.", {_REQUEST_ID}}}'


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
        """Take a request header, spelt like this or in lower case; SQS refuses to do without it.

        API Gateway looks headers up by their spelling, and HTTP/2 clients send lower case (API
        Gateway developer guide, "Amazon API Gateway important notes").

        Raises:
            ValueError: the name is not made of letters, digits and ``-``.
        """
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", name):
            raise ValueError(f"header {name!r}: allowed are letters, digits and -.")
        return cls(name, in_header=True)

    @property
    def template(self) -> str:
        """The value in a mapping template, encoded for the form."""
        if not self.in_header:
            return f"$util.urlEncode($input.path('$.{self.name}'))"
        spellings = dict.fromkeys((self.name, self.name.lower()))
        found = "".join(f"$!input.params('{spelling}')" for spelling in spellings)
        return f'$util.urlEncode("{found}")'


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
