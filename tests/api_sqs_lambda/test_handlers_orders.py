from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from serverless_patterns.lambdas.api_sqs_lambda import orders, store
from serverless_patterns.lambdas.foundation import dead_letters
from tests.moto_cloud import Context

from .orders import RECEIVED_AT, SENT_AT, largest_order, order, record, string, text

if TYPE_CHECKING:
    from .conftest import Cloud

ROOT = Path(__file__).parents[2]
UNREACHABLE = EndpointConnectionError(endpoint_url="https://dynamodb")


def client_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, "Operation")


def cancelled(*codes: str) -> Exception:
    response: Any = {
        "Error": {"Code": "TransactionCanceledException", "Message": "cancelled"},
        "CancellationReasons": [{"Code": code} for code in codes],
    }
    return store.client().exceptions.TransactionCanceledException(response, "TransactWriteItems")


def ids(*records: dict[str, Any]) -> list[str]:
    return [record["messageId"] for record in records]


# What is stored


def test_an_order_is_stored_with_what_it_came_with(cloud: Cloud) -> None:
    sent = record(order(1))
    assert cloud.orders(sent) == []
    [item] = cloud.items()
    assert (item["pk"], item["sk"]) == ("ORDER#ord-1", "ORDER")
    assert (item["total"], item["currency"]) == ("100.00", "EUR")
    assert item["lines"][0]["M"]["name"] == {"S": "Bremsbelag vorn 🚗"}
    assert (item["request_id"], item["message_id"]) == ("req-1", sent["messageId"])
    assert item["received_at"] == str(RECEIVED_AT)
    assert int(item["stored_at"]) > 1_700_000_000_000
    assert len(item["fingerprint"]) == 64


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"ReceivedAt": string("soon"), "RequestId": string("r" * 200_000)},
        {"ReceivedAt": string("٣"), "RequestId": {"binaryValue": "", "dataType": "Binary"}},
        {"ReceivedAt": string("1" * 40)},
    ],
)
def test_an_order_sent_to_the_queue_directly_is_stored(
    cloud: Cloud, attributes: dict[str, Any]
) -> None:
    sent = record(order(1), attributes=attributes)
    assert cloud.orders(sent) == []
    [item] = cloud.items()
    assert item["request_id"] == sent["messageId"]
    assert item["received_at"] == str(SENT_AT)


def test_orders_of_the_largest_size_fit_the_table(cloud: Cloud) -> None:
    records = [record(largest_order(number)) for number in range(40)]
    assert cloud.orders(*records) == []
    assert len(cloud.items()) == 40
    sizes = [len(text(request).encode()) for request in cloud.requests]
    assert len(sizes) == 2
    assert max(sizes) < 4 * 1024**2
    assert max(len(text(item).encode()) for item in cloud.items()) < 400 * 1024


# Duplicates and conflicts


def test_a_redelivered_order_is_stored_once(cloud: Cloud) -> None:
    sent = record(order(1))
    assert cloud.orders(sent) == []
    before = cloud.items()
    assert cloud.orders(sent) == []
    assert cloud.items() == before
    assert [(s["stored"], s["duplicates"]) for s in cloud.summaries()] == [(1, 0), (0, 1)]
    assert cloud.letters() == []


def test_an_order_sent_twice_is_known_however_it_is_written(cloud: Cloud) -> None:
    again = dict(reversed(order(1).items()))
    assert cloud.orders(record(order(1))) == []
    assert cloud.orders(record(json.dumps(again, indent=2))) == []
    assert len(cloud.items()) == 1
    assert cloud.letters() == []


def test_nothing_expires_so_a_duplicate_is_known_for_ever(cloud: Cloud) -> None:
    cloud.orders(record(order(1)))
    assert not {"ttl", "expires_at", "expiration"} & cloud.items()[0].keys()
    ttl = cloud.dynamodb.describe_time_to_live(TableName="table")["TimeToLiveDescription"]
    assert ttl["TimeToLiveStatus"] == "DISABLED"


def test_a_conflicting_order_is_dead_lettered_with_its_reason(cloud: Cloud) -> None:
    cloud.orders(record(order(1)))
    before = cloud.items()
    other = record(order(1, customer_id="somebody-else"))
    good = record(order(2))
    assert cloud.orders(other, good) == []
    assert cloud.reasons() == {"conflict": 1}
    assert [item for item in cloud.items() if item["pk"] == "ORDER#ord-1"] == before
    assert len(cloud.items()) == 2


