"""The call with which API Gateway sends a request's body to SQS.

It is the form-encoded SendMessage call of the SQS Query protocol: every value that a client can
influence goes through ``$util.urlEncode``, so no body and no header can add or change a parameter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Aws

from ..blocks.rest import REQUEST_ID, ServiceCall, escaped
from ..blocks.values import place_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_cdk import aws_sqs as sqs

    from ..blocks.endpoints import RequestField

ACCOUNT = Aws.ACCOUNT_ID
# No trace id: API Gateway knows it without "Root=", and SQS rejects a call whose X-Amzn-Trace-Id
# has another form. https://github.com/aws/aws-xray-sdk-python/issues/213
HEADERS = {"integration.request.header.Content-Type": "'application/x-www-form-urlencoded'"}
# The errors, with status 400, of a message that the client can fix. Everything else that SQS
# refuses with 400 (no such queue, a key it may not use, throttling) is ours: 503, send it again.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
CLIENT_FAULTS = ("InvalidMessageContents", "InvalidParameterValue", "MissingParameter")
# What every message carries.
ATTRIBUTES = ("RequestId", "Source", "ReceivedAt")
_MESSAGE_ID = "$input.path('$.SendMessageResponse.SendMessageResult.MessageId')"


def send_message(
    queue: sqs.IQueue,
    group: RequestField | None,
    deduplication: RequestField | None,
    attributes: Mapping[str, RequestField],
) -> ServiceCall:
    """Return the call that sends a request's body to a queue.

    Args:
        queue: Where to.
        group: Where the message group id comes from. Default: none.
        deduplication: Where the deduplication id comes from. Default: none.
        attributes: Where further attributes of the message come from.
    """
    return ServiceCall(
        service="sqs",
        path=f"{place_of(queue)[0] or ACCOUNT}/{queue.queue_name}",
        headers=HEADERS,
        request=request_template(group, deduplication, attributes),
        fields=tuple(one for one in (group, deduplication, *attributes.values()) if one),
        status=202,
        answer=f'{{"messageId": "{_MESSAGE_ID}", {REQUEST_ID}}}',
        refused="The queue refused the message.",
        client_faults=dict.fromkeys(CLIENT_FAULTS, 422),
        error_code="$input.path('$.Error.Code')",
        error_detail=escaped("$input.path('$.Error.Message')"),
    )


def request_template(
    group: RequestField | None,
    deduplication: RequestField | None,
    fields: Mapping[str, RequestField],
) -> str:
    """Return the SendMessage call as a mapping template.

    A value that is missing prints nothing, not its own name, so that SQS rejects the message.
    """
    parameters = {
        "Action": "SendMessage",
        "Version": "2012-11-05",
        "MessageBody": "$!util.urlEncode($!input.body)",
    }
    if group:
        parameters["MessageGroupId"] = _encoded(group)
    if deduplication:
        parameters["MessageDeduplicationId"] = _encoded(deduplication)
    source = "$context.apiId/$context.stage $context.httpMethod $context.resourcePath"
    attributes = {
        "RequestId": ("String", "$context.requestId"),
        "Source": ("String", f'$util.urlEncode("{source}")'),
        "ReceivedAt": ("Number", "$context.requestTimeEpoch"),
        **{name: ("String", _encoded(one)) for name, one in fields.items()},
    }
    for number, (name, (data_type, value)) in enumerate(attributes.items(), start=1):
        attribute = f"MessageAttribute.{number}"
        parameters[f"{attribute}.Name"] = name
        parameters[f"{attribute}.Value.DataType"] = data_type
        parameters[f"{attribute}.Value.StringValue"] = value
    return "&".join(f"{name}={value}" for name, value in parameters.items())


def _encoded(one: RequestField) -> str:
    return f"$!util.urlEncode({one.value})"
