"""Ways by which a dead letter goes to whom it was meant for, and to nobody else.

Each takes letters and says, by their ids, which were not accepted and why; the others were.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from serverless_patterns.lambdas.foundation import aws, redrives
from serverless_patterns.patterns.limits import LAMBDA_PAYLOAD_BYTES, SNS_HTTP_TIMEOUT

from . import records
from .ranges import GoneError, fetch, fetch_changes
from .records import UnreadableError
from .sources import BATCH

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .records import FailedEvent
    from .sources import Letter

# What SNS adds to a message that it could not deliver.
OF_SNS = ("RequestID", "ErrorCode", "ErrorMessage")
CALL_RECORDS = 100  # of a stream, in a call of its function
RECORD_BYTES = 1_000  # of such a record besides its data in base64
GONE = "gone from the stream: LOST, unless its sender sends it again"


class NotTakenError(Exception):
    """Nobody accepted a letter; it says why."""


class Way(Protocol):
    """Hands letters over, in their order where they have one."""

    def deliver(self, letters: Sequence[Letter]) -> dict[str, str]:
        """Return why letters were not accepted, by their ids."""
        ...


def each(letters: Sequence[Letter], deliver: Callable[[Letter], object]) -> dict[str, str]:
    """Deliver letters at the same time; return why some were not accepted."""
    with ThreadPoolExecutor(BATCH) as pool:
        found = pool.map(lambda letter: (letter.id, why_not(deliver, letter)), letters)
    return {id_: why for id_, why in found if why}


def why_not(deliver: Callable[[Letter], object], letter: Letter) -> str:
    """Return why a letter was not accepted, or "". One that says anything stops no other."""
    try:
        deliver(letter)
    except (ClientError, BotoCoreError) as error:
        return aws.code(error)
    except (NotTakenError, UnreadableError) as error:
        return str(error)
    except Exception as error:  # its text may be the sender's
        return f"damaged: {type(error).__name__}"
    return ""


@dataclass
class ToQueue:
    """To a queue: back to the source of the dead letters, or to another one.

    Attributes:
        sqs: Client.
        url: Of the queue.
        without: Names of attributes that whoever left the letters has added.
    """

    sqs: Any
    url: str
    without: Sequence[str] = ()

    def deliver(self, letters: Sequence[Letter]) -> dict[str, str]:
        """Send them, a batch a call; those of a FIFO group one after the other."""
        return redrives.move(self.sqs, self.url, [self._message(letter) for letter in letters])

    def _message(self, letter: Letter) -> dict[str, Any]:
        given = letter.message.get("MessageAttributes", {})
        kept = {name: value for name, value in given.items() if name not in self.without}
        return {**letter.message, "MessageAttributes": kept}


@dataclass
class ToFunction:
    """To a function that is invoked asynchronously, with the very event that it failed.

    Attributes:
        lambda_: Client.
        function: Name or ARN, with its alias if it is invoked by one.
        place: Region and account of the function, if ``function`` is its name; records of others
            stay. Default: those in its ARN, else any.
    """

    lambda_: Any
    function: str
    place: tuple[str, str] | None = None
    _accepted: set[tuple[str, str]] = field(default_factory=set)

    @property
    def sent(self) -> int:
        """How many events Lambda has accepted."""
        return len(self._accepted)

    def deliver(self, letters: Sequence[Letter]) -> dict[str, str]:
        """Invoke the function. A record and its dead letter have one event: it is sent once."""
        failed: dict[str, str] = {}
        wanted: dict[tuple[str, str], list[Letter]] = {}
        events: dict[tuple[str, str], FailedEvent] = {}
        for letter in letters:
            try:
                event = self._event(letter)
            except (NotTakenError, UnreadableError) as error:
                failed[letter.id] = str(error)
                continue
            key = event.request_id or letter.id, records.content(letter)
            wanted.setdefault(key, []).append(letter)
            events[key] = event
        firsts = {some[0].id: key for key, some in wanted.items() if key not in self._accepted}
        not_taken = each(
            [some[0] for key, some in wanted.items() if key not in self._accepted],
            lambda letter: self._invoke(events[firsts[letter.id]].payload),
        )
        self._accepted |= {key for id_, key in firsts.items() if id_ not in not_taken}
        for id_, why in not_taken.items():
            failed |= {letter.id: why for letter in wanted[firsts[id_]]}
        return failed

    def _event(self, letter: Letter) -> FailedEvent:
        event = records.read(letter.body, letter.attributes)
        if event.function and not self._is_ours(event.function):
            raise NotTakenError("of another function")
        return event

    def _is_ours(self, arn: str) -> bool:
        """Whether a record names our function: a name alone may be another account's, too."""
        place = place_of(self.function) or self.place
        same_place = place is None or place_of(arn) in (None, place)
        return same_place and function_name(arn) == function_name(self.function)

    def _invoke(self, payload: bytes) -> None:
        self.lambda_.invoke(FunctionName=self.function, InvocationType="Event", Payload=payload)


