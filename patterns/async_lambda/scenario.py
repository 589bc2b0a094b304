"""The executable promises of the demo stack: no accepted event is lost, whatever happens.

Knows only the stack's outputs, the AWS APIs and the pattern's redrive tool, so it runs the same on
the embedded AWS and on a real account.
"""

from __future__ import annotations

import json
import re
import time
from contextlib import suppress
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any

from serverless_patterns.redrive.run import Redrive
from serverless_patterns.redrive.run import Report as Redriven
from serverless_patterns.redrive.sources import Queue
from serverless_patterns.redrive.ways import ToFunction
from serverless_patterns.sandbox import outages, queues, tables
from serverless_patterns.sandbox.driver import Driver
from serverless_patterns.sandbox.report import some
from serverless_patterns.sandbox.sender import Event, batch, in_waves, invoke

from ..shop import DIGITS, Document, Shop, as_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from serverless_patterns.sandbox import Deployment
    from serverless_patterns.sandbox.report import Report
    from serverless_patterns.sandbox.sender import Entry

INVOICES = 200
WAVE = 4  # events on their way at the same time: an emulator starts a process for each
NEW_COUNTRY, NEW_RATE = "NO", "0.25"  # the shop does not sell there yet: there is no tax rate
FAILURES, LETTERS = "FailureQueueUrl", "DeadLetterQueueUrl"


def run(stack: Deployment, report: Report) -> None:
    """Drive every promise of the page through the deployed stack."""
    shop, drive = Shop("inv"), Driver(stack, report, workers=1)
    at_once = in_waves(invoke(stack, "FunctionName"), lambda _: time.sleep(0.1))
    requests = shop.invoice_requests(INVOICES)

    drive.title("Good events")
    calmly = in_waves(invoke(stack, "FunctionName"), lambda wave: until_issued(drive, wave))
    drive.send("Orders to invoice", calmly, [*map(event, requests)], batch=WAVE)
    first = invoices(drive, shop)
    drive.send("Some of them again", at_once, [*map(event, requests[:60])], batch=WAVE)

    with outages.settings_of(stack, stack["FunctionName"]) as (variables, use):
        drive.title("What no retry can fix")
        reasons = rejected(drive, at_once, shop, requests)
        drive.title("The table is unavailable and the renderer is slow, until both are repaired")
        rates = json.loads(variables["VAT_RATES"]) | {NEW_COUNTRY: NEW_RATE}
        outage(drive, at_once, shop, use, json.dumps(rates))
        drive.title("The function is switched off, and has no failure destination")
        switched_off(drive, at_once, shop)
        drive.title("Events past their maximum age")
        too_old(drive, shop)
        drive.title("Redrive")
        redrive_all(drive, shop, reasons)

    drive.title("Where is every event now?")
    items = invoices(drive, shop)
    drive.judge(partial(judge_invoices, rates=rates), {"items": items})
    changed = [order_of(invoice) for invoice in first if invoice not in items]
    drive.check("a duplicate changes nothing", not changed, some(changed))
    promise = "what the shop rejects is kept with its reason"
    drive.dead_letters(promise, reasons, drive.sent_content, LETTERS)
    successes_are_recorded(drive, items)
    drive.latency("invoke to answer", drive.sender.seconds)
    started = drive.sender.first_sent
    issued = [int(item["issued_at"]) / 1000 - started[order_of(item)] for item in first]
    drive.latency("invoke to issued", issued)


def event(request: Document, variant: str = "") -> Event:
    """Return the event that asks for an invoice; ``variant`` tells another one for its order."""
    name = request["order_id"]
    return Event(f"{name}/{variant}" if variant else name, as_json(request))


