"""What the handlers promise: each change to its customer's channel, and all that was missed."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.appsync_live import feed, orders, publisher
from serverless_patterns.lambdas.foundation import channels, versions
from serverless_patterns.lambdas.foundation.batch import NotDoneError
from serverless_patterns.lambdas.foundation.tables import serialize
from tests import moto_cloud
from tests.lambdas.orders import order
from tests.lambdas.test_channels import HOST, AppSync
from tests.moto_cloud import TABLE, Context, client

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTEXT: Any = Context()
SECRET = "Geheimnis"


@pytest.fixture
def appsync(monkeypatch: pytest.MonkeyPatch) -> AppSync:
    made = AppSync()
    monkeypatch.setattr(channels, "signed_post", made.post)
    monkeypatch.setattr("time.sleep", lambda _: None)
    return made


@pytest.fixture(autouse=True)
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    environment = {"TABLE_NAME": TABLE, "INDEX_NAME": "by-version"}
    environment |= {"NAMESPACE": "orders", "EVENTS_HOST": HOST}
    with moto_cloud.cloud(monkeypatch, environment=environment) as made:
        moto_cloud.make_table(TABLE, "pk", "sk", by_number="version")
        monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", made.queue_url)
        yield made


def change(version: int, customer: str = "one", **item: Any) -> dict[str, Any]:
    """A change of an order, as the table's stream tells it."""
    document = order(version)
    keys = {"pk": customer, "sk": f"ORDER#{document['order_id']}"}
    after = {**keys, "version": version, "status": "placed", "changed_at": 1}
    after |= {"order": json.dumps(document)} | item
    said = {"Keys": serialize(keys), "NewImage": serialize(after), "SequenceNumber": str(version)}
    return {"eventName": "INSERT", "eventSource": "aws:dynamodb", "dynamodb": said,
            "eventSourceARN": "arn:aws:dynamodb:eu-central-1:1:table/t/stream/x"}  # fmt: skip


def publish(*records: Any) -> list[str]:
    """Call the publisher as Lambda does; return the numbers of the records that failed."""
    try:
        answer = publisher.handler({"Records": list(records)}, CONTEXT)
    except NotDoneError:
        return [records[0]["dynamodb"]["SequenceNumber"]]
    return [str(one["itemIdentifier"]) for one in answer["batchItemFailures"]]


# Publishing


def test_each_change_goes_to_the_channel_of_its_customer_in_turn(appsync: AppSync) -> None:
    assert publish(change(1), change(2, "two"), change(3)) == []
    assert [one["version"] for one in appsync.taken["orders/one"]] == [1, 3]
    document = order(2)
    assert appsync.taken["orders/two"] == [
        {"order_id": document["order_id"], "version": 2, "status": "placed", "changed_at": 1,
         "order": document}
    ]  # fmt: skip


def test_a_thousand_changes_of_ten_customers_take_two_hundred_calls_and_not_a_thousand(
    appsync: AppSync,
) -> None:
    for customer in range(10):  # as batches of a hundred arrive
        records = [change(number + 1, f"c{customer}") for number in range(100)]
        assert publish(*records) == []
    assert Counter(len(events) for _, events in appsync.calls) == {5: 200}


def test_a_change_that_is_not_published_is_reported_with_those_behind_it(appsync: AppSync) -> None:
    appsync.answer = lambda _, events: (500, b"") if "lost" in str(events) else {}
    assert publish(change(1), change(2, "two", status="lost"), change(3, "two")) == ["2", "3"]
    assert publish(change(1, status="lost"), change(2, "two")) == ["1"]


def test_an_order_that_no_event_can_hold_is_named_for_clients_to_fetch(appsync: AppSync) -> None:
    large = json.dumps(order(1) | {"note": "é" * 120_000})
    assert publish(change(1, order=large)) == []
    assert appsync.taken["orders/one"] == [{"version": 1, "fetch": True}]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (change(1, "cust_1"), "channel"),
        (change(1, order="{"), "not_json"),
        (change(1, order=f'{{"{SECRET}": 1, "{SECRET}": 2}}'), "duplicate_key"),
    ],
)
def test_a_change_that_nobody_could_show_is_kept_with_its_reason_and_holds_up_nothing(
    record: Any, reason: str, appsync: AppSync, cloud: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert publish(record, change(2, "two")) == []
    assert list(appsync.taken) == ["orders/two"]
    [(body, attributes)] = cloud.letters_there()
    assert json.loads(body)["payload"]["Records"] == [record]
    assert attributes["Reason"] == reason
    assert caplog.records
    assert SECRET not in str([vars(one) for one in caplog.records])


def test_changes_that_are_for_others_are_left_alone(appsync: AppSync) -> None:
    removed, counted = change(1), change(2)
    del removed["dynamodb"]["NewImage"]
    counted["dynamodb"]["Keys"] = serialize({"pk": "one", "sk": versions.COUNTER})
    assert publish(removed, counted) == []
    assert appsync.calls == []


# Fetching


def fetch(customer: str, since: Any = None) -> tuple[int, Any]:
    event = {
        "requestContext": {"authorizer": {"jwt": {"claims": {"sub": customer}}}},
        "queryStringParameters": None if since is None else {"since": since},
    }
    answer = orders.handler(event, CONTEXT)
    return answer["statusCode"], json.loads(answer["body"])


def write(customer: str, number: int, status: str = "placed", **more: Any) -> int:
    return feed.change(client("dynamodb"), TABLE, customer, order(number, **more), status)


def test_a_client_gets_the_newest_state_of_its_own_orders_that_changed_since() -> None:
    written = [write("one", 1), write("one", 2), write("two", 3), write("one", 1, "paid")]
    assert written == [1, 2, 1, 3]
    status, answer = fetch("one")
    assert (status, answer["version"], answer["more"]) == (200, 3, False)
    seen = [(one["version"], one["status"]) for one in answer["orders"]]
    assert seen == [(2, "placed"), (3, "paid")]
    assert answer["orders"][1]["order"] == order(1)
    assert [one["version"] for one in fetch("one", "2")[1]["orders"]] == [3]
    assert fetch("one", "3") == (200, {"version": 3, "orders": [], "more": False})
    assert fetch("nobody") == (200, {"version": 0, "orders": [], "more": False})


def test_what_is_too_much_for_one_answer_is_fetched_in_several() -> None:
    for number in range(8):
        write("one", number, note="x" * 300_000)
    seen, since, more, answers = list[int](), 0, True, 0
    while more:
        _, answer = fetch("one", str(since))
        seen += [one["version"] for one in answer["orders"]]
        since, more, answers = answer["version"], answer["more"], answers + 1
    assert seen == list(range(1, 9))
    assert answers > 1


@pytest.mark.parametrize("since", ["", "-1", "1.5", "x", "9" * 16, "²"])
def test_a_version_that_is_no_number_is_refused(since: str) -> None:
    status, answer = fetch("one", since)
    assert (status, answer["message"]) == (400, "since must be a whole number from 0.")


def test_an_order_that_cannot_be_read_is_passed_over() -> None:
    item = {"status": "placed", "order": "{"}
    versions.put(client("dynamodb"), TABLE, "one", "ORDER#broken", item)
    assert fetch("one") == (200, {"version": 1, "orders": [], "more": False})
