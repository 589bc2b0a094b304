"""One answer queue for all calls of a process, beside one queue a call.

On the embedded AWS, over real HTTP; each round runs both ways, one after the other. The figures are
ratios of one machine: on AWS a new queue may be used after a second only, which is left out here.

    python -m benchmarks.answer_queues [CALLS] [ROUNDS]
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from rich.console import Console
from rich.table import Table

from serverless_patterns.lambdas.foundation import aws, logs, replies, responding
from serverless_patterns.lambdas.foundation.loops import Loop
from serverless_patterns.patterns.request_reply import client
from serverless_patterns.sandbox import embedded

if TYPE_CHECKING:
    from collections.abc import Callable

    from serverless_patterns.sandbox.target import Target

PREFIX = "bench-answers-"
TOLD = {"prefix": PREFIX, "timeout": 300, "heartbeat": 300, "attributes": {}}
AT_ONCE = 64  # calls at a time with one queue each, which a thread makes


def main() -> None:
    """Measure both ways, and print them with their ratio."""
    calls, rounds = (int(given) for given in [*sys.argv[1:], "1000", "3"][:2])
    with embedded() as target:
        measured = [measure(target, calls) for _ in range(rounds)]
    table = Table("answer queues", "calls/s", "p50, ms", "p95, ms")
    rates = {}
    for way in measured[0]:
        rates[way] = median(calls / total for total in (one[way][0] for one in measured))
        latencies = [1000 * seconds for one in measured for seconds in one[way][1]]
        cuts = quantiles(latencies, n=100)
        table.add_row(way, f"{rates[way]:.0f}", f"{cuts[49]:.0f}", f"{cuts[94]:.0f}")
    first, second = rates.values()
    console = Console()
    console.print(f"{calls} calls, {rounds} rounds, medians", table)
    console.print(f"one a process: {first / second:.1f} x the calls of one a call")


def measure(target: Target, calls: int) -> dict[str, tuple[float, list[float]]]:
    """Return for each way how long all calls took, and each of them."""
    sqs = target.client("sqs")
    requests = sqs.create_queue(QueueName=f"requests-{time.time_ns()}")["QueueUrl"]
    os.environ["ANSWERS_URL"] = f"{requests.rpartition('/')[0]}/{PREFIX}"
    logs.logger.setLevel("ERROR")
    handler = responding.handler(lambda request: request.document, _echo)
    loops = [Loop(handler, requests) for _ in range(4)]
    with (
        patch.object(aws, "client", lambda service, **_: target.client(service)),
        patch.object(client, "USABLE_AFTER", 0),
        ThreadPoolExecutor(len(loops)) as pool,
    ):
        for loop in loops:
            pool.submit(loop.run)
        found = {
            "one a process": _timed(lambda: _one_a_process(target, requests, calls)),
            "one a call": _timed(lambda: _one_a_call(sqs, requests, calls)),
        }
        for loop in loops:
            loop.stop.set()
        for _ in range(10 * len(loops)):  # wakes those that wait for a message
            sqs.send_message(QueueUrl=requests, MessageBody="end")
    return found


def _echo(parsed: Any) -> Any:
    return {
        message.id: responding.Answered("answered", answer=replies.result(said))
        for said, message in parsed
    }


def _check(sent: int, told: Any) -> None:
    if told != sent:
        raise RuntimeError(f"{sent} was answered with {told}.")


def _timed(run: Callable[[], list[float]]) -> tuple[float, list[float]]:
    started = time.perf_counter()
    each = run()
    return time.perf_counter() - started, each


def _one_a_process(target: Target, requests: str, calls: int) -> list[float]:
    async def all_of(by: client.Requester) -> list[float]:
        limit = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> float:
            async with limit:
                started = time.perf_counter()
                _check(number, await by.call_async(number))
                return time.perf_counter() - started

        return list(await asyncio.gather(*map(one, range(calls))))

    with client.Requester(requests, TOLD, session=target) as by:
        return asyncio.run(all_of(by))


def _one_a_call(sqs: Any, requests: str, calls: int) -> list[float]:
    def one(number: int) -> float:
        started = time.perf_counter()
        name = f"{PREFIX}{threading.get_ident() % 2**32:08x}{number:08x}"
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        said = {replies.REPLY_TO: name, replies.CORRELATION_ID: "one", replies.DEADLINE: "9" * 14}
        attributes = {key: replies.text(value) for key, value in said.items()}
        sqs.send_message(
            QueueUrl=requests, MessageBody=json.dumps(number), MessageAttributes=attributes
        )
        messages: Any = None
        while not messages:
            messages = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20).get("Messages")
        sqs.delete_queue(QueueUrl=url)
        _check(number, json.loads(messages[0]["Body"])["result"])
        return time.perf_counter() - started

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, range(calls)))


if __name__ == "__main__":
    main()
