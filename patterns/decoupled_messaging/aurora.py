"""client → API Gateway → Lambda → Aurora;  schedule → Lambda → Aurora, SQS → Lambda"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..blocks.alarms import Alarms
from ..blocks.aurora import NewAurora, cluster_of, grant_data_api, secret_of
from ..blocks.polling import HERE
from ..blocks.queues import NewQueue, grant_send
from ..blocks.relays import Relay, run_relay
from ..blocks.stacks import role_in
from ..blocks.tables import TableSettings, table_of
from ..blocks.values import expect
from .construct import QUARTER, Consumer, Decoupled, Endpoint, check_given

if TYPE_CHECKING:
    from aws_cdk import Duration
    from aws_cdk import aws_dynamodb as dynamodb
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_rds as rds
    from aws_cdk import aws_sqs as sqs
    from constructs import Construct

__all__ = ["DecoupledMessagingOnAurora", "NewAurora", "Relay"]


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
        relay = Relay.of(relay, deadline)

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
        self.rule, of_relay = run_relay(self, relay, alarms)
        self._work(consumer, queue, alarms)
        grant_data_api(self.cluster, role_in(self, relay.function), transactions=True)
        grant_send(self.queue, role_in(self, relay.function))
        self.relay_environment = where | {"QUEUE_URL": self.queue.queue_url}
        self.alarms += of_relay
