"""AWS Lambda functions and their event source mappings."""

from __future__ import annotations

from ..limits import (
    LAMBDA_MAX_WINDOW,
    LAMBDA_MIN_WINDOW,
    SQS_LAMBDA_BATCH,
    SQS_LAMBDA_BATCH_WITH_WINDOW,
    SQS_LAMBDA_CALLS_A_POLLER,
    SQS_LAMBDA_MAX_CONCURRENCY,
    SQS_LAMBDA_MAX_MIN_POLLERS,
    SQS_LAMBDA_MAX_POLLERS,
    SQS_LAMBDA_MIN_CONCURRENCY,
    SQS_LAMBDA_MIN_POLLERS,
)
from . import period

THROTTLED_POLLS = (
    "every poll is throttled and counts as a receive, until good messages are dead-lettered"
)


def sqs_batch(batch_size: float | None, window: float | None, *, fifo: bool) -> str | None:
    """A batch fits its queue: FIFO 10 without a window; standard 10, or 10,000 with one.

    Source: https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html

    Args:
        batch_size: Messages a call; None when only deployment knows.
        window: Batching window in seconds; None without one.
        fifo: Whether the queue is FIFO.
    """
    if fifo and window is not None:
        return (
            f"max_batching_window is {window:g} s, but FIFO queues have no batching window. "
            "Leave max_batching_window out."
        )
    largest = SQS_LAMBDA_BATCH if window is None else SQS_LAMBDA_BATCH_WITH_WINDOW
    if batch_size is None or 1 <= batch_size <= largest:
        return None
    hint = "" if fifo or window else " A standard queue allows more with max_batching_window."
    return f"batch_size is {batch_size:g}; it must be 1 to {largest}.{hint}"


def window(seconds: float) -> str | None:
    """A batching window is 1 to 300 seconds.

    Source: https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
    """
    if LAMBDA_MIN_WINDOW <= seconds <= LAMBDA_MAX_WINDOW:
        return None
    return (
        f"max_batching_window is {seconds:g} s; it must be {LAMBDA_MIN_WINDOW} to "
        f"{LAMBDA_MAX_WINDOW} s."
    )


def max_concurrency(calls: float) -> str | None:
    """A mapping of a queue makes 2 to 1,000 concurrent calls.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
    """
    if SQS_LAMBDA_MIN_CONCURRENCY <= calls <= SQS_LAMBDA_MAX_CONCURRENCY:
        return None
    return (
        f"max_concurrency is {calls:g}; it must be {SQS_LAMBDA_MIN_CONCURRENCY} to "
        f"{SQS_LAMBDA_MAX_CONCURRENCY}."
    )


def pollers(low: float, high: float) -> str | None:
    """Provisioned pollers are 2 to 200 at least and 2 to 10,000 at most.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
    """
    least = SQS_LAMBDA_MIN_POLLERS
    if least <= low <= SQS_LAMBDA_MAX_MIN_POLLERS and low <= high <= SQS_LAMBDA_MAX_POLLERS:
        return None
    return (
        f"provisioned_pollers is {low:g} to {high:g}; it must have a minimum of {least} to "
        f"{SQS_LAMBDA_MAX_MIN_POLLERS}, a maximum of {least} to {SQS_LAMBDA_MAX_POLLERS}, and a "
        "minimum not above the maximum."
    )


def polls_above_reserved(
    function: object, polls: float, reserved: float, *, others: float = 0, pollers: float = 0
) -> str | None:
    """The mappings of a function poll no more than it reserves.

    Lint W9113. Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html

    Args:
        function: The consumer.
        polls: Concurrent calls of this mapping.
        reserved: The consumer's reserved concurrency.
        others: Concurrent calls of its other mappings. Default: 0.
        pollers: This mapping's provisioned pollers. Default: it has none.
    """
    needed = polls + others
    if needed <= reserved:
        return None
    beside = f" in addition to the {others:g} of its other mappings" if others else ""
    by = f"{pollers:g} pollers make {polls:g}" if pollers else f"A mapping makes up to {polls:g}"
    return (
        f"{by} concurrent calls of {function}{beside}, but it reserves only {reserved:g} "
        "concurrent executions: throttled polls count as receives and dead-letter good messages. "
        f"{_lower(reserved - others, pollers)}, or reserve {needed:g}."
    )


