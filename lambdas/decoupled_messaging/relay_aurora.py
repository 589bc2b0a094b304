"""Schedule → Aurora → SQS: sends what the outbox holds, until it is empty or time is up."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import single_metric
from aws_lambda_powertools.metrics import MetricUnit

from ..foundation.logs import logger
from . import aurora

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

ENOUGH = 20_000  # milliseconds for one more batch, whose calls may each take seconds

_make_tables = cache(aurora.make_tables)


class UnsentError(Exception):
    """The queue did not take all; what it did not take is still in the outbox."""


@logger.inject_lambda_context
def handler(_: Any, context: LambdaContext) -> None:
    """Send batch after batch; the metric ``OutboxAge`` says how long the oldest order has waited.

    Raises:
        UnsentError: the queue did not take all, so that Errors shows an outage.
    """
    _make_tables()
    sent = 0
    while True:  # a function whose time is short sends one batch
        found, failed = aurora.relay()
        sent += found - len(failed)
        little = context.get_remaining_time_in_millis() < ENOUGH
        if failed or little or found < aurora.BATCH:
            break
    _measure(aurora.age(), context.function_name)
    logger.info("Relayed", sent=sent, failed=len(failed), codes=sorted({*failed.values()}))
    if failed:
        raise UnsentError(f"{len(failed)} orders are still in the outbox.")


def _measure(age: int, function: str) -> None:
    about: Any = {"name": "OutboxAge", "unit": MetricUnit.Seconds, "value": age}
    with single_metric(**about, namespace="ServerlessPatterns") as metric:
        metric.add_dimension(name="FunctionName", value=function)
