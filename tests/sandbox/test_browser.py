"""The page of ``appsync_live`` in a real browser, with a stack on the embedded AWS behind it."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import shutil
import socket
import socketserver
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from serverless_patterns.lambdas.appsync_live import feed
from serverless_patterns.patterns.appsync_live import serve
from serverless_patterns.patterns.shop import Shop
from serverless_patterns.sandbox.users import User, sign_up
from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from serverless_patterns.sandbox import Deployment, Target

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP *.localhost 127.0.0.1",
]  # fmt: skip
EVIL = '<img src=x onerror="document.title=1"> & </td>'

PASSWORD = "Aa1!Aa1!Aa1!"
COUNT_DRAWS = """() => {
  window.draws = 0;
  const observer = new MutationObserver(() => { window.draws += 1; });
  observer.observe(document.getElementById("orders"), { childList: true });
}"""

pytestmark = pytest.mark.skipif(not BROWSER, reason="no browser: apt-get install chromium")


@pytest.fixture(scope="module")
def stack(shared: Target, demo_app: Path) -> Deployment:
    return shared.deploy(demo_app, ["appsync-live"], cwd=ROOT)["appsync-live"]


@pytest.fixture
def customer(stack: Deployment) -> User:
    return sign_up(stack, f"{secrets.token_hex(4)}@shop.example")


class Relay(socketserver.ThreadingTCPServer):
    """The network between the browser and the WebSocket, which can be cut."""

    daemon_threads, allow_reuse_address = True, True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        self.to, self.cut, self.sockets = ("127.0.0.1", port), False, list[socket.socket]()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def finish_request(self, request: Any, _: Any) -> None:
        """Pass on what either side says."""
        if self.cut:
            return
        with socket.create_connection(self.to) as server:
            self.sockets += [request, server]
            back = threading.Thread(target=self._copy, args=(server, request), daemon=True)
            back.start()
            self._copy(request, server)
            back.join()

    @staticmethod
    def _copy(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while some := one.recv(65_536):
                other.sendall(some)
        with suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)

    def go(self, *, away: bool) -> None:
        """Cut every connection, and let none in; or let them in again."""
        self.cut = away
        while away and self.sockets:
            with suppress(OSError):
                self.sockets.pop().shutdown(socket.SHUT_RDWR)


@contextmanager
def page(stack: Deployment, folder: Path) -> Iterator[tuple[Any, Relay]]:
    """The page in a browser of its own, whose content security policy nothing may break."""
    from playwright.sync_api import sync_playwright

    port = urlsplit(str(stack.target.endpoint_url)).port or 443
    relay = Relay(port)
    config = serve.config(stack.outputs, f"{stack.target.endpoint_url}/")
    config["realtimeHost"] = config["realtimeHost"].replace(str(port), str(relay.server_address[1]))
    server = serve.server(config)  # the one origin that the API lets in
    threading.Thread(target=server.serve_forever, daemon=True).start()
    said: list[str] = []
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch_persistent_context(
                str(folder), executable_path=BROWSER, args=ARGUMENTS, ignore_https_errors=True
            )
            opened = browser.new_page()
            opened.on("console", lambda message: said.append(message.text))
            opened.on("pageerror", lambda error: said.append(str(error)))
            opened.goto(f"http://127.0.0.1:{serve.PORT}/index.html")
            yield opened, relay
            browser.close()
    finally:
        for one in (server, relay):
            one.shutdown()
            one.server_close()
    assert not [line for line in said if "Content Security Policy" in line], said


def sign_in(opened: Any, customer: User, password: str = "") -> None:
    opened.fill("input[name=email]", customer.email)
    opened.fill("input[name=password]", password or customer.password)
    opened.click("button")


def parts(opened: Any) -> tuple[Any, Any, Any]:
    """The page's state, its rows, and how many changes it counts."""
    from playwright.sync_api import expect

    expect.set_options(timeout=60_000)
    state, rows, counts = (opened.locator(one) for one in ("#state", "#orders tr", "#counts"))
    return state, rows, counts


def write(stack: Deployment, customer: User, order: Any, status: str) -> None:
    feed.change(stack.client("dynamodb"), stack["TableName"], customer.id, order, status)


def picture(opened: Any, name: str) -> None:
    """Take a picture, if a folder for it is given: nobody sees the page otherwise."""
    if folder := os.environ.get("SCREENSHOTS"):
        opened.screenshot(path=f"{folder}/appsync_live-{name}.png", full_page=True)


