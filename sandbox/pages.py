"""Shows a page of static files on 127.0.0.1, with the headers that protect it anywhere."""

from __future__ import annotations

import json
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


def policy(calls: Iterable[str]) -> str:
    """Return a Content-Security-Policy: only the page's own files run, and only ``calls`` are."""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; base-uri 'none'; "
        f"form-action 'none'; frame-ancestors 'none'; connect-src 'self' {' '.join(calls)}"
    )


def server(
    folder: Path, config: Mapping[str, str], calls: Iterable[str], port: int = 0
) -> ThreadingHTTPServer:
    """Return the server of a page.

    Args:
        folder: With its files.
        config: What it gets as ``config.json``; nothing of it may be secret.
        calls: Origins that it may call, such as ``https://api.example``.
        port: Default: 0, one that is free.
    """
    body, allowed = json.dumps(config).encode(), policy(calls)

    class Handler(SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            self.send_header("Content-Security-Policy", allowed)
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

    return ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, directory=str(folder)))
