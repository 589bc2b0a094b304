"""How the contract suites make the constructs: with DynamoDB, and with Aurora."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serverless_patterns.patterns.blocks.queues import NewQueue
from serverless_patterns.patterns.decoupled_messaging.aurora import DecoupledMessagingOnAurora
from serverless_patterns.patterns.decoupled_messaging.construct import (
    DecoupledMessaging,
    StreamConsumer,
    TableSettings,
)
from tests.contracts.builds import Build
from tests.inline import function

if TYPE_CHECKING:
    from aws_cdk import Stack

HANDLERS = "lambdas.decoupled_messaging"


def functions(stack: Stack, name: str, given: dict[str, Any], suffix: str = "") -> dict[str, Any]:
    modules = {"front": f"customer{suffix}", "relay": f"relay{suffix}", "consumer": "sales"}
    return {
        role: function(stack, f"{name}{role.title()}", handler=f"{HANDLERS}.{module}.handler")
        for role, module in modules.items()
        if role not in given
    }


def with_variables(made: Any, functions: dict[str, Any]) -> None:
    names = {"front": "environment", "relay": "relay_environment", "consumer": "report_environment"}
    for role, its in functions.items():
        for variable, value in getattr(made, names[role]).items():
            its.add_environment(variable, value)


def make(
    stack: Stack, name: str = "Pattern", /, *, key: Any = None, **settings: Any
) -> DecoupledMessaging:
    own = functions(stack, name, settings)
    if key is not None:
        settings |= {
            "table": TableSettings(encryption_key=key),
            "queue": NewQueue(encryption_key=key),
            "relay": StreamConsumer(function=own["relay"], encryption_key=key),
        }
    made = DecoupledMessaging(stack, name, **{**own, **settings})
    with_variables(made, own)
    return made


def make_on_aurora(
    stack: Stack, name: str = "Pattern", /, **settings: Any
) -> DecoupledMessagingOnAurora:
    own = functions(stack, name, settings, "_aurora")
    made = DecoupledMessagingOnAurora(stack, name, **own, **settings)
    with_variables(made, own)
    return made


BUILDS = [
    Build("decoupled_messaging", make, frozenset({"alarms", "queue"})),
    Build("decoupled_messaging aurora", make_on_aurora, frozenset({"alarms"})),
]
