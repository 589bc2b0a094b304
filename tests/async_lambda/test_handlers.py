"""The promises of the handler, on moto."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_patterns.lambdas.async_lambda import logic, rendering, store
from serverless_patterns.lambdas.async_lambda.invoices import NotKeptError
from serverless_patterns.lambdas.foundation.outcomes import RefusedError
from tests.moto_cloud import UNREACHABLE, client_error

from .conftest import VAT_RATES, request

if TYPE_CHECKING:
    from .conftest import Cloud

LINE = {"sku": "A", "name": "a", "quantity": 1, "unit_price": "1.00"}


def make(document: Any) -> logic.Invoice:
    return logic.make_invoice(document, VAT_RATES)


# The invoice


@pytest.mark.parametrize(
    ("changes", "sums"),
    [
        ({}, ("59.89", "11.38", "71.27")),
        (  # a currency without cents is rounded to whole units
            {"country": "JP", "currency": "JPY", "total": "1234",
             "lines": [LINE | {"name": "点火プラグ", "unit_price": "1234"}]},
            ("1234", "123", "1357"),
        ),
        # Half a cent is rounded up: to the even one it would be 0.28.
        ({"total": "1.50", "lines": [LINE | {"quantity": 1, "unit_price": "1.50"}]},
         ("1.50", "0.29", "1.79")),
    ],
)  # fmt: skip
def test_an_invoice_has_the_tax_of_the_customers_country_in_its_currency(
    changes: dict[str, Any], sums: tuple[str, str, str]
) -> None:
    invoice = make(request(**changes))
    assert tuple(map(str, (invoice.net, invoice.vat, invoice.gross))) == sums


@given(
    quantities=st.lists(st.integers(1, 999), min_size=1, max_size=20),
    cents=st.integers(0, 10**9 - 1),
)
def test_net_and_tax_add_up_to_the_cent(quantities: list[int], cents: int) -> None:
    price = f"{Decimal(cents).scaleb(-2):.2f}"
    lines = [LINE | {"quantity": n, "unit_price": price} for n in quantities]
    total = Decimal(price) * sum(quantities)
    invoice = make(request(lines=lines, total=f"{total:.2f}"))
    assert invoice.net == total
    assert abs(invoice.vat - total * Decimal("0.19")) <= Decimal("0.005")
    assert invoice.gross.as_tuple().exponent == -2


def test_an_order_has_one_number_and_one_fingerprint_however_it_is_written() -> None:
    document = request()
    invoice, again = make(document), make(dict(reversed(document.items())))
    assert (invoice.number, invoice.fingerprint) == (again.number, again.fingerprint)
    assert invoice.number == "INV-order-1"
    assert make(request(customer_id="other")).fingerprint != invoice.fingerprint


def test_the_document_tells_what_is_paid() -> None:
    text = rendering.render(make(request()))
    for part in ("Invoice INV-order-1", "71.27 EUR", "(19.0%)"):
        assert part in text


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


def test_an_order_is_invoiced_and_a_second_delivery_changes_nothing(cloud: Cloud) -> None:
    answer = {"number": "INV-order-1", "gross": "71.27", "currency": "EUR"}
    assert cloud.invoke(request(), "first") == answer | {"status": "issued"}
    before = cloud.items()
    assert cloud.invoke(request(), "second") == answer | {"status": "duplicate"}
    assert cloud.items() == before
    assert cloud.letters() == []
    (item,) = before
    found = (item["pk"], item["gross"], item["request_id"])
    assert found == ("INVOICE#order-1", "71.27", "first")


def test_a_refused_event_is_a_dead_letter_as_it_came_with_its_reason(cloud: Cloud) -> None:
    document = request(total="0.01")
    assert cloud.invoke(document, "request-7") == {"status": "refused", "reason": "total"}
    (letter,) = cloud.letters()
    assert json.loads(letter["Body"]) == document
    attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    assert attributes == {
        "RequestID": "request-7",
        "OriginalMessageId": "request-7",
        "Reason": "total",
        "ReasonDetail": "total is not the sum of the lines.",
    }
    assert cloud.items() == []


def test_another_request_for_an_invoiced_order_is_a_dead_letter(cloud: Cloud) -> None:
    cloud.invoke(request())
    assert cloud.invoke(request(customer_id="other"))["status"] == "refused"
    assert cloud.reasons() == {"conflict": 1}
    assert len(cloud.items()) == 1


@pytest.mark.parametrize("text", ["\ud800", "\ufffe", "\x0b", "é€漢🚗", "x" * (2**20 - 200)])
def test_a_refused_event_is_kept_whatever_it_holds_and_however_large_it_is(
    cloud: Cloud, text: str
) -> None:
    cloud.invoke([text])
    (letter,) = cloud.letters()
    assert json.loads(letter["Body"]) == [text]
    assert "RequestID" in letter["MessageAttributes"], "the redrive knows it by that"


@pytest.mark.parametrize("error", [UNREACHABLE, client_error("Throttled")])
@pytest.mark.parametrize(
    ("operation", "raised", "event"),
    [("PutItem", store.StoreError, request()), ("SendMessageBatch", NotKeptError, "text")],
)
def test_an_outage_fails_the_run_so_that_lambda_retries(
    cloud: Cloud, operation: str, raised: type[Exception], event: Any, error: Exception
) -> None:
    cloud.fail(operation, error)
    with pytest.raises(raised, match=r"EndpointConnectionError|Throttled"):
        cloud.invoke(event)
    assert (cloud.letters(), cloud.items()) == ([], [])
    assert cloud.invoke(event)["status"] in ("issued", "refused")


def test_no_log_line_has_a_customer_or_a_part(cloud: Cloud) -> None:
    cloud.invoke(request())
    cloud.invoke(request(total="0.01"))
    cloud.fail("PutItem", UNREACHABLE)
    with pytest.raises(store.StoreError):
        cloud.invoke(request())
    found = [(line["message"], line["level"]) for line in cloud.log_lines()]
    assert found == [("Invoice", "INFO"), ("Refused", "WARNING"), ("Not issued", "ERROR")]
    for secret in ("customer-1", "Bremsbelag", "PAD-F", "24.95"):
        assert secret not in cloud.log.getvalue()


def test_a_hundred_events_cost_a_hundred_calls(cloud: Cloud) -> None:
    for number in range(100):
        cloud.invoke(request(number))
    assert cloud.calls == {"PutItem": 100}
