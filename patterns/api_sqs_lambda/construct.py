"""client → API Gateway → SQS → Lambda;  SQS ⇢ DLQ ⇢ alarm"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import Annotations, Duration
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from ..foundation import rules
from ..foundation.alarms import alarm_on_dead_letters, alarm_on_oldest_message
from ..foundation.apis import check_own_api, rest_api
from ..foundation.consumers import consume
from ..foundation.queues import QueueWithDeadLetterQueue
from . import mapping
from .mapping import RequestField

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_kms as kms

__all__ = ["ApiGatewayToSqsToLambda", "RequestField"]


class ApiGatewayToSqsToLambda(Construct):
    """Accept a request now, work on it later: POST answers 202 once SQS holds the message.

    API Gateway calls SQS itself, with no function between them. A message that fails
    ``max_receive_count`` times moves to ``dead_letter_queue`` and raises an alarm. Delivery is
    at least once, in order only within a FIFO queue's message group, so ``consumer`` must be
    idempotent and report partial batch failures.

    The client sees 202 with ``messageId`` and ``requestId``; 400 for a body that breaks
    ``schema``; 403 unsigned; 415 for anything but JSON; 422 for what SQS does not take (empty,
    too large, a character outside its set, no group or deduplication id); 429 throttled; 5xx
    when the queue did not take the message. The message carries the body byte for byte and
    the attributes ``RequestId``, ``Source`` and ``ReceivedAt`` (milliseconds since 1970).

    Args:
        consumer: Function or alias that processes the messages. You own its code.
        path: Resource under the API's root that takes POST, such as ``orders``.
        api: Your own API. Default: a new regional one with access logs, tracing and throttling.
        authorizer: Cognito or Lambda authorizer. Default: IAM (signed requests).
        usage_plan: Requires an API key of this plan, in place of IAM; the API's stage joins it.
        schema: JSON schema of the body, checked before the queue. Default: any JSON.
        rate_limit: Requests a second that the new API takes. Default: 100.
        burst_limit: Requests at once that it takes. Default: 200.
        cloud_watch_role: Also sets the account's one role for API Gateway's logs, which access
            logs need; set it when no stack of the account and region has done so. Default: False.
        queue: Your own queue. Default: a new one with a dead-letter queue.
        fifo: The new queue is a FIFO queue; needs ``message_group_id``. Default: standard.
        message_group_id: Where the group id comes from: order is kept within it (FIFO), or
            tenants share the consumer fairly by it (standard).
        deduplication_id: FIFO: where the deduplication id comes from. Default: SQS takes the
            SHA-256 of the body.
        visibility_timeout: Hidden time after a receive, in whole seconds. Default: 6 x the
            consumer's timeout plus ``max_batching_window`` (AWS Lambda developer guide, "Using
            Lambda with Amazon SQS").
        retention_period: How long a message waits, 60 s to 14 days. Default: 4 days. The
            dead-letter queue keeps its own for 14 days.
        max_receive_count: Receives before a message is dead-lettered. Default: 5.
        encryption_key: Customer key of the new queues. Default: SQS-managed encryption.
        batch_size: Messages a call. Default: 10.
        max_batching_window: Longest wait for a full batch; needed above 10. Default: none.
        max_concurrency: Concurrent calls of ``consumer``, 2 to 1,000. Default: its reserved
            concurrency, else 10.
        provisioned_pollers: Event pollers kept ready, in place of ``max_concurrency``.
        max_message_age: Age of the oldest message that raises an alarm. Default: 15 minutes, or
            half of the queue's retention period if that is shorter.
        alarm_actions: What every alarm does, such as publish to a topic. Default: nothing.

    Attributes:
        api, method, api_role: The way in; ``api_role`` lets API Gateway send to the queue.
        queue: The queue between them; see also ``dead_letter_queue``.
        event_source_mapping: Queue to consumer.
        alarms: Every alarm of the pattern.

    Raises:
        ValueError: a resource of your own together with a setting that only a new one can
            take, or a configuration that would fail or lose events; the message says what to
            change.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        consumer: lambda_.IFunction,
        path: str = "messages",
        api: apigateway.IRestApi | None = None,
        authorizer: apigateway.IAuthorizer | None = None,
        usage_plan: apigateway.UsagePlan | None = None,
        schema: apigateway.JsonSchema | None = None,
        rate_limit: float | None = None,
        burst_limit: int | None = None,
        cloud_watch_role: bool | None = None,
        queue: sqs.IQueue | None = None,
        fifo: bool | None = None,
        message_group_id: RequestField | None = None,
        deduplication_id: RequestField | None = None,
        visibility_timeout: Duration | None = None,
        retention_period: Duration | None = None,
        max_receive_count: int | None = None,
        encryption_key: kms.IKey | None = None,
        batch_size: int = 10,
        max_batching_window: Duration | None = None,
        max_concurrency: int | None = None,
        provisioned_pollers: lambda_.ProvisionedPollerConfig | None = None,
        max_message_age: Duration | None = None,
        alarm_actions: Sequence[cloudwatch.IAlarmAction] = (),
    ) -> None:
        super().__init__(scope, construct_id)
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
            fifo=fifo,
            visibility_timeout=visibility_timeout,
            retention_period=retention_period,
            max_receive_count=max_receive_count,
            encryption_key=encryption_key,
        )
        is_fifo = queue.fifo if queue else bool(fifo)
        _check_message_ids(queue, is_fifo, message_group_id, deduplication_id)
        required_visibility = rules.required_visibility(consumer, max_batching_window)
        if api:
            check_own_api(api, usage_plan)

        self.api = api or rest_api(
            self,
            rate_limit=rate_limit,
            burst_limit=burst_limit,
            cloud_watch_role=bool(cloud_watch_role),
        )
        if queue:
            rules.check_own_queue(queue, required_visibility)
            self.queue, self._dead_letter_queue = queue, rules.dead_letter_queue_of(queue)
        else:
            new = QueueWithDeadLetterQueue(
                self,
                "Queue",
                visibility_timeout=rules.visibility_timeout(
                    visibility_timeout, required_visibility
                ),
                fifo=is_fifo,
                content_based_deduplication=is_fifo and deduplication_id is None,
                retention_period=retention_period,
                max_receive_count=max_receive_count,
                encryption_key=encryption_key,
            )
            self.queue, self._dead_letter_queue = new.queue, new.dead_letter_queue
        self.api_role = _role_that_sends_to(self, self.queue)
        self.method = self.api.root.resource_for_path(path).add_method(
            "POST",
            _send_message(self.queue, self.api_role, message_group_id, deduplication_id),
            method_responses=mapping.method_responses(),
            request_validator=apigateway.RequestValidator(
                self,
                "Validator",
                rest_api=self.api,
                validate_request_body=True,
                validate_request_parameters=True,
            ),
            request_models={mapping.JSON: _model(self, self.api, schema)} if schema else None,
            **_authorization(authorizer, usage_plan),
        )
        if usage_plan:
            usage_plan.add_api_stage(stage=self.api.deployment_stage)
        self.event_source_mapping = consume(
            self,
            "EventSource",
            queue=self.queue,
            consumer=consumer,
            batch_size=batch_size,
            max_batching_window=max_batching_window,
            max_concurrency=max_concurrency,
            provisioned_pollers=provisioned_pollers,
        )
        self.alarms = [
            alarm_on_oldest_message(
                self,
                "OldestMessageAlarm",
                queue=self.queue,
                max_age=max_message_age,
                actions=alarm_actions,
            )
        ]
        if self._dead_letter_queue:
            self.alarms.append(
                alarm_on_dead_letters(
                    self,
                    "DeadLetterAlarm",
                    dead_letter_queue=self._dead_letter_queue,
                    actions=alarm_actions,
                )
            )

    @property
    def url(self) -> str:
        """Where to POST to."""
        return self.api.deployment_stage.url_for_path(self.method.resource.path)

    @property
    def dead_letter_queue(self) -> sqs.IQueue:
        """The queue's dead-letter queue.

        Raises:
            ValueError: the queue is imported, so its dead-letter queue is not known here.
        """
        if self._dead_letter_queue is None:
            raise ValueError(
                "The queue is imported, so its dead-letter queue is not known here. "
                "Import that queue too, and use it directly."
            )
        return self._dead_letter_queue

    def grant_execute(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` POST, with requests that it signs."""
        return self.method.grant_execute(grantee)

    def metric_approximate_age_of_oldest_message(self, **options: Any) -> cloudwatch.Metric:
        """Age of the oldest message in the queue, in seconds. ``options``: of the metric."""
        return self.queue.metric_approximate_age_of_oldest_message(**options)

    def metric_dead_letters(self, **options: Any) -> cloudwatch.Metric:
        """Messages in the dead-letter queue. ``options``: of the metric.

        Raises:
            ValueError: the queue is imported, so its dead-letter queue is not known here.
        """
        return self.dead_letter_queue.metric_approximate_number_of_messages_visible(**options)


def _check_message_ids(
    queue: sqs.IQueue | None,
    fifo: bool,
    group: RequestField | None,
    deduplication: RequestField | None,
) -> None:
    """Refuse messages that the queue would refuse; warn where its deduplication is not known.

    Raises:
        ValueError: a FIFO queue without a group id or any deduplication, or a standard queue with
            a deduplication id (lint E9174; Amazon SQS API reference, "SendMessage").
    """
    if fifo and group is None:
        raise ValueError(
            "A FIFO queue needs message_group_id: SQS refuses a message without a group. Name "
            "the field that orders belong together by, such as RequestField.body('order_id')."
        )
    if not fifo and deduplication is not None:
        raise ValueError(
            f"deduplication_id is {deduplication.name!r}, but a standard queue does not "
            "deduplicate. Leave it out, or set fifo=True."
        )
    own = queue.node.default_child if isinstance(queue, sqs.Queue) else None
    by_content = isinstance(own, sqs.CfnQueue) and own.content_based_deduplication
    if fifo and own and deduplication is None and not by_content:
        raise ValueError(
            "The FIFO queue does not deduplicate by content, so every message needs an id. "
            "Give deduplication_id, or set content_based_deduplication on the queue."
        )
    if fifo and queue and not own and deduplication is None:
        Annotations.of(queue).add_warning_v2(
            "serverless-patterns:imported-fifo-queue",
            "This queue is imported, so its deduplication cannot be checked: it needs "
            "ContentBasedDeduplication, since there is no deduplication_id, or SQS refuses every "
            "message.",
        )


def _model(
    scope: Construct, api: apigateway.IRestApi, schema: apigateway.JsonSchema
) -> apigateway.Model:
    return apigateway.Model(scope, "Schema", rest_api=api, content_type=mapping.JSON, schema=schema)


def _role_that_sends_to(scope: Construct, queue: sqs.IQueue) -> iam.Role:
    role = iam.Role(scope, "ApiRole", assumed_by=iam.ServicePrincipal("apigateway.amazonaws.com"))
    queue.grant(role, "sqs:SendMessage")
    if queue.encryption_master_key:
        queue.encryption_master_key.grant(role, "kms:Decrypt", "kms:GenerateDataKey")
    return role


def _send_message(
    queue: sqs.IQueue,
    role: iam.Role,
    group: RequestField | None,
    deduplication: RequestField | None,
) -> apigateway.AwsIntegration:
    return apigateway.AwsIntegration(
        service="sqs",
        path=f"{queue.env.account}/{queue.queue_name}",
        integration_http_method="POST",
        options=apigateway.IntegrationOptions(
            credentials_role=role,
            passthrough_behavior=apigateway.PassthroughBehavior.NEVER,
            request_parameters=mapping.REQUEST_HEADERS,
            request_templates={mapping.JSON: mapping.request_template(group, deduplication)},
            integration_responses=mapping.integration_responses(),
        ),
    )


def _authorization(
    authorizer: apigateway.IAuthorizer | None, usage_plan: apigateway.UsagePlan | None
) -> dict[str, Any]:
    key_required = {"api_key_required": True} if usage_plan else {}
    if authorizer:
        return {"authorizer": authorizer, **key_required}
    if usage_plan:
        return {"authorization_type": apigateway.AuthorizationType.NONE, **key_required}
    return {"authorization_type": apigateway.AuthorizationType.IAM}
