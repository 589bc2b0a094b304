"""A place to deploy to, and what was deployed there."""

from __future__ import annotations

import os
import threading
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ClientError

from . import assembly, cdk, process
from .console import console, plain
from .engines import GAPS
from .errors import SandboxError
from .health import Outages
from .logs import lines_since, newest_lines
from .signed_http import CONNECTIONS, SignedHttp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

INSTALLS_SDK = "@aws-cdk/customresources:installLatestAwsSdkDefault"
EMULATOR_SECONDS, AWS_SECONDS = 300, 3600

# An emulator's session reads no file and no variable of the caller: (config key, variable,
# default, conversion).
_NOTHING_OF_THE_CALLER: dict[str, tuple[str | None, str | None, Any, None]] = {
    **dict.fromkeys(("profile", "ca_bundle"), (None, None, None, None)),
    **dict.fromkeys(("config_file", "credentials_file"), (None, None, os.devnull, None)),
    **dict.fromkeys(("use_fips_endpoint", "use_dualstack_endpoint"), (None, None, False, None)),
}


def made_up_session(keys: process.Keys) -> boto3.Session:
    """A session with made-up credentials, which no setting of the caller's reaches."""
    return boto3.Session(
        aws_access_key_id=keys.access_key,
        aws_secret_access_key=keys.secret_key,
        region_name=process.REGION,
        botocore_session=botocore.session.Session(session_vars=_NOTHING_OF_THE_CALLER),
    )


