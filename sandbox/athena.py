"""Runs queries in Athena through the API, for scenarios."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import queues

if TYPE_CHECKING:
    from .target import Deployment


def query(stack: Deployment, work_group: str, database: str, sql: str) -> list[dict[str, str]]:
    """Run a query and return its rows, by column.

    Raises:
        RuntimeError: it failed; the message says why.
        TimeoutError: it did not end within two minutes.
    """
    athena = stack.client("athena")
    query_id = athena.start_query_execution(
        QueryString=sql, WorkGroup=work_group, QueryExecutionContext={"Database": database}
    )["QueryExecutionId"]

    def status() -> Any:
        return athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]["Status"]

    def ended() -> bool:
        return status()["State"] not in ("QUEUED", "RUNNING")

    queues.until(ended, seconds=120, what="until Athena answers", pause=0.05)
    if status()["State"] != "SUCCEEDED":
        raise RuntimeError(f"Athena: {status().get('StateChangeReason')}\n{sql}")
    pages = athena.get_paginator("get_query_results").paginate(QueryExecutionId=query_id)
    names, *rows = [
        [cell.get("VarCharValue", "") for cell in row["Data"]]
        for page in pages
        for row in page["ResultSet"]["Rows"]
    ]
    return [dict(zip(names, row, strict=True)) for row in rows]
