"""What loses events on a bus, beyond one rule: loops, failed functions, keys, unmatched events."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from aws_cdk import Annotations
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_

from ..checks import events as checks
from ..checks import patterns as pattern_checks
from ..checks import reject
from . import keys, places
from .alarms import Runbook
from .consumers import function_of
from .grants import allow_service, principal_of, service_principal
from .names import pattern_of_name
from .publishers import EVENTBRIDGE
from .queues import queue_for_failures
from .stacks import same_stack
from .values import Path, account_of, arn_in, path_of, role_of, stack_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_sqs as sqs
    from constructs import Construct, IConstruct

    from .routes import Routed

UNMATCHED = Runbook(
    means="Events arrived that no rule of the bus matches; each is stored in the unmatched queue.",
    see="Read the source and detail-type of a message in that queue: a misspelt type, a new one "
    "that nobody consumes yet, or a field that no pattern expects.",
    fix="Fix the publisher or add a rule. Then replay the archive to that rule alone, and delete "
    "the messages.",
    verify="The unmatched queue is empty, and stays empty while events are published.",
)
BUS_FAILED = Runbook(
    means="The bus could not encrypt or decrypt events; each is stored in the bus's dead-letter "
    "queue.",
    see="Read the ERROR_CODE and ERROR_MESSAGE attributes of a message there, and the state and "
    "policy of the bus's customer managed key.",
    fix="Enable the key or fix its policy. Then publish the bodies of the messages again, and "
    "delete the messages.",
    verify="The queue is empty, and stays empty while events are published.",
)
# Who is called by which rules; and where each bus forwards events, with the pattern.
_CALLED: WeakKeyDictionary[Construct, lambda_.IFunction] = WeakKeyDictionary()
_FORWARDS: WeakKeyDictionary[events.IEventBus, list[tuple[events.IEventBus, Mapping[str, Any]]]] = (
    WeakKeyDictionary()
)


@dataclass(frozen=True)
class Published:
    """Who may publish, and what of an event's source and type is known."""

    grantee: iam.IGrantable
    said: Mapping[str, Any]

    @property
    def pattern(self) -> Mapping[str, Any]:
        """What matches all that it may publish."""
        return {name: [one] if isinstance(one, str) else one for name, one in self.said.items()}


def check_bus(scope: Construct, bus: events.IEventBus) -> None:
    """Reject a bus of yours on which no rule can be made from here.

    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cross-account.html

    Raises:
        ValueError: it is of another account or Region, or its key encrypts nothing.
    """
    places.check_here(
        scope,
        Path(bus, "bus "),
        bus,
        "a rule is made in the place of its bus. Make this construct in a stack there.",
    )
    keys.check_key_of(bus)


def queue_of_bus(scope: Construct, name: str) -> sqs.Queue:
    """Make the queue for events that a bus cannot encrypt, with a key of its own: not with that.

    Source:
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-encryption-event-bus-dlq.html
    """
    queue = queue_for_failures(
        scope, "BusDeadLetterQueue", reason="Events of a bus whose key fails wait for a person."
    )
    allow = iam.PolicyStatement(
        principals=[service_principal(EVENTBRIDGE)],
        actions=["sqs:SendMessage"],
        resources=[queue.queue_arn],
        conditions={
            "ArnLike": {"aws:SourceArn": _arn_of_bus(scope, name)},
            "StringEquals": {"aws:SourceAccount": account_of(stack_of(scope))},
        },
    )
    allow_service(queue, EVENTBRIDGE, allow)
    return queue


def _arn_of_bus(scope: IConstruct, name: str) -> str:
    return arn_in(stack_of(scope), "events", f"event-bus/{name}")


