"""Firehose: transforms, partitions, formats and what becomes of failed records."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .. import template

DOCS = "https://docs.aws.amazon.com/firehose/latest"
PAGE = f"{DOCS}/dev/data-transformation.html"
MAX_MIB, MAX_SECONDS = 3, 300
MIN_BUFFER_MIB, MIN_INTERVAL = 64, 60
S3 = "ExtendedS3DestinationConfiguration"
EXPRESSION = re.compile(r"!\{[a-zA-Z]+:")
ERROR_TYPE = "!{firehose:error-output-type}"


def _processors(
    scenario: template.Scenario,
) -> Iterator[tuple[template.Resource, tuple[str | int, ...], dict[str, Any]]]:
    """Yield each Lambda processor: its stream, where it stands, its parameters by name."""
    for stream in scenario.of("AWS::KinesisFirehose::DeliveryStream"):
        for destination in map(str, stream.properties):
            where = (destination, "ProcessingConfiguration")
            enabled = stream.flag(".".join((*where, "Enabled")), default=None)
            for index, processor in enumerate(stream.list(".".join((*where, "Processors")))):
                if not isinstance(processor, Mapping) or processor.get("Type") != "Lambda":
                    continue
                listed = template.as_list(processor.get("Parameters"))
                parameters = {
                    str(item.get("ParameterName")): item.get("ParameterValue")
                    for item in listed
                    if isinstance(item, Mapping)
                }
                if enabled:
                    yield stream, (*where, "Processors", index), parameters


class ProcessorBuffer(template.Rule):
    id = "E9141"
    shortdesc = "A Firehose transform's buffer must not exceed 3 MB"
    description = (
        "Lambda takes and returns at most 6 MB, and base64 and JSON enlarge the records, so the "
        "hint is 0.2 to 3 MB. A larger batch fails and ends in the processing-failed prefix. Set "
        "BufferSizeInMBs to 3 or less."
    )
    source_url = PAGE
    tags = ["firehose", "lambda"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for stream, where, parameters in _processors(scenario):
            try:
                given = float(parameters.get("BufferSizeInMBs", 1))
            except (TypeError, ValueError):
                continue
            if given > MAX_MIB:
                yield template.Finding(
                    stream,
                    f"{stream.id} hands its transform {given:g} MB at a time: allowed is 0.2 to "
                    "3 MB, as Lambda takes and returns 6 MB at most. Set BufferSizeInMBs to 3.",
                    where,
                )


class ProcessorTimeout(template.Rule):
    id = "E9142"
    shortdesc = "A Firehose transform must not run longer than 5 minutes"
    description = (
        "Firehose waits 5 minutes for its function, then tries again, and after three retries "
        "the batch ends in the processing-failed prefix. Set the function's Timeout to 300 s or "
        "less."
    )
    source_url = PAGE
    tags = ["firehose", "lambda"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for _, _, parameters in _processors(scenario):
            arn = str(parameters.get("LambdaArn")).removesuffix(":$LATEST")
            function = scenario.function(arn)
            timeout = function.number("Timeout", 3) if function else None
            if function and timeout is not None and timeout > MAX_SECONDS:
                yield template.Finding(
                    function,
                    f"{function.id} transforms for Firehose and may run {timeout} s, but Firehose "
                    f"waits {MAX_SECONDS} s. Set Timeout to {MAX_SECONDS} or less.",
                    ("Timeout",),
                )


def _buckets(scenario: template.Scenario) -> Iterator[tuple[template.Resource, bool, bool]]:
    """Yield streams to S3, and whether they partition dynamically and convert the format."""
    for stream in scenario.of("AWS::KinesisFirehose::DeliveryStream"):
        if isinstance(stream.get(S3), Mapping):
            partitions = stream.flag(f"{S3}.DynamicPartitioningConfiguration.Enabled")
            conversion = f"{S3}.DataFormatConversionConfiguration"
            converts = stream.flag(f"{conversion}.Enabled", default=bool(stream.get(conversion)))
            yield stream, bool(partitions), bool(converts)


class ErrorPrefix(template.Rule):
    id = "E9143"
    shortdesc = "A Firehose prefix with expressions needs an error prefix"
    description = (
        "Firehose rejects a Prefix with !{…}, and dynamic partitioning, without an "
        "ErrorOutputPrefix, and an ErrorOutputPrefix with !{…} that does not hold "
        "!{firehose:error-output-type}. Set ErrorOutputPrefix, such as "
        "errors/!{firehose:error-output-type}/."
    )
    source_url = f"{DOCS}/dev/s3-prefixes.html"
    tags = ["firehose", "s3"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for stream, partitions, _ in _buckets(scenario):
            errors = stream.get(f"{S3}.ErrorOutputPrefix")
            expressive = EXPRESSION.search(str(stream.get(f"{S3}.Prefix") or ""))
            if errors is None and (expressive or partitions):
                yield template.Finding(
                    stream,
                    f"{stream.id} has a prefix with expressions, or partitions dynamically, and "
                    "has no ErrorOutputPrefix: Firehose rejects it. Set one.",
                    (S3,),
                )
            elif _expression_without_type(errors):
                yield template.Finding(
                    stream,
                    f"The ErrorOutputPrefix of {stream.id} has expressions, but not {ERROR_TYPE}: "
                    "Firehose rejects it. Add it.",
                    (S3, "ErrorOutputPrefix"),
                )


def _expression_without_type(prefix: Any) -> bool:
    known = isinstance(prefix, str) and not template.is_unknown(prefix)
    return known and bool(EXPRESSION.search(prefix)) and ERROR_TYPE not in prefix


class SmallBuffer(template.Rule):
    id = "E9144"
    shortdesc = "Format conversion and dynamic partitioning need large Firehose buffers"
    description = (
        "Both need SizeInMBs of at least 64, and dynamic partitioning an IntervalInSeconds of at "
        "least 60 (it has no zero buffering): Firehose rejects less. Raise BufferingHints."
    )
    source_url = f"{DOCS}/dev/buffering.html"
    tags = ["firehose", "s3"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for stream, partitions, converts in _buckets(scenario):
            size = stream.number(f"{S3}.BufferingHints.SizeInMBs")
            interval = stream.number(f"{S3}.BufferingHints.IntervalInSeconds")
            small = (partitions or converts) and size is not None and size < MIN_BUFFER_MIB
            short = partitions and interval is not None and interval < MIN_INTERVAL
            if small or short:
                yield template.Finding(
                    stream,
                    f"{stream.id} converts or partitions with a buffer of {size or 'default'} MB "
                    f"and {'default' if interval is None else interval} s: Firehose needs "
                    f"{MIN_BUFFER_MIB} MB, and {MIN_INTERVAL} s to partition.",
                    (S3, "BufferingHints"),
                )


class CompressedTwice(template.Rule):
    id = "E9145"
    shortdesc = "Firehose cannot compress what it converts"
    description = (
        "With format conversion, CompressionFormat must be UNCOMPRESSED: Parquet and ORC compress "
        "by themselves, and Firehose rejects the rest. Leave CompressionFormat out."
    )
    source_url = f"{DOCS}/dev/enable-record-format-conversion.html"
    tags = ["firehose", "s3"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for stream, _, converts in _buckets(scenario):
            compression = stream.get(f"{S3}.CompressionFormat")
            known = isinstance(compression, str) and not template.is_unknown(compression)
            if converts and known and compression != "UNCOMPRESSED":
                yield template.Finding(
                    stream,
                    f"{stream.id} converts the format and compresses with {compression}: Firehose "
                    "rejects both together. Leave CompressionFormat out.",
                    (S3, "CompressionFormat"),
                )


class EncryptedSource(template.Rule):
    id = "E9146"
    shortdesc = "Firehose encrypts only what is put to it directly"
    description = (
        "Server-side encryption is for DirectPut only: Firehose rejects it on a stream that reads "
        "Kinesis or Kafka. Encrypt the source, and leave "
        "DeliveryStreamEncryptionConfigurationInput out."
    )
    source_url = f"{DOCS}/APIReference/API_StartDeliveryStreamEncryption.html"
    tags = ["firehose", "kinesis", "kms"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for stream in scenario.of("AWS::KinesisFirehose::DeliveryStream"):
            kind = stream.get("DeliveryStreamType")
            encrypted = stream.get("DeliveryStreamEncryptionConfigurationInput")
            if encrypted is not None and kind in ("KinesisStreamAsSource", "MSKAsSource"):
                yield template.Finding(
                    stream,
                    f"{stream.id} reads a source and has encryption of its own: Firehose rejects "
                    "it. Encrypt the source instead.",
                    ("DeliveryStreamEncryptionConfigurationInput",),
                )


class ErrorsAmongData(template.Rule):
    id = "I9147"
    shortdesc = "Failed Firehose records should not lie below the data's prefix"
    description = (
        "Without an ErrorOutputPrefix, what could not be transformed or converted goes below "
        "Prefix, where whoever reads the data meets it as data. Set ErrorOutputPrefix."
    )
    source_url = f"{DOCS}/dev/s3-prefixes.html"
    tags = ["firehose", "s3"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        transforming = {stream.id for stream, _, _ in _processors(scenario)}
        for stream, _, converts in _buckets(scenario):
            prefix = stream.get(f"{S3}.Prefix")
            if not (converts or stream.id in transforming) or not prefix:
                continue
            if stream.get(f"{S3}.ErrorOutputPrefix") is None:
                yield template.Finding(
                    stream,
                    f"{stream.id} puts what fails below the data's prefix, among the data. Set "
                    "ErrorOutputPrefix.",
                    (S3, "Prefix"),
                )
