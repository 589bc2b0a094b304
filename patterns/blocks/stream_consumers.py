"""stream → Lambda;  failed records ⇢ failure queue ⇢ alarm: a reader that no record can block."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from aws_cdk import Duration, Names
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from ..checks import filters, reject
from ..checks import lambda_ as checks
from ..limits import (
    KINESIS_MIN_RETENTION,
    LAMBDA_FILTERS,
    LAMBDA_MAX_FILTERS,
    LAMBDA_MAX_WINDOW,
    STREAM_LAMBDA_BATCH,
    STREAM_LAMBDA_DEFAULT_BATCH,
    STREAM_LAMBDA_MAX_AGE,
    STREAM_LAMBDA_MAX_RETRIES,
    STREAM_LAMBDA_MAX_WINDOW,
    STREAM_LAMBDA_MIN_AGE,
    STREAM_LAMBDA_PARALLEL,
)
from . import streams
from .alarms import MINUTE, Alarms, Runbook
from .consumers import check_has_role, check_may_run
from .destinations import Target, check_key_of_new_queues, deliver, deliver_to_new_queue
from .grants import grantee_here, warn_of_fixed
from .places import check_here
from .stacks import check_order, role_in
from .values import (
    DAY,
    Path,
    child_of,
    expect,
    expect_fields,
    in_seconds,
    is_token,
    made_in,
    number,
    seconds,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_s3 as s3
    from aws_cdk import aws_sns as sns
    from aws_cdk import aws_sqs as sqs

TRIM_HORIZON = lambda_.StartingPosition.TRIM_HORIZON
RETRIES = 10
DESTINATIONS = ("queue", "topic", "bucket")
# https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
RECORDS = "aws/lambda/*"
SUBSCRIBE = ["kinesis:SubscribeToShard"]
NOT_HERE = (
    "the mapping of a stream is made in the account and Region of its function. Make this "
    "construct in a stack of that account and Region."
)


@dataclass(frozen=True, kw_only=True)
class StreamConsumer:
    """A function, and how Lambda hands it the records of a stream, shard by shard and in order.

    A batch that fails is halved until the record that fails is alone, retried, and discarded; then
    its shard goes on. What was discarded is recorded in the failure destination.

    Attributes:
        function: Function or alias. You own its code: it must be idempotent and report partial
            batch failures.
        batch_size: Records a call, 1 to 10,000, and at most 6 MB. Default: 100.
        max_batching_window: Longest wait for a full batch, up to 300 s. Default: none.
        parallelization_factor: Batches of a shard at the same time, 1 to 10; the records of a
            partition key stay in order. Default: 1.
        bisect_batch_on_error: Halve a batch that fails; that is no retry. Default: yes.
        retry_attempts: Retries of a batch, 0 to 10,000; -1: until ``max_record_age``. More
            retries bridge longer outages in order, and block the shard longer if nothing helps.
            Default: 10.
        max_record_age: Age from which a failing record is discarded, 60 s to 7 days, and shorter
            than the stream keeps it. Default: 1 day, or half of what the stream keeps if that is
            less.
        on_failure: Where the record of a batch that was discarded is sent: your own standard queue
            or topic, or a bucket, which gets the events, too. For the others, the record names the
            range of the stream. Default: a new queue, which keeps it for 14 days.
        encryption_key: Customer managed key of the new queue. Default: SQS-managed encryption.
        starting_position: Where a new reader starts: ``TRIM_HORIZON``, or a time with its zone,
            from which a Kinesis stream is read. ``LATEST`` is rejected. Default: ``TRIM_HORIZON``.
        filters: Patterns of the events wanted, of ``lambda_.FilterCriteria.filter()``; what none
            matches is skipped. Of Kinesis they compare ``data``, which must be JSON, and aggregated
            records with enhanced fan-out only; what they cannot read is skipped, too:
            https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis-filtering.html. Default:
            every event.
        tumbling_window: Length of the windows over which the function totals, up to 900 s. It must
            return its state. Default: no windows.
        enhanced_fan_out: Read at 2 MB/s a shard of its own, and sooner; Kinesis only. Default: no.

    Raises:
        ValueError: a setting that Lambda rejects or that would lose records.
    """

    function: lambda_.IFunction
    batch_size: int = STREAM_LAMBDA_DEFAULT_BATCH
    max_batching_window: Duration | None = None
    parallelization_factor: int = 1
    bisect_batch_on_error: bool = True
    retry_attempts: int = RETRIES
    max_record_age: Duration | None = None
    on_failure: sqs.IQueue | sns.ITopic | s3.IBucket | None = None
    encryption_key: kms.IKey | None = None
    starting_position: lambda_.StartingPosition | datetime = TRIM_HORIZON
    filters: Sequence[Mapping[str, Any]] = ()
    tumbling_window: Duration | None = None
    enhanced_fan_out: bool = False

    def __post_init__(self) -> None:
        """Reject a setting that Lambda rejects.

        Source: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-parameters.html
        """
        expect_fields(
            self,
            function=("IFunction",),
            batch_size=(int,),
            max_batching_window=(Duration, None),
            parallelization_factor=(int,),
            bisect_batch_on_error=(bool,),
            retry_attempts=(int,),
            max_record_age=(Duration, None),
            encryption_key=("IKey", None),
            starting_position=(lambda_.StartingPosition, datetime),
            filters=(list, tuple),
            tumbling_window=(Duration, None),
            enhanced_fan_out=(bool,),
        )
        for name, least, most, unit in (
            ("batch_size", 1, STREAM_LAMBDA_BATCH, ""),
            ("max_batching_window", 0, LAMBDA_MAX_WINDOW, " s"),
            ("parallelization_factor", 1, STREAM_LAMBDA_PARALLEL, ""),
            ("retry_attempts", -1, STREAM_LAMBDA_MAX_RETRIES, ""),
            ("max_record_age", STREAM_LAMBDA_MIN_AGE, STREAM_LAMBDA_MAX_AGE, " s"),
            ("tumbling_window", 1, STREAM_LAMBDA_MAX_WINDOW, " s"),
        ):
            _check_range(name, getattr(self, name), least, most, unit)
        if self.tumbling_window is not None and self.parallelization_factor > 1:
            raise ValueError(checks.parallel_windows(self.parallelization_factor))
        start = self.starting_position
        if start == lambda_.StartingPosition.LATEST:
            raise ValueError(checks.starts_at_the_latest("The stream's reader"))
        if isinstance(start, datetime) and start.tzinfo is None:
            raise ValueError(
                f"starting_position is {start}, without a time zone, so it is another time on "
                "each machine. Give it one, such as tzinfo=UTC."
            )
        if start == lambda_.StartingPosition.AT_TIMESTAMP:
            raise ValueError("starting_position is AT_TIMESTAMP. Give the time itself, a datetime.")

    @classmethod
    def of(cls, consumer: lambda_.IFunction | StreamConsumer) -> StreamConsumer:
        """Return a consumer: itself, or a function with the defaults."""
        expect("consumer", consumer, "IFunction", StreamConsumer)
        return consumer if isinstance(consumer, StreamConsumer) else cls(function=consumer)

    def age(self, kept: float | None) -> Duration:
        """Return the age from which a record is discarded.

        The second half of what the stream keeps is for whoever fetches the records back. ``kept``:
        that time in seconds; None when it is not known, so that it may be the shortest there is.
        """
        if self.max_record_age is not None:
            return self.max_record_age
        return seconds(min(DAY, (kept or KINESIS_MIN_RETENTION) // 2))


def _check_range(name: str, given: Any, least: int, most: int, unit: str) -> None:
    value = in_seconds(given) if isinstance(given, Duration | None) else number(given)
    if value is not None and not least <= value <= most:
        raise ValueError(f"{name} is {value:g}{unit}; it must be {least} to {most:,}{unit}.")


@dataclass(frozen=True)
class StreamSource:
    """A stream that Lambda reads: of Kinesis, or of a table.

    Attributes:
        resource: The stream or the table.
        arn: ARN of the stream.
        grant_read: Lets a function read it, and use its key.
        kept: Seconds that it keeps a record; None when only deployment knows.
        kinesis: The Kinesis stream. Default: none, because it is a table's.
    """

    resource: Any
    arn: str
    grant_read: Callable[[iam.IGrantable], iam.Grant]
    kept: float | None
    kinesis: kinesis.IStream | None = None


def source_of(stream: kinesis.IStream) -> StreamSource:
    """Return a Kinesis stream as what Lambda reads."""
    return StreamSource(
        resource=stream,
        arn=stream.stream_arn,
        grant_read=partial(streams.grant_read, stream),
        kept=streams.kept_by(stream),
        kinesis=stream,
    )


class StreamReader(Construct):
    """A function that processes every record of a stream, in order within its partition key.

    Args:
        source: What it reads.
        consumer: The function, and how it is called.
        alarms: What the alarms do.

    Attributes:
        function: What reads it.
        event_source_mapping: Stream to function.
        stream_consumer: Its own throughput, with enhanced fan-out; else None.
        alarms: On failures, on a reader that falls behind, and on the function.

    Raises:
        ValueError: a configuration that would fail or lose events; the message says what to change.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        source: StreamSource,
        consumer: lambda_.IFunction | StreamConsumer,
        alarms: Alarms,
    ) -> None:
        super().__init__(scope, construct_id)
        made_in(scope, self)
        consumer = StreamConsumer.of(consumer)
        expect("alarms", alarms, Alarms)
        self._source, self.function = source, consumer.function
        _check(self, source, consumer)
        self._failures = _failures(self, consumer)
        self.stream_consumer = _fan_out(self, source, consumer)
        self.event_source_mapping = _read(
            self, source, consumer, self.stream_consumer, self._failures
        )
        self.alarms = _alarms(self, consumer.function, alarms)
        self.alarms.append(_failure_alarm(self, self.event_source_mapping, self._failures, alarms))

    @property
    def failure_queue(self) -> sqs.IQueue:
        """Where the records of what was discarded are sent.

        Raises:
            ValueError: that is a topic or a bucket.
        """
        if self._failures.kind != "queue":
            raise ValueError(
                f"There is no failure queue: on_failure is {Path(self._failures.resource)}. Leave "
                "on_failure out to have a queue."
            )
        queue: sqs.IQueue = self._failures.resource
        return queue

    def grant_replay(self, grantee: iam.IGrantable) -> None:
        """Let ``grantee`` take what failed, fetch its records back, and run them again."""
        given = (self._source.resource, self._failures.resource, self.function)
        grantee = grantee_here(self, grantee, given)
        self._failures.grant_take(self, grantee)
        self._source.grant_read(grantee)
        self.function.grant_invoke(grantee)
        warn_of_fixed(grantee, Path(self._source.resource, "reading "))

    def metric_iterator_age(self, **options: Any) -> cloudwatch.Metric:
        """How far the function is behind, in milliseconds. ``options``: of the metric."""
        return self.function.metric("IteratorAge", **{"statistic": "Maximum"} | options)