def rejected(
    drive: Driver, entry: Entry, shop: Shop, requests: Sequence[Document]
) -> dict[str, str]:
    """Send events that cannot be invoiced; return the reason expected for each."""
    if drive.stack.executes("lambda-payload-checks"):
        bodies = {"not JSON": b"not JSON", "too large": as_json("x" * 2**20)}
        drive.send("Not JSON, and too large", entry, [Event(*item) for item in bodies.items()])
        refused = drive.ledger.refused.total()
        drive.check("what Lambda does not accept is not answered with 202", refused == 2, refused)
    instead = "AWS's own rejection; no promise of this pattern"
    drive.not_proven(("lambda-payload-checks", "not JSON: 400, too large: 413", instead))
    wrong = shop.invoice_requests(10, country="DE")
    abroad = [*map(event, shop.invoice_requests(5, country=NEW_COUNTRY))]
    expected = {
        "total": [event(request | {"total": "0.01"}) for request in wrong],
        "conflict": [event(r | {"customer_id": "somebody-else"}, "conflict") for r in requests[:5]],
        "field": [Event(f"{shop.run}/{n}", as_json(n)) for n in (f"{shop.run} no order", [1, 2])],
    }
    for reason, events in [*expected.items(), ("a country without a tax rate", abroad)]:
        drive.send(f"Events to be rejected: {reason}", entry, events, batch=WAVE)
    reasons = {event.id: reason for reason, events in expected.items() for event in events}
    wanted = reasons.keys() | {event.id for event in abroad}
    drive.wait_for_messages("all are dead letters", LETTERS, len(wanted))
    found = {drive.sent_content("", it) for it in queues.peek(drive.stack, drive[LETTERS])}
    drive.check("what no retry can fix is a dead letter at once", found == wanted, found ^ wanted)
    return reasons


def outage(
    drive: Driver, entry: Entry, shop: Shop, use: Callable[..., None], all_rates: str
) -> None:
    """Let events fail until their retries are used up, and others only until the repair."""
    unlucky, long = shop.invoice_requests(3, lines=1), shop.invoice_requests(1, lines=40)
    lucky, events = [*map(event, shop.invoice_requests(3, lines=1))], [*map(event, unlucky + long)]
    use(timeout=2, TABLE_NAME=f"{drive['TableName']}-unavailable", SECONDS_PER_LINE="0.1")
    drive.send("Orders that fail, and a long one that times out", entry, events, batch=WAVE)
    records = drive.wait_for_messages("each has failed three times", FAILURES, 4)
    drive.check("what fails in every attempt is recorded", records == 4, records)
    drive.send("More orders", entry, lucky, batch=WAVE)
    failed = partial(drive.logged, "FunctionName", "Not issued", [event.id for event in lucky])
    drive.wait("their first attempt fails", failed)
    use(VAT_RATES=all_rates)
    with drive.report.step("Repaired: waiting until the retries succeed"):
        until_issued(drive, lucky)
    records = drive.backlog(FAILURES)
    drive.check("what a retry fixes needs nobody", records == 4, records)


def switched_off(drive: Driver, entry: Entry, shop: Shop) -> None:
    """Stop the function; with no failure destination, only the dead-letter queue is left."""
    events = [*map(event, shop.invoice_requests(3))]
    expected, which = drive.backlog(LETTERS) + len(events), (drive.stack, drive["FunctionName"])
    with outages.no_failure_destination(*which), outages.no_concurrency(*which):
        drive.send("Orders while it is off", entry, events, batch=WAVE)
        letters = drive.wait_for_messages("they are dead letters", LETTERS, expected)
    drive.check("an event without a destination is a dead letter", letters == expected, letters)
    drive.not_proven(
        ("service-roles", "Lambda may send records with the function's role",
         "the policy: test_construct.py"),
        ("lambda-dead-letters-beside-destination", "a failed event is a dead letter beside its "
         "record", "the template in test_construct.py; one redrive of both in test_redrive.py"),
        ("", "Lambda drops an event past its maximum age and records it",
         "test_an_event_past_its_age_is_recorded_and_a_dead_letter; here the scenario writes it"),
    )  # fmt: skip


def too_old(drive: Driver, shop: Shop) -> None:
    """Write the records that Lambda writes for events past their maximum age."""

    def record(request: Document) -> dict[str, str]:
        return {"MessageBody": drive.failure_record("FunctionName", request, "EventAgeExceeded")}

    old = int(time.time() - 6 * 3600) * 1000
    requests = [it | {"requested_at": old} for it in shop.invoice_requests(3)]
    sqs, url, events = drive.client("sqs"), drive[FAILURES], [*map(event, requests)]
    records = {it["order_id"]: record(it) for it in requests}
    put = batch(sqs.send_message_batch, "Entries", lambda e: records[e.id], QueueUrl=url)
    drive.send("Records of events that are six hours old", put, events, batch=10)
    sqs.send_message(QueueUrl=url, **records[events[0].id])  # SQS delivers at least once


