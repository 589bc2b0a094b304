"""A finding names its case, and none is missed because a template has many conditions."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from cfnlint.template import Template

from serverless_patterns.lint.__main__ import rules
from serverless_patterns.lint.conditions import MAX, case_of, select

RULES = {str(rule.id): rule for rule in rules()}
LETTERS = "ABCDEFGHIJKL"


def queue(condition: str | None = None, **properties: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"Type": "AWS::SQS::Queue", "Properties": properties}
    return body | ({"Condition": condition} if condition else {})


def alarm(condition: str) -> dict[str, Any]:
    metric = {"Namespace": "AWS/SQS", "MetricName": "ApproximateNumberOfMessagesVisible"}
    name = {"Name": "QueueName", "Value": {"Fn::GetAtt": ["Dead", "QueueName"]}}
    threshold = {"Threshold": 0, "ComparisonOperator": "GreaterThanThreshold"}
    properties = {**metric, **threshold, "Dimensions": [name]}
    return {"Type": "AWS::CloudWatch::Alarm", "Condition": condition, "Properties": properties}


def template(resources: dict[str, Any], names: str, **conditions: Any) -> Template:
    """A template; each of ``names`` is a condition on a parameter of its own."""
    own = {name: {"Fn::Equals": [{"Ref": f"Of{name}"}, "a"]} for name in names}
    asked = {f"Of{name}": {"Type": "String"} for name in names} | {"Stage": {"Type": "String"}}
    stated = {"Parameters": asked, "Conditions": own | conditions, "Resources": resources}
    return Template("a.json", stated)


def unwatched(cfn: Template) -> list[str]:
    return [match.message.partition(" > 0.")[2] for match in RULES["I9182"].match(cfn)]


DEAD = {"deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}, "maxReceiveCount": 5}
NEAR = {"Tags": [{"Key": "near", "Value": {"Ref": "Dead"}}]}  # connects a queue with the others
WORK = {"Dead": queue(), "Work": queue(RedrivePolicy=DEAD)}


def test_a_finding_of_some_cases_names_the_case_and_no_other_condition() -> None:
    others = {f"Queue{name}": queue(name) for name in "BCD"}
    cfn = template({**WORK, **others, "Alarm": alarm("A")}, "ABCD")
    assert unwatched(cfn) == [" (when A is false)"]


def test_a_finding_of_every_case_names_none() -> None:
    assert unwatched(template({**WORK, "Other": queue("A")}, "A")) == [""]


def test_a_finding_of_several_conditions_names_them_all() -> None:
    alarms = {"First": alarm("A"), "Second": alarm("B")}
    assert unwatched(template(WORK | alarms, "AB")) == [" (when A is false and B is false)"]


def test_a_finding_of_either_of_two_cases_names_one() -> None:
    cases = [{"A": a, "B": b} for a in (True, False) for b in (True, False)]
    assert case_of(cases, {0, 1, 2}) == "A is true"


def test_a_condition_that_only_happens_to_hold_is_not_the_case() -> None:
    cases = [{"A": a, "B": b, "X": a and b} for a in (True, False) for b in (True, False)]
    cases.append({"A": True, "B": True, "X": False})
    assert case_of(cases, {0, 4}) == "A is true and B is true"


def test_each_combination_of_connected_conditions_is_checked_however_many_others_there_are() -> (
    None
):
    others = {f"Queue{name}": queue(name) for name in LETTERS}
    alarms = {"First": alarm("C"), "Second": alarm("K"), "Third": alarm("L")}
    cfn = template(WORK | others | alarms, LETTERS)
    said = " (when C is false and K is false and L is false)"
    assert unwatched(cfn) == [said]
    assert select(cfn, cfn.template["Resources"]).partial == []


def test_a_finding_of_three_among_very_many_connected_conditions_is_not_missed() -> None:
    others = {f"Queue{name}": queue(name, **NEAR) for name in LETTERS}
    alarms = {"First": alarm("C"), "Second": alarm("K"), "Third": alarm("L")}
    cfn = template(WORK | others | alarms, LETTERS)
    assert unwatched(cfn) == [" (when C is false and K is false and L is false)"]


def test_any_three_of_twelve_connected_conditions_are_seen_in_each_combination() -> None:
    resources = WORK | {f"Queue{name}": queue(name, **NEAR) for name in LETTERS}
    cases = select(template(resources, LETTERS), resources).cases
    for chosen in combinations(LETTERS, 3):
        assert len({tuple(case[name] for name in chosen) for case in cases}) == 8


def test_a_template_is_told_that_not_every_combination_was_checked() -> None:
    cfn = template(WORK | {f"Queue{name}": queue(name, **NEAR) for name in LETTERS}, LETTERS)
    (told,) = (match.message for match in RULES["I9001"].match(cfn))
    assert told.startswith(
        f"{MAX} combinations of the conditions {', '.join(LETTERS)} were checked"
    )


def test_only_cases_that_a_deployment_can_have_are_checked() -> None:
    """Ten stages exclude each other: cfn-lint's own first 128 combinations have none of them."""
    stages = {f"Is{name}": {"Fn::Equals": [{"Ref": "Stage"}, name]} for name in LETTERS[:10]}
    resources = {f"Queue{name}": queue(f"Is{name}") for name in LETTERS[:10]}
    cases = select(template(resources, "", **stages), resources).cases
    assert sorted(sum(case.values()) for case in cases) == [0] + [1] * 10


