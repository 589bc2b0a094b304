"""What the transform makes of each record, and that no record keeps another from the lake."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serverless_patterns.lambdas.foundation.logs import logger
from serverless_patterns.lambdas.kinesis_firehose_s3 import kpl, logic, transform

from .conftest import CONTEXT, NOW, PHONE, answers, click, event, rows, to_bytes
from .test_handlers_kpl import checksummed


def outcome(document: Any, **options: Any) -> logic.Outcome:
    record = document if isinstance(document, bytes) else to_bytes(document)
    return logic.transform(record, NOW, **options)


def row(**changes: Any) -> dict[str, Any]:
    made = outcome(click(**changes))
    assert made.kind == "Ok", made
    (only,) = rows(made.data)
    return only


# What goes into the lake


def test_a_click_becomes_a_row_of_every_column() -> None:
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


def test_the_row_has_the_columns_of_the_table() -> None:
    from serverless_patterns.patterns.kinesis_firehose_s3.stack import COLUMNS

    assert list(row()) == list(COLUMNS)


def test_a_line_of_csv_makes_the_same_row_as_json() -> None:
    line = ",".join(f'"{value}"' for value in click().values()).encode() + b"\r\n"
    (from_csv,) = rows(outcome(line).data)
    assert from_csv == row() | {"source": "csv"}


@pytest.mark.parametrize(("quote", "kind"), [('""', "Ok"), ('"', "ProcessingFailed")])
def test_a_comma_and_a_quote_survive_csv(quote: str, kind: str) -> None:
    agent = f"Mozilla/5.0 (Windows, {quote}NT{quote}) Safari"
    made = outcome(f'c,u,s,{NOW.isoformat()},"/a,b","","{agent}",DE'.encode())
    assert made.kind == kind
    assert not made.data or rows(made.data)[0]["page"] == "/a,b"


def test_nothing_of_a_query_string_gets_into_the_lake() -> None:
    line = outcome(click()).data
    assert not [word for word in (b"someone", b"secret") if word in line]


@pytest.mark.parametrize(
    ("field", "value", "column", "expected"),
    [
        ("page", "/部品/öl 🚗", "page", "/部品/öl 🚗"),
        ("page", "/parts/brakes/BRK-PAD-F", "sku", "BRK-PAD-F"),
        ("page", "/parts/a/b/OIL-FLT-3/", "sku", "OIL-FLT-3"),
        ("page", "/parts/X1#reviews", "sku", "X1"),
        *(("page", page, "sku", None) for page in ("/parts/brakes", "/parts/", "/cart")),
        ("referrer", "https://Shop.Example:8443/x", "referrer_host", "shop.example"),
        ("referrer", "https://user:secret@example.com/", "referrer_host", "example.com"),
        *(("referrer", url, "referrer_host", None) for url in ("", "no url", "https://[broken")),
        ("user_agent", PHONE, "device", "phone"),
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


# What is dropped by rule


@pytest.mark.parametrize(
    "user_agent",
    ["(compatible; Googlebot/2.1)", "curl/8.10.1", "python-requests/2", "HeadlessChrome/141", ""],
)
def test_a_bot_is_dropped_and_counted(user_agent: str) -> None:
    made = outcome(click(user_agent=user_agent))
    assert (made.kind, made.reason, made.dropped, made.data) == ("Dropped", "bot", 1, b"")


@pytest.mark.parametrize(
    ("user_agent", "kind"),
    [(PHONE, "Ok"), ("Mozilla/5.0 Cubot/5", "Dropped"), ("Botanical Browser 1", "Ok")],
)
def test_a_person_is_not_taken_for_a_bot(user_agent: str, kind: str) -> None:
    assert outcome(click(user_agent=user_agent)).kind == kind


# What fails, with its reason


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        *((record, "empty") for record in (b"", b" \n ")),
        *((record, "not_csv") for record in (b"42", b"a,b,c", b'"open')),
        *((record, "not_json") for record in (b"{", b"[]", b"[" * 60_000, to_bytes(click()) * 2)),
        *((record, "too_large") for record in (b"[" * 100_000, b"x" * (64 * 1024 + 1))),
        (b"\xff", "not_text"),
        (checksummed(b"\x1a\x7f"), "aggregate"),
    ],
    ids=lambda value: value[:12].decode("latin-1") if isinstance(value, bytes) else None,
)
def test_what_is_no_click_fails_with_its_reason(record: bytes, reason: str) -> None:
    made = outcome(record)
    assert (made.kind, made.reason) == ("ProcessingFailed", reason)


@pytest.mark.parametrize(
    "changes",
    [
        *({"click_id": value} for value in ("", "x" * 65, "x' OR '1'='1")),
        *({"user_id": value} for value in (17, {"$ne": None})),
        {"session_id": None},
        *({"country": value} for value in ("de", "DEU")),
        *({"page": value} for value in ("https://evil.example/", "/" + "x" * 2048, "/\ud800")),
        {"user_agent": "Mozilla\0"},
        {"user_agent": "curl/8", "click_id": ""},  # a bot's click must be a click too
        {"referrer": ["https://example.com"]},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_field_of_the_wrong_form_fails(changes: dict[str, Any]) -> None:
    made = outcome(json.dumps(click(**changes)).encode())
    assert (made.kind, made.reason) == ("ProcessingFailed", "field")


@pytest.mark.parametrize("missing", sorted(set(logic.CSV_FIELDS) - {"referrer", "user_agent"}))
def test_a_missing_field_fails(missing: str) -> None:
    made = outcome({name: value for name, value in click().items() if name != missing})
    assert made.kind == "ProcessingFailed"


SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("clicked_at", "kind"),
    [
        ((NOW + logic.MAX_AHEAD).isoformat(), "Ok"),
        ((NOW - logic.MAX_OLD).isoformat(), "Ok"),
        ((NOW + logic.MAX_AHEAD + SECOND).isoformat(), "ProcessingFailed"),
        ((NOW - logic.MAX_OLD - SECOND).isoformat(), "ProcessingFailed"),
        ("2026-11-21T12:00:00", "ProcessingFailed"),
        ("2026-02-30T12:00:00Z", "ProcessingFailed"),
        ("yesterday", "ProcessingFailed"),
        ("0001-01-01T00:00:00+14:00", "ProcessingFailed"),
        (1795262400, "ProcessingFailed"),
    ],
)
def test_a_time_far_from_its_arrival_fails(clicked_at: object, kind: str) -> None:
    assert outcome(click(clicked_at=clicked_at)).kind == kind


@settings(deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_no_record_whatsoever_makes_the_transform_fail(record: bytes) -> None:
    made = outcome(record)
    assert made.kind in ("Ok", "Dropped", "ProcessingFailed")
    assert (made.kind == "ProcessingFailed") == bool(made.detail)


ANYTHING = st.none() | st.integers() | st.text() | st.lists(st.text())


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(logic.CSV_FIELDS), ANYTHING))
def test_no_field_whatsoever_makes_the_transform_fail(changes: dict[str, Any]) -> None:
    made = outcome(json.dumps(click(**changes)).encode())
    if made.kind == "Ok":
        rows(made.data)


# Aggregated records: on AWS Firehose has taken them apart before


def together(*events: bytes) -> bytes:
    return kpl.aggregate("key", events)


def test_an_aggregated_record_is_taken_apart() -> None:
    made = outcome(together(*(to_bytes(click(n)) for n in range(3))))
    assert [r["click_id"] for r in rows(made.data)] == ["click-0", "click-1", "click-2"]
    assert made.kept == 3


def test_bots_in_an_aggregated_record_are_dropped_alone() -> None:
    made = outcome(together(*(to_bytes(click(user_agent=a)) for a in ("curl/8", PHONE, "curl/8"))))
    assert (made.kind, made.kept, made.dropped) == ("Ok", 1, 2)


def test_an_aggregated_record_with_one_bad_click_is_kept_whole() -> None:
    made = outcome(together(to_bytes(click()), b"nonsense"))
    assert (made.kind, made.reason, made.data) == ("ProcessingFailed", "not_csv", b"")


def test_an_aggregated_record_of_several_folders_is_kept_whole() -> None:
    record = together(to_bytes(click(1)), to_bytes(click(2, country="FR")))
    assert outcome(record).kind == "Ok"
    made = outcome(record, partition_keys=["country"])
    assert (made.kind, made.reason) == ("ProcessingFailed", "aggregate")


# The function


def test_each_record_is_answered_for_itself() -> None:
    made = answers(to_bytes(click(1)), b"nonsense", to_bytes(click(2, user_agent="curl/8")))
    assert [record["result"] for record in made] == ["Ok", "ProcessingFailed", "Dropped"]
    assert rows(made[0]["data"])[0]["click_id"] == "click-1"
    assert made[1]["data"] == made[2]["data"] == b""


def test_partition_keys_are_returned_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "metadata" not in answers(to_bytes(click()))[0]
    monkeypatch.setenv("PARTITION_KEYS", "country,device")
    (made,) = answers(to_bytes(click()))
    assert made["metadata"] == {"partitionKeys": {"country": "DE", "device": "phone"}}


def test_a_response_never_grows_beyond_what_lambda_returns() -> None:
    big = to_bytes(click(page="/" + "ö" * 2000))
    response = transform.handler(event(*[together(*[big] * 300)] * 9), CONTEXT)
    assert len(json.dumps(response)) < 6_000_000
    results = [record["result"] for record in response["records"]]
    assert (results[0], results[-1]) == ("Ok", "ProcessingFailed")


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
    for value in ("click-1", "user-7", "session-3", "someone", "BRK-PAD-F", "iPhone", "example"):
        assert value not in printed
