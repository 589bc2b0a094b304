"""Large messages, with AWS's own extended clients as peers, and bodies of 1 byte to 2 GB."""

from __future__ import annotations

import io
import itertools
import json
import os
import tracemalloc
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ClientError
from moto.core.botocore_stubber import MockRawResponse

from serverless_patterns.lambdas.foundation import bodies as stored_bodies
from serverless_patterns.lambdas.foundation import pointers
from serverless_patterns.lambdas.foundation.large_messages import LargeMessages, LargeNotifications
from serverless_patterns.lambdas.foundation.outcomes import RefusedError
from serverless_patterns.lambdas.foundation.pointers import KIND, MAX_BYTES, SIZE, Pointer
from serverless_patterns.patterns.limits import SNS_MESSAGE_BYTES, SQS_MESSAGE_BYTES
from tests.lambdas import large
from tests.lambdas.large import BUCKET, PREFIX, bodies, keys, messages, where
from tests.moto_cloud import REGION, UNREACHABLE, client, fixture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.moto_cloud import Cloud

cloud = fixture(large.cloud)
MEBIBYTE = 1024**2
TEXT = "Bremsbelag é 部品 🚗 "
STREAM = 2048 * MEBIBYTE
HERE = {"s3BucketName": BUCKET, "s3Key": f"{PREFIX}x"}


@pytest.fixture
def peer(cloud: Cloud) -> Any:
    """Return what makes clients of the extended libraries, which replace boto3's own session."""
    kinds, name = large.extended_sessions(), "made-up"

    def make(service: str, **settings: Any) -> Any:
        opened: Any = kinds[service](name, name, region_name=REGION)
        made = opened.client(service)
        made.large_payload_support = BUCKET
        for setting, value in settings.items():
            setattr(made, setting, value)
        return made

    return make


def string(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": value}


def received(**given: Any) -> Any:
    """Receive the one message that is there."""
    (message,) = messages(**given).receive(wait_seconds=0)
    return message


def topic_for(queue: str, **attributes: str) -> str:
    """Make a topic to which a queue is subscribed for raw messages."""
    name = queue.replace("claims", "catalogs")
    arn: str = client("sns").create_topic(Name=name, Attributes=attributes)["TopicArn"]
    raw = {"RawMessageDelivery": "true"}
    to = f"arn:aws:sqs:{REGION}:123456789012:{queue}"
    client("sns").subscribe(TopicArn=arn, Protocol="sqs", Endpoint=to, Attributes=raw)
    return arn


# AWS's own clients


@pytest.mark.parametrize(
    "settings",
    [
        {"always_through_s3": True},
        {"always_through_s3": True, "use_legacy_attribute": True},
        {},
    ],
    ids=["always", "legacy", "above-256-KiB"],
)
def test_what_the_extended_client_of_sqs_sends_is_received(
    cloud: Cloud, peer: Any, settings: dict[str, Any]
) -> None:
    url, body = os.environ["QUEUE_URL"], TEXT * (1 if settings else 11_000)
    own = {"S3Key": string(f"{PREFIX}own-key"), "Kind": string("full")}
    for prefix, attributes in (("", {}), (PREFIX, own)):
        sent = peer("sqs", **settings)
        sent.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)
        assert pointers.KINDS["use_legacy_attribute" in settings] in bodies()[0]
        message = received(prefix=prefix)
        assert message.read().decode() == body
        assert {*message.attributes} == ({"S3Key", "Kind"} if prefix else set())
        message.delete()
        assert (bodies(), keys()) == ([], [])


@pytest.mark.parametrize("size", [1, 1000, SQS_MESSAGE_BYTES + 1])
@pytest.mark.parametrize("threshold", [0, SQS_MESSAGE_BYTES])
def test_what_is_sent_the_extended_client_of_sqs_receives(
    cloud: Cloud, peer: Any, size: int, threshold: int
) -> None:
    url, kind = os.environ["QUEUE_URL"], string("full")
    messages(threshold=threshold).send("x" * size, attributes={"Kind": kind})
    theirs = peer("sqs", delete_payload_from_s3=True)
    (message,) = theirs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    assert message["Body"] == "x" * size
    assert message["MessageAttributes"] == {"Kind": kind}
    theirs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert (bodies(), keys()) == ([], [])


