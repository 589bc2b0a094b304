"""S3 → SQS, Lambda: which events of a bucket reach a queue or function, and by which way."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import combinations, product
from typing import TYPE_CHECKING, Any, Literal, get_args
from weakref import WeakKeyDictionary, WeakSet

import jsii
from aws_cdk import Annotations
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from constructs import IValidation

from ..checks import reject
from ..checks import s3 as checks
from ..limits import S3_KEY_BYTES
from . import keys, places
from .buckets import NewBucket, make_bucket
from .grants import permission, service_principal
from .names import bucket_name_known_before_creation, pattern_of_bucket_name
from .routes import route
from .stacks import same_stack
from .subscriptions import Subscription, deliver_to_queue
from .topics import TopicSettings, new_standard_source
from .values import (
    DAY,
    Path,
    account_of,
    asked_once,
    child_of,
    expect,
    expect_fields,
    is_token,
    seconds,
    stack_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_sqs as sqs
    from constructs import Construct, IDependable

    from .alarms import Alarms

S3 = "s3.amazonaws.com"
Kind = Literal["ObjectCreated", "ObjectRemoved", "ObjectRestored"]
# S3's own name of each. ObjectRemoved has none of the objects that a lifecycle rule expires.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html
EVENTS: dict[str, tuple[str, ...]] = {
    "ObjectCreated": ("s3:ObjectCreated:*",),
    "ObjectRemoved": ("s3:ObjectRemoved:*", "s3:LifecycleExpiration:*"),
    "ObjectRestored": ("s3:ObjectRestore:Completed",),
}
# The detail types of EventBridge; of removals it has one for all.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventBridge.html
DETAIL_TYPES = {
    "ObjectCreated": "Object Created",
    "ObjectRemoved": "Object Deleted",
    "ObjectRestored": "Object Restore Completed",
}
# What the buckets of this app notify, by what was given here.
_NOTIFIED: WeakKeyDictionary[s3.IBucket, list[tuple[str, str, checks.Filter]]] = WeakKeyDictionary()
_BRIDGED: WeakSet[s3.IBucket] = WeakSet()  # those that send their events to EventBridge
# What matches the names of new buckets, for policies in other stacks.
_PATTERNS: WeakKeyDictionary[s3.IBucket, str] = WeakKeyDictionary()


@dataclass(frozen=True)
class Watch:
    """Which objects of a bucket matter, and what of them.

    Attributes:
        prefix: How their keys begin. Default: in any way.
        suffix: How they end. Default: in any way.
        events: ``ObjectCreated`` (uploads, copies, completed multipart uploads), ``ObjectRemoved``
            (deletions, delete markers, and expirations by lifecycle rules), ``ObjectRestored``
            (from an archive). Default: created.

    Raises:
        ValueError: no event, an unknown one, or a filter that no key can match.
    """

    prefix: str = ""
    suffix: str = ""
    events: Sequence[Kind] = ("ObjectCreated",)

    def __post_init__(self) -> None:
        """Reject what nothing would match."""
        expect_fields(self, prefix=(str,), suffix=(str,), events=(list, tuple))
        unknown = [event for event in self.events if event not in EVENTS]
        if unknown or not self.events:
            raise ValueError(
                f"events is {list(self.events)!r}; it must have some of "
                f"{', '.join(get_args(Kind))}."
            )
        reject(
            checks.wildcard("prefix", self.prefix),
            checks.wildcard("suffix", self.suffix, suffix=True),
        )
        length = len(f"{self.prefix}{self.suffix}".encode())
        if not is_token(self.prefix + self.suffix) and length > S3_KEY_BYTES:
            raise ValueError(
                f"prefix and suffix have {length} bytes, but a key has {S3_KEY_BYTES:,} at most: "
                "no object would match. Shorten them."
            )

    @property
    def filter(self) -> checks.Filter:
        """The same in S3's own words."""
        names = tuple(name for event in self.events for name in EVENTS[event])
        return checks.Filter(names, self.prefix, self.suffix)

    @property
    def matcher(self) -> dict[str, str]:
        """The keys as a pattern of EventBridge matches them; empty for all."""
        if self.prefix and self.suffix:
            escaped = [re.sub(r"([*\\])", r"\\\1", end) for end in (self.prefix, self.suffix)]
            return {"wildcard": "*".join(escaped)}
        ends = {"prefix": self.prefix, "suffix": self.suffix}
        return {name: end for name, end in ends.items() if end}

    @property
    def objects(self) -> str:
        """What matches the keys in a policy."""
        return f"{self.prefix}*{self.suffix}"


