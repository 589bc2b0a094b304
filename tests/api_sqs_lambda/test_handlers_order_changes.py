from __future__ import annotations

import random
import uuid
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serverless_patterns.lambdas.api_sqs_lambda import store
from serverless_patterns.lambdas.foundation import dead_letters

from .orders import RECEIVED_AT, change, fifo_record

if TYPE_CHECKING:
    from .conftest import Cloud

Record = dict[str, Any]
TIMEOUT = ReadTimeoutError(endpoint_url="https://dynamodb")
UNREACHABLE = EndpointConnectionError(endpoint_url="https://dynamodb")


def client_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, "Operation")


def ids(*records: Record) -> list[str]:
    return [record["messageId"] for record in records]


def revisions(cloud: Cloud, order_id: str = "ord-1") -> list[str]:
    """Return the ids of an order's changes by revision; every revision is there once."""
    rows = [item for item in cloud.items() if item["pk"] == f"ORDER#{order_id}"]
    changes = {
        int(row["revision"]): row["sk"].removeprefix("CHANGE#")
        for row in rows
        if row["sk"].startswith("CHANGE#")
    }
    heads = [int(row["revision"]) for row in rows if row["sk"] == "CHANGES"]
    assert sorted(changes) == list(range(1, len(changes) + 1))
    assert len(rows) == len(changes) + len(heads)
    assert heads == ([len(changes)] if changes else [])
    return [changes[revision] for revision in sorted(changes)]


def test_changes_are_applied_in_the_order_of_the_queue(cloud: Cloud) -> None:
    sent = [fifo_record(change(number)) for number in (3, 1, 2)]
    assert cloud.changes(*sent) == []
    assert cloud.changes(fifo_record(change(0))) == []
    assert revisions(cloud) == ["chg-3", "chg-1", "chg-2", "chg-0"]


def test_a_change_is_stored_with_what_it_came_with(cloud: Cloud) -> None:
    sent = fifo_record(change(1))
    cloud.changes(sent)
    [row] = [item for item in cloud.items() if item["sk"] == "CHANGE#chg-1"]
    assert (row["kind"], row["sku"], row["quantity"]) == ("quantity", "BRK-PAD-F", "2")
    assert row["sequence_number"] == sent["attributes"]["SequenceNumber"]
    assert (row["request_id"], row["message_id"]) == ("req-1", sent["messageId"])
    assert row["received_at"] == str(RECEIVED_AT)
    assert int(row["stored_at"]) > 1_700_000_000_000


def test_a_batch_costs_one_read_and_one_write(cloud: Cloud) -> None:
    sent = [fifo_record(change(n, order), order) for order in ("a", "b") for n in range(5)]
    assert cloud.changes(*sent) == []
    assert cloud.calls == {"TransactGetItems": 1, "TransactWriteItems": 1}
    assert len(revisions(cloud, "a")) == len(revisions(cloud, "b")) == 5
    cloud.calls.clear()
    assert cloud.changes(*sent) == []
    assert cloud.calls == {"TransactGetItems": 1}


@pytest.mark.parametrize("batches", [1, 2])
def test_a_change_sent_twice_is_applied_once(cloud: Cloud, batches: int) -> None:
    sent = [fifo_record(change(number)) for number in (1, 2, 1)]
    if batches == 1:
        assert cloud.changes(*sent) == []
    else:
        assert [cloud.changes(record) for record in sent] == [[], [], []]
    assert revisions(cloud) == ["chg-1", "chg-2"]
    assert sum(summary["duplicates"] for summary in cloud.summaries()) == 1
    assert cloud.letters() == []


@pytest.mark.parametrize("batches", [1, 2])
def test_another_change_of_one_id_is_dead_lettered(cloud: Cloud, batches: int) -> None:
    sent = fifo_record(change(1)), fifo_record(change(1, quantity=77)), fifo_record(change(2))
    if batches == 1:
        assert cloud.changes(*sent) == []
    else:
        assert [cloud.changes(record) for record in sent] == [[], [], []]
    assert revisions(cloud) == ["chg-1", "chg-2"]
    [letter] = cloud.letters()
    assert letter["Body"] == sent[1]["body"]
    assert letter["MessageAttributes"]["Reason"]["StringValue"] == "conflict"
    assert letter["Attributes"]["MessageGroupId"] == "ord-1"
    assert letter["Attributes"]["MessageDeduplicationId"] == sent[1]["messageId"]


