"""API Gateway → presigned URL: an object goes to S3, and never through the API and its 10 MB.

The bucket is ``BUCKET_NAME``, and keys begin with ``PREFIX``. The signature binds the size and the
content type, and that the key is free: whoever has the URL uploads this one object, once.
"""

from __future__ import annotations

import functools
import os
import re
import uuid
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from . import checks, strict_json
from .logs import logger
from .outcomes import RefusedError
from .pointers import MAX_BYTES
from .requests import answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext

NOT_KEPT = {"Cache-Control": "no-store"}
SECONDS = 900  # an upload may begin so long after
_CONTENT_TYPE = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]{0,100}")


@logger.inject_lambda_context
def handler(event: Mapping[str, Any], _: LambdaContext) -> dict[str, Any]:
    """Answer a request for an upload with where to PUT the object, and with which headers."""
    try:
        said = strict_json.parse(event.get("body") or "")
        said = checks.fields(said, "The body", "content_type", "size")
        size = checks.whole(said["size"], "size", MAX_BYTES)
        kind = checks.text(said["content_type"], "content_type", 128)
        if not _CONTENT_TYPE.fullmatch(kind):
            raise RefusedError("field", "content_type must be such as application/json.")
    except RefusedError as error:
        return answer(400, {"message": error.detail}, NOT_KEPT)
    upload_id = str(uuid.uuid4())
    url = _client().generate_presigned_url(
        "put_object",
        Params={
            "Bucket": os.environ["BUCKET_NAME"],
            "Key": f"{os.environ['PREFIX']}{upload_id}",
            "ContentLength": size,
            "ContentType": kind,
            "IfNoneMatch": "*",  # a URL may be used again until it expires
        },
        ExpiresIn=SECONDS,
    )
    headers = {"Content-Length": str(size), "Content-Type": kind, "If-None-Match": "*"}
    said = {"upload_id": upload_id, "url": url, "method": "PUT", "headers": headers}
    return answer(201, said | {"expires_in": SECONDS}, NOT_KEPT)


@functools.cache
def _client() -> Any:
    """Return a client that signs by version 4, which binds headers, for the bucket's own Region."""
    virtual: Any = {"addressing_style": "virtual"}
    return boto3.client("s3", config=Config(signature_version="s3v4", s3=virtual))
