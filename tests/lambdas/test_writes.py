"""Many items or messages, one by one: each fails alone, and after an outage none is attempted."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from serverless_patterns.lambdas.foundation import aws, batch, tables
from serverless_patterns.lambdas.foundation.messages import Message
from serverless_patterns.lambdas.foundation.outcomes import STORED, Outcome, RefusedError
from tests.moto_cloud import Context, record

GONE = EndpointConnectionError(endpoint_url="https://table")


def error(code: str, **more: Any) -> ClientError:
    response: Any = {"Error": {"Code": code}, **more}
    return ClientError(response, "PutItem")


class ConditionError(ClientError):
    """What boto3 calls ``ConditionalCheckFailedException``."""


class CanceledError(ClientError):
    """What boto3 calls ``TransactionCanceledException``."""


class Table:
    """Answers the calls in their order; None: it is written."""

    class exceptions:  # noqa: N801  (as boto3 names it)
        """boto3's, by service."""

        ConditionalCheckFailedException = ConditionError
        TransactionCanceledException = CanceledError

    def __init__(self, *answers: Exception | None) -> None:
        self.answers, self.put, self.attempts = list(answers), list[Any](), list[int]()

    def client(self, attempts: int = 3) -> Table:
        self.attempts.append(attempts)
        return self

    def put_item(self, **item: Any) -> None:
        self.put.append(item["Item"])
        if answer := self.answers.pop(0):
            raise answer

    def transact_write_items(self, **items: Any) -> None:
        self.put.append([item["Put"]["Item"] for item in items["TransactItems"]])
        if answer := self.answers.pop(0):
            raise answer


def put(monkeypatch: pytest.MonkeyPatch, table: Table, *names: str) -> tables.Puts:
    monkeypatch.setattr(tables, "client", table.client)
    return tables.put_new({name: {"Item": name} for name in names})


def canceled(*codes: str, **item: Any) -> CanceledError:
    response: Any = {
        "Error": {"Code": "TransactionCanceledException"},
        "CancellationReasons": [{"Code": code, **item} for code in codes],
    }
    return CanceledError(response, "TransactWriteItems")


TOO_LARGE = error("ValidationException")
FAILED: Any = {"Error": {"Code": "ConditionalCheckFailedException"}}


