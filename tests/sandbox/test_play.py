"""A stack that stays can be played with: from a shell, with its log, with changed handlers."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from datetime import UTC, datetime
from subprocess import DEVNULL, PIPE
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import EndpointConnectionError

from serverless_patterns import sandbox
from serverless_patterns.__main__ import main
from serverless_patterns.sandbox import Deployment, SandboxError, Target, play
from tests.conftest import ROOT, run
from tests.sandbox.helpers import create_stack, function, on, ref, template

if TYPE_CHECKING:
    from pathlib import Path

NEW = "def handler(event, context):\n    return 'new'\n"
ASK = "import boto3; print(boto3.client('sts').get_caller_identity()['Account'])"
API = "https://abc.execute-api.us-east-1.amazonaws.com/prod/"


class ChangedError(Exception):
    """Ends a stay."""


def made(target: Target) -> Deployment:
    ours = function(
        "def handler(event, context):\n    print('said', event)\n", Handler="index.handler"
    )
    return create_stack(target, "play", template({"F": ours}, Name=ref("F")))


stack = on("shared", made)


def test_what_is_printed_for_a_shell_reaches_the_stack_and_nothing_else(
    shared: Target, stack: Deployment
) -> None:
    stack = Deployment(shared, "play", stack.outputs | {"ApiUrl": API})
    python = shlex.join([sys.executable, "-c", ASK])
    ask = f"{play.shell(shared, [stack])}\n{python}; echo $Name $ApiUrl"
    theirs = {**os.environ, "AWS_PROFILE": "theirs", "AWS_SESSION_TOKEN": "theirs"}
    done = run("bash", "-c", ask, env=theirs)
    account, outputs = done.stdout.splitlines()
    assert account == shared.account, done.stderr
    assert outputs == f"{stack['Name']} {shared.endpoint_url}/_aws/execute-api/abc/prod/"


def test_functions_say_what_they_log_until_a_handler_changes(
    stack: Deployment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "handler.py"
    file.write_text("")

    def use() -> None:
        invoke = stack.client("lambda").invoke
        for number in range(3):
            invoke(FunctionName=stack["Name"], Payload=json.dumps(number))
        threading.Timer(2, lambda: os.utime(file, (9e9, 9e9))).start()

    def changed() -> None:
        raise ChangedError

    threading.Timer(0.5, use).start()
    with pytest.raises(ChangedError):
        play.stay([stack], [tmp_path], changed)
    said = [line for line in capsys.readouterr().err.splitlines() if "said" in line]
    assert said == ["F said 0", "F said 1", "F said 2"]


def test_what_a_function_logs_is_said_once_though_late_and_not_read_again_much_later(
    shared: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[tuple[float, str]] = []
    asked: list[float] = []

    def events_since(_: Deployment, __: str, since: datetime) -> list[dict[str, Any]]:
        asked.append(since.timestamp())
        found = [event for event in sorted(logged) if event[0] >= since.timestamp()]
        return [{"logStreamName": "s", "timestamp": 1000 * t, "message": m} for t, m in found]

    monkeypatch.setattr(play, "events_since", events_since)
    tail = play._Tail(Deployment(shared, "play", {}), "f", datetime.fromtimestamp(1000, UTC))
    said = []
    for new in (
        [(1001.0, "one")],
        [(1005.0, "same")] * 2,
        [(1004.0, "late")],
        [(1100.0, "new")],
        [],
    ):
        logged += new
        said.append(tail.new_messages())
    assert said == [["one"], ["same", "same"], ["late"], ["new"], []]
    assert asked == sorted(asked)
    assert asked[-1] == 1100 - play.LATE.total_seconds()


def test_a_stay_says_when_changed_code_is_deployed_or_why_not_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "handler.py"
    file.write_text("")
    answers = [None, SandboxError("no such thing"), ChangedError()]
    passed = iter(range(1, 9))
    monkeypatch.setattr(time, "sleep", lambda _: os.utime(file, (0, next(passed))))

    def redeploy() -> None:
        if answer := answers.pop(0):
            raise answer

    with pytest.raises(ChangedError):
        play.stay([], [tmp_path], redeploy)
    said = [line.strip() for line in capsys.readouterr().err.splitlines()]
    assert said == ["· The changed code is deployed", "no such thing"]


@pytest.mark.parametrize("place", [".venv/lib", "cdk.out/asset.1", "node_modules/a", "env/lib"])
def test_what_is_installed_or_generated_is_no_change(tmp_path: Path, place: str) -> None:
    for folder in ("fn", "env", place):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    (tmp_path / "env" / "pyvenv.cfg").touch()
    (tmp_path / "app.py").touch()
    changed = play._newest_change([tmp_path])
    (tmp_path / place / "made.py").touch()
    os.utime(tmp_path / place / "made.py", (9e9, 9e9))
    assert play._newest_change([tmp_path]) == changed
    (tmp_path / "fn" / "handler.py").touch()
    os.utime(tmp_path / "fn" / "handler.py", (9e9, 9e9))
    assert play._newest_change([tmp_path]) > changed


def test_code_that_is_not_python_is_not_deployed(stack: Deployment, tmp_path: Path) -> None:
    (tmp_path / "index.py").write_text("def broken(:\n")
    with pytest.raises(SandboxError, match=r"Not deployed: invalid syntax \(index.py, line 1\)"):
        play.replace_code(stack, tmp_path, ["index.py"], "index.")


def test_a_function_that_was_deleted_says_nothing_and_a_place_that_ended_is_named(
    shared: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone(Deployment):
        functions = {"Gone": "gone"}  # noqa: RUF012

    monkeypatch.setattr(time, "sleep", Mock(side_effect=ChangedError))
    with pytest.raises(ChangedError):
        play.stay([Gone(shared, "play", {})], [], lambda: None)
    unreachable = EndpointConnectionError(endpoint_url="https://127.0.0.1:9")
    monkeypatch.setattr(play, "events_since", Mock(side_effect=unreachable))
    with pytest.raises(SandboxError, match="The embedded AWS does not answer"):
        play.stay([Gone(shared, "play", {})], [], lambda: None)


def test_the_examples_are_of_what_a_stack_has(shared: Target) -> None:
    topic = Deployment(shared, "play", {"TopicArn": "arn:topic", "Other": "x"})
    queues, publish = play.examples([topic])
    assert "list-queues" in queues
    assert "aws sns publish" in publish
    assert "group" not in publish
    fifo = Deployment(shared, "play", {"TopicArn": "arn:topic.fifo"})
    assert "--message-group-id" in play.examples([fifo])[1]


def test_what_is_up_is_stopped_from_its_folder_alone_and_a_killed_one_is_not_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    hold = "import sys, time; from serverless_patterns.__main__ import _marked\n"
    hold += "with _marked(): print(flush=True); time.sleep(60)"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    up = [
        subprocess.Popen([sys.executable, "-c", hold], stdout=PIPE, stderr=DEVNULL, env=env)
        for _ in range(3)
    ]
    for one in up:
        assert one.stdout
        one.stdout.readline()
    up[0].kill()
    up[0].wait()
    (tmp_path / ".build" / "up" / str(os.getpid())).touch()  # of a process that ended; now ours
    assert main(["down"]) == 0
    assert [one.wait(10) for one in up[1:]] == [-signal.SIGINT] * 2
    assert main(["down"]) == 2
    assert "Nothing is up in this folder." in capsys.readouterr().out


def test_a_stay_that_is_interrupted_is_no_failure(
    shared: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sandbox, "embedded", lambda **_: nullcontext(shared))
    monkeypatch.setattr(shared, "deploy", lambda **_: {})
    monkeypatch.setattr(play, "stay", Mock(side_effect=KeyboardInterrupt))
    before = signal.getsignal(signal.SIGINT)
    try:
        assert main(["up", "--app", "python3 app.py"]) == 0
    finally:
        signal.signal(signal.SIGINT, before)


def test_only_the_functions_of_the_code_get_the_new_code(stack: Deployment, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "index.py").write_text(NEW)
    play.replace_code(stack, tmp_path, ["index.py", "code"], "lambdas.")
    answer = stack.client("lambda").invoke(FunctionName=stack["Name"])["Payload"].read()
    assert json.loads(answer) is None, "its handler is not below lambdas"
    play.replace_code(stack, tmp_path, ["index.py", "code"], "index.")
    answer = stack.client("lambda").invoke(FunctionName=stack["Name"])["Payload"].read()
    assert json.loads(answer) == "new"
