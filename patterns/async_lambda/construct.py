"""client → Lambda → SQS;  Lambda ⇢ failure queue ⇢ alarm;  Lambda ⇢ DLQ ⇢ alarm"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from constructs import Construct

from ..blocks.alarms import Alarms
from ..blocks.destinations import deliver, deliver_to_new_queue
from ..blocks.failures import configure
from ..blocks.invocations import check_only_configuration, grant_invoke, qualifier_of
from ..limits import LAMBDA_ASYNC_MAX_AGE
from .alarms import alarms_on_function, alarms_on_queues
from .settings import Invoked, Retries

if TYPE_CHECKING:
    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_codedeploy as codedeploy
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_sqs as sqs

    from ..blocks.destinations import Destination, SuccessDestination

__all__ = ["Alarms", "AsyncLambda", "Retries"]


class AsyncLambda(Construct):
    """Hand an event to a function and go on: the answer is 202, the work is done later.

    Lambda stores the event, runs the function, and retries after 1 and 2 minutes when a run fails.
    An event that still fails, or grows too old, becomes a record in ``on_failure`` and, unmodified,
    a message in ``dead_letter_queue``: the second holds what the first could not take (too large,
    no permission). Delivery is at least once and unordered, so ``function`` must be idempotent.
    ``python -m serverless_patterns.redrive`` sends failed events again.

    Args:
        function: Function, alias or version to invoke. You own its code. Its dead-letter queue and
            reserved concurrency are set here unless it has its own; an imported one keeps what it
            has.
        on_success: Queue, topic, function or event bus that takes a record of each success, with
            the event and what the function returned. Default: none.
        on_failure: Queue, topic, function, event bus or bucket that takes a record of each
            failure, with the event and the error. Default: a new queue.
        dead_letter_queue: Your own standard queue. Default: the function's, else a new one.
        retries: How often, and for how long, Lambda attempts an event.
        reserved_concurrency: Concurrent runs that are kept for the function, and the most it gets.
            Default: as the function is; without any, the account's pool.
        rollout: Publishes a version and moves the alias ``live`` to it in this way, such as
            ``codedeploy.LambdaDeploymentConfig.CANARY_10_PERCENT_5_MINUTES``; the errors alarm
            moves it back. Invoke ``target`` then, never the function itself. Default: no alias,
            new code takes over at once.
        encryption_key: Customer managed key of the new queues. Default: SQS-managed encryption.
        alarms: What the alarms do; ``max_age`` is how long an event may wait for its run. Default
            age: 15 minutes, or half of the maximum age if that is shorter.

    Attributes:
        function: The function itself.
        target: What to invoke: the function, or its alias.
        event_invoke_config: Retries, age and destinations.
        deployment_group: Moves the alias; None without ``rollout``.
        alarms: Every alarm of the pattern.

    Raises:
        ValueError: a configuration that would fail or lose events; the message says what to
            change.
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
        retries: Retries = Retries(),
        reserved_concurrency: int | None = None,
        rollout: codedeploy.ILambdaDeploymentConfig | None = None,
        encryption_key: kms.IKey | None = None,
        alarms: Alarms = Alarms(),
    ) -> None:
        super().__init__(scope, construct_id)
        invoked = Invoked(function, dead_letter_queue, reserved_concurrency, rollout)
        invoked.check(self, retries, alarms, on_success, on_failure, encryption_key)
        alarms, key = alarms.of_pattern(__name__), encryption_key
        self._given = function, on_success, on_failure

        self.function, self.target = invoked.function, invoked.target_in(self)
        succeeded = deliver(self, "on_success", on_success, self.function)
        self._failed = deliver(
            self, "on_failure", on_failure, self.function
        ) or deliver_to_new_queue(self, "FailureQueue", "on_failure", self.function, key)
        self._dead_letters = invoked.dead_letters_in(self, key)
        age = retries.max_event_age
        check_only_configuration(self, self.function, qualifier_of(self.target))
        self.event_invoke_config = configure(
            self,
            self.target,
            self._failed,
            succeeded,
            attempts=retries.attempts,
            max_age=age.to_seconds() if age else LAMBDA_ASYNC_MAX_AGE,
        )
        on_function = alarms_on_function(self, self.target, alarms, retries, invoked.timeout)
        on_queues = alarms_on_queues(self, alarms, self._failed, self._dead_letters)
        self.alarms = [*on_function.values(), *on_queues]
        self.deployment_group = self._rollout(rollout, on_function["Errors"]) if rollout else None

    @property
    def failure_queue(self) -> sqs.IQueue:
        """The queue with the records of failures.

        Raises:
            ValueError: the records go to something else.
        """
        if self._failed.kind != "queue":
            raise ValueError(
                f"Records of failures go to a {self._failed.kind}, not to a queue. Use the "
                "resource that you gave as on_failure."
            )
        return cast("sqs.IQueue", self._failed.resource)

    @property
    def dead_letter_queue(self) -> sqs.IQueue:
        """The function's dead-letter queue.

        Raises:
            ValueError: the function is imported or has a dead-letter topic.
        """
        if self._dead_letters is None or self._dead_letters.kind != "queue":
            raise ValueError(
                "The function is imported or has a dead-letter topic, so its dead-letter queue is "
                "not known here. Use it directly."
            )
        return cast("sqs.IQueue", self._dead_letters.resource)

    def grant_invoke(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` hand over events; with a rollout, to the alias only.

        Raises:
            ValueError: everybody, a service for anybody's resources, several principals at once,
                or one that Lambda does not know.
        """
        return grant_invoke(self, self.target, grantee, self._given)

    def grant_redrive(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` take failed events from queues and bucket, and invoke the function again.

        Raises:
            ValueError: see ``grant_invoke``.
        """
        grant = self.grant_invoke(grantee)
        for target in (self._failed, self._dead_letters):
            for taken in target.grant_take(self, grantee) if target else ():
                grant = grant.combine(taken)
        return grant

    def metric_async_event_age(self, **options: Any) -> cloudwatch.Metric:
        """How long events wait for their run, in milliseconds. ``options``: of the metric."""
        return self.target.metric("AsyncEventAge", **options)

    def metric_async_events_dropped(self, **options: Any) -> cloudwatch.Metric:
        """Events that Lambda dropped. ``options``: of the metric."""
        return self.target.metric("AsyncEventsDropped", **options)

    def metric_failed_events(self, **options: Any) -> cloudwatch.Metric:
        """Records in ``failure_queue``. ``options``: of the metric."""
        return self.failure_queue.metric_approximate_number_of_messages_visible(**options)

    def metric_dead_letters(self, **options: Any) -> cloudwatch.Metric:
        """Messages in ``dead_letter_queue``. ``options``: of the metric."""
        return self.dead_letter_queue.metric_approximate_number_of_messages_visible(**options)

    def _rollout(
        self, rollout: codedeploy.ILambdaDeploymentConfig, errors: cloudwatch.IAlarm
    ) -> codedeploy.LambdaDeploymentGroup:
        from aws_cdk import aws_codedeploy as codedeploy  # whoever gave it has imported it already

        return codedeploy.LambdaDeploymentGroup(
            self,
            "Rollout",
            alias=cast("lambda_.Alias", self.target),
            deployment_config=rollout,
            alarms=[errors],
        )
