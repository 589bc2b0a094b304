"""SQS → Lambda rules that plain CDK accepts broken: each check raises ``ValueError`` at synth.

Every message names what was given, the rule, and what to change. A value that is only known
at deployment (a CloudFormation token) passes: nothing can be said about it at synth.
"""

from __future__ import annotations

from aws_cdk import Annotations, Duration, Token
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs

# Amazon SQS developer guide, "Configuring queue parameters".
DEFAULT_RETENTION = Duration.days(4)
MAX_RETENTION = Duration.days(14)
DEFAULT_VISIBILITY_TIMEOUT = Duration.seconds(30)
# AWS Lambda developer guide, "Using Lambda with Amazon SQS": 6 x the function timeout, and a
# maxReceiveCount of at least 5, because throttled polls count as receives.
VISIBILITY_FACTOR = 6
MIN_RECEIVE_COUNT = 5
DEFAULT_FUNCTION_TIMEOUT = Duration.seconds(3)


def refuse_settings_beside(name: str, own: object | None, **settings: object | None) -> None:
    """Refuse settings that only a new resource can take, next to one of the user's own.

    Raises:
        ValueError: ``own`` is given, and so is any of ``settings``.
    """
    given = [setting for setting, value in settings.items() if value is not None]
    if own is not None and given:
        raise ValueError(
            f"{name} was given together with {', '.join(given)}, which only a new {name} can take. "
            f"Set them on your own {name}, or leave {name} out."
        )


def function_of(function: lambda_.IFunction) -> lambda_.IFunction:
    """Return the function behind an alias or a version; a function itself as it is."""
    if isinstance(function, lambda_.Alias | lambda_.Version):
        return function.lambda_
    return function


def required_visibility(consumer: lambda_.IFunction, window: Duration | None) -> Duration | None:
    """Return 6 x the consumer's timeout plus the batching window; None when it is imported."""
    function = function_of(consumer)
    if not isinstance(function, lambda_.Function):
        return None
    timeout = function.timeout or DEFAULT_FUNCTION_TIMEOUT
    if timeout.is_unresolved() or (window is not None and window.is_unresolved()):
        return None
    seconds = VISIBILITY_FACTOR * timeout.to_seconds() + (window.to_seconds() if window else 0)
    return Duration.seconds(seconds)


def visibility_timeout(given: Duration | None, required: Duration | None) -> Duration:
    """Return the timeout of a new queue: what was given, if enough, else what is required.

    Raises:
        ValueError: too short; or not given while the consumer is imported, so that its timeout
            is not known.
    """
    if given is None and required is None:
        raise ValueError(
            "The consumer is imported, so its timeout is not known here. Give visibility_timeout: "
            f"{VISIBILITY_FACTOR} x the consumer's timeout plus max_batching_window."
        )
    if given is not None:
        check_visibility(given, required)
    return given or required  # type: ignore[return-value]


def check_visibility(visibility_timeout: Duration, required: Duration | None) -> None:
    """Refuse a message that turns visible again while its consumer may still work on it.

    Raises:
        ValueError: ``visibility_timeout`` is below ``required`` (AWS Lambda developer guide,
            "Using Lambda with Amazon SQS": at least 6 x the function timeout plus the window).
    """
    if required is None or visibility_timeout.is_unresolved():
        return
    given, minimum = visibility_timeout.to_seconds(), required.to_seconds()
    if given < minimum:
        raise ValueError(
            f"visibility_timeout is {given:g} s, but this consumer needs at least {minimum:g} s: "
            f"{VISIBILITY_FACTOR} x its timeout plus the batching window, or a message is "
            "delivered again while it is still being processed. "
            f"Raise visibility_timeout to {minimum:g} s, or lower the function's timeout."
        )


