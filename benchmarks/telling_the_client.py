"""What it takes to tell clients how their orders ended: each way over the same thousand orders.

A simulation without AWS and without a network, so every run prints the same figures. What the
library has runs as it is, on a clock of the simulation: ``StatusClient`` against what the front of
``polling_status`` answers, and the times at which a viewer of ``appsync_live`` looks. A way is a
function of ``WAYS``; ``python -m benchmarks.telling_the_client`` prints a row of the page's table
for each.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from statistics import quantiles
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from serverless_patterns.lambdas.foundation import jobs
from serverless_patterns.lambdas.foundation.statuses import DONE
from serverless_patterns.patterns.appsync_live.client import RECHECKS
from serverless_patterns.patterns.polling_status import client
from serverless_patterns.patterns.sns_webhook.stack import BATCH, WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ORDERS, SEED = 1_000, 13
# US dollars a million in us-east-1, 2026-11-20, without free tiers and data transfer. Sources:
# https://aws.amazon.com/api-gateway/pricing/, https://aws.amazon.com/lambda/pricing/,
# https://aws.amazon.com/dynamodb/pricing/on-demand/, https://aws.amazon.com/sns/pricing/,
# https://aws.amazon.com/sqs/pricing/,
# https://aws.amazon.com/appsync/pricing/ (2026-11-27; minutes as GraphQL subscriptions have them)
REST_REQUEST, HTTP_REQUEST, LAMBDA_CALL, GB_SECONDS = 3.50, 1.00, 0.20, 13.3334  # arm64
READ_UNIT, WRITE_UNIT = 0.125, 0.625
SNS_PUBLISH, SNS_HTTP_DELIVERY, SQS_REQUEST = 0.50, 0.60, 0.40
EVENTS_OPERATION, CONNECTED_MINUTE = 1.00, 0.08
# A call of a function that reads an item and answers: 0.01 s at 512 MB.
READ = LAMBDA_CALL + GB_SECONDS * 0.5 * 0.010 + READ_UNIT
# Lambda polls the stream of a table four times a second. Source:
# https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
STREAM_POLL = 0.25


@dataclass(frozen=True)
class Figures:
    """What a way takes for all orders.

    Args:
        requests: Requests of clients after the one with the order, or to them.
        empty: Those that told nothing new.
        late: Seconds from each order's end to the moment when its client knew it.
        dollars: For a million orders: what AWS bills for telling, not for the work.
    """

    requests: int
    empty: int
    late: Sequence[float]
    dollars: float

    def row(self, way: str) -> str:
        """Return the row of the table."""
        cuts = quantiles(self.late, n=100)
        return (
            f"| {way} | {self.requests:,} | {self.empty:,} | {cuts[49]:.1f} s | {cuts[94]:.1f} s "
            f"| {self.dollars:.2f} |"
        )


def orders(number: int = ORDERS) -> list[float]:
    """Return how many seconds each order takes: half of them 3, one in twenty 30 and more."""
    random_ = random.Random(SEED)  # noqa: S311
    return [random_.lognormvariate(math.log(3), 1.4) for _ in range(number)]


class _Front:
    """The clock of a simulation, and the front that answers by it."""

    def __init__(self) -> None:
        self.now = self.takes = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def __call__(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]
    ) -> client.Answer:
        state = DONE if self.now >= self.takes else jobs.ACCEPTED
        status, now = jobs.Status("job", state, 0, 900), int(self.now)
        if method == "POST":
            answer: Any = jobs.accepted("id", "/orders", status, now)
        else:
            answer = jobs.told("id", status, headers.get("If-None-Match", ""), now)
        lower = {name.lower(): value for name, value in answer["headers"].items()}
        return client.Answer(answer["statusCode"], lower, answer["body"].encode())


def polling(seconds: Sequence[float]) -> Figures:
    """Let ``StatusClient`` submit each order and wait for it."""
    front, late, polls = _Front(), [], 0
    with patch.multiple(client, time=front, random=random.Random(SEED)):  # noqa: S311
        for front.takes in seconds:
            front.now = 0.0
            waiting = client.StatusClient("https://any/orders", send=front, deadline=3600)
            waiting.run({}, job_id="id")
            late.append(front.now - front.takes)
            polls += waiting.requests - 1
    return _polled(polls, late)


def every_second(seconds: Sequence[float]) -> Figures:
    """Ask each second, as clients do that are told nothing better."""
    late = [math.ceil(takes) - takes for takes in seconds]
    return _polled(sum(math.ceil(takes) for takes in seconds), late)


def _polled(polls: int, late: Sequence[float]) -> Figures:
    """Return the figures of polls; a job is a write, and its end one in a transaction."""
    dollars = polls / len(late) * (REST_REQUEST + READ) + 3 * WRITE_UNIT
    return Figures(polls, polls - len(late), late, dollars)


def webhook(seconds: Sequence[float]) -> Figures:
    """Send each end to its client's endpoint, which answers; that is the client's to pay."""
    dollars = SNS_PUBLISH + SNS_HTTP_DELIVERY
    return Figures(len(seconds), 0, [0.0] * len(seconds), dollars)


def signed_webhook(seconds: Sequence[float]) -> Figures:
    """Let a queue hand the ends to a function, which posts them to one third party.

    A batch is complete with as many as it holds, or some time after its first. A post takes a
    tenth of a second at 512 MB; a call reads the endpoint once.
    """
    ends, late, calls = sorted(seconds), [], 0
    while ends:
        batch = [end for end in ends[:BATCH] if end <= ends[0] + WINDOW]
        complete = batch[-1] if len(batch) == BATCH else batch[0] + WINDOW
        late += [complete - end for end in batch]
        ends, calls = ends[len(batch) :], calls + 1
    each = SQS_REQUEST * 2 + LAMBDA_CALL + READ_UNIT
    dollars = SNS_PUBLISH + SQS_REQUEST + GB_SECONDS * 0.5 * 0.1 + each * calls / len(late)
    return Figures(len(late), 0, late, dollars)


def live(seconds: Sequence[float]) -> Figures:
    """Connect, fetch, look again as a viewer does, and be shown the end; for each order anew.

    An end waits for the next poll of the table's stream. Billed are five operations (connect,
    subscribe and its handler, publish, deliver), and a transaction that counts the version.
    """
    random_ = random.Random(SEED)  # noqa: S311
    late, fetches, empty, minutes = [], 0, 0, 0
    for takes in seconds:
        shown, look, last = takes + random_.uniform(0, STREAM_POLL), 0.0, list(RECHECKS)
        while look < shown:
            fetches += 1
            empty += look < takes
            if look >= takes:
                shown = look
            look += last.pop(0) if last[1:] else last[0]
        late.append(shown - takes)
        minutes += math.ceil(shown / 60)
    each = (fetches * (HTTP_REQUEST + READ) + minutes * CONNECTED_MINUTE) / len(seconds)
    publisher = (LAMBDA_CALL + GB_SECONDS * 0.5) / 50  # a call of a second for 50 changes
    dollars = each + 5 * EVENTS_OPERATION + 2 * WRITE_UNIT + publisher
    return Figures(fetches + 2 * len(seconds), empty, late, dollars)


WAYS: dict[str, Callable[[Sequence[float]], Figures]] = {
    "polling": polling,
    "polling each second": every_second,
    "[webhook](../sns_webhook/README.md) by SNS": webhook,
    "webhook, signed for a third party": signed_webhook,
    "[live updates](../appsync_live/README.md)": live,
}


def table() -> str:
    """Return the table of all ways."""
    rows = [figures(orders()).row(way) for way, figures in WAYS.items()]
    head = "| Way | Requests | Empty answers | Late, p50 | p95 | US dollars a million orders |"
    return "\n".join([head, "|---|---|---|---|---|---|", *rows])


def main() -> None:
    """Print the table."""
    print(table())


if __name__ == "__main__":
    main()