class StreamReaders(Construct):
    """The readers of one stream, for a construct to inherit.

    Attributes:
        consumers: Those that were added, in that order.
    """

    consumers: list[StreamReader]
    _alarms: Alarms

    def _read_by(
        self, construct_id: str, source: StreamSource, consumer: StreamConsumer
    ) -> StreamReader:
        """Add a reader.

        Raises:
            ValueError: its function reads the stream already, or see ``StreamReader``.
        """
        function, stream = consumer.function, source.resource
        for one in self.consumers:
            if one.function.function_arn == function.function_arn:
                raise ValueError(checks.one_mapping(construct_id, Path(function), Path(stream)))
        reader = StreamReader(
            self, construct_id, source=source, consumer=consumer, alarms=self._alarms
        )
        self.consumers.append(reader)
        return reader


def _check(scope: Construct, source: StreamSource, consumer: StreamConsumer) -> None:
    """Reject a reader that Lambda cannot make, or that loses records.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-create.html and
    https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
    """
    function, path = consumer.function, Path(source.resource)
    check_here(scope, Path(function, "The consumer "), function, NOT_HERE)
    check_has_role("The consumer", function)
    check_may_run("The consumer", function, "nobody would read the stream, and its records expire")
    age = in_seconds(consumer.age(source.kept))
    if age is not None and source.kept is not None:
        reject(checks.record_age("The reader", age, path, source.kept))
    if source.kinesis is None and (
        consumer.enhanced_fan_out or isinstance(consumer.starting_position, datetime)
    ):
        raise ValueError(
            "enhanced_fan_out, or a time as starting_position, was given for the stream of a "
            "table, but only Kinesis streams have them. Leave it out."
        )
    needed = consumer.on_failure is None
    check_key_of_new_queues(scope, consumer.encryption_key, function, needed=needed)
    if consumer.on_failure is not None:
        target = Target.of("on_failure", consumer.on_failure)
        if target.kind not in DESTINATIONS:
            raise ValueError(
                f"on_failure is a {target.kind}, but Lambda sends the failures of a stream to "
                "standard queues, standard topics and buckets only. Give one of these."
            )
        target.check(scope, function)
    check_order(scope, Path(source.resource, "stream "), source.resource)
    _check_filters("kinesis" if source.kinesis else "dynamodb", consumer.filters)


