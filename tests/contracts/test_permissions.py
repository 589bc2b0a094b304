"""Every arrow of a stack is allowed, strangers are refused, and no permission is there for nothing.

The arrows follow from the template (``tests/permissions/arrows.py``): API → queue, topic → queue,
delivery stream → bucket, state machine → service, function → what its code calls, key on the way.
A statement that allows more than what it names is no arrow's: see ``too_wide``.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as scheduler_targets
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk.assertions import Template

from tests.contracts.builds import Build, every_build, template_of
from tests.inline import function
from tests.permissions.checked import EXPLAINED, HINT, OF_YOUR_CODE, Checked
from tests.permissions.cloud import ACCOUNT, OTHER_ACCOUNT, Cloud
from tests.permissions.judge import ADMIN, NOBODY, STRANGER, Request, allowed
from tests.test_security import allowed as allowed_by
from tests.test_security import too_wide


@cache
def checked(build: Build) -> Checked:
    return Checked(template_of(build))


def test_every_arrow_of_a_pattern_is_allowed_and_no_stranger_is(template: dict[str, Any]) -> None:
    of = Checked(template)
    assert of.arrows
    assert not of.wrong(of.cloud.policies)


@every_build()
def test_every_arrow_of_a_construct_is_allowed_and_no_stranger_is(build: Build) -> None:
    of = checked(build)
    assert not of.wrong(of.cloud.policies)


def test_a_pattern_without_any_one_of_its_permissions_and_conditions_is_broken_or_open(
    template: dict[str, Any],
) -> None:
    assert not Checked(template).survivors(EXPLAINED), HINT


@every_build()
def test_a_construct_without_any_one_of_its_permissions_and_conditions_is_broken_or_open(
    build: Build,
) -> None:
    assert not checked(build).survivors(EXPLAINED | OF_YOUR_CODE), HINT


@every_build()
def test_a_policy_of_a_construct_names_what_it_allows_and_with_which_resource(build: Build) -> None:
    statements = allowed_by(template_of(build))
    found = {where: wide for where, one in statements if (wide := too_wide(where, one))}
    assert not found


# The judge, on what no pattern has yet, as the CDK makes it


def of_the_cdk(stack: Stack, *, tls_only: bool) -> Checked:
    """A rule, a schedule, streams and an alarm, each with what it leads to."""
    handler, queue, dead = (
        function(stack),
        *(sqs.Queue(stack, name, enforce_ssl=True) for name in ("Queue", "Dead")),
    )
    pass_on = sfn.DefinitionBody.from_chainable(sfn.Pass(stack, "Pass"))
    to: list[Any] = [
        targets.LambdaFunction(handler, dead_letter_queue=dead),
        targets.SqsQueue(queue, dead_letter_queue=dead),
        targets.SfnStateMachine(sfn.StateMachine(stack, "Machine", definition_body=pass_on)),
    ]
    pattern = events.EventPattern(source=["shop"])
    bus = events.EventBus(stack, "Bus")
    events.Rule(stack, "Rule", event_bus=bus, event_pattern=pattern, targets=to)
    stream, latest = kinesis.Stream(stack, "Stream"), lambda_.StartingPosition.LATEST
    failed = sources.SqsDlq(dead)
    handler.add_event_source(
        sources.KinesisEventSource(stream, starting_position=latest, on_failure=failed)
    )
    topic = sns.Topic(stack, "Topic", enforce_ssl=tls_only)
    topic.add_subscription(subscriptions.LambdaSubscription(handler))
    every_minute = scheduler.ScheduleExpression.rate(Duration.minutes(1))
    invoke = scheduler_targets.LambdaInvoke(handler, dead_letter_queue=dead)
    scheduler.Schedule(stack, "Schedule", schedule=every_minute, target=invoke)
    errors = handler.metric_errors().create_alarm(stack, "Alarm", threshold=1, evaluation_periods=1)
    errors.add_alarm_action(actions.SnsAction(topic))
    return Checked(Template.from_stack(stack).to_json())


def test_the_judge_knows_rules_schedules_streams_and_alarms(stack: Stack) -> None:
    of = of_the_cdk(stack, tls_only=False)
    made = {(arrow.who.split(":")[-1], arrow.action) for arrow in of.arrows}
    assert made >= {
        ("events.amazonaws.com", "lambda:InvokeFunction"),
        ("events.amazonaws.com", "sqs:SendMessage"),
        ("sns.amazonaws.com", "lambda:InvokeFunction"),
        ("scheduler.amazonaws.com", "sts:AssumeRole"),
    }
    assert {"kinesis:GetRecords", "states:StartExecution"} <= {action for _, action in made}
    assert not of.wrong(of.cloud.policies)
    assert all(": sqs:" in one or ": kinesis:" in one for one in of.survivors({}))


def test_the_judge_finds_an_alarm_that_a_topics_policy_keeps_silent(stack: Stack) -> None:
    of = of_the_cdk(stack, tls_only=True)
    (silent,) = of.wrong(of.cloud.policies)
    assert silent.startswith("refused: cloudwatch.amazonaws.com sns:Publish")


QUEUE = f"arn:aws:sqs:eu-central-1:{ACCOUNT}:Queue"
KEY = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/Key"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/Role"


def judged(request: Request, identity: Any = None, resource: Any = None) -> bool:
    cloud = Cloud({"Resources": {}})
    cloud.identity = {ROLE: ["identity"]}
    cloud.resource = {request.on: "resource"} if resource else {}
    found = {"identity": {"Statement": identity or []}, "resource": {"Statement": resource or []}}
    return allowed(cloud, found, request)


def statement(effect: str = "Allow", **fields: Any) -> list[dict[str, Any]]:
    return [{"Effect": effect, "Action": "*", "Resource": "*", **fields}]


def test_a_role_needs_a_permission_of_its_own_or_of_the_resource() -> None:
    send = Request(ROLE, "sqs:SendMessage", QUEUE)
    assert not judged(send)
    assert judged(send, identity=statement())
    assert judged(send, resource=statement(Principal={"AWS": ROLE}))
    assert not judged(send, identity=statement(), resource=statement("Deny", Principal="*"))


def test_another_account_needs_both() -> None:
    send = Request(STRANGER, "sqs:SendMessage", QUEUE)
    assert not judged(send)
    assert judged(send, resource=statement(Principal={"AWS": OTHER_ACCOUNT}))


def test_a_key_is_used_by_whom_its_policy_lets_and_by_nobody_else() -> None:
    for who in (ADMIN, ROLE):
        use = Request(who, "kms:Decrypt", KEY)
        root = statement(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"})
        assert not judged(use, identity=statement())
        assert judged(use, identity=statement(), resource=root)
    assert not judged(Request(NOBODY, "kms:Decrypt", KEY), resource=root)


def test_a_service_needs_the_resources_policy_and_its_conditions() -> None:
    policy = statement(
        Principal={"Service": "sns.amazonaws.com"},
        Condition={"StringEquals": {"aws:SourceAccount": ACCOUNT}},
    )
    ours, others = ({"aws:SourceAccount": account} for account in (ACCOUNT, OTHER_ACCOUNT))
    for service, context, expected in (
        ("sns.amazonaws.com", ours, True),
        ("sns.amazonaws.com", others, False),
        ("sns.amazonaws.com", {}, False),
        ("s3.amazonaws.com", ours, False),
    ):
        send = Request(service, "sqs:SendMessage", QUEUE, context)
        assert judged(send, identity=statement(), resource=policy) is expected


def test_plain_http_is_refused_where_a_policy_says_so() -> None:
    deny = statement("Deny", Principal="*", Condition={"Bool": {"aws:SecureTransport": "false"}})
    for https in (True, False):
        send = Request(ROLE, "sqs:SendMessage", QUEUE, https=https)
        assert judged(send, identity=statement(), resource=deny) is https
