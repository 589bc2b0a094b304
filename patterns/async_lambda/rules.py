"""What asynchronous invocation does not allow, or would lose events by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Annotations
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_

from ..blocks import keys
from ..blocks.consumers import check_has_role, check_may_run, facts_of, resource_of
from ..blocks.values import in_seconds, number
from ..checks import lambda_ as checks
from ..limits import LAMBDA_MAX_TIMEOUT

if TYPE_CHECKING:
    from aws_cdk import Duration
    from aws_cdk import aws_kms as kms

    from .settings import Retries

NEVER_RUNS = "Lambda would send every event straight to the failure destination"


def check(
    function: lambda_.IFunction, retries: Retries, max_age: Duration | None, **settings: object
) -> None:
    """Reject a function and settings that do not fit; warn of what an imported function needs.

    Args:
        function: What is invoked.
        retries: How often, and for how long.
        max_age: When the alarm on waiting events rings.
        settings: What is to be set on the function itself; None for what is not.

    Raises:
        ValueError: see the other functions here; or the function was imported without its role.
    """
    check_ages(function, retries, max_age)
    check_may_run("The function", function, NEVER_RUNS)
    check_can_be_set(function, {name: s for name, s in settings.items() if s is not None})
    if resource_of(function) is None:
        check_has_role("The function", function)
        warn_of_imported(function, retries)


def check_ages(function: lambda_.IFunction, retries: Retries, max_age: Duration | None) -> None:
    """Reject an age at which an event is dropped too early: before its last retry, or its alarm.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html

    Raises:
        ValueError: the retries, or the alarm's ``max_age``, take longer than ``max_event_age``.
    """
    age, attempts, alarm = retries.known_age, number(retries.attempts), in_seconds(max_age)
    if age is None:
        return
    needed = retries.waits + (attempts or 0) * (facts_of(function).timeout or 0)
    if needed and age <= needed:
        raise ValueError(
            f"max_event_age is {age:g} s, but {attempts:g} retries can take {needed:g} s: waits of "
            "1 and 2 minutes, runs of up to the function's timeout. The event would be dropped "
            "before its last retry. Raise max_event_age, or lower attempts."
        )
    if alarm is not None and alarm >= age:
        raise ValueError(
            f"max_age is {alarm:.0f} s, but events are dropped at max_event_age, {age:.0f} s, so "
            "the alarm would never ring. Lower max_age, or raise max_event_age."
        )


def check_can_be_set(function: lambda_.IFunction, given: dict[str, object]) -> None:
    """Reject settings of the function itself that cannot be made, or are made already.

    Lint W9195. Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-configuring.html

    Raises:
        ValueError: the function is imported or has the setting already, is an alias or a version
            that is to be rolled out, or would reserve no concurrency.
    """
    if function.node.try_find_child("EventInvokeConfig"):
        raise ValueError(
            f"{function.node.path} has on_success, on_failure, max_event_age or retry_attempts of "
            "its own, and Lambda takes one configuration. Give them to this construct instead."
        )
    if not given:
        return
    resource, reserved = resource_of(function), given.get("reserved_concurrency")
    if resource is None:
        raise ValueError(
            f"{', '.join(given)} was given, but the function is imported, so nothing can be set on "
            "it here. Set it where the function is made."
        )
    if "rollout" in given and not isinstance(function, lambda_.Function):
        raise ValueError(
            "rollout was given together with an alias or a version: the rollout publishes versions "
            "of a function and moves an alias of its own. Give the function, or leave rollout out."
        )
    if "dead_letter_queue" in given and resource.dead_letter_config is not None:
        raise ValueError(
            "dead_letter_queue was given, but the function has a dead-letter queue or topic "
            "already. Leave one of them out."
        )
    own = resource.reserved_concurrent_executions if reserved is not None else None
    if own is not None:
        already = "some" if number(own) is None else f"{own:g}"
        raise ValueError(
            f"reserved_concurrency is {reserved}, but the function reserves {already} already. Set "
            "it in one place."
        )
    if isinstance(reserved, int) and number(reserved) is not None and reserved < 1:
        raise ValueError(
            f"reserved_concurrency is {reserved}, so Lambda never runs the function: {NEVER_RUNS}. "
            "Reserve 1 or more, or leave it out."
        )


def warn_of_imported(function: lambda_.IFunction, retries: Retries) -> None:
    """Warn of what is not known of an imported function."""
    age, attempts = retries.known_age, number(retries.attempts)
    timeout = ""
    if age is not None and attempts and (age - retries.waits) / attempts <= LAMBDA_MAX_TIMEOUT:
        timeout = f", must have a timeout below {(age - retries.waits) / attempts:g} s"
    Annotations.of(function).add_warning_v2(
        "serverless-patterns:imported-function",
        "This function is imported, so it cannot be checked or changed: it needs a dead-letter "
        f"queue, which gets no alarm here, must not reserve 0 concurrent executions{timeout}, and "
        "its role must be allowed to deliver to the destinations.",
    )


def check_key(key: kms.IKey | None, *, new_queues: bool) -> None:
    """Reject a customer managed key that encrypts nothing.

    Raises:
        ValueError: no queue is new, or the key is unusable.
    """
    keys.check_key("encryption_key", key)
    if key is not None and not new_queues:
        raise ValueError(
            "encryption_key was given, but no queue is new, so it would encrypt nothing. Encrypt "
            "your own queues, and leave it out."
        )


def check_grantee(grantee: iam.IGrantable) -> None:
    """Reject a grant that opens the function to everybody's resources of a service.

    Raises:
        ValueError: a service principal without a condition.
    """
    principal = grantee.grant_principal
    if isinstance(principal, iam.ServicePrincipal):
        problem = checks.invoked_for_anybody("grant_invoke", principal.service)
        raise ValueError(f"{problem} Use target.add_permission() for that.")
