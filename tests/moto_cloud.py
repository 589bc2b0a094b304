"""AWS on moto for the tests of handlers: what they call, what they did, and faults on the way."""

from __future__ import annotations

import functools
import io
import json
import uuid
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from threading import RLock
from typing import TYPE_CHECKING, Any, Literal

import boto3
import botocore.session
import pytest
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError
from botocore import UNSIGNED
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from moto import mock_aws
from moto.core import models, responses, utils
from moto.core.botocore_stubber import MockRawResponse
from moto.core.models import botocore_stubber
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.table import Table
from moto.sqs import models as sqs_models
from moto.sqs.models import sqs_backends

from serverless_patterns.lambdas.foundation import tables as tables_
from serverless_patterns.lambdas.foundation.logs import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    Record = dict[str, Any]
    Fake = Callable[[str, dict[str, Any]], tuple[int, dict[str, Any]]]

ACCOUNT = "123456789012"
REGION: Literal["eu-central-1"] = "eu-central-1"
TABLE = "table"
SENT_AT = 1_790_000_000_000
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793"
UNREACHABLE = EndpointConnectionError(endpoint_url="https://aws")
TIMEOUT = ReadTimeoutError(endpoint_url="https://aws")

LETTERS = "/dead"  # in every call about a dead-letter queue
READS_AND_LETTERS = ("BatchGetItem", "TransactGetItems", "SendMessageBatch")

_sequence = count(10**19)


@dataclass(frozen=True)
class Context:
    """The part of Lambda's context that Powertools and the handlers read."""

    aws_request_id: str = "request"
    function_name: str = "function"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = f"arn:aws:lambda:{REGION}:123456789012:function:function"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 30_000


