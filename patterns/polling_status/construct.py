"""client → API Gateway → Lambda → SQS or Step Functions;  client → status → DynamoDB"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_cdk import Duration
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from ..blocks.alarms import Alarms
from ..blocks.apis import check_uncached
from ..blocks.consumers import check_has_role, check_may_run
from ..blocks.endpoints import JSON, Endpoint, NewApi
from ..blocks.fronts import alarms_of_front
from ..blocks.grants import grantee_here, warn_of_fixed
from ..blocks.queues import grant_send
from ..blocks.rest import RestEntry
from ..blocks.state_machines import grant_start
from ..blocks.tables import TableSettings, table_of
from ..blocks.values import Path, expect, has, in_seconds, seconds

if TYPE_CHECKING:
    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_sqs as sqs
    from aws_cdk import aws_stepfunctions as stepfunctions

    Work = sqs.IQueue | stepfunctions.IStateMachine

__all__ = ["Alarms", "Endpoint", "NewApi", "NewStatuses", "PollingStatus"]

WEEK, QUARTER = seconds(7 * 86400), seconds(900)
HERE = "its statuses are written with permissions of this account. Make this construct there."


@dataclass(frozen=True, kw_only=True)
class NewStatuses(TableSettings):
    """Settings of a new table of statuses; see ``TableSettings`` for its key and its removal.

    Attributes:
        kept: How long a status is kept after it was written. Default: 7 days.
    """

    kept: Duration = WEEK


class PollingStatus(Construct):
    """Accept a job now, and tell its client how it is until it has ended.

    POST answers 202 with the job's id, ``Location`` and ``Retry-After``; GET of that location tells
    the state: ``accepted``, ``running``, ``done`` with its result, or ``failed`` with the reason.
    ``work`` does the job: a queue with its consumer, or a state machine, as it is. A job that
    nobody finishes fails at its ``deadline``, so no client polls forever.

    The header ``Idempotency-Key`` names the job, so a request that is sent again is the same job. A
    job belongs to who signed its request, or whom the authorizer named: another client that asks
    for it gets the 404 of a job that there is not. Sessions of one role are one client, so that a
    new process can go on with a job; give each client a role of its own, or an authorizer.

    The client sees 202; 400 for a body that is no JSON or breaks the schema; 403 unsigned; 404; 409
    for another request under the same key; 422 for one that the work does not take; 429 throttled;
    5xx when the job was not accepted. A GET sees 200, or 304 when it names the state by
    ``If-None-Match``.

    Args:
        front: Function or alias that answers both, such as ``lambdas/polling_status/front.py``. It
            needs the variables of ``environment``.
        work: The queue, standard, or the state machine, Standard, that does the jobs.
        endpoint: Where clients POST to, and who may.
        statuses: Your own table with the keys ``pk`` and ``sk``, both strings, and the time to live
            ``expires_at``, which keeps them for 7 days; or the settings of a new one.
        deadline: When a job that has not ended has failed. Default: 15 minutes.
        alarms: What the alarms do.

    Attributes:
        table: The statuses.
        entry: The way in: its API.
        submit_method, status_method: POST and GET.
        environment: The variables that the front needs.
        report_environment: The variables that who reports how a job ended needs, beside
            ``MAX_RECEIVE_COUNT``.
        alarms: Every alarm of the pattern.

    Raises:
        ValueError: a configuration that would fail or lose jobs, or tell others of them; the
            message says what to change.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        front: lambda_.IFunction,
        work: Work,
        endpoint: Endpoint = Endpoint("jobs"),
        statuses: dynamodb.ITable | NewStatuses = NewStatuses(),
        deadline: Duration = QUARTER,
        alarms: Alarms = Alarms(),
    ) -> None:
        super().__init__(scope, construct_id)
        expect("front", front, "IFunction")
        expect("work", work, "IQueue", "IStateMachine")
        expect("statuses", statuses, NewStatuses, "ITable")
        expect("deadline", deadline, Duration)
        expect("alarms", alarms, Alarms)
        _check_work(work)
        _check_endpoint(endpoint)
        kept = statuses.kept if isinstance(statuses, NewStatuses) else WEEK
        _check_kept(kept, deadline)
        check_has_role("front", front)
        check_may_run(Path(front, "front "), front, "every request would be answered with 5xx")
        alarms = alarms.of_pattern(__name__)
        self._given = (front, work, statuses)

        expires = {"time_to_live_attribute": "expires_at"}
        self.table = table_of(self, "Statuses", statuses, "pk", "sk", reason=HERE, **expires)
        self.entry = RestEntry(self, "Entry", endpoint, alarms=alarms)
        self.submit_method = self.entry.add_function("POST", front)
        self.status_method = self.entry.add_function("GET", front, "{id}")
        lasts, given = f"{kept.to_seconds():.0f}", f"{deadline.to_seconds():.0f}"
        own = {"STATUS_TABLE_NAME": self.table.table_name, "STATUS_SECONDS": lasts}
        self.report_environment = own
        self.environment = own | {"DEADLINE_SECONDS": given} | self._let_work(front, work)
        if self.entry.origins:
            self.environment["CORS_ORIGINS"] = " ".join(self.entry.origins)
        own_alarms = alarms_of_front(self, front, alarms)
        self.alarms: list[cloudwatch.Alarm] = [*self.entry.alarms, *own_alarms]

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

    def _let_work(self, front: lambda_.IFunction, work: Any) -> dict[str, str]:
        """Let the front write, read and hand over; return the variable that says to whom."""
        grantee = grantee_here(self, front, self._given)
        self._grant(front, "dynamodb:PutItem", "dynamodb:Query")
        if has(work, "queue_url"):
            grant_send(work, grantee)
            return {"QUEUE_URL": work.queue_url}
        grant_start(work, grantee, express=False)
        return {"STATE_MACHINE_ARN": work.state_machine_arn}

    def _grant(self, grantee: iam.IGrantable, *actions: str) -> iam.Grant:
        grantee = grantee_here(self, grantee, self._given)
        grant = self.table.grant(grantee, *actions)
        if self.table.encryption_key:
            self.table.encryption_key.grant(grantee, "kms:Decrypt", "kms:GenerateDataKey")
        warn_of_fixed(grantee, f"{', '.join(actions)} on {Path(self.table)}")
        return grant


