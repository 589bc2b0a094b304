"""What the consumer of every queue promises, whatever it does with an event."""

from __future__ import annotations

import base64
import json
import random
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serverless_patterns.lambdas.foundation import aws, batch
from tests.moto_cloud import (
    LETTERS,
    TRACE,
    UNREACHABLE,
    Context,
    client_error,
    ids,
    record,
    string,
    text,
)

from . import hostile
from .consumers import Consumer, found

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.moto_cloud import Cloud, Record

EVERY = dict(found())
IN_ORDER = {name: consumer for name, consumer in EVERY.items() if consumer.fifo}
in_order = pytest.mark.parametrize("consumer", IN_ORDER.values(), ids=IN_ORDER)
MEBIBYTE = 1024**2
# Shortest time limit of a consumer's function, in seconds.
TIME_LIMIT = 30


@pytest.fixture(params=EVERY)
def consumer(request: pytest.FixtureRequest) -> Consumer:
    return EVERY[request.param]


@pytest.fixture
def cloud(consumer: Consumer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with consumer.cloud(monkeypatch) as cloud:
        yield cloud


def good(consumer: Consumer, number: int, place: int = 1) -> Record:
    group = consumer.name(number) if consumer.fifo else None
    return record(consumer.good(number, place), group)


def bad(consumer: Consumer, number: int = 1, body: Any = None, **options: Any) -> Record:
    group = consumer.name(number) if consumer.fifo else None
    return record(consumer.bad if body is None else body, group, **options)


def test_every_consumer_is_declared_and_so_keeps_these_promises() -> None:
    declared = [consumer.handler for consumer in EVERY.values()]
    folder = Path(batch.__file__).parents[1]
    for path in sorted(folder.glob("*/*.py")):
        if "handler = batch.handler(" in path.read_text(encoding="utf-8"):
            name = f"{batch.__name__.split('.foundation')[0]}.{path.parent.name}.{path.stem}"
            assert import_module(name).handler in declared, f"Declare {name} in handlers.py"


def test_events_are_processed_and_nothing_is_left_over(cloud: Cloud, consumer: Consumer) -> None:
    assert cloud.run(consumer.handler, good(consumer, 1), good(consumer, 2)) == []
    assert cloud.letters() == []
    assert cloud.calls[consumer.work] in (1, 2)
    (line,) = cloud.log_lines()
    assert (line["records"], line["refused"], line["failed"]) == (2, 0, 0)


def test_a_batch_that_is_delivered_again_is_done_with(cloud: Cloud, consumer: Consumer) -> None:
    batch = [good(consumer, 1), good(consumer, 2)]
    assert cloud.run(consumer.handler, *batch) == []
    assert cloud.run(consumer.handler, *batch) == []
    assert cloud.letters() == []


# What no retry can help


def test_a_refused_message_is_kept_byte_for_byte_with_its_reason(
    cloud: Cloud, consumer: Consumer
) -> None:
    body = ' {"order_id" :"é漢🚗",\t"part_id":[]\r\n'
    binary = {"binaryValue": base64.b64encode(b"\x00\xff").decode(), "dataType": "Binary.gzip"}
    own = {"Source": string("prod"), "Count": string("7", "Number.int"), "Blob": binary}
    poison = bad(consumer, body=body, attributes=own)
    assert cloud.run(consumer.handler, good(consumer, 1), poison, good(consumer, 2)) == []
    (letter,) = cloud.letters()
    assert letter["Body"] == body
    attributes = letter["MessageAttributes"]
    assert attributes.pop("Blob")["BinaryValue"] == b"\x00\xff"
    assert attributes.pop("ReasonDetail")["StringValue"].startswith("The body is not JSON")
    assert {name: (a["DataType"], a["StringValue"]) for name, a in attributes.items()} == {
        "Source": ("String", "prod"),
        "Count": ("Number.int", "7"),
        "Reason": ("String", "not_json"),
        "OriginalMessageId": ("String", poison["messageId"]),
    }
    assert traces(cloud) == [TRACE]
    if consumer.fifo:
        assert letter["Attributes"]["MessageGroupId"] == consumer.name(1)
        assert letter["Attributes"]["MessageDeduplicationId"] == poison["messageId"]


def traces(cloud: Cloud) -> list[str]:
    """Return the X-Ray trace of each letter, which moto forgets."""
    return [
        entry["MessageSystemAttributes"]["AWSTraceHeader"]["StringValue"]
        for entry in entries(cloud)
    ]


def entries(cloud: Cloud) -> list[Any]:
    calls = [
        body for name, body in cloud.requests if name == "SendMessageBatch" and LETTERS in body
    ]
    return [entry for body in calls for entry in json.loads(body)["Entries"]]


def test_an_event_that_breaks_a_rule_is_refused_and_holds_up_no_other(
    cloud: Cloud, consumer: Consumer
) -> None:
    poison = bad(consumer)
    assert cloud.run(consumer.handler, good(consumer, 1), poison, good(consumer, 1, 2)) == []
    (letter,) = cloud.letters()
    assert letter["Body"] == text(consumer.bad)
    assert letter["MessageAttributes"]["Reason"]["StringValue"] == consumer.reason
    assert cloud.log_lines("Batch")[0]["refused"] == 1


@pytest.mark.parametrize(("in_a_call", "calls"), [(1, 10), (2, 5)])
def test_ten_messages_of_almost_a_mebibyte_or_half_of_one_are_kept_in_as_few_calls(
    cloud: Cloud, consumer: Consumer, in_a_call: int, calls: int
) -> None:
    bodies = [f"{number} {'x' * (MEBIBYTE // in_a_call - 2000)} é" for number in range(10)]
    sent = [bad(consumer, body=b, attributes={"Source": string("prod")}) for b in bodies]
    assert cloud.run(consumer.handler, *sent) == []
    letters = cloud.letters()
    assert sorted(letter["Body"] for letter in letters) == sorted(bodies)
    assert {letter["MessageAttributes"]["Source"]["StringValue"] for letter in letters} == {"prod"}
    assert len({letter["MessageAttributes"]["Reason"]["StringValue"] for letter in letters}) == 1
    assert traces(cloud) == [TRACE] * 10
    assert cloud.calls == {"SendMessageBatch": calls}


def test_an_error_of_one_call_fails_only_its_own_messages(cloud: Cloud, consumer: Consumer) -> None:
    sent = [bad(consumer, n, body=f"{n} {'x' * (MEBIBYTE - 2000)}") for n in range(4)]

    def the_second_fails(operation: str, moment: str, body: str) -> None:
        if (operation, moment) == ("SendMessageBatch", "before") and sent[1]["messageId"] in body:
            raise client_error("ServiceUnavailable")

    cloud.faults.append(the_second_fails)
    assert cloud.run(consumer.handler, *sent) == ids(sent[1])
    assert len(cloud.letters()) == 3
    cloud.faults.clear()
    assert cloud.run(consumer.handler, sent[1]) == []
    assert [letter["Body"] for letter in cloud.letters()] == [sent[1]["body"]]


@pytest.mark.parametrize("error", [UNREACHABLE, client_error("ServiceUnavailable")], ids=aws.code)
def test_a_refused_message_that_cannot_be_kept_is_delivered_again(
    cloud: Cloud, consumer: Consumer, error: Exception
) -> None:
    poison = bad(consumer, 1)
    cloud.fail("SendMessageBatch", error, about=LETTERS)
    assert cloud.run(consumer.handler, good(consumer, 2), poison) == ids(poison)
    (summary,) = cloud.log_lines()
    assert summary["failures"] == {aws.code(error): 1}  # type: ignore[arg-type]
    assert cloud.run(consumer.handler, poison) == []
    assert cloud.reasons() == {consumer.reason: 1}


@pytest.mark.parametrize(("times", "lost"), [(1, 0), (2, 1)])
def test_a_letter_that_failed_in_a_batch_is_sent_once_more(
    cloud: Cloud, consumer: Consumer, times: int, lost: int
) -> None:
    left = [times]

    def take_all_but_the_first(parsed: dict[str, Any], **_: Any) -> None:
        if left[0]:
            left[0] -= 1
            first = parsed["Successful"].pop(0)
            parsed["Failed"] = [{"Id": first["Id"], "Code": "InternalError", "SenderFault": False}]

    sent = [bad(consumer, number) for number in range(3)]
    events = aws.client("sqs").meta.events
    events.register("after-call.sqs.SendMessageBatch", take_all_but_the_first)
    try:
        assert cloud.run(consumer.handler, *sent) == ids(*sent[:lost])
    finally:
        events.unregister("after-call.sqs.SendMessageBatch", take_all_but_the_first)
    assert [entry["Id"] for entry in entries(cloud)] == ids(*sent, sent[0])
    assert cloud.log_lines("Batch")[0]["failures"] == ({"InternalError": 1} if lost else {})


def test_a_hundred_refusals_cost_ten_calls(cloud: Cloud, consumer: Consumer) -> None:
    assert cloud.run(consumer.handler, *(bad(consumer, n) for n in range(100))) == []
    assert cloud.calls == {"SendMessageBatch": 10}


# What failed


def test_only_the_failed_record_is_reported(cloud: Cloud, consumer: Consumer) -> None:
    batch = [good(consumer, 1), good(consumer, 2), good(consumer, 3), bad(consumer, 1)]
    cloud.fail_all_about(consumer.name(2))
    assert cloud.run(consumer.handler, *batch) == ids(batch[1])
    assert cloud.reasons() == {consumer.reason: 1}
    cloud.faults.clear()
    assert cloud.run(consumer.handler, batch[1]) == []


@pytest.mark.parametrize("error", [UNREACHABLE, client_error("ThrottlingException")], ids=aws.code)
def test_an_outage_fails_every_record_and_loses_none(
    cloud: Cloud, consumer: Consumer, error: Exception
) -> None:
    batch = [good(consumer, number) for number in range(1, 6)]
    cloud.fail("*", error, times=99)
    assert cloud.run(consumer.handler, *batch) == ids(*batch)
    logged = cloud.log_lines("Batch")[0]
    assert (logged["failures"], logged["level"]) == ({aws.code(error): 5}, "ERROR")  # type: ignore[arg-type]
    cloud.faults.clear()
    assert cloud.letters() == []
    assert cloud.run(consumer.handler, *batch) == []
    assert cloud.letters() == []


def test_an_outage_shows_in_the_errors_of_the_function_and_names_nobody(
    cloud: Cloud, consumer: Consumer
) -> None:
    cloud.fail("*", UNREACHABLE, times=99)
    cloud.monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", cloud.queue_url)
    with pytest.raises(BatchProcessingError, match="All records failed") as outage:
        consumer.handler({"Records": [good(consumer, 1), bad(consumer, 1)]}, Context())
    assert "EndpointConnectionError" in str(outage.value)
    assert not [word for word in consumer.secrets if word in str(outage.value)]


def test_when_nothing_answers_there_is_time_left_to_report_it(
    cloud: Cloud, consumer: Consumer
) -> None:
    cloud.fail("*", UNREACHABLE, times=99)
    batch = [good(consumer, n) for n in range(9)]
    assert len(cloud.run(consumer.handler, *batch, bad(consumer, 99))) == 10
    assert cloud.patience < TIME_LIMIT


def test_an_event_whose_answer_got_lost_is_processed_once(cloud: Cloud, consumer: Consumer) -> None:
    sent = good(consumer, 1)
    cloud.fail(consumer.work, UNREACHABLE, when="after")
    assert cloud.run(consumer.handler, sent) == ids(sent)
    assert cloud.run(consumer.handler, sent) == []
    assert cloud.letters() == []


def test_a_throttled_call_is_repeated(cloud: Cloud, consumer: Consumer) -> None:
    cloud.monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    cloud.busy = 2
    assert cloud.run(consumer.handler, good(consumer, 1)) == []
    assert cloud.busy == 0


# Order


def originals(cloud: Cloud) -> list[str]:
    """The ids of the messages that were dead-lettered."""
    attributes = [letter["MessageAttributes"] for letter in cloud.letters()]
    return [found["OriginalMessageId"]["StringValue"] for found in attributes]


@in_order
def test_everything_behind_a_failure_of_its_group_waits_for_its_turn(
    cloud: Cloud, consumer: Consumer
) -> None:
    before, failed, behind = bad(consumer, 1), good(consumer, 1, 1), good(consumer, 1, 2)
    poison, elsewhere = bad(consumer, 1), good(consumer, 2)
    cloud.fail_all_about(consumer.name(1))
    batch = [before, failed, behind, elsewhere, poison]
    assert cloud.run(consumer.handler, *batch) == ids(failed, behind, poison)
    assert originals(cloud) == ids(before)
    cloud.faults.clear()
    assert cloud.run(consumer.handler, failed, behind, poison) == []
    assert cloud.reasons() == {consumer.reason: 1}


@in_order
def test_a_refused_message_that_cannot_be_kept_holds_up_its_group_only(
    cloud: Cloud, consumer: Consumer
) -> None:
    first, poison, behind = good(consumer, 1, 1), bad(consumer, 1), good(consumer, 1, 2)
    elsewhere = good(consumer, 2)
    cloud.fail("SendMessageBatch", UNREACHABLE)
    assert cloud.run(consumer.handler, first, poison, elsewhere, behind) == ids(poison, behind)
    assert cloud.log_lines("Batch")[0]["failures"] == {
        "EndpointConnectionError": 1,
        "BehindAFailure": 1,
    }
    assert cloud.run(consumer.handler, poison, behind) == []
    assert cloud.reasons() == {consumer.reason: 1}


@in_order
def test_letters_keep_the_order_of_their_group_and_are_kept_once(
    cloud: Cloud, consumer: Consumer
) -> None:
    sent = [bad(consumer, 1, body=f"poison {number}") for number in range(10)]
    assert cloud.run(consumer.handler, *sent) == cloud.run(consumer.handler, *sent) == []
    assert [letter["Body"] for letter in cloud.letters()] == [r["body"] for r in sent]


class FifoQueue:
    """A FIFO queue as Lambda polls it: what failed comes again before what is behind it."""

    def __init__(self, records: list[Record], dice: random.Random) -> None:
        self.waiting = records
        self.dice = dice
        self.polls = 0

    def trouble(self, share: float) -> bool:
        """Whether something goes wrong now: it ends at some time."""
        return self.polls < 30 and self.dice.random() < share

    def poll(self, cloud: Cloud, consumer: Consumer) -> None:
        """Deliver a batch; delete what did not fail, except when SQS forgets to."""
        self.polls += 1
        batch = self.waiting[: self.dice.randint(1, 10)]
        failed = set(cloud.run(consumer.handler, *batch))
        done: dict[str, list[bool]] = {}
        for one in batch:
            group = done.setdefault(one["attributes"]["MessageGroupId"], [])
            group.append(one["messageId"] not in failed)
        for group in done.values():
            assert group == sorted(group, reverse=True), "one was done before one ahead of it"
        if not self.trouble(0.2):  # else the function timed out after its work
            self.waiting = [r for r in self.waiting if r not in batch or r["messageId"] in failed]


@in_order
@pytest.mark.parametrize("seed", range(12))
def test_effects_follow_the_queue_whatever_fails_in_between(
    cloud: Cloud, consumer: Consumer, seed: int
) -> None:
    dice = random.Random(seed)  # noqa: S311 - test data
    sent: list[Record] = []
    places = dict.fromkeys((1, 2, 3), 0)
    for number in dice.choices(list(places), k=dice.randint(1, 15)):
        kind = dice.choice(["new", "new", "poison", "again" if places[number] else "new"])
        places[number] += kind == "new"
        again = dice.randint(1, max(1, places[number] - 1)) if kind == "again" else places[number]
        made = bad(consumer, number) if kind == "poison" else good(consumer, number, again)
        sent.append(made)
    poison = {record["messageId"] for record in sent if record["body"] == text(consumer.bad)}
    queue = FifoQueue(sent, dice)

    def anything_fails(*_: str) -> None:
        if queue.trouble(0.25):
            raise dice.choice([UNREACHABLE, client_error("TransactionCanceledException")])

    cloud.faults.append(anything_fails)
    while queue.waiting and queue.polls < 200:
        queue.poll(cloud, consumer)
    assert not queue.waiting
    assert consumer.applied
    for number, last in places.items():
        assert consumer.applied(cloud, number) == list(range(1, last + 1))
    assert set(originals(cloud)) == poison


# Logs


def test_a_batch_logs_one_line_and_one_for_each_refusal(cloud: Cloud, consumer: Consumer) -> None:
    poison = bad(consumer, 1)
    cloud.run(consumer.handler, *(good(consumer, number) for number in range(2, 5)), poison)
    refusal, summary = cloud.log_lines()
    assert (refusal["message"], refusal["reason"]) == ("Refused", consumer.reason)
    assert refusal["message_id"] == poison["messageId"]
    assert refusal["detail"].endswith(".")
    assert (summary["message"], summary["records"]) == ("Batch", 4)
    assert (summary["refused"], summary["failed"], summary["failures"]) == (1, 0, {})
    assert summary["function_request_id"] == "request"


def test_no_customer_data_is_logged_or_in_a_reason(
    cloud: Cloud, consumer: Consumer, capfd: pytest.CaptureFixture[str]
) -> None:
    cloud.run(consumer.handler, good(consumer, 1), bad(consumer, 1), good(consumer, 2))
    cloud.fail("*", client_error("AccessDeniedException"), times=99)
    cloud.run(consumer.handler, good(consumer, 3), bad(consumer, 3))
    assert len(cloud.log_lines("Batch")) == 2
    cloud.faults.clear()
    details = [letter["MessageAttributes"]["ReasonDetail"] for letter in cloud.letters()]
    output = cloud.log.getvalue() + "".join(capfd.readouterr()) + text(details)
    assert details
    assert consumer.secrets
    assert not [word for word in consumer.secrets if word in output]


@pytest.mark.hypothesis  # generated examples, which the inner loop leaves out
def test_no_event_makes_a_handler_raise(cloud: Cloud, consumer: Consumer) -> None:
    """Each is processed, or kept in the dead-letter queue: one bad event never fails a batch."""
    event = consumer.good(1, 1)
    document = json.loads(event) if isinstance(event, str) else event

    @settings(max_examples=8, suppress_health_check=list(HealthCheck))
    @given(st.lists(hostile.bodies(document), min_size=10, max_size=10))
    def fuzz(bodies: list[str]) -> None:
        records = [bad(consumer, n, body=body) for n, body in enumerate(bodies, 100) if body]
        assert cloud.run(consumer.handler, *records) == []

    fuzz()