def _check_filters(service: str, given: Sequence[Mapping[str, Any]]) -> None:
    """Reject filters that Lambda rejects, and those that would skip every record.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
    """
    if len(given) > LAMBDA_MAX_FILTERS:
        raise ValueError(
            f"filters has {len(given)} patterns, but a mapping takes {LAMBDA_MAX_FILTERS} at most, "
            f"and {LAMBDA_FILTERS} until you ask AWS for more. A list in a pattern takes several "
            "values."
        )
    for place, one in enumerate(given):
        name = f"filters[{place}]"
        pattern = one.get("pattern") if isinstance(one, dict) else None
        if not isinstance(pattern, str):
            raise ValueError(
                f"{name} is {one!r}, without a pattern. Make it with FilterCriteria.filter()."
            )
        if not is_token(pattern) and not _is_object(pattern):
            raise ValueError(
                f"{name} has the pattern {pattern!r}, which is no JSON object. Make it with "
                "FilterCriteria.filter()."
            )
        reject(filters.matches_nothing(name, service, [None if is_token(pattern) else pattern]))


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _failures(scope: Construct, consumer: StreamConsumer) -> Target:
    """Return where failures are sent, with the permission to send them there."""
    function, given = consumer.function, consumer.on_failure
    own = deliver(scope, "on_failure", given, function, records=RECORDS)
    key = consumer.encryption_key
    return own or deliver_to_new_queue(scope, "Failures", "on_failure", function, key)


