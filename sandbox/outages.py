"""Takes something away from a deployed stack for a while, and puts it back: for scenarios.

What was changed is put back when the block ends, on an exception and on Ctrl-C too, even while the
change is being made.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from . import queues

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .target import Deployment


@contextmanager
def table_away(stack: Deployment, function: str, variable: str = "TABLE_NAME") -> Iterator[None]:
    """Point a function at a table that does not exist.

    Args:
        stack: Where the function is.
        function: Its name.
        variable: Its environment variable that names the table. Default: TABLE_NAME.
    """
    lambda_ = stack.client("lambda")
    before = lambda_.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
    away = before | {variable: f"{before[variable]}-away"}
    with function_changed(stack, function, Environment={"Variables": away}):
        yield


@contextmanager
def function_changed(stack: Deployment, function: str, **settings: Any) -> Iterator[None]:
    """Give a function other settings, under the names of ``UpdateFunctionConfiguration``."""
    configuration = stack.client("lambda").get_function_configuration(FunctionName=function)
    before = {name: configuration[name] for name in settings}
    try:
        configure(stack, function, **settings)
        yield
    finally:
        configure(stack, function, **before)


def configure(stack: Deployment, function: str, **settings: Any) -> None:
    """Give a function other settings for good, and wait until it runs with them."""
    lambda_ = stack.client("lambda")
    lambda_.update_function_configuration(FunctionName=function, **settings)

    def updated() -> bool:
        status = lambda_.get_function_configuration(FunctionName=function)["LastUpdateStatus"]
        if status == "Failed":
            raise RuntimeError(f"{function} does not take {', '.join(settings)}.")
        return bool(status == "Successful")

    queues.until(updated, seconds=300, what=f"{function} is still being updated", pause=0.1)


@contextmanager
def queue_changed(stack: Deployment, queue_url: str, **attributes: str) -> Iterator[None]:
    """Give a queue other attributes, under the names of ``SetQueueAttributes``."""
    sqs = stack.client("sqs")
    before = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=list(attributes))
    try:
        sqs.set_queue_attributes(QueueUrl=queue_url, Attributes=attributes)
        yield
    finally:
        sqs.set_queue_attributes(QueueUrl=queue_url, Attributes=before["Attributes"])


@contextmanager
def quick_retries(stack: Deployment, queue_url: str, tries: int | None = None) -> Iterator[None]:
    """Let a queue deliver a failed message again after a second, so that an outage fits a scenario.

    Args:
        stack: Where the queue is.
        queue_url: A queue with a dead-letter queue.
        tries: After so many failed ones a message is dead-lettered. Default: as it is.
    """
    attributes = {"VisibilityTimeout": "1"}
    if tries:
        found = stack.client("sqs").get_queue_attributes(
            QueueUrl=queue_url, AttributeNames=["RedrivePolicy"]
        )
        policy = json.loads(found["Attributes"]["RedrivePolicy"]) | {"maxReceiveCount": tries}
        attributes["RedrivePolicy"] = json.dumps(policy)
    with queue_changed(stack, queue_url, **attributes):
        yield
