"""What the rules do not check, and checks that are ignored without a reason."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cfnlint.rules import CloudFormationLintRule, RuleMatch

from ..conditions import MAX, as_object
from ..files import exists, nested_stacks
from ..template import RULES, partly_checked, rewriting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cfnlint.template import Template

ELSEWHERE = {  # by type, the properties that name what is written elsewhere, or for another stack
    "AWS::ApiGateway::RestApi": ("BodyS3Location",),
    "AWS::Serverless::Api": ("DefinitionUri",),
    "AWS::StepFunctions::StateMachine": ("DefinitionS3Location",),
    "AWS::Serverless::StateMachine": ("DefinitionUri",),
    "AWS::CloudFormation::StackSet": ("TemplateBody", "TemplateURL"),
}
OWN = re.compile(r"[EWI]9\d*")


class NotChecked(CloudFormationLintRule):
    """What these rules cannot see; the command prints it beside the findings.

    Attributes:
        always: Whether it is told even if no information is asked for.
    """

    id = "I9001"
    shortdesc = "Know what was not checked"
    description = (
        "A macro rewrites the template at deployment, a nested stack or a definition is in a file "
        "that is not here, a StackSet has a template of its own, or connected conditions have more "
        f"than {MAX} combinations. Check what a macro makes; keep nested templates in local files."
    )
    source_url = (
        "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-macros.html"
    )
    tags = ["cloudformation"]  # noqa: RUF012 - as cfn-lint declares it
    always = False

    def is_enabled(self, *given: Any, **named: Any) -> bool:
        """Tell whether it is told, as cfn-lint asks."""
        if self.always:
            named["include_rules"] = [self.id]
        return bool(super().is_enabled(*given, **named))  # type: ignore[no-untyped-call]

    def match(self, cfn: Template) -> list[RuleMatch]:
        """Return what is not checked, as cfn-lint asks."""
        return [RuleMatch(list(at), message) for at, message in _unchecked(cfn)]


def _unchecked(cfn: Template) -> Iterator[tuple[tuple[str, ...], str]]:
    for macro in rewriting(cfn):
        yield (), f"Nothing here was checked: {macro} rewrites the template at deployment."
    for names in partly_checked(cfn):
        yield (
            ("Conditions",),
            f"{MAX} combinations of the conditions {', '.join(names)} were checked, not all of "
            "them: the resources that use them refer to each other.",
        )
    for name, file, _ in nested_stacks(cfn.template, cfn.filename or ""):
        if file is None or not exists(file):
            template = f"the file {file} is missing" if file else "it is in no local file"
            yield ("Resources", name), f"The template of {name} was not checked: {template}."
    for name, raw in as_object(cfn.template.get("Resources")).items():
        if str(name).startswith("Fn::ForEach"):
            yield ("Resources", name), f"{name} was not checked: cfn-lint could not expand it."
        properties = as_object(as_object(raw).get("Properties"))
        for place in ELSEWHERE.get(str(as_object(raw).get("Type")), ()):
            if place in properties:
                yield (
                    ("Resources", name, "Properties", place),
                    f"{place} of {name} was not checked.",
                )


class IgnoredWithoutReason(CloudFormationLintRule):
    """A check that is ignored in the template's metadata, without a reason beside it."""

    id = "W9002"
    shortdesc = "A check of this pack is ignored with a reason"
    description = (
        "Who reads the template later must know why an event may be lost. Beside config, write "
        "reasons: Metadata: {cfn-lint: {config: {ignore_checks: [W9114]}, reasons: {W9114: why}}}."
    )
    source_url = (
        "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-metadata.html"
    )
    tags = ["cloudformation"]  # noqa: RUF012 - as cfn-lint declares it

    def match(self, cfn: Template) -> list[RuleMatch]:
        """Return the checks that are ignored without a reason, as cfn-lint asks."""
        resources = as_object(cfn.template.get("Resources")).items()
        places: list[tuple[tuple[str, ...], Any]] = [((), cfn.template)]
        places += [(("Resources", name), raw) for name, raw in resources]
        return [
            RuleMatch(
                [*at, "Metadata", "cfn-lint"],
                f"{' of '.join([check, *at[1:]])} is ignored without a reason. Add reasons: "
                f"{{{check}: …}} beside config.",
            )
            for at, raw in places
            for check in _unreasoned(raw)
        ]


def _unreasoned(raw: Any) -> Iterator[str]:
    """Yield the checks of this pack that metadata ignores without a reason."""
    stated = as_object(as_object(as_object(raw).get("Metadata")).get("cfn-lint"))
    ignored = as_object(stated.get("config")).get("ignore_checks")
    reasons = as_object(stated.get("reasons"))
    for check in map(str, ignored if isinstance(ignored, list) else ()):
        if OWN.fullmatch(check) and not str(reasons.get(check) or "").strip():
            yield check


RULES += [NotChecked, IgnoredWithoutReason]
