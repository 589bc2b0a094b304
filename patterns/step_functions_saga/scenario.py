"""The executable promises of the demo stack: whatever fails, money and stock balance.

Knows only the stack's outputs and the AWS APIs, so it runs the same on the embedded AWS and on
a real account. Failures of a step are made in a twin of the state machine, one for each failure,
so that nothing of the stack is changed: in one the step's resource is not there, in the other the
step takes effect and its answer is lost.
"""

from __future__ import annotations

import json
import random
import secrets
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from serverless_patterns.sandbox import outages, queues, tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from serverless_patterns.sandbox import Deployment
    from serverless_patterns.sandbox.report import Report

SEED = 20261121
SENDERS = 4
# Orders started at a time: on an emulator each running function is a process of its own.
WAVE = 4
ORDERS = 80
QUEUED_ORDERS = 40
COUNTER_SALES = 10
FAILED_EACH = 2
RICH, POOR, PART_COUNT = 10**9, 5, 12
FORWARD = ("OpenOrder", "ReserveLine", "Charge", "Ship", "Confirm")
BACKWARD = ("BeginCancelling", "CancelShipment", "Refund", "ReleaseLine", "MarkCancelled")
FAULTS = ("away", "answer lost")
# A line whose release took effect is found released by the next try.
HEALS = ("ReleaseLine", "answer lost")
Order = dict[str, Any]


class Shop:
    """Makes orders, the same ones for the same seed, and the parts and customers they name."""

    def __init__(self, stack: Deployment) -> None:
        self.run = f"saga-{secrets.token_hex(4)}"
        self.parts = [f"{self.run}-part-{n:02}" for n in range(PART_COUNT)]
        self.rare = f"{self.run}-rare"
        self.customers = [f"{self.run}-customer-{n:02}" for n in range(30)]
        self.poor = f"{self.run}-poor"
        self.stock = dict.fromkeys(self.parts, 100_000) | {self.rare: 2}
        self.balances = dict.fromkeys(self.customers, RICH) | {self.poor: POOR}
        self.orders: dict[str, Order] = {}
        self._random = random.Random(SEED)  # noqa: S311 - test data
        rows = [
            (stack["StockTableName"], f"PART#{name}", "available", count)
            for name, count in self.stock.items()
        ] + [
            (stack["AccountsTableName"], f"CUSTOMER#{name}", "balance", cents)
            for name, cents in self.balances.items()
        ]
        for table, key, attribute, number in rows:
            item = {"id": {"S": key}, attribute: {"N": str(number)}}
            stack.client("dynamodb").put_item(TableName=table, Item=item)

    def order(self, **changes: Any) -> Order:
        """Return a valid order, but for ``changes``."""
        lines = [
            {
                "sku": sku,
                "quantity": self._random.randint(1, 9),
                "unit_price": self._random.randint(100, 90_000),
            }
            for sku in self._random.sample(self.parts, self._random.randint(1, 3))
        ]
        order = {
            "order_id": f"{self.run}-{len(self.orders):04}",
            "customer_id": self._random.choice(self.customers),
            "ship_to": "DE",
            "lines": changes.get("lines", lines),
        } | changes
        order.setdefault("total", sum(x["quantity"] * x["unit_price"] for x in order["lines"]))
        self.orders[order["order_id"]] = order
        return order

    def many(self, count: int, **changes: Any) -> list[Order]:
        """Return that many orders."""
        return [self.order(**changes) for _ in range(count)]


