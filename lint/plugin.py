"""The rule pack inside a CDK app: ``Validations.of(app).add_plugins(EventLossChecks())``.

It checks what the app synthesizes, whatever made it: escape hatches, aspects and other libraries.
The CDK's report names the construct; ``Validations.of(construct).acknowledge(…)`` answers a
finding, such as ``EventLoss::W9104``, with a reason.
"""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsii
from aws_cdk import (
    IPolicyValidationContext,
    IPolicyValidationPlugin,
    PolicyValidationPluginReport,
    PolicyViolatingResource,
    PolicyViolation,
)

from .__main__ import NOTICE, rules, runner

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cfnlint.match import Match

SEVERITIES = {"error": "error", "warning": "warning", "informational": "info"}


@jsii.implements(IPolicyValidationPlugin)
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

    def validate(self, context: IPolicyValidationContext) -> PolicyValidationPluginReport:
        """Check the app's templates, as the CDK asks."""
        files = [file for path in context.template_paths for file in (path, *_nested(Path(path)))]
        if not files:
            return PolicyValidationPluginReport(success=True, violations=[])
        checker = runner([*self._options, "--", *files])
        notice: Any = checker.rules[NOTICE]
        notice.always = False  # nested stacks are found otherwise
        found = [_violation(match) for match in checker.run()]
        success = all(violation.severity != "error" for violation in found)
        return PolicyValidationPluginReport(success=success, violations=found)


def _nested(template: Path) -> Iterator[str]:
    """Yield the templates of a stack's nested stacks: they are among its assets."""
    assets = template.with_name(template.name.replace(".template.json", ".assets.json"))
    listed = json.loads(assets.read_text(encoding="utf-8")) if assets.exists() else {}
    for asset in listed.get("files", {}).values():
        path = str(asset.get("source", {}).get("path"))
        if path.endswith(".nested.template.json"):
            yield str(template.with_name(path))


def _violation(match: Match) -> PolicyViolation:
    path = [str(part) for part in getattr(match, "path", ())]
    resource = PolicyViolatingResource(
        locations=[".".join(path[2:])] if path[2:] else [],
        resource_logical_id=path[1] if path[:1] == ["Resources"] and path[1:] else None,
        template_path=match.filename,
    )
    return PolicyViolation(
        rule_name=match.rule.id,
        description=match.message,
        fix=match.rule.description,
        severity=SEVERITIES[match.rule.severity],
        rule_metadata={"source": match.rule.source_url},
        violating_resources=[resource],
    )
