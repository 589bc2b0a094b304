"""How the handlers call AWS: time limits, error codes, and batches that fit into a call."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
from botocore import exceptions
from botocore.config import Config
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from botocore.exceptions import BotoCoreError

T = TypeVar("T")


@functools.cache
def client(
    service: Any, *, read_timeout: int = 2, attempts: int = 3, region: str | None = None
) -> Any:
    """Return a client, made on first use; it gives up while the function can still report it.

    Args:
        service: As boto3 names it.
        read_timeout: Seconds. Default: 2.
        attempts: Of a call, the first one included. Default: 3.
        region: Default: the function's.
    """
    config = Config(
        connect_timeout=1,
        read_timeout=read_timeout,
        retries={"mode": "standard", "total_max_attempts": attempts},
    )
    return boto3.client(service, region_name=region, config=config)


def code(error: ClientError | BotoCoreError) -> str:
    """Return AWS's code of an error, or the name of one that never reached AWS.

    The action that is denied is named, too: the code does not say which permission is missing.
    """
    if not isinstance(error, ClientError):
        return type(error).__name__
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    action = re.search(r"perform: (\S+)", message)
    return f"{code} ({action[1]})" if action else code


def never_answered(code: str) -> bool:
    """Whether ``code`` names an error that never reached AWS, or got no answer."""
    return hasattr(exceptions, code)


def batches(
    items: Iterable[T], *, most: int, largest: int = 0, size: Callable[[T], int] = lambda _: 0
) -> Iterator[list[T]]:
    """Yield the items in batches, in order; an item that is too large by itself is one alone.

    Args:
        items: Of any kind.
        most: Items in a batch.
        largest: Bytes in a batch. Default: any number, without ``size``.
        size: Returns the bytes of an item.
    """
    batch: list[T] = []
    total = 0
    for item in items:
        bytes_ = size(item)
        if batch and (len(batch) == most or total + bytes_ > largest):
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += bytes_
    if batch:
        yield batch
