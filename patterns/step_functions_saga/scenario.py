"""The executable promises of the demo stack: whatever fails, money and stock balance.

Knows only the stack's outputs and the AWS APIs, so it runs the same on the embedded AWS and on
a real account. Steps fail in twins of the state machine, so that nothing of the stack is changed.
"""

from __future__ import annotations

import json
from collections import Counter
from itertools import product
from typing import TYPE_CHECKING, Any

from serverless_patterns.sandbox import outages, queues, tables
from serverless_patterns.sandbox.driver import Driver
from serverless_patterns.sandbox.executions import (
    ANSWER_LOST,
    FAULTS,
    UNAVAILABLE,
    Executions,
    twins,
)
from serverless_patterns.sandbox.sender import Event, Reply, http, sqs

from ..shop import Document, Shop, as_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from serverless_patterns.sandbox import Deployment
    from serverless_patterns.sandbox.report import Report

ORDERS, QUEUED_ORDERS, COUNTER_SALES, FAILED_EACH = 80, 40, 10, 2
STOCK, RARE, RICH, POOR = 100_000, 2, 10**9, 5
FORWARD = ("OpenOrder", "ReserveLine", "Charge", "Ship", "Confirm")
BACKWARD = ("BeginCancelling", "CancelShipment", "Refund", "ReleaseLine", "MarkCancelled")
# A line whose release took effect is found released by the next attempt.
HEALS = ("ReleaseLine", ANSWER_LOST)


def run(stack: Deployment, report: Report) -> None:
    """Drive every promise of the page through the deployed stack."""
    drive = Driver(stack, report, workers=4)
    sagas = Sagas(drive, Shop("saga"))
    prefix, machine = sagas.shop.run, drive["StateMachineArn"]

    with drive.calm_retries("QueueUrl"):
        drive.title("Orders, and what the business rejects")
        good, refused = sagas.orders(ORDERS), rejected_by_business(sagas)
        through_the_api(drive, sagas)
        sagas.start("Orders", good)
        sagas.start("Orders that end badly", refused)
        reasons = from_the_queue(drive, sagas)
        sold = over_the_counter(drive, sagas)
        codes = Counter(reply.refusal for reply in sagas.start("Orders started again", good[:30]))
        nothing = codes.keys() <= {"", "ExecutionAlreadyExists"}
        drive.check("an order started again starts nothing", nothing, codes)
        sagas.runs.wait("every saga has ended")

    drive.title("Every step fails")
    carrier = drive.client("lambda").get_event_source_mapping(UUID=drive["CarrierMappingId"])
    with twins(stack, prefix, machine, answered_by=carrier["FunctionArn"]) as twin:
        parked = steps_fail(drive, sagas, twin)
        carrier_is_silent(drive, sagas, twin)
        drive.title("What cannot be undone waits for a person")
        person_answers(drive, sagas, twin(machine))
        person_starts_again(drive, sagas, parked)

    drive.title("Where is every order now?")
    drive.drain("CarrierQueueUrl")
    outcomes = book_outcomes(drive, sagas, refused)
    found = Counter(outcomes.get(order["order_id"], "open") for order in [*good, *sold])
    drive.check("good orders are confirmed", found.keys() == {"confirmed"}, found)
    promise = "what cannot be started is kept, byte for byte, with its reason"
    drive.dead_letters(promise, reasons, drive.sent_body, "DeadLetterQueueUrl")
    money_balances(drive, sagas, outcomes)
    stock_balances(drive, sagas, outcomes)
    shipped = {row["id"] for row in sagas.rows("Shipments") if row["state"] == "shipped"}
    confirmed = {order_id for order_id, outcome in outcomes.items() if outcome == "confirmed"}
    wanted = confirmed - {order["order_id"] for order in sold}
    drive.check("confirmed orders are shipped, and no others", shipped == wanted, shipped ^ wanted)
    ids = {order["order_id"] for order in good}
    drive.latency("start to end, Standard", sagas.runs.seconds(machine, ids))


