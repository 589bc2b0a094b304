"""Run the real CDK CLI: synth, bootstrap and deploy, with progress and readable failures."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from . import console, process
from .errors import SandboxError, last_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .runtime import Runtime

QUIET = ("--no-notices", "--ci", "--no-color")
# A line of --progress events: "small |  3/14 | 7:23:34 AM | CREATE_COMPLETE ..."
_EVENT = re.compile(r"^(?P<stack>\S+) \|\s*(?P<done>\d+)/(?P<total>\d+) \|")


class DeployFailed(SandboxError):  # noqa: N818 - the name reads well where it is caught
    """The CDK CLI failed; the message has the failed events, the last lines and the log's path."""


class Cli:
    """The CDK CLI against one target.

    Assemblies and outputs go to ``folder``, a log file a run to ``log_dir``. ``environment`` is for
    bootstrap and deploy, ``app_environment`` for synth, so for the app.
    """

    def __init__(
        self,
        runtime: Runtime,
        folder: Path,
        log_dir: Path,
        environment: Mapping[str, str],
        app_environment: Mapping[str, str],
    ) -> None:
        self.log_dir = log_dir
        self._runtime, self._folder = runtime, folder
        self._environment, self._app_environment = environment, app_environment
        self._bootstrapped: set[str] = set()
        self._bootstrapping = threading.Lock()
        self._runs = count(1)
        self._running: set[subprocess.Popen[str]] = set()

    def synthesize(
        self,
        app: str | Path | Sequence[str] | None,
        cwd: Path,
        context: Mapping[str, str],
        alongside: Callable[[], None] | None,
        seconds: float,
    ) -> Path:
        """Run ``cdk synth``, unless the app is synthesized, and something else at the same time.

        Returns the folder of the synthesized app. Raises DeployFailed if one of them failed.
        """
        with ThreadPoolExecutor() as pool:
            other = pool.submit(alongside) if alongside else None
            try:
                assembly = self._synthesize(app, cwd, context, seconds)
                if other:
                    other.result()
            except BaseException:
                for run in list(self._running):  # nobody wants to wait for the other one now
                    process.stop(run)
                raise
        return assembly

    def _synthesize(
        self,
        app: str | Path | Sequence[str] | None,
        cwd: Path,
        context: Mapping[str, str],
        seconds: float,
    ) -> Path:
        if not isinstance(app, (str, Path, type(None))):
            # The CLI takes off quotes that begin and end its argument: here they begin later.
            app = f"exec {shlex.join(app)}"
        if app is not None and (ready := cwd / app).joinpath("manifest.json").is_file():
            return ready
        if isinstance(app, Path):
            raise SandboxError(f"{app} is no synthesized app: it has no manifest.json.")
        output = Path(tempfile.mkdtemp(prefix="cdk.out-", dir=self._folder))
        arguments = ["synth", "--quiet", "--output", str(output)]
        arguments += ["--app", app] if app else []
        for name, value in context.items():
            arguments += ["--context", f"{name}={value}"]
        self._run("Synthesizing", arguments, cwd, self._app_environment, seconds)
        return output

    def bootstrap(self, account: str, region: str, seconds: float) -> None:
        """Run ``cdk bootstrap``, once for each account and Region. Raises DeployFailed."""
        where = f"aws://{account}/{region}"
        with self._bootstrapping:
            if where not in self._bootstrapped:
                arguments = ["bootstrap", where]
                self._run("Bootstrapping", arguments, self._folder, self._environment, seconds)
                self._bootstrapped.add(where)

    def deploy(
        self,
        assembly: Path,
        stacks: Sequence[str],
        parameters: Mapping[str, str],
        seconds: float,
        options: Sequence[str] = (),
    ) -> dict[str, dict[str, str]]:
        """Run ``cdk deploy`` on a synthesized app and return the outputs by the stacks' names.

        ``stacks`` are paths of constructs, ``options`` are the CLI's. Raises DeployFailed.
        """
        file = Path(tempfile.mkdtemp(prefix="outputs-", dir=self._folder), "outputs.json")
        arguments = ["deploy", "--app", str(assembly), "--outputs-file", str(file)]
        for name, value in parameters.items():
            arguments += ["--parameters", f"{name}={value}"]
        arguments += ["--require-approval", "never", "--progress", "events", *options, *stacks]
        title = f"Deploying {', '.join(stacks)}"
        self._run(title, arguments, self._folder, self._environment, seconds)
        outputs: dict[str, dict[str, str]] = json.loads(file.read_text()) if file.exists() else {}
        return outputs

    def _run(
        self,
        title: str,
        arguments: Sequence[str],
        cwd: Path,
        environment: Mapping[str, str],
        seconds: float,
    ) -> None:
        """Run the CLI with its output in a log file. Raises DeployFailed with its last lines."""
        # Options for the caller's Node may break ours.
        environment = {name: environment[name] for name in environment if name != "NODE_OPTIONS"}
        log = self.log_dir / f"cdk-{next(self._runs)}-{arguments[0]}.log"
        command = [*self._runtime.cdk, *arguments, *QUIET]
        started = time.monotonic()
        with console.step(title) as show, log.open("w") as file:
            run = process.start(command, environment, cwd, subprocess.PIPE)
            self._running.add(run)
            limit = threading.Timer(seconds, process.stop, [run])
            limit.daemon = True
            limit.start()
            try:
                assert run.stdout  # noqa: S101
                for line in run.stdout:
                    file.write(line)
                    if event := _EVENT.match(line):
                        done = f"{event['done']} of {event['total']} resources"
                        show(state=f"{event['stack']}: {done}")
                code = run.wait()
            finally:
                limit.cancel()
                self._running.discard(run)
                process.stop(run)
        if code:
            late = time.monotonic() - started > seconds
            why = f"took longer than {seconds:g} s" if late else f"exit {code}"
            raise DeployFailed(f"{title} failed ({why}):\n{last_lines(log)}")


def failures(cloudformation: Any, stack: str) -> list[str]:
    """What failed in a stack, a line each, the first cause first; then what did not end."""
    try:
        pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack)
        events = [event for page in pages for event in page["StackEvents"]][::-1]
    except (ClientError, BotoCoreError):
        return []
    newest = {event["LogicalResourceId"]: event for event in events}
    failed = [
        event
        for event in events
        if event["ResourceStatus"].endswith("FAILED")
        and "cancelled" not in event.get("ResourceStatusReason", "").lower()
    ]
    running = [
        event
        for event in newest.values()
        if event["ResourceStatus"].endswith("IN_PROGRESS")
        and event["ResourceType"] != "AWS::CloudFormation::Stack"
    ]
    return [
        f"  {stack} | {event['LogicalResourceId']} | {event['ResourceType']} | "
        f"{event['ResourceStatus']} | {event.get('ResourceStatusReason', 'no reason given')}"
        for event in [*failed, *running]
    ]