@dataclass(frozen=True)
class Notification:
    """S3 notifies the queue itself: the fewest parts, and one consumer for each object."""


class ThroughTopic(TopicSettings):
    """S3 notifies a new topic, to which the queue, and others, subscribe.

    Attributes:
        encryption_key: Customer managed key, required: S3 cannot use the one that AWS manages.

    Raises:
        ValueError: no key, one that encrypts nothing, or one that S3 may not use.
    """

    def __post_init__(self) -> None:
        """Reject a topic to which S3 cannot publish.

        Source:
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/grant-destinations-permissions-to-s3.html
        """
        if self.encryption_key is None:
            raise ValueError(
                "encryption_key is None, but S3 cannot publish to a topic with the AWS managed "
                "key, whose policy cannot allow it. Give a customer managed key."
            )
        super().__post_init__()


@dataclass(frozen=True)
class ThroughEventBridge:
    """A rule of the default event bus sends the bucket's events to the queue, as others may.

    The bucket may be in another stack, or have a generated name: nothing has to know the other
    before it is made. Keys come as they are, and not URL-encoded as in notifications.
    """


Way = Notification | ThroughTopic | ThroughEventBridge


@dataclass(frozen=True, kw_only=True)
class NewVersionedBucket(NewBucket):
    """Settings of a new bucket. It is encrypted, private and versioned, and requires TLS.

    With versions, two uploads to one key at once are two events, and a consumer that is late still
    reads what its event is about
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventNotifications.html).

    Attributes:
        lifecycle_rules: Default: versions that another one has replaced expire after 30 days,
            incomplete uploads after 7.
        encryption_key: As of every bucket: see ``NewBucket``.
        removal_policy: As of every bucket.
    """


def watched_bucket(
    scope: Construct, construct_id: str, bucket: s3.IBucket | NewBucket
) -> s3.IBucket:
    """Make a new bucket that can notify, or return yours.

    Raises:
        ValueError: its key encrypts nothing.
    """
    expect("bucket", bucket, "IBucket", NewVersionedBucket)
    if not isinstance(bucket, NewBucket):
        keys.check_key_of(bucket)
        return bucket
    rules = [
        s3.LifecycleRule(
            abort_incomplete_multipart_upload_after=seconds(7 * DAY),
            noncurrent_version_expiration=seconds(30 * DAY),
        )
    ]
    # S3 asks the queue's policy before it makes the bucket, and the policy names the bucket.
    name = bucket_name_known_before_creation(scope)
    made = make_bucket(scope, construct_id, bucket, lifecycle=rules, name=name, versioned=True)
    _PATTERNS[made] = pattern_of_bucket_name(scope)
    return made


def check_watches(watches: Sequence[Watch]) -> None:
    """Reject no filter, and two about the same event of the same object.

    Raises:
        ValueError: there are none, or S3 would reject them.
    """
    expect("watch", watches, list, tuple)
    if not watches:
        raise ValueError("watch is empty, so nothing would arrive. Give a Watch().")
    for one in watches:
        expect("watch", one, Watch)
    for one, other in combinations(watches, 2):
        reject(checks.overlapping("watch", one.filter, other.filter))


