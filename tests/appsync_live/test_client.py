"""What the clients promise, in Python and in JavaScript, against AppSync's documented frames."""

from __future__ import annotations

import base64
import json
import random
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.server import serve

from serverless_patterns.patterns.appsync_live import client
from serverless_patterns.patterns.appsync_live import serve as page
from serverless_patterns.patterns.appsync_live.client import Feed, Hosts, Viewer

from .node import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from websockets.sync.server import ServerConnection

UNAUTHORIZED = {"errors": [{"errorType": "UnauthorizedException", "message": "no"}]}
JAVASCRIPT = """import { Feed } from './live.js';
const feed = new Feed();
const needs = given.map(([what, said]) => feed[what](said));
const { version, shown, late, orders: all } = feed;
const orders = Object.fromEntries(all);
console.log(JSON.stringify({ needs, version, shown, late, orders }));
"""


class Shop:
    """A customer's orders, and what a client may be told of their changes."""

    def __init__(self) -> None:
        self.version, self.orders = 0, dict[str, Any]()

    def change(self, order_id: str) -> Any:
        self.version += 1
        self.orders[order_id] = {"order_id": order_id, "version": self.version}
        return self.orders[order_id]

    def since(self, version: int, most: int = 10**6) -> Any:
        found = sorted((one for one in self.orders.values() if one["version"] > version),
                       key=lambda one: int(one["version"]))  # fmt: skip
        last = found[:most][-1]["version"] if found else version
        return {"version": last, "orders": found[:most], "more": len(found) > most}


# What a client knows


def steps(seed: int) -> tuple[list[Any], Shop]:
    """What one client may meet: events lost, late, twice, too large, and fetches in parts."""
    dice, shop, asked = random.Random(seed), Shop(), list[Any]()  # noqa: S311 - test data
    feed, held = Feed(), list[Any]()

    def tell(event: Any) -> None:
        asked.append(["event", event])
        more = feed.event(event)
        while more:
            answer = shop.since(feed.version, dice.choice([1, 3, 100]))
            asked.append(["fetched", answer])
            more = feed.fetched(answer)

    for _ in range(60):
        event = shop.change(f"order-{dice.randrange(6)}")
        fate = dice.random()
        if fate < 0.15:
            continue  # lost
        if fate < 0.3:
            held.append(event)
            continue
        tell({"version": event["version"], "fetch": True} if fate < 0.35 else event)
        if held and dice.random() < 0.4:
            tell(held.pop(dice.randrange(len(held))))
        if dice.random() < 0.1:
            tell(event)
    asked.append(["fetched", shop.since(feed.version)])
    return asked, shop


@pytest.mark.parametrize("seed", range(8))
def test_a_client_ends_with_the_state_whatever_is_lost_late_or_twice(
    seed: int, tmp_path: Path
) -> None:
    asked, shop = steps(seed)
    feed = Feed()
    needs = [feed.event(said) if what == "event" else feed.fetched(said) for what, said in asked]
    assert feed.orders == shop.orders
    assert sorted([*feed.shown, *feed.late]) == list(range(1, shop.version + 1))
    assert feed.shown == sorted(feed.shown)
    (tmp_path / "live.js").write_text((page.PAGE / "live.js").read_text(encoding="utf-8"))
    (tmp_path / "package.json").write_text('{"type": "module"}')
    assert run(tmp_path, JAVASCRIPT, asked) == {
        "needs": needs, "version": feed.version, "shown": feed.shown, "late": feed.late,
        "orders": feed.orders,
    }  # fmt: skip


def test_an_older_state_never_replaces_a_newer_one() -> None:
    feed = Feed()
    feed.event({"version": 1, "order_id": "a", "status": "paid"})
    assert not feed.event({"version": 1, "order_id": "a", "status": "placed"})
    feed.fetched({"version": 1, "orders": [{"version": 1, "order_id": "a"}], "more": False})
    assert feed.orders["a"]["status"] == "paid"
    assert (feed.shown, feed.late) == ([1], [])