@dataclass
class Cloud:
    """An account, every call that the handlers make in it, and faults."""

    monkeypatch: pytest.MonkeyPatch
    log: io.StringIO
    queue_url: str = ""
    fifo_queue_url: str = ""
    calls: Counter[str] = field(default_factory=Counter)  # how often the handlers made each call
    # Operation and body of each call.
    requests: list[tuple[str, str]] = field(default_factory=list, repr=False)
    patience: int = 0  # seconds that the calls so far take if none is answered
    busy: int = 0  # how many requests AWS answers next with 503
    lost: int = 0  # how many it does, and answers with 503 all the same
    # Called with the operation, ``before`` or ``after`` it, and its body. May answer in its place.
    faults: list[Callable[[str, str, str], Any]] = field(default_factory=list)
    # Answers in place of moto, by service: operation and arguments to status and answer.
    fakes: dict[str, Fake] = field(default_factory=dict)

    def run(self, handler: Any, *records: Record) -> list[str]:
        """Call a queue's handler as Lambda does; return the ids of the records to deliver again.

        An exception fails the whole batch; Powertools raises it only if every record failed.
        """
        fifo = records and "SequenceNumber" in records[0]["attributes"]
        url = self.fifo_queue_url if fifo else self.queue_url
        self.monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", url)
        try:
            answer = handler({"Records": list(records)}, Context())
        except BatchProcessingError as error:
            if len(error.child_exceptions) != len(records):
                raise
            return ids(*records)
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def items(self, table: str = TABLE) -> list[dict[str, Any]]:
        """Return every item of a table, without DynamoDB's types at the top.

        Read where moto stores them: a scan takes eighty times as long.
        """
        found = [item.to_json()["Attributes"] for item in _tables()[table].all_items()]
        return [{name: next(iter(value.values())) for name, value in i.items()} for i in found]

    def stored(self) -> list[str]:
        """Return the keys of the table's items in the order in which they were stored."""
        return [getattr(key, "value", key) for key in _tables()[TABLE].items]  # a scan sorts them

    def files(self, bucket: str) -> list[bytes]:
        """Return every file of a bucket."""
        s3 = client("s3")
        keys = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
        return [s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys]

    def letters(self) -> list[dict[str, Any]]:
        """Take every message out of both dead-letter queues; return them as SQS does.

        Taken where moto stores them: receiving them takes a hundred times as long.
        """
        found = []
        for url in (self.queue_url, self.fifo_queue_url):
            messages = _queue(url)._messages
            found += [
                {
                    "Body": one.body,
                    "MessageAttributes": one.message_attributes,
                    "Attributes": {
                        "MessageGroupId": one.group_id,
                        "MessageDeduplicationId": one.deduplication_id,
                    },
                }
                for one in messages
            ]
            messages.clear()
        return found

    def letters_there(self) -> list[tuple[str, dict[str, str]]]:
        """Return body and attributes of every dead letter, and leave it where it is."""
        both = (self.queue_url, self.fifo_queue_url)
        return [letter for url in both for letter in self.messages_in(url)]

    def messages_in(self, url: str) -> list[tuple[str, dict[str, str]]]:
        """Return body and attributes of every message of a queue, and leave it where it is.

        Read where moto stores them, as ``items`` are.
        """
        return [
            (one.body, {n: a.get("StringValue", "") for n, a in one.message_attributes.items()})
            for one in _queue(url)._messages
        ]

    def reasons(self) -> Counter[str]:
        """Take every message out of the dead-letter queues; return their reasons."""
        return Counter(
            letter["MessageAttributes"]["Reason"]["StringValue"] for letter in self.letters()
        )

    def log_lines(self, message: str = "") -> list[dict[str, Any]]:
        """Return what was logged, or only the lines with this message."""
        lines = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [line for line in lines if message in ("", line["message"])]

    def outcomes(self) -> dict[str, int]:
        """Return what became of the last batch, as logged."""
        found: dict[str, int] = self.log_lines("Batch")[-1]["outcomes"]
        return found

    def answer_writes(self) -> list[Any]:
        """Let DynamoDB take every transaction; return its puts. moto takes long for many."""
        taken: list[Any] = []

        def take(_: str, sent: dict[str, Any]) -> tuple[int, dict[str, Any]]:
            taken.extend(action["Put"] for action in sent["TransactItems"])
            return 200, {}

        self.fakes["dynamodb"] = take
        return taken

    def fail(
        self,
        operation: str,
        error: Exception,
        *,
        when: str = "before",
        times: int = 1,
        about: str = "",
    ) -> None:
        """Let the next calls of an operation fail, ``before`` or ``after`` AWS has done it.

        ``about``: only those with this in their body. Default: all.
        """
        left = [times]

        def fault(name: str, moment: str, body: str) -> None:
            if left[0] and moment == when and operation in (name, "*") and about in body:
                left[0] -= 1
                raise error

        self.faults.append(fault)

    def fail_all_about(self, name: str) -> None:
        """Let every write fail that names it; of a transaction, DynamoDB says which action did."""

        def fault(operation: str, moment: str, body: str) -> Any:
            if operation == "SendMessageBatch" and LETTERS not in body and moment == "before":
                return _send_all_but(name, json.loads(body))
            if moment == "after" or name not in body or operation in READS_AND_LETTERS:
                return None
            if operation != "TransactWriteItems":
                raise client_error("ThrottlingException")
            actions = json.loads(body)["TransactItems"]
            raise cancelled(*("ThrottlingError" if name in str(a) else "None" for a in actions))

        self.faults.append(fault)


def _send_all_but(name: str, sent: dict[str, Any]) -> tuple[AWSResponse, dict[str, Any]]:
    """Send the other entries of a batch; return SQS's answer, which says which of them failed."""
    entries = [one for one in sent["Entries"] if name not in str(one)]
    some = entries and client("sqs").send_message_batch(**sent | {"Entries": entries})
    failed = [one for one in sent["Entries"] if one not in entries]
    codes = [{"Id": it["Id"], "Code": "InternalError", "SenderFault": False} for it in failed]
    answer = {"Successful": some["Successful"] if some else [], "Failed": codes}
    return AWSResponse("", 200, HTTPHeaders(), MockRawResponse("")), answer


def client_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, "Operation")


