"""A change of an order, with the next version of its customer.

For programs that change orders; no function of the demo stack uses it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..foundation import strict_json, versions
from .logic import ORDER

if TYPE_CHECKING:
    from collections.abc import Mapping


def change(client: Any, table: str, customer: str, document: Mapping[str, Any], status: str) -> int:
    """Put an order as it is from now on; return the version that the change has.

    Args:
        client: Of DynamoDB.
        table: Its name.
        customer: Whose order it is, and whose channel is told.
        document: The order.
        status: Such as ``placed`` or ``shipped``.

    Raises:
        ConflictError: see ``versions``.
    """
    item = {"status": status, "order": strict_json.encode(document).decode()}
    return versions.put(client, table, customer, f"{ORDER}{document['order_id']}", item)
