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
ROLES = {"front": "environment", "relay": "relay_environment", "consumer": "report_environment"}


def functions(stack: Stack, name: str, *modules: str, given: Any = ()) -> dict[str, Any]:
    """Make a function for each role that none is given for."""
    each = [(role, one) for role, one in zip(ROLES, modules, strict=True) if role not in given]
    return {
        role: function(stack, f"{name}{role.title()}", handler=f"{HANDLERS}.{module}.handler")
        for role, module in each
    }


def with_variables(made: Any, functions: dict[str, Any]) -> Any:
    for role, its in functions.items():
        for variable, value in getattr(made, ROLES[role]).items():
            its.add_environment(variable, value)
    return made


def make(stack: Stack, name: str = "Pattern", /, *, key: Any = None, **settings: Any) -> Any:
    own = functions(stack, name, "customer", "relay", "sales", given=settings)
    if key is not None:
        relay = StreamConsumer(function=own["relay"], encryption_key=key)
        settings |= {"relay": relay, "table": TableSettings(encryption_key=key)}
        settings["queue"] = NewQueue(encryption_key=key)
    return with_variables(DecoupledMessaging(stack, name, **{**own, **settings}), own)


def make_on_aurora(stack: Stack, name: str = "Pattern", /, **settings: Any) -> Any:
    own = functions(stack, name, "customer_aurora", "relay_aurora", "sales", given=settings)
    return with_variables(DecoupledMessagingOnAurora(stack, name, **own, **settings), own)


BUILDS = [
    Build("decoupled_messaging", make, frozenset({"alarms", "queue"})),
    Build("decoupled_messaging aurora", make_on_aurora, frozenset({"alarms"})),
]
