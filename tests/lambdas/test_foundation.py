"""What all handlers share: dead letters to the limits of SQS, and JSON that has one meaning."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

import serverless_patterns
from serverless_patterns.lambdas.foundation import aws, batch, dead_letters, strict_json
from serverless_patterns.lambdas.foundation.messages import Message
from serverless_patterns.lambdas.foundation.outcomes import STORED, Outcome, RefusedError
from tests.conftest import run
from tests.moto_cloud import cloud as make_cloud
from tests.moto_cloud import record, string

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.moto_cloud import Cloud

CODE = Path(serverless_patterns.__file__).parent  # has lambdas/, as the code of a function has
HANDLERS = sorted(path.parent.name for path in CODE.glob("lambdas/*/__init__.py"))
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=9,
)


@pytest.mark.parametrize("folder", HANDLERS)
def test_importing_a_handler_needs_neither_aws_nor_environment(folder: str) -> None:
    names = [path.stem for path in (CODE / "lambdas" / folder).glob("*.py")]
    code = (
        "import sys, socket; socket.socket.connect = None; sys.path.insert(0, sys.argv[1]);"
        f"from lambdas.{folder} import {', '.join(sorted(set(names) - {'__init__'}))}"
    )
    done = run(sys.executable, "-I", "-c", code, str(CODE), env={})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# Dead letters


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with make_cloud(monkeypatch) as cloud:
        monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", cloud.queue_url)
        yield cloud


def send(*records: dict[str, Any]) -> None:
    refused = Outcome("refused", "not_json", "The body is not JSON.")
    assert dead_letters.send((Message.of(record), refused) for record in records) == {}


@pytest.mark.parametrize("count", [8, 10])
def test_a_dead_letter_has_at_most_ten_attributes_and_keeps_its_own(
    cloud: Cloud, count: int
) -> None:
    own = {f"A{number}": string("x") for number in range(count)}
    send(record("poison", attributes=own))
    [letter] = cloud.letters()
    assert own.keys() <= letter["MessageAttributes"].keys()
    assert len(letter["MessageAttributes"]) == 10
    assert ("Reason" in letter["MessageAttributes"]) == (count < 10)


def test_a_dead_letter_sent_back_and_refused_again_has_the_new_reason(cloud: Cloud) -> None:
    send(record("poison", attributes={"Reason": string("total"), "ReasonDetail": string("old")}))
    [letter] = cloud.letters()
    assert letter["MessageAttributes"]["Reason"]["StringValue"] == "not_json"
    assert letter["MessageAttributes"]["ReasonDetail"]["StringValue"] != "old"


def test_a_dead_letter_of_the_largest_size_fits_the_queue(cloud: Cloud) -> None:
    limit = dead_letters.MAX_BYTES
    old = {"ReasonDetail": string("of another time")}
    send(record("é" * (limit // 2)), record("x" * (limit - 40), attributes=old))
    largest, with_reason = cloud.letters()
    assert len(largest["Body"].encode()) == limit
    assert with_reason["MessageAttributes"].keys() == {"Reason"}
    for _, body in cloud.requests:  # moto counts the bodies only
        [entry] = json.loads(body)["Entries"]
        attributes = entry["MessageAttributes"].items()
        texts = [entry["MessageBody"], *(t for k, v in attributes for t in (k, *v.values()))]
        assert sum(len(text.encode()) for text in texts) <= limit


def test_a_tenants_group_is_kept_for_fair_queues(cloud: Cloud) -> None:
    send(record("poison", MessageGroupId="tenant"))
    [entry] = json.loads(cloud.requests[0][1])["Entries"]
    assert entry["MessageGroupId"] == "tenant"
    assert "MessageDeduplicationId" not in entry


def test_a_message_counts_as_sqs_counts_it() -> None:
    attributes: Any = {
        "Name": {"DataType": "String", "StringValue": "é"},
        "Bytes": {"DataType": "Binary", "BinaryValue": b"123"},
    }
    assert dead_letters.size_of("é", attributes) == 2 + (4 + 6 + 2) + (5 + 6 + 3)


def test_no_call_has_more_than_ten_messages_or_a_mebibyte_with_their_attributes() -> None:
    sent = list[list[str]]()

    def call(QueueUrl: str, Entries: Any) -> Any:  # noqa: N803
        assert QueueUrl == "url"
        sent.append([one["Id"] for one in Entries])
        return {"Failed": [{"Id": "11", "Code": "InternalError"}] if "11" in sent[-1] else []}

    large: Any = {"Large": {"DataType": "String", "StringValue": "x" * 700_000}}
    entries: Any = [{"Id": str(n), "MessageBody": "{}"} for n in range(12)]
    entries += [{"Id": i, "MessageBody": "{}", "MessageAttributes": large} for i in "ab"]
    size = dead_letters._size_of_entry
    failed = dead_letters.call_all(call, "url", entries, size)
    assert failed == {"11": "InternalError"}
    assert sent == [[str(n) for n in range(10)], ["10", "11", "a"], ["11"], ["b"]]


def test_what_became_of_a_batch_is_one_line_that_alarms_can_count(cloud: Cloud) -> None:
    outcomes = {"1": STORED, "2": Outcome("refused", "field"), "3": Outcome.failed("Throttling")}
    batch.log_summary(outcomes)
    batch.log_summary({"1": STORED})
    line, good = cloud.log_lines("Batch")
    assert {name: line[name] for name in ("level", "records", "refused", "failed")} == {
        "level": "ERROR",
        "records": 3,
        "refused": 1,
        "failed": 1,
    }
    assert line["outcomes"] == {"stored": 1, "refused": 1, "failed": 1}
    assert line["failures"] == {"Throttling": 1}
    assert (good["level"], good["failed"], good["failures"]) == ("INFO", 0, {})


# JSON


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "not_json"),
        ("1,", "not_json"),
        ("x&MessageGroupId=evil", "not_json"),
        ("[" * 100_000, "not_json"),
        ("1" * 5_000, "not_json"),
        ("\ufeff{}", "not_json"),
        ('{"a": 1, "a": 1}', "duplicate_key"),
        ('[{"a": {"b": 2, "b": 1}}]', "duplicate_key"),
        ("NaN", "number"),
        ("[-Infinity]", "number"),
        ('{"total": 1e3}', "number"),
        ('{"total": 99.80}', "number"),
        ('"\\ud83d"', "text"),
        ('{"\\udc00": 1}', "text"),
    ],
)
def test_json_that_is_none_or_can_be_read_in_two_ways_is_refused(body: str, reason: str) -> None:
    with pytest.raises(RefusedError) as refused:
        strict_json.parse(body)
    assert refused.value.reason == reason
    assert ("such as '49.90'" in refused.value.detail) == (reason == "number")


@given(DOCUMENTS)
def test_a_document_is_read_as_it_was_written(document: Any) -> None:
    assert strict_json.parse(json.dumps(document)) == document


def test_the_same_document_has_the_same_fingerprint_however_it_is_written() -> None:
    document = {"a": [1, {"b": "é", "c": None}], "d": "x"}
    again = strict_json.parse(json.dumps(dict(reversed(document.items())), indent=3))
    assert strict_json.fingerprint(again) == strict_json.fingerprint(document)
    assert strict_json.fingerprint({"a": [1, 2]}) != strict_json.fingerprint({"a": [2, 1]})


def test_a_fingerprint_that_is_stored_stays_that_of_its_document() -> None:
    assert (
        strict_json.encode({"b": "é", "a": [1, {"c": None}]})
        == b'{"a":[1,{"c":null}],"b":"\xc3\xa9"}'
    )


@pytest.mark.parametrize(
    ("code", "message", "told"),
    [
        (
            "AccessDeniedException",
            "User: arn:aws:sts::1:assumed-role/Store/x is not authorized to perform: "
            "dynamodb:PutItem on resource: arn:aws:dynamodb:eu-west-1:1:table/Orders",
            "AccessDeniedException (dynamodb:PutItem)",
        ),
        ("ThrottlingException", "Rate exceeded", "ThrottlingException"),
    ],
)
def test_the_action_that_is_denied_is_named(code: str, message: str, told: str) -> None:
    error = ClientError({"Error": {"Code": code, "Message": message}}, "TransactWriteItems")
    assert aws.code(error) == told