def test_two_orders_of_one_id_in_a_batch_are_treated_like_in_two(cloud: Cloud) -> None:
    first, same = record(order(1)), record(order(1))
    other = record(order(1, customer_id="somebody-else"))
    assert cloud.orders(first, same, other) == []
    [item] = cloud.items()
    assert item["message_id"] == first["messageId"]
    assert cloud.reasons() == {"conflict": 1}
    assert (cloud.summaries()[0]["stored"], cloud.summaries()[0]["duplicates"]) == (1, 1)


def test_what_is_stored_decides_about_two_orders_of_one_id(cloud: Cloud) -> None:
    cloud.orders(record(order(1)))
    other, same = record(order(1, customer_id="somebody-else")), record(order(1))
    assert cloud.orders(other, same) == []
    [letter] = cloud.letters()
    assert letter["Body"] == other["body"]
    assert cloud.summaries()[1]["duplicates"] == 1


# Failures


def test_duplicates_cost_one_more_call_however_many(cloud: Cloud) -> None:
    cloud.orders(*(record(order(number)) for number in range(20)))
    cloud.calls.clear()
    assert cloud.orders(*(record(order(number)) for number in range(40))) == []
    assert cloud.calls == {"TransactWriteItems": 2}
    assert len(cloud.items()) == 40


def test_only_the_failed_record_is_reported(cloud: Cloud) -> None:
    good, bad, poison = record(order(1)), record(order(2)), record("not json")
    cloud.fail("TransactWriteItems", cancelled("None", "TransactionConflict"))

    def the_second_fails(operation: str, moment: str) -> None:
        if (operation, moment) == ("PutItem", "before") and cloud.calls["PutItem"] == 2:
            raise client_error("ThrottlingException")

    cloud.faults.append(the_second_fails)
    assert cloud.orders(good, bad, poison) == ids(bad)
    assert [item["pk"] for item in cloud.items()] == ["ORDER#ord-1"]
    assert cloud.reasons() == {"not_json": 1}
    cloud.faults.clear()
    assert cloud.orders(bad) == []
    assert len(cloud.items()) == 2


@pytest.mark.parametrize("reason", ["ThrottlingError", "TransactionConflict", "ValidationError"])
def test_a_cancelled_transaction_still_stores_every_order(cloud: Cloud, reason: str) -> None:
    cloud.orders(record(order(1)))
    cloud.calls.clear()
    cloud.fail("TransactWriteItems", cancelled("None", reason, "None"))
    other = record(order(1, customer_id="somebody-else"))
    assert cloud.orders(record(order(2)), other, record(order(3))) == []
    assert len(cloud.items()) == 3
    assert cloud.calls == {"TransactWriteItems": 1, "PutItem": 3, "SendMessageBatch": 1}
    assert cloud.reasons() == {"conflict": 1}


def test_a_record_that_dynamodb_does_not_take_fails_alone(cloud: Cloud) -> None:
    cloud.fail("TransactWriteItems", client_error("ValidationException"))
    cloud.fail("PutItem", client_error("ValidationException"))
    bad, good = record(order(1)), record(order(2))
    assert cloud.orders(bad, good) == ids(bad)
    assert [item["pk"] for item in cloud.items()] == ["ORDER#ord-2"]


def test_an_outage_of_the_table_fails_every_record_and_loses_none(cloud: Cloud) -> None:
    records = [record(order(number)) for number in range(50)]
    cloud.take_the_table_away()
    assert cloud.orders(*records) == ids(*records)
    assert (cloud.items(), cloud.letters()) == ([], [])
    cloud.bring_the_table_back()
    assert cloud.orders(*records) == []
    assert len(cloud.items()) == 50


def test_an_outage_shows_in_the_errors_of_the_function(cloud: Cloud) -> None:
    cloud.take_the_table_away()
    cloud.monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", cloud.queue_url)
    event = {"Records": [record(order(1))]}
    with pytest.raises(Exception, match="All records failed processing") as outage:
        orders.handler(event, Context())  # type: ignore[arg-type]
    assert "ResourceNotFoundException" in str(outage.value)
    assert "customer-7" not in str(outage.value)  # Lambda logs it


def test_an_order_of_one_id_fails_together_with_the_one_before(cloud: Cloud) -> None:
    records = record(order(1)), record(order(1)), record(order(1, customer_id="somebody-else"))
    cloud.take_the_table_away()
    assert cloud.orders(*records) == ids(*records)
    assert cloud.letters() == []


def test_an_unreachable_table_is_not_asked_for_every_record(cloud: Cloud) -> None:
    records = [record(order(number)) for number in range(50)]
    cloud.fail("TransactWriteItems", UNREACHABLE)
    assert cloud.orders(*records) == ids(*records)
    assert cloud.calls == {"TransactWriteItems": 1}
    cloud.fail("TransactWriteItems", cancelled(*["ThrottlingError"] * 50))
    cloud.fail("PutItem", UNREACHABLE)
    assert cloud.orders(*records) == ids(*records)
    assert cloud.calls["PutItem"] == 1


