"""Where Lambda may send the record of an asynchronous invocation: named, checked, permitted."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakKeyDictionary

from aws_cdk import Annotations
from aws_cdk import aws_iam as iam

from ..checks import lambda_ as checks
from ..checks import period
from ..limits import LAMBDA_ASYNC_MAX_AGE, SQS_DEFAULT_RETENTION
from . import keys
from .consumers import check_may_run, function_of
from .grants import warn_of_fixed
from .places import check_here, check_key_here
from .queues import grant_send, queue_for_failures
from .stacks import beside, grantee_in, made_apart, role_apart, role_in, same_stack
from .values import Path, arn_of_queue, child_of, expect, has

if TYPE_CHECKING:
    from aws_cdk import aws_events as events
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_s3 as s3
    from aws_cdk import aws_sns as sns
    from aws_cdk import aws_sqs as sqs
    from constructs import Construct, IConstruct, IDependable

    Destination: TypeAlias = (
        sqs.IQueue | sns.ITopic | lambda_.IFunction | events.IEventBus | s3.IBucket
    )
    SuccessDestination: TypeAlias = sqs.IQueue | sns.ITopic | lambda_.IFunction | events.IEventBus

# By kind: the attribute with the ARN, what an imported one needs, and the argument that imports its
# key, if that can be. A resource is recognized by the attribute, so that no module is imported only
# to ask: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
KINDS = {
    "queue": (
        "queue_arn",
        "it keeps records for its retention period only, "
        f"{period(SQS_DEFAULT_RETENTION)} unless it is raised",
        "key_arn",
    ),
    "topic": ("topic_arn", "somebody must subscribe to it", "key_arn"),
    "function": ("function_arn", "it must not reserve 0 concurrent executions", None),
    "event bus": (
        "event_bus_arn",
        "a rule must match the records, and its key, if any, must allow the function",
        None,
    ),
    "bucket": ("bucket_arn", "its policy must let the function write", "encryption_key"),
}
RECORDS = "aws/lambda/async/*"
# By the path of an imported role, those of the roles of the functions that it may invoke.
_WAITS: WeakKeyDictionary[IConstruct, dict[str, set[str]]] = WeakKeyDictionary()
NOT_HERE = (
    "AWS documents no destination or dead-letter queue in another account or Region than the "
    "function's, and nothing there could be permitted or watched from here. Use one beside the "
    "function, such as an event bus that forwards the records."
)


@dataclass(frozen=True)
class Target:
    """A destination: the argument's name, the resource, its kind (of ``KINDS``) and its ARN.

    ``records``: the keys below which Lambda writes, if it is a bucket.
    """

    name: str
    resource: Any
    kind: str
    arn: str
    records: str = RECORDS

    @classmethod
    def of(cls, name: str, resource: Any, records: str = RECORDS) -> Target:
        """Return a resource as a destination.

        Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html

        Raises:
            ValueError: Lambda sends no record to such a resource.
        """
        if has(resource, "queue_arn"):
            return cls(name, resource, "queue", arn_of_queue(resource), records)
        known = ((kind, getattr(resource, of[0], None)) for kind, of in KINDS.items())
        kind, arn = next((found for found in known if found[1] is not None), (None, None))
        if kind is None or (kind == "bucket" and name != "on_failure"):
            raise ValueError(
                f"{name} is a {kind or type(resource).__name__}, but Lambda sends records only to "
                "queues, topics, functions and event buses, and those of failures to buckets too. "
                "Name one of these."
            )
        return cls(name, resource, kind, str(arn), records)

    def check(self, scope: Construct, source: lambda_.IFunction) -> None:
        """Reject a destination that loses records or never ends; warn of an imported one.

        Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html

        Raises:
            ValueError: it is FIFO, of another account or Region than ``scope``, its key encrypts
                nothing, or it is ``source``, the function itself, or one that never runs.
        """
        check_here(scope, Path(self.resource, f"{self.name} "), self.resource, NOT_HERE)
        if getattr(self.resource, "fifo", None):
            raise ValueError(checks.standard_destination(self.name, self.kind))
        keys.check_key_of(self.resource)
        behind = self.resource
        if self.kind == "function":
            kept = period(LAMBDA_ASYNC_MAX_AGE)
            otherwise = f"it would take no record, and each is lost after {kept}"
            check_may_run(self.name, behind, otherwise)
            behind = function_of(behind)
            if behind.function_name == source.function_name:
                raise ValueError(
                    f"{self.name} is the function itself: every record would invoke it again, "
                    "without end. Name another function."
                )
        if child_of(behind) is None:
            _, needs, key_argument = KINDS[self.kind]
            if key_argument and keys.key_of(self.resource) is None:
                needs += (
                    f"; if it has a customer key, import it with {key_argument}, so that the key's "
                    "use is granted"
                )
            Annotations.of(behind).add_warning_v2(
                "serverless-patterns:imported-destination",
                f"This {self.kind} is imported, so its settings cannot be checked. As {self.name}, "
                f"{needs}.",
            )

    def permit(self, role: iam.IRole) -> None:
        """Let the function's role deliver to the destination, and no more."""
        match self.kind:
            case "queue":
                grant_send(self.resource, role)
            case "topic":
                self.resource.grant_publish(role)
            case "function":
                self.resource.grant_invoke(role)
            case "event bus":
                self.resource.grant_put_events_to(role)
            case "bucket":
                self.resource.grant_put(role, self.records)
                look = iam.PolicyStatement(actions=["s3:ListBucket"], resources=[self.arn])
                role.add_to_principal_policy(look)
        warn_of_fixed(role, Path(self.resource, f"delivering to the {self.kind} "))

    def grant_take(self, scope: Construct, grantee: iam.IGrantable) -> list[iam.Grant]:
        """Let ``grantee`` read the records and delete them, if they are kept here."""
        grantee, kept = grantee_in(scope, grantee, self.resource), self.resource
        grants: list[iam.Grant] = []
        if self.kind == "queue":
            grants = [kept.grant_consume_messages(grantee)]
        if self.kind == "bucket":
            records = self.records
            grants = [kept.grant_read(grantee, records), kept.grant_delete(grantee, records)]
        if grants:
            warn_of_fixed(grantee, Path(kept, f"taking what the {self.kind} ", " holds"))
        return grants


