"""Price quotes of an auto-parts shop: asked for as if by a function call, over queues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import aws_iam as iam

from ..blocks.demo import MAX_CONCURRENCY, ShopStack, called_by
from ..blocks.values import seconds
from .construct import Consumer, NewQueue, RequestReply, Sweep

if TYPE_CHECKING:
    from aws_cdk import aws_lambda as lambda_
    from constructs import Construct


class DemoStack(ShopStack):
    """A responder that is a function, and one that is a process and answers in order."""

    def __init__(self, scope: Construct, construct_id: str, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        container = iam.ServicePrincipal("ecs-tasks.amazonaws.com")
        self._requester = iam.Role(self, "Requester", assumed_by=container)

        table = self.table("StoredQuotes", "pk")
        # Six times this, the queue hides a request: a second attempt is in time for its requester.
        quote = self.function("Quote", "quotes", timeout=5, TABLE_NAME=table.table_name)
        table.grant(quote, "dynamodb:PutItem")
        consumer = Consumer(quote, max_concurrency=MAX_CONCURRENCY)
        quotes = self._request_reply("Quotes", responder=consumer)
        _tell(quote, quotes.responder_environment)
        quotes.grant_respond(quote)
        self.keep_refused(quote, quotes.dead_letter_queue)

        own_table = self.table("FleetStoredQuotes", "pk")
        fleet = self._request_reply(
            "Fleet",
            "Fleet",
            responder=None,
            queue=NewQueue(fifo=True, visibility_timeout=seconds(20)),
        )
        role = iam.Role(self, "Responder", assumed_by=container)
        own_table.grant(role, "dynamodb:PutItem")
        fleet.grant_respond(role)
        self.outputs(
            FunctionName=quote.function_name,
            TableName=table.table_name,
            FleetTableName=own_table.table_name,
            FleetAnswersUrl=fleet.responder_environment["ANSWERS_URL"],
        )

    def _request_reply(self, construct_id: str, name: str = "", **given: Any) -> RequestReply:
        sweep = self.function(f"{name}Sweep", "sweep", timeout=300)
        called_by(sweep, "Nothing is lost with a run that fails: the next one finds the same.")
        made = RequestReply(self, construct_id, sweep=Sweep(sweep), **given)
        _tell(sweep, made.sweep_environment)
        made.grant_sweep(sweep)
        made.grant_request(self._requester)
        self.outputs(
            **{
                f"{name}QueueUrl": made.queue.queue_url,
                f"{name}DeadLetterQueueUrl": made.dead_letter_queue.queue_url,
                f"{name}Answers": made.answers,
                f"{name}SweepFunctionName": sweep.function_name,
            }
        )
        return made


def _tell(function: lambda_.Function, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        function.add_environment(name, value)
