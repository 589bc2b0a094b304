"""Table → stream → DynamoDB: the newest state of each order, whatever comes twice or late.

A hundred changes cost one write call; the changes of an item that are in one batch cost one write.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..foundation import shards, tables
from ..foundation.changes import Change
from ..foundation.outcomes import STORED, Outcome
from . import logic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..foundation.messages import Message

STALE = Outcome("stale")  # a newer change of the item is there already


def project(changes: Sequence[tuple[Change, Message]]) -> dict[str, Outcome]:
    """Write the newest change of each item, unless a newer one is there."""
    newest = logic.newest(changes)
    puts = tables.put_new({key: _put(change) for key, change in newest.items()})

    def outcome(change: Change, key: str) -> Outcome:
        if key in puts.failed:
            return Outcome.failed(puts.failed[key])
        if key not in newest:
            return logic.IGNORED
        return STORED if newest[key] is change and key not in puts.found else STALE

    return {message.id: outcome(change, str(message.group_id)) for change, message in changes}


def _put(change: Change) -> Any:
    return {
        "TableName": os.environ["TABLE_NAME"],
        "Item": logic.projected(change),
        "ConditionExpression": "attribute_not_exists(place) OR place < :place",
        "ExpressionAttributeValues": {":place": {"S": change.place}},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


handler = shards.handler(Change.of, project)
