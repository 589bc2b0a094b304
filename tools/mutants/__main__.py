"""Changes the code in small ways and counts which changes a test notices: ``make mutants``.

mutmut mutates a copy of the project in ``.build/mutants``, and runs the fast tests that reach each
change. All of them take hours, so a random sample is tried: ``SAMPLE=600 SEED=1``, or
``SAMPLE=all``. The result goes into ``docs/reliability.md``: every change tried that none noticed.
"""

from __future__ import annotations

import argparse
import ast
import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .runner import CODES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".build" / "mutants"
PYTHON = WORK / ".venv" / "bin" / "python"
PACKAGE = "serverless_patterns"
RUNNER = Path(__file__).with_name("runner.py")
EXPLAINED = Path(__file__).with_name("survivors.toml")
PAGE = ROOT / "docs" / "reliability.md"
SAMPLE = WORK / "sample.txt"  # says which changes the last run tried
BEGIN, END = "<!-- mutants -->\n", "<!-- /mutants -->\n"
GOAL = 95  # percent
RULES = sorted(ROOT.glob("patterns/*/rules.py"))
# By a name for the command line: what is mutated, and the tests that are to notice it.
GROUPS: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "judges": (
        ["sandbox/ledger.py", "sandbox/report.py", "sandbox/judging.py"],
        ["tests/sandbox_driver/test_report.py", "tests/sandbox_driver/test_judging.py"],
    ),
    "checks": (["patterns/checks/*.py"], ["tests/checks"]),
    "rules": (
        [
            "lambdas/*/logic.py",
            "lambdas/async_lambda/rendering.py",
            "lambdas/dynamodb_streams_lambda/projection.py",
            "lambdas/eventbridge_bus/express.py",
            "lambdas/eventbridge_bus/publish.py",
            "lambdas/kinesis_lambda/totals.py",
            "lambdas/s3_events_lambda/price_lists.py",
        ],
        [
            "tests/*/test_handlers*.py",
            "tests/*/test_publisher.py",
            "tests/lambdas/test_rules*.py",
        ],
    ),
    "foundation": (
        ["lambdas/foundation/*.py"],
        ["tests/lambdas", "tests/redrive", "tests/*/test_handlers*.py", "tests/*/test_client.py"],
    ),
    "mappings": (
        [
            "patterns/api_sqs_lambda/mapping.py",
            "patterns/blocks/executions.py",
            "patterns/blocks/rest.py",
        ],
        [
            "tests/api_sqs_lambda/test_construct.py",
            "tests/blocks/test_executions.py",
            "tests/contracts/test_endpoints.py",
            "tests/contracts/test_mapping_templates.py",
            "tests/contracts/test_places.py",
        ],
    ),
    "rule_pack": (
        ["lint/checks/*.py", "patterns/*/rules.py"],
        [
            "tests/contracts/test_places.py",
            "tests/lint/test_forms.py",
            "tests/lint/test_messages.py",
            "tests/lint/test_robustness.py",
            "tests/lint/test_rules.py",
            "tests/lint/test_shared.py",
            *(f"tests/{path.parent.name}/test_construct.py" for path in RULES),
        ],
    ),
}
# They take seconds, and say what many events cost or how long a call may take.
SLOW = "not thousand and not hundred and not took_too_long and not largest_size"
KILLED, TIMED_OUT = (1,), (-signal.SIGXCPU, -signal.SIGALRM)
STRING = re.compile(r'f?"((?:[^"\\]|\\.)*)"')

