"""A price list: in order, once, and never an older price over a newer one."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.moto_cloud import TABLE

from .events import SENT_AT, change, ids, in_order, record

if TYPE_CHECKING:
    from .conftest import Cloud

TIMEOUT = ReadTimeoutError(endpoint_url="https://dynamodb")
UNREACHABLE = EndpointConnectionError(endpoint_url="https://dynamodb")


def throttled() -> ClientError:
    error: Any = {"Error": {"Code": "ThrottlingException", "Message": "slow down"}}
    return ClientError(error, "TransactWriteItems")


def cancelled(cloud: Cloud, *codes: str) -> ClientError:
    """Return the error of a transaction with these reasons."""
    error: Any = {
        "Error": {"Code": "TransactionCanceledException", "Message": "cancelled"},
        "CancellationReasons": [{"Code": code} for code in codes],
    }
    raised: ClientError = cloud.dynamodb.exceptions.TransactionCanceledException(
        error, "TransactWriteItems"
    )
    return raised


def test_prices_take_effect_in_the_order_of_the_queue(cloud: Cloud) -> None:
    sent = [in_order(change(version)) for version in (1, 2, 3)]
    assert cloud.prices(*sent) == []
    assert cloud.price("BRK-PAD-F") == "3.90"
    assert cloud.history("BRK-PAD-F") == {1: False, 2: False, 3: False}


def test_a_change_is_recorded_with_what_it_came_with(cloud: Cloud) -> None:
    sent = in_order(change(7))
    cloud.prices(sent)
    (row,) = [item for item in cloud.items() if item["sk"] == "CHANGE#000000000007"]
    assert (row["price"], row["currency"], row["event_id"]) == ("7.90", "EUR", "BRK-PAD-F-7")
    assert (row["message_id"], row["sent_at"]) == (sent["messageId"], str(SENT_AT))
    assert int(row["stored_at"]) > 1_700_000_000_000


def test_a_batch_costs_one_write_and_no_read(cloud: Cloud) -> None:
    sent = [in_order(change(v, part)) for v in (1, 2) for part in ("a", "b", "c", "d", "e")]
    assert cloud.prices(*sent) == []
    assert cloud.calls == {"TransactWriteItems": 1}
    assert len(cloud.items()) == 10 + 5


@pytest.mark.parametrize("order", [(3, 1, 2), (2, 3, 1), (3, 2, 1)])
@pytest.mark.parametrize("batches", [1, 3])
def test_an_older_price_never_overwrites_a_newer_one(
    cloud: Cloud, order: tuple[int, ...], batches: int
) -> None:
    sent = [in_order(change(version)) for version in order]
    if batches == 1:
        assert cloud.prices(*sent) == []
    else:
        for one in sent:
            assert cloud.prices(one) == []
    assert cloud.price("BRK-PAD-F") == "3.90"
    newest = 0
    late = {}
    for version in order:
        late[version] = version < newest
        newest = max(newest, version)
    assert cloud.history("BRK-PAD-F") == late


def test_a_late_price_in_one_batch_with_a_newer_one_is_known_as_late(cloud: Cloud) -> None:
    cloud.prices(in_order(change(4)))
    assert cloud.prices(in_order(change(3)), in_order(change(5))) == []
    assert cloud.history("BRK-PAD-F") == {3: True, 4: False, 5: False}
    assert cloud.price("BRK-PAD-F") == "5.90"


def test_a_late_price_is_logged_as_superseded(cloud: Cloud) -> None:
    cloud.prices(in_order(change(2)), in_order(change(1)))
    assert cloud.log_lines()[-1]["outcomes"] == {"stored": 1, "superseded": 1}


def test_versions_may_have_gaps(cloud: Cloud) -> None:
    cloud.prices(in_order(change(2)))
    cloud.prices(in_order(change(40)))
    assert cloud.price("BRK-PAD-F") == "40.90"


@pytest.mark.parametrize("batches", [1, 2])
def test_a_change_that_comes_twice_takes_effect_once(cloud: Cloud, batches: int) -> None:
    sent = [in_order(change(version)) for version in (1, 2, 1, 2)]
    if batches == 1:
        assert cloud.prices(*sent) == []
    else:
        assert cloud.prices(*sent[:2]) == []
        before = cloud.items()
        assert cloud.prices(*sent[2:]) == []
        assert cloud.items() == before
    assert cloud.history("BRK-PAD-F") == {1: False, 2: False}
    assert cloud.reasons() == []


def test_new_changes_beside_duplicates_cost_one_more_write(cloud: Cloud) -> None:
    cloud.prices(*[in_order(change(version)) for version in (1, 2)])
    cloud.calls.clear()
    assert cloud.prices(*[in_order(change(version)) for version in (1, 2, 3)]) == []
    assert cloud.calls == {"TransactWriteItems": 2}
    assert cloud.price("BRK-PAD-F") == "3.90"


def test_a_replay_of_everything_changes_nothing(cloud: Cloud) -> None:
    sent = [change(version, part) for version in range(1, 6) for part in ("a", "b")]
    cloud.prices(*map(in_order, sent))
    before = cloud.items()
    for start in range(0, len(sent), 3):
        assert cloud.prices(*map(in_order, sent[start : start + 3])) == []
    assert cloud.items() == before
    assert cloud.reasons() == []


def test_another_price_under_a_known_version_is_refused(cloud: Cloud) -> None:
    cloud.prices(in_order(change(1)))
    other = in_order(change(1, event_id="other", price="0.01"))
    assert cloud.prices(other, in_order(change(2))) == []
    (letter,) = cloud.letters()
    assert letter["Body"] == other["body"]
    assert letter["MessageAttributes"]["Reason"]["StringValue"] == "conflict"
    assert letter["MessageAttributes"]["channels"]["StringValue"] == '["wholesale"]'
    assert letter["Attributes"]["MessageGroupId"] == "BRK-PAD-F"
    assert cloud.price("BRK-PAD-F") == "2.90"


def test_a_poison_price_does_not_hold_up_its_part(cloud: Cloud) -> None:
    poison = in_order(change(2, price="-1.00"))
    assert cloud.prices(in_order(change(1)), poison, in_order(change(3))) == []
    assert cloud.history("BRK-PAD-F") == {1: False, 3: False}
    (letter,) = cloud.letters()
    assert letter["Body"] == poison["body"]
    assert letter["MessageAttributes"]["Reason"]["StringValue"] == "price"
    assert letter["MessageAttributes"]["OriginalMessageId"]["StringValue"] == poison["messageId"]


def test_a_message_in_another_group_is_refused(cloud: Cloud) -> None:
    assert cloud.prices(record(change(1), group="somebody-else")) == []
    assert cloud.reasons() == ["group"]


def test_a_poison_price_that_cannot_be_dead_lettered_holds_up_its_part_alone(cloud: Cloud) -> None:
    cloud.fail("SendMessageBatch", UNREACHABLE)
    poison, behind = in_order(change(2, price="0")), in_order(change(3))
    other = in_order(change(1, "OIL-FLT-3"))
    assert cloud.prices(in_order(change(1)), poison, other, behind) == ids(poison, behind)
    assert cloud.log_lines()[-1]["outcomes"] == {"stored": 2, "failed": 2}
    assert cloud.price("OIL-FLT-3") == "1.90"
    assert cloud.prices(poison, behind) == []
    assert cloud.history("BRK-PAD-F") == {1: False, 3: False}
    assert cloud.reasons() == ["price"]


@pytest.mark.parametrize(
    "error", [UNREACHABLE, TIMEOUT, throttled()], ids=lambda e: type(e).__name__
)
def test_an_outage_fails_every_record_and_is_made_up_for(cloud: Cloud, error: Exception) -> None:
    sent = [in_order(change(version)) for version in (1, 2)]
    cloud.fail("TransactWriteItems", error, times=3)
    assert cloud.prices(*sent) == ids(*sent)
    assert sum(cloud.log_lines()[-1]["failures"].values()) == 2
    cloud.faults.clear()
    assert cloud.prices(*sent) == []
    assert cloud.history("BRK-PAD-F") == {1: False, 2: False}


def test_poison_behind_a_failure_waits_for_its_turn(cloud: Cloud) -> None:
    cloud.fail("TransactWriteItems", UNREACHABLE, times=3)
    sent = [in_order(change(1)), in_order(change(2, price="0"))]
    assert cloud.prices(*sent) == ids(*sent)
    assert cloud.reasons() == []
    cloud.faults.clear()
    assert cloud.prices(*sent) == []
    assert cloud.reasons() == ["price"]


def test_a_lost_answer_does_not_apply_a_change_twice(cloud: Cloud) -> None:
    sent = [in_order(change(version)) for version in (1, 2)]
    cloud.fail("TransactWriteItems", TIMEOUT, when="after", times=1)
    cloud.prices(*sent)
    cloud.faults.clear()
    assert cloud.prices(*sent) == []
    assert cloud.history("BRK-PAD-F") == {1: False, 2: False}


def test_a_part_that_another_write_is_busy_with_fails_alone(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, free = in_order(change(1, "busy")), in_order(change(1, "free"))
    write = cloud.dynamodb.transact_write_items

    class Busy:
        exceptions = cloud.dynamodb.exceptions

        def transact_write_items(self, TransactItems: list[Any]) -> Any:  # noqa: N803 - boto3's
            keys = [item["Put"]["Item"]["pk"]["S"] for item in TransactItems]
            if "PART#busy" in keys:
                raise cancelled(
                    cloud, *("TransactionConflict" if "busy" in key else "None" for key in keys)
                )
            return write(TransactItems=TransactItems)

    monkeypatch.setattr("serverless_patterns.lambdas.sns_fifo_fanout.price_list.client", Busy)
    assert cloud.prices(busy, free) == ids(busy)
    assert cloud.price("free") == "1.90"
    assert cloud.price("busy") is None
    monkeypatch.undo()


def test_the_log_has_no_price_and_no_body(cloud: Cloud) -> None:
    cloud.prices(in_order(change(1, price="31313.67")), in_order(change(2, price="-98765.43")))
    lines = cloud.log.getvalue()
    assert "31313" not in lines
    assert "98765" not in lines
    assert [line["message"] for line in cloud.log_lines()] == ["Refused", "Batch"]


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32))
def test_whatever_arrives_in_whatever_order_the_newest_price_counts(
    cloud: Cloud, seed: int
) -> None:
    rng = random.Random(seed)  # noqa: S311 - test data
    for item in cloud.dynamodb.scan(TableName=TABLE)["Items"]:
        cloud.dynamodb.delete_item(TableName=TABLE, Key={name: item[name] for name in ("pk", "sk")})
    sent = [in_order(change(v, part)) for part in ("a", "b") for v in range(1, 6)]
    deliveries = sent + rng.sample(sent, 4)
    rng.shuffle(deliveries)
    while deliveries:
        batch = [deliveries.pop() for _ in range(min(len(deliveries), rng.randint(1, 10)))]
        assert cloud.prices(*batch) == []
    for part in ("a", "b"):
        assert cloud.price(part) == "5.90"
        assert set(cloud.history(part)) == {1, 2, 3, 4, 5}


def test_a_batch_of_refused_changes_writes_nothing(cloud: Cloud) -> None:
    assert cloud.prices(in_order(change(1, currency="XXX"))) == []
    assert cloud.calls == {"SendMessageBatch": 1}
