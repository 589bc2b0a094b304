"""Looks into dead-letter places, and sends what is there to whom it was meant for.

list       what is there: how many, how old, why
inspect    each dead letter: why, how old, how often; bodies only with --bodies
run        redrive: each to its queue, function, subscriber, target, stream's reader or saga
cancel     cancel the task of SQS that `run --task` has started

The place is a queue (URL, ARN or name), a bucket, or every dead-letter place of a stack. Whose a
dead letter is, the letter and the account say; nothing is guessed, and --to overrides it. Nothing
is deleted before it was accepted elsewhere: a run that is stopped may send a letter twice but loses
none, so receivers must be idempotent. Run it again to resume. What fails again after a redrive is
kept until you add --again. Uses the AWS credentials and the Region of your shell.

    python -m serverless_patterns.redrive list --stack orders
    python -m serverless_patterns.redrive run --queue orders-dlq --error ^Timeout --dry-run
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import signal
import sys
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

try:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:
    sys.exit("The redrive needs boto3: install serverless-patterns with its extra 'sandbox'.")

from serverless_patterns.lambdas.foundation import aws, pointers, redrives
from serverless_patterns.lambdas.foundation.outcomes import RefusedError
from serverless_patterns.terminal import visible

from . import owners, records, tasks
from .journal import Journal, default_path
from .owners import Found, Place
from .run import DEFAULT_RATE, Redrive, hiding
from .sources import HIDDEN_TOGETHER, Bucket, InTurn, Queue
from .ways import queue_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .run import Report
    from .sources import Letter

    Client = Callable[[str], Any]

SAMPLE = 10  # letters that `list` looks at
LOOK_HIDING = 30  # seconds
BAR = 30


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0 when nothing is left that needs a second look."""
    given = _parsed(arguments)
    try:
        client = _clients()
        account = client("sts").get_caller_identity()["Account"]
        _print(f"Account {account}, Region {client('sqs').meta.region_name}")
        good = given.run(given, client, _places(given, client))
    except (BotoCoreError, ClientError) as error:  # no Region, no credentials, no such queue
        _print(f"{str(error).rstrip('.')}. What was not accepted is still there.")
        _print("AWS_PROFILE and AWS_REGION of your shell say in which account and Region it looks.")
        return 1
    except OSError as error:  # of the journal, or of the report
        _print(f"{error}. What was not accepted is still there.")
        return 1
    except KeyboardInterrupt:
        _print("Stopped by you. What was not accepted is still there: run it again to resume.")
        return 130
    return 0 if good else 1


def _clients() -> Client:
    made: dict[str, Any] = {}
    make: Any = boto3.client  # typed for literal names only

    def client(service: str) -> Any:
        if service not in made:  # AWS_REGION is not read by boto3
            made[service] = make(service, region_name=os.environ.get("AWS_REGION"))
        return made[service]

    return client


def _places(given: argparse.Namespace, client: Client) -> list[Place]:
    try:
        found = owners.places_of(client, given.stack) if given.stack else []
    except json.JSONDecodeError:
        sys.exit(f"The template of {given.stack} is YAML: name its places, --queue or --bucket.")
    urls = [queue_url(client("sqs"), name) for name in given.queue]
    buckets = [Bucket(client("s3"), given.bucket, given.prefix)] if given.bucket else []
    if given.stack and (urls or buckets):  # those of the stack
        found = [place for place in found if getattr(place.source, "url", "") in urls] + [
            replace(place, source=bucket) for place in found for bucket in buckets
            if bucket.name.startswith(place.source.name)
        ]  # fmt: skip
    else:
        found += [Place(Queue(client("sqs"), url)) for url in urls]
        found += [Place(bucket) for bucket in buckets]
    if not found:
        _print("No dead-letter place.")
    return found


def list_(given: argparse.Namespace, client: Client, places: Sequence[Place]) -> bool:
    """Print what each place holds, from a sample; return whether all are empty."""
    empty = True
    for place in places:
        shown, hidden = place.source.count()
        letters = _sample(place.source, SAMPLE) if shown else []
        kinds = place.kinds or sorted({records.kind(letter) for letter in letters})
        if (
            isinstance(place.source, Queue)
            and not kinds
            and owners.source_queues(client("sqs"), place.source)
        ):
            kinds = [records.MESSAGE]
        _print(f"\n{place.source.name}  ({', '.join(kinds) or 'kind not known'})")
        _print(f"{shown:>12,}  {place.source.unit}" + f", {hidden:,} hidden" * bool(hidden))
        if letters:
            oldest = min(letters, key=lambda letter: letter.sent_at)
            of = "of a sample of " * (shown > len(letters)) + f"{len(letters)}"
            _print(f"{_age(oldest):>12}  the oldest ({of}), such as {oldest.id}")
        reasons = Counter(_word(letter) for letter in letters)
        for reason, count in reasons.most_common():
            _print(f"{count:>12,}  {reason}")
        empty = empty and not shown and not hidden
    return empty


