"""What the transform makes of each record, and that no record keeps another from the lake."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serverless_patterns.lambdas.kinesis_firehose_s3 import kpl, logic, transform

from .conftest import CONTEXT, NOW, PHONE, answers, click, event, rows, to_bytes


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


def test_a_comma_and_a_quote_survive_csv() -> None:
    agent = 'Mozilla/5.0 (Windows, "NT") Safari'
    quoted = agent.replace('"', '""')
    line = f'c,u,s,{NOW.isoformat()},"/a,b","",""{quoted}"",DE'
    assert outcome(line.encode()).kind == "ProcessingFailed"
    line = f'c,u,s,{NOW.isoformat()},"/a,b","","{quoted}",DE'
    (made,) = rows(outcome(line.encode()).data)
    assert made["page"] == "/a,b"


def test_nothing_of_a_query_string_gets_into_the_lake() -> None:
    line = outcome(click()).data
    assert b"someone" not in line
    assert b"secret" not in line


def test_text_of_any_script_survives() -> None:
    assert row(page="/部品/öl 🚗")["page"] == "/部品/öl 🚗"


@pytest.mark.parametrize(
    ("page", "sku"),
    [
        ("/parts/brakes/BRK-PAD-F", "BRK-PAD-F"),
        ("/parts/a/b/OIL-FLT-3/", "OIL-FLT-3"),
        ("/parts/X1#reviews", "X1"),
        ("/parts/brakes", None),
        ("/parts/", None),
        ("/cart", None),
    ],
)
def test_the_part_is_taken_from_the_page(page: str, sku: str | None) -> None:
    assert row(page=page)["sku"] == sku


@pytest.mark.parametrize(
    ("referrer", "host"),
    [
        ("", None),
        ("https://Shop.Example:8443/x", "shop.example"),
        ("not a url", None),
        ("https://[broken", None),
        ("https://user:secret@example.com/", "example.com"),
    ],
)
def test_only_the_referrers_host_is_kept(referrer: str, host: str | None) -> None:
    assert row(referrer=referrer)["referrer_host"] == host


@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        (PHONE, "phone"),
        ("Mozilla/5.0 (Linux; Android 16; Pixel 10) Mobile Safari", "phone"),
        ("Mozilla/5.0 (Linux; Android 16; SM-X910) Safari", "tablet"),
        ("Mozilla/5.0 (iPad; CPU OS 18_1 like Mac OS X)", "tablet"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64)", "desktop"),
    ],
)
def test_the_device_is_told_by_the_user_agent(user_agent: str, device: str) -> None:
    assert row(user_agent=user_agent)["device"] == device


def test_a_time_in_any_zone_is_kept_in_utc() -> None:
    assert row(clicked_at="2026-11-21T20:00:00+09:00")["clicked_at"] == "2026-11-21 11:00:00.000"


# What is dropped by rule


@pytest.mark.parametrize(
    "user_agent",
    [
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "curl/8.10.1",
        "python-requests/2.32",
        "HeadlessChrome/141",
        "",
    ],
)
def test_a_bot_is_dropped_and_counted(user_agent: str) -> None:
    made = outcome(click(user_agent=user_agent))
    assert (made.kind, made.reason, made.dropped, made.data) == ("Dropped", "bot", 1, b"")


@pytest.mark.parametrize("user_agent", [PHONE, "Mozilla/5.0 Cubot/5", "Botanical Browser 1"])
def test_a_person_is_not_taken_for_a_bot(user_agent: str) -> None:
    expected = "Dropped" if user_agent.startswith("Mozilla/5.0 Cubot") else "Ok"
    assert outcome(click(user_agent=user_agent)).kind == expected


def test_a_bots_click_must_be_a_click_too() -> None:
    assert outcome(click(user_agent="curl/8", click_id="")).kind == "ProcessingFailed"


# What fails, with its reason


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b"", "empty"),
        (b" \n ", "empty"),
        (b"42", "not_csv"),
        (b"a,b,c", "not_csv"),
        (b'"open', "not_csv"),
        (b"{", "not_json"),
        (b"[]", "not_json"),
        (b"[" * 100_000, "too_large"),
        (b"[" * 60_000, "not_json"),
        (to_bytes(click()) * 2, "not_json"),
        (b"\xff", "not_text"),
        (b"x" * (logic.MAX_EVENT_BYTES + 1), "too_large"),
    ],
    ids=lambda value: value[:12].decode("latin-1") if isinstance(value, bytes) else None,
)
def test_what_is_no_click_fails_with_its_reason(record: bytes, reason: str) -> None:
    made = outcome(record)
    assert (made.kind, made.reason) == ("ProcessingFailed", reason)


@pytest.mark.parametrize(
    "changes",
    [
        {"click_id": ""},
        {"click_id": "x" * 65},
        {"click_id": "x' OR '1'='1"},
        {"user_id": 17},
        {"user_id": {"$ne": None}},
        {"session_id": None},
        {"country": "de"},
        {"country": "DEU"},
        {"page": "https://evil.example/"},
        {"page": "/" + "x" * logic.MAX_TEXT},
        {"user_agent": "Mozilla\0"},
        {"referrer": ["https://example.com"]},
        {"page": "/\ud800"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_field_of_the_wrong_form_fails(changes: dict[str, Any]) -> None:
    made = outcome(json.dumps(click(**changes)).encode())
    assert (made.kind, made.reason) == ("ProcessingFailed", "field")


@pytest.mark.parametrize(
    "missing", ["click_id", "user_id", "session_id", "clicked_at", "page", "country"]
)
def test_a_missing_field_fails(missing: str) -> None:
    made = outcome({name: value for name, value in click().items() if name != missing})
    assert made.kind == "ProcessingFailed"


@pytest.mark.parametrize(
    ("clicked_at", "accepted"),
    [
        ((NOW + logic.MAX_AHEAD).isoformat(), True),
        ((NOW + logic.MAX_AHEAD + timedelta(seconds=1)).isoformat(), False),
        ((NOW - logic.MAX_OLD).isoformat(), True),
        ((NOW - logic.MAX_OLD - timedelta(seconds=1)).isoformat(), False),
        ("2026-11-21T12:00:00", False),
        ("2026-02-30T12:00:00Z", False),
        ("yesterday", False),
        ("0001-01-01T00:00:00+14:00", False),
        (1795262400, False),
    ],
)
def test_a_time_far_from_its_arrival_fails(clicked_at: object, accepted: bool) -> None:
    assert (outcome(click(clicked_at=clicked_at)).kind == "Ok") is accepted


@settings(deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_no_record_whatsoever_makes_the_transform_fail(record: bytes) -> None:
    made = outcome(record)
    assert made.kind in ("Ok", "Dropped", "ProcessingFailed")
    assert (made.kind == "ProcessingFailed") == bool(made.detail)


@settings(deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: st.none() | st.integers() | st.text() | st.lists(st.text())
            for name in logic.CSV_FIELDS
        },
    )
)
def test_no_field_whatsoever_makes_the_transform_fail(changes: dict[str, Any]) -> None:
    made = outcome(json.dumps(click(**changes)).encode())
    if made.kind == "Ok":
        rows(made.data)


# Aggregated records: on AWS Firehose has taken them apart before


def test_an_aggregated_record_is_taken_apart() -> None:
    record = kpl.aggregate("key", [to_bytes(click(n)) for n in range(3)])
    made = outcome(record)
    assert [r["click_id"] for r in rows(made.data)] == ["click-0", "click-1", "click-2"]
    assert made.kept == 3


def test_bots_in_an_aggregated_record_are_dropped_alone() -> None:
    agents = ["curl/8", PHONE, "curl/8"]
    record = kpl.aggregate("k", [to_bytes(click(n, user_agent=a)) for n, a in enumerate(agents)])
    made = outcome(record)
    assert (made.kind, made.kept, made.dropped) == ("Ok", 1, 2)


def test_an_aggregated_record_with_one_bad_click_is_kept_whole() -> None:
    made = outcome(kpl.aggregate("k", [to_bytes(click()), b"nonsense"]))
    assert (made.kind, made.reason, made.data) == ("ProcessingFailed", "not_csv", b"")


def test_a_broken_aggregated_record_is_kept_whole() -> None:
    assert outcome(_checksummed(b"\x1a\x7f")).reason == "aggregate"


def test_an_aggregated_record_of_several_folders_is_kept_whole() -> None:
    record = kpl.aggregate("k", [to_bytes(click(1)), to_bytes(click(2, country="FR"))])
    assert outcome(record).kind == "Ok"
    made = outcome(record, partition_keys=["country"])
    assert (made.kind, made.reason) == ("ProcessingFailed", "aggregate")


def _checksummed(body: bytes) -> bytes:
    import hashlib

    return kpl.MAGIC + body + hashlib.md5(body, usedforsecurity=False).digest()


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
    records = [kpl.aggregate("k", [big] * 300)] * 9
    response = transform.handler(event(*records), CONTEXT)
    assert len(json.dumps(response)) < 6_000_000
    results = [record["result"] for record in response["records"]]
    assert results[0] == "Ok"
    assert results[-1] == "ProcessingFailed"


def test_the_log_counts_what_was_dropped_and_failed_and_names_nobody(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    for handler in transform.logger.handlers:
        monkeypatch.setattr(handler, "stream", sys.stdout)
    answers(to_bytes(click()), to_bytes(click(user_agent="curl/8")), to_bytes(click(user_id=1)))
    printed = capsys.readouterr().out
    lines = [json.loads(line) for line in printed.splitlines()]
    summary = next(line for line in lines if line["message"] == "Batch")
    assert {name: summary[name] for name in ("records", "kept", "dropped_bots", "failed")} == {
        "records": 3,
        "kept": 1,
        "dropped_bots": 1,
        "failed": 1,
    }
    failed = next(line for line in lines if line["message"] == "Failed")
    assert (failed["record_id"], failed["reason"]) == ("record-2", "field")
    for value in ("click-1", "user-7", "session-3", "someone", "BRK-PAD-F", "iPhone", "example"):
        assert value not in printed


def test_importing_the_handlers_needs_neither_aws_nor_environment() -> None:
    import subprocess
    import sys

    code = "from serverless_patterns.lambdas.kinesis_firehose_s3 import replay, transform"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": "."})