def function_name(function: str) -> str:
    """Return the name in a function's name, partial or full ARN, with or without a qualifier."""
    return function.rsplit("function:", 1)[-1].split(":", 1)[0]


def place_of(function: str) -> tuple[str, str] | None:
    """Return the Region and account in a function's ARN; None for a name."""
    parts = function.split(":")
    return (parts[3], parts[4]) if function.startswith("arn:") and len(parts) > 6 else None


@dataclass
class ToStreamFunction:
    """To the reader of a stream: the range that it gave up, fetched back while it is there.

    The function runs at once, so that a letter is accepted only when all of its range is processed.
    A range may have events that were processed already, of other keys.

    Attributes:
        client: Makes a client of a service, by boto3's name of it.
        function: Name or ARN, with its alias if it has one.
        records: How many records of the stream were fetched.
        oldest: When the oldest of these arrived, in seconds since 1970; None before that.
    """

    client: Callable[[str], Any]
    function: str
    records: int = 0
    oldest: float | None = None

    def deliver(self, letters: Sequence[Letter]) -> dict[str, str]:
        """Run the ranges, the oldest first."""
        found = {one.id: why_not(self._run, one) for one in sorted(letters, key=_start)}
        return {id_: why for id_, why in found.items() if why}

    def check(self, letters: Sequence[Letter]) -> dict[str, str]:
        """Fetch the ranges and run nothing; return why some could not be run."""
        found = {one.id: why_not(self.look, one) for one in letters}
        return {id_: why for id_, why in found.items() if why}

    def look(self, letter: Letter) -> list[Any]:
        """Return the records of a range as Lambda delivers them: from a bucket, or fetched.

        Raises:
            NotTakenError: they are gone, or it names no range.
        """
        try:
            failure = json.loads(letter.body)
            if payload := failure.get("payload"):
                events = json.loads(payload) if isinstance(payload, str) else payload
                found = list(events["Records"])
            elif named := failure.get("DDBStreamBatchInfo"):
                found = [*fetch_changes(self.client("dynamodbstreams"), named)]
            else:
                found = [*fetch(self.client("kinesis"), failure["KinesisBatchInfo"])]
        except GoneError:
            raise NotTakenError(GONE) from None
        except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
            raise NotTakenError(letter.problem or "no failure record of a stream") from None
        self.records += len(found)
        times = [self.oldest, *map(_arrived, found)]
        self.oldest = min(filter(None, times), default=None)
        return found

    def _run(self, letter: Letter) -> None:
        for some in aws.batches(
            self.look(letter), most=CALL_RECORDS, largest=LAMBDA_PAYLOAD_BYTES, size=_size
        ):
            answer = self.client("lambda").invoke(
                FunctionName=self.function, Payload=json.dumps({"Records": some})
            )
            said = json.load(answer["Payload"])
            if answer.get("FunctionError"):
                raise NotTakenError(f"failed again: {said.get('errorType', 'Error')}")
            if said and said.get("batchItemFailures"):
                raise NotTakenError("failed again in part")


def _size(record: Mapping[str, Any]) -> int:
    said = record["kinesis"]["data"] if "kinesis" in record else json.dumps(record["dynamodb"])
    return len(said) + RECORD_BYTES


def _arrived(record: Mapping[str, Any]) -> float:
    """Return when a record arrived, in seconds since 1970; 0 if it does not say so."""
    kinesis, change = record.get("kinesis", {}), record.get("dynamodb", {})
    name = "ApproximateCreationDateTime"
    return float(kinesis.get("approximateArrivalTimestamp") or change.get(name) or 0)


def _start(letter: Letter) -> tuple[str, int]:
    """Return the shard and the start of a range, so that a key's ranges run in their order."""
    try:
        failure = json.loads(letter.body)
        named = failure.get("DDBStreamBatchInfo") or failure["KinesisBatchInfo"]
        return named["shardId"], int(named["startSequenceNumber"])
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return "", 0


