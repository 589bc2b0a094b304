"""A topic, and what SNS needs to deliver from it, whichever stack has the queues and keys."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from aws_cdk import Annotations
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs

from . import keys, places
from .grants import allow_service, service_principal
from .values import account_of, arn_of_queue, child_of, is_token, place_of, stack_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aws_cdk import IResource
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_sns as sns
    from constructs import Construct, IConstruct, IDependable

SNS = "sns.amazonaws.com"
KEY_ACTIONS = ["kms:Decrypt", "kms:GenerateDataKey"]


class Source:
    """A topic, and the permissions that SNS needs to deliver from it.

    Each holds for SNS on behalf of this topic of this account alone, so that nobody else's topic
    can use it (https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html).

    Args:
        topic: The topic.
        scope: Where its subscriptions are made. Default: the topic's stack.
        fifo: Whether it is FIFO. Default: as it says.
        arn: Its ARN, as policies of its own stack name it. Default: the topic's attribute.
        pattern: What matches its ARN, for policies in other stacks. Default: made of the topic's
            own name, or else all topics of its account and Region.
        encryption_key: Customer managed key of new queues for what it delivers. Default:
            SQS-managed encryption.

    Attributes:
        elsewhere: The topic's account or Region, if it is known to be another one than that of its
            subscriptions; else None.
    """

    def __init__(
        self,
        topic: sns.ITopic,
        *,
        scope: Construct | None = None,
        fifo: bool | None = None,
        arn: str | None = None,
        pattern: str | None = None,
        encryption_key: kms.IKey | None = None,
    ) -> None:
        self.topic, self.encryption_key = topic, encryption_key
        self.fifo: bool = topic.fifo if fifo is None else fifo
        self.elsewhere = places.elsewhere(scope, topic) if scope else None
        self._arn = arn or topic.topic_arn
        self._known_pattern = pattern
        self._stack = stack_of(topic)
        self._subscribes_in = stack_of(scope) if scope else self._stack
        here = child_of(topic) is not None  # of this app, so in the place of its stack
        self._account = account_of(self._stack) if here else topic.env.account
        self._region = place_of(self._stack if here else topic)[1]
        self._keys: set[kms.IKey] = set()

    @property
    def region(self) -> str | None:
        """The Region that a subscription has to name: the topic's, if it may be another one."""
        return None if self._region == place_of(self._subscribes_in)[1] else self._region

    def allow_queue(self, queue: sqs.IQueue) -> list[IDependable]:
        """Let SNS deliver from the topic into a queue; return what the subscription waits for."""
        arn, actions = self._arn_for(queue), ["sqs:SendMessage"]
        added = allow_service(queue, SNS, self._statement(queue, arn, actions, arn_of_queue(queue)))
        if not isinstance(queue, sqs.Queue):
            Annotations.of(queue).add_warning_v2(
                "serverless-patterns:imported-queue-policy",
                "This queue is imported, so its policy and encryption cannot be checked or changed "
                f"here: it must allow sqs:SendMessage to {SNS} with aws:SourceArn and "
                "aws:SourceAccount of the topic, and not be encrypted with the AWS managed key, or "
                "nothing is delivered.",
            )
        if key := keys.key_of(queue):
            self.allow_key(key)
        return [added]

    def allow_key(self, key: kms.IKey) -> None:
        """Let SNS encrypt with a key what it delivers, and decrypt what it replays."""
        if key in self._keys:
            return
        self._keys.add(key)
        added = key.add_to_resource_policy(
            self._statement(key, self._arn_for_key(key), KEY_ACTIONS, "*"), True
        )
        if not added.statement_added:
            Annotations.of(key).add_warning_v2(
                "serverless-patterns:imported-key-policy",
                "This key is imported, so its policy cannot be changed here: it must allow "
                f"{' and '.join(KEY_ACTIONS)} to {SNS} with aws:SourceArn and aws:SourceAccount of "
                "the topic, or nothing is delivered.",
            )

    def _arn_for(self, resource: IConstruct) -> str:
        """Return the ARN, or a pattern of it where two stacks would depend on each other.

        A stack of a subscription depends on the topic's anyway, unless that is nested in it.
        """
        stack = stack_of(resource)
        if stack is self._stack:
            return self._arn
        depends = stack is self._subscribes_in and self._stack.nested_stack_parent is None
        return self._arn if depends else self._pattern

    def _arn_for_key(self, key: kms.IKey) -> str:
        """Return the ARN, or a pattern of it where the key and the topic would name each other."""
        own_key = self.topic.master_key
        if self._known_pattern or own_key is None or not keys.same(own_key, key):
            return self._arn_for(key)
        return self._pattern

    @cached_property
    def _pattern(self) -> str:
        """What matches the ARN without referring to the topic."""
        if self._known_pattern is not None:
            return self._known_pattern
        resource: Any = child_of(self.topic)
        if resource is None:
            return self._arn
        name = resource.topic_name
        if name is None or is_token(name):
            name = "*.fifo" if self.fifo else "*"
        return self._stack.format_arn(service="sns", resource=name)

    def _statement(
        self, resource: IResource, arn: str, actions: list[str], acts_on: str
    ) -> iam.PolicyStatement:
        return iam.PolicyStatement(
            principals=[*self._principals(resource)],
            actions=actions,
            resources=[acts_on],
            conditions={
                "ArnLike": {"aws:SourceArn": arn},
                "StringEquals": {"aws:SourceAccount": self._account},
            },
        )

    def _principals(self, resource: IResource) -> Iterator[iam.ServicePrincipal]:
        """Yield SNS as the policy of a subscribed resource names it.

        Of an opt-in Region it is that Region's own: the resource's, or else the topic's. Where the
        resource's is not known, it is either.

        Source: https://docs.aws.amazon.com/sns/latest/dg/sns-cross-region-delivery.html
        """
        there, here = self._region, place_of_endpoint(resource)[1]
        if there is None or here is None or there == here:
            yield service_principal(SNS)
        if there is None or there == here:
            return
        from aws_cdk.region_info import RegionInfo  # few topics are in another Region

        opt_in = [one for one in (here, there) if one and RegionInfo.get(one).is_opt_in_region]
        if opt_in:
            yield iam.ServicePrincipal.from_static_service_principle_name(
                f"sns.{opt_in[0]}.amazonaws.com"
            )
        elif here:
            yield service_principal(SNS)


def place_of_endpoint(resource: IResource) -> tuple[str | None, str | None]:
    """Return ``place_of`` a resource; that of a queue of this app is known of its stack."""
    return place_of(stack_of(resource) if isinstance(resource, sqs.Queue) else resource)
