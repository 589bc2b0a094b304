"""What the rules of the patterns say, to the word and at their boundaries."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pytest

from serverless_patterns.lambdas.async_lambda import logic as invoices
from serverless_patterns.lambdas.async_lambda import rendering
from serverless_patterns.lambdas.claim_check import logic as catalogs
from serverless_patterns.lambdas.foundation.messages import Message
from serverless_patterns.lambdas.foundation.outcomes import (
    DUPLICATE,
    STORED,
    Outcome,
    RefusedError,
)
from serverless_patterns.lambdas.kinesis_firehose_s3 import logic as clicks
from serverless_patterns.lambdas.s3_events_lambda import logic as lists
from serverless_patterns.lambdas.sns_fifo_fanout import logic as prices
from serverless_patterns.lambdas.step_functions_saga import logic as saga
from tests.async_lambda.conftest import VAT_RATES, request
from tests.kinesis_firehose_s3.conftest import NOW, click, to_bytes
from tests.moto_cloud import record
from tests.sns_fifo_fanout.handlers import change

PLACES = "price must be a string above 0 with at most 2 decimal places, like '49.90'."
LINE = {"sku": "A", "name": "a", "quantity": 1, "unit_price": "1.00"}
TEXT = "a string of 1 to 128 characters without control characters."
LATEST = "requested_at must be a whole number from 1 to 1000000000000000."
DOCUMENT = """\
Invoice INV-order-1

{lines}

