"""What API Gateway sends to Step Functions, and what its answer becomes for the client.

Every value that a client can influence goes through ``$util.escapeJavaScript`` into a JSON string,
so no body, header or path can add or change a parameter of the call.
"""

from __future__ import annotations

from aws_cdk import aws_apigateway as apigateway

JSON = "application/json"

# escapeJavaScript also escapes ', which JSON does not know (API Gateway developer guide,
# "$util template reference").
_QUOTE = 'replaceAll("\\\\\'", "\'")'
_REQUEST_ID = '"requestId": "$context.requestId"'

# What Step Functions says, with status 400, of a request that the client can mend. Everything else
# it refuses with 400 (throttling, no such state machine) is ours: 503, send it again.
# AWS Step Functions API reference, "StartExecution" and "Common Errors".
CLIENT_FAULTS = ("InvalidExecutionInput", "InvalidName", "ValidationException")
ALREADY_EXISTS = "ExecutionAlreadyExists"
DOES_NOT_EXIST = "ExecutionDoesNotExist"


def start_template(state_machine_arn: str, name_field: str) -> str:
    """Return StartExecution or StartSyncExecution: the body as input, a field of it as the name.

    With the same name and input a running execution is answered again, and nothing starts twice.
    """
    name = f"$!util.escapeJavaScript($!input.path('$.{name_field}')).{_QUOTE}"
    body = f"$!util.escapeJavaScript($!input.body).{_QUOTE}"
    return f'{{"stateMachineArn": "{state_machine_arn}", "name": "{name}", "input": "{body}"}}'


def describe_template(execution_arn_prefix: str, path_parameter: str) -> str:
    """Return DescribeExecution of the execution that the path names."""
    name = f"$!util.escapeJavaScript($!input.params('{path_parameter}')).{_QUOTE}"
    return f'{{"executionArn": "{execution_arn_prefix}{name}"}}'


def _error_code() -> str:
    # Of "com.amazonaws.states#ExecutionAlreadyExists", or the name alone: what follows the #.
    return "#set($code = $input.path('$.__type').replaceAll('.*[#]', ''))"


def _refused(what: str, codes: dict[str, int]) -> str:
    """Return a 4xx's template: the status of each code, and 503 for any other."""
    override = "".join(
        f'#if($code == "{code}")#set($status = {status})#end' for code, status in codes.items()
    )
    return (
        f"{_error_code()}#set($status = 503){override}"
        "#set($context.responseOverride.status = $status)"
        f'{{"message": "{what}", "reason": "$!code", {_REQUEST_ID}}}'
    )


_FAILED = f'{{"message": "The request was not taken. Send it again.", {_REQUEST_ID}}}'

ACCEPTED = (
    '{"executionArn": "$input.path(\'$.executionArn\')", '
    '"startDate": "$input.path(\'$.startDate\')", ' + _REQUEST_ID + "}"
)
# The output of an execution is JSON already; until it ends there is none.
STATUS = (
    "#set($output = $input.path('$.output'))"
    '{"name": "$input.path(\'$.name\')", "status": "$input.path(\'$.status\')", '
    '"error": "$!util.escapeJavaScript($!input.path(\'$.error\'))", '
    '"output": #if($output && $output != "")$output#{else}null#end, ' + _REQUEST_ID + "}"
)
# An Express execution that failed is answered by Step Functions with 200, too.
RESULT = (
    "#set($output = $input.path('$.output'))"
    "#if($input.path('$.status') != \"SUCCEEDED\")"
    "#set($context.responseOverride.status = 502)#end"
    '{"status": "$input.path(\'$.status\')", '
    '"error": "$!util.escapeJavaScript($!input.path(\'$.error\'))", '
    '"output": #if($output && $output != "")$output#{else}null#end, ' + _REQUEST_ID + "}"
)


def start_responses(*, express: bool) -> list[apigateway.IntegrationResponse]:
    """Return the answers to a start: 202 once it has started, or with the result in Express.

    The one without a selection pattern is a 502: API Gateway takes it for every status that no
    pattern matches (API Gateway developer guide, "Set up an integration response").
    """
    taken = ("200", RESULT) if express else ("202", ACCEPTED)
    codes = dict.fromkeys(CLIENT_FAULTS, 422) | {ALREADY_EXISTS: 409}
    refused = _refused("The order was not started.", codes)
    return _responses(*taken, refused)


def describe_responses() -> list[apigateway.IntegrationResponse]:
    """Return the answers to a question for the status."""
    codes = {DOES_NOT_EXIST: 404, "InvalidArn": 404, "ValidationException": 404}
    return _responses("200", STATUS, _refused("There is no such execution.", codes))


def _responses(status: str, template: str, refused: str) -> list[apigateway.IntegrationResponse]:
    return [
        apigateway.IntegrationResponse(
            status_code=status, selection_pattern="200", response_templates={JSON: template}
        ),
        apigateway.IntegrationResponse(
            status_code="422", selection_pattern="400", response_templates={JSON: refused}
        ),
        apigateway.IntegrationResponse(status_code="502", response_templates={JSON: _FAILED}),
    ]


def method_responses(*codes: str) -> list[apigateway.MethodResponse]:
    """Return the statuses that a method may answer with."""
    return [apigateway.MethodResponse(status_code=code) for code in codes]
