"""A pytest fixture for your own CDK app: an embedded AWS for the whole test run.

    def test_orders_are_accepted(embedded_aws):
        stack = embedded_aws.deploy(app="python3 app.py", stacks=["orders"])["orders"]
        assert stack.http.post(stack["ApiUrl"] + "orders", b"{}").status == 202

It ends with the run, however the run ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .sandbox import Target


@pytest.fixture(scope="session")
def embedded_aws() -> Iterator[Target]:
    """An embedded AWS that all tests of the run share; it ends with the run."""
    from .sandbox import embedded  # boto3 and rich load only for those who use it

    with embedded() as target:
        yield target
