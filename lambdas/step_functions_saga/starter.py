"""SQS → Step Functions: starts an order's saga, once however often the message comes.

Step Functions starts one execution a call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from ..foundation import aws, batch
from ..foundation.outcomes import CONFLICT, DUPLICATE, Outcome
from . import executions, logic

if TYPE_CHECKING:
    from ..foundation.messages import Message

STARTED = Outcome("started")
# Errors of Step Functions about an order that no retry can help.
PERMANENT = ("InvalidExecutionInput", "InvalidName", "ValidationException")


def start(name: str, message: Message) -> Outcome:
    """Start an order's saga under its name."""
    try:
        other = executions.start(name, message.body)
    except ClientError as error:
        if aws.code(error) in PERMANENT:
            return Outcome("refused", aws.code(error), "Step Functions rejects it.")
        raise
    if other is None:
        return STARTED
    return DUPLICATE if logic.same_order(message.body, other) else CONFLICT


handler = batch.handler(logic.parse_name, batch.one_by_one(start))