class Sagas:
    """The orders of one run, with the stock and the accounts that they need.

    Attributes:
        made: Every order, by its id.
        runs: The executions.
    """

    def __init__(self, drive: Driver, shop: Shop) -> None:
        self.drive, self.shop = drive, shop
        self.made: dict[str, Document] = {}
        self.runs = Executions(drive, parked=lambda: drive.backlog("ParkedQueueUrl"))
        self.rare, self.poor = f"{shop.run}-rare", f"{shop.run}-poor"
        self.stock = dict.fromkeys(shop.parts, STOCK) | {self.rare: RARE}
        self.balances = dict.fromkeys(shop.customers, RICH) | {self.poor: POOR}
        parts = {f"PART#{sku}": number for sku, number in self.stock.items()}
        accounts = {f"CUSTOMER#{name}": cents for name, cents in self.balances.items()}
        tables.put_numbers(drive.stack, drive["StockTableName"], "available", parts)
        tables.put_numbers(drive.stack, drive["AccountsTableName"], "balance", accounts)

    def orders(self, count: int, **fields: Any) -> list[Document]:
        """Return orders; ``fields`` replace what they say."""
        orders = self.shop.purchases(count, **fields)
        self.made |= {order["order_id"]: order for order in orders}
        return orders

    def start(
        self, title: str, orders: Iterable[Document], machine: str = "", suffix: str = ""
    ) -> list[Reply]:
        """Start orders on the stack's state machine, or on a twin."""
        machine = machine or self.drive["StateMachineArn"]
        starts = [(machine, event(order)) for order in orders]
        return self.runs.start(title, starts, suffix=suffix)

    def rows(self, table: str, separator: str = "") -> list[Document]:
        """Return this run's rows of a table."""
        text = f"{separator}{self.shop.run}"
        return self.drive.rows(f"{table}TableName", "contains(id, :text)", text)


def event(order: Document, **extra: Any) -> Event:
    """Return the event that places an order."""
    return Event(order["order_id"], as_json(order), extra=extra)


def rejected_by_business(sagas: Sagas) -> list[Document]:
    """Return orders that the business rejects, and some that take their time."""
    line = {"sku": sagas.rare, "quantity": 1, "unit_price": 100}
    other = {"sku": sagas.shop.parts[0], "quantity": 1, "unit_price": 5}
    return [
        *sagas.orders(6, customer_id=sagas.poor),
        *sagas.orders(6, ship_to="AQ"),
        *sagas.orders(5, lines=[line, other]),
        *sagas.orders(4, total=1),
        *sagas.orders(2, lines=[]),
        *sagas.orders(2, ship_to="IS"),
    ]


def through_the_api(drive: Driver, sagas: Sagas) -> None:
    """Start and follow orders as a client does."""
    drive.not_proven(
        ("api-gateway-step-functions",
         "POST /orders starts an execution, GET /orders/{id} tells its status",
         "the calls, their roles and answers: test_construct.py, tests/blocks; here executions "
         "are started through StartExecution and the queue"),
    )  # fmt: skip
    if not drive.stack.executes("api-gateway-step-functions"):
        return
    api, events = http(drive.stack, "ApiUrl"), [event(o, path="orders") for o in sagas.orders(10)]
    first = {reply.value.status for reply in drive.send("POST", api, events)}
    again = {reply.value.status for reply in drive.send("POST again", api, events)}
    nothing = first == {202} and again <= {202, 409}
    drive.check("POST again starts nothing", nothing, (first, again))
    root = f"{drive['ApiUrl'].rstrip('/')}/orders"

    def succeeded() -> bool:
        answers = [drive.stack.http.get(f"{root}/{event.id}") for event in events]
        return all(json.loads(answer.body)["status"] == "SUCCEEDED" for answer in answers)

    drive.wait("GET tells that each order succeeded", succeeded)


def from_the_queue(drive: Driver, sagas: Sagas) -> dict[str, str]:
    """Send orders once, twice, others under known ids, and rubbish; return each one's reason."""
    send, run = sqs(drive.stack, "QueueUrl"), sagas.shop.run
    orders = sagas.orders(QUEUED_ORDERS)
    events = [*map(event, orders)]
    drive.send("Orders through the queue", send, events, batch=10)
    drive.send("The same messages again", send, events[:20], batch=10)
    drive.drain("QueueUrl")
    others = {f"{order['order_id']}/conflict": order | {"ship_to": "FR"} for order in orders[:5]}
    rubbish = {f"{run}/rubbish-{number}": f"{run}/rubbish-{number}" for number in range(5)}
    bad = [Event(id_, as_json(body)) for id_, body in [*others.items(), *rubbish.items()]]
    drive.send("Other orders under a known id, and rubbish", send, bad, batch=10)
    drive.drain("QueueUrl")
    return dict.fromkeys(others, "conflict") | dict.fromkeys(rubbish, "not_json")


