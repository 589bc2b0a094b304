"""Customer managed keys: an unusable one is rejected at synthesis, an imported one warned of.

A key is recognized by its resource, so that no module is imported only to ask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from aws_cdk import Annotations, FeatureFlags

from ..checks import kms as checks
from ..checks import reject
from .partitions import check_partition
from .values import (
    Path,
    PathAbove,
    asked_once,
    child_of,
    has,
    place_of,
    resource_behind,
    stack_of,
)

if TYPE_CHECKING:
    from aws_cdk import aws_kms as kms
    from constructs import IConstruct

# Without it, the CDK drops every grant on a key that is imported by the name of its alias.
GRANTS_BY_ALIAS = "@aws-cdk/aws-kms:applyImportedAliasPermissionsToPrincipal"
_KEYS: WeakKeyDictionary[IConstruct, kms.IKey | None] = WeakKeyDictionary()
KEY_ATTRIBUTES = ("encryption_master_key", "master_key", "encryption_key")


def check_key(name: object, key: kms.IKey | None) -> None:
    """Reject a customer managed key that encrypts nothing; warn of one that cannot be read.

    Args:
        name: The argument or resource that the key was given for.
        key: The key, or an alias of it.

    Raises:
        ValueError: it is disabled, of another Region than the stack that imports it, an alias to
            which the CDK grants nothing, or not a symmetric encryption key, the only type that
            queues, topics, streams and buckets take.
    """
    if key is not None and child_of(key) is None:
        check_region(name, key, key)
    _check_usable(name, key)


def _check_usable(name: object, key: kms.IKey | None) -> None:
    if key is None or is_aws_managed(key):
        return
    behind = _behind(key)
    if behind is None:
        _check_alias(name, key)
    resource: Any = child_of(behind or key)
    if resource is None:
        _warn_of_imported_key(behind or key)
        return
    check_resource(name, resource)
    _warn_of_policy(behind or key, resource)


def is_of_this_app(key: kms.IKey) -> bool:
    """Whether this app makes the key, or the one behind an alias, and so can change its policy."""
    behind = _behind(key)
    return behind is not None and child_of(behind) is not None


def same(one: kms.IKey, other: kms.IKey) -> bool:
    """Whether two are the same key, or an alias of it."""
    one, other = _behind(one) or one, _behind(other) or other
    return bool(one.node.path == other.node.path)


def check_region(name: object, key: kms.IKey, scope: IConstruct) -> None:
    """Reject a key of another Region than what it has to encrypt.

    Source: https://docs.aws.amazon.com/kms/latest/developerguide/multi-region-keys-overview.html

    Raises:
        ValueError: both Regions are known, and differ; or it is of another partition.
    """
    _, here = place_of(stack_of(scope))
    if here:
        check_partition(scope, name, key.key_arn)
    there = place_of(_behind(key) or key)[1] if here else None
    if there and there != here:
        raise ValueError(
            f"{name} is a key of the Region {there}, but the resource is in {here}: a key "
            f"works in its own Region only. Use a key of {here}, such as a replica of that key."
        )


def check_key_of(resource: Any) -> None:
    """Reject a queue, topic, stream, bucket, bus or table whose own key encrypts nothing.

    It may be imported from another Region, with its key.

    Raises:
        ValueError: see ``check_key``.
    """
    name = Path(resource, "The key of ")
    _check_usable(name, key_of(resource))
    if has(resource, "event_bus_arn"):  # the others have it as a key of the CDK
        identifier = getattr(child_of(resource), "kms_key_identifier", None)
        check_resource(name, resource_behind(identifier))


def key_of(resource: Any) -> kms.IKey | None:
    """Return the customer key of a queue, topic, stream, bucket or table; None if none is known."""
    if resource not in _KEYS:
        found = (getattr(resource, attribute, None) for attribute in KEY_ATTRIBUTES)
        _KEYS[resource] = next((key for key in found if key is not None), None)
    return _KEYS[resource]


def remember_key(key: kms.IKey | None, *resources: IConstruct) -> None:
    """Remember the customer key of new resources, so that nobody asks for it."""
    _KEYS.update(dict.fromkeys(resources, key))


def check_service(name: object, resource: Any, service: str, otherwise: str) -> None:
    """Reject a queue or topic whose key does not let a service of AWS use it.

    Args:
        name: The resource, for the message.
        resource: The queue or topic.
        service: Such as ``sns.amazonaws.com``.
        otherwise: What happens if it cannot use the key.

    Raises:
        ValueError: AWS manages the key, so its policy cannot allow the service.
    """
    key = key_of(resource)
    key_id = key.key_id if key else getattr(child_of(resource), "kms_master_key_id", None)
    if key_id is not None:
        reject(checks.service_may_use(name, key_id, service, otherwise))


def is_aws_managed(key: kms.IKey) -> bool:
    """Whether it is the alias of a key that AWS manages, whose policy nobody can edit."""
    return key.key_id.startswith(checks.AWS_MANAGED)


def check_resource(name: object, key: Any) -> None:
    """Reject a key's own resource that encrypts nothing; anything else passes.

    Raises:
        ValueError: it is disabled, or not symmetric.
    """
    if has(key, "key_spec"):
        usable, spec = _facts(key)
        reject(checks.usable(name, PathAbove(key), enabled=usable, spec=spec))


@asked_once
def _facts(key: Any) -> tuple[bool, str | None]:
    """Whether a key's own resource is enabled, and its type, asked for once."""
    return key.enabled is not False, key.key_spec


@asked_once
def _policy_of(key: Any) -> Any:
    """What the policy of a key's own resource says when the key is first used here."""
    return stack_of(key).resolve(key.key_policy)


def ask_for_key(key: kms.IKey | None, method: str) -> str:
    """Return what a warning says of the key of an imported stream or bucket; "" if it is known."""
    if key is not None:
        return ""
    return (
        f" If it has a customer managed key, import it with {method}() and encryption_key, so that "
        "the key's use is granted."
    )


def _behind(key: kms.IKey) -> kms.IKey | None:
    """Return the key behind an alias, or the key itself; None behind one imported by its name."""
    try:
        found: kms.IKey = getattr(key, "alias_target_key", key)
    except RuntimeError:  # the CDK does not know it
        return None
    return found


def _check_alias(name: object, alias: kms.IKey) -> None:
    """Reject an alias that is imported by its name, unless the CDK grants by the alias.

    Source: https://docs.aws.amazon.com/kms/latest/developerguide/alias-authorization.html

    Raises:
        ValueError: nobody would get a permission on the key.
    """
    if not FeatureFlags.of(alias).is_enabled(GRANTS_BY_ALIAS):
        raise ValueError(
            f"{name} is {alias.key_id}, imported by the name of its alias: the CDK grants nobody "
            "its use, so nothing could be sent or read. Import the key with "
            "kms.Key.from_key_arn() or kms.Alias.from_alias_attributes(), or set the feature flag "
            f"{GRANTS_BY_ALIAS} in cdk.json."
        )


def _warn_of_policy(key: kms.IKey, resource: Any) -> None:
    """Say what the policy of a key of this app lacks for the permissions that are granted here.

    Source: https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html
    """
    if not checks.iam_allows(_policy_of(resource)):
        Annotations.of(key).add_warning_v2(
            "serverless-patterns:key-policy-without-account",
            "The policy of this key does not name the account's root, so that no IAM policy allows "
            "anybody its use, and what is granted here has no effect: let it allow kms:* to "
            "AccountRootPrincipal(), or kms:Decrypt and kms:GenerateDataKey to each role.",
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
