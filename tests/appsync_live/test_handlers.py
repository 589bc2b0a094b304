"""What the handlers promise: each change to its customer's channel, and all that was missed."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import EndpointConnectionError

from serverless_patterns.lambdas.appsync_live import feed, orders, publisher
from serverless_patterns.lambdas.foundation import channels
from serverless_patterns.lambdas.foundation.batch import NotDoneError
from serverless_patterns.lambdas.foundation.tables import serialize
from tests import moto_cloud
from tests.lambdas.orders import order
from tests.moto_cloud import REGION, TABLE, Context, client

if TYPE_CHECKING:
    from collections.abc import Callable

CONTEXT: Any = Context()
HOST = "api.appsync-api.eu-central-1.amazonaws.com"
SECRET = "Geheimnis"


@dataclass
class AppSync:
    """What AppSync was sent, by channel; ``answer`` fails some of a call's events."""

    calls: list[tuple[str, list[str]]] = field(default_factory=list)
    taken: dict[str, list[Any]] = field(default_factory=dict)
    answer: Callable[[int, list[str]], dict[int, int] | tuple[int, bytes]] = lambda *_: {}

    def post(self, host: str, body: bytes) -> tuple[int, bytes]:
        assert host == HOST
        said = json.loads(body)
        self.calls.append((said["channel"], said["events"]))
        failed = self.answer(len(self.calls), said["events"])
        if isinstance(failed, tuple):
            return failed
        done = [{"identifier": "x", "index": at} for at in range(len(said["events"]))
                if at not in failed]  # fmt: skip
        self.taken.setdefault(said["channel"], []).extend(
            json.loads(said["events"][one["index"]]) for one in done
        )
        wrong = [{"index": at, "code": code, "errorMessage": "no"} for at, code in failed.items()]
        return 200, json.dumps({"successful": done, "failed": wrong}).encode()


@pytest.fixture
def appsync(monkeypatch: pytest.MonkeyPatch) -> AppSync:
    made = AppSync()
    monkeypatch.setattr(channels, "signed_post", made.post)
    monkeypatch.setattr("time.sleep", lambda _: None)
    return made


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Any:
    environment = {
        "TABLE_NAME": TABLE, "INDEX_NAME": "by-version", "NAMESPACE": "orders", "EVENTS_HOST": HOST,
    }  # fmt: skip
    with moto_cloud.cloud(monkeypatch, tables={}, environment=environment) as made:
        client("dynamodb").create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"},
                       {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"},
                                  {"AttributeName": "sk", "AttributeType": "S"},
                                  {"AttributeName": "version", "AttributeType": "N"}],
            LocalSecondaryIndexes=[{
                "IndexName": "by-version",
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"},
                              {"AttributeName": "version", "KeyType": "RANGE"}],
                "Projection": {"ProjectionType": "ALL"},
            }],
            BillingMode="PAY_PER_REQUEST",
        )  # fmt: skip
        letters = client("sqs").create_queue(QueueName="failures")["QueueUrl"]
        monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", letters)
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


def test_each_change_goes_to_the_channel_of_its_customer_in_turn(
    appsync: AppSync, cloud: Any
) -> None:
    assert publish(change(1), change(2, "two"), change(3)) == []
    assert {name: [one["version"] for one in events] for name, events in appsync.taken.items()} == {
        "orders/one": [1, 3], "orders/two": [2],
    }  # fmt: skip
    (event,) = appsync.taken["orders/two"]
    document = order(2)
    assert event == {"order_id": document["order_id"], "version": 2, "status": "placed",
                     "changed_at": 1, "order": document}  # fmt: skip


def test_a_thousand_changes_of_ten_customers_take_two_hundred_calls_and_not_a_thousand(
    appsync: AppSync, cloud: Any
) -> None:
    for customer in range(10):  # as batches of a hundred arrive
        records = [change(number + 1, f"c{customer}") for number in range(100)]
        assert publish(*records) == []
    assert len(appsync.calls) == 200
    assert Counter(len(events) for _, events in appsync.calls) == {5: 200}


def test_an_event_that_failed_inside_a_200_is_sent_again_alone(
    appsync: AppSync, cloud: Any
) -> None:
    appsync.answer = lambda call, _: {1: 500, 3: 400} if call == 1 else {}
    assert publish(*[change(number) for number in range(1, 6)]) == []
    assert [len(events) for _, events in appsync.calls] == [5, 2]
    assert [one["version"] for one in appsync.taken["orders/one"]] == [1, 3, 5, 2, 4]


def test_an_event_of_which_a_200_says_nothing_is_sent_again(appsync: AppSync, cloud: Any) -> None:
    nothing = json.dumps({"successful": [], "failed": []}).encode()
    appsync.answer = lambda call, _: (200, nothing) if call == 1 else {}
    assert publish(change(1)) == []
    assert len(appsync.calls) == 2


