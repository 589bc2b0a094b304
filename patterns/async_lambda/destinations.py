"""Where Lambda may send the record of an asynchronous invocation: named, checked, permitted."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, TypeAlias

from aws_cdk import Annotations
from aws_cdk import aws_iam as iam

from ..blocks import keys
from ..blocks.consumers import check_may_run, function_of
from ..blocks.queues import grant_send
from ..blocks.values import expect
from ..checks import lambda_ as checks
from ..checks import period
from ..limits import LAMBDA_ASYNC_MAX_AGE, SQS_DEFAULT_RETENTION

if TYPE_CHECKING:
    from aws_cdk import aws_events as events
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_s3 as s3
    from aws_cdk import aws_sns as sns
    from aws_cdk import aws_sqs as sqs

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


@dataclass(frozen=True)
class Target:
    """A destination: the argument's name, the resource, its kind (of ``KINDS``) and its ARN."""

    name: str
    resource: Any
    kind: str
    arn: str

    @classmethod
    def of(cls, name: str, resource: Any) -> Target:
        """Return a resource as a destination.

        Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html

        Raises:
            ValueError: Lambda sends no record to such a resource.
        """
        known = ((kind, getattr(resource, of[0], None)) for kind, of in KINDS.items())
        kind, arn = next((found for found in known if found[1] is not None), (None, None))
        if kind is None or (kind == "bucket" and name != "on_failure"):
            raise ValueError(
                f"{name} is a {kind or type(resource).__name__}, but Lambda sends records only to "
                "queues, topics, functions and event buses, and those of failures to buckets too. "
                "Name one of these."
            )
        return cls(name, resource, kind, str(arn))

    def check(self, source: lambda_.IFunction) -> None:
        """Reject a destination that loses records or never ends; warn of an imported one.

        Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html

        Raises:
            ValueError: it is FIFO, its key encrypts nothing, or it is ``source``, the function
                itself, or one that never runs.
        """
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
        if behind.node.default_child is None:
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

    def permit(self, source: lambda_.IFunction) -> None:
        """Let the function's role deliver to the destination, and no more."""
        match self.kind:
            case "queue":
                grant_send(self.resource, source)
            case "topic":
                self.resource.grant_publish(source)
            case "function":
                self.resource.grant_invoke(source)
            case "event bus":
                self.resource.grant_put_events_to(source)
            case "bucket":
                self.resource.grant_put(source, RECORDS)
                look = iam.PolicyStatement(actions=["s3:ListBucket"], resources=[self.arn])
                source.add_to_role_policy(look)


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


def key_of_new_queues(key: kms.IKey | None, *, needed: bool) -> kms.IKey | None:
    """Return the key of the new queues; reject one that encrypts nothing.

    Raises:
        ValueError: no queue is new, or the key is disabled or not symmetric.
    """
    expect("encryption_key", key, "IKey", None)
    keys.check_key("encryption_key", key)
    if key and not needed:
        raise ValueError(
            "encryption_key was given, but no queue is new, so it would encrypt nothing. Encrypt "
            "your own queues, and leave it out."
        )
    return key
