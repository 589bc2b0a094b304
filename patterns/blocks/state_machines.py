"""A state machine of a definition in a file: its steps' permissions, logs, traces and alarms."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aws_cdk import ArnFormat, Fn, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as stepfunctions

from .alarms import MINUTE, Runbook
from .definitions import check_places
from .findings import acknowledge, acknowledge_wildcards
from .grants import warn_of_fixed
from .names import name_known_before_creation
from .values import Path, child_of, seconds, stack_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_sqs as sqs
    from constructs import Construct

    from .alarms import Alarms
    from .definitions import Definition, Resource

START_AGAIN = "again with the same input under a new name: they continue."
_NONE_HALF_DONE = "No execution has ended half done."
TIMED_OUT = Runbook(
    means="Executions were ended in the middle and are not undone: by a time limit of the whole "
    "execution, or by that of Express.",
    see="List the executions with the status TIMED_OUT.",
    fix="Remove the time limit from the definition; in Express, lower the timeouts and retries of "
    f"its steps. Start the executions {START_AGAIN}",
    verify=_NONE_HALF_DONE,
)
ABORTED = Runbook(
    means="Somebody stopped executions in the middle, so they are not undone.",
    see="List the executions with the status ABORTED; CloudTrail says who stopped them.",
    fix=f"Start the executions {START_AGAIN}",
    verify=_NONE_HALF_DONE,
)
THROTTLED = Runbook(
    means="State transitions are throttled: executions take longer.",
    see="Compare ExecutionThrottled with the account's quota for StateTransition.",
    fix="Request a higher quota, or use Express for short executions.",
    verify="ExecutionThrottled is 0 under the same load.",
)


def new_state_machine(
    scope: Construct,
    definition: Definition,
    resources: Mapping[str, Resource],
    *,
    express: bool = False,
    log_execution_data: bool = False,
) -> stepfunctions.StateMachine:
    """Make a state machine that may do what its steps say, on the resources they name, alone.

    Args:
        scope: Where it is made, as ``StateMachine``, with its log group ``Logs``.
        definition: What it does.
        resources: Tables, queues, functions and buckets by the names that the definition uses.
        express: Whether it is an Express one. Default: Standard.
        log_execution_data: Also log the input and output of each state. Default: False.

    Raises:
        ValueError: resources on which a step would fail: see :meth:`Definition.check`.
    """
    definition.check(resources)
    check_places(scope, resources)
    log_group = logs.LogGroup(
        scope,
        "Logs",
        # Without this prefix every state machine's log group takes room in one resource policy of
        # the account, which is soon full.
        # https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
        log_group_name=f"/aws/vendedlogs/states/{name_known_before_creation(scope)}",
        retention=logs.RetentionDays.ONE_MONTH,
        removal_policy=RemovalPolicy.DESTROY,
    )
    kind = stepfunctions.StateMachineType
    machine = stepfunctions.StateMachine(
        scope,
        "StateMachine",
        definition_body=stepfunctions.DefinitionBody.from_string(definition.for_any_partition),
        definition_substitutions=definition.values(scope, resources) or None,
        state_machine_type=kind.EXPRESS if express else kind.STANDARD,
        tracing_enabled=True,
        logs=stepfunctions.LogOptions(
            destination=log_group,
            level=stepfunctions.LogLevel.ALL,
            include_execution_data=log_execution_data,
        ),
        removal_policy=RemovalPolicy.DESTROY,
    )
    acknowledge(
        machine,
        "AwsSolutions::AwsSolutions-IAM5[Resource::*]",
        "AWS X-Ray and the delivery of logs take no resource for their actions.",
    )
    definition.grant(machine, resources)
    if definition.starts_executions:
        _grant_map_runs(scope, machine)
    return machine


def _grant_map_runs(scope: Construct, machine: stepfunctions.StateMachine) -> None:
    """Let a state machine start, watch, stop and redrive the executions of its distributed Maps.

    Source: https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html
    """
    # A policy of its own: the state machine waits for the one of its role, which cannot name it.
    policy = iam.Policy(scope, "MapRuns", roles=[machine.role])
    machine.grant_start_execution(policy)
    own = execution_arn_prefix(machine)
    children = [f"{own}*", f"{own.removesuffix(':')}/*:*"]  # of the state machine, and of its Maps
    actions = [f"states:{name}Execution" for name in ("Describe", "Stop", "Redrive")]
    iam.Grant.add_to_principal(grantee=policy, actions=actions, resource_arns=children)
    acknowledge_wildcards(policy, "Step Functions names the executions of a Map.", *children)


def on_executions(
    scope: Construct,
    machine: stepfunctions.IStateMachine,
    alarms: Alarms,
    failed: Runbook,
    *,
    express: bool,
) -> list[cloudwatch.Alarm]:
    """Go off when executions fail, end in the middle or, in Standard, are throttled.

    Args:
        scope: Where the alarms are made.
        machine: Whose executions.
        alarms: What the alarms do.
        failed: What to do about failed executions.
        express: Whether it is an Express one, of which nobody can stop or throttle executions.
    """
    watched = [
        ("FailedAlarm", machine.metric_failed, failed),
        ("TimedOutAlarm", machine.metric_timed_out, TIMED_OUT),
        ("AbortedAlarm", machine.metric_aborted, ABORTED),
        ("ThrottledAlarm", machine.metric_throttled, THROTTLED),
    ]
    return [
        alarms.above(scope, name, metric(period=seconds(MINUTE), statistic="Sum"), runbook)
        for name, metric, runbook in watched[: 2 if express else 4]
    ]


def execution_arn_prefix(machine: stepfunctions.IStateMachine) -> str:
    """Return the ARN of a state machine's executions, up to their names."""
    # Of the ARN, since an imported state machine has no name attribute.
    name = Fn.select(6, Fn.split(":", machine.state_machine_arn))
    return stack_of(machine).format_arn(
        service="states",
        resource="execution",
        resource_name=f"{name}:",
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )


