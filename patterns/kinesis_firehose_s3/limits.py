"""What Kinesis, Firehose and Athena refuse, or would lose events by: ``ValueError`` at synth.

Every message names what was given, the rule, and what to change. A value that is only known at
deployment (a CloudFormation token) passes: nothing can be said about it at synth.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aws_cdk import Annotations, Duration, Token
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3

from ..foundation import keys, rules

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from aws_cdk import Size

# Amazon Data Firehose developer guide, "Transform source data": a batch of 0.2 to 3 MB, because
# Lambda takes and returns 6 MB with every record in base64; a call of at most 5 minutes.
MAX_TRANSFORM_TIMEOUT = Duration.minutes(5)
MIN_TRANSFORM_MIB, MAX_TRANSFORM_MIB = 0.2, 3.0
# "Convert input data format" and "Enable dynamic partitioning": buffers of at least 64 MiB.
MIN_LARGE_BUFFER_MIB = 64
MAX_BUFFER_MIB = 128
MAX_BUFFER_SECONDS = 900
MIN_PARTITIONING_SECONDS = 60
MAX_RETRIES = 300
# Amazon Kinesis Data Streams developer guide, "Change the data retention period".
MIN_RETENTION, MAX_RETENTION = Duration.hours(24), Duration.days(365)

_COLUMN = re.compile(r"[a-z_][a-z0-9_]{0,254}")
_PREFIX = re.compile(r"[A-Za-z0-9._=/-]{1,200}/")


def check_transform(transform: lambda_.IFunction) -> None:
    """Refuse a function that may not run, or longer than Firehose waits for it.

    Raises:
        ValueError: it reserves 0 concurrent executions (lint W9195), or its timeout is above 5
            minutes: Firehose gives the batch up before the function has finished (lint E9142;
            Amazon Data Firehose developer guide, "Transform source data"). Of an imported function
            a warning says so.
    """
    rules.check_may_run(
        "transform", transform, "every batch would end in the error prefix, untransformed"
    )
    function = rules.function_of(transform)
    if not isinstance(function, lambda_.Function):
        Annotations.of(transform).add_warning_v2(
            "serverless-patterns:imported-transform",
            "This function is imported, so its timeout and reserved concurrency cannot be "
            "checked: Firehose waits for at most 5 minutes, and it must not reserve 0 concurrent "
            "executions.",
        )
        return
    timeout = function.timeout or rules.DEFAULT_FUNCTION_TIMEOUT
    if timeout.is_unresolved() or timeout.to_seconds() <= MAX_TRANSFORM_TIMEOUT.to_seconds():
        return
    raise ValueError(
        f"transform may run for {timeout.to_seconds():g} s, but Firehose waits for at most 300 s, "
        "then gives the batch up. Lower the function's timeout, and transform_buffering_size if it "
        "needs that long for a batch."
    )


def check_transform_batch(size: Size, interval: Duration, retries: int) -> None:
    """Refuse a batch that would not fit into one call of the function.

    Raises:
        ValueError: outside 0.2 to 3 MiB (request and response are limited to 6 MB, in base64),
            0 to 900 s, or 0 to 300 retries (lint E9141; Amazon Data Firehose developer guide,
            "Transform source data").
    """
    mebibytes = _mebibytes(size)
    if mebibytes is not None and not MIN_TRANSFORM_MIB <= mebibytes <= MAX_TRANSFORM_MIB:
        raise ValueError(
            f"transform_buffering_size is {mebibytes:g} MiB, allowed is 0.2 to 3 MiB: the function "
            "takes and returns at most 6 MB, every record in base64. Use Size.mebibytes(1)."
        )
    _check_interval("transform_buffering_interval", interval, least=0)
    if not Token.is_unresolved(retries) and not 0 <= retries <= MAX_RETRIES:
        raise ValueError(f"transform_retries is {retries}, allowed is 0 to {MAX_RETRIES}.")


def check_buffer(size: Size, interval: Duration, *, converts: bool, partitions: bool) -> None:
    """Refuse a buffer that Firehose does not take, or not for what it does with the records.

    Raises:
        ValueError: outside 1 to 128 MiB and 0 to 900 s; below 64 MiB with columns or partition
            keys; below 60 s with partition keys (lint E9144; Amazon Data Firehose API reference,
            "BufferingHints").
    """
    mebibytes = _mebibytes(size)
    least = MIN_LARGE_BUFFER_MIB if converts or partitions else 1
    if mebibytes is not None and not least <= mebibytes <= MAX_BUFFER_MIB:
        why = f" with {'columns' if converts else 'partition_keys'}" if least > 1 else ""
        raise ValueError(
            f"buffering_size is {mebibytes:g} MiB, allowed is {least} to {MAX_BUFFER_MIB} MiB{why}."
            " Lower buffering_interval to have smaller objects sooner."
        )
    if mebibytes is not None and mebibytes != int(mebibytes):
        raise ValueError(f"buffering_size is {mebibytes:g} MiB, allowed are whole mebibytes.")
    _check_interval(
        "buffering_interval",
        interval,
        least=MIN_PARTITIONING_SECONDS if partitions else 0,
        why=" with partition_keys" if partitions else "",
    )


def _check_interval(name: str, interval: Duration, *, least: int, why: str = "") -> None:
    if interval.is_unresolved():
        return
    seconds = interval.to_seconds()
    if not least <= seconds <= MAX_BUFFER_SECONDS:
        raise ValueError(
            f"{name} is {seconds:g} s, allowed is {least} to {MAX_BUFFER_SECONDS} s{why}."
        )


def check_max_data_age(max_data_age: Duration, buffering_interval: Duration) -> None:
    """Refuse an alarm that would ring while everything is well.

    Raises:
        ValueError: ``max_data_age`` is not above the interval that Firehose buffers for (Amazon
            Data Firehose API reference, "BufferingHints").
    """
    if max_data_age.is_unresolved() or buffering_interval.is_unresolved():
        return
    if max_data_age.to_seconds() <= buffering_interval.to_seconds():
        raise ValueError(
            f"max_data_age is {max_data_age.to_seconds():.0f} s, but Firehose keeps records for "
            f"buffering_interval, {buffering_interval.to_seconds():g} s, before it delivers them: "
            "the alarm would ring all the time. Raise max_data_age above it."
        )


def check_own_stream(stream: kinesis.IStream, max_data_age: Duration) -> None:
    """Refuse a stream that forgets records before anybody hears of it; warn of an imported one.

    Raises:
        ValueError: its key encrypts nothing (lint E9153), or see ``check_retention``.
    """
    keys.check_key_of(stream)
    resource = stream.node.default_child
    if isinstance(resource, kinesis.CfnStream):
        hours = resource.retention_period_hours
        check_retention(MIN_RETENTION if hours is None else Duration.hours(hours), max_data_age)
        return
    key = (
        ""
        if stream.encryption_key
        else " If it has a customer key, import it by from_stream_attributes() with "
        "encryption_key, or Firehose may not read it."
    )
    Annotations.of(stream).add_warning_v2(
        "serverless-patterns:imported-stream",
        "This stream is imported, so its retention period and key cannot be checked: a record that "
        "cannot be delivered is lost after that period, 24 hours unless it is raised, so it must "
        f"be longer than max_data_age, {max_data_age.to_human_string()}.{key}",
    )


def check_retention(retention_period: Duration, max_data_age: Duration) -> None:
    """Refuse an alarm that could not ring before its records are gone.

    Raises:
        ValueError: the stream keeps no record as long as ``max_data_age`` (Amazon Kinesis Data
            Streams developer guide, "Change the data retention period").
    """
    if retention_period.is_unresolved() or max_data_age.is_unresolved():
        return
    age, kept = max_data_age.to_seconds(), retention_period.to_seconds()
    if age >= kept:
        raise ValueError(
            f"max_data_age is {age:.0f} s, but the stream keeps records for {kept:.0f} s: they "
            "would be gone before the alarm rings. Lower max_data_age, or raise retention_period "
            "(365 days at most)."
        )


def check_own_bucket(bucket: s3.IBucket, error_prefix: str) -> None:
    """Refuse a bucket whose key encrypts nothing; warn of what an imported one needs.

    Raises:
        ValueError: see ``keys.check_key``.
    """
    keys.check_key_of(bucket)
    if isinstance(bucket, s3.Bucket):
        return
    key = (
        ""
        if bucket.encryption_key
        else " If it has a customer key, import it by from_bucket_attributes() with "
        "encryption_key, or Firehose may not write."
    )
    Annotations.of(bucket).add_warning_v2(
        "serverless-patterns:imported-bucket",
        "This bucket is imported, so its policy and key cannot be checked, and nothing raises an "
        f"alarm when records fail: watch {error_prefix} yourself, for example with S3 request "
        f"metrics.{key}",
    )


def check_stream(shard_count: int | None, retention_period: Duration) -> None:
    """Refuse a stream that Kinesis does not make.

    Raises:
        ValueError: no shard, or a retention period outside 24 hours to 365 days (Amazon Kinesis
            Data Streams developer guide, "Change the data retention period").
    """
    if shard_count is not None and not Token.is_unresolved(shard_count) and shard_count < 1:
        raise ValueError(
            f"shard_count is {shard_count}, allowed is 1 or more. Leave it out for an on-demand "
            "stream."
        )
    if retention_period.is_unresolved():
        return
    hours = retention_period.to_seconds() / 3600
    if not MIN_RETENTION.to_hours() <= hours <= MAX_RETENTION.to_hours() or hours != int(hours):
        raise ValueError(
            f"retention_period is {hours:g} hours, allowed are whole hours from 24 hours to "
            "365 days."
        )


def check_prefixes(prefixes: Mapping[str, str]) -> None:
    """Refuse prefixes by which one kind of object would be read as another.

    Args:
        prefixes: By the argument's name.

    Raises:
        ValueError: not a folder, or one below another: a query would read what failed as data
            (lint I9147).
    """
    known = {name: it for name, it in prefixes.items() if not Token.is_unresolved(it)}
    for name, prefix in known.items():
        if not _PREFIX.fullmatch(prefix) or prefix.startswith("/") or "//" in prefix:
            raise ValueError(
                f"{name} is {prefix!r}: allowed is a folder such as 'clicks/', of letters, digits, "
                ". _ = - and /, with / at its end and not at its start. Firehose's expressions "
                "(!{...}) are added here."
            )
    for name, prefix in known.items():
        for other, below in known.items():
            if name != other and below.startswith(prefix):
                raise ValueError(
                    f"{other} {below!r} lies in {name} {prefix!r}: what is kept there would be "
                    f"read as part of the other. Choose a folder beside it."
                )


def check_columns(columns: Mapping[str, str], partition_columns: Collection[str]) -> None:
    """Refuse a table that Glue or Athena would not read as it is meant.

    Raises:
        ValueError: no column, a name that is not lower case, or one that is a partition's too
            (Amazon Athena user guide, "Name databases, tables, and columns").
    """
    if not columns:
        raise ValueError(
            "columns is empty: a Parquet file needs at least one. Leave columns out for "
            "compressed JSON lines."
        )
    _check_names("columns", columns)
    if both := sorted(set(columns) & set(partition_columns)):
        raise ValueError(
            f"columns has {', '.join(both)}, which the path of an object gives already as a "
            "partition: Athena refuses a table with the same name twice. Rename the column."
        )


def check_partition_keys(partition_keys: Collection[str], reserved: str) -> None:
    """Refuse partition keys that cannot be columns of a table.

    Raises:
        ValueError: a name that is not lower case, given twice, or ``reserved`` (Amazon Athena user
            guide, "Name databases, tables, and columns").
    """
    _check_names("partition_keys", partition_keys)
    if len(set(partition_keys)) < len(partition_keys) or reserved in partition_keys:
        raise ValueError(
            f"partition_keys are {', '.join(partition_keys)}: each may be there once, and "
            f"{reserved!r} is the day of arrival already. Rename one."
        )


def _check_names(argument: str, names: Iterable[str]) -> None:
    for name in names:
        if not _COLUMN.fullmatch(name):
            raise ValueError(
                f"{argument} has {name!r}: allowed are lower-case letters, digits and _, because "
                "Glue and Athena fold names to lower case."
            )


def _mebibytes(size: Size) -> float | None:
    return None if size.is_unresolved() else size.to_kibibytes() / 1024