def test_a_poison_change_neither_blocks_nor_reorders_its_group(cloud: Cloud) -> None:
    sent = [
        fifo_record(d) for d in (change(1), "poison", change(2), change(3, kind="x"), change(4))
    ]
    assert cloud.changes(*sent) == []
    assert revisions(cloud) == ["chg-1", "chg-2", "chg-4"]
    assert cloud.reasons() == {"not_json": 1, "kind": 1}


def test_a_change_outside_its_orders_group_is_refused(cloud: Cloud) -> None:
    stray = fifo_record(change(1, "ord-1"), group="ord-2")
    assert cloud.changes(stray) == []
    assert cloud.items() == []
    assert cloud.reasons() == {"group": 1}


def test_letters_keep_the_order_of_their_group(cloud: Cloud) -> None:
    sent = [fifo_record(f"poison {number}") for number in range(10)]
    assert cloud.changes(*sent) == []
    assert [letter["Body"] for letter in cloud.letters()] == [r["body"] for r in sent]


def test_a_letter_sent_again_within_five_minutes_is_kept_once(cloud: Cloud) -> None:
    poison = fifo_record("poison")
    assert cloud.changes(poison) == cloud.changes(poison) == []
    assert len(cloud.letters()) == 1


@pytest.mark.parametrize("operation", ["TransactGetItems", "TransactWriteItems"])
def test_an_outage_of_the_table_fails_every_change_and_loses_none(
    cloud: Cloud, operation: str
) -> None:
    sent = [fifo_record(change(number)) for number in range(5)]
    cloud.fail(operation, UNREACHABLE)
    assert cloud.changes(*sent) == ids(*sent)
    assert (cloud.items(), cloud.letters()) == ([], [])
    assert cloud.changes(*sent) == []
    assert revisions(cloud) == [f"chg-{number}" for number in range(5)]


def test_a_poison_change_behind_a_failed_one_waits_for_its_turn(cloud: Cloud) -> None:
    before, failed, behind = (
        fifo_record("poison 1"),
        fifo_record(change(1)),
        fifo_record("poison 2"),
    )
    elsewhere = fifo_record("poison 3", group="ord-2")
    cloud.take_the_table_away()
    assert cloud.changes(before, failed, behind, elsewhere) == ids(failed, behind)
    assert {letter["Body"] for letter in cloud.letters()} == {"poison 1", "poison 3"}
    assert cloud.summaries()[0]["failed"] == 2


def test_a_letter_that_the_queue_does_not_take_holds_up_its_group_only(cloud: Cloud) -> None:
    first, poison, behind = fifo_record(change(1)), fifo_record("poison"), fifo_record(change(2))
    elsewhere = fifo_record(change(1, "ord-2"), "ord-2")
    cloud.fail("SendMessageBatch", UNREACHABLE)
    assert cloud.changes(first, poison, behind, elsewhere) == ids(poison, behind)
    assert cloud.summaries()[0]["failed"] == 2
    assert cloud.changes(poison, behind) == []
    assert revisions(cloud) == ["chg-1", "chg-2"]
    assert cloud.reasons() == {"not_json": 1}


@pytest.mark.parametrize("code", ["TransactionCanceledException", "ValidationException"])
def test_a_failed_order_does_not_fail_the_other_orders(cloud: Cloud, code: str) -> None:
    sent = [fifo_record(change(n, order), order) for n in (1, 2) for order in ("a", "b")]

    def a_fails(operation: str, moment: str) -> None:
        if (operation, moment) != ("TransactWriteItems", "before"):
            return
        if "ORDER#a" in str(cloud.requests[-1]):
            raise client_error(code)

    cloud.faults.append(a_fails)
    assert cloud.changes(*sent) == ids(sent[0], sent[2])
    assert revisions(cloud, "b") == ["chg-1", "chg-2"]
    assert revisions(cloud, "a") == []
    cloud.faults.clear()
    assert cloud.changes(sent[0], sent[2]) == []
    assert revisions(cloud, "a") == ["chg-1", "chg-2"]


@pytest.mark.parametrize("already", [0, 1])
def test_a_writer_in_between_makes_the_change_fail_not_overwrite(
    cloud: Cloud, already: int
) -> None:
    for number in range(already):
        cloud.changes(fifo_record(change(number)))
    late = fifo_record(change(10))

    def somebody_else_appends(operation: str, moment: str) -> None:
        if (operation, moment) == ("TransactGetItems", "after"):
            cloud.faults.clear()
            cloud.changes(fifo_record(change(11)))

    cloud.faults.append(somebody_else_appends)
    assert cloud.changes(late) == ids(late)
    assert revisions(cloud)[already:] == ["chg-11"]
    assert cloud.changes(late) == []
    assert revisions(cloud)[already:] == ["chg-11", "chg-10"]


