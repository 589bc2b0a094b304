"""What a template says once its references are resolved, under each combination of its conditions.

Every string is resolved into the form of ``Fn::Sub``: a reference to something in the template is
``${Queue.Arn}``, a value that only deployment knows is ``${?}``. Rules that meet such a value where
they need a known one report nothing: a correct template never gets a finding.
"""

from __future__ import annotations

import inspect
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from cfnlint.rules import CloudFormationLintRule, RuleMatch

from serverless_patterns.patterns import limits

from . import arns, expand
from .conditions import Case, as_object, case_of, pairs, select

if TYPE_CHECKING:
    from cfnlint.template import Template

UNKNOWN = "${?}"
CONNECTOR = "AWS::Serverless::Connector"
NESTED = ("AWS::CloudFormation::Stack", "AWS::Serverless::Application")
OMIT = object()
HOLE = re.compile(r"\$\{(?!!)[^}]*\}|\{\{resolve:")
REFERENCE = re.compile(r"\$\{([A-Za-z0-9]+)(?:\.([A-Za-z0-9.]+))?\}")
SUB = re.compile(r"\$\{([^}]*)\}")
# What may be written as JSON.
DOCUMENTS = {"PolicyDocument", "AssumeRolePolicyDocument", "KeyPolicy", "EventPattern"}
DOCUMENTS |= {"RedrivePolicy", "RedriveAllowPolicy", "FilterPolicy"}
DEAD_LETTER_KEYS = {"deadLetterTargetArn", "DeadLetterConfig", "OnFailure", "ErrorAction"}
_CACHE: WeakKeyDictionary[Template, tuple[list[Scenario], list[list[str]]]] = WeakKeyDictionary()
LIMIT = re.compile(r"\{([A-Z][A-Z0-9_]+)(\.source)?\}")
At = tuple[str | int, ...]


@dataclass(frozen=True)
class Resource:
    """A resource with resolved properties, or an object in them, and their path in the template."""

    id: str
    type: str
    properties: Mapping[str, Any] = field(compare=False)
    path: At = field(compare=False)
    at: At = field(default=(), compare=False)

    def __str__(self) -> str:
        return self.id

    def get(self, dotted: str) -> Any:
        """Return a property by its dotted path; None when absent, UNKNOWN below a hole."""
        value: Any = self.properties
        for key in dotted.split("."):
            if isinstance(value, str) and is_unknown(value):
                return UNKNOWN
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def list(self, dotted: str) -> list[Any]:
        """Return the items of a list property; none when absent or unknown."""
        value = self.get(dotted)
        return value if isinstance(value, list) else []

    def parts(self, dotted: str) -> Iterator[Resource]:
        """Yield the objects in a list or in an object of the properties."""
        value, at = self.get(dotted), (*self.at, *dotted.split("."))
        pairs = value.items() if isinstance(value, Mapping) else enumerate(self.list(dotted))
        for key, item in pairs:
            if isinstance(item, Mapping):
                yield replace(self, properties=item, at=(*at, key))

    def number(self, dotted: str, default: int | None = None) -> int | None:
        """Return a whole number; ``default`` when absent, None when not known."""
        value = self.get(dotted)
        if value is None:
            return default
        return int(value) if re.fullmatch(r"-?\d+", str(value)) else None

    def flag(self, dotted: str, *, default: bool | None = False) -> bool | None:
        """Return a boolean; ``default`` when absent, None when not known."""
        value = self.get(dotted)
        if value is None:
            return default
        return {"true": True, "false": False}.get(str(value).lower())


@dataclass(frozen=True)
class Finding:
    """What is wrong (None: nothing), and at which property of which resource."""

    resource: Resource
    message: str | None
    at: At = ()


Findings = Iterator[Finding]
Check = Callable[..., Findings]  # of a scenario, and of the rule's settings


