"""What the price lists call of AWS: the objects, the reports beside them, and the results."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from ..foundation import aws, tables
from ..foundation.outcomes import RefusedError
from . import logic

if TYPE_CHECKING:
    from ..foundation.objects import ObjectEvent
    from ..foundation.outcomes import Outcome

CURRENT = "current"
_GONE = ("NoSuchKey", "NoSuchVersion", "MethodNotAllowed", "404", "405")
_SUPERSEDED = ("PreconditionFailed", "412")


def fetch(event: ObjectEvent) -> bytes | Outcome:
    """Return the content that an event is about, or why it is not there any more.

    Without versions, the content may be another one by now, which has an event of its own.

    Raises:
        RefusedError: it is too large.
    """
    which = {"VersionId": event.version} if event.version else {"IfMatch": event.etag}
    try:
        answer = aws.client("s3").get_object(
            Bucket=os.environ["BUCKET_NAME"], Key=event.key, **which
        )
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in _GONE:
            return logic.GONE
        if code in _SUPERSEDED:
            return logic.SUPERSEDED
        raise
    if answer["ContentLength"] > logic.MAX_BYTES:
        raise RefusedError("too_large", f"The object has more than {logic.MAX_BYTES:,} bytes.")
    content: bytes = answer["Body"].read()
    return content


def report(event: ObjectEvent, found: logic.PriceList) -> None:
    """Write the report of a version into the same bucket, outside what is watched.

    Its key is a hash: one made of the object's own key could be longer than a key may be.
    """
    name = hashlib.sha256(f"{event.key}\n{event.id}".encode()).hexdigest()
    body = {"key": event.key, "version": event.id, "lines": found.lines}
    aws.client("s3").put_object(
        Bucket=os.environ["BUCKET_NAME"],
        Key=f"reports/{name}.json",
        Body=json.dumps(body).encode(),
        ContentType="application/json",
    )


def result(event: ObjectEvent, state: str, **more: Any) -> Any:
    """Return the put of a version's result: the first one counts, unless it was refused."""
    item = _item(event, f"version#{event.id}", state, **more)
    condition = "attribute_not_exists(pk) OR #state = :refused"
    return _put(item, condition, {":refused": "refused"}, {"#state": "state"})


def current(event: ObjectEvent, state: str) -> Any:
    """Return the put of what counts for a key, unless something later counts already.

    Sequencers decide; beside what a sweep found, which has none, the time does.
    """
    item, at = _item(event, CURRENT, state, version=event.id), {":at": event.at}
    if event.sequencer is None:
        return _put(item, "attribute_not_exists(pk) OR happened_at < :at", at)
    later = "(attribute_not_exists(sequencer) AND happened_at < :at)"
    condition = f"attribute_not_exists(pk) OR sequencer <= :sequencer OR {later}"
    return _put(item, condition, at | {":sequencer": event.sequencer})


def _item(event: ObjectEvent, sort_key: str, state: str, **more: Any) -> dict[str, Any]:
    item = {"pk": event.key, "sk": sort_key, "state": state, "happened_at": event.at, **more}
    return item | ({"sequencer": event.sequencer} if event.sequencer else {})


def _put(item: Any, condition: str, values: Any, names: Any = None) -> Any:
    return {
        "TableName": os.environ["TABLE_NAME"],
        "Item": tables.serialize(item),
        "ConditionExpression": condition,
        "ExpressionAttributeValues": tables.serialize(values),
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        **({"ExpressionAttributeNames": names} if names else {}),
    }
