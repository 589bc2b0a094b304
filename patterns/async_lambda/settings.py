"""The function that is invoked, with what is set on it, and how Lambda attempts an event."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from aws_cdk import Annotations, Duration
from aws_cdk import aws_lambda as lambda_

from ..blocks import destinations
from ..blocks.alarms import Alarms
from ..blocks.consumers import check_has_role, facts_of, function_of, resource_of
from ..blocks.destinations import Target
from ..blocks.invocations import check_ends
from ..blocks.places import check_here
from ..blocks.stacks import beside, role_in, same_deployment, same_stack
from ..blocks.values import Path, child_of, expect, expect_fields, in_seconds, number
from ..checks import lambda_ as checks
from ..checks import period, reject
from ..limits import (
    LAMBDA_ASYNC_FIRST_WAIT,
    LAMBDA_ASYNC_MAX_AGE,
    LAMBDA_ASYNC_MIN_AGE,
    LAMBDA_ASYNC_RETRIES,
    LAMBDA_ASYNC_SECOND_WAIT,
    LAMBDA_MAX_TIMEOUT,
)

if TYPE_CHECKING:
    from aws_cdk import aws_codedeploy as codedeploy
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_sns as sns
    from aws_cdk import aws_sqs as sqs
    from constructs import Construct

    from ..blocks.destinations import Destination, SuccessDestination

WAITS = (LAMBDA_ASYNC_FIRST_WAIT, LAMBDA_ASYNC_SECOND_WAIT)
NEVER_RUNS = "Lambda would send every event straight to the failure destination"


@dataclass(frozen=True)
class Retries:
    """How often, and for how long, Lambda attempts an event.

    Attributes:
        attempts: Retries after a failed run, 0 to 2, after 1 and 2 minutes. Default: 2.
        max_event_age: How old an event may grow before Lambda drops it, 60 s to 6 h; longer than
            the retries take. Default: 6 hours.

    Raises:
        ValueError: a setting that Lambda rejects.
    """

    attempts: int = LAMBDA_ASYNC_RETRIES
    max_event_age: Duration | None = None

    def __post_init__(self) -> None:
        """Reject retries that Lambda does not make.

        Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-configuring.html
        """
        expect_fields(self, attempts=(int,), max_event_age=(Duration, None))
        attempts, age = number(self.attempts), self.known_age
        if attempts is not None and not 0 <= attempts <= LAMBDA_ASYNC_RETRIES:
            raise ValueError(
                f"attempts is {attempts:g}; it must be 0 to {LAMBDA_ASYNC_RETRIES}: Lambda retries "
                "an event no more often. For more retries, put a queue in front of the function."
            )
        if age is not None and not LAMBDA_ASYNC_MIN_AGE <= age <= LAMBDA_ASYNC_MAX_AGE:
            raise ValueError(
                f"max_event_age is {period(age)}; it must be {period(LAMBDA_ASYNC_MIN_AGE)} to "
                f"{period(LAMBDA_ASYNC_MAX_AGE)}."
            )

    @property
    def known_age(self) -> float | None:
        """The maximum age in seconds; None when only deployment knows."""
        return in_seconds(self.max_event_age) if self.max_event_age else LAMBDA_ASYNC_MAX_AGE

    @property
    def waits(self) -> float:
        """How long Lambda waits before all retries, in seconds; 0 when only deployment knows.

        Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
        """
        return sum(WAITS[: int(number(self.attempts) or 0)])

    def check(self, timeout: float | None, alarms: Alarms) -> None:
        """Reject an age at which an event is dropped before its last retry, or before its alarm.

        Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html

        ``timeout`` of the function is in seconds, None when it is not known.
        """
        age, attempts, alarm = (
            self.known_age,
            number(self.attempts) or 0,
            in_seconds(alarms.max_age),
        )
        needed = self.waits + attempts * (timeout or 0)
        if age is not None and attempts and age <= needed:
            raise ValueError(
                f"max_event_age is {period(age)}, but {attempts:g} retries can take "
                f"{period(needed)}: waits of {' and '.join(map(str, WAITS))} s, and runs of up to "
                "the function's timeout. The event would be dropped before its last retry. Raise "
                "max_event_age, or lower attempts."
            )
        if age is not None and alarm is not None and alarm >= age:
            raise ValueError(
                f"max_age is {period(alarm)}, but events are dropped at max_event_age, "
                f"{period(age)}, so the alarm would never go off. Lower max_age, or raise "
                "max_event_age."
            )


@dataclass(frozen=True)
class Invoked:
    """The function that is invoked, and what is to be set on it.

    Attributes:
        given: The function, or an alias or a version of it.
        dead_letter_queue: Its dead-letter queue. Default: as it is, else a new one.
        reserved_concurrency: What it reserves. Default: as it is.
        rollout: How its alias ``live`` is moved. Default: no alias.

    Raises:
        ValueError: it never runs, has a setting already, or is imported and cannot get it or has
            no role; or a rollout of an alias.
    """

    given: lambda_.IFunction
    dead_letter_queue: sqs.IQueue | None = None
    reserved_concurrency: int | None = None
    rollout: codedeploy.ILambdaDeploymentConfig | None = None

    def __post_init__(self) -> None:
        """Reject settings that the function cannot get, or by which it never runs.

        Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-configuring.html
        """
        expect("function", self.given, "IFunction")
        expect_fields(
            self,
            dead_letter_queue=("IQueue", None),
            reserved_concurrency=(int, None),
            rollout=("ILambdaDeploymentConfig", None),
        )
        if self.given.node.try_find_child("EventInvokeConfig"):
            raise ValueError(
                f"{self.given.node.path} has on_success, on_failure, max_event_age or "
                "retry_attempts of its own, and Lambda takes one configuration. Give them to this "
                "construct instead."
            )
        if self.resource is None:
            self._check_imported()
            return
        if self.rollout and not isinstance(self.given, lambda_.Function):
            raise ValueError(
                "rollout was given together with an alias or a version: the rollout publishes "
                "versions of a function and moves an alias of its own. Give the function, or leave "
                "rollout out."
            )
        if self.dead_letter_queue and self.resource.dead_letter_config:
            raise ValueError(
                "dead_letter_queue was given, but the function has a dead-letter queue or topic "
                "already. Leave one of them out."
            )
        self._check_concurrency(self.resource)

    @cached_property
    def function(self) -> lambda_.IFunction:
        """The function itself."""
        return function_of(self.given)

    @cached_property
    def resource(self) -> lambda_.CfnFunction | None:
        """The function's resource; None when it is imported."""
        return resource_of(self.given)

    @cached_property
    def timeout(self) -> float | None:
        """The function's timeout in seconds; None when it is not known."""
        return facts_of(self.given).timeout

    @cached_property
    def dead_letters(self) -> sqs.IQueue | sns.ITopic | None:
        """The given dead-letter queue, or what the function has; None if unknown or still none."""
        known: Any = self.function if self.resource else None
        own = known and (known.dead_letter_queue or known.dead_letter_topic)
        return self.dead_letter_queue or own

    @cached_property
    def lacks_dead_letters(self) -> bool:
        """Whether a dead-letter queue, given or new, is to be set on it."""
        return self.resource is not None and self.resource.dead_letter_config is None

    def check(
        self,
        scope: Construct,
        retries: Retries,
        alarms: Alarms,
        on_success: SuccessDestination | None,
        on_failure: Destination | None,
        key: kms.IKey | None,
    ) -> None:
        """Reject what would lose events, never end or fail to deploy; warn of what is imported.

        Raises:
            ValueError: see ``Retries.check``, ``check_place`` and ``Target.check``; one queue in
                two places, or a key that the new queues cannot use.
        """
        expect("retries", retries, Retries)
        expect("alarms", alarms, Alarms)
        retries.check(self.timeout, alarms)
        self.warn_if_imported(retries)
        self.check_place(scope)
        needed = on_failure is None or (self.lacks_dead_letters and not self.dead_letter_queue)
        destinations.check_key_of_new_queues(scope, key, self.function, needed=needed)
        given = {"on_success": on_success, "on_failure": on_failure}
        given["dead_letter_queue"] = self.dead_letters
        targets = [Target.of(name, one) for name, one in given.items() if one is not None]
        for target in targets:
            target.check(scope, self.function)
            if target.name == "on_success" and target.kind == "function":
                check_ends(self.function, function_of(target.resource))
        destinations.check_apart(*targets)
        if self.lacks_dead_letters:
            self.warn_of_published()

    def target_in(self, scope: Construct) -> lambda_.IFunction:
        """Set what was given, and return what to invoke: with a rollout, a new alias."""
        if self.resource and self.reserved_concurrency is not None:
            self.resource.reserved_concurrent_executions = self.reserved_concurrency
        if self.rollout is None:
            return self.given
        version = cast("lambda_.Function", self.given).current_version
        return lambda_.Alias(scope, "Alias", alias_name="live", version=version)

    def dead_letters_in(self, scope: Construct, key: kms.IKey | None) -> Target | None:
        """Return the dead-letter queue or topic, set on the function; None if it is not known."""
        there, name = beside(scope, self.function), "dead_letter_queue"
        target = destinations.deliver(there, name, self.dead_letters, self.function)
        if self.resource and self.lacks_dead_letters:
            target = target or destinations.deliver_to_new_queue(
                scope, "DeadLetterQueue", name, self.function, key
            )
            letters = lambda_.CfnFunction.DeadLetterConfigProperty(target_arn=target.arn)
            self.resource.dead_letter_config = letters
            # Lambda asks for the permission when it makes the function.
            self.resource.node.add_dependency(role_in(there, self.function))
        return target

    def check_place(self, scope: Construct) -> None:
        """Reject a function whose settings cannot be made where the construct is.

        Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-exports.html

        Raises:
            ValueError: it is in another account or Region; or in another stack, and something of
                it would need ``scope``, or a version's number, which changes, would be exported.
        """
        check_here(
            scope,
            Path(self.given, "function "),
            self.given,
            "its settings have to be made "
            "where it is. Make this construct in a stack of that account and Region.",
        )
        if self.resource is None or same_stack(scope, self.function):
            return
        queue = self.dead_letter_queue
        if queue and child_of(queue) and same_stack(scope, queue):
            raise ValueError(
                "dead_letter_queue is in this stack, but the function is in another one, which "
                "this stack needs: they would need each other. Make the queue in the function's "
                "stack, or leave it out: a new one is made there."
            )
        if self.rollout:
            raise ValueError(
                "rollout was given, but the function is in another stack: its versions, and the "
                "alias that is moved to them, have to be made together. Make this construct in the "
                "function's stack, or give an alias that is moved there."
            )
        if isinstance(self.given, lambda_.Version) and not same_deployment(scope, self.function):
            raise ValueError(
                "function is a version that is made in another stack: a deployment that publishes "
                "a new one would change an export that is in use, which CloudFormation rejects. "
                "Make this construct in the function's stack, or give an alias."
            )

    def warn_of_published(self) -> None:
        """Say that a version published earlier has no dead-letter queue of ours.

        Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
        """
        if isinstance(self.given, lambda_.Function):
            return
        version: Any = getattr(self.given, "version", self.given)
        version = self.given if isinstance(version, str) else version
        if version.node.id != "CurrentVersion":
            Annotations.of(self.given).add_warning_v2(
                "serverless-patterns:published-version",
                "Only versions that are published from now on have the dead-letter queue that is "
                "set here: it is part of a version. Use the function's current_version, or publish "
                "another one.",
            )

    def warn_if_imported(self, retries: Retries) -> None:
        """Say what an imported function needs."""
        if self.resource:
            return
        age, attempts, timeout = retries.known_age, number(retries.attempts), ""
        if age is not None and attempts and (age - retries.waits) / attempts <= LAMBDA_MAX_TIMEOUT:
            timeout = f", must have a timeout below {(age - retries.waits) / attempts:g} s"
        Annotations.of(self.given).add_warning_v2(
            "serverless-patterns:imported-function",
            "This function is imported, so it cannot be checked or changed: it needs a dead-letter "
            f"queue, which gets no alarm here, must not reserve 0 concurrent executions{timeout}, "
            "and its role must be allowed to deliver to the destinations.",
        )

    def _check_imported(self) -> None:
        names = ("dead_letter_queue", "reserved_concurrency", "rollout")
        if given := [name for name in names if getattr(self, name) is not None]:
            raise ValueError(
                f"{', '.join(given)} was given, but the function is imported, so nothing can be "
                "set on it here. Set it where the function is made."
            )
        check_has_role("The function", self.given)

    def _check_concurrency(self, resource: lambda_.CfnFunction) -> None:
        reserved, name = facts_of(self.given).reserved, "The function"
        if self.reserved_concurrency is not None:
            if resource.reserved_concurrent_executions is not None:
                already = "some" if reserved is None else f"{reserved:g}"
                raise ValueError(
                    f"reserved_concurrency is {self.reserved_concurrency}, but the function "
                    f"reserves {already} already. Set it in one place."
                )
            name = "With reserved_concurrency, the function"
            reserved = number(self.reserved_concurrency)
        reject(checks.never_runs(name, reserved, NEVER_RUNS))
