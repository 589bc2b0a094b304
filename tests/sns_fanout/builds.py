"""How the contract suites make the construct and a subscriber."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serverless_patterns.patterns.sns_fanout.construct import (
    Alarms,
    Alerts,
    NewTopic,
    SnsFanout,
)
from tests.contracts.builds import Build
from tests.inline import function

if TYPE_CHECKING:
    from aws_cdk import Stack

    from serverless_patterns.patterns.blocks.topic_subscribers import (
        ArchiveSubscriber,
        EndpointSubscriber,
        FunctionSubscriber,
    )
    from serverless_patterns.patterns.blocks.topics import QueueSubscriber

URL = "https://partner.example.com/orders"


def make(stack: Stack, construct_id: str = "Fanout", *, key: Any = None, **given: Any) -> SnsFanout:
    if key is not None:
        given["topic"] = NewTopic(encryption_key=key)
    fanout = SnsFanout(stack, construct_id, **given)
    fanout.add_queue("Subscriber", consumer=function(stack, f"{construct_id}Consumer"))
    return fanout


def make_subscriber(
    stack: Stack,
    construct_id: str = "Fanout",
    *,
    alarms: Alarms = Alarms(),  # noqa: B008 - frozen
    consumer: Any = None,
    **settings: Any,
) -> QueueSubscriber:
    fanout = SnsFanout(stack, construct_id, alarms=alarms)
    consumer = consumer or function(stack, f"{construct_id}Consumer")
    return fanout.add_queue("Subscriber", consumer=consumer, **settings)


def _fanout(stack: Stack, construct_id: str, settings: dict[str, Any]) -> SnsFanout:
    return SnsFanout(stack, construct_id, alarms=settings.get("alarms", Alarms()))


def make_function(
    stack: Stack, construct_id: str = "Fanout", **settings: Any
) -> FunctionSubscriber:
    called = function(stack, f"{construct_id}Function")
    fanout = _fanout(stack, construct_id, settings)
    return fanout.add_function("Subscriber", function=called, **settings)


def make_archive(stack: Stack, construct_id: str = "Fanout", **settings: Any) -> ArchiveSubscriber:
    return _fanout(stack, construct_id, settings).add_archive("Subscriber", **settings)


def make_endpoint(
    stack: Stack, construct_id: str = "Fanout", **settings: Any
) -> EndpointSubscriber:
    fanout = _fanout(stack, construct_id, settings)
    return fanout.add_endpoint("Subscriber", url=URL, **settings)


def make_alerts(stack: Stack, construct_id: str = "Alerts") -> Alerts:
    texts: dict[str, Any] = {"phone_numbers": ["+491701234567"], "monthly_sms_budget": 10}
    texts = {} if stack.region.startswith("cn-") else texts  # China has none
    alerts = Alerts(stack, construct_id, emails=["on-call@example.com"], **texts)
    alerts.on_scaling("Scaled", auto_scaling_group_name="workers")
    return alerts


BUILDS = [
    Build("sns_fanout", make, frozenset({"topic", "alarms"})),
    Build("sns_fanout subscriber", make_subscriber, frozenset({"queue", "consumer", "alarms"})),
    Build("sns_fanout function", make_function, frozenset({"alarms"})),
    Build("sns_fanout archive", make_archive, frozenset({"alarms"})),
    Build("sns_fanout endpoint", make_endpoint, frozenset({"alarms"})),
    Build("sns_fanout alerts", make_alerts),
]
