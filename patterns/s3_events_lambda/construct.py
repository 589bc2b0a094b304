"""upload → S3 → SQS → Lambda;  SQS ⇢ DLQ ⇢ alarm;  schedule → sweep → SQS"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..blocks.alarms import MINUTE, Alarms, Runbook
from ..blocks.bucket_events import (
    NewVersionedBucket as NewBucket,
)
from ..blocks.bucket_events import (
    Notification,
    ThroughEventBridge,
    ThroughTopic,
    Watch,
    check_watches,
    connect,
    watched_bucket,
)
from ..blocks.buckets import check_rules_outlast
from ..blocks.consumers import Consumer
from ..blocks.grants import grantee_here
from ..blocks.queues import NewQueue, SqsToLambda, grant_send, longest_wait
from ..blocks.sweeps import Sweep
from ..blocks.values import Path, expect, seconds
from ..blocks.watched import WatchesBucket, check_results
from .direct import S3EventsToLambda

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_s3 as s3
    from aws_cdk import aws_sqs as sqs
    from constructs import Construct

    from ..blocks.bucket_events import Way

__all__ = [
    "Alarms",
    "Consumer",
    "NewBucket",
    "NewQueue",
    "Notification",
    "S3EventsToLambda",
    "S3EventsToSqsToLambda",
    "Sweep",
    "ThroughEventBridge",
    "ThroughTopic",
    "Watch",
]

CONSUMER_FAILS = Runbook(
    means="Calls of the consumer fail as a whole; the events stay in the queue and are retried.",
    see="Read its log for the error, most often a dependency that is unavailable.",
    fix="Bring the dependency back, or deploy a consumer that works.",
    verify="Errors falls to 0, and ApproximateAgeOfOldestMessage falls.",
)


class S3EventsToSqsToLambda(WatchesBucket, SqsToLambda):
    """Work on each object that is uploaded: its event waits in a queue until the work is done.

    Delivery is at least once and unordered, also for the events of one key, so the consumer must be
    idempotent and compare sequencers. The queue also holds one ``s3:TestEvent``, which S3 sends
    when it is connected. An event whose work fails ``max_receive_count`` times moves to
    ``dead_letter_queue`` and raises an alarm.

    Args:
        consumer: Function or alias that processes the events, or a ``Consumer`` with its settings.
            You own its code.
        bucket: The settings of a new bucket, or your own one.
        watch: Which objects, and what of them. Default: all objects that are created.
        through: How the events reach the queue: ``Notification()`` or ``ThroughTopic(...)`` of a
            bucket that is new, or has a ``bucket_name`` and is in this stack; or
            ``ThroughEventBridge()``. Default: a notification of a new bucket, else EventBridge.
        queue: Your own standard queue, or the settings of a new one.
        results_prefix: Where in the same bucket the consumer writes; outside what is watched.
            Default: it writes nothing there.
        sweep: Finds what no event announced. Default: nothing does.
        alarms: What the alarms do.

    Attributes:
        bucket: Where the objects are uploaded.
        topic: Between bucket and queue; None without one.
        queue: Where the events wait; see also ``dead_letter_queue``.
        event_source_mapping: Queue to consumer.
        alarms: Every alarm of the pattern.

    Raises:
        ValueError: a configuration that would fail, lose events or never end; the message says what
            to change.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        consumer: lambda_.IFunction | Consumer,
        bucket: s3.IBucket | NewBucket = NewBucket(),
        watch: Sequence[Watch] = (Watch(),),
        through: Way | None = None,
        queue: sqs.IQueue | NewQueue = NewQueue(),
        results_prefix: str | None = None,
        sweep: Sweep | None = None,
        alarms: Alarms = Alarms(),
    ) -> None:
        consumer = Consumer.of(consumer)
        expect("bucket", bucket, "IBucket", NewBucket)
        expect("through", through, Notification, ThroughTopic, ThroughEventBridge, None)
        expect("sweep", sweep, Sweep, None)
        expect("alarms", alarms, Alarms)
        check_watches(watch)
        check_results(results_prefix, watch)
        alarms = alarms.of_pattern(__name__)
        super().__init__(scope, construct_id, consumer=consumer, queue=queue, alarms=alarms)
        self._given = consumer, bucket, queue, sweep
        self._invoked, self._watch, self._results = consumer.function, watch, results_prefix

        self.bucket = watched_bucket(self, "Bucket", bucket)
        own = ThroughEventBridge() if bucket is self.bucket else Notification()
        for one in watch:
            if "ObjectCreated" in one.events:
                check_rules_outlast(self.bucket, one.prefix, Path(self.queue), longest_wait(queue))
        self.topic, on_topic = connect(self, self.bucket, watch, through or own, self.queue, alarms)
        errors = consumer.function.metric_errors(period=seconds(MINUTE), statistic="Sum")
        row = ("ConsumerErrorsAlarm", errors, CONSUMER_FAILS, 0, 3)
        self.alarms += [*on_topic, *alarms.each(self, [row])]
        self.alarms += self._sweep(sweep, alarms)

    def grant_sweep(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` list the bucket's versions, and send what it finds to the queue.

        Raises:
            ValueError: ``grantee`` cannot be granted it.
        """
        role = grantee_here(self, grantee, self._given)
        grant_send(self.queue, role)
        return self._grant(grantee, (), (), ["s3:ListBucketVersions"])
