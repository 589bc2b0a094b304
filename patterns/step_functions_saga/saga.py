"""The saga's settings, and the state machine that is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING

from ..blocks import keys
from ..blocks.definitions import Definition
from ..blocks.places import check_here
from ..blocks.queues import queue_for_failures
from ..blocks.state_machines import new_state_machine
from ..blocks.values import expect_fields

if TYPE_CHECKING:
    from pathlib import Path

    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_sqs as sqs
    from aws_cdk import aws_stepfunctions as stepfunctions
    from constructs import Construct

    from ..blocks.definitions import Resource


@dataclass(frozen=True, kw_only=True)
class Saga:
    """A saga to make a state machine of.

    Attributes:
        definition: The file with the saga in Amazon States Language, with ``${Name}`` for each
            resource.
        resources: Tables, queues, functions and buckets by the names that the definition uses;
            ``ParkedQueue`` is made by the construct.
        parked_queue: Your own queue for sagas that cannot be undone. Default: a new one that keeps
            messages as long as SQS can.
        encryption_key: Customer managed key of the new parked queue. Default: SQS-managed
            encryption.
        log_execution_data: Also log the input and output of each state. Default: False, since an
            order may name a person.

    Raises:
        ValueError: a wrong type, or a key that no queue would use or that encrypts nothing.
    """

    definition: str | Path
    resources: Mapping[str, Resource]
    parked_queue: sqs.IQueue | None = None
    encryption_key: kms.IKey | None = None
    log_execution_data: bool = False

    def __post_init__(self) -> None:
        """Reject a wrong type, and a key that no queue would use or that encrypts nothing."""
        expect_fields(
            self,
            definition=(str, PurePath),
            resources=(Mapping,),
            parked_queue=("IQueue", None),
            encryption_key=("IKey", None),
            log_execution_data=(bool,),
        )
        if self.encryption_key is not None and self.parked_queue is not None:
            raise ValueError(
                "encryption_key was given together with parked_queue, which has its own. Set the "
                "key on your queue, or leave it out."
            )
        keys.check_key("encryption_key", self.encryption_key)

    @cached_property
    def content(self) -> Definition:
        """The definition as it is in its file."""
        return Definition.from_file(self.definition)


def state_machine_of(
    scope: Construct, saga: Saga | stepfunctions.IStateMachine, *, express: bool
) -> tuple[stepfunctions.IStateMachine, sqs.IQueue | None]:
    """Return the state machine of a saga and its parked queue; of your own one, None."""
    if not isinstance(saga, Saga):
        reason = "its executions are started from their own account and Region. Give one of these."
        check_here(scope, "The state machine", saga, reason)
        return saga, None
    parked_queue = saga.parked_queue or queue_for_failures(
        scope,
        "ParkedQueue",
        encryption_key=saga.encryption_key,
        reason="Its messages wait for a person; nothing consumes and retries.",
    )
    machine = new_state_machine(
        scope,
        saga.content,
        {**saga.resources, "ParkedQueue": parked_queue},
        express=express,
        log_execution_data=saga.log_execution_data,
    )
    return machine, parked_queue
