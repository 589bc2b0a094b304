"""Shows the page of a deployed stack at 127.0.0.1:8000: run it with the stack's outputs.

``python -m serverless_patterns.patterns.appsync_live.serve outputs.json``, with the file that
``cdk deploy --outputs-file outputs.json`` has written. Where you host the page, send the same
headers.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from serverless_patterns.sandbox import pages

if TYPE_CHECKING:
    from collections.abc import Mapping
    from http.server import ThreadingHTTPServer

PAGE, PORT = Path(__file__).parent / "page", 8000


def config(outputs: Mapping[str, str], sign_in_url: str = "") -> dict[str, str]:
    """Return what the page has to know of a stack; nothing of it is secret.

    ``sign_in_url``: where the user pool answers. Default: at AWS, in the Region of the pool.
    """
    region = outputs["UserPoolId"].split("_")[0]
    names = ("HttpHost", "RealtimeHost", "OrdersUrl", "ClientId")
    said = {name[0].lower() + name[1:]: outputs[name] for name in names}
    return said | {"signInUrl": sign_in_url or f"https://cognito-idp.{region}.amazonaws.com/"}


def calls(of: Mapping[str, str]) -> list[str]:
    """Return what the page calls: the user pool, the API, and AppSync."""
    urls = {f"https://{urlsplit(of[name]).netloc}" for name in ("ordersUrl", "signInUrl")}
    return [*sorted(urls), f"wss://{of['realtimeHost']}"]


def server(of: Mapping[str, str]) -> ThreadingHTTPServer:
    """Return the server of the page with this configuration."""
    return pages.server(PAGE, of, calls(of), PORT)


if __name__ == "__main__":
    (found,) = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")).values()
    print(f"http://127.0.0.1:{PORT}")
    server(config(found)).serve_forever()
