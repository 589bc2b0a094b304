"""The promises of the construct beyond those of every queue, consumer and alarm."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_cdk import App, Duration, Environment, NestedStack, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Template

from serverless_patterns.patterns.eventbridge_bus.construct import (
    Delivery,
    EventBridgeBus,
    NewBus,
)
from tests.inline import function, granted, only, properties, rejected, warned

from .builds import PLACED, TARGETS, every_target, make, make_encrypted

PAID = events.EventPattern(source=["shop.bank"], detail_type=["Paid"])
ACCOUNT = "111111111111"
HERE = Environment(account=ACCOUNT, region="eu-west-1")


def rule_to(stack: Stack, part: str) -> dict[str, Any]:
    """The rule whose target's ARN has this part."""
    found = [
        rule for rule in properties(stack, "Events::Rule") if part in json.dumps(rule["Targets"])
    ]
    (rule,) = found
    return rule


def test_every_kind_of_target_gets_its_permission_before_its_rule(stack: Stack) -> None:
    every_target(stack, EventBridgeBus(stack, "Bus", bus=NewBus(catch_all=False)))
    template = Template.from_stack(stack)
    types = {name: one["Type"].rsplit("::", 1)[1] for name, one in of_all(template).items()}
    rules = template.find_resources("AWS::Events::Rule")
    waits_for = {
        kind: {
            types[w] for name in rules if f"Bus{kind}Rule" in name for w in rules[name]["DependsOn"]
        }
        for kind in TARGETS
    }
    for kind, (action, _) in TARGETS.items():
        by_role = {one for one, _ in granted(template, f"Bus{kind}Role")}
        assert by_role == ({action} if action.startswith(("events", "states")) else set())
        assert {"QueuePolicy", *(("Role", "Policy") if by_role else ())} <= waits_for[kind]
    assert waits_for["ToFunction"] == {"Permission", "QueuePolicy"}
    permission = only(template, "AWS::Lambda::Permission")
    assert ":rule/" in json.dumps(permission["SourceArn"])
    assert permission["SourceAccount"] == {"Ref": "AWS::AccountId"}


def of_all(template: Template) -> dict[str, Any]:
    found: dict[str, Any] = template.to_json()["Resources"]
    return found


def test_a_rule_retries_for_a_day_and_keeps_what_it_cannot_deliver(stack: Stack) -> None:
    routes = every_target(stack, make(stack))
    found = properties(stack, "Events::Rule")
    assert len(found) == len(TARGETS) + 3
    for rule in found:
        (target,) = rule["Targets"]
        assert target["RetryPolicy"] == {
            "MaximumRetryAttempts": 185,
            "MaximumEventAgeInSeconds": 86_400,
        }
        assert "DeadLetterConfig" in target
    assert not any(route.delivery_dead_letter_queue.fifo for route in routes.values())


def test_a_delivery_has_the_form_and_the_retries_that_it_is_given(stack: Stack) -> None:
    kept = sqs.Queue(stack, "Kept")
    field = events.EventField.from_path("$.detail.id")
    given = Delivery(
        input=events.RuleTargetInput.from_object({"order": field}),
        retry_attempts=3,
        max_event_age=Duration.minutes(5),
        dead_letter_queue=kept,
    )
    bus = EventBridgeBus(stack, "Bus", bus=NewBus(catch_all=False))
    route = bus.add_target("To", pattern=PLACED, target=function(stack), delivery=given)
    assert route.delivery_dead_letter_queue is kept
    (target,) = only(Template.from_stack(stack), "AWS::Events::Rule")["Targets"]
    retries = {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 300}
    assert target["RetryPolicy"] == retries
    assert target["InputTransformer"]["InputTemplate"] == '{"order":<detail-id>}'
    assert target["DeadLetterConfig"]["Arn"] == stack.resolve(kept.queue_arn)