class Rule(CloudFormationLintRule):
    """A rule that checks one scenario at a time; each distinct finding counts once.

    Attributes:
        check: Yields what is wrong in a scenario.
        shared: The check of ``patterns.checks`` that the constructs make too; None without one.
        settings: The thresholds that ``--configure-rule`` sets, and their defaults.
    """

    check: Check
    shared: Callable[..., str | None] | None
    settings: Mapping[str, int]

    def __init__(self) -> None:
        super().__init__()
        self.config_definition = {
            name: {"default": value, "type": "integer"} for name, value in self.settings.items()
        }

    def match(self, cfn: Template) -> list[RuleMatch]:
        """Run ``check`` on every scenario, as cfn-lint asks; say in which case it finds what."""
        checked = scenarios(cfn)
        found: dict[tuple[At, str], set[int]] = {}
        for place, scenario in enumerate(checked):
            for finding in self.check(scenario, **self.config):
                if finding.message:
                    at = (*finding.resource.path, *finding.resource.at, *finding.at)
                    found.setdefault((at, finding.message), set()).add(place)
        cases = [dict(scenario.conditions) for scenario in checked]
        said = Counter(message for _, message in found)
        return [
            RuleMatch(
                list(at),
                f"{message}{_where(at) if said[message] > 1 else ''}{_when(cases, places)}"
                f"{_construct(cfn, at)}",
            )
            for (at, message), places in found.items()
        ]


def _where(at: At) -> str:
    """Return a place in a resource, for sentences that are true of several."""
    return f" (at {'.'.join(map(str, at[3:]))})" if at[3:] else ""


def _when(cases: list[Case], found: set[int]) -> str:
    case = case_of(cases, found)
    return f" (when {case})" if case else ""


def _construct(cfn: Template, at: At) -> str:
    """Return the CDK's path of the construct that made a resource."""
    value: Any = cfn.template
    for key in (*at[:2], "Metadata", "aws:cdk:path"):
        value = as_object(value).get(str(key))
    return f" [{value}]" if isinstance(value, str) else ""


RULES: list[type[CloudFormationLintRule]] = []  # of all modules that are imported


def rule(
    rule_id: str, *tags: str, shared: Callable[..., str | None] | None = None
) -> Callable[[Check], Check]:
    """Make a rule of a function that yields what is wrong in a scenario.

    Its docstring is the rule's text: a line, a description, and ``Source: URL``, which a shared
    check has in its own docstring. ``{SQS_MAX_RETENTION}`` is a number of ``limits.py``, and
    ``{SQS_MAX_RETENTION.source}`` its page. Its keyword-only arguments are the rule's settings.

    Args:
        rule_id: ``E9…`` for what AWS rejects or what loses events in normal operation, ``W9…`` for
            what loses them when something fails, ``I9…`` for what is worth knowing.
        tags: The services that it is about.
        shared: The check of ``patterns.checks`` that says the sentence. Default: the rule does.
    """

    def make(check: Check) -> Check:
        text, _, source = LIMIT.sub(_limit, inspect.getdoc(check) or "").partition("Source:")
        if shared:
            source = (inspect.getdoc(shared) or "").partition("Source:")[2]
        short, _, description = text.partition("\n\n")
        attributes = {
            "id": rule_id,
            "shortdesc": short.rstrip("."),
            "description": " ".join(description.split()),
            "source_url": (source.split() or [""])[0],
            "tags": list(tags),
            "check": staticmethod(check),
            "shared": staticmethod(shared) if shared else None,
            "settings": {
                name: parameter.default
                for name, parameter in inspect.signature(check).parameters.items()
                if parameter.kind is parameter.KEYWORD_ONLY
            },
        }
        RULES.append(type(rule_id, (Rule,), attributes))
        return check

    return make


def _limit(match: re.Match[str]) -> str:
    value = getattr(limits, match.group(1))
    return str(value.source if match.group(2) else value)


