"""SQS → worker → DynamoDB: imports the catalogs of suppliers, which takes up to an hour each.

A program for a container: ``python -m lambdas.delay_and_visibility.importer``.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..foundation import checks, strict_json, tables, workers
from ..foundation.outcomes import DUPLICATE, STORED

if TYPE_CHECKING:
    from ..foundation.outcomes import Outcome

MAX_MINUTES = 60


def work(job: workers.Job) -> Outcome:
    """Import a catalog, a minute's work at a time, unless it is imported already.

    Raises:
        RefusedError: the message is no job.
        StoppedError: the worker is told to end, or the job is not its own any more.
    """
    names = ("job_id", "supplier", "minutes")
    found = checks.fields(strict_json.parse(job.message.body), "The job", *names)
    id_ = checks.identifier(found["job_id"], "job_id")
    checks.text(found["supplier"], "supplier", 128)
    client, table = tables.client(), os.environ["TABLE_NAME"]
    if client.get_item(TableName=table, Key={"pk": {"S": id_}}, ConsistentRead=True).get("Item"):
        return DUPLICATE
    for _ in range(checks.whole(found["minutes"], "minutes", MAX_MINUTES)):
        job.check()
        job.stop.wait(float(os.environ.get("MINUTE_SECONDS", "60")))  # in place of the work
    job.check()
    item = {"pk": id_, **found, "attempts": job.message.receive_count}
    try:
        client.put_item(**tables.new(table, item))
    except client.exceptions.ConditionalCheckFailedException:
        return DUPLICATE
    return STORED


if __name__ == "__main__":
    workers.main(work)
