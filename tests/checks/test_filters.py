"""Which filters of a reader skip every record: the rule at its boundary."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from serverless_patterns.patterns.checks import filters
from tests.checks.rules import agree, boundaries

if TYPE_CHECKING:
    from collections.abc import Callable


def said(service: str, *given: Any) -> str | None:
    texts = [one if one is None else json.dumps(one) for one in given]
    return filters.matches_nothing("It", service, texts)


GONE = {"exists": False}


def of(**change: Any) -> dict[str, Any]:
    return {"dynamodb": change}


@boundaries(
    lambda: {
        "a filter names fields that records have": [
            (said("kinesis", {"data": {"a": ["b"]}}), None),
            (said("kinesis", {"a": ["b"]}), "It filters by a, which no record of kinesis has"),
            (said("kinesis", {"a": [GONE]}), None),
            (said("kinesis", {"a": ["b"]}, {"data": {}}), None),
            (said("kinesis", {"a": ["b"]}, None), None),
            (said("kinesis"), None),
            (said("kinesis", {"kinesis": {"data": {"a": ["b"]}}}), "by kinesis.data, which Lambda"),
            (said("kinesis", {"kinesis": {"partitionKey": ["b"]}}), None),
            (said("sqs", {"status": ["b"]}), "every record is deleted. Put fields of your own"),
            (filters.matches_nothing("It", "sqs", ["no JSON"]), None),
            (filters.matches_nothing("It", "sqs", ["[]"]), None),
        ],
        "a change is one of three": [
            (said("dynamodb", {"eventName": ["UPDATE"]}), "UPDATE, but a change is one of INSERT"),
            (said("dynamodb", {"eventName": ["UPDATE", "MODIFY"]}), None),
            (said("dynamodb", {"eventName": [{"prefix": "UP"}]}), None),
            (said("dynamodb", {"userIdentity": {"type": ["Service"]}}), None),
        ],
        "an item is in an image, each value below its type": [
            (said("dynamodb", of(NewImage={"a": {"S": ["b"]}})), None),
            (said("dynamodb", of(NewImage={"a": ["b"]})), "by NewImage.a without its type, but"),
            (said("dynamodb", of(Keys={"a": {"T": ["b"]}})), "as {'a': {'S': […]}}"),
            (said("dynamodb", of(OldImage={"a": [GONE]})), None),
            (said("dynamodb", of(NewImage={"a": {"M": {"b": {"N": ["1"]}}}})), None),
            (said("dynamodb", of(NewImage={"$or": [{"a": {"S": ["b"]}}]})), None),
            (said("dynamodb", of(NewImage=[GONE])), None),
            (said("dynamodb", of(a={"S": ["b"]})), "by dynamodb.a, but an item is below Keys, "),
            (said("dynamodb", of(SizeBytes=[{"numeric": [">", 9]}])), None),
        ],
    }
)
def test_a_rule_says_what_is_wrong(said: Callable[[], str | None], expected: str | None) -> None:
    agree(said, expected)
