"""Shows the page of a deployed stack at 127.0.0.1:8000: run it with the stack's outputs.

``python -m serverless_patterns.patterns.appsync_live.serve outputs.json``, with the file that
``cdk deploy --outputs-file outputs.json`` has written. Where you host the page, send the same
headers.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE = Path(__file__).parent / "page"
PORT = 8000


def config(outputs: Mapping[str, str], sign_in_url: str = "") -> dict[str, str]:
    """Return what the page has to know of a stack; nothing of it is secret.

    ``sign_in_url``: where the user pool answers. Default: at AWS, in the Region of the pool.
    """
    region = outputs["UserPoolId"].split("_")[0]
    return {
        "httpHost": outputs["HttpHost"],
        "realtimeHost": outputs["RealtimeHost"],
        "ordersUrl": outputs["OrdersUrl"],
        "clientId": outputs["ClientId"],
        "signInUrl": sign_in_url or f"https://cognito-idp.{region}.amazonaws.com/",
    }


def policy(of: Mapping[str, str]) -> str:
    """Return the Content-Security-Policy: only what is here runs, and only the stack is called."""
    calls = {f"https://{urlsplit(of[name]).netloc}" for name in ("ordersUrl", "signInUrl")}
    connect = " ".join(sorted(calls | {f"wss://{of['realtimeHost']}"}))
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; base-uri 'none'; "
        f"form-action 'none'; frame-ancestors 'none'; connect-src 'self' {connect}"
    )


class _Handler(SimpleHTTPRequestHandler):
    """Serves the page's files, and its configuration."""

    def __init__(self, of: Mapping[str, str], *args: object) -> None:
        self._config = of
        super().__init__(*args, directory=str(PAGE))  # type: ignore[arg-type]

    def end_headers(self) -> None:
        """Add what protects the page."""
        self.send_header("Content-Security-Policy", policy(self._config))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def do_GET(self) -> None:
        """Answer with a file, or with the configuration."""
        if self.path != "/config.json":
            super().do_GET()
            return
        body = json.dumps(self._config).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def server(of: Mapping[str, str], port: int = PORT) -> ThreadingHTTPServer:
    """Return the server of a page with this configuration; 0: a port that is free."""
    return ThreadingHTTPServer(("127.0.0.1", port), partial(_Handler, of))


if __name__ == "__main__":
    (found,) = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")).values()
    print(f"http://127.0.0.1:{PORT}")
    server(config(found)).serve_forever()
