"""Error prefix → Kinesis: sends failed clicks again, after their cause is fixed.

    python -m serverless_patterns.lambdas.kinesis_firehose_s3.replay \
        BUCKET errors/clicks/processing-failed/ STREAM

prints what is stored there and why it failed; ``--send`` sends it. An object is deleted only when
the stream holds every record in it, so a crash in between leaves duplicates and loses nothing.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from ..foundation import kpl
from ..foundation.streams import Producer
from . import logic

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass
class Failure:
    """A failed record: Firehose's document about it, and the events in it."""

    document: dict[str, Any]
    events: list[bytes]


@dataclass
class Replayed:
    """What was found and done.

    Args:
        objects: Objects read.
        events: Events in them.
        reasons: Events that would fail again, by reason; ``ok`` and ``bot`` would not fail.
        sent: Events that the stream holds now.
        kept: Objects that stay, because something in them was not sent.
        unreadable: Objects that are not Firehose's; they stay as they are.
    """

    objects: int = 0
    events: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    kept: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def replay(
    s3: Any, kinesis: Any, *, bucket: str, prefix: str, stream: str, send: bool = False
) -> Replayed:
    """Read every error object below ``prefix`` and send the events that would pass now.

    Events that would fail again stay where they are. Aggregated records are taken apart, so that
    one bad event no longer holds up the others of its record.

    Args:
        s3: Client.
        kinesis: Client.
        bucket: Of the lake.
        prefix: The error prefix and the type of failure: records that the function failed, or
            never received, are stored unmodified under ``processing-failed/``.
        stream: Name of the stream to send to.
        send: Whether to send and delete. Default: only look.
    """
    done = Replayed()
    producer = Producer(kinesis, stream, aggregate=False)  # so each event fails or passes alone
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    for key in [item["Key"] for page in pages for item in page.get("Contents", [])]:
        try:
            failures = list(_read(s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()))
        except (ValueError, KeyError, TypeError, RecursionError):
            done.unreadable.append(key)
            continue
        events = [(failure, event) for failure in failures for event in failure.events]
        outcomes = [logic.transform(event, datetime.now(UTC)) for _, event in events]
        done.objects += 1
        done.events += len(events)
        done.reasons.update(outcome.reason or "ok" for outcome in outcomes)
        if not send:
            continue
        good = [n for n, outcome in enumerate(outcomes) if outcome.kind != "ProcessingFailed"]
        sent = producer.put(events[number][1] for number in good)
        done.sent += len(sent.accepted)
        gone = {good[position] for position in sent.accepted}
        left = [one for number, one in enumerate(events) if number not in gone]
        if left:
            done.kept.append(key)
        if gone and left:
            s3.put_object(Bucket=bucket, Key=key, Body=_written(left))
        elif gone:
            s3.delete_object(Bucket=bucket, Key=key)
    return done


def _read(text: str) -> Iterator[Failure]:
    """Yield the failed records in an error object; its documents may be on lines of their own.

    Raises ValueError, KeyError, TypeError or RecursionError if they are not Firehose's.
    """
    text, position, decoder = text.strip(), 0, json.JSONDecoder()
    while position < len(text):
        document, position = decoder.raw_decode(text, position)
        data = base64.b64decode(document["rawData"])
        try:
            yield Failure(document, kpl.split(data))
        except kpl.BrokenAggregateError:
            yield Failure(document, [data])
        while text[position : position + 1].isspace():
            position += 1


def _written(left: Sequence[tuple[Failure, bytes]]) -> bytes:
    """Return an error object with these events; those of one record stay one record."""
    documents = []
    for _, group in groupby(left, key=lambda one: id(one[0])):
        [failure, *_], events = zip(*group, strict=True)
        data = events[0] if len(events) == 1 else kpl.aggregate("replay", events)
        raw = {"rawData": base64.b64encode(data).decode()}
        whole = len(events) == len(failure.events)
        documents.append(failure.document if whole else failure.document | raw)
    return "\n".join(map(json.dumps, documents)).encode()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the command line, with the caller's credentials."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bucket")
    parser.add_argument("prefix", help="such as errors/clicks/processing-failed/")
    parser.add_argument("stream")
    parser.add_argument("--send", action="store_true", help="send and delete; default: only look")
    options = parser.parse_args(arguments)
    region = os.environ.get("AWS_REGION")  # which boto3 does not read
    try:
        clients = [boto3.client(name, region_name=region) for name in ("s3", "kinesis")]
        done = replay(*clients, **vars(options))
    except (BotoCoreError, ClientError) as error:  # what was not sent is still there
        sys.exit(f"{error} Set AWS_REGION and AWS_PROFILE of your shell, and run it again.")
    print(f"{done.events} events in {done.objects} objects")
    for reason, count in sorted(done.reasons.items()):
        print(f"  {reason}: {count}")
    if options.send:
        print(f"sent: {done.sent}; objects that stay: {len(done.kept)}")
    if done.unreadable:
        print(f"unreadable objects, left as they are: {len(done.unreadable)}")


if __name__ == "__main__":
    main()
