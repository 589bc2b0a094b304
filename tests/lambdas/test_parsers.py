"""Whatever comes from outside is read or refused: no parser raises anything else."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from serverless_patterns.lambdas.async_lambda import logic as invoices
from serverless_patterns.lambdas.foundation import kpl
from serverless_patterns.lambdas.foundation.outcomes import RefusedError
from serverless_patterns.lambdas.kinesis_firehose_s3 import logic as clicks
from serverless_patterns.lambdas.kinesis_firehose_s3 import transform
from tests.async_lambda.conftest import VAT_RATES, request
from tests.kinesis_firehose_s3.conftest import NOW, click, to_bytes
from tests.moto_cloud import Context

from . import hostile

CSV = ",".join(click()[name] for name in clicks.CSV_FIELDS)
LINES = st.sampled_from((CSV, *(CSV.replace("DE", value) for value in ("", '"', "\x00", "DE,"))))
CONTEXT: Any = Context()


def records(event: str) -> bytes:
    """The event as a record, whatever it is."""
    return event.encode("utf-8", "surrogatepass")


@settings(max_examples=300)
@given(st.one_of(hostile.bodies(click()).map(records), LINES.map(records), st.binary(max_size=60)))
@example(to_bytes(click(page="//[")))
@example(to_bytes(click(referrer="http://[")))
def test_a_click_is_kept_dropped_or_fails_alone(data: bytes) -> None:
    for event in (data, kpl.aggregate("key", [data, to_bytes(click())])):
        assert clicks.transform(event, NOW, ["country"]).kind in (
            "Ok",
            "Dropped",
            "ProcessingFailed",
        )
    record = {"approximateArrivalTimestamp": NOW.timestamp() * 1000}
    batch = [
        {**record, "recordId": str(number), "data": base64.b64encode(event).decode()}
        for number, event in enumerate([data, to_bytes(click())])
    ]
    answers = transform.handler({"records": batch}, CONTEXT)["records"]
    assert [answer["recordId"] for answer in answers] == ["0", "1"]
    assert answers[1]["result"] == "Ok", "the good one beside it"
    json.dumps(answers)


@settings(max_examples=300)
@given(hostile.documents(request()))
def test_an_invoice_is_made_or_refused(event: Any) -> None:
    with contextlib.suppress(RefusedError):
        invoices.make_invoice(event, VAT_RATES)
