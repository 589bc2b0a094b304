"""How the contract suites make the construct."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import aws_cognito as cognito

from serverless_patterns.patterns.appsync_live.construct import (
    LiveUpdates,
    NewGraphqlApi,
    NewTable,
    StreamConsumer,
    Viewers,
)
from tests.contracts.builds import Build
from tests.inline import function

if TYPE_CHECKING:
    from aws_cdk import Stack


def make(stack: Stack, construct_id: str = "Pattern", *, key: Any = None,
         consumer: Any = None, **given: Any) -> LiveUpdates:  # fmt: skip
    consumer = consumer or function(stack, f"{construct_id}Consumer")
    if key is not None:
        consumer = StreamConsumer(function=consumer, encryption_key=key)
        given["table"] = NewTable(encryption_key=key)
    if "viewers" not in given:
        users = cognito.UserPool(stack, f"{construct_id}Users")
        given["viewers"] = Viewers.of_user_pool(users)
    return LiveUpdates(stack, construct_id, publisher=consumer, **given)


def by_graphql(stack: Stack, construct_id: str = "Pattern", **given: Any) -> LiveUpdates:
    return make(stack, construct_id, api=NewGraphqlApi(), **given)


BUILDS = [
    Build("appsync_live", make, frozenset({"alarms"})),
    Build("appsync_live graphql", by_graphql, frozenset({"alarms"})),
]
