"""Set-up does what is missing, skips what is done, repairs what broke, and explains a failure."""

from __future__ import annotations

import os
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from tests.conftest import ROOT, run
from tools import setup


def make_step(root: Path, code: str, digest: str = "1", **more: Path) -> setup.Step:
    """A step that runs this Python code in the root."""
    return setup.Step(
        "thing (of a test)",
        digest=digest,
        stamp=root / ".stamp",
        proof=root / "thing",
        commands=[[sys.executable, "-c", code]],
        **more,
    )


ADD_A_LINE = "open('thing', 'a').write('made\\n')"


def runs(root: Path) -> int:
    return len((root / "thing").read_text().splitlines())


def test_a_step_that_is_done_is_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_step(tmp_path, ADD_A_LINE).run(tmp_path, {})
    assert "thing (of a test): done in" in capsys.readouterr().out
    make_step(tmp_path, ADD_A_LINE).run(tmp_path, {})
    assert capsys.readouterr().out == ""
    assert runs(tmp_path) == 1


def test_a_step_with_other_inputs_or_without_its_result_is_redone(tmp_path: Path) -> None:
    make_step(tmp_path, ADD_A_LINE).run(tmp_path, {})
    other = make_step(tmp_path, ADD_A_LINE, digest="2")
    other.run(tmp_path, {})
    assert runs(tmp_path) == 2
    (tmp_path / "thing").unlink()
    other.run(tmp_path, {})
    assert runs(tmp_path) == 1


def test_an_interrupted_step_is_redone_from_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "half").touch()
    make_step(tmp_path, ADD_A_LINE).run(tmp_path, {})
    broken = make_step(tmp_path, "raise SystemExit(1)", digest="2")
    with pytest.raises(setup.SetupError):
        broken.run(tmp_path, {})
    assert not make_step(tmp_path, ADD_A_LINE).is_done(), "not even the older result counts"
    make_step(tmp_path, ADD_A_LINE, digest="2", remove=folder).run(tmp_path, {})
    assert not folder.exists()


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        ("error: No space left on device (os error 28)", "The disk is full"),
        ("npm error network request to the registry failed, reason: ENOTFOUND", "Is the network"),
        ("invalid peer certificate: UnknownIssuer", "A certificate is not trusted"),
        ("Hash mismatch for `uv==0.13.8`", "does not match the lock"),
        ("something else", "make clean"),
    ],
)
def test_a_failure_shows_its_output_its_log_and_the_likely_cause(
    tmp_path: Path, output: str, cause: str
) -> None:
    with pytest.raises(setup.SetupError) as failure:
        make_step(tmp_path, f"print({output!r}); raise SystemExit(3)").run(tmp_path, {})
    message = str(failure.value)
    assert "thing (of a test) failed (exit 3)" in message
    assert output in message
    assert cause in message
    log = Path(message.rpartition("Log: ")[2])
    assert log.parent == tmp_path / ".build" / "logs"
    assert output in log.read_text()


def test_a_folder_that_cannot_be_written_is_named_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "/theirs/.build")

    monkeypatch.setattr(setup, "set_up", denied)
    monkeypatch.setattr(sys, "argv", ["setup.py"])
    assert setup.main() == 1
    said = capsys.readouterr().err
    assert "Permission denied: '/theirs/.build'" in said
    assert "Who owns it?" in said


def test_a_temporary_folder_that_is_full_or_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["setup.py"])
    monkeypatch.setattr(setup, "set_up", Mock())
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert setup.main() == 0
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Mock(free=1000))
    assert setup.main() == 1
    assert f"{tmp_path} is full: make room in it, or set TMPDIR." in capsys.readouterr().err
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    assert setup.main() == 1
    assert "which is no folder that can be written" in capsys.readouterr().err


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    step = replace(make_step(tmp_path, ""), commands=[["/nothing-here"]])
    with pytest.raises(setup.SetupError, match=r"cannot run .*nothing-here"):
        step.run(tmp_path, {})


def test_all_parallel_jobs_end_before_the_first_error_is_raised() -> None:
    ended = []

    def fail() -> None:
        raise setup.SetupError("first")

    def slow() -> None:
        time.sleep(0.2)
        ended.append("slow")

    with pytest.raises(setup.SetupError, match="first"):
        setup.in_parallel([fail, slow])
    assert ended == ["slow"]


def test_the_lines_that_pin_a_package_are_found_with_their_hashes() -> None:
    lock = (
        "uvicorn==1 \\\n    --hash=a\nuv==2 \\\n    --hash=b \\\n    --hash=c\n    # via x\nz==3\n"
    )
    assert setup.pinned(lock, "uv") == "uv==2 \\\n    --hash=b \\\n    --hash=c\n"
    with pytest.raises(setup.SetupError, match="does not pin rich"):
        setup.pinned(lock, "rich")


