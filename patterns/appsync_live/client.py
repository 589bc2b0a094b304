"""A client in Python: sees a customer's orders change, and misses nothing while it is offline.

``page/live.js`` is the same in the browser. Protocol:
https://docs.aws.amazon.com/appsync/latest/eventapi/event-api-websocket-protocol.html
"""

from __future__ import annotations

import base64
import json
import random
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from websockets.sync.client import ClientConnection

SUBPROTOCOL = "aws-appsync-event-ws"
# A subscription may miss events right after it is confirmed, so look again soon, then now and then.
RECHECKS = (2.0, 60.0)
LONGEST_PAUSE = 30.0


class RejectedError(Exception):
    """AppSync does not let this client in, or not see this channel; a retry does not help."""


@dataclass
class Feed:
    """What a client knows: the newest state of each order, and up to which change. No network.

    Attributes:
        orders: By id.
        version: All changes up to this one are in ``orders``.
        shown: Versions that were shown as they happened.
        late: Changes that only a fetch brought: those missed, whether or not a later one of the
            same order is all that is left of them.
    """

    orders: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    version: int = 0
    shown: list[int] = field(default_factory=list)
    late: list[int] = field(default_factory=list)

    def event(self, event: Mapping[str, Any]) -> bool:
        """Take an event; return whether something is missing, so that a fetch is needed.

        What comes twice or behind its time changes nothing.
        """
        if event["version"] <= self.version:
            return False
        if event.get("fetch") or event["version"] != self.version + 1:
            return True
        self.orders[event["order_id"]] = event
        self.version = event["version"]
        self.shown.append(self.version)
        return False

    def fetched(self, answer: Mapping[str, Any]) -> bool:
        """Take what has changed since ``version``; return whether there is more to fetch."""
        for order in answer["orders"]:
            if order["version"] > self.version:
                self.orders[order["order_id"]] = order
        if answer["version"] > self.version:
            self.late += range(self.version + 1, answer["version"] + 1)
            self.version = answer["version"]
        return bool(answer["more"])


@dataclass(frozen=True)
class Hosts:
    """Where an Event API is.

    Args:
        http: Domain name of its HTTP endpoint, by which a token is checked.
        realtime: Domain name to connect to.
        address: Host and port of an emulator that serves both. Default: none, this is AWS.
        trust: What to trust there. Default: this machine's certificates.
    """

    http: str
    realtime: str
    address: tuple[str, int] | None = None
    trust: ssl.SSLContext | None = None

    def open(self, token: str) -> ClientConnection:
        """Open a WebSocket; the browser's API takes no headers, so a subprotocol has the token."""
        said = json.dumps({"host": self.http, "Authorization": token}).encode()
        header = base64.urlsafe_b64encode(said).decode().rstrip("=")
        more: dict[str, Any] = {}
        if self.address:
            more = {"sock": socket.create_connection(self.address, 10), "ssl": self.trust}
            more["server_hostname"] = self.address[0]
        protocols: Any = [SUBPROTOCOL, f"header-{header}"]
        opened: ClientConnection = connect(
            f"wss://{self.realtime}/event/realtime",
            subprotocols=protocols,
            proxy=None,
            open_timeout=30,
            **more,
        )
        return opened


class Viewer(threading.Thread):
    """Keeps a ``Feed`` up to date until ``stop()``; reconnects after a jittered pause.

    Args:
        hosts: The Event API.
        channel: Such as ``/orders/<the customer's id>``.
        token: Returns a token of the client; asked for at each connection, so it may expire.
        fetch: Returns what has changed since a version, as ``GET /orders?since=`` answers.
        feed: What it knows already. Default: nothing.
        on_change: Called whenever it may know more. Default: nothing.

    Attributes:
        feed: What it knows.
        rejected: Why it was not let in, if so; it has ended then.
        connections: How often it was subscribed.
    """

    def __init__(
        self,
        hosts: Hosts,
        channel: str,
        token: Callable[[], str],
        fetch: Callable[[int], Mapping[str, Any]],
        *,
        feed: Feed | None = None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(daemon=True)
        self.feed, self.rejected, self.connections = feed or Feed(), "", 0
        self._hosts, self._channel, self._token = hosts, channel, token
        self._fetch, self._on_change = fetch, on_change
        self._over = threading.Event()
        self._socket: ClientConnection | None = None

    def run(self) -> None:
        """Connect, and again whenever the connection ends."""
        attempt = 0
        while not self._over.is_set():
            before = self.connections
            try:
                self._stay()
            except RejectedError as error:
                self.rejected = str(error)
                return
            except (WebSocketException, OSError):  # a TimeoutError, too
                attempt = 0 if self.connections > before else attempt + 1
                pause = min(LONGEST_PAUSE, 0.2 * 2**attempt) * random.random()  # noqa: S311
                self._over.wait(pause)

    def stop(self) -> None:
        """End, at once."""
        self._over.set()
        self.drop()
        self.join(10)

    def drop(self) -> None:
        """Cut the connection, as a network does; it connects again."""
        if self._socket:
            self._socket.close_socket()

    def _stay(self) -> None:
        token = self._token()
        with self._hosts.open(token) as opened:
            self._socket = opened
            opened.send(json.dumps({"type": "connection_init"}))
            patience = _await(opened, "connection_ack")["connectionTimeoutMs"] / 1000
            said = {"Authorization": token, "host": self._hosts.http}
            frame = {"type": "subscribe", "id": "orders", "channel": self._channel}
            opened.send(json.dumps(frame | {"authorization": said}))
            _await(opened, "subscribe_success")
            self.connections += 1
            self._catch_up()
            rechecks = list(RECHECKS)
            heard, checked = time.monotonic(), time.monotonic()
            while not self._over.is_set():
                pause = rechecks[0] - (time.monotonic() - checked)
                try:
                    self._take(json.loads(opened.recv(max(0.01, pause))))
                    heard = time.monotonic()
                except TimeoutError:
                    if time.monotonic() - heard > patience:
                        raise
                    self._catch_up()
                    rechecks, checked = rechecks[-1:], time.monotonic()

    def _take(self, frame: Mapping[str, Any]) -> None:
        """Take a frame; ``ka`` and what is not known change nothing."""
        if frame["type"] == "data":
            events = frame["event"]  # documented as a list; one as text has been seen, too
            for text in events if isinstance(events, list) else [events]:
                if self.feed.event(json.loads(text)):
                    self._catch_up()
            self._on_change()
        elif frame["type"] == "broadcast_error":
            self._catch_up()

    def _catch_up(self) -> None:
        while self.feed.fetched(self._fetch(self.feed.version)):
            pass
        self._on_change()


def _await(opened: ClientConnection, wanted: str) -> Mapping[str, Any]:
    """Return the next frame of a kind, without keep-alives.

    Raises:
        RejectedError: it is an error.
    """
    while True:
        frame: Mapping[str, Any] = json.loads(opened.recv(30))
        if frame["type"] == wanted:
            return frame
        if frame["type"].endswith("error"):
            raise RejectedError(json.dumps(frame.get("errors")))