def _check_work(work: Work) -> None:
    """Reject who would not do a job, or could not be asked about it.

    Sources: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html,
    https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html
    """
    if getattr(work, "fifo", False):
        raise ValueError(
            f"work {Path(work)} is a FIFO queue, which needs a message group that a job has not. "
            "Use a standard queue."
        )
    if str(getattr(work, "state_machine_type", "")).endswith("EXPRESS"):
        raise ValueError(
            f"work {Path(work)} is an Express state machine, whose executions cannot be described. "
            "Use a Standard one, or StepFunctionsSaga(express=True), which answers at once."
        )


def _check_endpoint(endpoint: Endpoint) -> None:
    """Reject an endpoint where nobody knows who asks, or that takes what is no JSON.

    Source:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-usage-plans.html
    """
    expect("endpoint", endpoint, Endpoint)
    if endpoint.usage_plan and not endpoint.authorizer:
        raise ValueError(
            "endpoint has a usage plan and no authorizer: an API key does not say who asks, so all "
            "would be told of every job. Give an authorizer, too, or leave usage_plan out."
        )
    for kind in endpoint.content_types:
        if kind != JSON:
            raise ValueError(f"endpoint accepts {kind}; a job is JSON. Leave content_types out.")
    check_uncached(endpoint)


def _check_kept(kept: Duration, deadline: Duration) -> None:
    """Reject statuses that are gone before their job has to end."""
    expect("kept", kept, Duration)
    lasts, ends = in_seconds(kept), in_seconds(deadline)
    if ends is not None and ends < 1:
        raise ValueError("deadline is 0 s, so every job would fail at once. Give it at least 1 s.")
    if ends is not None and lasts is not None and lasts <= ends:
        raise ValueError(
            f"kept is {lasts:g} s, and a job may take {ends:g} s (deadline): its status would be "
            "gone before a client sees its end. Keep statuses for longer, or end jobs earlier."
        )