def test_what_still_fails_is_reported_and_the_channel_is_left_alone(
    appsync: AppSync, cloud: Any
) -> None:
    def answer(_: int, events: list[str]) -> Any:
        return (429, b'{"errors": [{"errorType": "Throttled"}]}') if '"c2"' in str(events) else {}

    appsync.answer = answer
    codes = channels.publish(HOST, {"a": [("1", '"c2"')], "b": [("2", '"c2"')]}, post=appsync.post)
    assert codes == {"1": "Throttled", "2": "Throttled"}
    appsync.calls.clear()
    records = [change(n, "two", status="c2") for n in range(2, 20)]
    assert publish(change(1), *records)[0] == "2"
    assert Counter(name for name, _ in appsync.calls) == {"orders/one": 1, "orders/two": 3}


def test_between_two_attempts_it_waits_twice_as_long_with_jitter(
    appsync: AppSync, monkeypatch: pytest.MonkeyPatch
) -> None:
    appsync.answer = lambda *_: (500, b"")
    waits: list[float] = []
    for share in (1.0, 0.5):
        monkeypatch.setattr("random.random", lambda share=share: share)
        channels.publish(HOST, {"a": [("1", "{}")]}, post=appsync.post, sleep=waits.append)
    assert waits == [0.2, 0.4, 0.1, 0.2]


@pytest.mark.parametrize("status", [401, 500])
def test_an_answer_that_is_no_200_fails_every_event(
    status: int, appsync: AppSync, cloud: Any, caplog: pytest.LogCaptureFixture
) -> None:
    appsync.answer = lambda *_: (status, b"<html>")
    assert publish(change(1), change(2)) == ["1"]
    (summary,) = caplog.records
    assert vars(summary)["failures"] == {f"Http{status}": 2}


