"""Lambda ⇢ SQS ⇢ alarm: what a function fails that a service invokes asynchronously."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import aws_lambda as lambda_

from ..limits import LAMBDA_ASYNC_MAX_AGE, LAMBDA_ASYNC_RETRIES
from .alarms import MINUTE, Alarms, Runbook
from .consumers import check_has_role, check_may_run, function_of
from .destinations import check_key_of_new_queues, deliver_to_new_queue, permissions
from .invocations import check_only_configuration, is_configured, qualifier_of
from .values import Path, seconds

if TYPE_CHECKING:
    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_sqs as sqs
    from constructs import Construct

    from .destinations import Target

REDRIVE = "python -m serverless_patterns.redrive"
AGAIN = f"Fix the cause, then send the events again with `{REDRIVE} run`."
FAILURES = Runbook(
    "Events failed; the record of each, with the error, is stored in the failure queue.",
    f"Run `{REDRIVE} list` with this queue: it counts the errors.",
    f"{AGAIN} The redrive of Amazon SQS does not work for this queue.",
    "The queue is empty, and stays empty while the events run again.",
)
NOT_RECORDED = Runbook(
    "Lambda could not deliver the record of a failed event, which is LOST.",
    "Look at the failure queue, its policy and key, and the function's role; the function's log "
    "names the event.",
    "Fix what blocks the delivery, then send the event again.",
    "DestinationDeliveryFailures stays at 0 while events run.",
)


def configure(
    scope: Construct,
    target: lambda_.IFunction,
    failed: Target,
    succeeded: Target | None = None,
    *,
    attempts: int = LAMBDA_ASYNC_RETRIES,
    max_age: float = LAMBDA_ASYNC_MAX_AGE,
) -> lambda_.CfnEventInvokeConfig:
    """Make the configuration of a function's asynchronous invocation.

    It waits for what lets the function deliver the records.

    Args:
        scope: Where it is made.
        target: The function, or an alias or a version of it.
        failed: Where the records of failures go.
        succeeded: Where those of successes go. Default: nowhere.
        attempts: Retries. Default: 2.
        max_age: How old an event may grow, in seconds. Default: 6 hours.
    """
    function, part = function_of(target), lambda_.CfnEventInvokeConfig
    config = part(
        scope,
        "EventInvokeConfig",
        function_name=function.function_name,
        qualifier=qualifier_of(target),
        maximum_retry_attempts=attempts,
        maximum_event_age_in_seconds=max_age,
        destination_config=part.DestinationConfigProperty(
            on_success=part.OnSuccessProperty(destination=succeeded.arn) if succeeded else None,
            on_failure=part.OnFailureProperty(destination=failed.arn),
        ),
    )
    config.node.add_dependency(target, *permissions(scope, function))
    return config


def keep_failures(
    scope: Construct, target: lambda_.IFunction, key: kms.IKey | None, alarms: Alarms
) -> tuple[sqs.IQueue | None, list[cloudwatch.Alarm]]:
    """Keep what a function fails after Lambda's two retries in a new queue, with its alarms.

    A function that ``AsyncLambda`` was given before keeps its failures there: then there is no
    queue and no alarm here.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html

    Args:
        scope: Where the configuration is made.
        target: The function, or an alias or a version of it.
        key: Customer managed key of the queue.
        alarms: What the alarms do.

    Raises:
        ValueError: the function never runs, has a configuration of its own, or was imported without
            its role; or the key cannot be used.
    """
    function, qualifier = function_of(target), qualifier_of(target)
    check_may_run("The function", target, "every event ends in its failure queue")
    if is_configured(function, qualifier):
        return None, []
    if target.node.try_find_child("EventInvokeConfig"):
        raise ValueError(
            f"{Path(target)} has on_success, on_failure, max_event_age or retry_attempts of its "
            "own, and Lambda takes one configuration. Leave them out, or give them, with the "
            "function, to AsyncLambda first."
        )
    check_has_role("The function", target)
    check_key_of_new_queues(scope, key, function, needed=True)
    check_only_configuration(scope, function, qualifier)
    failed = deliver_to_new_queue(scope, "FailureQueue", "on_failure", function, key)
    configure(scope, target, failed)
    queue: sqs.IQueue = failed.resource
    metric = target.metric("DestinationDeliveryFailures", statistic="Sum", period=seconds(MINUTE))
    return queue, [
        alarms.on_messages(scope, "FailureQueueAlarm", queue, FAILURES),
        alarms.above(scope, "DestinationDeliveryFailuresAlarm", metric, NOT_RECORDED),
    ]
