"""producer → Kinesis → Lambda;  failed records ⇢ failure queue ⇢ alarm"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..blocks import streams
from ..blocks.alarms import Alarms
from ..blocks.grants import grantee_here, warn_of_fixed
from ..blocks.stream_consumers import StreamConsumer, StreamReaders, source_of
from ..blocks.streams import NewStream
from ..blocks.values import Path, expect, seconds

if TYPE_CHECKING:
    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_kinesis as kinesis
    from aws_cdk import aws_lambda as lambda_
    from constructs import Construct

    from ..blocks.stream_consumers import StreamReader

__all__ = ["Alarms", "KinesisToLambda", "NewStream", "StreamConsumer"]


class KinesisToLambda(StreamReaders):
    """Process a stream of events in order within each partition key, as they arrive.

    Readers are added by ``add_consumer()``; each reads every event, at its own pace, and keeps its
    place. A record that fails is isolated, retried, and given up, so that it blocks its shard for
    a while only; it is named in the reader's failure queue, which raises an alarm, and it stays in
    the stream to be replayed. Delivery is at least once, so consumers must be idempotent.

    Args:
        stream: Your own stream of this account and Region, or the settings of a new one.
        alarms: What the alarms do. ``max_age`` is the age of a record that is not yet read.
            Default: 15 minutes.

    Attributes:
        stream: Where to put records.
        consumers: Those that were added, in that order.
        alarms: The alarms of the stream; each reader has its own.

    Raises:
        ValueError: a configuration that would fail or lose events; the message says what to
            change.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stream: kinesis.IStream | NewStream = NewStream(),
        alarms: Alarms = Alarms(),
    ) -> None:
        super().__init__(scope, construct_id)
        expect("stream", stream, "IStream", NewStream)
        expect("alarms", alarms, Alarms)
        self._given, self._alarms = stream, alarms.of_pattern(__name__)
        max_age = alarms.max_age or seconds(alarms.age_or_half_of(None))
        self.stream = streams.stream_of(
            self, "Stream", stream, max_age, here=streams.LAMBDA_IS_HERE
        )
        self.consumers = []
        self.alarms = streams.alarms_of_stream(self, self.stream, max_age, self._alarms)

    def add_consumer(
        self, construct_id: str, consumer: lambda_.IFunction | StreamConsumer
    ) -> StreamReader:
        """Add a reader of every event, with its own place, failure queue and alarms.

        Args:
            construct_id: Its id below the construct.
            consumer: Function or alias that processes the records, or with its settings.

        Raises:
            ValueError: a configuration that would fail or lose events; the message says what to
                change.
        """
        return self._read_by(construct_id, source_of(self.stream), StreamConsumer.of(consumer))

    def grant_write(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` put records into the stream, and use its customer key.

        Raises:
            ValueError: it is of another account and cannot use the stream's key, or has no policy.
        """
        grantee = grantee_here(self, grantee, (self._given, self.stream))
        grant = streams.grant_write(self.stream, grantee)
        warn_of_fixed(
            grantee, Path(self, "putting records into ", " and the use of its key, if any")
        )
        return grant

    def metric_iterator_age(self, **options: Any) -> cloudwatch.Metric:
        """How far the slowest reader is behind, in milliseconds. ``options``: of the metric."""
        return self.stream.metric_get_records_iterator_age_milliseconds(**options)
