"""Files of newline-delimited JSON in S3, in a folder for each day: the only file that calls it."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from ..foundation import aws, strict_json
from ..foundation.outcomes import STORED, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..foundation.messages import Message
    from .logic import PriceChange


def write(received: Sequence[tuple[PriceChange, Message]]) -> dict[str, Outcome]:
    """Write price changes, one file for each day they were made on; return outcomes by message id.

    A file is named after its messages' ids, so a batch that is delivered again unchanged replaces
    its own files. In another batch a change makes a second line: readers use each ``event_id``
    once.
    """
    days: dict[str, dict[str, bytes]] = {}
    for change, message in received:
        lines = days.setdefault(f"{change.changed_at:%Y-%m-%d}", {})
        lines[message.id] = strict_json.encode(change.document) + b"\n"
    outcomes: dict[str, Outcome] = {}
    unreachable: Outcome | None = None  # then the other days are not attempted: time is short
    for day, lines in days.items():
        try:
            outcome = unreachable or _put(day, lines)
        except ClientError as error:
            outcome = Outcome.failed(aws.code(error))
        except BotoCoreError as error:
            outcome = unreachable = Outcome.failed(aws.code(error))
        outcomes |= dict.fromkeys(lines, outcome)
    return outcomes


def _put(day: str, lines: Mapping[str, bytes]) -> Outcome:
    name = hashlib.sha256(" ".join(sorted(lines)).encode()).hexdigest()[:32]
    aws.client("s3", read_timeout=5).put_object(
        Bucket=os.environ["BUCKET_NAME"],
        Key=f"price-changes/date={day}/{name}.ndjson",
        Body=b"".join(lines.values()),
        ContentType="application/x-ndjson",
    )
    return STORED
