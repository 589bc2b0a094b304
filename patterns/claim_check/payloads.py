"""Where bodies are stored, and for how long: longer than any message about them may wait."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from aws_cdk import Annotations, Duration
from aws_cdk import aws_s3 as s3

from ..blocks import keys
from ..blocks.buckets import NewBucket, check_no_versions, check_rules_outlast, make_bucket
from ..blocks.grants import grantee_here
from ..blocks.names import bucket_name_known_before_creation
from ..blocks.places import check_here
from ..blocks.values import DAY, Path, expect_fields, in_seconds, is_token, stack_of
from ..blocks.watched import grant_here
from ..checks import reject
from ..checks import s3 as checks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_cdk import aws_iam as iam
    from constructs import Construct, IConstruct

_PREFIX = re.compile(r"([A-Za-z0-9][\w.-]*/)*", re.ASCII)
_PREFIXES: WeakKeyDictionary[IConstruct, dict[str, list[str]]] = WeakKeyDictionary()


@dataclass(frozen=True, kw_only=True)
class Payloads:
    """Where bodies are stored, and for how long.

    Attributes:
        bucket: Your own bucket, of this account and Region and without versions, or the settings of
            a new one.
        prefix: A folder of it that nothing else is in, such as ``catalogs/``. Default: the whole
            bucket, as AWS's extended clients use it.
        kept: How long a body is kept that nobody has deleted. Default: twice as long as a message
            may wait for, so that a dead letter may be redriven once on its last day.

    Raises:
        ValueError: a prefix that is no folder, or a value of the wrong type.
    """

    bucket: s3.IBucket | NewBucket = field(default_factory=NewBucket)
    prefix: str = ""
    kept: Duration | None = None

    def __post_init__(self) -> None:
        """Reject a prefix that other keys begin with, too."""
        expect_fields(self, bucket=("IBucket", NewBucket), prefix=(str,), kept=(Duration, None))
        if not is_token(self.prefix) and not _PREFIX.fullmatch(self.prefix):
            raise ValueError(
                f"prefix is {self.prefix!r}; it must be empty, or folders of letters, digits, - _ "
                "and . that end with /, such as 'catalogs/'."
            )


class Store:
    """The bodies of one queue or topic, in a bucket.

    Args:
        scope: Where a new bucket is made.
        payloads: Where they are, and for how long.
        longest: How long a message may wait for, in seconds, with all that is known now.
        net: How much later than ``kept`` the lifecycle rule comes, in seconds.
    """

    def __init__(self, scope: Construct, payloads: Payloads, longest: float, net: int) -> None:
        self._scope, self.prefix, given = scope, payloads.prefix, in_seconds(payloads.kept)
        self._kept = 2 * longest if given is None else given
        self.is_new = isinstance(payloads.bucket, NewBucket)
        if isinstance(payloads.bucket, NewBucket):
            name = bucket_name_known_before_creation(scope)
            new = make_bucket(scope, "Bucket", payloads.bucket, lifecycle=[], name=name)
            self.bucket: s3.IBucket = new
        else:
            self.bucket = payloads.bucket
            keys.check_key_of(self.bucket)
            reason = "bodies are kept where their queue is. Give a bucket of this place."
            check_here(scope, Path(self.bucket, "bucket "), self.bucket, reason)
            check_no_versions(self.bucket)
        self._bucket_name = self.bucket.bucket_name
        self._check_alone()
        self._expire(ceil((self._kept + net) / DAY))

    @property
    def environment(self) -> dict[str, str]:
        """The variables that tell a function where bodies are, and for how long."""
        place = {"BUCKET_NAME": self._bucket_name, "PREFIX": self.prefix}
        return place | {"KEPT_SECONDS": str(int(self._kept))}

    def check(self, queue: object, longest: float) -> None:
        """Reject bodies that are gone before the messages of ``queue``, which wait so long.

        Raises:
            ValueError: they are kept for too short a time, by ``kept`` or by a rule of yours.
        """
        objects = Path(self.bucket, f"kept: objects of '{self.prefix}*' in ")
        reject(checks.expires_before_read(objects, self._kept, queue, longest))
        check_rules_outlast(self.bucket, self.prefix, queue, longest)

    def grant(
        self,
        grantee: iam.IGrantable,
        given: Sequence[Any],
        on_object: Sequence[str],
        on_bucket: Sequence[str] = (),
        below: str = "",
    ) -> iam.Grant:
        """Let ``grantee`` do something with the bodies, and use the bucket's key for it.

        Raises:
            ValueError: ``grantee`` cannot be granted it.
        """
        grantee = grantee_here(self._scope, grantee, given, told=True)
        objects, why = [f"{self.prefix}{below}*"], "Each body has a key of its own, made up."
        return grant_here(self.bucket, grantee, objects, on_object, on_bucket, why)

    def _check_alone(self) -> None:
        """Reject bodies among those of another queue, which deletes them; imports may be one."""
        own = self.bucket if isinstance(self.bucket, s3.Bucket) else stack_of(self._scope)
        others = _PREFIXES.setdefault(own, {}).setdefault(self._bucket_name, [])
        for other in others:
            if other.startswith(self.prefix) or self.prefix.startswith(other):
                raise ValueError(
                    f"prefix is {self.prefix!r}, but the bodies of another queue or topic are in "
                    f"{other!r} of {Path(self.bucket)}, and each deletes what is in its own. Give "
                    "each a folder of its own."
                )
        others.append(self.prefix)

    def _expire(self, days: int) -> None:
        if isinstance(self.bucket, s3.Bucket):
            self.bucket.add_lifecycle_rule(
                prefix=self.prefix or None,
                expiration=Duration.days(days),
                abort_incomplete_multipart_upload_after=Duration.days(1),
            )
            return
        Annotations.of(self.bucket).add_warning_v2(
            "serverless-patterns:imported-bucket-of-bodies",
            "This bucket is imported, so its lifecycle cannot be set here: a rule must delete "
            f"objects of '{self.prefix}' after {days} days, and parts of incomplete uploads after "
            f"one.{keys.ask_for_key(self.bucket.encryption_key, 'from_bucket_attributes')}",
        )
