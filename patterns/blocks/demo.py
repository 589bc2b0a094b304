"""What the demo stacks share: functions of ``lambdas/``, tables, and plain outputs."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from aws_cdk import CfnOutput, RemovalPolicy, Stack

from .findings import acknowledge
from .functions import python_function
from .layer import dependency_layer
from .queues import grant_send
from .values import seconds

if TYPE_CHECKING:
    from aws_cdk import aws_apigateway as apigateway
    from aws_cdk import aws_dynamodb as dynamodb
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_sqs as sqs

CLOUD_WATCH_ROLE = "api-gateway-cloud-watch-role"
MAX_CONCURRENCY = 4  # more than the shop needs, well below a new account's quota


class ShopStack(Stack):
    """A stack of the auto-parts shop. Its pattern's slug is the package that it is defined in.

    Context ``api-gateway-cloud-watch-role=true`` also sets the account's role for API Gateway's
    logs; an account and Region needs it once.
    """

    @cached_property
    def layer(self) -> lambda_.LayerVersion:
        """The layer with what the handlers import."""
        return dependency_layer(self, "Dependencies")

    def function(
        self, construct_id: str, module: str, *, timeout: int = 30, **environment: str
    ) -> lambda_.Function:
        """Make a function of the pattern's ``lambdas/`` folder.

        Args:
            construct_id: Its id in the stack.
            module: The file with its ``handler``.
            timeout: Longest run, in seconds.
            environment: Its variables.
        """
        return python_function(
            self,
            construct_id,
            handler=f"{type(self).__module__.split('.')[-2]}.{module}.handler",
            layer=self.layer,
            timeout=seconds(timeout),
            environment=environment,
        )

    def table(
        self,
        construct_id: str,
        partition_key: str,
        sort_key: str | None = None,
        time_to_live: str | None = None,
    ) -> dynamodb.Table:
        """Make a table that is removed with the stack."""
        from .tables import new_table  # not every stack has a table

        return new_table(
            self,
            construct_id,
            partition_key,
            sort_key,
            time_to_live_attribute=time_to_live,
            removal_policy=RemovalPolicy.DESTROY,
        )

    @property
    def sets_cloud_watch_role(self) -> bool:
        """Whether the stack also sets the account's role for API Gateway's logs."""
        return bool(self.node.try_get_context(CLOUD_WATCH_ROLE) == "true")

    def keep_refused(self, function: lambda_.Function, dead_letter_queue: sqs.IQueue) -> None:
        """Let a queue's consumer send what no retry can fix to the dead-letter queue, with why."""
        function.add_environment("DEAD_LETTER_QUEUE_URL", dead_letter_queue.queue_url)
        grant_send(dead_letter_queue, function)
        called_by(function, "A queue calls it, so the dead-letter queue is the queue's.")

    def outputs(self, **values: str) -> None:
        """Make the stack's outputs."""
        for name, value in values.items():
            CfnOutput(self, name, value=value)


def called_by(function: lambda_.Function, reason: str) -> None:
    """Record why a function needs no dead-letter queue of its own."""
    acknowledge(function, "Serverless::Serverless-LambdaDLQ", reason)


def signed_requests_only(api: apigateway.IRestApi) -> None:
    """Record what protects the stack's API."""
    acknowledge(
        api,
        "AwsSolutions::AwsSolutions-COG4",
        "Callers sign their requests: the methods authorize by IAM.",
    )
    acknowledge(
        api,
        "AwsSolutions::AwsSolutions-APIG3",
        "A firewall is the account's to choose and to pay; the API takes signed requests only.",
    )
