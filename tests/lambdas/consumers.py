"""The queue consumers of all patterns. A pattern declares its own in ``tests/<slug>/handlers.py``.

There, ``CONSUMERS`` lists them, and ``LIMITS`` the limits up to which the pattern's handlers fill
their calls, by module and constant; the suites beside this file then hold them to their promises.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from serverless_patterns.lambdas.foundation import replies, responding, strict_json
from tests.declared import modules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    import pytest

    from serverless_patterns.lambdas.foundation.messages import Message
    from tests.moto_cloud import Cloud


def stored(cloud: Cloud) -> list[str]:
    """Return the fingerprints of all that the table holds."""
    return [item["fingerprint"] for item in cloud.items() if "fingerprint" in item]


@dataclass(frozen=True)
class Consumer:
    """The handler of a queue, and events to try it with.

    Args:
        handler: Of the queue.
        cloud: Makes the account that it works in.
        good: Returns a valid event, by its number and by its place in its message group.
        name: Returns a word that each call about an event has; in FIFO queues, its message group.
        bad: An event that is refused.
        reason: Why.
        work: The operation that processes a batch, or an event.
        secrets: Words of these events that nobody may log.
        applied: For a FIFO queue, returns the places of a group's events as they took effect.
            Default: none, so its queue keeps no order.
        newest_counts: Whether an older event that comes behind a newer one of its group changes
            nothing. Default: no.
        alone: Whether it relies on the queue's visibility timeout, which outlasts the function, to
            have one event of a group at a time: its service writes without conditions. Default: no.
        other: Returns another event that claims the id of a good one: the first of the two wins.
            Default: no id that two events can claim.
        effects: Returns what took effect: events, or their fingerprints; one that did twice is
            there twice. Default: the fingerprints in the table.
        attributes: Returns the attributes of an event's message, of it and the variables of the
            function that runs. Default: none.
        untried: Why no fault is tried on a running stack by ``make break``. Default: each is.
        identity: Returns what makes an event the same one in its effects. Default: all that it
            says.
    """

    handler: Any
    cloud: Callable[[pytest.MonkeyPatch], AbstractContextManager[Cloud]]
    good: Callable[[int, int], Any]
    name: Callable[[int], str]
    bad: Any
    reason: str
    work: str
    secrets: Sequence[str]
    applied: Callable[[Cloud, int], list[int]] | None = None
    other: Callable[[int, int], Any] | None = None
    effects: Callable[[Cloud], Iterable[Any]] = stored
    attributes: Callable[[Any, dict[str, str]], dict[str, Any]] = lambda _, __: {}
    identity: Callable[[Any], str] = strict_json.fingerprint
    newest_counts: bool = False
    alone: bool = False
    untried: str = ""

    @property
    def fifo(self) -> bool:
        """Whether its queue keeps an order."""
        return self.applied is not None


@contextmanager
def without_addresses(
    cloud: Callable[[pytest.MonkeyPatch], AbstractContextManager[Cloud]],
    id_of: Callable[[Any], str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Cloud]:
    """The cloud of a consumer that answers: here, its events have a body alone.

    Each has the id that ``id_of`` makes of its document, and its answer goes nowhere.
    """

    def request(message: Message, _: str) -> replies.Request:
        said = strict_json.parse(message.body)
        to = replies.Address("nobody", id_of(said))
        return replies.Request(to, 10**14, said, strict_json.fingerprint(said))

    with cloud(monkeypatch) as made:
        monkeypatch.setattr(replies, "request", request)
        monkeypatch.setattr(responding, "answer", lambda *_: {})
        yield made


def declared(name: str) -> Iterator[tuple[str, str, Any]]:
    """Yield what the patterns' ``handlers.py`` have under a name: slug, key and value."""
    for slug, module in modules("handlers"):
        for key, value in getattr(module, name, {}).items():
            yield slug, key, value


def found() -> Iterator[tuple[str, Consumer]]:
    """Yield every consumer with its name."""
    for slug, name, consumer in declared("CONSUMERS"):
        yield f"{slug}.{name}", consumer


def limits() -> Iterator[tuple[str, int]]:
    """Yield every constant of a handler, by its name below ``lambdas/``, with its limit."""
    for slug, name, limit in declared("LIMITS"):
        yield f"{slug}.{name}", limit
