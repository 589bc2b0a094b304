"""Who may publish to a topic, and with which key."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from aws_cdk import Annotations
from aws_cdk import aws_iam as iam

from ..checks import kms as kms_checks
from ..checks import reject
from ..checks import sns as checks
from . import keys
from .grants import service_principal
from .values import Path, child_of, expect, is_token, stack_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_sns as sns

EVENTBRIDGE = "events.amazonaws.com"
FROM_SOURCE = "aws:Source(Arn|Account|Org|Owner)"
ANYBODY = "principals of any account"
KEY_ACTIONS = ("kms:Decrypt", "kms:GenerateDataKey")
LOST = "SNS would reject what they publish"


def grant_publish(topic: sns.ITopic, grantee: iam.IGrantable) -> iam.Grant:
    """Let ``grantee`` publish, and use the topic's customer key for it.

    Source: https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html

    Raises:
        ValueError: somebody who was imported without a role; everybody; a service without a
            condition on its source; somebody whom the AWS managed key of the topic does not allow;
            or somebody who is not of the account of an imported topic, whose policy cannot be
            changed here.
    """
    expect("grantee", grantee, "IGrantable")
    principal = grantee.grant_principal
    try:
        fragment = principal.policy_fragment
    except RuntimeError as error:
        where: Any = grantee
        raise ValueError(
            f"{Path(where, 'grantee ')} was imported without its role, so it cannot be granted "
            "permissions. Import it with its role, as from_function_attributes() does."
        ) from error
    said: Mapping[str, list[str]] = fragment.principal_json
    services = stack_of(topic).resolve(said.get("Service", []))
    of_source = re.search(FROM_SOURCE, str(fragment.conditions), re.IGNORECASE)
    if services and not of_source:
        raise ValueError(checks.publishes_for_anybody("grant_publish", services[0]))
    others = [account for account in _accounts(principal, said) if account != topic.env.account]
    if ANYBODY in others and not fragment.conditions:
        raise ValueError(
            "The grantee is everybody: any AWS account could publish. Name an account, or give an "
            "organization."
        )
    managed = _managed_key(topic)
    if managed:
        _check_managed_key(topic, managed, services, others)
    known = [] if is_token(topic.env.account) else others
    if child_of(topic) is None and (services or known):
        raise ValueError(
            f"{Path(topic, 'topic ')} is imported, so its policy cannot be changed here. Let that "
            f"policy allow sns:Publish to {', '.join([*services, *known])}, in the topic's stack."
        )
    key = topic.master_key
    if key is not None and not managed:
        _warn_of_imported_key(key, [*services, *others])
        if EVENTBRIDGE in services:
            # Its requests to AWS KMS name no source, so that a condition on one is never met.
            key.grant(service_principal(EVENTBRIDGE), *KEY_ACTIONS)
    return topic.grant_publish(grantee)


def _accounts(principal: iam.IPrincipal, said: Mapping[str, list[str]]) -> list[str]:
    """Return the accounts of a principal that are known, and whether it is anybody."""
    names = said.get("AWS", []) + said.get("LiteralString", [])
    found = [ANYBODY for name in names if name == "*"]
    found += [match[1] for name in names if (match := re.search(r":(\d{12}):", name))]
    own = principal.principal_account
    if own is not None and not is_token(own):
        found.append(own)
    return list(dict.fromkeys(found))


def _managed_key(topic: sns.ITopic) -> str | None:
    """Return the key that AWS manages and that encrypts a topic; None if another key does."""
    resource: Any = child_of(topic)
    key = topic.master_key
    if key is not None:
        return key.key_id if keys.is_aws_managed(key) else None
    name = getattr(resource, "kms_master_key_id", None)
    return name if name and name.startswith(kms_checks.AWS_MANAGED) else None


def _warn_of_imported_key(key: kms.IKey, publishers: list[str]) -> None:
    """Say whom a key's policy, which cannot be changed here, has to allow."""
    if publishers and not keys.is_of_this_app(key):
        Annotations.of(key).add_warning_v2(
            "serverless-patterns:imported-key-of-publishers",
            "This key is imported, so its policy cannot be changed here: it must allow "
            f"{' and '.join(KEY_ACTIONS)} to {', '.join(publishers)}, or {LOST}.",
        )


def _check_managed_key(topic: sns.ITopic, key: str, services: list[str], others: list[str]) -> None:
    """Reject a publisher that the key does not allow; warn of one that may be of this account."""
    for service in services:
        reject(kms_checks.service_may_use(Path(topic, "topic "), key, service, LOST))
    for other in others:
        who = other if other == ANYBODY else f"account {other}"
        problem = (
            f"{Path(topic, 'topic ')} is encrypted with {key}, an AWS managed key, which {who} "
            f"cannot use: {LOST}. Use a customer managed key: NewTopic(encryption_key=…)."
        )
        if other == ANYBODY or not is_token(topic.env.account):
            raise ValueError(problem)
        Annotations.of(topic).add_warning_v2(
            "serverless-patterns:publisher-elsewhere",
            f"Unless account {other} is that of the topic: {problem}",
        )