@dataclass(frozen=True)
class Scenario:
    """A template under one combination of its conditions."""

    template: Mapping[str, Any]
    conditions: Mapping[str, bool]
    # Parameters whose value is not their default: set by the caller, or asked by a condition.
    open_parameters: frozenset[str] = field(default_factory=frozenset)

    @cached_property
    def resources(self) -> dict[str, Resource]:
        """Every resource that exists in this scenario, by its id; SAM events among them."""
        found: dict[str, Resource] = {}
        for name, raw in self.template["Resources"].items():
            if not isinstance(raw, dict) or not isinstance(raw.get("Type"), str):
                continue
            condition = raw.get("Condition")
            if condition is not None and not self.conditions.get(str(condition), False):
                continue
            properties = self.resolve(raw.get("Properties") or {})
            if isinstance(properties, dict):
                properties |= {
                    key: _parsed(properties[key]) for key in DOCUMENTS & properties.keys()
                }
                path = ("Resources", name, "Properties")
                whole = Resource(name, raw["Type"], properties, path)
                found |= {part.id: part for part in expand.parts(whole)}
        return found

    @cached_property
    def has_connectors(self) -> bool:
        """Tell whether SAM connectors may permit what the template does not."""
        raw = map(as_object, self.template["Resources"].values())
        return any("Connectors" in item or item.get("Type") == CONNECTOR for item in raw)

    @cached_property
    def given_to_nested_stacks(self) -> set[str]:
        """The words in what nested stacks are given: the resources that they may know of."""
        raw = map(as_object, self.template["Resources"].values())
        nested = [item.get("Properties") for item in raw if item.get("Type") in NESTED]
        return {"", *re.findall(r"\w+", str(nested))} if nested else set()

    def hides_permissions(self, *resources: Resource | None) -> bool:
        """Tell whether connectors or nested stacks may permit the use of one of these."""
        known = self.given_to_nested_stacks
        return self.has_connectors or any(
            resource.id in known or arns.rest(resource) is not None
            for resource in resources
            if resource and known
        )

    def of(self, *types: str) -> list[Resource]:
        """Return the resources of these types."""
        return [resource for resource in self.resources.values() if resource.type in types]

    def find(self, value: Any, *types: str) -> Resource | None:
        """Return the resource that a value names: by reference, or by an ARN of this account.

        Args:
            value: A resolved value.
            types: What it may be. Default: anything.
        """
        if not isinstance(value, str):
            return None
        whole = REFERENCE.fullmatch(value)
        if not whole:
            whole = REFERENCE.fullmatch(arns.reference(value))
        resource = self.resources.get(whole.group(1)) if whole else arns.named(self, value, types)
        return resource if resource and (not types or resource.type in types) else None

    @cached_property
    def names(self) -> dict[tuple[str, str], Resource]:
        """The resources that are given a name; see ``arns.index``."""
        return arns.index(self.resources.values())

    def name(self, value: Any, otherwise: str) -> str:
        """Return how a message names a value: a resource's id, or what is known; or otherwise."""
        found = self.find(value)
        known = isinstance(value, str) and not is_unknown(value)
        return found.id if found else str(value) if known else otherwise

    def queue(self, value: Any) -> Resource | None:
        """Return the SQS queue that a value names."""
        return self.find(value, "AWS::SQS::Queue")

    def function(self, value: Any) -> Resource | None:
        """Return the Lambda function that a value names, behind an alias or a version too."""
        kinds = ("AWS::Lambda::Function", "AWS::Lambda::Alias", "AWS::Lambda::Version")
        resource = self.find(value, *kinds) or self.find(arns.unqualified(value), *kinds)
        while resource and resource.type != kinds[0]:
            resource = self.find(resource.get("FunctionName"), *kinds)
        return resource

    def fifo(self, value: Any) -> bool | None:
        """Tell whether a value names a FIFO queue or topic; None when that is not known."""
        resource = self.find(value, "AWS::SQS::Queue", "AWS::SNS::Topic")
        if resource:
            kind = "FifoQueue" if resource.type == "AWS::SQS::Queue" else "FifoTopic"
            return resource.flag(kind)
        arn = HOLE.sub("?", value) if isinstance(value, str) else ""
        if not re.match(r"arn:[^:]+:(sqs|sns):", arn):
            return None
        name = arn.rsplit(":", 1)[-1]
        if name.endswith(".fifo"):
            return True
        return None if "?" in name else False

    @cached_property
    def dead_letters(self) -> list[tuple[Resource, Resource]]:
        """Each resource that sends its failures to a queue, and that queue."""
        return [
            (resource, queue)
            for resource in self.resources.values()
            for text in _dead_letter_targets(resource.properties, inside=False)
            if (queue := self.queue(text))
        ]

    @cached_property
    def dead_letter_queues(self) -> dict[str, Resource]:
        """Every queue that receives the failures of another resource."""
        return {queue.id: queue for _, queue in self.dead_letters}

    def resolve(self, value: Any) -> Any:
        """Resolve references, intrinsic functions and conditions as far as they are known."""
        if isinstance(value, dict):
            if "Fn::Transform" in value:
                return UNKNOWN
            if len(value) == 1:
                name, argument = next(iter(value.items()))
                if name == "Ref":
                    return self._ref(argument)
                if isinstance(name, str) and name.startswith("Fn::"):
                    return self._function(name, argument)
            items = {key: self.resolve(item) for key, item in value.items()}
            return {key: item for key, item in items.items() if item is not OMIT}
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not OMIT]
        if isinstance(value, str):
            return str(value).replace("${", "${!")
        return value

    def _ref(self, name: Any) -> Any:
        if not isinstance(name, str):
            return UNKNOWN
        if name == "AWS::NoValue":
            return OMIT
        parameter = self.template["Parameters"].get(name)
        if not isinstance(parameter, dict):
            return f"${{{name}}}" if name not in self.template["Parameters"] else UNKNOWN
        known = parameter.get("Type") in ("String", "Number") and name not in self.open_parameters
        default = parameter.get("Default", UNKNOWN) if known else UNKNOWN
        return default if default == UNKNOWN else self.resolve(default)

    def _function(self, name: str, argument: Any) -> Any:
        match name, argument:
            case "Fn::If", [str(condition), then, otherwise]:
                holds = self.conditions.get(condition)
                return UNKNOWN if holds is None else self.resolve(then if holds else otherwise)
            case "Fn::ToJsonString", dict() | list():
                return json.dumps(self.resolve(argument), default=str)
            case "Fn::GetAtt", str() | [str(), str()]:
                return f"${{{argument if isinstance(argument, str) else '.'.join(argument)}}}"
            case "Fn::Sub", str():
                return self._sub(argument, {})
            case "Fn::Sub", [str(text), dict(own)]:
                return self._sub(text, own)
            case "Fn::Join", [str(delimiter), listed]:
                items = self.resolve(listed)
                if isinstance(items, list) and not any(isinstance(i, dict | list) for i in items):
                    return delimiter.join(map(str, items))
            case "Fn::FindInMap", [_, _, _]:
                value: Any = self.template["Mappings"]
                for key in map(str, self.resolve(argument)):
                    value = value.get(key, UNKNOWN) if isinstance(value, dict) else UNKNOWN
                return value if value == UNKNOWN else self.resolve(value)
        return UNKNOWN

    def _sub(self, text: str, own: Mapping[str, Any]) -> str:
        def value(match: re.Match[str]) -> str:
            name = match.group(1).strip()
            if name.startswith("!"):
                return match.group(0)
            if name in own:
                return str(self.resolve(own[name]))
            return f"${{{name}}}" if "." in name else str(self._ref(name))

        return SUB.sub(value, text)