def check_receives(max_receive_count: int) -> None:
    """Refuse a redrive policy that dead-letters good messages when the consumer is throttled.

    Raises:
        ValueError: fewer than 5 receives, or more than SQS allows (1,000).
    """
    if Token.is_unresolved(max_receive_count):
        return
    if not MIN_RECEIVE_COUNT <= max_receive_count <= 1000:
        raise ValueError(
            f"max_receive_count is {max_receive_count}, allowed is {MIN_RECEIVE_COUNT} to 1000: "
            "polls that Lambda throttles count as receives, so fewer than "
            f"{MIN_RECEIVE_COUNT} dead-letters good messages. Use {MIN_RECEIVE_COUNT} or more."
        )


def check_retention(retention: Duration, dead_letter_retention: Duration, *, fifo: bool) -> None:
    """Refuse retention periods that lose a message before anybody can look at it.

    Raises:
        ValueError: outside 60 s to 14 days, or a standard dead-letter queue that keeps its
            messages no longer than the source (it keeps the original enqueue time, so they
            would expire early; Amazon SQS developer guide, "Dead-letter queues").
    """
    if retention.is_unresolved() or dead_letter_retention.is_unresolved():
        return
    limits = {"retention_period": retention, "dead_letter_retention_period": dead_letter_retention}
    for name, period in limits.items():
        if not 60 <= period.to_seconds() <= MAX_RETENTION.to_seconds():
            raise ValueError(
                f"{name} is {period.to_human_string()}, allowed is 60 seconds to 14 days."
            )
    if not fifo and dead_letter_retention.to_seconds() <= retention.to_seconds():
        raise ValueError(
            f"dead_letter_retention_period is {dead_letter_retention.to_human_string()} and "
            f"retention_period is {retention.to_human_string()}: a standard dead-letter queue "
            "keeps the original enqueue time, so messages would expire there early. "
            "Make dead_letter_retention_period the longer one (14 days at most)."
        )


def check_batching(batch_size: int, window: Duration | None, *, fifo: bool) -> None:
    """Refuse a batch that Lambda does not accept from this kind of queue.

    Raises:
        ValueError: FIFO above 10 or with a window; standard above 10 without a window, above
            10,000, or a window outside 1 to 300 s (AWS Lambda API, CreateEventSourceMapping).
    """
    seconds = window.to_seconds() if window and not window.is_unresolved() else None
    if fifo and window is not None:
        raise ValueError(
            f"max_batching_window is {seconds} s, but a FIFO queue takes no batching window. "
            "Leave max_batching_window out."
        )
    if seconds is not None and not 1 <= seconds <= 300:
        raise ValueError(f"max_batching_window is {seconds:g} s, allowed is 1 to 300 s.")
    largest = 10 if window is None else 10_000
    if not Token.is_unresolved(batch_size) and not 1 <= batch_size <= largest:
        hint = "" if fifo or window else " A standard queue takes more with max_batching_window."
        raise ValueError(f"batch_size is {batch_size}, allowed is 1 to {largest}.{hint}")


def check_scaling(
    consumer: lambda_.IFunction,
    max_concurrency: int | None,
    pollers: lambda_.ProvisionedPollerConfig | None,
) -> None:
    """Refuse a mapping that polls more than its consumer may run.

    Raises:
        ValueError: ``max_concurrency`` outside 2 to 1,000, together with provisioned pollers,
            or above the consumer's reserved concurrency; pollers outside 2 to 200 (minimum) and
            2 to 10,000 (maximum), or the wrong way round.
    """
    if max_concurrency is not None and pollers is not None:
        raise ValueError(
            f"max_concurrency={max_concurrency} and provisioned_pollers were both given: "
            "Lambda takes one of them. Leave one out."
        )
    if pollers is not None:
        _check_pollers(pollers)
    if max_concurrency is None or Token.is_unresolved(max_concurrency):
        return
    if not 2 <= max_concurrency <= 1000:
        raise ValueError(f"max_concurrency is {max_concurrency}, allowed is 2 to 1000.")
    reserved = reserved_concurrency(consumer)
    if reserved is not None and reserved < max_concurrency:
        raise ValueError(
            f"max_concurrency is {max_concurrency}, but the consumer reserves only {reserved} "
            "concurrent executions: throttled polls count as receives and dead-letter good "
            f"messages. Lower max_concurrency to {reserved}, or reserve {max_concurrency}."
        )