@dataclass
class Sagas:
    """Starts executions and books what became of each start.

    Attributes:
        machines: State machines with executions that may still run.
    """

    stack: Deployment
    report: Report
    machines: set[str] = field(default_factory=set)

    def start(self, title: str, orders: Sequence[Order], machine: str = "", again: str = "") -> int:
        """Start orders side by side; return how many were new."""
        return self.start_on(title, [(machine, order) for order in orders], again)

    def start_on(self, title: str, starts: Sequence[tuple[str, Order]], again: str = "") -> int:
        """Start each order on its machine; return how many were new."""
        deployed = self.stack["StateMachineArn"]
        orders = [order for _, order in starts]

        def start_one(start: tuple[str, Order]) -> bool:
            machine, order = start
            return self._start(order, machine or deployed, f"{order['order_id']}{again}")

        new = 0
        with self.report.step(title, len(orders)) as advance, ThreadPoolExecutor(SENDERS) as pool:
            for first in range(0, len(starts), WAVE):
                if first:
                    self._until_busy(WAVE)
                wave = starts[first : first + WAVE]
                self.machines |= {machine or deployed for machine, _ in wave}
                for (_, order), started in zip(wave, pool.map(start_one, wave), strict=True):
                    self.report.ledger.sent[order["order_id"]] += 1
                    if started:
                        self.report.ledger.accepted[order["order_id"]] += 1
                        new += 1
                    else:
                        self.report.ledger.refused["already started"] += 1
                    advance()
        return new

    def _start(self, order: Order, machine: str, name: str) -> bool:
        sfn = self.stack.client("stepfunctions")
        try:
            sfn.start_execution(stateMachineArn=machine, name=name, input=json.dumps(order))
        except sfn.exceptions.ExecutionAlreadyExists:
            return False
        return True

    def sell(self, title: str, orders: Sequence[Order], machine: str) -> list[dict[str, Any]]:
        """Run Express executions side by side and wait for each; return the answers.

        Each has a name of its own: Express does not look at names, the steps look at the order.
        """
        sfn = self.stack.client("stepfunctions")

        def sell_one(order: Order) -> dict[str, Any]:
            name = f"{order['order_id']}-{secrets.token_hex(4)}"
            answer: dict[str, Any] = sfn.start_sync_execution(
                stateMachineArn=machine, name=name, input=json.dumps(order)
            )
            return answer

        with self.report.step(title, len(orders)) as advance, ThreadPoolExecutor(SENDERS) as pool:
            answers = []
            for order, answer in zip(orders, pool.map(sell_one, orders), strict=True):
                self.report.ledger.sent[order["order_id"]] += 1
                self.report.ledger.accepted[order["order_id"]] += 1
                answers.append(answer)
                advance()
        return answers

    def send(self, title: str, orders: Sequence[tuple[str, str]]) -> None:
        """Send bodies to the starter's queue, each with its event."""
        sqs = self.stack.client("sqs")
        with self.report.step(title, len(orders)) as advance:
            for start in range(0, len(orders), 10):
                part = orders[start : start + 10]
                entries = [{"Id": str(n), "MessageBody": body} for n, (_, body) in enumerate(part)]
                answer = sqs.send_message_batch(QueueUrl=self.stack["QueueUrl"], Entries=entries)
                taken = {int(entry["Id"]) for entry in answer.get("Successful", [])}
                for number, (event, _) in enumerate(part):
                    self.report.ledger.sent[event] += 1
                    if number in taken:
                        self.report.ledger.accepted[event] += 1
                    else:
                        self.report.ledger.refused["queue"] += 1
                    advance()

    def busy(self) -> int:
        """Return how many executions have neither ended nor been parked."""
        running = 0
        for machine in list(self.machines):
            executions = list(self._list(machine, statusFilter="RUNNING"))
            running += len(executions)
            if not executions:
                self.machines.discard(machine)
        return running - queues.backlog(self.stack, self.stack["ParkedQueueUrl"])

    def wait(self, title: str) -> None:
        """Wait until every execution has ended or been parked."""
        with self.report.step(title):
            self._until_busy(0)

    def _until_busy(self, at_most: int) -> None:
        queues.until(
            lambda: self.busy() <= at_most,
            seconds=300,
            what="executions are still running",
            pause=0.05,
        )

    def seconds(self, machine: str, orders: Sequence[Order]) -> list[float]:
        """Return how long the orders' executions took."""
        wanted = {order["order_id"] for order in orders}
        return [
            (execution["stopDate"] - execution["startDate"]).total_seconds()
            for execution in self._list(machine)
            if execution["name"] in wanted and execution.get("stopDate")
        ]

    def _list(self, machine: str, **options: Any) -> Iterator[dict[str, Any]]:
        pages = self.stack.client("stepfunctions").get_paginator("list_executions")
        for page in pages.paginate(stateMachineArn=machine, **options):
            yield from page["executions"]