def cancelled(*codes: str) -> Exception:
    """Return the error of a transaction with these reasons."""
    response: Any = {
        "Error": {"Code": "TransactionCanceledException", "Message": "cancelled"},
        "CancellationReasons": [{"Code": code} for code in codes],
    }
    canceled = tables_.client().exceptions.TransactionCanceledException
    return canceled(response, "TransactWriteItems")


def text(document: Any) -> str:
    return document if isinstance(document, str) else json.dumps(document, ensure_ascii=False)


def string(value: str, kind: str = "String") -> dict[str, Any]:
    """Return a message attribute in the spelling of the Lambda event."""
    return {"stringValue": value, "stringListValues": [], "binaryListValues": [], "dataType": kind}


def record(
    body: Any,
    group: str | None = None,
    *,
    attributes: Mapping[str, Any] | None = None,
    receive_count: int = 1,
    **system: str,
) -> Record:
    """Return a message as Lambda delivers it; one with a group is from a FIFO queue.

    A body that is no text becomes JSON. ``system`` are more attributes of SQS's own.
    """
    if group is not None:
        system |= {"MessageGroupId": group, "SequenceNumber": str(next(_sequence))}
    return {
        "messageId": str(uuid.uuid4()),
        "receiptHandle": "handle",
        "body": text(body),
        "attributes": {
            "ApproximateReceiveCount": str(receive_count),
            "SentTimestamp": str(SENT_AT),
            "AWSTraceHeader": TRACE,
        }
        | system,
        "messageAttributes": dict(attributes or {}),
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{REGION}:123456789012:queue",
        "awsRegion": REGION,
    }


def ids(*records: Record) -> list[str]:
    return [record["messageId"] for record in records]


def client(service: Any) -> Any:
    """Return a client of the test's own, whose calls are neither counted nor fail."""
    assert botocore_stubber.enabled, "outside of moto, it would call AWS"
    return _client(service)


@functools.cache
def _client(service: Any) -> Any:
    return boto3.Session("made-up", "made-up", region_name=REGION).client(service)


@contextmanager
def cloud(
    monkeypatch: pytest.MonkeyPatch,
    *,
    tables: Mapping[str, tuple[str, ...]] | None = None,
    environment: Mapping[str, str] | None = None,
    kind: type[Cloud] = Cloud,
) -> Iterator[Any]:
    """An empty account on moto with a dead-letter queue of each type, and tables with these keys.

    Clients outlive the test, since making them takes longer than most tests.
    """
    for name, value in (environment or {}).items():
        monkeypatch.setenv(name, value)
    made = kind(monkeypatch, io.StringIO())
    monkeypatch.setattr(logger.registered_handler, "stream", made.log)
    # moto also answers ``requests``, which nothing here calls: made anew it takes 5 ms a test.
    monkeypatch.setattr(models, "RESPONSES_METHODS", [])
    with mock_aws():
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", _handlers_session())  # moto removes another
        made.queue_url = _make_queue("dead")
        made.fifo_queue_url = _make_queue("dead.fifo", FifoQueue="true")
        for table, keys in (tables or {}).items():
            make_table(table, *keys)
        _current.append(made)
        try:
            yield made
        finally:
            _current.remove(made)


def fixture(make: Callable[[pytest.MonkeyPatch], AbstractContextManager[Any]]) -> Any:
    """Return the fixture ``cloud`` of a pattern's ``conftest.py``."""

    @pytest.fixture
    def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
        with make(monkeypatch) as made:
            yield made

    return cloud


def make_table(name: str, *keys: str, by_number: str = "") -> None:
    """Make a table: its partition key, and its sort key if there is one; an older one is gone.

    ``by_number``: a number by which the local index ``by-<it>`` sorts. Default: no index.
    """

    def schema(*keys: str) -> list[dict[str, str]]:
        kinds = zip(keys, ("HASH", "RANGE"), strict=False)
        return [{"AttributeName": key, "KeyType": kind} for key, kind in kinds]

    types = dict.fromkeys(keys, "S") | ({by_number: "N"} if by_number else {})
    index = {"IndexName": f"by-{by_number}", "Projection": {"ProjectionType": "ALL"},
             "KeySchema": schema(keys[0], by_number)}  # fmt: skip
    _tables()[name] = Table(  # type: ignore[abstract]  # as moto does
        name,
        ACCOUNT,
        REGION,
        schema(*keys),
        [{"AttributeName": key, "AttributeType": kind} for key, kind in types.items()],
        billing_mode="PAY_PER_REQUEST",
        indexes=[index] if by_number else [],
    )