def over_the_counter(drive: Driver, sagas: Sagas) -> list[Document]:
    """Sell over the counter, each sale twice at the same moment; return the sales."""
    orders = sagas.orders(COUNTER_SALES)
    twice = [event(order) for order in orders for _ in range(2)]
    answers = sagas.runs.run("Counter sales, each twice", drive["ExpressStateMachineArn"], twice)
    found = Counter(json.loads(answer.get("output") or "{}").get("outcome") for answer in answers)
    promise = "Express answers with the outcome, to the repetition too"
    drive.check(promise, found == {"confirmed": 2 * COUNTER_SALES}, found)
    return orders


def steps_fail(drive: Driver, sagas: Sagas, twin: Callable[..., str]) -> list[Document]:
    """Let each step fail in both ways; return the orders that were parked."""
    machine, starts, parked = drive["StateMachineArn"], [], []
    for step, fault in product((*FORWARD, *BACKWARD), FAULTS):
        # Undoing can fail only where there is something to undo: shipping fails first.
        first = [("Ship", UNAVAILABLE)] if step in BACKWARD else []
        faulty, orders = twin(machine, (step, fault), *first), sagas.orders(FAILED_EACH)
        starts += [(faulty, event(order)) for order in orders]
        parked += orders if first and (step, fault) != HEALS else []
    sagas.runs.start("Each step and each step of the undoing fails, in two ways", starts)
    sagas.runs.wait("all are undone or parked")
    there = drive.backlog("ParkedQueueUrl")
    drive.check("what cannot be undone is parked", there == len(parked), (there, len(parked)))
    return parked


def carrier_is_silent(drive: Driver, sagas: Sagas, twin: Callable[..., str]) -> None:
    """Let the carrier be unavailable for longer than a shipment may take, and return."""
    machine, orders = twin(drive["StateMachineArn"]), sagas.orders(4)
    reads = drive["CarrierMappingId"], drive["CarrierQueueUrl"]
    with outages.mapping_disabled(drive.stack, *reads):
        sagas.start("Orders while the carrier is unavailable", orders, machine)
        express_fails(drive, sagas, twin)  # which needs no carrier
        sagas.runs.wait("the sagas have waited for the carrier in vain")
    failed = [sagas.runs.find(machine, order["order_id"]) for order in orders]
    errors = {(execution["status"], execution.get("error")) for execution in failed}
    promise = "a carrier that never answers cancels the order"
    drive.check(promise, errors == {("FAILED", "carrier_silent")}, errors)
    drive.not_proven(
        ("service-roles", "the state machine and the mappings have the permissions that they need",
         "policies: test_construct.py, test_security.py"),
        ("step-functions-heartbeat",
         "a carrier without a sign of life is given up before its day is over",
         "HeartbeatSeconds is tested in test_construct.py; here TimeoutSeconds ends the wait"),
    )  # fmt: skip


def express_fails(drive: Driver, sagas: Sagas, twin: Callable[..., str]) -> None:
    """Let counter sales fail, and their undoing too; start those again."""
    deployed = drive["ExpressStateMachineArn"]
    charge = twin(deployed, ("Charge", ANSWER_LOST))
    refund = twin(deployed, ("Confirm", UNAVAILABLE), ("Refund", UNAVAILABLE))
    undone, parked = sagas.orders(3), sagas.orders(3)
    sell = sagas.runs.run
    answers = sell("Counter sales that cannot be charged", charge, map(event, undone))
    answers += sell("Counter sales that cannot be undone", refund, map(event, parked))
    errors = Counter(answer.get("error") for answer in answers)
    expected = {"charge_failed": 3, "NotUndone": 3}
    drive.check("a failed counter sale says so", errors == expected, errors)
    messages = collect(drive, "ExpressParkedQueueUrl", parked)
    again = [event(message["input"]) for message in messages]
    sell("The same sales, started again", deployed, again)


