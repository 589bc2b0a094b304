"""What the transform makes of each record, and that no record keeps another from the lake."""

from __future__ import annotations

import base64
import json
import sys
from datetime import timedelta
from hashlib import md5
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serverless_patterns.lambdas.foundation import kpl
from serverless_patterns.lambdas.foundation.logs import logger
from serverless_patterns.lambdas.kinesis_firehose_s3 import logic, transform
from serverless_patterns.patterns.kinesis_firehose_s3.stack import COLUMNS
from serverless_patterns.patterns.limits import LAMBDA_PAYLOAD_BYTES
from tests.moto_cloud import Context

from .conftest import NOW, PHONE, click, to_bytes

CONTEXT: Any = Context()
BROKEN = kpl.MAGIC + b"\x1a\x7f" + md5(b"\x1a\x7f", usedforsecurity=False).digest()


def outcome(document: Any, **options: Any) -> logic.Outcome:
    record = document if isinstance(document, bytes) else json.dumps(document).encode()
    return logic.transform(record, NOW, **options)


def rows(data: bytes) -> list[dict[str, Any]]:
    """Return the lines of JSON that go into the lake."""
    assert data.endswith(b"\n")
    return [json.loads(line) for line in data.splitlines()]


def row(**changes: Any) -> dict[str, Any]:
    (only,) = rows(outcome(click(**changes)).data)
    return only


# What goes into the lake


def test_a_click_becomes_a_row_of_every_column_of_the_table() -> None:
    assert row() == {
        "click_id": "click-1",
        "user_id": "user-7",
        "session_id": "session-3",
        "clicked_at": "2026-11-21 11:59:58.123",
        "page": "/parts/brakes/BRK-PAD-F",
        "sku": "BRK-PAD-F",
        "referrer_host": "www.example.com",
        "device": "phone",
        "country": "DE",
        "source": "json",
    }
    assert list(row()) == list(COLUMNS)


def test_a_field_that_the_table_does_not_have_is_ignored_whatever_it_holds() -> None:
    assert row(scrolled=0.75, experiments=[{"id": 1.5}]) == row()


def test_a_row_takes_no_more_bytes_than_its_letters_need() -> None:
    line = outcome(click(page="/部品")).data.decode()
    assert '"page":"/部品","' in line
    assert " " not in line.replace("2026-11-21 11", "")


def test_a_click_may_have_64_kib_and_no_byte_more() -> None:
    longest = to_bytes(click()).ljust(64 * 1024)
    assert outcome(longest).kind == "Ok"
    assert outcome(longest + b" ").reason == "too_large"


def test_nothing_of_a_query_string_gets_into_the_lake() -> None:
    line = outcome(click()).data
    assert not [word for word in (b"someone", b"secret") if word in line]


@pytest.mark.parametrize("agent", [PHONE, "Windows, NT", 'Windows "NT"'])
def test_a_line_of_csv_makes_the_same_row_as_json(agent: str) -> None:
    values = (value.replace('"', '""') for value in click(user_agent=agent).values())
    line = ",".join(f'"{value}"' for value in values).encode() + b"\r\n"
    assert rows(outcome(line).data) == [row(user_agent=agent) | {"source": "csv"}]


@pytest.mark.parametrize(
    ("field", "value", "column", "expected"),
    [
        ("page", "/部品/öl 🚗", "page", "/部品/öl 🚗"),
        ("page", "/parts/a/b/OIL-FLT-3/", "sku", "OIL-FLT-3"),
        ("page", "/parts/X1#reviews", "sku", "X1"),
        *(("page", page, "sku", None) for page in ("/parts/brakes", "/parts/", "/cart")),
        ("referrer", "https://Shop.Example:8443/x", "referrer_host", "shop.example"),
        ("referrer", "https://user:secret@example.com/", "referrer_host", "example.com"),
        *(("referrer", url, "referrer_host", None) for url in ("", "no url", "https://[broken")),
        ("user_agent", "Mozilla/5.0 (Android 16; Pixel 10) Mobile", "device", "phone"),
        ("user_agent", "Mozilla/5.0 (Android 16; SM-X910) Safari", "device", "tablet"),
        ("user_agent", "Mozilla/5.0 (iPad; CPU OS 18_1)", "device", "tablet"),
        ("user_agent", "Mozilla/5.0 (Windows NT 10.0)", "device", "desktop"),
        ("clicked_at", "2026-11-21T20:00:00+09:00", "clicked_at", "2026-11-21 11:00:00.000"),
    ],
)
def test_the_row_tells_part_device_host_and_the_time_in_utc(
    field: str, value: str, column: str, expected: str | None
) -> None:
    assert row(**{field: value})[column] == expected


