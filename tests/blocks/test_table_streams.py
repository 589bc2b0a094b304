"""A table's stream that cannot be read from here, or does not say what its reader needs."""

from __future__ import annotations

import pytest
from aws_cdk import App, Environment, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb

from serverless_patterns.patterns.blocks.table_streams import NewTable, check_new_images, table_of
from serverless_patterns.patterns.blocks.tables import new_table
from tests.inline import rejected

View = dynamodb.StreamViewType


@pytest.mark.parametrize("view", list(View))
def test_a_stream_that_does_not_say_what_an_item_is_now_is_rejected(
    view: dynamodb.StreamViewType, stack: Stack
) -> None:
    table = table_of(stack, "Table", NewTable(stream=view))
    problem = f"The stream of Stack/Table has {view.value}, so nothing says what"
    with rejected(problem if view in (View.KEYS_ONLY, View.OLD_IMAGE) else None):
        check_new_images(table)


def test_a_table_of_another_account_is_rejected() -> None:
    app = App()
    here, there = (
        Stack(app, name, env=Environment(account=str(n) * 12, region="eu-west-1"))
        for n, name in enumerate(("Here", "There"), 1)
    )
    table = new_table(
        there, "Table", "pk", removal_policy=RemovalPolicy.DESTROY, stream=View.NEW_IMAGE
    )
    with rejected("table There/Table .*a reader is made beside its table"):
        table_of(here, "Table", table)
