"""The embedded AWS starts, stays apart from the caller and the network, and ends in every case."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from serverless_patterns.sandbox import (
    Deployment,
    Keys,
    SandboxError,
    Target,
    embedded,
    emulator,
    endpoint,
    engines,
)
from serverless_patterns.sandbox.queues import until
from serverless_patterns.sandbox.target import made_up_session
from tests.conftest import ROOT, run
from tests.sandbox.helpers import create_stack, function, ref, serve, template

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

# A job that a shell starts in the background ignores Ctrl-C, and passes that on.
AT_A_TERMINAL = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"

HOLD = """
    import sys
    from pathlib import Path
    from serverless_patterns.sandbox import embedded
    from tests.sandbox.helpers import create_stack, function

    folder = Path(sys.argv[1])
    with embedded(log_dir=folder) as target:
        create_stack(target, "held", {"Resources": {"F": function()}})
        functions = target.client("lambda")
        name = functions.list_functions()["Functions"][0]["FunctionName"]
        functions.invoke(FunctionName=name)  # now there is a worker process
        (folder / "app.py").write_text("import time; open('up', 'w').close(); time.sleep(60)")
        target.deploy(app=[sys.executable, "app.py"], cwd=folder)  # now the CLI and the app, too
"""
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """Process ids of all that this process started, directly or not."""
    listing = run("ps", "-Ao", "pid,ppid")
    parents = [tuple(map(int, line.split())) for line in listing.stdout.splitlines()[1:]]
    found = [pid]
    for parent in found:
        found += [child for child, its_parent in parents if its_parent == parent]
    return found[1:]


def wait_until_gone(pids: Iterable[int]) -> None:
    """Wait until none of these processes runs."""
    command = ["ps", "-o", "stat=", "-p", ",".join(map(str, pids))]

    def gone() -> bool:
        states = run(*command).stdout.split()
        return all(state.startswith("Z") for state in states)

    until(gone, seconds=60, what="until all processes are gone")


@pytest.fixture(scope="module")
def holders(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[signal.Signals, tuple[subprocess.Popen[bytes], Path]]]:
    """A process with an embedded AWS for each way to end it, started side by side."""
    started = {}
    for number in ENDS:
        folder = tmp_path_factory.mktemp("holder")
        holder = subprocess.Popen(
            [sys.executable, "-c", AT_A_TERMINAL + textwrap.dedent(HOLD), str(folder)],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(folder)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        started[number] = (holder, folder)
    yield started
    for holder, _ in started.values():
        with holder:
            holder.kill()


@pytest.mark.parametrize("number", ENDS)
def test_no_process_outlives_its_starter(
    number: signal.Signals, holders: dict[signal.Signals, tuple[subprocess.Popen[bytes], Path]]
) -> None:
    holder, folder = holders[number]
    until((folder / "up").exists, seconds=60, what="until it deploys")
    started = descendants(holder.pid)
    assert len(started) >= 6, "two guards, the server, a Lambda worker, the CLI and its app"
    holder.send_signal(number)
    holder.wait(20)
    wait_until_gone(started)
    assert not list(folder.glob("embedded-aws-*")), "its temporary folder is removed"


def test_an_exception_ends_it(tmp_path: Path) -> None:
    started: set[int] = set()
    before = set(descendants(os.getpid()))

    def fail() -> None:
        with embedded(log_dir=tmp_path):
            started.update(set(descendants(os.getpid())) - before)
            raise RuntimeError("scenario failed")

    with pytest.raises(RuntimeError, match="scenario failed"):
        fail()
    assert started
    wait_until_gone(started)


def test_it_listens_on_this_machine_only(shared: Target) -> None:
    port = urlsplit(shared.endpoint_url or "").port
    listing = run("ss", "-ltnH")
    if listing.returncode:
        pytest.skip("no ss")
    addresses = [line.split()[3] for line in listing.stdout.splitlines()]
    assert [address for address in addresses if address.endswith((f":{port}", ":443"))] == [
        f"127.0.0.1:{port}"
    ]


def client_of(keys: Keys, target: Target, service: Any, config: Config | None = None) -> Any:
    """A client of somebody with these keys."""
    certificate, url = str(target.certificate), target.endpoint_url
    make: Any = made_up_session(keys).client
    return make(service, endpoint_url=url, verify=certificate, config=config)


@pytest.mark.parametrize("access_key", ["test", "000000000000", "AKIA" + "X" * 16])
def test_only_the_keys_of_the_run_are_accepted(shared: Target, access_key: str) -> None:
    """Another user of this machine can reach the port."""
    refused = r"invalid|SignatureDoesNotMatch|InvalidAccessKeyId"
    with pytest.raises(ClientError, match=refused):
        client_of(Keys(access_key, "test"), shared, "sqs").list_queues()
    with pytest.raises(ClientError, match=refused):
        client_of(Keys(access_key, "test"), shared, "s3").list_buckets()


def test_a_request_without_a_signature_is_refused(shared: Target) -> None:
    answer = shared.http.post(f"{shared.endpoint_url}/", b"Action=ListTopics", FORM, signed=False)
    assert answer.status == 403
    unsigned = Config(signature_version=UNSIGNED)
    for service, call in (("s3", "list_buckets"), ("lambda", "list_functions")):
        with pytest.raises(ClientError):
            getattr(client_of(Keys(), shared, service, unsigned), call)()


@pytest.mark.parametrize(
    "page", ["_ministack/sqs/messages", "_ministack/lambda-code/x", "_localstack/health"]
)
def test_pages_that_show_what_it_holds_are_closed(shared: Target, page: str) -> None:
    assert shared.http.get(f"{shared.endpoint_url}/{page}").status == 403
    reset = shared.http.post(f"{shared.endpoint_url}/_ministack/reset", b"")
    assert reset.status == 403


def test_no_credential_of_the_caller_reaches_it(shared: Target) -> None:
    stack = create_stack(shared, "environment", template({"F": function()}, Name=ref("F")))
    answer = shared.client("lambda").invoke(FunctionName=stack["Name"])
    environment = json.loads(answer["Payload"].read())
    assert "of-the-caller" not in environment.values()
    assert environment["AWS_ENDPOINT_URL"] == shared.endpoint_url
    assert environment["HOME"] != os.environ.get("HOME")


def test_two_run_side_by_side(shared: Target, without_shims: Target) -> None:
    url = without_shims.client("sqs").create_queue(QueueName="only-in-the-other")["QueueUrl"]
    assert url in without_shims.client("sqs").list_queues()["QueueUrls"]
    names = shared.client("sqs").list_queues().get("QueueUrls", [])
    assert not [name for name in names if "only-in-the-other" in name]


@pytest.mark.parametrize(
    ("code", "seconds", "why"),
    [
        ("import time; print('for Godot', flush=True); time.sleep(60)", 1, "not answer within 1 s"),
        ("raise SystemExit('for Godot')", 30, "ended while starting"),
    ],
)
def test_one_that_hangs_or_ends_while_starting_shows_its_last_lines_and_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, seconds: float, why: str
) -> None:
    launch = tmp_path / "launch_nothing.py"
    launch.write_text(code)
    hung = replace(engines.find("ministack"), launch=launch)
    monkeypatch.setitem(engines.ENGINES, "ministack", hung)
    with (
        pytest.raises(SandboxError, match=why) as failure,
        embedded(log_dir=tmp_path / "logs", health_seconds=seconds),
    ):
        pass
    assert "for Godot" in str(failure.value)
    assert "embedded-aws.log" in str(failure.value)
    running = run("ps", "-Ao", "command")
    assert "COMMAND" in running.stdout
    assert str(launch) not in running.stdout


def test_an_engine_that_is_not_known_or_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = r"no engine 'moto'. There are: ministack, localstack\."
    with pytest.raises(SandboxError, match=known), embedded(engine="moto"):
        pass
    away = replace(engines.find("localstack"), venv=".venv-away")
    monkeypatch.setitem(engines.ENGINES, "localstack", away)
    setup = r"setup.py --localstack`; it needs Python 3\.13"
    with (
        pytest.raises(SandboxError, match=setup),
        embedded(engine="localstack", log_dir=tmp_path),
    ):
        pass


class EmptyAnswer(http.server.BaseHTTPRequestHandler):
    """A server of somebody else: it answers everything with {}."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")


