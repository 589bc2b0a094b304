"""The states of the shop's orders. Pure: no AWS, no environment, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..foundation import checks, strict_json
from ..foundation.outcomes import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

STATES = ("placed", "packed", "shipped", "delivered", "returned")
MAX_VERSION = 1_000


@dataclass(frozen=True)
class StateChange:
    """A change of an order's state; ``fingerprint`` tells it from another under its id."""

    id: str
    order_id: str
    version: int
    document: Mapping[str, Any]
    fingerprint: str


def parse(body: str) -> StateChange:
    """Return the state change in a message.

    Raises:
        RefusedError: it is not a valid one.
    """
    names = ("change_id", "order_id", "version", "state", "customer_id")
    said = checks.fields(strict_json.parse(body), "change", *names)
    for name in ("change_id", "order_id", "customer_id"):
        checks.identifier(said[name], name)
    checks.whole(said["version"], "version", MAX_VERSION)
    if said["state"] not in STATES:
        raise RefusedError("field", f"state must be one of {', '.join(STATES)}.")
    return StateChange(
        said["change_id"], said["order_id"], said["version"], said, strict_json.fingerprint(said)
    )
