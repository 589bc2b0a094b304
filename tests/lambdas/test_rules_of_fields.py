"""A refusal of any pattern's parser says which field breaks which rule, to the word."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.api_sqs_lambda import logic as changes
from serverless_patterns.lambdas.appsync_live import logic as feed
from serverless_patterns.lambdas.claim_check import logic as catalogs
from serverless_patterns.lambdas.dynamodb_streams_lambda import logic as outbox
from serverless_patterns.lambdas.eventbridge_bus import publish
from serverless_patterns.lambdas.foundation import orders, shop
from serverless_patterns.lambdas.foundation.messages import Message
from serverless_patterns.lambdas.foundation.outcomes import RefusedError
from serverless_patterns.lambdas.foundation.shards import Record
from serverless_patterns.lambdas.foundation.tables import serialize
from serverless_patterns.lambdas.kinesis_lambda import logic as stock
from tests.api_sqs_lambda.handlers import change
from tests.dynamodb_streams_lambda.changes import Table
from tests.lambdas.orders import order
from tests.moto_cloud import record

if TYPE_CHECKING:
    from collections.abc import Callable

ID = "must be 1 to 64 letters, digits, _ or -."
CATALOG = {"catalog_id": "c", "supplier": "s", "parts": 1}
PART = {"sku": "s", "price": "1.00", "description": "d"}
MOVED = {"movement_id": "m", "part_id": "p", "direction": "in", "quantity": 1}
OUTBOX = {"event_id": "e", "order_id": "o", "type": "placed"}


def in_group(document: Any) -> Any:
    return changes.parse_change(Message.of(record(document, "ord-1")))


def in_outbox(document: Any) -> Any:
    (message,) = Record.of(Table().write("o", {"event": json.dumps(document)}, "EVENT#e")).events
    return outbox.event(message)


def on_bus(document: Any) -> Any:
    return publish.event_of("1", document)


def moved(document: Any) -> Any:
    return stock.parse(Message.of(record(document)))


def catalog(lines: list[Any]) -> Any:
    return catalogs.read(["\n".join(map(json.dumps, lines)).encode()])


def without(document: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != name}


@pytest.mark.parametrize(
    ("parse", "document", "reason", "said"),
    [
        (catalog, [CATALOG, PART | {"sku": ""}], "field", f"sku {ID}"),
        (catalog, [CATALOG, PART | {"description": ""}], "field",
         "description must be a string of 1 to 4000 characters without control characters."),
        (catalog, [CATALOG, PART | {"price": "1"}], "amount",
         "price must be a string with 2 decimal places."),
        (catalog, [CATALOG, PART, PART], "parts", "parts is not the number of lines that follow."),
        (catalog, [without(CATALOG, "supplier")], "field", "catalog lacks supplier."),
        (catalog, [CATALOG | {"supplier": ""}], "field", f"supplier {ID}"),
        (catalog, [CATALOG | {"catalog_id": ""}], "field", f"catalog_id {ID}"),
        (catalog, [CATALOG, without(PART, "sku")], "field", "part lacks sku."),
        (catalog, [CATALOG, PART | {"description": "x" * 64 * 1024}], "line",
         "A line has more than 65536 bytes."),
        (in_group, [], "kind", "kind must be one of quantity, cancel_line, note."),
        (in_group, change(kind="quantity", quantity=0), "field",
         f"quantity must be a whole number from 1 to {shop.MAX_QUANTITY}."),
        (in_group, without(change(kind="quantity"), "sku"), "field", "quantity lacks sku."),
        (in_group, {"order_id": "ord-1", "change_id": "c", "kind": "note", "text": ""}, "field",
         "text must be a string of 1 to 500 characters without control characters."),
        (in_group, change(order_id="another"), "group",
         "The message group is not the order's id."),
        (orders.check, [], "field", "order must be an object."),
        (orders.check, order(order_id=""), "field", f"order_id {ID}"),
        (orders.check, order(customer_id=""), "field", f"customer_id {ID}"),
        (orders.check, order(total="49.9"), "amount",
         "total must be a string with 2 decimal places."),
        (in_outbox, [], "field", "event must be an object."),
        (in_outbox, OUTBOX, "field", "event lacks order."),
        (in_outbox, OUTBOX | {"event_id": "", "order": None}, "field", f"event_id {ID}"),
        (in_outbox, OUTBOX | {"order_id": "", "order": None}, "field", f"order_id {ID}"),
        (in_outbox, OUTBOX | {"type": "sold", "order": None}, "field",
         "type must be one of placed, changed, canceled."),
        (in_outbox, OUTBOX | {"order": None}, "field",
         "order must be there, unless it is canceled."),
        (in_outbox, OUTBOX | {"order": []}, "field", "order must be an object."),
        (on_bus, [], "field", "detail must be an object."),
        (on_bus, {"service": "express"}, "field", "detail lacks order."),
        (on_bus, {"service": "", "order": {}}, "field", "service must be express or standard."),
        (moved, [], "field", "movement must be an object."),
        (moved, MOVED | {"movement_id": ""}, "field", f"movement_id {ID}"),
        (moved, MOVED | {"part_id": ""}, "field", f"part_id {ID}"),
        (moved, MOVED | {"direction": "up"}, "field", "direction must be one of in, out."),
        (moved, MOVED | {"quantity": 1_000_001}, "field",
         "quantity must be a whole number from 1 to 1000000."),
        (feed.view, serialize({"sk": "ORDER#1", "version": 1}), "field",
         "The item lacks status, changed_at, order."),
    ],
)  # fmt: skip
def test_a_refusal_names_the_field_and_the_rule(
    parse: Callable[[Any], Any], document: Any, reason: str, said: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        parse(document)
    assert (refused.value.reason, refused.value.detail) == (reason, said)


def test_an_item_of_the_outbox_without_an_event_is_no_json() -> None:
    (message,) = Record.of(Table().write("o", {}, "EVENT#e")).events
    with pytest.raises(RefusedError, match="not_json: The body is not JSON at character 0"):
        outbox.event(message)


def test_a_window_counts_on_after_an_event_that_is_none() -> None:
    totals = stock.Totals()
    events = [Message.of(record(body)) for body in ({}, MOVED | {"direction": "out"})]
    totals.add(Record("7", "shard", "stream", events))
    assert (totals.unreadable, totals.events, totals.sold) == (1, 1, {"p": 1})


def test_what_no_event_can_hold_is_counted_in_bytes_of_utf_8() -> None:
    """AppSync takes 240 KB of JSON: a letter such as é is two bytes there, and not six."""
    item = {"pk": "one", "sk": "ORDER#1", "version": 1, "status": "placed", "changed_at": 1}
    item |= {"order": json.dumps({"note": "é" * 100_000})}
    keys = {name: item[name] for name in ("pk", "sk")}
    said = {"Keys": serialize(keys), "NewImage": serialize(item), "SequenceNumber": "1"}
    (message,) = Record.of({"eventName": "INSERT", "dynamodb": said}).events
    _, text = feed.event(message) or ("", "")
    assert json.loads(text)["order"] == {"note": "é" * 100_000}


def test_what_no_event_can_hold_is_counted_as_a_string_in_json() -> None:
    """AppSync sends an event as text within JSON, so its quotes have backslashes."""
    item = {"pk": "one", "sk": "ORDER#1", "version": 1, "status": "placed", "changed_at": 1}
    for quotes, fetched in ((59_000, False), (61_000, True)):  # four bytes each
        item["order"] = json.dumps({"note": '"' * quotes})
        keys = {name: item[name] for name in ("pk", "sk")}
        said = {"Keys": serialize(keys), "NewImage": serialize(item), "SequenceNumber": "1"}
        (message,) = Record.of({"eventName": "INSERT", "dynamodb": said}).events
        _, text = feed.event(message) or ("", "")
        assert ("fetch" in json.loads(text)) is fetched


def test_a_catalog_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"^text: A line is not UTF-8\.$"):
        catalogs.read([b"\xff"])
