"""SQS → Lambda rules that plain CDK accepts broken: each check raises ``ValueError`` at synth.

Every message names what was given, the rule, and what to change. A value that is only known
at deployment (a CloudFormation token) passes: nothing can be said about it at synth.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_cdk import Annotations, Duration, Stack, Token
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs

from . import keys

# Amazon SQS developer guide, "Configuring queue parameters".
DEFAULT_RETENTION = Duration.days(4)
MAX_RETENTION = Duration.days(14)
DEFAULT_VISIBILITY_TIMEOUT = Duration.seconds(30)
# AWS Lambda developer guide, "Using Lambda with Amazon SQS": 6 x the function timeout, and a
# maxReceiveCount of at least 5, because throttled polls count as receives.
VISIBILITY_FACTOR = 6
MIN_RECEIVE_COUNT = 5
DEFAULT_FUNCTION_TIMEOUT = Duration.seconds(3)
# "Configuring scaling behavior for SQS event source mappings".
MIN_CONCURRENCY, MAX_CONCURRENCY = 2, 1000
MIN_POLLERS, DEFAULT_MAX_POLLERS = 2, 200
CALLS_OF_A_POLLER = 10


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
    """Return the function behind an alias or a version; a function itself as it is.

    Those that ``from_alias_attributes`` and ``latest_version`` return are known by what they have:
    they are of no class. What a function of a class of the user's has is its own.
    """
    if isinstance(function, lambda_.Function):
        return function
    version = getattr(function, "version", None)
    if version is not None and not isinstance(version, str):
        return function_of(version)
    behind: lambda_.IFunction = getattr(function, "lambda_", function)
    return behind


def required_visibility(consumer: lambda_.IFunction, window: Duration | None) -> Duration | None:
    """Return 6 x the consumer's timeout plus the batching window; None when it is imported."""
    function = function_of(consumer)
    if not isinstance(function, lambda_.Function):
        return None
    timeout = function.timeout or DEFAULT_FUNCTION_TIMEOUT
    return None if timeout.is_unresolved() else visibility_for(timeout.to_seconds(), window)


def visibility_for(timeout: float, window: Duration | None) -> Duration | None:
    """Return 6 x a timeout in seconds plus the window; None when only deployment knows that."""
    if window is not None and window.is_unresolved():
        return None
    return Duration.seconds(VISIBILITY_FACTOR * timeout + (window.to_seconds() if window else 0))


