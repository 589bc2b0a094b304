"""What the handlers and the outbox promise, whatever the stream delivers twice, late or cut off."""

from __future__ import annotations

import json
import os
import random
from base64 import b64encode
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from boto3.dynamodb.types import TypeSerializer

from serverless_patterns.lambdas.dynamodb_streams_lambda import outbox, projection, publisher
from serverless_patterns.lambdas.foundation.batch import NotDoneError
from tests import moto_cloud
from tests.delivery.sources import Sent, Stream
from tests.delivery.trouble import Trouble
from tests.moto_cloud import TABLE, UNREACHABLE, Context, client, client_error

from .changes import BY_DYNAMODB, Table, numbers

if TYPE_CHECKING:
    from tests.moto_cloud import Cloud

ORDERS, CHANGES = 8, 150
CONTEXT: Any = Context()


class Readers(moto_cloud.Cloud):
    """The readers of a table's stream."""

    def read(self, handler: Any, *records: Any) -> list[str]:
        """Call a reader as Lambda does; return the numbers of the records that failed."""
        try:
            answer = handler({"Records": list(records)}, CONTEXT)
        except NotDoneError:
            return numbers(records[0])
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def projected(self) -> list[dict[str, Any]]:
        """What the projection says that the table holds."""
        found = [{n: v for n, v in item.items() if n != "place"} for item in self.items()]
        return sorted((item for item in found if "gone" not in item), key=str)

    def sent(self) -> list[str]:
        """Take what is published."""
        found, sqs = list[str](), client("sqs")
        while got := sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            found += [message["Body"] for message in got]
            for message in got:
                handle = message["ReceiptHandle"]
                sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=handle)
        return found


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Any:
    make = partial(moto_cloud.cloud, tables={TABLE: ("pk", "sk")}, kind=Readers)
    with make(monkeypatch, environment={"TABLE_NAME": TABLE}) as made:
        letters = client("sqs").create_queue(QueueName="failures")["QueueUrl"]
        monkeypatch.setenv("QUEUE_URL", made.queue_url)
        monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", letters)
        monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
        yield made


def plain(table: Table) -> list[dict[str, Any]]:
    """What a table holds, as moto says it."""
    return sorted(
        (
            {
                name: next(iter(TypeSerializer().serialize(value).values()))
                for name, value in i.items()
            }
            for i in table.items.values()
        ),
        key=str,
    )


# The projection


@pytest.mark.parametrize("seed", range(6))
def test_the_projection_equals_the_table_whatever_comes_twice_late_or_is_given_up(
    seed: int, cloud: Readers
) -> None:
    dice, table = random.Random(seed), Table()  # noqa: S311 - test data
    trouble = Trouble(dice, left=40)
    stream = Stream(
        trouble,
        lambda event, _: projection.handler(event, CONTEXT),
        make=lambda sent, number: table.records[int(sent.event)],
        numbered=lambda record: record["dynamodb"]["SequenceNumber"],
        retries=1,
    )
    trouble.at_calls(cloud, lambda: None)
    for number in range(CHANGES):
        item = {"version": number} if dice.random() < 0.9 else None
        name = f"order-{dice.randrange(ORDERS)}"
        if item is not None or (name, "ORDER") in table.items:
            table.write(name, item)
            stream.send(Sent(str(len(table.records) - 1)))
        if dice.random() < 0.3 and not stream.idle:
            stream.step()
    while not stream.idle:
        stream.step()
    trouble.left = 0
    given_up, old = list(stream.dead), dice.sample(table.records, 20)
    cloud.read(projection.handler, *[table.records[int(sent.event)] for sent in given_up])
    for record in old:  # somebody replays what was processed long ago
        cloud.read(projection.handler, record)
    assert cloud.projected() == plain(table)


def test_an_item_whose_time_was_over_is_told_from_one_that_somebody_deleted(cloud: Readers) -> None:
    table = Table()
    records = [table.write(name, {"version": 1}) for name in ("over", "deleted")]
    records.append(table.write("over", None, userIdentity=BY_DYNAMODB))
    records.append(table.write("deleted", None))
    assert cloud.read(projection.handler, *records) == []
    assert {item["pk"]: item["gone"] for item in cloud.items()} == {
        "over": "expired", "deleted": "deleted",
    }  # fmt: skip
    assert {int(item["expires_at"]) for item in cloud.items()} == {1_790_000_000 + 3 * 86_400}


def test_an_older_change_never_brings_a_deleted_item_back(cloud: Readers) -> None:
    table = Table()
    written, deleted = table.write("order", {"version": 1}), table.write("order", None)
    assert cloud.read(projection.handler, deleted) == []
    assert cloud.read(projection.handler, written) == []
    assert cloud.outcomes() == {"stale": 1}
    assert cloud.projected() == []
    again = table.write("order", {"version": 2})
    assert cloud.read(projection.handler, again) == []
    assert cloud.projected() == plain(table)


