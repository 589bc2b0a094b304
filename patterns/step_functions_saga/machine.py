"""The state machine of a saga: from its file, with the permissions of its steps and its logs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aws_cdk import ArnFormat, Fn, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as stepfunctions
from constructs import Construct

from ..blocks import keys
from ..blocks.findings import acknowledge
from ..blocks.names import name_known_before_creation
from ..blocks.queues import queue_for_failures
from .definition import Definition, values

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_sqs as sqs

    from .definition import Resource

PARKED_QUEUE = "ParkedQueue"


@dataclass(frozen=True, kw_only=True)
class Saga:
    """A saga to make a state machine of.

    Attributes:
        definition: The file with the saga in Amazon States Language, with ``${Name}`` for each
            resource.
        resources: Tables, queues and functions by the names that the definition uses;
            ``ParkedQueue`` is made by the construct.
        parked_queue: Your own queue for sagas that cannot be undone. Default: a new one that keeps
            messages for 14 days.
        encryption_key: Customer managed key of the new parked queue. Default: SQS-managed
            encryption.
        log_execution_data: Also log the input and output of each state. Default: False, since an
            order may name a person.

    Raises:
        ValueError: a key that no queue would use, or that encrypts nothing.
    """

    definition: str | Path
    resources: Mapping[str, Resource]
    parked_queue: sqs.IQueue | None = None
    encryption_key: kms.IKey | None = None
    log_execution_data: bool = False

    def __post_init__(self) -> None:
        """Reject a key that no queue would use, or that encrypts nothing."""
        if self.encryption_key is not None and self.parked_queue is not None:
            raise ValueError(
                "encryption_key was given together with parked_queue, which has its own. Set the "
                "key on your queue, or leave it out."
            )
        keys.check_key("encryption_key", self.encryption_key)


def new_state_machine(
    scope: Construct, saga: Saga, *, express: bool
) -> tuple[stepfunctions.StateMachine, sqs.IQueue]:
    """Make the state machine of a saga; return it with its parked queue.

    Raises:
        ValueError: a failure could leave the saga half done: see :meth:`Definition.check`.
    """
    definition = Definition.from_file(saga.definition)
    parked_queue = saga.parked_queue or queue_for_failures(
        scope,
        PARKED_QUEUE,
        encryption_key=saga.encryption_key,
        reason="Its messages wait for a person; nothing consumes and retries.",
    )
    resources = {**saga.resources, PARKED_QUEUE: parked_queue}
    definition.check(resources, express=express)
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
        definition_body=stepfunctions.DefinitionBody.from_string(definition.text),
        definition_substitutions=values(resources),
        state_machine_type=kind.EXPRESS if express else kind.STANDARD,
        tracing_enabled=True,
        logs=stepfunctions.LogOptions(
            destination=log_group,
            level=stepfunctions.LogLevel.ALL,
            include_execution_data=saga.log_execution_data,
        ),
        removal_policy=RemovalPolicy.DESTROY,
    )
    acknowledge(
        machine,
        "AwsSolutions::AwsSolutions-IAM5[Resource::*]",
        "AWS X-Ray and the delivery of logs take no resource for their actions.",
    )
    definition.grant(machine, resources)
    return machine, parked_queue


def execution_arn_prefix(machine: stepfunctions.IStateMachine) -> str:
    """Return the ARN of a state machine's executions, up to their names."""
    # Of the ARN, since an imported state machine has no name attribute.
    name = Fn.select(6, Fn.split(":", machine.state_machine_arn))
    return Stack.of(machine).format_arn(
        service="states",
        resource="execution",
        resource_name=f"{name}:",
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )


def grant_start(
    machine: stepfunctions.IStateMachine, grantee: iam.IGrantable, *, express: bool
) -> None:
    """Let ``grantee`` start executions; of a Standard one also read their status."""
    if express:
        machine.grant_start_sync_execution(grantee)
    else:
        machine.grant_start_execution(grantee)
        grant_describe(machine, grantee)


def grant_describe(machine: stepfunctions.IStateMachine, grantee: iam.IGrantable) -> iam.Grant:
    """Let ``grantee`` read every execution's status, input and output."""
    grant = machine.grant_execution(grantee, "states:DescribeExecution")
    resource, principal = machine.node.default_child, grantee.grant_principal
    if isinstance(resource, stepfunctions.CfnStateMachine) and isinstance(principal, Construct):
        ref = {"Ref": Stack.of(machine).get_logical_id(resource)}
        name = json.dumps({"Fn::Select": [6, {"Fn::Split": [":", ref]}]}, separators=(",", ":"))
        arn = f"arn:<AWS::Partition>:states:<AWS::Region>:<AWS::AccountId>:execution:{name}:*"
        acknowledge(
            principal,
            f"AwsSolutions::AwsSolutions-IAM5[Resource::{arn}]",
            "It may describe every execution of this state machine, whose names are the clients'.",
        )
    return grant