def _fan_out(
    scope: Construct, source: StreamSource, consumer: StreamConsumer
) -> kinesis.StreamConsumer | None:
    """Return a reader's own throughput. Its name is unique, because Kinesis asks for one.

    Source: https://docs.aws.amazon.com/streams/latest/dev/enhanced-consumers.html
    """
    if source.kinesis is None or not consumer.enhanced_fan_out:
        return None
    name = Names.unique_resource_name(scope, max_length=100)
    return kinesis.StreamConsumer(scope, "FanOut", stream=source.kinesis, stream_consumer_name=name)


def _read(
    scope: Construct,
    source: StreamSource,
    consumer: StreamConsumer,
    fan_out: kinesis.StreamConsumer | None,
    failures: Target,
) -> lambda_.EventSourceMapping:
    """Let the function read the stream, as soon as it may."""
    role, start = role_in(scope, consumer.function), consumer.starting_position
    grants = [source.grant_read(role)]
    if fan_out:
        arns = [fan_out.stream_consumer_arn]
        grants.append(
            iam.Grant.add_to_principal(grantee=role, actions=SUBSCRIBE, resource_arns=arns)
        )
    warn_of_fixed(role, Path(source.resource, "reading ", ", and the use of its key, if any"))
    if isinstance(start, datetime):
        time: float | None = start.timestamp()
        start = lambda_.StartingPosition.AT_TIMESTAMP
    else:
        time = None
    mapping = lambda_.EventSourceMapping(
        scope,
        "Mapping",
        target=consumer.function,
        event_source_arn=fan_out.stream_consumer_arn if fan_out else source.arn,
        batch_size=consumer.batch_size,
        max_batching_window=consumer.max_batching_window,
        parallelization_factor=consumer.parallelization_factor,
        bisect_batch_on_error=consumer.bisect_batch_on_error,
        retry_attempts=consumer.retry_attempts,
        max_record_age=consumer.age(source.kept),
        starting_position=start,
        starting_position_timestamp=time,
        filters=list(consumer.filters) or None,
        tumbling_window=consumer.tumbling_window,
        report_batch_item_failures=True,
    )
    resource: Any = child_of(mapping)
    resource.destination_config = {"onFailure": {"destination": failures.arn}}
    if failures.kind != "queue":  # nothing else shows that something arrived there
        resource.metrics_config = {"metrics": ["EventCount"]}
    for grant in grants:
        grant.apply_before(mapping)
    return mapping


