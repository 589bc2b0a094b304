"""JSON that has one meaning: no key twice, no rounded number, nothing that UTF-8 cannot encode.

Pure: no AWS, no environment, no clock.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, NoReturn

from .outcomes import RefusedError


def parse(body: str, *, floats: bool = False) -> Any:
    """Return the document in a message's body.

    Args:
        body: JSON.
        floats: Whether numbers may have a fraction, which is then rounded. Default: no.

    Raises:
        RefusedError: it is not JSON, or can be read in two ways.
    """
    try:
        document = json.loads(
            body,
            object_pairs_hook=_unique,
            parse_float=float if floats else _no_float,
            parse_constant=_no_float,
        )
    except json.JSONDecodeError as error:
        raise RefusedError("not_json", f"The body is not JSON at character {error.pos}.") from None
    except (ValueError, RecursionError):
        raise RefusedError(
            "not_json", "The body is JSON that is too deep or has too long a number."
        ) from None
    encode(document)
    return document


def encode(document: Any) -> bytes:
    """Return the one spelling of a document: keys in order, no space.

    Raises:
        RefusedError: it cannot be encoded.
    """
    try:
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        return text.encode()
    except UnicodeEncodeError:
        raise RefusedError(
            "text", "A string is not Unicode: it has half a surrogate pair."
        ) from None
    except (ValueError, RecursionError):
        raise RefusedError(
            "not_json", "The body is JSON that is too deep or has too long a number."
        ) from None


def fingerprint(document: Any) -> str:
    """Return a hash that is the same for the same document, whatever the order of its keys.

    Raises:
        RefusedError: it cannot be encoded.
    """
    return hashlib.sha256(encode(document)).hexdigest()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        raise RefusedError("duplicate_key", "An object has the same key twice.")
    return document


def _no_float(_: str) -> NoReturn:
    raise RefusedError("number", "Numbers must be whole; write others as strings, such as '49.90'.")
