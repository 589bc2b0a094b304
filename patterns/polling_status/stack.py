"""Orders of an auto-parts shop, accepted now, asked about later: a queue's, a state machine's."""

from __future__ import annotations

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
    from collections.abc import Mapping

    from aws_cdk import aws_lambda as lambda_

RECEIVES, DEADLINE = 5, seconds(120)
# Prices an order, or fails as the supplier does: by its currency.
QUOTE = """{
  "QueryLanguage": "JSONata",
  "StartAt": "Known",
  "States": {
    "Known": {"Type": "Choice", "Default": "Unknown",
      "Choices": [{"Condition": "{% $states.input.currency = 'EUR' %}", "Next": "Price"}]},
    "Price": {"Type": "Pass", "End": true,
      "Output": "{% {'order_id': $states.input.order_id, 'total': $states.input.total} %}"},
    "Unknown": {"Type": "Fail", "Error": "UnknownCurrency"}
}}"""
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
        receives = str(RECEIVES)
        store = self.function(
            "StoreOrders", "orders", TABLE_NAME=table.table_name, MAX_RECEIVE_COUNT=receives
        )
        settings: dict[str, Any] = {"batch_size": 50, "max_batching_window": seconds(1)}
        queue = SqsToLambda(
            self,
            "Queue",
            consumer=Consumer(store, max_concurrency=MAX_CONCURRENCY, **settings),
            queue=NewQueue(max_receive_count=RECEIVES),
            alarms=Alarms().of_pattern(__name__),
        )
        quote = new_state_machine(Construct(self, "Quote"), Definition(QUOTE), {})
        api = NewApi(rate_limit=400, burst_limit=400, cloud_watch_role=self.sets_cloud_watch_role)
        own = Endpoint("orders", schema=_schema("Order"), api=api)
        orders, front = self._polled("OrderJobs", queue.queue, own)
        shared = Endpoint("quotes", schema=_schema("Quote"), api=orders.entry.api)
        quotes, _ = self._polled("QuoteJobs", quote, shared)

        table.grant(store, "dynamodb:PutItem")
        self.keep_refused(store, queue.dead_letter_queue)
        orders.grant_report(store)
        _set(store, orders.report_environment)
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
            StateMachineArn=quote.state_machine_arn,
            CustomerRoleArn=customer.role_arn,
        )

    def _polled(
        self, name: str, work: Any, endpoint: Endpoint
    ) -> tuple[PollingStatus, lambda_.Function]:
        front = self.function(f"{name}Front", "front")
        called_by(front, "An API calls it, and its client is told what fails.")
        given: dict[str, Any] = {"endpoint": endpoint, "statuses": STATUSES, "deadline": DEADLINE}
        made = PollingStatus(self, name, front=front, work=work, **given)
        _set(front, made.environment)
        return made, front


def _set(function: lambda_.Function, variables: Mapping[str, str]) -> None:
    for name, value in variables.items():
        function.add_environment(name, value)
