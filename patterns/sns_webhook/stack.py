"""Orders of an auto-parts shop: each change of their state reaches a garage and a carrier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager

from ..blocks.demo import MAX_CONCURRENCY, ShopStack, called_by
from ..blocks.findings import acknowledge
from ..blocks.layer import compiled_layer
from ..blocks.values import seconds
from .construct import Consumer, SnsWebhook, WebhookReceiver

if TYPE_CHECKING:
    from constructs import Construct

CARRIER = "carrier"
BATCH, WINDOW = 5, 1  # its events a call; seconds that the first one waits for others


class DemoStack(ShopStack):
    """The garage receives from SNS; the carrier, a third party, by a secret of its own."""

    def __init__(self, scope: Construct, construct_id: str, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        changes = SnsWebhook(self, "StateChanges")
        self._garage(changes)
        self._carrier(changes)
        self.outputs(TopicArn=changes.topic.topic_arn)

    def _garage(self, changes: SnsWebhook) -> None:
        """The client's side, which has a stack of its own in earnest."""
        table = self.table("GarageOrders", "pk", "sk")
        function = self.function("Receive", "receiver", TABLE_NAME=table.table_name)
        function.add_layers(compiled_layer(self, "Compiled"))
        table.grant(function, "dynamodb:PutItem")
        receiver = WebhookReceiver(self, "Garage", function=function, topics=[changes.topic])
        called_by(function, "SNS waits for its answer, and has a dead-letter queue.")
        endpoint = changes.add_endpoint("ToGarage", url=receiver.url)
        # SNS asks for the confirmation at once.
        endpoint.subscription.node.add_dependency(receiver, function, function.role or function)
        self.outputs(
            ReceiverFunctionName=function.function_name,
            ReceiverTableName=table.table_name,
            UndeliveredQueueUrl=endpoint.delivery_dead_letter_queue.queue_url,
            UndeliveredQueueArn=endpoint.delivery_dead_letter_queue.queue_arn,
        )

    def _carrier(self, changes: SnsWebhook) -> None:
        """Sign and post what waits in a queue of the carrier's own."""
        # 44 letters and digits are base64 of 33 bytes.
        secret = secretsmanager.Secret(
            self,
            "CarrierSecret",
            generate_secret_string=secretsmanager.SecretStringGenerator(
                exclude_punctuation=True, password_length=44
            ),
            removal_policy=RemovalPolicy.DESTROY,
        )
        acknowledge(
            secret,
            "AwsSolutions::AwsSolutions-SMG4",
            "It is rotated together with the client, who has to know the new one.",
        )
        endpoints = self.table("Endpoints", "pk")
        deliver = self.function(
            "Deliver",
            "deliver",
            CLIENT=CARRIER,
            ENDPOINTS_TABLE_NAME=endpoints.table_name,
            SIGNING_ARN=secret.secret_arn,
        )
        read = ["secretsmanager:GetSecretValue"]
        deliver.add_to_role_policy(iam.PolicyStatement(actions=read, resources=[secret.secret_arn]))
        endpoints.grant(deliver, "dynamodb:GetItem", "dynamodb:PutItem")
        subscriber = changes.add_queue(
            "ToCarrier",
            consumer=Consumer(
                deliver,
                batch_size=BATCH,
                max_batching_window=seconds(WINDOW),
                max_concurrency=MAX_CONCURRENCY,
            ),
        )
        deliver.add_environment("QUEUE_URL", subscriber.queue.queue_url)
        self.keep_refused(deliver, subscriber.dead_letter_queue)
        # The carrier says where its endpoint is, by an API of the shop's.
        register = self.function(
            "Register", "register", CLIENT=CARRIER, ENDPOINTS_TABLE_NAME=endpoints.table_name
        )
        endpoints.grant(register, "dynamodb:PutItem")
        called_by(register, "Its caller waits for the answer.")
        self.outputs(
            QueueUrl=subscriber.queue.queue_url,
            DeadLetterQueueUrl=subscriber.dead_letter_queue.queue_url,
            DeliveryDeadLetterQueueUrl=subscriber.delivery_dead_letter_queue.queue_url,
            DeliverFunctionName=deliver.function_name,
            RegisterFunctionName=register.function_name,
            SecretArn=secret.secret_arn,
        )