@pytest.mark.parametrize("operation", ["TransactWriteItems", "PutItem"])
def test_an_order_whose_answer_got_lost_is_stored_once(cloud: Cloud, operation: str) -> None:
    sent = record(order(1))
    if operation == "PutItem":
        cloud.fail("TransactWriteItems", cancelled("TransactionConflict"))
    cloud.fail(operation, ReadTimeoutError(endpoint_url="https://dynamodb"), when="after")
    assert cloud.orders(sent) == ids(sent)
    before = cloud.items()
    assert len(before) == 1
    assert cloud.orders(sent) == []
    assert cloud.items() == before


# Dead letters


def test_a_dead_letter_is_the_message_byte_for_byte_with_its_reason(cloud: Cloud) -> None:
    body = ' {"order_id" :"é漢🚗", "lines":\t[]}\r\n'
    sent = record(body)
    assert cloud.orders(sent) == []
    [letter] = cloud.letters()
    assert letter["Body"] == body
    attributes = {
        k: (v["DataType"], v["StringValue"]) for k, v in letter["MessageAttributes"].items()
    }
    assert attributes.pop("ReasonDetail")[1].startswith("order lacks")
    assert attributes == {
        "RequestId": ("String", "req-1"),
        "Source": ("String", "api/prod POST /orders"),
        "ReceivedAt": ("Number", str(RECEIVED_AT)),
        "Reason": ("String", "field"),
        "OriginalMessageId": ("String", sent["messageId"]),
    }
    system = cloud.requests[0]["Entries"][0]["MessageSystemAttributes"]  # which moto forgets
    assert system["AWSTraceHeader"]["StringValue"] == sent["attributes"]["AWSTraceHeader"]


def test_a_dead_letter_keeps_binary_attributes(cloud: Cloud) -> None:
    binary = {"binaryValue": base64.b64encode(b"\x00\xff").decode(), "dataType": "Binary.gzip"}
    cloud.orders(record("poison", attributes={"Blob": binary}))
    [letter] = cloud.letters()
    assert letter["MessageAttributes"]["Blob"]["BinaryValue"] == b"\x00\xff"


def test_a_dead_letter_has_at_most_ten_attributes_and_keeps_its_own(cloud: Cloud) -> None:
    for count in (8, 10):
        own = {f"A{number}": string("x") for number in range(count)}
        assert cloud.orders(record("poison", attributes=own)) == []
        [letter] = cloud.letters()
        assert own.keys() <= letter["MessageAttributes"].keys()
        assert len(letter["MessageAttributes"]) == 10
        assert ("Reason" in letter["MessageAttributes"]) == (count < 10)


def test_a_dead_letter_sent_back_and_refused_again_has_the_new_reason(cloud: Cloud) -> None:
    old = {"Reason": string("total"), "ReasonDetail": string("old")}
    cloud.orders(record("poison", attributes=old))
    [letter] = cloud.letters()
    assert letter["MessageAttributes"]["Reason"]["StringValue"] == "not_json"
    assert letter["MessageAttributes"]["ReasonDetail"]["StringValue"] != "old"


