"""The page of ``appsync_live`` in a real browser, with a stack on the embedded AWS behind it."""

from __future__ import annotations

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
PASSWORD = f"Aa1!{secrets.token_hex(12)}"

pytestmark = pytest.mark.skipif(not BROWSER, reason="no browser: apt-get install chromium")


@pytest.fixture(scope="module")
def stack(shared: Target) -> Deployment:
    return shared.deploy(stacks=["appsync-live"], cwd=ROOT)["appsync-live"]


@pytest.fixture(scope="module")
def customer(stack: Deployment) -> str:
    """A user of the pool; its id."""
    cognito, pool = stack.client("cognito-idp"), stack["UserPoolId"]
    email = "browser@shop.example"
    said = [{"Name": "email", "Value": email}, {"Name": "email_verified", "Value": "true"}]
    user = cognito.admin_create_user(
        UserPoolId=pool, Username=email, UserAttributes=said, MessageAction="SUPPRESS"
    )["User"]
    cognito.admin_set_user_password(
        UserPoolId=pool, Username=email, Password=PASSWORD, Permanent=True
    )
    attributes = {one["Name"]: one["Value"] for one in user["Attributes"]}
    return str(attributes["sub"])


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


def sign_in(opened: Any, password: str = PASSWORD) -> None:
    opened.fill("input[name=email]", "browser@shop.example")
    opened.fill("input[name=password]", password)
    opened.click("button")


def test_a_browser_shows_changes_as_they_happen_and_what_it_missed(
    stack: Deployment, customer: str, tmp_path: Path
) -> None:
    from playwright.sync_api import expect

    expect.set_options(timeout=20_000)
    dynamodb, shop = stack.client("dynamodb"), Shop("web")

    def write(order: Any, status: str) -> None:
        feed.change(dynamodb, stack["TableName"], customer, order, status)

    orders = shop.orders(4)
    orders[0]["lines"][0]["name"] = EVIL
    write(orders[0], "placed")
    with page(stack, tmp_path / "profile") as (opened, relay):
        state, rows, counts = (opened.locator(one) for one in ("#state", "#orders tr", "#counts"))
        sign_in(opened, "Wrong1!wrong1!")
        expect(state).to_have_text("Email or password is wrong")
        sign_in(opened)
        expect(rows).to_have_count(1)  # it was there before
        expect(state).to_have_text("Live")
        expect(opened.locator("#sign-in")).to_be_hidden()
        expect(rows).to_contain_text(EVIL)
        expect(opened.locator("#orders img")).to_have_count(0)

        write(orders[1], "placed")
        write(orders[0], "shipped")
        expect(rows).to_have_count(2)
        expect(rows.first).to_contain_text("shipped")
        expect(counts).to_have_text("3 changes: 2 live, 1 fetched")

        relay.go(away=True)
        expect(state).to_have_text(re.compile("Offline|Connecting"))
        for order in orders[2:]:
            write(order, "placed")
        relay.go(away=False)
        expect(rows).to_have_count(4)
        expect(counts).to_have_text("5 changes: 2 live, 3 fetched")
        expect(state).to_have_text("Live")
        if folder := os.environ.get("SCREENSHOTS"):
            opened.screenshot(path=f"{folder}/appsync_live.png", full_page=True)
        found = [row.split("\t")[0] for row in rows.all_inner_texts()]
        assert found == [orders[at]["order_id"] for at in (3, 2, 0, 1)], "the newest first"
        assert opened.title() == "Your orders"
