"""The embedded AWS: an engine on a free port of 127.0.0.1, for as long as the block runs."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import tempfile
import time
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import urllib3

from . import cdk, console, engines, process, runtime
from .errors import SandboxError, last_lines
from .target import Target, made_up_session

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from .assembly import Stack

HEALTH_SECONDS = 30.0
ATTEMPTS = 5
KEPT_LOGS = 20


class _PortTakenError(Exception):
    """Another program took the port between our choice and the server's start."""


@contextmanager
def embedded(
    *,
    engine: str = "ministack",
    log_dir: str | Path | None = None,
    environment: Mapping[str, str] | None = None,
    account: str = "000000000000",
    cwd: str | Path | None = None,
    health_seconds: float = HEALTH_SECONDS,
) -> Iterator[Target]:
    """Start the embedded AWS; it ends with the block, on an exception, on Ctrl-C and with us.

    Args:
        engine: What executes: ``ministack``, or ``localstack``, which executes other things and
            has an environment of its own (``sandbox.engines``). Default: ministack.
        log_dir: Folder in which this run gets a folder for its logs. Default: .build/logs.
        environment: Settings of it, such as LAMBDA_ASYNC_RETRY_BASE_SECONDS. Default: none.
        account: Its account, 12 digits, for stacks that name one.
        cwd: Folder from which the CDK CLI is looked for. Default: the current one.
        health_seconds: How long it may take to answer; then SandboxError. Default: 30.
    """
    chosen = engines.find(engine)
    found = runtime.find(Path(cwd or Path.cwd()))
    python = engines.python_of(chosen, found)
    logs = new_log_folder(log_dir)
    # Resolved: macOS's temporary folder is behind a link.
    folder = Path(tempfile.mkdtemp(prefix="embedded-aws-")).resolve()
    server, keys = None, chosen.keys(account)
    certificate = folder / engines.CERTIFICATE if chosen.tls else None
    run = engines.Run(folder, account, certificate, keys)
    try:
        with console.step("Starting the embedded AWS"):
            settings = environment or {}
            start = partial(_start, chosen, python, found.path, run, logs, settings)
            server, url = start(health_seconds)
        with emulator_target(
            "embedded", url, found, folder, logs, chosen.gaps, certificate, keys, chosen.check
        ) as aws:
            yield aws
    finally:
        if server:
            process.stop(server)
        shutil.rmtree(folder, ignore_errors=True)


def emulator_target(
    name: str,
    url: str,
    found: runtime.Runtime,
    folder: Path,
    logs: Path,
    missing: Mapping[str, str],
    certificate: Path | None,
    keys: process.Keys,
    check: Callable[[Iterable[Stack]], list[str]] = lambda _: [],
) -> AbstractContextManager[Target]:
    """A target that is an emulator at a URL: made-up credentials, nothing of the caller's."""
    aws = process.made_up_aws(url, keys)
    trust = process.trust(certificate) if certificate else {}
    caller = process.without_aws(os.environ)
    environment = {**process.isolated(folder, path=found.path), **aws, **trust}
    cli = cdk.Cli(found, folder, logs, environment, {**caller, "PATH": found.path, **aws})
    session = made_up_session(keys)
    return closing(
        Target(
            name,
            session,
            cli,
            endpoint_url=url,
            certificate=certificate,
            gaps=missing,
            check=check,
        )
    )


def new_log_folder(log_dir: str | Path | None) -> Path:
    """Make a folder for one run's logs, and remove all but the newest ones."""
    parent = Path(log_dir or Path(".build", "logs")).resolve()
    parent.mkdir(parents=True, exist_ok=True)
    for old in sorted(parent.glob("run-*"))[: -KEPT_LOGS + 1]:
        shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=time.strftime("run-%Y%m%d-%H%M%S-"), dir=parent))


def _start(
    engine: engines.Engine,
    python: Path,
    path: str,
    run: engines.Run,
    logs: Path,
    settings: Mapping[str, str],
    seconds: float,
) -> tuple[subprocess.Popen[str], str]:
    """Start the server; again on another port if one is taken meanwhile."""
    log = logs / "embedded-aws.log"
    for _ in range(ATTEMPTS):
        port, mark = free_port(), secrets.token_hex(8)
        url = f"{'https' if engine.tls else 'http'}://127.0.0.1:{port}"
        environment = {
            **process.isolated(run.folder, path=path),
            "PYTHONUNBUFFERED": "1",
            **run.keys.variables(),
            **engine.settings(run, url, mark),
            **settings,
        }
        with log.open("w") as output:
            command = [str(python), "-P", str(engine.launch)]
            server = process.start(
                command, environment, run.folder, output.fileno(), remove=run.folder
            )
        try:
            health = f"{url}{engine.health}"
            _wait_until_healthy(server, health, mark, log, run.certificate, seconds)
        except _PortTakenError:
            process.stop(server)
            run.folder.mkdir(exist_ok=True)
        except BaseException:
            process.stop(server)
            raise
        else:
            return server, url
    raise SandboxError(f"No free port in {ATTEMPTS} attempts.\n{last_lines(log)}")


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_healthy(
    server: subprocess.Popen[str],
    url: str,
    mark: str,
    log: Path,
    certificate: Path | None,
    seconds: float,
) -> None:
    """Wait until our own server answers: the mark tells it from another one on the same port."""
    deadline = time.monotonic() + seconds
    trusted = str(certificate) if certificate else None
    with urllib3.PoolManager(retries=False, timeout=1.0, ca_certs=trusted) as http:
        while time.monotonic() < deadline:
            if server.poll() is not None:
                if "already in use" in log.read_text(errors="replace"):
                    raise _PortTakenError
                raise SandboxError(f"The embedded AWS ended while starting.\n{last_lines(log)}")
            try:
                answer = http.request("GET", url)
                if json.loads(answer.data).get("edition") == mark:
                    return
            except (urllib3.exceptions.HTTPError, ValueError, AttributeError):
                pass
            time.sleep(0.02)
    raise SandboxError(f"The embedded AWS did not answer within {seconds:g} s.\n{last_lines(log)}")
