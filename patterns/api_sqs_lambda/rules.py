"""The rules of a queue behind an API: what SQS needs of each message."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aws_cdk import Annotations

from ..blocks.alarms import Alarms
from ..blocks.apis import check_circle
from ..blocks.endpoints import RequestField
from ..blocks.queues import NewQueue, resource_of
from ..blocks.values import Path, expect
from ..checks import reject
from ..checks import sqs as checks
from ..limits import SQS_ATTRIBUTE_NAME, SQS_MESSAGE_ATTRIBUTES
from .mapping import ATTRIBUTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_cdk import aws_sqs as sqs
    from constructs import Construct

    from ..blocks.consumers import Consumer
    from ..blocks.endpoints import Endpoint


def check(
    scope: Construct,
    consumer: Consumer,
    endpoint: Endpoint,
    queue: sqs.IQueue | NewQueue,
    group: RequestField | None,
    deduplication: RequestField | None,
    attributes: Mapping[str, RequestField],
    alarms: Alarms,
) -> None:
    """Reject what the API cannot send to the queue, and stacks that need each other.

    Raises:
        ValueError: see ``check_message``, ``check_attributes`` and ``check_circle``.
    """
    expect("alarms", alarms, Alarms)
    check_message(queue, group, deduplication)
    check_attributes(attributes)
    key = queue.encryption_key if isinstance(queue, NewQueue) else None
    needed = {"consumer": consumer.function, "encryption_key": key, "alarms": alarms}
    check_circle(scope, endpoint, needed, None if isinstance(queue, NewQueue) else queue)


def check_message(
    queue: sqs.IQueue | NewQueue, group: RequestField | None, deduplication: RequestField | None
) -> None:
    """Reject ids that do not fit the queue; warn where its deduplication is not known.

    Lint E9174. Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html

    Raises:
        ValueError: a FIFO queue without a group id or any deduplication, or a standard queue with
            a deduplication id.
    """
    expect("queue", queue, "IQueue", NewQueue)
    expect("message_group_id", group, RequestField, None)
    expect("deduplication_id", deduplication, RequestField, None)
    own = None if isinstance(queue, NewQueue) else queue
    resource = resource_of(own) if own else None
    by_content = bool(resource.content_based_deduplication) if resource else None
    if isinstance(queue, NewQueue):
        by_content = queue.content_based_deduplication is not False
    if queue.fifo:
        problem = checks.fifo_message(
            "The API",
            Path(own) if own else "that it creates",
            group=group is not None,
            deduplication=deduplication is not None,
            by_content=by_content,
            fix="Give message_group_id, such as RequestField.body('order_id'), and, unless the "
            "queue has content_based_deduplication, deduplication_id",
        )
        reject(problem)
    elif deduplication is not None:
        raise ValueError(
            f"deduplication_id is {deduplication.name!r}, but a standard queue does not "
            "deduplicate. Leave it out, or use NewQueue(fifo=True)."
        )
    if own and own.fifo and resource is None and deduplication is None:
        Annotations.of(own).add_warning_v2(
            "serverless-patterns:imported-fifo-queue",
            "This queue is imported, so its deduplication cannot be checked: it needs "
            "ContentBasedDeduplication, since there is no deduplication_id, or SQS rejects every "
            "message.",
        )


def check_attributes(attributes: Mapping[str, RequestField]) -> None:
    """Reject attributes that SQS does not take.

    Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html

    Raises:
        ValueError: too many, or a name that is not one, or that every message has already.
    """
    expect("attributes", attributes, dict)
    left = SQS_MESSAGE_ATTRIBUTES - len(ATTRIBUTES)
    if len(attributes) > left:
        raise ValueError(
            f"attributes has {len(attributes)}; it must have {left} at most, since a message has "
            f"{SQS_MESSAGE_ATTRIBUTES} and {', '.join(ATTRIBUTES)} are there already."
        )
    for name, value in attributes.items():
        expect(f"attributes[{name!r}]", value, RequestField)
        reserved = name in ATTRIBUTES or name.lower().startswith(("aws.", "amazon."))
        spelled = re.fullmatch(r"(?!\.)(?!.*\.\.)[\w.-]+(?<!\.)", name, re.ASCII)
        if reserved or not spelled or len(name) > SQS_ATTRIBUTE_NAME:
            raise ValueError(
                f"attributes has {name!r}; a name must be 1 to {SQS_ATTRIBUTE_NAME} letters, "
                "digits, _, - and single dots inside, not AWS.… or Amazon.…, and not "
                f"{' or '.join(ATTRIBUTES)}."
            )
