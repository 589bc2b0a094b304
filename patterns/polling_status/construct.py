"""client → API Gateway → Lambda → SQS or Step Functions;  client → status → DynamoDB"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_cdk import Duration
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_

from ..blocks.alarms import Alarms
from ..blocks.endpoints import Endpoint, NewApi
from ..blocks.grants import grantee_here
from ..blocks.polling import HERE, Polled, check_deadline, check_endpoint, check_front, check_queue
from ..blocks.queues import grant_send
from ..blocks.state_machines import grant_start
from ..blocks.tables import TableSettings, table_of
from ..blocks.values import Path, expect, has, in_seconds, seconds

if TYPE_CHECKING:
    from aws_cdk import aws_sqs as sqs
    from aws_cdk import aws_stepfunctions as stepfunctions
    from constructs import Construct

    Work = sqs.IQueue | stepfunctions.IStateMachine

__all__ = ["Alarms", "Endpoint", "NewApi", "NewStatuses", "PollingStatus"]

WEEK, QUARTER = seconds(7 * 86400), seconds(900)


@dataclass(frozen=True, kw_only=True)
class NewStatuses(TableSettings):
    """Settings of a new table of statuses; see ``TableSettings`` for its key and its removal.

    Attributes:
        kept: How long a status is kept after it was written. Default: 7 days.
    """

    kept: Duration = WEEK


class PollingStatus(Polled):
    """Accept a job now, and tell its client how it is until it has ended.

    POST answers 202 with the job's id, ``Location`` and ``Retry-After``; GET of that location tells
    the state: ``accepted``, ``running``, ``done`` with its result, or ``failed`` with the reason.
    ``work`` does the job: a queue with its consumer, or a state machine, as it is. A job that
    nobody finishes fails at its ``deadline``, so no client polls forever.

    The header ``Idempotency-Key`` names the job, so a request that is sent again is the same job. A
    job belongs to who signed its request, or whom the authorizer named: another client that asks
    for it gets the 404 of a job that does not exist. Sessions of one role are one client, so that a
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
        report_environment: The variables that who reports how a job ended needs, in addition to
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
        _check_given(front, work, endpoint, deadline, alarms)
        kept = _checked_kept(statuses, deadline)
        alarms = alarms.of_pattern(__name__)

        expires = {"time_to_live_attribute": "expires_at"}
        self.table = table_of(self, "Statuses", statuses, "pk", "sk", reason=HERE, **expires)
        lasts = f"{kept.to_seconds():.0f}"
        self._answer_by(front, endpoint, deadline, alarms, work, statuses, STATUS_SECONDS=lasts)
        self.environment |= self._let_work(front, work)

    def _let_work(self, front: lambda_.IFunction, work: Any) -> dict[str, str]:
        """Let the front write, read and hand over; return the variable that says to whom."""
        grantee = grantee_here(self, front, self._given)
        if has(work, "queue_url"):
            grant_send(work, grantee)
            return {"QUEUE_URL": work.queue_url}
        grant_start(work, grantee, express=False)
        return {"STATE_MACHINE_ARN": work.state_machine_arn}


def _check_given(
    front: lambda_.IFunction, work: Work, endpoint: Endpoint, deadline: Duration, alarms: Alarms
) -> None:
    """Reject arguments that would fail or lose jobs, or tell others of them."""
    expect("work", work, "IQueue", "IStateMachine")
    expect("alarms", alarms, Alarms)
    _check_work(work)
    check_endpoint(endpoint)
    check_deadline(deadline, work)
    check_front(front)


def _check_work(work: Work) -> None:
    """Reject who would not do a job, or could not be asked about it.

    Source: https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html
    """
    check_queue("work", work)
    if str(getattr(work, "state_machine_type", "")).endswith("EXPRESS"):
        raise ValueError(
            f"work {Path(work)} is an Express state machine, whose executions cannot be described. "
            "Use a Standard one, or StepFunctionsSaga(express=True), which answers at once."
        )


def _checked_kept(statuses: dynamodb.ITable | NewStatuses, deadline: Duration) -> Duration:
    """Return how long statuses are kept, if that is until their job has to end."""
    expect("statuses", statuses, NewStatuses, "ITable")
    kept = statuses.kept if isinstance(statuses, NewStatuses) else WEEK
    expect("kept", kept, Duration)
    lasts, ends = in_seconds(kept), in_seconds(deadline)
    if ends is not None and lasts is not None and lasts <= ends:
        raise ValueError(
            f"kept is {lasts:g} s, and a job may take {ends:g} s (deadline): its status would be "
            "gone before a client sees its end. Keep statuses for longer, or end jobs earlier."
        )
    return kept
