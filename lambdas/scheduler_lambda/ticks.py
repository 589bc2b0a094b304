"""Scheduler → Lambda → DynamoDB: a tick takes effect once, however often and late it comes.

Whatever fails is raised: Lambda retries the tick twice, then records it in the failure queue.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..foundation.logs import logger
from . import logic, store

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

LATE_SECONDS = 300


@logger.inject_lambda_context
def handler(event: Any, context: LambdaContext) -> dict[str, Any]:
    """Do what the tick is for, here: store it. Return whether it was new, and how late it came.

    Raises:
        RefusedError: it is no tick.
        ClientError, BotoCoreError: the table is unavailable.
    """
    tick = logic.parse_tick(event)
    late = tick.late(datetime.now(UTC))
    status = "done" if store.put_tick(tick, late) else "duplicate"
    if late > int(os.environ.get("LATE_SECONDS", LATE_SECONDS)):
        logger.warning("Late", schedule=tick.schedule, seconds=late)
    logger.info("Tick", schedule=tick.schedule, status=status)
    return {"status": status, "late_seconds": late}