def allow_bus(scope: Construct, key: kms.IKey, name: str) -> None:
    """Let EventBridge encrypt a bus and its archive; warn of a key whose policy is elsewhere.

    Both say for which bus they use the key in the encryption context.

    Sources:
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-encryption-event-bus-cmkey.html,
    https://docs.aws.amazon.com/eventbridge/latest/userguide/encryption-archives.html
    """
    arn = _arn_of_bus(key, name if same_stack(scope, key) else pattern_of_name(scope, ""))
    context = {"StringLike": {"kms:EncryptionContext:aws:events:event-bus:arn": arn}}
    uses = (["kms:Decrypt", "kms:GenerateDataKey", "kms:ReEncrypt*"], context)
    added = False
    for actions, conditions in (uses, (["kms:DescribeKey"], {})):
        statement = iam.PolicyStatement(
            principals=[service_principal(EVENTBRIDGE)],
            actions=actions,
            resources=["*"],
            conditions=conditions,
        )
        added = key.add_to_resource_policy(statement, True).statement_added
    if not added:
        Annotations.of(key).add_warning_v2(
            "serverless-patterns:imported-key-of-bus",
            "This key is imported, so its policy cannot be changed here: it must allow "
            "kms:Decrypt, kms:GenerateDataKey, kms:ReEncrypt* and kms:DescribeKey to "
            f"{EVENTBRIDGE}, or every event ends in the bus's dead-letter queue.",
        )


def warn_of_aws_source(route: Construct, routed: Routed) -> None:
    """Warn of a rule on a bus of its own that waits for events of AWS services.

    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event.html
    """
    sources = routed.pattern.get("source", ())
    if any(isinstance(one, str) and one.startswith("aws.") for one in sources):
        Annotations.of(route).add_warning_v2(
            "serverless-patterns:source-of-default-bus",
            "AWS services send their events to the default bus only, so this rule matches none, "
            "unless a rule there forwards them. Use bus=EventBus.from_event_bus_name(self, "
            "'Default', 'default').",
        )


def remember(route: Construct, function: lambda_.IFunction | None) -> None:
    """Remember whom a rule calls, at once or behind a queue."""
    if function is not None:
        _CALLED[route] = function_of(function)


def check_loop(route: Construct, routed: Routed, published: Published) -> None:
    """Reject a function that would be called for what it publishes itself; warn if it may be.

    Source:
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-patterns-best-practices.html

    Raises:
        ValueError: the rule that calls it matches what it is allowed to publish.
    """
    called = _CALLED.get(route)
    role: Any = principal_of(published.grantee)
    own = called and role_of(called)
    if called is None or own is None or path_of(role) != path_of(own):
        return
    if not pattern_checks.can_match_both(routed.pattern, published.pattern):
        return
    if published.said:
        raise ValueError(
            f"{Path(called)} may publish events of {json.dumps(published.said)}, and "
            f"{Path(route)} calls it for such events: it would call itself without end. Narrow the "
            "pattern, or give grant_put_events_to() the source and detail_types that it publishes."
        )
    Annotations.of(route).add_warning_v2(
        "serverless-patterns:may-call-itself",
        f"{called.node.path} is called by this rule and may publish anything to the same bus: if "
        "the rule matches that, it runs without end. Give grant_put_events_to() its source and "
        "detail_types.",
    )


def check_ends(routed: Routed, bus: events.IEventBus, target: events.IEventBus) -> None:
    """Reject buses that forward an event in a loop.

    Raises:
        ValueError: an event that the rules match would come back.
    """
    _FORWARDS.setdefault(bus, []).append((target, routed.pattern))
    for patterns in _ways(target, bus, [routed.pattern], frozenset()):
        if all(pattern_checks.can_match_both(patterns[0], other) for other in patterns[1:]):
            raise ValueError(checks.sends_to_its_own_bus(Path(routed.rule), Path(bus)))


def _ways(
    start: events.IEventBus,
    end: events.IEventBus,
    met: list[Mapping[str, Any]],
    passed: frozenset[str],
) -> Any:
    """Yield the patterns of the rules on each way from one bus to another."""
    for there, pattern in _FORWARDS.get(start, []):
        if path_of(there) == path_of(end):
            yield [*met, pattern]
        elif path_of(there) not in passed:
            yield from _ways(there, end, [*met, pattern], passed | {path_of(there)})


def unmatched(routes: Sequence[Routed]) -> Mapping[str, Any]:
    """Return the pattern of what none of these rules matches.

    Raises:
        ValueError: it would match nothing, or is too long for EventBridge.
    """
    without = "Add a source or a detail_type to its pattern, or use NewBus(catch_all=False)."
    pattern = pattern_checks.others([one.pattern for one in routes])
    if pattern is None:
        raise ValueError(
            f"{Path(routes[-1].rule)} matches every event, or compares only what has no opposite, "
            f"so that the catch-all rule would show nothing. {without}"
        )
    length = len(json.dumps(pattern, separators=(",", ":")))
    reject(checks.pattern_length("With this rule the catch-all pattern", length))
    return pattern