def test_a_port_that_is_taken_meanwhile_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(EmptyAnswer) as taken:
        ports = iter([taken, emulator.free_port()])
        monkeypatch.setattr(emulator, "free_port", lambda: next(ports))
        with embedded(log_dir=tmp_path) as target:
            assert urlsplit(target.endpoint_url or "").port != taken
            assert target.account == "000000000000"


def test_old_logs_are_removed(tmp_path: Path) -> None:
    for _ in range(emulator.KEPT_LOGS + 3):
        emulator.new_log_folder(tmp_path)
    assert len(list(tmp_path.iterdir())) == emulator.KEPT_LOGS


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://192.0.2.1:4566", "is not this machine"),
        ("https://sqs.us-east-1.amazonaws.com", "is not this machine"),
        ("http://127.0.0.1.evil", "is not this machine"),
        ("127.0.0.1:4566", "no address"),
        ("file:///etc/passwd", "no address"),
        ("", "no address"),
    ],
)
def test_an_endpoint_that_is_no_address_of_this_machine_is_refused(
    url: str, why: str, tmp_path: Path
) -> None:
    with pytest.raises(SandboxError, match=why), endpoint(url, log_dir=tmp_path):
        pass


def test_an_endpoint_that_runs_already_is_used(shared: Target, tmp_path: Path) -> None:
    url, certificate = shared.endpoint_url or "", shared.certificate
    with endpoint(url, certificate=certificate, keys=shared.keys, log_dir=tmp_path) as target:
        assert target.account == shared.account
        assert target.name == "endpoint"
        stack = Deployment(target, "stack", {})
        assert not stack.executes("api-gateway-request-validation")
