"""Shims for the embedded AWS: each passes on something that MiniStack drops on the way.

A shim forwards what the template or the request has to the service that does the right thing; it
never imitates a service. Each has a test that shows the gap without it, and so tells when upstream
has closed it and the shim can go. Loaded by ``launch.py``, on the embedded AWS's own Python.
"""

from __future__ import annotations

import json
import os
import re
import time
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

GATEWAY = "ministack.services.apigateway_v1"
PROVISIONERS = "ministack.services.cloudformation.provisioners"
# Comma-separated names of shims to leave out: how their tests show the gap.
WITHOUT_VARIABLE = "SANDBOX_WITHOUT_SHIMS"


def _module(name: str) -> Any:
    """A module of MiniStack."""
    return import_module(name)


def mapping_template_context() -> None:
    """Gap: in a mapping template, ``$context`` has nothing but ``authorizer``.

    Forwards what the request knows of itself, under the names that API Gateway documents
    ("Variables for data transformations"), to the request and the response template. The
    ``requestId`` is the one that the client gets as ``x-amzn-requestid``.
    """
    gateway = _module(GATEWAY)
    get_account_id = _module("ministack.core.responses").get_account_id
    execute, invoke_sqs = gateway._execute_in_scope, gateway._invoke_sqs_v1
    render = gateway._render_request_template_v1
    request_id: ContextVar[str] = ContextVar("request_id", default="")
    known: ContextVar[dict[str, Any]] = ContextVar("known", default={})  # noqa: B039 - never changed

    async def execute_with_id(request: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        request_id.set(request["request_id"])
        answer = await execute(request, *args, **kwargs)
        if isinstance(answer, tuple):
            answer[1].setdefault("x-amzn-requestid", request["request_id"])
        return answer

    async def invoke_with_context(
        integration: Any,
        api_id: str,
        stage_name: str,
        stage: Any,
        resource: dict[str, Any],
        request_path: str,
        method: str,
        headers: dict[str, Any],
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        now = time.time()
        context = {
            "accountId": get_account_id(),
            "apiId": api_id,
            "extendedRequestId": request_id.get(),
            "httpMethod": method,
            "identity": {
                "sourceIp": "127.0.0.1",  # the server listens on no other interface
                "userAgent": headers.get("user-agent", ""),
            },
            "path": f"/{stage_name}{request_path}",
            "protocol": "HTTP/1.1",
            "requestId": request_id.get(),
            "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "requestTimeEpoch": int(now * 1000),
            "resourceId": resource["id"],
            "resourcePath": resource["path"],
            "stage": stage_name,
        }
        if trace := re.search(r"Root=([^;]+)", headers.get("x-amzn-trace-id", "")):
            context["xrayTraceId"] = trace[1]
        known.set(context)
        return await invoke_sqs(
            integration, api_id, stage_name, stage, resource, request_path, method, headers,
            *args, **kwargs,
        )  # fmt: skip

    def render_with_context(
        template: str, body: str, params: dict[str, Any], context: dict[str, Any] | None = None
    ) -> Any:
        return render(template, body, params, {**known.get(), **(context or {})})

    gateway._execute_in_scope = execute_with_id
    gateway._invoke_sqs_v1 = invoke_with_context
    gateway._render_request_template_v1 = render_with_context


def sqs_errors_as_json() -> None:
    """Gap: an SQS error reaches API Gateway's response template as XML; its successes are JSON.

    Forwards code, message, type and request id of that XML in the JSON form of SQS, which is what
    API Gateway asks SQS for.
    """
    from xml.etree import ElementTree

    gateway = _module(GATEWAY)
    respond = gateway._service_integration_response

    def respond_in_json(integration: Any, status: int, text: str, *args: Any, **kwargs: Any) -> Any:
        if status >= 400 and text.startswith("<?xml"):
            answer = ElementTree.fromstring(text)  # noqa: S314 - SQS of this process wrote it
            error = {
                name: answer.findtext(f"{{*}}Error/{{*}}{name}")
                for name in ("Code", "Message", "Type")
            }
            text = json.dumps({"Error": error, "RequestId": answer.findtext("{*}RequestId")})
        return respond(integration, status, text, *args, **kwargs)

    gateway._service_integration_response = respond_in_json


def request_validators() -> None:
    """Gap: a template's request validator, and a method's use of it, are dropped.

    Forwards both to API Gateway's own control plane, whose validators do work.
    """
    gateway = _module(GATEWAY)
    handlers = _module(PROVISIONERS)._RESOURCE_HANDLERS
    method, validator = (
        handlers["AWS::ApiGateway::Method"],
        handlers["AWS::ApiGateway::RequestValidator"],
    )
    create_method, update_method = method["create"], method["update"]

    def use_validator(properties: dict[str, Any], created: Any) -> Any:
        validator_id = properties.get("RequestValidatorId")
        operation = {"op": "replace", "path": "/requestValidatorId", "value": validator_id}
        gateway._update_method(
            properties["RestApiId"],
            properties["ResourceId"],
            properties["HttpMethod"],
            {"patchOperations": [operation]},
        )
        return created

    def create_validator(_id: str, properties: dict[str, Any], _stack: str) -> Any:
        settings = {
            "name": properties.get("Name", ""),
            "validateRequestBody": _is_true(properties.get("ValidateRequestBody")),
            "validateRequestParameters": _is_true(properties.get("ValidateRequestParameters")),
        }
        status, _, body = gateway._create_request_validator(properties["RestApiId"], settings)
        if status >= 400:
            raise ValueError(f"AWS::ApiGateway::RequestValidator: {body!r}")
        validator_id = json.loads(body)["id"]
        return validator_id, {"RequestValidatorId": validator_id}

    method["create"] = lambda logical_id, properties, stack: use_validator(
        properties, create_method(logical_id, properties, stack)
    )
    method["update"] = lambda physical_id, old, new, stack: use_validator(
        new, update_method(physical_id, old, new, stack)
    )
    validator["create"] = create_validator
    # A changed one is replaced: CloudFormation then updates the methods that name it.
    validator["update"] = lambda physical_id, _old, new, stack: create_validator(
        physical_id, new, stack
    )


def reserved_concurrency() -> None:
    """Gap: a function's reserved concurrency in a template is dropped.

    Forwards it to Lambda's own control plane, which enforces it.
    """
    functions = _module("ministack.services.lambda_svc")
    function = _module(PROVISIONERS)._RESOURCE_HANDLERS["AWS::Lambda::Function"]
    create, update = function["create"], function["update"]

    def reserve(properties: dict[str, Any], result: Any) -> Any:
        reserved = properties.get("ReservedConcurrentExecutions")
        if reserved is None:
            functions._delete_function_concurrency(result[0])
        else:
            functions._put_function_concurrency(
                result[0], {"ReservedConcurrentExecutions": int(reserved)}
            )
        return result

    def create_and_reserve(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        return reserve(properties, create(logical_id, properties, stack))

    def update_and_reserve(
        physical_id: str, old: dict[str, Any], new: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        return reserve(new, update(physical_id, old, new, *args, **kwargs))

    function["create"], function["update"] = create_and_reserve, update_and_reserve


def function_dead_letter_queue() -> None:
    """Gap: a function's dead-letter queue in a template is dropped.

    Forwards it to Lambda's own control plane, which uses it.
    """
    functions = _module("ministack.services.lambda_svc")
    function = _module(PROVISIONERS)._RESOURCE_HANDLERS["AWS::Lambda::Function"]
    create, update = function["create"], function["update"]

    def configure(properties: dict[str, Any], result: Any) -> Any:
        settings = properties.get("DeadLetterConfig") or {}
        status, _, body = functions._update_config(result[0], {"DeadLetterConfig": settings})
        if status >= 400:
            raise ValueError(f"AWS::Lambda::Function DeadLetterConfig: {body!r}")
        return result

    def create_and_configure(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        result = create(logical_id, properties, stack)
        return configure(properties, result) if "DeadLetterConfig" in properties else result

    def update_and_configure(
        physical_id: str, old: dict[str, Any], new: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        result = update(physical_id, old, new, *args, **kwargs)
        changed = old.get("DeadLetterConfig") != new.get("DeadLetterConfig")
        return configure(new, result) if changed else result

    function["create"], function["update"] = create_and_configure, update_and_configure


def retries_with_current_settings() -> None:
    """Gap: a retry of an asynchronous invocation runs with the settings of the first try.

    It even leaves a worker with the old settings behind, which then serves new invocations.
    Forwards the function as Lambda's control plane has it at the time of the retry.
    """
    functions = _module("ministack.services.lambda_svc")
    execute = functions._execute_function

    def execute_current(function: dict[str, Any], event: Any) -> Any:
        config = function.get("config") or function
        current = functions._functions.get(config.get("FunctionName"))
        if current and config.get("Version") == "$LATEST":
            arn = {"FunctionArn": config["FunctionArn"]}  # may name the alias that was invoked
            function = {**current, "config": {**current["config"], **arn}}
        return execute(function, event)

    functions._execute_function = execute_current


def failures_keep_their_process() -> None:
    """Gap: a Python function that raises loses its process; Lambda's environment outlives that.

    What the module keeps between calls is gone then, and the next call waits for a new process.
    Forwards what was raised as an answer, which ends no process, and out of it as the failure.
    """
    runtime = _module("ministack.core.lambda_runtime")
    failure = '{"status": "error", "error": str(e), "trace": traceback.format_exc()}'
    answer = f'{{"status": "ok", "raised": {failure}}}'
    invoke = runtime.Worker.invoke

    def invoke_and_keep(worker: Any, *args: Any, **named: Any) -> Any:
        result = invoke(worker, *args, **named)
        return {**result, **result.pop("raised", {})}

    runtime._PYTHON_WORKER_SCRIPT = runtime._PYTHON_WORKER_SCRIPT.replace(failure, answer)
    runtime.Worker.invoke = invoke_and_keep


def fifo_topics() -> None:
    """Gap: a FIFO topic of a template is created as a standard topic.

    Forwards what makes it one to SNS's own SetTopicAttributes.
    """
    sns = _module("ministack.services.sns")
    topic = _module(PROVISIONERS)._RESOURCE_HANDLERS["AWS::SNS::Topic"]
    create, update = topic["create"], topic["update"]

    def set_attributes(properties: dict[str, Any], result: Any) -> Any:
        if _is_true(properties.get("FifoTopic")):
            by_content = str(_is_true(properties.get("ContentBasedDeduplication"))).lower()
            attributes = {"FifoTopic": "true", "ContentBasedDeduplication": by_content}
            for name, value in attributes.items():
                sns._set_topic_attributes(
                    {"TopicArn": result[0], "AttributeName": name, "AttributeValue": value}
                )
        return result

    def create_and_set(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        return set_attributes(properties, create(logical_id, properties, stack))

    def update_and_set(
        physical_id: str, old: dict[str, Any], new: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        return set_attributes(new, update(physical_id, old, new, *args, **kwargs))

    topic["create"], topic["update"] = create_and_set, update_and_set


def auto_delete_objects() -> None:
    """Gap: CDK's function that empties a bucket before its deletion never starts.

    It is written for Node and needs the AWS SDK that Lambda's runtime has; a deployment then waits
    for it for an hour. Forwards the deletion of the bucket's objects, all that the function does,
    to S3's own DeleteObject.
    """
    s3 = _module("ministack.services.s3")
    handlers = _module(PROVISIONERS)._RESOURCE_HANDLERS

    def create(logical_id: str, properties: dict[str, Any], _stack: str) -> Any:
        return f"{logical_id}-{properties['BucketName']}", {}

    def delete(_physical_id: str, properties: dict[str, Any]) -> None:
        bucket = s3._buckets.get(properties["BucketName"])
        for key in list(bucket["objects"]) if bucket else ():
            s3._delete_object(properties["BucketName"], key)

    handlers["Custom::S3AutoDeleteObjects"] = {
        "create": create,
        "update": lambda physical_id, _old, _new, _stack: (physical_id, {}),
        "delete": delete,
    }


def firehose_failed_records() -> None:
    """Gap: what a transform fails is dropped, what a failing transform has not seen is delivered.

    Forwards both to Firehose's own delivery to the error prefix, which it makes of a record whose
    prefix cannot be worked out.
    """
    firehose, functions = (
        _module("ministack.services.firehose"),
        _module("ministack.services.lambda_svc"),
    )
    apply, execute = firehose._apply_lambda_processors, functions._execute_function
    evaluate = firehose._evaluate_prefix
    seen: ContextVar[dict[str, str] | None] = ContextVar("seen", default=None)
    failure: ContextVar[str] = ContextVar("failure", default="")

    def execute_and_look(function: dict[str, Any], event: dict[str, Any]) -> Any:
        result = execute(function, event)
        failed = seen.get()
        if failed is not None:
            failed.update(_failed_records(event, result))
        return result

    def evaluate_or_fail(
        template: str, at: Any, query_keys: Any = None, lambda_keys: Any = None,
        error_type: str | None = None,
    ) -> Any:  # fmt: skip
        if failure.get() and error_type is None:
            raise firehose._DeliveryError("processing-failed", failure.get())
        return evaluate(template, at, query_keys, lambda_keys, error_type)

    def apply_and_keep(
        stream: dict[str, Any], destination: dict[str, Any], records: Any, *args: Any, **named: Any
    ) -> Any:
        failed: dict[str, str] = {}
        token = seen.set(failed)
        try:
            processed = apply(stream, destination, records, *args, **named)
        finally:
            seen.reset(token)
        for record_id, data in records:
            if record_id in failed:
                token_of_failure = failure.set(failed[record_id])
                try:
                    firehose._deliver_to_s3(stream, destination, data)
                finally:
                    failure.reset(token_of_failure)
        return [record for record in processed if record[0] not in failed]

    functions._execute_function = execute_and_look
    firehose._apply_lambda_processors = apply_and_keep
    firehose._evaluate_prefix = evaluate_or_fail


def _failed_records(event: dict[str, Any], result: dict[str, Any]) -> dict[str, str]:
    """What a transform has not processed of its event, with why, by record id."""
    body = result.get("body")
    if not result.get("error"):
        try:
            answer = body if isinstance(body, dict) else json.loads(body or "")
            return {
                record["recordId"]: "ProcessingFailed status set for record"
                for record in answer["records"]
                if record["result"] == "ProcessingFailed"
            }
        except (ValueError, TypeError, KeyError):
            pass
    return {record["recordId"]: f"The function failed: {body!r}" for record in event["records"]}


def batch_calls_are_authorized() -> None:
    """Gap: a batch call is authorized as an action that IAM does not have.

    Forwards the action that it does have: a batch needs the permission of the single call (Amazon
    SQS developer guide, "Amazon SQS API permissions: Actions and resource reference"; service
    authorization reference, "Actions defined by Amazon SNS").
    """
    actions = _module("ministack.core.iam_actions")
    extract = actions.extract_iam_action

    def extract_known(*args: Any, **kwargs: Any) -> str | None:
        action = extract(*args, **kwargs)
        if action and action.startswith(("sqs:", "sns:")):
            return str(action).removesuffix("Batch")
        return action  # type: ignore[no-any-return]

    actions.extract_iam_action = extract_known


def task_tokens_are_of_their_state_machine() -> None:
    """Gap: an answer to a task is authorized on all resources, not on the token's state machine.

    Forwards which state machine a token is of, so that a permission for this one suffices.
    """
    states = _module("ministack.services.stepfunctions")
    actions = _module("ministack.core.iam_actions")
    execute, wait, extract = (
        states._execute_task,
        states._invoke_with_callback,
        actions.extract_resource_arn,
    )
    running: ContextVar[str] = ContextVar("running", default="*")
    owners: dict[str, str] = {}

    def execute_known(state: Any, given: Any, execution: dict[str, Any], context: Any) -> Any:
        token = running.set(execution["stateMachineArn"])
        try:
            return execute(state, given, execution, context)
        finally:
            running.reset(token)

    def wait_known(resource: str, given: Any, token: str, *args: Any) -> Any:
        owners[token] = running.get()  # for good: a late answer is authorized too
        return wait(resource, given, token, *args)

    def extract_known(
        service: str, method: str, path: str, headers: Any, body: bytes, *rest: Any
    ) -> Any:
        found = extract(service, method, path, headers, body, *rest)
        if service == "states" and found == "*":
            return owners.get(actions._safe_json_field(body, "taskToken"), found)
        return found

    states._execute_task = execute_known
    states._invoke_with_callback = wait_known
    actions.extract_resource_arn = extract_known


def _is_true(value: object) -> bool:
    """Whether a template's boolean is true; it may be text."""
    return str(value).lower() == "true"


SHIMS: tuple[Callable[[], None], ...] = (
    mapping_template_context,
    sqs_errors_as_json,
    request_validators,
    reserved_concurrency,
    function_dead_letter_queue,
    retries_with_current_settings,
    failures_keep_their_process,
    fifo_topics,
    auto_delete_objects,
    firehose_failed_records,
    batch_calls_are_authorized,
    task_tokens_are_of_their_state_machine,
)


def apply_all() -> None:
    """Apply every shim but those left out by name. Called once, before the server starts."""
    without = os.environ.get(WITHOUT_VARIABLE, "").split(",")
    for shim in SHIMS:
        if shim.__name__ not in without:
            shim()