def _parsed(value: Any) -> Any:
    """Return what is written as JSON, if it can be read."""
    try:
        return json.loads(value) if isinstance(value, str) and value.lstrip()[:1] == "{" else value
    except ValueError:
        return value


def is_unknown(value: Any) -> bool:
    """Tell whether a value, or a part of it, is known at deployment only."""
    if isinstance(value, Mapping):
        return any(map(is_unknown, value.values()))
    if isinstance(value, list):
        return any(map(is_unknown, value))
    return isinstance(value, str) and bool(HOLE.search(value))


def as_list(value: Any) -> list[Any]:
    """Return a value that may be one or many as a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def scenarios(cfn: Template) -> list[Scenario]:
    """Return a template's scenarios; none when a macro of unknown effect rewrites it."""
    if cfn not in _CACHE:
        _CACHE[cfn] = _scenarios(cfn)
    return _CACHE[cfn][0]


def partly_checked(cfn: Template) -> list[list[str]]:
    """Return connected conditions that have combinations without a scenario."""
    scenarios(cfn)
    return _CACHE[cfn][1]


def rewriting(cfn: Template) -> list[str]:
    """Return the macros of unknown effect that rewrite a template."""
    named = [str(macro) for macro in as_list(cfn.template.get("Transform"))]
    resources = as_object(cfn.template.get("Resources"))
    bodies = [as_object(raw).get("Properties") for raw in resources.values()]
    inside = any("Fn::Transform" in as_object(body) for body in (resources, *bodies))
    macros = [name for name in named if not name.startswith("AWS::") or name == "AWS::Include"]
    return macros + ["Fn::Transform"] * inside


def _scenarios(cfn: Template) -> tuple[list[Scenario], list[list[str]]]:
    if rewriting(cfn):
        return [], []
    sections = ("Resources", "Parameters", "Mappings", "Conditions")
    template = {name: as_object(cfn.template.get(name)) for name in sections}
    asked = {
        ref for key, ref in pairs(template["Conditions"]) if key == "Ref" and isinstance(ref, str)
    }
    given = {name for sets in cfn.context.parameter_sets or [] for name in sets.parameters}
    selected = select(cfn, template["Resources"])
    open_parameters = frozenset(asked | given)
    return [Scenario(template, case, open_parameters) for case in selected.cases], selected.partial


def _dead_letter_targets(value: Any, *, inside: bool) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _dead_letter_targets(item, inside=inside or key in DEAD_LETTER_KEYS)
    elif isinstance(value, list):
        for item in value:
            yield from _dead_letter_targets(item, inside=inside)
    elif inside and isinstance(value, str):
        yield value
