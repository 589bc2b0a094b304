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
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3

from . import kpl, logic
from .producer import Producer

if TYPE_CHECKING:
    from collections.abc import Sequence

    Failure = tuple[bytes, dict[str, Any]]


@dataclass
class Replayed:
    """What was found and done.

    Args:
        objects: Objects read.
        events: Events in them.
        reasons: Events that would fail again, by reason; ``ok`` and ``bot`` would not fail.
        sent: Events that the stream holds now.
        kept: Objects that stay, because something in them was not sent.
    """

    objects: int = 0
    events: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    kept: list[str] = field(default_factory=list)


def replay(
    s3: Any,
    kinesis: Any,
    *,
    bucket: str,
    prefix: str,
    stream_name: str,
    send: bool = False,
    give_up_after: float = 60.0,
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
        stream_name: Where to send to.
        send: Whether to send and delete. Default: only look.
        give_up_after: Seconds of sending again what the stream does not take. Default: 60.
    """
    done = Replayed()
    # Each event alone in a record, so that it fails or passes alone.
    producer = Producer(kinesis, stream_name, aggregate=False, give_up_after=give_up_after)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    for key in [item["Key"] for page in pages for item in page.get("Contents", [])]:
        done.objects += 1
        failures = _read(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        outcomes = [logic.transform(event, datetime.now(UTC)) for event, _ in failures]
        done.events += len(failures)
        done.reasons.update(outcome.reason or "ok" for outcome in outcomes)
        if not send:
            continue
        good: list[Failure] = []
        left: list[Failure] = []
        for failure, outcome in zip(failures, outcomes, strict=True):
            (left if outcome.kind == "ProcessingFailed" else good).append(failure)
        sent = producer.put(event for event, _ in good)
        done.sent += len(sent.accepted)
        left += [good[position] for position in (*sent.refused, *sent.failed)]
        if left:
            done.kept.append(key)
        if sent.accepted:
            _keep_only(s3, bucket, key, left)
    return done


def _read(body: bytes) -> list[Failure]:
    """Return the events in an error object, each with Firehose's document about its record.

    The documents may have lines between them or not.
    """
    text, position, decoder = body.decode().strip(), 0, json.JSONDecoder()
    failures: list[Failure] = []
    while position < len(text):
        document, position = decoder.raw_decode(text, position)
        failures += [(event, document) for event in _events(base64.b64decode(document["rawData"]))]
        while text[position : position + 1].isspace():
            position += 1
    return failures


def _events(data: bytes) -> list[bytes]:
    try:
        return kpl.split(data)
    except kpl.BrokenAggregateError:
        return [data]


def _keep_only(s3: Any, bucket: str, key: str, left: Sequence[Failure]) -> None:
    """Remove sent events from an error object."""
    if not left:
        s3.delete_object(Bucket=bucket, Key=key)
        return
    lines = [json.dumps(d | {"rawData": base64.b64encode(event).decode()}) for event, d in left]
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
