"""An HTTP endpoint on this machine, which a topic can deliver to: it works, fails or hangs."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# Seconds that an answer takes while the endpoint hangs: longer than who waits for it has patience.
HANGS = 30


@dataclass
class Endpoint:
    """What an endpoint was sent.

    Attributes:
        url: Where it listens.
        status: What it answers; 0: it hangs.
        tokens: Of the subscriptions that it was asked to confirm.
        taken: The notifications that it has answered with success, as they came.
        refused: How many it has failed, or let hang.
    """

    url: str = ""
    status: int = 200
    tokens: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    refused: int = 0
    released: threading.Event = field(default_factory=threading.Event)

    def answer(self, kind: str, body: str) -> int:
        """Take a request, and return the status of its answer."""
        if kind == "SubscriptionConfirmation":
            self.tokens.append(json.loads(body)["Token"])
            return 200
        status = self.status
        if status == 200:
            self.taken.append(body)
            return status
        self.refused += 1
        if not status:
            self.released.wait(HANGS)
        return status or 503


@contextmanager
def listening() -> Iterator[Endpoint]:
    """Listen on a free port of 127.0.0.1 until the block ends."""
    endpoint = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            status = endpoint.answer(self.headers.get("x-amz-sns-message-type", ""), body)
            try:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
            except OSError:  # who asked has gone
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads, request_queue_size = True, 128

    server = Server(("127.0.0.1", 0), Handler)
    endpoint.url = f"http://127.0.0.1:{server.server_port}/orders"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        endpoint.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
