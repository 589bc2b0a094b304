"""The catalogue finds every pattern, and every pattern has the same form."""

from __future__ import annotations

import ast
import errno
import html
import io
import json
import os
import re
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, Stack
from rich.console import Console

from serverless_patterns import __main__ as command_line
from serverless_patterns.patterns import catalog
from tests.conftest import ROOT, page_of, run
from tools import proofs

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from serverless_patterns.patterns.catalog import Pattern

PATTERNS = catalog.patterns()
HEADINGS = [
    "Use it when",
    "Use something else when",
    "What happens when it fails",
    "Guarantees",
    "Limits",
    "Cost",
    "Runbook",
    "What is proven where",
    "Try it",
    "Copy it",
    "Change it",
]


def test_a_pattern_is_found_by_its_slug_and_by_its_stack() -> None:
    assert catalog.find("api_sqs_lambda") == catalog.find("api-sqs-lambda")
    assert catalog.find("api_sqs_lambda") in PATTERNS


def test_an_unknown_pattern_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"no pattern 'nope'.*api_sqs_lambda"):
        catalog.find("nope")


@pytest.mark.parametrize("command", ["list", "try", "deploy", "destroy", "scenario", "copy"])
def test_every_command_refuses_an_unknown_pattern_with_those_there_are(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.main([command, "nope", *["folder"] * (command == "copy")]) == 2
    assert "There is no pattern 'nope'. There are: api_sqs_lambda, " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("number", "said"), [(errno.ENOSPC, "set TMPDIR"), (errno.EACCES, "'/theirs'")]
)
def test_a_full_disk_and_a_folder_of_others_are_named_without_a_traceback(
    number: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: str) -> None:
        raise OSError(number, os.strerror(number), "/theirs")

    monkeypatch.setattr(catalog, "find", fail)
    assert command_line.main(["list", "api_sqs_lambda"]) == 2
    assert said in capsys.readouterr().out.replace("\n", " ")


def test_the_quick_tests_ask_first_whether_there_is_such_a_pattern() -> None:
    done = run("make", "--dry-run", "test", "PATTERN=nope", cwd=ROOT)
    assert '-m serverless_patterns list "nope" && ruff' in done.stdout


