"""Event source mappings: Kinesis and DynamoDB streams → Lambda."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import template

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = "https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html"
CREATE_PAGE = "https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-create.html"
STREAMS = (
    "AWS::Kinesis::Stream",
    "AWS::Kinesis::StreamConsumer",
    "AWS::DynamoDB::Table",
    "AWS::DynamoDB::GlobalTable",
)
ENDLESS = -1
MAPPING = ("", "EventSourceArn", "DestinationConfig.OnFailure.Destination")
PIPES = tuple(
    (f"SourceParameters.{kind}StreamParameters.", "Source", "DeadLetterConfig.Arn")
    for kind in ("Kinesis", "DynamoDB")
)


def _readers(
    scenario: template.Scenario,
) -> Iterator[tuple[template.Resource, str, str]]:
    """Yield what reads a stream, where its settings stand, and its failure destination."""
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


def _limits(scenario: template.Scenario) -> Iterator[tuple[template.Resource, str, int, int]]:
    """Yield what reads a stream, its failure destination's place, its retries and record age."""
    for reader, settings, destination in _readers(scenario):
        retries = reader.number(f"{settings}MaximumRetryAttempts", ENDLESS)
        age = reader.number(f"{settings}MaximumRecordAgeInSeconds", ENDLESS)
        if retries is not None and age is not None:
            yield reader, destination, retries, age


class EndlessRetries(template.Rule):
    id = "W9121"
    shortdesc = "What reads a stream needs an end to its retries, and a failure destination"
    description = (
        "By default Lambda and Pipes retry a failing batch until its records expire: one poison "
        "record blocks its shard, and the records behind it expire with it. Set "
        "MaximumRetryAttempts or MaximumRecordAgeInSeconds, and a destination: "
        "DestinationConfig.OnFailure of a mapping, DeadLetterConfig of a pipe."
    )
    source_url = PAGE
    tags = ["kinesis", "dynamodb", "lambda", "pipes"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for reader, destination, retries, age in _limits(scenario):
            if retries == age == ENDLESS:
                kept = "" if reader.get(destination) else ", and keeps them nowhere"
                yield template.Finding(
                    reader,
                    f"{reader.id} retries a failing batch until its records expire{kept}: one "
                    "poison record blocks its shard. Set MaximumRetryAttempts or "
                    f"MaximumRecordAgeInSeconds, and {destination}.",
                )


class DiscardedRecords(template.Rule):
    id = "W9122"
    shortdesc = "What reads a stream and gives up needs a failure destination"
    description = (
        "When the retries or the age of a batch run out, Lambda and Pipes skip it. Without a "
        "failure destination nothing tells which records were lost. Set "
        "DestinationConfig.OnFailure of a mapping to a standard queue, a standard topic, or a "
        "bucket (which gets the payload too), or DeadLetterConfig of a pipe."
    )
    source_url = PAGE
    tags = ["kinesis", "dynamodb", "lambda", "pipes"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for reader, destination, retries, age in _limits(scenario):
            if retries == age == ENDLESS or reader.get(destination) is not None:
                continue
            limit = f"{retries} retries" if retries != ENDLESS else f"{age} s"
            yield template.Finding(
                reader,
                f"{reader.id} skips a batch after {limit} and keeps it nowhere: its records are "
                f"lost. Set {destination}.",
            )


class StartsAtTheLatest(template.Rule):
    id = "W9123"
    shortdesc = "A stream mapping should not start at LATEST"
    description = (
        "Polling starts some minutes after the mapping is made, and stops for a while when it is "
        "updated: with LATEST, the records of that time are never read. Set StartingPosition to "
        "TRIM_HORIZON or AT_TIMESTAMP."
    )
    source_url = CREATE_PAGE
    tags = ["kinesis", "dynamodb", "lambda"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for mapping, settings, _ in _readers(scenario):
            if not settings and mapping.get("StartingPosition") == "LATEST":
                yield template.Finding(
                    mapping,
                    f"{mapping.id} starts at LATEST: records that come while it is made or updated "
                    "are never read. Set StartingPosition to TRIM_HORIZON or AT_TIMESTAMP.",
                    ("StartingPosition",),
                )
