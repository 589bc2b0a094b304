"""Roles that do not allow what they are used for."""

from __future__ import annotations

from typing import Any

from .. import arns, policies, roles, wiring
from ..template import Finding, Findings, Scenario, rule

NEED_A_ROLE = (
    "AWS::Kinesis::Stream",
    "AWS::KinesisFirehose::DeliveryStream",
    "AWS::StepFunctions::StateMachine",
    "AWS::Serverless::StateMachine",
    "AWS::Events::ApiDestination",
    "AWS::ECS::Cluster",
    "AWS::Batch::JobQueue",
    "AWS::CodeBuild::Project",
    "AWS::CodePipeline::Pipeline",
)
# The same by the service of a target outside of the template.
OF_SERVICES = ("kinesis", "firehose", "states", "ecs", "batch", "codebuild", "codepipeline")

NONE = ("no policy allows", "Allow it")


def _lacking(scenario: Scenario, *, failures: bool) -> Findings:
    """Yield the uses that no policy of the role allows."""
    for use in roles.uses(scenario):
        lacking = roles.lacks(scenario, use) if use.failure == failures else None
        if lacking:
            action, denied = lacking
            used = roles.target(scenario, use.target) or "its target"
            does, so = use.does, "nothing arrives"
            if failures:
                does, so = "sends its failures to", "they are lost"
            word, fix = ("a policy denies", "Remove the denial") if denied else NONE
            yield Finding(
                use.user,
                f"{use.user} {does} {used} as {use.role}, which {word} {action}: {so}. {fix}.",
                use.at,
            )


@rule("E9166", "iam", "events", "scheduler", "pipes", "firehose", "lambda", "apigateway", "iot")
def role_may_not_send(scenario: Scenario) -> Findings:
    """A role must allow what it is used for.

    A schedule, a pipe, a rule, a delivery stream, an API, an IoT rule or a function's destination
    sends with its role, and Lambda, Pipes and Firehose read with one: without a policy that allows
    it, every attempt fails. Allow the role the action on the target or the source, and on its key.

    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-iam-roles.html
    """
    return _lacking(scenario, failures=False)


@rule("W9167", "iam", "lambda", "scheduler", "pipes")
def role_may_not_send_failures(scenario: Scenario) -> Findings:
    """A role must allow sending failures to their destination.

    Lambda, Scheduler and Pipes send failed events with the role of the function, the schedule or
    the pipe: without the permission the event is lost, and only a metric shows it. Allow the role
    the action on the destination, and kms:GenerateDataKey and kms:Decrypt on its key.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """
    return _lacking(scenario, failures=True)


@rule("E9168", "iam", "events", "scheduler", "pipes", "firehose", "sns")
def role_not_trusting(scenario: Scenario) -> Findings:
    """A role must trust the service that assumes it.

    A service that cannot assume the role can do nothing with it: EventBridge loses every event, and
    others reject the role. Name the service in AssumeRolePolicyDocument.

    Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/setting-up.html
    """
    for use in roles.uses(scenario):
        document = use.role.get("AssumeRolePolicyDocument")
        if use.target is not None and not policies.allows(scenario, [document], _assume(use)):
            yield Finding(
                use.user,
                f"{use.user} is given {use.role}, which does not trust {use.service}: it cannot be "
                "used. Name the service in its AssumeRolePolicyDocument.",
                use.at,
            )


def _assume(use: roles.Use) -> policies.Request:
    return policies.Request("sts:AssumeRole", service=use.service)


@rule("E9169", "events", "sns", "kinesis", "firehose", "stepfunctions")
def target_without_role(scenario: Scenario) -> Findings:
    """A rule, a topic or a log group needs a role for streams and state machines.

    No policy of a Kinesis stream, a Firehose stream, a state machine, an API destination, a cluster
    or a pipeline allows EventBridge, SNS or CloudWatch Logs: without a role the target is rejected.
    Give a rule's target and a log group's filter a RoleArn, and a firehose subscription a
    SubscriptionRoleArn.

    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-targets.html
    """
    for source in wiring.rule_targets(scenario):
        if source.role is None and _needs_a_role(scenario, source.target):
            target = scenario.name(source.target, "its target")
            yield Finding(
                source.source,
                f"{source.source} sends to {target} without a role: EventBridge is not allowed to. "
                "Give the target a RoleArn.",
                source.at,
            )
    for subscription in scenario.of("AWS::SNS::Subscription"):
        role = subscription.get("SubscriptionRoleArn")
        if subscription.get("Protocol") == "firehose" and role is None:
            yield Finding(
                subscription,
                f"{subscription} sends to Firehose without a role: SNS is not allowed to. Give it "
                "a SubscriptionRoleArn.",
            )
    for item in scenario.of(wiring.LOGS):
        target = item.get("DestinationArn")
        if item.get("RoleArn") is None and _needs_a_role(scenario, target):
            stream = scenario.name(target, "its destination")
            yield Finding(
                item,
                f"{item} sends to {stream} without a role: CloudWatch Logs is not allowed to. Give "
                "it a RoleArn.",
            )


def _needs_a_role(scenario: Scenario, target: Any) -> bool:
    elsewhere = arns.service(target) in OF_SERVICES or ":api-destination/" in str(target)
    return elsewhere or bool(scenario.find(target, *NEED_A_ROLE))
