"""Send failed events to their function again, and delete those that Lambda accepted.

Reads invocation records (from a queue that is the failure destination or behind it, or from a
failure bucket) and dead letters. Nothing is deleted before Lambda has accepted its event: a run
that is stopped may send an event twice but loses none, so the function must be idempotent. An event
that fails again is left for the next run. Uses the AWS credentials and the Region of your shell.

    python -m serverless_patterns.patterns.redrive \
        --function FUNCTION --queue-url URL --dry-run
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

try:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:
    sys.exit("The redrive needs boto3: install serverless-patterns with its extra 'sandbox'.")

from serverless_patterns.terminal import visible

from .run import DEFAULT_RATE, Redrive, function_name, hiding
from .sources import Bucket, Queue

if TYPE_CHECKING:
    from collections.abc import Sequence


SHARED = (
    "Nothing was read: the queue is the dead-letter queue of {}, too, and a dead letter does not "
    "say which function it is of. Add --shared, with an --error that finds only your function's."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0 when everything that matched was accepted and deleted."""
    given, problem = _parsed(arguments), ""
    try:
        region = os.environ.get("AWS_REGION")  # which boto3 does not read
        sqs = boto3.client("sqs", region_name=region)
        s3 = boto3.client("s3", region_name=region)
        lambda_ = boto3.client("lambda", region_name=region)
        account = boto3.client("sts", region_name=region).get_caller_identity()["Account"]
    except (BotoCoreError, ClientError) as error:  # no Region, no such profile, no credentials
        told = str(error).rstrip(".")
        print(f"{told}. Nothing was read. Set AWS_REGION and AWS_PROFILE of your shell.")
        return 1
    sources: list[Queue | Bucket] = [Queue(sqs, url, hiding(given.rate)) for url in given.queue_url]
    if given.bucket:
        prefix = given.prefix or f"aws/lambda/async/{function_name(given.function)}/"
        sources.append(Bucket(s3, given.bucket, prefix))
    place = (lambda_.meta.region_name, account)
    print(visible(f"Account {account}, Region {place[0]}, function {given.function}"))
    try:
        others = sharing(lambda_, sqs, given.queue_url, given.function)
    except (ClientError, BotoCoreError) as error:
        print(visible(f"Not checked whether another function shares the queue: {error}"))
    else:
        if others and not given.shared:
            print(visible(SHARED.format(", ".join(sorted(others)))))
            return 1
    settings = (given.function, given.rate, given.error, given.limit, given.dry_run, place)
    run = Redrive(lambda_, *settings)
    try:
        run.run(sources)
    except (KeyboardInterrupt, ClientError, BotoCoreError) as error:
        problem = f"Stopped: {error or 'by you'}. Events that were not accepted are still there."
    dry = "Dry run: nothing was changed." if given.dry_run else ""
    print(visible("\n".join([*filter(None, (problem, dry)), *run.report.lines()])))
    if given.json:
        given.json.write_text(json.dumps(vars(run.report), indent=2) + "\n", encoding="utf-8")
    return 0 if run.report.good and not problem else 1


def sharing(lambda_: Any, sqs: Any, queue_urls: Sequence[str], function: str) -> set[str]:
    """Return the other functions whose dead-letter queue is one of these."""
    wanted = [{"QueueUrl": url, "AttributeNames": ["QueueArn"]} for url in queue_urls]
    arns = {sqs.get_queue_attributes(**one)["Attributes"]["QueueArn"] for one in wanted}
    return {
        found["FunctionName"]
        for page in (lambda_.get_paginator("list_functions").paginate() if arns else ())
        for found in page["Functions"]
        if found.get("DeadLetterConfig", {}).get("TargetArn") in arns
        and found["FunctionName"] != function_name(function)
    }


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m serverless_patterns.patterns.redrive",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--function", required=True, help="name or ARN, with the alias if it is invoked by one")
    add("--queue-url", action="append", default=[], help="failure or dead-letter queue; several")
    add("--bucket", help="failure bucket")
    add("--prefix", help="keys in it (default: aws/lambda/async/<function>/)")
    add("--error", type=_pattern, default="", help="only errors that this finds, such as ^Sandbox")
    add("--rate", type=float, default=DEFAULT_RATE, help="events a second (default: %(default)g)")
    add("--limit", type=int, default=math.inf, help="only so many events")
    add("--shared", action="store_true", help="though other functions share the queue")
    add("--dry-run", action="store_true", help="only look, send nothing")
    add("--json", type=Path, metavar="FILE", help="write the report there too")
    given = parser.parse_args(arguments)
    if not given.queue_url and not given.bucket:
        parser.error("give --queue-url or --bucket, or both")
    if not 0 < given.rate < math.inf or given.limit < 1:
        parser.error("--rate and --limit must be above 0")
    if given.json and not given.json.parent.is_dir():
        parser.error(f"--json: there is no folder {given.json.parent}")
    return given


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as problem:
        raise argparse.ArgumentTypeError(f"is not a regular expression: {problem}") from None


if __name__ == "__main__":
    sys.exit(main())