def test_another_place_another_python_or_another_lock_redo_the_environment(tmp_path: Path) -> None:
    for name in ("requirements.txt", "package.json", "package-lock.json", "sandbox", "tools"):
        (tmp_path / name).symlink_to(ROOT / name)
    both = zip(
        setup.steps(ROOT, also=setup.OPTIONAL),
        setup.steps(tmp_path, also=setup.OPTIONAL),
        strict=True,
    )
    same = [one.name for one, other in both if one.digest == other.digest]
    assert same == ["cdk CLI (node_modules)"], "it may be moved"


@pytest.mark.parametrize(
    ("code", "file"),
    [
        (setup.WRITE_BYTECODE, "serverless_patterns/patterns/catalog.py"),
        (setup.COLLECT, "tests/test_mine.py"),
    ],
)
def test_bytecode_is_left_on_disk_whatever_the_environment_and_code_that_is_broken_say(
    code: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    module = tmp_path / file
    module.parent.mkdir(parents=True)
    module.write_text("raise SyntaxError('half written')\n")
    make_step(tmp_path, code).run(tmp_path, setup.environment_for(tmp_path))
    assert list(module.parent.glob(f"__pycache__/{module.stem}.*.pyc"))


def test_make_test_compiles_its_tests_before_its_workers_would_all_do_so() -> None:
    names = [step.name for step in setup.steps(ROOT, also=setup.for_tests(ROOT))]
    assert "bytecode of the tests" in names
    assert "bytecode of the CDK" not in names


@pytest.mark.parametrize("name", setup.OPTIONAL)
def test_what_few_need_is_installed_only_when_it_is_asked_for(
    name: str,
) -> None:
    without, with_it = (
        {step.stamp.parent.name for step in setup.steps(ROOT, also=also)} for also in ((), (name,))
    )
    assert without == {".venv", ".venv-sandbox", "node_modules"}
    assert with_it - without == {f".venv-{name}"}


def test_the_second_embedded_aws_is_made_on_a_python_that_is_here_or_says_which_it_needs() -> None:
    step = setup.steps(ROOT, also=["localstack"])[-1]
    create, builds, sync = step.commands
    assert "--no-python-downloads" in create
    assert "3.13" in create[create.index("--python") + 1]
    assert builds[-1].endswith("setuptools.txt")
    assert {"--require-hashes", "--no-build-isolation"} <= {*sync}
    assert "Python 3.13 only" in setup.hint("error: No interpreter found for Python 3.13 in ...")


def test_make_test_has_the_second_embedded_aws_where_there_is_a_python_for_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(setup, "python_3_13", lambda: "/python")
    assert setup.for_tests(ROOT) == ["tests", "checkov", "localstack"]
    monkeypatch.setattr(setup, "python_3_13", lambda: "")
    assert setup.for_tests(ROOT) == ["tests", "checkov"]
    assert "No Python 3.13 here: the tests on the second embedded AWS" in capsys.readouterr().out
    makefile = (ROOT / "Makefile").read_text()
    assert (
        "test: $(if $(NAMED),,test-venvs)\ntest-venvs:\n\t@$(PYTHON) tools/setup.py --tests"
        in makefile
    )


def test_clean_removes_what_was_made_and_nothing_else(tmp_path: Path) -> None:
    keep = [".git/.mypy_cache/x", "src/app.py", "elsewhere/kept.py"]
    made = [".venv/bin/python", "node_modules/a", ".build/logs/x", "cdk.out/x"]
    made += ["src/__pycache__/app.pyc", ".pytest_cache/x", "src/deep/.ruff_cache/x"]
    made += [".venv-checkov/bin/checkov"]
    for name in keep + made:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / ".venv-sandbox").symlink_to(tmp_path / "elsewhere")
    setup.clean(tmp_path)
    assert [name for name in keep + made if (tmp_path / name).exists()] == keep
    assert not (tmp_path / ".venv-sandbox").is_symlink()


def test_a_set_up_project_is_left_alone_quickly_and_silently() -> None:
    if not all(step.is_done() for step in setup.steps(ROOT)):
        pytest.skip("set up by another Python or in another way")
    before = os.times()
    done = run(sys.executable, ROOT / "tools" / "setup.py")
    after = os.times()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    # Of the processor, so that a busy machine counts for nothing.
    assert sum(after[2:4]) - sum(before[2:4]) < 2
