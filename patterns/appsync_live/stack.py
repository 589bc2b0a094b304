"""Orders of an auto-parts shop, which each customer sees change on a page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aws_cdk import RemovalPolicy
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_apigatewayv2_authorizers as authorizers
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_appsync as appsync
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs

from ..blocks.demo import ShopStack, called_by
from ..blocks.findings import acknowledge
from ..blocks.tables import new_table
from .construct import LiveUpdates, StreamConsumer, Viewers

if TYPE_CHECKING:
    from constructs import Construct

NAMESPACE, BY_VERSION = "orders", "by-version"
PAGE = "http://127.0.0.1:8000"  # where `python -m …appsync_live.serve` shows it
WHY_NO_QUEUE = "A stream's reader calls it; what fails is named in the reader's failure queue."
WHY_NO_MFA = "The demo's users are made up; the scenario signs them in by password."
# One line a request, with nothing that names a person.
ACCESS_LOG = {
    name: f"$context.{name}" for name in ("requestId", "status", "responseLatency", "routeKey")
}
OF_ORDERS = {"eventName": ["INSERT", "MODIFY"]} | {
    "dynamodb": {"Keys": {"sk": {"S": [{"prefix": "ORDER#"}]}}}
}


class DemoStack(ShopStack):
    """A table of orders by customer, their changes live, and an API to fetch what was missed."""

    def __init__(self, scope: Construct, construct_id: str, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        users = self._users()
        table = self._orders()
        publish = self.function("Publish", "publisher", NAMESPACE=NAMESPACE)
        provider = appsync.AppSyncAuthProvider(
            authorization_type=appsync.AppSyncAuthorizationType.USER_POOL,
            cognito_config=appsync.AppSyncCognitoConfig(user_pool=users),
        )
        live = LiveUpdates(
            self,
            "Live",
            table=table,
            namespace=NAMESPACE,
            viewers=Viewers(provider=provider),
            publisher=StreamConsumer(
                function=publish,
                retry_attempts=4,
                filters=[lambda_.FilterCriteria.filter(OF_ORDERS)],
            ),
        )
        publish.add_environment("EVENTS_HOST", live.api.http_dns)
        self.keep_refused(publish, live.reader.failure_queue)
        called_by(publish, WHY_NO_QUEUE)
        client = users.add_client("Page", auth_flows=cognito.AuthFlow(user_password=True))
        self.outputs(
            TableName=table.table_name,
            HttpHost=live.api.http_dns,
            RealtimeHost=live.api.realtime_dns,
            OrdersUrl=self._catch_up(table, users, client),
            UserPoolId=users.user_pool_id,
            ClientId=client.user_pool_client_id,
            FunctionName=publish.function_name,
            FailureQueueUrl=live.reader.failure_queue.queue_url,
        )

    def _users(self) -> cognito.UserPool:
        users = cognito.UserPool(
            self,
            "Customers",
            self_sign_up_enabled=False,
            sign_in_aliases=cognito.SignInAliases(email=True),
            password_policy=cognito.PasswordPolicy(
                min_length=12, require_lowercase=True, require_uppercase=True,
                require_digits=True, require_symbols=True,
            ),
            removal_policy=RemovalPolicy.DESTROY,
        )  # fmt: skip
        for rule in ("AwsSolutions-COG2", "AwsSolutions-COG3", "AwsSolutions-COG8"):
            acknowledge(users, f"AwsSolutions::{rule}", WHY_NO_MFA)
        return users

    def _orders(self) -> dynamodb.Table:
        table = new_table(
            self,
            "Orders",
            "pk",
            "sk",
            stream=dynamodb.StreamViewType.NEW_IMAGE,
            removal_policy=RemovalPolicy.DESTROY,
        )
        version = dynamodb.Attribute(name="version", type=dynamodb.AttributeType.NUMBER)
        table.add_local_secondary_index(index_name=BY_VERSION, sort_key=version)
        return table

    def _catch_up(
        self, table: dynamodb.Table, users: cognito.UserPool, client: cognito.UserPoolClient
    ) -> str:
        """Make the API that answers what has changed since a version; return its URL."""
        function = self.function(
            "Fetch", "orders", TABLE_NAME=table.table_name, INDEX_NAME=BY_VERSION
        )
        index = f"{table.table_arn}/index/{BY_VERSION}"
        function.add_to_role_policy(
            iam.PolicyStatement(actions=["dynamodb:Query"], resources=[index])
        )
        called_by(function, "An API calls it, and its caller asks again.")
        api = apigateway.HttpApi(
            self,
            "Api",
            create_default_stage=False,
            cors_preflight=apigateway.CorsPreflightOptions(
                allow_origins=[PAGE],
                allow_methods=[apigateway.CorsHttpMethod.GET],
                allow_headers=["authorization"],
            ),
        )
        log = logs.LogGroup(
            self,
            "AccessLogs",
            retention=logs.RetentionDays.ONE_MONTH,
            removal_policy=RemovalPolicy.DESTROY,
        )
        stage = apigateway.HttpStage(
            self,
            "Stage",
            http_api=api,
            stage_name="$default",
            auto_deploy=True,
            throttle=apigateway.ThrottleSettings(rate_limit=100, burst_limit=200),
        )
        resource: Any = stage.node.default_child
        resource.access_log_settings = apigateway.CfnStage.AccessLogSettingsProperty(
            destination_arn=log.log_group_arn, format=json.dumps(ACCESS_LOG)
        )
        api.add_routes(
            path="/orders",
            methods=[apigateway.HttpMethod.GET],
            integration=integrations.HttpLambdaIntegration("Fetch", function),
            authorizer=authorizers.HttpUserPoolAuthorizer(
                "Customers", users, user_pool_clients=[client]
            ),
        )
        return f"{stage.url.rstrip('/')}/orders"