def run(stack: Deployment, report: Report) -> None:
    """Drive every promise of the page through the deployed stack."""
    shop = Shop(stack)
    sagas = Sagas(stack, report)
    report.title("Orders, and what the business refuses")
    good = shop.many(ORDERS)
    refused = business(shop)
    through_the_api(report, stack, shop, sagas)
    sagas.start("The first orders", good[:2])
    sagas.wait("Waiting until the functions have started")
    sagas.start("More orders", good[2:])
    sagas.start("Orders that end badly", refused)
    from_the_queue(sagas, shop)
    sold = over_the_counter(stack, report, shop, sagas)
    started_again(report, sagas, good)
    sagas.wait("Waiting for their ends")

    report.title("Every step fails")
    with twins(stack, shop.run) as twin, carrier_answers_twins(stack, shop.run):
        parked = steps_fail(stack, report, shop, sagas, twin)
        carrier_is_silent(stack, report, shop, sagas, twin)
        report.title("What cannot be undone waits for a person")
        person_answers(stack, report, shop, sagas, twin)
        person_starts_again(stack, report, sagas, parked)
        sagas.wait("Waiting for the last ends")

    report.title("Where is every order now?")
    with report.step("Waiting for the carrier to read its cancellations"):
        queues.wait_until_empty(stack, stack["CarrierQueueUrl"])
    outcomes = book_outcomes(stack, report, shop, refused)
    report.check(
        "good orders are confirmed",
        all(outcomes[order["order_id"]] == "confirmed" for order in [*good, *sold]),
        Counter(outcomes[order["order_id"]] for order in [*good, *sold]),
    )
    dead_letters_have_a_reason(stack, report, shop)
    money_balances(stack, report, shop, outcomes)
    stock_balances(stack, report, shop, outcomes)
    only_confirmed_orders_are_shipped(stack, report, shop, outcomes, sold)
    report.latency("start to end, Standard", sagas.seconds(stack["StateMachineArn"], good))


def business(shop: Shop) -> list[Order]:
    """Return orders that the business refuses, and some that take their time."""
    line = {"sku": shop.rare, "quantity": 1, "unit_price": 100}
    return [
        *shop.many(6, customer_id=shop.poor),
        *shop.many(6, ship_to="AQ"),
        *shop.many(5, lines=[line, {"sku": shop.parts[0], "quantity": 1, "unit_price": 5}]),
        *shop.many(4, total=1),
        *shop.many(2, lines=[]),
        *shop.many(2, ship_to="IS"),
    ]


def through_the_api(report: Report, stack: Deployment, shop: Shop, sagas: Sagas) -> None:
    """Start and follow an order as a client does."""
    if not stack.executes("api-gateway-step-functions"):
        report.not_proven(
            "POST /orders starts an execution, GET /orders/{id} tells its status",
            "the calls, their roles and answers are tested in test_construct.py; here executions "
            "are started through StartExecution and the queue",
        )
        return
    sagas.machines.add(stack["StateMachineArn"])
    url = f"{stack['ApiUrl'].rstrip('/')}/orders"
    headers = {"Content-Type": "application/json"}
    for order in shop.many(10):
        seen = [stack.http.post(url, json.dumps(order).encode(), headers) for _ in range(2)]
        report.ledger.sent[order["order_id"]] += 2
        for answer in seen:
            if answer.status in (200, 202):
                report.ledger.accepted[order["order_id"]] += 1
            else:
                report.ledger.refused[str(answer.status)] += 1
        statuses = [answer.status for answer in seen]
        report.check("POST again starts nothing", statuses in ([202, 202], [202, 409]), statuses)
        address = f"{url}/{order['order_id']}"
        queues.until(
            lambda at=address: (
                json.loads(stack.http.get(at, headers).body)["status"]  # type: ignore[misc]
                == "SUCCEEDED"
            ),
            seconds=60,
            what="GET does not tell that the order succeeded",
        )


