"""Event source mappings: Kinesis and DynamoDB streams → Lambda."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..template import Finding, Findings, Resource, Scenario, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

STREAMS = (
    "AWS::Kinesis::Stream",
    "AWS::Kinesis::StreamConsumer",
    "AWS::DynamoDB::Table",
    "AWS::DynamoDB::GlobalTable",
)
ENDLESS = -1  # as Lambda and Pipes write it, and their default
# Where the settings are, where the source is named, and the failure destination.
MAPPING = ("", "EventSourceArn", "DestinationConfig.OnFailure.Destination")
PIPES = tuple(
    (f"SourceParameters.{kind}StreamParameters.", "Source", "DeadLetterConfig.Arn")
    for kind in ("Kinesis", "DynamoDB")
)


def _readers(scenario: Scenario) -> Iterator[tuple[Resource, str, str]]:
    """Yield what reads a stream, the path of its settings, and that of its failure destination."""
    for kind, places in (
        ("AWS::Lambda::EventSourceMapping", (MAPPING,)),
        ("AWS::Pipes::Pipe", PIPES),
    ):
        for reader in scenario.of(kind):
            for settings, source, destination in places:
                known = scenario.find(reader.get(source), *STREAMS)
                given = not settings or reader.get(f"{settings}StartingPosition") is not None
                if known and given:
                    yield reader, settings, f"{settings}{destination}"


def _limits(scenario: Scenario) -> Iterator[tuple[Resource, str, int, int]]:
    """Yield what reads a stream, its failure destination's path, its retries and record age."""
    for reader, settings, destination in _readers(scenario):
        retries = reader.number(f"{settings}MaximumRetryAttempts", ENDLESS)
        age = reader.number(f"{settings}MaximumRecordAgeInSeconds", ENDLESS)
        if retries is not None and age is not None:
            yield reader, destination, retries, age


@rule("W9121", "kinesis", "dynamodb", "lambda", "pipes")
def endless_retries(scenario: Scenario) -> Findings:
    """A stream consumer needs a limit on its retries, and a failure destination.

    By default Lambda and Pipes retry a failing batch until its records expire: one poison record
    blocks its shard, and the records behind it expire with it. Set MaximumRetryAttempts or
    MaximumRecordAgeInSeconds, and a destination: DestinationConfig.OnFailure of a mapping,
    DeadLetterConfig of a pipe.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
    """
    for reader, destination, retries, age in _limits(scenario):
        if retries == age == ENDLESS:
            kept = "" if reader.get(destination) else ", and has no failure destination"
            yield Finding(
                reader,
                f"{reader} retries a failing batch until its records expire{kept}: one poison "
                "record blocks its shard. Set MaximumRetryAttempts or MaximumRecordAgeInSeconds, "
                f"and {destination}.",
            )


@rule("W9122", "kinesis", "dynamodb", "lambda", "pipes")
def discarded_records(scenario: Scenario) -> Findings:
    """A stream consumer that gives up on a batch needs a failure destination.

    Lambda and Pipes skip a batch that reaches its maximum retries or age. Without a failure
    destination, nothing shows which records were lost. Set DestinationConfig.OnFailure of a mapping
    to a standard queue, a standard topic, or a bucket (which gets the payload too), or
    DeadLetterConfig of a pipe.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
    """
    for reader, destination, retries, age in _limits(scenario):
        if retries == age == ENDLESS or reader.get(destination) is not None:
            continue
        limit = f"{retries} retries" if retries != ENDLESS else f"{age} s"
        yield Finding(
            reader,
            f"{reader} skips a batch after {limit} without a failure destination: its records are "
            f"lost. Set {destination}.",
        )


@rule("W9123", "kinesis", "dynamodb", "lambda")
def starts_at_the_latest(scenario: Scenario) -> Findings:
    """A stream mapping should not start at LATEST.

    Polling starts some minutes after the mapping is created, and stops for a while when it is
    updated: with LATEST, the records of that time are never read. Set StartingPosition to
    TRIM_HORIZON or AT_TIMESTAMP.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-create.html
    """
    for mapping, settings, _ in _readers(scenario):
        if not settings and mapping.get("StartingPosition") == "LATEST":
            yield Finding(
                mapping,
                f"{mapping} starts at LATEST: records that arrive while it is made or updated are "
                "never read. Set StartingPosition to TRIM_HORIZON or AT_TIMESTAMP.",
                ("StartingPosition",),
            )
