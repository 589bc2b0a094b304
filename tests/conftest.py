"""What every test starts from: the pinned Node, and no credentials of the caller."""

from __future__ import annotations

import fcntl
import gc
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from serverless_patterns import environment
from serverless_patterns.patterns import catalog
from tests import declared

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from aws_cdk import Stack

    from tests.stacks import Stacks

os.environ.update(environment.for_jsii())
# The CDK's own validator costs a second a synthesis: Stacks runs it, once for each stack.
os.environ["CDK_VALIDATION"] = "false"

# Tests run in parallel: that one is slow says something about the machine.
# The gate tries the same examples each time; at a developer's, each run tries others.
settings.register_profile(
    "parallel",
    settings(),
    deadline=None,
    derandomize="CI" in os.environ,
    # A test whose examples share what it is given says so.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("parallel")

ROOT = Path(__file__).resolve().parents[1]
WORKER = "PYTEST_XDIST_WORKER" in os.environ
ACCEPT = "If the change is meant, run `make snapshot`, look at the difference and commit it."
SCENARIOS = "tests/test_scenarios.py"
LONG = (  # the longest first
    SCENARIOS,
    "tests/sandbox/test_localstack_scenarios.py",
    "tests/sandbox/test_localstack.py",
    "tests/sandbox/test_alarms.py",
    "tests/test_checkov.py",
    "tests/test_types.py",
    "tests/test_wheel.py",
    "tests/tools/test_copy.py",
    "tests/lambdas/test_consumers.py",
    "tests/test_templates.py",
    "tests/sandbox/",  # these wait, so they go while others compute
    "tests/tools/test_new.py",  # copies the cache of tests/test_types.py, so that has to have ended
)


def run(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, and keep what it prints."""
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def page_of(pattern: catalog.Pattern) -> str:
    """The text of a pattern's page; the test fails if it has none."""
    file = pattern.folder / "README.md"
    if not file.is_file():
        form = "in the form of another pattern's page"
        pytest.fail(f"{pattern.slug} has no page: write {file.relative_to(ROOT)} {form}.", False)
    return file.read_text(encoding="utf-8")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--pattern``, which leaves out what other patterns declare: importing it takes time."""
    parser.addoption("--pattern", help="hold this pattern alone to what all patterns promise")


def pytest_configure(config: pytest.Config) -> None:
    """Tell the suites which pattern the run is about."""
    if slug := config.getoption("pattern", None):
        declared.ONLY.update({slug, "blocks"})


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One worker for each core, and, in a whole run, two more: tests with an engine mostly wait."""
    return (os.cpu_count() or 1) + 2 * (not config.option.keyword)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the long files first, so that no worker is left alone with one at the end."""
    if WORKER:
        items.sort(key=lambda item: [not item.nodeid.startswith(file) for file in LONG])


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Leave what is imported out of garbage collection: the CDK alone has a million objects."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_runtest_logstart(nodeid: str) -> None:
    """Let the scenarios go first on a busy machine: they have deadlines, as their users do."""
    if WORKER and not nodeid.startswith(SCENARIOS) and os.nice(0) == 0:
        os.nice(10)


@pytest.fixture(autouse=True)
def _no_credentials_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="session")
def cdk_context() -> dict[str, Any]:
    """The context that ``cdk.json`` gives the app, if any."""
    context: dict[str, Any] = json.loads((ROOT / "cdk.json").read_text()).get("context", {})
    return context


@pytest.fixture(scope="session")
def stacks(tmp_path_factory: pytest.TempPathFactory, cdk_context: dict[str, Any]) -> Stacks:
    """Each pattern's stack, synthesized once a run, whatever the number of workers."""
    from tests.stacks import Stacks  # loads the CDK, which most tests do without

    folder = tmp_path_factory.getbasetemp()
    kept = (folder.parent if WORKER else folder) / "stacks"
    return Stacks(kept, cdk_context, quick=bool(declared.ONLY))


@pytest.fixture(scope="session")
def demo_app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole app as the CDK CLI synthesizes it, once a run, whatever the number of workers."""
    from serverless_patterns.sandbox import process, runtime  # loads what most tests do without

    folder = tmp_path_factory.getbasetemp()
    folder, found = folder.parent if WORKER else folder, runtime.find(ROOT)
    outdir, environment = folder / "demo_app", process.without_aws(os.environ)
    command = [*found.cdk, "synth", "--quiet", "--no-notices", "--output", str(outdir)]
    with (folder / "demo_app.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (outdir / "manifest.json").exists():
            done = run(*command, cwd=ROOT, env=environment | {"PATH": found.path})
            assert done.returncode == 0, done.stderr
    return outdir


@pytest.fixture(params=catalog.patterns(), ids=lambda pattern: pattern.slug)
def pattern(request: pytest.FixtureRequest) -> catalog.Pattern:
    """Every pattern: a test that asks for one runs with each."""
    found: catalog.Pattern = request.param
    return found


@pytest.fixture
def template(pattern: catalog.Pattern, stacks: Stacks) -> dict[str, Any]:
    """The template of the stack of the ``pattern`` that the test is about; read only."""
    return stacks.template(pattern.slug)


@pytest.fixture
def stack() -> Stack:
    """An empty stack of an app of its own."""
    from aws_cdk import App, Stack

    return Stack(App(), "Stack")


@pytest.fixture
def check_generated(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compares a file with what it has to be now; ``make snapshot`` writes it."""

    def check(file: Path, now: str) -> None:
        there = file.read_text(encoding="utf-8") if file.is_file() else ""
        # Not for nothing: a test of another worker may just read it, and must not find it empty.
        if there != now and request.config.getoption("update_snapshots"):
            file.write_text(now, encoding="utf-8")
            return
        assert there == now, f"{file.name} is generated. {ACCEPT}"

    return check
