"""client → API Gateway, SQS → Step Functions → steps;  failure ⇢ undo ⇢ parked queue ⇢ alarm"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import Stack
from constructs import Construct

from ..blocks import executions
from ..blocks.alarms import Alarms
from ..blocks.apis import check_circle
from ..blocks.consumers import Consumer
from ..blocks.endpoints import Endpoint, NewApi, RequestField
from ..blocks.grants import check_grantee, grantee_here
from ..blocks.queues import NewQueue, SqsToLambda
from ..blocks.rest import RestEntry
from ..blocks.state_machines import (
    execution_arn_prefix,
    grant_describe,
    grant_key,
    grant_resolve,
    grant_start,
    grant_start_execution,
    on_executions,
)
from ..blocks.values import expect
from . import rules
from .alarms import FAILED, PARKED
from .saga import Saga, state_machine_of

if TYPE_CHECKING:
    from aws_cdk import aws_apigateway as apigateway
    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_sqs as sqs
    from aws_cdk import aws_stepfunctions as stepfunctions

__all__ = ["Alarms", "Consumer", "Endpoint", "NewApi", "NewQueue", "Saga", "StepFunctionsSaga"]


class StepFunctionsSaga(Construct):
    """Run a saga: steps one after the other, undone in reverse order when one keeps failing.

    Define the saga in Amazon States Language with JSONata, with ``${Name}`` for each resource.
    Definitions that could end half done are rejected: see ``check_undo``. The state machine may
    do what its steps say, on the resources that they name, and nothing else. A saga that cannot be
    undone goes to ``parked_queue``, raises an alarm and waits for a person.

    POST starts an execution named by a field of the body, so sending it again starts nothing
    twice. Standard: 202 with ``executionArn``; 409 when an execution of this name has ended or has
    another input; GET ``path/{name}`` returns its status and output. Express: 200 with the output,
    502 when it failed; it may run more than once, so its steps must be idempotent. Both:
    400 for a body that breaks the schema; 403 unsigned; 415 for anything but JSON; 422 for a name
    or body that Step Functions rejects; 429 throttled; 5xx when nothing was started.

    Args:
        saga: The saga to make a state machine of, or your own state machine.
        express: An Express state machine: cheap and quick, five minutes, nothing to wait for.
            Default: Standard, exactly once, up to a year.
        name_field: Field of the body that names the execution. Default: ``order_id``.
        endpoint: Where clients POST to, and who may.
        starter: Function or alias that starts an execution for each message of a queue, under the
            same name as the API would, or a ``Consumer`` with its settings. Its concurrency bounds
            how fast executions start: StartExecution has a quota a second. Default: none, and no
            queue.
        queue: Your own queue for ``starter``, or the settings of a new one. Default: a new one.
        alarms: What the alarms do.

    Attributes:
        state_machine: It is also the grantee for further permissions of your steps.
        parked_queue: None with a state machine of your own.
        entry: The way in by HTTP: its API, and the role with which API Gateway starts executions.
        start_method, status_method: POST and GET; no ``status_method`` in Express.
        intake: The way in by a queue; None without ``starter``.
        alarms: Every alarm of the pattern.

    Raises:
        ValueError: a configuration that would fail or leave a saga half done; the message says
            what to change.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        saga: Saga | stepfunctions.IStateMachine,
        express: bool = False,
        name_field: str = "order_id",
        endpoint: Endpoint = Endpoint("executions"),
        starter: lambda_.IFunction | Consumer | None = None,
        queue: sqs.IQueue | NewQueue | None = None,
        alarms: Alarms = Alarms(),
    ) -> None:
        expect("alarms", alarms, Alarms)
        rules.check(saga, starter, queue, alarms, express=express)
        name = RequestField.body(name_field)
        super().__init__(scope, construct_id)
        alarms = alarms.of_pattern(__name__)

        given: dict[str, Any] = {**saga.resources} if isinstance(saga, Saga) else {}
        self._given = [*given.values(), getattr(saga, "parked_queue", None)]
        if starter:
            given["starter"] = Consumer.of(starter).function
            self._given.append(Stack.of(given["starter"]))  # no step: only its stack is waited for
        own = None if isinstance(saga, Saga) else saga
        check_circle(self, endpoint, given | {"saga": saga, "queue": queue, "alarms": alarms}, own)
        self.state_machine, self.parked_queue = state_machine_of(self, saga, express=express)
        self.entry = RestEntry(self, "Entry", endpoint, alarms=alarms)
        grant_start(self.state_machine, self.entry.role, express=express)
        arn = self.state_machine.state_machine_arn
        self.start_method = self.entry.add_post(executions.start(arn, name, express=express))
        self.status_method: apigateway.Method | None = None
        if not express:
            prefix = execution_arn_prefix(self.state_machine)
            self.status_method = self.entry.add_get("{name}", executions.describe(prefix, "name"))
        self.intake: SqsToLambda | None = None
        if starter:
            self.intake = SqsToLambda(
                self, "Intake", consumer=starter, queue=queue or NewQueue(), alarms=alarms
            )
            self.grant_start_execution(Consumer.of(starter).function)

        self.alarms: list[cloudwatch.Alarm] = [
            *on_executions(self, self.state_machine, alarms, FAILED, express=express),
            *self.entry.alarms,
            *(self.intake.alarms if self.intake else ()),
        ]
        if self.parked_queue:
            parked = alarms.on_messages(self, "ParkedAlarm", self.parked_queue, PARKED)
            self.alarms.append(parked)

    @property
    def url(self) -> str:
        """Where to POST to."""
        return self.entry.url

    def grant_start_execution(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` start executions without the API."""
        return grant_start_execution(self.state_machine, self._here(grantee))

    def grant_describe_execution(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` read every execution's status, input and output."""
        return grant_describe(self.state_machine, self._here(grantee))

    def grant_execute(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` POST and ask for the status, with requests that it signs.

        Raises:
            ValueError: requests are not signed.
        """
        return self.entry.grant_execute(self._here(grantee))

    def grant_resolve(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` read the parked queue and answer what waits there.

        Raises:
            ValueError: the state machine is your own, so its parked queue is not known here.
        """
        if self.parked_queue is None:
            raise ValueError(
                "The state machine is your own, so its parked queue is not known here. Grant on "
                "it directly: grant_consume_messages and grant_task_response."
            )
        return grant_resolve(self.state_machine, self.parked_queue, self._here(grantee))

    def metric_failed(self, **options: Any) -> cloudwatch.Metric:
        """Executions that ended in failure. ``options``: of the metric."""
        return self.state_machine.metric_failed(**options)

    def metric_succeeded(self, **options: Any) -> cloudwatch.Metric:
        """Executions that ended well, business refusals included. ``options``: of the metric."""
        return self.state_machine.metric_succeeded(**options)

    def _here(self, grantee: iam.IGrantable) -> iam.IGrantable:
        check_grantee(self, grantee)
        grantee = grantee_here(self, grantee, self._given)
        grant_key(self.state_machine, grantee)
        return grantee
