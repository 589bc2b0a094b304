"""The executable promises of the demo stack: every client is told how its job ended, and no other.

Knows only the stack's outputs and the AWS APIs, so it runs the same on the embedded AWS and on a
real account. Clients are ``StatusClient``, as a user would run it.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from botocore.credentials import ReadOnlyCredentials

from serverless_patterns.sandbox import outages
from serverless_patterns.sandbox.driver import Driver
from serverless_patterns.sandbox.sender import Event, http
from serverless_patterns.sandbox.signed_http import SignedHttp

from ..shop import Document, Shop, as_json
from .client import Answer, JobError, StatusClient, StillRunningError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from serverless_patterns.sandbox import Deployment
    from serverless_patterns.sandbox.report import Report

ORDERS, QUOTES = 300, 60
CLIENTS = 16
QUEUE, LETTERS = "QueueUrl", "DeadLetterQueueUrl"


def run(stack: Deployment, report: Report) -> None:
    """Drive every promise of the page through the deployed stack."""
    shop, drive, api = Shop("job"), Driver(stack, report), http(stack, "ApiUrl")
    told: list[Document] = []

    def submit(title: str, path: str, orders: Sequence[Document]) -> None:
        events = [_event(path, order) for order in orders]
        seen = {reply.value.headers.get("Location") for reply in drive.send(title, api, events)}
        expected = {f"{path}/{order['order_id']}" for order in orders}
        drive.check(f"{title}: each answer says where its status is", seen == expected)

    def poll(path: str, orders: Sequence[Document]) -> list[Document]:
        with drive.report.step("Clients poll"), ThreadPoolExecutor(CLIENTS) as pool:
            return list(pool.map(lambda it: _told(_client(drive, path), it["order_id"]), orders))

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
        _http_of_a_status(drive, orders[0])
        reasons = {order["order_id"]: "total" for order in wrong}
        promise = "what no retry can fix is kept with its reason"
        drive.dead_letters(promise, reasons, drive.sent_body, LETTERS)

        drive.title("Two clients")
        _strangers(drive, orders[0])

        drive.title("A client that crashes")
        [crashed] = shop.orders(1)
        drive.sender.events[crashed["order_id"]] = _event("orders", crashed)
        told += [_crash(drive, crashed)]
        orders += [crashed]

        drive.title("A worker that fails to the last attempt")
        unlucky = shop.orders(20)
        with (
            drive.quick_retries(QUEUE),
            drive.table_unavailable("FunctionName"),
        ):
            submit("Orders during the outage", "orders", unlucky)
            found = {(it["state"], "reason" in it) for it in poll("orders", unlucky)}
            promise = "a job that fails to the last attempt ends, with its reason"
            drive.check(promise, found == {("failed", True)}, found)
            drive.wait_for_messages("their attempts are used up", LETTERS, len(unlucky))
        drive.redrive(LETTERS, QUEUE)
        drive.drain(QUEUE)
        after = poll("orders", unlucky)
        promise = "a failed job that is redriven becomes done"
        drive.check(promise, {it["state"] for it in after} == {"done"})
        told += after
        orders += unlucky

        drive.title("A job that nobody works on")
        [late] = shop.orders(1)
        with outages.mapping_disabled(stack, stack["MappingId"], stack[QUEUE]):
            told += [_overdue(drive, shop, late)]
        orders += [late]
        drive.drain(QUEUE)

    drive.title("Where is every job now?")
    rows = drive.rows("TableName", "begins_with(pk, :text)", shop.run)
    expected = _expected(orders, wrong, quotes)
    told = [it for it in told if it["id"] != late["order_id"]] + poll("orders", [late])

    def judge(drive: Driver, rows: Sequence[Document], told: Sequence[Document]) -> None:
        drive.ledger.processed.update(row["order_id"] for row in rows)
        of_quotes = {order["order_id"] for order in quotes}
        ended = [it for it in told if it["id"] in of_quotes]
        drive.ledger.processed.update(it["id"] for it in ended if it["state"] == "done")
        drive.ledger.dead_lettered.update(it["id"] for it in ended if it["state"] == "failed")
        drive.as_sent("what is stored is what was sent", ((row["order_id"], row) for row in rows))
        drive.compare("every client was told how its job ended", map(as_text, told), expected)

    drive.judge(judge, {"rows": rows, "told": told})
    left = drive.backlog(LETTERS)
    drive.check("after the redrive no dead letter is left", left == 0, left)
    drive.not_proven(
        ("sqs-metrics-and-alarms", "alarms", "metrics and dimensions: tests/contracts"),
        ("service-roles", "API Gateway and the mapping have the permissions that they need",
         "policies: tests/contracts, test_security"),
    )  # fmt: skip


def _event(path: str, order: Document) -> Event:
    headers = {"Idempotency-Key": order["order_id"]}
    return Event(order["order_id"], as_json(order), extra={"path": path, "headers": headers})


def _client(drive: Driver, path: str, deadline: float = 120, **made: Any) -> StatusClient:
    url = f"{drive['ApiUrl'].rstrip('/')}/{path}"
    return StatusClient(url, send=_sends(drive.stack.http), deadline=deadline, **made)


def _sends(signed: SignedHttp) -> Any:
    def send(method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        found = signed.post(url, body or b"", headers, method=method)
        names = {name.lower(): value for name, value in found.headers.items()}
        return Answer(found.status, names, found.body)

    return send


def _told(client: StatusClient, job_id: str) -> Document:
    """Return what a client is told in the end."""
    try:
        return {"id": job_id, "state": "done", "result": client.wait(job_id)}
    except StillRunningError:
        return {"id": job_id, "state": "accepted"}
    except JobError as error:
        return {"id": job_id, "state": "failed", "reason": error.reason}


def as_text(told: Document) -> str:
    """Return what a client was told as a text that can be compared."""
    return json.dumps(told, sort_keys=True)


def _expected(
    orders: Iterable[Document], wrong: Iterable[Document], quotes: Iterable[Document]
) -> list[str]:
    """Return what each client has to be told."""
    done = [{"state": "done", "result": {"outcome": "stored"}, "id": o["order_id"]} for o in orders]
    failed = [{"state": "failed", "reason": "total", "id": o["order_id"]} for o in wrong]
    quoted: list[Document] = [
        {"state": "done", "result": {"order_id": o["order_id"], "total": o["total"]}}
        if o["currency"] == "EUR"
        else {"state": "failed", "reason": "UnknownCurrency"}
        for o in quotes
    ]
    quoted = [said | {"id": o["order_id"]} for said, o in zip(quoted, quotes, strict=True)]
    return [as_text(said) for said in [*done, *failed, *quoted]]


def _http_of_a_status(drive: Driver, order: Document) -> None:
    """Ask for a status as a browser or a proxy would."""
    url = f"{drive['ApiUrl'].rstrip('/')}/orders/{order['order_id']}"
    first = drive.stack.http.get(url)
    again = drive.stack.http.post(url, b"", {"If-None-Match": first.headers["ETag"]}, method="GET")
    drive.check(
        "a state that the client has seen is not sent again",
        (first.status, again.status) == (200, 304),
    )
    root = drive["ApiUrl"].rstrip("/")
    other = drive.stack.http.post(
        f"{root}/orders",
        as_json(order | {"customer_id": "another"}),
        {"Content-Type": "application/json", "Idempotency-Key": order["order_id"]},
    )
    drive.check(
        "another request under the same id is a conflict", other.status == 409, other.status
    )


def _strangers(drive: Driver, order: Document) -> None:
    """Ask for the job of one client as another one, who may call the same API."""
    found = drive.client("sts").assume_role(
        RoleArn=drive["CustomerRoleArn"], RoleSessionName="customer"
    )["Credentials"]
    keys = ReadOnlyCredentials(
        found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"]
    )
    target = drive.stack.target
    customer = SignedHttp(lambda: keys, target.region, target.endpoint_url, target.certificate)
    url = f"{drive['ApiUrl'].rstrip('/')}/orders/"
    theirs, nobodys = (customer.get(url + id_) for id_ in (order["order_id"], "no-such-job"))
    same = (theirs.status, theirs.body) == (nobodys.status, nobodys.body) == (404, nobodys.body)
    drive.check("a client is not told of another one's job, nor that there is one", same)
    unsigned = drive.stack.http.post(url + order["order_id"], signed=False, method="GET")
    drive.check("who does not sign is told nothing", unsigned.status == 403, unsigned.status)


def _crash(drive: Driver, order: Document) -> Document:
    """Submit a job, lose the answer, and go on in another process with the id alone."""
    sends = _sends(drive.stack.http)

    def lose(method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        sends(method, url, body, headers)
        raise OSError("the answer is lost")

    url = f"{drive['ApiUrl'].rstrip('/')}/orders"
    gave_up = False
    try:
        StatusClient(url, send=lose, deadline=1).submit(order, job_id=order["order_id"])
    except StillRunningError:
        gave_up = True
    drive.ledger.book(order["order_id"], "")
    drive.sender.sent[as_json(order)] = order["order_id"]
    told = _told(_client(drive, "orders"), order["order_id"])
    drive.check(
        "a client that got no answer finds its job by the id", gave_up and told["state"] == "done"
    )
    return told


def _overdue(drive: Driver, shop: Shop, order: Document) -> Document:
    """Submit a job while nobody works, and wait until its time is up."""
    front = drive["FrontFunctionName"]
    with outages.settings_of(drive.stack, front) as (_, use):
        use(DEADLINE_SECONDS="3")
        drive.send(
            "An order that nobody works on", http(drive.stack, "ApiUrl"), [_event("orders", order)]
        )
        told = _told(_client(drive, "orders"), order["order_id"])
    promise = "a job that nobody finishes fails at its deadline, and is polled no longer"
    drive.check(promise, told.get("reason") == "DeadlineExceeded", told)
    return told
