"""ARNs with references and wildcards are read, and compared, as far as they are known."""

from __future__ import annotations

import pytest

from serverless_patterns.lint import arns

OWN = "arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:"


@pytest.mark.parametrize(
    ("arn", "parts"),
    [
        (
            f"{OWN}orders",
            ["arn", "${AWS::Partition}", "sqs", "${AWS::Region}", "${AWS::AccountId}"],
        ),
        ("arn:aws:s3:::orders/*", ["arn", "aws", "s3", "", ""]),
        ("arn:aws:lambda:eu-west-1:123456789012:function:a:b", None),
    ],
)
def test_an_arn_is_split_where_its_parts_end(arn: str, parts: list[str] | None) -> None:
    found = arns.split(arn)
    assert len(found) == 6
    assert parts is None or found[:5] == parts
    assert arn.endswith(found[5])
    assert ":".join(found) == arn


@pytest.mark.parametrize("value", [None, 1, "", "*", "${Queue.Arn}", "arn:aws:sqs", "arn:aws:sqs:"])
def test_what_is_no_arn_has_no_parts(value: object) -> None:
    assert arns.split(value) == []
    assert arns.service(value) is None


@pytest.mark.parametrize(
    ("pattern", "value", "may"),
    [
        ("*", "orders", True),
        ("orders", "orders", True),
        ("orders", "refunds", False),
        ("ord*", "orders", True),
        ("ord*", "refunds", False),
        ("order?", "orders", True),
        ("order?", "order", False),
        ("orders", "${?}", True),
        ("${Stage}-orders", "prod-orders", True),
        ("${Stage}-orders", "prod-refunds", False),
        ("prod-*", "test-${?}", False),
        ("*-orders", "${?}-refunds", False),
        ("prod-*", "${?}-orders", True),
        ("a.b", "aXb", False),
        ("[ab]", "a", False),
    ],
)
def test_a_pattern_may_match_unless_what_is_known_of_both_differs(
    pattern: str, value: str, may: bool
) -> None:
    assert arns.may_match(pattern, value) is may
