"""Reads buckets through the API, for scenarios."""

from __future__ import annotations

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .target import Deployment

READERS = 8
GZIP = b"\x1f\x8b"  # what compressed content begins with


def objects(stack: Deployment, bucket: str, prefix: str = "") -> list[tuple[str, bytes]]:
    """Return the key and the content of every object whose key begins so, by key."""
    s3, names = stack.client("s3"), keys(stack, bucket, prefix)
    with ThreadPoolExecutor(READERS) as readers:
        found = readers.map(lambda key: s3.get_object(Bucket=bucket, Key=key)["Body"].read(), names)
        return [*zip(names, found, strict=True)]


def keys(stack: Deployment, bucket: str, prefix: str = "") -> list[str]:
    """Return every key that begins so, in order."""
    listed = stack.client("s3").get_paginator("list_objects_v2")
    pages = listed.paginate(Bucket=bucket, Prefix=prefix)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


def json_lines(stack: Deployment, bucket: str, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the document in each line of every object below a folder, with the object's key."""
    for key, body in objects(stack, bucket, prefix):
        text = gzip.decompress(body) if body[:2] == GZIP else body
        yield from ((key, json.loads(line)) for line in text.splitlines())
