"""client → Lambda → SQS;  Lambda ⇢ failure queue ⇢ alarm;  Lambda ⇢ DLQ ⇢ alarm"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from aws_cdk import Duration
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from ..foundation import keys, rules
from ..foundation.findings import acknowledge
from . import destinations, settings
from .alarms import alarm_on_failed_events, alarms_of_function

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_codedeploy as codedeploy
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_kms as kms

    from .destinations import Destination, SuccessDestination

__all__ = ["AsyncLambda"]

DEFAULT_MAX_WAIT = Duration.minutes(15)


class AsyncLambda(Construct):
    """Hand an event to a function and go on: the answer is 202, the work is done later.

    Lambda keeps the event, runs the function, and tries again after 1 and 2 minutes when the run
    fails. What then still fails, or grows older than ``max_event_age``, becomes a record in
    ``on_failure`` and, as it came, a message in ``dead_letter_queue``: the second holds what the
    first could not take (too large, no permission). Delivery is at least once and unordered, so
    ``function`` must be idempotent.
    ``python -m serverless_patterns.patterns.async_lambda.redrive`` sends failed events again.

    Args:
        function: Function, alias or version to invoke. You own its code. Its dead-letter queue and
            reserved concurrency are set here unless it has its own; what is imported keeps what
            it has.
        on_success: Queue, topic, function or event bus that takes a record of each success, with
            the event and what the function returned. Default: none.
        on_failure: Queue, topic, function, event bus or bucket that takes a record of each
            failure, with the event and the error. Default: a new queue.
        dead_letter_queue: Your own standard queue. Default: the function's, else a new one.
        retry_attempts: Tries after a failed one, 0 to 2. Default: 2.
        max_event_age: How old an event may grow before it is dropped, 60 s to 6 h; longer than
            the retries take. Default: 6 hours.
        reserved_concurrency: Runs at the same time that are kept for the function, and the most
            it gets. Default: what the function says; without it, the account's pool.
        rollout: Publishes a version and moves the alias ``live`` to it in this way, such as
            ``codedeploy.LambdaDeploymentConfig.CANARY_10_PERCENT_5_MINUTES``; the errors alarm
            moves it back. Invoke ``target`` then, never the function itself. Default: no alias,
            a new code takes over at once.
        encryption_key: Customer key of the new queues. Default: SQS-managed encryption.
        max_wait: How long an event may wait for its run before an alarm. Default: 15 minutes, or
            half of ``max_event_age`` if that is shorter.
        alarm_actions: What every alarm does, such as publish to a topic. Default: nothing.

    Attributes:
        function: The function itself.
        target: What to invoke: the function, or its alias.
        event_invoke_config: Retries, age and destinations.
        deployment_group: Moves the alias; None without ``rollout``.
        alarms: Every alarm of the pattern.

    Raises:
        ValueError: a resource of your own together with a setting that only a new one can take,
            or a configuration that would fail or lose events; the message says what to change.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        function: lambda_.IFunction,
        on_success: SuccessDestination | None = None,
        on_failure: Destination | None = None,
        dead_letter_queue: sqs.IQueue | None = None,
        retry_attempts: int = settings.MAX_RETRIES,
        max_event_age: Duration = settings.LONGEST_AGE,
        reserved_concurrency: int | None = None,
        rollout: codedeploy.ILambdaDeploymentConfig | None = None,
        encryption_key: kms.IKey | None = None,
        max_wait: Duration | None = None,
        alarm_actions: Sequence[cloudwatch.IAlarmAction] = (),
    ) -> None:
        super().__init__(scope, construct_id)
        settings.check_retries(function, retry_attempts, max_event_age)
        settings.check_max_wait(max_wait, max_event_age)
        settings.check_reserved(function, reserved_concurrency)
        settings.check_not_configured(function)
        settings.check_can_be_set(
            function,
            dead_letter_queue=dead_letter_queue,
            reserved_concurrency=reserved_concurrency,
        )
        settings.warn_of_imported(function, retry_attempts, max_event_age)
        keys.check_key("encryption_key", encryption_key)
        if rollout:
            settings.check_can_roll_out(function)
        if on_failure and (dead_letter_queue or not _takes_a_dead_letter_queue(function)):
            keys.refuse_unused_key(encryption_key)

        self.function = rules.function_of(function)
        if reserved_concurrency is not None:
            settings.resource_of(function).reserved_concurrent_executions = reserved_concurrency
        self._dead_letter_queue: sqs.IQueue | None
        self._on_failure = on_failure or _queue_of_failed_events(
            self, "FailureQueue", encryption_key
        )
        for name, destination in (("on_success", on_success), ("on_failure", self._on_failure)):
            if destination:
                destinations.check(name, destination, self.function)
                destinations.permit(destination, self.function)
        if _takes_a_dead_letter_queue(function):
            self._dead_letter_queue = dead_letter_queue or _queue_of_failed_events(
                self, "DeadLetterQueue", encryption_key
            )
            _set_dead_letter_queue(self.function, self._dead_letter_queue)
        else:
            self._dead_letter_queue = settings.own_dead_letter_queue(function)
        destinations.check_apart(on_success, self._on_failure, self._dead_letter_queue)

        self.target = _alias(self, function) if rollout else function
        self.event_invoke_config = lambda_.CfnEventInvokeConfig(
            self,
            "EventInvokeConfig",
            function_name=self.function.function_name,
            qualifier=_qualifier(self.target),
            maximum_retry_attempts=retry_attempts,
            maximum_event_age_in_seconds=max_event_age.to_seconds(),
            destination_config=_destination_config(on_success, self._on_failure),
        )
        self.event_invoke_config.node.add_dependency(self.target)

        by_metric = alarms_of_function(
            self,
            self.target,
            max_wait=max_wait or _default_max_wait(max_event_age),
            actions=alarm_actions,
        )
        self.alarms = [*by_metric.values(), *self._alarms_on_queues(alarm_actions)]
        self.deployment_group = (
            _deployment_group(self, self.target, rollout, by_metric["Errors"]) if rollout else None
        )

    def _alarms_on_queues(
        self, actions: Sequence[cloudwatch.IAlarmAction]
    ) -> list[cloudwatch.Alarm]:
        queues = {
            "FailureQueueAlarm": (self._failure_queue, "Events failed; each has its record here."),
            "DeadLetterAlarm": (self._dead_letter_queue, "Events failed; each lies here."),
        }
        return [
            alarm_on_failed_events(self, name, queue=queue, what=what, actions=actions)
            for name, (queue, what) in queues.items()
            if queue
        ]

    @property
    def _failure_queue(self) -> sqs.IQueue | None:
        is_queue = destinations.kind_of(self._on_failure) == "queue"
        return cast("sqs.IQueue", self._on_failure) if is_queue else None

    @property
    def failure_queue(self) -> sqs.IQueue:
        """The queue with the records of failures.

        Raises:
            ValueError: the records go to something else.
        """
        if self._failure_queue is None:
            raise ValueError(
                f"Records of failures go to a {destinations.kind_of(self._on_failure)}, not to a "
                "queue. Use what you gave as on_failure."
            )
        return self._failure_queue

    @property
    def dead_letter_queue(self) -> sqs.IQueue:
        """The function's dead-letter queue.

        Raises:
            ValueError: the function is imported or has a dead-letter topic.
        """
        if self._dead_letter_queue is None:
            raise ValueError(
                "The function is imported or has a dead-letter topic, so its dead-letter queue is "
                "not known here. Use it directly."
            )
        return self._dead_letter_queue

    def grant_invoke(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` hand over events; with a rollout, to the alias only.

        Raises:
            ValueError: a service principal, which would admit anybody's resources.
        """
        settings.check_grantee(grantee)
        return self.target.grant_invoke(grantee)

    def grant_redrive(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` empty the queues of failed events and invoke the function again."""
        grant = self.grant_invoke(grantee)
        for queue in (self._failure_queue, self._dead_letter_queue):
            if queue:
                grant = grant.combine(queue.grant_consume_messages(grantee))
        return grant

    def metric_async_event_age(self, **options: Any) -> cloudwatch.Metric:
        """How long events wait for their run, in milliseconds. ``options``: of the metric."""
        return self.target.metric("AsyncEventAge", **options)

    def metric_async_events_dropped(self, **options: Any) -> cloudwatch.Metric:
        """Events that were given up. ``options``: of the metric."""
        return self.target.metric("AsyncEventsDropped", **options)

    def metric_failed_events(self, **options: Any) -> cloudwatch.Metric:
        """Records in the failure queue. ``options``: of the metric.

        Raises:
            ValueError: the records go to something else.
        """
        return self.failure_queue.metric_approximate_number_of_messages_visible(**options)

    def metric_dead_letters(self, **options: Any) -> cloudwatch.Metric:
        """Messages in the dead-letter queue. ``options``: of the metric.

        Raises:
            ValueError: the function is imported or has a dead-letter topic.
        """
        return self.dead_letter_queue.metric_approximate_number_of_messages_visible(**options)


def _queue_of_failed_events(
    scope: Construct, construct_id: str, encryption_key: kms.IKey | None
) -> sqs.Queue:
    queue = sqs.Queue(
        scope,
        construct_id,
        retention_period=rules.MAX_RETENTION,
        encryption=(sqs.QueueEncryption.KMS if encryption_key else sqs.QueueEncryption.SQS_MANAGED),
        encryption_master_key=encryption_key,
        enforce_ssl=True,
    )
    for rule in ("AwsSolutions::AwsSolutions-SQS3", "Serverless::Serverless-SQSRedrivePolicy"):
        acknowledge(queue, rule, "Failed events end here: they wait for a redrive by a person.")
    return queue


def _takes_a_dead_letter_queue(function: lambda_.IFunction) -> bool:
    """Whether the function is of this app, and has no dead-letter queue or topic yet."""
    resource = settings.find_resource(function)
    return resource is not None and resource.dead_letter_config is None


def _set_dead_letter_queue(function: lambda_.IFunction, queue: sqs.IQueue) -> None:
    destinations.check_keeps("dead_letter_queue", queue)
    destinations.permit_queue(queue, function)
    settings.resource_of(
        function
    ).dead_letter_config = lambda_.CfnFunction.DeadLetterConfigProperty(target_arn=queue.queue_arn)


def _destination_config(
    on_success: SuccessDestination | None, on_failure: Destination
) -> lambda_.CfnEventInvokeConfig.DestinationConfigProperty:
    properties = lambda_.CfnEventInvokeConfig
    return properties.DestinationConfigProperty(
        on_success=(
            properties.OnSuccessProperty(destination=destinations.arn_of(on_success))
            if on_success
            else None
        ),
        on_failure=properties.OnFailureProperty(destination=destinations.arn_of(on_failure)),
    )


def _qualifier(target: lambda_.IFunction) -> str:
    if isinstance(target, lambda_.Function):
        return "$LATEST"
    alias, version = getattr(target, "alias_name", None), getattr(target, "version", "$LATEST")
    return str(alias or version)


def _default_max_wait(max_event_age: Duration) -> Duration:
    if max_event_age.is_unresolved():
        return DEFAULT_MAX_WAIT
    half = max_event_age.to_seconds() // 2
    return Duration.seconds(min(half, DEFAULT_MAX_WAIT.to_seconds()))


def _alias(scope: Construct, function: lambda_.IFunction) -> lambda_.Alias:
    version = cast("lambda_.Function", function).current_version
    return lambda_.Alias(scope, "Alias", alias_name="live", version=version)


def _deployment_group(
    scope: Construct,
    alias: lambda_.IFunction,
    rollout: codedeploy.ILambdaDeploymentConfig,
    errors: cloudwatch.IAlarm,
) -> codedeploy.LambdaDeploymentGroup:
    from aws_cdk import aws_codedeploy as codedeploy  # whoever asks for it has imported it already

    return codedeploy.LambdaDeploymentGroup(
        scope,
        "Rollout",
        alias=cast("lambda_.Alias", alias),
        deployment_config=rollout,
        alarms=[errors],
    )