class Target:
    """A place to deploy to: the embedded AWS, another emulator, or a real account.

    Args:
        name: ``embedded``, ``endpoint`` or ``aws``.
        session: Session with the credentials and the region.
        cli: Runs the CDK CLI against it.
        endpoint_url: Address of the emulator. Default: none, this is AWS.
        certificate: File with the only certificate to trust there. Default: this machine's.
        gaps: What it does not execute, of ``sandbox.shims``. Default: nothing.
        confirm: Called before a deployment with its stacks. Default: nothing is asked.
        check: Tells what of the stacks does not happen there, a line each. Default: nothing.
    """

    def __init__(
        self,
        name: str,
        session: boto3.Session,
        cli: cdk.Cli,
        *,
        endpoint_url: str | None = None,
        certificate: Path | None = None,
        gaps: Mapping[str, str] | None = None,
        confirm: Callable[[Sequence[assembly.Stack]], None] | None = None,
        check: Callable[[Iterable[assembly.Stack]], list[str]] = lambda _: [],
    ) -> None:
        self.name, self.endpoint_url, self.certificate = name, endpoint_url, certificate
        self.gaps = dict(gaps or {})
        self.region = str(session.region_name)
        self.log_dir = cli.log_dir  # the emulator's log, and one for each run of the CDK CLI
        self._session, self._cli, self._confirm, self._check = session, cli, confirm, check
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()

    @cached_property
    def account(self) -> str:
        """Account that is deployed to, 12 digits."""
        return str(self.client("sts").get_caller_identity()["Account"])

    def client(self, service: str, region: str | None = None) -> Any:
        """A boto3 client for this target, made once; safe to use from many threads.

        ``region`` is the target's own unless given.
        """
        key = service, region or self.region
        # An emulator has one address: no "sync-" before it, as StartSyncExecution has on AWS.
        emulator: dict[str, Any] = {
            "proxies": {},
            "s3": {"addressing_style": "path"},
            "inject_host_prefix": False,
        }
        with self._lock:
            if key not in self._clients:
                make: Any = self._session.client  # typed for literal names only
                self._clients[key] = make(
                    *key,
                    endpoint_url=self.endpoint_url,
                    verify=str(self.certificate) if self.certificate else None,
                    config=Config(
                        max_pool_connections=CONNECTIONS,
                        retries={"mode": "standard"},
                        **(emulator if self.endpoint_url else {}),
                    ),
                )
            return self._clients[key]

    @cached_property
    def http(self) -> SignedHttp:
        """HTTP client that signs requests to API Gateway with this target's credentials."""
        return SignedHttp(
            self._frozen_credentials, self.region, self.endpoint_url, self.certificate
        )

    @property
    def keys(self) -> process.Keys:
        """The credentials with which it is called, without a session's token."""
        found = self._frozen_credentials()
        return process.Keys(str(found.access_key), str(found.secret_key))

    def _frozen_credentials(self) -> ReadOnlyCredentials:
        credentials = self._session.get_credentials()
        if not credentials:
            raise SandboxError("No AWS credentials found.")
        return credentials.get_frozen_credentials()

    def deploy(
        self,
        app: str | Path | Sequence[str] | None = None,
        stacks: Sequence[str] = (),
        *,
        cwd: str | Path | None = None,
        context: Mapping[str, str] | None = None,
        parameters: Mapping[str, str] | None = None,
        hotswap: bool = False,
        seconds: float | None = None,
    ) -> dict[str, Deployment]:
        """Deploy stacks with the real CDK CLI and return them by the names asked for.

        Args:
            app: Command that runs the CDK app, for a shell or as a list of its words, or the folder
                of a synthesized one (cdk.out).
                Default: the app that cdk.json names.
            stacks: The stacks, each by its name in CloudFormation, by its construct's path
                (``Prod/Orders``) or by its id. Default: all of the app's, by name.
            cwd: Folder the app runs in. Default: the current one.
            context: Context values for the app. Default: none.
            parameters: Values of the templates' parameters, by name, or by ``stack:name``.
                Default: none.
            hotswap: Whether changed functions are replaced alone, which is quick. Default: no.
            seconds: How long synthesis may take, and then the deployment. Default: 300 on an
                emulator, and an hour on AWS.

        Raises:
            DeployFailed: one of them failed or took too long; the message says what failed, what
                had not ended, and what the functions of the stack logged last.
            SandboxError: there is no stack of a name, or it names another account.
        """
        folder = Path(cwd or Path.cwd()).resolve()
        seconds = seconds or (EMULATOR_SECONDS if self.endpoint_url else AWS_SECONDS)
        bootstrap = partial(self._cli.bootstrap, self.account, seconds=seconds)
        alongside = partial(bootstrap, self.region) if self.endpoint_url else None
        # Else a custom resource would fetch an SDK from the network while it runs.
        own = {INSTALLS_SDK: "false"} if self.endpoint_url else {}
        synthesized = self._cli.synthesize(
            app, folder, own | dict(context or {}), alongside, seconds
        )
        selected = assembly.select(synthesized, stacks)
        self._check_accounts(selected.values())
        for line in self._check(selected.values()):
            said = f"  [yellow]![/] not executed here: {plain(line)}"
            console.print(said, soft_wrap=True)
        if self.endpoint_url:
            for region in {stack.region for stack in selected.values()} - {""}:
                bootstrap(region)
        if self._confirm:
            self._confirm([*selected.values()])
        paths = [stack.path for stack in selected.values()]
        try:
            options = ["--hotswap-fallback"] if hotswap else []
            outputs = self._cli.deploy(synthesized, paths, parameters or {}, seconds, options)
        except cdk.DeployFailed as error:
            why = [line for stack in selected.values() for line in self._failures(stack)]
            raise cdk.DeployFailed("\n".join([*why, str(error)])) from None
        wanted = {stack.name for stack in selected.values()}
        also = {stack.name: stack for stack in assembly.stacks(synthesized)}
        selected |= {name: also[name] for name in outputs if name not in wanted}
        return {
            name: Deployment(self, stack.name, outputs.get(stack.name, {}), stack.region)
            for name, stack in selected.items()
        }

    def _check_accounts(self, stacks: Iterable[assembly.Stack]) -> None:
        """Reject a stack of another account, which the CLI could not deploy from here."""
        for stack in stacks:
            if stack.account not in ("", self.account):
                fix = f"Start it with embedded(account={stack.account!r})"
                raise SandboxError(
                    f"Stack {stack.path} names account {stack.account}, but this is "
                    f"{self.account}. {fix if self.endpoint_url else 'Sign in to that one'}, or "
                    "leave the account out of the stack's env."
                )

    def _failures(self, stack: assembly.Stack) -> list[str]:
        """What failed in a stack, and the newest lines of its functions if it did not end."""
        deployment = Deployment(self, stack.name, {}, stack.region)
        lines = cdk.failures(deployment.client("cloudformation"), stack.name)
        if any("_IN_PROGRESS |" in line for line in lines):
            lines += newest_lines(deployment)
        return lines

    def deployed(self, stack_name: str) -> Deployment:
        """A stack that is there already, with its outputs. Raises SandboxError if it is not."""
        try:
            found = self.client("cloudformation").describe_stacks(StackName=stack_name)["Stacks"][0]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            where = f"account {self.account}, region {self.region}"
            raise SandboxError(f"No stack {stack_name} in {where}: deploy it first.") from None
        outputs = {item["OutputKey"]: item["OutputValue"] for item in found.get("Outputs", [])}
        return Deployment(self, stack_name, outputs)

    def close(self) -> None:
        """Close the connections."""
        for client in [self.http, *self._clients.values()]:
            client.close()


