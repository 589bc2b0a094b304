"""What it takes to tell clients how their orders ended: each way over the same thousand orders.

A simulation without AWS, so every run prints the same figures. A way is a function of ``WAYS``;
``python -m benchmarks.telling_the_client`` prints a row of the page's table for each.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from statistics import quantiles
from typing import TYPE_CHECKING

from serverless_patterns.lambdas.polling_status import logic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ORDERS, SEED = 1_000, 13
# US dollars for each million in us-east-1, 2026-11-20, without free tiers:
# https://aws.amazon.com/api-gateway/pricing/, https://aws.amazon.com/lambda/pricing/,
# https://aws.amazon.com/dynamodb/pricing/on-demand/
REST_REQUEST, LAMBDA_CALL, READ_UNIT = 3.50, 0.20, 0.125
GB_SECONDS = 13.3334  # arm64
FRONT_GB, FRONT_SECONDS = 0.5, 0.010  # a call of the function that answers a poll


@dataclass(frozen=True)
class Figures:
    """What a way takes for all orders.

    Args:
        requests: Requests of clients, or to them.
        empty: Those that told nothing new.
        late: Seconds from each order's end to the moment when its client knew it.
        dollars: For each request.
    """

    requests: int
    empty: int
    late: Sequence[float]
    dollars: float

    def row(self, way: str) -> str:
        """Return the row of the table; dollars are for the orders' number, times a thousand."""
        cuts = quantiles(self.late, n=100)
        million = self.requests * self.dollars * 1_000_000 / len(self.late)
        return (
            f"| {way} | {self.requests:,} | {self.empty:,} | {cuts[49]:.1f} s | {cuts[94]:.1f} s "
            f"| {million:.2f} |"
        )


def orders(number: int = ORDERS) -> list[float]:
    """Return how many seconds each order takes: half of them 3, one in twenty 30 and more."""
    random_ = random.Random(SEED)  # noqa: S311
    return [random_.lognormvariate(math.log(3), 1.4) for _ in range(number)]


def polling(seconds: Sequence[float]) -> Figures:
    """Ask as ``StatusClient`` does: when ``Retry-After`` says, and up to a tenth later.

    The server says what the pattern's front does.
    """
    random_ = random.Random(SEED)  # noqa: S311
    requests, late = 0, []
    job = logic.Status(logic.ACCEPTED, 0, 900, "")
    for takes in seconds:
        asked = 0.0
        while True:
            asked += logic.wait(job, int(asked)) * random_.uniform(1, 1.1)
            requests += 1
            if asked >= takes:
                break
        late.append(asked - takes)
    dollars = REST_REQUEST + LAMBDA_CALL + GB_SECONDS * FRONT_GB * FRONT_SECONDS + READ_UNIT
    return Figures(requests, requests - len(seconds), late, dollars / 1_000_000)


def every_second(seconds: Sequence[float]) -> Figures:
    """Ask each second, as clients do that are told nothing better."""
    requests = sum(math.ceil(takes) for takes in seconds)
    late = [math.ceil(takes) - takes for takes in seconds]
    return Figures(requests, requests - len(seconds), late, polling(seconds).dollars)


WAYS: dict[str, Callable[[Sequence[float]], Figures]] = {
    "polling": polling,
    "polling each second": every_second,
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
