"""What the front and the relay promise; the consumer's promises are in ``tests/lambdas``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.decoupled_messaging.logic import MAX_BYTES
from serverless_patterns.lambdas.foundation import statuses
from serverless_patterns.lambdas.foundation.batch import NotDoneError
from serverless_patterns.lambdas.foundation.tables import serialize
from serverless_patterns.patterns.limits import DYNAMODB_ITEM_BYTES
from serverless_patterns.patterns.polling_status.client import Answer, StatusClient
from tests.lambdas.orders import order
from tests.moto_cloud import UNREACHABLE

from .handlers import ORDERS, ask, change, changes, post, send

if TYPE_CHECKING:
    from tests.moto_cloud import Cloud

BODY = json.dumps(order(), indent=1)


def test_an_order_is_accepted_by_one_write_which_is_its_outbox_too(cloud: Cloud) -> None:
    answer = post(BODY)
    assert (answer["statusCode"], answer["headers"]["Location"]) == (202, "orders/order-1")
    assert [name for name, _ in cloud.requests] == ["PutItem"]
    (item,) = cloud.items(ORDERS)
    assert (item["sk"], item["body"]) == ("job", BODY)
    assert "expires_at" not in item, "the order is the customer's record"


def test_the_same_post_twice_is_one_order_and_another_under_its_key_a_conflict(
    cloud: Cloud,
) -> None:
    answers = [post(BODY), post(json.dumps(order())), post(json.dumps(order(2)))]
    assert [answer["statusCode"] for answer in answers] == [202, 202, 409]
    assert [item["body"] for item in cloud.items(ORDERS)] == [BODY]


@pytest.mark.parametrize(
    "body", [json.dumps({"note": "\ufffe"}, ensure_ascii=False), json.dumps("x" * MAX_BYTES)]
)
def test_what_the_relay_could_never_send_is_refused_before_it_is_written(
    cloud: Cloud, body: str
) -> None:
    assert post(body)["statusCode"] == 422
    assert cloud.items(ORDERS) == []


def test_a_request_as_large_as_is_accepted_fits_into_an_item(cloud: Cloud) -> None:
    largest = json.dumps("x" * (MAX_BYTES - 2))
    assert post(largest, "k" * 64)["statusCode"] == 202, f"of {DYNAMODB_ITEM_BYTES:,} bytes"
    assert send(cloud, *changes()) == []
    assert [body for body, _ in cloud.messages_in(cloud.queue_url)] == [largest]


def test_an_order_is_sent_byte_for_byte_with_its_name_and_its_end_is_not(cloud: Cloud) -> None:
    post(BODY)
    (item,) = cloud.items(ORDERS)
    name = f"{item['pk']}-{item['at']}"
    statuses.put({"": statuses.End(name, statuses.DONE, {})})
    assert send(cloud, *changes()) == []
    assert cloud.messages_in(cloud.queue_url) == [(BODY, {"Job": name})]
    assert cloud.outcomes() == {"sent": 1, "ignored": 1}


def test_an_order_that_is_touched_is_sent_again_and_one_that_is_deleted_is_not(
    cloud: Cloud,
) -> None:
    post(BODY)
    (record,) = changes()
    touched = change(record["dynamodb"]["NewImage"] | {"touched": {"N": "1"}}, "MODIFY")
    gone = change(record["dynamodb"]["NewImage"], "REMOVE")
    del gone["dynamodb"]["NewImage"]
    assert send(cloud, touched, gone) == []
    assert len(cloud.messages_in(cloud.queue_url)) == 1


@pytest.mark.parametrize(("body", "reason"), [({}, "field"), ({"body": "\ufffe"}, "character")])
def test_a_change_that_cannot_be_sent_is_recorded_at_once_and_holds_up_nothing(
    cloud: Cloud, body: dict[str, str], reason: str
) -> None:
    strange = change(serialize({"pk": "a", "sk": "job", "at": 1, **body}))
    post(BODY)
    assert send(cloud, strange, *changes()) == []
    (refused, sent) = cloud.messages_in(cloud.queue_url)[::-1]
    assert (sent[0], refused[1]["Reason"]) == (BODY, reason)
    said = json.loads(refused[0])
    number = strange["dynamodb"]["SequenceNumber"]
    assert said["DDBStreamBatchInfo"]["startSequenceNumber"] == number


def test_what_the_queue_did_not_take_is_sent_again_and_what_is_behind_it_is_sent(
    cloud: Cloud,
) -> None:
    for number in range(3):
        post(json.dumps(order(number)), f"order-{number}")
    records = changes()
    names = [record["dynamodb"]["SequenceNumber"] for record in records]

    def take(_: str, sent: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        failed = [entry["Id"] for entry in sent["Entries"] if entry["Id"] == names[1]]
        wrong = {"Code": "InternalError", "SenderFault": False}
        return 200, {"Successful": [], "Failed": [{"Id": id_} | wrong for id_ in failed]}

    cloud.fakes["sqs"] = take
    assert send(cloud, *records) == [names[1]]
    assert cloud.outcomes() == {"sent": 2, "failed": 1}
    assert cloud.calls["SendMessageBatch"] == 2


def test_an_outage_of_the_queue_fails_the_call_so_that_nothing_is_given_up(cloud: Cloud) -> None:
    post(BODY)
    cloud.fail("SendMessageBatch", UNREACHABLE, times=9)
    with pytest.raises(NotDoneError):
        send(cloud, *changes())


def test_a_thousand_orders_are_relayed_in_a_hundred_calls_and_one_by_one_in_1000(
    cloud: Cloud,
) -> None:
    names = {"pk": "k", "sk": "job", "at": 1}
    records = [change(serialize({**names, "pk": f"{n:064x}", "body": BODY})) for n in range(1000)]
    cloud.fakes["sqs"] = lambda *_: (200, {"Successful": [], "Failed": []})
    for first in range(0, 1000, 100):
        assert send(cloud, *records[first : first + 100]) == []
    assert cloud.calls == {"SendMessageBatch": 100}
    for record in records:
        send(cloud, record)
    assert cloud.calls == {"SendMessageBatch": 1100}


def test_the_client_of_polling_status_polls_an_order_until_it_has_ended(cloud: Cloud) -> None:
    def asked(method: str, url: str, body: bytes | None, headers: Any) -> Answer:
        path = url.removeprefix("https://api/")
        named = {name.replace("-", "_"): value for name, value in headers.items()}
        found = ask(method, path, (body or b"").decode(), **named)
        if method == "POST":
            (item,) = cloud.items(ORDERS)
            end = statuses.End(f"{item['pk']}-{item['at']}", statuses.DONE, {"result": '"sold"'})
            statuses.put({"": end})
        names = {name.lower(): value for name, value in found["headers"].items()}
        return Answer(found["statusCode"], names, found["body"].encode())

    told = StatusClient("https://api/orders", send=asked).run(order(), job_id="order-1")
    assert told == "sold"
