"""What of a change is sent to the queue. Pure: no AWS, no environment, no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..foundation import outbox
from ..foundation.changes import Change
from ..foundation.outcomes import RefusedError
from ..foundation.statuses import JOB, job_name

if TYPE_CHECKING:
    from ..foundation.messages import Message

MAX_BYTES = 390 * 1024  # of a request; an item of DynamoDB has 400 KB with its other attributes


def outgoing(message: Message) -> tuple[str, str] | None:
    """Return the job and the body that a new order, or one that was touched, is sent with.

    None for any other change: a replay has all of a range, whatever the relay's filter.

    Raises:
        RefusedError: nobody could send it.
    """
    change = Change.of(message)
    if change.after is None or change.keys["sk"]["S"] != JOB:
        return None
    try:
        key, at = change.after["pk"]["S"], change.after["at"]["N"]
        body = str(change.after["body"]["S"])
    except KeyError as error:
        raise RefusedError("field", f"The order has no {error.args[0]}.") from error
    outbox.check(body, MAX_BYTES)
    return job_name(key, at), body
