"""table → stream → Lambda → AppSync Events → browser;  failed changes ⇢ failure queue ⇢ alarm"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from constructs import Construct

from ..blocks.alarms import Alarms
from ..blocks.event_apis import EventChannels, NewEventApi, Viewers
from ..blocks.grants import grantee_here, warn_of_fixed
from ..blocks.graphql_apis import GraphqlChannels, NewGraphqlApi
from ..blocks.stacks import role_in
from ..blocks.stream_consumers import StreamConsumer, StreamReader
from ..blocks.table_streams import NewTable, check_new_images, check_reader, source_of, table_of
from ..blocks.values import Path, expect, has

if TYPE_CHECKING:
    from aws_cdk import aws_appsync as appsync
    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_dynamodb as dynamodb
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_lambda as lambda_

__all__ = ["Alarms", "LiveUpdates", "NewEventApi", "NewGraphqlApi", "NewTable", "StreamConsumer",
           "Viewers"]  # fmt: skip


class LiveUpdates(Construct):
    """Show each client the changes of its own items at once, in a browser as well.

    The write is the event: the table's stream hands each change to ``publisher``, which publishes
    it to the channel ``/<namespace>/<owner>``, or to the GraphQL subscription of that owner. Only
    that function may publish, and a client may subscribe to its own only. AppSync keeps nothing:
    what a client misses while it is offline it fetches from your API, by the version that each
    event has; ``page/live.js`` does both. What cannot be published is named in the failure queue,
    which raises an alarm.

    Args:
        publisher: Function or alias that publishes the changes, or with its settings.
        viewers: Who may see what.
        namespace: First segment of every channel: 1 to 50 letters, digits or inner dashes; for
            GraphQL, letters and digits, after which the fields are named: ``publishOrders``,
            ``onOrders``. Default: ``orders``.
        table: Your own table with a stream, of this account and Region, or the settings of a new
            one.
        api: ``NewEventApi()``, ``NewGraphqlApi()``, or your own Event API or GraphQL API that
            authorizes the viewers and IAM. Default: a new Event API.
        alarms: What the alarms do. ``max_age`` is the age of a change that is not yet published.
            Default: 15 minutes.

    Attributes:
        table: Whose changes are published.
        api: The Event API or GraphQL API.
        channels: Its channels or fields; ``http_dns`` is where the function publishes,
            ``realtime_dns`` where clients connect.
        reader: The function's place in the stream, with its failure queue.
        alarms: Of the reader, and on publications that AppSync rejects.

    Raises:
        ValueError: a configuration that would fail, lose changes or show them to others; the
            message says what to change.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        publisher: lambda_.IFunction | StreamConsumer,
        viewers: Viewers,
        namespace: str = "orders",
        table: dynamodb.ITable | NewTable = NewTable(),
        api: appsync.IEventApi | appsync.GraphqlApi | NewEventApi | NewGraphqlApi = NewEventApi(),
        alarms: Alarms = Alarms(),
    ) -> None:
        super().__init__(scope, construct_id)
        expect("viewers", viewers, Viewers)
        expect("table", table, "ITable", NewTable)
        expect("api", api, "IEventApi", "IGraphqlApi", NewEventApi, NewGraphqlApi)
        expect("alarms", alarms, Alarms)
        publisher, alarms = StreamConsumer.of(publisher), alarms.of_pattern(__name__)
        self.table = table_of(self, "Table", table)
        check_new_images(self.table)
        check_reader(self.table, "The publisher", publisher)
        graphql = isinstance(api, NewGraphqlApi) or has(api, "graph_ql_endpoint_arn")
        kind: Any = GraphqlChannels if graphql else EventChannels
        self.channels: EventChannels | GraphqlChannels = kind(self, api, namespace, viewers)
        self.api, self._namespace = self.channels.api, namespace
        self.reader = StreamReader(
            self, "Publisher", source=source_of(self.table), consumer=publisher, alarms=alarms
        )
        role = role_in(self, publisher.function)
        self._grant_publish(role).apply_before(self.reader.event_source_mapping)
        self._given = (self.table, self.api, publisher.function)
        self.alarms = self.reader.alarms + self.channels.alarms(self, alarms)

    def grant_publish(self, grantee: iam.IGrantable) -> iam.Grant:
        """Let ``grantee`` publish to the namespace; no more."""
        return self._grant_publish(grantee_here(self, grantee, self._given))

    def _grant_publish(self, grantee: iam.IGrantable) -> iam.Grant:
        warn_of_fixed(grantee, f"publishing to {self._namespace} of {Path(self.api)}")
        return self.channels.grant_publish(grantee)

    def metric(self, name: str, **options: Any) -> cloudwatch.Metric:
        """Return a metric of the API or of the namespace, such as ``ActiveConnections``."""
        return self.channels.metric(name, **options)
