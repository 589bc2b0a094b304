"""Kinesis streams: a new one that keeps its records long enough, or yours, and its alarms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aws_cdk import Annotations, Duration, RemovalPolicy
from aws_cdk import aws_kinesis as kinesis

from ..checks import period
from ..limits import (
    KINESIS_MAX_RETENTION,
    KINESIS_MIN_RETENTION,
    KINESIS_SHARD_READ_BYTES,
    KINESIS_SHARD_READS,
)
from . import keys
from .alarms import MINUTE, Alarms, Runbook
from .grants import check_policy_of_imported
from .places import check_here, check_key_here, other_account
from .values import (
    Path,
    check_removal,
    child_of,
    expect,
    expect_fields,
    in_seconds,
    is_token,
    number,
    seconds,
)

if TYPE_CHECKING:
    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_kms as kms
    from constructs import Construct

HOUR = 3_600
MIN_HOURS, MAX_DAYS = KINESIS_MIN_RETENTION // HOUR, KINESIS_MAX_RETENTION // (24 * HOUR)
# A failed delivery is retried until the retention period ends: a long weekend and more.
RETENTION = seconds(7 * 24 * HOUR)
AGE_NOT_KNOWN = (
    "max_age is known at deployment only, but the alarm on a stream counts milliseconds, which "
    "have to be known before. Give a number of seconds."
)
FIREHOSE_IS_HERE = "Firehose reads streams of its own. Make this construct beside the stream."
LAMBDA_IS_HERE = "a reader is made beside its stream. Make this construct there."


@dataclass(frozen=True, kw_only=True)
class NewStream:
    """Settings of a new stream. It is encrypted.

    Attributes:
        shard_count: Shards, each 1 MiB/s and 1,000 records/s. Default: on demand, which scales by
            itself.
        retention_period: How long records wait for a reader that fails, 24 hours to 365 days, in
            whole hours. Default: 7 days.
        encryption_key: Customer managed key. Default: the AWS managed key.
        removal_policy: What happens to the stream when the stack is deleted. Default: RETAIN.

    Raises:
        ValueError: a setting that Kinesis rejects, or a key that encrypts nothing.
    """

    shard_count: int | None = None
    retention_period: Duration = RETENTION
    encryption_key: kms.IKey | None = None
    removal_policy: RemovalPolicy = RemovalPolicy.RETAIN

    def __post_init__(self) -> None:
        """Reject a setting that Kinesis rejects.

        Source: https://docs.aws.amazon.com/streams/latest/dev/kinesis-extended-retention.html
        """
        expect_fields(
            self,
            shard_count=(int, None),
            encryption_key=("IKey", None),
        )
        check_removal(self.removal_policy)
        shards, kept = number(self.shard_count), _known_retention(self.retention_period)
        if shards is not None and shards < 1:
            raise ValueError(
                f"shard_count is {shards}; it must be 1 or more. Leave it out for an on-demand "
                "stream."
            )
        if kept is not None and (
            not KINESIS_MIN_RETENTION <= kept <= KINESIS_MAX_RETENTION or kept % HOUR
        ):
            raise ValueError(
                f"retention_period is {kept / HOUR:g} hours; it must be whole hours from "
                f"{MIN_HOURS} hours to {MAX_DAYS} days."
            )
        keys.check_key("encryption_key", self.encryption_key)


def _known_retention(period: Duration) -> float | None:
    """Return a retention period in seconds; None if only deployment knows it.

    Raises:
        ValueError: it is not a period, or one that cannot be given to Kinesis in hours.
    """
    if not isinstance(period, Duration):
        expect("retention_period", period, Duration)
    if (kept := in_seconds(period)) is None:
        try:
            period.to_hours()
        except RuntimeError as error:
            raise ValueError(
                f"retention_period is {period.to_human_string()}; one that only deployment knows "
                "must be made with Duration.hours()."
            ) from error
    return kept


def stream_of(
    scope: Construct,
    construct_id: str,
    stream: kinesis.IStream | NewStream,
    max_age: Duration,
    *,
    here: str = FIREHOSE_IS_HERE,
) -> kinesis.IStream:
    """Make a new stream, or return yours; an imported one gets a warning of what it needs.

    Args:
        scope: Where it is made.
        construct_id: Its id there.
        stream: Your own stream, or the settings of a new one.
        max_age: Age of a record from which an alarm goes off.
        here: Why it has to be of this account and Region, and what to do. Default: for Firehose.

    Raises:
        ValueError: records would be gone before it goes off, or its key encrypts nothing.
    """
    if not isinstance(stream, NewStream):
        check_here(scope, Path(stream, "stream "), stream, here)
        _check_own_stream(stream, in_seconds(max_age))
        return stream
    check_retention("the stream", in_seconds(max_age), in_seconds(stream.retention_period))
    on_demand, key = stream.shard_count is None, stream.encryption_key
    check_key_here(scope, key)
    return kinesis.Stream(
        scope,
        construct_id,
        stream_mode=kinesis.StreamMode.ON_DEMAND if on_demand else kinesis.StreamMode.PROVISIONED,
        shard_count=stream.shard_count,
        retention_period=stream.retention_period,
        encryption=kinesis.StreamEncryption.KMS if key else kinesis.StreamEncryption.MANAGED,
        encryption_key=key,
        removal_policy=stream.removal_policy,
    )


def _check_own_stream(stream: kinesis.IStream, age: float | None) -> None:
    """Reject a stream of yours that forgets records too early; warn of an imported one.

    Source: https://docs.aws.amazon.com/streams/latest/dev/kinesis-extended-retention.html
    """
    keys.check_key_of(stream)
    if isinstance(child_of(stream), kinesis.CfnStream):
        check_retention("the stream", age, kept_by(stream))
        return
    longer = "" if age is None else f", {period(age)}"
    Annotations.of(stream).add_warning_v2(
        "serverless-patterns:imported-stream",
        "This stream is imported, so its retention period and key cannot be checked: a record that "
        f"its reader does not process is lost after that period, {MIN_HOURS} hours unless it is "
        f"raised, so it must be longer than max_age{longer}."
        f"{keys.ask_for_key(stream.encryption_key, 'from_stream_attributes')}",
    )


def kept_by(stream: kinesis.IStream) -> float | None:
    """Return how long a stream keeps its records, in seconds; None when it is not known."""
    resource = child_of(stream)
    if not isinstance(resource, kinesis.CfnStream):
        return None
    hours = resource.retention_period_hours
    known = KINESIS_MIN_RETENTION / HOUR if hours is None else number(hours)
    return None if known is None else known * HOUR


def check_retention(keeper: str, age: float | None, kept: float | None) -> None:
    """Reject an alarm that goes off when its records are gone.

    Source: https://docs.aws.amazon.com/streams/latest/dev/kinesis-extended-retention.html and
    https://docs.aws.amazon.com/firehose/latest/dev/limits.html

    Args:
        keeper: What keeps the records.
        age: Of a record from which an alarm goes off, in seconds; None if not known.
        kept: How long a record is kept, in seconds; None if not known.

    Raises:
        ValueError: records would be gone before it goes off.
    """
    if age is not None and kept is not None and age >= kept:
        raise ValueError(
            f"max_age is {period(age)}, but {keeper} keeps records for {period(kept)}: they would "
            "be gone before the alarm goes off. Lower max_age, or raise the retention period of a "
            f"stream ({MAX_DAYS} days at most)."
        )


# https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-create.html
READ = ("DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards")


def grant_read(stream: kinesis.IStream, grantee: iam.IGrantable) -> iam.Grant:
    """Let ``grantee`` read a stream shard by shard, and use its customer key; no more."""
    if stream.encryption_key:
        stream.encryption_key.grant_decrypt(grantee)
    return stream.grant(grantee, *(f"kinesis:{action}" for action in READ))


def grant_write(stream: kinesis.IStream, grantee: iam.IGrantable) -> iam.Grant:
    """Let ``grantee`` put records into a stream, and use its customer key.

    Source: https://docs.aws.amazon.com/streams/latest/dev/resource-based-policy-examples.html and
    https://docs.aws.amazon.com/streams/latest/dev/permissions-user-key-KMS.html

    Raises:
        ValueError: it is a service, which needs a role for it; of another account, which cannot
            use the key that AWS manages; or only the policy of an imported stream could allow it.
    """
    principal = grantee.grant_principal
    if "Service" in principal.policy_fragment.principal_json:
        raise ValueError(
            f"grantee is {getattr(principal, 'service', 'a service')}, but a service puts records "
            "under a role that it assumes. Grant that role."
        )
    account = other_account(stream, grantee)
    if account and getattr(child_of(stream), "stream_encryption", None):
        _check_managed_key(stream, account)
    check_policy_of_imported(stream, grantee)
    return stream.grant_write(grantee)


def _check_managed_key(stream: kinesis.IStream, account: str) -> None:
    """Reject a sender of another account that cannot use the key; warn if it may be this one."""
    if stream.encryption_key is not None:
        return
    problem = (
        f"Account {account} cannot use the key of {stream.node.path}, which AWS manages for the "
        "stream's own account alone. Encrypt the stream with a customer managed key."
    )
    if not is_token(stream.env.account):
        raise ValueError(problem)
    Annotations.of(stream).add_warning_v2(
        "serverless-patterns:sender-elsewhere",
        f"Unless account {account} is that of the stream: {problem}",
    )


ITERATOR_AGE = Runbook(
    means="The stream is read more slowly than it is written. Records are lost when the stream's "
    "retention period ends.",
    see="Read the log of what reads the stream for errors, and compare its function's Errors, "
    "Throttles and Duration with the records that arrive.",
    fix="Fix what the log names. If the stream only has too much to carry, add shards. Raise its "
    "retention period if you need more time.",
    verify="GetRecords.IteratorAgeMilliseconds falls.",
)
WRITE_THROTTLED = Runbook(
    means="Kinesis throttles the senders. They have to retry, and lose the records that they "
    "stop retrying.",
    see="Compare IncomingBytes and IncomingRecords of the stream with its shards; one hot shard "
    "shows in its enhanced (shard-level) metrics.",
    fix="Spread the partition keys, aggregate small records, or add shards.",
    verify="WriteProvisionedThroughputExceeded is 0.",
)
READ_THROTTLED = Runbook(
    means="Kinesis throttles the readers of the stream, so they fall behind.",
    see=f"List who reads the stream: all of them share {KINESIS_SHARD_READS} calls and "
    f"{KINESIS_SHARD_READ_BYTES // 1024**2} MiB a second for each shard.",
    fix="Give the other readers enhanced fan-out, or add shards.",
    verify="ReadProvisionedThroughputExceeded is 0, and the iterator age falls.",
)
PUT_FAILED = Runbook(
    means="Kinesis rejects records of PutRecords because of an internal error. A sender that does "
    "not retry them loses them.",
    see="Check the AWS Health Dashboard for Kinesis, and the senders' logs for the error code.",
    fix="Let the senders retry the rejected records until the service has recovered.",
    verify="PutRecords.FailedRecords is 0.",
)


def alarms_of_stream(
    scope: Construct, stream: kinesis.IStream, max_age: Duration, alarms: Alarms
) -> list[cloudwatch.Alarm]:
    """Go off when senders or readers are throttled, or when readers fall behind.

    Source:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Best_Practice_Recommended_Alarms_AWS_Services.html

    Raises:
        ValueError: ``max_age`` is known at deployment only.
    """
    if in_seconds(max_age) is None:
        raise ValueError(AGE_NOT_KNOWN)
    minute, limit = seconds(MINUTE), max_age.to_milliseconds()
    age = stream.metric_get_records_iterator_age_milliseconds(period=minute, statistic="Maximum")
    counts = {
        "WriteThrottled": (
            stream.metric_write_provisioned_throughput_exceeded,
            WRITE_THROTTLED,
        ),
        "ReadThrottled": (stream.metric_read_provisioned_throughput_exceeded, READ_THROTTLED),
        "PutFailed": (stream.metric_put_records_failed_records, PUT_FAILED),
    }
    return alarms.each(
        scope,
        [
            ("IteratorAgeAlarm", age, ITERATOR_AGE, limit, 15),
            *(
                (f"{name}Alarm", metric(period=minute, statistic="Sum"), runbook, 0, 5)
                for name, (metric, runbook) in counts.items()
            ),
        ],
    )