@pytest.mark.parametrize(
    ("condition", "count"),
    [
        ({"Fn::Equals": [{"Ref": "Stage"}, "b"]}, 3),
        ({"Fn::Equals": ["b", {"Ref": "Stage"}]}, 3),
        ({"Fn::Not": [{"Condition": "First"}]}, 2),
        ({"Fn::And": [{"Condition": "First"}, {"Fn::Equals": [{"Ref": "OfA"}, "x"]}]}, 3),
        ({"Fn::Or": [{"Condition": "First"}, {"Fn::Equals": [{"Ref": "OfA"}, "x"]}]}, 3),
        ({"Fn::Equals": ["x", "x"]}, 2),
        ({"Fn::Equals": [{"Ref": "Stage"}, {"Ref": "OfA"}]}, 4),
        ({"Condition": "Second"}, 4),
        ({"Fn::Equals": "no condition"}, 4),
    ],
    ids=str,
)
def test_a_condition_is_understood(condition: dict[str, Any], count: int) -> None:
    resources = {"A": queue("First"), "B": queue("Second")}
    first = {"Fn::Equals": [{"Ref": "Stage"}, "a"]}
    cfn = template(resources, "A", First=first, Second=condition)
    assert len(select(cfn, resources).cases) == count


@pytest.mark.parametrize(("allowed", "count"), [(["a", "b"], 2), (["a", "b", "c"], 3), (["b"], 1)])
def test_a_parameter_has_one_of_its_allowed_values(allowed: list[str], count: int) -> None:
    stages = {f"Is{name}": {"Fn::Equals": [{"Ref": "Stage"}, name]} for name in "ab"}
    resources = {"A": queue("Isa"), "B": queue("Isb")}
    cfn = template(resources, "", **stages)
    cfn.template["Parameters"]["Stage"]["AllowedValues"] = allowed
    assert len(select(cfn, resources).cases) == count


def test_a_rule_of_the_template_excludes_cases_too() -> None:
    resources = {"First": queue("A"), "Second": queue("B")}
    cfn = template(resources, "AB")
    a, b = (cfn.template["Conditions"][name] for name in "AB")
    cfn.template["Rules"] = {"Both": {"RuleCondition": a, "Assertions": [{"Assert": b}]}}
    cases = select(Template("a.json", cfn.template), resources).cases
    assert {"A": True, "B": False} not in cases
    assert len(cases) == 3


@pytest.mark.parametrize("count", [8, 12])
def test_of_many_connected_conditions_the_same_combinations_are_checked_each_time(
    count: int,
) -> None:
    resources = WORK | {f"Queue{name}": queue(name, **NEAR) for name in LETTERS[:count]}
    first, again = (select(template(resources, LETTERS[:count]), resources).cases for _ in range(2))
    assert first == again
    assert len(first) == MAX
