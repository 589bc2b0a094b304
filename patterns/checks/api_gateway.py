"""Amazon API Gateway's integrations with other services."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def text_as_binary(api: object, binary: Iterable[str], content_types: Iterable[str]) -> str | None:
    """A mapping template gets text: a body of a binary media type is answered with 500.

    Source:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-payload-encodings-workflow.html

    Args:
        api: The API.
        binary: Its binary media types.
        content_types: The content types of the bodies.
    """
    for media_type in binary:
        for content_type in content_types:
            if media_type in ("*/*", content_type, f"{content_type.split('/')[0]}/*"):
                return (
                    f"{api} treats {media_type} as binary, so API Gateway answers 500 to "
                    f"{content_type}, which a mapping template turns into a call. List the media "
                    "types that are binary, such as image/png, or give another API."
                )
    return None