def test_what_a_function_fails_is_kept_too(stack: Stack) -> None:
    bus, called = EventBridgeBus(stack, "Bus"), function(stack)
    first = bus.add_target("First", pattern=PLACED, target=called)
    second = bus.add_target("Second", pattern=PAID, target=called)
    config = only(Template.from_stack(stack), "AWS::Lambda::EventInvokeConfig")
    assert first.failure_queue
    assert second.failure_queue is None
    assert config["DestinationConfig"]["OnFailure"]["Destination"] == stack.resolve(
        first.failure_queue.queue_arn
    )


def test_alarms_watch_each_rule_on_its_bus(stack: Stack) -> None:
    bus = make(stack)
    alarms = [a for a in properties(stack, "CloudWatch::Alarm") if a["Namespace"] == "AWS/Events"]
    watched = {
        (alarm["MetricName"], json.dumps(alarm["Dimensions"], sort_keys=True)) for alarm in alarms
    }
    assert len(watched) == len(alarms) == 4 * 3  # the catch-all rule, too
    for alarm in alarms:
        assert [one["Name"] for one in alarm["Dimensions"]] == ["EventBusName", "RuleName"]
    rule = stack.resolve(bus.routes[0].metric_failed_invocations().dimensions)["RuleName"]
    assert rule == rule_to(stack, "BusCalled")["Name"]


def test_a_rule_of_the_default_bus_is_watched_by_its_name_alone(stack: Stack) -> None:
    default = events.EventBus.from_event_bus_name(stack, "Default", "default")
    bus = EventBridgeBus(stack, "Bus", bus=default)
    bus.add_target("To", pattern=PLACED, target=function(stack))
    assert (bus.archive, bus.unmatched_queue) == (None, None)
    for alarm in properties(stack, "CloudWatch::Alarm"):
        if alarm["Namespace"] == "AWS/Events":
            assert [one["Name"] for one in alarm["Dimensions"]] == ["RuleName"]
    permission = only(Template.from_stack(stack), "AWS::Lambda::Permission")
    assert ":rule/" in json.dumps(permission["SourceArn"])
    assert "default" not in json.dumps(permission["SourceArn"])
    with rejected("no catch-all rule"):
        bus.metric_unmatched()


# What no rule matches


def test_the_catch_all_follows_the_rules(stack: Stack) -> None:
    bus = EventBridgeBus(stack, "Bus")
    assert bus.unmatched
    assert bus.unmatched.routed.pattern == {"source": [{"prefix": ""}]}
    bus.add_target("Paid", pattern=PAID, target=function(stack))
    bus.add_queue("Placed", pattern=PLACED, consumer=function(stack, "Other"))
    pattern = rule_to(stack, "UnmatchedQueue")["EventPattern"]
    assert {"source": [{"anything-but": ["shop.bank", "shop.orders"]}]} in pattern["$or"]
    assert {"detail-type": [{"anything-but": ["OrderPlaced", "Paid"]}]} in pattern["$or"]
    assert len(pattern["$or"]) == 4


def test_a_rule_that_leaves_nothing_for_the_catch_all_is_rejected(stack: Stack) -> None:
    every = events.EventPattern(source=events.Match.prefix(""))
    ranges = events.EventPattern(detail={"total": events.Match.greater_than(5)})
    long = events.EventPattern(source=["a" * 60 + str(number) for number in range(40)])
    for number, pattern in enumerate((ranges, long, every)):
        bus = EventBridgeBus(stack, f"Bus{number}")
        with rejected("nothing|characters" if pattern is not every else None):
            bus.add_target("To", pattern=pattern, target=function(stack, f"F{number}"))


# What would lose events


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"retry_attempts": 186}, "retry_attempts is 186; it must be 0 to 185"),
        ({"retry_attempts": -1}, "it must be 0 to 185"),
        ({"max_event_age": Duration.seconds(59)}, "max_event_age is 59 s; it must be 60 s to"),
        ({"max_event_age": Duration.hours(25)}, "it must be 60 s to 1 day"),
        ({"input": "$.detail"}, "must be of type RuleTargetInput"),
    ],
    ids=["many", "negative", "young", "old", "form"],
)
def test_retries_that_eventbridge_does_not_make_are_rejected(
    settings: dict[str, Any], problem: str
) -> None:
    with rejected(problem):
        Delivery(**settings)


