"""What the browser's client promises, run in Node against AppSync's documented frames."""

from __future__ import annotations

import base64
import json
import random
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.patterns.appsync_live import serve as page
from serverless_patterns.patterns.appsync_live.client import RECHECKS, Client, Clients
from tests.appsync import AppSync
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

UNAUTHORIZED, LIMIT = "UnauthorizedException", "LimitExceededError"


class Shop:
    """A customer's orders, and what a client may be told of their changes."""

    def __init__(self, most: int = 10**6) -> None:
        self.version, self.orders, self.most = 0, dict[str, Any](), most
        self.fails = 0

    def change(self, order_id: str) -> Any:
        self.version += 1
        changed = {"order_id": order_id, "version": self.version}
        self.orders = {**self.orders, order_id: changed}  # a fetch may be reading them
        return changed

    def since(self, version: int) -> Any:
        if self.fails:
            self.fails -= 1
            raise OSError(503)
        found = sorted((one for one in self.orders.values() if one["version"] > version),
                       key=lambda one: int(one["version"]))[: self.most]  # fmt: skip
        last = found[-1]["version"] if found else version
        return {"version": last, "orders": found, "more": len(found) == self.most}


@pytest.fixture(params=[False, True], ids=["events", "graphql"])
def graphql(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@contextmanager
def connected(made: AppSync, shop: Shop, **settings: Any) -> Iterator[Client]:
    """A client of a shop's customer, connected unless it is not let in."""
    tokens = iter(range(10**6))
    given: dict[str, Any] = {"rechecks": [60_000], "longestPause": 50, **settings}
    with made.served() as port, Clients("ws", **given) as clients:
        client = Client(lambda: f"token-{next(tokens)}", shop.since)
        hosts = {"httpHost": "http.example", "realtimeHost": f"real.example:{port}"}
        clients.watch("one", hosts | {"channel": "/orders/one", "graphql": made.graphql}, client)
        until(lambda: made.mute or {"live", "rejected"} & {*client.states})
        yield client


@pytest.mark.parametrize("seed", range(8))
def test_a_client_ends_with_the_state_whatever_is_lost_late_or_twice(
    seed: int, graphql: bool
) -> None:
    """Fetches come in parts, some fail; the connection is cut in the middle of the burst."""
    dice, shop, made = random.Random(seed), Shop(3), AppSync(graphql)  # noqa: S311 - test data
    held = list[Any]()
    with connected(made, shop) as client:
        for number in range(120):
            event, fate = shop.change(f"order-{dice.randrange(6)}"), dice.random()
            large = {"version": event["version"], "fetch": True}
            if fate < 0.3:  # half of them are lost
                held += [event] if fate < 0.15 else []
                continue
            behind = [held.pop(dice.randrange(len(held)))] if held and fate < 0.6 else []
            twice = [event] if fate > 0.9 else []
            made.tell_if_there(large if fate < 0.35 else event, *behind, *twice)
            shop.fails += fate > 0.95
            if number in (40, 80):
                made.cut()
        last = shop.change("order-0") | {"fetch": True}
        until(lambda: made.tell_if_there(last) or client.version == shop.version)
        assert client.orders == shop.orders
        assert sorted([*client.shown, *client.late]) == list(range(1, shop.version + 1))
        assert client.shown == sorted(client.shown)


def test_an_older_state_never_replaces_a_newer_one() -> None:
    shop, made = Shop(), AppSync()
    with connected(made, shop) as client:
        first, second = shop.change("a"), shop.change("a")
        made.tell(first, second, first)
        until(lambda: client.version == 2)
        made.tell(shop.change("b"), first)
        until(lambda: client.version == 3)
        assert client.orders["a"]["version"] == 2
        assert (client.shown, client.late) == ([1, 2, 3], [])


def test_events_wait_for_a_fetch_that_is_under_way() -> None:
    shop, made, go = Shop(), AppSync(), threading.Event()
    with connected(made, shop) as client:
        client.since = lambda version: (go.wait(20), found)[1] if version == 0 else None
        shop.change("a")
        made.tell(shop.change("b"))  # a gap
        found = shop.since(0)
        made.tell(shop.change("a"))
        go.set()
        until(lambda: client.version == 3)
        assert client.orders == shop.orders
        assert (client.shown, client.late) == ([3], [1, 2])


def test_the_handshake_and_each_frame_are_as_documented(graphql: bool) -> None:
    made = AppSync(graphql)
    with connected(made, Shop()):
        name, header = made.headers[0]["Sec-WebSocket-Protocol"].replace(" ", "").split(",")
        assert name == ("graphql-ws" if graphql else "aws-appsync-event-ws")
        assert made.headers[0]["Host"].startswith("real.example:")
        said = header.removeprefix("header-")
        assert "=" not in said
        authorization = {"host": "http.example", "Authorization": "token-0"}
        assert json.loads(base64.urlsafe_b64decode(said + "=" * (-len(said) % 4))) == authorization
        init, subscribe = made.told
        assert (init, subscribe.pop("id")) == ({"type": "connection_init"}, "orders")
        if graphql:
            data = json.loads(subscribe["payload"].pop("data"))
            assert data["variables"] == {"owner": "one"}
            extensions = {"extensions": {"authorization": authorization}}
            assert subscribe == {"type": "start", "payload": extensions}
        else:
            rest = {"channel": "/orders/one", "authorization": authorization}
            assert subscribe == {"type": "subscribe", **rest}


def test_events_are_shown_as_they_happen_in_either_form() -> None:
    shop, made = Shop(), AppSync()
    with connected(made, shop) as client:
        made.tell(shop.change("a"))
        made.say("data", event=json.dumps(shop.change("b")))
        until(lambda: client.version == 2)
        assert (client.shown, client.late) == ([1, 2], [])


def test_a_gap_is_fetched_at_once_and_so_is_what_could_not_be_handed_on() -> None:
    shop, made = Shop(), AppSync()
    with connected(made, shop) as client:
        shop.change("a")
        made.tell(shop.change("b"))
        until(lambda: client.version == 2)
        shop.change("c")
        made.say("broadcast_error", errors=[])
        until(lambda: client.version == 3)
        assert client.late == [1, 2, 3]


@pytest.mark.parametrize("end", ["cut", "complete", "no data"])
def test_a_client_that_was_cut_off_connects_again_with_a_new_token_and_fetches(end: str) -> None:
    shop, made = Shop(), AppSync(graphql=end != "cut")
    with connected(made, shop) as client:
        if end == "cut":
            made.cut()
        elif end == "complete":
            made.say("complete")
        else:
            made.say("data", data={"onOrders": None}, errors=[{"message": "Internal"}])
        shop.change("a")
        until(lambda: client.version == 1)
        assert len(made.sockets) == 2
        assert '"token-1"' in json.dumps(made.told[-1])


@pytest.mark.parametrize("when", ["live", "at once"])
def test_a_connection_without_a_sign_of_life_is_given_up(when: str) -> None:
    made, settings = AppSync(patience=200, mute=when == "at once"), {"patience": 200}
    with connected(made, Shop(), **(settings if made.mute else {})):
        until(lambda: len(made.headers) > 1)


def test_what_no_event_told_is_found_by_looking_again() -> None:
    shop, made = Shop(), AppSync()
    with connected(made, shop, rechecks=[100]) as client:
        shop.change("a")
        until(lambda: client.version == 1)
        assert len(made.sockets) == 1


@pytest.mark.parametrize("frame", ["connection_init", "subscribe"])
@pytest.mark.parametrize("error", [UNAUTHORIZED, "Unauthorized", "BadRequestException"])
def test_a_client_that_is_not_let_in_ends_and_says_so(
    frame: str, error: str, graphql: bool
) -> None:
    made = AppSync(graphql, errors={frame: [error]})
    with connected(made, Shop()) as client:
        assert client.states == ["", "connecting", "rejected"]


@pytest.mark.parametrize("frame", ["connection_init", "subscribe"])
def test_a_limit_or_a_fault_of_appsync_passes(frame: str, graphql: bool) -> None:
    made = AppSync(graphql, errors={frame: [LIMIT, "InternalFailure"]})
    with connected(made, Shop()) as client:
        assert client.states.count("offline") == 2


def test_a_client_waits_ever_longer_for_fetches_that_fail_and_loses_nothing() -> None:
    shop, made, started = Shop(), AppSync(), time.monotonic()
    shop.fails = 3
    shop.change("a")
    with connected(made, shop, longestPause=10**6) as client:
        assert client.version == 1
        assert len(made.sockets) == 4
        assert time.monotonic() - started > 0.2 + 0.4 + 0.8


# The page


def test_the_page_calls_the_stack_alone() -> None:
    outputs = {"UserPoolId": "eu-central-1_x", "HttpHost": "h.example", "RealtimeHost": "r.example",
               "ClientId": "c", "OrdersUrl": "https://o.example/orders"}  # fmt: skip
    assert page.calls(page.config(outputs)) == [
        "https://cognito-idp.eu-central-1.amazonaws.com", "https://o.example", "wss://r.example",
    ]  # fmt: skip


def test_the_page_makes_no_html_of_text_and_has_neither_a_key_nor_inline_code() -> None:
    files = {file.name: file.read_text(encoding="utf-8") for file in page.PAGE.iterdir()}
    code = files["app.js"] + files["live.js"]
    assert "rechecks = [{:_}, {:_}]".format(*(int(1000 * it) for it in RECHECKS)) in code
    for wrong in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(",
                  "x-api-key", "localStorage"):  # fmt: skip
        assert wrong not in code
    html = files["index.html"]
    assert html.count("<script") == html.count('<script type="module" src=')
    assert " on" not in html.replace(" one", "")
    assert "style=" not in html