def from_the_queue(sagas: Sagas, shop: Shop) -> None:
    """Send orders to the queue: once, twice, others under the same id, and rubbish."""
    orders = shop.many(QUEUED_ORDERS)
    bodies = [(order["order_id"], json.dumps(order)) for order in orders]
    sagas.send("Orders through the queue", bodies)
    sagas.send("The same messages again", bodies[:20])
    conflicts = [
        (f"{order['order_id']}/conflict", json.dumps(order | {"ship_to": "FR"}))
        for order in orders[:5]
    ]
    rubbish = [(f"{shop.run}/rubbish-{n}", f'"{shop.run}/rubbish-{n}"') for n in range(5)]
    drain(sagas.stack, sagas.report)
    sagas.send("Other orders under a known id, and rubbish", [*conflicts, *rubbish])
    drain(sagas.stack, sagas.report)


def drain(stack: Deployment, report: Report) -> None:
    """Wait until everything has been read from the starter's queue."""
    with report.step("Waiting for the queue to drain"):
        queues.wait_until_empty(stack, stack["QueueUrl"])


def over_the_counter(stack: Deployment, report: Report, shop: Shop, sagas: Sagas) -> list[Order]:
    """Sell over the counter, each sale twice at the same moment; return the sales."""
    orders = shop.many(COUNTER_SALES)
    doubled = [order for order in orders for _ in range(2)]
    answers = sagas.sell("Counter sales, each twice", doubled, stack["ExpressStateMachineArn"])
    outcomes = Counter(
        json.loads(answer.get("output") or "{}").get("outcome") for answer in answers
    )
    report.check(
        "Express answers with the outcome, to the repetition too",
        outcomes == {"confirmed": 2 * COUNTER_SALES},
        outcomes,
    )
    return orders


def started_again(report: Report, sagas: Sagas, orders: Sequence[Order]) -> None:
    """Start orders a second time; only an execution that still runs answers for itself."""
    already = report.ledger.refused["already started"]
    new = sagas.start("Orders started again", orders[:30])
    known = report.ledger.refused["already started"] - already
    report.check("an order started again starts nothing", new + known == 30, (new, known))


@contextmanager
def twins(stack: Deployment, run: str) -> Iterator[Callable[..., str]]:
    """Give a function that makes a twin of the state machine with a fault; remove them after."""
    sfn = stack.client("stepfunctions")
    made: list[str] = []

    def twin(*faults: tuple[str, str], express: bool = False) -> str:
        arn = stack["ExpressStateMachineArn" if express else "StateMachineArn"]
        original = sfn.describe_state_machine(stateMachineArn=arn)
        definition = json.loads(original["definition"])
        for name, state in _states(definition):
            _hurry(state)
            for step, fault in faults:
                if name == step:
                    _break(state, fault)
        answer = sfn.create_state_machine(
            name=f"{run}-{len(made):02}",
            definition=json.dumps(definition),
            roleArn=original["roleArn"],
            type=original["type"],
        )
        made.append(answer["stateMachineArn"])
        return made[-1]

    try:
        yield twin
    finally:
        for arn in made:
            sfn.delete_state_machine(stateMachineArn=arn)