@pytest.mark.parametrize("most", [tables.MAX_ACTIONS, 1], ids=["a transaction", "several"])
def test_what_is_behind_a_failure_of_its_group_is_not_put(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    few = [TOO_LARGE, error("Throttled"), None]
    table = Table(*(few if most > 1 else [error("Throttled"), None]))
    monkeypatch.setattr(tables, "client", table.client)
    monkeypatch.setattr(tables, "MAX_ACTIONS", most)
    groups = {"a1": "a", "a2": "a", "b1": "b"}
    puts = tables.put_new({name: {"Item": name} for name in groups}, groups)
    assert puts.failed == {"a1": "Throttled", "a2": "BehindAFailure"}
    assert table.put[most > 1 :] == (["a1", "b1"] if most > 1 else [["a1"], ["b1"]])


def test_items_that_no_transaction_holds_are_put_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = ConditionError(FAILED | {"Item": {"pk": {"S": "b"}}}, "PutItem")
    none = ConditionError(FAILED, "PutItem")
    table = Table(TOO_LARGE, None, own, error("Throttled"), none, None)
    result = put(monkeypatch, table, *"abcde")
    assert result.found == {"b": {"pk": {"S": "b"}}, "d": {}}
    assert result.failed == {"c": "Throttled"}
    assert table.put == [[*"abcde"], *"abcde"]
    assert table.attempts[-1] == 1, "SQS delivers the others again"


def test_after_an_outage_no_further_item_is_attempted(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(TOO_LARGE, None, error("Throttled"), GONE)
    result = put(monkeypatch, table, *"abcd")
    failed = {"b": "Throttled", "c": "EndpointConnectionError", "d": "EndpointConnectionError"}
    assert (result.found, result.failed) == ({}, failed)
    assert table.put[1:] == [*"abc"]


def test_what_has_its_key_already_is_left_out_of_a_second_transaction_and_no_third(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = canceled("ConditionalCheckFailed", "None", "None", Item={"pk": {"S": "a"}})
    second = canceled("ConditionalCheckFailed", "None")
    table = Table(first, second, None)
    result = put(monkeypatch, table, *"abc")
    assert result.found == {"a": {"pk": {"S": "a"}}, "b": {}}
    assert table.put == [[*"abc"], [*"bc"], "c"]


def test_a_transaction_that_fails_otherwise_fails_its_items_and_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [str(number) for number in range(tables.MAX_ACTIONS + 1)]
    table = Table(error("Throttled"), error("Denied"))
    result = put(monkeypatch, table, *names)
    assert result.failed == dict.fromkeys(names[:-1], "Throttled") | {names[-1]: "Denied"}


def test_items_that_are_too_large_together_are_put_in_two_transactions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    large = [letter * (tables.MAX_BYTES // 2) for letter in "ab"]
    table = Table(None, None)
    assert put(monkeypatch, table, *large) == tables.Puts()
    assert table.put == [large[:1], large[1:]]


def test_each_message_is_refused_or_fails_alone_until_aws_cannot_be_reached() -> None:
    messages = [Message.of(record({"number": number})) for number in range(5)]
    answers: list[Outcome | Exception] = [
        RefusedError("size", "It is large."),
        error("Denied"),
        STORED,
        GONE,
    ]

    def work(said: str, message: Message) -> Outcome:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    outcomes = batch.one_by_one(work)([("", message) for message in messages])
    unreachable = Outcome("failed", "EndpointConnectionError")
    assert [outcomes[message.id] for message in messages] == [
        Outcome("refused", "size", "It is large."),
        Outcome("failed", "Denied"),
        STORED,
        unreachable,
        unreachable,
    ]


def test_one_by_one_nothing_behind_a_failure_of_its_group_is_attempted() -> None:
    messages = [Message.of(record({}, group)) for group in ("a", "a", "b", "a")]
    attempted: list[str | None] = []

    def work(_: str, message: Message) -> Outcome:
        attempted.append(message.group_id)
        if message.group_id == "a":
            raise error("Denied")
        return STORED

    outcomes = batch.one_by_one(work, fifo=True)([("", message) for message in messages])
    assert attempted == ["a", "b"]
    behind = Outcome("failed", "BehindAFailure")
    assert [outcomes[message.id] for message in messages] == [
        Outcome("failed", "Denied"),
        behind,
        STORED,
        behind,
    ]


def test_only_a_batch_with_a_failure_is_logged_as_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    batch.log_summary({"1": STORED, "2": Outcome("refused", "size")})
    batch.log_summary({"1": STORED, "2": Outcome.failed("Denied")})
    assert [one.levelname for one in caplog.records] == ["INFO", "ERROR"]


@pytest.mark.parametrize("fifo", [{}, {"fifo": True}])
def test_a_message_behind_a_failure_waits_only_where_the_queue_keeps_an_order(fifo: Any) -> None:
    records = [record({"number": number}) for number in range(3)]

    def write(parsed: Any) -> dict[str, Outcome]:
        return {it.id: Outcome.failed("Denied") if body else STORED for body, it in parsed}

    handle = batch.handler(lambda it: '"number": 1' in it.body, write, **fifo)
    context: Any = Context()
    answer = handle({"Records": records}, context)
    reported = [it["itemIdentifier"] for it in answer["batchItemFailures"]]
    assert reported == [it["messageId"] for it in (records[1:] if fifo else records[1:2])]


def test_a_call_is_attempted_three_times_or_as_often_as_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = list[Any]()
    monkeypatch.setattr(aws, "client", lambda service, **options: made.append((service, options)))
    tables.client()
    tables.client(attempts=1)
    assert made == [("dynamodb", {"attempts": 3}), ("dynamodb", {"attempts": 1})]


def test_an_item_of_somebody_elses_has_no_fingerprint() -> None:
    assert tables.fingerprint({"fingerprint": {"S": "ours"}}) == "ours"
    assert tables.fingerprint({"pk": {"S": "theirs"}}) == ""
