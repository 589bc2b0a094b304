"""The process of a function: what the runtime of Python is on Lambda.

    python worker.py FD

Reads an invocation a line from stdin and answers a line on the file descriptor: ``ready`` first,
then the result of each. What it prints goes to the function's log. Errors look as they do in
"AWS Lambda function errors in Python" (developer guide). Needs only the standard library.
"""

from __future__ import annotations

import http.client
import importlib
import json
import logging
import os
import re
import socket
import sys
import time
import traceback
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

REQUEST = {"id": ""}  # the one that runs


class RuntimeFault(Exception):  # noqa: N818 - Lambda's own name for it
    """The function cannot be run: its type is not the exception's name, but Lambda's."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Identity:
    """``context.identity`` of a call without an Amazon Cognito identity."""

    cognito_identity_id = cognito_identity_pool_id = None


class Context:
    """The second argument of a handler ("AWS Lambda context object in Python")."""

    function_name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
    function_version = os.environ.get("AWS_LAMBDA_FUNCTION_VERSION", "")
    memory_limit_in_mb = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    log_group_name = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME", "")
    log_stream_name = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME", "")
    identity, client_context = Identity(), None

    def __init__(self, call: dict[str, Any]) -> None:
        self.aws_request_id, self.invoked_function_arn = call["id"], call["arn"]
        self._deadline = time.monotonic() + call["seconds"]

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends this call."""
        return max(0, int((self._deadline - time.monotonic()) * 1000))

    def log(self, message: object) -> None:
        """Write a message to the function's log."""
        sys.stdout.write(str(message))


class LogHandler(logging.Handler):
    """What Lambda adds to the root logger."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record with its level, its time and the request."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = f"{stamp}.{int(record.msecs):03d}Z\t{REQUEST['id']}\t{self.format(record)}"
        print(f"[{record.levelname}]\t{line}", flush=True)


def reach_the_engine() -> None:
    """Let a request to SNS by its host name, such as for a certificate, come to the engine.

    Clients of AWS are told where it is; other requests would go to AWS itself.
    """
    engine = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    connect = http.client.HTTPSConnection.connect

    def connect_here(self: http.client.HTTPSConnection) -> None:
        if not re.fullmatch(r"sns\.[a-z0-9-]+\.amazonaws\.com", self.host):
            connect(self)
            return
        self.sock = socket.create_connection((engine.hostname, engine.port), self.timeout)

    http.client.HTTPSConnection.connect = connect_here  # type: ignore[assignment,method-assign]


def load(name: str) -> Callable[[Any, Context], Any]:
    """Import the handler that a setting such as ``folder.module.function`` names."""
    module_name, _, function = name.replace("/", ".").rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        why = f"Unable to import module '{module_name}': {error}"
        raise RuntimeFault("Runtime.ImportModuleError", why) from error
    except SyntaxError as error:
        why = f"Syntax error in module '{module_name}': {error}"
        raise RuntimeFault("Runtime.UserCodeSyntaxError", why) from error
    handler: Callable[[Any, Context], Any] | None = getattr(module, function, None)
    if handler is None:
        why = f"Handler '{function}' missing on module '{module_name}'"
        raise RuntimeFault("Runtime.HandlerNotFound", why)
    return handler


def answer_of(handler: Callable[[Any, Context], Any], call: dict[str, Any]) -> str:
    """Call the handler and return its answer as JSON."""
    answer = handler(json.loads(call["payload"] or "{}"), Context(call))
    try:
        return json.dumps(answer)
    except (TypeError, ValueError) as error:
        why = f"Unable to marshal response: {error}"
        raise RuntimeFault("Runtime.MarshalError", why) from error


def described(error: BaseException, request: str) -> dict[str, Any]:
    """An error as Lambda answers it; it is logged, too."""
    fault = isinstance(error, RuntimeFault)
    kind = error.kind if isinstance(error, RuntimeFault) else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename != __file__ and "importlib" not in frame[0]]
    trace = [] if fault else traceback.format_list(own)
    said = ["Traceback (most recent call last):", *map(str.rstrip, trace)] if trace else []
    print(f"[ERROR] {kind}: {error}", *said, sep="\n", flush=True)
    return {
        "errorMessage": str(error),
        "errorType": kind,
        "requestId": request,
        "stackTrace": trace,
    }


def serve(calls: IO[str], answers: IO[str]) -> None:
    """Load the handler once, then answer each call."""
    broken: Exception | None = None
    handler = None
    try:
        handler = load(os.environ["_HANDLER"])
    except Exception as error:
        broken = error
    print("ready", file=answers, flush=True)
    for line in calls:
        call = json.loads(line)
        REQUEST["id"], os.environ["_X_AMZN_TRACE_ID"] = call["id"], call["trace"]
        try:
            if broken or not handler:
                raise broken or AssertionError
            result = {"answer": answer_of(handler, call)}
        except Exception as error:
            result = {"error": json.dumps(described(error, call["id"]))}
        sys.stdout.flush()
        sys.stderr.flush()
        print(json.dumps(result), file=answers, flush=True)


def main() -> None:
    """Take what a handler must not read, and serve."""
    calls, answers = os.fdopen(os.dup(0)), os.fdopen(int(sys.argv[1]), "w")
    with open(os.devnull) as nothing:  # noqa: PTH123 - as few imports as possible
        os.dup2(nothing.fileno(), 0)
    logging.getLogger().addHandler(LogHandler())
    reach_the_engine()
    serve(calls, answers)


if __name__ == "__main__":
    main()
