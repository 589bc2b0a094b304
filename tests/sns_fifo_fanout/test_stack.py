"""What the demo stack lets its functions do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.stacks import Stacks


def test_analytics_may_write_where_the_lake_has_price_changes_and_nowhere_else(
    stacks: Stacks,
) -> None:
    resources = stacks.template("sns_fifo_fanout")["Resources"].values()
    policies = [r["Properties"] for r in resources if r["Type"] == "AWS::IAM::Policy"]
    allowed = [s for policy in policies for s in policy["PolicyDocument"]["Statement"]]
    (statement,) = [s for s in allowed if "s3:" in json.dumps(s)]
    assert statement["Action"] == "s3:PutObject"
    bucket, files = statement["Resource"]["Fn::Join"][1]
    assert "Lake" in json.dumps(bucket)
    assert files == "/price-changes/*", "as the key that the handler writes"
