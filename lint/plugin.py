"""The rule pack inside a CDK app: ``Validations.of(app).add_plugins(EventLossChecks())``.

It checks what the app synthesizes, whatever made it: escape hatches, aspects and other libraries.
The CDK's report names the construct; ``Validations.of(construct).acknowledge(…)`` answers a
finding, such as ``EventLoss::W9104``, with a reason. A CDK without ``Validations`` takes
``App(policy_validation_beta1=[EventLossChecks()])``, and each finding stops the synthesis.
"""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aws_cdk
import jsii

from .__main__ import NOTICE, rules, runner

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cfnlint.match import Match

SEVERITIES = {"error": "error", "warning": "warning", "informational": "info"}


def _cdk(name: str) -> Any:
    """Return a class of the CDK, whose name ended in ``Beta1`` before it was stable."""
    return getattr(aws_cdk, name, None) or getattr(aws_cdk, f"{name}Beta1")


@jsii.implements(_cdk("IPolicyValidationPlugin"))
class EventLossChecks:
    """Checks every stack of an app, nested ones too, for mistakes that lose events.

    An error (``E…``) stops the synthesis; a warning (``W…``) is reported.

    Args:
        options: Options of cfn-lint, such as ``["--include-checks", "I"]`` for advice, or
            ``["--configure-rule", "W9104:least=3"]``. Default: none.
    """

    def __init__(self, options: Iterable[str] = ()) -> None:
        self._options = list(options)

    @property
    def name(self) -> str:
        """The name in the report, and in the id that acknowledges a finding."""
        return "EventLoss"

    @property
    def version(self) -> str | None:
        """The version of this package; None when it is not installed as one."""
        try:
            return version("serverless-patterns")
        except PackageNotFoundError:
            return None

    @property
    def rule_ids(self) -> list[str]:
        """The rules that are checked."""
        return [rule.id for rule in rules()]

    def validate(self, context: Any) -> Any:
        """Check the app's templates, as the CDK asks."""
        files = [file for path in context.template_paths for file in (path, *_nested(Path(path)))]
        report = _cdk("PolicyValidationPluginReport")
        if not files:
            return report(success=True, violations=[])
        checker = runner([*self._options, "--", *files])
        notice: Any = checker.rules[NOTICE]
        notice.always = False  # nested stacks are found otherwise
        found = [_violation(match) for match in checker.run()]
        shows_warnings = hasattr(aws_cdk, "Validations")  # otherwise of a failure only
        stops = [each for each in found if each.severity == "error" or not shows_warnings]
        return report(success=not stops, violations=found)


def _nested(template: Path) -> Iterator[str]:
    """Yield the templates of a stack's nested stacks: they are among its assets."""
    assets = template.with_name(template.name.replace(".template.json", ".assets.json"))
    listed = json.loads(assets.read_text(encoding="utf-8")) if assets.exists() else {}
    for asset in listed.get("files", {}).values():
        path = str(asset.get("source", {}).get("path"))
        if path.endswith(".nested.template.json"):
            yield str(template.with_name(path))


def _violation(match: Match) -> Any:
    path = [str(part) for part in getattr(match, "path", ())]
    resource = _cdk("PolicyViolatingResource")(
        locations=[".".join(path[2:])] if path[2:] else [],
        resource_logical_id=path[1] if path[:1] == ["Resources"] and path[1:] else "",
        template_path=match.filename,
    )
    return _cdk("PolicyViolation")(
        rule_name=match.rule.id,
        description=match.message,
        fix=match.rule.description,
        severity=SEVERITIES[match.rule.severity],
        rule_metadata={"source": match.rule.source_url},
        violating_resources=[resource],
    )
