"""The Kinesis Producer Library's format, read and written."""

from __future__ import annotations

import base64
import contextlib
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serverless_patterns.lambdas.foundation import kpl

# Written by aws-kinesis-agg 1.2.3: three events, two partition keys, an explicit hash key.
BY_AWS = base64.b64decode(
    "84mawgoCazEKAmsyEgMxMjMaCwgAEAAaBWZpcnN0Gg4IARoKendlaXRlIOKCrBoJCAAaBXRoaXJk4G1E9JqaOgUNvU6n"
    "XGn32g=="
)


def checksummed(body: bytes) -> bytes:
    return kpl.MAGIC + body + hashlib.md5(body, usedforsecurity=False).digest()


def test_awss_own_library_reads_and_writes_the_same_format() -> None:
    assert kpl.split(BY_AWS) == [b"first", "zweite €".encode(), b"third"]
    # aws-kinesis-agg 1.2.3 of b"a" and b"bc" under the key "k"
    assert kpl.aggregate("k", [b"a", b"bc"])[4:-16].hex() == "0a016b1a0508001a01611a0608001a026263"


@settings(deadline=None)
@given(st.lists(st.binary(max_size=400), min_size=1, max_size=20))
def test_events_that_share_a_record_come_apart_again_and_need_no_more_room_than_counted(
    events: list[bytes],
) -> None:
    together = kpl.aggregate("key", events)
    assert kpl.split(together) == events
    most = sum(len(event) + kpl.overhead(event) for event in events)
    assert len(together) - len(kpl.aggregate("key", [])) <= most


@pytest.mark.parametrize("size", [0, 119, 127, 128, 16_380, 20_000])
def test_the_room_of_an_event_is_counted_to_the_byte_at_every_length_of_its_size(size: int) -> None:
    event = b"x" * size
    together = kpl.aggregate("key", [event])
    assert kpl.split(together) == [event]
    needed = len(together) - len(kpl.aggregate("key", [])) - size
    # The record's size is that of its event, and a few bytes: near a power of 128 it may be longer.
    assert kpl.overhead(event) - needed == (1 if size in (127, 16_380) else 0)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_other_record_is_one_event(data: bytes) -> None:
    assert kpl.split(data) == [data]


@pytest.mark.parametrize("position", [0, 5, len(BY_AWS) - 1])
def test_a_record_with_a_wrong_checksum_is_one_event(position: int) -> None:
    changed = bytearray(BY_AWS)
    changed[position] ^= 1
    assert kpl.split(bytes(changed)) == [bytes(changed)]


BROKEN = {
    "no length": (b"\x1a", "ValueError"),
    "too short": (b"\x1a\x7f", "a field beyond the end"),
    "huge length": (b"\x1a" + b"\xff" * 9 + b"\x7f", "OverflowError"),
    "group": (b"\x1b", "KeyError"),
    "no data": (b"\x1a\x02\x08\x00", "KeyError"),
    "long number": (b"\x08" + b"\xff" * 11, "a number of more than 64 bits"),
    "one byte too long": (b"\x08" + b"\x80" * 10 + b"\x01", "a number of more than 64 bits"),
    "short inside": (b"\x1a\x03\x1a\x7f1", "a field beyond the end"),
}


@pytest.mark.parametrize(("body", "why"), BROKEN.values(), ids=BROKEN)
def test_a_broken_record_is_rejected_as_a_whole_with_the_reason(body: bytes, why: str) -> None:
    with pytest.raises(kpl.BrokenAggregateError, match=why):
        kpl.split(checksummed(body))


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=100))
def test_no_checksummed_record_does_worse_than_being_rejected(body: bytes) -> None:
    with contextlib.suppress(kpl.BrokenAggregateError):
        assert isinstance(kpl.split(checksummed(body)), list)


def test_unknown_fields_are_skipped() -> None:
    tagged = b"\x1a\x0b\x08\x00\x1a\x01a\x22\x02\x0a\x00\x10\x05"
    assert kpl.split(checksummed(b"\x0a\x01k\x25abcd\x29abcdefgh" + tagged)) == [b"a"]
