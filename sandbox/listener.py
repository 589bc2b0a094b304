"""An HTTP server on this machine that answers as a scenario says: a client's endpoint."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


@dataclass(frozen=True)
class Post:
    """A request: where to, with its headers in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@contextmanager
def listening(answer: Callable[[Post], int]) -> Iterator[str]:
    """Listen on a free port of 127.0.0.1 until the block ends; yield the address.

    ``answer`` is called in a thread for each request. It returns the status; with 3xx the answer
    points to ``/elsewhere``.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = answer(Post(self.path, headers, body))
            try:
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()
            except OSError:  # who asked has gone
                self.close_connection = True

        do_GET = do_POST  # noqa: N815 - what follows a redirect asks so

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads, request_queue_size = True, 128

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
