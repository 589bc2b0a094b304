"""Firehose: transforms, partitions, formats, and where failed records go."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from serverless_patterns.patterns.checks import firehose
from serverless_patterns.patterns.limits import LAMBDA_DEFAULT_TIMEOUT

from ..template import At, Finding, Findings, Resource, Scenario, is_unknown, rule

STREAM, S3 = "AWS::KinesisFirehose::DeliveryStream", "ExtendedS3DestinationConfiguration"
EXPRESSION = re.compile(r"!\{[a-zA-Z]+:")
ERROR_TYPE = "!{firehose:error-output-type}"


def _processors(scenario: Scenario) -> Iterator[tuple[Resource, At, dict[str, Any]]]:
    """Yield each Lambda processor: its stream, its place, its parameters by name."""
    for stream in scenario.of(STREAM):
        for destination in map(str, stream.properties):
            where = f"{destination}.ProcessingConfiguration"
            for processor in stream.parts(f"{where}.Processors"):
                if stream.flag(f"{where}.Enabled") and processor.get("Type") == "Lambda":
                    parameters = {
                        str(item.get("ParameterName")): item.get("ParameterValue")
                        for item in processor.parts("Parameters")
                    }
                    yield stream, processor.at, parameters


@rule("E9141", "firehose", "lambda", shared=firehose.transform_batch)
def transform_batch(scenario: Scenario) -> Findings:
    """A Firehose transform's batch must fit into one call of its function.

    Base64 and JSON enlarge the records, and Lambda limits the size of requests and responses: a
    larger batch fails and is stored under the processing-failed prefix. Change BufferSizeInMBs.
    """
    for stream, where, parameters in _processors(scenario):
        try:
            given = float(parameters["BufferSizeInMBs"])
        except (KeyError, TypeError, ValueError):
            continue
        problem = firehose.transform_batch(f"BufferSizeInMBs of {stream}", given)
        yield Finding(stream, problem, where)


@rule("E9142", "firehose", "lambda", shared=firehose.transform_timeout)
def transform_timeout(scenario: Scenario) -> Findings:
    """A Firehose transform must not run longer than {FIREHOSE_MAX_TRANSFORM_TIMEOUT} s.

    Firehose waits that long for its function, then invokes it again; after the retries, the batch
    is stored under the processing-failed prefix. Lower the function's Timeout.
    """
    for _, _, parameters in _processors(scenario):
        function = scenario.function(str(parameters.get("LambdaArn")).removesuffix(":$LATEST"))
        timeout = function.number("Timeout", LAMBDA_DEFAULT_TIMEOUT) if function else None
        if function and timeout is not None:
            yield Finding(function, firehose.transform_timeout(function, timeout), ("Timeout",))


def _buckets(scenario: Scenario) -> Iterator[tuple[Resource, bool, bool]]:
    """Yield streams to S3, and whether they partition dynamically and convert the format."""
    for stream in scenario.of(STREAM):
        if isinstance(stream.get(S3), Mapping):
            partitions = stream.flag(f"{S3}.DynamicPartitioningConfiguration.Enabled")
            conversion = f"{S3}.DataFormatConversionConfiguration"
            converts = stream.flag(f"{conversion}.Enabled", default=bool(stream.get(conversion)))
            yield stream, bool(partitions), bool(converts)


@rule("E9143", "firehose", "s3")
def error_prefix(scenario: Scenario) -> Findings:
    """A Firehose prefix with expressions needs an error prefix.

    Firehose rejects a Prefix with !{…}, and dynamic partitioning, without an ErrorOutputPrefix, and
    an ErrorOutputPrefix with !{…} that has no !{firehose:error-output-type}. Set ErrorOutputPrefix,
    such as errors/!{firehose:error-output-type}/.

    Source: https://docs.aws.amazon.com/firehose/latest/dev/s3-prefixes.html
    """
    for stream, partitions, _ in _buckets(scenario):
        errors = stream.get(f"{S3}.ErrorOutputPrefix")
        expressive = EXPRESSION.search(str(stream.get(f"{S3}.Prefix") or ""))
        if errors is None and (expressive or partitions):
            does = "partitions dynamically" if partitions else "has a prefix with expressions"
            yield Finding(
                stream,
                f"{stream} {does}, and has no ErrorOutputPrefix: Firehose rejects it. Set one.",
                (S3,),
            )
        elif _expression_without_type(errors):
            yield Finding(
                stream,
                f"The ErrorOutputPrefix of {stream} has expressions, but not {ERROR_TYPE}: "
                "Firehose rejects it. Add it.",
                (S3, "ErrorOutputPrefix"),
            )


def _expression_without_type(prefix: Any) -> bool:
    known = isinstance(prefix, str) and not is_unknown(prefix)
    return known and bool(EXPRESSION.search(prefix)) and ERROR_TYPE not in prefix


@rule("E9144", "firehose", "s3", shared=firehose.large_buffer)
def large_buffer(scenario: Scenario) -> Findings:
    """Format conversion and dynamic partitioning need large Firehose buffers.

    Both need SizeInMBs of at least {FIREHOSE_MIN_LARGE_BUFFER}, and dynamic partitioning an
    IntervalInSeconds of at least {FIREHOSE_MIN_PARTITIONING_INTERVAL} (zero buffering is not
    supported): Firehose rejects lower values. Raise BufferingHints.
    """
    for stream, partitions, converts in _buckets(scenario):
        size = stream.number(f"{S3}.BufferingHints.SizeInMBs")
        wait = stream.number(f"{S3}.BufferingHints.IntervalInSeconds")
        problem = firehose.large_buffer(
            stream, size, wait, converts=converts, partitions=partitions
        )
        yield Finding(stream, problem, (S3, "BufferingHints"))


@rule("E9145", "firehose", "s3")
def compressed_twice(scenario: Scenario) -> Findings:
    """Firehose cannot compress data whose format it converts.

    With format conversion, CompressionFormat must be UNCOMPRESSED: Parquet and ORC are compressed
    already, and Firehose rejects any other value. Leave CompressionFormat out.

    Source: https://docs.aws.amazon.com/firehose/latest/dev/enable-record-format-conversion.html
    """
    for stream, _, converts in _buckets(scenario):
        compression = stream.get(f"{S3}.CompressionFormat")
        known = isinstance(compression, str) and not is_unknown(compression)
        if converts and known and compression != "UNCOMPRESSED":
            yield Finding(
                stream,
                f"{stream} converts the format and compresses with {compression}: Firehose rejects "
                "both together. Leave CompressionFormat out.",
                (S3, "CompressionFormat"),
            )


@rule("E9146", "firehose", "kinesis", "kms")
def encrypted_source(scenario: Scenario) -> Findings:
    """Firehose encrypts only records that are put to it directly.

    Server-side encryption is for DirectPut only: Firehose rejects it on a stream that reads Kinesis
    or Kafka. Encrypt the source, and leave DeliveryStreamEncryptionConfigurationInput out.

    Source:
    https://docs.aws.amazon.com/firehose/latest/APIReference/API_StartDeliveryStreamEncryption.html
    """
    for stream in scenario.of(STREAM):
        reads = stream.get("DeliveryStreamType") in ("KinesisStreamAsSource", "MSKAsSource")
        if reads and stream.get("DeliveryStreamEncryptionConfigurationInput") is not None:
            yield Finding(
                stream,
                f"{stream} reads a source and has encryption of its own: Firehose rejects it. "
                "Encrypt the source instead.",
                ("DeliveryStreamEncryptionConfigurationInput",),
            )


@rule("I9147", "firehose", "s3", shared=firehose.folder_within)
def errors_among_data(scenario: Scenario) -> Findings:
    """Failed Firehose records should not be stored under the data's prefix.

    Without an ErrorOutputPrefix, records that cannot be transformed or converted are stored under
    Prefix, where consumers read them as data. Set ErrorOutputPrefix.
    """
    transforming = {stream.id for stream, _, _ in _processors(scenario)}
    for stream, _, converts in _buckets(scenario):
        prefix = stream.get(f"{S3}.Prefix")
        fails = converts or stream.id in transforming
        if fails and prefix and stream.get(f"{S3}.ErrorOutputPrefix") is None:
            errors = f"ErrorOutputPrefix of {stream}, which is Prefix if left out,"
            problem = firehose.folder_within("Prefix", str(prefix), errors, str(prefix))
            yield Finding(stream, problem, (S3, "Prefix"))
