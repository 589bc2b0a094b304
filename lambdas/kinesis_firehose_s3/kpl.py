"""Many small events in one Kinesis record, in the format of the Kinesis Producer Library.

Kinesis counts and charges by record, so small events go together. The format (Protocol Buffers
between a magic number and an MD5) is public: github.com/awslabs/amazon-kinesis-producer,
"aggregation-format.md". The few lines here keep Protocol Buffers out of the layer, and reject a
broken record as a whole instead of dropping half of it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAGIC = b"\xf3\x89\x9a\xc2"
DIGEST_SIZE = 16

# AggregatedRecord: 1 partition keys, 2 explicit hash keys, 3 records. Record: 1 index of the
# partition key, 2 index of the explicit hash key, 3 data, 4 tags.
_KEY, _RECORD, _KEY_INDEX, _DATA = 1, 3, 1, 3
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class BrokenAggregateError(Exception):
    """An aggregated record that cannot be read to its end."""


def aggregate(partition_key: str, events: Iterable[bytes]) -> bytes:
    """Return one record's data with all events in it, under one partition key."""
    body = bytearray(_field(_KEY, partition_key.encode()))
    for event in events:
        body += _field(_RECORD, _varint(_KEY_INDEX << 3 | _VARINT) + b"\0" + _field(_DATA, event))
    return MAGIC + bytes(body) + _digest(body)


def overhead(event: bytes) -> int:
    """Return the most bytes that an event takes in an aggregated record beside its own."""
    return 4 + 2 * len(_varint(len(event) + 8))


def split(data: bytes) -> list[bytes]:
    """Return the events in a record; a record that is not aggregated is one event.

    Raises:
        BrokenAggregateError: its checksum is right, but not its form.
    """
    body = data[len(MAGIC) : -DIGEST_SIZE]
    if not (body and data.startswith(MAGIC) and data.endswith(_digest(body))):
        return [data]
    try:
        return [_value(record, _DATA) for number, record in _fields(body) if number == _RECORD]
    except (IndexError, ValueError) as error:
        raise BrokenAggregateError(str(error)) from error


def _value(record: bytes, wanted: int) -> bytes:
    for number, value in _fields(record):
        if number == wanted:
            return value
    raise ValueError("a record without data")


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the number and content of each field that holds bytes; skip the others."""
    position = 0
    while position < len(message):
        tag, position = _read_varint(message, position)
        number, kind = tag >> 3, tag & 7
        if kind in (_VARINT, _BYTES):
            size, position = _read_varint(message, position)
            size = size if kind == _BYTES else 0
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if position + size > len(message):
            raise ValueError("a field beyond the end")
        if kind == _BYTES:
            yield number, message[position : position + size]
        position += size


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return value, position
    raise ValueError("a number of more than 64 bits")


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(value)) + value


def _digest(body: bytes | bytearray) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()
