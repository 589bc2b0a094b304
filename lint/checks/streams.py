"""Event source mappings: Kinesis and DynamoDB streams → Lambda."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serverless_patterns.patterns.checks import dynamodb, lambda_
from serverless_patterns.patterns.limits import DYNAMODB_STREAM_KEPT, KINESIS_MIN_RETENTION

from .. import arns
from ..template import Finding, Findings, Resource, Scenario, is_unknown, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLES = ("AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable")
STREAMS = ("AWS::Kinesis::Stream", "AWS::Kinesis::StreamConsumer", *TABLES)
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


@rule("W9124", "kinesis", "dynamodb", "lambda", shared=lambda_.record_age)
def gives_up_what_is_gone(scenario: Scenario) -> Findings:
    """A stream consumer gives up a record while the stream still has it.

    The failure destination gets the range of the stream, and not the events (a bucket gets them,
    too). With a maximum record age as long as the retention period, that range is gone.
    """
    for mapping in scenario.of("AWS::Lambda::EventSourceMapping"):
        source, place = mapping.get("EventSourceArn"), "MaximumRecordAgeInSeconds"
        if consumer := scenario.find(source, "AWS::Kinesis::StreamConsumer"):
            source = consumer.get("StreamARN")
        stream = scenario.find(source, "AWS::Kinesis::Stream", *TABLES)
        kept = _kept(stream) if stream else None
        age = mapping.number(place)
        if age in (None, ENDLESS) or not kept:
            continue
        if problem := lambda_.record_age(mapping, age, stream, kept):
            yield Finding(mapping, problem, (place,))


def _kept(stream: Resource) -> int | None:
    """Return how long a stream, or that of a table, keeps a record, in seconds."""
    if stream.type in TABLES:
        return DYNAMODB_STREAM_KEPT
    hours = stream.number("RetentionPeriodHours", KINESIS_MIN_RETENTION // HOUR)
    return None if hours is None else hours * HOUR


@rule("E9126", "dynamodb", "lambda", "pipes", shared=dynamodb.missing_image)
def filters_by_a_missing_image(scenario: Scenario) -> Findings:
    """A filter compares an image that the stream of the table does not have.

    What no filter matches is dropped without a trace, and counts as processed. A stream of
    KEYS_ONLY has no image, one of NEW_IMAGE no OldImage: a filter by it matches no change.
    """
    for reader, place, filters in _filters(scenario):
        table = scenario.find(reader.get(place), *TABLES)
        view = table.get("StreamSpecification.StreamViewType") if table else None
        if not isinstance(view, str) or not isinstance(filters, list):
            continue
        patterns = [one.get("Pattern") for one in filters if isinstance(one, dict)]
        known = [one for one in patterns if isinstance(one, str)]
        if problem := dynamodb.missing_image(reader, known, table, view):
            yield Finding(reader, problem)


def _filters(scenario: Scenario) -> Iterator[tuple[Resource, str, object]]:
    for mapping in scenario.of("AWS::Lambda::EventSourceMapping"):
        yield mapping, "EventSourceArn", mapping.get("FilterCriteria.Filters")
    for pipe in scenario.of("AWS::Pipes::Pipe"):
        yield pipe, "Source", pipe.get("SourceParameters.FilterCriteria.Filters")


@rule("W9127", "dynamodb", "lambda", "pipes", shared=dynamodb.too_many_readers)
def too_many_readers(scenario: Scenario) -> Findings:
    """The stream of a table has at most two readers, that of a global table one.

    DynamoDB throttles more: they fall behind, and changes expire unread.
    """
    readers: dict[str, list[Resource]] = {}
    tables: dict[str, Resource] = {}
    for reader, place, _ in _filters(scenario):
        if table := scenario.find(reader.get(place), *TABLES):
            tables[table.id] = table
            readers.setdefault(table.id, []).append(reader)
    for name, found in readers.items():
        replicas = tables[name].get("Replicas")
        is_global = isinstance(replicas, list) and len(replicas) > 1
        if problem := dynamodb.too_many_readers(tables[name], len(found), is_global=is_global):
            yield Finding(found[-1], problem)


@rule("E9219", "sqs", "kinesis", "dynamodb", "lambda", shared=lambda_.one_mapping)
def two_mappings(scenario: Scenario) -> Findings:
    """A function has one event source mapping for a queue, a stream or a consumer of a stream.

    Lambda rejects a second one with ResourceConflictException, and the deployment fails. Leave it
    out, or give it another function.
    """
    first: set[tuple[str, str]] = set()
    for mapping in scenario.of("AWS::Lambda::EventSourceMapping"):
        both = tuple(mapping.get(place) for place in ("EventSourceArn", "FunctionName"))
        source, function = (str(scenario.find(one) or one) for one in both)
        if is_unknown([source, function]) or any(mapping.get(one) is not None for one in OTHERS):
            continue  # of one cluster, each topic or collection has a mapping
        if (source, function) in first:
            problem = lambda_.one_mapping(mapping, function, source)
            yield Finding(mapping, problem, ("EventSourceArn",))
        first.add((source, function))
