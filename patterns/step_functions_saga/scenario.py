"""The executable promises of the demo stack: whatever fails, money and stock balance.

Knows only the stack's outputs and the AWS APIs, so it runs the same on the embedded AWS and on
a real account. Steps fail in twins of the state machine, so that nothing of the stack is changed.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
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
    from collections.abc import Callable, Iterable, Mapping, Sequence, Set

    from serverless_patterns.sandbox import Deployment
    from serverless_patterns.sandbox.report import Report

ORDERS, QUEUED_ORDERS, COUNTER_SALES, FAILED_EACH = 80, 40, 10, 2
STOCK, RARE, RICH, POOR = 100_000, 2, 10**9, 5
FORWARD = ("OpenOrder", "ReserveLine", "Charge", "Ship", "Confirm")
BACKWARD = ("BeginCancelling", "CancelShipment", "Refund", "ReleaseLine", "MarkCancelled")
# These find out that they took effect; or the order is still open, and goes on when started again.
ENDS_WELL = (
    ("ReserveLine", ANSWER_LOST),
    ("Confirm", ANSWER_LOST),
    ("BeginCancelling", UNAVAILABLE),
)
FIRST_COME = ("confirmed", "out_of_stock")  # as long as there are parts
# What has to be undone of an order that ended so, and of which nothing was held.
HANDED_OVER = ("ship_failed", "carrier_silent", "confirm_failed")
PAID = (*HANDED_OVER, "charge_failed", "undeliverable")
NOT_HELD = ("open", "open_failed", "lines", "total")
BARRED = "refunded 0"  # before anything was charged: a charge that comes late finds it
# A line whose release took effect is found released by the next attempt.
HEALS = ("ReleaseLine", ANSWER_LOST)


def run(stack: Deployment, report: Report) -> None:
    """Drive every promise of the page through the deployed stack."""
    drive = Driver(stack, report, workers=4)
    sagas = Sagas(drive, Shop("saga"))
    prefix, machine = sagas.shop.run, drive["StateMachineArn"]

    with drive.calm_retries("QueueUrl"):
        drive.title("Orders, and what the business rejects")
        good, rejected = sagas.orders(ORDERS), rejected_by_business(sagas)
        through_the_api(drive, sagas)
        sagas.start("Orders", good)
        sagas.start("Orders that end badly", rejected)
        reasons = from_the_queue(drive, sagas)
        over_the_counter(drive, sagas)
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
        person_starts_again(drive, sagas, parked)
        person_answers(drive, sagas, twin(machine))

    drive.title("Where is every order now?")
    drive.drain("CarrierQueueUrl")
    promise = "what cannot be started is kept, byte for byte, with its reason"
    drive.dead_letters(promise, reasons, drive.sent_body, "DeadLetterQueueUrl")
    found = {table: sagas.rows(table.title()) for table in ("orders", "shipments")}
    found |= {table: sagas.rows(table.title(), "#") for table in ("accounts", "stock")}
    ends = sagas.runs.outputs(machine, [order["order_id"] for order in rejected])
    refused = [{"id": it} | end for it, end in ends.items() if end.get("outcome") == "refused"]
    drive.judge(partial(judge, sagas), found | {"refused": refused})
    lost = drive.ledger.lost
    drive.check("every accepted order came to an end", not lost, sagas.runs.ends(machine, lost))
    ids = {order["order_id"] for order in good}
    drive.latency("start to end, Standard", sagas.runs.seconds(machine, ids))


class Sagas:
    """The orders of one run, with the stock and the accounts that they need.

    Attributes:
        made: Every order, by its id.
        ends: How each must end: confirmed, or the reason why not; one of several.
        sold: Those that are sold over the counter, without a carrier.
        runs: The executions.
    """

    def __init__(self, drive: Driver, shop: Shop) -> None:
        self.drive, self.shop = drive, shop
        self.made: dict[str, Document] = {}
        self.ends: dict[str, Sequence[str]] = {}
        self.sold: set[str] = set()
        self.runs = Executions(drive, parked=lambda: drive.backlog("ParkedQueueUrl"))
        self.rare, self.poor = f"{shop.run}-rare", f"{shop.run}-poor"
        self.stock = dict.fromkeys(shop.parts, STOCK) | {self.rare: RARE}
        self.balances = dict.fromkeys(shop.customers, RICH) | {self.poor: POOR}
        parts = {f"PART#{sku}": number for sku, number in self.stock.items()}
        accounts = {f"CUSTOMER#{name}": cents for name, cents in self.balances.items()}
        tables.put_numbers(drive.stack, drive["StockTableName"], "available", parts)
        tables.put_numbers(drive.stack, drive["AccountsTableName"], "balance", accounts)

    def orders(
        self, count: int, *ends: str, counter: bool = False, **fields: Any
    ) -> list[Document]:
        """Return orders that must end so, by default well; ``fields`` replace what they say."""
        orders = self.shop.purchases(count, **fields)
        made = {order["order_id"]: order for order in orders}
        self.made |= made
        self.ends |= dict.fromkeys(made, ends or ("confirmed",))
        self.sold |= made.keys() if counter else set()
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
        *sagas.orders(6, "declined", customer_id=sagas.poor),
        *sagas.orders(6, "undeliverable", ship_to="AQ"),
        *sagas.orders(5, *FIRST_COME, lines=[line, other]),
        *sagas.orders(4, "total", total=1),
        *sagas.orders(2, "lines", lines=[]),
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


def over_the_counter(drive: Driver, sagas: Sagas) -> None:
    """Sell over the counter, each sale twice at the same moment."""
    orders = sagas.orders(COUNTER_SALES, counter=True)
    twice = [event(order) for order in orders for _ in range(2)]
    answers = sagas.runs.run("Counter sales, each twice", drive["ExpressStateMachineArn"], twice)
    found = Counter(json.loads(answer.get("output") or "{}").get("outcome") for answer in answers)
    promise = "Express answers with the outcome, to the repetition too"
    drive.check(promise, found == {"confirmed": 2 * COUNTER_SALES}, found)


def steps_fail(drive: Driver, sagas: Sagas, twin: Callable[..., str]) -> list[Document]:
    """Let each step fail in both ways; return the orders that were parked."""
    machine, starts, parked = drive["StateMachineArn"], [], []
    for step, fault in product((*FORWARD, *BACKWARD), FAULTS):
        # Undoing can fail only where there is something to undo: shipping fails first.
        first = [("Ship", UNAVAILABLE)] if step in BACKWARD else []
        reason = "ship" if first else step.lower().removesuffix("order").removesuffix("line")
        end = "confirmed" if (step, fault) in ENDS_WELL else f"{reason}_failed"
        faulty, orders = twin(machine, (step, fault), *first), sagas.orders(FAILED_EACH, end)
        starts += [(faulty, event(order)) for order in orders]
        parked += orders if first and (step, fault) != HEALS else []
    sagas.runs.start("Each step and each step of the undoing fails, in two ways", starts)
    sagas.runs.wait("all are undone or parked")
    there = drive.backlog("ParkedQueueUrl")
    drive.check("what cannot be undone is parked", there == len(parked), (there, len(parked)))
    return parked


def carrier_is_silent(drive: Driver, sagas: Sagas, twin: Callable[..., str]) -> None:
    """Let the carrier be unavailable for longer than a shipment may take, and return."""
    machine, orders = twin(drive["StateMachineArn"]), sagas.orders(4, "carrier_silent")
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
    undone, parked = (
        sagas.orders(3, it, counter=True) for it in ("charge_failed", "confirm_failed")
    )
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
    orders = sagas.orders(4, "undeliverable", ship_to="AQ")
    with drive.table_unavailable("RefundFunctionName", "ACCOUNTS_TABLE"):
        sagas.start("Orders while nothing can be refunded", orders, machine)
        drive.wait_for_messages("they are parked", "ParkedQueueUrl", len(orders))
    parked = [json.loads(it["Body"]) for it in queues.peek(drive.stack, drive["ParkedQueueUrl"])]
    steps = Counter(message["step"] for message in parked)
    drive.check("the parked message names the step", steps == {"Refund": len(orders)}, steps)
    done = drive.redrive_letters("ParkedQueueUrl")
    drive.check("the redrive answers each parked saga", done.accepted == len(orders), done.lines())
    sagas.runs.wait("every saga has ended")


def person_starts_again(drive: Driver, sagas: Sagas, orders: Sequence[Document]) -> None:
    """Start what a faulty definition parked again on the fixed one, and close the old ones."""
    messages = collect(drive, "ParkedQueueUrl", orders)
    complete = len(messages) == len(orders)
    drive.check("every parked order has its message", complete, len(messages))
    stop = drive.client("stepfunctions").stop_execution
    for message in messages:
        stop(executionArn=message["execution"], cause="Starts again on the fixed definition")
    sagas.start("Parked orders started again", orders, suffix="-again")
    sagas.runs.wait("those started again have ended")


def collect(drive: Driver, output: str, orders: Iterable[Document]) -> list[Document]:
    """Take the parked messages of these orders, once they are all there."""
    ids = {order["order_id"] for order in orders}
    return queues.collect(drive.stack, drive[output], "order_id", ids)


def judge(sagas: Sagas, drive: Driver, **found: Sequence[Document]) -> None:
    """Book every order that came to an end, and compare each row with what that end requires."""
    ends = {row["id"]: row["reason"] for row in found["refused"]}
    ended = [row for row in found["orders"] if row["status"] in ("confirmed", "cancelled")]
    for row in ended:
        ends[row["id"]] = row["reason"] if row["status"] == "cancelled" else "confirmed"
    drive.ledger.processed.update(row["id"] for row in [*found["refused"], *ended])
    wrong = [it for it in ends.items() if it[1] not in sagas.ends.get(it[0], ())]
    drive.check("every order ends as it must, for its reason", not wrong, wrong[:5])
    barred = {row["id"] for row in found["accounts"] if says(row) == BARRED}
    for table, promise, wanted in required(sagas, ends, barred):
        drive.compare(promise, ((row["id"], says(row)) for row in found[table]), wanted.items())
    left = {row["id"]: row["available"] for row in found["stock"] if "available" in row}
    below = [part for part, number in left.items() if number < 0]
    drive.check("stock never goes below zero", not below, below)
    rare = left.get(f"PART#{sagas.rare}")
    drive.check("no order goes without a part that is there", rare == 0, (sagas.rare, rare))


def says(row: Document) -> str:
    """Return what a row says."""
    names = ("state", "amount", "quantity", "available", "balance", "customer_id")
    return " ".join(str(row[name]) for name in names if name in row)


def required(
    sagas: Sagas, ends: Mapping[str, str], barred: Set[str]
) -> list[tuple[str, str, dict[str, str]]]:
    """Return what the rows of each table must say, by their ids, with the promise.

    ``barred`` are payments that were refunded before anything was charged.
    """
    money, stock = Counter(sagas.balances), Counter(sagas.stock)
    payments, lines, parcels = {}, {}, {}
    for id_, order in sagas.made.items():
        end, done = ends.get(id_, "open"), ends.get(id_) == "confirmed"
        if done or end in PAID:
            payment, paid = f"PAYMENT#{id_}", f"{order['total']} {order['customer_id']}"
            back = BARRED if payment in barred else f"refunded {paid}"
            payments[payment] = f"charged {paid}" if done else back
            money[order["customer_id"]] -= order["total"] * done
        if id_ not in sagas.sold and (done or end in HANDED_OVER):
            parcels[id_] = "shipped" if done else "cancelled"
        for line in order["lines"] if end not in NOT_HELD else ():
            held = "held" if done else "released"
            lines[f"HELD#{id_}#{line['sku']}"] = f"{held} {line['quantity']}"
            stock[line["sku"]] -= line["quantity"] * done
    payments |= {f"CUSTOMER#{name}": str(cents) for name, cents in money.items()}
    lines |= {f"PART#{sku}": str(number) for sku, number in stock.items()}
    return [
        ("accounts", "money balances to zero, order by order", payments),
        ("stock", "stock balances to zero, line by line", lines),
        ("shipments", "confirmed orders are shipped, and no others", parcels),
    ]
