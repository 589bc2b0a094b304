"""Runs ``page/live.js`` in Node as a browser does, for many customers, and says what each sees."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from serverless_patterns.sandbox.process import trust
from serverless_patterns.sandbox.runtime import node_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SCRIPT = Path(__file__).with_name("clients.mjs")
WORKERS = 8


@dataclass
class Client:
    """A customer's client, and what it knows.

    Args:
        token: Returns a token that is valid now.
        since: Returns what has changed since a version, as ``GET /orders?since=`` answers.
        on_change: Called whenever it knows more. Default: nothing.

    Attributes:
        orders: By id, the newest state of each.
        version: All changes up to this one are in ``orders``.
        shown: Versions that were shown as they happened.
        late: Versions that only a fetch brought.
        states: All that it has been: ``connecting``, ``live``, ``offline``, ``rejected``.
    """

    token: Callable[[], str]
    since: Callable[[int], Any]
    on_change: Callable[[Client], None] = lambda _: None
    orders: dict[str, Any] = field(default_factory=dict)
    version: int = 0
    shown: list[int] = field(default_factory=list)
    late: list[int] = field(default_factory=list)
    states: list[str] = field(default_factory=list)

    @property
    def state(self) -> str:
        """What it is now."""
        return self.states[-1] if self.states else ""

    def told(self, said: Mapping[str, Any]) -> None:
        """Take what the client says that is new."""
        self.orders |= {order["order_id"]: order for order in said["orders"]}
        self.version = said["version"]
        self.shown += said["shown"]
        self.late += said["late"]
        self.states.append(said["state"])
        self.on_change(self)


class Clients:
    """A Node with clients in it; a context, at whose end all of them end.

    Args:
        local: The scheme, ``ws`` or ``wss``, of an emulator on this machine. Default: this is AWS.
        certificate: To trust there. Default: this machine's.
        settings: Static fields of ``Live``. Default: its own.
    """

    def __init__(
        self, local: str = "", certificate: Path | None = None, **settings: object
    ) -> None:
        given = json.dumps({"local": local, "settings": settings})
        self.clients: dict[str, Client] = {}
        self._lock, self._pool = threading.Lock(), ThreadPoolExecutor(WORKERS)
        self._node = subprocess.Popen(
            [f"{node_folder()}/node", "--no-warnings", SCRIPT, given],
            env={**os.environ, **(trust(certificate) if certificate else {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._stdin, self._stdout = (
            cast("IO[str]", self._node.stdin),
            cast("IO[str]", self._node.stdout),
        )
        threading.Thread(target=self._hear, daemon=True).start()

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, *_: object) -> None:
        self._node.kill()
        self._node.wait()
        self._pool.shutdown(cancel_futures=True)

    def watch(self, name: str, config: Mapping[str, str], client: Client) -> Client:
        """Start a client. ``config``: ``httpHost``, ``realtimeHost`` and ``channel``."""
        self.clients[name] = client
        self._tell(command="watch", name=name, config=config)
        return client

    def start(self, name: str) -> None:
        """Start one that was stopped; it goes on from what it knows."""
        self._tell(command="watch", name=name)

    def drop(self, name: str) -> None:
        """Cut its connection; it connects again."""
        self._tell(command="drop", name=name)

    def stop(self, name: str) -> None:
        """End it."""
        self._tell(command="stop", name=name)

    def _tell(self, **command: object) -> None:
        with self._lock:
            print(json.dumps(command), file=self._stdin, flush=True)

    def _hear(self) -> None:
        for line in self._stdout:
            said = json.loads(line)
            client = self.clients[said["name"]]
            if "ask" in said:
                self._pool.submit(self._answer, client, said)
            else:
                client.told(said)

    def _answer(self, client: Client, said: Mapping[str, Any]) -> None:
        answer: dict[str, Any] = {"command": "answer", "ask": said["ask"]}
        try:
            asks_token = said["what"] == "token"
            answer["answer"] = client.token() if asks_token else client.since(said["since"])
        except Exception as error:  # whatever it is, the client attempts it again
            answer["failed"] = repr(error)
        self._tell(**answer)