# What a test starts with is made in moto itself: a call takes ten times as long.


def _make_queue(name: str, **attributes: str) -> str:
    return sqs_backends[ACCOUNT][REGION].create_queue(name, None, **attributes).physical_resource_id


def _queue(url: str) -> Any:
    return sqs_backends[ACCOUNT][REGION].queues[url.rpartition("/")[2]]


def _tables() -> dict[str, Any]:
    return dynamodb_backends[ACCOUNT][REGION].tables


# moto asks for the time for each message in a queue, and for the names of methods in each call.
vars(sqs_models)["unix_time_millis"] = lambda: datetime.now(UTC).timestamp() * 1000
vars(responses)["method_names_from_class"] = functools.cache(utils.method_names_from_class)
for module in (sqs_models, responses):
    vars(module)["camelcase_to_underscores"] = functools.cache(utils.camelcase_to_underscores)

_current: list[Cloud] = []


@functools.cache
def _handlers_session() -> boto3.Session:
    """The session of the handlers' clients: the current cloud sees each of their calls."""
    core, one_call = botocore.session.get_session(), RLock()
    core.set_default_client_config(Config(user_agent=f"region/{REGION}"))
    session = boto3.Session("made-up", "made-up", region_name=REGION, botocore_session=core)

    def before(model: Any, params: dict[str, Any], context: dict[str, Any], **_: Any) -> Any:
        body: Any = params["body"]
        body = body.getvalue() if isinstance(body, io.BytesIO) else body
        text = body.decode(errors="replace") if isinstance(body, bytes) else str(body)
        context["sent"] = text
        seen, config = _current[-1], context["client_config"]
        seen.calls[model.name] += 1
        seen.requests.append((model.name, text))
        attempts = (config.retries or {}).get("total_max_attempts", 5)
        seen.patience += attempts * int(config.connect_timeout + config.read_timeout)
        answers = [fault(model.name, "before", text) for fault in list(seen.faults)]
        return next(filter(None, answers), None)

    def after(model: Any, context: dict[str, Any], **_: Any) -> None:
        for fault in list(_current[-1].faults):
            fault(model.name, "after", context["sent"])

    def answer(request: Any, event_name: str, **_: Any) -> Any:
        now = _current[-1]
        if now.busy:
            now.busy -= 1
            return _response(request, 503, "")
        lost, now.lost = now.lost, max(0, now.lost - 1)
        found = do(request, event_name)
        return _response(request, 503, "") if lost else found

    def do(request: Any, event_name: str) -> Any:
        service, operation = event_name.split(".")[1:]
        now = _current[-1]
        if service in now.fakes:
            is_json = isinstance(request.body, bytes | str)
            arguments = json.loads(request.body) if is_json else {}
            status, found = now.fakes[service](operation, arguments)
            return _response(request, status, json.dumps(found) if found else "")
        with one_call:  # moto's transaction that fails undoes what another thread has written since
            return botocore_stubber(event_name, request)

    session.events.register("before-call", before)
    session.events.register("after-call", after)
    for service in ("dynamodb", "sqs"):  # a signature, which moto ignores, is a tenth of a call
        session.events.register(f"choose-signer.{service}", lambda **_: UNSIGNED)
    moto: Any = botocore_stubber  # ``answer`` asks it
    session.events.unregister("before-send", moto)
    session.events.register("before-send", answer)
    return session


def _response(request: Any, status: int, body: str) -> AWSResponse:
    return AWSResponse(request.url, status, HTTPHeaders(), MockRawResponse(body))