def connect(
    scope: Construct,
    bucket: s3.IBucket,
    watches: Sequence[Watch],
    way: Way,
    queue: sqs.IQueue,
    alarms: Alarms,
) -> tuple[sns.ITopic | None, list[cloudwatch.Alarm]]:
    """Let the events of a bucket reach a queue; return the topic on the way, and its alarms.

    Source:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html

    Raises:
        ValueError: S3 would reject it, or nothing would arrive.
    """
    if queue.fifo:
        raise ValueError(checks.fifo_target(Path(bucket, "bucket "), Path(queue, "queue ")))
    if isinstance(way, ThroughEventBridge):
        return None, _through_event_bridge(scope, bucket, watches, queue, alarms)
    name = _name_known_before_creation(scope, bucket)
    if isinstance(way, Notification):
        problem = "S3 would reject the notification"
        keys.check_service(Path(queue, "queue "), queue, S3, problem)
        allowed = _allow(bucket, queue, name, "sqs:SendMessage", queue.queue_arn)
        _notify(bucket, "queue", queue.queue_arn, watches, [allowed])
        return None, []
    source = new_standard_source(scope, way)
    topic = source.topic
    delivery = deliver_to_queue(scope, source, queue, Subscription(), alarms=alarms)
    allowed = _allow(bucket, topic, name, "sns:Publish", topic.topic_arn)
    _notify(bucket, "topic", topic.topic_arn, watches, [allowed, delivery.subscription])
    return topic, [delivery.alarm] if delivery.alarm else []


def connect_function(
    scope: Construct, bucket: s3.IBucket, watches: Sequence[Watch], function: lambda_.IFunction
) -> str:
    """Let S3 invoke a function for a bucket of this account alone; return the bucket's name.

    The account is named too: the name of a bucket that was deleted may become somebody else's. The
    function, for which the bucket waits, can use the name that is returned: it does not wait.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/with-s3.html

    Raises:
        ValueError: S3 would reject it, or the function is in another account or Region.
    """
    places.check_here(
        scope,
        Path(function, "function "),
        function,
        "S3 notifies functions of the bucket's own place. Use this construct in a stack there.",
    )
    stack, name = stack_of(scope), _name_known_before_creation(scope, bucket)
    arn = function.function_arn
    source = stack.format_arn(service="s3", region="", account="", resource=name)
    allowed = permission(scope, arn, S3, source, account_of(stack))
    _notify(bucket, "lambda", arn, watches, [allowed])
    return name


def _through_event_bridge(
    scope: Construct,
    bucket: s3.IBucket,
    watches: Sequence[Watch],
    queue: sqs.IQueue,
    alarms: Alarms,
) -> list[cloudwatch.Alarm]:
    """Let the bucket send its events to EventBridge, and a rule send those watched to the queue.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventBridge.html

    Raises:
        ValueError: the bucket is in another account or Region, or the filters ask for different
            events.
    """
    name = Path(bucket, "bucket ")
    reason = "its events stay there. Use this construct in a stack of that place."
    places.check_here(scope, name, bucket, reason)
    kinds = {frozenset(watch.events) for watch in watches}
    if len(kinds) > 1:
        raise ValueError(
            "watch asks for different events of different objects, but one rule of EventBridge "
            "asks for the same of all. Use a construct for each, on the same bucket."
        )
    keys_, every = [watch.matcher for watch in watches], {"bucket": {"name": [bucket.bucket_name]}}
    detail: dict[str, Any] = every | ({"object": {"key": keys_}} if all(keys_) else {})
    pattern = events.EventPattern(
        source=["aws.s3"],
        detail_type=[DETAIL_TYPES[kind] for kind in watches[0].events],
        detail=detail,
    )
    bus = events.EventBus.from_event_bus_name(scope, "Bus", "default")
    send_to_event_bridge(bucket)
    return route(scope, bus, pattern, queue, alarms=alarms, bus_name="default").alarms


