"""The page of mutants counts what tests noticed and lists what they did not."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT, run
from tools.mutants import __main__ as mutants
from tools.mutants.__main__ import Mutant
from tools.mutants.runner import CODES, NOBODY_LOOKED, NOTICED

if TYPE_CHECKING:
    from pathlib import Path


def test_the_page_counts_what_was_noticed_and_explains_what_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons = tmp_path / "survivors.toml"
    reasons.write_text("\"logger.info(2)\" = 'The wording of a log.'\n")
    monkeypatch.setattr(mutants, "EXPLAINED", reasons)
    found = [
        Mutant("a.py", "f", (), 1),
        Mutant("a.py", "f", (), -24),  # ran without end
        Mutant("a.py", "g", ("-    logger.info(1)", "+    logger.info(2)"), 0),
        Mutant("b.py", "h", ("-    return 1", "+    return 2"), 33),  # no test reaches it
        Mutant("b.py", "h", (), None),  # not tried
        Mutant(
            "b.py", "i", ('-    raise E("Set it to one.")', '+    raise E("XXSet it to one.XX")'), 0
        ),
    ]
    page = mutants.page(found, "2026-11-26", "a random sample")
    assert "mutmut made 6 changes and tried 5 of them, a random sample. Tests noticed 2: " in page
    assert "2: **40.0 %** (11.8 % to 76.9 %). 1 more" in page
    assert "the share is **50.0 %** (15.0 % to 85.0 %)" in page
    assert "| `a.py` | 3 | 2 | 67 % |\n| `b.py` | 2 | 0 | 0 % |" in page
    assert "Set it" not in page
    assert "- `a.py` g: `logger.info(1)` → `logger.info(2)`. The wording of a log.\n" in page
    assert "- `b.py` h: `return 1` → `return 2`. Not explained yet.\n" in page


@pytest.mark.parametrize(
    ("text", "change", "explained"),
    [
        ("strict=None", ("-zip(a, strict=True)", "+zip(a, strict=None)"), True),
        ("zip(a, ", ("-zip(a, strict=True)", "+zip(a, strict=None)"), False),
        ("zip(a, ", ("-zip(a, strict=True)", "+zip(b, strict=True)"), False),
        ("strict=True", ("-    strict=True,",), True),
    ],
)
def test_an_explanation_is_of_what_a_change_puts_in_and_not_of_its_whole_line(
    text: str, change: tuple[str, ...], *, explained: bool
) -> None:
    assert Mutant("a.py", "f", change, 0).puts_in(text) is explained


@pytest.mark.parametrize(
    ("before", "after", "is_wording"),
    [
        ('raise E("Set it to one.")', 'raise E("XXSet it to one.XX")', True),
        ('    "half done. Lower it."', '    "HALF DONE. LOWER IT."', True),
        ('f"It has {most} keys or more"', 'f"it has {most} keys or more"', True),
        (
            'f"It takes {seconds * 1000} ms at most"',
            'f"It takes {seconds * 1001} ms at most"',
            False,
        ),
        ('raise E("Set it to one.")', "raise E(None)", False),
        ('if kind == "Task":', 'if kind == "XXTaskXX":', False),
        ('identifier(id, "event_id")', 'identifier(id, "EVENT_ID")', False),
        ('return " or ".join(names)', 'return "XX or XX".join(names)', False),
    ],
)
def test_wording_is_a_sentences_words_and_neither_a_name_nor_a_value(
    before: str, after: str, is_wording: bool
) -> None:
    assert Mutant("a.py", "f", (f"-{before}", f"+{after}"), 0).is_wording is is_wording


def test_a_sample_is_random_and_the_same_for_its_seed_whatever_the_groups() -> None:
    made = {
        "a": [f"a{number}" for number in range(90)],
        "b": [f"b{number}" for number in range(10)],
    }
    one, again, other = (mutants.drawn(made, 20, seed) for seed in (1, 1, 2))
    assert one == again != other
    assert sum(map(len, one.values())) == 20
    assert one["a"]
    assert (
        mutants.drawn(made, None, 1)
        == mutants.drawn(made, 1_000, 1)
        == {group: sorted(names) for group, names in made.items()}
    )


@pytest.mark.parametrize(
    ("killed", "tried", "said"),
    [
        (0, 0, "**0.0 %** (0.0 % to 79.3 %)"),
        (95, 100, "**95.0 %** (88.8 % to 97.8 %)"),
        (570, 600, "**95.0 %** (93.0 % to 96.5 %)"),
    ],
)
def test_a_share_of_a_sample_says_how_exact_it_is(killed: int, tried: int, said: str) -> None:
    """Wilson's interval, as other calculators give it."""
    assert mutants.share(killed, tried) == said


@pytest.mark.parametrize("group", mutants.GROUPS)
def test_a_group_names_files_and_tests_that_are_there(group: str) -> None:
    mutated, tests = mutants.GROUPS[group]
    assert all([*ROOT.glob(path)] for path in [*mutated, *tests])


def test_every_handlers_rules_are_mutated() -> None:
    covered = {file for mutated, _ in mutants.GROUPS.values() for it in mutated
               for file in ROOT.glob(it)}  # fmt: skip
    assert {*ROOT.glob("lambdas/*/logic.py")} <= covered


def test_a_rule_is_changed_as_well_though_it_is_decorated() -> None:
    source = '@rule("E1",\n    "sqs")\ndef one(scenario):\n    return 1\n\n@cache\ndef two(): ...\n'
    made = mutants.decorated_last(source).splitlines()
    assert made[-1] == "rule('E1', 'sqs')(one)"
    assert made[:-1] == ["", "", *source.splitlines()[2:]]


def test_a_change_is_noticed_by_the_tests_that_reach_it_and_by_no_other(tmp_path: Path) -> None:
    module = tmp_path / "mutmut" / "mutation"
    module.mkdir(parents=True)
    (module / "trampoline.py").write_text(
        "now = ['']\ndef set_mutant_under_test(name):\n    now[0] = name\n"
    )
    (tmp_path / "test_it.py").write_text(
        "from mutmut.mutation.trampoline import now\n"
        "import pytest\n"
        "@pytest.fixture(scope='module')\ndef shared():\n    return now[0]\n"
        "def test_reaches(shared):\n    pass\n"
        "def test_shares(shared):\n    assert shared != 'm.f__mutmut_1'\n"
        "def test_reaches_nothing():\n    assert False\n"
    )
    stats = {
        "duration_by_test": {"test_it.py::test_reaches": 0.1},
        "tests_by_mangled_function_name": {"m.f": ["test_it.py::test_reaches"]},
    }
    (tmp_path / "mutmut-stats.json").write_text(json.dumps(stats))
    (tmp_path / "pyproject.toml").write_text(
        "[tool.mutmut]\npytest_add_cli_args = ['-p', 'no:cacheprovider']\n"
        "pytest_add_cli_args_test_selection = ['test_it.py']\n"
    )
    names = ["m.f__mutmut_1", "m.f__mutmut_2", "m.g__mutmut_1"]
    done = run(sys.executable, str(mutants.RUNNER), cwd=tmp_path, input=json.dumps(names))
    assert (tmp_path / CODES).exists(), done.stdout + done.stderr
    codes = json.loads((tmp_path / CODES).read_text())
    assert codes == {names[0]: NOTICED, names[1]: 0, names[2]: NOBODY_LOOKED}
