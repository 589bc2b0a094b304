"""An HTTP endpoint on this machine, which a stack can post to: it works, fails or hangs."""

from __future__ import annotations

import json
import select
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# Seconds that an answer takes while the endpoint hangs: longer than the patience of a scenario; and
# between its signs of life.
HANGS, SIGNS = 400, 0.5
PATH = "/orders"


@dataclass(frozen=True)
class Post:
    """A request: where to, with its headers in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Endpoint:
    """What an endpoint was sent.

    Attributes:
        works: Takes a post while ``status`` is 200, and returns the status of the answer. Default:
            it confirms nothing, and takes every notification.
        url: Where it listens.
        status: What it answers, unless it is 200; 0: it hangs until it is released. With 3xx it
            points elsewhere.
        alive: While it hangs, it gives signs of life, so that only who limits the whole call gives
            up before.
        delay: Seconds before each answer.
        tokens: Of the subscriptions that it was asked to confirm.
        posts: The posts that it has answered in time and with success, as they came.
        unanswered: Bodies that whoever posted them is to post again: it worked, but answered 5xx,
            or after who asked had gone. A later answer takes them out.
        busy: How many posts it is answering now.
        refused: How many it has failed, or let hang.
        followed: How many have come to where its redirects point.
    """

    works: Callable[[Post], int] | None = None
    url: str = ""
    status: int = 200
    alive: bool = False
    delay: float = 0
    tokens: list[str] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)
    unanswered: set[bytes] = field(default_factory=set)
    busy: int = 0
    refused: int = 0
    followed: int = 0
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def origin(self) -> str:
        """Its URL without a path."""
        return self.url.removesuffix(PATH)

    @property
    def taken(self) -> list[str]:
        """The bodies that it has answered with success, as they came."""
        return [post.body.decode() for post in self.posts]

    @contextmanager
    def failing(self, status: int, *, alive: bool = False) -> Iterator[None]:
        """Let it answer otherwise for a while; what hangs then is released at the end."""
        self.status, self.alive, self.refused = status, alive, 0
        self.released.clear()
        try:
            yield
        finally:
            self.status = 200
            self.released.set()

    def answer(
        self,
        post: Post,
        gone: Callable[[], bool] = lambda: False,
        goes_on: Callable[[], None] = lambda: None,
    ) -> int:
        """Take a request, and return the status of its answer.

        Args:
            post: The request.
            gone: Whether nobody waits for the answer any more.
            goes_on: Gives a sign of life. Raises OSError if nobody waits any more.
        """
        if post.path != PATH:
            self.followed += 1
            return 200
        kind = post.headers.get("x-amz-sns-message-type")
        if self.works is None and kind == "SubscriptionConfirmation":
            self.tokens.append(json.loads(post.body)["Token"])
            return 200
        time.sleep(self.delay)
        status = self.status
        if status == 200:
            status = self.works(post) if self.works else 200
            late = status >= 500 or gone()
            (self.unanswered.add if late else self.unanswered.discard)(post.body)
            status = 503 if late else status
        if status == 200:
            self.posts.append(post)
            return status
        self.refused += 1
        if not status:
            with suppress(OSError):
                for _ in range(round(HANGS / SIGNS)):
                    if self.released.wait(SIGNS):
                        break
                    if self.alive:
                        goes_on()
        return status or 503


@contextmanager
def listening(works: Callable[[Post], int] | None = None) -> Iterator[Endpoint]:
    """Listen on a free port of 127.0.0.1 until the block ends. ``works``: see ``Endpoint``."""
    endpoint, counting = Endpoint(works), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with counting:
                endpoint.busy += 1
            try:
                status = endpoint.answer(
                    Post(self.path, headers, body), self.has_gone, self.goes_on
                )
            finally:
                with counting:
                    endpoint.busy -= 1
            try:
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()
            except OSError:  # who asked has gone
                self.close_connection = True

        def has_gone(self) -> bool:
            """Whether who asked has closed the connection; it sends nothing more."""
            poll = select.poll()  # select() has a limit of file descriptors
            poll.register(self.connection, select.POLLIN)
            return bool(poll.poll(0))

        def goes_on(self) -> None:
            self.send_response_only(100)
            self.end_headers()

        do_GET = do_POST  # noqa: N815 - what follows a redirect asks so

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads, request_queue_size = True, 128

    server = Server(("127.0.0.1", 0), Handler)
    endpoint.url = f"http://127.0.0.1:{server.server_port}{PATH}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        endpoint.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
