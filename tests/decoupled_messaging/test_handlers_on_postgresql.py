"""What the front and the relay promise with Aurora, on real PostgreSQL behind a thin Data API."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, combinations, count
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.decoupled_messaging import aurora, customer_aurora, relay_aurora
from serverless_patterns.lambdas.foundation import data_api, statuses
from serverless_patterns.patterns.limits import DATA_API_ROW_BYTES
from tests import moto_cloud
from tests.crashes import CrashesAt
from tests.lambdas.orders import order
from tests.moto_cloud import UNREACHABLE, Context
from tests.postgres import DataApi, Postgres

from . import handlers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.moto_cloud import Cloud

CALLS = ("ExecuteStatement INSERT", "BeginTransaction", "ExecuteStatement SELECT",
         "SendMessageBatch", "ExecuteStatement DELETE", "CommitTransaction")  # fmt: skip
PLACES = [(when, call) for call in CALLS for when in ("before", "after")]
BODY = json.dumps(order(), indent=1)
WHERE = {"CLUSTER_ARN": "arn:of:cluster", "SECRET_ARN": "arn:of:secret", "DATABASE_NAME": "app"}
OF_CLUSTER = {"secretArn": WHERE["SECRET_ARN"]}


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture
def database(server: Postgres, cloud: Cloud) -> Iterator[DataApi]:
    """The customer's database, empty, with the tables that the relay makes."""
    made = DataApi(server)
    for variable, value in {**WHERE, "QUEUE_URL": cloud.queue_url}.items():
        cloud.monkeypatch.setenv(variable, value)
    cloud.fakes["rds-data"] = made
    aurora.make_tables()
    made.query("TRUNCATE orders, outbox")
    yield made
    made.close()


def post(body: str = BODY, key: str = "order-1", **named: Any) -> int:
    handler = customer_aurora.handler
    named |= {"handler": handler, "Idempotency_Key": key}
    return int(handlers.ask("POST", "orders", body, **named)["statusCode"])


def get(key: str = "order-1", **named: Any) -> Any:
    handler = customer_aurora.handler
    return json.loads(handlers.ask("GET", f"orders/{key}", handler=handler, **named)["body"])


def relay() -> None:
    relay_aurora.handler({}, Context())  # type: ignore[arg-type]


def sent(cloud: Cloud) -> list[tuple[str, dict[str, str]]]:
    return cloud.messages_in(cloud.queue_url)


def counts(database: DataApi) -> tuple[int, int]:
    (row,) = database.query("SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM outbox)")
    return row[0], row[1]


def test_the_same_post_many_times_at_once_is_one_order_and_others_a_conflict(
    database: DataApi,
) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = Counter(pool.map(lambda number: post(json.dumps(order(number % 2))), range(16)))
    assert answers == {202: 8, 409: 8}
    assert counts(database) == (1, 1)


def test_an_order_is_written_by_one_call_and_sent_byte_for_byte_with_its_name_once(
    cloud: Cloud, database: DataApi
) -> None:
    cloud.calls.clear()
    assert (post(), counts(database), cloud.calls) == (202, (1, 1), {"ExecuteStatement": 1})
    relay()
    relay()
    ((body, said),) = sent(cloud)
    assert (body, [*said]) == (BODY, ["Job"])
    statuses.put({"": statuses.End(said["Job"], statuses.DONE, {"result": '"sold"'})})
    assert get() == {"id": "order-1", "state": "done", "result": "sold"}
    assert get("order-2") == get(who="AROASTRANGER:session"), "there is no such job"


def test_what_could_never_be_sent_is_refused_before_it_is_written(
    cloud: Cloud, database: DataApi
) -> None:
    largest = json.dumps("x" * (aurora.MAX_BYTES - 2))
    for body, status in ((largest, 202), (f"{largest} ", 422), (json.dumps("\uffff")[1:], 400)):
        assert post(body, f"key-{len(body)}") == status
    assert post('"\uffff"', "strange") == 422
    for number in range(aurora.BATCH):
        assert post(largest, f"large-{number}") == 202
    assert counts(database) == (11, 11)
    relay()
    assert len(sent(cloud)) == 11, f"a row has {DATA_API_ROW_BYTES:,} bytes, an answer 1 MiB"


def test_relays_at_the_same_time_send_each_order_once(cloud: Cloud, database: DataApi) -> None:
    database.query("""INSERT INTO outbox (job, at, body)
        SELECT 'job-' || number, 1, '{}' FROM generate_series(1, 200) number""")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: relay(), range(4)))
    relay()
    assert Counter(said["Job"] for _, said in sent(cloud)) == Counter(
        f"job-{number}" for number in range(1, 201)
    )
    assert counts(database) == (0, 0)


def test_a_relay_that_is_gone_holds_up_its_own_rows_only_and_for_three_minutes(
    cloud: Cloud, database: DataApi
) -> None:
    post()
    gone = data_api.client().begin_transaction(resourceArn=WHERE["CLUSTER_ARN"], **OF_CLUSTER)
    assert data_api.rows(aurora.TAKE, gone["transactionId"], most=aurora.BATCH)
    post(json.dumps(order(2)), "order-2")
    relay()
    assert [json.loads(body)["order_id"] for body, _ in sent(cloud)] == ["ord-2"]
    database.expire()
    relay()
    assert counts(database) == (2, 0)


