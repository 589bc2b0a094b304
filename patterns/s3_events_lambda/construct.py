"""upload → S3 → SQS → Lambda;  SQS ⇢ DLQ ⇢ alarm;  schedule → sweep → SQS"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_lambda as lambda_

from ..blocks.alarms import MINUTE, Alarms, Runbook
from ..blocks.bucket_events import (
    NewVersionedBucket as NewBucket,
)
from ..blocks.bucket_events import (
    Notification,
    ThroughEventBridge,
    ThroughTopic,
    Watch,
    arns_of_objects,
    check_watches,
    connect,
    grant_on_objects,
    watched_bucket,
)
from ..blocks.consumers import Consumer, check_may_run
from ..blocks.findings import acknowledge, acknowledge_wildcards
from ..blocks.grants import grantee_here, principal_of, warn_of_fixed
from ..blocks.queues import NewQueue, SqsToLambda, grant_send
from ..blocks.values import Path, child_of, expect, expect_fields, has, is_token, seconds
from ..checks import reject
from ..checks import s3 as checks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_cdk import aws_iam as iam
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
    "S3EventsToSqsToLambda",
    "Sweep",
    "ThroughEventBridge",
    "ThroughTopic",
    "Watch",
]

HOUR = seconds(3600)
NAMESPACE, FOUND = "ServerlessPatterns", "ObjectsFound"
CONSUMER_FAILS = Runbook(
    means="Calls of the consumer fail as a whole; the events stay in the queue and are retried.",
    see="Read its log for the error, most often a dependency that is unavailable.",
    fix="Bring the dependency back, or deploy a consumer that works.",
    verify="Errors falls to 0, and ApproximateAgeOfOldestMessage falls.",
)
SWEEP_FAILS = Runbook(
    means="The sweep fails, so objects that no event announced stay unnoticed.",
    see="Read its log: a missing permission, a bucket too large for its timeout, or a dependency.",
    fix="Fix the cause, then invoke the function by hand: it may run at any time.",
    verify="A run ends without an error.",
)
SWEEP_FINDS = Runbook(
    means="The sweep found objects that no event had announced, and sent them to the queue.",
    see="Read the sweep's log for how many; AWS CloudTrail shows who changed the bucket's "
    "notification configuration or the policy of the queue.",
    fix="Deploy the stack again if the configuration has changed. The objects need nothing: the "
    "consumer gets them now.",
    verify="The next runs find none.",
)


@dataclass(frozen=True)
class Sweep:
    """A function that finds objects which no event announced, and sends them to the queue.

    Attributes:
        function: Your function. It lists the bucket, compares it with the results, and reports how
            many it found as the metric ``ObjectsFound`` of the namespace ``ServerlessPatterns``
            with the dimension ``FunctionName``.
        every: How often it runs. Default: every hour.

    Raises:
        ValueError: a value of the wrong type.
    """

    function: lambda_.IFunction
    every: Duration = HOUR

    def __post_init__(self) -> None:
        """Reject what cannot run."""
        expect_fields(self, function=("IFunction",), every=(Duration,))


class S3EventsToSqsToLambda(SqsToLambda):
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
        schedule: The rule that runs the sweep; None without one.
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
        _check_results(results_prefix, watch)
        alarms = alarms.of_pattern(__name__)
        super().__init__(scope, construct_id, consumer=consumer, queue=queue, alarms=alarms)
        self._given = consumer, bucket, queue, sweep
        self._watch, self._results = watch, results_prefix

        self.bucket = watched_bucket(self, "Bucket", bucket)
        own = ThroughEventBridge() if bucket is self.bucket else Notification()
        self.topic, on_topic = connect(self, self.bucket, watch, through or own, self.queue, alarms)
        errors = consumer.function.metric_errors(period=seconds(MINUTE), statistic="Sum")
        row = ("ConsumerErrorsAlarm", errors, CONSUMER_FAILS, 0, 3)
        self.alarms += [*on_topic, *alarms.each(self, [row])]
        self.schedule = self._sweep(sweep, alarms) if sweep else None

    def _sweep(self, sweep: Sweep, alarms: Alarms) -> events.Rule:
        check_may_run("The sweep", sweep.function, "nothing would be found")
        rule = events.Rule(self, "Schedule", schedule=events.Schedule.rate(sweep.every))
        lambda_.CfnPermission(
            rule,
            "Permission",
            action="lambda:InvokeFunction",
            function_name=sweep.function.function_arn,
            principal="events.amazonaws.com",
            source_arn=rule.rule_arn,
        )
        resource: Any = child_of(rule)
        resource.targets = [{"id": "Sweep", "arn": sweep.function.function_arn}]
        findings = ("Serverless::Serverless-EventBusDLQ", "EventLoss::I9183")
        acknowledge(rule, findings, "A run that could not start is made up for by the next.")
        period = seconds(MINUTE)
        found = self._found(sweep, period=period, statistic="Sum")
        failed = sweep.function.metric_errors(period=period, statistic="Sum")
        self.alarms += alarms.each(
            self,
            [
                ("SweepFoundAlarm", found, SWEEP_FINDS, 0, 1),
                ("SweepErrorsAlarm", failed, SWEEP_FAILS, 0, 1),
            ],
        )
        return rule

    @staticmethod
    def _found(sweep: Sweep, **options: Any) -> cloudwatch.Metric:
        name = {"FunctionName": sweep.function.function_name}
        return cloudwatch.Metric(
            namespace=NAMESPACE, metric_name=FOUND, dimensions_map=name, **options
        )

    def grant_put(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` upload objects that are watched.

        Raises:
            ValueError: ``grantee`` cannot be granted it.
        """
        actions = ["s3:PutObject", "s3:AbortMultipartUpload"]
        key = ["kms:Decrypt", "kms:GenerateDataKey"]
        return self._grant(grantee, self._watched, actions, (), key)

    def grant_read(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` read the objects that are watched, of any version.

        It may list the bucket too: without that, S3 answers for an object that is gone as for one
        that may not be read, with 403, and the consumer could not tell
        (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html).

        Raises:
            ValueError: ``grantee`` cannot be granted it.
        """
        actions = ["s3:GetObject", "s3:GetObjectVersion"]
        return self._grant(grantee, self._watched, actions, ["s3:ListBucket"])

    def grant_write_results(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` write below ``results_prefix``.

        Raises:
            ValueError: there is none, or ``grantee`` cannot be granted it.
        """
        if self._results is None:
            raise ValueError(
                f"{Path(self)} has no results_prefix, so nobody writes results into its bucket. "
                "Give it one."
            )
        key = ["kms:Decrypt", "kms:GenerateDataKey"]
        return self._grant(grantee, [f"{self._results}*"], ["s3:PutObject"], (), key)

    def grant_sweep(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` list the bucket's versions, and send what it finds to the queue.

        Raises:
            ValueError: ``grantee`` cannot be granted it.
        """
        role = grantee_here(self, grantee, self._given)
        grant_send(self.queue, role)
        return self._grant(grantee, (), (), ["s3:ListBucketVersions"])

    @property
    def _watched(self) -> list[str]:
        return [one.objects for one in self._watch]

    def _grant(
        self,
        grantee: iam.IGrantable,
        objects: Sequence[str],
        on_object: Sequence[str],
        on_bucket: Sequence[str],
        key_actions: Sequence[str] = ("kms:Decrypt",),
    ) -> iam.Grant:
        grantee = grantee_here(self, grantee, self._given)
        grant = grant_on_objects(self.bucket, grantee, objects, on_object, on_bucket, key_actions)
        principal = principal_of(grantee)
        if objects and has(principal, "node"):
            arns = arns_of_objects(self.bucket, objects)
            acknowledge_wildcards(principal, "Who uploads makes up the names of objects.", *arns)
        warn_of_fixed(grantee, Path(self.bucket, "the use of ", " and of its key, if any"))
        return grant


def _check_results(results: str | None, watches: Sequence[Watch]) -> None:
    """Reject results whose events would invoke the consumer again.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/with-s3.html

    Raises:
        ValueError: they are among what is watched.
    """
    expect("results_prefix", results, str, None)
    if results is None or is_token(results):
        return
    if not results:
        raise ValueError("results_prefix is empty. Give a folder such as 'results/'.")
    for watch in watches:
        if "ObjectCreated" in watch.events:
            reject(checks.loop("results_prefix", results, watch.filter))