# What is dropped by rule, and what fails, with its reason


AGENTS = "(compatible; Googlebot/2.1)|curl/8.10.1|python-requests/2|HeadlessChrome/141|Cubot/5|"


@pytest.mark.parametrize("user_agent", AGENTS.split("|"))
def test_a_bot_is_dropped_and_counted(user_agent: str) -> None:
    made = outcome(click(user_agent=user_agent))
    assert (made.kind, made.reason, made.dropped, made.data) == ("Dropped", "bot", 1, b"")


def test_a_person_is_not_treated_as_a_bot() -> None:
    assert outcome(click(user_agent="Botanical Browser 1")).kind == "Ok"


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        *((record, "empty") for record in (b"", b" \n ")),
        *((record, "not_csv") for record in (b"42", b"a,b,c", b'"open', b'a,b,c,d,e,f,"g"x",h')),
        *((record, "not_json") for record in (b"{", b"[]", b"[" * 60_000, to_bytes(click()) * 2)),
        *((record, "too_large") for record in (b"[" * 100_000, b"x" * (64 * 1024 + 1))),
        (b"\xff", "not_text"),
        (BROKEN, "aggregate"),
    ],
    # No backslash: pytest escapes it again each time that it collects.
    ids=lambda value: repr(value[:12]).replace("\\", "") if isinstance(value, bytes) else None,
)
def test_a_record_that_is_no_click_fails_with_its_reason(record: bytes, reason: str) -> None:
    made = outcome(record)
    assert (made.kind, made.reason) == ("ProcessingFailed", reason)


LATE, EARLY = NOW + logic.MAX_AHEAD, NOW - logic.MAX_OLD
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("field", "values", "reason"),
    [
        ("click_id", ["", "x" * 65, "x' OR '1'='1"], "field"),
        ("user_id", [17, {"$ne": None}, ""], "field"),
        ("session_id", [None, ""], "field"),
        ("country", ["de", "DEU", ""], "field"),
        ("page", ["https://evil.example/", "/" + "x" * 2048, ""], "field"),
        ("page", ["/\ud800"], "text"),
        ("user_agent", ["Mozilla\0"], "field"),
        ("referrer", [["https://example.com"]], "field"),
        ("clicked_at", [1795262400], "field"),
        ("clicked_at", ["2026-11-21T12:00:00", "2026-02-30T12:00:00Z", "yesterday"], "time"),
        ("clicked_at", ["", "0001-01-01T00:00:00+14:00"], "time"),
        ("clicked_at", [(LATE + SECOND).isoformat(), (EARLY - SECOND).isoformat()], "time"),
    ],
)
def test_a_field_that_is_wrong_or_missing_fails(field: str, values: list[Any], reason: str) -> None:
    for value in values:
        for agent in (PHONE, "curl/8"):  # a bot's click must be a click too
            changed = click() | {"user_agent": agent, field: value}
            if value == "":
                del changed[field]
            made = outcome(changed)
            assert (made.kind, made.reason) == ("ProcessingFailed", reason), value


@pytest.mark.parametrize("clicked_at", [LATE, EARLY])
def test_a_click_may_be_an_hour_ahead_of_its_arrival_or_a_month_old(clicked_at: Any) -> None:
    assert outcome(click(clicked_at=clicked_at.isoformat())).kind == "Ok"


ANYTHING = st.none() | st.integers() | st.text() | st.lists(st.text())
FIELDS = st.dictionaries(st.sampled_from(logic.CSV_FIELDS), ANYTHING)


