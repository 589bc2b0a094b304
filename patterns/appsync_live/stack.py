"""Orders of an auto-parts shop, which each customer sees change on a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import RemovalPolicy
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_

from ..blocks.demo import ShopStack, called_by
from ..blocks.http_apis import api_for_users, demo_users
from ..blocks.tables import new_table
from .construct import LiveUpdates, StreamConsumer, Viewers

if TYPE_CHECKING:
    from constructs import Construct

NAMESPACE, BY_VERSION = "orders", "by-version"
PAGE = "http://127.0.0.1:8000"  # where `python -m …appsync_live.serve` shows it
ORDER = {"sk": {"S": [{"prefix": "ORDER#"}]}}
OF_ORDERS = {"eventName": ["INSERT", "MODIFY"], "dynamodb": {"Keys": ORDER}}


class DemoStack(ShopStack):
    """A table of orders by customer, their changes live, and an API to fetch what was missed."""

    def __init__(self, scope: Construct, construct_id: str, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        users = demo_users(self, "Customers")
        images, removal = dynamodb.StreamViewType.NEW_IMAGE, RemovalPolicy.DESTROY
        table = new_table(self, "Orders", "pk", "sk", stream=images, removal_policy=removal)
        version = dynamodb.Attribute(name="version", type=dynamodb.AttributeType.NUMBER)
        table.add_local_secondary_index(index_name=BY_VERSION, sort_key=version)
        publish = self.function("Publish", "publisher", NAMESPACE=NAMESPACE)
        live = LiveUpdates(
            self,
            "Live",
            table=table,
            namespace=NAMESPACE,
            viewers=Viewers.of_user_pool(users),
            publisher=StreamConsumer(
                function=publish,
                retry_attempts=4,
                filters=[lambda_.FilterCriteria.filter(OF_ORDERS)],
            ),
        )
        publish.add_environment("EVENTS_HOST", live.channels.http_dns)
        self.keep_refused(publish, live.reader.failure_queue)
        called_by(publish, "What it fails is named in its reader's failure queue.")

        fetch = self.function("Fetch", "orders", TABLE_NAME=table.table_name, INDEX_NAME=BY_VERSION)
        index = f"{table.table_arn}/index/{BY_VERSION}"
        query = iam.PolicyStatement(actions=["dynamodb:Query"], resources=[index])
        fetch.add_to_role_policy(query)
        called_by(fetch, "An API calls it, and its caller asks again.")
        by_password = cognito.AuthFlow(user_password=True)
        client = users.add_client("Page", auth_flows=by_password, disable_o_auth=True)
        url = api_for_users(self, "/orders", fetch, users=users, client=client, origins=[PAGE])
        self.outputs(
            TableName=table.table_name,
            HttpHost=live.channels.http_dns,
            RealtimeHost=live.channels.realtime_dns,
            OrdersUrl=url,
            UserPoolId=users.user_pool_id,
            ClientId=client.user_pool_client_id,
            FunctionName=publish.function_name,
            FailureQueueUrl=live.reader.failure_queue.queue_url,
        )