def send_to_event_bridge(bucket: s3.IBucket) -> None:
    """Let a bucket send its events to EventBridge; warn of one that cannot be changed here."""
    resource: Any = child_of(bucket)
    if resource is None:
        Annotations.of(bucket).add_warning_v2(
            "serverless-patterns:imported-bucket-of-rule",
            "This bucket is imported, so it cannot be checked: its notifications to EventBridge "
            "must be on, or nothing arrives.",
        )
    elif _of_cdk(bucket):
        bucket.enable_event_bridge_notification()
    else:
        _configure(bucket, [])
        _BRIDGED.add(bucket)
        resource.notification_configuration = _configuration_of(bucket)


def _name_known_before_creation(scope: Construct, bucket: s3.IBucket) -> str:
    """Return a bucket's name for the policy that S3 asks before it makes the bucket.

    Source:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-s3-bucket-notificationconfiguration.html

    Raises:
        ValueError: this stack does not make the bucket, or its name is generated.
    """
    resource = child_of(bucket)
    name = resource.bucket_name if isinstance(resource, s3.CfnBucket) else None
    # The CDK's own is a token that becomes nothing where CloudFormation makes up the name.
    if same_stack(scope, bucket) and name is not None and stack_of(scope).resolve(name):
        return str(name)
    why = "its name is generated" if same_stack(scope, bucket) else "another stack makes it"
    why = why if resource else "it is imported"
    raise ValueError(
        f"{Path(bucket, 'bucket ')} cannot notify from here, because {why}: S3 wants the policy of "
        "the target first, and that names the bucket. Give the bucket a bucket_name in this stack, "
        "let the construct make it, or use ThroughEventBridge()."
    )


def _allow(
    bucket: s3.IBucket, target: sqs.IQueue | sns.ITopic, name: str, action: str, on: str
) -> IDependable:
    """Let S3 use a queue or topic, and its key, for one bucket; return what the bucket waits for.

    Source:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/grant-destinations-permissions-to-s3.html
    """
    stack = stack_of(bucket)
    # A stack that ours needs cannot need ours for the bucket's name.
    pattern = _PATTERNS.get(bucket, "*") if is_token(name) else name

    def allow(resource: Any, actions: list[str], acts_on: str) -> Any:
        named = name if same_stack(bucket, resource) else pattern
        arn = stack.format_arn(service="s3", region="", account="", resource=named)
        statement = iam.PolicyStatement(
            principals=[service_principal(S3)],
            actions=actions,
            resources=[acts_on],
            conditions={
                "ArnLike": {"aws:SourceArn": arn},
                "StringEquals": {"aws:SourceAccount": account_of(stack)},
            },
        )
        extra = (True,) if acts_on == "*" else ()
        added = resource.add_to_resource_policy(statement, *extra)
        if not added.statement_added:
            Annotations.of(resource).add_warning_v2(
                "serverless-patterns:imported-target-of-bucket",
                f"This resource is imported, so its policy cannot be changed here: it must allow "
                f"{' and '.join(actions)} to {S3} with aws:SourceArn and aws:SourceAccount of the "
                "bucket, or S3 rejects the notification.",
            )
        return added.policy_dependable

    key = keys.key_of(target)
    if key is not None:
        allow(key, ["kms:Decrypt", "kms:GenerateDataKey"], "*")
    return allow(target, [action], on) or target


def _notify(
    bucket: s3.IBucket,
    kind: str,
    arn: str,
    watches: Sequence[Watch],
    waits_for: Sequence[IDependable],
) -> None:
    """Add notifications to a bucket, which waits for what allows them.

    They are in the bucket's own resource: the CDK's ``add_event_notification`` makes a function
    that may change every bucket of the account.

    Raises:
        ValueError: S3 would reject them beside those that there are.
    """
    known = _NOTIFIED.get(bucket, [])
    for (_, _, one), other in product(known, watches):
        reject(checks.overlapping(Path(bucket, "bucket "), one, other.filter))
    resource: Any = child_of(bucket)
    _configure(bucket, [(kind, arn, watch.filter) for watch in watches])
    resource.notification_configuration = _configuration_of(bucket)
    resource.node.add_dependency(*waits_for)


