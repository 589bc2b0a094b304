"""The endpoint on this machine knows which posts whoever sent them is to send again."""

from __future__ import annotations

import time
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest

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
            seconds=10,
            what="until it answered",
        )
        assert (endpoint.unanswered, endpoint.posts) == ({b"body"}, [])
        endpoint.works = None
        connection.request("POST", PATH, b"body")
        assert connection.getresponse().status == 200
        assert (endpoint.unanswered, endpoint.taken) == (set(), ["body"])


def test_what_fails_on_purpose_or_is_rejected_is_not_to_be_posted_again() -> None:
    with listening(lambda _: 400) as endpoint:
        assert endpoint.answer(Post(PATH, {}, b"body")) == 400
        with endpoint.failing(500):
            assert endpoint.answer(Post(PATH, {}, b"body")) == 500
        assert not endpoint.unanswered