# Frames


@dataclass
class AppSync:
    """AppSync's side of the protocol, on loopback: what it was told, and what it answers.

    https://docs.aws.amazon.com/appsync/latest/eventapi/event-api-websocket-protocol.html
    """

    patience: int = 300_000
    refuses: str = ""
    told: list[Any] = field(default_factory=list)
    protocols: list[str] = field(default_factory=list)
    sockets: list[ServerConnection] = field(default_factory=list)
    port: int = 0

    def talk(self, socket: ServerConnection) -> None:
        assert socket.request
        self.protocols = socket.request.headers["Sec-WebSocket-Protocol"].split(", ")
        try:
            for text in socket:
                self._answer(socket, json.loads(text))
        except ConnectionClosed:
            pass

    def _answer(self, socket: ServerConnection, frame: Any) -> None:
        self.told.append(frame)
        if self.refuses == frame["type"]:
            kind = {"connection_init": "connection_error"}.get(frame["type"], "subscribe_error")
            self.say(UNAUTHORIZED | {"type": kind}, socket)
        elif frame["type"] == "connection_init":
            ack = {"type": "connection_ack", "connectionTimeoutMs": self.patience}
            self.say(ack, socket)
            self.say({"type": "ka"}, socket)
        else:
            self.sockets.append(socket)
            self.say({"type": "subscribe_success", "id": frame["id"]}, socket)

    def say(self, frame: Any, socket: ServerConnection | None = None) -> None:
        (socket or self.sockets[-1]).send(json.dumps(frame))


class Loopback(Hosts):
    """The same, without TLS."""

    def open(self, token: str) -> Any:
        said = json.dumps({"host": self.http, "Authorization": token}).encode()
        header: Any = f"header-{base64.urlsafe_b64encode(said).decode().rstrip('=')}"
        protocols: Any = [client.SUBPROTOCOL, header]
        return connect(f"ws://{self.realtime}/event/realtime", subprotocols=protocols, proxy=None)


