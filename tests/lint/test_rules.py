"""Each rule flags its fault and nothing else, and leaves the good twin beside it alone.

A template is named for the rule that it is about: templates/bad/<id>-….yaml has that one fault,
templates/good/<id>-….yaml is just on the other side of it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from serverless_patterns.lint.__main__ import main, rules, runner

if TYPE_CHECKING:
    from cfnlint.match import Match

TEMPLATES = Path(__file__).parent / "templates"
BAD, GOOD = sorted((TEMPLATES / "bad").iterdir()), sorted((TEMPLATES / "good").iterdir())
IDS = [rule.id for rule in rules()]


def rule_of(file: Path) -> str:
    return file.name.split("-")[0]


@pytest.fixture(scope="module")
def findings() -> dict[str, list[Match]]:
    """Every finding of one run over every template, by the template's path."""
    found: dict[str, list[Match]] = defaultdict(list)
    for match in runner(["--include-checks", "I", "--", *map(str, BAD + GOOD)]).run():
        found[str(match.filename)].append(match)
    return found


@pytest.mark.parametrize("file", BAD + GOOD, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_a_bad_template_is_flagged_for_its_fault_only_and_a_good_one_for_nothing(
    file: Path, findings: dict[str, list[Match]]
) -> None:
    found = {str(match.rule.id) for match in findings[str(file)]}
    if rule_of(file)[0] != "I":  # informational ones only in a template that is about one
        found = {rule for rule in found if rule[0] != "I"}
    assert found == ({rule_of(file)} if file in BAD else set())


@pytest.mark.parametrize("rule", IDS)
def test_a_rule_has_a_bad_template_and_a_good_twin(rule: str) -> None:
    assert rule in map(rule_of, BAD)
    assert rule in map(rule_of, GOOD)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule.id))
def test_a_rule_says_what_to_do_and_where_aws_says_so(rule: object) -> None:
    attributes = {name: getattr(rule, name) for name in ("shortdesc", "description", "tags")}
    assert all(attributes.values())
    assert re.fullmatch(
        r"https://docs\.aws\.amazon\.com/\S+\.html(#\S+)?", getattr(rule, "source_url", "")
    )


def test_a_finding_is_at_the_property_that_causes_it(findings: dict[str, list[Match]]) -> None:
    file = TEMPLATES / "bad" / "W9112-visibility-below-six-timeouts.yaml"
    match = next(match for match in findings[str(file)] if match.rule.id == "W9112")
    line = file.read_text(encoding="utf-8").splitlines()[match.linenumber - 1]
    assert "VisibilityTimeout" in line
    assert "needs 65 s" in match.message


@pytest.mark.parametrize(
    ("folder", "form", "status"), [("good", "json", 0), ("bad", "sarif", 2), ("bad", "junit", 2)]
)
def test_the_command_passes_on_cfn_lints_options_and_status(
    folder: str, form: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    file = next((TEMPLATES / folder).glob("E9101-*.yaml"))
    with pytest.raises(SystemExit) as end:
        main(["--format", form, str(file)])
    assert end.value.code == status
    report = capsys.readouterr().out
    for text in ("E9101", "both must be of the same type"):
        assert (text in report) is (status != 0)


def test_the_command_runs_cfn_lints_own_rules_only_when_asked() -> None:
    own, everything = (runner([str(GOOD[0])], everything=every) for every in (False, True))
    assert {name for name in own.rules if not name.startswith("E0")} == set(IDS)
    assert len(everything.rules) > len(own.rules) + 100
