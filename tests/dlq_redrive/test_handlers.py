"""The redriver and the receipts, on moto."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from serverless_patterns.lambdas.dlq_redrive import receipts, redriver
from serverless_patterns.lambdas.foundation import redrives
from serverless_patterns.lambdas.foundation.dead_letters import MAX_ATTRIBUTES
from serverless_patterns.lambdas.foundation.orders import NotStoredError
from serverless_patterns.lambdas.foundation.outcomes import RefusedError
from tests.dlq_redrive.handlers import cloud as account
from tests.lambdas.orders import order
from tests.moto_cloud import Context

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.moto_cloud import Cloud

CONTEXT: Any = Context()
ONCE = {redrives.REDRIVES: {"DataType": "Number", "StringValue": "1"}}
REJECTED = {"Reason": {"DataType": "String", "StringValue": "total"}}


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with account(monkeypatch) as made:
        yield made


class Queues:
    """A queue and its dead-letter queue."""

    def __init__(self, *, fifo: bool = False) -> None:
        self.sqs: Any = boto3.client("sqs", region_name="eu-central-1")
        given: Any = {"FifoQueue": "true"} if fifo else {}
        end = ".fifo" * fifo
        self.queue, self.letters = (
            self.sqs.create_queue(QueueName=f"{name}{end}", Attributes=given)["QueueUrl"]
            for name in ("orders", "orders-letters")
        )

    def fail(self, *bodies: str, group: str = "", attributes: Any = None) -> None:
        for body in bodies:
            ids = {"MessageGroupId": group, "MessageDeduplicationId": body} if group else {}
            self.sqs.send_message(
                QueueUrl=self.letters, MessageBody=body, MessageAttributes=attributes or {}, **ids
            )

    def redrive(self) -> dict[str, int]:
        urls = {"dead_letter_queue_url": self.letters, "queue_url": self.queue}
        return redriver.handler(urls, CONTEXT)

    def there(self, url: str) -> list[Any]:
        found, everything = [], {"MessageAttributeNames": ["All"], "AttributeNames": ["All"]}
        while messages := self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, **everything
        ).get("Messages"):
            found += messages
        return found


def test_dead_letters_go_back_once_in_three_calls_a_batch(cloud: Cloud) -> None:
    queues = Queues()
    queues.fail(*map(str, range(100)))
    cloud.calls.clear()
    assert queues.redrive() == {"moved": 100, "kept": 0}
    assert cloud.calls == {"ReceiveMessage": 11, "SendMessageBatch": 10, "DeleteMessageBatch": 10}
    back = queues.there(queues.queue)
    assert sorted(int(one["Body"]) for one in back) == [*range(100)]
    assert all(one["MessageAttributes"] == ONCE for one in back)


def test_poison_that_returned_and_what_was_rejected_wait_for_a_person(cloud: Cloud) -> None:
    queues = Queues()
    queues.fail("again", attributes=ONCE)
    queues.fail("rejected", attributes=REJECTED)
    queues.fail("outage")
    assert queues.redrive() == {"moved": 1, "kept": 2}
    assert [one["Body"] for one in queues.there(queues.queue)] == ["outage"]


def test_what_stays_is_shown_again_at_once_ten_a_call(cloud: Cloud) -> None:
    queues = Queues()
    queues.fail(*map(str, range(20)), attributes=ONCE)
    cloud.calls.clear()
    assert queues.redrive() == {"moved": 0, "kept": 20}
    assert cloud.calls == {"ReceiveMessage": 3, "ChangeMessageVisibilityBatch": 2}
    assert len(queues.there(queues.letters)) == 20


def test_a_count_that_nobody_could_have_counted_stops_no_other(cloud: Cloud) -> None:
    queues = Queues()
    forged = {"DataType": "String", "StringValue": "9" * 5000}
    queues.fail("forged", attributes={redrives.REDRIVES: forged})
    queues.fail("outage")
    assert queues.redrive() == {"moved": 1, "kept": 1}


def test_a_message_without_room_for_its_count_waits_for_a_person(cloud: Cloud) -> None:
    queues = Queues()
    full = {f"A{n}": {"DataType": "String", "StringValue": "x"} for n in range(MAX_ATTRIBUTES)}
    queues.fail("full", attributes=full)
    queues.fail("long", attributes={"A": {"DataType": "String", "StringValue": "x" * 200}})
    assert queues.redrive() == {"moved": 1, "kept": 1}
    assert [one["Body"] for one in queues.there(queues.letters)] == ["full"]


def test_nothing_of_a_group_moves_past_a_message_that_stays(cloud: Cloud) -> None:
    queues = Queues(fifo=True)
    queues.fail("a1", group="a")
    queues.fail("a2", group="a", attributes=ONCE)
    queues.fail("a3", group="a")
    queues.fail("b1", "b2", group="b")
    assert queues.redrive() == {"moved": 3, "kept": 2}
    assert sorted(one["Body"] for one in queues.there(queues.queue)) == ["a1", "b1", "b2"]


def test_a_dead_letter_is_deleted_only_when_its_queue_has_accepted_it(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    queues = Queues()
    queues.fail("one", "two")

    def refuse(sqs: Any, url: str, messages: Any) -> dict[str, str]:
        return {messages[0]["MessageId"]: "InternalError"}

    monkeypatch.setattr(redrives, "move", refuse)
    assert queues.redrive() == {"moved": 1, "kept": 1}


def test_a_run_ends_before_its_time_is_over(cloud: Cloud) -> None:
    queues = Queues()
    queues.fail("one")

    class Late(Context):
        @staticmethod
        def get_remaining_time_in_millis() -> int:
            return redriver.ENDS_BEFORE

    late: Any = Late()
    urls = {"dead_letter_queue_url": queues.letters, "queue_url": queues.queue}
    assert redriver.handler(urls, late) == {"moved": 0, "kept": 0}
    assert len(queues.there(queues.letters)) == 1


def test_a_receipt_is_stored_once_called_by_a_topic_or_directly(cloud: Cloud) -> None:
    event = {"Records": [{"Sns": {"Message": json.dumps(order())}}]}
    assert receipts.handler(event, CONTEXT) == {"status": "stored"}
    assert receipts.handler(order(), CONTEXT) == {"status": "duplicate"}
    assert len(cloud.items()) == 1


def test_a_receipt_that_cannot_be_stored_is_raised_so_that_lambda_keeps_it(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipts.handler(order(), CONTEXT)
    for refused in (order(total="1.00"), order(currency="USD")):
        with pytest.raises(RefusedError):
            receipts.handler(refused, CONTEXT)
    monkeypatch.setenv("TABLE_NAME", "unknown")
    with pytest.raises(NotStoredError, match="ResourceNotFoundException"):
        receipts.handler(order(), CONTEXT)
