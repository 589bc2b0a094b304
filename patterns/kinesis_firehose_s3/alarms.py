"""The alarms of the way from the stream to the lake.

Metrics, periods and evaluations: CloudWatch user guide, "Recommended alarms". Firehose's own
``ThrottledRecords`` counts only what is put to it directly, so it has no alarm here: with a stream
as its source, throttling shows at the stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Duration, Names
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3

from ..foundation import rules
from ..foundation.alarms import alarm_when_above

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_cdk import aws_kinesis as kinesis
    from constructs import Construct

MINUTE = Duration.minutes(1)


def data_freshness(delivery_stream_name: str, **options: object) -> cloudwatch.Metric:
    """Return the age of the oldest record that Firehose has not delivered, in seconds."""
    settings = {"period": MINUTE, "statistic": "Maximum"} | options
    return cloudwatch.Metric(
        namespace="AWS/Firehose",
        metric_name="DeliveryToS3.DataFreshness",
        dimensions_map={"DeliveryStreamName": delivery_stream_name},
        **settings,  # type: ignore[arg-type]
    )


def error_objects(scope: Construct, bucket: s3.IBucket, prefix: str) -> cloudwatch.Metric | None:
    """Count what is written below the error prefix; None when the bucket is imported.

    No metric of Firehose counts the records that a function has failed, so the bucket's request
    metrics do (Amazon S3 user guide, "CloudWatch metrics configurations").
    """
    if not isinstance(bucket, s3.Bucket):
        return None
    metrics_id = Names.unique_resource_name(scope, max_length=64)
    bucket.add_metric(id=metrics_id, prefix=prefix)
    return cloudwatch.Metric(
        namespace="AWS/S3",
        metric_name="PutRequests",
        dimensions_map={"BucketName": bucket.bucket_name, "FilterId": metrics_id},
        period=MINUTE,
        statistic="Sum",
    )


def alarm_on_stream(
    scope: Construct,
    stream: kinesis.IStream,
    max_data_age: Duration,
    actions: Sequence[cloudwatch.IAlarmAction],
) -> list[cloudwatch.Alarm]:
    """Raise when senders are throttled, or when Firehose falls behind them."""
    return [
        alarm_when_above(
            scope,
            "IteratorAgeAlarm",
            metric=stream.metric_get_records_iterator_age_milliseconds(
                period=MINUTE, statistic="Maximum"
            ),
            threshold=max_data_age.to_milliseconds(),
            evaluation_periods=15,
            description=(
                "The stream is read more slowly than it is written. Look at Firehose's delivery "
                "errors in its log group and at the transform's errors and duration. Records are "
                "lost when the stream's retention period ends."
            ),
            actions=actions,
        ),
        alarm_when_above(
            scope,
            "WriteThrottledAlarm",
            metric=stream.metric_write_provisioned_throughput_exceeded(
                period=MINUTE, statistic="Sum"
            ),
            evaluation_periods=5,
            description=(
                "Senders are throttled: they have to send again, and lose what they give up. "
                "Spread the partition keys, aggregate records, or add shards."
            ),
            actions=actions,
        ),
        alarm_when_above(
            scope,
            "ReadThrottledAlarm",
            metric=stream.metric_read_provisioned_throughput_exceeded(
                period=MINUTE, statistic="Sum"
            ),
            evaluation_periods=5,
            description=(
                "Readers of the stream are throttled: a shard is read at most 5 times and 2 MiB a "
                "second by all of them. Add shards, or give other readers enhanced fan-out."
            ),
            actions=actions,
        ),
        alarm_when_above(
            scope,
            "PutFailedAlarm",
            metric=stream.metric_put_records_failed_records(period=MINUTE, statistic="Sum"),
            evaluation_periods=5,
            description=(
                "Kinesis fails records of PutRecords by itself. Senders have to send them again; "
                "look at the service's health if it does not end."
            ),
            actions=actions,
        ),
    ]


def alarm_on_transform(
    scope: Construct,
    transform: lambda_.IFunction,
    actions: Sequence[cloudwatch.IAlarmAction],
) -> list[cloudwatch.Alarm]:
    """Raise when the function fails, is throttled, or nears its timeout."""
    alarms = [
        alarm_when_above(
            scope,
            "TransformErrorsAlarm",
            metric=transform.metric_errors(period=MINUTE, statistic="Sum"),
            evaluation_periods=3,
            description=(
                "The transform fails as a whole, so whole batches go to the error prefix. Read "
                "its log, fix it, then replay the error prefix."
            ),
            actions=actions,
        ),
        alarm_when_above(
            scope,
            "TransformThrottlesAlarm",
            metric=transform.metric_throttles(period=MINUTE, statistic="Sum"),
            evaluation_periods=5,
            description=(
                "The transform is throttled: Firehose retries, then writes the batch to the error "
                "prefix. Raise its reserved concurrency or the account's."
            ),
            actions=actions,
        ),
    ]
    function = rules.function_of(transform)
    if not isinstance(function, lambda_.Function):
        return alarms  # imported: its timeout is not known
    timeout = function.timeout or rules.DEFAULT_FUNCTION_TIMEOUT
    if not timeout.is_unresolved():
        alarms.append(
            alarm_when_above(
                scope,
                "TransformDurationAlarm",
                metric=transform.metric_duration(period=MINUTE, statistic="p90"),
                threshold=timeout.to_milliseconds() * 0.8,
                evaluation_periods=15,
                description=(
                    "The transform nears its timeout: a batch that it does not finish goes to the "
                    "error prefix. Raise timeout or memory, or lower transform_buffering_size."
                ),
                actions=actions,
            )
        )
    return alarms


def alarm_on_delivery(
    scope: Construct,
    *,
    freshness: cloudwatch.Metric,
    failed: cloudwatch.Metric | None,
    max_data_age: Duration,
    actions: Sequence[cloudwatch.IAlarmAction],
) -> list[cloudwatch.Alarm]:
    """Raise when the lake falls behind, and when anything is written to the error prefix."""
    alarms = [
        alarm_when_above(
            scope,
            "DataFreshnessAlarm",
            metric=freshness,
            threshold=max_data_age.to_seconds(),
            evaluation_periods=5,
            description=(
                "Records wait too long for S3. Read Firehose's log group: most often it may not "
                "write to the bucket, use its key, or read the table. Firehose tries again until "
                "the stream's retention period ends."
            ),
            actions=actions,
        )
    ]
    if failed:
        alarms.append(
            alarm_when_above(
                scope,
                "ErrorPrefixAlarm",
                metric=failed,
                description=(
                    "Records could not be processed and lie below the error prefix. Read the "
                    "reason in the transform's log, fix the cause, then replay them."
                ),
                actions=actions,
            )
        )
    return alarms
