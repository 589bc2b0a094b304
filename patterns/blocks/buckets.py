"""S3 buckets: a new one that is encrypted, private and requires TLS, or yours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_cdk import Annotations, RemovalPolicy
from aws_cdk import aws_s3 as s3

from ..checks import reject
from ..checks import s3 as checks
from . import keys
from .findings import acknowledge
from .places import check_here, check_key_here, elsewhere
from .values import DAY, Path, check_removal, child_of, expect, expect_fields, seconds, stack_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_cdk import aws_kms as kms
    from constructs import Construct

VERSIONS = "versioningConfiguration"


@dataclass(frozen=True, kw_only=True)
class NewBucket:
    """Settings of a new bucket. It is encrypted and private, and requires TLS.

    Attributes:
        lifecycle_rules: When objects move or expire. Default: objects move to Intelligent-Tiering
            after 30 days, and incomplete uploads expire after 7, besides what a construct says.
        encryption_key: Customer managed key. Default: S3-managed encryption.
        removal_policy: What happens to the bucket when the stack is deleted; DESTROY empties it
            too. Default: RETAIN.

    Raises:
        ValueError: a key that encrypts nothing.
    """

    lifecycle_rules: Sequence[s3.LifecycleRule] | None = None
    encryption_key: kms.IKey | None = None
    removal_policy: RemovalPolicy = RemovalPolicy.RETAIN

    def __post_init__(self) -> None:
        """Reject a key that encrypts nothing."""
        expect_fields(
            self,
            lifecycle_rules=(list, tuple, None),
            encryption_key=("IKey", None),
        )
        check_removal(self.removal_policy)
        for rule in self.lifecycle_rules or ():
            expect("lifecycle_rules", rule, s3.LifecycleRule)
        keys.check_key("encryption_key", self.encryption_key)


def bucket_of(
    scope: Construct,
    construct_id: str,
    bucket: s3.IBucket | NewBucket,
    *,
    expires: str,
    warning: str,
) -> s3.IBucket:
    """Make a new bucket, or return yours; an imported one gets a warning of what it needs.

    Args:
        scope: Where it is made.
        construct_id: Its id there.
        bucket: Your own bucket, or the settings of a new one.
        expires: Folder whose objects expire after 30 days, unless there are rules of yours.
        warning: What nothing does for an imported bucket.

    Raises:
        ValueError: its key encrypts nothing.
    """
    expect("bucket", bucket, "IBucket", NewBucket)
    if not isinstance(bucket, NewBucket):
        _check_own_bucket(scope, bucket, warning)
        return bucket
    return make_bucket(scope, construct_id, bucket, lifecycle=_default_lifecycle(expires))


def make_bucket(
    scope: Construct,
    construct_id: str,
    new: NewBucket,
    *,
    lifecycle: Sequence[s3.LifecycleRule],
    name: str | None = None,
    versioned: bool = False,
) -> s3.Bucket:
    """Make a new bucket.

    Args:
        scope: Where it is made.
        construct_id: Its id there.
        new: Its settings.
        lifecycle: Its rules, unless there are some of yours.
        name: Its name, for what has to know it before the bucket is there. Default: generated.
        versioned: Whether it keeps every version of an object. Default: no.

    Raises:
        ValueError: its key cannot encrypt it.
    """
    given, key = new.lifecycle_rules, new.encryption_key
    check_key_here(scope, key)
    made = s3.Bucket(
        scope,
        construct_id,
        bucket_name=name,
        versioned=versioned or None,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        enforce_ssl=True,
        minimum_tls_version=1.2,
        encryption=s3.BucketEncryption.KMS if key else s3.BucketEncryption.S3_MANAGED,
        encryption_key=key,
        bucket_key_enabled=True if key else None,
        lifecycle_rules=lifecycle if given is None else given,
        removal_policy=new.removal_policy,
        auto_delete_objects=new.removal_policy == RemovalPolicy.DESTROY or None,
    )
    acknowledge(
        made,
        "AwsSolutions::AwsSolutions-S1",
        "Who reads the bucket is the account's to record, in CloudTrail data events.",
    )
    return made


def check_rules_outlast(bucket: s3.IBucket, prefix: str, queue: object, waits: float) -> None:
    """Reject lifecycle rules of yours by which objects are gone before the messages about them.

    Of a bucket with versions, a message about an object names a version, which stays.

    Args:
        bucket: Of the objects; nothing is known of an imported one.
        prefix: How their keys begin.
        queue: Whose messages.
        waits: How long one may wait for, in seconds. See ``queues.longest_wait``.

    Raises:
        ValueError: an object would expire while a message about it waits.
    """
    resource: Any = child_of(bucket)
    # Of its own property the CDK tells nothing: the rules are added up when it is rendered.
    known = stack_of(resource).resolve(resource._cfn_properties) if resource else {}
    rules = known.get("lifecycleConfiguration", {}).get("rules", ())
    for one in () if known.get(VERSIONS) else rules:
        theirs, days = one.get("prefix", ""), one.get("expirationInDays")
        known_here = isinstance(theirs, str)  # and not at deployment only
        overlap = known_here and (theirs.startswith(prefix) or prefix.startswith(theirs))
        if days is not None and one.get("status") == "Enabled" and overlap:
            objects = Path(bucket, f"objects of '{theirs}*' in ")
            reject(checks.expires_before_read(objects, days * DAY, queue, waits))


def check_no_versions(bucket: s3.IBucket) -> None:
    """Reject a bucket of yours that keeps what is deleted; nothing is known of an imported one.

    Raises:
        ValueError: it has versions.
    """
    resource: Any = child_of(bucket)
    if resource and stack_of(resource).resolve(resource._cfn_properties).get(VERSIONS):
        reject(checks.versions_of_bodies(Path(bucket)))


def _default_lifecycle(expires: str) -> list[s3.LifecycleRule]:
    month, tiering = seconds(30 * DAY), s3.StorageClass.INTELLIGENT_TIERING
    return [
        s3.LifecycleRule(abort_incomplete_multipart_upload_after=seconds(7 * DAY)),
        s3.LifecycleRule(
            transitions=[s3.Transition(storage_class=tiering, transition_after=month)]
        ),
        s3.LifecycleRule(prefix=expires, expiration=month),
    ]


def _check_own_bucket(scope: Construct, bucket: s3.IBucket, warning: str) -> None:
    """Reject a bucket that cannot be written to from here; warn of an imported one.

    Source:
    https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html#cross-account-delivery-s3
    """
    keys.check_key_of(bucket)
    if isinstance(bucket, s3.Bucket):
        reason = (
            "its policy, key and alarm cannot be set from here. Import it with "
            "Bucket.from_bucket_attributes(), its account and region."
        )
        return check_here(scope, Path(bucket), bucket, reason)
    place = elsewhere(scope, bucket)
    owner = (
        ""
        if place is None
        else f" It is in {place}: its policy, and that of its key, must "
        "allow the role of Firehose what the role's own policy does."
    )
    Annotations.of(bucket).add_warning_v2(
        "serverless-patterns:imported-bucket",
        f"This bucket is imported, so its policy and key cannot be checked, and {warning}."
        f"{owner}{keys.ask_for_key(bucket.encryption_key, 'from_bucket_attributes')}",
    )
    return None