def check_apart(*targets: Target | None) -> None:
    """Reject one queue in two places; to others the record says what it is of.

    Raises:
        ValueError: a redrive would send successes again, or each failure would be stored twice.
    """
    queues = [target for target in targets if target and target.kind == "queue"]
    for one, other in combinations(queues, 2):
        if one.arn == other.arn:
            raise ValueError(
                f"{one.name} and {other.name} are the same queue, so their messages could not be "
                "told apart. Use one for each."
            )


def check_key_of_new_queues(
    scope: Construct, key: kms.IKey | None, function: lambda_.IFunction, *, needed: bool
) -> None:
    """Reject a key that the new queues, which are beside the function, cannot use.

    Raises:
        ValueError: no queue is new, the key is disabled or not symmetric, or the function is in
            another stack and would need this one.
    """
    expect("encryption_key", key, "IKey", None)
    keys.check_key("encryption_key", key)
    if key and not needed:
        raise ValueError(
            "encryption_key was given, but no queue is new, so it would encrypt nothing. Encrypt "
            "your own queues, and leave it out."
        )
    if key and child_of(key) and not same_stack(key, function) and same_stack(key, scope):
        raise ValueError(
            "encryption_key is in this stack, but the function, and so its queues, are in another "
            "one, which this stack needs: they would need each other. Make the key in the "
            "function's stack, or in one of its own."
        )
    check_key_here(function, key)


def deliver(
    scope: Construct,
    name: str,
    resource: Any,
    function: lambda_.IFunction,
    records: str = RECORDS,
) -> Target | None:
    """Let a function send to ``resource``, by a policy in the stack of ``scope``; None to None.

    Raises:
        ValueError: see ``_check_waits``.
    """
    if resource is None:
        return None
    target, role = Target.of(name, resource, records), role_in(scope, function)
    own = child_of(role) is not None
    if target.kind == "function" and not own:
        _check_waits(Path(resource, f"{name} "), role, function, function_of(resource))
    target.permit(role_apart(scope, role) if own and target.kind == "function" else role)
    return target


def _check_waits(
    name: object, role: iam.IRole, function: lambda_.IFunction, target: lambda_.IFunction
) -> None:
    """Reject functions that wait for each other by the policies of the roles that they import.

    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/troubleshooting.html

    Raises:
        ValueError: what invokes ``target`` is, over others or not, what that one waits for.
    """
    if target.role is None or child_of(target) is None:
        return
    waits = _WAITS.setdefault(function.node.root, {})
    waits.setdefault(role.node.path, set()).add(target.role.node.path)
    met: set[str] = set()
    new = {target.role.node.path}
    while new:
        met |= new
        new = {next_ for one in new for next_ in waits.get(one, ())} - met
    if role.node.path in met:
        raise ValueError(
            f"{name} and {Path(function)} would wait for each other: the function waits for the "
            f"policies of its role, which is imported, and {Path(role)} would name it there. Give "
            "one of the two functions a role that this app makes."
        )


def permissions(scope: Construct, function: lambda_.IFunction) -> list[IDependable]:
    """Return the policies that let a function deliver and that it does not itself wait for."""
    role = role_in(scope, function)
    found = role if child_of(role) is None else made_apart(scope, role)
    return [found] if found else []


def deliver_to_new_queue(
    scope: Construct,
    construct_id: str,
    name: str,
    function: lambda_.IFunction,
    key: kms.IKey | None,
) -> Target:
    """Make a queue for the failed events of a function, in its stack; let it send to the queue."""
    there = beside(scope, function)
    reason = "Failed events end here: they wait for a redrive by a person."
    queue = queue_for_failures(there, construct_id, reason=reason, encryption_key=key)
    target = Target.of(name, queue)
    target.permit(role_in(there, function))
    return target