def test_an_archive_of_less_than_a_day_is_rejected_and_schemas_of_encrypted_events(
    stack: Stack,
) -> None:
    for wrong in (Duration.hours(36), Duration.days(0)):
        with rejected("archive is .*; it must be whole days"):
            NewBus(archive=wrong)
    with rejected("discovers no schemas"):
        NewBus(discover_schemas=True, encryption_key=kms.Key(stack, "Key"))


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ({}, "is empty"),
        ({"source": []}, "source: the list is empty"),
        ({"detail": {"kind": "paid"}}, "detail.kind is paid, which must be in a list"),
        ({"detail": {"n": [{"numeric": [">", 3, "<", 1]}]}}, "detail.n: no number is > 3 < 1"),
        ({"source": ["s" * 2_100]}, "has 2,115 characters; EventBridge takes 2,048"),
    ],
)
def test_a_pattern_that_nothing_matches_is_rejected(
    stack: Stack, pattern: dict[str, Any], problem: str
) -> None:
    bus, called = EventBridgeBus(stack, "Bus", bus=NewBus(catch_all=False)), function(stack)
    with rejected(problem):
        bus.add_target("To", pattern=events.EventPattern(**pattern), target=called)


def test_a_rule_for_aws_services_on_a_new_bus_is_warned_of(stack: Stack) -> None:
    pattern = events.EventPattern(source=["aws.s3"])
    EventBridgeBus(stack, "Bus").add_target("To", pattern=pattern, target=function(stack))
    warned(stack, "to the default bus only, so this rule matches none", "/Stack/Bus/To")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"fifo": True}, "has a FIFO dead-letter queue, which EventBridge does not"),
        ({"encryption": sqs.QueueEncryption.KMS_MANAGED}, "alias/aws/sqs, an AWS managed key"),
    ],
)
def test_a_dead_letter_queue_that_would_lose_events_is_rejected(
    stack: Stack, settings: dict[str, Any], problem: str
) -> None:
    given = Delivery(dead_letter_queue=sqs.Queue(stack, "Kept", **settings))
    with rejected(problem):
        EventBridgeBus(stack, "Bus").add_target(
            "To", pattern=PLACED, target=function(stack), delivery=given
        )


def test_a_target_that_would_lose_events_is_rejected(stack: Stack) -> None:
    bus, queue = EventBridgeBus(stack, "Bus"), sqs.Queue(stack, "Own")
    never = function(stack, "Never", reserved_concurrent_executions=0)
    fifo = sqs.Queue(stack, "Fifo", fifo=True)
    arn = "arn:aws:lambda:us-east-1:111111111111:function:theirs"
    unknown = lambda_.Function.from_function_arn(stack, "Theirs", arn)
    for number, (target, problem) in enumerate(
        {
            fifo: "is a FIFO queue, but EventBridge delivers in no order",
            never: "reserves 0|no event would be processed",
            unknown: "without its role",
            queue: "is the target itself",
            stack: "it must be a queue, function, state machine, event bus",
        }.items()
    ):
        delivery = Delivery(dead_letter_queue=queue if target is queue else None)
        any_target: Any = target
        with rejected(problem):
            bus.add_target(f"To{number}", pattern=PLACED, target=any_target, delivery=delivery)


# Loops


def test_a_rule_that_sends_to_its_own_bus_is_rejected(stack: Stack) -> None:
    bus = EventBridgeBus(stack, "Bus")
    with rejected("sends events to Stack/Bus/Bus, from which it takes them"):
        bus.add_target("To", pattern=PLACED, target=bus.bus)


