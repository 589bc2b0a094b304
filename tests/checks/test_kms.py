"""Which keys can be used, and whose policy lets the account decide who may use one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.patterns.checks import kms
from tests.checks.rules import agree, boundaries

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = {"AWS": {"Fn::Join": ["", ["arn:aws:iam::", {"Ref": "AWS::AccountId"}, ":root"]]}}
ALLOWED: dict[str, Any] = {"Effect": "Allow", "Principal": ROOT, "Action": "kms:*"}
AWS_KEY = "arn:aws:kms:us-east-1:111111111111:alias/aws/sqs"


@boundaries(
    lambda: {
        "a key is enabled and symmetric": [
            (kms.usable("key", "Key", enabled=enabled, spec=spec), expected)
            for enabled, spec, expected in (
                (True, None, None),
                (True, "SYMMETRIC_DEFAULT", None),
                (True, "RSA_2048", "key is Key, of the type RSA_2048, but only symmetric keys enc"),
                (False, None, "key is Key, which is disabled"),
            )
        ],
        "the policy of a key that a service uses can be written": [
            (kms.service_may_use("Kept", key, "SNS", "nothing arrives"), expected)
            for key, expected in (
                ("alias/own", None),
                ("alias/aws/sqs", "Kept is encrypted with alias/aws/sqs, an AWS managed key"),
                (AWS_KEY, "with alias/aws/sqs, an AWS managed key, whose policy cannot allow SNS"),
            )
        ],
    }
)
def test_a_rule_says_what_is_wrong(said: Callable[[], str | None], expected: str | None) -> None:
    agree(said, expected)


@pytest.mark.parametrize(
    ("changes", "decides"),
    [
        ({}, True),
        ({"Effect": "Deny"}, False),
        ({"Principal": "*"}, True),
        ({"Principal": {"AWS": "*"}}, True),
        ({"Principal": {"AWS": "111111111111"}}, True),
        ({"Principal": {"AWS": ["arn:aws:iam::111111111111:role/One", *ROOT.values()]}}, True),
        ({"Principal": {"AWS": ["arn:aws:iam::111111111111:role/One", "111111111111"]}}, True),
        ({"Principal": {"AWS": "arn:aws:iam::111111111111:root"}}, True),
        ({"Principal": {"AWS": "arn:aws:iam::111111111111:role/root"}}, False),
        ({"Principal": {"Service": "sns.amazonaws.com"}}, False),
        ({"Action": ["kms:Decrypt", "kms:GenerateDataKey*"]}, True),
        ({"Action": ["kms:decrypt", "KMS:Generate?ataKey"]}, True),
        ({"Action": "kms:Decrypt"}, False),
        ({"Action": "kms:Decrypt*"}, False),
        ({"Action": "kms:GenerateDataKey"}, False),
        ({"Action": ["kms:Decrypt", "xkms:GenerateDataKey"]}, False),
        ({"Action": ["kms:Decrypt", "kms.GenerateDataKey"]}, False),
    ],
)
def test_a_policy_lets_the_account_decide_or_does_not(
    changes: dict[str, Any], decides: bool
) -> None:
    other = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "kms:*"}
    assert kms.iam_allows({"Statement": [other, ALLOWED | changes]}) is decides


@pytest.mark.parametrize("lacks", ["Effect", "Principal", "Action"])
def test_a_statement_without_a_part_lets_nobody_decide(lacks: str) -> None:
    assert not kms.iam_allows({"Statement": [{k: v for k, v in ALLOWED.items() if k != lacks}]})
    assert not kms.iam_allows({})
