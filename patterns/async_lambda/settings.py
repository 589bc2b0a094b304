"""What Lambda's asynchronous invocation allows: each check raises ``ValueError`` at synth.

Numbers: AWS Lambda developer guide, "How Lambda handles errors and retries with asynchronous
invocation" and "Configuring error handling settings for Lambda asynchronous invocations".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Annotations, Duration, Token
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_

from ..foundation import rules
from . import destinations

if TYPE_CHECKING:
    from aws_cdk import aws_sqs as sqs

MAX_RETRIES = 2
SHORTEST_AGE = Duration.seconds(60)
LONGEST_AGE = Duration.hours(6)
# Wait before the first and the second retry of a function error.
WAITS = (60, 120)


def check_retries(
    function: lambda_.IFunction, retry_attempts: int, max_event_age: Duration
) -> None:
    """Refuse retries that Lambda does not make.

    Raises:
        ValueError: outside 0 to 2 retries or 60 s to 6 h, or an age at which the event is gone
            before its last retry (AWS Lambda developer guide, "Configuring error handling settings
            for Lambda asynchronous invocations").
    """
    if not Token.is_unresolved(retry_attempts) and not 0 <= retry_attempts <= MAX_RETRIES:
        raise ValueError(
            f"retry_attempts is {retry_attempts}, allowed is 0 to {MAX_RETRIES}: Lambda tries a "
            "failed event no more often. For more tries put a queue in front of the function."
        )
    if max_event_age.is_unresolved() or Token.is_unresolved(retry_attempts):
        return
    age = max_event_age.to_seconds()
    if not SHORTEST_AGE.to_seconds() <= age <= LONGEST_AGE.to_seconds():
        raise ValueError(
            f"max_event_age is {max_event_age.to_human_string()}, allowed is 60 seconds to 6 hours."
        )
    timeout = timeout_of(function)
    runs = retry_attempts * (timeout.to_seconds() if timeout else 0)
    needed = sum(WAITS[:retry_attempts]) + runs
    if retry_attempts and age <= needed:
        raise ValueError(
            f"max_event_age is {age:g} s, but {retry_attempts} retries can take {needed:g} s: "
            "waits of 1 and 2 minutes, runs of up to the function's timeout. The event would be "
            "dropped before its last retry. Raise max_event_age, or lower retry_attempts."
        )


def check_max_wait(max_wait: Duration | None, max_event_age: Duration) -> None:
    """Refuse an alarm that could not ring before its events are dropped.

    Raises:
        ValueError: ``max_wait`` is not below ``max_event_age``.
    """
    if max_wait is None or max_wait.is_unresolved() or max_event_age.is_unresolved():
        return
    if max_wait.to_seconds() >= max_event_age.to_seconds():
        raise ValueError(
            f"max_wait is {max_wait.to_seconds():.0f} s, but events are dropped at max_event_age, "
            f"{max_event_age.to_seconds():.0f} s, so the alarm would never ring. Lower max_wait, "
            "or raise max_event_age."
        )


def warn_of_imported(
    function: lambda_.IFunction, retry_attempts: int, max_event_age: Duration
) -> None:
    """Refuse an imported function without its role; warn of what else is not known of it.

    Raises:
        ValueError: see ``rules.check_has_role``.
    """
    if find_resource(function) is not None:
        return
    rules.check_has_role("The function", function)
    Annotations.of(function).add_warning_v2(
        "serverless-patterns:imported-function",
        "This function is imported, so it cannot be checked or changed: it needs a dead-letter "
        "queue, which gets no alarm here, must not reserve 0 concurrent executions"
        f"{_longest_run(retry_attempts, max_event_age)}, and its role must be allowed to deliver "
        "to the destinations.",
    )


def _longest_run(retry_attempts: int, max_event_age: Duration) -> str:
    if Token.is_unresolved(retry_attempts) or max_event_age.is_unresolved() or not retry_attempts:
        return ""
    spare = (max_event_age.to_seconds() - sum(WAITS[:retry_attempts])) / retry_attempts
    return "" if spare > 900 else f", must have a timeout below {spare:g} s"


def timeout_of(function: lambda_.IFunction) -> Duration | None:
    """Return a function's timeout; None when it is imported or known only at deployment."""
    function = rules.function_of(function)
    if not isinstance(function, lambda_.Function):
        return None
    timeout = function.timeout or rules.DEFAULT_FUNCTION_TIMEOUT
    return None if timeout.is_unresolved() else timeout


def check_reserved(function: lambda_.IFunction, reserved_concurrency: int | None) -> None:
    """Refuse a reservation that is not one, or a second one.

    Raises:
        ValueError: below 1 (lint W9195; AWS Lambda developer guide, "Configuring reserved
            concurrency for a function"), or the function reserves concurrency already.
    """
    resource = find_resource(function)
    own = resource.reserved_concurrent_executions if resource else None
    if reserved_concurrency is not None and own is not None:
        already = "some" if Token.is_unresolved(own) else f"{own:g}"
        raise ValueError(
            f"reserved_concurrency is {reserved_concurrency}, but the function reserves {already} "
            "already. Set it in one place."
        )
    for name, value in (
        ("reserved_concurrency", reserved_concurrency),
        ("The function's reserved_concurrent_executions", own),
    ):
        if value is not None and not Token.is_unresolved(value) and value < 1:
            raise ValueError(
                f"{name} is {value:g}: Lambda would run nothing and send every event straight to "
                "the failure destination. Reserve 1 or more, or leave it out."
            )


def check_not_configured(function: lambda_.IFunction) -> None:
    """Refuse a function that has settings for asynchronous invocation already.

    Raises:
        ValueError: it was made with on_success, on_failure, max_event_age or retry_attempts: the
            two configurations would clash at deployment (AWS Lambda developer guide, "Configuring
            error handling settings for Lambda asynchronous invocations").
    """
    if function.node.try_find_child("EventInvokeConfig"):
        raise ValueError(
            f"{function.node.path} has on_success, on_failure, max_event_age or retry_attempts of "
            "its own, and Lambda takes one configuration. Give them to this construct instead."
        )


def check_grantee(grantee: iam.IGrantable) -> None:
    """Refuse to open the function to everybody's resources of a service.

    Raises:
        ValueError: a service principal without a condition: anybody's bucket or topic could invoke
            it (lint W9161; AWS IAM user guide, "The confused deputy problem").
    """
    principal = grantee.grant_principal
    if isinstance(principal, iam.ServicePrincipal):
        raise ValueError(
            f"grant_invoke was given the service {principal.service}: it would let that service "
            "invoke the function for anybody's resources. Use target.add_permission(...) with "
            "source_arn and source_account."
        )


def find_resource(function: lambda_.IFunction) -> lambda_.CfnFunction | None:
    """Return the function's own resource; None when it is imported."""
    function = rules.function_of(function)
    resource = function.node.default_child if isinstance(function, lambda_.Function) else None
    return resource if isinstance(resource, lambda_.CfnFunction) else None


def resource_of(function: lambda_.IFunction) -> lambda_.CfnFunction:
    """Return the resource of a function of this app."""
    resource = find_resource(function)
    if resource is None:  # pragma: no cover - check_can_be_set has refused an imported one
        raise TypeError(f"{function.node.path} has no CfnFunction")
    return resource


def own_dead_letter_queue(function: lambda_.IFunction) -> sqs.IQueue | None:
    """Return the dead-letter queue that a function brings along; None when none is known.

    Raises:
        ValueError: it is FIFO, or its key encrypts nothing.
    """
    function = rules.function_of(function)
    queue = function.dead_letter_queue if isinstance(function, lambda_.Function) else None
    if queue:
        destinations.check_keeps("The function's dead_letter_queue", queue)
    return queue


def check_can_be_set(function: lambda_.IFunction, **given: object | None) -> None:
    """Refuse settings of the function itself where they cannot be made.

    Raises:
        ValueError: the function is imported, or has a dead-letter queue or topic of its own, next
            to another one in ``given``.
    """
    resource = find_resource(function)
    names = [name for name, value in given.items() if value is not None]
    if resource is None and names:
        raise ValueError(
            f"{', '.join(names)} was given, but the function is imported, so nothing can be set on "
            "it here. Set it where the function is made."
        )
    if resource is not None and resource.dead_letter_config and "dead_letter_queue" in names:
        raise ValueError(
            "dead_letter_queue was given, but the function has a dead-letter queue or topic "
            "already. Leave one of them out."
        )


def check_can_roll_out(function: lambda_.IFunction) -> None:
    """Refuse a rollout of what cannot be published.

    Raises:
        ValueError: the function is imported, or is an alias or a version already.
    """
    if not isinstance(function, lambda_.Function):
        raise ValueError(
            "rollout was given together with an alias, a version or an imported function: the "
            "rollout publishes versions of a function and moves an alias of its own. Give the "
            "function, or leave rollout out."
        )
