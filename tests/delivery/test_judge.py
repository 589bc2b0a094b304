"""The judge is judged: a handler without one of its promises breaks it in some schedule."""

from __future__ import annotations

import random
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.async_lambda import invoices
from serverless_patterns.lambdas.foundation import batch, dead_letters, orders, tables
from serverless_patterns.lambdas.foundation.outcomes import CONFLICT, DUPLICATE, STORED
from serverless_patterns.lambdas.sns_fifo_fanout import lake, price_list
from serverless_patterns.lambdas.sns_fifo_fanout import logic as prices
from serverless_patterns.lambdas.step_functions_saga import executions

from .schedules import Schedule, found

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY = dict(found())
SCHEDULES = 150


def without(function: Any, *names: str) -> Callable[..., Any]:
    """Return what makes a write without some of its arguments."""

    def made(*args: Any, **kwargs: Any) -> Any:
        found = function(*args, **kwargs)
        return {name: value for name, value in found.items() if name not in names}

    return made


def deaf(function: Any, error: type[Exception]) -> Callable[..., Any]:
    """Return a function that ignores its failures."""

    def made(*args: Any, **kwargs: Any) -> Any:
        with suppress(error):
            return function(*args, **kwargs)
        return {"status": "issued"}

    return made


def unlettered(function: Any) -> Callable[..., Any]:
    def made(*args: Any) -> Any:
        function(*args)
        return {}

    return made


def every_id(batch_: Any) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": r["messageId"]} for r in batch_["Records"]]}


START = executions.start
UNCONDITIONAL = (tables, "new", without(tables.new, "ConditionExpression"))
NEVER = SimpleNamespace(failed=lambda _: STORED)
STANDARD, FIFO, EVENT = (
    "api_sqs_lambda.orders",
    "api_sqs_lambda.order_changes",
    "async_lambda.invoices",
)
PRICES, LAKE, STARTER = (
    "sns_fifo_fanout.prices",
    "sns_fifo_fanout.analytics",
    "step_functions_saga.starter",
)
# What is taken out; of which handlers; where, and what is there in its place.
MUTANTS: list[tuple[str, tuple[str, ...], tuple[tuple[Any, str, Any], ...]]] = [
    ("failures are reported", (STANDARD, FIFO),
     ((batch, "_answer", lambda *_: {"batchItemFailures": []}),)),
    ("what is done is not reported", (STANDARD, FIFO),
     ((batch, "_answer", lambda event, *_: every_id(event)),)),
    ("what is behind a failure waits", (FIFO, PRICES),
     ((batch, "hold_back", lambda _, found: found),)),
    ("what is refused is kept", (STANDARD, FIFO, EVENT),
     ((dead_letters, "send", lambda _: {}),)),
    ("a letter that is not kept has failed", (STANDARD, FIFO, EVENT),
     ((dead_letters, "send_all", unlettered(dead_letters.send_all)),)),
    ("a write is conditional", (STANDARD, "sns_fanout.orders", "async_lambda.again", EVENT, PRICES),
     (UNCONDITIONAL,)),
    ("the same again is no conflict", (STANDARD,), ((orders, "compare", lambda *_: CONFLICT),)),
    ("another one of an id is a conflict", (STANDARD,),
     ((orders, "compare", lambda *_: DUPLICATE),)),
    ("a failed day has failed", (LAKE,), ((lake, "Outcome", NEVER),)),
    ("an older price never replaces a newer one", (PRICES,), ((prices, "SUPERSEDED", STORED),)),
    ("a canceled transaction has failed", (PRICES,),
     ((price_list, "CANCELED", STORED), (price_list, "ATTEMPTS", 1))),
    ("an execution's name is taken", (STARTER,),
     ((executions, "start", lambda *args: START(*args) and None),)),
    ("a failed write is raised", (EVENT,),
     ((invoices, "issue", deaf(invoices.issue, Exception)),)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "places"),
    [(name, places) for _, names, places in MUTANTS for name in names],
    ids=[f"{name}: {promise}" for promise, names, _ in MUTANTS for name in names],
)
def test_a_handler_without_a_promise_is_found(
    name: str, places: tuple[tuple[Any, str, Any], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in places:
        monkeypatch.setattr(*place)

    def play() -> None:
        for seed in range(SCHEDULES):
            Schedule(EVERY[name], random.Random(seed)).play()  # noqa: S311 - test data

    with pytest.raises(AssertionError):
        play()