def _lower(left: float, pollers: float) -> str:
    if pollers:
        fitting = left // SQS_LAMBDA_CALLS_A_POLLER
        if fitting >= SQS_LAMBDA_MIN_POLLERS:
            return f"Lower the maximum of pollers to {fitting:g}"
        return "Use a maximum concurrency instead of pollers"
    if left >= SQS_LAMBDA_MIN_CONCURRENCY:
        return f"Lower the maximum concurrency to {left:g}"
    return (
        f"Lambda allows no maximum concurrency below {SQS_LAMBDA_MIN_CONCURRENCY}, so use another "
        "function"
    )


def never_runs(name: object, reserved: float | None, otherwise: str, least: int = 1) -> str | None:
    """A function that has to run reserves some concurrency, or none at all.

    Lint W9195. Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html

    Args:
        name: What the function is.
        reserved: Its reserved concurrency; None without one.
        otherwise: What happens if it does not run.
        least: The fewest executions to reserve. Default: 1.
    """
    if reserved is None or reserved > 0:
        return None
    return (
        f"{name} reserves {reserved:g} concurrent executions, so Lambda never runs it: "
        f"{otherwise}. Reserve {least} or more, or remove the reserved concurrency."
    )


def record_age(name: object, age: float, stream: object, kept: float) -> str | None:
    """What reads a stream gives a record up while the stream still has it.

    Lint W9124. Source:
    https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html

    Args:
        name: What reads it.
        age: Age in seconds from which it gives a record up.
        stream: The stream.
        kept: How long the stream keeps a record, in seconds.
    """
    if age < kept:
        return None
    return (
        f"{name} gives a record up after {period(age)}, but {stream} keeps it for {period(kept)}: "
        "when the failure is recorded, the record is gone, and nobody can fetch it back. Lower the "
        "maximum record age, or let the stream keep its records longer."
    )


def parallel_windows(factor: float) -> str:
    """The state of a tumbling window is a shard's, so its batches run one after another.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html
    """
    return (
        f"tumbling_window was given with a parallelization_factor of {factor:g}, but the state of "
        "a window is that of a shard, and Lambda rejects both together. Leave one out: more shards "
        "are read at the same time, too."
    )


def starts_at_the_latest(name: object) -> str:
    """What reads a stream starts at its oldest record, or at a time.

    Lint W9123. Source: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-create.html

    Args:
        name: What reads it.
    """
    return (
        f"{name} starts at LATEST: records that arrive while it is made or updated are never read. "
        "Set StartingPosition to TRIM_HORIZON or AT_TIMESTAMP."
    )


def one_mapping(name: object, function: object, source: object) -> str:
    """A function reads a source by one mapping: Lambda rejects a second one.

    Lint E9219. Source:
    https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html

    Args:
        name: The second mapping.
        function: What both invoke.
        source: What both read.
    """
    return (
        f"{name} is a second mapping of {source} to {function}, and Lambda rejects it: the "
        "deployment fails. Leave it out, or give it another function."
    )


def standard_destination(name: object, kind: str = "queue or topic") -> str:
    """Lambda sends records of invocations and batches, and dead letters, to standard ones.

    Lint E9131. Source:
    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html

    Args:
        name: The FIFO queue or topic.
        kind: Which of both it is.
    """
    return (
        f"{name} is a FIFO {kind}, but Lambda delivers to standard queues and topics only: every "
        f"record would be lost. Use a standard {kind}."
    )


def invoked_for_anybody(name: object, service: str) -> str:
    """A service that may invoke a function says for whose resources.

    Lint W9161. Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
    """
    return (
        f"{name} lets {service} invoke the function for anybody's resources. Give the permission a "
        "source ARN or a source account."
    )


def two_configurations(function: object, one: object, other: object) -> str:
    """A function, alias or version has one configuration of asynchronous invocation.

    Lint E9189. Source:
    https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionEventInvokeConfig.html

    Args:
        function: The function, with its alias or version.
        one: A configuration of it.
        other: Another one.
    """
    return (
        f"{function} has two configurations of asynchronous invocation, {one} and {other}, but "
        "Lambda keeps one: the other's retries and destinations would be lost. Give them all to "
        "one of them."
    )