def inspect(given: argparse.Namespace, client: Client, places: Sequence[Place]) -> bool:
    """Print each letter; return whether there is none."""
    count = 0
    for place in places:
        _print(f"\n{place.source.name}")
        for letter in _sample(place.source, given.limit):
            if given.error.search(records.reason(letter)):
                count += 1
                _print("\n".join(_about(letter, bodies=given.bodies)))
    return not count


def _about(letter: Letter, *, bodies: bool) -> Iterator[str]:
    system, redriven = letter.system, redrives.times(letter.message)
    yield f"\n  {letter.id}"
    yield f"    kind      {records.kind(letter)}"
    yield f"    reason    {records.reason(letter) if bodies else _word(letter)}"
    yield f"    age       {_age(letter)}"
    if received := system.get("ApproximateReceiveCount"):
        yield f"    attempts  received {received} times, redriven {redriven} times"
    if source := system.get(owners.SOURCE):
        yield f"    source    {source}"
    if not bodies:
        yield f"    body      {_where(letter)}; --bodies shows it"
        return
    if group := system.get("MessageGroupId"):
        yield f"    group     {group}"
    for name, text in letter.attributes.items():
        yield f"    {name} = {text}"
    body = letter.body
    if records.kind(letter) == records.FIREHOSE:  # what was sent, and not in base64
        body = records.event(letter).decode(errors="replace")
    found = records.document(body)
    text = body if found is None else json.dumps(found, indent=2, ensure_ascii=False)
    yield from (f"    {line}" for line in text.splitlines())


def _where(letter: Letter) -> str:
    """Return how large a body is, and of a claim check where: no redrive gives it more time."""
    try:
        pointer = pointers.find(letter.body, letter.message.get("MessageAttributes", {}))
    except RefusedError:
        pointer = None
    if pointer:
        return f"{pointer.size:,} bytes in s3://{pointer.bucket}/{pointer.key}"
    return f"{len(records.event(letter)):,} bytes"


def run(given: argparse.Namespace, client: Client, places: Sequence[Place]) -> bool:
    """Redrive places; return whether nothing is left that needs a second look."""
    good, reports = True, {}
    for place in places:
        _print(f"\n{place.source.name}")
        if given.task:
            good = _run_task(given, client, place.source) and good
            continue
        way, source = Found(client, place.source, given.to or place.to), place.source
        total = sum(source.count())
        if isinstance(source, Queue) and given.order_by:
            long = given.hiding or hiding(given.rate, max(HIDDEN_TOGETHER, 2 * total / given.rate))
            source = InTurn(client("sqs"), source.url, tuple(given.order_by), long)
        elif isinstance(source, Queue):
            source.hiding = given.hiding or hiding(given.rate)
        one = Redrive(
            way, given.rate, given.error, given.limit, given.dry_run, given.again, given.would_fail,
            Journal(given.journal), partial(_follow, total),
        )  # fmt: skip
        try:
            one.run([source])
        finally:
            _end_bar()
            _print("Dry run: nothing was changed." if given.dry_run else "")
            _print("\n".join([*one.report.lines(), *way.lines()]))
            reports[source.name] = vars(one.report)
            if given.json:
                given.json.write_text(json.dumps(reports, indent=2) + "\n", encoding="utf-8")
        hidden = source.count()[1]
        if hidden and not given.dry_run:
            _print(
                f"{hidden:>12,}  hidden, by a run that was stopped or by another reader: run it "
                "again once they are shown"
            )
        good = good and one.report.good and not (hidden and not given.dry_run)
    return good


def _run_task(given: argparse.Namespace, client: Client, source: Queue | Bucket) -> bool:
    if not isinstance(source, Queue) or not owners.source_queues(client("sqs"), source):
        _print("SQS moves the dead letters of queues only: run it without --task.")
        return False
    if given.dry_run:
        _print(f"Dry run: SQS would move {source.count()[0]:,} messages.")
        return True
    rate = given.rate if given.rate != DEFAULT_RATE else None
    try:
        said = tasks.move(client("sqs"), source, to=given.to, rate=rate, progress=_bar)
    except (ClientError, BotoCoreError) as error:
        said = aws.code(error)
    _end_bar()
    _print(f"SQS says: {said}")
    return said == "COMPLETED"


def cancel(_: argparse.Namespace, client: Client, places: Sequence[Place]) -> bool:
    """Cancel the tasks of SQS; a run of this tool is cancelled by Ctrl-C."""
    for place in places:
        if isinstance(place.source, Queue) and tasks.running(client("sqs"), place.source):
            moved = tasks.cancel(client("sqs"), place.source)
            _print(f"{place.source.name}: cancelled after {moved:,} messages; the rest is there")
    return True