# For the tests: a process that mutmut forks has no thread for what jsii waits for at its
# end, and a change that an example shows need not be shown by the smallest one. The quickest
# tests go first: most changes turn one of them red. What functions have cached is of the run
# before, in which nothing was changed.
CONFTEST = r"""

import atexit, os, re, sys
from hypothesis import Phase

def pytest_make_parametrize_id(val):
    if isinstance(val, str | bytes):  # the command line does not carry every id
        text = val if isinstance(val, str) else val.decode("latin-1")
        return re.sub(r"[^ -Z^-~]", "_", text)

def forget(package):
    ours = [it for name, it in sys.modules.items() if re.match(package, name)]
    for made in [made for module in ours for made in vars(module).values()]:
        if hasattr(made, "cache_clear"):
            made.cache_clear()

def pytest_runtest_setup(item):  # or only the first test that needs a template reaches its code
    forget(r"tests\.(contracts\.|.*test_construct)")

def pytest_collection_modifyitems(items):
    forget(r"serverless_patterns\.")
    stats = Path("mutmut-stats.json")
    seconds = json.loads(stats.read_text())["duration_by_test"] if stats.exists() else {}
    items.sort(key=lambda item: seconds.get(item.nodeid, 0))

os.register_at_fork(after_in_child=atexit._clear)
quick = {"max_examples": 20, "phases": (Phase.explicit, Phase.generate), "database": None}
settings.register_profile("mutants", settings.get_profile("parallel"), **quick)
settings.load_profile("mutants")
"""

# Makes the mutants without running them, and prints their names.
NAMES = """
import contextlib, io, json
from mutmut import __main__ as mutmut
from mutmut.mutation.trampoline import set_mutant_under_test

with contextlib.redirect_stdout(io.StringIO()):
    set_mutant_under_test("mutant_generation")
    mutmut.Path("mutants").mkdir()
    mutmut.copy_src_dir()
    mutmut.copy_also_copy_files()
    mutmut.setup_source_paths()
    mutmut.create_mutants(1)
    found, _ = mutmut.collect_source_file_mutation_data(mutant_names=())
print(json.dumps(sorted(name for _, name, _ in found)))
"""

# Prints, by the name of each mutant, the lines that it takes out and puts in.
DIFFS = """
import json, sys
from pathlib import Path
from mutmut.mutation.diff_apply import get_diff_for_mutant

found = {}
for name, path in json.load(sys.stdin):
    lines = get_diff_for_mutant(name, path=Path(path)).splitlines()[2:]
    found[name] = [line.rstrip() for line in lines if line[:1] in ("+", "-")]
json.dump(found, sys.stdout)
"""


@dataclass(frozen=True)
class Mutant:
    """A change: where it is, the lines that it takes out and puts in, and mutmut's exit code."""

    file: str
    function: str
    change: tuple[str, ...]
    code: int | None

    @property
    def is_killed(self) -> bool:
        """Whether a test noticed it, or ran without end."""
        return self.code in (*KILLED, *TIMED_OUT)

    def puts_in(self, text: str) -> bool:
        """Whether the change puts a text in, or, if it puts nothing in, takes it out."""
        old, new = ("\n".join(it[1:] for it in self.change if it[0] == way) for way in "-+")
        return text in new and text not in old if new else text in old

    @property
    def is_wording(self) -> bool:
        """Whether nothing but the words of a sentence are others: no name, no figure, no value."""
        return len({STRING.sub(without_words, line[1:]) for line in self.change}) == 1


def without_words(text: re.Match[str]) -> str:
    """Return what a string has beside words: its values, or all if it is no part of a sentence."""
    is_sentence = len(re.sub(r"\{[^}]*\}", "", text[1]).split()) > 2
    return " ".join(re.findall(r"\{[^}]*\}", text[1])) if is_sentence else text[0]


