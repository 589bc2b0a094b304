"""Lambda: reserved concurrency and dead-letter queues in templates, and functions that fail."""

from __future__ import annotations

from collections import defaultdict
from contextvars import ContextVar
from queue import Empty
from threading import BoundedSemaphore
from typing import Any

from ._forward import afterwards, around, ministack, succeeded

GAPS = {
    "lambda-asynchronous-burst": "Each asynchronous invocation has a process of its own at once, "
    "however many there are.",
    "lambda-dead-letter-queue": "A function's dead-letter queue in a template is ignored.",
    "lambda-dead-letters-beside-destination": "A function with a failure destination sends nothing "
    "to its dead-letter queue.",
    "lambda-event-age": "No event grows too old: its age is checked before a retry only.",
    "lambda-failed-process": "A Python function that raises loses its process, and what its module "
    "keeps between calls; the next call waits for a new process.",
    "lambda-load-errors": "A function's log does not say why its module could not be loaded.",
    "lambda-log-ends": "What a Python function says just before its answer may be missing in its "
    "log, as is a last line without its end.",
    "lambda-on-success": "Records of successful asynchronous invocations are not sent.",
    "lambda-payload-checks": "An invocation takes any payload: not JSON, or larger than 1 MB.",
    "lambda-reserved-concurrency": "A function's reserved concurrency in a template is ignored.",
    "lambda-stream-batches": "Of a stream's mapping bisecting, windows, parallel batches and "
    "consumers with enhanced fan-out are ignored.",
    "lambda-stream-limits": "Of a stream's mapping retries, age, bisecting and failure destination "
    "are ignored: a failing batch is retried without end.",
    "lambda-retry-settings": "A retry of an asynchronous invocation runs with the settings of its "
    "first attempt.",
}
SERVICE = "services.lambda_svc"
AT_ONCE = 4


def asynchronous_burst() -> None:
    """Forward asynchronous invocations to a function some at a time, as Lambda's own queue does."""
    functions, waits = ministack(SERVICE), ContextVar("waits", default=False)
    slots: dict[str, BoundedSemaphore] = defaultdict(lambda: BoundedSemaphore(AT_ONCE))

    @around(functions, "invoke_async_with_retry")
    def invoke(original: Any, *args: Any) -> None:
        token = waits.set(True)  # the thread that runs them takes it over
        try:
            original(*args)
        finally:
            waits.reset(token)

    @around(functions, "_execute_function")
    def execute(original: Any, function: dict[str, Any], event: Any) -> Any:
        if not waits.get():
            return original(function, event)
        with slots[(function.get("config") or function)["FunctionName"]]:
            token = waits.set(False)
            try:
                return original(function, event)
            finally:
                waits.reset(token)


def dead_letter_queue() -> None:
    """Forward a function's dead-letter queue to Lambda's own control plane, which uses it."""
    functions = ministack(SERVICE)

    @afterwards("AWS::Lambda::Function")
    def configure(name: str, properties: dict[str, Any], old: dict[str, Any]) -> None:
        settings = properties.get("DeadLetterConfig")
        if settings != old.get("DeadLetterConfig"):
            answer = functions._update_config(name, {"DeadLetterConfig": settings or {}})
            succeeded("AWS::Lambda::Function DeadLetterConfig", answer)


def failed_process() -> None:
    """Forward an exception as an answer, which ends no process, and out of it as the failure.

    Lambda's environment outlives a function that raises.
    """
    runtime = ministack("core.lambda_runtime")
    failure = '{"status": "error", "error": str(e), "trace": traceback.format_exc()}'
    answer = f'{{"status": "ok", "raised": {failure}}}'
    runtime._PYTHON_WORKER_SCRIPT = runtime._PYTHON_WORKER_SCRIPT.replace(failure, answer)

    @around(runtime.Worker, "invoke")
    def invoke(original: Any, worker: Any, *args: Any, **named: Any) -> Any:
        result = original(worker, *args, **named)
        return {**result, **result.pop("raised", {})}


def load_errors() -> None:
    """Forward to a function's log why its module could not be loaded, which only the caller gets.

    On AWS the log has it: https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html.
    """
    causes: dict[str, str] = {}  # by the function's revision

    @around(ministack(SERVICE), "_execute_function_warm")
    def execute(original: Any, function: dict[str, Any], *args: Any) -> Any:
        revision = (function.get("config") or function)["RevisionId"]
        result = original(function, *args)
        body = result["body"]
        if not result.get("error"):
            causes.pop(revision, None)
        elif not result["log"] and "errorType" in body:
            said = f"[ERROR] {body['errorType']}: {body['errorMessage']}"
            # One that cannot be loaded ends all that start meanwhile and removes their code: these
            # say that they ended, or that their module is not there.
            if "init failed" in said:
                causes.setdefault(revision, said)
            result["log"] = causes.get(revision, said)
        return result


def log_ends() -> None:
    """Forward all that a Python function says until it answers to its log.

    Upstream takes what is read within some milliseconds of the answer. Here the function's process
    says where the invocation ends, so there is nothing to wait for when it is silent either.
    """
    runtime, end = ministack("core.lambda_runtime"), "\0"
    answered = "        _real_stdout.flush()\n\nrun()"
    say_end = f"        print({end!r}, file=sys.__stderr__, flush=True)\n"
    before, after = runtime._PYTHON_WORKER_SCRIPT.split(answered)  # or it would be waited for
    runtime._PYTHON_WORKER_SCRIPT = before + say_end + answered + after

    @around(runtime.Worker, "_drain_stderr_bounded")
    def drain(original: Any, worker: Any) -> str:
        if not worker.config.get("Runtime", "python").startswith("python"):
            return str(original(worker))
        lines: list[str] = []
        while not lines or not lines[-1].endswith(end):
            try:
                lines.append(worker._stderr_queue.get(timeout=0.05))
            except Empty:
                if worker._proc is None or worker._proc.poll() is not None:
                    break  # it has ended, and says no more
        return "\n".join(lines).removesuffix(end).removesuffix("\n")


def reserved_concurrency() -> None:
    """Forward reserved concurrency to Lambda's own control plane, which enforces it."""
    functions = ministack(SERVICE)

    @afterwards("AWS::Lambda::Function")
    def reserve(name: str, properties: dict[str, Any], _old: dict[str, Any]) -> None:
        setting = "ReservedConcurrentExecutions"
        if (reserved := properties.get(setting)) is None:
            functions._delete_function_concurrency(name)
        else:
            functions._put_function_concurrency(name, {setting: int(reserved)})


def retry_settings() -> None:
    """Forward to a retry the function as Lambda's control plane has it at that time.

    A retry with the old settings would even leave a worker behind that serves new invocations.
    """
    functions = ministack(SERVICE)

    @around(functions, "_execute_function")
    def execute(original: Any, function: dict[str, Any], event: Any) -> Any:
        config = function.get("config") or function
        current = functions._functions.get(config.get("FunctionName"))
        if current and config.get("Version") == "$LATEST":
            arn = {"FunctionArn": config["FunctionArn"]}  # may name the alias that was invoked
            function = {**current, "config": {**current["config"], **arn}}
        return original(function, event)


SHIMS = {
    "lambda-asynchronous-burst": asynchronous_burst,
    "lambda-dead-letter-queue": dead_letter_queue,
    "lambda-failed-process": failed_process,
    "lambda-load-errors": load_errors,
    "lambda-log-ends": log_ends,
    "lambda-reserved-concurrency": reserved_concurrency,
    "lambda-retry-settings": retry_settings,
}