def visibility_timeout(given: Duration | None, required: Duration | None) -> Duration:
    """Return the timeout of a new queue: what was given, if enough, else what is required.

    Raises:
        ValueError: too short; or not given while the consumer is imported, so that its timeout
            is not known (lint W9112; AWS Lambda developer guide, "Using Lambda with Amazon SQS").
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
    if required is None or visibility_timeout.is_unresolved() or required.is_unresolved():
        return
    given, minimum = visibility_timeout.to_seconds(), required.to_seconds()
    if given < minimum:
        raise ValueError(
            f"visibility_timeout is {given:.0f} s, but this consumer needs at least "
            f"{minimum:.0f} s: {VISIBILITY_FACTOR} x its timeout plus the batching window, or a "
            "message is delivered again while it is still being processed. "
            f"Raise visibility_timeout to {minimum:.0f} s, or lower the function's timeout."
        )


def check_receives(max_receive_count: int) -> None:
    """Refuse a redrive policy that dead-letters good messages when the consumer is throttled.

    Raises:
        ValueError: fewer than 5 receives, or more than SQS allows (1,000) (lint W9104; AWS Lambda
            developer guide, "Using Lambda with Amazon SQS").
    """
    if Token.is_unresolved(max_receive_count):
        return
    if not MIN_RECEIVE_COUNT <= max_receive_count <= 1000:
        raise ValueError(
            f"max_receive_count is {max_receive_count}, allowed is {MIN_RECEIVE_COUNT} to 1000: "
            "polls that Lambda throttles count as receives, so fewer than "
            f"{MIN_RECEIVE_COUNT} dead-letters good messages. Use {MIN_RECEIVE_COUNT} or more."
        )


def check_receives_fit(
    visibility_timeout: Duration, max_receive_count: int, retention: Duration
) -> None:
    """Refuse a queue that deletes a failing message before it could be dead-lettered.

    Raises:
        ValueError: ``max_receive_count`` x ``visibility_timeout`` reaches the retention period
            (lint W9106; Amazon SQS developer guide, "Dead-letter queues").
    """
    if (
        visibility_timeout.is_unresolved()
        or retention.is_unresolved()
        or Token.is_unresolved(max_receive_count)
    ):
        return
    hidden, kept = visibility_timeout.to_seconds(), retention.to_seconds()
    if max_receive_count * hidden >= kept:
        raise ValueError(
            f"retention_period is {kept:.0f} s, but {max_receive_count} receives of {hidden:.0f} s "
            f"take {max_receive_count * hidden:.0f} s: what always fails is deleted before it is "
            f"dead-lettered. Raise retention_period above that (14 days at most), or lower "
            "max_receive_count or visibility_timeout."
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
            "Make dead_letter_retention_period the longer one (14 days at most), or lower "
            "retention_period."
        )


def check_batching(batch_size: int, window: Duration | None, *, fifo: bool) -> None:
    """Refuse a batch that Lambda does not accept from this kind of queue.

    Raises:
        ValueError: FIFO above 10 or with a window; standard above 10 without a window, above
            10,000, or a window outside 1 to 300 s (AWS Lambda API reference,
            "CreateEventSourceMapping").
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
            2 to 10,000 (maximum), the wrong way round, or with more calls than are reserved; a
            consumer that reserves none (lint W9113, W9195; AWS Lambda developer guide,
            "Configuring scaling behavior for SQS event source mappings").
    """
    if max_concurrency is not None and pollers is not None:
        raise ValueError(
            f"max_concurrency={max_concurrency} and provisioned_pollers were both given: "
            "Lambda takes one of them. Leave one out."
        )
    check_may_run(
        "The consumer",
        consumer,
        "every poll would be throttled and count as a receive, until good messages are "
        "dead-lettered",
        least=MIN_CONCURRENCY,
    )
    if pollers is not None:
        _check_pollers(pollers, reserved_concurrency(consumer))
    if max_concurrency is not None and not Token.is_unresolved(max_concurrency):
        _check_max_concurrency(max_concurrency, reserved_concurrency(consumer))


def _check_max_concurrency(max_concurrency: int, reserved: float | None) -> None:
    if not MIN_CONCURRENCY <= max_concurrency <= MAX_CONCURRENCY:
        raise ValueError(
            f"max_concurrency is {max_concurrency}, allowed is {MIN_CONCURRENCY} to "
            f"{MAX_CONCURRENCY}."
        )
    if reserved is not None and reserved < max_concurrency:
        change = (
            f"Lower max_concurrency to {reserved:g}, or reserve {max_concurrency}."
            if reserved >= MIN_CONCURRENCY
            else f"Reserve {max_concurrency} or more: Lambda takes no max_concurrency below "
            f"{MIN_CONCURRENCY}."
        )
        raise ValueError(
            f"max_concurrency is {max_concurrency}, but the consumer reserves only {reserved:g} "
            "concurrent executions: throttled polls count as receives and dead-letter good "
            f"messages. {change}"
        )


def _check_pollers(pollers: lambda_.ProvisionedPollerConfig, reserved: float | None) -> None:
    low = pollers.minimum_pollers or MIN_POLLERS
    high = pollers.maximum_pollers or DEFAULT_MAX_POLLERS
    if Token.is_unresolved(low) or Token.is_unresolved(high):
        return
    if not (MIN_POLLERS <= low <= 200 and MIN_POLLERS <= high <= 10_000 and low <= high):
        raise ValueError(
            f"provisioned_pollers is {low:g} to {high:g}: allowed is a minimum of 2 to 200, "
            "a maximum of 2 to 10000, and the minimum not above the maximum."
        )
    calls = CALLS_OF_A_POLLER * high
    if reserved is not None and reserved < calls:
        fitting = int(reserved // CALLS_OF_A_POLLER)
        change = (
            f"Let maximum_pollers be {fitting} at most"
            if fitting >= MIN_POLLERS
            else "Use max_concurrency instead"
        )
        raise ValueError(
            f"provisioned_pollers go up to {high:g}, each with {CALLS_OF_A_POLLER} concurrent "
            f"calls, but the consumer reserves only {reserved:g} concurrent executions: throttled "
            "polls count as receives and dead-letter good messages. "
            f"{change}, or reserve {calls:g}."
        )


def check_shared(consumer: lambda_.IFunction, calls: float, of_others: float) -> None:
    """Refuse mappings that together poll more than the consumer they share may run.

    Raises:
        ValueError: their concurrent calls exceed its reserved concurrency (lint W9113; AWS Lambda
            developer guide, "Configuring scaling behavior for SQS event source mappings").
    """
    reserved = reserved_concurrency(consumer)
    if reserved is not None and of_others and calls + of_others > reserved:
        raise ValueError(
            f"This mapping makes up to {calls:g} concurrent calls of the consumer and its other "
            f"mappings {of_others:g}, but it reserves only {reserved:g} concurrent executions: "
            "throttled polls count as receives and dead-letter good messages. Give each mapping a "
            f"lower max_concurrency, or reserve {calls + of_others:g}."
        )


def check_may_run(name: str, function: lambda_.IFunction, otherwise: str, least: int = 1) -> None:
    """Refuse a function that may never run.

    Args:
        name: What the function is, for the message.
        function: The function, or an alias or a version of it.
        otherwise: What would happen.
        least: The fewest executions to reserve.

    Raises:
        ValueError: it reserves 0 concurrent executions (lint W9195; AWS Lambda developer guide,
            "Configuring reserved concurrency for a function").
    """
    if reserved_concurrency(function) == 0:
        raise ValueError(
            f"{name} reserves 0 concurrent executions, so Lambda would run nothing: {otherwise}. "
            f"Reserve {least} or more, or leave reserved_concurrent_executions out."
        )


def check_has_role(name: str, function: lambda_.IFunction) -> None:
    """Refuse a function that nothing can be permitted to.

    Raises:
        ValueError: it was imported without its role (AWS Lambda developer guide, "Defining Lambda
            function permissions with an execution role").
    """
    if function_of(function).role is None:
        raise ValueError(
            f"{name} {function.node.path} is imported without its role, so it cannot be permitted "
            "what it has to do. Import it by from_function_attributes() with role."
        )


def reserved_concurrency(consumer: lambda_.IFunction) -> float | None:
    """Return the consumer's reserved concurrency; None without one, or when it is not known."""
    function = function_of(consumer)
    resource = function.node.default_child if isinstance(function, lambda_.Function) else None
    if not isinstance(resource, lambda_.CfnFunction):
        return None
    reserved = resource.reserved_concurrent_executions
    return None if Token.is_unresolved(reserved) else reserved


def dead_letter_queue_of(queue: sqs.IQueue) -> sqs.IQueue | None:
    """Return a queue's dead-letter queue; None without one, or when ``queue`` is imported."""
    if not isinstance(queue, sqs.Queue) or queue.dead_letter_queue is None:
        return None
    return queue.dead_letter_queue.queue


def check_own_queue(queue: sqs.IQueue, required_visibility_timeout: Duration | None) -> None:
    """Refuse a queue of the user's that loses messages; warn of one that is imported.

    Raises:
        ValueError: no dead-letter queue (lint W9102), one of the other type (lint E9101) or one
            that refuses it, a key that encrypts nothing, or a setting that the checks above refuse
            (Amazon SQS developer guide, "Dead-letter queues"). An imported queue has no settings
            to read: a warning says so.
    """
    keys.check_key_of(queue)
    resource = queue.node.default_child
    if not isinstance(queue, sqs.Queue) or not isinstance(resource, sqs.CfnQueue):
        _warn_of_imported_queue(queue, required_visibility_timeout)
        return
    if queue.dead_letter_queue is None:
        raise ValueError(
            f"queue {queue.node.path} has no dead-letter queue: a message that always fails would "
            "be lost when its retention period ends. Give the queue a dead_letter_queue."
        )
    _check_dead_letter_queue(queue.dead_letter_queue.queue, queue, resource)
    receives = int(queue.dead_letter_queue.max_receive_count)
    check_receives(receives)
    visibility = visibility_of(resource)
    check_visibility(visibility, required_visibility_timeout)
    check_receives_fit(visibility, receives, retention_of(resource))


def _warn_of_imported_queue(queue: sqs.IQueue, required_visibility: Duration | None) -> None:
    longer = "" if queue.fifo else " with a longer retention period"
    hidden = (
        f"{VISIBILITY_FACTOR} x the consumer's timeout plus the batching window"
        if required_visibility is None or required_visibility.is_unresolved()
        else f"{required_visibility.to_seconds():.0f} s"
    )
    Annotations.of(queue).add_warning_v2(
        "serverless-patterns:imported-queue",
        "This queue is imported, so its settings cannot be checked: it needs a dead-letter queue "
        f"of its own type{longer}, which gets no alarm here, a maxReceiveCount of at least "
        f"{MIN_RECEIVE_COUNT}, a visibility timeout of at least {hidden}, and a retention period "
        f"above maxReceiveCount x that timeout.{ask_for_key(queue)}",
    )


def ask_for_key(queue: sqs.IQueue) -> str:
    """Return what a warning says of an imported queue's key; nothing when the key is known."""
    if queue.encryption_master_key is not None:
        return ""
    return " If it has a customer key, import it with key_arn, so that the key's use is granted."


def _check_dead_letter_queue(
    dead_letter_queue: sqs.IQueue, queue: sqs.Queue, source: sqs.CfnQueue
) -> None:
    if dead_letter_queue.fifo != queue.fifo:
        kinds = {True: "FIFO", False: "standard"}
        raise ValueError(
            f"queue is {kinds[queue.fifo]} and its dead-letter queue is "
            f"{kinds[dead_letter_queue.fifo]}: both must be of the same type. "
            f"Make the dead-letter queue {kinds[queue.fifo]}."
        )
    keys.check_key_of(dead_letter_queue)
    retention, resource = retention_of(source), dead_letter_queue.node.default_child
    if isinstance(resource, sqs.CfnQueue):
        check_retention(retention, retention_of(resource), fifo=queue.fifo)
        check_redrive_allowed(resource, source)
        return
    check_retention(retention, MAX_RETENTION, fifo=queue.fifo)
    _warn_of_imported_dead_letter_queue(dead_letter_queue, queue, retention)


def _warn_of_imported_dead_letter_queue(
    dead_letter_queue: sqs.IQueue, queue: sqs.Queue, retention: Duration
) -> None:
    kept = "" if queue.fifo else f"it must keep messages longer than {_text(retention)}, and "
    Annotations.of(dead_letter_queue).add_warning_v2(
        "serverless-patterns:imported-dead-letter-queue",
        "This dead-letter queue is imported, so its settings cannot be checked: "
        f"{kept}a redrive allow policy must admit {queue.node.path}, its source.",
    )


def check_redrive_allowed(dead_letter_queue: sqs.CfnQueue, source: sqs.CfnQueue) -> None:
    """Refuse a dead-letter queue that does not take messages from its source.

    Raises:
        ValueError: its redrive allow policy is denyAll, or byQueue without the source (lint E9105;
            Amazon SQS developer guide, "Dead-letter queues"). What is not known at synth passes.
    """
    policy = Stack.of(dead_letter_queue).resolve(dead_letter_queue.redrive_allow_policy)
    refused = _refuses(policy, source) if isinstance(policy, Mapping) else None
    if refused is None:
        return
    raise ValueError(
        f"queue {source.node.path.rsplit('/', 1)[0]} dead-letters to "
        f"{dead_letter_queue.node.path.rsplit('/', 1)[0]}, whose redrive allow policy {refused}: "
        "SQS refuses that. Leave redrive_allow_policy out, or name the queue's ARN in it."
    )


def _refuses(policy: Mapping[str, Any], source: sqs.CfnQueue) -> str | None:
    listed, permission = policy.get("sourceQueueArns"), policy.get("redrivePermission")
    if permission == "denyAll":
        return "denies all"
    if permission != "byQueue" or not isinstance(listed, list):
        return None
    others = all(_is_of_another_queue(arn, source) for arn in listed)
    return "names other queues only" if others else None


def _is_of_another_queue(arn: Any, queue: sqs.CfnQueue) -> bool:
    """Whether an ARN is certainly not the queue's: it refers to another, or has another name."""
    stack = Stack.of(queue)
    match arn, stack.resolve(queue.queue_name):
        case {"Fn::GetAtt": [logical_id, _]}, _:
            return bool(logical_id != stack.get_logical_id(queue))
        case str(), str(name):
            return arn.rsplit(":", 1)[-1] != name
        case _:
            return False


def visibility_of(queue: sqs.CfnQueue) -> Duration:
    """Return a queue's visibility timeout."""
    return _seconds(queue.visibility_timeout, DEFAULT_VISIBILITY_TIMEOUT)


def retention_of(queue: sqs.CfnQueue) -> Duration:
    """Return how long a queue keeps a message."""
    return _seconds(queue.message_retention_period, DEFAULT_RETENTION)


def retention_of_queue(queue: sqs.IQueue) -> Duration:
    """Return how long a queue keeps messages; of one that is imported, the longest it may."""
    resource = queue.node.default_child
    return retention_of(resource) if isinstance(resource, sqs.CfnQueue) else MAX_RETENTION


def check_max_message_age(max_message_age: Duration, queue: sqs.IQueue) -> None:
    """Refuse an alarm that could not ring before its messages are gone.

    Raises:
        ValueError: the queue keeps no message as long as ``max_message_age`` (Amazon SQS developer
            guide, "Configuring queue parameters").
    """
    retention = retention_of_queue(queue)
    if max_message_age.is_unresolved() or retention.is_unresolved():
        return
    age, kept = max_message_age.to_seconds(), retention.to_seconds()
    if age >= kept:
        raise ValueError(
            f"max_message_age is {age:.0f} s, but the queue keeps messages for {kept:.0f} s: they "
            "would be gone before the alarm rings. Lower max_message_age, or raise "
            "retention_period (14 days at most)."
        )


def _seconds(value: float | None, default: Duration) -> Duration:
    return default if value is None else Duration.seconds(value)


def _text(period: Duration) -> str:
    return "its source" if period.is_unresolved() else period.to_human_string()
