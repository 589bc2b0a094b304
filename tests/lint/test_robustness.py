"""A rule that meets what no template should hold says nothing, and does not break."""

from __future__ import annotations

import copy
import functools
import json
import re
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from cfnlint.template import Template
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lint.decoded import DECODED, FILES, RULES

if TYPE_CHECKING:
    from collections.abc import Iterator

ODD: list[Any] = [
    None,
    True,
    1,
    "",
    "text",
    [],
    [None],
    {},
    {None: 1, 1: "text"},
    date(2026, 1, 1),
    '{"a": ',
    {"Ref": "Nothing"},
    {"Ref": ["a"]},
    {"Ref": "AWS::NoValue"},
    {"Fn::GetAtt": "A"},
    {"Fn::GetAtt": ["A", {"Ref": "B"}]},
    {"Fn::If": ["Nothing", 1, 2]},
    {"Fn::If": [{}, 1, 2]},
    {"Fn::Sub": []},
    {"Fn::Sub": ["${a}", {"a": {"Ref": "B"}}]},
    {"Fn::Join": ["", {"Ref": "B"}]},
    {"Fn::FindInMap": ["Map", {"Ref": "AWS::Region"}, "key"]},
    {"Fn::ImportValue": "name"},
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in pairs:
        yield (*path, key)
        if isinstance(item, dict | list):
            yield from places(item, (*path, key))


@pytest.mark.parametrize(
    ("kind", "properties"),
    [
        ("AWS::Events::Rule", {"EventPattern": {1: ["a"]}}),
        ("AWS::Events::Rule", {"EventPattern": {None: ["a"]}}),
        ("AWS::Serverless::StateMachine", {"Definition": {"Timestamp": date(2026, 1, 1)}}),
        ("AWS::Serverless::StateMachine", {"DefinitionString": {"Fn::ToJsonString": [{1: ODD}]}}),
    ],
)
def test_no_rule_breaks_on_what_yaml_reads_as_a_number_a_date_or_nothing(
    kind: str, properties: dict[str, Any]
) -> None:
    cfn = Template("odd.yaml", {"Resources": {"Odd": {"Type": kind, "Properties": properties}}})
    for rule in RULES.values():
        rule.match(cfn)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_what_only_deployment_knows_of_a_good_template_is_no_finding(rule: Any) -> None:
    """Each value of the templates that are about the rule is imported, one at a time."""
    for file, template in zip(FILES, DECODED, strict=True):
        if file.parent.name != "good" or not file.name.startswith(f"{rule.id}-"):
            continue
        for *above, last in places(template["Resources"]):
            one = copy.deepcopy(template)
            parent = functools.reduce(lambda value, key: value[key], above, one["Resources"])
            refers = any(str(key).startswith(("Ref", "Fn::")) for key in [*above, last])
            if "Properties" in above and not (refers or isinstance(parent[last], dict | list)):
                parent[last] = {"Fn::ImportValue": "name"}
                found = [match.message for match in rule.match(Template("a", one))]
                assert found == [], (file.name, *above, last)


# In these, what is not known may be of any resource; in the last one, a name is also in the other.
OF_ANY = {
    "E9101-rewritten-by-a-macro",
    "E9160-custom-resource-puts-the-policy-cdk",
    "E9162-policy-of-a-queue-not-known",
    "E9162-sam-connector",
    "E9163-permission-for-an-imported-name",
    "E9166-policy-of-a-role-not-known",
    "I9182-a-query-over-all-queues",
    "I9182-alarm-by-the-queues-name",
}


def beside(template: Any, other: Any) -> dict[str, Any]:
    """A template whose first resources are those of another one, under ids of their own."""
    ids = "|".join(other["Resources"])
    names = rf'"({ids})"|\$\{{({ids})(?=[.}}])|"({ids})(?=\.)'
    text = re.sub(
        names,
        lambda it: (
            f'"Other{it[1]}"' if it[1] else f"${{Other{it[2]}" if it[2] else f'"Other{it[3]}'
        ),
        json.dumps(other, default=str),
    )
    sections = {**json.loads(text), **template}
    joined = ("Resources", "Parameters", "Conditions", "Mappings", "Globals")
    return sections | {
        name: json.loads(text).get(name, {}) | template.get(name, {})
        for name in joined
        if name in sections
    }


@pytest.mark.parametrize("rule_id", RULES)
def test_a_finding_does_not_depend_on_what_else_is_in_the_template(rule_id: str) -> None:
    """Beside the first bad template of a rule, each good one comes first."""

    def found(template: Any) -> list[Any]:
        matches = RULES[rule_id].match(Template("a", template))
        return [(match.path, match.message) for match in matches]

    of_rule = [
        (file, it) for file, it in zip(FILES, DECODED, strict=True) if file.name[:5] == rule_id
    ]
    bad = next(it for _, it in of_rule if found(it))
    for file, good in of_rule:
        if file.parent.name == "good" and file.stem not in OF_ANY:
            assert found(beside(bad, good)) == found(bad), file.name


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_rule_breaks_on_an_odd_template(data: st.DataObject) -> None:
    template: dict[str, Any] = copy.deepcopy(data.draw(st.sampled_from(DECODED)))
    *above, last = data.draw(st.sampled_from(list(places(template))))
    parent: Any = template
    for key in above:
        parent = parent[key]
    parent[last] = data.draw(st.sampled_from(ODD))
    try:
        cfn = Template("odd.yaml", template)
    except Exception:  # cfn-lint itself cannot read it
        return
    for rule in RULES.values():
        rule.match(cfn)
