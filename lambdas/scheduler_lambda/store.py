"""Reminders in EventBridge Scheduler, and ticks in DynamoDB: the only file that calls AWS.

A schedule has the order's name, so an order has one reminder, whatever comes twice.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from ..foundation import aws, later, tables
from ..foundation.outcomes import DUPLICATE, STORED, Outcome
from . import logic

if TYPE_CHECKING:
    from datetime import datetime

    from .logic import Change, Tick

MOVED, CANCELED = Outcome("moved"), Outcome("canceled")


def remind(change: Change) -> Outcome:
    """Make, move or cancel the reminder of an order: one call for a new one, up to three else.

    An older version changes nothing. Errors of AWS are the caller's: SQS delivers the change again,
    which also slows down who is throttled.
    """
    scheduler = aws.client("scheduler")
    base, errors = json.loads(os.environ["SCHEDULE_REQUEST"]), scheduler.exceptions
    name, wanted = {"GroupName": base["GroupName"], "Name": change.order_id}, change.remind_at
    request = {**base, **name, **(_times(base, change, wanted) if wanted else {})}
    if wanted:
        try:
            scheduler.create_schedule(**request)
        except errors.ConflictException:
            pass
        else:
            return STORED
    try:
        found = scheduler.get_schedule(**name)
    except errors.ResourceNotFoundException:
        if wanted:  # it has run meanwhile
            raise
        return DUPLICATE
    if logic.version_of(found) >= change.version:
        return DUPLICATE
    if wanted:
        scheduler.update_schedule(**request)
        return MOVED
    scheduler.delete_schedule(**name)
    return CANCELED


def _times(base: dict[str, Any], change: Change, remind_at: datetime) -> dict[str, Any]:
    tick = json.dumps(logic.tick(change, remind_at))
    return {**later.once(remind_at), "Target": {**base["Target"], "Input": tick}}


def put_tick(tick: Tick, late: int) -> bool:
    """Store a tick unless it is stored already; return whether it was new."""
    item = {
        "pk": tick.key,
        "schedule": tick.schedule,
        "execution": tick.execution,
        "input": json.dumps(tick.given),
        "late_seconds": late,
    }
    client = tables.client()
    try:
        client.put_item(**tables.new(os.environ["TABLE_NAME"], item))
    except client.exceptions.ConditionalCheckFailedException:
        return False
    return True
