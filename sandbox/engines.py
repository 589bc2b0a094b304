"""The engines of the embedded AWS, by name: what each needs to run, and what it does not execute.

``ministack`` is quick and small, and enforces policies. ``localstack`` executes other things: real
Velocity, redrive tasks, metrics of queues, named errors of functions.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from . import localstack, process, shims, unsupported
from .errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .assembly import Stack
    from .runtime import Runtime

HERE = Path(__file__).parent
CERTIFICATE = "certificate.pem"  # an engine with TLS leaves it in the folder of the run
# Name -> sentence, of all engines. An emulator that runs already is assumed to have all of them.
GAPS = {**localstack.GAPS, **shims.GAPS}


@dataclass(frozen=True)
class Run:
    """One run of an engine: its folder, account, certificate (if it has TLS) and keys."""

    folder: Path
    account: str
    certificate: Path | None
    keys: process.Keys


@dataclass(frozen=True)
class Engine:
    """A program that is the embedded AWS.

    Attributes:
        name: Name by which ``embedded`` chooses it.
        venv: Folder of its virtual environment.
        launch: Starts it, on its own Python.
        gaps: What it does not execute: name -> sentence.
        check: Tells what of some stacks it does not execute, a line each.
        settings: Its environment for a run, its URL and the mark that its health page shows.
        keys: Makes the root user's keys of an account.
        health: Path of its health page.
        tls: Whether it serves HTTPS.
    """

    name: str
    venv: str
    launch: Path
    gaps: Mapping[str, str]
    check: Callable[[Iterable[Stack]], list[str]]
    settings: Callable[[Run, str, str], dict[str, str]]
    keys: Callable[[str], process.Keys]
    health: str
    tls: bool


def find(name: str) -> Engine:
    """The engine of this name. Raises SandboxError that lists those there are."""
    if name not in ENGINES:
        known = ", ".join(ENGINES)
        raise SandboxError(f"There is no engine {name!r}. There are: {known}.")
    return ENGINES[name]


def python_of(engine: Engine, found: Runtime) -> Path:
    """The Python of an engine. Raises SandboxError if its environment is not there."""
    python = found.python.parent.parent.with_name(engine.venv) / "bin" / "python"
    if not python.exists():
        raise SandboxError(
            f"The engine {engine.name} is not installed: no {python}. "
            f"Run `python3 tools/setup.py --{engine.name}`; it needs Python 3.13."
        )
    return python


def _ministack(run: Run, url: str, mark: str) -> dict[str, str]:
    assert run.certificate  # noqa: S101
    return {
        "GATEWAY_PORT": str(urlsplit(url).port),
        "BIND_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "MINISTACK_EDITION": mark,
        "MINISTACK_ACCOUNT_ID": run.account,
        "AUTH": "true",  # policies hold, as they do on AWS
        "USE_SSL": "1",  # or the policies that refuse plain HTTP would refuse us
        "MINISTACK_SSL_CERT": str(run.certificate),
        "MINISTACK_SSL_KEY": str(run.folder / "key.pem"),
        **process.trust(run.certificate),
    }


def _localstack(run: Run, url: str, mark: str) -> dict[str, str]:
    address, volume = urlsplit(url).netloc, str(run.folder / "volume")
    own = {"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"}  # it makes clients of others, too
    caller = process.made_up_aws(url, run.keys)
    return {
        **{name: value for name, value in caller.items() if name not in own},
        "GATEWAY_LISTEN": address,
        "LOCALSTACK_HOST": address,
        "LOCALSTACK_VOLUME_DIR": volume,
        "FILESYSTEM_ROOT": volume,
        "SANDBOX_URL": url,
        "SANDBOX_MARK": mark,
        "DISABLE_EVENTS": "1",  # no telemetry
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "DNS_ADDRESS": "0",  # no DNS server
        "LS_LOG": "warning",
        "IN_MEMORY_CLIENT": "1",
        "EAGER_SERVICE_LOADING": "0",
        "CFN_IGNORE_UNSUPPORTED_RESOURCE_TYPES": "0",  # a type that it does not know is an error
        "SQS_ENDPOINT_STRATEGY": "path",  # the others need its DNS server
        "LAMBDA_IGNORE_ARCHITECTURE": "1",
        "LAMBDA_RUNTIME_ENVIRONMENT_TIMEOUT": "60",
        "LAMBDA_RETRY_BASE_DELAY": "1",
        "LAMBDA_EVENT_SOURCE_MAPPING_POLL_INTERVAL_SEC": "0.05",
        "LAMBDA_EVENT_SOURCE_MAPPING_MAX_BACKOFF_ON_EMPTY_POLL_SEC": "1",
        "LAMBDA_EVENT_SOURCE_MAPPING_MAX_BACKOFF_ON_ERROR_SEC": "1",
    }


def _keys_of(account: str) -> process.Keys:
    """Keys that nobody else knows; LocalStack reads the account from the access key."""
    number = int(account)
    part = base64.b32encode((number // 2 + 2**39).to_bytes(5, "big")).decode()
    odd, alphabet = number % 2, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    first = alphabet[16 * odd + secrets.randbelow(16)]
    rest = "".join(secrets.choice(alphabet) for _ in range(7))
    return process.Keys(f"LKIA{part}{first}{rest}", secrets.token_hex(20))


ENGINES = {
    engine.name: engine
    for engine in (
        Engine(
            "ministack",
            venv=".venv-sandbox",
            launch=HERE / "launch.py",
            gaps=shims.EMBEDDED,
            check=unsupported.check,
            settings=_ministack,
            keys=lambda _: process.Keys.of_a_run(),
            health="/_ministack/health",
            tls=True,
        ),
        Engine(
            "localstack",
            venv=".venv-localstack",
            launch=HERE / "localstack" / "launch.py",
            gaps=localstack.GAPS,
            check=partial(unsupported.check, rows=unsupported.OF_LOCALSTACK),
            settings=_localstack,
            keys=_keys_of,
            health="/_sandbox/health",
            tls=False,
        ),
    )
}
