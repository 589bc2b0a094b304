"""Runs ``page/live.js`` in Node as a browser does, for many customers, and says what each sees."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serverless_patterns.sandbox.process import trust
from serverless_patterns.sandbox.runtime import node_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RECHECKS = (2.0, 300.0)  # seconds: Live.rechecks
SCRIPT = Path(__file__).with_name("client.mjs")


@dataclass
class Client:
    """A customer's client, and what it knows.

    Args:
        token: Returns a token that is valid now.
        since: Returns what has changed since a version, as ``GET /orders?since=`` answers.
        on_change: Called whenever it knows more. Default: nothing.
        orders: The newest state of each, by id.
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
    states: list[str] = field(default_factory=lambda: [""])


class Clients(AbstractContextManager["Clients"]):
    """A Node with clients in it; a context, at whose end all of them end.

    Args:
        local: The scheme, ``ws`` or ``wss``, of an emulator on this machine. Default: this is AWS.
        certificate: To trust there. Default: this machine's.
        settings: Static fields of ``Live``. Default: its own.
    """

    def __init__(
        self, local: str = "", certificate: Path | None = None, **settings: object
    ) -> None:
        self._clients: dict[str, Client] = {}
        self._lock, self._pool = threading.Lock(), ThreadPoolExecutor()
        given = json.dumps({"local": local, "settings": settings})
        self._node: Any = subprocess.Popen(
            [f"{node_folder()}/node", "--no-warnings", SCRIPT, given],
            env={**os.environ, **(trust(certificate) if certificate else {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._hear, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._node.kill()
        self._node.wait()
        self._pool.shutdown(cancel_futures=True)

    def watch(self, name: str, config: Mapping[str, object], client: Client) -> Client:
        """Start a client. ``config``: as ``Live`` takes it."""
        self._clients[name] = client
        self.tell("watch", name, config=config)
        return client

    def tell(self, command: str, name: str, **more: object) -> None:
        """``drop`` a client's connection, ``stop`` it, or let it ``watch`` again as it was."""
        with self._lock:
            line = json.dumps({"command": command, "name": name, **more})
            print(line, file=self._node.stdin, flush=True)

    def _hear(self) -> None:
        for line in self._node.stdout:
            said = json.loads(line)
            client = self._clients[said["name"]]
            if "ask" in said:
                self._pool.submit(self._answer, client, said)
                continue
            client.orders |= {order["order_id"]: order for order in said["orders"]}
            client.version = said["version"]
            client.shown += said["shown"]
            client.late += said["late"]
            client.states.append(said["state"])
            client.on_change(client)

    def _answer(self, client: Client, said: Mapping[str, Any]) -> None:
        answer: dict[str, Any] = {"ask": said["ask"]}
        try:
            asks_token = said["what"] == "token"
            answer["answer"] = client.token() if asks_token else client.since(said["since"])
        except Exception as error:  # whatever it is, the client attempts it again
            answer["failed"] = repr(error)
        self.tell("answer", said["name"], **answer)
