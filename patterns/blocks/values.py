"""Reads what was given to a construct, with few calls into the CDK's kernel.

A value that only deployment knows (a token) is None here: nothing can be said of it at synthesis.
"""

from __future__ import annotations

import functools
from textwrap import shorten
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from aws_cdk import Duration, Reference, RemovalPolicy, Stack, Tokenization

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_cdk import IResource
    from constructs import IConstruct, Node

# The CDK spells the token of a number as one below this, and that of a string with "${Token[".
_TOKEN_NUMBERS = -1e280
_T = TypeVar("_T")
_STACKS: WeakKeyDictionary[IConstruct, Stack] = WeakKeyDictionary()
_ROLES: WeakKeyDictionary[IConstruct, Any] = WeakKeyDictionary()
_SECONDS: dict[Duration, float] = {}  # what the durations that were made here are
# Interfaces of the CDK: the attribute that each one's classes have, and how to get one. An object
# is recognized by the attribute, so that no module is imported only to ask.
INTERFACES = {
    "IAlarmAction": ("bind", "SnsAction(topic)"),
    "IAuthorizer": ("authorizer_id", "CognitoUserPoolsAuthorizer(…)"),
    "IBucket": ("bucket_arn", "Bucket.from_bucket_arn(…)"),
    "IDatabaseCluster": (
        "cluster_endpoint",
        "DatabaseCluster.from_database_cluster_attributes(…)",
    ),
    "IEventApi": ("realtime_dns", "EventApi.from_event_api_attributes(…)"),
    "IEventBus": ("event_bus_arn", "EventBus.from_event_bus_arn(…)"),
    "IFunction": ("function_arn", "Function.from_function_attributes(…)"),
    "IGrantable": ("grant_principal", "Role.from_role_arn(…)"),
    "IGraphqlApi": ("graph_ql_endpoint_arn", "GraphqlApi(…)"),
    "IKey": ("key_arn", "Key.from_key_arn(…)"),
    "ILambdaDeploymentConfig": (
        "deployment_config_arn",
        "LambdaDeploymentConfig.CANARY_10_PERCENT_5_MINUTES",
    ),
    "IQueue": ("queue_arn", "Queue.from_queue_arn(…)"),
    "IRestApi": ("rest_api_root_resource_id", "RestApi.from_rest_api_attributes(…)"),
    "IStateMachine": ("state_machine_arn", "StateMachine.from_state_machine_arn(…)"),
    "IStream": ("stream_arn", "Stream.from_stream_attributes(…)"),
    "ITable": ("table_arn", "Table.from_table_attributes(…)"),
    "ITopic": ("topic_arn", "Topic.from_topic_arn(…)"),
    "IVpc": ("isolated_subnets", "Vpc.from_vpc_attributes(…)"),
}
# Classes of the CDK that are not made by calling them.
MADE_BY = {
    "RuleTargetInput": ".from_event_path",
    "ScheduleExpression": ".cron",
    "TimeWindow": ".flexible",
}
Kind = type | str | None
DAY = 86_400  # seconds
BUILTIN = (None, bool, int, float, str, list, tuple, dict)


class Path:
    """A construct's path, looked up only when it is printed, with words before and after it."""

    def __init__(self, construct: IConstruct, words: str = "", after: str = "") -> None:
        self._construct, self._words, self._after = construct, words, after

    def __str__(self) -> str:
        return f"{self._words}{path_of(self._construct)}{self._after}"


class PathAbove(Path):
    """The path of the construct that makes a resource, looked up only when it is printed."""

    def __str__(self) -> str:
        return super().__str__().rpartition("/")[0]


def asked_once(ask: Callable[[Any], _T]) -> Callable[[Any], _T]:
    """Remember what a construct answers to a question whose answer stays the same."""
    known: WeakKeyDictionary[Any, _T] = WeakKeyDictionary()

    @functools.wraps(ask)
    def answer(construct: Any) -> _T:
        if construct not in known:
            known[construct] = ask(construct)
        return known[construct]

    return answer


