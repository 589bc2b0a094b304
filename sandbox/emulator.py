"""The embedded AWS: MiniStack on a free port of 127.0.0.1, for as long as the block runs."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import urllib3

from . import cdk, console, process, runtime, shims
from .errors import SandboxError, last_lines
from .target import Target, made_up_session

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

HEALTH_SECONDS = 30.0
ATTEMPTS = 5
KEPT_LOGS = 20
CERTIFICATE = "certificate.pem"  # launch.py leaves it in the folder of the run
LAUNCH = Path(__file__).with_name("launch.py")


class _PortTakenError(Exception):
    """Another program took the port between our choice and the server's start."""


@contextmanager
def embedded(
    *,
    log_dir: str | Path | None = None,
    environment: Mapping[str, str] | None = None,
    account: str = "000000000000",
    cwd: str | Path | None = None,
    health_seconds: float = HEALTH_SECONDS,
) -> Iterator[Target]:
    """Start the embedded AWS; it ends with the block, on an exception, on Ctrl-C and with us.

    Args:
        log_dir: Folder in which this run gets a folder for its logs. Default: .build/logs.
        environment: Settings of it, such as LAMBDA_ASYNC_RETRY_BASE_SECONDS. Default: none.
        account: Its account, 12 digits, for stacks that name one.
        cwd: Folder from which the CDK CLI is looked for. Default: the current one.
        health_seconds: How long it may take to answer; then SandboxError. Default: 30.
    """
    found = runtime.find(Path(cwd or Path.cwd()))
    logs = new_log_folder(log_dir)
    # Resolved: macOS's temporary folder is behind a link.
    folder = Path(tempfile.mkdtemp(prefix="embedded-aws-")).resolve()
    server, keys = None, process.Keys.of_a_run()
    try:
        with console.step("Starting the embedded AWS"):
            own = {**keys.variables(), "MINISTACK_ACCOUNT_ID": account}
            settings = {**own, **(environment or {})}
            server, url = _start(found, folder, logs, settings, health_seconds)
        certificate = folder / CERTIFICATE
        with emulator_target(
            "embedded", url, found, folder, logs, shims.EMBEDDED, certificate, keys
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
) -> AbstractContextManager[Target]:
    """A target that is an emulator at a URL: made-up credentials, nothing of the caller's."""
    aws = process.made_up_aws(url, keys)
    trust = process.trust(certificate) if certificate else {}
    caller = process.without_aws(os.environ)
    environment = {**process.isolated(folder, path=found.path), **aws, **trust}
    cli = cdk.Cli(found, folder, logs, environment, {**caller, "PATH": found.path, **aws})
    session = made_up_session(keys)
    return closing(
        Target(name, session, cli, endpoint_url=url, certificate=certificate, gaps=missing)
    )


def new_log_folder(log_dir: str | Path | None) -> Path:
    """Make a folder for one run's logs, and remove all but the newest ones."""
    parent = Path(log_dir or Path(".build", "logs")).resolve()
    parent.mkdir(parents=True, exist_ok=True)
    for old in sorted(parent.glob("run-*"))[: -KEPT_LOGS + 1]:
        shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=time.strftime("run-%Y%m%d-%H%M%S-"), dir=parent))


def _start(
    found: runtime.Runtime, folder: Path, logs: Path, settings: Mapping[str, str], seconds: float
) -> tuple[subprocess.Popen[str], str]:
    """Start the server; again on another port if one is taken meanwhile."""
    log, certificate = logs / "embedded-aws.log", folder / CERTIFICATE
    for _ in range(ATTEMPTS):
        port, mark = free_port(), secrets.token_hex(8)
        environment = {
            **process.isolated(folder, path=found.path),
            "PYTHONUNBUFFERED": "1",
            "GATEWAY_PORT": str(port),
            "BIND_HOST": "127.0.0.1",
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "MINISTACK_EDITION": mark,
            "AUTH": "true",  # policies hold, as they do on AWS
            "USE_SSL": "1",  # or the policies that refuse plain HTTP would refuse us
            "MINISTACK_SSL_CERT": str(certificate),
            "MINISTACK_SSL_KEY": str(folder / "key.pem"),
            **process.trust(certificate),
            **settings,
        }
        with log.open("w") as output:
            command = [str(found.python), "-P", str(LAUNCH)]
            server = process.start(command, environment, folder, output.fileno(), remove=folder)
        url = f"https://127.0.0.1:{port}"
        try:
            _wait_until_healthy(server, url, mark, log, certificate, seconds)
        except _PortTakenError:
            process.stop(server)
            folder.mkdir(exist_ok=True)
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
    server: subprocess.Popen[str], url: str, mark: str, log: Path, certificate: Path, seconds: float
) -> None:
    """Wait until our own server answers: the mark tells it from another one on the same port."""
    deadline = time.monotonic() + seconds
    with urllib3.PoolManager(retries=False, timeout=1.0, ca_certs=str(certificate)) as http:
        while time.monotonic() < deadline:
            if server.poll() is not None:
                if "already in use" in log.read_text(errors="replace"):
                    raise _PortTakenError
                raise SandboxError(f"The embedded AWS ended while starting.\n{last_lines(log)}")
            try:
                answer = http.request("GET", f"{url}/_ministack/health")
                if json.loads(answer.data).get("edition") == mark:
                    return
            except (urllib3.exceptions.HTTPError, ValueError, AttributeError):
                pass
            time.sleep(0.02)
    raise SandboxError(f"The embedded AWS did not answer within {seconds:g} s.\n{last_lines(log)}")
