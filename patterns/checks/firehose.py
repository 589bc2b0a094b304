"""Amazon Data Firehose delivery streams to S3, and the functions that transform for them."""

from __future__ import annotations

from ..limits import (
    FIREHOSE_MAX_BUFFER,
    FIREHOSE_MAX_INTERVAL,
    FIREHOSE_MAX_TRANSFORM_BATCH,
    FIREHOSE_MAX_TRANSFORM_TIMEOUT,
    FIREHOSE_MIN_BUFFER,
    FIREHOSE_MIN_LARGE_BUFFER,
    FIREHOSE_MIN_PARTITIONING_INTERVAL,
    FIREHOSE_MIN_TRANSFORM_BATCH,
    LAMBDA_PAYLOAD_BYTES,
)

MIB = 1024**2
MIN_BATCH = round(FIREHOSE_MIN_TRANSFORM_BATCH / MIB, 1)
MAX_BATCH = FIREHOSE_MAX_TRANSFORM_BATCH // MIB
MAX_PAYLOAD = f"{LAMBDA_PAYLOAD_BYTES // MIB} MB"  # Lambda's MB are of 1,024 x 1,024 bytes


def transform_batch(name: object, mebibytes: float) -> str | None:
    """A batch for a transform fits into one call of the function: 0.2 to 3 MiB.

    Lint E9141. Source: https://docs.aws.amazon.com/firehose/latest/dev/data-transformation.html
    """
    if FIREHOSE_MIN_TRANSFORM_BATCH <= mebibytes * MIB <= FIREHOSE_MAX_TRANSFORM_BATCH:
        return None
    return (
        f"{name} is {mebibytes:g} MiB; it must be {MIN_BATCH} to {MAX_BATCH} MiB: the function "
        f"accepts and returns at most {MAX_PAYLOAD}, with every record in base64. Use 1 MiB."
    )


def transform_timeout(function: object, timeout: float) -> str | None:
    """A transform ends before Firehose gives up on its batch.

    Lint E9142. Source: https://docs.aws.amazon.com/firehose/latest/dev/data-transformation.html
    """
    if timeout <= FIREHOSE_MAX_TRANSFORM_TIMEOUT:
        return None
    return (
        f"{function} may run for {timeout:g} s, but Firehose waits for at most "
        f"{FIREHOSE_MAX_TRANSFORM_TIMEOUT} s, then gives up on the batch. Lower the function's "
        "timeout, and the batch size if the function needs that long for a batch."
    )


def buffer_size(name: object, mebibytes: float) -> str | None:
    """An object holds 1 to 128 MiB, in whole mebibytes.

    Source: https://docs.aws.amazon.com/firehose/latest/APIReference/API_BufferingHints.html
    """
    if not FIREHOSE_MIN_BUFFER <= mebibytes <= FIREHOSE_MAX_BUFFER:
        return (
            f"{name} is {mebibytes:g} MiB; it must be {FIREHOSE_MIN_BUFFER} to "
            f"{FIREHOSE_MAX_BUFFER} MiB. Lower the interval to have smaller objects sooner."
        )
    if mebibytes != int(mebibytes):
        return f"{name} is {mebibytes} MiB, but Firehose accepts whole mebibytes only. Round it."
    return None


def interval(name: object, seconds: float) -> str | None:
    """Firehose waits up to 900 seconds for a buffer to fill.

    Source: https://docs.aws.amazon.com/firehose/latest/APIReference/API_BufferingHints.html
    """
    if 0 <= seconds <= FIREHOSE_MAX_INTERVAL:
        return None
    return f"{name} is {seconds:g} s; it must be 0 to {FIREHOSE_MAX_INTERVAL} s."


def large_buffer(
    name: object,
    mebibytes: float | None,
    seconds: float | None,
    *,
    converts: bool,
    partitions: bool,
) -> str | None:
    """Format conversion and dynamic partitioning buffer 64 MiB, the second for 60 seconds.

    Lint E9144. Source:
    https://docs.aws.amazon.com/firehose/latest/dev/enable-record-format-conversion.html and
    https://docs.aws.amazon.com/firehose/latest/dev/dynamic-partitioning-enable.html

    Args:
        name: The delivery stream.
        mebibytes: The buffer's size; None when only deployment knows.
        seconds: The buffer's interval; None when only deployment knows.
        converts: Whether Firehose converts the records to Parquet or ORC.
        partitions: Whether it partitions dynamically.
    """
    if (converts or partitions) and mebibytes is not None and mebibytes < FIREHOSE_MIN_LARGE_BUFFER:
        why = "converts the format" if converts else "partitions dynamically"
        return (
            f"{name} {why} with a buffer of {mebibytes:g} MiB; it must be "
            f"{FIREHOSE_MIN_LARGE_BUFFER} to {FIREHOSE_MAX_BUFFER} MiB. Raise its size, and lower "
            "its interval to have smaller objects sooner."
        )
    if partitions and seconds is not None and seconds < FIREHOSE_MIN_PARTITIONING_INTERVAL:
        return (
            f"{name} partitions dynamically with a buffer of {seconds:g} s; it must be "
            f"{FIREHOSE_MIN_PARTITIONING_INTERVAL} to {FIREHOSE_MAX_INTERVAL} s. Raise its "
            "interval."
        )
    return None


def folder_within(name: object, folder: str, other: object, below: str) -> str | None:
    """Objects of different kinds, such as data and failed records, are in folders side by side.

    Lint I9147. Source: https://docs.aws.amazon.com/firehose/latest/dev/s3-prefixes.html
    """
    if not below.startswith(folder):
        return None
    return (
        f"{other} {below!r} is within {name} {folder!r}: whoever reads {folder!r} would also read "
        "what is stored there. Choose a folder beside it."
    )