def redrive_all(drive: Driver, shop: Shop, reasons: dict[str, str]) -> None:
    """Send failed events again, in the steps in which an operator would."""
    before = drive.backlog(FAILURES), drive.backlog(LETTERS)
    found = send_again(drive, "A dry run", FAILURES, LETTERS, dry_run=True)
    nobody = ToFunction(drive.client("lambda"), "gone")
    gone = send_again(drive, "To a function that does not exist", LETTERS, way=nobody)
    after = drive.backlog(FAILURES), drive.backlog(LETTERS)
    drive.check("a dry run finds every failed event", found.matched == sum(before), found)
    promise = "nothing is deleted before Lambda has accepted its event"
    kept = before == after and gone.accepted == 0 and gone.kept.total() > 0
    drive.check(promise, kept, (before, after, gone))
    again = send_again(drive, "The timeouts only", FAILURES, error=r"Sandbox\.Timedout")
    filtered = again.matched == again.accepted == found.reasons["Sandbox.Timedout"] > 0
    drive.check("a filter by error sends those again and no others", filtered, again)
    way = ToFunction(drive.client("lambda"), drive["FunctionName"])
    rest = send_again(drive, "All other records", FAILURES, way=way)
    once = way.sent == rest.matched - 1
    drive.check("an event that is stored there twice is sent once", once, rest)
    of_the_shop = "|".join(sorted(set(reasons.values())))
    send_again(drive, "Dead letters that are fixed now", LETTERS, error=f"^(?!{of_the_shop})")
    wanted = drive.ledger.accepted.keys() - reasons
    with suppress(TimeoutError):  # the ledger shows them as lost
        drive.wait_for(
            "every invoice is issued", wanted, lambda: map(order_of, invoices(drive, shop))
        )
    left = drive.backlog(FAILURES)
    drive.check("after the redrive no record is left", left == 0, left)


def send_again(
    drive: Driver,
    title: str,
    *outputs: str,
    way: ToFunction | None = None,
    error: str = "",
    **options: Any,
) -> Redriven:
    """Run the redrive tool as its command does."""
    way = way or ToFunction(drive.client("lambda"), drive["FunctionName"])
    tool = Redrive(way, 20, re.compile(error), **options)
    with drive.report.step(title):
        return tool.run([Queue(drive.client("sqs"), drive[output]) for output in outputs])


def until_issued(drive: Driver, events: Sequence[Event]) -> None:
    """Wait until the requests have their invoices."""
    keys = [f"INVOICE#{event.id}" for event in events]
    issued = partial(tables.count, drive.stack, drive["TableName"], keys)
    what = f"until the invoices are issued of {', '.join(event.id for event in events)}"
    drive.until(lambda: issued() == len(keys), what=what, pause=0.05)


def invoices(drive: Driver, shop: Shop) -> list[Document]:
    """Return this run's invoices."""
    return drive.rows("TableName", "begins_with(pk, :text)", f"INVOICE#{shop.run}")


def order_of(invoice: Document) -> str:
    """Return the id of the order that an invoice is for."""
    return str(invoice["request"]["order_id"])


def judge_invoices(drive: Driver, items: Sequence[Document], rates: dict[str, str]) -> None:
    """Book every invoice, and compare it with what was sent, and its amounts with those of that."""
    drive.ledger.processed.update(map(order_of, items))
    requests = ((order_of(it), it["request"]) for it in items)
    drive.as_sent("an invoice is for what was sent", requests)
    wrong = [
        order_of(it)
        for it in items
        if (wanted := amounts(it["request"], rates)) != [it["net"], it["vat"], it["gross"]]
        or wanted != re.findall(r"^(?:Net|VAT|Total) +(\S+)", it["text"], re.MULTILINE)
    ]
    drive.check("an invoice has the amounts of its order, with VAT", not wrong, some(wrong))


def amounts(request: Document, rates: dict[str, str]) -> list[str]:
    """Return net, VAT and total of an order, counted in its currency's smallest unit."""
    digits, rate = DIGITS.get(request["currency"], 0), Fraction(rates.get(request["country"], 0))
    lines = [int(it["quantity"]) * Fraction(it["unit_price"]) for it in request["lines"]]
    net = int(sum(lines) * 10**digits)
    vat = int(net * rate + Fraction(1, 2))
    return [f"{each / 10**digits:.{digits}f}" for each in (net, vat, net + vat)]


def successes_are_recorded(drive: Driver, items: Sequence[Document]) -> None:
    """Compare the records of success with the invoices."""
    promise = "every invoice has a record of success"
    drive.not_proven(("lambda-on-success", promise, "the template in test_construct.py"))
    if drive.stack.executes("lambda-on-success"):
        wanted = {item["number"] for item in items}
        taken = queues.take(drive.stack, drive["ResultQueueUrl"])
        records = [json.loads(message["Body"])["responsePayload"] for message in taken]
        missing = wanted - {record.get("number", "") for record in records}
        drive.check(promise, not missing, missing)