def test_every_type_of_an_attribute_is_projected_as_it_is(cloud: Readers) -> None:
    table, item = Table(), {"raw": b"\x00\xff", "set": {b"\x01"}, "in": {"a": [b"\x02", None]}}
    record = table.write("order", item)
    delivered = json.loads(json.dumps(record, default=lambda raw: b64encode(raw).decode()))
    assert cloud.read(projection.handler, delivered) == []
    found = client("dynamodb").get_item(TableName=TABLE, Key=record["dynamodb"]["Keys"])["Item"]
    del found["place"]
    assert found == record["dynamodb"]["NewImage"]


def test_a_thousand_changes_take_ten_calls_and_not_a_thousand(cloud: Readers) -> None:
    table, taken = Table(), cloud.answer_writes()
    records = [table.write(f"order-{number}", {"version": 1}) for number in range(1_000)]
    assert cloud.read(projection.handler, *records) == []
    assert (cloud.calls["TransactWriteItems"], len(taken)) == (10, 1_000)
    cloud.calls.clear()
    for record in records:
        assert cloud.read(projection.handler, record) == []
    assert cloud.calls["TransactWriteItems"] == 1_000


def test_changes_of_one_item_in_a_batch_take_one_write(cloud: Readers) -> None:
    table = Table()
    records = [table.write("order", {"version": number}) for number in range(50)]
    assert cloud.read(projection.handler, *records) == []
    [(_, sent)] = cloud.requests
    assert '"ReturnValuesOnConditionCheckFailure": "ALL_OLD"' in str(sent)
    assert cloud.projected() == plain(table)
    assert cloud.outcomes() == {"stored": 1, "stale": 49}


def test_an_event_of_the_outbox_is_passed_over_and_not_what_follows_it(cloud: Readers) -> None:
    table = Table()
    assert cloud.read(projection.handler, table.event(), table.write("order", {"n": 1})) == []
    assert [item["pk"] for item in cloud.projected()] == ["order"]
    assert cloud.outcomes() == {"ignored": 1, "stored": 1}


def test_a_change_that_fails_holds_up_its_item_only_from_itself_on(cloud: Readers) -> None:
    table = Table()
    records = [table.write(name, {"version": 1}) for name in ("one", "broken", "two")]
    cloud.fail_all_about("broken")
    assert cloud.read(projection.handler, *records) == numbers(records[1])
    assert [item["pk"] for item in cloud.projected()] == ["one", "two"]


def test_a_call_whose_first_record_fails_fails_as_a_whole_so_that_lambda_halves_it(
    cloud: Readers,
) -> None:
    table = Table()
    records = [table.write(name, {"version": 1}) for name in ("broken", "one")]
    cloud.fail_all_about("broken")
    with pytest.raises(NotDoneError):
        projection.handler({"Records": records}, CONTEXT)


# The publisher


def test_an_event_is_published_byte_for_byte(cloud: Readers) -> None:
    table = Table()
    record = table.event()
    assert cloud.read(publisher.handler, record) == []
    assert cloud.sent() == [record["dynamodb"]["NewImage"]["event"]["S"]]


def test_a_thousand_events_take_a_hundred_calls_and_not_a_thousand(cloud: Readers) -> None:
    table = Table()
    cloud.fakes["sqs"] = lambda _, sent: (
        200,
        {"Successful": [{"Id": entry["Id"]} for entry in sent["Entries"]], "Failed": []},
    )
    records = [table.event(number) for number in range(1_000)]
    assert cloud.read(publisher.handler, *records) == []
    assert cloud.calls["SendMessageBatch"] == 100
    cloud.calls.clear()
    for record in records:
        assert cloud.read(publisher.handler, record) == []
    assert cloud.calls["SendMessageBatch"] == 1_000