FAILURES = Runbook(
    means="Lambda discarded records of the stream after their retries, or the function refused "
    "them. The failure destination has a record of each batch; the events stay in the stream until "
    "its retention period ends.",
    see="Run `python -m serverless_patterns.redrive run` with this queue or bucket and --dry-run: "
    "it names the reasons, how many events are still there, and the time of the oldest.",
    fix="Fix the cause, then run it without --dry-run: it fetches the records back and runs them "
    "again.",
    verify="The failure destination is empty, and stays empty.",
)
# An id of an alarm is a heading of the runbook, and the stream has an IteratorAgeAlarm of its own.
NAMES = {"IteratorAge": "Behind"}
# By metric: its statistic, minutes in a row, and what to do. Source:
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Best_Practice_Recommended_Alarms_AWS_Services.html
OF_FUNCTION = {
    "IteratorAge": ("Maximum", 15, Runbook(
        means="The function is behind its stream, or a record that fails blocks a shard. Records "
        "are lost when the stream's retention period ends.",
        see="Read the function's log for errors, and compare its Errors, Throttles and Duration "
        "with the records that arrive.",
        fix="Fix what the log names. If the function only has too much to do, raise its "
        "parallelization factor, or add shards to a Kinesis stream.",
        verify="IteratorAge falls.",
    )),
    "Errors": ("Sum", 3, Runbook(
        means="Calls of the function fail. Each blocks its shard until it succeeds, or Lambda "
        "discards its records.",
        see="Read the function's log; a Duration close to its timeout means that calls are cut "
        "off.",
        fix="Fix the function, or the dependency that its errors name. Then replay what was "
        "discarded: see FailureAlarm.",
        verify="Errors falls to 0.",
    )),
    "Throttles": ("Sum", 5, Runbook(
        means="Lambda throttles the function, so its shards wait.",
        see="Compare ConcurrentExecutions with what the function reserves, with the account's "
        "quota, and with shards times parallelization factor.",
        fix="Raise the one that limits it.",
        verify="Throttles falls to 0, and IteratorAge falls.",
    )),
    "DestinationDeliveryFailures": ("Sum", 1, Runbook(
        means="Lambda discarded records, and could not report them to the failure destination: "
        "nothing names the events, which are LOST unless you find them.",
        see="Look at the destination, its policy and key, and the function's role; AWS CloudTrail "
        "shows who changed them.",
        fix="Fix what blocks the delivery. Then read the stream again: a new reader in place of "
        "this one starts at the oldest record, or, on a Kinesis stream, at a time that you choose. "
        "What was processed before changes nothing.",
        verify="DestinationDeliveryFailures stays at 0.",
    )),
}  # fmt: skip


def _alarms(
    scope: Construct, function: lambda_.IFunction, alarms: Alarms
) -> list[cloudwatch.Alarm]:
    """Go off when the function falls behind, and when its calls fail.

    Raises:
        ValueError: ``max_age`` is known at deployment only.
    """
    if alarms.max_age is not None and in_seconds(alarms.max_age) is None:
        raise ValueError(streams.AGE_NOT_KNOWN)
    thresholds = {"IteratorAge": 1000 * alarms.age_or_half_of(None)}
    return [
        alarms.above(
            scope,
            f"{NAMES.get(name, name)}Alarm",
            function.metric(name, statistic=statistic, period=seconds(MINUTE)),
            runbook,
            threshold=thresholds.get(name, 0),
            evaluation_periods=minutes,
        )
        for name, (statistic, minutes, runbook) in OF_FUNCTION.items()
    ]


def _failure_alarm(
    scope: Construct, mapping: lambda_.EventSourceMapping, failures: Target, alarms: Alarms
) -> cloudwatch.Alarm:
    """Go off while the failure queue holds anything, or when a topic or a bucket gets a record.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    """
    if failures.kind == "queue":
        return alarms.on_messages(scope, "FailureAlarm", failures.resource, FAILURES)
    sent = cloudwatch.Metric(
        namespace="AWS/Lambda",
        metric_name="OnFailureDestinationDeliveredEventCount",
        dimensions_map={"EventSourceMappingUUID": mapping.event_source_mapping_id},
        statistic="Sum",
        period=seconds(MINUTE),
    )
    return alarms.above(scope, "FailureAlarm", sent, FAILURES)
