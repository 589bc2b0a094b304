"""Encrypted queues that a service cannot write to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lint import template, wiring

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (
    "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/"
    "sqs-key-management.html"
)


def _sent(scenario: template.Scenario) -> Iterator[tuple[template.Resource, str, str]]:
    """Yield each queue that a service principal sends to, the principal, and who makes it send."""
    for delivery, queue in wiring.deliveries_to_queues(scenario):
        yield queue, delivery.service, delivery.source.id
    for target in wiring.rule_targets(scenario):
        queue_of_failures = scenario.queue(target.dead_letter_queue)
        if queue_of_failures:
            yield queue_of_failures, target.service, target.source.id
    for subscription in scenario.of("AWS::SNS::Subscription"):
        queue_of_failures = scenario.queue(subscription.get("RedrivePolicy.deadLetterTargetArn"))
        if queue_of_failures:
            yield queue_of_failures, "sns.amazonaws.com", subscription.id


class ManagedKey(template.Rule):
    id = "E9151"
    shortdesc = "A service cannot send to a queue encrypted with the AWS managed key"
    description = (
        "The policy of alias/aws/sqs cannot be edited, so EventBridge, S3 and SNS may not use it, "
        "and every delivery fails. Use SqsManagedSseEnabled, or a customer key whose policy "
        "admits the service."
    )
    source_url = PAGE
    tags = ["sqs", "kms", "events", "s3", "sns"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for queue, service, sender in _sent(scenario):
            if str(queue.get("KmsMasterKeyId")).endswith("alias/aws/sqs"):
                yield template.Finding(
                    queue,
                    f"{sender} sends to {queue.id}, which alias/aws/sqs encrypts: {service} may "
                    "not use that key, so every delivery fails. Use SqsManagedSseEnabled, or a "
                    "customer key that admits the service.",
                    ("KmsMasterKeyId",),
                )


class KeyPolicy(template.Rule):
    id = "E9152"
    shortdesc = "A queue's key must admit the service that sends to the queue"
    description = (
        "A service that sends to an encrypted queue needs kms:GenerateDataKey and kms:Decrypt in "
        "the key's policy, or every delivery fails. Add a statement for the service principal, "
        "with aws:SourceArn or aws:SourceAccount."
    )
    source_url = PAGE
    tags = ["sqs", "kms", "events", "s3", "sns"]

    def check(self, scenario: template.Scenario) -> Iterator[template.Finding]:
        for queue, service, sender in _sent(scenario):
            key = scenario.find(queue.get("KmsMasterKeyId"), "AWS::KMS::Key", "AWS::KMS::Alias")
            if key and key.type == "AWS::KMS::Alias":
                key = scenario.find(key.get("TargetKeyId"), "AWS::KMS::Key")
            if key and not wiring.admits(key.get("KeyPolicy"), service):
                yield template.Finding(
                    key,
                    f"{sender} sends to {queue.id}, which {key.id} encrypts, and the key's policy "
                    f"does not admit {service}: every delivery fails. Allow it "
                    "kms:GenerateDataKey and kms:Decrypt.",
                    ("KeyPolicy",),
                )
