"""The only file that calls DynamoDB and Secrets Manager."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from ..foundation import aws, tables
from ..foundation.outcomes import CONFLICT, RefusedError, compare

if TYPE_CHECKING:
    from ..foundation.sns_messages import Notification
    from .states import StateChange

DAY = 86_400
SECRET_SECONDS = 300  # for which a secret is kept, so that a rotation takes effect
_secrets: dict[str, tuple[float, list[str]]] = {}


def keep(message: Notification, change: StateChange) -> str:
    """Store a change together with the id of its message; return what became of it.

    Raises:
        RefusedError: another change has its order and version.
        ClientError: it was not stored, and is to be delivered again.
    """
    # Older ones are refused by their time, so that no id is needed for longer.
    expires = int(message.published_at + float(os.environ["MAX_AGE_SECONDS"])) + DAY
    seen = tables.new(os.environ["SEEN_TABLE_NAME"], {"pk": message.id, "expires_at": expires})
    item = {
        "pk": change.order_id,
        "sk": f"{change.version:06}",
        **change.document,
        "message_id": message.id,
        "fingerprint": change.fingerprint,
        "received_at": time.time_ns(),
    }
    puts = [seen, tables.new(os.environ["TABLE_NAME"], item, key="sk")]
    try:
        tables.client().transact_write_items(TransactItems=[{"Put": put} for put in puts])
    except tables.client().exceptions.TransactionCanceledException as error:
        known, stored = tables.reasons(error)
        if known["Code"] == tables.CONDITION_FAILED:
            return "duplicate"  # of this message
        if stored["Code"] != tables.CONDITION_FAILED:
            raise
        outcome = compare(change.fingerprint, tables.fingerprint(stored.get("Item", {})))
        if outcome is CONFLICT:
            raise RefusedError(CONFLICT.reason, CONFLICT.detail) from None
        return outcome.kind
    return "stored"


def endpoint() -> dict[str, Any]:
    """Return the endpoint that the client has registered: its ``url``, and whether it is gone."""
    key = {"pk": {"S": os.environ["CLIENT"]}}
    found = tables.client().get_item(TableName=os.environ["ENDPOINTS_TABLE_NAME"], Key=key)
    item = found.get("Item", {})
    return {name: next(iter(value.values())) for name, value in item.items()}


def register(url: str) -> None:
    """Store the endpoint of the client; one that was gone is there again."""
    item = {"pk": {"S": os.environ["CLIENT"]}, "url": {"S": url}}
    tables.client().put_item(TableName=os.environ["ENDPOINTS_TABLE_NAME"], Item=item)


def mark_gone(url: str) -> None:
    """Send no more to an endpoint that has answered 410, unless another one is registered now."""
    item: Any = {"pk": {"S": os.environ["CLIENT"]}, "url": {"S": url}, "gone": {"BOOL": True}}
    try:
        tables.client().put_item(
            TableName=os.environ["ENDPOINTS_TABLE_NAME"],
            Item=item,
            ConditionExpression="#url = :url",
            ExpressionAttributeNames={"#url": "url"},
            ExpressionAttributeValues={":url": {"S": url}},
        )
    except tables.client().exceptions.ConditionalCheckFailedException:
        return


def secrets() -> list[str]:
    """Return the client's valid secrets: the current one, and the one before a rotation."""
    arn = os.environ["SIGNING_ARN"]
    until, found = _secrets.get(arn, (0.0, []))
    if until < time.monotonic():
        found = [one for stage in ("AWSCURRENT", "AWSPREVIOUS") if (one := _secret(arn, stage))]
        _secrets[arn] = (time.monotonic() + SECRET_SECONDS, found)
    return found


def _secret(arn: str, stage: str) -> str:
    try:
        found = aws.client("secretsmanager").get_secret_value(SecretId=arn, VersionStage=stage)
    except ClientError as error:
        if stage == "AWSPREVIOUS" and aws.code(error) == "ResourceNotFoundException":
            return ""  # it was never rotated
        raise
    return str(found["SecretString"])
