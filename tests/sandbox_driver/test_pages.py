"""A page is shown with the headers that protect it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from urllib.request import urlopen

from serverless_patterns.sandbox import pages

if TYPE_CHECKING:
    from pathlib import Path


def test_a_page_runs_nothing_of_others_and_calls_what_it_may_alone(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<h1>Orders</h1>")
    calls = ["https://api.example", "wss://live.example"]
    server = pages.server(tmp_path, {"clientId": "c"}, calls)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        for path, body in (("", b"<h1>Orders</h1>"), ("config.json", b'{"clientId": "c"}')):
            with urlopen(f"http://127.0.0.1:{server.server_address[1]}/{path}") as answer:
                headers = answer.headers
                assert answer.read() == body
            assert headers["Content-Security-Policy"] == (
                "default-src 'none'; script-src 'self'; style-src 'self'; base-uri 'none'; "
                "form-action 'none'; frame-ancestors 'none'; "
                "connect-src 'self' https://api.example wss://live.example"
            )
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Referrer-Policy"] == "no-referrer"
            assert headers["Cache-Control"] == "no-store"
    finally:
        server.shutdown()
        server.server_close()
