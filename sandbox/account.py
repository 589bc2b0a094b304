"""The targets that run already: an emulator at a URL, and a real account."""

from __future__ import annotations

import ipaddress
import os
import sys
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, WaiterError
from botocore.exceptions import ConnectionError as NoConnectionError

from . import cdk, runtime
from .console import console, plain, step
from .emulator import emulator_target, new_log_folder
from .engines import GAPS
from .errors import SandboxError
from .process import Keys
from .target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .assembly import Stack

# A deletion takes minutes: a table, a stream or a key is quick, a function in a VPC is not.
REMOVAL = {"Delay": 2, "MaxAttempts": 1800}
UNREACHABLE = "Check AWS_ENDPOINT_URL if it is set, the Region, your network and HTTPS_PROXY."


@contextmanager
def endpoint(
    url: str,
    *,
    certificate: str | Path | None = None,
    keys: Keys = Keys(),  # noqa: B008 - it is frozen
    log_dir: str | Path | None = None,
) -> Iterator[Target]:
    """Use an emulator that runs already, with made-up credentials.

    Args:
        url: Its address on this machine, such as http://127.0.0.1:4566; else SandboxError.
        certificate: File with the only certificate to trust there. Default: this machine's.
        keys: Its root user's. Default: ``test`` and ``test``.
        log_dir: Folder in which this run gets a folder for its logs. Default: .build/logs.
    """
    host = urlsplit(url).hostname
    if urlsplit(url).scheme not in ("http", "https") or not host:
        raise SandboxError(f"{url!r} is no address of an emulator, such as http://127.0.0.1:4566.")
    if not _is_this_machine(host):
        raise SandboxError(f"{host} is not this machine. An emulator is expected on 127.0.0.1.")
    logs, found = new_log_folder(log_dir), runtime.find(Path.cwd())
    trusted = Path(certificate).resolve() if certificate else None
    with tempfile.TemporaryDirectory(prefix="endpoint-") as name:
        url, folder = url.rstrip("/"), Path(name).resolve()
        with emulator_target("endpoint", url, found, folder, logs, GAPS, trusted, keys) as target:
            _reach(target, f"No emulator answers at {url}", "Start it, or correct the address.")
            yield target


def _is_this_machine(host: str) -> bool:
    """Whether a host name or address is this machine's own, without asking a name server."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


@contextmanager
def aws(*, assume_yes: bool = False, log_dir: str | Path | None = None) -> Iterator[Target]:
    """Use a real, bootstrapped account, with the caller's credentials.

    A deployment shows first what it will create, and raises SandboxError unless it is confirmed.

    Args:
        assume_yes: Whether to deploy without asking. Default: ask once, on the terminal.
        log_dir: Folder in which this run gets a folder for its logs. Default: .build/logs.
    """
    try:
        # The CDK CLI reads AWS_REGION first; boto3 reads AWS_DEFAULT_REGION only.
        session = boto3.Session(region_name=os.environ.get("AWS_REGION"))
    except BotoCoreError as error:
        raise SandboxError(f"{error}. Check AWS_PROFILE and your AWS configuration.") from error
    if not session.region_name:
        raise SandboxError("No Region: set AWS_REGION, or run `aws configure`.")
    found = runtime.find(Path.cwd())
    logs = new_log_folder(log_dir)
    environment = {
        **os.environ,
        "PATH": found.path,
        "AWS_REGION": session.region_name,
        "AWS_DEFAULT_REGION": session.region_name,
        "CDK_DISABLE_CLI_TELEMETRY": "true",
    }
    with tempfile.TemporaryDirectory(prefix="aws-") as folder:
        cli = cdk.Cli(found, Path(folder), logs, environment, environment)

        def confirm(stacks: Sequence[Stack]) -> None:
            _confirm(target, stacks, assume_yes=assume_yes)

        with closing(Target("aws", session, cli, confirm=confirm)) as target:
            _reach(
                target,
                "AWS does not accept your credentials",
                "Sign in, or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
            )
            yield target


def _reach(target: Target, failed: str, fix: str) -> None:
    """Ask who we are there. Raises SandboxError with the reason if there is no answer."""
    try:
        _ = target.account
    except (BotoCoreError, ClientError) as error:
        why = str(error).rstrip(".")
        if not target.endpoint_url and isinstance(error, (NoConnectionError, HTTPClientError)):
            raise SandboxError(f"AWS does not answer: {why}. {UNREACHABLE}") from error
        raise SandboxError(f"{failed}: {why}. {fix}") from error


def remove(target: Target, stack_name: str, *, assume_yes: bool = False) -> None:
    """Remove a deployed stack and all the data in it, and wait until it is gone.

    Raises SandboxError if it is not there, not confirmed, or cannot be removed.

    Args:
        target: Where it is.
        stack_name: Its name in CloudFormation.
        assume_yes: Whether to remove it without asking. Default: ask once, on the terminal.
    """
    client = target.deployed(stack_name).client("cloudformation")
    pages = client.get_paginator("list_stack_resources").paginate(StackName=stack_name)
    count = sum(len(page["StackResourceSummaries"]) for page in pages)
    console.print(f"Account {target.account}, region {target.region}. This removes:")
    console.print(f"  {plain(stack_name)}: {count} resources, and all the data in them")
    _ask("Remove it?", "Not removed", assume_yes=assume_yes)
    with step(f"Removing {stack_name}"):
        client.delete_stack(StackName=stack_name)
        try:
            waiter = client.get_waiter("stack_delete_complete")
            waiter.wait(StackName=stack_name, WaiterConfig=REMOVAL)
        except WaiterError:
            why = cdk.failures(client, stack_name)
            raise SandboxError("\n".join([f"{stack_name} is not removed:", *why])) from None


def _confirm(target: Target, stacks: Sequence[Stack], *, assume_yes: bool) -> None:
    """Show what a deployment will create and where. Raises SandboxError unless it is wanted."""
    console.print(f"Account {target.account}, region {target.region}. This deploys:")
    for stack in stacks:
        count = len(stack.template.get("Resources", {}))
        console.print(f"  {plain(stack.name)}: {count} resources")
    _ask("Deploy? Real resources cost money.", "Not deployed", assume_yes=assume_yes)


def _ask(question: str, otherwise: str, *, assume_yes: bool) -> None:
    """Ask on the terminal. Raises SandboxError unless the answer is yes."""
    if assume_yes:
        return
    if not sys.stdin.isatty():
        raise SandboxError(f"{otherwise}: nobody is there to confirm it (stdin is no terminal).")
    answer = console.input(f"{question} [y/N] ")
    if answer.strip().lower() not in ("y", "yes"):
        raise SandboxError(f"{otherwise}.")
