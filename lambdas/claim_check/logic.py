"""A supplier's catalog, of any size: JSON lines, of which the first says what the others are.

Pure: no AWS, no environment, no clock. One line is in memory at a time.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from ..foundation import checks, strict_json
from ..foundation.orders import Order
from ..foundation.outcomes import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_LINE = 64 * 1024
MAX_DESCRIPTION = 4000


def read(chunks: Iterable[bytes]) -> Order:
    """Return what is kept of a catalog: its id, its supplier, and how many parts it has.

    Raises:
        RefusedError: it breaks a rule.
    """
    digest, parts = hashlib.sha256(), 0
    lines = _lines(chunks, digest.update)
    catalog = checks.fields(_parsed(next(lines, b"")), "catalog", "catalog_id", "supplier", "parts")
    id_ = checks.identifier(catalog["catalog_id"], "catalog_id")
    checks.identifier(catalog["supplier"], "supplier")
    for parts, line in enumerate(lines, 1):  # noqa: B007 - it counts
        part = checks.fields(_parsed(line), "part", "sku", "price", "description")
        checks.identifier(part["sku"], "sku")
        checks.text(part["description"], "description", MAX_DESCRIPTION)
        checks.amount(part["price"], "price", 2)
    if type(catalog["parts"]) is not int or catalog["parts"] != parts:
        raise RefusedError("parts", "parts is not the number of lines that follow.")
    return Order(id_, catalog, digest.hexdigest())


def _parsed(line: bytes) -> Any:
    try:
        return strict_json.parse(line.decode())
    except UnicodeDecodeError:
        raise RefusedError("text", "A line is not UTF-8.") from None


def _lines(chunks: Iterable[bytes], see: Any) -> Iterator[bytes]:
    left = b""
    for chunk in chunks:
        see(chunk)
        *lines, left = (left + chunk).split(b"\n")
        if max(map(len, [*lines, left])) > MAX_LINE:  # however S3 cuts it into chunks
            raise RefusedError("line", f"A line has more than {MAX_LINE} bytes.")
        yield from lines
    if left:
        yield left
