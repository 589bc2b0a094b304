"""Amazon Data Firehose: records that a transform fails."""

from __future__ import annotations

import json
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from ._forward import around, ministack

if TYPE_CHECKING:
    from collections.abc import Iterator

GAPS = {
    "firehose-buffering": "Firehose writes one object a record at once, whatever its buffers say.",
    "firehose-compression": "Firehose writes plain text where it should compress.",
    "firehose-de-aggregation": "Firehose hands an aggregated record to the transform as it is.",
    "firehose-failed-records": "Records that a transform fails are dropped; records that a failing "
    "transform has not seen are delivered.",
    "firehose-metrics-and-alarms": "Kinesis, Firehose and S3 emit no CloudWatch metrics, so alarms "
    "on them never change.",
    "firehose-source-backup": "Source records are not backed up.",
}


def failed_records() -> None:
    """Forward failed records to Firehose's own delivery to the error prefix.

    Firehose uses it for a record whose prefix cannot be evaluated.
    """
    firehose = ministack("services.firehose")
    failed: ContextVar[dict[str, str] | None] = ContextVar("failed", default=None)
    failure: ContextVar[str] = ContextVar("failure", default="")

    @around(ministack("services.lambda_svc"), "_execute_function")
    def execute(original: Any, function: Any, event: dict[str, Any]) -> Any:
        result = original(function, event)
        if (found := failed.get()) is not None:
            found.update(_failed_records(event, result))
        return result

    @around(firehose, "_evaluate_prefix")
    def evaluate(
        original: Any, template: str, at: Any, query_keys: Any = None, lambda_keys: Any = None,
        error_type: str | None = None,
    ) -> Any:  # fmt: skip
        if failure.get() and error_type is None:
            raise firehose._DeliveryError("processing-failed", failure.get())
        return original(template, at, query_keys, lambda_keys, error_type)

    @around(firehose, "_apply_lambda_processors")
    def apply(
        original: Any, stream: Any, destination: Any, records: Any, *args: Any, **named: Any
    ) -> Any:
        found: dict[str, str] = {}
        with _set(failed, found):
            processed = original(stream, destination, records, *args, **named)
        for record_id, data in records:
            if record_id in found:
                with _set(failure, found[record_id]):
                    firehose._deliver_to_s3(stream, destination, data)
        return [record for record in processed if record[0] not in found]


@contextmanager
def _set(variable: ContextVar[Any], value: object) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def _failed_records(event: dict[str, Any], result: dict[str, Any]) -> dict[str, str]:
    """The records of its event that a transform has not processed: record id -> reason."""
    body = result.get("body")
    if not result.get("error"):
        try:
            answer = body if isinstance(body, dict) else json.loads(body or "")
            return {
                record["recordId"]: "ProcessingFailed status set for record"
                for record in answer["records"]
                if record["result"] == "ProcessingFailed"
            }
        except (ValueError, TypeError, KeyError):
            pass
    return {record["recordId"]: f"The function failed: {body!r}" for record in event["records"]}


SHIMS = {"firehose-failed-records": failed_records}