def test_changes_whose_answer_got_lost_are_applied_once(cloud: Cloud) -> None:
    sent = [fifo_record(change(number)) for number in range(3)]
    cloud.fail("TransactWriteItems", TIMEOUT, when="after")
    assert cloud.changes(*sent) == ids(*sent)
    assert cloud.changes(*sent) == []
    assert revisions(cloud) == ["chg-0", "chg-1", "chg-2"]


def test_no_personal_data_in_the_logs(cloud: Cloud) -> None:
    note = {"order_id": "ord-1", "change_id": "chg-1", "kind": "note", "text": "Geheimnis"}
    assert cloud.changes(fifo_record(note), fifo_record(note | {"text": "Geheimnis\n"})) == []
    cloud.take_the_table_away()
    cloud.changes(fifo_record(note))
    assert len(cloud.summaries()) == 2
    assert "Geheimnis" not in cloud.log.getvalue()


# Whatever is redelivered or fails in between, revisions follow the queue


class FifoQueue:
    """A FIFO queue as Lambda polls it: what failed comes again before what is behind it."""

    def __init__(self, records: list[Record], dice: random.Random) -> None:
        self.waiting = records
        self.dice = dice
        self.polls = 0

    def trouble(self) -> bool:
        """Whether anything may still go wrong: it ends at some time."""
        return self.polls < 30

    def poll(self, cloud: Cloud) -> None:
        """Deliver a batch; delete what did not fail, except when SQS forgets to."""
        self.polls += 1
        batch = self.waiting[: self.dice.randint(1, 10)]
        failed = set(cloud.changes(*batch))
        for group in {record["attributes"]["MessageGroupId"] for record in batch}:
            in_group = [r for r in batch if r["attributes"]["MessageGroupId"] == group]
            done = [record["messageId"] not in failed for record in in_group]
            assert done == sorted(done, reverse=True), "a message was done before one ahead of it"
        if self.trouble() and self.dice.random() < 0.2:  # the function timed out after its work
            return
        self.waiting = [r for r in self.waiting if r not in batch or r["messageId"] in failed]


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    sent=st.lists(
        st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 6), st.integers(0, 9)),
        min_size=1,
        max_size=15,
    ),
    seed=st.integers(0, 2**32),
)
def test_revisions_follow_the_queue_whatever_fails_in_between(
    cloud: Cloud, sent: list[tuple[str, int, int]], seed: int
) -> None:
    """``sent``: order, change, and what it says: 0 is poison, 1 another content for the same id."""
    dice = random.Random(seed)  # noqa: S311 - test data
    run = f"r{uuid.uuid4().hex}"
    queue = FifoQueue([_record(run, *message) for message in sent], dice)

    def anything_fails(_operation: str, _moment: str) -> None:
        if queue.trouble() and dice.random() < 0.25:
            raise dice.choice([TIMEOUT, client_error("TransactionCanceledException")])

    cloud.calls.clear()
    cloud.faults[:] = [anything_fails]
    for _ in range(200):
        if not queue.waiting:
            break
        queue.poll(cloud)
    assert not queue.waiting

    first: dict[str, dict[int, int]] = defaultdict(dict)
    refused = 0
    for order, number, content in sent:
        content = min(content, 2)
        if content:
            first[order].setdefault(number, content)
        refused += content != first[order].get(number) or not content
    for order in "abc":
        expected = [f"chg-{number}" for number in first[order]]
        assert revisions(cloud, f"{run}-{order}") == expected
    letters = {
        letter["MessageAttributes"]["OriginalMessageId"]["StringValue"]
        for letter in cloud.letters()
    }
    assert len(letters) == refused


def _record(run: str, order: str, number: int, content: int) -> Record:
    order_id = f"{run}-{order}"
    if content == 0:
        return fifo_record("poison", order_id)
    quantity = 500 if content == 1 else 1
    return fifo_record(change(number, order_id, quantity=quantity), order_id)


@pytest.mark.usefixtures("cloud")
def test_the_clients_give_up_before_the_function_does() -> None:
    longest = 0
    for client in (store.client(), store.client(), dead_letters.client()):  # read, write, send
        config: Any = client.meta.config
        tries = config.retries["total_max_attempts"]
        longest += tries * (config.connect_timeout + config.read_timeout)
    assert longest < 30
