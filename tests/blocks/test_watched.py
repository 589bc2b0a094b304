"""Who may do what with a watched bucket, and which results would never end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk.assertions import Match, Template

from serverless_patterns.patterns.s3_events_lambda.construct import (
    Watch,
)
from tests.inline import function, rejected
from tests.s3_events_lambda.builds import make, make_direct

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_cdk import Stack

LOOP = r"results_prefix is '{}', but s3:ObjectCreated:\* of 'lists/\*' is watched.*without end"


@pytest.mark.parametrize("made", [make, make_direct])
@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"results_prefix": "lists/done/"}, LOOP.format("lists/done/")),
        ({"results_prefix": "li"}, LOOP.format("li")),
        ({"results_prefix": ""}, "results_prefix is empty"),
        ({"results_prefix": "reports/"}, None),
        ({"watch": []}, "watch is empty, so nothing would arrive"),
        ({"watch": [Watch("lists/a"), Watch("lists/")]}, "two notifications for the same event"),
        ({"watch": [Watch("lists/", ".csv"), Watch("lists/", ".xml")]}, None),
        ({"watch": [Watch("lists/"), Watch("lists/", events=["ObjectRemoved"])]}, None),
    ],
    ids=lambda given: str(given)[:40],
)
def test_what_would_fail_or_never_end_is_rejected(
    stack: Stack, made: Callable[..., Any], given: dict[str, Any], problem: str | None
) -> None:
    with rejected(problem):
        made(stack, **{"watch": [Watch("lists/")]} | given)


def test_what_is_invoked_may_not_upload_what_invokes_it(stack: Stack) -> None:
    invoked = function(stack, "Invoked")
    for made in (make(stack, "Queue", consumer=invoked), make_direct(stack, function=invoked)):
        with rejected("Stack/Invoked is invoked for the objects .* without end.*results_prefix"):
            made.grant_put(invoked)


def test_the_grants_end_at_what_is_watched(stack: Stack) -> None:
    reader = function(stack, "Reader")
    made = make(stack, watch=[Watch("lists/", ".csv")], results_prefix="reports/")
    made.grant_read(reader)
    made.grant_put(reader)
    made.grant_write_results(reader)
    made.grant_sweep(reader)
    template = Template.from_stack(stack)
    template.has_resource_properties(
        "AWS::IAM::Policy",
        {
            "PolicyDocument": {
                "Statement": Match.array_with(
                    [
                        Match.object_like({"Action": ["s3:GetObject", "s3:GetObjectVersion"]}),
                        Match.object_like({"Action": "s3:ListBucket"}),
                        Match.object_like({"Action": ["s3:PutObject", "s3:AbortMultipartUpload"]}),
                        Match.object_like({"Action": "s3:PutObject"}),
                        Match.object_like({"Action": "sqs:SendMessage"}),
                        Match.object_like({"Action": "s3:ListBucketVersions"}),
                    ]
                )
            }
        },
    )
    texts = str(template.find_resources("AWS::IAM::Policy"))
    assert "/lists/*.csv" in texts
    assert "/reports/*" in texts
    assert "'/*'" not in texts


def test_results_without_a_place_are_not_granted(stack: Stack) -> None:
    with rejected("has no results_prefix"):
        make(stack).grant_write_results(function(stack, "Writer"))
