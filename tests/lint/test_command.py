"""The command checks what it is given, whatever that is, and hides no finding."""

from __future__ import annotations

import io
import json
import re
import shlex
import sys
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lint.__main__ import main
from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

BAD = next((Path(__file__).parent / "templates" / "bad").glob("W9104-*.yaml"))
TEXT = BAD.read_text(encoding="utf-8")


@pytest.fixture
def check(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs the command in an empty folder; returns its status, and what it printed where."""
    monkeypatch.chdir(tmp_path)

    def run_it(*arguments: str | Path, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return int(end.value.code or 0), printed.out, printed.err

    return run_it


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str, str | dict[str, Any]], Path]:
    """Writes a file in the folder in which the command runs."""

    def write(name: str, content: str | dict[str, Any] = TEXT) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


BROKEN = {
    "no resources": "AWSTemplateFormatVersion: '2010-09-09'\n",
    "empty resources": "Resources:\n",
    "empty sections": f"Parameters:\nMetadata:\nTransform: AWS::Serverless-2016-10-31\n{TEXT}",
    "empty metadata of cfn-lint": f"Metadata: {{cfn-lint: }}\n{TEXT}",
    "a list": "[1, 2]",
    "a word": "word",
    "nothing": "",
    "no YAML": "{[",
    "resources in a list": "Resources: [1]\n",
    "a null resource": "Resources: {A: , B: 1, C: {Type: , Properties: }}\n",
}


@pytest.mark.parametrize("extra", [(), ("--all",)], ids=["own", "all"])
def test_a_broken_template_breaks_no_rule_and_hides_no_finding_of_the_others(
    extra: tuple[str, ...], check: Any, file: Any
) -> None:
    broken = [file(f"{name}.yaml", text) for name, text in BROKEN.items()]
    _, printed, _ = check(*extra, *broken, BAD)
    assert not re.search("E0002 .* rule [EWI]9", printed)
    assert f"{BAD}:" in printed
    for name in ("empty sections", "empty metadata of cfn-lint"):  # the rest of it is checked
        assert re.search(rf"W9104 [^\n]*\n[^\n]*/{name}.yaml:", printed)


def test_a_file_that_is_not_a_template_is_an_error_if_it_is_named(check: Any, file: Any) -> None:
    file("package.json", {"name": "a"})
    (file("data.bin", "")).write_bytes(b"\xff\xfe\x00")
    status, printed, _ = check("package.json", "data.bin", "missing.yaml")
    assert status == 2
    assert "package.json has no Resources: it is not a CloudFormation template." in printed
    assert "data.bin cannot be read: it is not text in UTF-8." in printed
    assert "missing.yaml cannot be read: No such file or directory." in printed
    assert check("--only-templates", "package.json", stdin=TEXT)[:2] == (0, "")


@pytest.mark.parametrize(
    "before",
    [
        ("--include-checks", "I"),
        ("-i", "W9105"),
        ("--ignore-checks", "W9105", "W9106"),
        ("--format", "pretty"),
        ("-x", "E3012:strict=true"),
        ("--regions", "eu-west-1"),
        ("--non-zero-exit-code", "error", "--all", "--append-rules", str(ROOT / "docs")),
        ("-t",),
        ("--include-checks", "I", "--"),
    ],
    ids=" ".join,
)
def test_options_may_be_before_the_template_or_after_it(
    before: tuple[str, ...], check: Any
) -> None:
    assert re.search(r"W9104\s+Orders", check(*before, BAD)[1])
    if before[-1] not in ("--", "-t"):
        assert re.search(r"W9104\s+Orders", check(BAD, *before)[1])


def test_a_template_is_read_from_standard_input(check: Any) -> None:
    status, printed, _ = check("-", stdin=TEXT)
    assert (status, "W9104 Orders" in printed) == (4, True)


def test_cfn_lints_own_files_may_name_the_template(check: Any, file: Any) -> None:
    file("a.yaml")
    file("deployment.yaml", "{template-file-path: a.yaml, parameters: {}}")
    file("parameters.json", {"Parameters": {}})
    assert "W9104 Orders" in check("--deployment-files", "deployment.yaml")[1]
    assert "W9104 Orders" in check("a.yaml", "--parameter-files", "parameters.json")[1]


def test_no_template_is_a_wrong_call(check: Any) -> None:
    status, printed, said = check()
    assert (status, printed) == (1, "")
    assert said.startswith("usage: ")
    assert "Name a template, a folder, or - for standard input." in said


def test_every_template_of_a_folder_is_checked_and_nothing_else_in_it(
    check: Any, file: Any
) -> None:
    for name in ("a.yaml", "deep/b.template", "cdk.out/Stack.template.json", "with blank/c.yml"):
        file(name)
    file("broken.json", '{"Resources": {"A": {"Type": "AWS::SQS::Queue"')
    for name in ("node_modules/d.yaml", ".venv/e.yaml", "cdk.out/asset.1f/f.yaml"):
        file(name)
    for name in ("package.json", "cdk.out/manifest.json", "cdk.out/tree.json"):
        file(name, {"tree": {"Resources": 1}})
    file("picture.json").write_bytes(b"\x89PNG\r\n\x1a\n\xff")
    _, printed, _ = check("--format", "parseable", ".")
    found = {line.partition(":")[0] for line in printed.splitlines()}
    assert found == {
        "a.yaml",
        "broken.json",
        "cdk.out/Stack.template.json",
        "deep/b.template",
        "with blank/c.yml",
    }


def test_templates_that_the_options_ignore_are_not_checked(check: Any, file: Any) -> None:
    file("a.yaml")
    file("vendor/b.yaml")
    _, printed, _ = check(".", "--ignore-templates", "vendor/*.yaml")
    assert "a.yaml" in printed
    assert "b.yaml" not in printed


def test_a_run_that_is_interrupted_ends_in_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("serverless_patterns.lint.__main__.runner", interrupted)
    with pytest.raises(SystemExit, match="130"):
        main(["template.yaml"])
    assert capsys.readouterr().err == "Stopped.\n"


@pytest.mark.parametrize("wrong", [("--baseline",), ("--nonsense", BAD), ("--regions", "x-1", BAD)])
def test_a_wrong_option_is_a_wrong_call(wrong: tuple[str | Path, ...], check: Any) -> None:
    status, printed, said = check(*wrong)
    assert (status, printed) == (1, "")
    assert "usage: " in said


def test_a_check_may_be_ignored_for_a_whole_template(check: Any, file: Any) -> None:
    ignored = "Metadata: {cfn-lint: {config: {ignore_checks: [W9104]}, reasons: {W9104: Known.}}}\n"
    file("a.yaml", ignored + TEXT)
    assert check("a.yaml")[:2] == (0, "")


def test_a_folder_without_a_template_is_a_wrong_call(check: Any, file: Any) -> None:
    file("empty/package.json", {})
    status, _, said = check("empty")
    assert (status, said.splitlines()[-1]) == (1, "No template was found in empty.")


def test_a_path_may_have_blanks_and_one_argument_several_files(check: Any, file: Any) -> None:
    """As `make check TEMPLATE="…"` gives them."""
    file("my templates/a.yaml")
    file("b [1].yaml")
    for named in ("my templates/a.yaml", "my templates", "b [1].yaml"):
        assert "W9104 Orders" in check(named)[1]
    assert "it's one.yaml cannot be read" in check("it's one.yaml")[1]
    _, printed, _ = check(shlex.join([str(BAD), "my templates/a.yaml"]))
    assert printed.count("W9104 Orders") == 2
    many = " ".join(file(f"{name}.yaml").name for name in ascii_lowercase * 3)
    assert check(f"{many} {many}")[1].count("W9104 Orders") == 26


@pytest.mark.parametrize(
    ("rule", "setting", "said"),
    [
        ("W9104", "least=3", ""),
        ("W9104", "least=4", "fewer than 4 dead-letter"),
        ("W9112", "factor=1", ""),
        ("W9112", "factor=20", "20 x the timeout"),
        ("I9186", "ignored=99", ""),
    ],
)
def test_a_threshold_can_be_set(rule: str, setting: str, said: str, check: Any) -> None:
    file = next((BAD.parent).glob(f"{rule}-*"))
    assert rule in check(file, "--include-checks", "I")[1].replace(str(file), "")
    _, printed, _ = check("--configure-rule", f"{rule}:{setting}", file, "--include-checks", "I")
    assert said in printed
    assert bool(said) == (rule in printed.replace(str(file), ""))


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("W9104:nope=3", "W9104 has no setting nope; it has least."),
        ("W9105:least=3", "W9105 has no setting least; it has none."),
        ("W9104:least=few", "W9104:least must be a whole number (given few)."),
    ],
)
def test_a_setting_that_no_rule_has_is_a_wrong_call(setting: str, said: str, check: Any) -> None:
    status, printed, explained = check("--configure-rule", setting, BAD)
    assert (status, printed, explained.splitlines()[-1]) == (1, "", said)


def parent(location: str, **metadata: str) -> dict[str, Any]:
    properties = {"TemplateURL": location, "Parameters": {"Receives": "5"}}
    nested = {"Type": "AWS::CloudFormation::Stack", "Properties": properties, "Metadata": metadata}
    return {"Resources": {"Nested": nested}}


@pytest.mark.parametrize("metadata", [{}, {"aws:asset:path": "child.yaml"}])
def test_a_nested_stack_in_a_local_file_is_checked(
    metadata: dict[str, str], check: Any, file: Any
) -> None:
    location = "https://bucket.example/1f.json" if metadata else "child.yaml"
    file("stacks/parent.json", parent(location, **metadata))
    file("stacks/child.yaml")
    status, printed, said = check("stacks/parent.json")
    assert (status, said) == (4, "")
    assert "stacks/child.yaml" in printed


def test_a_nested_stack_of_the_cdk_is_found_among_its_assets(check: Any, file: Any) -> None:
    """As `cdk synth --no-asset-metadata` and an app that is run by itself write it."""
    asset = {"1f2e": {"source": {"path": "shopNested.nested.template.json"}}}
    file("shop.assets.json", {"files": asset})
    file("broken.assets.json", "{")
    file("shopNested.nested.template.json")
    template = parent("")
    place = template["Resources"]["Nested"]["Properties"]
    place["TemplateURL"] = {"Fn::Sub": "https://s3.${AWS::Region}.${AWS::URLSuffix}/a/1f2e.json"}
    file("shop.template.json", template)
    status, printed, said = check("shop.template.json")
    assert (status, said) == (4, "")
    assert "shopNested.nested.template.json" in printed


def test_a_default_that_the_parent_replaces_is_no_finding(check: Any, file: Any) -> None:
    own = "Parameters: {Receives: {Type: Number, Default: 1}}\n"
    file("child.yaml", own + TEXT.replace("maxReceiveCount: 3", "maxReceiveCount: !Ref Receives"))
    file("parent.json", parent("child.yaml"))
    assert "W9104 Orders" in check("child.yaml")[1]
    assert check("child.yaml", "parent.json")[:2] == (0, "")


def test_what_was_not_checked_is_said_beside_the_findings(check: Any, file: Any) -> None:
    file("parent.json", parent("missing.yaml"))
    status, printed, said = check("parent.json")
    assert (status, printed) == (0, "")
    assert said == (
        "parent.json: The template of Nested was not checked: the file missing.yaml is missing.\n"
    )
    status, printed, said = check("parent.json", "--include-checks", "I")
    assert (status, "Nested" in said) == (8, False)
    assert "I9001 The template of Nested" in printed


@pytest.mark.parametrize("location", ["https://b.example/a.yaml", "{{resolve:ssm:/a/template}}"])
def test_a_nested_template_that_is_no_file_is_not_called_a_missing_one(
    location: str, check: Any, file: Any
) -> None:
    file("parent.json", parent(location))
    assert "The template of Nested was not checked: it is in no local file." in check(".")[2]


def test_a_baseline_leaves_out_known_findings_wherever_they_move(check: Any, file: Any) -> None:
    file("a.yaml")
    assert check("a.yaml", "--write-baseline", "known.json")[0] == 0
    file("a.yaml", "# moved\n" + TEXT.replace("maxReceiveCount: 3", "maxReceiveCount: 2"))
    assert check("a.yaml", "--baseline", "known.json")[:2] == (0, "")
    file("b.yaml")
    assert "b.yaml" in check("a.yaml", "b.yaml", "--baseline", "known.json")[1]
    file("a.yaml", {"Resources": {}})
    _, _, said = check("a.yaml", "--baseline", "known.json")
    assert said == "Gone since known.json: 1 finding. Write it again.\n"


def test_a_baseline_that_is_none_says_how_to_make_one(check: Any) -> None:
    status, _, said = check(BAD, "--baseline", "missing.json")
    assert status == 1
    assert "missing.json is not a baseline" in said
    assert "--write-baseline" in said
    status, _, said = check(BAD, "--write-baseline", "missing/known.json")
    assert status == 1
    assert said.endswith("missing/known.json cannot be written: No such file or directory.\n")
