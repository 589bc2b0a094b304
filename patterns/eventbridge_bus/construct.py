"""publisher → EventBridge bus → rules → targets;  rules ⇢ DLQ ⇢ alarm;  no rule ⇢ queue ⇢ alarm"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from constructs import Construct

from ..blocks import buses, keys, places
from ..blocks.alarms import Alarms
from ..blocks.buses import BUS_FAILED, UNMATCHED, Published
from ..blocks.consumers import Consumer
from ..blocks.failures import keep_failures
from ..blocks.grants import check_policy, grantee_here, warn_of_fixed
from ..blocks.names import name_known_before_creation
from ..blocks.queues import NewQueue, SqsToLambda, queue_for_failures
from ..blocks.routes import Delivery, Routed, kind_of, metric_of, route
from ..blocks.values import DAY, Path, child_of, expect, expect_fields, in_seconds, made_in
from ..checks import period

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_sqs as sqs

    from ..blocks.routes import Target

__all__ = ["Alarms", "Consumer", "Delivery", "EventBridgeBus", "NewBus", "NewQueue"]

DAYS_ARCHIVED = 30


@dataclass(frozen=True, kw_only=True)
class NewBus:
    """Settings of a new event bus.

    Attributes:
        archive: How long events are kept for a replay, in whole days. Default: 30 days.
        catch_all: Whether a rule keeps what no other rule matches in ``unmatched_queue``, with an
            alarm. Default: True.
        discover_schemas: Whether EventBridge writes the schemas of events to its registry, which
            is billed by the event. Default: False.
        encryption_key: Customer managed key of bus, archive and new queues. Default: keys that AWS
            owns.

    Raises:
        ValueError: an archive of less than a day, or schemas of encrypted events.
    """

    archive: Duration | None = None
    catch_all: bool = True
    discover_schemas: bool = False
    encryption_key: kms.IKey | None = None

    def __post_init__(self) -> None:
        """Reject what EventBridge rejects.

        Source:
        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-encryption-event-bus-cmkey.html
        """
        expect_fields(
            self,
            archive=(Duration, None),
            catch_all=(bool,),
            discover_schemas=(bool,),
            encryption_key=("IKey", None),
        )
        kept = in_seconds(self.archive)
        if kept is not None and (kept <= 0 or kept % DAY):
            raise ValueError(f"archive is {period(kept)}; it must be whole days, 1 or more.")
        if self.discover_schemas and self.encryption_key:
            raise ValueError(
                "discover_schemas and encryption_key were both given: EventBridge discovers no "
                "schemas on a bus with a customer managed key. Leave one out."
            )
        keys.check_key("encryption_key", self.encryption_key)


class _Route:
    """What every rule has besides its target."""

    routed: Routed

    @property
    def rule(self) -> events.Rule:
        """The rule."""
        return self.routed.rule

    @property
    def delivery_dead_letter_queue(self) -> sqs.IQueue:
        """What EventBridge could not deliver to the target."""
        return self.routed.dead_letter_queue

    def metric_failed_invocations(self, **options: Any) -> cloudwatch.Metric:
        """Deliveries that EventBridge gave up. ``options``: of the metric."""
        return metric_of(self.routed, "FailedInvocations", **options)

    def metric_matched_events(self, **options: Any) -> cloudwatch.Metric:
        """Events that the rule matched. ``options``: of the metric."""
        return metric_of(self.routed, "MatchedEvents", **options)

    def metric_undelivered(self, **options: Any) -> cloudwatch.Metric:
        """Events in ``delivery_dead_letter_queue``. ``options``: of the metric."""
        return self.delivery_dead_letter_queue.metric_approximate_number_of_messages_visible(
            **options
        )


class QueueRoute(SqsToLambda, _Route):
    """A rule that fills a queue, from which a consumer takes the events at its own pace."""


class Route(Construct, _Route):
    """A rule that sends to a function, a state machine, a bus or an API destination.

    Attributes:
        failure_queue: Lambda's records of events that a function failed; None for other targets,
            and for a function whose asynchronous invocation is configured elsewhere in the app.
        alarms: Every alarm of the rule.
    """

    failure_queue: sqs.IQueue | None = None
    alarms: list[cloudwatch.Alarm]


class EventBridgeBus(Construct):
    """Publish an event once; each rule takes those that match, and sends them to its target.

    Rules are added by ``add_queue()``, which puts a queue in front of a consumer, and
    ``add_target()``, for functions, state machines, other buses and API destinations. Each has one
    target, its own retries, dead-letter queue and alarms. What no rule matches is kept in
    ``unmatched_queue``. Delivery is at least once and unordered, so targets must be idempotent.

    Args:
        bus: Your own event bus, such as the account's default bus or that of a partner, or the
            settings of a new one. Yours gets no archive and no catch-all rule.
        alarms: What the alarms do.

    Attributes:
        bus: Where to publish.
        archive: What is kept for a replay; None for a bus of your own.
        unmatched_queue: What no rule has matched; None without the catch-all rule.
        unmatched: The catch-all rule; None without it.
        bus_dead_letter_queue: What EventBridge could not encrypt; None without a customer key.
        routes: The rules that were added, in that order.

    Raises:
        ValueError: a configuration that would fail or lose events; the message says what to
            change.
    """

    archive: events.CfnArchive | None = None
    unmatched: Route | None = None
    unmatched_queue: sqs.IQueue | None = None
    bus_dead_letter_queue: sqs.IQueue | None = None

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        bus: events.IEventBus | NewBus = NewBus(),
        alarms: Alarms = Alarms(),
    ) -> None:
        super().__init__(scope, construct_id)
        expect("bus", bus, NewBus, "IEventBus")
        expect("alarms", alarms, Alarms)
        self._alarms = alarms.of_pattern(__name__)
        self.routes: list[QueueRoute | Route] = []
        self._bus_alarms: list[cloudwatch.Alarm] = []
        self._published: list[Published] = []
        self._given: list[Any] = [bus]
        self._key = bus.encryption_key if isinstance(bus, NewBus) else None
        self._name = name_known_before_creation(self) if isinstance(bus, NewBus) else None
        if not isinstance(bus, NewBus):
            buses.check_bus(self, bus)
            self.bus = bus
            return
        self.bus = self._new_bus(bus)
        self.archive = self._archive(bus)
        if bus.discover_schemas:
            self._discover()
        if bus.catch_all:
            self._catch_all()

    def add_queue(
        self,
        construct_id: str,
        *,
        pattern: events.EventPattern,
        consumer: lambda_.IFunction | Consumer,
        queue: sqs.IQueue | NewQueue = NewQueue(),
        delivery: Delivery = Delivery(),
        alarms: Alarms | None = None,
    ) -> QueueRoute:
        """Add a rule whose events wait in a queue for a consumer, which takes them in batches.

        Args:
            construct_id: Its id below the bus.
            pattern: Which events.
            consumer: Function or alias that processes the messages, or with its settings.
            queue: Your own standard queue, or the settings of a new one.
            delivery: In what form, and how often attempted.
            alarms: What its alarms do, and when they go off. Default: as the bus's.

        Raises:
            ValueError: a configuration that would fail or lose events; the message says what to
                change.
        """
        expect("queue", queue, NewQueue, "IQueue")
        consumer, alarms = Consumer.of(consumer), self._alarms_of(alarms)
        if isinstance(queue, NewQueue) and queue.encryption_key is None:
            queue = replace(queue, encryption_key=self._key)
        one = QueueRoute(self, construct_id, consumer=consumer, queue=queue, alarms=alarms)
        one.routed = self._route(one, pattern, one.queue, delivery, alarms)
        one.alarms += one.routed.alarms
        self._added(one, consumer.function)
        self._given += [consumer, queue]
        return one

    def add_target(
        self,
        construct_id: str,
        *,
        pattern: events.EventPattern,
        target: Target,
        delivery: Delivery = Delivery(),
        alarms: Alarms | None = None,
    ) -> Route:
        """Add a rule that sends its events straight to a target.

        EventBridge is done when a target has taken an event. Lambda then runs a function up to
        three times, and records what still fails in ``failure_queue``; an execution of a state
        machine that fails is the state machine's to watch.

        Args:
            construct_id: Its id below the bus.
            pattern: Which events.
            target: Function, state machine, API destination, queue that somebody else consumes,
                or event bus, which may be of another account or Region.
            delivery: In what form, and how often attempted.
            alarms: What its alarms do. Default: as the bus's.

        Raises:
            ValueError: a configuration that would fail or lose events; the message says what to
                change.
        """
        kind, alarms = kind_of(target), self._alarms_of(alarms)
        its: Any = target
        one = Route(self, construct_id)
        one.routed = self._route(one, pattern, target, delivery, alarms)
        one.alarms = [*one.routed.alarms]
        function = its if kind == "function_arn" else None
        if function is not None:
            one.failure_queue, on_failures = keep_failures(one, function, self._key, alarms)
            one.alarms += on_failures
        if kind == "event_bus_arn":
            buses.check_ends(one.routed, self.bus, its)
        self._added(one, function)
        self._given.append(target)
        return one

    @property
    def alarms(self) -> list[cloudwatch.Alarm]:
        """Every alarm of the pattern, the rules' included."""
        return self._bus_alarms + [alarm for one in self.routes for alarm in one.alarms]

    def grant_put_events_to(
        self,
        grantee: iam.IGrantable,
        *,
        source: str | None = None,
        detail_types: Sequence[str] = (),
    ) -> iam.Grant:
        """Let ``grantee`` publish: events of this source and these types only, if they are given.

        Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-conditions.html

        Args:
            grantee: A role, a user or a function of this account.
            source: The one source that it may name. Default: any.
            detail_types: The types that it may name. Default: any.

        Raises:
            ValueError: nobody here to attach a policy to, or a target that would publish what its
                own rule matches.
        """
        expect("source", source, str, None)
        expect("detail_types", detail_types, list, tuple)
        check_policy(self, grantee, f"events:PutEvents on {Path(self.bus)}")
        given: Mapping[str, Any] = {"source": source, "detail-type": [*detail_types]}
        said = {name: value for name, value in given.items() if value}
        self._published.append(Published(grantee, said))
        self._check_loops()
        to = grantee_here(self, grantee, self._given)
        conditions = {"StringEquals": {f"events:{name}": value for name, value in said.items()}}
        grant = iam.Grant.add_to_principal(
            grantee=to,
            actions=["events:PutEvents"],
            resource_arns=[self.bus.event_bus_arn],
            conditions=conditions if said else None,
        )
        warn_of_fixed(to, Path(self.bus, "events:PutEvents on "))
        return grant

    def metric_unmatched(self, **options: Any) -> cloudwatch.Metric:
        """Events in ``unmatched_queue``. ``options``: of the metric.

        Raises:
            ValueError: there is no catch-all rule.
        """
        if self.unmatched_queue is None:
            raise ValueError(
                "The bus has no catch-all rule, so what no rule matches is not known. Use a new "
                "bus with NewBus(catch_all=True)."
            )
        return self.unmatched_queue.metric_approximate_number_of_messages_visible(**options)

    def _route(
        self, one: Construct, pattern: Any, target: Any, delivery: Delivery, alarms: Alarms
    ) -> Routed:
        made_in(self, one)
        return route(
            one,
            self.bus,
            pattern,
            target,
            delivery=delivery,
            encryption_key=self._key,
            alarms=alarms,
            bus_name=self._name,
        )

    def _alarms_of(self, alarms: Alarms | None) -> Alarms:
        expect("alarms", alarms, Alarms, None)
        alarms = alarms or self._alarms
        return replace(alarms, runbook_url=alarms.runbook_url or self._alarms.runbook_url)

    def _added(self, one: QueueRoute | Route, function: lambda_.IFunction | None) -> None:
        self.routes.append(one)
        buses.remember(one, function)
        if self.archive is not None:
            buses.warn_of_aws_source(one, one.routed)
        self._check_loops()
        if self.unmatched is not None:
            self._narrow(self.unmatched.rule)

    def _check_loops(self) -> None:
        for published in self._published:
            for one in self.routes:
                buses.check_loop(one, one.routed, published)

    # What a new bus has

    def _new_bus(self, new: NewBus) -> events.EventBus:
        key = new.encryption_key
        places.check_key_here(self, key)
        kept = buses.queue_of_bus(self, str(self._name)) if key else None
        bus = events.EventBus(self, "Bus", event_bus_name=self._name, dead_letter_queue=kept)
        if key and kept:
            resource: Any = child_of(bus)
            resource.kms_key_identifier = key.key_arn
            bus.node.add_dependency(kept)
            buses.allow_bus(self, key, str(self._name))
            alarm = self._alarms.on_messages(self, "BusDeadLetterAlarm", kept, BUS_FAILED)
            self._bus_alarms.append(alarm)
        self.bus_dead_letter_queue = kept
        return bus

    def _archive(self, new: NewBus) -> events.CfnArchive:
        key = new.encryption_key
        return events.CfnArchive(
            self,
            "Archive",
            source_arn=self.bus.event_bus_arn,
            retention_days=new.archive.to_days() if new.archive else DAYS_ARCHIVED,
            kms_key_identifier=key.key_arn if key else None,
        )

    def _discover(self) -> None:
        from aws_cdk import aws_eventschemas as schemas  # few buses have it

        schemas.CfnDiscoverer(
            self, "Discoverer", source_arn=self.bus.event_bus_arn, cross_account=False
        )

    def _catch_all(self) -> None:
        self.unmatched = Route(self, "Unmatched")
        self.unmatched_queue = queue_for_failures(
            self.unmatched,
            "UnmatchedQueue",
            reason="Events that no rule matches wait here for a person.",
            encryption_key=self._key,
        )
        everything = events.EventPattern(source=events.Match.prefix(""))
        self.unmatched.routed = self._route(
            self.unmatched, everything, self.unmatched_queue, Delivery(), self._alarms
        )
        alarm = self._alarms.on_messages(
            self.unmatched, "UnmatchedAlarm", self.unmatched_queue, UNMATCHED
        )
        self.unmatched.alarms = [*self.unmatched.routed.alarms, alarm]
        self._bus_alarms += self.unmatched.alarms

    def _narrow(self, catch_all: events.Rule) -> None:
        """Let the catch-all rule match what the rules that there are do not."""
        pattern = buses.unmatched([one.routed for one in self.routes])
        resource: Any = child_of(catch_all)
        resource.event_pattern = pattern