def expect(argument: str, value: Any, *allowed: Kind) -> None:
    """Reject an argument of a type that would fail later, deep in the CDK.

    Args:
        argument: Its name.
        value: What was given.
        allowed: Classes; interfaces of the CDK by name, such as ``"IQueue"``; None. A token is a
            number or a string.

    Raises:
        ValueError: the value is none of them.
    """
    if any(_is(value, kind) for kind in allowed):
        if isinstance(value, Duration):
            _check_whole(argument, value)
        return
    names = [kind if isinstance(kind, str) else kind.__name__ for kind in allowed if kind]
    examples = [_example(kind) for kind in allowed if kind not in BUILTIN]
    plain = isinstance(value, str | int | float | dict | list | tuple | None)
    given = shorten(repr(value), 80, placeholder=" …") if plain else f"a {_name_of(value)}"
    if type(value).__name__ in names:  # the settings of another pattern
        names = [kind if isinstance(kind, str) else _full_name(kind) for kind in allowed if kind]
        given, examples = f"a {_full_name(type(value))}", []
    such_as = f", such as {' or '.join(examples)}" if examples else ""
    raise ValueError(f"{argument} is {given}; it must be of type {' or '.join(names)}{such_as}.")


def expect_fields(settings: Any, **allowed: tuple[Kind, ...]) -> None:
    """Reject settings with a field of a type that would fail later: see ``expect``."""
    for name, kinds in allowed.items():
        expect(name, getattr(settings, name), *kinds)


def _check_whole(argument: str, duration: Duration) -> None:
    length = in_seconds(duration)
    if length is not None and length % 1 == 0:
        return
    try:
        duration.to_seconds()
    except RuntimeError as error:
        unknown = duration.is_unresolved()
        given = duration.to_human_string() if unknown else f"{duration.to_milliseconds()} ms"
        raise ValueError(
            f"{argument} is {given}; it must be whole seconds, and one that only deployment knows "
            "must be made with Duration.seconds()."
        ) from error


def check_removal(policy: RemovalPolicy) -> None:
    """Reject a removal policy that streams and buckets do not have.

    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html

    Raises:
        ValueError: it is SNAPSHOT.
    """
    expect("removal_policy", policy, RemovalPolicy)
    if policy is RemovalPolicy.SNAPSHOT:
        raise ValueError(
            "removal_policy is SNAPSHOT, but CloudFormation makes snapshots of databases and "
            "volumes only. Use RETAIN to keep the data, or DESTROY."
        )


def _is(value: Any, kind: Kind) -> bool:
    if isinstance(kind, str):
        return has(value, INTERFACES[kind][0])
    if kind is int:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole or (isinstance(value, float) and number(value) is None)
    return value is None if kind is None else isinstance(value, kind)


def has(value: Any, attribute: str) -> bool:
    """Whether a value has an attribute by its class: reading it would ask the kernel."""
    proxied = getattr(value, "_delegates", ())  # of a class that this app has no name for
    return any(hasattr(type(one), attribute) for one in (value, *proxied))


def _example(kind: Any) -> str:
    if kind is Duration:
        return "Duration.seconds(30)"
    if isinstance(kind, str):
        return INTERFACES[kind][1]
    return f"{kind.__name__}{MADE_BY.get(kind.__name__, '')}(…)"


def _full_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__name__}"


def _name_of(value: Any) -> str:
    if hasattr(value, "_delegates"):
        return "resource that is imported"
    return type(value).__name__.strip("_").removesuffix("Proxy").removesuffix("Base")


def number(value: float | None) -> float | None:
    """Return a number; None for a token, and for none."""
    return None if value is None or value < _TOKEN_NUMBERS else value


def is_token(text: str) -> bool:
    """Whether only deployment knows the text, or a part of it."""
    return "${Token[" in text