def test_events_that_sqs_rejects_inside_a_200_are_sent_again_and_then_reported(
    cloud: Readers,
) -> None:
    table = Table()
    records = [table.event(number) for number in range(5)]
    bad = numbers(records[3])[0]

    def answer(_: str, sent: Any) -> Any:
        ids = [entry["Id"] for entry in sent["Entries"]]
        failed = [{"Id": bad, "Code": "InternalError", "SenderFault": False}]
        return 200, {"Failed": failed if bad in ids else [], "Successful": []}

    cloud.fakes["sqs"] = answer
    assert cloud.read(publisher.handler, *records) == [bad]
    assert cloud.calls["SendMessageBatch"] == 2


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"order_id": "Geheimnis!"}, "field"),
        ({"type": "Geheimnis"}, "field"),
        ({"type": "canceled"}, "field"),
        ({"order": None}, "field"),
        ({"order": {"total": "Geheimnis"}}, "field"),
        ({"more": "Geheimnis"}, "field"),
    ],
)
def test_an_event_that_nobody_could_work_on_is_kept_with_its_change_and_holds_up_nothing(
    wrong: dict[str, Any], reason: str, cloud: Readers
) -> None:
    table = Table()
    records = [table.event(1, **wrong), table.event(2)]
    assert cloud.read(publisher.handler, *records) == []
    assert len(cloud.sent()) == 1
    [(body, attributes)] = cloud.messages_in(os.environ["DEAD_LETTER_QUEUE_URL"])
    kept = json.loads(body)
    assert kept["payload"]["Records"] == [records[0]]
    assert kept["DDBStreamBatchInfo"]["startSequenceNumber"] == numbers(records[0])[0]
    assert (kept["requestContext"]["condition"], attributes["Reason"]) == ("Refused", reason)
    assert "Geheimnis" not in cloud.log.getvalue()
    assert "customer-7" not in cloud.log.getvalue()


def test_a_replayed_range_has_changes_for_others_which_each_reader_leaves_alone(
    cloud: Readers,
) -> None:
    table = Table()
    records = [table.write("order", {"version": 1}), table.event()]
    records.append(table.write("ord-1", None, "EVENT#e1", userIdentity=BY_DYNAMODB))
    assert cloud.read(publisher.handler, *records) == []
    assert cloud.read(projection.handler, *records) == []
    assert (len(cloud.sent()), cloud.messages_in(os.environ["DEAD_LETTER_QUEUE_URL"])) == (1, [])
    assert [item["pk"] for item in cloud.items()] == ["order"]


def test_a_change_too_large_for_a_message_is_named_without_it(cloud: Readers) -> None:
    table = Table()
    record = table.event(1, more="€" * 380_000)
    assert cloud.read(publisher.handler, record) == []
    [(body, _)] = cloud.messages_in(os.environ["DEAD_LETTER_QUEUE_URL"])
    assert json.loads(body)["payload"] is None


def test_an_event_that_the_failure_queue_does_not_take_has_failed(cloud: Readers) -> None:
    table = Table()
    records = [table.event(2), table.event(1, type="unknown")]
    cloud.monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", "https://sqs/gone")
    assert cloud.read(publisher.handler, *records) == numbers(records[1])


def test_an_outage_fails_the_call_and_is_seen_in_its_errors(cloud: Readers) -> None:
    table = Table()
    cloud.fail("SendMessageBatch", UNREACHABLE, times=9)
    with pytest.raises(NotDoneError, match="EndpointConnectionError"):
        publisher.handler({"Records": [table.event()]}, CONTEXT)


# The outbox


def change(order: str = "order", event: str = "e1", document: Any = "as it is") -> bool:
    document = {"total": "1"} if document == "as it is" else document
    return outbox.change(client("dynamodb"), TABLE, order, (event, "{}"), document)


def test_an_order_and_its_event_are_written_together(cloud: Readers) -> None:
    assert change()
    assert {item["sk"]: item.get("last_event") for item in cloud.items()} == {
        "ORDER": "e1", "EVENT#e1": None,
    }  # fmt: skip
    assert change(event="e2", document=None)
    assert [item["sk"] for item in cloud.items()] == ["EVENT#e1", "EVENT#e2"]


def test_the_same_event_again_changes_nothing(cloud: Readers) -> None:
    assert change()
    before = cloud.items()
    assert not change()
    assert cloud.items() == before


@pytest.mark.usefixtures("cloud")
def test_of_two_writers_at_once_one_is_told_to_read_again_and_writes_no_event(
    cloud: Cloud,
) -> None:
    assert change()

    class Slow:
        """A client behind which somebody else writes between the read and the write."""

        exceptions = client("dynamodb").exceptions
        transact_write_items = client("dynamodb").transact_write_items

        def get_item(self, **arguments: Any) -> Any:
            found = client("dynamodb").get_item(**arguments)
            change(event="e2")
            return found

    with pytest.raises(outbox.ConflictError):
        outbox.change(Slow(), TABLE, "order", ("e3", "{}"), {"total": "3"})
    assert sorted(item["sk"] for item in cloud.items()) == ["EVENT#e1", "EVENT#e2", "ORDER"]


def test_any_other_error_of_the_write_is_the_writers(cloud: Readers) -> None:
    class Throttled:
        exceptions = client("dynamodb").exceptions
        get_item = client("dynamodb").get_item

        def transact_write_items(self, **_: Any) -> Any:
            raise client_error("ThrottlingException")

    with pytest.raises(Exception, match="ThrottlingException"):
        outbox.change(Throttled(), TABLE, "order", ("e3", "{}"), {"total": "3"})
    assert cloud.items() == []