def test_an_unreachable_appsync_fails_every_event(
    appsync: AppSync, cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def post(*_: Any) -> Any:
        raise EndpointConnectionError(endpoint_url="https://appsync")

    monkeypatch.setattr(channels, "signed_post", post)
    assert publish(change(1)) == ["1"]
    assert set(channels.publish(HOST, {"a": [("1", "{}")]}, post=post).values()) == {
        "EndpointConnectionError"
    }


def test_what_is_behind_five_events_that_failed_at_once_is_not_attempted(appsync: AppSync) -> None:
    appsync.answer = lambda *_: (500, b"")
    sent = [(str(number), "{}") for number in range(7)]
    codes = channels.publish(HOST, {"a": sent}, post=appsync.post, sleep=lambda _: None)
    assert codes == dict.fromkeys("01234", "Http500") | dict.fromkeys("56", "BehindAFailure")


def test_an_order_that_no_event_can_hold_is_named_for_clients_to_fetch(
    appsync: AppSync, cloud: Any
) -> None:
    large = json.dumps(order(1) | {"note": "é" * 120_000})
    assert publish(change(1, order=large)) == []
    assert appsync.taken["orders/one"] == [{"version": 1, "fetch": True}]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (change(1, "cust_1"), "channel"),
        (change(1, "x" * 51), "channel"),
        (change(1, order="{"), "not_json"),
        (change(1, order=f'{{"{SECRET}": 1, "{SECRET}": 2}}'), "duplicate_key"),
    ],
)
def test_a_change_that_nobody_could_show_is_kept_with_its_reason_and_holds_up_nothing(
    record: Any, reason: str, appsync: AppSync, cloud: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert publish(record, change(2, "two")) == []
    assert list(appsync.taken) == ["orders/two"]
    queue = client("sqs").get_queue_url(QueueName="failures")["QueueUrl"]
    (kept,) = client("sqs").receive_message(
        QueueUrl=queue, MessageAttributeNames=["All"]
    )["Messages"]  # fmt: skip
    assert json.loads(kept["Body"])["payload"]["Records"] == [record]
    assert kept["MessageAttributes"]["Reason"]["StringValue"] == reason
    assert caplog.records
    assert SECRET not in str([vars(one) for one in caplog.records])


def test_changes_that_are_for_others_are_left_alone(appsync: AppSync, cloud: Any) -> None:
    removed, counted = change(1), change(2)
    del removed["dynamodb"]["NewImage"]
    counted["dynamodb"]["Keys"] = serialize({"pk": "one", "sk": "FEED"})
    assert publish(removed, counted) == []
    assert appsync.calls == []


def test_a_publication_is_signed_by_the_functions_role_for_appsync(
    monkeypatch: pytest.MonkeyPatch, cloud: Any
) -> None:
    sent: list[Any] = []

    class Http:
        def send(self, request: Any) -> Any:
            sent.append(request)
            return type("Answer", (), {"status_code": 200, "content": b"{}"})

    import boto3

    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setattr(channels, "_tools", lambda: (boto3.Session().get_credentials(), Http()))
    for endpoint in ("", "https://127.0.0.1:4566/"):
        if endpoint:
            monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        assert channels.signed_post(HOST, b"{}") == (200, b"{}")
    assert [one.url for one in sent] == [f"https://{HOST}/event", "https://127.0.0.1:4566/event"]
    for one in sent:
        assert one.method == "POST"
        assert one.headers["Host"] == HOST
        assert one.headers["Content-Type"] == "application/json"
        assert f"/{REGION}/appsync/aws4_request" in str(one.headers["Authorization"])


# Fetching


def fetch(customer: str, since: Any = None) -> tuple[int, Any]:
    event = {
        "requestContext": {"authorizer": {"jwt": {"claims": {"sub": customer}}}},
        "queryStringParameters": None if since is None else {"since": since},
    }
    answer = orders.handler(event, CONTEXT)
    return answer["statusCode"], json.loads(answer["body"])


def write(customer: str, number: int, status: str = "placed") -> int:
    return feed.change(client("dynamodb"), TABLE, customer, order(number), status)


def test_a_client_gets_the_newest_state_of_its_own_orders_that_changed_since(cloud: Any) -> None:
    assert [write("one", 1), write("one", 2), write("two", 3), write("one", 1, "paid")] == [
        1, 2, 1, 3,
    ]  # fmt: skip
    status, answer = fetch("one")
    assert (status, answer["version"], answer["more"]) == (200, 3, False)
    assert [(one["version"], one["status"]) for one in answer["orders"]] == [
        (2, "placed"), (3, "paid"),
    ]  # fmt: skip
    assert answer["orders"][1]["order"] == order(1)
    assert [one["version"] for one in fetch("one", "2")[1]["orders"]] == [3]
    assert fetch("one", "3") == (200, {"version": 3, "orders": [], "more": False})
    assert fetch("nobody") == (200, {"version": 0, "orders": [], "more": False})


def test_what_is_too_much_for_one_answer_is_fetched_in_several(cloud: Any) -> None:
    for number in range(8):
        document = order(number) | {"note": "x" * 300_000}
        feed.change(client("dynamodb"), TABLE, "one", document, "placed")
    seen, since, more, answers = list[int](), 0, True, 0
    while more:
        _, answer = fetch("one", str(since))
        seen += [one["version"] for one in answer["orders"]]
        since, more, answers = answer["version"], answer["more"], answers + 1
    assert seen == list(range(1, 9))
    assert answers > 1


@pytest.mark.parametrize("since", ["", "-1", "1.5", "x", "9" * 16, "²"])
def test_a_version_that_is_no_number_is_refused(since: str, cloud: Any) -> None:
    status, answer = fetch("one", since)
    assert (status, answer["message"]) == (400, "since must be a whole number from 0.")


def test_an_order_that_cannot_be_read_is_passed_over(cloud: Any) -> None:
    item = {"status": "placed", "order": "{"}
    feed.put(client("dynamodb"), TABLE, "one", "broken", item)
    assert fetch("one") == (200, {"version": 1, "orders": [], "more": False})


# Writing


def test_two_writers_at_once_take_different_versions_and_leave_no_gap(
    cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("one", 1)
    dynamodb, waits = client("dynamodb"), list[float]()

    def slowly(seconds: float) -> None:
        waits.append(seconds)

    get, raced = dynamodb.get_item, iter([True])

    def race(**given: Any) -> Any:
        found = get(**given)
        if next(raced, False):
            write("one", 2)  # somebody else is quicker
        return found

    racer = type("Client", (), {"get_item": staticmethod(race),
                                "transact_write_items": dynamodb.transact_write_items,
                                "exceptions": dynamodb.exceptions})  # fmt: skip
    item = {"status": "placed", "order": "{}"}
    assert feed.put(racer, TABLE, "one", "third", item, slowly) == 3
    assert len(waits) == 1
    assert [one["version"] for one in fetch("one")[1]["orders"]] == [1, 2, 3]


def test_a_writer_that_always_meets_others_says_so_and_writes_nothing(cloud: Any) -> None:
    dynamodb = client("dynamodb")
    stale = type("Client", (), {"get_item": staticmethod(lambda **_: {}),
                                "transact_write_items": dynamodb.transact_write_items,
                                "exceptions": dynamodb.exceptions})  # fmt: skip
    write("one", 1)
    with pytest.raises(feed.ConflictError):
        feed.put(stale, TABLE, "one", "second", {"status": "x", "order": "{}"}, lambda _: None)
    assert fetch("one")[1]["version"] == 1
