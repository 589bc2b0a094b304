"""upload → S3 → Lambda;  Lambda ⇢ failure queue ⇢ alarm"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import aws_iam as iam

from ..blocks.alarms import Alarms
from ..blocks.bucket_events import NewVersionedBucket as NewBucket
from ..blocks.bucket_events import Watch, check_watches, connect_function, watched_bucket
from ..blocks.failures import keep_failures
from ..blocks.grants import grantee_here
from ..blocks.sweeps import Sweep
from ..blocks.values import expect
from ..blocks.watched import WatchesBucket, check_results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_s3 as s3
    from aws_cdk import aws_sqs as sqs
    from constructs import Construct


class S3EventsToLambda(WatchesBucket):
    """Run a function for each object that is uploaded, without a queue between: the fewest parts.

    Lambda itself holds the events, up to 6 hours; a burst takes the account's concurrency, and an
    outage that lasts longer than two retries moves every event to ``failure_queue``. Where either
    matters, use ``S3EventsToSqsToLambda``. Delivery is at least once and unordered. To change the
    retries, the maximum age or the failure destination, give the function to ``AsyncLambda`` first,
    which then keeps its failures.

    Args:
        function: Function or alias that is invoked. You own its code.
        bucket: The settings of a new bucket, or your own one, which is in this stack and has a
            ``bucket_name``.
        watch: Which objects, and what of them. Default: all objects that are created.
        results_prefix: Where in the same bucket the function writes; outside what is watched.
            Default: it writes nothing there.
        encryption_key: Customer managed key of the failure queue. Default: a key of AWS.
        sweep: Finds what no event announced. Default: nothing does.
        alarms: What the alarms do.

    Attributes:
        bucket: Where the objects are uploaded.
        bucket_name: Its name, for the environment of ``function``. The bucket waits for the
            function, so the function cannot wait for ``bucket.bucket_name``.
        failure_queue: Lambda's records of events that the function failed; None if ``AsyncLambda``
            keeps them.
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
        function: lambda_.IFunction,
        bucket: s3.IBucket | NewBucket = NewBucket(),
        watch: Sequence[Watch] = (Watch(),),
        results_prefix: str | None = None,
        encryption_key: kms.IKey | None = None,
        sweep: Sweep | None = None,
        alarms: Alarms = Alarms(),
    ) -> None:
        super().__init__(scope, construct_id)
        expect("function", function, "IFunction")
        expect("bucket", bucket, "IBucket", NewBucket)
        expect("sweep", sweep, Sweep, None)
        expect("alarms", alarms, Alarms)
        check_watches(watch)
        check_results(results_prefix, watch)
        self._given = function, bucket, encryption_key, sweep
        self._invoked, self._watch, self._results = function, watch, results_prefix

        self.bucket = watched_bucket(self, "Bucket", bucket)
        self.bucket_name = connect_function(self, self.bucket, watch, function)
        self.failure_queue: sqs.IQueue | None
        self.alarms: list[cloudwatch.Alarm]
        alarms = alarms.of_pattern(__name__)
        self.failure_queue, self.alarms = keep_failures(self, function, encryption_key, alarms)
        self.alarms += self._sweep(sweep, alarms)

    def grant_sweep(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` list the bucket's versions, and invoke the function for what it finds.

        Raises:
            ValueError: ``grantee`` cannot be granted it.
        """
        role, arn = grantee_here(self, grantee, self._given), self._invoked.function_arn
        invoke = ["lambda:InvokeFunction"]
        iam.Grant.add_to_principal(grantee=role, actions=invoke, resource_arns=[arn])
        return self._grant(grantee, (), (), ["s3:ListBucketVersions"])
