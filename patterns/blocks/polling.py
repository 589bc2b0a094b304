"""client → API Gateway → Lambda → DynamoDB: accepts a job, and says how it is when asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import Duration
from constructs import Construct

from ..checks import period
from .apis import check_uncached
from .consumers import check_has_role, check_may_run
from .endpoints import JSON, Endpoint
from .fronts import alarms_of_front
from .grants import grantee_here, warn_of_fixed
from .queues import NewQueue, delay_of
from .rest import RestEntry
from .values import Path, expect, has, in_seconds

if TYPE_CHECKING:
    from aws_cdk import aws_apigateway as apigateway
    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_dynamodb as dynamodb
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_lambda as lambda_

    from .alarms import Alarms

HERE = "its statuses are written with permissions of this account. Make this construct there."


class Polled(Construct):
    """A front whose POST accepts a job, and whose GET tells the client how it is.

    Attributes:
        table: The statuses.
        entry: The way in: its API.
        submit_method, status_method: POST and GET.
        environment: The variables that the front needs.
        report_environment: The variables that who reports how a job ended needs, in addition to
            ``MAX_RECEIVE_COUNT``.
        alarms: Of the API and of the front.
    """

    table: dynamodb.ITable
    entry: RestEntry
    submit_method: apigateway.Method
    status_method: apigateway.Method
    environment: dict[str, str]
    report_environment: dict[str, str]
    alarms: list[cloudwatch.Alarm]

    def _answer_by(
        self,
        front: lambda_.IFunction,
        endpoint: Endpoint,
        deadline: Duration,
        alarms: Alarms,
        *given: object,
        **kept: str,
    ) -> None:
        """Let a front answer, and read and write the statuses in ``table``.

        Args:
            front: The function.
            endpoint: Where clients POST to, and who may.
            deadline: When a job that has not ended has failed.
            alarms: What the alarms do.
            given: What else the construct was given, which may be in another stack.
            kept: ``STATUS_SECONDS``, unless statuses are kept.

        Raises:
            ValueError: a front that could not answer.
        """
        self._given = (front, *given)
        self.entry = RestEntry(self, "Entry", endpoint, alarms=alarms)
        self.submit_method = self.entry.add_function("POST", front)
        self.status_method = self.entry.add_function("GET", front, "{id}")
        self.report_environment = {"STATUS_TABLE_NAME": self.table.table_name, **kept}
        ends = f"{deadline.to_seconds():.0f}"
        self.environment = self.report_environment | {"DEADLINE_SECONDS": ends}
        if self.entry.origins:
            self.environment["CORS_ORIGINS"] = " ".join(self.entry.origins)
        self.alarms = [*self.entry.alarms, *alarms_of_front(self, front, alarms)]
        self._grant(front, "dynamodb:PutItem", "dynamodb:Query")

    @property
    def url(self) -> str:
        """Where to POST to, and below which the statuses are.

        Raises:
            ValueError: the API's stage is not known here.
        """
        return self.entry.url

    def grant_report(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee``, such as the queue's consumer, write how a job ended."""
        return self._grant(grantee, "dynamodb:PutItem")

    def grant_execute(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` submit jobs and ask for its own, with requests that it signs.

        Raises:
            ValueError: requests are not signed, or ``grantee`` cannot be granted it.
        """
        return self.entry.grant_execute(grantee_here(self, grantee, self._given))

    def _grant(self, grantee: iam.IGrantable, *actions: str) -> iam.Grant:
        grantee = grantee_here(self, grantee, self._given)
        grant = self.table.grant(grantee, *actions)
        if self.table.encryption_key:
            self.table.encryption_key.grant(grantee, "kms:Decrypt", "kms:GenerateDataKey")
        warn_of_fixed(grantee, f"{', '.join(actions)} on {Path(self.table)}")
        return grant


def check_front(front: lambda_.IFunction) -> None:
    """Reject a front that cannot be granted anything, or that never runs."""
    expect("front", front, "IFunction")
    check_has_role("front", front)
    check_may_run(Path(front, "front "), front, "every request would be answered with 5xx")


def check_endpoint(endpoint: Endpoint) -> None:
    """Reject an endpoint where nobody knows who asks, or that takes what is not JSON.

    Source:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-usage-plans.html
    """
    expect("endpoint", endpoint, Endpoint)
    if endpoint.usage_plan and not endpoint.authorizer:
        raise ValueError(
            "endpoint has a usage plan and no authorizer: an API key does not say who asks, so "
            "every client could see every job. Give an authorizer, too, or leave usage_plan out."
        )
    for kind in endpoint.content_types:
        if kind != JSON:
            raise ValueError(f"endpoint accepts {kind}; a job is JSON. Leave content_types out.")
    check_uncached(endpoint)


def check_deadline(deadline: Duration, work: Any) -> None:
    """Reject a deadline that ends every job at once, or before ``work``, a queue, delivers it."""
    expect("deadline", deadline, Duration)
    ends = in_seconds(deadline)
    if ends is not None and ends < 1:
        raise ValueError("deadline is 0 s, so every job would fail at once. Give it at least 1 s.")
    new = isinstance(work, NewQueue)
    queue = "queue" if new else Path(work)
    delay = in_seconds(work.delivery_delay) if new else has(work, "queue_url") and delay_of(work)
    if delay and ends is not None and delay >= ends:
        raise ValueError(
            f"{queue} delays jobs by {period(delay)}, and deadline is {period(ends)}: every job "
            "would have failed before it is delivered. Give a later deadline, or a shorter delay."
        )


def check_queue(name: str, queue: Any) -> None:
    """Reject a queue that does not take jobs.

    Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
    """
    if getattr(queue, "fifo", False):
        raise ValueError(
            f"{name} {Path(queue)} is a FIFO queue, which needs a message group that a job has "
            "not. Use a standard queue."
        )
