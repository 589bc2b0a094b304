"""How the contract suites make the construct: for a function, and for a process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import Duration
from aws_cdk import aws_iam as iam

from serverless_patterns.patterns.request_reply.construct import NewQueue, RequestReply, Sweep
from tests.contracts.builds import Build
from tests.inline import function

if TYPE_CHECKING:
    from aws_cdk import Stack

PATIENT = Duration.minutes(20)  # whatever the timeout of a function that a suite gives


def make(
    stack: Stack,
    construct_id: str = "Pattern",
    /,
    *,
    key: Any = None,
    consumer: Any = None,
    **given: Any,
) -> RequestReply:
    """Make one whose responder, sweep and requester have their permissions."""
    if key is not None:
        given["queue"] = NewQueue(encryption_key=key)
    responder = consumer or function(stack, f"{construct_id}Responder")
    patient = getattr(given.get("queue"), "retention_period", None) or PATIENT
    made = _make(stack, construct_id, **{"timeout": patient, "responder": responder} | given)
    if consumer is None:
        made.grant_request(role(stack, f"{construct_id}RequesterRole"))
    if consumer is None and "queue" not in given:
        responder.add_environment("ANSWERS_URL", made.responder_environment["ANSWERS_URL"])
        made.grant_respond(responder)
    return made


def make_for_a_process(stack: Stack, construct_id: str = "Pattern", /, **given: Any) -> Any:
    """Make one whose responder is a process."""
    if key := given.pop("key", None):
        given["queue"] = NewQueue(encryption_key=key)
    made = _make(stack, construct_id, responder=None, **given)
    made.grant_respond(role(stack, f"{construct_id}ResponderRole"))
    made.grant_request(role(stack, f"{construct_id}RequesterRole"))
    return made


def _make(stack: Stack, construct_id: str, **given: Any) -> RequestReply:
    handler = "lambdas.request_reply.sweep.handler"
    sweep: Any = given.get("sweep") or Sweep(
        function(stack, f"{construct_id}Sweep", handler=handler)
    )
    settings: dict[str, Any] = {"sweep": sweep, **given}
    made = RequestReply(stack, construct_id, **settings)
    for name, value in made.sweep_environment.items():
        sweep.function.add_environment(name, value)
    made.grant_sweep(sweep.function)
    return made


def role(stack: Stack, construct_id: str) -> iam.Role:
    return iam.Role(stack, construct_id, assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"))


BUILDS = [
    Build("request_reply", make, frozenset({"queue", "consumer", "alarms", "key"})),
    Build("request_reply process", make_for_a_process, frozenset({"alarms", "key"})),
]
