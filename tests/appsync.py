"""AppSync's side of a WebSocket, as it is documented, of Events and of GraphQL subscriptions."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from websockets.sync.server import ServerConnection

OF_GRAPHQL = {"subscribe": "start", "subscribe_success": "start_ack", "subscribe_error": "error"}


@dataclass
class AppSync:
    """What a client has told, and what AppSync answers.

    Args:
        graphql: Whether it is a GraphQL API; frames have the names of Events here, too.
        patience: ``connectionTimeoutMs``.
        errors: By frame, of its next answers.
        mute: It never answers.
    """

    graphql: bool = False
    patience: int = 300_000
    errors: dict[str, list[str]] = field(default_factory=dict)
    mute: bool = False
    told: list[Any] = field(default_factory=list)
    headers: list[Any] = field(default_factory=list)
    sockets: list[ServerConnection] = field(default_factory=list)

    @contextmanager
    def served(self) -> Iterator[int]:
        """Serve at a port of this machine."""
        protocols: Any = ["graphql-ws" if self.graphql else "aws-appsync-event-ws"]
        with serve(self._talk, "127.0.0.1", 0, subprotocols=protocols) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield server.socket.getsockname()[1]
            server.shutdown()

    def _talk(self, socket: ServerConnection) -> None:
        assert socket.request
        assert socket.request.path == ("/graphql" if self.graphql else "/event/realtime")
        self.headers.append(socket.request.headers)
        with suppress(ConnectionClosed):
            for text in socket:
                if not self.mute:
                    self._answer(socket, json.loads(text))

    def _answer(self, socket: ServerConnection, frame: Any) -> None:
        self.told.append(frame)
        init = frame["type"] == "connection_init"
        asked = "connection" if init else "subscribe"
        if errors := self.errors.get("connection_init" if init else asked):
            self.say(f"{asked}_error", socket, errors=[{"errorType": errors.pop()}])
        elif init:
            self.say("connection_ack", socket, connectionTimeoutMs=self.patience)
            self.say("ka", socket)
        else:
            self.say("subscribe_success", socket)
            self.sockets.append(socket)

    def say(self, kind: str, socket: ServerConnection | None = None, **said: Any) -> None:
        rest = {"payload": said} if said and self.graphql else said
        name = OF_GRAPHQL.get(kind, kind) if self.graphql else kind
        frame = {"type": name, "id": "orders", **rest}
        (socket or self.sockets[-1]).send(json.dumps(frame))

    def tell(self, *events: Any) -> None:
        texts = [json.dumps(one) for one in events]
        if not self.graphql:
            return self.say("data", event=texts)
        for text in texts:
            self.say("data", data={"onOrders": {"owner": "one", "event": text}})
        return None

    def tell_if_there(self, *events: Any) -> Any:
        """Tell of events, unless the connection is cut."""
        with suppress(ConnectionClosed):
            self.tell(*events)

    def cut(self) -> None:
        """Cut the connection, as a network does."""
        self.sockets[-1].close_socket()
