"""Firehose → Lambda: a function that transforms the records of a delivery, and its alarms."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aws_cdk import Annotations, Duration, Size, Tokenization
from aws_cdk.aws_kinesisfirehose import CfnDeliveryStream

from ..checks import firehose as checks
from ..checks import lambda_ as lambda_checks
from ..checks import reject
from ..limits import FIREHOSE_MAX_RETRIES, FIREHOSE_MAX_TRANSFORM_TIMEOUT
from .alarms import MINUTE, Alarms, Runbook
from .consumers import Facts, facts_of
from .findings import acknowledge_wildcards
from .firehose import in_mebibytes, known_size
from .places import check_here
from .values import Path, expect, expect_fields, in_seconds, number, seconds

if TYPE_CHECKING:
    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_lambda as lambda_
    from constructs import Construct

# Grows to 1.4 MB in base64; leaves the function room to add to every record.
BATCH_SIZE, BATCH_INTERVAL = Size.mebibytes(1), seconds(60)
NEAR_TIMEOUT = 0.8  # of it


@dataclass(frozen=True)
class Transform:
    """A function that cleans the records, and how Firehose calls it.

    Attributes:
        function: Function or alias that answers each record with Ok, Dropped or
            ProcessingFailed. You own its code. Its timeout is at most 5 minutes.
        batch_size: Largest batch, 0.2 to 3 MiB. Default: 1 MiB.
        batch_interval: Longest wait for a full batch, up to 900 s. Default: 1 minute.
        retries: Retries of a batch for which the call of the function failed, 0 to 300.
            Default: 3.

    Raises:
        ValueError: a function that never runs or runs for too long, a batch that does not fit
            into a call, or a setting that Firehose rejects.
    """

    function: lambda_.IFunction
    batch_size: Size = BATCH_SIZE
    batch_interval: Duration = BATCH_INTERVAL
    retries: int = 3

    def __post_init__(self) -> None:
        """Reject a function that cannot process its batches; warn of an imported one.

        Source: https://docs.aws.amazon.com/firehose/latest/dev/data-transformation.html
        """
        expect_fields(
            self,
            function=("IFunction",),
            batch_interval=(Duration,),
            retries=(int,),
        )
        mebibytes, wait = known_size("batch_size", self.batch_size), in_seconds(self.batch_interval)
        facts, retries = self.facts, number(self.retries)
        otherwise = "every batch would end in the error prefix, not transformed"
        reject(lambda_checks.never_runs("The transform", facts.reserved, otherwise))
        if facts.timeout is not None:
            reject(checks.transform_timeout(Path(self.function), facts.timeout))
        if mebibytes is not None:
            reject(checks.transform_batch("batch_size", mebibytes))
        if wait is not None:
            reject(checks.interval("batch_interval", wait))
        if retries is not None and not 0 <= retries <= FIREHOSE_MAX_RETRIES:
            raise ValueError(f"retries is {retries}; it must be 0 to {FIREHOSE_MAX_RETRIES}.")
        if not facts.own:
            Annotations.of(self.function).add_warning_v2(
                "serverless-patterns:imported-transform",
                "This function is imported, so its timeout and reserved concurrency cannot be "
                f"checked: Firehose waits for at most {FIREHOSE_MAX_TRANSFORM_TIMEOUT} s, and it "
                "must not reserve 0 concurrent executions.",
            )

    @functools.cached_property
    def facts(self) -> Facts:
        """The known settings of the function."""
        return facts_of(self.function)

    @classmethod
    def of(cls, transform: lambda_.IFunction | Transform | None) -> Transform | None:
        """Return a transform: itself, or a function with the defaults; None without one."""
        expect("transform", transform, "IFunction", Transform, None)
        return transform if isinstance(transform, Transform | None) else cls(transform)


def transformed(
    transform: Transform | None, role: iam.Role, *, lines: bool
) -> CfnDeliveryStream.ProcessingConfigurationProperty | None:
    """Let Firehose call the function, and return the call for each batch of records.

    Args:
        transform: The function; None without one.
        role: Firehose's.
        lines: Whether each record ends with a newline, which Firehose adds without a function.

    Raises:
        ValueError: the function is in another account or Region.
    """
    if transform:
        return _processed("Lambda", _call(transform, role))
    return _processed("AppendDelimiterToRecord", {}) if lines else None  # a newline by default


def _call(transform: Transform, role: iam.Role) -> dict[str, str]:
    """Let Firehose call the function, and return how.

    Source: https://docs.aws.amazon.com/firehose/latest/APIReference/API_ProcessorParameter.html
    """
    function, mebibytes = transform.function, in_mebibytes(transform.batch_size)
    reason = "Firehose calls functions of its own. Make this construct beside the function."
    check_here(role, Path(function), function, reason)
    function.grant_invoke(role)
    arn = function.function_arn
    acknowledge_wildcards(role, "Firehose calls the version that it is told.", f"{arn}:*")
    return {
        "LambdaArn": arn,
        "RoleArn": role.role_arn,
        "BufferSizeInMBs": (
            Tokenization.stringify_number(transform.batch_size.to_mebibytes())
            if mebibytes is None
            else f"{mebibytes:g}"
        ),
        "BufferIntervalInSeconds": Tokenization.stringify_number(
            transform.batch_interval.to_seconds()
        ),
        "NumberOfRetries": Tokenization.stringify_number(transform.retries),
    }


def _processed(
    kind: str, parameters: dict[str, str]
) -> CfnDeliveryStream.ProcessingConfigurationProperty:
    listed = [
        CfnDeliveryStream.ProcessorParameterProperty(parameter_name=name, parameter_value=value)
        for name, value in parameters.items()
    ]
    processor = CfnDeliveryStream.ProcessorProperty(type=kind, parameters=listed or None)
    return CfnDeliveryStream.ProcessingConfigurationProperty(enabled=True, processors=[processor])


TRANSFORM_ERRORS = Runbook(
    means="Calls of the transform fail as a whole, so whole batches go to the error prefix.",
    see="Read the transform's log for the exception.",
    fix="Fix the transform, then replay the records under processing-failed in the error prefix.",
    verify="The transform's Errors are 0, and the replay leaves nothing behind.",
)
TRANSFORM_THROTTLES = Runbook(
    means="Lambda throttles the transform. Firehose retries, then writes the batch to the error "
    "prefix.",
    see="Compare the transform's ConcurrentExecutions with what it reserves and with the "
    "account's quota.",
    fix="Raise its reserved concurrency or the account's quota, then replay the error prefix.",
    verify="The transform's Throttles are 0.",
)
TRANSFORM_DURATION = Runbook(
    means="The transform nears its timeout. A batch that it does not finish goes to the error "
    "prefix.",
    see="Read the transform's log for what takes so long, and its Duration for when that began.",
    fix="Make the transform faster, raise its memory or its timeout, or lower its batch size.",
    verify="The 90th percentile of the transform's Duration falls.",
)


def alarms_of_transform(
    scope: Construct, transform: Transform | None, alarms: Alarms
) -> list[cloudwatch.Alarm]:
    """Go off when the function fails, is throttled, or nears its timeout, if that is known.

    Source:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Best_Practice_Recommended_Alarms_AWS_Services.html
    """
    if transform is None:
        return []
    minute, timeout, function = seconds(MINUTE), transform.facts.timeout, transform.function
    errors = function.metric_errors(period=minute, statistic="Sum")
    throttles = function.metric_throttles(period=minute, statistic="Sum")
    rows = [
        ("TransformErrorsAlarm", errors, TRANSFORM_ERRORS, 0.0, 3),
        ("TransformThrottlesAlarm", throttles, TRANSFORM_THROTTLES, 0.0, 5),
    ]
    if timeout is not None:
        duration = function.metric_duration(period=minute, statistic="p90")
        near = timeout * 1000 * NEAR_TIMEOUT
        rows.append(("TransformDurationAlarm", duration, TRANSFORM_DURATION, near, 15))
    return alarms.each(scope, rows)
