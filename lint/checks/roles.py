"""Roles that may not do what they are given for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import roles, template, wiring

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = "https://docs.aws.amazon.com"
NEED_A_ROLE = (
    "AWS::Kinesis::Stream",
    "AWS::StepFunctions::StateMachine",
    "AWS::Serverless::StateMachine",
)


def _refused(
    scenario: template.Scenario, *, failures: bool
) -> Iterator[tuple[roles.Use, template.Resource, str]]:
    """Yield the uses that no policy of the role allows, their target, and the action it lacks."""
    for use in roles.uses(scenario):
        used = roles.target(scenario, use.target) if use.failure == failures else None
        action = roles.refuses(scenario, use.role, used) if used else None
        if used and action:
            yield use, used, action


class RoleMayNotSend(template.Rule):
    id = "E9166"
    shortdesc = "A role must allow what it is given for"
    description = (
        "A schedule, a pipe, a rule, a delivery stream or a function's destination sends with its "
        "role: what no policy of the role allows fails every time. Allow the role the action on "
        "the target, and kms:GenerateDataKey and kms:Decrypt on the target's key."
    )
    source_url = f"{DOCS}/eventbridge/latest/userguide/eb-events-iam-roles.html"
    tags = ["iam", "events", "scheduler", "pipes", "firehose", "lambda"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for use, used, action in _refused(scenario, failures=False):
            yield template.Finding(
                use.user,
                f"{use.user.id} sends to {used.id} as {use.role.id}, which no policy allows "
                f"{action}: nothing arrives. Allow it.",
                use.at,
            )


class RoleMayNotSendFailures(template.Rule):
    id = "W9167"
    shortdesc = "A role must allow sending failures to their destination"
    description = (
        "Lambda, Scheduler and Pipes send what failed with the role of the function, the schedule "
        "or the pipe: without the permission it is lost, and only a metric rises. Allow the role "
        "the action on the destination, and kms:GenerateDataKey and kms:Decrypt on its key."
    )
    source_url = f"{DOCS}/lambda/latest/dg/invocation-async-retain-records.html"
    tags = ["iam", "lambda", "scheduler", "pipes"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for use, used, action in _refused(scenario, failures=True):
            yield template.Finding(
                use.user,
                f"{use.user.id} sends its failures to {used.id} as {use.role.id}, which no policy "
                f"allows {action} there: they are lost. Allow it.",
                use.at,
            )


class RoleNotTrusting(template.Rule):
    id = "E9168"
    shortdesc = "A role must trust the service that takes it on"
    description = (
        "A service that may not assume the role can do nothing with it: EventBridge loses every "
        "event, and others reject the role. Name the service in AssumeRolePolicyDocument."
    )
    source_url = f"{DOCS}/scheduler/latest/UserGuide/setting-up.html"
    tags = ["iam", "events", "scheduler", "pipes", "firehose", "sns"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for use in roles.uses(scenario):
            document = use.role.get("AssumeRolePolicyDocument")
            if use.target is not None and not wiring.admits(document, use.service):
                yield template.Finding(
                    use.user,
                    f"{use.user.id} is given {use.role.id}, which does not trust {use.service}: it "
                    "cannot be used. Name the service in its AssumeRolePolicyDocument.",
                    use.at,
                )


class TargetWithoutRole(template.Rule):
    id = "E9169"
    shortdesc = "A rule or a topic needs a role for streams and state machines"
    description = (
        "No policy of a Kinesis stream, a Firehose stream or a state machine admits EventBridge "
        "or SNS: without a role the target is rejected. Give a rule's target a RoleArn, and a "
        "firehose subscription a SubscriptionRoleArn."
    )
    source_url = f"{DOCS}/eventbridge/latest/userguide/eb-targets.html"
    tags = ["events", "sns", "kinesis", "firehose", "stepfunctions"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for rule in wiring.rule_targets(scenario):
            target = scenario.find(rule.target, *NEED_A_ROLE)
            if target and rule.role is None:
                yield template.Finding(
                    rule.source,
                    f"{rule.source.id} sends to {target.id} without a role: EventBridge may not. "
                    "Give the target a RoleArn.",
                    rule.at,
                )
        for subscription in scenario.of("AWS::SNS::Subscription"):
            role = subscription.get("SubscriptionRoleArn")
            if subscription.get("Protocol") == "firehose" and role is None:
                yield template.Finding(
                    subscription,
                    f"{subscription.id} sends to Firehose without a role: SNS may not. Give it a "
                    "SubscriptionRoleArn.",
                )
