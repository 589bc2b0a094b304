"""The endpoint on this machine knows which posts whoever sent them is to send again."""

from __future__ import annotations

import socket
import time
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest

from serverless_patterns.sandbox import http_endpoint
from serverless_patterns.sandbox.http_endpoint import PATH, Post, listening
from serverless_patterns.sandbox.queues import until

if TYPE_CHECKING:
    from collections.abc import Callable


def late(post: Post) -> int:
    time.sleep(0.5)
    return 200


@pytest.mark.parametrize("works", [late, lambda _: 503])
def test_a_post_that_is_answered_too_late_or_with_5xx_is_to_be_posted_again(
    works: Callable[[Post], int],
) -> None:
    with listening(works) as endpoint:
        connection = HTTPConnection(
            "127.0.0.1", int(endpoint.origin.rpartition(":")[2]), timeout=0.2
        )
        connection.request("POST", PATH, b"body")
        if works is late:
            with pytest.raises(TimeoutError):
                connection.getresponse()
        connection.close()
        until(
            lambda: bool(endpoint.refused) and not endpoint.busy,
            seconds=60,
            what="until it answered",
        )
        assert (endpoint.unanswered, endpoint.posts) == ({b"body"}, [])
        endpoint.works = None
        connection.request("POST", PATH, b"body")
        assert connection.getresponse().status == 200
        assert (endpoint.unanswered, endpoint.taken) == (set(), ["body"])


def test_a_post_that_hangs_is_held_with_signs_of_life_until_it_is_released(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_endpoint, "SIGNS", 0.01)
    with listening() as endpoint, endpoint.failing(0, alive=True):
        port = int(endpoint.origin.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as client, client.makefile("rb") as said:
            client.sendall(f"POST {PATH} HTTP/1.0\r\nContent-Length: 4\r\n\r\nbody".encode())
            signs = [said.readline().split()[1:2] for _ in range(6)]
            assert signs == [[b"100"], []] * 3
            assert (endpoint.busy, endpoint.refused) == (1, 1)
            endpoint.released.set()
            assert b"503" in said.read()
    assert not endpoint.posts


def test_an_endpoint_that_hangs_says_nothing_unless_it_is_to_give_signs_of_life(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_endpoint, "SIGNS", 0.01)
    with listening() as endpoint, endpoint.failing(0):
        connection = HTTPConnection(endpoint.origin.removeprefix("http://"), timeout=0.3)
        connection.request("POST", PATH, b"body")
        with pytest.raises(TimeoutError):
            connection.getresponse()


def test_what_fails_on_purpose_or_is_rejected_is_not_to_be_posted_again() -> None:
    with listening(lambda _: 400) as endpoint:
        assert endpoint.answer(Post(PATH, {}, b"body")) == 400
        with endpoint.failing(500):
            assert endpoint.answer(Post(PATH, {}, b"body")) == 500
        assert not endpoint.unanswered
