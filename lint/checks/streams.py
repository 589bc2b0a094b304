"""Event source mappings: Kinesis and DynamoDB streams → Lambda."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serverless_patterns.patterns.checks import lambda_
from serverless_patterns.patterns.limits import KINESIS_MIN_RETENTION

from .. import arns
from ..template import Finding, Findings, Resource, Scenario, is_unknown, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

STREAMS = (
    "AWS::Kinesis::Stream",
    "AWS::Kinesis::StreamConsumer",
    "AWS::DynamoDB::Table",
    "AWS::DynamoDB::GlobalTable",
)
LIMITS = "MaximumRetryAttempts or MaximumRecordAgeInSeconds"
HOUR = 3_600
ENDLESS = -1  # as Lambda and Pipes write it, and their default
ON_FAILURE = "DestinationConfig.OnFailure.Destination"
OTHERS = (
    "Topics",
    "SelfManagedEventSource",
    "AmazonManagedKafkaEventSourceConfig",
    "SelfManagedKafkaEventSourceConfig",
    "DocumentDBEventSourceConfig",
)
PIPES = tuple(f"SourceParameters.{kind}StreamParameters." for kind in ("Kinesis", "DynamoDB"))
# What else starts somewhere: a mapping of any source, and a pipe from Kafka.
KAFKA = tuple(
    f"SourceParameters.{kind}KafkaParameters." for kind in ("ManagedStreaming", "SelfManaged")
)


def is_stream(scenario: Scenario, mapping: Resource) -> bool:
    """Tell whether a mapping reads a Kinesis or a DynamoDB stream: by what its source is, or asks.

    Of the sources that need a starting position, Kafka has topics, and DocumentDB settings.
    """
    source = mapping.get("EventSourceArn")
    if scenario.find(source, *STREAMS) or arns.service(source) in ("kinesis", "dynamodb"):
        return True
    others = any(mapping.get(place) is not None for place in OTHERS)
    return is_unknown(source) and mapping.get("StartingPosition") is not None and not others


def _is_kafka(mapping: Resource) -> bool:
    """Tell whether a mapping reads Kafka: a destination limits its retries, as AWS says.

    https://docs.aws.amazon.com/lambda/latest/dg/kafka-retry-configurations.html
    """
    return any(mapping.get(place) is not None for place in OTHERS[:-1])


def _readers(scenario: Scenario) -> Iterator[tuple[Resource, str, str]]:
    """Yield what reads a stream, the path of its settings, and that of its failure destination."""
    for mapping in scenario.of("AWS::Lambda::EventSourceMapping"):
        if is_stream(scenario, mapping) or _is_kafka(mapping):
            yield mapping, "", ON_FAILURE
    for pipe in scenario.of("AWS::Pipes::Pipe"):
        for settings in PIPES:
            if pipe.get(f"{settings}StartingPosition") is not None:
                yield pipe, settings, f"{settings}DeadLetterConfig.Arn"


def _limits(scenario: Scenario) -> Iterator[tuple[Resource, str, int, int]]:
    """Yield what reads a stream, its failure destination's path, its retries and record age."""
    for reader, settings, destination in _readers(scenario):
        retries = reader.number(f"{settings}MaximumRetryAttempts", ENDLESS)
        age = reader.number(f"{settings}MaximumRecordAgeInSeconds", ENDLESS)
        if retries is not None and age is not None:
            yield reader, destination, retries, age


@rule("W9121", "kinesis", "dynamodb", "kafka", "lambda", "pipes")
def endless_retries(scenario: Scenario) -> Findings:
    """A stream consumer needs a limit on its retries, and a failure destination.

    By default Lambda and Pipes retry a failing batch until its records expire: one poison record
    blocks its shard, and the records behind it expire with it. Set MaximumRetryAttempts or
    MaximumRecordAgeInSeconds, and a destination: DestinationConfig.OnFailure of a mapping,
    DeadLetterConfig of a pipe. For Kafka a destination is enough: it limits the retries.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
    """
    for reader, destination, retries, age in _limits(scenario):
        kept = reader.get(destination) is not None
        if retries == age == ENDLESS and not (kept and _is_kafka(reader)):
            without = "" if kept else ", and has no failure destination"
            missing = [] if _is_kafka(reader) else [LIMITS]
            missing += [] if kept else [destination]
            yield Finding(
                reader,
                f"{reader} retries a failing batch until its records expire{without}: one poison "
                f"record blocks its shard or partition. Set {', and '.join(missing)}.",
            )


@rule("W9122", "kinesis", "dynamodb", "kafka", "lambda", "pipes")
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


@rule(
    "W9123", "kinesis", "dynamodb", "kafka", "lambda", "pipes", shared=lambda_.starts_at_the_latest
)
def starts_at_the_latest(scenario: Scenario) -> Findings:
    """A stream mapping or a pipe should not start at LATEST.

    Polling starts some minutes after the mapping or the pipe is created, and stops for a while when
    it is updated: with LATEST, the records of that time are never read, of Kafka neither. Set
    StartingPosition to TRIM_HORIZON or AT_TIMESTAMP.
    """
    for kind, places in (
        ("AWS::Lambda::EventSourceMapping", ("",)),
        ("AWS::Pipes::Pipe", (*PIPES, *KAFKA)),
    ):
        for reader in scenario.of(kind):
            for settings in places:
                if reader.get(f"{settings}StartingPosition") == "LATEST":
                    yield Finding(
                        reader,
                        lambda_.starts_at_the_latest(reader),
                        tuple(f"{settings}StartingPosition".split(".")),
                    )


@rule("W9124", "kinesis", "lambda", shared=lambda_.record_age)
def gives_up_what_is_gone(scenario: Scenario) -> Findings:
    """A stream consumer gives up a record while the stream still has it.

    The failure destination gets the range of the stream, and not the events (a bucket gets them,
    too). With a maximum record age as long as the retention period, that range is gone.
    """
    for mapping in scenario.of("AWS::Lambda::EventSourceMapping"):
        source, place = mapping.get("EventSourceArn"), "MaximumRecordAgeInSeconds"
        if consumer := scenario.find(source, "AWS::Kinesis::StreamConsumer"):
            source = consumer.get("StreamARN")
        stream = scenario.find(source, "AWS::Kinesis::Stream")
        age = mapping.number(place, ENDLESS)
        shortest = KINESIS_MIN_RETENTION // HOUR
        hours = stream.number("RetentionPeriodHours", shortest) if stream else 0
        if age in (None, ENDLESS) or not hours:
            continue
        if problem := lambda_.record_age(mapping, age, stream, hours * HOUR):
            yield Finding(mapping, problem, (place,))