Net             59.89 EUR
VAT             11.38 EUR (19.0%)
Total           71.27 EUR"""


def message(body: Any) -> Message:
    return Message.of(record(body))


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "The body must be an object."),
        (change(event_id=""), "event_id must be 1 to 64 letters, digits, _ or -."),
        (change() | {"part_id": ""}, "part_id must be 1 to 64 letters, digits, _ or -."),
        (change() | {"version": 0}, "version must be a whole number from 1 to 999999999999."),
        (change(price="0"), PLACES),
        (change(channels=[]), "channels must be a list of retail or wholesale."),
        (change(changed_at="now"), "changed_at must be like 2026-11-21T08:00:00Z."),
    ],
)
def test_a_refused_price_change_names_the_field(document: Any, said: str) -> None:
    with pytest.raises(RefusedError) as refused:
        prices.read(document)
    assert refused.value.detail == said


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "The event must be an object."),
        (request(order_id=""), "order_id must be 1 to 64 letters, digits, _ or -."),
        (request(customer_id=""), "customer_id must be 1 to 64 letters, digits, _ or -."),
        (request(requested_at=0), LATEST),
        (request(requested_at=10**15 + 1), LATEST),
        (request(country=""), f"country must be {TEXT}"),
        (request(lines=[LINE | {"more": 1}]), "lines[0] has a field other than sku, name, quant"),
        (request(lines=[LINE | {"sku": ""}]), "lines[0].sku must be 1 to 64 letters, digits, _"),
        (request(lines=[LINE | {"name": ""}]), f"lines[0].name must be {TEXT}"),
        (request(lines=[LINE | {"quantity": 0}]), "lines[0].quantity must be a whole number fr"),
        (request(lines=[LINE | {"unit_price": 1}]), "lines[0].unit_price must be a string with"),
        (request(country="NO"), "There is no tax rate for this country."),
    ],
)
def test_a_refused_invoice_names_the_field(document: Any, said: str) -> None:
    with pytest.raises(RefusedError) as refused:
        invoices.make_invoice(document, VAT_RATES)
    assert refused.value.detail.startswith(said)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (b"[1", "The record is not one JSON document."),
        (b"[1]", "The JSON document is not an object."),
        (b"\xff", "The record is not UTF-8."),
        (b" ", "The record is empty."),
        (b"x" * (clicks.MAX_EVENT_BYTES + 1), "A click has at most 65536 bytes."),
        (to_bytes(click(click_id="")), "click_id must be 1 to 64 letters, digits, _ or -."),
        (to_bytes(click(page="\n")), "page must be a string of 1 to 2048 characters without con"),
        (to_bytes(click(page="part")), "page must be a path."),
        (to_bytes(click(country="de")), "country must be two capital letters."),
        (to_bytes(click(clicked_at="2026-11-21T12:00:00")), "clicked_at has no time zone."),
        (to_bytes(click(clicked_at="now")), "clicked_at is not a time in ISO 8601."),
        (to_bytes(click(clicked_at="2025-11-21T12:00:00Z")), "clicked_at is in the future, or mor"),
    ],
)
def test_a_click_that_fails_names_the_field(event: bytes, said: str) -> None:
    with pytest.raises(RefusedError) as refused:
        clicks.read(event, NOW)
    assert refused.value.detail.startswith(said)


@pytest.mark.parametrize(
    ("content", "reason", "said"),
    [
        (b"\xff", "not_csv", "The object is not CSV in UTF-8."),
        (b'"PAD"F,1.00,EUR', "not_csv", "The object is not CSV in UTF-8."),
        (b"PAD,1.00,EUR\nPAD,2.00,EUR", "sku", "The list has the same SKU twice."),
        (b"PAD,1.00", "field", "line 1 must have an SKU, a price and a currency."),
        (b"PAD,1.0,EUR", "amount", "line 1: price must be a string with 2 decimal places."),
        (b"PAD,1.00,EUR\n,2.00,EUR", "field", "line 2: SKU must be 1 to 64 letters, digits, _"),
    ],
)
def test_a_refused_price_list_names_the_line(content: bytes, reason: str, said: str) -> None:
    with pytest.raises(RefusedError) as refused:
        lists.read(content)
    assert refused.value.reason == reason
    assert refused.value.detail.startswith(said)


def test_the_worst_of_its_events_counts_for_a_message() -> None:
    failed, refused = Outcome.failed("Denied"), Outcome("refused", "sku")
    assert lists.together([DUPLICATE, STORED, refused, failed]) == failed
    assert lists.together([DUPLICATE, STORED, refused]) == refused
    assert lists.together([DUPLICATE, STORED]) == STORED
    assert lists.together([DUPLICATE, DUPLICATE]) == DUPLICATE
    assert lists.together([]) == lists.TESTED


@pytest.mark.parametrize(
    ("referrer", "host"),
    [
        ("", None),
        ("https://" + "h" * 253, "h" * 253),
        ("https://" + "h" * 254, None),
        ("http://[", None),
    ],
)
def test_a_host_has_the_253_characters_of_a_name_at_most(referrer: str, host: str | None) -> None:
    row = clicks.enrich(clicks.read(to_bytes(click(referrer=referrer)), NOW))
    assert row["referrer_host"] == host


def test_a_moment_is_kept_in_utc_wherever_the_function_runs() -> None:
    assert prices.read(change()).changed_at.tzinfo is UTC
    assert clicks.read(to_bytes(click()), NOW)["clicked_at"].tzinfo is UTC


def test_a_version_that_is_the_current_one_replaces_nothing() -> None:
    known = prices.Known(versions={"BRK-PAD-F": 4})
    kinds = [it.kind for it in prices.plan([prices.read(change(4))], known)]
    assert kinds == ["superseded"]


def test_an_order_may_be_as_large_as_an_execution_takes_and_no_larger() -> None:
    body = '{"order_id": "order-1"}'.ljust(saga.MAX_INPUT_BYTES)
    assert saga.parse_name(message(body)) == "order-1"
    with pytest.raises(RefusedError, match="size"):
        saga.parse_name(message(body + " "))


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        (
            {"action": "ship", "order_id": "order-1", "ship_to": "DE", "task_token": "t"},
            saga.Instruction("ship", "order-1", "DE", "t"),
        ),
        ({"action": "cancel", "order_id": "order-1"}, saga.Instruction("cancel", "order-1")),
    ],
)
def test_an_instruction_is_read_whole(body: Any, asked: saga.Instruction) -> None:
    assert saga.parse_instruction(message(body)) == asked


def test_an_invoice_is_a_line_for_each_part_and_one_for_each_sum(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    invoice = invoices.make_invoice(request(), VAT_RATES)
    lines = [
        f"{line['quantity']:>4} x {line['unit_price']:>14}  {line['name']}"
        for line in invoice.document["lines"]
    ]
    assert rendering.render(invoice) == DOCUMENT.format(lines="\n".join(lines))
    assert not any(waited), "only a demonstration waits"
    rendering.render(invoice, 3)
    assert waited[len(lines) :] == [3] * len(lines)


@pytest.mark.parametrize("chunk", [1_000_000, catalogs.MAX_LINE + 1, 1_000])
@pytest.mark.parametrize("end", ["", "\n"])
def test_a_line_is_too_long_or_is_not_however_its_catalog_is_cut_into_chunks(
    chunk: int, end: str
) -> None:
    line = '{"catalog_id": "c", "supplier": "s", "parts": 0}'
    for size, fits in ((catalogs.MAX_LINE, True), (catalogs.MAX_LINE + 1, False)):
        body = (line.ljust(size) + end).encode()
        chunks = [body[start : start + chunk] for start in range(0, len(body), chunk)]
        if fits:
            assert catalogs.read(chunks).id == "c"
            continue
        with pytest.raises(RefusedError) as refused:
            catalogs.read(chunks)
        assert refused.value.reason == "line"
