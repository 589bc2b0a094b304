"""Changes of items as Lambda delivers them, and a table whose stream has them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from serverless_patterns.lambdas.foundation.tables import serialize
from tests.lambdas.orders import order
from tests.moto_cloud import text

STREAM = "arn:aws:dynamodb:eu-central-1:123456789012:table/orders/stream/2026-11-26T10:00:00.000"
START = 10**23
BY_DYNAMODB = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}


@dataclass
class Table:
    """A table in memory: what it holds, and every change as a record of its stream."""

    items: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    records: list[dict[str, Any]] = field(default_factory=list)

    def write(self, pk: str, item: dict[str, Any] | None, sk: str = "ORDER", **more: Any) -> Any:
        """Put an item, or delete it; return the record."""
        before, keys = self.items.pop((pk, sk), None), {"pk": pk, "sk": sk}
        after = None if item is None else {**item, **keys}
        said = {
            "Keys": serialize(keys),
            "SequenceNumber": str(START + len(self.records)),
            "ApproximateCreationDateTime": 1_790_000_000.0,
        }
        said |= {"NewImage": serialize(after)} if after is not None else {}
        said |= {"OldImage": serialize(before)} if before is not None else {}
        kind = "REMOVE" if after is None else "MODIFY" if before is not None else "INSERT"
        if after is not None:
            self.items[pk, sk] = after
        record = {"eventName": kind, "eventSource": "aws:dynamodb", "eventSourceARN": STREAM}
        self.records.append(record | {"dynamodb": said} | more)
        return self.records[-1]

    def event(self, number: int = 1, **changes: Any) -> Any:
        """Put an event into the outbox; ``changes`` replace what it says. Return the record."""
        made = order(number)
        said = {"event_id": f"e{number}", "order_id": made["order_id"], "type": "placed"}
        item = {"event": text(said | {"order": made} | changes)}
        return self.write(made["order_id"], item, f"EVENT#e{number}")


def numbers(*records: Any) -> list[str]:
    """Return the sequence numbers of records."""
    return [record["dynamodb"]["SequenceNumber"] for record in records]
