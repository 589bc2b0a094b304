"""The executable promises of the demo stack: no accepted event is lost, whatever happens.

Knows only the stack's outputs and the AWS APIs, so it runs the same on the embedded AWS and on
a real account.
"""

from __future__ import annotations

import json
import random
import re
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from serverless_patterns.sandbox import outages, queues, tables

from . import redrive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from serverless_patterns.sandbox import Deployment
    from serverless_patterns.sandbox.report import Report

SEED = 20261121
INVOICES = 300
# Events on their way at the same time: an emulator starts a process for each.
WAVE = 4
PARTS = {
    "BRK-PAD-F": "Bremsbelag vorn",
    "OIL-FLT-3": "Filtre à huile",
    "WPR-24": "Wischerblatt 24″",
    "SPK-NGK": "点火プラグ",
    "CLT-KIT": "Kit d'embrayage",
    "MIR-L": "Zrcátko levé 🚗",
    "EXH-M": 'Schalldämpfer = "Sport"',
}
CURRENCIES = {"AT": "EUR", "CZ": "CZK", "DE": "EUR", "FR": "EUR", "JP": "JPY", "SE": "SEK"}
# The shop does not sell there yet: there is no tax rate.
NEW_COUNTRY, NEW_RATE = "NO", "0.25"


class Shop:
    """Makes realistic requests for invoices, the same ones for the same seed."""

    def __init__(self, run: str) -> None:
        self.run = run
        self._random = random.Random(SEED)  # noqa: S311 - test data
        self._count = 0

    def request(self, country: str = "", lines: int = 0) -> dict[str, Any]:
        """Return a valid request; ``requested_at`` is set when it is sent."""
        self._count += 1
        country = country or self._random.choice(list(CURRENCIES))
        currency = CURRENCIES.get(country, "NOK")
        digits = 0 if currency == "JPY" else 2
        items, total = [], Decimal(0)
        for _ in range(lines or self._random.randint(1, 6)):
            sku, name = self._random.choice(list(PARTS.items()))
            price = Decimal(self._random.randint(100, 90_000)).scaleb(-digits)
            quantity = self._random.randint(1, 9)
            total += price * quantity
            items.append(
                {"sku": sku, "name": name, "quantity": quantity, "unit_price": f"{price:f}"}
            )
        return {
            "order_id": f"{self.run}-{self._count:05}",
            "customer_id": f"customer-{self._random.randint(1, 200)}",
            "country": country,
            "currency": currency,
            "lines": items,
            "total": f"{total:f}",
        }

    def requests(self, count: int, **settings: Any) -> list[dict[str, Any]]:
        """Return that many valid requests."""
        return [self.request(**settings) for _ in range(count)]


