"""SQS → DynamoDB: events that failed, from a dead-letter queue that has a consumer, once more.

A message is the event as Lambda's dead letter has it. One that fails again goes to that queue's own
dead-letter queue: at once, with its reason, if no retry can help.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..foundation import batch, strict_json
from ..foundation.outcomes import STORED, Outcome
from . import store
from .invoices import issue

if TYPE_CHECKING:
    from ..foundation.messages import Message


def _event(message: Message) -> Any:
    return strict_json.parse(message.body)


def _issue_again(event: Any, message: Message) -> Outcome:
    try:
        issue(event, message.id)
    except store.StoreError as error:
        raise error.__cause__ or error  # noqa: B904 - the error of AWS, which the caller knows
    return STORED


handler = batch.handler(_event, batch.one_by_one(_issue_again))