@pytest.mark.parametrize(("back", "loops"), [(PLACED, True), (PAID, False)])
def test_buses_that_forward_an_event_in_a_circle_are_rejected(
    stack: Stack, back: events.EventPattern, loops: bool
) -> None:
    one, two, three = (EventBridgeBus(stack, f"Bus{number}") for number in range(3))
    one.add_target("To", pattern=PLACED, target=two.bus)
    two.add_target("To", pattern=PLACED, target=three.bus)
    with rejected("without end" if loops else None):
        three.add_target("To", pattern=back, target=one.bus)


@pytest.mark.parametrize("first", ["grant", "rule"])
@pytest.mark.parametrize(("kind", "loops"), [("OrderPlaced", True), ("OrderStored", False)])
def test_a_function_that_would_call_itself_is_rejected(
    stack: Stack, first: str, kind: str, loops: bool
) -> None:
    bus, both = EventBridgeBus(stack, "Bus"), function(stack)

    def grant() -> None:
        bus.grant_put_events_to(both, source="shop.orders", detail_types=[kind])

    def rule() -> None:
        bus.add_queue("To", pattern=PLACED, consumer=both)

    steps = (grant, rule) if first == "grant" else (rule, grant)
    steps[0]()
    with rejected("it would call itself without end" if loops else None):
        steps[1]()
    Template.from_stack(stack)  # nothing depends in a circle


def test_a_function_that_may_publish_anything_to_its_own_bus_is_warned_of(stack: Stack) -> None:
    bus, both = EventBridgeBus(stack, "Bus"), function(stack)
    bus.add_target("To", pattern=PLACED, target=both)
    bus.grant_put_events_to(both)
    warned(stack, "may publish anything to the same bus", "/Stack/Bus/To")


# Who may publish


def test_a_publisher_may_publish_its_own_events_only(stack: Stack) -> None:
    bus, role = (
        EventBridgeBus(stack, "Bus"),
        iam.Role(stack, "Role", assumed_by=iam.AccountRootPrincipal()),
    )
    bus.grant_put_events_to(role, source="shop.orders", detail_types=["OrderPlaced"])
    policy = only(Template.from_stack(stack), "AWS::IAM::Policy")
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Action"] == "events:PutEvents"
    assert statement["Resource"] == stack.resolve(bus.bus.event_bus_arn)
    said = {"events:source": "shop.orders", "events:detail-type": ["OrderPlaced"]}
    assert statement["Condition"]["StringEquals"] == said


def test_nobody_without_a_policy_here_is_granted(stack: Stack) -> None:
    with rejected("no policy here that could allow events:PutEvents"):
        EventBridgeBus(stack, "Bus").grant_put_events_to(iam.AccountPrincipal("2" * 12))


# A new bus


def test_events_are_archived_for_thirty_days(stack: Stack) -> None:
    assert make(stack).archive
    archive = only(Template.from_stack(stack), "AWS::Events::Archive")
    assert archive["RetentionDays"] == 30
    assert "EventPattern" not in archive


def test_the_archive_and_the_rules_are_of_one_bus_so_that_a_replay_can_name_one_rule(
    stack: Stack,
) -> None:
    """``StartReplay`` takes the archive's own bus and rules of that bus only."""
    bus = make(stack)
    bus.add_target("More", pattern=PLACED, target=function(stack, "More"))
    template, name = Template.from_stack(stack), stack.resolve(bus.bus.event_bus_name)
    archive = only(template, "AWS::Events::Archive")
    assert archive["SourceArn"] == stack.resolve(bus.bus.event_bus_arn)
    rules = template.find_resources("AWS::Events::Rule").values()
    assert len(rules) > 1
    assert all(rule["Properties"]["EventBusName"] == name for rule in rules)