def test_the_command_line_lists_every_pattern(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main([]) == 0
    printed = capsys.readouterr().out
    assert all(pattern.slug in printed for pattern in PATTERNS)


def test_the_picture_of_what_was_printed_takes_nothing_from_elsewhere(tmp_path: Path) -> None:
    console = Console(record=True, file=io.StringIO())
    console.print("no event is lost")
    command_line.save_picture(console, tmp_path / "try.svg", "make try")
    picture = (tmp_path / "try.svg").read_text(encoding="utf-8")
    assert "no&#160;event&#160;is&#160;lost" in picture
    assert "url(" not in picture.replace("url(#", "")


def test_the_picture_gives_each_character_a_place_so_that_columns_line_up_in_any_font(
    tmp_path: Path,
) -> None:
    console = Console(record=True, file=io.StringIO())
    console.print("[green]✓[/] kept   1,000\n\n[red]✗[/] lost <&>   7")
    command_line.save_picture(console, tmp_path / "try.svg", "make try")
    picture = (tmp_path / "try.svg").read_text(encoding="utf-8")
    lines = re.findall(r'x="([\d. ]+)" y="[\d.]+" clip-path="[^"]+">([^<]+)<', picture)
    cells = [(places.split(), html.unescape(text)) for places, text in lines]
    assert all(len(places) == len(text) for places, text in cells)
    ends = {text[-1]: places[-1] for places, text in cells}
    assert ends["0"] == ends["7"], "the numbers end in one column"


def test_after_a_try_it_says_what_is_next(
    pattern: Pattern, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command_line, "_deploy_and_drive", lambda *_: 0)
    monkeypatch.setattr("serverless_patterns.sandbox.embedded", lambda **_: nullcontext())
    assert command_line.main(["try", pattern.slug]) == 0
    printed = capsys.readouterr().out
    for command in ("up", "deploy", "copy"):
        assert f" make {command} PATTERN={pattern.slug}" in printed
    (page,) = re.findall(r"\S+README.md", printed)
    assert (ROOT / page).samefile(pattern.folder / "README.md")


def test_listing_the_patterns_does_not_import_the_cdk() -> None:
    code = (
        "import sys; from serverless_patterns.__main__ import main; main([]); "
        "sys.exit('aws_cdk' in sys.modules)"
    )
    done = run(sys.executable, "-c", code, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_the_readme_lists_every_pattern_with_its_flow_line(
    check_generated: Callable[[Path, str], None],
) -> None:
    rows = [f"| [`{p.slug}`](patterns/{p.slug}/README.md) | {p.flow} |\n" for p in PATTERNS]
    table = "".join(["| Pattern | Flow |\n|---|---|\n", *rows])
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    listing = r"\| Pattern \| Flow \|\n(\|.*\n)+"
    assert re.search(listing, text)
    check_generated(readme, re.sub(listing, lambda _: table, text))


def test_a_pattern_has_all_its_parts(pattern: Pattern) -> None:
    parts = ["construct.py", "stack.py", "scenario.py", "README.md", "diagram.svg"]
    missing = [part for part in parts if not (pattern.folder / part).exists()]
    missing += [name for name in ("lambdas", "tests") if not (ROOT / name / pattern.slug).is_dir()]
    fix = "CONTRIBUTING.md says what each is for, and `make snapshot` draws the diagram."
    assert not missing, f"{pattern.slug} lacks {', '.join(missing)}. {fix}"


def test_what_is_missing_or_changed_is_named_with_what_to_do(
    check_generated: Callable[[Path, str], None],
    pytestconfig: pytest.Config,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pytestconfig.option, "update_snapshots", False)
    with pytest.raises(pytest.fail.Exception, match=r"new has no page: write patterns/new/README"):
        page_of(catalog.Pattern("new"))
    with pytest.raises(AssertionError, match=r"diagram\.svg is generated.*run `make snapshot`"):
        check_generated(catalog.Pattern("new").folder / "diagram.svg", "<svg/>")


def test_a_page_starts_with_the_flow_line_and_has_every_heading(pattern: Pattern) -> None:
    text = page_of(pattern)
    assert pattern.flow in text.split("## ", 1)[0]
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS


def test_every_test_that_a_page_names_is_there(pattern: Pattern) -> None:
    text, there = page_of(pattern), proofs.defined()
    assert all(proofs.EVIDENCE.search(evidence) for _, evidence, _ in proofs.rows(text))
    named = proofs.names(text) | set(re.findall(r"`(test_[a-z0-9_]+)`", text))
    assert named
    gone = [name for name in named if name not in there and not (ROOT / name).exists()]
    assert gone == []


def test_a_pattern_imports_no_other_pattern(pattern: Pattern) -> None:
    others = {other.slug for other in PATTERNS} - {pattern.slug}
    for path in pattern.folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            module = getattr(node, "module", None) or ""
            assert not set(module.split(".")) & others, f"{path.name}: {module}"


def test_no_resource_has_a_physical_name_that_a_second_stack_would_clash_with(
    template: dict[str, Any],
) -> None:
    for logical_id, resource in template["Resources"].items():
        kind = resource["Type"].rsplit("::", 1)[1]
        for name in ("Name", f"{kind}Name"):
            value = resource.get("Properties", {}).get(name)
            if resource["Type"] in DISPLAY_NAMES or value is None:
                continue
            assert "AWS::StackId" in json.dumps(value), f"{logical_id}.{name} is {value!r}"


# Their names are labels below a parent of the stack's own, or need not be unique.
DISPLAY_NAMES = {
    "AWS::ApiGateway::RestApi",
    "AWS::ApiGateway::Stage",
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::Authorizer",
    "AWS::ApiGatewayV2::Stage",
    "AWS::AppSync::Api",
    "AWS::AppSync::ChannelNamespace",
    "AWS::IAM::Policy",
    "AWS::Lambda::Alias",
}


def test_the_outputs_have_plain_names(template: dict[str, Any]) -> None:
    names = template["Outputs"]
    assert names
    assert all(re.fullmatch(r"([A-Z][a-z0-9]+)+", name) for name in names)


def test_a_stack_is_removed_without_residue(template: dict[str, Any]) -> None:
    kept = [
        logical_id
        for logical_id, resource in template["Resources"].items()
        if resource.get("DeletionPolicy", "Delete") != "Delete"
    ]
    assert not kept


def test_two_demo_stacks_fit_in_one_app(pattern: Pattern, cdk_context: dict[str, Any]) -> None:
    app = App(context=cdk_context)
    stacks: list[Stack] = [pattern.demo_stack(app, name) for name in ("one", "two")]
    assert len(app.synth().stacks) == len(stacks)


def run_app(outdir: Path, context: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Run the app as the CDK CLI does."""
    settings = {"CDK_OUTDIR": str(outdir), "CDK_CONTEXT_JSON": json.dumps(context)}
    return run(sys.executable, "app.py", cwd=ROOT, env=os.environ | settings)


def test_the_app_builds_the_stacks_that_are_named_alone(
    tmp_path: Path, cdk_context: dict[str, Any]
) -> None:
    named = {"aws:cdk:bundling-stacks": ["async-*"]}  # from cdk deploy 'async-*' --exclusively
    done = run_app(tmp_path, cdk_context | named)
    assert done.returncode == 0, done.stderr
    built = [path.name for path in tmp_path.glob("*.template.json")]
    assert built == ["async-lambda.template.json"]


def test_the_app_refuses_an_unknown_pattern_without_a_traceback(tmp_path: Path) -> None:
    done = run_app(tmp_path, {"pattern": "nope"})
    assert done.returncode == 1
    assert done.stderr.startswith("There is no pattern 'nope'. There are: api_sqs_lambda, ")
    assert done.stderr.count("\n") == 1
