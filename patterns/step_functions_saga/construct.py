"""client → API Gateway, SQS → Step Functions → steps;  failure ⇢ undo ⇢ parked queue ⇢ alarm"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from aws_cdk import Annotations, ArnFormat, Duration, Fn, RemovalPolicy, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as stepfunctions
from constructs import Construct

from ..foundation import keys, rules
from ..foundation.alarms import (
    alarm_on_dead_letters,
    alarm_on_oldest_message,
    alarm_when_above,
)
from ..foundation.apis import check_own_api, rest_api
from ..foundation.consumers import consume
from ..foundation.findings import acknowledge
from ..foundation.queues import QueueWithDeadLetterQueue, name_known_before_creation
from . import mapping
from .definition import Definition, values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_lambda as lambda_

    from .definition import Resource

__all__ = ["PARKED_QUEUE", "StepFunctionsSaga"]

PARKED_QUEUE = "ParkedQueue"


class StepFunctionsSaga(Construct):
    """Run a saga: steps one after the other, undone in reverse order when one fails for good.

    The saga stands in a file in Amazon States Language with ``${Name}`` for each resource, and is
    refused when a failure could leave it in the middle: see :meth:`Definition.check`. The state
    machine may do what its steps say, on the resources they name, and nothing else. What cannot
    be undone goes to ``parked_queue``, raises an alarm and waits for a person.

    POST starts an execution named by a field of the body, so sending it again starts nothing
    twice. Standard: 202 with ``executionArn``; 409 when an execution of this name has ended or has
    another input; GET ``path/{name}`` tells its status and output. Express: 200 with the output,
    502 when it failed; it runs at least once, so its steps alone make a repetition harmless. Both:
    400 for a body that breaks ``schema``; 403 unsigned; 415 for anything but JSON; 422 for a name
    or body that Step Functions does not take; 429 throttled; 5xx when nothing was started.

    Args:
        definition: The file with the saga.
        resources: Tables, queues and functions by the names that the definition uses;
            ``ParkedQueue`` is made here.
        state_machine: Your own, in place of ``definition`` and ``resources``.
        express: An Express state machine: cheap and quick, five minutes, nothing to wait for.
            Default: Standard, exactly once, up to a year.
        parked_queue: Your own queue for what cannot be undone. Default: a new one that keeps
            messages for 14 days.
        log_execution_data: Also log what goes in and out of each state. Default: False, since an
            order may name a person.
        name_field: Field of the body that names the execution. Default: ``order_id``.
        path: Resource under the API's root, such as ``orders``.
        api: Your own API. Default: a new regional one with access logs, tracing and throttling.
        authorizer: Cognito or Lambda authorizer. Default: IAM (signed requests).
        schema: JSON schema of the body. Default: any JSON.
        rate_limit: Requests a second that the new API takes. Default: 100.
        burst_limit: Requests at once that it takes. Default: 200.
        cloud_watch_role: Also sets the account's one role for API Gateway's logs, which access
            logs need; set it when no stack of the account and region has done so. Default: False.
        starter: Function or alias that starts an execution for each message of the queue, under
            the same name as the API would; it must report partial batch failures. Default: none,
            and no queue.
        queue: Your own queue for ``starter``. Default: a new one with a dead-letter queue.
        visibility_timeout: Hidden time after a receive. Default: 6 x the starter's timeout.
        retention_period: How long a message waits. Default: 4 days, and 14 once dead-lettered.
        max_receive_count: Receives before a message is dead-lettered. Default: 5.
        max_concurrency: Concurrent calls of ``starter``. Default: its reserved concurrency,
            else 10, which fills StartExecution's quota of 150 a second in small regions.
        encryption_key: Customer key of the new queues. Default: SQS-managed encryption.
        max_message_age: Age of the oldest message that raises an alarm. Default: 15 minutes, or
            half of the queue's retention period if that is shorter.
        alarm_actions: What every alarm does, such as publish to a topic. Default: nothing.

    Attributes:
        state_machine: It is also the grantee for what your steps need beyond ``resources``.
        api, start_method, status_method: The way in; no ``status_method`` in Express.
        parked_queue: None with a state machine of your own.
        queue, event_source_mapping: None without ``starter``; see also ``dead_letter_queue``.
        alarms: Every alarm of the pattern.

    Raises:
        ValueError: a resource of your own together with a setting that only a new one can
            take, or a configuration that would fail or leave a saga half done; the message says
            what to change.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        definition: str | Path | None = None,
        resources: Mapping[str, Resource] | None = None,
        state_machine: stepfunctions.IStateMachine | None = None,
        express: bool = False,
        parked_queue: sqs.IQueue | None = None,
        log_execution_data: bool | None = None,
        name_field: str = "order_id",
        path: str = "executions",
        api: apigateway.IRestApi | None = None,
        authorizer: apigateway.IAuthorizer | None = None,
        schema: apigateway.JsonSchema | None = None,
        rate_limit: float | None = None,
        burst_limit: int | None = None,
        cloud_watch_role: bool | None = None,
        starter: lambda_.IFunction | None = None,
        queue: sqs.IQueue | None = None,
        visibility_timeout: Duration | None = None,
        retention_period: Duration | None = None,
        max_receive_count: int | None = None,
        max_concurrency: int | None = None,
        encryption_key: kms.IKey | None = None,
        max_message_age: Duration | None = None,
        alarm_actions: Sequence[cloudwatch.IAlarmAction] = (),
    ) -> None:
        super().__init__(scope, construct_id)
        rules.refuse_settings_beside(
            "state_machine",
            state_machine,
            definition=definition,
            resources=resources,
            parked_queue=parked_queue,
            log_execution_data=log_execution_data,
        )
        rules.refuse_settings_beside(
            "api",
            api,
            rate_limit=rate_limit,
            burst_limit=burst_limit,
            cloud_watch_role=cloud_watch_role,
        )
        rules.refuse_settings_beside(
            "queue",
            queue,
            visibility_timeout=visibility_timeout,
            retention_period=retention_period,
            max_receive_count=max_receive_count,
        )
        _check_starter(
            starter,
            queue=queue,
            visibility_timeout=visibility_timeout,
            retention_period=retention_period,
            max_receive_count=max_receive_count,
            max_concurrency=max_concurrency,
            max_message_age=max_message_age,
        )
        _check_name_field(name_field)
        parks = state_machine is None and parked_queue is None
        starts = starter is not None and queue is None
        keys.check_key("encryption_key", encryption_key)
        if not (parks or starts):
            keys.refuse_unused_key(encryption_key)
        if api:
            check_own_api(api)
        self._express = express
        self.alarms: list[cloudwatch.Alarm] = []
        self.parked_queue: sqs.IQueue | None = None
        self.queue: sqs.IQueue | None = None
        self._dead_letter_queue: sqs.IQueue | None = None
        self.event_source_mapping: lambda_.EventSourceMapping | None = None
        self.status_method: apigateway.Method | None = None

        if state_machine:
            self.state_machine = _check_own(state_machine, express=express)
        else:
            saga = Definition.from_file(_required(definition))
            self.parked_queue = parked_queue or _new_parked_queue(self, encryption_key)
            named = {**(resources or {}), PARKED_QUEUE: self.parked_queue}
            saga.check(named, express=express)
            self.state_machine = _new_state_machine(
                self, saga, named, express=express, log_data=bool(log_execution_data)
            )
            saga.grant(self.state_machine, named)

        self.api = api or rest_api(
            self,
            rate_limit=rate_limit,
            burst_limit=burst_limit,
            cloud_watch_role=bool(cloud_watch_role),
        )
        self.api_role = _role_that_starts(self, self.state_machine, express=express)
        options: dict[str, Any] = (
            {"authorizer": authorizer}
            if authorizer
            else {"authorization_type": apigateway.AuthorizationType.IAM}
        )
        resource = self.api.root.resource_for_path(path)
        self.start_method = self._add_start(resource, name_field, schema, options)
        if not express:
            self.status_method = self._add_status(resource.add_resource("{name}"), options)

        if starter:
            self._start_from_queue(
                starter,
                queue,
                visibility_timeout=visibility_timeout,
                retention_period=retention_period,
                max_receive_count=max_receive_count,
                max_concurrency=max_concurrency,
                encryption_key=encryption_key,
            )
        self._add_alarms(alarm_actions, max_message_age, own_api=api is None)

    def _add_start(
        self,
        resource: apigateway.IResource,
        name_field: str,
        schema: apigateway.JsonSchema | None,
        options: dict[str, Any],
    ) -> apigateway.Method:
        machine = self.state_machine.state_machine_arn
        taken = "200" if self._express else "202"
        validator = apigateway.RequestValidator(
            self,
            "Validator",
            rest_api=self.api,
            validate_request_body=True,
            validate_request_parameters=True,
        )
        models = (
            {
                mapping.JSON: apigateway.Model(
                    self, "Schema", rest_api=self.api, content_type=mapping.JSON, schema=schema
                )
            }
            if schema
            else None
        )
        return resource.add_method(
            "POST",
            self._call(
                "StartSyncExecution" if self._express else "StartExecution",
                mapping.start_template(machine, name_field),
                mapping.start_responses(express=self._express),
            ),
            method_responses=mapping.method_responses(taken, "409", "422", "502", "503"),
            request_validator=validator,
            request_models=models,
            **options,
        )

    def _add_status(
        self, resource: apigateway.IResource, options: dict[str, Any]
    ) -> apigateway.Method:
        return resource.add_method(
            "GET",
            self._call(
                "DescribeExecution",
                mapping.describe_template(_execution_arn(self.state_machine, ""), "name"),
                mapping.describe_responses(),
            ),
            method_responses=mapping.method_responses("200", "404", "422", "502", "503"),
            **options,
        )

    def _call(
        self, action: str, template: str, responses: list[apigateway.IntegrationResponse]
    ) -> apigateway.AwsIntegration:
        return apigateway.AwsIntegration(
            service="states",
            action=action,
            integration_http_method="POST",
            options=apigateway.IntegrationOptions(
                credentials_role=self.api_role,
                passthrough_behavior=apigateway.PassthroughBehavior.NEVER,
                request_templates={mapping.JSON: template},
                integration_responses=responses,
            ),
        )

    def _start_from_queue(
        self,
        starter: lambda_.IFunction,
        queue: sqs.IQueue | None,
        *,
        visibility_timeout: Duration | None,
        retention_period: Duration | None,
        max_receive_count: int | None,
        max_concurrency: int | None,
        encryption_key: kms.IKey | None,
    ) -> None:
        required = rules.required_visibility(starter, None)
        if queue:
            rules.check_own_queue(queue, required)
            self.queue, self._dead_letter_queue = queue, rules.dead_letter_queue_of(queue)
        else:
            new = QueueWithDeadLetterQueue(
                self,
                "Queue",
                visibility_timeout=rules.visibility_timeout(visibility_timeout, required),
                retention_period=retention_period,
                max_receive_count=max_receive_count,
                encryption_key=encryption_key,
            )
            self.queue, self._dead_letter_queue = new.queue, new.dead_letter_queue
        self.event_source_mapping = consume(
            self,
            "EventSource",
            queue=self.queue,
            consumer=starter,
            max_concurrency=max_concurrency,
        )
        self.grant_start_execution(starter)

    def _add_alarms(
        self,
        actions: Sequence[cloudwatch.IAlarmAction],
        max_message_age: Duration | None,
        *,
        own_api: bool,
    ) -> None:
        for name, metric, description in _execution_alarms(self.state_machine, self._express):
            self.alarms.append(
                alarm_when_above(
                    self, f"{name}Alarm", metric=metric, description=description, actions=actions
                )
            )
        if self.parked_queue:
            self.alarms.append(
                alarm_when_above(
                    self,
                    "ParkedAlarm",
                    metric=self.parked_queue.metric_approximate_number_of_messages_visible(
                        period=Duration.minutes(1), statistic="Maximum"
                    ),
                    description="A saga could not be undone and waits for a person. Its message "
                    "in the parked queue tells the step and the error: mend the cause, then "
                    "answer it as the pattern's page says. In Standard it waits for 13 days.",
                    actions=actions,
                )
            )
        if isinstance(self.api, apigateway.RestApi) and own_api:
            self.alarms.append(
                alarm_when_above(
                    self,
                    "ServerErrorAlarm",
                    metric=self.api.metric_server_error(
                        period=Duration.minutes(1), statistic="Average"
                    ),
                    threshold=0.05,
                    evaluation_periods=3,
                    description="More than 5 % of the requests are answered with 5xx, so clients "
                    "must send them again. The access log tells what failed.",
                    actions=actions,
                )
            )
        if self.queue:
            self.alarms.append(
                alarm_on_oldest_message(
                    self,
                    "OldestMessageAlarm",
                    queue=self.queue,
                    max_age=max_message_age,
                    actions=actions,
                )
            )
        if self._dead_letter_queue:
            self.alarms.append(
                alarm_on_dead_letters(
                    self,
                    "DeadLetterAlarm",
                    dead_letter_queue=self._dead_letter_queue,
                    actions=actions,
                )
            )

    @property
    def url(self) -> str:
        """Where to POST to."""
        return self.api.deployment_stage.url_for_path(self.start_method.resource.path)

    @property
    def dead_letter_queue(self) -> sqs.IQueue:
        """The dead-letter queue of the starter's queue.

        Raises:
            ValueError: there is no starter, or its queue is imported.
        """
        if self._dead_letter_queue is None:
            raise ValueError(
                "There is no starter, or its queue is imported, so its dead-letter queue is not "
                "known here. Give a starter, or import that queue too and use it directly."
            )
        return self._dead_letter_queue

    def grant_start_execution(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` start executions without the API."""
        return self.state_machine.grant_start_execution(grantee)

    def grant_describe_execution(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` read every execution's status, input and output."""
        return _grant_describe(self.state_machine, grantee)

    def grant_execute(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` POST and ask for the status, with requests that it signs."""
        grant = self.start_method.grant_execute(grantee)
        return self.status_method.grant_execute(grantee) if self.status_method else grant

    def grant_resolve(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` read the parked queue and answer what waits there.

        Raises:
            ValueError: the state machine is your own, so what it parks is not known here.
        """
        if self.parked_queue is None:
            raise ValueError(
                "The state machine is your own, so its parked queue is not known here. Grant on "
                "it directly: grant_consume_messages and grant_task_response."
            )
        self.parked_queue.grant_consume_messages(grantee)
        return self.state_machine.grant_task_response(grantee)

    def metric_failed(self, **options: Any) -> cloudwatch.Metric:
        """Executions that ended in failure. ``options``: of the metric."""
        return self.state_machine.metric_failed(**options)

    def metric_succeeded(self, **options: Any) -> cloudwatch.Metric:
        """Executions that ended well, business refusals among them. ``options``: of the metric."""
        return self.state_machine.metric_succeeded(**options)


def _required(definition: str | Path | None) -> str | Path:
    if definition is None:
        raise ValueError("Give definition, the file with the saga, or your own state_machine.")
    return definition


def _check_own(
    state_machine: stepfunctions.IStateMachine, *, express: bool
) -> stepfunctions.IStateMachine:
    """Refuse a state machine of the other type; warn of one that is imported.

    Raises:
        ValueError: Standard for ``express``, or Express without it: the API would call what the
            type does not have (AWS Step Functions API reference, "StartSyncExecution").
    """
    if isinstance(state_machine, stepfunctions.StateMachine):
        is_express = state_machine.state_machine_type == stepfunctions.StateMachineType.EXPRESS
        if is_express != express:
            raise ValueError(
                f"express is {express}, but state_machine {state_machine.node.path} is "
                f"{state_machine.state_machine_type.value}. Set express={is_express}."
            )
        return state_machine
    Annotations.of(state_machine).add_warning_v2(
        "serverless-patterns:imported-state-machine",
        "This state machine is imported, so its type and definition cannot be checked: it must be "
        f"{'EXPRESS' if express else 'STANDARD'}, since express is {express}, have no time limit "
        "of its own, and give every step a timeout, retries and a catch that undoes.",
    )
    return state_machine


def _check_starter(starter: lambda_.IFunction | None, **settings: object | None) -> None:
    """Refuse settings of a queue that nobody would read.

    Raises:
        ValueError: any of ``settings`` without ``starter``.
    """
    given = [name for name, value in settings.items() if value is not None]
    if starter is None and given:
        raise ValueError(
            f"{', '.join(given)} was given without starter, the function that reads the queue. "
            "Give a starter, or leave them out."
        )


def _check_name_field(name_field: str) -> None:
    """Refuse a field that could change the mapping template.

    Raises:
        ValueError: anything but names joined with dots.
    """
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", name_field, re.ASCII):
        raise ValueError(
            f"name_field {name_field!r}: allowed are letters, digits and _, nested with dots."
        )


def _new_parked_queue(scope: Construct, encryption_key: kms.IKey | None) -> sqs.Queue:
    queue = sqs.Queue(
        scope,
        PARKED_QUEUE,
        retention_period=rules.MAX_RETENTION,
        encryption=sqs.QueueEncryption.KMS if encryption_key else sqs.QueueEncryption.SQS_MANAGED,
        encryption_master_key=encryption_key,
        enforce_ssl=True,
    )
    for rule in ("AwsSolutions::AwsSolutions-SQS3", "Serverless::Serverless-SQSRedrivePolicy"):
        acknowledge(queue, rule, "Its messages wait for a person; nothing consumes and retries.")
    return queue


def _new_state_machine(
    scope: Construct,
    saga: Definition,
    resources: Mapping[str, Resource],
    *,
    express: bool,
    log_data: bool,
) -> stepfunctions.StateMachine:
    log_group = logs.LogGroup(
        scope,
        "Logs",
        # Without this prefix every state machine's log group takes room in one resource policy
        # of the account, which is soon full (Step Functions developer guide, "Logging in
        # CloudWatch Logs").
        log_group_name=f"/aws/vendedlogs/states/{name_known_before_creation(scope, '')}",
        retention=logs.RetentionDays.ONE_MONTH,
        removal_policy=RemovalPolicy.DESTROY,
    )
    kind = stepfunctions.StateMachineType
    state_machine = stepfunctions.StateMachine(
        scope,
        "StateMachine",
        definition_body=stepfunctions.DefinitionBody.from_string(saga.text),
        definition_substitutions=values(resources),
        state_machine_type=kind.EXPRESS if express else kind.STANDARD,
        tracing_enabled=True,
        logs=stepfunctions.LogOptions(
            destination=log_group,
            level=stepfunctions.LogLevel.ALL,
            include_execution_data=log_data,
        ),
        removal_policy=RemovalPolicy.DESTROY,
    )
    acknowledge(
        state_machine,
        "AwsSolutions::AwsSolutions-IAM5[Resource::*]",
        "AWS X-Ray and the delivery of logs take no resource for their actions.",
    )
    return state_machine


def _execution_arn(state_machine: stepfunctions.IStateMachine, name: str) -> str:
    # Of the ARN, since an imported state machine has no name attribute.
    machine_name = Fn.select(6, Fn.split(":", state_machine.state_machine_arn))
    return Stack.of(state_machine).format_arn(
        service="states",
        resource="execution",
        resource_name=f"{machine_name}:{name}",
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )


def _role_that_starts(
    scope: Construct, state_machine: stepfunctions.IStateMachine, *, express: bool
) -> iam.Role:
    role = iam.Role(scope, "ApiRole", assumed_by=iam.ServicePrincipal("apigateway.amazonaws.com"))
    if express:
        state_machine.grant_start_sync_execution(role)
        return role
    state_machine.grant_start_execution(role)
    _grant_describe(state_machine, role)
    return role


def _grant_describe(
    state_machine: stepfunctions.IStateMachine, grantee: iam.IGrantable
) -> iam.Grant:
    grant = state_machine.grant_execution(grantee, "states:DescribeExecution")
    resource, principal = state_machine.node.default_child, grantee.grant_principal
    if isinstance(resource, stepfunctions.CfnStateMachine) and isinstance(principal, Construct):
        ref = {"Ref": Stack.of(state_machine).get_logical_id(resource)}
        name = {"Fn::Select": [6, {"Fn::Split": [":", ref]}]}
        arn = "arn:<AWS::Partition>:states:<AWS::Region>:<AWS::AccountId>:execution"
        acknowledge(
            principal,
            "AwsSolutions::AwsSolutions-IAM5"
            f"[Resource::{arn}:{json.dumps(name, separators=(',', ':'))}:*]",
            "It may describe every execution of this state machine, whose names are the clients'.",
        )
    return grant


def _execution_alarms(
    state_machine: stepfunctions.IStateMachine, express: bool
) -> list[tuple[str, cloudwatch.Metric, str]]:
    options: dict[str, Any] = {"period": Duration.minutes(1), "statistic": "Sum"}
    found = [
        (
            "Failed",
            state_machine.metric_failed(**options),
            "Sagas failed: a step kept failing although its dependency should work. They are "
            "undone, unless the parked queue holds them. The error names the step: look at what "
            "it calls.",
        ),
        (
            "TimedOut",
            state_machine.metric_timed_out(**options),
            "Executions were ended in the middle by a time limit of the whole execution, and not "
            "undone. Start them again with the same input under a new name: they go on.",
        ),
    ]
    if not express:
        found += [
            (
                "Aborted",
                state_machine.metric_aborted(**options),
                "Somebody stopped executions in the middle, so they are not undone. Start them "
                "again with the same input under a new name: they go on.",
            ),
            (
                "Throttled",
                state_machine.metric_throttled(**options),
                "State transitions are throttled: sagas take longer. Ask for a higher quota, or "
                "use Express for what is short.",
            ),
        ]
    return found
