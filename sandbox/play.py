"""A deployed stack to play with: what to paste into a shell, its log, and its changed handlers."""

from __future__ import annotations

import io
import os
import shlex
import time
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from serverless_patterns.terminal import visible

from . import process
from .console import console, plain
from .console import step as console_step
from .errors import SandboxError
from .logs import FRAME, events_since

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .target import Deployment, Target

PAUSE_SECONDS = 0.5
# Would come before the keys.
THEIRS = "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_WEB_IDENTITY_TOKEN_FILE"
# An event may come later than a newer one, from another environment of its function.
LATE = timedelta(seconds=10)
NOT_EDITED = ("__pycache__", "cdk.out", "node_modules")
# What can be done with an output of this name.
_EXAMPLES = {
    "ApiUrl": """\
  curl --aws-sigv4 "aws:amz:$AWS_REGION:execute-api" \\
       --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \\
       --header "Content-Type: application/json" --data '{}' "${ApiUrl}orders\"""",
    "BucketName": '  aws s3 ls --recursive "s3://$BucketName"',
    "FunctionName": """\
  aws lambda invoke --function-name "$FunctionName" --payload '{}' \\
      --cli-binary-format raw-in-base64-out /dev/stdout""",
    "QueueUrl": """  aws sqs send-message --queue-url "$QueueUrl" --message-body '{}'""",
    "StreamName": """\
  aws kinesis put-record --stream-name "$StreamName" --partition-key 1 --data '{}' \\
      --cli-binary-format raw-in-base64-out""",
    "TopicArn": """  aws sns publish --topic-arn "$TopicArn" --message '{}'""",
}


_FIFO = '      --message-group-id one --message-deduplication-id "$(date +%s)"'


def environment(target: Target) -> dict[str, str]:
    """Return the environment in which a program of this machine reaches this target alone.

    Of a real account, that is our own.
    """
    if not target.endpoint_url:
        return dict(os.environ)
    ours = {name: value for name, value in os.environ.items() if name not in THEIRS}
    return ours | _variables(target)


def _variables(target: Target) -> dict[str, str]:
    return {
        **process.made_up_aws(target.endpoint_url or "", target.keys),
        **(process.trust(target.certificate) if target.certificate else {}),
    }


def shell(target: Target, deployments: Iterable[Deployment]) -> str:
    """Return lines for a shell: the AWS CLI, curl and every SDK then reach this target.

    Outputs come as variables of their names; an API's address is the one that answers here.
    """
    variables = {
        **_variables(target),
        "CURL_CA_BUNDLE": str(target.certificate or ""),
    }
    lines = [f"unset {' '.join(THEIRS)}"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in variables.items() if value]
    for deployment in deployments:
        for name, value in deployment.outputs.items():
            lines.append(f"{name}={shlex.quote(value)}")
    return "\n".join(lines)


def examples(deployments: Iterable[Deployment]) -> list[str]:
    """Commands that work with what ``shell`` returns for these stacks."""
    outputs = {name: value for each in deployments for name, value in each.outputs.items()}
    fifo = {name: " \\\n" + _FIFO for name, value in outputs.items() if value.endswith(".fifo")}
    found = [_EXAMPLES[name] + fifo.get(name, "") for name in _EXAMPLES if name in outputs]
    return ["  aws sqs list-queues", *found]


def stay(
    deployments: Iterable[Deployment], watched: Iterable[Path], redeploy: Callable[[], object]
) -> None:
    """Print what the functions log, and redeploy when a watched file changes, until Ctrl-C.

    Args:
        deployments: The stacks.
        watched: Folders with the functions' code.
        redeploy: Called after a change; a SandboxError that it raises is printed.
    """
    stacks, folders = [*deployments], [*watched]
    started, tails = datetime.now(UTC), dict[str, _Tail]()
    changed = _newest_change(folders)
    while True:
        for stack in stacks:
            for function, name in stack.functions.items():
                tail = tails.setdefault(name, _Tail(stack, name, started))
                for message in tail.new_messages():
                    _print_event(function, message)
        if (now := _newest_change(folders)) != changed:
            changed = now
            try:
                redeploy()
                console.print("  [dim]· The changed code is deployed[/]")
            except (SandboxError, ClientError) as error:
                console.print(visible(str(error)), style="red", markup=False, soft_wrap=True)
        time.sleep(PAUSE_SECONDS)


@dataclass
class _Tail:
    """The end of a function's log: each event once, and nothing read again that is long over."""

    stack: Deployment
    name: str
    since: datetime
    seen: Counter[tuple[str, int, str]] = field(default_factory=Counter)

    def new_messages(self) -> list[str]:
        """What the function has logged meanwhile; nothing once somebody has deleted it."""
        events = [(e["logStreamName"], e["timestamp"], e["message"]) for e in self._events()]
        new = list((Counter(events) - self.seen).elements())
        if events:
            self.seen = Counter(events)
            newest = datetime.fromtimestamp(max(time for _, time, _ in events) / 1000, UTC)
            self.since = max(self.since, newest - LATE)
        return [message for *_, message in new]

    def _events(self) -> list[dict[str, Any]]:
        try:
            return events_since(self.stack, self.name, self.since)
        except ClientError:
            return []
        except BotoCoreError as error:
            logs = self.stack.target.log_dir
            raise SandboxError(f"The embedded AWS does not answer: {error} Logs: {logs}") from error


def replace_code(deployment: Deployment, root: Path, folders: Iterable[str], prefix: str) -> None:
    """Give a stack's functions the code of some folders, without a synthesis.

    Args:
        deployment: The stack.
        root: Folder that the paths in the code begin at.
        folders: Folders below it; their Python files are the code.
        prefix: How the handlers of these functions begin; the other functions stay as they are.

    Raises SandboxError for a file that is not Python, and replaces nothing then.
    """
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        for place in (root / folder for folder in folders):
            for file in place.rglob("*.py") if place.is_dir() else [place]:
                _check_syntax(file)
                files.write(file, file.relative_to(root))
    functions = deployment.client("lambda")
    with console_step("Replacing the functions' code"):
        for name in deployment.functions.values():
            if functions.get_function_configuration(FunctionName=name)["Handler"].startswith(
                prefix
            ):
                functions.update_function_code(FunctionName=name, ZipFile=archive.getvalue())


def _check_syntax(file: Path) -> None:
    try:
        compile(file.read_bytes(), file, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise SandboxError(f"Not deployed: {error}") from error


def _print_event(function: str, message: str) -> None:
    for line in message.splitlines():
        if not FRAME.match(line):
            console.print(f"[cyan]{plain(function)}[/] {plain(line)}", soft_wrap=True)


def _newest_change(folders: Iterable[Path]) -> float:
    """When a Python file in the folders was last changed, in Unix seconds."""
    files = (file for folder in folders for file in _own_files(folder))
    return max((file.stat().st_mtime for file in files if file.exists()), default=0.0)


def _own_files(folder: Path) -> Iterator[Path]:
    """The Python files in a folder that somebody edits: neither installed nor generated."""
    for place, folders, names in os.walk(folder):
        found = [name for name in folders if not name.startswith(".") and name not in NOT_EDITED]
        folders[:] = [name for name in found if not Path(place, name, "pyvenv.cfg").exists()]
        yield from (Path(place, name) for name in names if name.endswith(".py"))
