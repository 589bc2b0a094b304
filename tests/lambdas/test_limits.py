"""A handler, which is deployed without the limits, has the numbers that they have."""

from __future__ import annotations

from importlib import import_module

import pytest

from serverless_patterns.patterns import limits
from tests.conftest import ROOT
from tests.lambdas import consumers

SAME = {
    "foundation.bodies.MAX_KEYS": limits.S3_DELETE_KEYS,
    "foundation.buses.MAX_ENTRIES": limits.EVENTS_BATCH_ENTRIES,
    "foundation.channels.MAX_EVENTS": limits.APPSYNC_EVENTS_A_PUBLISH,
    "foundation.dead_letters.MAX_ENTRIES": limits.SQS_BATCH_ENTRIES,
    "foundation.dead_letters.MAX_BYTES": limits.SQS_MESSAGE_BYTES,
    "foundation.dead_letters.MAX_ATTRIBUTES": limits.SQS_MESSAGE_ATTRIBUTES,
    "foundation.large_messages.LONG_POLL": limits.SQS_LONG_POLL,
    "foundation.large_messages.SNS_BYTES": limits.SNS_MESSAGE_BYTES,
    "foundation.objects.MAX_KEY_BYTES": limits.S3_KEY_BYTES,
    "foundation.pointers.MAX_BYTES": limits.EXTENDED_CLIENT_GB * 1024**3,
    "foundation.pointers.MAX_KEY": limits.S3_KEY_BYTES,
    "foundation.sweeps.MAX_KEYS": limits.DYNAMODB_BATCH_KEYS,
    "foundation.tables.MAX_ACTIONS": limits.DYNAMODB_TRANSACTION_ACTIONS,
    "foundation.streams.MAX_RECORDS": limits.KINESIS_BATCH_RECORDS,
    "foundation.streams.MAX_RECORD_BYTES": limits.FIREHOSE_RECORD_BYTES,
    "foundation.streams.MAX_KEY": limits.KINESIS_PARTITION_KEY,
    "foundation.visibility.LONGEST_SECONDS": limits.SQS_MAX_VISIBILITY,
    "foundation.workers.LONG_POLL": limits.SQS_LONG_POLL,
    "foundation.topics.MAX_ENTRIES": limits.SNS_BATCH_ENTRIES,
    "foundation.topics.MAX_BYTES": limits.SNS_MESSAGE_BYTES,
    **dict(consumers.limits()),
}
BELOW = {
    "decoupled_messaging.logic.MAX_BYTES": limits.DYNAMODB_ITEM_BYTES,
    "foundation.channels.MAX_EVENT_BYTES": 1000 * limits.APPSYNC_EVENT_KB,
    "foundation.buses.MAX_BYTES": limits.EVENTS_BATCH_BYTES,
    "foundation.tables.MAX_BYTES": limits.DYNAMODB_TRANSACTION_BYTES,
}


def number_of(constant: str) -> int:
    module, name = constant.rsplit(".", 1)
    file = ROOT.joinpath("lambdas", *module.split(".")).with_suffix(".py")
    if not (ROOT / "docs").is_dir() and not file.is_file():
        pytest.skip("this copy does not need it")
    number: int = getattr(import_module(f"serverless_patterns.lambdas.{module}"), name)
    return number


@pytest.mark.parametrize("constant", SAME)
def test_a_handler_fills_its_calls_up_to_the_limit(constant: str) -> None:
    assert number_of(constant) == SAME[constant]


@pytest.mark.parametrize("constant", BELOW)
def test_a_handler_leaves_room_below_a_limit_that_it_cannot_count_exactly(constant: str) -> None:
    assert number_of(constant) < BELOW[constant]
