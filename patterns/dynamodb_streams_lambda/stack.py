"""Orders of an auto-parts shop: one table, whose changes are projected and whose outbox is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import RemovalPolicy

from ..blocks.demo import ShopStack, called_by
from ..blocks.queues import QueueWithDeadLetterQueue, grant_send
from .construct import Alarms, DynamoDbStreamsToLambda, NewTable, StreamConsumer, operations

if TYPE_CHECKING:
    from constructs import Construct

WHY_NO_QUEUE = "A stream's reader calls it; what fails is named in the reader's failure queue."


def of_sort_key(condition: Any) -> dict[str, Any]:
    """Return the part of a filter that compares the sort key of a changed item."""
    return {"Keys": {"sk": {"S": [condition]}}}


class DemoStack(ShopStack):
    """One reader keeps the newest state of each order, one publishes the events of the outbox."""

    def __init__(self, scope: Construct, construct_id: str, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        table = NewTable(
            sort_key="sk",
            time_to_live_attribute="expires_at",
            removal_policy=RemovalPolicy.DESTROY,
        )
        orders = DynamoDbStreamsToLambda(self, "Orders", table=table)

        projected = self.table("Projection", "pk", "sk", time_to_live="expires_at")
        project = self.function("Project", "projection", TABLE_NAME=projected.table_name)
        projected.grant(project, "dynamodb:PutItem")
        every = operations("INSERT", "MODIFY", "REMOVE", dynamodb=of_sort_key("ORDER"))
        projection = orders.add_consumer(
            "Projection",
            StreamConsumer(function=project, parallelization_factor=4, filters=[every]),
        )

        # Consumers of other teams take the events from here.
        alarms = Alarms().of_pattern(__name__)
        events = QueueWithDeadLetterQueue(self, "Events", alarms=alarms).queue
        publish = self.function("Publish", "publisher", QUEUE_URL=events.queue_url)
        grant_send(events, publish)
        new = operations("INSERT", dynamodb=of_sort_key({"prefix": "EVENT#"}))
        # An outage of SQS that lasts longer than the retries is replayed.
        publisher = orders.add_consumer(
            "Publisher", StreamConsumer(function=publish, retry_attempts=4, filters=[new])
        )
        for function, reader in ((project, projection), (publish, publisher)):
            self.keep_refused(function, reader.failure_queue)
            called_by(function, WHY_NO_QUEUE)
        self.outputs(
            OrdersTableName=orders.table.table_name,
            StreamArn=orders.table.table_stream_arn or "",
            TableName=projected.table_name,
            FunctionName=project.function_name,
            FailureQueueUrl=projection.failure_queue.queue_url,
            EventsQueueUrl=events.queue_url,
            PublisherFunctionName=publish.function_name,
            PublisherFailureQueueUrl=publisher.failure_queue.queue_url,
        )