@functools.cache
def in_seconds(duration: Duration | None) -> float | None:
    """Return a duration in seconds; None for a token, and for none."""
    if duration is None:
        return None
    if duration in _SECONDS:
        return number(_SECONDS[duration])
    try:
        return number(duration.to_seconds(integral=False))
    except RuntimeError:  # a token in another unit
        return None


def known_seconds(name: str, duration: Duration) -> float:
    """Return the argument ``name``, a duration, in seconds.

    Raises:
        ValueError: it is of another type, or only deployment knows it, so nothing can be checked.
    """
    expect(name, duration, Duration)
    found = in_seconds(duration)
    if found is None:
        raise ValueError(f"{name} is known at deployment only. Give a duration that is known here.")
    return found


@functools.cache
def seconds(count: float) -> Duration:
    """Return a duration of that many seconds; one object serves every construct."""
    made = Duration.seconds(count)
    _SECONDS[made] = count if count % 1 else int(count)
    return made


def stack_of(construct: IConstruct) -> Stack:
    """Return the stack of a construct, asked for once."""
    if isinstance(construct, Stack):
        return construct
    if construct not in _STACKS:
        _STACKS[construct] = Stack.of(construct)
    return _STACKS[construct]


def made_in(scope: IConstruct, *constructs: IConstruct) -> None:
    """Remember that constructs were made in ``scope``, so that nobody asks for their stack."""
    _STACKS.update(dict.fromkeys(constructs, stack_of(scope)))


@asked_once
def node_of(construct: IConstruct) -> Node:
    """Return the node of a construct, asked for once."""
    return construct.node


@asked_once
def path_of(construct: IConstruct) -> str:
    """Return the path of a construct, asked for once."""
    return node_of(construct).path


@asked_once
def child_of(construct: IConstruct) -> Any:
    """Return the resource that an L2 construct makes, asked for once; None of an imported one."""
    return node_of(construct).default_child


def role_of(function: Any) -> Any:
    """Return the role of a function, asked for once; None of one that is imported without."""
    if function not in _ROLES:
        _ROLES[function] = function.role
    return _ROLES[function]


def known_role(function: Any) -> Any:
    """Return the role of a function if it is known without asking; else None."""
    return _ROLES.get(function)


def remember_role(function: Any, role: Any) -> None:
    """Remember the role of a function that was made with it, so that nobody asks for it."""
    _ROLES[function] = role


@asked_once
def arn_of_queue(queue: Any) -> str:
    """Return the ARN of a queue, asked for once."""
    arn: str = queue.queue_arn
    return arn


def arn_in(stack: Stack, service: str, resource: str) -> str:
    """Return the ARN of a resource of a stack's place, as ``Stack.format_arn`` does."""
    partition, region = _partition_of(stack), _region_of(stack)
    return f"arn:{partition}:{service}:{region}:{account_of(stack)}:{resource}"


@asked_once
def _partition_of(stack: Stack) -> str:
    return stack.partition


@asked_once
def _region_of(stack: Stack) -> str:
    return stack.region


@asked_once
def account_of(stack: Stack) -> str:
    """Return the account of a stack, a token or not, asked for once."""
    return stack.account


@asked_once
def place_of(where: IResource | Stack) -> tuple[str | None, str | None]:
    """Return the account and Region of a resource or a stack, asked for once.

    None for each that only deployment knows.
    """
    if isinstance(where, Stack):
        account, region = account_of(where), _region_of(where)
    else:
        place = where.env
        account, region = place.account, place.region
    return None if is_token(account) else account, None if is_token(region) else region


def resource_behind(value: Any) -> Any:
    """Return the resource of this app that a reference refers to; None for anything else."""
    if not isinstance(value, str) or not is_token(value):
        return None
    token = Tokenization.reverse_string(value).first_token
    return token.target if isinstance(token, Reference) else None