@settings(deadline=None)
@given(
    st.binary(max_size=300)
    | st.text(max_size=100).map(str.encode)
    | FIELDS.map(lambda changes: json.dumps(click() | changes).encode())
)
def test_no_record_whatsoever_makes_the_transform_fail(record: bytes) -> None:
    made = outcome(record)
    assert made.kind in ("Ok", "Dropped", "ProcessingFailed")
    assert (made.kind == "ProcessingFailed") == bool(made.detail)
    assert made.kind != "Ok" or rows(made.data)


# Aggregated records: on AWS Firehose has taken them apart before


def together(*clicks: Any) -> bytes:
    return kpl.aggregate("key", map(to_bytes, clicks))


def test_an_aggregated_record_is_taken_apart_and_its_bots_are_dropped_alone() -> None:
    made = outcome(together(click(0), click(1, user_agent="curl/8"), click(2)))
    assert [line["click_id"] for line in rows(made.data)] == ["click-0", "click-2"]
    assert (made.kind, made.kept, made.dropped) == ("Ok", 2, 1)


def test_an_aggregated_record_with_one_bad_click_or_of_several_folders_is_kept_whole() -> None:
    made = outcome(together(click(), {}))
    assert (made.kind, made.reason, made.data) == ("ProcessingFailed", "field", b"")
    record = together(click(1), click(2, country="FR"))
    assert outcome(record).kind == "Ok"
    made = outcome(record, partition_keys=["country"])
    assert (made.kind, made.reason) == ("ProcessingFailed", "aggregate")


# The function


def answers(*records: bytes) -> list[dict[str, Any]]:
    """Call the function as Firehose does; return its answer for each record."""
    arrived_at = int(NOW.timestamp() * 1000)
    sent = [
        {
            "recordId": f"record-{number}",
            "approximateArrivalTimestamp": arrived_at,
            "data": base64.b64encode(record).decode(),
        }
        for number, record in enumerate(records)
    ]
    response = transform.handler({"invocationId": "invocation", "records": sent}, CONTEXT)
    assert len(json.dumps(response)) < LAMBDA_PAYLOAD_BYTES, "Lambda does not return it"
    found: list[dict[str, Any]] = response["records"]
    assert [answer["recordId"] for answer in found] == [record["recordId"] for record in sent]
    return found


def test_each_record_is_answered_for_itself() -> None:
    made = answers(to_bytes(click(1)), b"nonsense", to_bytes(click(2, user_agent="curl/8")))
    assert [record["result"] for record in made] == ["Ok", "ProcessingFailed", "Dropped"]
    assert rows(base64.b64decode(made[0]["data"]))[0]["click_id"] == "click-1"
    assert made[1]["data"] == made[2]["data"] == ""


def test_partition_keys_are_returned_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "metadata" not in answers(to_bytes(click()))[0]
    monkeypatch.setenv("PARTITION_KEYS", "country,device")
    (made,) = answers(to_bytes(click()))
    assert made["metadata"] == {"partitionKeys": {"country": "DE", "device": "phone"}}


def test_a_response_never_grows_beyond_what_lambda_returns() -> None:
    big = click(page="/" + "ö" * 2000)
    results = [record["result"] for record in answers(*[together(*[big] * 300)] * 9)]
    assert (results[0], results[-1]) == ("Ok", "ProcessingFailed")
    assert transform.MAX_RESPONSE_BYTES < LAMBDA_PAYLOAD_BYTES, "it leaves room for the rest"


def test_the_log_counts_what_was_dropped_and_failed_and_names_nobody(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logger.registered_handler, "stream", sys.stdout)
    answers(to_bytes(click()), to_bytes(click(user_agent="curl/8")), to_bytes(click(user_id=1)))
    printed = capsys.readouterr().out
    failed, summary = [json.loads(line) for line in printed.splitlines()]
    counts = {"records": 3, "kept": 1, "dropped_bots": 1, "failed": 1, "failures": {"field": 1}}
    assert (failed["message"], summary["message"]) == ("Failed", "Batch")
    assert counts.items() <= summary.items()
    assert (failed["record_id"], failed["reason"]) == ("record-2", "field")
    encoded = (base64.b64encode(to_bytes(click(user_id=1)))[at : at + 40] for at in (0, 40, 80))
    assert not any(part.decode() in printed for part in encoded)
    for value in ("click-1", "user-7", "session-3", "someone", "BRK-PAD-F", "iPhone", "example"):
        assert value not in printed
