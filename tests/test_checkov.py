"""checkov has no finding in the stacks but those that ``.checkov.yaml`` answers, and truly."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from serverless_patterns.patterns import catalog
from tests.conftest import ROOT, run
from tests.test_security import allowed, listed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.stacks import Stacks

CHECKOV = ROOT / ".venv-checkov" / "bin" / "checkov"
CONFIG = ROOT / ".checkov.yaml"
STACKS = {pattern.stack_name for pattern in catalog.patterns()}

# Added to every stack, so that silence is no pass: a topic in plain text, named after a secret.
SECRET = "AKIA" + "Q7SBZT4MXW2LKEHV"
PLANTED = {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": SECRET}}
PLANTED_FINDINGS = {
    ("CKV_AWS_26", "AWS::SNS::Topic.Planted"),
    ("CKV_SECRET_2", hashlib.sha1(SECRET.encode(), usedforsecurity=False).hexdigest()),
}


class Finding(NamedTuple):
    stack: str
    check: str
    resource: str


class Findings(NamedTuple):
    """What checkov finds as a user runs it, and what its skips hide; the templates."""

    shown: set[Finding]
    hidden: set[Finding]
    templates: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory, stacks: Stacks) -> Findings:
    if not CHECKOV.exists():
        pytest.fail("checkov is not installed here: run `make checkov`.", pytrace=False)
    outdir, home = tmp_path_factory.mktemp("cdk.out"), tmp_path_factory.mktemp("home")
    templates = {}
    for pattern in catalog.patterns():
        shutil.copytree(stacks.assembly(pattern.slug), outdir, dirs_exist_ok=True)
        file = outdir / stacks.file(pattern.slug).name
        template = json.loads(file.read_text())
        template["Resources"]["Planted"] = PLANTED
        file.write_text(json.dumps(template, indent=1))
        templates[pattern.stack_name] = template
    shown = run_checkov(outdir, home)
    # Templates alone, as every skip is of a check of these: secrets take half of a run.
    everything = run_checkov(outdir, home, "--skip-check", "", "--framework", "cloudformation")
    return Findings(shown, everything - shown, templates)


def run_checkov(folder: Path, home: Path, *options: str) -> set[Finding]:
    """Run it with its configuration, and without network, credentials and settings of the user."""
    environment = {"PATH": os.defpath, "HOME": str(home)}
    environment |= {"CKV_SKIP_PACKAGE_UPDATE_CHECK": "true", "CKV_PARSE_ERROR_FAIL": "true"}
    where = ("--directory", folder, "--output", "json")
    done = run(CHECKOV, *where, *options, cwd=ROOT, env=environment)
    assert done.returncode == 1, done.stdout + done.stderr  # the planted findings
    reports = json.loads(done.stdout)
    return {
        Finding(Path(found["file_path"]).name.split(".")[0], found["check_id"], found["resource"])
        for report in (reports if isinstance(reports, list) else [reports])
        for found in report["results"]["failed_checks"]
    }


def skips() -> dict[str, str]:
    """Each check that the configuration skips, with the comment above it."""
    listed = CONFIG.read_text().partition("\nskip-check:\n")[2]
    return {check: reason for reason, check in re.findall(r"((?: *#.*\n)*) *- *(.+)\n", listed)}


def lines(found: set[Finding]) -> str:
    return "\n".join(" ".join(finding) for finding in sorted(found))


def planted(stack: str) -> set[Finding]:
    return {Finding(stack, check, resource) for check, resource in PLANTED_FINDINGS}


def test_checkov_looks_into_every_stack_for_bad_settings_and_secrets(findings: Findings) -> None:
    missed = set().union(*map(planted, STACKS)) - findings.shown
    assert not missed, lines(missed)


def test_checkov_has_no_finding_without_an_answer(findings: Findings) -> None:
    left = findings.shown.difference(*map(planted, STACKS))
    assert not left, f"Fix it, or skip the check in {CONFIG.name}, with the reason:\n{lines(left)}"


def test_every_skip_still_hides_a_finding(findings: Findings) -> None:
    unneeded = skips().keys() - {found.check for found in findings.hidden}
    assert not unneeded, f"Remove from {CONFIG.name} what hides nothing any more: {unneeded}"


def test_nothing_is_hidden_but_by_a_skip_with_its_reason(findings: Findings) -> None:
    reasons = skips()
    unexplained = {found for found in findings.hidden if not reasons.get(found.check)}
    assert not unexplained, lines(unexplained)


# For the reasons that are about a resource: whether one is true of it, by its logical id.

CALLERS_THAT_KEEP_EVENTS = {
    "AWS::Lambda::EventSourceMapping",
    "AWS::KinesisFirehose::DeliveryStream",
    "AWS::StepFunctions::StateMachine",
    "Custom::S3AutoDeleteObjects",
}
# Its client waits for the answer, and is told of a failure.
CALLERS_THAT_WAIT = {
    "AWS::ApiGateway::Method",
    "AWS::ApiGatewayV2::Integration",
    "AWS::Lambda::Url",
}
NO_CALLERS = {"AWS::CloudWatch::Alarm", "AWS::IAM::Policy", "AWS::Lambda::Permission"}


def _is_encrypted_by_sqs(template: dict[str, Any], queue: str) -> bool:
    return template["Resources"][queue]["Properties"].get("SqsManagedSseEnabled") is True


INVOKE_CONFIG = "AWS::Lambda::EventInvokeConfig"


def _is_called_by_what_keeps_events(template: dict[str, Any], function: str) -> bool:
    resources = template["Resources"].values()
    naming = [r for r in resources if f'"{function}"' in json.dumps(r.get("Properties"))]
    callers = {resource["Type"] for resource in naming} - NO_CALLERS
    if not callers:  # a program calls it by its output, and waits: the stack tells cdk-nag so
        return {"Ref": function} in [output["Value"] for output in template["Outputs"].values()]
    known = CALLERS_THAT_KEEP_EVENTS | CALLERS_THAT_WAIT
    return callers <= known or _keeps_failures_or_runs_again(template, function)


def _keeps_failures_or_runs_again(template: dict[str, Any], function: str) -> bool:
    mine = [r for r in template["Resources"].values() if f'"{function}"' in json.dumps(r)]
    kept = ["OnFailure" in json.dumps(r) for r in mine if r["Type"] == INVOKE_CONFIG]
    rules = [r["Properties"] for r in mine if r["Type"] == "AWS::Events::Rule"]
    return any(kept) or (bool(rules) and all("ScheduleExpression" in rule for rule in rules))


def _has_no_answer_to_cache(template: dict[str, Any], _stage: str) -> bool:
    return all(
        method["Properties"]["HttpMethod"] == "POST"
        or "action/DescribeExecution" in json.dumps(method["Properties"]["Integration"])
        or any(_answers(template, method))
        for method in template["Resources"].values()
        if method["Type"] == "AWS::ApiGateway::Method"
    )


def _answers(template: dict[str, Any], method: dict[str, Any]) -> Any:
    """What the function is told that answers a method: where the statuses are that it tells."""
    uri = json.dumps(method["Properties"]["Integration"].get("Uri"))
    functions = [
        resource["Properties"]
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Lambda::Function" and f'"{name}"' in uri
    ]
    return [one["Environment"]["Variables"].get("STATUS_TABLE_NAME") for one in functions]


def _is_deleted_from_only_what_expires(template: dict[str, Any], bucket: str) -> bool:
    lifecycle = template["Resources"][bucket]["Properties"].get("LifecycleConfiguration", {})
    expiring = {
        json.dumps({"Fn::Join": ["", [{"Fn::GetAtt": [bucket, "Arn"]}, f"/{rule['Prefix']}*"]]})
        for rule in lifecycle.get("Rules", [])
        if rule["Status"] == "Enabled" and rule.get("Prefix") and "ExpirationInDays" in rule
    }
    return all(
        json.dumps(resource) in expiring
        for _, statement in allowed(template)
        for action in listed(statement["Action"])
        if action.startswith(("s3:Delete", "s3:*"))
        for resource in listed(statement["Resource"])
    )


def _verifies_messages(template: dict[str, Any], url: str) -> bool:
    (function, _) = template["Resources"][url]["Properties"]["TargetFunctionArn"]["Fn::GetAtt"]
    return "TOPIC_ARNS" in json.dumps(template["Resources"][function]["Properties"]["Environment"])


REASONS: dict[str, Callable[[dict[str, Any], str], bool]] = {
    "CKV_AWS_21": _is_deleted_from_only_what_expires,
    "CKV_AWS_27": _is_encrypted_by_sqs,
    "CKV_AWS_116": _is_called_by_what_keeps_events,
    "CKV_AWS_120": _has_no_answer_to_cache,
    "CKV_AWS_258": _verifies_messages,
}


@pytest.mark.parametrize("check", REASONS)
def test_a_skips_reason_is_true_of_every_resource_that_it_hides(
    findings: Findings, check: str
) -> None:
    wrong = {
        found
        for found in findings.hidden
        if found.check == check
        and not REASONS[check](findings.templates[found.stack], found.resource.rpartition(".")[2])
    }
    assert not wrong, f"The reason in {CONFIG.name} is not true of:\n{lines(wrong)}"
