"""Runs functions as processes of this machine, where LocalStack would start a container for each.

LocalStack keeps the life of an environment (one call at a time, warm between calls, ended when it
is not used); this is its ``RuntimeExecutor``. Only Python functions run, on LocalStack's Python,
whatever version they name. A layer's files are on the import path, not in /opt.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from . import worker

WORKER = Path(worker.__file__)
INIT_SECONDS = 60.0
# What a function gets of the embedded AWS's environment, beside what Lambda gives it.
INHERITED = (
    "HOME", "LANG", "LC_ALL", "NO_PROXY", "PATH", "TMPDIR", "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE", "AWS_EC2_METADATA_DISABLED", "no_proxy",
)  # fmt: skip
MEGABYTE = 2**20
AUTO_DELETE = "CustomS3AutoDelete"  # in the name of CDK's function that empties buckets


class TimedOutError(Exception):
    """The process did not answer in time."""


class Processes:
    """One environment of a function: a process, its log, and one call at a time."""

    def __init__(self, id: str, function_version: Any) -> None:  # noqa: A002 - LocalStack's name
        self.id, self.function_version = id, function_version
        self._environment: dict[str, str] = {}
        self._process: subprocess.Popen[str] | None = None
        self._answers: IO[bytes] | None = None
        self._log = Path(tempfile.mkstemp(prefix=f"log-{id}-")[1])
        self._read = 0
        self._calling = threading.Lock()

    def start(self, env_vars: dict[str, Any]) -> None:
        """Start the process and wait until it has loaded the function."""
        self._environment = {name: str(value) for name, value in env_vars.items()}
        self._launch()

    def stop(self) -> None:
        """End the process after the call that it answers, as Lambda does."""
        with self._calling:
            self._kill()
        self._log.unlink(missing_ok=True)

    def invoke(self, payload: dict[str, str]) -> Any:
        """Have the process answer a call. A process that ended or hung is replaced at the next."""
        with self._calling:
            return self._invoke(payload["invoke-id"], payload)

    def get_address(self) -> str:
        """Where the process is."""
        return "127.0.0.1"

    def get_endpoint_from_executor(self) -> str:
        """Where the process finds the embedded AWS."""
        return "127.0.0.1"

    def get_runtime_endpoint(self) -> str:
        """Where a container would report to; a process does not."""
        return os.environ["SANDBOX_URL"]

    def get_logs(self) -> str:
        """What the process has printed since the last call."""
        return self._new_lines()

    @classmethod
    def prepare_version(cls, function_version: Any) -> None:
        """Unpack a function and its layers. Raises ValueError if it cannot run."""
        config = function_version.config
        if AUTO_DELETE in function_version.id.function_name:
            return  # nothing calls it: see changes.empty_buckets
        if not str(config.runtime).startswith("python"):
            raise ValueError(f"{config.runtime} functions do not run here, only Python's.")
        config.code.prepare_for_execution()
        for layer in config.layers:
            layer.code.prepare_for_execution()

    @classmethod
    def cleanup_version(cls, function_version: Any) -> None:
        """Nothing is kept but what LocalStack removes itself."""

    @classmethod
    def validate_environment(cls) -> bool:
        """Processes can always be started."""
        return True

    def _launch(self) -> None:
        config = self.function_version.config
        code = config.code.get_unzipped_code_location()
        layers = [layer.code.get_unzipped_code_location() for layer in config.layers]
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        # Of two layers with the same file the later one counts.
        folders = [
            folder
            for layer in reversed(layers)
            for folder in (layer / "python" / "lib" / version / "site-packages", layer / "python")
        ]
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        own = {
            "AWS_ENDPOINT_URL": os.environ["SANDBOX_URL"],
            "LAMBDA_TASK_ROOT": str(code),
            "PYTHONPATH": os.pathsep.join(map(str, [code, *folders])),
            "TZ": "UTC",
        }
        answers, write = os.pipe()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(WORKER), str(write)],
                cwd=code,
                env=inherited | self._environment | own,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=[write],
                text=True,
            )
        os.close(write)
        self._answers = os.fdopen(answers, "rb", buffering=0)
        with contextlib.suppress(EOFError, TimedOutError):  # the first call tells it
            self._next_line(INIT_SECONDS)

    def _kill(self) -> int:
        """End the process. Returns its exit code, negative if a signal ended it."""
        if not self._process or not self._answers:
            return 0
        self._process.kill()
        code = self._process.wait()
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()
        self._answers.close()
        self._process = self._answers = None
        return code

    def _invoke(self, request: str, payload: dict[str, str]) -> Any:
        config = self.function_version.config
        started_cold = not self._process
        if started_cold:
            self._launch()
        call = {
            "id": request,
            "arn": payload["invoked-function-arn"],
            "payload": payload["payload"],
            "seconds": config.timeout,
            "trace": payload["trace-id"],
        }
        started = time.monotonic()
        try:
            result = self._call(call, config.timeout)
        except TimedOutError:
            self._kill()
            why = f"Task timed out after {config.timeout:.2f} seconds"
            result = _failed(request, "Sandbox.Timedout", why)
        except (EOFError, BrokenPipeError):
            result = _failed(request, "Runtime.ExitError", _exit(self._ended()))
        milliseconds = (time.monotonic() - started) * 1000
        logs = self._framed(request, milliseconds, result)
        result_type = import_module("localstack.services.lambda_.invocation.lambda_models")
        body = result.get("answer") or result["error"]
        is_error = "error" in result
        return result_type.InvocationResult(request, body.encode(), is_error, logs)

    def _call(self, call: dict[str, Any], seconds: float) -> dict[str, str]:
        assert self._process  # noqa: S101
        assert self._process.stdin  # noqa: S101
        self._process.stdin.write(json.dumps(call) + "\n")
        self._process.stdin.flush()
        result: dict[str, str] = json.loads(self._next_line(seconds))
        return result

    def _next_line(self, seconds: float) -> bytes:
        """The next line of the process. Raises TimedOutError, or EOFError if it ended."""
        assert self._answers  # noqa: S101
        line, deadline = b"", time.monotonic() + seconds
        poll = select.poll()  # select() has a limit of file descriptors
        poll.register(self._answers, select.POLLIN)
        while not line.endswith(b"\n"):
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise TimedOutError
            part = self._answers.read(MEGABYTE)
            if not part:
                raise EOFError
            line += part
        return line

    def _ended(self) -> int:
        """The exit code of a process that has closed its pipe."""
        assert self._process  # noqa: S101
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        return self._kill()

    def _framed(self, request: str, milliseconds: float, result: dict[str, str]) -> str:
        """The log of a call with the lines that Lambda adds."""
        config, version = self.function_version.config, self.function_version.id.qualifier
        said = self._new_lines()
        said += "" if said.endswith("\n") or not said else "\n"
        return (
            f"START RequestId: {request} Version: {version}\n{said}{result.get('log', '')}"
            f"END RequestId: {request}\n"
            f"REPORT RequestId: {request}\tDuration: {milliseconds:.2f} ms\t"
            f"Billed Duration: {int(milliseconds) + 1} ms\tMemory Size: {config.memory_size} MB\n"
        )

    def _new_lines(self) -> str:
        """What the process has printed since this was asked last."""
        with contextlib.suppress(FileNotFoundError), self._log.open("rb") as log:
            log.seek(self._read)
            text = log.read()
            self._read += len(text)
            return text.decode(errors="replace")
        return ""


def _failed(request: str, kind: str, why: str) -> dict[str, str]:
    """How Lambda answers and logs a call that its process did not answer."""
    message = f"RequestId: {request} Error: {why}"
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    log = f"{stamp} {request} {why}\n" if "timed out" in why else f"{message}\n{kind}\n"
    return {"error": json.dumps({"errorType": kind, "errorMessage": message}), "log": log}


def _exit(code: int) -> str:
    how = f"signal: {-code}" if code < 0 else f"exit status {code}"
    return f"Runtime exited with error: {how.replace('signal: 9', 'signal: killed')}"