def test_a_dead_letter_of_the_largest_size_fits_the_queue(cloud: Cloud) -> None:
    limit = dead_letters.MAX_BYTES
    old = {"ReasonDetail": string("of another time")}
    assert cloud.orders(record("é" * (limit // 2), attributes={})) == []
    assert cloud.orders(record("x" * (limit - 40), attributes=old)) == []
    largest, with_reason = cloud.letters()
    assert len(largest["Body"].encode()) == limit
    assert with_reason["MessageAttributes"].keys() == {"Reason"}
    for request in cloud.requests:  # moto weighs the bodies only
        [entry] = request["Entries"]
        attributes = entry["MessageAttributes"].items()
        texts = [entry["MessageBody"], *(t for k, v in attributes for t in (k, *v.values()))]
        assert sum(len(text.encode()) for text in texts) <= limit


def test_a_tenants_group_is_kept_for_fair_queues(cloud: Cloud) -> None:
    cloud.orders(record("poison", MessageGroupId="tenant"))
    [request] = cloud.requests
    assert request["Entries"][0]["MessageGroupId"] == "tenant"
    assert "MessageDeduplicationId" not in request["Entries"][0]


def test_dead_letters_are_sent_ten_at_a_time_and_within_one_mebibyte(cloud: Cloud) -> None:
    assert cloud.orders(*(record(f"poison {number}") for number in range(50))) == []
    assert cloud.calls == {"SendMessageBatch": 5}
    cloud.calls.clear()
    assert cloud.orders(*(record("x" * 400_000) for _ in range(4))) == []
    assert cloud.calls == {"SendMessageBatch": 2}
    assert len(cloud.letters()) == 54


def test_a_letter_that_the_queue_does_not_take_is_delivered_again(cloud: Cloud) -> None:
    good, poison = record(order(1)), record("poison")
    cloud.fail("SendMessageBatch", client_error("ServiceUnavailable"))
    assert cloud.orders(good, poison) == ids(poison)
    assert len(cloud.items()) == 1
    assert cloud.summaries()[0]["failures"] == {"ServiceUnavailable": 1}
    assert "Refused" not in cloud.log.getvalue()
    cloud.fail("SendMessageBatch", UNREACHABLE)
    assert cloud.orders(good, poison) == ids(poison)
    assert cloud.orders(poison) == []
    assert cloud.reasons() == {"not_json": 1}


def test_letters_that_failed_in_a_batch_are_sent_once_more(cloud: Cloud) -> None:
    records = [record(f"poison {number}") for number in range(3)]
    refuse_in_part(cloud, times=1)
    assert cloud.orders(*records) == []
    assert [len(request["Entries"]) for request in cloud.requests] == [3, 1]


def test_letters_that_fail_twice_are_delivered_again(cloud: Cloud) -> None:
    records = [record(f"poison {number}") for number in range(3)]
    refuse_in_part(cloud, times=2)
    assert cloud.orders(*records) == ids(records[0])
    assert cloud.summaries()[0]["failures"] == {"InternalError": 1}


def refuse_in_part(cloud: Cloud, times: int) -> None:
    """Let SQS say, with status 200, that it did not take the first entry of a batch."""
    left = [times]

    def refuse(parsed: dict[str, Any], **_: Any) -> None:
        if left[0]:
            left[0] -= 1
            first = parsed["Successful"].pop(0)
            failure = {"Id": first["Id"], "Code": "InternalError", "SenderFault": False}
            parsed["Failed"] = [failure]

    dead_letters.client().meta.events.register("after-call.sqs.SendMessageBatch", refuse)


# Logs


def test_no_personal_data_in_the_logs(cloud: Cloud, capfd: pytest.CaptureFixture[str]) -> None:
    secret = "Geheimnis"
    line = order(1)["lines"][0] | {"name": secret}
    refused = [
        order(2, customer_id=f"{secret}!"),
        order(3, **{secret: 1}),
        order(4, currency=secret),
        order(5, total=secret),
        order(6, lines=[line | {"unit_price": secret}]),
        order(7, lines=[line | {"name": f"{secret}\n"}]),
        order(f"{secret} 8"),  # type: ignore[arg-type]
        order(1, customer_id=secret),
    ]
    cloud.orders(record(order(1, lines=[line], total="99.80")))
    cloud.orders(*map(record, refused), record(secret), record(f'{{"{secret}": {secret}}}'))
    cloud.take_the_table_away()
    cloud.orders(record(order(9, customer_id=secret)))
    assert cloud.summaries()[1]["refused"] == 10
    output = cloud.log.getvalue() + "".join(capfd.readouterr())
    assert secret not in output
    assert not any(word in output for word in ("customer-7", "49.90", "Bremsbelag"))


def test_no_personal_data_in_the_reason_of_a_dead_letter(cloud: Cloud) -> None:
    cloud.orders(record(order(1, total="Geheimnis")), record(order(2, Geheimnis="x")))
    for letter in cloud.letters():
        assert "Geheimnis" not in letter["MessageAttributes"]["ReasonDetail"]["StringValue"]


def test_a_batch_logs_one_line_and_one_for_each_refusal(cloud: Cloud) -> None:
    poison = record("poison")
    cloud.orders(*(record(order(number)) for number in range(20)), poison)
    refusal, summary = [json.loads(line) for line in cloud.log.getvalue().splitlines()]
    assert (refusal["message_id"], refusal["reason"]) == (poison["messageId"], "not_json")
    assert (summary["stored"], summary["refused"], summary["failed"]) == (20, 1, 0)
    assert summary["function_request_id"] == "request"


# Modules


@pytest.mark.parametrize("entry", ["orders", "order_changes"])
def test_importing_a_handler_needs_no_environment(entry: str) -> None:
    code = (
        "import sys, socket; socket.socket.connect = None; sys.path.insert(0, sys.argv[1]);"
        f"from lambdas.api_sqs_lambda.{entry} import handler; print(callable(handler))"
    )
    run = subprocess.run(
        [sys.executable, "-I", "-c", code, str(ROOT)],
        capture_output=True, text=True, env={}, check=False,
    )  # fmt: skip
    assert (run.stdout, run.stderr) == ("True\n", "")