def test_what_the_extended_client_of_sns_publishes_is_received(cloud: Cloud, peer: Any) -> None:
    body = TEXT * 11_000
    peer("sns").publish(TopicArn=topic_for("claims"), Message=body)
    message = received(prefix="", shared=True)
    assert message.read().decode() == body
    message.delete()
    assert bodies() == []
    assert len(keys()) == 1, "the body of a topic has other readers"


def test_what_is_published_the_extended_client_of_sqs_receives(cloud: Cloud, peer: Any) -> None:
    body = "x" * (SNS_MESSAGE_BYTES + 1)
    LargeNotifications(topic_for("claims"), **where()).publish(body)
    (message,) = peer("sqs").receive_message(QueueUrl=os.environ["QUEUE_URL"])["Messages"]
    assert message["Body"] == body


def test_a_fifo_topic_and_a_fifo_queue_take_one_message_of_two_equal_ones(cloud: Cloud) -> None:
    kept = {"FifoQueue": "true"}
    url = client("sqs").create_queue(QueueName="claims.fifo", Attributes=kept)["QueueUrl"]
    arn = topic_for("claims.fifo", FifoTopic="true")
    ours = LargeMessages(url, threshold=0, **where())
    for _ in range(2):
        ours.send("of the queue", group_id="a")
    LargeNotifications(arn, threshold=0, **where()).publish("of the topic", group_id="b")
    found = ours.receive(wait_seconds=0)
    assert sorted(message.read() for message in found) == [b"of the queue", b"of the topic"]
    assert len(keys()) == 3, "each body is in S3, that of the message not taken, too"


def test_a_standard_queue_or_topic_gets_a_group_and_no_deduplication_id(cloud: Cloud) -> None:
    for threshold in (0, None):
        messages(threshold=threshold).send("of the queue", group_id="a")
        arn = topic_for("claims")
        LargeNotifications(arn, threshold=threshold, **where()).publish("of it", group_id="b")
    sent = [json.loads(body) for name, body in cloud.requests if name == "SendMessage"]
    assert [one["MessageGroupId"] for one in sent] == ["a", "a"]
    assert not any("MessageDeduplicationId" in one for one in sent)


# Sizes


