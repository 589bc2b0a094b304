"""A stack that stays can be played with: from a shell, with its log, with changed handlers."""

from __future__ import annotations

import json
import os
import shlex
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from serverless_patterns.sandbox import Deployment, Target, play
from tests.conftest import run
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


def test_only_the_functions_of_the_code_get_the_new_code(stack: Deployment, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "index.py").write_text(NEW)
    play.replace_code(stack, tmp_path, ["index.py", "code"], "lambdas.")
    answer = stack.client("lambda").invoke(FunctionName=stack["Name"])["Payload"].read()
    assert json.loads(answer) is None, "its handler is not below lambdas"
    play.replace_code(stack, tmp_path, ["index.py", "code"], "index.")
    answer = stack.client("lambda").invoke(FunctionName=stack["Name"])["Payload"].read()
    assert json.loads(answer) == "new"