@contextmanager
def appsync(**settings: Any) -> Iterator[AppSync]:
    made = AppSync(**settings)
    protocols: Any = [client.SUBPROTOCOL]
    with serve(made.talk, "127.0.0.1", 0, subprotocols=protocols) as server:
        made.port = server.socket.getsockname()[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield made
        server.shutdown()


@contextmanager
def viewer(made: AppSync, shop: Shop) -> Iterator[Viewer]:
    tokens = iter(range(10**6))
    hosts = Loopback("http.example", f"127.0.0.1:{made.port}")
    watching = Viewer(hosts, "/orders/one", lambda: f"token-{next(tokens)}", shop.since)
    watching.start()
    try:
        yield watching
    finally:
        watching.stop()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RECHECKS", (60.0, 60.0))
    monkeypatch.setattr(client, "LONGEST_PAUSE", 0.05)


def data(event: Any, *, as_list: bool = True) -> dict[str, Any]:
    text = json.dumps(event)
    return {"type": "data", "id": "orders", "event": [text] if as_list else text}


def test_the_handshake_and_each_frame_are_as_documented() -> None:
    with appsync() as made, viewer(made, Shop()) as watching:
        until(lambda: watching.connections)
        name, header = made.protocols
        assert name == "aws-appsync-event-ws"
        said = header.removeprefix("header-")
        assert "=" not in said
        assert json.loads(base64.urlsafe_b64decode(said + "=" * (-len(said) % 4))) == {
            "host": "http.example", "Authorization": "token-0",
        }  # fmt: skip
        assert made.told == [
            {"type": "connection_init"},
            {"type": "subscribe", "id": "orders", "channel": "/orders/one",
             "authorization": {"host": "http.example", "Authorization": "token-0"}},
        ]  # fmt: skip


def test_events_are_shown_as_they_happen_in_either_form() -> None:
    shop = Shop()
    with appsync() as made, viewer(made, shop) as watching:
        until(lambda: watching.connections)
        made.say(data(shop.change("a")))
        made.say({"type": "ka"})
        made.say(data(shop.change("b"), as_list=False))
        until(lambda: watching.feed.version == 2)
        assert (watching.feed.shown, watching.feed.late) == ([1, 2], [])


def test_a_gap_is_fetched_at_once_and_so_is_what_could_not_be_handed_on() -> None:
    shop = Shop()
    with appsync() as made, viewer(made, shop) as watching:
        until(lambda: watching.connections)
        shop.change("a")
        made.say(data(shop.change("b")))
        until(lambda: watching.feed.version == 2)
        shop.change("c")
        made.say({"type": "broadcast_error", "id": "orders", "errors": []})
        until(lambda: watching.feed.version == 3)
        assert watching.feed.late == [1, 2, 3]


def test_a_client_that_was_cut_off_connects_again_with_a_new_token_and_fetches() -> None:
    shop = Shop()
    with appsync() as made, viewer(made, shop) as watching:
        until(lambda: watching.connections)
        watching.drop()
        shop.change("a")
        until(lambda: watching.feed.version == 1)
        assert watching.connections == 2
        assert made.told[-1]["authorization"]["Authorization"] == "token-1"


def test_a_connection_without_a_sign_of_life_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RECHECKS", (0.05, 0.05))
    with appsync(patience=200) as made, viewer(made, Shop()) as watching:
        until(lambda: watching.connections > 1)


def test_what_no_event_told_is_found_by_looking_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RECHECKS", (0.1, 60.0))
    shop = Shop()
    with appsync() as made, viewer(made, shop) as watching:
        until(lambda: watching.connections)
        shop.change("a")
        until(lambda: watching.feed.version == 1)
        assert watching.connections == 1


@pytest.mark.parametrize("refuses", ["connection_init", "subscribe"])
def test_a_client_that_is_not_let_in_ends_and_says_why(refuses: str) -> None:
    with appsync(refuses=refuses) as made, viewer(made, Shop()) as watching:
        until(lambda: not watching.is_alive())
        assert "UnauthorizedException" in watching.rejected


def test_a_client_waits_for_a_fetch_that_fails_and_loses_nothing() -> None:
    shop, fails = Shop(), iter([True, True])
    since = shop.since

    def sometimes(version: int) -> Any:
        if next(fails, False):
            raise OSError(503)
        return since(version)

    shop.since = sometimes  # type: ignore[method-assign, assignment]
    shop.change("a")
    with appsync() as made, viewer(made, shop) as watching:
        until(lambda: watching.feed.version == 1)
        assert watching.connections == 3


# The page


def test_the_page_runs_nothing_of_others_and_calls_the_stack_alone() -> None:
    outputs = {
        "UserPoolId": "eu-central-1_x", "HttpHost": "h.appsync-api.eu-central-1.amazonaws.com",
        "RealtimeHost": "h.appsync-realtime-api.eu-central-1.amazonaws.com", "ClientId": "c",
        "OrdersUrl": "https://o.execute-api.eu-central-1.amazonaws.com/orders",
    }  # fmt: skip
    policy = page.policy(page.config(outputs))
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert policy.endswith(
        "connect-src 'self' https://cognito-idp.eu-central-1.amazonaws.com "
        "https://o.execute-api.eu-central-1.amazonaws.com "
        "wss://h.appsync-realtime-api.eu-central-1.amazonaws.com"
    )


def test_the_page_makes_no_html_of_text_and_has_neither_a_key_nor_inline_code() -> None:
    files = {file.name: file.read_text(encoding="utf-8") for file in page.PAGE.iterdir()}
    code = files["app.js"] + files["live.js"]
    for wrong in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(",
                  "x-api-key", "localStorage"):  # fmt: skip
        assert wrong not in code
    html = files["index.html"]
    assert html.count("<script") == html.count('<script type="module" src=')
    assert " on" not in html.replace(" one", "")
    assert "style=" not in html
