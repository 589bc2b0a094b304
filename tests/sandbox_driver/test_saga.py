"""What the judge of the saga looks at beyond the faults that every scenario is tried with."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest

from serverless_patterns.patterns.shop import Shop
from serverless_patterns.patterns.step_functions_saga.scenario import FIRST_COME, Sagas, judge

from .fakes import driver


@pytest.mark.parametrize("reason", ["", "out", "declined"])
def test_an_order_that_is_cancelled_for_another_reason_than_its_own_is_found(reason: str) -> None:
    drive = driver(Mock())
    stack: Any = drive.stack
    stack.update(StockTableName="stock", AccountsTableName="accounts")
    sagas = Sagas(drive, Shop("saga"))
    [order] = sagas.orders(1, *FIRST_COME)
    row = {"id": order["order_id"], "status": "cancelled", "reason": reason}
    judge(sagas, drive, orders=[row], refused=[], accounts=[], stock=[], shipments=[])
    [found] = [one for one in drive.report.failures if "ends as it must" in one]
    assert order["order_id"] in found
