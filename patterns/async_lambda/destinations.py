"""Where Lambda may send the record of an asynchronous invocation: named, checked, permitted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from aws_cdk import Annotations, Token
from aws_cdk import aws_iam as iam

from ..foundation import keys, rules

if TYPE_CHECKING:
    from aws_cdk import aws_events as events
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_s3 as s3
    from aws_cdk import aws_sns as sns
    from aws_cdk import aws_sqs as sqs

    Destination: TypeAlias = (
        sqs.IQueue | sns.ITopic | lambda_.IFunction | events.IEventBus | s3.IBucket
    )
    SuccessDestination: TypeAlias = sqs.IQueue | sns.ITopic | lambda_.IFunction | events.IEventBus

# AWS Lambda developer guide, "Capturing records of Lambda asynchronous invocations". A resource
# is known by the attribute that holds its ARN, so that no module is imported only to ask.
KINDS = {
    "queue": "queue_arn",
    "topic": "topic_arn",
    "function": "function_arn",
    "event bus": "event_bus_arn",
    "bucket": "bucket_arn",
}
RECORDS = "aws/lambda/async/*"
# What an imported one needs, or records are lost; its type is known by its name.
NEEDS = {
    "queue": "it keeps records for its retention period only, 4 days unless it is raised",
    "topic": "somebody must subscribe to it",
    "function": "it must not reserve 0 concurrent executions",
    "event bus": "a rule must match the records, and its key, if any, must admit the function",
    "bucket": "its policy must let the function write",
}
KEY_ARGUMENTS = {"queue": "key_arn", "topic": "key_arn", "bucket": "encryption_key"}


def kind_of(destination: object) -> str | None:
    """Return what a resource is, of ``KINDS``; None for anything else."""
    return next((kind for kind, arn in KINDS.items() if hasattr(destination, arn)), None)


def arn_of(destination: Destination) -> str:
    """Return the ARN of a destination."""
    arn: str = getattr(destination, KINDS[kind_of(destination) or ""])
    return arn


def check(name: str, destination: object, source: lambda_.IFunction) -> None:
    """Refuse what Lambda does not deliver to, or what would never end.

    Args:
        name: The argument that the user gave it for: ``on_success`` or ``on_failure``.
        destination: What was given.
        source: The function whose records it would take.

    Raises:
        ValueError: not a standard queue, standard topic, function, event bus or, for failures, a
            bucket; the function itself, or one that may not run; or a key that encrypts nothing
            (AWS Lambda developer guide, "Capturing records of Lambda asynchronous invocations").
    """
    kind = kind_of(destination)
    if kind is None or (kind == "bucket" and name != "on_failure"):
        raise ValueError(
            f"{name} is a {kind or type(destination).__name__}, but Lambda sends records only to "
            "queues, topics, functions and event buses, and those of failures to buckets too. "
            "Name one of these."
        )
    check_keeps(name, destination)
    if kind != "function":
        return
    function: lambda_.IFunction = destination  # type: ignore[assignment]
    rules.check_may_run(name, function, "no record would be taken, and each is lost after 6 hours")
    if _same(rules.function_of(function), source):
        raise ValueError(
            f"{name} is the function itself: every record would invoke it again, without end. "
            "Name another function."
        )


def check_keeps(name: str, destination: object) -> None:
    """Refuse what cannot keep a record; warn of what an imported one needs.

    Raises:
        ValueError: it is FIFO, or its key encrypts nothing.
    """
    check_standard(name, destination)
    keys.check_key_of(destination)
    kind = kind_of(destination) or ""
    behind: Any = rules.function_of(destination) if kind == "function" else destination  # type: ignore[arg-type]
    if behind.node.default_child is not None:
        return
    needs = NEEDS[kind]
    if kind in KEY_ARGUMENTS and keys.key_of(destination) is None:
        needs += (
            f"; if it has a customer key, import it with {KEY_ARGUMENTS[kind]}, so that the key's "
            "use is granted"
        )
    Annotations.of(behind).add_warning_v2(
        "serverless-patterns:imported-destination",
        f"This {kind} is imported, so its settings cannot be checked. As {name}, {needs}.",
    )


def check_standard(name: str, destination: object) -> None:
    """Refuse a FIFO queue or topic.

    Raises:
        ValueError: it is FIFO; Lambda delivers to standard queues and topics only (lint E9131;
            AWS Lambda developer guide, "Capturing records of Lambda asynchronous invocations").
    """
    kind = kind_of(destination)
    if getattr(destination, "fifo", None):
        raise ValueError(
            f"{name} is a FIFO {kind}, but Lambda delivers to standard queues and topics only: "
            f"every record would be lost. Use a standard {kind}."
        )


def _same(one: lambda_.IFunction, other: lambda_.IFunction) -> bool:
    """Whether two functions are one, perhaps imported twice."""
    return one.node.path == other.node.path or (
        not Token.is_unresolved(one.function_name) and one.function_name == other.function_name
    )


def check_apart(
    on_success: SuccessDestination | None,
    on_failure: Destination,
    dead_letter_queue: sqs.IQueue | None,
) -> None:
    """Refuse one queue in two places; to others the record says what it is of.

    Raises:
        ValueError: successes would be sent again by a redrive, or each failure would lie twice in
            one queue.
    """
    places = {
        "on_success": on_success,
        "on_failure": on_failure,
        "dead_letter_queue": dead_letter_queue,
    }
    names: dict[str, str] = {}
    for name, destination in places.items():
        if destination is None or kind_of(destination) != "queue":
            continue
        other = names.setdefault(arn_of(destination), name)
        if other != name:
            raise ValueError(
                f"{other} and {name} are the same queue: what lies there could no longer be told "
                "apart. Use one for each."
            )


def permit(destination: Destination, source: lambda_.IFunction) -> None:
    """Let the function's role deliver to a destination, and no more."""
    match kind_of(destination):
        case "queue":
            permit_queue(destination, source)  # type: ignore[arg-type]
        case "topic":
            destination.grant_publish(source)  # type: ignore[union-attr]
        case "function":
            destination.grant_invoke(source)  # type: ignore[union-attr]
        case "event bus":
            destination.grant_put_events_to(source)  # type: ignore[union-attr]
        case "bucket":
            _permit_bucket(destination, source)  # type: ignore[arg-type]


def permit_queue(queue: sqs.IQueue, source: lambda_.IFunction) -> None:
    """Let the function's role send to a queue, encrypted with a customer key or not."""
    queue.grant(source, "sqs:SendMessage")
    if queue.encryption_master_key:
        queue.encryption_master_key.grant(source, "kms:Decrypt", "kms:GenerateDataKey")


def _permit_bucket(bucket: s3.IBucket, source: lambda_.IFunction) -> None:
    bucket.grant_put(source, RECORDS)
    source.add_to_role_policy(
        iam.PolicyStatement(actions=["s3:ListBucket"], resources=[bucket.bucket_arn])
    )