class Deployment:
    """One deployed stack: ``deployment["ApiUrl"]`` is the value of its output ApiUrl.

    Args:
        target: Where it is.
        stack_name: Its name in CloudFormation.
        outputs: Its outputs. On an emulator the addresses of APIs and functions become those
            that it serves, for any HTTP client that trusts ``target.certificate``.
        region: Its Region. Default: the target's.
    """

    def __init__(
        self, target: Target, stack_name: str, outputs: Mapping[str, str], region: str = ""
    ) -> None:
        self.target, self.stack_name = target, stack_name
        self.outputs = {name: target.http.reachable(value) for name, value in outputs.items()}
        self.region = region or target.region
        self.outages = Outages()  # what scenarios break on purpose
        self._own_gaps: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        """The value of an output. Raises KeyError that lists the outputs there are."""
        try:
            return self.outputs[name]
        except KeyError:
            known = ", ".join(sorted(self.outputs)) or "none"
            message = f"{self.stack_name} has no output {name!r}; it has: {known}"
            raise KeyError(message) from None

    def client(self, service: str) -> Any:
        """A boto3 client for the stack's Region; see ``Target.client``."""
        return self.target.client(service, self.region)

    @property
    def http(self) -> SignedHttp:
        """HTTP client that signs requests to API Gateway with the target's credentials."""
        return self.target.http

    def http_as(self, role: str) -> SignedHttp:
        """HTTP client that signs requests to API Gateway as a role, given its ARN."""
        sts, target = self.client("sts"), self.target
        found = sts.assume_role(RoleArn=role, RoleSessionName="scenario")["Credentials"]
        names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
        keys = ReadOnlyCredentials(*(found[name] for name in names))
        return SignedHttp(lambda: keys, target.region, target.endpoint_url, target.certificate)

    @property
    def account(self) -> str:
        """Account it was deployed to, 12 digits."""
        return self.target.account

    @cached_property
    def functions(self) -> dict[str, str]:
        """Names of the stack's functions, by their logical ids."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources")
        return {
            item["LogicalResourceId"]: item["PhysicalResourceId"]
            for page in pages.paginate(StackName=self.stack_name)
            for item in page["StackResourceSummaries"]
            if item["ResourceType"] == "AWS::Lambda::Function"
        }

    def also_lacks(self, gaps: Mapping[str, str]) -> None:
        """Add what an emulator does not execute of this stack, beside ``sandbox.shims``.

        ``gaps`` has a sentence for each new name, such as the ``GAPS`` of a pattern's scenario.
        """
        if known := GAPS.keys() & gaps.keys():
            raise ValueError(f"Known gaps already: {', '.join(sorted(known))}. Choose other names.")
        self._own_gaps |= gaps

    def executes(self, gap: str) -> bool:
        """Whether the target executes a feature of ``sandbox.shims`` or of ``also_lacks``.

        Raises ValueError if there is none of this name.
        """
        if gap in self._own_gaps:
            return not self.target.endpoint_url
        if gap not in GAPS:
            known = ", ".join(sorted([*GAPS, *self._own_gaps]))
            raise ValueError(f"Unknown gap {gap!r}. Known: {known}")
        return gap not in self.target.gaps

    def log_lines(
        self, function_name: str, limit: int | None = 50, *, since: datetime | None = None
    ) -> list[str]:
        """The newest lines that a function of the stack has logged, oldest first.

        Args:
            function_name: Name of the function.
            limit: Most lines to return. Default: 50; None: all.
            since: Time with a zone; older lines are left out. Default: none are.
        """
        lines = lines_since(self, function_name, since)
        return lines if limit is None else lines[max(len(lines) - limit, 0) :]
