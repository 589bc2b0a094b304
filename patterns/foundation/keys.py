"""Customer keys: one that encrypts nothing is refused at synth, one that is imported warned of.

A key is known by its resource, so that no module is imported only to ask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import Annotations, Reference, Tokenization

if TYPE_CHECKING:
    from aws_cdk import aws_kms as kms

AWS_MANAGED = "alias/aws/"
SYMMETRIC = "SYMMETRIC_DEFAULT"
KEY_ATTRIBUTES = ("encryption_master_key", "master_key", "encryption_key")


def check_key(name: str, key: kms.IKey | None) -> None:
    """Refuse a customer key that encrypts nothing; warn of one that cannot be read.

    Args:
        name: What was given, for the message.
        key: The key, or an alias of it.

    Raises:
        ValueError: it is disabled, or not a symmetric encryption key, the only type that queues,
            topics, streams and buckets take (lint E9153; AWS KMS developer guide, "Key states of
            AWS KMS keys"; Amazon SQS developer guide, "Key management").
    """
    if key is None or is_aws_managed(key):
        return
    resource: Any = key.node.default_child
    if hasattr(resource, "target_key_id"):  # an alias of this app
        key = key.alias_target_key  # type: ignore[attr-defined]
        resource = key.node.default_child
    if resource is None:
        _warn_of_imported_key(key)
        return
    check_resource(name, resource)


def refuse_unused_key(encryption_key: kms.IKey | None) -> None:
    """Refuse a key that no queue would use.

    Raises:
        ValueError: a key is given, but no queue is new.
    """
    if encryption_key is not None:
        raise ValueError(
            "encryption_key was given, but no queue is new here. Set the key on your own queues, "
            "or leave it out."
        )


def check_key_of(resource: Any) -> None:
    """Refuse a queue, topic, stream, bucket, bus or table whose own key encrypts nothing.

    Raises:
        ValueError: see ``check_key``.
    """
    name = f"The key of {resource.node.path}"
    check_key(name, key_of(resource))
    identifier = getattr(resource.node.default_child, "kms_key_identifier", None)
    check_resource(name, behind(identifier))


def key_of(resource: Any) -> kms.IKey | None:
    """Return the customer key of a queue, topic, stream, bucket or table; None if none is known."""
    found = (getattr(resource, attribute, None) for attribute in KEY_ATTRIBUTES)
    key: kms.IKey | None = next((key for key in found if key is not None), None)
    return key


def is_aws_managed(key: kms.IKey) -> bool:
    """Whether it is the alias of a key that AWS manages, whose policy nobody can edit."""
    return key.key_id.startswith(AWS_MANAGED)


def check_resource(name: str, key: Any) -> None:
    """Refuse a key's own resource that encrypts nothing; anything else passes.

    Raises:
        ValueError: it is disabled (lint E9153; AWS KMS developer guide, "Key states of AWS KMS
            keys"), or not symmetric (Amazon SQS developer guide, "Key management").
    """
    if not hasattr(key, "key_spec"):
        return
    path = key.node.path.rsplit("/", 1)[0]
    if key.enabled is False:
        raise ValueError(
            f"{name} is {path}, which is disabled: whatever is sent would be refused, and what is "
            "there could not be read. Enable the key (enabled=True), or give another one."
        )
    if key.key_spec not in (None, SYMMETRIC):
        raise ValueError(
            f"{name} is {path}, of the type {key.key_spec}, but only symmetric keys encrypt "
            f"here. Use a key with KeySpec.{SYMMETRIC}, which is the default."
        )


def _warn_of_imported_key(key: kms.IKey) -> None:
    Annotations.of(key).add_warning_v2(
        "serverless-patterns:imported-key",
        "This key is imported, so its state, type and policy cannot be checked: it must be enabled "
        "and symmetric, and its policy must let IAM policies of this account allow kms:Decrypt and "
        "kms:GenerateDataKey, or nothing can be sent or read.",
    )


def behind(value: Any) -> Any:
    """Return the resource of this app that a reference refers to; None for anything else."""
    token = Tokenization.reverse_string(value).first_token if isinstance(value, str) else None
    return token.target if isinstance(token, Reference) else None
