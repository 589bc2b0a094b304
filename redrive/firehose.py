"""Records that Firehose could not process: in error objects, each with one document a record.

https://docs.aws.amazon.com/firehose/latest/dev/data-transformation-failure-handling.html
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

from serverless_patterns.lambdas.foundation import aws, kpl
from serverless_patterns.lambdas.foundation.streams import Producer
from serverless_patterns.patterns.limits import FIREHOSE_BATCH_BYTES, FIREHOSE_BATCH_RECORDS

from .records import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from .sources import Letter

# https://docs.aws.amazon.com/firehose/latest/dev/record-format-conversion-error-handling.html
CONVERSION = "dataCatalogTable"
TRANSFORMED = "transformed already, so its source must send it again: fix the function or the table"


def documents(text: str) -> Iterator[dict[str, Any]]:
    """Yield the documents in an error object, which may be on lines of their own.

    Raises:
        UnreadableError: it is none.
    """
    decode, position, text = json.JSONDecoder().raw_decode, 0, text.strip()
    try:
        while position < len(text):
            found, position = decode(text, position)
            base64.b64decode(found["rawData"], validate=True)
            yield found
            while text[position : position + 1].isspace():
                position += 1
    except (LookupError, RecursionError, TypeError, ValueError):
        raise UnreadableError("no error object of Firehose") from None


def event_of(document: Mapping[str, Any]) -> bytes:
    """Return a record as it was sent."""
    return base64.b64decode(document["rawData"])


class ErrorObject:
    """The events in an error object; an aggregated record has several, which fail or pass alone.

    Raises:
        UnreadableError: it is none.
    """

    def __init__(self, text: str) -> None:
        self._documents = [*documents(text)]
        if not self._documents:
            raise UnreadableError("no error object of Firehose")
        self._events = [
            (which, event)
            for which, document in enumerate(self._documents)
            for event in _split(event_of(document))
        ]
        self.gone: set[int] = set()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield a document about each event."""
        for which, event in self._events:
            yield self._documents[which] | {"rawData": base64.b64encode(event).decode()}

    def left(self) -> bytes:
        """Return the object without the events that are ``gone``; b"" if all are.

        Those of one record stay one record.
        """
        left = [one for number, one in enumerate(self._events) if number not in self.gone]
        found = []
        for which, group in groupby(left, key=lambda one: one[0]):
            events = [event for _, event in group]
            data = events[0] if len(events) == 1 else kpl.aggregate("redrive", events)
            raw = {"rawData": base64.b64encode(data).decode()}
            found.append(self._documents[which] | raw)
        return "\n".join(map(json.dumps, found)).encode()


def _split(data: bytes) -> list[bytes]:
    try:
        return kpl.split(data)
    except kpl.BrokenAggregateError:
        return [data]


@dataclass
class ToFirehose:
    """To what feeds a delivery stream: its Kinesis stream, or itself.

    Attributes:
        client: Makes a client of a service, by boto3's name of it.
        name: The delivery stream.
        give_up_after: Seconds of sending again what Kinesis did not accept. Default: 60.
    """

    client: Callable[[str], Any]
    name: str
    give_up_after: float = 60
    _fed_by: str | None = field(default=None, init=False)

    def deliver(self, letters: Sequence[Letter]) -> dict[str, str]:
        """Send the records, many a call."""
        failed: dict[str, str] = {}
        data: dict[str, bytes] = {}
        for letter in letters:
            try:
                [said] = documents(letter.body)
            except (UnreadableError, ValueError):
                failed[letter.id] = "no record of Firehose"
                continue
            if is_transformed(said):
                failed[letter.id] = TRANSFORMED
            else:
                data[letter.id] = event_of(said)
        send = self._to_stream if self._stream else self._directly
        ids, whys = [*data], send([*data.values()])
        return failed | {ids[number]: why for number, why in whys.items()}

    @property
    def _stream(self) -> str:
        """The Kinesis stream that feeds it; "" without one."""
        if self._fed_by is None:
            about = self.client("firehose").describe_delivery_stream(DeliveryStreamName=self.name)
            source = about["DeliveryStreamDescription"].get("Source", {})
            arn = source.get("KinesisStreamSourceDescription", {}).get("KinesisStreamARN", "")
            self._fed_by = arn.rpartition("/")[2]
        return self._fed_by

    def _to_stream(self, data: Sequence[bytes]) -> dict[int, str]:
        # Not aggregated, so that each fails or passes alone.
        producer = Producer(
            self.client("kinesis"), self._stream, aggregate=False, give_up_after=self.give_up_after
        )
        sent = producer.put(data)
        return sent.failed | dict.fromkeys(sent.refused, "empty, or too large for the stream")

    def _directly(self, data: Sequence[bytes]) -> dict[int, str]:
        failed: dict[int, str] = {}
        for some in aws.batches(
            [*enumerate(data)],
            most=int(FIREHOSE_BATCH_RECORDS),
            largest=int(FIREHOSE_BATCH_BYTES),
            size=lambda one: len(one[1]),
        ):
            answer = self.client("firehose").put_record_batch(
                DeliveryStreamName=self.name, Records=[{"Data": event} for _, event in some]
            )
            codes = [one.get("ErrorCode", "") for one in answer["RequestResponses"]]
            failed |= {number: code for (number, _), code in zip(some, codes, strict=True) if code}
        return failed


def is_transformed(document: Mapping[str, Any]) -> bool:
    """Whether a record failed behind the function: its source would have it transformed twice."""
    code = str(document.get("errorCode") or document.get("ErrorCode") or "")
    return CONVERSION in document or code.startswith("DataFormatConversion")
