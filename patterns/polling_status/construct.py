"""client → API Gateway → Lambda → SQS or Step Functions;  client → status → DynamoDB"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from ..blocks import keys
from ..blocks.alarms import MINUTE, Alarms, Runbook
from ..blocks.consumers import check_has_role, check_may_run
from ..blocks.endpoints import JSON, Endpoint, NewApi
from ..blocks.grants import grantee_here, warn_of_fixed
from ..blocks.places import check_here, check_key_here
from ..blocks.queues import grant_send
from ..blocks.rest import RestEntry
from ..blocks.state_machines import grant_describe, grant_key, grant_start_execution
from ..blocks.tables import new_table
from ..blocks.values import Path, check_removal, expect, expect_fields, has, in_seconds, seconds

if TYPE_CHECKING:
    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_sqs as sqs
    from aws_cdk import aws_stepfunctions as stepfunctions

    Work = sqs.IQueue | stepfunctions.IStateMachine

__all__ = ["Alarms", "Endpoint", "NewApi", "NewStatuses", "PollingStatus"]

KEYS = ("pk", "sk")
WEEK, QUARTER = seconds(7 * 86400), seconds(900)
HERE = "its statuses are written with permissions of this account. Make this construct there."
FRONT_FAILS = Runbook(
    means="Calls of the front fail, so clients get 502 and must send their requests again.",
    see="Read its log for the error; AWS X-Ray shows the call that failed.",
    fix="Deploy a front that works, or raise its timeout or memory if it runs out of them.",
    verify="Errors falls to 0.",
)
FRONT_THROTTLED = Runbook(
    means="Lambda throttles the front, so clients get 5xx and must send their requests again.",
    see="Compare its ConcurrentExecutions with its reserved concurrency and the account's quota.",
    fix="Raise the reserved concurrency or the quota, or lower the rate limit of the API.",
    verify="Throttles falls to 0.",
)


@dataclass(frozen=True, kw_only=True)
class NewStatuses:
    """Settings of a new table of statuses. It is on demand, encrypted, and can be restored.

    Attributes:
        kept: How long a status is kept after it was written. Default: 7 days.
        encryption_key: Customer managed key. Default: a key that AWS owns.
        removal_policy: What happens to the table when the stack is deleted. Default: RETAIN.

    Raises:
        ValueError: a time below one second, or a key that encrypts nothing.
    """

    kept: Duration = WEEK
    encryption_key: kms.IKey | None = None
    removal_policy: RemovalPolicy = RemovalPolicy.RETAIN

    def __post_init__(self) -> None:
        """Reject what DynamoDB or the front rejects."""
        expect_fields(self, kept=(Duration,), encryption_key=("IKey", None))
        check_removal(self.removal_policy)
        kept = in_seconds(self.kept)
        if kept is not None and kept < 1:
            raise ValueError(
                "kept is 0 s, so no status would be there when a client asks. Keep it for longer "
                "than the longest job."
            )
        keys.check_key("encryption_key", self.encryption_key)


class PollingStatus(Construct):
    """Accept a job now, and tell its client how it is until it has ended.

    POST answers 202 with the job's id, ``Location`` and ``Retry-After``; GET of that location tells
    the state: ``accepted``, ``done`` with its result, or ``failed`` with the reason. ``work`` does
    the job: a queue with its consumer, or a state machine, as it is. A job that nobody finishes
    fails at its ``deadline``, so no client polls forever.

    The header ``Idempotency-Key`` names the job, so a request that is sent again is the same job. A
    job belongs to who signed its request, or whom the authorizer named: another client that asks
    for it gets the 404 of a job that there is not. Sessions of one role are one client; give each
    a role of its own, or an authorizer.

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
            ``expires_at``; or the settings of a new one.
        deadline: When a job that has not ended has failed. Default: 15 minutes.
        alarms: What the alarms do.

    Attributes:
        table: The statuses.
        entry: The way in: its API.
        submit_method, status_method: POST and GET.
        alarms: Every alarm of the pattern.

    Raises:
        ValueError: a configuration that would fail or lose jobs; the message says what to change.
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
        expect("deadline", deadline, Duration)
        expect("alarms", alarms, Alarms)
        _check_work(work)
        _check_endpoint(endpoint)
        _check_kept(statuses, deadline)
        check_has_role("front", front)
        check_may_run(Path(front, "front "), front, "every request would be answered with 5xx")
        alarms = alarms.of_pattern(__name__)
        self._deadline, self._given = deadline, (front, work, statuses)
        given: Any = work  # one of the two
        self._queue: sqs.IQueue | None = given if has(work, "queue_url") else None
        self._machine: stepfunctions.IStateMachine | None = None if self._queue else given
        self._kept = statuses.kept if isinstance(statuses, NewStatuses) else NewStatuses().kept

        self.table = _table_of(self, statuses)
        self.entry = RestEntry(self, "Entry", endpoint, alarms=alarms)
        self.submit_method = self.entry.add_function("POST", front)
        self.status_method = self.entry.add_function("GET", front, "{id}")
        self._let_front_work(front)
        self.alarms: list[cloudwatch.Alarm] = [*self.entry.alarms, *_on_front(self, front, alarms)]

    @property
    def url(self) -> str:
        """Where to POST to, and below which the statuses are.

        Raises:
            ValueError: the API's stage is not known here.
        """
        return self.entry.url

    @property
    def environment(self) -> dict[str, str]:
        """The variables that the front needs."""
        made = self.report_environment | {"DEADLINE_SECONDS": _text(self._deadline)}
        if self.entry.origins:
            made["CORS_ORIGINS"] = " ".join(self.entry.origins)
        if self._queue:
            made["QUEUE_URL"] = self._queue.queue_url
        if self._machine:
            made["STATE_MACHINE_ARN"] = self._machine.state_machine_arn
        return made

    @property
    def report_environment(self) -> dict[str, str]:
        """The variables that who reports how a job ended needs, beside ``MAX_RECEIVE_COUNT``."""
        kept = _text(self._kept)
        return {"STATUS_TABLE_NAME": self.table.table_name, "STATUS_SECONDS": kept}

    def grant_report(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee``, such as the queue's consumer, write how a job ended."""
        return self._grant(grantee, "dynamodb:PutItem")

    def grant_execute(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` submit jobs and ask for its own, with requests that it signs.

        Raises:
            ValueError: requests are not signed, or ``grantee`` cannot be granted it.
        """
        return self.entry.grant_execute(grantee_here(self, grantee, self._given))

    def _let_front_work(self, front: lambda_.IFunction) -> None:
        self._grant(front, "dynamodb:PutItem", "dynamodb:Query")
        grantee = grantee_here(self, front, self._given)
        if self._queue:
            grant_send(self._queue, grantee)
        if self._machine:
            grant_key(self._machine, grantee)
            grant_start_execution(self._machine, grantee)
            grant_describe(self._machine, grantee)

    def _grant(self, grantee: iam.IGrantable, *actions: str) -> iam.Grant:
        grantee = grantee_here(self, grantee, self._given)
        grant = self.table.grant(grantee, *actions)
        if self.table.encryption_key:
            self.table.encryption_key.grant(grantee, "kms:Decrypt", "kms:GenerateDataKey")
        warn_of_fixed(grantee, f"{', '.join(actions)} on {Path(self.table)}")
        return grant


def _text(duration: Duration) -> str:
    return str(int(duration.to_seconds()))


def _on_front(scope: Construct, front: lambda_.IFunction, alarms: Alarms) -> list[cloudwatch.Alarm]:
    """Go off when calls of the front fail, or are throttled.

    Source:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Best_Practice_Recommended_Alarms_AWS_Services.html
    """
    period = seconds(MINUTE)
    errors = front.metric_errors(period=period, statistic="Sum")
    throttles = front.metric_throttles(period=period, statistic="Sum")
    return alarms.each(
        scope,
        [
            ("FrontErrorsAlarm", errors, FRONT_FAILS, 0, 3),
            ("FrontThrottlesAlarm", throttles, FRONT_THROTTLED, 0, 5),
        ],
    )


def _check_work(work: Work) -> None:
    """Reject who would not do a job, or could not be asked about it.

    Sources: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html,
    https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html

    Raises:
        ValueError: it is a FIFO queue, or an Express state machine.
    """
    if getattr(work, "fifo", False):
        raise ValueError(
            f"work {Path(work)} is a FIFO queue, which needs a message group that a job has not. "
            "Use a standard queue."
        )
    if str(getattr(work, "state_machine_type", "")).endswith("EXPRESS"):
        raise ValueError(
            f"work {Path(work)} is an Express state machine, whose executions cannot be asked how "
            "they are. Use a Standard one, or StepFunctionsSaga(express=True), which answers at "
            "once."
        )


def _check_endpoint(endpoint: Endpoint) -> None:
    """Reject an endpoint where nobody knows who asks, or that takes what is no JSON.

    Source:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-usage-plans.html

    Raises:
        ValueError: requests are neither signed nor authorized, or have another content type.
    """
    expect("endpoint", endpoint, Endpoint)
    if endpoint.usage_plan and not endpoint.authorizer:
        raise ValueError(
            "endpoint has a usage plan and no authorizer: an API key does not say who asks, so "
            "everybody would be told of every job. Give an authorizer, too, or leave usage_plan "
            "out."
        )
    other = [kind for kind in endpoint.content_types if kind != JSON]
    if other:
        raise ValueError(
            f"endpoint accepts {other[0]}, but a job is JSON. Leave content_types out."
        )


def _check_kept(statuses: Any, deadline: Duration) -> None:
    """Reject statuses that are gone before their job has to end.

    Raises:
        ValueError: they are, or the deadline is over at once.
    """
    expect("statuses", statuses, NewStatuses, "ITable")
    ends = in_seconds(deadline)
    if ends is not None and ends < 1:
        raise ValueError("deadline is 0 s, so every job would fail at once. Give it at least 1 s.")
    kept = in_seconds(statuses.kept) if isinstance(statuses, NewStatuses) else None
    if ends is not None and kept is not None and kept <= ends:
        raise ValueError(
            f"kept is {kept:g} s, and a job may take {ends:g} s (deadline): its status would be "
            "gone before a client sees its end. Keep statuses for longer."
        )


def _table_of(scope: Construct, statuses: dynamodb.ITable | NewStatuses) -> dynamodb.ITable:
    if not isinstance(statuses, NewStatuses):
        check_here(scope, Path(statuses, "table "), statuses, HERE)
        keys.check_key_of(statuses)
        _check_schema(statuses)
        return statuses
    check_key_here(scope, statuses.encryption_key)

    return new_table(
        scope,
        "Statuses",
        *KEYS,
        time_to_live_attribute="expires_at",
        encryption_key=statuses.encryption_key,
        removal_policy=statuses.removal_policy,
    )


def _check_schema(table: dynamodb.ITable) -> None:
    """Reject a table of this app with other keys.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_KeySchemaElement.html

    Raises:
        ValueError: they are not ``pk`` and ``sk``.
    """
    resource: Any = table.node.default_child
    if not isinstance(resource, dynamodb.CfnTable):
        return
    found = [key.attribute_name for key in resource.key_schema]  # type: ignore[union-attr]
    if found != [*KEYS]:
        raise ValueError(
            f"table {Path(table)} has the keys {', '.join(found)}; statuses need the partition key "
            "pk and the sort key sk, both strings. Give a table with these, or leave statuses out."
        )
