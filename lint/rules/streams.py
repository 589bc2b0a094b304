"""Event source mappings: Kinesis and DynamoDB streams → Lambda."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lint import template

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = "https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html"
STREAMS = ("AWS::Kinesis::Stream", "AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable")
ENDLESS = -1


def _unguarded(scenario: template.Scenario) -> Iterator[tuple[template.Resource, int, int]]:
    """Yield each stream mapping without a failure destination, its retries and its record age."""
    for mapping in scenario.of("AWS::Lambda::EventSourceMapping"):
        if not scenario.find(mapping.get("EventSourceArn"), *STREAMS):
            continue
        retries = mapping.number("MaximumRetryAttempts", ENDLESS)
        age = mapping.number("MaximumRecordAgeInSeconds", ENDLESS)
        destination = mapping.get("DestinationConfig.OnFailure.Destination")
        if destination is None and retries is not None and age is not None:
            yield mapping, retries, age


class EndlessRetries(template.Rule):
    id = "W9121"
    shortdesc = "A stream mapping needs an end to its retries, and a failure destination"
    description = (
        "By default Lambda retries a failing batch until its records expire: one poison record "
        "blocks its shard, and the records behind it expire with it. Set MaximumRetryAttempts or "
        "MaximumRecordAgeInSeconds, and DestinationConfig.OnFailure."
    )
    source_url = PAGE
    tags = ["kinesis", "dynamodb", "lambda"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for mapping, retries, age in _unguarded(scenario):
            if retries == age == ENDLESS:
                yield template.Finding(
                    mapping,
                    f"{mapping.id} retries a failing batch until its records expire, and keeps "
                    "them nowhere: one poison record blocks its shard. Set MaximumRetryAttempts "
                    "or MaximumRecordAgeInSeconds, and DestinationConfig.OnFailure.",
                )


class DiscardedRecords(template.Rule):
    id = "W9122"
    shortdesc = "A stream mapping that gives up needs a failure destination"
    description = (
        "When the retries or the age of a batch run out, Lambda skips it. Without a failure "
        "destination nothing tells which records were lost. Set DestinationConfig.OnFailure to a "
        "standard queue, a standard topic, or a bucket (which gets the payload too)."
    )
    source_url = PAGE
    tags = ["kinesis", "dynamodb", "lambda"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for mapping, retries, age in _unguarded(scenario):
            if retries != ENDLESS or age != ENDLESS:
                limit = f"{retries} retries" if retries != ENDLESS else f"{age} s"
                yield template.Finding(
                    mapping,
                    f"{mapping.id} skips a batch after {limit} and keeps it nowhere: its records "
                    "are lost. Set DestinationConfig.OnFailure.",
                )