def _configure(bucket: s3.IBucket, more: list[tuple[str, str, checks.Filter]]) -> None:
    if bucket not in _NOTIFIED:
        _check_free(bucket, child_of(bucket))
        bucket.node.add_validation(_OneConfiguration(bucket))
    _NOTIFIED.setdefault(bucket, []).extend(more)


def _configuration_of(bucket: s3.IBucket) -> dict[str, Any]:
    known = _NOTIFIED[bucket]
    bridged = {"eventBridgeConfiguration": {"eventBridgeEnabled": True}}
    return (bridged if bucket in _BRIDGED else {}) | {
        f"{word}Configurations": [
            _configuration(word, target, event, found)
            for kind_of, target, found in known
            if kind_of == word
            for event in found.events
        ]
        for word in dict.fromkeys(kind for kind, *_ in known)
    }


def _configuration(kind: str, target: str, event: str, found: checks.Filter) -> dict[str, Any]:
    given = {name: getattr(found, name) for name in ("prefix", "suffix")}
    ends = [
        {"name": name, "value": end if is_token(end) else checks.encoded(end)}
        for name, end in given.items()
        if end
    ]
    filter_ = {"filter": {"s3Key": {"rules": ends}}} if ends else {}
    named = "function" if kind == "lambda" else kind
    return {"event": event, named: target, **filter_}


def _check_free(bucket: s3.IBucket, resource: Any) -> None:
    if resource.notification_configuration is not None:
        raise ValueError(
            f"{Path(bucket, 'bucket ')} has a notification_configuration of yours, which this one "
            "would replace. Leave yours out."
        )


def _of_cdk(bucket: s3.IBucket) -> bool:
    """Whether the CDK's own function sets the bucket's notifications."""
    own = bucket.node.try_find_child("Notifications")
    return own is not None and bool(own.node.children)


@jsii.implements(IValidation)
class _OneConfiguration:
    """Finds, at synthesis, a bucket whose notifications the CDK's function would replace."""

    def __init__(self, bucket: s3.IBucket) -> None:
        self._bucket = bucket

    def validate(self) -> list[str]:
        if not _of_cdk(self._bucket):
            return []
        return [
            f"bucket {self._bucket.node.path} has notifications of this library and of "
            "add_event_notification(), which replaces them when it is deployed. Use one of both."
        ]


@asked_once
def _arn_of(bucket: s3.IBucket) -> str:
    return bucket.bucket_arn


def arns_of_objects(bucket: s3.IBucket, objects: Iterable[str]) -> list[str]:
    """Return what matches objects of a bucket in a policy, by what matches their keys."""
    arn = _arn_of(bucket)
    return [f"{arn}/{one}" for one in objects]


def grant_on_objects(
    bucket: s3.IBucket,
    grantee: iam.IGrantable,
    objects: Iterable[str],
    on_object: Sequence[str],
    on_bucket: Sequence[str] = (),
    key_actions: Sequence[str] = ("kms:Decrypt",),
) -> iam.Grant:
    """Let ``grantee`` do what it is told with some objects of a bucket, and use the bucket's key.

    Args:
        bucket: The bucket.
        grantee: Who.
        objects: What matches their keys.
        on_object: Actions on them.
        on_bucket: Actions on the bucket. Default: none.
        key_actions: Actions on its key. Default: decrypt.
    """
    key = keys.key_of(bucket)
    wanted = ((on_object, arns_of_objects(bucket, objects)), (on_bucket, None))
    grants = [
        iam.Grant.add_to_principal_or_resource(
            grantee=grantee,
            actions=[*actions],
            resource_arns=arns or [_arn_of(bucket)],
            resource=bucket,
        )
        for actions, arns in wanted
        if actions
    ]
    grants += [key.grant(grantee, *key_actions)] if key and on_object else []
    first, *others = grants
    for other in others:
        first = first.combine(other)
    return first
