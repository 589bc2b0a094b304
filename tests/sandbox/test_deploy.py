"""Stacks are deployed by the real CDK CLI, and a failure says what failed."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast
from unittest.mock import MagicMock

import pytest
from botocore.exceptions import WaiterError
from botocore.stub import Stubber

from serverless_patterns.sandbox import (
    DeployFailed,
    Deployment,
    Keys,
    SandboxError,
    Target,
    account,
    assembly,
    cdk,
    logs,
)
from serverless_patterns.sandbox.target import made_up_session
from tests.conftest import ROOT
from tests.sandbox.helpers import OF_THE_CALLER, function, ref, resource, synthesized, template

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

QUEUE = template({"Queue": resource("SQS::Queue")}, QueueUrl=ref("Queue"))
BROKEN = template({"Order": resource("ApiGateway::Model", RestApiId="none", Schema={})})
# A CDK app in as little as it takes: it writes its assembly where the CLI tells it to.
APP = """
import json, os, pathlib, sys
sys.path.append(sys.argv[1])
from tests.sandbox.helpers import resource, synthesized, template
context = json.loads(os.environ["CDK_CONTEXT_JSON"])
assert context["pattern"] == "small", context
pathlib.Path("environment.json").write_text(json.dumps(dict(os.environ)))
out = pathlib.Path(os.environ["CDK_OUTDIR"])
synthesized(out, small=template({"Queue": resource("SQS::Queue")}))
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthesized app with four stacks; ``deployed`` has all but the broken one."""
    logging = template({"F": function()}, FunctionName=ref("F"))
    two = template(QUEUE["Resources"])
    folder = tmp_path_factory.mktemp("app")
    return synthesized(folder, one=QUEUE, two=two, logging=logging, broken=BROKEN)


@pytest.fixture(scope="module")
def deployed(shared: Target, app: Path) -> dict[str, Deployment]:
    return shared.deploy(app=app, stacks=["one", "two", "logging"])


def test_a_synthesized_app_is_deployed_and_its_outputs_work(
    deployed: dict[str, Deployment],
) -> None:
    assert list(deployed) == ["one", "two", "logging"]
    one = deployed["one"]
    one.client("sqs").send_message(QueueUrl=one["QueueUrl"], MessageBody="hello")
    received = one.client("sqs").receive_message(QueueUrl=one["QueueUrl"])["Messages"]
    assert received[0]["Body"] == "hello"
    assert (one.stack_name, one.region, one.target.name) == ("one", "us-east-1", "embedded")
    assert deployed["two"].outputs == {}


def test_a_stack_that_is_there_already_is_found(
    shared: Target, deployed: dict[str, Deployment]
) -> None:
    assert shared.deployed("one").outputs == deployed["one"].outputs
    with pytest.raises(SandboxError, match=r"No stack nowhere in account 000000000000"):
        shared.deployed("nowhere")


def test_an_unknown_output_lists_those_there_are(deployed: dict[str, Deployment]) -> None:
    with pytest.raises(KeyError, match="no output 'QueueURL'; it has: QueueUrl"):
        deployed["one"]["QueueURL"]


def test_an_app_is_synthesized_with_its_context_and_without_the_callers_credentials(
    shared: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "app.py").write_text(APP)
    program, library = tmp_path / "my python", tmp_path / "my library"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    program.chmod(0o755)
    library.symlink_to(ROOT)
    for name in OF_THE_CALLER:
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, "of-the-caller")
    deployed = shared.deploy(
        app=[str(program), "app.py", str(library)],
        cwd=tmp_path,
        context={"pattern": "small"},
    )
    assert list(deployed) == ["small"], "without names all stacks of the app are deployed"
    environment = json.loads((tmp_path / "environment.json").read_text())
    found = {name for name in OF_THE_CALLER if environment.get(name) == "of-the-caller"}
    assert not [name for name in found if name.startswith("AWS_")]
    assert "SOME_TOKEN" in found, "the rest of the caller's environment is the app's"
    assert environment["AWS_ENDPOINT_URL"] == shared.endpoint_url
    assert environment["HOME"] == os.environ["HOME"], "the app finds its caches"


def test_a_failed_deployment_says_which_resource_and_why(shared: Target, app: Path) -> None:
    with pytest.raises(DeployFailed) as failure:
        shared.deploy(app=app, stacks=["broken"])
    message = str(failure.value)
    assert "broken | Order | AWS::ApiGateway::Model | CREATE_FAILED" in message
    assert "Deploying broken failed (exit 1)" in message
    assert str(shared.log_dir) in message


def test_the_cause_of_a_failure_is_found_on_the_last_page_of_events() -> None:
    """CloudFormation gives the newest events first, a hundred at a time."""
    event = {"StackId": "s", "StackName": "large", "Timestamp": 0, "EventId": "1"}
    other = event | {
        "LogicalResourceId": "large",
        "ResourceType": "AWS::SQS::Queue",
        "ResourceStatus": "CREATE_FAILED",
    }
    cause = other | {"LogicalResourceId": "Orders", "ResourceStatusReason": "too long"}
    cloudformation = made_up_session(Keys()).client("cloudformation")
    with Stubber(cloudformation) as stub:
        stub.add_response("describe_stack_events", {"StackEvents": [other], "NextToken": "more"})
        stub.add_response("describe_stack_events", {"StackEvents": [cause]})
        first, second = cdk.failures(cloudformation, "large")
    assert first == "  large | Orders | AWS::SQS::Queue | CREATE_FAILED | too long"
    assert second.endswith("no reason given")


def test_a_folder_without_a_synthesized_app_is_refused(shared: Target, tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match=r"it has no manifest\.json"):
        shared.deploy(app=tmp_path)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("raise SystemExit('queue_name: too long')", "(?s)Synthesizing failed.*name: too long"),
        ("import time; time.sleep(300)", "took longer than 3 s"),
    ],
)
def test_an_app_that_fails_shows_its_last_lines_and_one_that_hangs_is_given_up(
    shared: Target, tmp_path: Path, code: str, why: str
) -> None:
    (tmp_path / "app.py").write_text(code)
    seconds = 3 if "sleep" in code else 60
    started = time.monotonic()
    with pytest.raises(DeployFailed, match=why):
        shared.deploy(app=[sys.executable, "app.py"], cwd=tmp_path, seconds=seconds)
    assert time.monotonic() - started < 300, "nobody waits for its end"


def test_the_log_lines_of_a_function_are_found(deployed: dict[str, Deployment]) -> None:
    deployment = deployed["logging"]
    name = deployment["FunctionName"]
    assert deployment.log_lines(name) == []
    deployment.client("lambda").invoke(FunctionName=name, Payload=b'{"order": 7}')
    lines = deployment.log_lines(name)
    assert 'got {"order": 7}' in lines
    assert deployment.log_lines(name, limit=2) == lines[-2:]


def log(deployment: Deployment, streams: int, lines: Iterable[str], start: datetime) -> None:
    """Log lines as so many environments of the function do at once, one a millisecond."""
    logs, group = deployment.client("logs"), f"/aws/lambda/{deployment['FunctionName']}"
    events = [
        {"timestamp": int(start.timestamp() * 1000) + number, "message": line}
        for number, line in enumerate(lines)
    ]
    for number in range(streams):
        stream = {"logGroupName": group, "logStreamName": f"{start.timestamp()}-{number}"}
        logs.create_log_stream(**stream)
        logs.put_log_events(**stream, logEvents=events[number::streams])


@pytest.mark.parametrize(
    ("environments", "count", "later"), [(60, 60, 1), (1, logs.EVENTS_OF_A_PAGE * 2 + 1, 60)]
)
def test_no_log_line_is_left_out_however_many_environments_or_pages_there_are(
    deployed: dict[str, Deployment], environments: int, count: int, later: int
) -> None:
    deployment, start = deployed["logging"], datetime.now(UTC) + timedelta(seconds=later)
    name = deployment["FunctionName"]
    deployment.client("lambda").invoke(FunctionName=name)
    lines = [f"order {number}" for number in range(count)]
    log(deployment, environments, lines, start)
    assert deployment.log_lines(name) == lines[-50:]
    assert deployment.log_lines(name, limit=count) == lines
    assert deployment.log_lines(name, limit=None, since=start) == lines


CREDENTIALS = {"AWS_ACCESS_KEY_ID": "made", "AWS_SECRET_ACCESS_KEY": "up"}
NOBODY = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}  # answers there


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        (CREDENTIALS, "No Region: set AWS_REGION"),
        ({"AWS_REGION": "eu-west-1"}, "Unable to locate credentials. Sign in"),
        ({"AWS_REGION": "eu-west-1", "AWS_PROFILE": "none"}, "profile .none. could not be found"),
        ({"AWS_REGION": "eu-west-1", **CREDENTIALS, **NOBODY}, "AWS does not answer: Could not"),
    ],
)
def test_an_account_that_cannot_be_used_says_why(
    environment: dict[str, str], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SandboxError, match=why), account.aws(log_dir=tmp_path):
        pass


def test_an_emulator_that_does_not_answer_is_named(tmp_path: Path) -> None:
    url = NOBODY["AWS_ENDPOINT_URL"]
    with (
        pytest.raises(SandboxError, match=f"No emulator answers at {url}"),
        account.endpoint(url, log_dir=tmp_path),
    ):
        pass


def test_the_region_of_the_shell_is_used(
    shared: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the CDK CLI does: AWS_REGION comes first."""
    here = {"AWS_ENDPOINT_URL": shared.endpoint_url, "AWS_CA_BUNDLE": str(shared.certificate)}
    regions = {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-east-2"}
    for name, value in {**shared.keys.variables(), **here, **regions}.items():
        monkeypatch.setenv(name, str(value))
    with account.aws(log_dir=tmp_path) as target:
        assert target.region == "eu-west-1"
        assert target.account == shared.account


def test_a_real_account_is_not_deployed_to_unconfirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = cast("Target", SimpleNamespace(account="123456789012", region="eu-west-1"))
    app = synthesized(tmp_path, one=QUEUE, other=BROKEN)
    chosen = [*assembly.select(app, ["one"]).values()]
    with pytest.raises(SandboxError, match="nobody is there to confirm"):
        account._confirm(target, chosen, assume_yes=False)
    shown = capsys.readouterr().err
    assert "123456789012" in shown
    assert "eu-west-1" in shown
    assert "one: 1 resources" in shown
    assert "other" not in shown
    account._confirm(target, chosen, assume_yes=True)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True, readline=lambda: "n\n"))
    with pytest.raises(SandboxError, match="Not deployed"):
        account._confirm(target, chosen, assume_yes=False)


def test_a_stack_is_removed_with_all_that_is_in_it_once_that_is_confirmed(
    shared: Target, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = shared.deploy(synthesized(tmp_path, removed=QUEUE))["removed"]
    with pytest.raises(SandboxError, match="Not removed: nobody is there to confirm"):
        account.remove(shared, "removed")
    assert "removed: 1 resources, and all the data in them" in capsys.readouterr().err
    assert shared.deployed("removed")
    account.remove(shared, "removed", assume_yes=True)
    with pytest.raises(SandboxError, match="No stack removed"):
        shared.deployed("removed")
    queues = stack.client("sqs").list_queues(QueueNamePrefix="removed").get("QueueUrls", [])
    assert not queues


def test_a_stack_that_cannot_be_removed_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    target = MagicMock(account="123456789012", region="eu-west-1")
    client = target.deployed("one").client("cloudformation")
    client.get_waiter("").wait.side_effect = WaiterError("StackDeleteComplete", "failed", {})
    monkeypatch.setattr(cdk, "failures", lambda *_: ["  one | Bucket | is not empty"])
    with pytest.raises(SandboxError, match=r"one is not removed:\n  one \| Bucket \| is not empty"):
        account.remove(target, "one", assume_yes=True)