def _check_pollers(pollers: lambda_.ProvisionedPollerConfig) -> None:
    low, high = pollers.minimum_pollers or 2, pollers.maximum_pollers or 200
    if not (2 <= low <= 200 and 2 <= high <= 10_000 and low <= high):
        raise ValueError(
            f"provisioned_pollers is {low:g} to {high:g}: allowed is a minimum of 2 to 200, "
            "a maximum of 2 to 10000, and the minimum not above the maximum."
        )


def reserved_concurrency(consumer: lambda_.IFunction) -> float | None:
    """Return the consumer's reserved concurrency; None without one, or when imported."""
    function = function_of(consumer)
    if not isinstance(function, lambda_.Function):
        return None
    resource = function.node.default_child
    if not isinstance(resource, lambda_.CfnFunction):
        return None
    return resource.reserved_concurrent_executions


def dead_letter_queue_of(queue: sqs.IQueue) -> sqs.IQueue | None:
    """Return a queue's dead-letter queue; None without one, or when ``queue`` is imported."""
    if not isinstance(queue, sqs.Queue) or queue.dead_letter_queue is None:
        return None
    return queue.dead_letter_queue.queue


def check_own_queue(queue: sqs.IQueue, required_visibility_timeout: Duration | None) -> None:
    """Check what can be known of a queue that the user brings along.

    Raises:
        ValueError: no dead-letter queue, one of the other type, or a setting that the checks
            above refuse. An imported queue has no settings to read: a warning says so.
    """
    resource = queue.node.default_child
    if not isinstance(queue, sqs.Queue) or not isinstance(resource, sqs.CfnQueue):
        Annotations.of(queue).add_warning_v2(
            "serverless-patterns:imported-queue",
            "This queue is imported, so its settings cannot be checked: it needs a dead-letter "
            "queue of its own type with a longer retention period, a maxReceiveCount of at least "
            f"{MIN_RECEIVE_COUNT}, and a visibility timeout of at least {VISIBILITY_FACTOR} x the "
            "consumer's timeout plus the batching window.",
        )
        return
    if queue.dead_letter_queue is None:
        raise ValueError(
            f"queue {queue.node.path} has no dead-letter queue: a message that always fails would "
            "be lost when its retention period ends. Give the queue a dead_letter_queue."
        )
    _check_dead_letter_queue(queue.dead_letter_queue.queue, resource, fifo=queue.fifo)
    check_receives(int(queue.dead_letter_queue.max_receive_count))
    visibility = _seconds(resource.visibility_timeout, DEFAULT_VISIBILITY_TIMEOUT)
    check_visibility(visibility, required_visibility_timeout)


def _check_dead_letter_queue(
    dead_letter_queue: sqs.IQueue, source: sqs.CfnQueue, *, fifo: bool
) -> None:
    if dead_letter_queue.fifo != fifo:
        kinds = {True: "FIFO", False: "standard"}
        raise ValueError(
            f"queue is {kinds[fifo]} and its dead-letter queue is "
            f"{kinds[dead_letter_queue.fifo]}: both must be of the same type. "
            f"Make the dead-letter queue {kinds[fifo]}."
        )
    resource = dead_letter_queue.node.default_child
    if isinstance(resource, sqs.CfnQueue):
        retention = _seconds(source.message_retention_period, DEFAULT_RETENTION)
        kept = _seconds(resource.message_retention_period, DEFAULT_RETENTION)
        check_retention(retention, kept, fifo=fifo)


def _seconds(value: float | None, default: Duration) -> Duration:
    return default if value is None else Duration.seconds(value)
