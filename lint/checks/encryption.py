"""Encrypted queues that a service cannot write to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import template, wiring

if TYPE_CHECKING:
    from collections.abc import Iterator

SQS_PAGE = (
    "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/"
    "sqs-key-management.html"
)
KEY_STATES = "https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html"
MANAGED = ("alias/aws/sqs", "alias/aws/sns")
KEYS = {
    "AWS::SQS::Queue": "KmsMasterKeyId",
    "AWS::SNS::Topic": "KmsMasterKeyId",
    "AWS::Kinesis::Stream": "StreamEncryption.KeyId",
    "AWS::Events::EventBus": "KmsKeyIdentifier",
}


def _sent(scenario: template.Scenario) -> Iterator[tuple[template.Resource, str, str]]:
    """Yield each queue or topic that a service sends to, the principal, and who makes it send."""
    ways = (wiring.deliveries, wiring.failures, wiring.alarm_actions)
    for delivery in (found for way in ways for found in way(scenario)):
        target = scenario.find(delivery.target, "AWS::SQS::Queue", "AWS::SNS::Topic")
        if target:
            yield target, delivery.service, delivery.source.id


class ManagedKey(template.Rule):
    id = "E9151"
    shortdesc = "A service cannot send to a queue or topic encrypted with an AWS managed key"
    description = (
        "The policies of alias/aws/sqs and alias/aws/sns cannot be edited, so EventBridge, S3, SNS "
        "and CloudWatch may not use them, and every delivery fails. Use a customer key whose "
        "policy admits the service, or SqsManagedSseEnabled of a queue."
    )
    source_url = SQS_PAGE
    tags = ["sqs", "kms", "events", "s3", "sns"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for target, service, sender in _sent(scenario):
            key = str(target.get("KmsMasterKeyId"))
            if key.endswith(MANAGED):
                alias = next(name for name in MANAGED if key.endswith(name))
                yield template.Finding(
                    target,
                    f"{sender} sends to {target.id}, which {alias} encrypts: {service} may not "
                    "use that key, so every delivery fails. Use a customer key that admits the "
                    "service, or SqsManagedSseEnabled of a queue.",
                    ("KmsMasterKeyId",),
                )


class KeyPolicy(template.Rule):
    id = "E9152"
    shortdesc = "A key must admit the service that sends to the queue or topic it encrypts"
    description = (
        "A service that sends to an encrypted queue or topic needs kms:GenerateDataKey and "
        "kms:Decrypt in the key's policy, or every delivery fails. Add a statement for the "
        "service principal, with aws:SourceArn or aws:SourceAccount."
    )
    source_url = SQS_PAGE
    tags = ["sqs", "kms", "events", "s3", "sns"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for target, service, sender in _sent(scenario):
            key = wiring.key(scenario, target.get("KmsMasterKeyId"))
            if key and not wiring.admits(key.get("KeyPolicy"), service):
                yield template.Finding(
                    key,
                    f"{sender} sends to {target.id}, which {key.id} encrypts, and the key's policy "
                    f"does not admit {service}: every delivery fails. Allow it "
                    "kms:GenerateDataKey and kms:Decrypt.",
                    ("KeyPolicy",),
                )


class DisabledKey(template.Rule):
    id = "E9153"
    shortdesc = "The key of a queue, topic, stream or bus must be enabled"
    description = (
        "A disabled key encrypts nothing: whatever is sent is refused, and what is there cannot "
        "be read. Set Enabled to true, or leave it out."
    )
    source_url = KEY_STATES
    tags = ["kms", "sqs", "sns", "kinesis", "events"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for kind, place in KEYS.items():
            for resource in scenario.of(kind):
                key = wiring.key(scenario, resource.get(place))
                if key and key.flag("Enabled", default=True) is False:
                    yield template.Finding(
                        key,
                        f"{key.id} is disabled and encrypts {resource.id}: whatever is sent there "
                        "is refused. Set Enabled to true.",
                        ("Enabled",),
                    )
