"""SQL by the Data API of an Aurora cluster: HTTPS, no connection, no network of yours.

The cluster is ``CLUSTER_ARN``, its secret ``SECRET_ARN``, its database ``DATABASE_NAME``. Each
statement outside of a transaction is committed at once. Errors are botocore's: that of a cluster
that is just resuming is one, too.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/data-api.html
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from . import aws
from .logs import logger

if TYPE_CHECKING:
    from collections.abc import Iterator

READ_TIMEOUT = 10  # seconds; what it may have done all the same, the caller does again without harm


def client() -> Any:
    """Return the client."""
    return aws.client("rds-data", read_timeout=READ_TIMEOUT)


def execute(sql: str, within: str = "", /, **values: str | int) -> int:
    """Run a statement; return how many rows it has written.

    Args:
        sql: With ``:name`` for each of the values.
        within: Id of its transaction. Default: none.
        values: Of the parameters.
    """
    return int(_call(sql, within, values)["numberOfRecordsUpdated"])


def rows(sql: str, within: str = "", /, **values: str | int) -> list[dict[str, Any]]:
    """Run a query; return its rows, by column. It takes what ``execute`` does."""
    answer = _call(sql, within, values, formatRecordsAs="JSON")
    found: list[dict[str, Any]] = json.loads(answer["formattedRecords"])
    return found


@contextmanager
def transaction() -> Iterator[str]:
    """Commit what is done by the transaction's id inside, unless an error ends it.

    One that nobody ends, Aurora rolls back after three minutes.
    """
    id_ = client().begin_transaction(**_where())["transactionId"]
    of_it = {name: _where()[name] for name in ("resourceArn", "secretArn")} | {"transactionId": id_}
    try:
        yield id_
    except Exception:
        try:
            client().rollback_transaction(**of_it)
        except (ClientError, BotoCoreError) as error:
            logger.warning("Not rolled back", code=aws.code(error))
        raise
    client().commit_transaction(**of_it)


def _call(sql: str, within: str, values: dict[str, str | int], **more: str) -> Any:
    kinds = {str: "stringValue", int: "longValue"}
    parameters = [
        {"name": name, "value": {kinds[type(value)]: value}} for name, value in values.items()
    ]
    more |= {"transactionId": within} if within else {}
    return client().execute_statement(**_where(), sql=sql, parameters=parameters, **more)


def _where() -> dict[str, str]:
    return {
        "resourceArn": os.environ["CLUSTER_ARN"],
        "secretArn": os.environ["SECRET_ARN"],
        "database": os.environ["DATABASE_NAME"],
    }
