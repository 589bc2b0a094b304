"""Error prefix → Kinesis: sends what failed once more, after the cause is mended.

    python -m serverless_patterns.lambdas.kinesis_firehose_s3.replay \
        BUCKET errors/clicks/processing-failed/ STREAM

prints what lies there and why it fails; ``--send`` sends it. An object is deleted only when the
stream holds every record in it, so a crash in between leaves duplicates and loses nothing.
"""

from __future__ import annotations

import argparse
import base64
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3

from . import kpl, logic
from .producer import Producer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_s3 import S3Client


@dataclass
class Replayed:
    """What was found and done.

    Args:
        objects: Objects read.
        events: Events in them.
        reasons: Events that would fail again, by reason; ``ok`` and ``bot`` are those that would
            not.
        sent: Events that the stream holds now.
        kept: Objects that stay, because something in them was not sent.
    """

    objects: int = 0
    events: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    kept: list[str] = field(default_factory=list)


def replay(
    s3: S3Client,
    kinesis: KinesisClient,
    *,
    bucket: str,
    prefix: str,
    stream_name: str,
    send: bool = False,
    give_up_after: float = 60.0,
) -> Replayed:
    """Read every error object below ``prefix`` and send what would be processed now.

    What would fail again stays where it is. Aggregated records are taken apart, so that one bad
    event no longer holds up the others of its record.

    Args:
        s3: Client.
        kinesis: Client.
        bucket: Of the lake.
        prefix: The error prefix and the type of failure: records that the function has failed
            or not seen lie below ``processing-failed/``, as they came.
        stream_name: Where to send to.
        send: Whether to send and delete. Default: only look.
        give_up_after: Seconds of trying again what the stream does not take. Default: 60.
    """
    done = Replayed()
    # Alone in a record, so that each fails or passes for itself.
    producer = Producer(kinesis, stream_name, aggregate=False, give_up_after=give_up_after)
    for key in list(_keys(s3, bucket, prefix)):
        done.objects += 1
        failures = _read(s3, bucket, key)
        outcomes = [logic.transform(failure.event, datetime.now(UTC)) for failure in failures]
        done.events += len(failures)
        done.reasons.update(outcome.reason or "ok" for outcome in outcomes)
        if not send:
            continue
        good: list[_Failure] = []
        left: list[_Failure] = []
        for failure, outcome in zip(failures, outcomes, strict=True):
            (left if outcome.kind == "ProcessingFailed" else good).append(failure)
        sent = producer.put(failure.event for failure in good)
        done.sent += len(sent.accepted)
        left += [good[position] for position in (*sent.refused, *sent.failed)]
        if left:
            done.kept.append(key)
        if sent.accepted:
            _keep_only(s3, bucket, key, left)
    return done


@dataclass(frozen=True)
class _Failure:
    """One event that failed, and what Firehose wrote about the record that it came in."""

    event: bytes
    document: dict[str, Any]


def _keys(s3: S3Client, bucket: str, prefix: str) -> Iterator[str]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            yield item["Key"]


def _read(s3: S3Client, bucket: str, key: str) -> list[_Failure]:
    body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return [
        _Failure(event, document)
        for document in _documents(body)
        for event in _events(base64.b64decode(document["rawData"]))
    ]


def _documents(body: bytes) -> Iterator[dict[str, Any]]:
    """Yield the JSON documents of an error object, with or without lines between them."""
    text, position, decoder = body.decode(), 0, json.JSONDecoder()
    while text[position:].strip():
        while text[position].isspace():
            position += 1
        document, position = decoder.raw_decode(text, position)
        yield document


def _events(data: bytes) -> list[bytes]:
    try:
        return kpl.split(data)
    except kpl.BrokenAggregateError:
        return [data]


def _keep_only(s3: S3Client, bucket: str, key: str, left: Sequence[_Failure]) -> None:
    """Take what was sent out of an error object."""
    if not left:
        s3.delete_object(Bucket=bucket, Key=key)
        return
    lines = [
        json.dumps(failure.document | {"rawData": base64.b64encode(failure.event).decode()})
        for failure in left
    ]
    s3.put_object(Bucket=bucket, Key=key, Body="\n".join(lines).encode())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the command line, with the caller's credentials."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bucket")
    parser.add_argument("prefix", help="such as errors/clicks/processing-failed/")
    parser.add_argument("stream")
    parser.add_argument("--send", action="store_true", help="send and delete; default: only look")
    options = parser.parse_args(arguments)
    done = replay(
        boto3.client("s3"),
        boto3.client("kinesis"),
        bucket=options.bucket,
        prefix=options.prefix,
        stream_name=options.stream,
        send=options.send,
    )
    print(f"{done.events} events in {done.objects} objects")
    for reason, count in sorted(done.reasons.items()):
        print(f"  {reason}: {count}")
    if options.send:
        print(f"sent: {done.sent}; objects that stay: {len(done.kept)}")


if __name__ == "__main__":
    main()
