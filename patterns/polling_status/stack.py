"""Orders of an auto-parts shop, accepted now and asked about later: by a queue, by a saga."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aws_cdk import RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk.aws_apigateway import JsonSchema, JsonSchemaType
from constructs import Construct

from ..blocks.consumers import Consumer
from ..blocks.definitions import Definition
from ..blocks.demo import MAX_CONCURRENCY, ShopStack, called_by, signed_requests_only
from ..blocks.findings import acknowledge_wildcards
from ..blocks.queues import NewQueue, SqsToLambda
from ..blocks.state_machines import new_state_machine
from ..blocks.values import seconds
from .construct import Alarms, Endpoint, NewApi, NewStatuses, PollingStatus

if TYPE_CHECKING:
    from aws_cdk import aws_lambda as lambda_

RECEIVES = 5
DEADLINE = seconds(120)
# Prices an order, or fails as the supplier does: by its currency.
QUOTE = json.dumps(
    {
        "QueryLanguage": "JSONata",
        "StartAt": "Known",
        "States": {
            "Known": {
                "Type": "Choice",
                "Choices": [{"Condition": "{% $states.input.currency = 'EUR' %}", "Next": "Price"}],
                "Default": "Unknown",
            },
            "Price": {
                "Type": "Pass",
                "Output": {
                    "order_id": "{% $states.input.order_id %}",
                    "total": "{% $states.input.total %}",
                },
                "End": True,
            },
            "Unknown": {"Type": "Fail", "Error": "UnknownCurrency"},
        },
    }
)
STATUSES = NewStatuses(removal_policy=RemovalPolicy.DESTROY)


def _schema(title: str) -> JsonSchema:
    """Return the shape of an order, or of one to be priced. What it means the work checks."""
    text, kind = JsonSchema(type=JsonSchemaType.STRING), JsonSchemaType
    fields = dict.fromkeys(("order_id", "customer_id", "currency", "total"), text)
    fields["lines"] = JsonSchema(type=kind.ARRAY, min_items=1)
    return JsonSchema(title=title, type=kind.OBJECT, required=[*fields], properties=fields)


class DemoStack(ShopStack):
    """``POST /orders`` through a queue, ``POST /quotes`` through a state machine."""

    def __init__(self, scope: Construct, construct_id: str, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        table = self.table("Orders", "pk")
        store = self.function("StoreOrders", "orders", TABLE_NAME=table.table_name)
        queue = SqsToLambda(
            self,
            "Queue",
            consumer=Consumer(
                store,
                batch_size=50,
                max_batching_window=seconds(1),
                max_concurrency=MAX_CONCURRENCY,
            ),
            queue=NewQueue(max_receive_count=RECEIVES),
            alarms=Alarms().of_pattern(__name__),
        )
        quote = new_state_machine(Construct(self, "Quote"), Definition(QUOTE), {})
        api = NewApi(rate_limit=400, burst_limit=400, cloud_watch_role=self.sets_cloud_watch_role)
        orders, front = self._polled(
            "OrderJobs", queue.queue, Endpoint("orders", schema=_schema("Order"), api=api)
        )
        quotes, _ = self._polled(
            "QuoteJobs", quote, Endpoint("quotes", schema=_schema("Quote"), api=orders.entry.api)
        )

        table.grant(store, "dynamodb:PutItem")
        self.keep_refused(store, queue.dead_letter_queue)
        orders.grant_report(store)
        for name, value in orders.report_environment.items():
            store.add_environment(name, value)
        store.add_environment("MAX_RECEIVE_COUNT", str(RECEIVES))
        customer = iam.Role(self, "Customer", assumed_by=iam.AccountRootPrincipal())
        for jobs in (orders, quotes):
            jobs.grant_execute(customer)
            of_any = jobs.status_method.method_arn.replace("{id}", "*")
            acknowledge_wildcards(customer, "The ids of jobs are the clients' own.", of_any)
        signed_requests_only(orders.entry.api)
        self.outputs(
            ApiUrl=orders.entry.api.deployment_stage.url_for_path(),
            QueueUrl=queue.queue.queue_url,
            DeadLetterQueueUrl=queue.dead_letter_queue.queue_url,
            MappingId=queue.event_source_mapping.event_source_mapping_id,
            FunctionName=store.function_name,
            FrontFunctionName=front.function_name,
            TableName=table.table_name,
            StatusTableName=orders.table.table_name,
            QuoteStatusTableName=quotes.table.table_name,
            StateMachineArn=quote.state_machine_arn,
            CustomerRoleArn=customer.role_arn,
        )

    def _polled(
        self, name: str, work: Any, endpoint: Endpoint
    ) -> tuple[PollingStatus, lambda_.Function]:
        front = self.function(f"{name}Front", "front")
        called_by(front, "An API calls it, and its client is told what fails.")
        made = PollingStatus(
            self,
            name,
            front=front,
            work=work,
            endpoint=endpoint,
            statuses=STATUSES,
            deadline=DEADLINE,
        )
        for variable, value in made.environment.items():
            front.add_environment(variable, value)
        return made, front
