"""Queues of answers: made at run time by requesters, found by their name, swept when idle.

They are in no template, so a name prefix stands for them: in the policies of requester, responder
and sweep, and in what each of the three is told. ``lambdas/foundation/responding.py`` answers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from aws_cdk import Aws
from aws_cdk import aws_iam as iam

from ..checks import period, reject
from ..checks import sqs as checks
from ..limits import SQS_MAX_RETENTION, SQS_MIN_RETENTION, SQS_QUEUE_NAME
from . import keys
from .findings import acknowledge_wildcards
from .grants import principal_of, warn_of_fixed
from .names import name_known_before_creation
from .queues import delay_of, retention_of, visibility_of
from .values import Path, in_seconds, stack_of

if TYPE_CHECKING:
    from aws_cdk import aws_sqs as sqs
    from constructs import Construct

    from .consumers import Consumer

BEATS = 6  # in the time after which a queue is idle: five may fail
SHORTEST_IDLE = 300  # seconds: tagging is throttled for the whole account
OF_REQUESTERS = 23  # characters of a name that are left for a requester's own, after a dash
REQUESTER = ("CreateQueue", "TagQueue", "ReceiveMessage", "DeleteMessage", "DeleteQueue")


class AnswerQueues:
    """The answer queues of all requesters that send to one queue.

    Args:
        scope: The construct that they are of; it has one such set.
        requests: Where requests are sent to; its customer managed key is that of the answers.
        timeout: How long a requester waits for an answer, in seconds.
        idle: How long after its requester's last heartbeat a queue is swept, in seconds.

    Attributes:
        prefix: What their names begin with.

    Raises:
        ValueError: a requester that waits for nothing, or longer than SQS keeps its answer; or a
            queue that is swept between two heartbeats.
    """

    def __init__(self, scope: Construct, requests: sqs.IQueue, timeout: float, idle: float) -> None:
        _check_times(timeout, idle)
        self._scope, self._stack, self._timeout, self._idle = scope, stack_of(scope), timeout, idle
        self._key = keys.key_of(requests)
        longest = SQS_QUEUE_NAME - OF_REQUESTERS
        self.prefix = f"{name_known_before_creation(scope, longest=longest)}-"
        self._arn = self._stack.format_arn(service="sqs", resource=f"{self.prefix}*")

    @property
    def told_to_requesters(self) -> str:
        """What a requester needs to know, as JSON: the prefix, its times, and attributes."""
        tls = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sqs:*",
            "Resource": self._arn,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
        key, policy = self._key, {"Version": "2012-10-17", "Statement": [tls]}
        encrypted = {"KmsMasterKeyId": key.key_arn} if key else {"SqsManagedSseEnabled": "true"}
        told = {
            "prefix": self.prefix,
            "timeout": self._timeout,
            "heartbeat": self._idle / BEATS,
            "attributes": {
                "MessageRetentionPeriod": str(max(SQS_MIN_RETENTION, math.ceil(self._timeout))),
                "Policy": self._stack.to_json_string(policy),
                **encrypted,
            },
        }
        return self._stack.to_json_string(told)

    @property
    def url(self) -> str:
        """How their URLs begin: with this account and Region."""
        place = f"https://sqs.{Aws.REGION}.{Aws.URL_SUFFIX}/{Aws.ACCOUNT_ID}"
        return f"{place}/{self.prefix}"

    @property
    def told_to_sweep(self) -> dict[str, str]:
        """The variables that the sweep needs."""
        return {"ANSWERS_URL": self.url, "IDLE_SECONDS": f"{self._idle:.0f}"}

    def grant_have(self, to: iam.IGrantable) -> iam.Grant:
        """Let a requester make a queue, receive from it, and delete it."""
        return self._grant(to, REQUESTER)

    def grant_answer(self, to: iam.IGrantable) -> iam.Grant:
        """Let a responder send to them, and to no other queue."""
        if self._key:
            self._key.grant(to, "kms:Decrypt", "kms:GenerateDataKey")
        return self._grant(to, ["SendMessage"])

    def grant_sweep(self, to: iam.IGrantable) -> iam.Grant:
        """Let a sweep find them and delete them, and no others."""
        listing = ["sqs:ListQueues"]
        iam.Grant.add_to_principal(grantee=to, actions=listing, resource_arns=["*"])
        acknowledge_wildcards(principal_of(to), "SQS takes no resource for listing queues.", "*")
        return self._grant(to, ("ListQueueTags", "DeleteQueue"))

    def _grant(self, to: iam.IGrantable, verbs: Any) -> iam.Grant:
        actions = [f"sqs:{verb}" for verb in verbs]
        grant = iam.Grant.add_to_principal(grantee=to, actions=actions, resource_arns=[self._arn])
        why = "Each requester makes a queue of its own, below this name."
        acknowledge_wildcards(principal_of(to), why, self._arn)
        warn_of_fixed(to, Path(self._scope, "the use of the answer queues of "))
        return grant


def check_times(queue: sqs.IQueue, consumer: Consumer | None, waits: float) -> None:
    """Reject a queue that delivers requests, or delivers them again, when nobody waits any more.

    Args:
        queue: Of the requests.
        consumer: The function that responds; None: a process does.
        waits: How long a requester waits, in seconds.

    Raises:
        ValueError: it is too long for who waits, or is not kept for so long.
    """
    path, hidden, kept = Path(queue), visibility_of(queue), retention_of(queue)
    delayed = delay_of(queue) or 0
    window = (consumer and in_seconds(consumer.max_batching_window)) or 0
    reject(checks.asked_in_vain(path, delayed, waits))
    if hidden is not None:
        reject(checks.retried_too_late(path, hidden, waits, delayed, window))
    if kept is not None:
        reject(checks.expires_while_awaited(path, kept, waits))


def _check_times(timeout: float, idle: float) -> None:
    if not 1 <= timeout <= SQS_MAX_RETENTION:
        raise ValueError(
            f"timeout is {period(timeout)}; it must be 1 s to {period(SQS_MAX_RETENTION)}, for "
            "which SQS keeps an answer."
        )
    if idle < SHORTEST_IDLE:
        raise ValueError(
            f"idle is {period(idle)}; it must be {period(SHORTEST_IDLE)} or more: a heartbeat "
            "is a tag, and SQS throttles tagging for the whole account."
        )
