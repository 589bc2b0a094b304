"""AWS KMS keys that encrypt what holds events."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

AWS_MANAGED = "alias/aws/"
SYMMETRIC = "SYMMETRIC_DEFAULT"


def usable(name: object, key: object, *, enabled: bool, spec: str | None) -> str | None:
    """A key is enabled, and symmetric: queues, topics, streams and buckets take no other.

    Lint E9153. Source: https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html
    """
    if not enabled:
        return (
            f"{name} is {key}, which is disabled: nothing could be sent or read. "
            "Enable the key, or use another one."
        )
    if spec not in (None, SYMMETRIC):
        return (
            f"{name} is {key}, of the type {spec}, but only symmetric keys encrypt here. Use a key "
            f"of the type {SYMMETRIC}, which is the default."
        )
    return None


def iam_allows(policy: Mapping[str, Any]) -> bool:
    """Return whether a key policy lets IAM policies of an account allow the use of the key.

    Source: https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html

    Args:
        policy: The policy, whose parts may be functions of CloudFormation.
    """
    return any(map(_is_for_account, policy.get("Statement", ())))


def _is_for_account(statement: Mapping[str, Any]) -> bool:
    principal, actions = statement.get("Principal", {}), statement.get("Action", [])
    named = principal.get("AWS", []) if isinstance(principal, Mapping) else principal
    names = [json.dumps(one) for one in (named if isinstance(named, list) else [named])]
    patterns = [actions] if isinstance(actions, str) else actions
    return (
        statement.get("Effect") == "Allow"
        and any(':root"' in name or name == '"*"' or name.strip('"').isdigit() for name in names)
        and all(
            any(_covers(str(pattern), action) for pattern in patterns)
            for action in ("kms:Decrypt", "kms:GenerateDataKey")
        )
    )


def _covers(pattern: str, action: str) -> bool:
    spelled = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(spelled, action, re.IGNORECASE) is not None


def service_may_use(name: object, key_id: str, service: str, otherwise: str) -> str | None:
    """A key that a service uses has a policy that can allow it: not one that AWS manages.

    Lint E9151. Source:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
    """
    found = key_id.find(AWS_MANAGED)
    if found < 0:
        return None
    return (
        f"{name} is encrypted with {key_id[found:]}, an AWS managed key, whose "
        f"policy cannot allow {service}: {otherwise}. Use a customer managed key that allows "
        f"{service}, or no key."
    )