def prepare(group: str) -> Path:
    """Copy the project for a group; what are links to folders in it are the folders here."""
    uv, work = shutil.which("uv") or "uv", WORK / group
    if not PYTHON.exists():
        run(WORK, uv, "venv", "--quiet", "--python", sys.executable, str(PYTHON.parents[1]))
    locks = [str(ROOT / "requirements.txt"), str(EXPLAINED.with_name("requirements.txt"))]
    run(WORK, uv, "pip", "sync", "--quiet", "--require-hashes", "--python", str(PYTHON), *locks)
    shutil.rmtree(work, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__", "node_modules", ".*")
    shutil.copytree(ROOT / PACKAGE, work / PACKAGE, ignore=ignored)
    links = [link.name for link in (ROOT / PACKAGE).iterdir() if link.is_symlink()]
    for name in links:
        (work / name).symlink_to(Path(PACKAGE, name))
    for name in ("tests", "tools"):
        shutil.copytree(ROOT / name, work / name, ignore=ignored)
    with (work / "tests" / "conftest.py").open("a") as conftest:
        conftest.write(CONFTEST)
    for name in ("app.py", "cdk.json", "README.md"):
        shutil.copy(ROOT / name, work / name)
    for name in ("package.json", "package-lock.json"):  # as in the wheel
        shutil.copy(ROOT / name, work / PACKAGE / name)
    mutated, tests = GROUPS[group]
    for rules in (work / PACKAGE).glob("lint/checks/*.py"):
        rules.write_text(decorated_last(rules.read_text(encoding="utf-8")), encoding="utf-8")
    settings = {
        "source_paths": [PACKAGE],
        "only_mutate": [f"{PACKAGE}/{path}" for path in mutated],
        "also_copy": ["tools", "app.py", "cdk.json", "README.md", *links],
        "pytest_add_cli_args": ["-p", "no:cacheprovider", "-k", SLOW],
        "pytest_add_cli_args_test_selection": sorted(
            {str(it.relative_to(ROOT)) for test in tests for it in ROOT.glob(test)}
        ),
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    pytest = '[tool.pytest.ini_options]\npythonpath = ["."]\n'
    (work / "pyproject.toml").write_text("\n".join([pytest, "[tool.mutmut]", *lines, ""]))
    return work


def decorated_last(source: str) -> str:
    """Return a module that makes its rules at its end: mutmut leaves out what is decorated."""
    lines, last = source.splitlines(), list[str]()
    functions = [one for one in ast.parse(source).body if isinstance(one, ast.FunctionDef)]
    for name, it in ((one.name, it) for one in functions for it in one.decorator_list):
        if ast.unparse(it).startswith("rule("):
            lines[it.lineno - 1 : it.end_lineno] = [""] * ((it.end_lineno or 0) - it.lineno + 1)
            last.append(f"{ast.unparse(it)}({name})")
    return "\n".join([*lines, *last, ""])


def run(folder: Path, *command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder; exit with its code if it fails."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command, cwd=folder, check=False, text=True, **options)
    if done.returncode:
        sys.exit(done.returncode)
    return done


def names(group: str) -> list[str]:
    """Make the mutants of a group that is prepared, and return their names."""
    made = run(WORK / group, str(PYTHON), "-c", NAMES, stdout=subprocess.PIPE)
    found: list[str] = json.loads(made.stdout)
    return found


def drawn(made: dict[str, list[str]], size: int | None, seed: int) -> dict[str, list[str]]:
    """Return a random sample of all mutants by group; each has the same chance."""
    every = [(group, name) for group in sorted(made) for name in made[group]]
    chosen = random.Random(seed).sample(every, min(size or len(every), len(every)))  # noqa: S311
    return {group: sorted(name for of, name in chosen if of == group) for group in made}


def share(killed: int, tried: int) -> str:
    """Say a share, and where that of all changes is with a confidence of 95 % (Wilson)."""
    tried, z = max(1, tried), 1.96
    share = killed / tried
    half = z * math.sqrt(share * (1 - share) / tried + (z / (2 * tried)) ** 2)
    low, high = ((share + z * z / (2 * tried) + it) / (1 + z * z / tried) for it in (-half, half))
    return f"**{share:.1%}** ({low:.1%} to {high:.1%})".replace("%", " %")


def mutants(group: str) -> Iterator[Mutant]:
    """Yield what mutmut has made and run of a group."""
    work = WORK / group
    ran = json.loads((work / "mutants" / CODES).read_text())
    codes = {
        meta: {name: ran.get(name) for name in json.loads(meta.read_text())["exit_code_by_key"]}
        for meta in sorted(work.glob("mutants/**/*.py.meta"))
    }
    asked = [
        (name, str(meta.relative_to(work / "mutants").with_suffix("")))
        for meta, names in codes.items()
        for name, code in names.items()
        if code not in (*KILLED, *TIMED_OUT, None)
    ]
    done = subprocess.run(
        [str(PYTHON), "-c", DIFFS], cwd=work, input=json.dumps(asked), capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    changes = json.loads(done.stdout)
    for meta, names in codes.items():
        file = meta.relative_to(work / "mutants" / PACKAGE).as_posix().removesuffix(".meta")
        for name, code in names.items():
            function = name.rpartition(".")[2].rpartition("__mutmut_")[0].removeprefix("x_")
            function = function.replace("xǁ", "").replace("ǁ", ".")
            yield Mutant(file, function, tuple(changes.get(name, ())), code)


def page(found: Sequence[Mutant], day: str, sample: str) -> str:
    """Return the generated part of the page; ``sample`` says which changes were tried."""
    reasons = tomllib.loads(EXPLAINED.read_text(encoding="utf-8"))
    ran = [it for it in found if it.code is not None]
    killed = sum(it.is_killed for it in ran)
    wording = [it for it in ran if not it.is_killed and it.is_wording]
    lines = [
        f"On {day} mutmut made {len(found):,} changes and tried {len(ran):,} of them, {sample}. "
        f"Tests noticed {killed:,}: {share(killed, len(ran))}. {len(wording):,} more "
        "change only words of a sentence for a reader, and no value in it: no test repeats those. "
        f"Without them the share is {share(killed, len(ran) - len(wording))}. In brackets: where "
        "the share of all changes is, with a confidence of 95 %.",
        "", "| File | Tried | Noticed | Share |", "|---|--:|--:|--:|",
    ]  # fmt: skip
    tried, noticed = Counter(it.file for it in ran), Counter(it.file for it in ran if it.is_killed)
    lines += [
        f"| `{file}` | {count} | {noticed[file]} | {100 * noticed[file] / count:.0f} % |"
        for file, count in sorted(tried.items())
    ]
    lines += ["", "No test noticed these:", ""]
    for it in ran:
        if not it.is_killed and it not in wording:
            why = next((why for text, why in reasons.items() if it.puts_in(text)), None)
            shown = " → ".join(f"`{line[1:].strip()}`" for line in it.change)
            lines.append(f"- `{it.file}` {it.function}: {shown}. {why or 'Not explained yet.'}")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Mutate the groups named, or all, and write the page; with ``--page`` only write it."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join(GROUPS))
    parser.add_argument("--sample", type=number, default=600, help="how many changes, or all")
    parser.add_argument("--seed", type=int, default=1, help="another one draws another sample")
    parser.add_argument("--page", action="store_true", help="write the page from the last run")
    asked = parser.parse_args()
    if not asked.page:
        mutate(asked.groups or [*GROUPS], asked.sample, asked.seed)
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    found = [it for group in GROUPS if (WORK / group).exists() for it in mutants(group)]
    made = page(found, f"{datetime.now(UTC):%Y-%m-%d}", SAMPLE.read_text(encoding="utf-8"))
    PAGE.write_text(before + BEGIN + made + END + rest.split(END)[1], encoding="utf-8")
    print(made.splitlines()[0])
    judged = [it for it in found if it.code is not None and (it.is_killed or not it.is_wording)]
    return int(100 * sum(it.is_killed for it in judged) < GOAL * len(judged))


def number(text: str) -> int | None:
    """Return how many changes to try; None for all."""
    return None if text == "all" else int(text)


def mutate(groups: Sequence[str], size: int | None, seed: int) -> None:
    """Make the changes of some groups, and try a sample of them, one at a time."""
    for group in GROUPS:
        shutil.rmtree(WORK / group, ignore_errors=True)
    made = {prepare(group).name: names(group) for group in groups}
    SAMPLE.write_text(f"a random sample (`SEED={seed}`)" if size else "all", encoding="utf-8")
    for group, chosen in drawn(made, size, seed).items():
        if not chosen:
            continue
        work = WORK / group
        environment = {**os.environ, "CI": "1", "PATH": f"{PYTHON.parent}:{os.environ['PATH']}"}
        log = work / "log.txt"
        print(
            f"{group}: {len(chosen)} of {len(made[group])} changes; see {log.relative_to(ROOT)}",
            flush=True,
        )
        with log.open("w") as output:  # mutmut runs every test once, to know what each reaches
            command = [str(PYTHON), "-m", "mutmut", "run", "--max-children", "1", chosen[0]]
            run(work, *command, stdout=output, stderr=output, env=environment)
            run(
                work / "mutants", str(PYTHON), str(RUNNER), input=json.dumps(chosen),
                stdout=output, stderr=output, env=environment,
            )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
