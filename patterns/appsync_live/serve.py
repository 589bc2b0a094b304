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


def server(of: Mapping[str, str], port: int = PORT) -> ThreadingHTTPServer:
    """Return the server of a page with this configuration; 0: a port that is free."""
    body = json.dumps(of).encode()

    class Handler(SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            self.send_header("Content-Security-Policy", policy(of))
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Referrer-Policy", "no-referrer")
            self.send_header("Cache-Control", "no-store")
            super().end_headers()

        def do_GET(self) -> None:
            if self.path != "/config.json":
                super().do_GET()
                return
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, directory=str(PAGE)))


if __name__ == "__main__":
    (found,) = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")).values()
    print(f"http://127.0.0.1:{PORT}")
    server(config(found)).serve_forever()