def test_an_order_and_its_message_are_never_alone_whatever_crashes(
    cloud: Cloud, database: DataApi
) -> None:
    """At each place alone, at every two of them, and at all of them but two, one and none."""

    def named(operation: str, body: str) -> str:
        if operation != "ExecuteStatement":
            return operation
        verb = json.loads(body)["sql"].split()[0]
        return f"{operation} {'INSERT' if verb == 'WITH' else verb}"

    def problem() -> str:
        written, waiting = counts(database)
        alone = written == 0 and (waiting or sent(cloud))
        lost = written == 1 and not (waiting or sent(cloud))
        return "a message without the order" * bool(alone) + "an order alone" * lost

    def relay_after_three_minutes() -> None:
        database.expire()  # what a relay that is gone had taken
        aurora.relay()

    crashed, numbers = 0, count()
    sizes = (1, 2, 10, 11, 12)
    for places in chain.from_iterable(combinations(PLACES, size) for size in sizes):
        database.query("TRUNCATE orders, outbox")
        cloud.monkeypatch.setenv("QUEUE_URL", url := queue(next(numbers)))
        cloud.queue_url = url
        crashes = CrashesAt([*places], named, problem)
        cloud.faults[:] = [crashes]
        crashes.until(post)
        assert counts(database) == (1, 1), places
        crashes.until(relay_after_three_minutes)
        cloud.faults.clear()
        assert crashes.wrong == []
        assert counts(database) == (1, 0), places
        again = {what for what in PLACES[7:] if what in places} - {("after", "CommitTransaction")}
        assert len(sent(cloud)) == 1 + len(again), places
        crashed += crashes.count
    assert crashed == 12 + 2 * 66 + 10 * 66 + 11 * 12 + 12


def queue(number: int) -> str:
    url: str = moto_cloud.client("sqs").create_queue(QueueName=f"sales-{number}")["QueueUrl"]
    return url


def test_rows_that_the_queue_does_not_take_do_not_hold_up_those_behind_them(
    cloud: Cloud, database: DataApi
) -> None:
    database.query("""INSERT INTO outbox (job, at, body)
        SELECT 'job-' || number, 1, CASE WHEN number <= 12 THEN 'poison' ELSE '{}' END
        FROM generate_series(1, 30) number""")
    taken: list[str] = []

    def take(_: str, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        bad = [one["Id"] for one in asked["Entries"] if one["MessageBody"] == "poison"]
        taken.extend(one["Id"] for one in asked["Entries"] if one["Id"] not in bad)
        return 200, {"Failed": [{"Id": id_, "Code": "Bad", "SenderFault": True} for id_ in bad]}

    cloud.fakes["sqs"] = take
    for _ in range(3):
        with pytest.raises(relay_aurora.UnsentError):
            relay()
    assert len(taken) == 18
    assert counts(database) == (0, 12), "and those stay, counted by attempts"


def test_a_relay_that_has_little_time_sends_one_batch(cloud: Cloud, database: DataApi) -> None:
    assert {post(key=f"order-{number}") for number in range(15)} == {202}
    cloud.monkeypatch.setattr(Context, "get_remaining_time_in_millis", lambda _: 3000)
    relay()
    assert (len(sent(cloud)), counts(database)) == (10, (15, 5)), "Lambda's default is 3 s"


def test_an_outage_of_the_queue_keeps_every_order_and_says_how_long_they_wait(
    cloud: Cloud, database: DataApi, capsys: pytest.CaptureFixture[str]
) -> None:
    post()
    database.query("UPDATE outbox SET at = at - 1000")
    cloud.fail("SendMessageBatch", UNREACHABLE, times=9)
    with pytest.raises(relay_aurora.UnsentError):
        relay()
    (metric,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert metric["FunctionName"] == "function"
    assert 1000 <= metric["OutboxAge"][0] < 1100
    assert counts(database) == (1, 1)
    cloud.faults.clear()
    relay()
    assert len(sent(cloud)) == 1


def test_a_cluster_that_resumes_answers_503_and_the_order_is_taken_when_it_is_sent_again(
    database: DataApi,
) -> None:
    database.resuming = True
    assert post() == 503
    database.resuming = False
    assert (post(), counts(database)) == (202, (1, 1))


def test_a_statement_that_fails_frees_what_was_taken_at_once(
    cloud: Cloud, database: DataApi
) -> None:
    def fail(_: str, when: str, body: str) -> None:
        if when == "before" and "DELETE" in body:
            raise UNREACHABLE

    post()
    cloud.faults.append(fail)
    with pytest.raises(type(UNREACHABLE)):
        relay()
    cloud.faults.clear()
    relay()
    assert (len(sent(cloud)), counts(database)) == (2, (1, 0)), "at least once"


def test_ten_orders_are_relayed_in_one_call_of_sqs_and_four_of_the_data_api(
    cloud: Cloud, database: DataApi
) -> None:
    relay()  # the first of a process makes the tables
    database.query("""INSERT INTO outbox (job, at, body)
        SELECT 'job-' || number, 1, '{}' FROM generate_series(1, 100) number""")
    cloud.fakes["sqs"] = lambda *_: (200, {"Successful": [], "Failed": []})
    cloud.calls.clear()
    relay()
    of_data_api = cloud.calls.total() - cloud.calls["SendMessageBatch"]
    assert (cloud.calls["SendMessageBatch"], of_data_api) == (10, 44)
