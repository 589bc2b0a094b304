"""The promises of the handler, on moto."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_patterns.lambdas.async_lambda import logic, rendering, store
from serverless_patterns.lambdas.foundation.outcomes import RefusedError
from tests.moto_cloud import TABLE, UNREACHABLE, client_error

from .conftest import VAT_RATES, request

if TYPE_CHECKING:
    from .conftest import Cloud


LINE = {"sku": "A", "name": "a", "quantity": 1, "unit_price": "1.00"}


def make(document: Any) -> logic.Invoice:
    return logic.make_invoice(document, VAT_RATES)


# The invoice


def test_an_invoice_has_the_tax_of_the_customers_country() -> None:
    invoice = make(request())
    assert (invoice.net, invoice.vat, invoice.gross) == (
        Decimal("59.89"),
        Decimal("11.38"),
        Decimal("71.27"),
    )


def test_a_currency_without_cents_is_rounded_to_whole_units() -> None:
    lines = [LINE | {"name": "点火プラグ", "unit_price": "1234"}]
    invoice = make(request(country="JP", currency="JPY", lines=lines, total="1234"))
    assert (invoice.vat, invoice.gross) == (Decimal(123), Decimal(1357))


@given(
    quantities=st.lists(st.integers(1, 999), min_size=1, max_size=20),
    cents=st.integers(0, 10**14 - 1),
)
def test_net_and_tax_add_up_to_the_cent(quantities: list[int], cents: int) -> None:
    price = f"{Decimal(cents).scaleb(-2):.2f}"
    lines = [LINE | {"quantity": n, "unit_price": price} for n in quantities]
    total = Decimal(price) * sum(quantities)
    if total >= 10**12:
        return
    invoice = make(request(lines=lines, total=f"{total:.2f}"))
    assert invoice.net == total
    assert abs(invoice.vat - total * Decimal("0.19")) <= Decimal("0.005")
    assert invoice.gross.as_tuple().exponent == -2


def test_an_order_has_one_invoice_number_however_often_it_is_tried() -> None:
    assert make(request()).number == make(request()).number == "INV-order-1"


def test_the_order_of_keys_makes_no_other_request() -> None:
    document = request()
    backwards = dict(reversed(document.items()))
    assert make(document).fingerprint == make(backwards).fingerprint
    assert make(request(customer_id="other")).fingerprint != make(document).fingerprint


def test_the_document_tells_what_is_paid() -> None:
    text = rendering.render(make(request()))
    assert "Invoice INV-order-1" in text
    assert "71.27 EUR" in text
    assert "(19.0%)" in text


NOT_REQUESTS: tuple[Any, ...] = ("text", [], None, {}, request(more=1))


@pytest.mark.parametrize(
    ("reason", "document"),
    [
        *(("field", document) for document in NOT_REQUESTS),
        *(("field", request(order_id=value)) for value in ("", "a/b")),
        ("field", request(customer_id=7)),
        *(("field", request(requested_at=value)) for value in (0, True)),
        ("field", request(lines=[LINE] * 501)),
        ("currency", request(currency="XXX")),
        ("country", request(country="NO")),
        ("amount", request(total=59.89)),
        ("total", request(total="59.90")),
        ("text", request(lines=[LINE | {"name": "\ud800"}], total="1.00")),
    ],
)
def test_what_cannot_be_invoiced_is_refused_with_a_reason(reason: str, document: Any) -> None:
    with pytest.raises(RefusedError) as error:
        make(document)
    assert error.value.reason == reason


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_whatever_an_event_is_it_is_invoiced_or_refused(document: Any) -> None:
    with pytest.raises(RefusedError):
        make(document)


# The handler


def test_an_order_is_invoiced(cloud: Cloud) -> None:
    answer = cloud.invoke(request())
    assert answer == {
        "status": "issued",
        "number": "INV-order-1",
        "gross": "71.27",
        "currency": "EUR",
    }
    (item,) = cloud.items()
    assert (item["pk"], item["gross"], item["request_id"]) == (
        "INVOICE#order-1",
        "71.27",
        "request-1",
    )


def test_a_second_delivery_changes_nothing(cloud: Cloud) -> None:
    cloud.invoke(request(), "first")
    before = cloud.items()
    assert cloud.invoke(request(), "second")["status"] == "duplicate"
    assert cloud.items() == before
    assert cloud.letters() == []


def test_another_request_for_an_invoiced_order_is_a_dead_letter(cloud: Cloud) -> None:
    cloud.invoke(request())
    assert cloud.invoke(request(customer_id="other"))["status"] == "refused"
    (letter,) = cloud.letters()
    assert letter["MessageAttributes"]["Reason"]["StringValue"] == "conflict"
    assert len(cloud.items()) == 1


def test_a_refused_event_is_a_dead_letter_as_it_came_with_its_reason(cloud: Cloud) -> None:
    document = request(total="0.01")
    assert cloud.invoke(document, "request-7") == {"status": "refused", "reason": "total"}
    (letter,) = cloud.letters()
    assert json.loads(letter["Body"]) == document
    attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    assert attributes == {
        "RequestID": "request-7",
        "Reason": "total",
        "ReasonDetail": "total is not the sum of the lines.",
    }
    assert cloud.items() == []


@pytest.mark.parametrize("text", ["\ud800", "\ufffe", "\x0b", "é€漢🚗"])
def test_a_refused_event_is_kept_whatever_characters_it_has(cloud: Cloud, text: str) -> None:
    cloud.invoke([text])
    (letter,) = cloud.letters()
    assert json.loads(letter["Body"]) == [text]


@pytest.mark.parametrize(
    ("error", "code"),
    [(UNREACHABLE, "EndpointConnectionError"), (client_error("Throttled"), "Throttled")],
)
def test_an_outage_fails_the_run_so_that_lambda_tries_again(
    cloud: Cloud, error: Exception, code: str
) -> None:
    cloud.fail("PutItem", error)
    with pytest.raises(store.StoreError, match=code):
        cloud.invoke(request())
    assert cloud.letters() == []
    assert cloud.invoke(request())["status"] == "issued"


def test_a_refused_event_that_cannot_be_kept_fails_the_run(cloud: Cloud) -> None:
    cloud.fail("SendMessage", client_error("NonExistentQueue"))
    with pytest.raises(Exception, match="NonExistentQueue"):
        cloud.invoke("text")


def test_no_log_line_has_a_customer_or_a_part(cloud: Cloud) -> None:
    cloud.invoke(request())
    cloud.invoke(request(total="0.01"))
    cloud.fail("PutItem", UNREACHABLE)
    with pytest.raises(store.StoreError):
        cloud.invoke(request())
    assert [line["message"] for line in cloud.log_lines()] == ["Invoice", "Refused", "Not issued"]
    for secret in ("customer-1", "Bremsbelag", "PAD-F", "24.95"):
        assert secret not in cloud.log.getvalue()


def test_a_thousand_events_cost_a_thousand_calls(cloud: Cloud) -> None:
    cloud.fakes["dynamodb"] = lambda *_: (200, {})
    for number in range(1_000):
        cloud.invoke(request(number))
    assert cloud.calls == {"PutItem": 1_000}


def test_looking_before_writing_costs_two_calls_an_event(cloud: Cloud) -> None:
    """What the conditional write saves; the same for every event, so a hundred tell."""
    client = boto3.client("dynamodb")
    for number in range(100):
        key = {"pk": {"S": f"INVOICE#order-{number}"}}
        if "Item" not in client.get_item(TableName=TABLE, Key=key):
            client.put_item(TableName=TABLE, Item=key)
    assert cloud.calls == {"GetItem": 100, "PutItem": 100}
