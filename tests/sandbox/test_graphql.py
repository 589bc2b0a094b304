"""GraphQL subscriptions: the construct's schema and code, the publisher and the page's client."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk.assertions import Template

from serverless_patterns.lambdas.appsync_live import feed, orders, publisher
from serverless_patterns.lambdas.foundation.batch import NotDoneError
from serverless_patterns.lambdas.foundation.tables import deserialize
from serverless_patterns.patterns.appsync_live.client import Client, Clients
from serverless_patterns.patterns.appsync_live.construct import NewGraphqlApi
from serverless_patterns.patterns.appsync_live.scenario import record
from tests import moto_cloud
from tests.appsync_live.builds import make
from tests.lambdas.orders import order
from tests.moto_cloud import TABLE, Context, client
from tests.waiting import until

from .graphql_api import GraphqlApi

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aws_cdk import Stack

CONTEXT: Any = Context()
CUSTOMERS = ("one", "two")
numbers = count(1)


@pytest.fixture
def api(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GraphqlApi]:
    make(stack, api=NewGraphqlApi())
    viewers = {f"token-{name}": {"claims": {"sub": name}} for name in CUSTOMERS}
    made = GraphqlApi(Template.from_stack(stack).to_json(), tmp_path, viewers)
    with made.served():
        environment = {"TABLE_NAME": TABLE, "INDEX_NAME": "by-version", "NAMESPACE": "orders"}
        environment |= {"GRAPHQL_HOST": made.http, "AWS_ENDPOINT_URL": f"http://{made.http}"}
        environment |= {"AWS_REGION": moto_cloud.REGION}
        environment |= {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}  # for all but AppSync
        with moto_cloud.cloud(monkeypatch, environment=environment):
            moto_cloud.make_table(TABLE, "pk", "sk", by_number="version")
            yield made


def write(customer: str, number: int, status: str) -> Any:
    """Change an order; return what the table's stream tells of it."""
    feed.change(client("dynamodb"), TABLE, customer, order(number), status)
    key = {"pk": {"S": customer}, "sk": {"S": f"ORDER#{order(number)['order_id']}"}}
    told = record(deserialize(client("dynamodb").get_item(TableName=TABLE, Key=key)["Item"]))
    told["dynamodb"]["SequenceNumber"] = f"{next(numbers)}"
    return told


def deliver(records: list[Any]) -> int:
    """Call the publisher as Lambda does, until all is done; return how often."""
    for call in range(1, 50):
        try:
            failed = publisher.handler({"Records": records}, CONTEXT)["batchItemFailures"]
        except NotDoneError:
            continue
        if not failed:
            return call
        first = failed[0]["itemIdentifier"]
        while records[0]["dynamodb"]["SequenceNumber"] != first:
            records = records[1:]
    raise AssertionError("Lambda would have given up.")


def since(customer: str, version: int) -> Any:
    """GET /orders?since=, as the handler answers."""
    said = {"authorizer": {"jwt": {"claims": {"sub": customer}}}}
    given = {"requestContext": said, "queryStringParameters": {"since": str(version)}}
    return json.loads(orders.handler(given, CONTEXT)["body"])


def watch(clients: Clients, api: GraphqlApi, name: str, of: str, token: str = "") -> Client:
    watching = Client(lambda: token or f"token-{name}", lambda version: since(name, version))
    config: Any = {"httpHost": api.http, "realtimeHost": api.realtime, "graphql": True}
    return clients.watch(f"{name}-{of}-{token}", config | {"channel": f"/orders/{of}"}, watching)


@pytest.mark.parametrize("seed", range(3))
def test_by_graphql_every_customer_sees_every_change_of_its_own_whatever_fails_or_is_lost(
    seed: int, api: GraphqlApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fifth of the mutations fail, a tenth of the events are lost, one customer is offline."""
    dice, written = random.Random(seed), Counter[str]()  # noqa: S311 - test data
    monkeypatch.setattr(random, "random", lambda: 0.0)  # no jitter, so no waiting
    api.fails, api.loses = (lambda _: dice.random() < 0.2), (lambda _: dice.random() < 0.1)
    with Clients("ws", rechecks=[2_000], longestPause=50) as clients:
        seen = {name: watch(clients, api, name, name) for name in CUSTOMERS}
        until(lambda: all(one.states[-1] == "live" for one in seen.values()))
        for burst in range(30):
            owners = [dice.choice(CUSTOMERS) for _ in range(12)]
            if burst in (10, 20):
                clients.tell("stop" if burst == 10 else "watch", "one-one-")
            deliver([write(name, dice.randrange(9), f"at {burst}") for name in owners])
            written.update(owners)
        until(lambda: all(one.version == written[name] for name, one in seen.items()))
    for name, one in seen.items():
        assert one.orders == {it["order_id"]: it for it in since(name, 0)["orders"]}
        assert sorted([*one.shown, *one.late]) == list(range(1, written[name] + 1))
        assert len(one.shown) > 5
    assert len(seen["one"].late) > 30  # of the ten bursts that it was offline in


def test_by_graphql_a_customer_sees_nothing_of_others_and_publishes_nothing(
    api: GraphqlApi,
) -> None:
    with Clients("ws", longestPause=50) as clients:
        own = watch(clients, api, "two", "two")
        foreign = (("one", ""), ("*", ""), ("", ""), ("two", "forged"))
        others = [watch(clients, api, "two", of, token) for of, token in foreign]
        until(lambda: own.states[-1] == "live")
        until(lambda: all("rejected" in one.states for one in others))
        deliver([write("one", 1, "placed"), write("two", 2, "placed")])
        until(lambda: own.version == 1)
        assert [one["order_id"] for one in own.orders.values()] == [order(2)["order_id"]]
        assert not any(one.orders or "live" in one.states for one in others)
    [published] = api.requests
    for token, said in (("token-two", (200, "Unauthorized")), ("", (401, "UnauthorizedException"))):
        status, answer = api.post(token, published)
        assert (status, {one["errorType"] for one in answer["errors"]}) == (said[0], {said[1]})


def test_a_client_that_is_stopped_while_it_fetches_tells_what_it_fetched_when_it_is_back(
    api: GraphqlApi,
) -> None:
    """Else the count of what each customer saw would lack it."""
    asked, go = threading.Event(), threading.Event()
    with Clients("ws", rechecks=[60_000], longestPause=50) as clients:
        one = watch(clients, api, "one", "one")
        until(lambda: one.states[-1] == "live")
        fetch = one.since

        def slowly(version: int) -> Any:
            asked.set()
            go.wait(60)
            return fetch(version)

        one.since = slowly
        write("one", 1, "placed")
        deliver([write("one", 2, "placed")])  # the second alone: a gap
        assert asked.wait(60)
        clients.tell("stop", "one-one-")
        go.set()
        other = watch(clients, api, "two", "two")
        until(lambda: other.states[-1] == "live")  # by then the answer has arrived
        clients.tell("watch", "one-one-")
        until(lambda: one.version == 2)
        assert sorted([*one.shown, *one.late]) == [1, 2]