class Client:
    """Invokes the function asynchronously, and books every answer.

    Attributes:
        seconds: How long each answer took.
        events: The event that a payload belongs to.
    """

    def __init__(self, stack: Deployment, report: Report) -> None:
        self._stack, self._report = stack, report
        self.seconds: list[float] = []
        self.events: dict[str, str] = {}

    def send(
        self, title: str, requests: Sequence[Any], variant: str = "", *, wait: bool = False
    ) -> None:
        """Send in waves.

        Args:
            title: What is sent.
            requests: An invoice's, or anything else.
            variant: Tells another event for the same order.
            wait: Send the next wave when this one's invoices are issued. Default: soon after.
        """
        with (
            self._report.step(title, len(requests)) as advance,
            ThreadPoolExecutor(WAVE) as senders,
        ):
            for first in range(0, len(requests), WAVE):
                wave = requests[first : first + WAVE]
                for request, refusal in zip(wave, senders.map(self._invoke, wave), strict=True):
                    self._book(request, variant, refusal)
                    advance()
                if wait:
                    wait_until_issued(self._stack, wave, pause=0.02)
                else:
                    time.sleep(0.1)

    def _invoke(self, request: Any) -> str:
        if isinstance(request, dict):
            request.setdefault("requested_at", time.time_ns() // 10**6)
        payload = request if isinstance(request, bytes) else _json(request).encode()
        started = time.perf_counter()
        try:
            self._stack.client("lambda").invoke(
                FunctionName=self._stack["FunctionName"], InvocationType="Event", Payload=payload
            )
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        finally:
            self.seconds.append(time.perf_counter() - started)
        return ""

    def _book(self, request: Any, variant: str, refusal: str) -> None:
        ledger = self._report.ledger
        event = request["order_id"] if isinstance(request, dict) else str(request)[:40]
        event = f"{event}/{variant}" if variant else event
        self.events[_canonical(request)] = event
        ledger.sent[event] += 1
        if refusal:
            ledger.refused[refusal] += 1
        else:
            ledger.accepted[event] += 1


def _json(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False)


def _canonical(document: Any) -> str:
    if isinstance(document, bytes):
        return document.decode(errors="replace")
    return json.dumps(document, sort_keys=True)


def run(stack: Deployment, report: Report) -> None:
    """Drive every promise of the page through the deployed stack."""
    shop = Shop(run=f"inv-{secrets.token_hex(4)}")
    client = Client(stack, report)
    requests = shop.requests(INVOICES)

    report.title("Good events")
    client.send("Orders to invoice", requests, wait=True)
    first_invoices = invoices(stack, shop.run)
    client.send("Some of them again", requests[:60])

    with settings_restored(stack) as use:
        report.title("What no retry can mend")
        reasons = refused(stack, report, client, shop, requests)

        report.title("The table is away and the renderer is slow, until the repair")
        outage(stack, report, client, shop, use)

        report.title("The function is switched off, and has no failure destination")
        switched_off(stack, report, client, shop)

        report.title("Events that grew too old")
        too_old(stack, report, client, shop)

        report.title("Redrive")
        redrive_all(stack, report, shop, reasons)

    report.title("Where is every event now?")
    items = invoices(stack, shop.run)
    for order_id in items:
        report.ledger.processed[order_id] += 1
    changed = {key for key in first_invoices if items.get(key) != first_invoices[key]}
    report.check("a duplicate changes nothing", not changed, sorted(changed)[:5])
    dead_letters_have_a_reason(stack, report, client, reasons)
    successes_are_recorded(stack, report, items)
    report.latency("invoke to answer", client.seconds)
    report.latency("invoke to issued", end_to_end(items, requests))


def refused(
    stack: Deployment,
    report: Report,
    client: Client,
    shop: Shop,
    requests: Sequence[dict[str, Any]],
) -> dict[str, str]:
    """Send what cannot be invoiced; return the reason expected for each event."""
    if stack.executes("lambda-payload-checks"):
        client.send("Not JSON, and too large", [b"not JSON", b'"' + b"x" * 2**20 + b'"'], "refused")
        refusals = report.ledger.refused.total()
        report.check("what Lambda does not take is not answered with 202", refusals == 2, refusals)
    else:
        report.not_proven(
            "not JSON: 400, over 1 MB: 413", "AWS's own refusal; no promise of this pattern"
        )
    wrong_total = [request | {"total": "0.01"} for request in shop.requests(10, country="DE")]
    abroad = shop.requests(5, country=NEW_COUNTRY)
    others = [request | {"customer_id": "somebody-else"} for request in requests[:5]]
    shapes = ["not an order", [1, 2, 3]]
    client.send("Orders whose total is wrong", wrong_total)
    client.send("Orders from a country without a tax rate", abroad)
    client.send("Other requests for invoiced orders", others, "conflict")
    client.send("Events of another shape", shapes, "shape")
    letters = len(wrong_total) + len(abroad) + len(others) + len(shapes)
    with report.step("Waiting for the dead letters"):
        seen = backlog_of(stack, "DeadLetterQueueUrl", letters)
    report.check("what no retry can mend is a dead letter at once", seen == letters, seen)
    return (
        {request["order_id"]: "total" for request in wrong_total}
        | {f"{request['order_id']}/conflict": "conflict" for request in others}
        | {f"{shape}/shape": "field" for shape in shapes}
    )


def outage(
    stack: Deployment, report: Report, client: Client, shop: Shop, use: Callable[..., None]
) -> None:
    """Let events fail until their retries are used up, and others only until the repair."""
    unlucky = shop.requests(3, lines=1)
    long = shop.requests(1, lines=40)
    lucky = shop.requests(3, lines=1)
    rates = json.loads(configuration(stack)["Environment"]["Variables"]["VAT_RATES"])
    use(timeout=2, TABLE_NAME=f"{stack['TableName']}-away", SECONDS_PER_LINE="0.1")
    client.send("Orders that fail, and a long one that times out", unlucky + long)
    expected = len(unlucky) + len(long)
    with report.step("Waiting for three failed tries each"):
        records = backlog_of(stack, "FailureQueueUrl", expected, seconds=400)
    report.check("what fails in every try is recorded", records == expected, records)
    client.send("More orders", lucky)
    with report.step("Waiting for their first failed try"):
        wait_for_failure(stack, lucky)
    use(VAT_RATES=json.dumps(rates | {NEW_COUNTRY: NEW_RATE}))
    with report.step("Repaired; waiting for the retries"):
        wait_until_issued(stack, lucky)
    records = queues.backlog(stack, stack["FailureQueueUrl"])
    report.check("what a retry mends needs nobody", records == expected, records)


def switched_off(stack: Deployment, report: Report, client: Client, shop: Shop) -> None:
    """Stop the function; with no failure destination, only the dead-letter queue is left."""
    stopped = shop.requests(3)
    expected = queues.backlog(stack, stack["DeadLetterQueueUrl"]) + len(stopped)
    with no_failure_destination(stack), no_concurrency(stack):
        client.send("Orders while it is off", stopped)
        with report.step("Waiting for the dead letters"):
            letters = backlog_of(stack, "DeadLetterQueueUrl", expected)
    report.check(
        "the dead-letter queue takes what has no destination", letters == expected, letters
    )
    if not stack.executes("service-roles"):
        report.not_proven(
            "Lambda may send records with the function's role", "the policy: test_construct.py"
        )
    if not stack.executes("lambda-dead-letters-beside-destination"):
        report.not_proven(
            "a failed event is a dead letter beside its record",
            "the template in test_construct.py; one redrive of both in test_redrive.py",
        )


def too_old(stack: Deployment, report: Report, client: Client, shop: Shop) -> None:
    """Put the records there that Lambda writes for events past their maximum age."""
    report.not_proven(
        "Lambda drops an event past its maximum age and records it",
        "the template in test_construct.py; here the scenario writes the records",
    )
    old = shop.requests(3)
    for number, request in enumerate(old):
        request["requested_at"] = time.time_ns() // 10**6 - 6 * 3600 * 1000
        record = {
            "version": "1.0",
            "timestamp": "2026-11-21T07:00:00.000Z",
            "requestContext": {
                "requestId": f"{shop.run}-too-old-{number}",
                "functionArn": f"arn:aws:lambda:{stack.region}:{stack.account}:function:"
                f"{stack['FunctionName']}:$LATEST",
                "condition": "EventAgeExceeded",
                "approximateInvokeCount": 0,
            },
            "requestPayload": request,
            "responseContext": None,
            "responsePayload": None,
        }
        for _ in range(2 if number == 0 else 1):  # SQS delivers at least once
            stack.client("sqs").send_message(
                QueueUrl=stack["FailureQueueUrl"], MessageBody=_json(record)
            )
        client.events[_canonical(request)] = request["order_id"]
        report.ledger.sent[request["order_id"]] += 1
        report.ledger.accepted[request["order_id"]] += 1


def redrive_all(stack: Deployment, report: Report, shop: Shop, reasons: dict[str, str]) -> None:
    """Send failed events again, in the steps in which an operator would."""
    failures, letters = stack["FailureQueueUrl"], stack["DeadLetterQueueUrl"]
    before = [queues.backlog(stack, url) for url in (failures, letters)]
    found = send_again(stack, report, "A dry run", failures, letters, dry_run=True)
    gone = send_again(stack, report, "To a function that is gone", letters, function="gone")
    after = [queues.backlog(stack, url) for url in (failures, letters)]
    report.check("a dry run finds every failed event", found.matched == sum(before), found)
    report.check(
        "nothing is deleted before Lambda has accepted its event",
        before == after and gone.sent_again == 0 and gone.failed.total() > 0,
        (before, after, gone),
    )
    again = send_again(stack, report, "The timeouts only", failures, error=r"Sandbox\.Timedout")
    report.check(
        "a filter by error sends those again and no others",
        again.matched == again.sent_again == found.errors["Sandbox.Timedout"] > 0,
        again,
    )
    rest = send_again(stack, report, "All other records", failures)
    report.check(
        "an event that lies there twice is sent once", rest.sent_again == rest.matched - 1, rest
    )
    of_the_shop = "|".join(sorted(set(reasons.values())))
    send_again(
        stack,
        report,
        "Dead letters that the repair has mended",
        letters,
        error=f"^(?!{of_the_shop})",
    )
    with report.step("Waiting until every invoice is issued"), suppress(TimeoutError):
        queues.until(
            lambda: report.ledger.accepted.keys() - reasons <= invoices(stack, shop.run).keys(),
            seconds=60,
            what="the ledger will show them as lost",
        )
    left = queues.backlog(stack, failures)
    report.check("after the redrive no record is left", left == 0, left)


def send_again(
    stack: Deployment,
    report: Report,
    title: str,
    *urls: str,
    function: str = "",
    error: str = "",
    dry_run: bool = False,
) -> redrive.Report:
    """Run the redrive tool as its command does."""
    function = function or stack["FunctionName"]
    with report.step(title):
        return redrive.Redrive(
            function=function,
            invoke=redrive.invoker(stack.client("lambda"), function),
            rate=20,
            error=re.compile(error) if error else None,
            dry_run=dry_run,
        ).run([redrive.Queue(stack.client("sqs"), url) for url in urls])


def configuration(stack: Deployment) -> dict[str, Any]:
    """Return the function's configuration."""
    found: dict[str, Any] = stack.client("lambda").get_function_configuration(
        FunctionName=stack["FunctionName"]
    )
    return found


@contextmanager
def settings_restored(stack: Deployment) -> Iterator[Callable[..., None]]:
    """Yield what gives the function other settings; put them back as they were at the end."""
    before = configuration(stack)

    def use(timeout: int = before["Timeout"], **variables: str) -> None:
        environment = {"Variables": before["Environment"]["Variables"] | variables}
        outages.configure(stack, stack["FunctionName"], Timeout=timeout, Environment=environment)

    try:
        yield use
    finally:
        use()


@contextmanager
def no_concurrency(stack: Deployment) -> Iterator[None]:
    """Let the function run nothing."""
    lambda_, name = stack.client("lambda"), stack["FunctionName"]
    lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    try:
        yield
    finally:
        lambda_.delete_function_concurrency(FunctionName=name)


@contextmanager
def no_failure_destination(stack: Deployment) -> Iterator[None]:
    """Take the failure destination away."""
    lambda_, name = stack.client("lambda"), {"FunctionName": stack["FunctionName"]}
    before = lambda_.get_function_event_invoke_config(**name, Qualifier="$LATEST")
    destinations = before["DestinationConfig"]

    def use(config: dict[str, Any]) -> None:
        lambda_.put_function_event_invoke_config(
            **name,
            Qualifier="$LATEST",
            MaximumRetryAttempts=before["MaximumRetryAttempts"],
            MaximumEventAgeInSeconds=before["MaximumEventAgeInSeconds"],
            DestinationConfig=config,
        )

    use({name: value for name, value in destinations.items() if name == "OnSuccess"})
    try:
        yield
    finally:
        use(destinations)


def backlog_of(stack: Deployment, url: str, count: int, seconds: float = 60) -> int:
    """Wait until a queue, named by its output, holds that many messages; return what it holds."""
    with suppress(TimeoutError):
        queues.until(
            lambda: queues.backlog(stack, stack[url]) >= count,
            seconds=seconds,
            what="too few messages",
        )
    return queues.backlog(stack, stack[url])


def wait_for_failure(stack: Deployment, requests: Iterable[dict[str, Any]]) -> None:
    """Wait until the function has logged a failed try of one of these requests."""
    wanted = {request["order_id"] for request in requests}

    def logged() -> bool:
        lines = stack.log_lines(stack["FunctionName"], limit=200)
        return any("Not issued" in line and any(id_ in line for id_ in wanted) for line in lines)

    queues.until(logged, seconds=55, what="no try failed", pause=0.1)


def wait_until_issued(
    stack: Deployment, requests: Sequence[dict[str, Any]], pause: float = 0.2
) -> None:
    """Wait until up to 100 requests have their invoice."""
    table = stack["TableName"]
    keys = [{"pk": {"S": f"INVOICE#{request['order_id']}"}} for request in requests]
    wanted = {"Keys": keys, "ConsistentRead": True, "ProjectionExpression": "pk"}

    def issued() -> bool:
        answer = stack.client("dynamodb").batch_get_item(RequestItems={table: wanted})
        return len(answer["Responses"][table]) == len(keys)

    queues.until(issued, seconds=240, what="invoices are not issued", pause=pause)


def invoices(stack: Deployment, run: str) -> dict[str, dict[str, Any]]:
    """Return this run's invoices by order id."""
    found = tables.rows(stack, stack["TableName"], "begins_with(pk, :text)", f"INVOICE#{run}")
    return {item["pk"].removeprefix("INVOICE#"): item for item in found}


def dead_letters_have_a_reason(
    stack: Deployment, report: Report, client: Client, reasons: dict[str, str]
) -> None:
    """Book every dead letter: its body is an event that was sent, with its reason."""
    found: dict[str, str] = {}
    for message in queues.take(stack, stack["DeadLetterQueueUrl"]):
        event = client.events.get(_canonical(json.loads(message["Body"])), message["Body"][:60])
        found[event] = queues.reason(message)
        report.ledger.dead_lettered[event] += 1
    wrong = sorted(found.items() ^ reasons.items())[:5]
    report.check("what the shop refuses is kept with its reason", not wrong, wrong)


def successes_are_recorded(
    stack: Deployment, report: Report, items: dict[str, dict[str, Any]]
) -> None:
    """Compare the records of success with the invoices."""
    promise = "every invoice has a record of success"
    if not stack.executes("lambda-on-success"):
        report.not_proven(promise, "the template in test_construct.py")
        return
    wanted = {item["number"] for item in items.values()}
    with report.step("Reading the records of success"):
        found = {
            json.loads(message["Body"])["responsePayload"].get("number", "")
            for message in queues.take(stack, stack["ResultQueueUrl"])
        }
    report.check(promise, wanted <= found, wanted - found)


def end_to_end(items: dict[str, dict[str, Any]], requests: Iterable[dict[str, Any]]) -> list[float]:
    """Return the seconds from the request to the table, for the good ones."""
    return [
        (int(items[request["order_id"]]["issued_at"]) - request["requested_at"]) / 1000
        for request in requests
        if request["order_id"] in items
    ]
