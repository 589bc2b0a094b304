"""A function that processes the messages of a queue, and reports each that fails."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from aws_cdk import Annotations, Duration
from aws_cdk import aws_lambda as lambda_

from ..checks import lambda_ as checks
from ..checks import period, reject
from ..checks import sqs as sqs_checks
from ..limits import (
    LAMBDA_DEFAULT_TIMEOUT,
    SQS_LAMBDA_BATCH,
    SQS_LAMBDA_CALLS_A_POLLER,
    SQS_LAMBDA_DEFAULT_MAX_POLLERS,
    SQS_LAMBDA_MAX_CONCURRENCY,
    SQS_LAMBDA_MIN_CONCURRENCY,
    SQS_LAMBDA_MIN_POLLERS,
    SQS_LAMBDA_VISIBILITY_FACTOR,
)
from .findings import acknowledge
from .grants import warn_of_fixed
from .places import check_environment, check_here
from .stacks import role_in
from .values import (
    Path,
    arn_of_queue,
    child_of,
    expect,
    expect_fields,
    in_seconds,
    number,
    place_of,
    stack_of,
)

if TYPE_CHECKING:
    from aws_cdk import aws_sqs as sqs
    from constructs import Construct

# A backlog then takes no more of the account than this; some new accounts have a quota of 10.
DEFAULT_MAX_CONCURRENCY = 10
# Who consumes a queue here.
_CONSUMERS: WeakKeyDictionary[sqs.IQueue, Path] = WeakKeyDictionary()
# The concurrent calls that the mappings made here may make of a function: they share what it
# reserves.
_CALLS: WeakKeyDictionary[lambda_.IFunction, float] = WeakKeyDictionary()


@dataclass(frozen=True)
class Consumer:
    """A function, and how Lambda hands it the messages of a queue.

    Attributes:
        function: Function or alias. You own its code: it must be idempotent and report partial
            batch failures.
        batch_size: Messages a call: 1 to 10; up to 10,000 on a standard queue with a window.
        max_batching_window: Longest wait for a full batch, 1 to 300 s, standard queues only.
            Default: none.
        max_concurrency: Concurrent calls, 2 to 1,000. Default: the reserved concurrency of the
            function (at most 1,000), else 10; none with ``provisioned_pollers``.
        provisioned_pollers: Event pollers that are kept ready, in place of ``max_concurrency``.

    Raises:
        ValueError: a setting that Lambda rejects.
    """

    function: lambda_.IFunction
    batch_size: int = SQS_LAMBDA_BATCH
    max_batching_window: Duration | None = None
    max_concurrency: int | None = None
    provisioned_pollers: lambda_.ProvisionedPollerConfig | None = None

    def __post_init__(self) -> None:
        """Reject a setting that Lambda rejects."""
        expect_fields(
            self,
            function=("IFunction",),
            batch_size=(int,),
            max_batching_window=(Duration, None),
            max_concurrency=(int, None),
            provisioned_pollers=(lambda_.ProvisionedPollerConfig, None),
        )
        window, calls = in_seconds(self.max_batching_window), number(self.max_concurrency)
        pollers = self.pollers
        reject(
            checks.window(window) if window is not None else None,
            checks.max_concurrency(calls) if calls is not None else None,
            checks.pollers(*pollers) if pollers else None,
        )
        if self.max_concurrency is not None and self.provisioned_pollers is not None:
            raise ValueError(
                f"max_concurrency={self.max_concurrency} and provisioned_pollers were both given: "
                "Lambda takes one of them. Leave one out."
            )

    @classmethod
    def of(cls, consumer: lambda_.IFunction | Consumer) -> Consumer:
        """Return a consumer: itself, or a function with the defaults."""
        expect("consumer", consumer, "IFunction", Consumer)
        return consumer if isinstance(consumer, Consumer) else cls(consumer)

    @cached_property
    def facts(self) -> Facts:
        """The known settings of the function, as they are when they are first asked for."""
        return facts_of(self.function)

    @property
    def pollers(self) -> tuple[float, float] | None:
        """Fewest and most pollers; None without any, or when only deployment knows."""
        if self.provisioned_pollers is None:
            return None
        low = number(self.provisioned_pollers.minimum_pollers or SQS_LAMBDA_MIN_POLLERS)
        high = number(self.provisioned_pollers.maximum_pollers or SQS_LAMBDA_DEFAULT_MAX_POLLERS)
        return None if low is None or high is None else (low, high)

    def needed_visibility(self) -> float | None:
        """The least visibility timeout of the queue, in seconds; None when it is not known."""
        timeout, window = self.facts.timeout, in_seconds(self.max_batching_window)
        if timeout is None or (window is None and self.max_batching_window is not None):
            return None
        return sqs_checks.needed_visibility(timeout, window or 0)


@dataclass(frozen=True)
class Facts:
    """The known settings of a function.

    Attributes:
        own: Whether it is of this app, and not imported.
        timeout: Seconds; None when it is imported or only deployment knows.
        reserved: Reserved concurrency; None without one, or when it is not known.
    """

    own: bool
    timeout: float | None
    reserved: float | None


def facts_of(function: lambda_.IFunction) -> Facts:
    """Return the known settings of a function, or of the one behind an alias or a version."""
    resource = resource_of(function)
    if resource is None:
        return Facts(own=False, timeout=None, reserved=None)
    timeout = resource.timeout
    return Facts(
        own=True,
        timeout=float(LAMBDA_DEFAULT_TIMEOUT) if timeout is None else number(timeout),
        reserved=number(resource.reserved_concurrent_executions),
    )


def function_of(function: lambda_.IFunction) -> lambda_.IFunction:
    """Return the function behind an alias or a version; a function itself as it is.

    Those that ``from_alias_attributes`` and ``latest_version`` return are known by their
    attributes: they have no class. The attributes of a function class of yours are its own.
    """
    if isinstance(function, lambda_.Function):
        return function
    version = getattr(function, "version", None)
    if version is not None and not isinstance(version, str):
        return function_of(version)
    behind: lambda_.IFunction = getattr(function, "lambda_", function)
    return behind


def resource_of(function: lambda_.IFunction) -> lambda_.CfnFunction | None:
    """Return the resource of a function, alias or version; None when it is imported."""
    function = function_of(function)
    resource = child_of(function) if isinstance(function, lambda_.Function) else None
    return resource if isinstance(resource, lambda_.CfnFunction) else None


def check_may_run(name: object, function: lambda_.IFunction, otherwise: str) -> None:
    """Reject a function that never runs.

    Args:
        name: What the function is, for the message.
        function: The function, or an alias or a version of it.
        otherwise: What happens if it does not run.

    Raises:
        ValueError: it reserves 0 concurrent executions.
    """
    reject(checks.never_runs(name, facts_of(function).reserved, otherwise))


def check_has_role(name: object, function: lambda_.IFunction) -> None:
    """Reject a function to which no permission can be granted.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html

    Raises:
        ValueError: it was imported without its role.
    """
    function = function_of(function)
    if not isinstance(function, lambda_.Function) and function.role is None:
        raise ValueError(
            f"{name} {function.node.path} was imported without its role, so it cannot be granted "
            "permissions. Import it with from_function_attributes() and role."
        )


def consume(
    scope: Construct, construct_id: str, queue: sqs.IQueue, consumer: Consumer, *, fifo: bool
) -> lambda_.EventSourceMapping:
    """Let a function process the messages of a queue, failing record by record.

    Args:
        scope: Where the mapping is made.
        construct_id: Its id there.
        queue: The source.
        consumer: The function and its settings.
        fifo: Whether the queue is FIFO.

    Raises:
        ValueError: a setting that Lambda rejects or that dead-letters good messages; a function
            that was imported without its role, or that is in another account or Region; or a queue
            of another Region, or that has a consumer already.
    """
    _check_places(scope, queue, consumer.function)
    _check_only_consumer(queue, consumer.function)
    facts = consumer.facts
    window = in_seconds(consumer.max_batching_window)
    reject(
        checks.sqs_batch(number(consumer.batch_size), window, fifo=fifo),
        checks.never_runs(
            "The consumer",
            facts.reserved,
            checks.THROTTLED_POLLS,
            least=SQS_LAMBDA_MIN_CONCURRENCY,
        ),
    )
    check_has_role("The consumer", consumer.function)
    max_concurrency = consumer.max_concurrency
    if max_concurrency is None and consumer.provisioned_pollers is None:
        max_concurrency = _default_max_concurrency(facts.reserved)
    _share_reserved(consumer, max_concurrency, facts)

    role = role_in(scope, consumer.function)
    grant = queue.grant_consume_messages(role)
    warn_of_fixed(
        role, Path(queue, "receiving and deleting messages of ", ", and the use of its key, if any")
    )
    mapping = lambda_.EventSourceMapping(
        scope,
        construct_id,
        target=consumer.function,
        event_source_arn=arn_of_queue(queue),
        batch_size=consumer.batch_size,
        max_batching_window=consumer.max_batching_window,
        max_concurrency=max_concurrency,
        provisioned_poller_config=consumer.provisioned_pollers,
        report_batch_item_failures=True,
    )
    grant.apply_before(mapping)  # Lambda rejects a mapping whose function may not read the queue
    acknowledge(
        mapping,
        "Serverless::Serverless-LambdaEventSourceMappingDestination",
        "Lambda takes no failure destination for an SQS source; the queue's own redrive policy "
        "moves failed messages to its dead-letter queue.",
    )
    return mapping


def _check_places(scope: Construct, queue: sqs.IQueue, function: lambda_.IFunction) -> None:
    """Reject a function or a queue that the mapping cannot be made for.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs-cross-account-example.html

    Raises:
        ValueError: the function is in another account or Region, or the queue in another Region.
    """
    check_here(
        scope,
        Path(function, "The consumer "),
        function,
        "the mapping of a queue is made in the account and Region of its function. Make this "
        "construct in a stack of that account and Region.",
    )
    check_environment(scope, Path(function, "The consumer "), function)
    check_environment(scope, Path(queue, "queue "), queue)
    _, here = place_of(stack_of(scope))
    there = place_of(queue)[1] if here else None
    if there and there != here:
        raise ValueError(
            f"queue {Path(queue)} is in Region {there}, but Lambda polls queues of its own Region, "
            f"{here}, only. Make this construct in a stack of {there}, or give a queue of {here}."
        )


def _check_only_consumer(queue: sqs.IQueue, function: lambda_.IFunction) -> None:
    """Reject a second consumer of a queue.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html

    Raises:
        ValueError: another construct has made a mapping of the queue.
    """
    if queue in _CONSUMERS:
        raise ValueError(
            f"queue {Path(queue)} has a consumer already, {_CONSUMERS[queue]}: each message would "
            f"go to that one or to {Path(function)}, never to both. Give each its own queue, with "
            "a topic in front of them if both need every message."
        )
    _CONSUMERS[queue] = Path(function)


def _default_max_concurrency(reserved: float | None) -> int:
    if reserved is None:
        return DEFAULT_MAX_CONCURRENCY
    return min(max(SQS_LAMBDA_MIN_CONCURRENCY, int(reserved)), SQS_LAMBDA_MAX_CONCURRENCY)


def _share_reserved(consumer: Consumer, max_concurrency: int | None, facts: Facts) -> None:
    """Count the calls of a mapping against what its function reserves.

    Raises:
        ValueError: the mappings of the function poll more than it reserves.
    """
    function, pollers = function_of(consumer.function), consumer.pollers
    most = pollers[1] if pollers else 0
    calls = SQS_LAMBDA_CALLS_A_POLLER * most if pollers else number(max_concurrency) or 0
    others = _CALLS.get(function, 0)
    if facts.reserved is not None and calls:
        reject(
            checks.polls_above_reserved(
                Path(function), calls, facts.reserved, others=others, pollers=most
            )
        )
    _CALLS[function] = others + calls


def warn_of_imported_consumer(consumer: Consumer, visibility: float | None) -> None:
    """Warn of what an imported consumer needs.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html

    Args:
        consumer: The consumer.
        visibility: Visibility timeout of its queue in seconds; None when it is not known.
    """
    if consumer.facts.own:
        return
    longest = "a sixth of the queue's visibility timeout"
    window = in_seconds(consumer.max_batching_window)
    if visibility is not None:
        spare = (visibility - (window or 0)) // SQS_LAMBDA_VISIBILITY_FACTOR
        longest = f"{period(spare)}, because the queue hides a message for {period(visibility)}"
    pollers = consumer.pollers
    calls = (
        SQS_LAMBDA_CALLS_A_POLLER * pollers[1]
        if pollers
        else number(consumer.max_concurrency) or DEFAULT_MAX_CONCURRENCY
    )
    Annotations.of(consumer.function).add_warning_v2(
        "serverless-patterns:imported-consumer",
        "This function is imported, so its timeout and reserved concurrency cannot be checked: it "
        f"may run for at most {longest}, must reserve no concurrent executions or at least "
        f"{calls:g}, and must report partial batch failures.",
    )