def grant_key(machine: stepfunctions.IStateMachine, grantee: iam.IGrantable) -> None:
    """Let ``grantee`` use the customer managed key of a state machine, if it has one.

    Without it, executions can be neither started synchronously nor described.

    Source:
    https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartSyncExecution.html
    """
    resource: Any = child_of(machine)
    key = getattr(getattr(resource, "encryption_configuration", None), "kms_key_id", None)
    if key:
        actions = ["kms:Decrypt", "kms:GenerateDataKey"]
        iam.Grant.add_to_principal(grantee=grantee, actions=actions, resource_arns=[key])


def grant_start(
    machine: stepfunctions.IStateMachine, grantee: iam.IGrantable, *, express: bool
) -> None:
    """Let ``grantee`` start executions; of a Standard one also read their status."""
    grant_key(machine, grantee)
    if express:
        machine.grant_start_sync_execution(grantee)
    else:
        grant_start_execution(machine, grantee)
        grant_describe(machine, grantee)


def grant_start_execution(
    machine: stepfunctions.IStateMachine, grantee: iam.IGrantable
) -> iam.Grant:
    """Let ``grantee`` start executions."""
    grant = machine.grant_start_execution(grantee)
    warn_of_fixed(grantee, Path(machine, "states:StartExecution on ", " and the use of its key"))
    return grant


def grant_resolve(
    machine: stepfunctions.IStateMachine, parked_queue: sqs.IQueue, grantee: iam.IGrantable
) -> iam.Grant:
    """Let ``grantee`` read a parked queue, and answer the steps that wait there."""
    grant = parked_queue.grant_consume_messages(grantee)
    grant = grant.combine(machine.grant_task_response(grantee))
    warn_of_fixed(
        grantee,
        f"receiving and deleting messages of {Path(parked_queue)}, answering steps of "
        f"{Path(machine)}, and the use of their keys",
    )
    return grant


def grant_describe(machine: stepfunctions.IStateMachine, grantee: iam.IGrantable) -> iam.Grant:
    """Let ``grantee`` read every execution's status, input and output."""
    grant = machine.grant_execution(grantee, "states:DescribeExecution")
    resource = child_of(machine)
    principal: Any = grantee.grant_principal
    if isinstance(resource, stepfunctions.CfnStateMachine) and hasattr(principal, "node"):
        ref = {"Ref": stack_of(machine).get_logical_id(resource)}
        name = json.dumps({"Fn::Select": [6, {"Fn::Split": [":", ref]}]}, separators=(",", ":"))
        arn = f"arn:<AWS::Partition>:states:<AWS::Region>:<AWS::AccountId>:execution:{name}:*"
        acknowledge(
            principal,
            f"AwsSolutions::AwsSolutions-IAM5[Resource::{arn}]",
            "It may describe every execution of this state machine, whose names are the clients'.",
        )
    warn_of_fixed(grantee, Path(machine, "states:DescribeExecution on ", " and the use of its key"))
    return grant
