"""The executable promises of the demo stack: every client is told how its job ended, and no other.

Knows only the stack's outputs and the AWS APIs, so it runs the same on the embedded AWS and on a
real account. Clients are ``StatusClient``, as a user would run it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from serverless_patterns.sandbox import outages
from serverless_patterns.sandbox.driver import Driver
from serverless_patterns.sandbox.sender import Event, http

from ..shop import Document, Shop, as_json
from .client import Answer, JobError, StatusClient, StillRunningError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from serverless_patterns.sandbox import Deployment
    from serverless_patterns.sandbox.report import Report
    from serverless_patterns.sandbox.signed_http import SignedHttp

    Documents = Sequence[Document]

ORDERS, QUOTES, CLIENTS = 300, 60, 6
QUEUE, LETTERS, KEY = "QueueUrl", "DeadLetterQueueUrl", "Idempotency-Key"


def run(stack: Deployment, report: Report) -> None:
    """Drive every promise of the page through the deployed stack."""
    shop, drive, api = Shop("job"), Driver(stack, report, CLIENTS), http(stack, "ApiUrl")
    told: list[Document] = []

    def submit(title: str, path: str, orders: Documents) -> None:
        events = [
            Event(id_ := it["order_id"], as_json(it), extra={"path": path, "headers": {KEY: id_}})
            for it in orders
        ]
        seen = {reply.value.headers.get("Location") for reply in drive.send(title, api, events)}
        expected = {f"{path}/{order['order_id']}" for order in orders}
        drive.check(f"{title}: each answer says where its status is", seen == expected)

    def poll(path: str, orders: Documents) -> list[Document]:
        with drive.report.step("Clients poll"), ThreadPoolExecutor(CLIENTS) as pool:
            return list(pool.map(lambda it: _told(drive, path, it["order_id"]), orders))

    with drive.calm_retries(QUEUE):
        drive.title("Jobs of a queue, and of a state machine")
        orders, quotes = shop.orders(ORDERS), shop.orders(QUOTES)
        wrong = [order | {"total": f"1{order['total']}"} for order in shop.orders(20)]
        submit("Orders", "orders", orders)
        submit("Orders whose total is wrong", "orders", wrong)
        submit("Quotes", "quotes", quotes)
        submit("Orders again, under their ids", "orders", orders[:40])
        submit("Quotes again, under their ids", "quotes", quotes[:20])
        told += poll("orders", [*orders, *wrong]) + poll("quotes", quotes)
        reasons = {order["order_id"]: "total" for order in wrong}
        promise = "what no retry can fix is kept with its reason"
        drive.dead_letters(promise, reasons, drive.sent_body, LETTERS)

        drive.title("HTTP, and two clients")
        _http_of_a_status(drive, orders[0])
        _strangers(drive, orders[0]["order_id"])

        drive.title("A client that crashes")
        crashed, late = shop.orders(2)
        told += [_crash(drive, crashed)]
        submit("The order again, under its id", "orders", [crashed])

        drive.title("A worker that fails to the last attempt")
        unlucky = shop.orders(20)
        with drive.quick_retries(QUEUE), drive.table_unavailable("FunctionName"):
            submit("Orders during the outage", "orders", unlucky)
            found = {(it["state"], "reason" in it) for it in poll("orders", unlucky)}
            promise = "a job that fails to the last attempt ends, with its reason"
            drive.check(promise, found == {("failed", True)}, found)
            drive.wait_for_messages("their attempts are used up", LETTERS, len(unlucky))
        drive.redrive(LETTERS, QUEUE)
        drive.drain(QUEUE)
        told += (after := poll("orders", unlucky))
        redriven = {it["state"] for it in after} == {"done"}
        drive.check("a failed job that is redriven becomes done", redriven)

        drive.title("A job that nobody works on")
        with (
            outages.mapping_disabled(stack, stack["MappingId"], stack[QUEUE]),
            outages.settings_of(stack, stack["FrontFunctionName"]) as (_, use),
        ):
            use(DEADLINE_SECONDS="3")
            submit("An order that nobody works on", "orders", [late])
            over = _told(drive, "orders", late["order_id"])
            promise = "a job that nobody finishes fails at its deadline, and is polled no longer"
            drive.check(promise, over.get("reason") == "DeadlineExceeded", over)
        drive.drain(QUEUE)

    drive.title("Where is every job now?")
    rows = drive.rows("TableName", "begins_with(pk, :text)", shop.run)
    told += poll("orders", [late])
    expected = _expected([*orders, crashed, *unlucky, late], wrong, quotes)
    of_quotes = {order["order_id"] for order in quotes}

    def judge(drive: Driver, rows: Documents, told: Documents) -> None:
        drive.ledger.processed.update(row["order_id"] for row in rows)
        for it in told:
            if it["id"] in of_quotes:
                done, failed = drive.ledger.processed, drive.ledger.dead_lettered
                (done if it["state"] == "done" else failed).update([it["id"]])
        drive.as_sent("what is stored is what was sent", ((row["order_id"], row) for row in rows))
        said = [as_json(it, sort_keys=True) for it in told]
        drive.compare("every client was told how its job ended", said, expected)

    drive.judge(judge, {"rows": rows, "told": told})
    left = drive.backlog(LETTERS)
    drive.check("after the redrive no dead letter is left", left == 0, left)
    drive.not_proven(
        ("sqs-metrics-and-alarms", "alarms", "metrics and dimensions: tests/contracts"),
        ("service-roles", "API Gateway and the mapping have the permissions that they need",
         "policies: tests/contracts, test_security"),
    )  # fmt: skip


def _url(drive: Driver, *path: str) -> str:
    return "/".join([drive["ApiUrl"].rstrip("/"), *path])


def _sends(signed: SignedHttp) -> Any:
    def send(method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        found = signed.post(url, body or b"", headers, method=method)
        names = {name.lower(): value for name, value in found.headers.items()}
        return Answer(found.status, names, found.body)

    return send


def _told(drive: Driver, path: str, job_id: str) -> Document:
    """Return what a client is told in the end."""
    client = StatusClient(_url(drive, path), send=_sends(drive.stack.http), deadline=120)
    try:
        return {"id": job_id, "state": "done", "result": client.wait(job_id)}
    except StillRunningError:
        return {"id": job_id, "state": "accepted"}
    except JobError as error:
        return {"id": job_id, "state": "failed", "reason": error.reason}


def _expected(orders: Documents, wrong: Documents, quotes: Documents) -> list[bytes]:
    """Return what each client has to be told."""
    ends = [{"id": it["order_id"], "result": {"outcome": "stored"}} for it in orders]
    ends += [{"id": it["order_id"], "reason": "total"} for it in wrong]
    for it in quotes:
        priced = {"result": {name: it[name] for name in ("order_id", "total")}}
        end = priced if it["currency"] == "EUR" else {"reason": "UnknownCurrency"}
        ends.append({"id": it["order_id"], **end})
    ends = [end | {"state": "done" if "result" in end else "failed"} for end in ends]
    return [as_json(end, sort_keys=True) for end in ends]


def _http_of_a_status(drive: Driver, order: Document) -> None:
    """Ask for a status as a browser or a proxy would."""
    ask, url = drive.stack.http.post, _url(drive, "orders", order["order_id"])
    first = drive.stack.http.get(url)
    again = ask(url, b"", {"If-None-Match": first.headers["ETag"]}, method="GET")
    promise = "a state that the client has seen is not sent again"
    drive.check(promise, (first.status, again.status) == (200, 304))
    headers = {"Content-Type": "application/json", KEY: order["order_id"]}
    other = ask(_url(drive, "orders"), as_json(order | {"customer_id": "another"}), headers)
    promise = "another request under the same id is a conflict"
    drive.check(promise, other.status == 409, other.status)


def _strangers(drive: Driver, job_id: str) -> None:
    """Ask for the job of one client as another one, who may call the same API."""
    customer = drive.stack.http_as(drive["CustomerRoleArn"])
    theirs, nobodys = (customer.get(_url(drive, "orders", id_)) for id_ in (job_id, "none"))
    same = (theirs.status, theirs.body) == (nobodys.status, nobodys.body) == (404, nobodys.body)
    drive.check("a client is not told of another one's job, nor that there is one", same)
    unsigned = drive.stack.http.post(_url(drive, "orders", job_id), signed=False, method="GET")
    drive.check("who does not sign is told nothing", unsigned.status == 403, unsigned.status)


def _crash(drive: Driver, order: Document) -> Document:
    """Submit a job, lose the answer, and go on in another process with the id alone."""
    sends, url = _sends(drive.stack.http), _url(drive, "orders")

    def lose(*request: Any) -> Answer:
        sends(*request)
        raise OSError("the answer is lost")

    with suppress(StillRunningError):
        StatusClient(url, send=lose, deadline=1).submit(order, job_id=order["order_id"])
    told = _told(drive, "orders", order["order_id"])
    drive.check("a client that got no answer finds its job by the id", told["state"] == "done")
    return told