def test_a_browser_shows_changes_as_they_happen_and_what_it_missed(
    stack: Deployment, customer: User, tmp_path: Path
) -> None:
    from playwright.sync_api import expect

    orders = Shop("web").orders(4)
    orders[0]["lines"][0]["name"] = EVIL
    write(stack, customer, orders[0], "placed")
    with page(stack, tmp_path / "profile") as (opened, relay):
        state, rows, counts = parts(opened)
        sign_in(opened, customer, "Wrong1!wrong1!")
        expect(state).to_have_text("Email or password is wrong")
        picture(opened, "sign-in")
        sign_in(opened, customer)
        expect(rows).to_have_count(1)  # it was there before
        expect(state).to_have_text("Live")
        expect(opened.locator("#sign-in")).to_be_hidden()
        expect(rows).to_contain_text(EVIL)
        expect(opened.locator("#orders img")).to_have_count(0)

        write(stack, customer, orders[1], "placed")
        write(stack, customer, orders[0], "shipped")
        expect(rows).to_have_count(2)
        expect(rows.first).to_contain_text("shipped")
        expect(counts).to_have_text("3 changes: 2 live, 1 fetched")

        relay.go(away=True)
        expect(state).to_have_text(re.compile("Offline|Connecting"))
        picture(opened, "offline")
        for order in orders[2:]:
            write(stack, customer, order, "placed")
        relay.go(away=False)
        expect(rows).to_have_count(4)
        expect(counts).to_have_text("5 changes: 2 live, 3 fetched")
        expect(state).to_have_text("Live")
        picture(opened, "live")
        opened.set_viewport_size({"width": 360, "height": 640})
        picture(opened, "phone")
        wide = opened.evaluate("document.documentElement.scrollWidth > window.innerWidth")
        assert not wide, "it fits on a phone"
        found = [row.split("\n")[0] for row in rows.all_inner_texts()]
        assert found == [orders[at]["order_id"] for at in (3, 2, 0, 1)], "the newest first"
        assert opened.title() == "Your orders"


def test_a_page_that_is_open_for_hours_gets_new_tokens_until_the_session_is_over(
    stack: Deployment, customer: User, tmp_path: Path
) -> None:
    from playwright.sync_api import expect

    [order] = Shop("web").orders(1)
    with page(stack, tmp_path / "profile") as (opened, relay):
        state, rows, _ = parts(opened)
        asked: list[str] = []
        opened.on("request", lambda request: asked.append(request.post_data or ""))
        opened.clock.install()
        sign_in(opened, customer)
        expect(state).to_have_text("Live")
        opened.clock.fast_forward("02:00:00")  # tokens are valid for one
        relay.go(away=True)
        expect(state).to_have_text(re.compile("Offline|Connecting"))
        relay.go(away=False)
        write(stack, customer, order, "placed")
        opened.clock.run_for(60_000)
        expect(rows).to_have_count(1)
        expect(state).to_have_text("Live")
        assert [flow for flow in asked if "REFRESH_TOKEN_AUTH" in flow]

        pool = stack["UserPoolId"]
        stack.client("cognito-idp").admin_delete_user(UserPoolId=pool, Username=customer.email)
        opened.clock.fast_forward("02:00:00")
        opened.clock.run_for(60_000)
        expect(state).to_have_text("Not allowed. Sign in again.")
        expect(opened.locator("#sign-in")).to_be_visible()


def test_a_page_with_thousands_of_changes_draws_what_is_new_once_a_frame(
    stack: Deployment, tmp_path: Path
) -> None:
    """AppSync, the user pool and the API are played here, so that the page alone is measured."""
    from playwright.sync_api import expect

    [order] = Shop("web").orders(1)
    claims = base64.urlsafe_b64encode(b'{"sub": "one"}').decode().rstrip("=")
    result = {"AuthenticationResult": {"IdToken": f"x.{claims}.x", "ExpiresIn": 3600}}
    empty = {"orders": [], "version": 0, "more": False}
    sockets: list[Any] = []

    def change(version: int) -> str:
        said = {"order_id": f"{version}", "version": version, "order": order, "changed_at": 1}
        return json.dumps(said | {"status": "placed"})

    def answer(socket: Any) -> None:
        sockets.append(socket)
        socket.send(json.dumps({"type": "connection_ack", "connectionTimeoutMs": 60_000}))
        socket.send(json.dumps({"type": "subscribe_success"}))

    with page(stack, tmp_path / "profile") as (opened, _):
        state, rows, counts = parts(opened)
        cors = {"access-control-allow-origin": "*", "access-control-allow-headers": "*"}
        opened.route("**/", lambda route: route.fulfill(json=result, headers=cors))
        opened.route("**/orders?*", lambda route: route.fulfill(json=empty, headers=cors))
        opened.route_web_socket("**/event/realtime", answer)
        sign_in(opened, User("one", "one@shop.example", PASSWORD, ""))
        expect(state).to_have_text("Live")
        opened.evaluate(COUNT_DRAWS)
        for first in range(1, 5_001, 5):
            events = [change(version) for version in range(first, first + 5)]
            sockets[0].send(json.dumps({"type": "data", "event": events}))
        said = "5000 changes: 5000 live, 0 fetched; the newest 200 of 5000 orders"
        expect(counts).to_have_text(said)
        expect(rows).to_have_count(200)
        assert opened.evaluate("window.draws") < 500
