"""client → API Gateway → Lambda → Aurora;  schedule → Lambda → Aurora, SQS → Lambda"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from ..blocks.alarms import MINUTE, Alarms, Runbook
from ..blocks.aurora import NewAurora, cluster_of, grant_data_api, secret_of
from ..blocks.consumers import check_has_role, check_may_run
from ..blocks.polling import HERE
from ..blocks.queues import NewQueue, grant_send
from ..blocks.stacks import role_in
from ..blocks.sweeps import NAMESPACE, rule_of
from ..blocks.tables import TableSettings, table_of
from ..blocks.values import Path, expect, expect_fields, in_seconds, seconds
from .construct import QUARTER, Consumer, Decoupled, Endpoint, check_given

if TYPE_CHECKING:
    from aws_cdk import aws_dynamodb as dynamodb
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_rds as rds
    from aws_cdk import aws_sqs as sqs
    from constructs import Construct

__all__ = ["DecoupledMessagingOnAurora", "NewAurora", "Relay"]

EVERY_MINUTE = seconds(MINUTE)
RELAY_FAILS = Runbook(
    means="Runs of the relay fail. Orders wait in the outbox, and none is lost.",
    see="Read its log: a cluster that resumes or is unavailable, a permission, or the queue.",
    fix="Fix the cause. The next run sends what waits.",
    verify="Errors falls to 0, and OutboxAge to 0.",
)
OUTBOX_WAITS = Runbook(
    means="Orders wait in the outbox for too long: the queue does not take them, or there are more "
    "than the relay sends.",
    see="Read the relay's log for codes of the queue; `SELECT attempts, count(*) FROM outbox GROUP "
    "BY attempts` shows what fails.",
    fix="Fix the queue or its permissions. If there is only too much to send, run the relay more "
    "often, or invoke it by hand: runs at the same time take other rows.",
    verify="OutboxAge falls to 0.",
)


@dataclass(frozen=True)
class Relay:
    """A function that sends what the outbox holds.

    Attributes:
        function: Function or alias, such as ``lambdas/decoupled_messaging/relay_aurora.py``. It
            reports the metric ``OutboxAge`` of the namespace ``ServerlessPatterns``.
        every: How often it runs, at least every minute. A cluster pauses only between runs that are
            more than five minutes apart. Default: every minute.

    Raises:
        ValueError: a value of the wrong type.
    """

    function: lambda_.IFunction
    every: Duration = EVERY_MINUTE

    def __post_init__(self) -> None:
        """Reject what cannot run."""
        expect_fields(self, function=("IFunction",), every=(Duration,))


class DecoupledMessagingOnAurora(Decoupled):
    """As ``DecoupledMessaging``, with the orders and their outbox in Aurora PostgreSQL.

    The front writes an order and its row of the outbox in one statement. The relay takes rows,
    which no other relay takes meanwhile, sends them, and deletes them in the same transaction. How
    an order ended is written to a table of DynamoDB, so that the consumer does not need the
    cluster.

    Args:
        front: Function or alias that answers, such as
            ``lambdas/decoupled_messaging/customer_aurora.py``. It needs the variables of
            ``environment``.
        relay: Function that sends, or with its schedule; it needs those of ``relay_environment``.
        consumer: See ``DecoupledMessaging``.
        endpoint: Where clients POST to, and who may.
        database: Your own cluster with the Data API and a secret, or the settings of a new one.
        database_name: Of the orders' database in your own cluster. Default: ``app``.
        statuses: Your own table with the keys ``pk`` and ``sk``, both strings; or the settings of a
            new one.
        queue: Your own standard queue, or the settings of a new one.
        deadline: When an order that has not ended has failed for its client. Default: 15 minutes.
        alarms: What the alarms do.

    Attributes:
        cluster: The cluster.
        table: The statuses.
        rule: What runs the relay.

    Raises:
        ValueError: a configuration that would fail or lose orders; the message says what to change.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        front: lambda_.IFunction,
        relay: lambda_.IFunction | Relay,
        consumer: lambda_.IFunction | Consumer,
        endpoint: Endpoint = Endpoint("orders"),
        database: rds.IDatabaseCluster | NewAurora = NewAurora(),
        database_name: str = "app",
        statuses: dynamodb.ITable | TableSettings = TableSettings(),
        queue: sqs.IQueue | NewQueue = NewQueue(),
        deadline: Duration = QUARTER,
        alarms: Alarms = Alarms(),
    ) -> None:
        super().__init__(scope, construct_id)
        check_given(front, endpoint, queue, deadline, alarms)
        expect("statuses", statuses, TableSettings, "ITable")
        alarms = alarms.of_pattern(__name__)
        relay = _relay(relay, deadline)

        self.cluster = cluster_of(self, "Database", database)
        self.table = table_of(self, "Statuses", statuses, "pk", "sk", reason=HERE)
        given = (relay.function, consumer, database, statuses, queue)
        self._answer_by(front, endpoint, deadline, alarms, *given)
        where = {
            "CLUSTER_ARN": self.cluster.cluster_arn,
            "SECRET_ARN": secret_of(self.cluster).secret_arn,
            "DATABASE_NAME": getattr(database, "database", database_name),
        }
        self.environment |= where
        grant_data_api(self.cluster, role_in(self, front))
        self.rule = rule_of(self, relay.function, relay.every)
        self._work(consumer, queue, alarms)
        grant_data_api(self.cluster, role_in(self, relay.function), transactions=True)
        grant_send(self.queue, role_in(self, relay.function))
        self.relay_environment = where | {"QUEUE_URL": self.queue.queue_url}
        self.alarms += _alarms(self, relay.function, alarms)


def _relay(relay: lambda_.IFunction | Relay, deadline: Duration) -> Relay:
    """Reject a relay that never runs, or not before orders have failed for their clients."""
    expect("relay", relay, "IFunction", Relay)
    relay = relay if isinstance(relay, Relay) else Relay(relay)
    check_has_role("relay", relay.function)
    check_may_run(Path(relay.function, "relay "), relay.function, "no order would be sent")
    every, ends = in_seconds(relay.every), in_seconds(deadline)
    if every is not None and ends is not None and every >= ends:
        raise ValueError(
            f"The relay runs every {every:g} s, and an order fails for its client after {ends:g} s "
            "(deadline), before it is sent. Run the relay more often, or give a later deadline."
        )
    return relay


def _alarms(scope: Construct, relay: lambda_.IFunction, alarms: Alarms) -> list[cloudwatch.Alarm]:
    age = cloudwatch.Metric(
        namespace=NAMESPACE,
        metric_name="OutboxAge",
        dimensions_map={"FunctionName": relay.function_name},
        statistic="Maximum",
        period=EVERY_MINUTE,
    )
    errors = relay.metric_errors(period=EVERY_MINUTE, statistic="Sum")
    rows = [
        ("OutboxAgeAlarm", age, OUTBOX_WAITS, alarms.age_or_half_of(None), 1),
        ("RelayErrorsAlarm", errors, RELAY_FAILS, 0.0, 3),
    ]
    return alarms.each(scope, rows)