def person_answers(drive: Driver, sagas: Sagas, machine: str) -> None:
    """Make the refunds' table unavailable, park, let it return, and answer what is parked."""
    orders = sagas.orders(4, ship_to="AQ")
    with drive.table_unavailable("RefundFunctionName", "ACCOUNTS_TABLE"):
        sagas.start("Orders while nothing can be refunded", orders, machine)
        with drive.report.step("Waiting until they are parked"):
            parked = collect(drive, "ParkedQueueUrl", orders)
    steps = Counter(message["step"] for message in parked)
    drive.check("the parked message names the step", steps == {"Refund": len(orders)}, steps)
    answer = drive.client("stepfunctions").send_task_success
    for message in parked:
        answer(taskToken=message["task_token"], output="{}")
    sagas.runs.wait("the answered ones are undone")


def person_starts_again(drive: Driver, sagas: Sagas, orders: Sequence[Document]) -> None:
    """Start what a faulty definition parked again on the fixed one, and close the old ones."""
    messages = collect(drive, "ParkedQueueUrl", orders)
    complete = len(messages) == len(orders)
    drive.check("every parked order has its message", complete, len(messages))
    stop = drive.client("stepfunctions").stop_execution
    for message in messages:
        stop(executionArn=message["execution"], cause="Starts again on the fixed definition")
    sagas.start("Parked orders started again", orders, suffix="-again")
    sagas.runs.wait("every saga has ended")


def collect(drive: Driver, output: str, orders: Iterable[Document]) -> list[Document]:
    """Take the parked messages of these orders, once they are all there."""
    ids = {order["order_id"] for order in orders}
    return queues.collect(drive.stack, drive[output], "order_id", ids)


def book_outcomes(drive: Driver, sagas: Sagas, refused: Iterable[Document]) -> dict[str, str]:
    """Book every order that came to an end; return its outcome."""
    ended = ("confirmed", "cancelled")
    rows = sagas.rows("Orders")
    outcomes = {row["id"]: row["status"] for row in rows if row["status"] in ended}
    for order in refused:
        if order["order_id"] not in outcomes:
            execution = sagas.runs.find(drive["StateMachineArn"], order["order_id"])
            outcome = json.loads(execution.get("output") or "{}").get("outcome")
            if outcome == "refused":
                outcomes[order["order_id"]] = outcome
    drive.ledger.processed.update(outcomes.keys())
    return outcomes


def money_balances(drive: Driver, sagas: Sagas, outcomes: Mapping[str, str]) -> None:
    """Compare what customers lost with what confirmed orders cost, order by order."""
    rows = {row["id"]: row for row in sagas.rows("Accounts", "#")}
    wrong, paid = [], Counter[str]()
    for order_id, order in sagas.made.items():
        payment = rows.get(f"PAYMENT#{order_id}", {})
        charged = int(payment["amount"]) if payment.get("state") == "charged" else 0
        due = order["total"] if outcomes.get(order_id) == "confirmed" else 0
        wrong += [(order_id, charged, due)] if charged != due else []
        paid[order["customer_id"]] += charged
    drive.check("each order is paid if confirmed, and only then", not wrong, wrong[:5])
    left = {name: int(rows[f"CUSTOMER#{name}"]["balance"]) for name in sagas.balances}
    off = [name for name, before in sagas.balances.items() if before - paid[name] != left[name]]
    drive.check("money balances to zero", not off, off[:5])


def stock_balances(drive: Driver, sagas: Sagas, outcomes: Mapping[str, str]) -> None:
    """Compare the parts that are gone with those of confirmed orders, line by line."""
    rows = {row["id"]: row for row in sagas.rows("Stock", "#")}
    wrong, gone = [], Counter[str]()
    for order_id, line in ((id_, line) for id_, o in sagas.made.items() for line in o["lines"]):
        held = rows.get(f"HELD#{order_id}#{line['sku']}", {})
        taken = int(held["quantity"]) if held.get("state") == "held" else 0
        due = line["quantity"] if outcomes.get(order_id) == "confirmed" else 0
        wrong += [(order_id, line["sku"], taken, due)] if taken != due else []
        gone[line["sku"]] += taken
    drive.check("each line is reserved if confirmed, and only then", not wrong, wrong[:5])
    left = {sku: int(rows[f"PART#{sku}"]["available"]) for sku in sagas.stock}
    off = [sku for sku, before in sagas.stock.items() if before - gone[sku] != left[sku]]
    drive.check("stock balances to zero", not off, off[:5])
