"""The apps beside ``app.py`` whose synthesis is measured: ``python -m benchmarks.apps NAME N``."""

from __future__ import annotations

import sys

from aws_cdk import App, Stack
from aws_cdk import aws_sqs as sqs

from benchmarks import by_hand

PER_STACK = 15  # a stack holds 500 resources at most


def one_queue(app: App, _: int) -> None:
    """Build the floor: what the CDK itself takes."""
    sqs.Queue(Stack(app, "floor"), "Queue")


def first_five(app: App, _: int) -> None:
    """Build the first five patterns."""
    from serverless_patterns.patterns import catalog

    for build in by_hand.FIVE:
        pattern = catalog.find(build.__name__)
        pattern.demo_stack(app, pattern.stack_name)


def five_by_hand(app: App, _: int) -> None:
    """Build the first five patterns by hand."""
    for build in by_hand.FIVE:
        build(Stack(app, build.__name__.replace("_", "-")))


def orders_by_hand(app: App, count: int) -> None:
    """Build the resources of so many constructs by hand."""
    for stack, names in stacks(app, count):
        consumer = by_hand.function(stack, "Consumer")
        for name in names:
            by_hand.orders(stack, name, consumer)


def orders(app: App, count: int) -> None:
    """Build so many constructs."""
    from serverless_patterns.patterns.api_sqs_lambda.construct import (
        ApiGatewayToSqsToLambda,
        Endpoint,
    )

    for stack, names in stacks(app, count):
        consumer = by_hand.function(stack, "Consumer")
        for name in names:
            endpoint = Endpoint("orders")
            ApiGatewayToSqsToLambda(stack, name, consumer=consumer, endpoint=endpoint)


def stacks(app: App, count: int) -> list[tuple[Stack, list[str]]]:
    """Return stacks enough for so many constructs, each with the names for its own."""
    names = [f"Orders{number}" for number in range(count)]
    firsts = range(0, count, PER_STACK)
    return [(Stack(app, f"orders-{n}"), names[n : n + PER_STACK]) for n in firsts]


if __name__ == "__main__":
    cdk_app = App()
    globals()[sys.argv[1]](cdk_app, int(sys.argv[2]))
    cdk_app.synth()
