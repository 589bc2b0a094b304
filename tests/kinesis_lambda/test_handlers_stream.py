"""What the readers promise, on a model of what Lambda does with a stream."""

from __future__ import annotations

import base64
import hashlib
import random
from collections import Counter
from itertools import groupby
from typing import Any

import pytest

from serverless_patterns.lambdas.foundation import kpl, shards
from serverless_patterns.lambdas.kinesis_lambda import logic, stock, store, totals
from tests.delivery.shards import Crash, Sent, Shard, Shards, Windows, delivered, play
from tests.delivery.trouble import Trouble
from tests.moto_cloud import TABLE, Cloud, Context, client_error, fixture

from . import handlers
from .handlers import movement, places

cloud = fixture(handlers.cloud)
CONTEXT: Any = Context()
PARTS = [f"part-{number}" for number in range(8)]


@pytest.fixture(autouse=True)
def letters_there(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", cloud.queue_url)


def trouble(seed: int = 1, left: int = 0) -> Trouble:
    return Trouble(random.Random(seed), left)  # noqa: S311 - test data


def invoke(event: Any, _: str = "") -> Any:
    return stock.handler(event, CONTEXT)


def sent(count: int, parts: list[str] = PARTS, **changes: Any) -> list[Sent]:
    """Return movements of parts in turn, each part's in order."""
    each = [(n, part) for n in range(1, count + 1) for part in parts]
    return [Sent(movement(n, part, **changes), part) for n, part in each]


def records(*events: Sent) -> dict[str, Any]:
    return {"Records": [delivered(event, str(n)) for n, event in enumerate(events)]}


class Memory:
    """Stock and movements without DynamoDB, in the order of their effect."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stocks: dict[str, logic.Stock] = {}
        self.moved: dict[tuple[str, str], tuple[int, str]] = {}
        monkeypatch.setattr(store, "read", self.read)
        monkeypatch.setattr(store, "write", self.write)

    def read(self, movements: Any) -> Any:
        stocks = {one.part_id: self.stocks.get(one.part_id, logic.Stock()) for one in movements}
        keys = {one.key for one in movements}
        return stocks, {key: self.moved[key][1] for key in keys if key in self.moved}

    def write(self, new: Any, before: Any, after: Any) -> dict[str, str]:
        for part, each in new.items():
            assert self.stocks.get(part, logic.Stock()) == before[part]
            self.stocks[part] = after[part]
            for one, place in each:
                self.moved[one.key] = place, one.fingerprint
        return {}

    def order(self, part: str) -> list[int]:
        places = {place: id_ for (of, id_), (place, _) in self.moved.items() if of == part}
        return [int(places[place].removeprefix("mov-")) for place in sorted(places)]


def test_a_batch_costs_a_read_and_a_write_for_fifty_movements(cloud: Cloud) -> None:
    each = [records(*sent(25))["Records"][first : first + 100] for first in (0, 100)]
    for some in each:
        assert invoke({"Records": some}) == {"batchItemFailures": []}
    assert cloud.calls == {"BatchGetItem": 4, "TransactWriteItems": 4}
    cloud.calls.clear()
    for one in each[0][:10]:
        invoke({"Records": [one]})
    assert cloud.calls == {"BatchGetItem": 10}, "a duplicate costs no write"


def test_a_thousand_movements_cost_forty_calls_where_one_by_one_cost_two_thousand(
    cloud: Cloud,
) -> None:
    taken = cloud.answer_writes()
    cloud.fakes["dynamodb"] = _answers(cloud.fakes["dynamodb"])
    every = records(*sent(125))["Records"]
    for first in range(0, 1_000, 100):
        invoke({"Records": every[first : first + 100]})
    assert sum("Put" in str(put) or "Item" in put for put in taken) == 1_000
    assert cloud.calls == {"BatchGetItem": 20, "TransactWriteItems": 20}
    cloud.calls.clear()
    for one in every[:10]:
        invoke({"Records": [one]})
    assert cloud.calls == {"BatchGetItem": 10, "TransactWriteItems": 10}


def _answers(write: Any) -> Any:
    """Let DynamoDB read nothing, and take every transaction."""

    def answer(operation: str, given: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if operation == "BatchGetItem":
            return 200, {"Responses": {TABLE: []}, "UnprocessedKeys": {}}
        puts = [action for action in given["TransactItems"] if "Put" in action]
        answered: tuple[int, dict[str, Any]] = write(operation, given | {"TransactItems": puts})
        return answered

    return answer


def test_the_stock_is_a_plain_count_whatever_comes_twice(cloud: Cloud) -> None:
    events = sent(9, PARTS[:2])
    invoke(records(*events, *events[:7]))
    invoke(records(*events[4:]))
    [row] = [
        item for item in cloud.items() if item["pk"] == "PART#part-0" and item["sk"] == "STOCK"
    ]
    wanted = sum(
        quantity * (1 if way == "in" else -1)
        for way, quantity in (
            (event.event["direction"], event.event["quantity"])
            for event in events
            if event.group == "part-0"
        )
    )
    assert (int(row["movements"]), int(row["on_hand"])) == (9, wanted)


def test_only_a_failed_part_waits_and_lambda_goes_on_from_its_first_movement(
    cloud: Cloud,
) -> None:
    cloud.fail_all_about("part-3")
    answer = invoke(records(*sent(4)))
    failed = [int(item["itemIdentifier"]) for item in answer["batchItemFailures"]]
    assert failed == [3, 11, 19, 27], "the first one, and those behind it of its part"
    assert places(cloud, "part-3") == []
    assert all(places(cloud, part) == [1, 2, 3, 4] for part in PARTS if part != "part-3")


def test_the_call_fails_as_a_whole_if_its_first_record_does_so_that_lambda_halves_it(
    cloud: Cloud,
) -> None:
    cloud.fail_all_about("part-0")
    with pytest.raises(Exception, match=r"TransactionCanceled|Throttling"):
        invoke(records(*sent(2)))
    assert places(cloud, "part-1") == [1, 2], "the others took effect all the same"


def test_a_part_that_failed_in_one_call_to_aws_is_not_passed_in_the_next(cloud: Cloud) -> None:
    cloud.fail("TransactWriteItems", _error())
    with pytest.raises(Exception, match="Internal"):
        invoke(records(*sent(80, PARTS[:1])))
    assert places(cloud, "part-0") == []


def _error() -> Exception:
    return client_error("InternalServerError")


def test_items_that_dynamodb_did_not_read_are_not_taken_for_new(cloud: Cloud) -> None:
    unread = {"Responses": {TABLE: []}, "UnprocessedKeys": {TABLE: {"Keys": [{}]}}}
    cloud.fakes["dynamodb"] = lambda *_: (200, unread)
    with pytest.raises(Exception, match="ReadInPart"):
        invoke(records(*sent(1)))
    assert cloud.calls == {"BatchGetItem": 1}


def test_a_refused_record_is_named_once_with_its_range_and_without_its_content(
    cloud: Cloud,
) -> None:
    bad = Sent(movement(direction="Geheimnis"), "part-0")
    assert invoke(records(*sent(1), bad, *sent(1))) == {"batchItemFailures": []}
    [letter] = cloud.letters()
    assert '"startSequenceNumber": "8", "endSequenceNumber": "8"' in letter["Body"]
    assert letter["MessageAttributes"]["Reason"]["StringValue"] == "field"
    assert "Geheimnis" not in letter["Body"] + cloud.log.getvalue()
    [line] = cloud.log_lines("Refused")
    assert (line["record"], line["reason"], line["level"]) == ("8-0", "field", "WARNING")
    assert line["detail"].startswith("direction ")


def test_a_refused_record_behind_a_failure_is_named_once_when_lambda_delivers_it_again(
    cloud: Cloud,
) -> None:
    good, bad = sent(1), Sent(movement(direction="?"), "part-9")
    batch = records(*good[:2], bad, *good[2:], bad)
    cloud.fail_all_about("part-1")
    failed = [item["itemIdentifier"] for item in invoke(batch)["batchItemFailures"]]
    assert (failed[0], cloud.letters()) == ("1", [])
    cloud.faults.clear()
    again = {"Records": batch["Records"][int(failed[0]) :]}
    assert invoke(again) == {"batchItemFailures": []}
    assert len(cloud.letters()) == 2


def test_a_record_is_refused_only_when_its_failure_queue_has_its_name(cloud: Cloud) -> None:
    cloud.fail("SendMessageBatch", _error())
    bad = Sent(movement(direction="?"), "part-0")
    answer = invoke(records(*sent(1), bad))
    assert [item["itemIdentifier"] for item in answer["batchItemFailures"]] == ["8"]


def test_aggregated_events_are_taken_apart_and_a_bad_one_of_them_is_named_alone(
    cloud: Cloud,
) -> None:
    texts = [delivered(event, "0")["kinesis"]["data"] for event in sent(3, ["part-0"])]
    events = [*map(base64.b64decode, texts)]
    data = kpl.aggregate("part-0", [events[0], b"\xff", *events[1:]])
    assert invoke(records(Sent(data, "part-0"))) == {"batchItemFailures": []}
    assert places(cloud, "part-0") == [1, 2, 3]
    [letter] = cloud.letters()
    assert letter["MessageAttributes"]["OriginalMessageId"]["StringValue"] == "0-1"


def test_a_broken_aggregate_is_refused_and_blocks_nobody(cloud: Cloud) -> None:
    body = b"\x1a\xff"  # a field beyond the end
    data = kpl.MAGIC + body + hashlib.md5(body).digest()  # noqa: S324
    assert invoke(records(Sent(data, "part-0"), *sent(1))) == {"batchItemFailures": []}
    assert cloud.reasons() == {"not_json": 1}
    assert places(cloud, "part-0") == [1]


def test_a_record_that_ends_the_function_is_isolated_named_and_replayed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    memory, deadly = Memory(monkeypatch), {("part-2", 40), ("part-5", 7), ("part-5", 90)}
    broken = [True]

    def parse(message: Any) -> logic.Movement:
        made = logic.parse(message)
        if broken[0] and (made.part_id, int(made.id[4:])) in deadly:
            raise Crash
        return made

    handler = shards.handler(parse, stock.apply)
    source = Shard(trouble(), lambda event, _: handler(event, CONTEXT), batch=100, retries=2)
    play(source, sent(150), lambda: None)
    given_up = [(one.group, int(one.event["movement_id"][4:])) for one in source.dead]
    assert sorted(given_up) == sorted(deadly), "each once, and nothing good with it"
    for part in PARTS:
        good = [n for n in range(1, 151) if (part, n) not in deadly]
        assert memory.order(part) == good
    broken[0] = False
    source.redrive()
    play(source, [], lambda: None)
    assert {key: len(memory.order(key)) for key in PARTS} == dict.fromkeys(PARTS, 150)


@pytest.mark.parametrize("parallel", [1, 10])
def test_none_is_lost_and_order_is_kept_while_shards_split_and_merge(
    parallel: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory(monkeypatch)
    parts = [f"part-{number}" for number in range(50)]
    source = Shards(
        trouble(left=200), invoke, parallel=parallel, settings={"batch": 100, "retries": 10}
    )
    resharded: list[int] = []

    def reshard() -> None:
        resharded.append(len(source.open))
        if len(source.open) == 1 or source.trouble.dice.random() < 0.55:
            source.split()
        else:
            source.merge()

    play(source, sent(200, parts), reshard)
    assert len(resharded) > 5, "shards did split and merge"
    assert not source.dead
    assert {part: memory.order(part) for part in parts} == {
        part: [*range(1, 201)] for part in parts
    }


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("largest", [1_000_000, 150])
def test_totals_of_windows_equal_a_plain_count_whatever_comes_twice(
    seed: int, largest: int, cloud: Cloud
) -> None:
    source = Windows(
        trouble(seed, left=40), lambda event, _: totals.handler(event, CONTEXT), largest=largest
    )
    events = sent(12)
    for window in range(3):
        source.windows.append([])
        for event in events[window::3]:
            source.send(event)
    source.windows[1].append(Sent(b"no movement", "part-0"))
    wanted: dict[str, Counter[str]] = {}
    for minute, some in enumerate(source.windows):
        sold = wanted.setdefault(f"2026-11-26T10:{minute:02}:00Z", Counter())
        for event in some:
            if isinstance(event.event, dict) and event.event["direction"] == "out":
                sold[event.event["part_id"]] += event.event["quantity"]
    play(source, [], lambda: None)
    found: dict[str, Counter[str]] = {minute: Counter() for minute in wanted}
    for item in cloud.items():
        for part, quantity in item["sold"].items():
            found[item["pk"]][part] += int(quantity["N"])
    assert {minute: +count for minute, count in found.items()} == wanted
    assert sum(int(item["unreadable"]) for item in cloud.items()) == 1
    assert sum(int(item["events"]) for item in cloud.items()) == len(events)
    early = any(len([*rows]) > 1 for _, rows in groupby(sorted(i["pk"] for i in cloud.items())))
    assert early == (largest < 1_000)


def test_totals_of_many_parts_fit_into_items(cloud: Cloud) -> None:
    sold = {f"part-{number}": 1 for number in range(store.MAX_PARTS + 1)}
    state = logic.Totals(sold, events=len(sold), first="1", last="2").state()
    event = {"Records": [], "state": state, "window": {"start": "10:00"}, "shardId": "shard-0"}
    totals.handler(event | {"isFinalInvokeForWindow": True}, CONTEXT)
    assert sorted(len(item["sold"]) for item in cloud.items()) == [1, store.MAX_PARTS]
    assert sum(int(item["events"]) for item in cloud.items()) == len(sold)


def test_a_thousand_movements_of_a_window_cost_one_call_where_one_by_one_cost_a_thousand(
    cloud: Cloud,
) -> None:
    every, state = records(*sent(125))["Records"], dict[str, Any]()
    window = {"window": {"start": "10:00"}, "shardId": "shard-0"}
    for first in range(0, 1_000, 100):
        event = {"Records": every[first : first + 100], "state": state} | window
        state = totals.handler(event, CONTEXT)["state"]
    totals.handler(
        {"Records": [], "state": state, "isFinalInvokeForWindow": True} | window, CONTEXT
    )
    assert cloud.calls == {"PutItem": 1}
    cloud.calls.clear()
    for one in every[:10]:
        totals.handler({"Records": [one], "isFinalInvokeForWindow": True} | window, CONTEXT)
    assert cloud.calls == {"PutItem": 10}


def test_a_record_that_comes_again_after_its_window_was_ended_early_is_not_counted_again(
    cloud: Cloud,
) -> None:
    some, window = records(*sent(3)), {"window": {"start": "10:00"}, "shardId": "shard-0"}
    ended = totals.handler(some | {"isWindowTerminatedEarly": True} | window, CONTEXT)
    again = some | {"state": ended["state"], "isFinalInvokeForWindow": True} | window
    totals.handler(again, CONTEXT)
    assert sum(int(item["events"]) for item in cloud.items()) == 24


def test_a_window_without_events_stores_nothing(cloud: Cloud) -> None:
    event = {"Records": [], "state": {}, "window": {"start": "10:00"}, "shardId": "shard-0"}
    answer = totals.handler(event | {"isFinalInvokeForWindow": True}, CONTEXT)
    assert "state" in answer, "without it Lambda counts the call as failed"
    assert cloud.items() == []
