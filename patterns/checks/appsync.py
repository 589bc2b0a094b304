"""AWS AppSync: APIs that cut clients off, and channels that cannot be."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..limits import APPSYNC_API_KEY_DAYS, APPSYNC_CHANNEL_SEGMENT

if TYPE_CHECKING:
    from collections.abc import Iterable


def api_key(name: object, kinds: Iterable[str]) -> str | None:
    """Nothing of an Event API is authorized by an API key.

    Lint W9221. Source:
    https://docs.aws.amazon.com/appsync/latest/eventapi/configure-event-api-auth.html

    Args:
        name: The API, or what authorizes there.
        kinds: How it authorizes, such as ``API_KEY``.
    """
    if "API_KEY" not in kinds:
        return None
    return (
        f"{name} authorizes by an API key: who reads the page has it and sees every channel, and "
        f"on the day it expires, after {APPSYNC_API_KEY_DAYS} days at most, no client connects. "
        "Authorize by a user pool, OpenID Connect or a function, and publish by IAM."
    )


def namespace(name: object) -> str | None:
    """The name of a channel namespace is one that AppSync takes.

    Source: https://docs.aws.amazon.com/appsync/latest/APIReference/API_ChannelNamespace.html
    """
    if isinstance(name, str) and re.fullmatch(
        rf"[A-Za-z0-9]([A-Za-z0-9-]{{0,{APPSYNC_CHANNEL_SEGMENT - 2}}}[A-Za-z0-9])?", name
    ):
        return None
    return (
        f"namespace is {name!r}; it must be 1 to {APPSYNC_CHANNEL_SEGMENT} letters, digits or "
        "dashes, without a dash at either end."
    )


def field_name(namespace: str) -> str | None:
    """The name of a namespace, below which a GraphQL API has fields, is of letters and digits.

    Source: https://docs.aws.amazon.com/appsync/latest/APIReference/API_CreateResolver.html
    """
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", namespace):
        return None
    return (
        f"namespace is {namespace!r}; fields of a GraphQL API are named after it, so it must be "
        "letters and digits, the first of them a letter."
    )
