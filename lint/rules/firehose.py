"""Firehose transforms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lint import template

PAGE = "https://docs.aws.amazon.com/firehose/latest/dev/data-transformation.html"
MAX_MIB, MAX_SECONDS = 3, 300


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
