"""Start commands that end with this process, and build the environment they run in."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GUARD = Path(__file__).with_name("guard.py")
GRACE_SECONDS = 3.0  # between SIGTERM and SIGKILL
# All that a process of ours gets of the caller's environment: neither a credential, nor a profile,
# nor a proxy that would see the calls to 127.0.0.1.
ALLOWED = (
    "LANG", "LC_ALL", "LC_CTYPE", "NODE_EXTRA_CA_CERTS", "SSL_CERT_DIR", "SSL_CERT_FILE", "TERM",
    "TZ",
)  # fmt: skip
REGION = "us-east-1"


@dataclass(frozen=True)
class Keys:
    """Made-up credentials, which are those of the root user of an emulator."""

    access_key: str = "test"
    secret_key: str = "test"  # noqa: S105

    @classmethod
    def of_a_run(cls) -> Keys:
        """Keys that nobody else knows."""
        return cls(f"AKIA{secrets.token_hex(8).upper()}", secrets.token_hex(20))

    def variables(self) -> dict[str, str]:
        """The variables in which an SDK looks for them."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
        }


def made_up_aws(endpoint_url: str, keys: Keys) -> dict[str, str]:
    """The AWS variables with which an SDK or the CDK CLI reaches the endpoint and nothing else."""
    return {
        **keys.variables(),
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_ENDPOINT_URL_S3": endpoint_url,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        "CDK_DISABLE_VERSION_CHECK": "true",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


def trust(certificate: Path) -> dict[str, str]:
    """The variables with which an SDK, of Python or of Node, trusts this certificate."""
    return {"AWS_CA_BUNDLE": str(certificate), "NODE_EXTRA_CA_CERTS": str(certificate)}


def isolated(folder: Path, *, path: str) -> dict[str, str]:
    """An environment from the allow-list, with a home and a temporary folder of its own."""
    home, temporary = folder / "home", folder / "tmp"
    home.mkdir(exist_ok=True)
    temporary.mkdir(exist_ok=True)
    allowed = {name: os.environ[name] for name in ALLOWED if name in os.environ}
    return {**allowed, "PATH": path, "HOME": str(home), "TMPDIR": str(temporary)}


def without_aws(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without its AWS variables, for the user's own app: it keeps its home."""
    return {name: value for name, value in environment.items() if not name.startswith("AWS_")}


def start(
    command: Sequence[str],
    environment: Mapping[str, str],
    cwd: Path,
    output: int,
    *,
    remove: Path | None = None,
) -> subprocess.Popen[str]:
    """Start a command in a process group of its own that ends when ``stop`` is called or we die.

    It gets this ``environment`` and nothing else. ``output`` is where stdout and stderr go: a file
    descriptor or ``subprocess.PIPE``. The folder ``remove``, if any, is removed at its end.
    """
    guard = [sys.executable, "-I", "-S", str(GUARD), str(GRACE_SECONDS), str(remove or "")]
    return subprocess.Popen(
        [*guard, *command],
        env=environment,
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # a Ctrl-C in the terminal is ours to handle
        text=True,
        errors="replace",
    )


def stop(process: subprocess.Popen[str]) -> None:
    """End the command and all it started. Returns when they are gone."""
    assert process.stdin  # noqa: S101
    process.stdin.close()
    try:
        process.wait(GRACE_SECONDS + 10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
