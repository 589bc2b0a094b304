"""What the constructs of a watched bucket share: who may upload, read, and write results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs import Construct

from ..checks import reject
from ..checks import s3 as checks
from .bucket_events import arns_of_objects, grant_on_objects
from .findings import acknowledge_wildcards
from .grants import grantee_here, principal_of, warn_of_fixed
from .sweeps import run_by_schedule
from .values import Path, expect, has, is_token, path_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_events as events
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_s3 as s3

    from .alarms import Alarms
    from .bucket_events import Watch
    from .sweeps import Sweep


class WatchesBucket(Construct):
    """Grants on the objects of a bucket that is watched, for a construct to inherit.

    Attributes:
        bucket: Where the objects are uploaded.
        schedule: The rule that runs the sweep; None without one.
    """

    bucket: s3.IBucket
    schedule: events.Rule | None = None
    _given: tuple[object, ...]
    _invoked: lambda_.IFunction
    _watch: Sequence[Watch]
    _results: str | None

    def grant_put(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` upload objects that are watched.

        Raises:
            ValueError: ``grantee`` is the function that is invoked for them, or cannot be granted
                it.
        """
        role, own = principal_of(grantee), self._invoked.role
        if own and has(role, "node") and path_of(role) == path_of(own):
            raise ValueError(
                f"{Path(self._invoked)} is invoked for the objects that grant_put() would let it "
                "upload: it would invoke itself, without end. Give its construct a results_prefix, "
                "and use grant_write_results()."
            )
        return self._grant(grantee, self._watched, ["s3:PutObject", "s3:AbortMultipartUpload"])

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
        return self._grant(grantee, [f"{self._results}*"], ["s3:PutObject"])

    @property
    def _watched(self) -> list[str]:
        return [one.objects for one in self._watch]

    def _sweep(self, sweep: Sweep | None, alarms: Alarms) -> list[cloudwatch.Alarm]:
        """Run a sweep, if there is one; return its alarms."""
        if sweep is None:
            return []
        self.schedule, on_sweep = run_by_schedule(self, sweep, alarms)
        return on_sweep

    def _grant(
        self,
        grantee: iam.IGrantable,
        objects: Sequence[str],
        on_object: Sequence[str],
        on_bucket: Sequence[str] = (),
    ) -> iam.Grant:
        grantee, why = grantee_here(self, grantee, self._given), "Who uploads makes up the names"
        return grant_here(self.bucket, grantee, objects, on_object, on_bucket, f"{why} of objects.")


def grant_here(
    bucket: s3.IBucket,
    grantee: iam.IGrantable,
    objects: Sequence[str],
    on_object: Sequence[str],
    on_bucket: Sequence[str],
    why: str,
) -> iam.Grant:
    """Let a ``grantee_here`` do something with objects, and use the bucket's key for it.

    ``why``: the reason for the wildcard in their names. See ``grant_on_objects`` for the others.
    """
    writes = ["kms:GenerateDataKey"] if "s3:PutObject" in on_object else []
    on_key = ["kms:Decrypt", *writes]
    grant = grant_on_objects(bucket, grantee, objects, on_object, on_bucket, on_key)
    principal = principal_of(grantee)
    if objects and has(principal, "node"):
        acknowledge_wildcards(principal, why, *arns_of_objects(bucket, objects))
    warn_of_fixed(grantee, Path(bucket, "the use of ", " and of its key, if any"))
    return grant


def check_results(results: str | None, watches: Sequence[Watch]) -> None:
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
