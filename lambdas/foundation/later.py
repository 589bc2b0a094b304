"""Sends messages after a delay: SQS delays up to 15 minutes, a one-time schedule for longer.

A FIFO queue delays no single message, so there every one with a delay has a schedule.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from . import aws, dead_letters
from .publishing import Published

if TYPE_CHECKING:
    from collections.abc import Sequence

# Sending it again would be rejected again.
REFUSED = {"AccessDeniedException", "ValidationException"}
# AWS does not say that a schedule runs whose time is over when it is created. Longer than all
# attempts of the call take.
EARLIEST = timedelta(seconds=15)


@dataclass(frozen=True)
class Delayed:
    """A message to send.

    Args:
        id: Names it, and its schedule: letters, digits and ``-_.``, at most 64. One that is sent
            again under its id before it is due has one schedule.
        body: Its text; with a schedule, at most 256 KiB.
        seconds: Its delay. Default: that of the queue.
        group: Its message group; a FIFO queue needs one.
    """

    id: str
    body: str
    seconds: float | None = None
    group: str | None = None


def send(messages: Sequence[Delayed]) -> Published:
    """Send messages, ten a call, and one a call those that need a schedule."""
    result, longest = Published(), int(os.environ["MESSAGE_DELAY_SECONDS"])
    by_sqs = [one for one in messages if (one.seconds or 0) <= longest]
    entries = (_entry(str(number), one) for number, one in enumerate(by_sqs))
    failed = dead_letters.send_all(os.environ["QUEUE_URL"], entries)
    for number, one in enumerate(by_sqs):
        code = failed.get(str(number))
        noted = result.accepted if code is None else result.unpublished
        noted[one.id] = code or one.id
    for one in messages:
        if (one.seconds or 0) > longest:
            _schedule(one, result)
    return result


def _entry(id_: str, message: Delayed) -> dict[str, Any]:
    entry: dict[str, Any] = {"Id": id_, "MessageBody": message.body}
    if message.group:
        entry["MessageGroupId"] = message.group
    if os.environ["QUEUE_URL"].endswith(".fifo"):
        return entry | {"MessageDeduplicationId": message.id}
    if message.seconds is not None:  # 0 wins over the delay of the queue, too
        entry["DelaySeconds"] = math.ceil(message.seconds)
    return entry


def once(at: datetime) -> dict[str, str]:
    """Return when a one-time schedule runs: not before ``at``, and never in the past."""
    due = max(at, datetime.now(UTC) + EARLIEST) + timedelta(microseconds=999_999)
    return {
        "ScheduleExpression": f"at({due:%Y-%m-%dT%H:%M:%S})",  # whole seconds
        "ScheduleExpressionTimezone": "UTC",
    }


def _schedule(message: Delayed, result: Published) -> None:
    """Make the schedule that sends a message; one that is there already is not made again."""
    request = json.loads(os.environ["SCHEDULE_REQUEST"])
    due = datetime.now(UTC) + timedelta(seconds=message.seconds or 0)
    target = {**request["Target"], "Input": message.body}
    if message.group:
        target["SqsParameters"] = {"MessageGroupId": message.group}
    scheduler = aws.client("scheduler")
    try:
        scheduler.create_schedule(**request | once(due) | {"Name": message.id, "Target": target})
    except scheduler.exceptions.ConflictException:
        pass
    except (ClientError, BotoCoreError) as error:
        code = aws.code(error)
        noted = result.refused if code.split()[0] in REFUSED else result.unpublished
        noted[message.id] = code
        return
    result.accepted[message.id] = message.id
