"""Customer managed keys: an unusable one is rejected at synthesis, an imported one warned of.

A key is recognized by its resource, so that no module is imported only to ask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import Annotations

from ..checks import kms as checks
from ..checks import reject
from .values import Path, resource_behind

if TYPE_CHECKING:
    from aws_cdk import aws_kms as kms

KEY_ATTRIBUTES = ("encryption_master_key", "master_key", "encryption_key")


def check_key(name: object, key: kms.IKey | None) -> None:
    """Reject a customer managed key that encrypts nothing; warn of one that cannot be read.

    Args:
        name: The argument or resource that the key was given for.
        key: The key, or an alias of it.

    Raises:
        ValueError: it is disabled, or not a symmetric encryption key, the only type that queues,
            topics, streams and buckets take.
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


def check_key_of(resource: Any) -> None:
    """Reject a queue, topic, stream, bucket, bus or table whose own key encrypts nothing.

    Raises:
        ValueError: see ``check_key``.
    """
    name = Path(resource, "The key of ")
    check_key(name, key_of(resource))
    identifier = getattr(resource.node.default_child, "kms_key_identifier", None)
    check_resource(name, resource_behind(identifier))


def key_of(resource: Any) -> kms.IKey | None:
    """Return the customer key of a queue, topic, stream, bucket or table; None if none is known."""
    found = (getattr(resource, attribute, None) for attribute in KEY_ATTRIBUTES)
    key: kms.IKey | None = next((key for key in found if key is not None), None)
    return key


def is_aws_managed(key: kms.IKey) -> bool:
    """Whether it is the alias of a key that AWS manages, whose policy nobody can edit."""
    return key.key_id.startswith(checks.AWS_MANAGED)


def check_resource(name: object, key: Any) -> None:
    """Reject a key's own resource that encrypts nothing; anything else passes.

    Raises:
        ValueError: it is disabled, or not symmetric.
    """
    if hasattr(key, "key_spec"):
        usable = key.enabled is not False
        reject(checks.usable(name, Path(key.node.scope), enabled=usable, spec=key.key_spec))


def ask_for_key(key: kms.IKey | None, method: str) -> str:
    """Return what a warning says of the key of an imported stream or bucket; "" if it is known."""
    if key is not None:
        return ""
    return (
        f" If it has a customer managed key, import it with {method}() and encryption_key, so that "
        "the key's use is granted."
    )


def _warn_of_imported_key(key: kms.IKey) -> None:
    """Say what an imported key needs.

    Source: https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html
    """
    Annotations.of(key).add_warning_v2(
        "serverless-patterns:imported-key",
        "This key is imported, so its state, type and policy cannot be checked: it must be enabled "
        "and symmetric, and its policy must let IAM policies of this account allow kms:Decrypt and "
        "kms:GenerateDataKey, or nothing can be sent or read.",
    )
