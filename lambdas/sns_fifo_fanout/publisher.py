"""Publishes price changes in batches, in order for each part, also when some fail.

The price-management function uses it; other programs that change prices can, too.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections import deque
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..foundation import topics
from ..foundation.publishing import LONGEST_CALL, Published, send

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Change = Mapping[str, Any]

# More than the group, the deduplication id and the attribute's name take.
OVERHEAD = 512


def publish(
    client: Any,
    topic_arn: str,
    changes: Iterable[Change],
    *,
    attempts: int = 8,
    seconds_left: Callable[[], float] = lambda: math.inf,
    sleep: Callable[[float], None] = time.sleep,
) -> Published:
    """Publish price changes; those of one part in the order given.

    A batch holds one change of a part at most: SNS may take some entries of a batch and fail
    others (with HTTP 200), and a newer change must not overtake an older one that is sent again. So
    batches are full as long as there are changes of ten parts.

    Args:
        client: boto3 client of SNS.
        topic_arn: A FIFO topic.
        changes: As ``logic.parse`` reads them.
        attempts: For each change. Default: 8.
        seconds_left: Until the caller has to answer; what is waiting when they are too few for a
            call is unpublished. Default: forever.
        sleep: Waits before the next attempt. Default: ``time.sleep``.
    """
    groups: dict[str, deque[Change]] = {}
    for change in changes:
        groups.setdefault(change["part_id"], deque()).append(change)
    waiting, result = deque(groups.values()), Published()
    call = partial(topics.put, client, topic_arn)
    failures: dict[str, int] = {}
    while waiting:
        if seconds_left() < LONGEST_CALL:
            late = {change["event_id"]: "OutOfTime" for group in waiting for change in group}
            result.unpublished |= late
            break
        batch = _next_batch(waiting)
        named = [(group[0]["event_id"], _entry(group[0])) for group in batch]
        codes = send(named, call, topics.SENDERS_FAULTS, result)
        for group in batch:
            event_id = group[0]["event_id"]
            if event_id in codes:
                failures[event_id] = failures.get(event_id, 0) + 1
                if failures[event_id] == attempts:
                    result.unpublished |= {c["event_id"]: codes[event_id] for c in group}
                    continue
            else:
                group.popleft()
            if group:
                waiting.append(group)
        if codes:
            longest = 0.05 * 2 ** max(failures[event_id] for event_id in codes)
            sleep(min(5.0, longest) * random.random())  # noqa: S311 - jitter
    return result


def _next_batch(waiting: deque[deque[Change]]) -> list[deque[Change]]:
    """Take the next groups whose first changes fit into one call."""
    size, count = 0, 0
    for group in islice(waiting, topics.MAX_ENTRIES):
        size += len(_message(group[0]).encode()) + OVERHEAD
        if count and size > topics.MAX_BYTES:
            break
        count += 1
    return [waiting.popleft() for _ in range(count)]


def _entry(change: Change) -> dict[str, Any]:
    return {
        "Message": _message(change),
        "MessageGroupId": change["part_id"],
        "MessageDeduplicationId": change["event_id"],
        "MessageAttributes": {
            "channels": {
                "DataType": "String.Array",
                "StringValue": json.dumps(change["channels"]),
            }
        },
    }


def _message(change: Change) -> str:
    return json.dumps(change, ensure_ascii=False, separators=(",", ":"))
