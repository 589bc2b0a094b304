"""Makes the document that the customer gets.

Plain text here. A real renderer takes longer, and more so for a longer invoice:
``seconds_per_line`` simulates that.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .logic import Invoice


def render(invoice: Invoice, seconds_per_line: float = 0) -> str:
    """Return the invoice as text."""
    currency = invoice.document["currency"]
    rows = [f"Invoice {invoice.number}", ""]
    for line in invoice.document["lines"]:
        time.sleep(seconds_per_line)
        rows.append(f"{line['quantity']:>4} x {line['unit_price']:>14}  {line['name']}")
    rows += [
        "",
        f"Net    {invoice.net:>14} {currency}",
        f"VAT    {invoice.vat:>14} {currency} ({invoice.vat_rate:.1%})",
        f"Total  {invoice.gross:>14} {currency}",
    ]
    return "\n".join(rows)
