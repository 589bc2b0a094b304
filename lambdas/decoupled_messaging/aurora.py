"""The customer's orders in Aurora PostgreSQL, and their outbox. Raises botocore's errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..foundation import data_api, outbox, statuses
from ..foundation.statuses import JOB

if TYPE_CHECKING:
    from collections.abc import Mapping

# A row that the Data API returns has 64 KB at most, with its other columns.
MAX_BYTES = 60 * 1024
BATCH = 10  # as many as a call of SQS takes
SCHEMA = (
    """CREATE TABLE IF NOT EXISTS orders (
        pk text PRIMARY KEY, id text NOT NULL, fingerprint text NOT NULL, body text NOT NULL,
        at bigint NOT NULL, deadline bigint NOT NULL)""",
    f"""CREATE TABLE IF NOT EXISTS outbox (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, attempts int NOT NULL DEFAULT 0,
        job text NOT NULL, at bigint NOT NULL,
        body text NOT NULL CHECK (octet_length(body) <= {MAX_BYTES}))""",
    "CREATE INDEX IF NOT EXISTS outbox_next ON outbox (attempts, number)",
)
# One statement, so that neither is written without the other, in one call.
ACCEPT = """WITH written AS (
    INSERT INTO orders (pk, id, fingerprint, body, at, deadline)
    VALUES (:pk, :id, :fingerprint, :body, :at, :deadline)
    ON CONFLICT (pk) DO NOTHING RETURNING body, at)
INSERT INTO outbox (job, body, at) SELECT :job, body, at FROM written"""
KNOWN = "SELECT pk, id, fingerprint, at, deadline FROM orders WHERE pk = :pk"
# Relays that run at the same time take other rows; what fails does not hold up what is behind it.
TAKE = """SELECT number, job, body FROM outbox ORDER BY attempts, number
LIMIT :most FOR UPDATE SKIP LOCKED"""
SENT = "DELETE FROM outbox WHERE number = ANY (string_to_array(:numbers, ',')::bigint[])"
FAILED = """UPDATE outbox SET attempts = attempts + 1
WHERE number = ANY (string_to_array(:numbers, ',')::bigint[])"""
AGE = "SELECT coalesce(extract(epoch FROM now())::bigint - min(at), 0) AS age FROM outbox"


def accept(item: Mapping[str, Any], body: str) -> Mapping[str, Any] | None:
    """Write an order whose key is free, with its outbox; else return the one that has the key.

    Raises:
        RefusedError: nobody could send it.
    """
    outbox.check(body, MAX_BYTES)
    values = {name: item[name] for name in ("pk", "id", "fingerprint", "at", "deadline")}
    job = statuses.job_name(item["pk"], item["at"])
    if data_api.execute(ACCEPT, **values, body=body, job=job):
        return None
    return data_api.rows(KNOWN, pk=item["pk"])[0]


def items(key: str) -> list[dict[str, Any]]:
    """Return what is known of an order: itself, and how it has ended."""
    found = [{**row, "sk": JOB} for row in data_api.rows(KNOWN, pk=key)]
    return found + statuses.items(key) if found else []


def make_tables() -> None:
    """Make the tables and the index that are not there yet."""
    for statement in SCHEMA:
        data_api.execute(statement)


def relay() -> tuple[int, dict[str, str]]:
    """Send a batch, and take it out of the outbox; return how many it was, and what failed.

    What is sent when this ends before the commit is sent again by the next one.
    """
    with data_api.transaction() as within:
        found = data_api.rows(TAKE, within, most=BATCH)
        failed = outbox.send(
            outbox.entry(str(row["number"]), row["job"], row["body"]) for row in found
        )
        for statement, numbers in (
            (SENT, [str(row["number"]) for row in found if str(row["number"]) not in failed]),
            (FAILED, [*failed]),
        ):
            if numbers:
                data_api.execute(statement, within, numbers=",".join(numbers))
    return len(found), failed


def age() -> int:
    """Return the seconds that the oldest order has been in the outbox; 0 if it is empty."""
    return int(data_api.rows(AGE)[0]["age"])