@contextmanager
def carrier_answers_twins(stack: Deployment, run: str) -> Iterator[None]:
    """Let the carrier answer the twins too: its role names the stack's own state machine only."""
    lambda_, iam = stack.client("lambda"), stack.client("iam")
    carrier = lambda_.get_event_source_mapping(UUID=stack["CarrierMappingId"])["FunctionArn"]
    role = lambda_.get_function_configuration(FunctionName=carrier)["Role"].rsplit("/", 1)[1]
    own = stack["StateMachineArn"]
    statement = {
        "Effect": "Allow",
        "Action": ["states:SendTaskSuccess", "states:SendTaskFailure"],
        "Resource": f"{own.rsplit(':', 1)[0]}:{run}-*",
    }
    policy = {"RoleName": role, "PolicyName": f"{run}-twins"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(**policy, PolicyDocument=document)
    try:
        yield
    finally:
        iam.delete_role_policy(**policy)


def _states(machine: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, state in machine["States"].items():
        yield name, state
        if "ItemProcessor" in state:
            yield from _states(state["ItemProcessor"])


def _hurry(state: dict[str, Any]) -> None:
    """Shorten waits and retries, so that failures fit a scenario."""
    for retry in state.get("Retry", []):
        if retry["MaxAttempts"]:
            retry.update(MaxAttempts=1, IntervalSeconds=1, BackoffRate=1)
    if "HeartbeatSeconds" in state:
        state.update(TimeoutSeconds=6, HeartbeatSeconds=5)


def _break(state: dict[str, Any], fault: str) -> None:
    if fault == "answer lost":
        state["Output"] = "{% $error('the answer is lost') %}"
        return
    arguments = state["Arguments"]
    writes = [write for item in arguments.get("TransactItems", []) for write in item.values()]
    for target in writes or [arguments]:
        for key in ("TableName", "QueueUrl", "FunctionName"):
            if key in target:
                target[key] += "-away"


def steps_fail(
    stack: Deployment, report: Report, shop: Shop, sagas: Sagas, twin: Callable[..., str]
) -> list[Order]:
    """Let each step fail in both ways; return the orders that were parked."""
    fails = [
        (twin((step, fault)), order)
        for step in FORWARD
        for fault in FAULTS
        for order in shop.many(FAILED_EACH)
    ]
    undoing_fails = {
        (step, fault): [(twin((step, fault), ("Ship", "away")), o) for o in shop.many(FAILED_EACH)]
        for step in BACKWARD
        for fault in FAULTS
    }
    sagas.start_on("Each step fails, in two ways", fails)
    sagas.start_on(
        "Each step of the undoing fails, in two ways",
        [start for each in undoing_fails.values() for start in each],
    )
    del undoing_fails[HEALS]
    parked = [order for each in undoing_fails.values() for _, order in each]
    sagas.wait("Waiting until all are undone or parked")
    there, waiting = queues.backlog(stack, stack["ParkedQueueUrl"]), len(parked)
    report.check("what cannot be undone is parked", there == waiting, (there, waiting))
    return parked


def carrier_is_silent(
    stack: Deployment, report: Report, shop: Shop, sagas: Sagas, twin: Callable[..., str]
) -> None:
    """Let the carrier be away for longer than a shipment may take, and come back."""
    machine = twin()
    orders = shop.many(6)
    with carrier_away(stack):
        sagas.start("Orders while the carrier is away", orders, machine)
        express_fails(stack, report, shop, sagas, twin)  # which needs no carrier
        sagas.wait("Waiting for the carrier in vain")
    failed = [
        stack.client("stepfunctions").describe_execution(
            executionArn=f"{machine.replace(':stateMachine:', ':execution:')}:{order['order_id']}"
        )
        for order in orders
    ]
    errors = {(execution["status"], execution.get("error")) for execution in failed}
    report.check(
        "a carrier that never answers cancels the order",
        errors == {("FAILED", "carrier_silent")},
        errors,
    )
    if not stack.executes("service-roles"):
        report.not_proven(
            "the state machine and the mappings may do what they do",
            "policies: test_construct.py, test_security.py",
        )
    if not stack.executes("step-functions-heartbeat"):
        report.not_proven(
            "a carrier without a sign of life is given up before its day is over",
            "HeartbeatSeconds is tested in test_construct.py; here TimeoutSeconds ends the wait",
        )


@contextmanager
def carrier_away(stack: Deployment) -> Iterator[None]:
    """Stop the carrier from reading its queue; when it is back, wait until it has read all."""
    lambda_ = stack.client("lambda")
    mapping, url = stack["CarrierMappingId"], stack["CarrierQueueUrl"]

    def switch(on: bool, state: str) -> None:
        lambda_.update_event_source_mapping(UUID=mapping, Enabled=on)
        queues.until(
            lambda: lambda_.get_event_source_mapping(UUID=mapping)["State"] == state,
            seconds=180,
            what=f"the carrier's mapping is not {state}",
        )

    queues.wait_until_empty(stack, url)
    # What a poller takes at the moment it is switched off comes back after this time.
    with outages.queue_changed(stack, url, VisibilityTimeout="5"):
        try:
            switch(False, "Disabled")
            yield
        finally:
            switch(True, "Enabled")
            queues.wait_until_empty(stack, url)


def person_answers(
    stack: Deployment, report: Report, shop: Shop, sagas: Sagas, twin: Callable[..., str]
) -> None:
    """Take the refunds' table away, park, bring it back, and answer what is parked."""
    machine = twin()
    orders = shop.many(6, ship_to="AQ")
    ids = {order["order_id"] for order in orders}
    with outages.table_away(stack, stack["RefundFunctionName"], "ACCOUNTS_TABLE"):
        sagas.start("Orders while nothing can be refunded", orders, machine)
        with report.step("Waiting until they are parked"):
            parked = read_parked(stack, stack["ParkedQueueUrl"], ids)
    steps = Counter(message["step"] for message in parked)
    report.check("the parked message names the step", steps == {"Refund": len(orders)}, steps)
    for message in parked:
        stack.client("stepfunctions").send_task_success(
            taskToken=message["task_token"], output="{}"
        )
    sagas.wait("Waiting until the answered ones are undone")


def read_parked(stack: Deployment, url: str, ids: set[str]) -> list[dict[str, Any]]:
    """Return the parked messages of these orders, once they are all there, and delete them."""
    found: dict[str, dict[str, Any]] = {}
    deadline = time.monotonic() + 120
    while len(found) < len(ids) and time.monotonic() < deadline:
        answer = stack.client("sqs").receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1, VisibilityTimeout=5
        )
        mine = []
        for message in answer.get("Messages", []):
            body = json.loads(message["Body"])
            if body["order_id"] in ids:
                found[body["order_id"]] = body
                mine.append(message)
        if mine:
            queues.delete(stack, url, mine)
    return list(found.values())


def person_starts_again(
    stack: Deployment, report: Report, sagas: Sagas, orders: Sequence[Order]
) -> None:
    """Start what a faulty definition parked again on the right one, and close the old ones."""
    messages = read_parked(stack, stack["ParkedQueueUrl"], {order["order_id"] for order in orders})
    report.check("every parked order has its message", len(messages) == len(orders), len(messages))
    for message in messages:
        stack.client("stepfunctions").stop_execution(
            executionArn=message["execution"], cause="Starts again on the mended definition"
        )
    sagas.start("Parked orders started again", orders, again="-again")
    sagas.wait("Waiting for their ends")


def express_fails(
    stack: Deployment, report: Report, shop: Shop, sagas: Sagas, twin: Callable[..., str]
) -> None:
    """Let counter sales fail, and their undoing too; start those again."""
    charge = twin(("Charge", "answer lost"), express=True)
    refund = twin(("Confirm", "away"), ("Refund", "away"), express=True)
    undone, parked = shop.many(4), shop.many(4)
    answers = sagas.sell("Counter sales that cannot be charged", undone, charge)
    answers += sagas.sell("Counter sales that cannot be undone", parked, refund)
    errors = Counter(answer.get("error") for answer in answers)
    report.check(
        "a failed counter sale says so", errors == {"charge_failed": 4, "NotUndone": 4}, errors
    )
    ids = {order["order_id"] for order in parked}
    messages = read_parked(stack, stack["ExpressParkedQueueUrl"], ids)
    inputs = [message["input"] for message in messages]
    sagas.sell("The same sales, started again", inputs, stack["ExpressStateMachineArn"])


def book_outcomes(
    stack: Deployment, report: Report, shop: Shop, started: Sequence[Order]
) -> dict[str, str]:
    """Book every order that came to an end; return its outcome."""
    outcomes = {
        row["id"]: row["status"]
        for row in _rows(stack, stack["OrdersTableName"], shop.run)
        if row["status"] in ("confirmed", "cancelled")
    }
    machine = stack["StateMachineArn"].replace(":stateMachine:", ":execution:")
    for order in started:
        if order["order_id"] not in outcomes:
            execution = stack.client("stepfunctions").describe_execution(
                executionArn=f"{machine}:{order['order_id']}"
            )
            outcome = json.loads(execution.get("output") or "{}").get("outcome")
            if outcome == "refused":
                outcomes[order["order_id"]] = outcome
    report.ledger.processed.update(outcomes.keys())
    report.console.print(f"  {dict(Counter(outcomes.values()))}", style="dim", highlight=False)
    return outcomes


def dead_letters_have_a_reason(stack: Deployment, report: Report, shop: Shop) -> None:
    """Book every dead letter of the starter's queue, with its reason."""
    reasons = Counter[str]()
    for message in queues.take(stack, stack["DeadLetterQueueUrl"]):
        reason = queues.reason(message)
        body = json.loads(message["Body"])
        event = body if isinstance(body, str) else f"{body['order_id']}/{reason}"
        reasons[reason] += 1
        report.ledger.dead_lettered[event] += 1
    report.check(
        "what cannot be started is kept with its reason",
        reasons == {"conflict": 5, "not_json": 5},
        reasons,
    )


def money_balances(stack: Deployment, report: Report, shop: Shop, outcomes: dict[str, str]) -> None:
    """Compare what customers lost with what confirmed orders cost, order by order."""
    rows = {row["id"]: row for row in _rows(stack, stack["AccountsTableName"], shop.run, "#")}
    wrong = []
    paid = Counter[str]()
    for order_id, order in shop.orders.items():
        payment = rows.get(f"PAYMENT#{order_id}", {})
        charged = int(payment["amount"]) if payment.get("state") == "charged" else 0
        due = order["total"] if outcomes.get(order_id) == "confirmed" else 0
        if charged != due:
            wrong.append((order_id, charged, due))
        paid[order["customer_id"]] += charged
    report.check("each order is paid if confirmed, and only then", not wrong, wrong[:5])
    off = [
        (name, before, rows[f"CUSTOMER#{name}"]["balance"])
        for name, before in shop.balances.items()
        if before - paid[name] != int(rows[f"CUSTOMER#{name}"]["balance"])
    ]
    report.check("money balances to zero", not off, off[:5])


def stock_balances(stack: Deployment, report: Report, shop: Shop, outcomes: dict[str, str]) -> None:
    """Compare the parts that are gone with those of confirmed orders, line by line."""
    rows = {row["id"]: row for row in _rows(stack, stack["StockTableName"], shop.run, "#")}
    wrong = []
    gone = Counter[str]()
    for order_id, order in shop.orders.items():
        for line in order["lines"]:
            held = rows.get(f"HELD#{order_id}#{line['sku']}", {})
            taken = int(held["quantity"]) if held.get("state") == "held" else 0
            due = line["quantity"] if outcomes.get(order_id) == "confirmed" else 0
            if taken != due:
                wrong.append((order_id, line["sku"], taken, due))
            gone[line["sku"]] += taken
    report.check("each line is reserved if confirmed, and only then", not wrong, wrong[:5])
    off = [
        (sku, before, rows[f"PART#{sku}"]["available"])
        for sku, before in shop.stock.items()
        if before - gone[sku] != int(rows[f"PART#{sku}"]["available"])
    ]
    report.check("stock balances to zero", not off, off[:5])


def only_confirmed_orders_are_shipped(
    stack: Deployment,
    report: Report,
    shop: Shop,
    outcomes: dict[str, str],
    sold: Sequence[Order],
) -> None:
    """Compare the carrier's shipments with the confirmed orders."""
    rows = _rows(stack, stack["ShipmentsTableName"], shop.run)
    shipped = {row["id"] for row in rows if row["state"] == "shipped"}
    confirmed = {order_id for order_id, outcome in outcomes.items() if outcome == "confirmed"}
    confirmed -= {order["order_id"] for order in sold}
    report.check(
        "confirmed orders are shipped, and no others", shipped == confirmed, shipped ^ confirmed
    )


def _rows(stack: Deployment, table: str, run: str, separator: str = "") -> list[dict[str, Any]]:
    """Return this run's rows of a table."""
    return tables.rows(stack, table, "contains(id, :text)", f"{separator}{run}")