def test_a_customer_key_encrypts_bus_archive_and_queues_but_not_those_for_its_own_failure(
    stack: Stack,
) -> None:
    bus = make_encrypted(stack)
    template = Template.from_stack(stack)
    ((key_id, _),) = template.find_resources("AWS::KMS::Key").items()
    key = {"Fn::GetAtt": [key_id, "Arn"]}
    assert only(template, "AWS::Events::EventBus")["KmsKeyIdentifier"] == key
    assert only(template, "AWS::Events::Archive")["KmsKeyIdentifier"] == key
    plain = template.find_resources(
        "AWS::SQS::Queue", {"Properties": {"SqsManagedSseEnabled": True}}
    )
    assert bus.bus_dead_letter_queue
    assert len(plain) == 1
    assert next(iter(plain)) in json.dumps(stack.resolve(bus.bus_dead_letter_queue.queue_arn))


def test_an_imported_key_is_asked_for_what_eventbridge_needs(stack: Stack) -> None:
    key = kms.Key.from_key_arn(stack, "Theirs", "arn:aws:kms:us-east-1:111111111111:key/k")
    make(stack, bus=NewBus(encryption_key=key))
    warned(stack, r"kms:ReEncrypt\* and kms:DescribeKey to events.amazonaws.com")


@pytest.mark.parametrize("asked", [False, True])
def test_schemas_are_discovered_only_on_request(stack: Stack, asked: bool) -> None:
    make(stack, bus=NewBus(discover_schemas=asked))
    assert len(properties(stack, "EventSchemas::Discoverer")) == asked


# Other stacks, accounts and Regions


def test_a_bus_of_another_account_or_region_takes_no_rule_but_events() -> None:
    stack = Stack(App(), "Stack", env=HERE)
    for number, place in enumerate(("us-east-1:111111111111", "eu-west-1:222222222222")):
        arn = f"arn:aws:events:{place}:event-bus/theirs"
        theirs = events.EventBus.from_event_bus_arn(stack, f"Theirs{number}", arn)
        with rejected(r"bus Stack/Theirs\d is in (account 2+|Region us-east-1), but a rule"):
            EventBridgeBus(stack, f"Bus{number}", bus=theirs)
        bus = EventBridgeBus(stack, f"Own{number}")
        bus.add_target("To", pattern=PLACED, target=theirs)
        warned(stack, "its policy must allow events:PutEvents", f"/Stack/Theirs{number}")


def test_a_function_of_another_region_is_rejected() -> None:
    app = App()
    stack = Stack(app, "Stack", env=HERE)
    there = Stack(app, "There", env=Environment(account=ACCOUNT, region="us-east-1"))
    with rejected("There/Consumer is in Region us-east-1, but a rule does not reach it there"):
        EventBridgeBus(stack, "Bus").add_target("To", pattern=PLACED, target=function(there))


def owned_there(here: Stack, there: Stack) -> None:
    key, kept = (kms.Key(there, name) for name in ("Key", "KeyOfQueue"))
    theirs = events.EventBus(there, "Shop", kms_key=kms.Key(there, "KeyOfShop"))
    bus = EventBridgeBus(here, "OfShop", bus=theirs)
    bus.add_queue("To", pattern=PLACED, consumer=function(here, "Reader"))
    bus.grant_put_events_to(function(here, "Publisher"))
    ours = EventBridgeBus(here, "Bus", bus=NewBus(encryption_key=key))
    for kind, (_, target) in TARGETS.items():
        ours.add_target(kind, pattern=PLACED, target=target(there, kind))
    queue = sqs.Queue(there, "Queue", encryption_master_key=kept)
    given = Delivery(dead_letter_queue=queue)
    ours.add_target("WithKept", pattern=PLACED, target=function(here, "Called"), delivery=given)
    ours.grant_put_events_to(function(there, "Publisher"), source="shop.web")


@pytest.mark.parametrize("relation", ["another", "nested", "in_nested"])
def test_nothing_depends_in_a_circle_on_what_another_stack_owns(relation: str) -> None:
    app = App()
    stack = Stack(app, "Stack")
    other = Stack(app, "Other") if relation == "another" else NestedStack(stack, "Nested")
    here, there = (other, stack) if relation == "in_nested" else (stack, other)
    owned_there(here, there)
    for one in (here, there):
        Template.from_stack(one)  # it rejects a circle
