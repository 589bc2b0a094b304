"""Many small events in one Kinesis record, in the format of the Kinesis Producer Library.

Kinesis counts and charges by record, so small events share one. The format is Protocol Buffers
between a magic number and an MD5 (github.com/awslabs/amazon-kinesis-producer,
"aggregation-format.md"). AWS's own aws-kinesis-agg would bring Protocol Buffers into the layer, and
its page warns of data loss; this code rejects a broken record as a whole.
"""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAGIC = b"\xf3\x89\x9a\xc2"
DIGEST_SIZE = 16

# Fields of the aggregate: partition keys and records; of a record: its data, behind a number that
# says which partition key it has.
_KEY, _RECORD, _DATA = 1, 3, 3
_FIRST_KEY = b"\x08\x00"
# Protocol Buffers' wire types.
_VARINT, _BYTES = 0, 2
_FIXED_SIZES = {1: 8, 5: 4}


class BrokenAggregateError(Exception):
    """An aggregated record that cannot be read to its end."""


def aggregate(partition_key: str, events: Iterable[bytes]) -> bytes:
    """Return one record's data with all events in it, under one partition key."""
    fields = [_field(_RECORD, _FIRST_KEY + _field(_DATA, event)) for event in events]
    body = _field(_KEY, partition_key.encode()) + b"".join(fields)
    return MAGIC + body + _digest(body)


def overhead(event: bytes) -> int:
    """Return the most bytes that an event takes in an aggregated record besides its own."""
    return 4 + 2 * len(_varint(len(event) + 8))


def split(data: bytes) -> list[bytes]:
    """Return the events in a record; a record that is not aggregated is one event.

    Raises:
        BrokenAggregateError: its checksum is right, but its form is not.
    """
    body = data[len(MAGIC) : -DIGEST_SIZE]
    if not (body and data.startswith(MAGIC) and data.endswith(_digest(body))):
        return [data]
    try:
        return [dict(_fields(record))[_DATA] for field, record in _fields(body) if field == _RECORD]
    except (KeyError, OverflowError, ValueError) as error:
        raise BrokenAggregateError(repr(error)) from error


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the number and content of each field that holds bytes; skip the others."""
    stream = io.BytesIO(message)
    while stream.tell() < len(message):
        field, kind = divmod(_read_varint(stream), 8)
        if kind == _VARINT:
            _read_varint(stream)
            continue
        size = _read_varint(stream) if kind == _BYTES else _FIXED_SIZES[kind]
        content = stream.read(size)
        if len(content) < size:
            raise ValueError("a field beyond the end")
        if kind == _BYTES:
            yield field, content


def _read_varint(stream: io.BytesIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        [byte] = stream.read(1)
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
    raise ValueError("a number of more than 64 bits")


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(value)) + value


def _digest(body: bytes) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()
