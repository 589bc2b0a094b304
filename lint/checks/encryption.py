"""Encrypted queues and topics that a service cannot write to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serverless_patterns.patterns.checks import kms

from .. import policies, wiring
from ..template import Finding, Findings, Resource, Scenario, is_unknown, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

USES_A_KEY = ("kms:GenerateDataKey", "kms:Decrypt")
KEYS = {
    "AWS::SQS::Queue": "KmsMasterKeyId",
    "AWS::SNS::Topic": "KmsMasterKeyId",
    "AWS::Kinesis::Stream": "StreamEncryption.KeyId",
    "AWS::Events::EventBus": "KmsKeyIdentifier",
}


def _sent(scenario: Scenario) -> Iterator[tuple[Resource, str, Resource]]:
    """Yield each queue or topic that a service sends to, the principal, and who makes it send."""
    ways = (wiring.deliveries, wiring.failures, wiring.alarm_actions)
    for delivery in (found for way in ways for found in way(scenario)):
        target = scenario.find(delivery.target, "AWS::SQS::Queue", "AWS::SNS::Topic")
        if target:
            yield target, delivery.service, delivery.source


@rule("E9151", "sqs", "kms", "events", "s3", "sns", shared=kms.service_may_use)
def managed_key(scenario: Scenario) -> Findings:
    """A service cannot send to a queue or topic encrypted with an AWS managed key.

    The policies of alias/aws/sqs and alias/aws/sns cannot be edited, so EventBridge, S3, SNS and
    CloudWatch cannot use these keys, and every delivery fails. Name in KmsMasterKeyId a customer
    managed key whose policy allows the service, or use SqsManagedSseEnabled of a queue.
    """
    for target, service, sender in _sent(scenario):
        name, key = f"{target}, to which {sender} sends,", str(target.get("KmsMasterKeyId"))
        problem = kms.service_may_use(name, key, service, "every delivery would fail")
        yield Finding(target, problem, ("KmsMasterKeyId",))


@rule("E9152", "sqs", "kms", "events", "s3", "sns")
def key_policy(scenario: Scenario) -> Findings:
    """A key must allow the service that sends to the queue or topic it encrypts.

    A service that sends to an encrypted queue or topic needs kms:GenerateDataKey and kms:Decrypt in
    the key's policy, or every delivery fails. Add a statement for the service principal, with
    aws:SourceArn or aws:SourceAccount.

    Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
    """
    for target, service, sender in _sent(scenario):
        key = wiring.key(scenario, target.get("KmsMasterKeyId"))
        origins = wiring.origins(scenario, sender)
        lacks = [
            action
            for action in USES_A_KEY
            if key
            and not policies.allows(
                scenario,
                [key.get("KeyPolicy")],
                policies.Request(action, service=service, sources=origins),
            )
        ]
        if key and lacks:
            yield Finding(
                key,
                f"{sender} sends to {target}, which {key} encrypts, and the key's policy does not "
                f"allow {service} {' and '.join(lacks)}: every delivery fails. Allow it.",
                ("KeyPolicy",),
            )


@rule("E9153", "kms", "sqs", "sns", "kinesis", "events", shared=kms.usable)
def usable_key(scenario: Scenario) -> Findings:
    """The key of a queue, topic, stream or bus must be enabled and symmetric.

    With a disabled key, nothing can be sent or read; an asymmetric or HMAC key cannot encrypt these
    resources. Set the key's Enabled to true, or leave it out, and leave KeySpec out.
    """
    for kind, place in KEYS.items():
        for resource in scenario.of(kind):
            key = wiring.key(scenario, resource.get(place))
            if key:
                enabled = key.flag("Enabled", default=True) is not False
                spec = key.get("KeySpec")
                known = None if is_unknown(spec) else spec
                problem = kms.usable(f"The key of {resource}", key, enabled=enabled, spec=known)
                yield Finding(key, problem, ("KeySpec" if enabled else "Enabled",))