def test_body_and_attributes_count_to_the_threshold(cloud: Cloud) -> None:
    attributes = {"Kind": string("full")}
    room = SQS_MESSAGE_BYTES - len("KindStringfull")
    messages().send("é" * (room // 2), attributes=attributes)
    assert keys() == []
    messages().send("é" * (room // 2) + "xx", attributes=attributes)
    assert len(keys()) == 1


@pytest.mark.parametrize("body", [b"\xff\x00", b"\x00", "half \x0b"], ids=["bytes", "nul", "vt"])
def test_what_sqs_takes_not_as_text_goes_to_s3_whatever_its_size(cloud: Cloud, body: Any) -> None:
    messages().send(body)
    assert received().read() == (body.encode() if isinstance(body, str) else body)
    assert len(keys()) == 1


@pytest.mark.parametrize("size", [8, 9, 16, 23])
def test_a_large_body_is_read_in_parts_of_one_object_alone(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(stored_bodies, "PART", 8)
    body = bytes(range(size))
    messages(threshold=0).send(body)
    message = received()
    assert message.read() == body
    assert cloud.calls["GetObject"] == -(-size // 8)
    read = message.open()
    first = next(read)
    client("s3").put_object(Bucket=BUCKET, Key=keys()[0], Body=body[::-1])
    if size > 8:
        with pytest.raises(ClientError, match="PreconditionFailed"):
            next(read)
    assert first == body[:8]


@pytest.mark.parametrize("there", [0, 7, 9, 20])
def test_an_object_of_another_size_is_refused(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, there: int
) -> None:
    monkeypatch.setattr(stored_bodies, "PART", 8)
    client("s3").put_object(Bucket=BUCKET, Key="x", Body=b"x" * there)
    for said in {1, 8, 10, 21} - {there}:
        with pytest.raises(RefusedError, match="payload_size: "):
            stored_bodies.fetch(client("s3"), Pointer(BUCKET, "x", said))


def test_a_body_is_text_bytes_a_file_or_chunks(cloud: Cloud) -> None:
    for body in ("abc", b"abc", io.BytesIO(b"abc"), iter([b"a", b"", b"bc"])):
        messages(threshold=2).send(body)
        message = received()
        assert message.read() == b"abc"
        message.delete()
    assert (bodies(), keys()) == ([], [])


def test_a_body_in_chunks_of_any_size_is_stored_byte_for_byte_in_its_parts(cloud: Cloud) -> None:
    chunks = [bytes([number]) * (size * MEBIBYTE + number) for number, size in enumerate((7, 3, 9))]
    LargeMessages(os.environ["QUEUE_URL"], bucket=BUCKET, session=boto3.DEFAULT_SESSION).send(
        chunks
    )
    assert cloud.calls["UploadPart"] == 3
    assert b"".join(cloud.files(BUCKET)) == b"".join(chunks)
    assert "/" not in keys()[0], "at the root of the bucket, unless there is a prefix"


def test_an_empty_body_one_that_is_too_large_and_too_many_attributes_are_rejected_and_leave_nothing(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    ten = {f"name-{number}": string("x") for number in range(10)}
    monkeypatch.setattr(stored_bodies, "MAX_BYTES", 9 * MEBIBYTE)
    chunks = (b"x" * MEBIBYTE for _ in itertools.count())
    given: tuple[Any, ...] = (("", {}), (chunks, {}), ("x", ten), ("x", {SIZE: string("1")}))
    for body, attributes in given:
        with pytest.raises(
            ValueError, match=r"empty|more than|has 10; a .* for 9,|tells a pointer"
        ):
            messages(threshold=0).send(body, attributes=attributes)
    assert (bodies(), keys()) == ([], [])
    assert "Uploads" not in client("s3").list_multipart_uploads(Bucket=BUCKET)
    with pytest.raises(ValueError, match=r"threshold is 1048577; it must be 0, for always, to"):
        messages(threshold=SQS_MESSAGE_BYTES + 1)


def test_a_body_of_any_size_takes_a_constant_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send and read 2 GB through a bucket that keeps nothing."""
    session, seen = boto3.Session("made-up", "made-up", region_name=REGION), dict[str, int]()
    chunk = b"x" * MEBIBYTE

    class Content(io.RawIOBase):
        def __init__(self, left: int) -> None:
            self.left = left

        def read(self, amount: int = -1, **_: Any) -> bytes:
            amount = min(self.left, MEBIBYTE if amount < 0 else amount)
            self.left -= amount
            return chunk[:amount]

        def stream(self, **_: Any) -> Iterator[bytes]:
            return iter([])

    def answer(request: Any, event_name: str, **_: Any) -> Any:
        name = event_name.rpartition(".")[2]
        seen[name] = seen.get(name, 0) + 1
        headers: Any = HTTPHeaders()
        if name == "GetObject":
            size = 64 * MEBIBYTE
            headers["Content-Range"], headers["ETag"] = f"bytes 0-1/{STREAM}", '"e"'
            headers["Content-Length"] = str(size)
            return AWSResponse(request.url, 206, headers, Content(size))
        if hasattr(request.body, "read"):
            while request.body.read(MEBIBYTE):
                pass
        headers["ETag"] = '"e"'
        said = "<r><UploadId>u</UploadId></r>" if name == "CreateMultipartUpload" else "<r/>"
        return AWSResponse(request.url, 200, headers, MockRawResponse(said))

    session.events.register_first("before-send.s3", answer)
    s3 = session.client("s3")
    tracemalloc.start()
    try:
        stored = stored_bodies.put(s3, BUCKET, PREFIX, (chunk for _ in range(STREAM // MEBIBYTE)))
        read = sum(len(part) for part in stored_bodies.fetch(s3, stored))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert stored.size == read == STREAM
    assert seen["UploadPart"] == STREAM // (8 * MEBIBYTE)
    assert seen["GetObject"] == STREAM // (64 * MEBIBYTE)
    assert peak < 40 * MEBIBYTE


# What goes wrong


def test_the_message_is_deleted_before_its_body(cloud: Cloud) -> None:
    messages(threshold=0).send("x")
    message = received()
    cloud.requests.clear()
    message.delete()
    assert [name for name, _ in cloud.requests] == ["DeleteMessage", "DeleteObjects"]


@pytest.mark.parametrize(("certain", "left"), [(True, 0), (False, 1)])
def test_the_body_of_a_message_that_sqs_has_certainly_rejected_is_deleted_at_once(
    cloud: Cloud, certain: bool, left: int
) -> None:
    said: Any = {"HTTPStatusCode": 400, "RetryAttempts": 0}
    response: Any = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": said}
    cloud.fail("SendMessage", ClientError(response, "SendMessage") if certain else UNREACHABLE)
    with pytest.raises(Exception, match=r"AccessDenied|Could not connect"):
        messages(threshold=0).send("x")
    assert len(keys()) == left


def test_a_failure_in_the_middle_of_a_large_body_leaves_no_object_no_message_and_no_part(
    cloud: Cloud,
) -> None:
    cloud.fail("UploadPart", UNREACHABLE, times=9)
    with pytest.raises(Exception, match="Could not connect"):
        messages().send(b"x" * MEBIBYTE for _ in range(20))
    assert (keys(), bodies()) == ([], [])
    assert "Uploads" not in client("s3").list_multipart_uploads(Bucket=BUCKET)


# Pointers


@pytest.mark.parametrize("forged", [Pointer(BUCKET, "secret", 1), Pointer("other", "x", 1), "[1]"])
def test_a_forged_pointer_is_not_followed(cloud: Cloud, forged: Any) -> None:
    client("s3").put_object(Bucket=BUCKET, Key="secret", Body=b"x")
    client("sqs").send_message(
        QueueUrl=os.environ["QUEUE_URL"],
        MessageBody=forged if isinstance(forged, str) else forged.body,
        MessageAttributes=Pointer("", "", 1).attributes,
    )
    message = received()
    for act in (message.read, message.delete):
        with pytest.raises(RefusedError):
            act()
    assert keys() == ["secret"]


@pytest.mark.parametrize(
    "key",
    [
        *("x", "catalogsx/x", PREFIX, f"{PREFIX}../secret", f"{PREFIX}a/../../secret"),
        *(f"{PREFIX}./x", f"{PREFIX}/secret", f"{PREFIX}a//x", f"{PREFIX}%2e%2e%2fsecret"),
        *(f"{PREFIX}x\n", f"{PREFIX}\\secret", f"{PREFIX}{'x' * 1024}"),
    ],
)
def test_a_key_outside_the_prefix_or_with_a_trick_in_its_path_is_refused(key: str) -> None:
    with pytest.raises(RefusedError, match="key: "):
        Pointer(BUCKET, key, 1).check(BUCKET, PREFIX)
    with pytest.raises(RefusedError, match="bucket: "):
        Pointer("another", f"{PREFIX}x", 1).check(BUCKET, PREFIX)
    for good in (f"{PREFIX}a-1/x_2.json", PREFIX.ljust(1024, "x")):
        assert Pointer(BUCKET, good, 1).check(BUCKET, PREFIX).key == good


@pytest.mark.parametrize(
    ("body", "size"),
    [
        *[(json.dumps([KIND, HERE]), size) for size in (0, -7, MAX_BYTES + 1, "x", "")],
        *[(body, 7) for body in ("not JSON", "[]", "7", json.dumps(HERE))],
        *[
            (json.dumps([kind, said]), 7)
            for kind, said in (
                *(("another", HERE), (KIND, [BUCKET, "x"]), (KIND, HERE | {"more": 1})),
                *((KIND, {"s3BucketName": BUCKET}), (KIND, HERE | {"s3Key": 7})),
            )
        ],
        (f'["{KIND}", {{"s3BucketName": "a", "s3BucketName": "{BUCKET}", "s3Key": "x"}}]', 7),
    ],
)
def test_a_body_that_is_no_pointer_as_its_attribute_says_is_refused(body: str, size: Any) -> None:
    with pytest.raises(RefusedError, match="pointer: "):
        pointers.find(body, {SIZE: string(str(size))})
    assert pointers.find(body, {}) is None, "without the attribute it is a body"


@pytest.mark.usefixtures("cloud")
def test_a_queue_that_is_empty_has_no_messages() -> None:
    assert messages().receive(wait_seconds=0) == []
