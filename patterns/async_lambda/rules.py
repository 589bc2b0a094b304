"""Settings of the function that asynchronous invocation does not allow, or loses events by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import Annotations
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_

from ..blocks import keys
from ..blocks.consumers import check_has_role, facts_of, resource_of
from ..blocks.values import in_seconds, number
from ..checks import lambda_ as checks
from ..checks import reject
from ..limits import LAMBDA_MAX_TIMEOUT

if TYPE_CHECKING:
    from aws_cdk import aws_kms as kms

    from ..blocks.alarms import Alarms
    from ..blocks.consumers import Facts
    from .settings import Retries

NEVER_RUNS = "Lambda would send every event straight to the failure destination"


def check(
    function: lambda_.IFunction,
    retries: Retries,
    alarms: Alarms,
    key: kms.IKey | None,
    *,
    new_failure_queue: bool,
    **settings: Any,
) -> None:
    """Reject settings that do not fit the function or each other; warn of an imported function.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-configuring.html

    ``settings`` are those of the function itself: ``dead_letter_queue``, ``reserved_concurrency``
    and ``rollout``; None for what is not given.

    Raises:
        ValueError: an age below what the retries take; a function that never runs, has a setting
            already, or is imported and cannot get it or has no role; a rollout of an alias; or a
            key that encrypts nothing.
    """
    facts, resource = facts_of(function), resource_of(function)
    given = {name: setting for name, setting in settings.items() if setting is not None}
    retries.check(facts.timeout, in_seconds(alarms.max_age))
    if function.node.try_find_child("EventInvokeConfig"):
        raise ValueError(
            f"{function.node.path} has on_success, on_failure, max_event_age or retry_attempts of "
            "its own, and Lambda takes one configuration. Give them to this construct instead."
        )
    if resource is None:
        _check_imported(function, retries, given)
        new_letters = False
    else:
        _check_can_be_set(function, facts, resource, given)
        new_letters = not resource.dead_letter_config and "dead_letter_queue" not in given
    _check_key(key, new_queues=new_letters or new_failure_queue)


def _check_key(key: kms.IKey | None, *, new_queues: bool) -> None:
    """Reject a customer managed key that encrypts nothing."""
    keys.check_key("encryption_key", key)
    if key and not new_queues:
        raise ValueError(
            "encryption_key was given, but no queue is new, so it would encrypt nothing. Encrypt "
            "your own queues, and leave it out."
        )


def _check_can_be_set(
    function: lambda_.IFunction, facts: Facts, resource: lambda_.CfnFunction, given: dict[str, Any]
) -> None:
    """Reject a setting that the function has already, or by which it never runs.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-configuring.html
    """
    if "rollout" in given and not isinstance(function, lambda_.Function):
        raise ValueError(
            "rollout was given together with an alias or a version: the rollout publishes versions "
            "of a function and moves an alias of its own. Give the function, or leave rollout out."
        )
    if "dead_letter_queue" in given and resource.dead_letter_config:
        raise ValueError(
            "dead_letter_queue was given, but the function has a dead-letter queue or topic "
            "already. Leave one of them out."
        )
    reserved, name = facts.reserved, "The function"
    if "reserved_concurrency" in given:
        new = given["reserved_concurrency"]
        if resource.reserved_concurrent_executions is not None:
            already = "some" if reserved is None else f"{reserved:g}"
            raise ValueError(
                f"reserved_concurrency is {new}, but the function reserves {already} already. Set "
                "it in one place."
            )
        reserved, name = number(new), "With reserved_concurrency, the function"
    reject(checks.never_runs(name, reserved, NEVER_RUNS))


def _check_imported(
    function: lambda_.IFunction, retries: Retries, given: dict[str, object]
) -> None:
    """Reject what cannot be set on an imported function; warn of what is not known of it."""
    if given:
        raise ValueError(
            f"{', '.join(given)} was given, but the function is imported, so nothing can be set on "
            "it here. Set it where the function is made."
        )
    check_has_role("The function", function)
    age, attempts, timeout = retries.known_age, number(retries.attempts), ""
    if age is not None and attempts and (age - retries.waits) / attempts <= LAMBDA_MAX_TIMEOUT:
        timeout = f", must have a timeout below {(age - retries.waits) / attempts:g} s"
    Annotations.of(function).add_warning_v2(
        "serverless-patterns:imported-function",
        "This function is imported, so it cannot be checked or changed: it needs a dead-letter "
        f"queue, which gets no alarm here, must not reserve 0 concurrent executions{timeout}, and "
        "its role must be allowed to deliver to the destinations.",
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
