"""What is an event of a bucket, and what is none."""

from __future__ import annotations

from typing import Any

import pytest

from serverless_patterns.lambdas.foundation import objects
from serverless_patterns.lambdas.foundation.outcomes import RefusedError
from tests.s3_events_lambda.handlers import BUCKET, event, records


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (records(event("k", "v", bucket="another")), "bucket"),
        ({"Records": "x"}, "event"),
        ({"Records": [{"eventName": 1}]}, "event"),
        (records(event("k", "v", sequencer="no hex")), "event"),
        (records(event("k", "v", at="yesterday")), "event"),
        (records(event("k" * 1025, "v")), "event"),
        (records(event("k", "a version")), "event"),
        (records(event("k")), "event"),
        ([], "event"),
        ({"Event": "another"}, "event"),
    ],
    ids=str,
)
def test_what_is_no_event_of_the_bucket_is_refused(body: Any, reason: str) -> None:
    with pytest.raises(RefusedError) as refused:
        objects.events_in(body, BUCKET)
    assert refused.value.reason == reason


def test_a_key_that_is_not_utf_8_is_refused() -> None:
    one = event("k", "v")
    one["s3"]["object"]["key"] = "%FF"
    with pytest.raises(RefusedError):
        objects.events_in(records(one), BUCKET)