class ToSubscriber:
    """To the subscriber of a topic, in the form in which SNS delivers, past all other subscribers.

    Args:
        client: Makes a client of a service, by boto3's name of it.
        subscription: Its ARN.

    Raises:
        ValueError: it is gone, or has a protocol that nobody else than SNS can deliver by.
    """

    def __init__(self, client: Callable[[str], Any], subscription: str) -> None:
        self._client, self._subscription = client, subscription
        pages = client("sns").get_paginator("list_subscriptions_by_topic")
        found = (
            one
            for page in pages.paginate(TopicArn=subscription.rpartition(":")[0])
            for one in page["Subscriptions"]
            if one["SubscriptionArn"] == subscription
        )
        said = next(found, None)
        if said is None:
            raise ValueError("its topic has no such subscription by now: name where it goes (--to)")
        protocol, endpoint = said["Protocol"], said["Endpoint"]
        self._to_queue: ToQueue | None = None
        if protocol == "sqs":
            self._to_queue = ToQueue(client("sqs"), queue_url(client("sqs"), endpoint), OF_SNS)
        else:
            self._deliver = self._way(protocol, endpoint)

    def deliver(self, letters: Sequence[Letter]) -> dict[str, str]:
        """Hand them over; to a FIFO queue in the order of their groups."""
        return self._to_queue.deliver(letters) if self._to_queue else each(letters, self._deliver)

    def _way(self, protocol: str, endpoint: str) -> Callable[[Letter], object]:
        if protocol == "lambda":
            functions = self._client("lambda")
            return lambda letter: functions.invoke(
                FunctionName=endpoint, InvocationType="Event", Payload=self._event(letter.body)
            )
        if protocol == "firehose":
            firehose, name = self._client("firehose"), endpoint.rpartition("/")[2]
            return lambda letter: firehose.put_record(
                DeliveryStreamName=name, Record={"Data": letter.body.encode()}
            )
        if protocol in ("http", "https"):
            return lambda letter: post(endpoint, letter.body, self._subscription)
        raise ValueError(f"Nobody but SNS delivers by {protocol}: publish the message again.")

    def _event(self, body: str) -> bytes:
        """Return what a function gets of SNS.

        Source: https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html
        """
        notification = records.document(body)
        if notification is None:
            raise NotTakenError("not a notification of SNS")
        record = {"EventVersion": "1.0", "EventSource": "aws:sns", "Sns": notification}
        record["EventSubscriptionArn"] = self._subscription
        return json.dumps({"Records": [record]}).encode()


def queue_url(sqs: Any, queue: str) -> str:
    """Return the URL of a queue that is named by its URL, its ARN or its name."""
    if queue.startswith(("https:", "http:")):
        return queue
    *_, account, name = f"::{queue}".split(":")
    more = {"QueueOwnerAWSAccountId": account} if account else {}
    return str(sqs.get_queue_url(QueueName=name, **more)["QueueUrl"])


class _Final(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer, and not followed: SNS does not, and it may lead anywhere."""

    def redirect_request(self, *_: Any) -> None:
        return None


def post(url: str, body: str, subscription: str) -> None:
    """Post a message to an endpoint as SNS does; what it has signed is still signed.

    Source: https://docs.aws.amazon.com/sns/latest/dg/http-header.html

    Raises:
        NotTakenError: the answer is no success, or none came.
    """
    headers = {
        "Content-Type": "text/plain; charset=UTF-8",
        "x-amz-sns-message-type": "Notification",
        "x-amz-sns-subscription-arn": subscription,
        "x-amz-sns-topic-arn": subscription.rpartition(":")[0],
    }
    match records.document(body):
        case {"Type": "Notification", **said}:
            headers["x-amz-sns-message-id"] = str(said.get("MessageId", ""))
        case _:
            headers["x-amz-sns-rawdelivery"] = "true"
    request = urllib.request.Request(url, body.encode(), headers)  # noqa: S310 - SNS's own endpoint
    try:
        with urllib.request.build_opener(_Final).open(request, timeout=SNS_HTTP_TIMEOUT):
            pass
    except urllib.error.HTTPError as error:
        raise NotTakenError(f"HTTP {error.code}") from None
    except OSError as error:
        why = getattr(error, "reason", error)
        raise NotTakenError(f"no answer: {why}") from None


@dataclass
class ToSaga:
    """To a saga that waits for a person: it undoes the failed step again.

    A Standard execution is answered by its task token; an Express one has ended and starts again
    with its input.

    Attributes:
        states: Client.
        machine: ARN of the state machine.
    """

    states: Any
    machine: str

    def deliver(self, letters: Sequence[Letter]) -> dict[str, str]:
        """Answer them, or start them again."""
        return each(letters, self._answer)

    def _answer(self, letter: Letter) -> None:
        parked = records.document(letter.body)
        if token := parked.get("task_token"):
            self.states.send_task_success(taskToken=token, output="{}")
        else:
            given = json.dumps(parked["input"])
            self.states.start_execution(stateMachineArn=self.machine, input=given)
