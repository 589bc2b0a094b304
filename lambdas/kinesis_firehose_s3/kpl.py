"""Many small events in one Kinesis record, in the format of the Kinesis Producer Library.

Kinesis counts and charges by record, so small events go together. The format (Protocol Buffers
between a magic number and an MD5) is public: github.com/awslabs/amazon-kinesis-producer,
"aggregation-format.md". Read and written here in a few lines, so that the layer needs no Protocol
Buffers, and so that a broken record is refused as a whole instead of half of it being forgotten.
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
_KEY, _RECORD = 1, 3
_KEY_INDEX, _DATA = 1, 3
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class BrokenAggregateError(Exception):
    """An aggregated record that cannot be read to its end."""


def is_aggregated(data: bytes) -> bool:
    """Whether a record's data holds several events: by its magic number and checksum."""
    body, digest = data[len(MAGIC) : -DIGEST_SIZE], data[-DIGEST_SIZE:]
    return (
        data.startswith(MAGIC)
        and len(data) > len(MAGIC) + DIGEST_SIZE
        and hashlib.md5(body, usedforsecurity=False).digest() == digest
    )


def aggregate(partition_key: str, events: Iterable[bytes]) -> bytes:
    """Return one record's data with all events in it, under one partition key."""
    body = bytearray(_field(_KEY, partition_key.encode()))
    for event in events:
        body += _field(_RECORD, _varint(_KEY_INDEX << 3 | _VARINT) + b"\0" + _field(_DATA, event))
    return MAGIC + bytes(body) + hashlib.md5(body, usedforsecurity=False).digest()


def overhead(event: bytes) -> int:
    """Return the most bytes that an event takes in an aggregated record beside its own."""
    return 4 + 2 * len(_varint(len(event) + 8))


def split(data: bytes) -> list[bytes]:
    """Return the events in a record; a record that is not aggregated is one event.

    Raises:
        BrokenAggregateError: its checksum holds, but not its form.
    """
    if not is_aggregated(data):
        return [data]
    try:
        return [
            _data_of(value)
            for number, value in _fields(data[len(MAGIC) : -DIGEST_SIZE])
            if number == _RECORD and isinstance(value, bytes)
        ]
    except (IndexError, ValueError) as error:
        raise BrokenAggregateError(str(error)) from error


def _data_of(record: bytes) -> bytes:
    for number, value in _fields(record):
        if number == _DATA and isinstance(value, bytes):
            return value
    raise ValueError("a record without data")


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    position = 0
    while position < len(message):
        tag, position = _read_varint(message, position)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, position = _read_varint(message, position)
            yield number, value
            continue
        if kind == _BYTES:
            size, position = _read_varint(message, position)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if position + size > len(message):
            raise ValueError("a field beyond the end")
        yield number, message[position : position + size]
        position += size


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(value)) + value
