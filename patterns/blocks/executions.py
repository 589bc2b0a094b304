"""The calls with which API Gateway starts an execution and asks for its status.

Every value that a client can influence goes through ``$util.escapeJavaScript`` into a JSON string,
so no body, header or path can add or change a parameter of the call.
"""

from __future__ import annotations

from .endpoints import RequestField
from .rest import REQUEST_ID, ServiceCall, escaped

# The errors, with status 400, of a request that the client can fix. Everything else that Step
# Functions rejects with 400 (throttling, no such state machine) is ours: 503, send it again.
# https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
CLIENT_FAULTS = ("InvalidExecutionInput", "InvalidName", "ValidationException")
NOT_FOUND = ("ExecutionDoesNotExist", "InvalidArn", "ValidationException")

_ACCEPTED = (
    '{"executionArn": "$input.path(\'$.executionArn\')", '
    f'"startDate": "$input.path(\'$.startDate\')", {REQUEST_ID}}}'
)
_ERROR = escaped("$!input.path('$.error')", quiet=True)
# The output of an execution is JSON already; until it ends there is none.
_OUTCOME = (
    '"status": "$input.path(\'$.status\')", '
    f'"error": "{_ERROR}", '
    f'"output": #if($output && $output != "")$output#{{else}}null#end, {REQUEST_ID}}}'
)
_SET_OUTPUT = "#set($output = $input.path('$.output'))"
_STATUS = f'{_SET_OUTPUT}{{"name": "$input.path(\'$.name\')", {_OUTCOME}'
# Step Functions answers 200 for an Express execution that failed, too.
_RESULT = (
    f"{_SET_OUTPUT}#if($input.path('$.status') != \"SUCCEEDED\")"
    f"#set($context.responseOverride.status = 502)#end{{{_OUTCOME}"
)


def start(state_machine_arn: str, name: RequestField, *, express: bool) -> ServiceCall:
    """Return StartExecution or StartSyncExecution: the body as input, a field of it as the name.

    With the same name and input a running execution is answered again, and nothing starts twice.
    """
    name_text = escaped(name.value, quiet=True)
    body = escaped("$!input.body", quiet=True)
    return ServiceCall(
        service="states",
        action="StartSyncExecution" if express else "StartExecution",
        request=(
            f'{{"stateMachineArn": "{state_machine_arn}", "name": "{name_text}", '
            f'"input": "{body}"}}'
        ),
        status=200 if express else 202,
        answer=_RESULT if express else _ACCEPTED,
        refused="The execution was not started.",
        client_faults=dict.fromkeys(CLIENT_FAULTS, 422) | {"ExecutionAlreadyExists": 409},
        fields=(name,),
    )


def describe(execution_arn_prefix: str, parameter: str) -> ServiceCall:
    """Return DescribeExecution of the execution that a parameter of the path names."""
    name = escaped(RequestField.path(parameter).value, quiet=True)
    return ServiceCall(
        service="states",
        action="DescribeExecution",
        request=f'{{"executionArn": "{execution_arn_prefix}{name}"}}',
        status=200,
        answer=_STATUS,
        refused="There is no such execution.",
        client_faults=dict.fromkeys(NOT_FOUND, 404),
    )