def _sample(source: Queue | Bucket, most: float) -> list[Letter]:
    """Return the first letters, and show them to others again."""
    if isinstance(source, Queue):
        source.hiding = LOOK_HIDING
    found: list[Letter] = []
    try:
        for letters in source.batches():
            found += letters
            if len(found) >= most:
                break
    finally:
        source.release()
    return found if most == math.inf else found[: int(most)]


def _word(letter: Letter) -> str:
    """Return the kind of a reason: a message of an error may hold what a customer sent."""
    return records.reason(letter).split(":", 1)[0]


def _age(letter: Letter) -> str:
    minutes = int(max(0.0, time.time() - letter.sent_at) // 60)
    days, hours = minutes // 1440, minutes // 60 % 24
    return f"{days} d {hours} h" if days else f"{hours} h {minutes % 60} min"


def _bar(done: int, total: int) -> None:
    if sys.stderr.isatty():
        part = min(1.0, done / total) if total else 1.0
        marks = "#" * round(BAR * part)
        print(f"\r[{marks:<{BAR}}] {done:,}/{total:,}", end="", file=sys.stderr, flush=True)


def _follow(total: int, report: Report) -> None:
    _bar(report.found, total)


def _end_bar() -> None:
    if sys.stderr.isatty():
        print(file=sys.stderr)


def _print(text: str) -> None:
    if text:
        print(visible(text), flush=True)


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m serverless_patterns.redrive",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = {"list": list_, "inspect": inspect, "run": run, "cancel": cancel}
    parser.add_argument("command", choices=commands)
    where = parser.add_argument_group("where")
    add = where.add_argument
    add("--stack", help="every dead-letter place of a CloudFormation stack")
    add(
        "--queue", action="append", default=[], help="URL, ARN or name; several; with --stack: only"
    )
    add("--bucket", help="a bucket with records of failures, or with Firehose's error objects")
    add("--prefix", default="aws/lambda/", help="keys in it (default: %(default)s)")
    which = parser.add_argument_group("which")
    add = which.add_argument
    add("--error", type=_pattern, default="", help="only reasons that this finds, such as ^Timeout")
    add("--limit", type=int, default=math.inf, help="only so many")
    add("--again", action="store_true", help="also what failed again after a redrive")
    said = "MODULE:FUNCTION of yours that gets a failed event and returns why it would fail, or ''"
    add("--would-fail", type=_function, metavar="M:F", help=f"leave what would fail: {said}")
    how = parser.add_argument_group("how")
    add = how.add_argument
    add("--to", help="elsewhere: a queue, function, subscription or delivery stream, by its ARN")
    add("--rate", type=float, default=DEFAULT_RATE, help="letters a second (default: %(default)g)")
    said = "an event's fields with its group and its turn: a group's letters go in turn, or stay"
    add("--order-by", nargs=2, metavar=("GROUP", "TURN"), help=said)
    add("--task", action="store_true", help="let SQS move all: faster, no filter, poison too")
    add("--dry-run", action="store_true", help="only look, send nothing")
    add("--bodies", action="store_true", help="inspect: show bodies, which may hold personal data")
    add("--hiding", type=int, help="seconds that a letter stays hidden (default: by the rate)")
    add("--journal", type=Path, default=default_path(), help="what was redriven (%(default)s)")
    add("--json", type=Path, metavar="FILE", help="write the report there too")
    given = parser.parse_args(arguments)
    given.run = commands[given.command]
    if not (given.stack or given.queue or given.bucket):
        parser.error("give --stack, --queue or --bucket")
    if not 0 < given.rate < math.inf or given.limit < 1:
        parser.error("--rate and --limit must be above 0")
    if given.task and (given.error.pattern or given.limit != math.inf or given.again):
        parser.error("a task of SQS moves all messages: leave out --error, --limit and --again")
    if given.order_by and (given.task or given.bucket):
        parser.error(
            "--order-by is for queues, and SQS keeps no order: leave out --bucket and --task"
        )
    if given.to and not given.to.startswith(("arn:", "https:", "http:")):
        parser.error("--to is an ARN, or the URL of a queue")
    if given.json and not given.json.parent.is_dir():
        parser.error(f"--json: there is no folder {given.json.parent}")
    return given


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as problem:
        raise argparse.ArgumentTypeError(f"is not a regular expression: {problem}") from None


def _function(name: str) -> Callable[[bytes], str]:
    module, _, function = name.partition(":")
    sys.path.insert(0, str(Path.cwd()))  # as for python -m
    try:
        found: Callable[[bytes], str] = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as problem:
        raise argparse.ArgumentTypeError(f"there is no such function: {problem}") from None
    return found


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
