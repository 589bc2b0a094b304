"""Faults on purpose, on a running stack: functions killed, slow, throttled, broken and rolled back.

    make break PATTERN=api_sqs_lambda

Events flow into the queue of every consumer, or to a function that is invoked asynchronously, while
one thing at a time goes wrong; afterwards each event has taken effect once, no message is left, and
every setting is as it was. What Lambda records as failed is redriven first.
"""

from __future__ import annotations

import io
import json
import os
import signal
import ssl
import sys
import threading
import time
import zipfile
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.client import HTTPConnection, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from serverless_patterns.lambdas.foundation import strict_json
from serverless_patterns.patterns import catalog
from serverless_patterns.redrive.run import Redrive
from serverless_patterns.redrive.sources import Queue
from serverless_patterns.redrive.ways import ToFunction
from serverless_patterns.sandbox import embedded, outages, queues
from tests.lambdas import consumers
from tests.moto_cloud import text

from . import reliability, schedules, sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    from serverless_patterns.sandbox import Deployment
    from tests.lambdas.consumers import Consumer

HEAD = "| Consumer | Fault | Counted: none lost, none twice | Machine |\n|---|---|---|---|"
EVENTS, GROUPS = 40, 4
UNRECORDED = "not executed here: MiniStack records nothing that an alias fails"
BROKEN = "def handler(event, context):\n    raise SystemExit('a broken version')\n"
# The variables of a function that name its store, and the one that says where that is reached.
STORES = {
    "TABLE_NAME": "DYNAMODB",
    "BUCKET_NAME": "S3",
    "STATE_MACHINE_ARN": "SFN",
}
# The operations whose effects are read here: in a table, a bucket or a state machine.
READ = ("PutItem", "PutObject", "StartExecution", "TransactWriteItems")
_RUNS = count(1)


@dataclass
class Running:
    """A deployed consumer: its function, queues and store; it is read as a ``Cloud`` of moto is."""

    stack: Deployment
    name: str
    consumer: Consumer
    function: str
    mapping: str
    queue_url: str
    dead_letters_url: str
    variables: dict[str, str] = field(repr=False)

    def items(self) -> list[dict[str, Any]]:
        """Return every item of a table, without DynamoDB's types at the top."""
        pages = self.stack.client("dynamodb").get_paginator("scan")
        return [
            {name: next(iter(value.values())) for name, value in item.items()}
            for page in pages.paginate(TableName=self.variables["TABLE_NAME"], ConsistentRead=True)
            for item in page["Items"]
        ]

    def stored(self) -> list[str]:
        """Return the keys of the table's items in the order in which the engine has them."""
        return [item["pk"] for item in self.items()]

    def files(self, _: str) -> list[bytes]:
        """Return every file of the bucket."""
        s3, bucket = self.stack.client("s3"), self.variables["BUCKET_NAME"]
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        return [s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys]

    @property
    def inputs(self) -> dict[str, str]:
        """The input of every execution, by its name."""
        states = self.stack.client("stepfunctions")
        pages = states.get_paginator("list_executions").paginate(
            stateMachineArn=self.variables["STATE_MACHINE_ARN"]
        )
        arns = {run["name"]: run["executionArn"] for page in pages for run in page["executions"]}
        describe = states.describe_execution
        return {name: describe(executionArn=arn)["input"] for name, arn in arns.items()}

    @cached_property
    def store(self) -> str:
        """What the function's store is called in the SDK's variables."""
        return next(STORES[name] for name in STORES if name in self.variables)

    def state(self) -> dict[str, Any]:
        """All that a fault may change."""
        lambda_, name = self.stack.client("lambda"), {"FunctionName": self.function}
        sqs, function = self.stack.client("sqs"), lambda_.get_function_configuration(**name)
        everything = sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=["All"])
        attributes = everything["Attributes"]
        return {
            "variables": function["Environment"]["Variables"],
            "timeout": function["Timeout"],
            "code": function["CodeSha256"],
            "concurrency": lambda_.get_function_concurrency(**name).get(
                "ReservedConcurrentExecutions"
            ),
            "delivery": self.delivery(),
            "queue": {
                key: value
                for key, value in attributes.items()
                if not key.startswith("Approximate") and key != "LastModifiedTimestamp"
            },
        }

    def delivery(self) -> Any:
        """How events reach the function."""
        mapping = self.stack.client("lambda").get_event_source_mapping(UUID=self.mapping)
        return mapping["State"], mapping["FunctionArn"], mapping["BatchSize"]

    def deliver_to(self, function: str) -> None:
        """Have events reach another version of the function."""
        lambda_ = self.stack.client("lambda")
        lambda_.update_event_source_mapping(UUID=self.mapping, FunctionName=function)

    def retried_soon(self) -> AbstractContextManager[Any]:
        """Let failed events come again soon, however often."""
        return outages.quick_retries(self.stack, self.queue_url, seconds=2, attempts=100)

    def send(self, event: Any, group: str | None) -> None:
        """Send an event, to a group of a FIFO queue."""
        ids = {"MessageGroupId": group, "MessageDeduplicationId": f"{time.monotonic_ns()}"}
        self.stack.client("sqs").send_message(
            QueueUrl=self.queue_url,
            MessageBody=text(event),
            MessageAttributes=self.consumer.attributes(event, self.variables),
            **(ids if group else {}),
        )

    def effects(self) -> Counter[str]:
        """How often each event took effect, by its fingerprint."""
        cloud: Any = self
        return Counter(
            it if isinstance(it, str) else self.consumer.identity(it)
            for it in self.consumer.effects(cloud)
        )

    def settle(self, sent: Iterable[str]) -> None:
        """Wait until every event has ended."""
        queues.wait_until_empty(self.stack, self.queue_url, seconds=60)


class Invoked(Running):
    """A function that is invoked asynchronously; its queue has the records of what failed."""

    def deliver_to(self, function: str) -> None:
        """Invoke this one from now on, an alias with the settings of the function: it has none."""
        if function != self.function:
            settings = _invoke_config(self.stack, self.function)
            lambda_ = self.stack.client("lambda")
            lambda_.put_function_event_invoke_config(FunctionName=function, **settings)
        self.mapping = function

    def is_unrecorded(self, fault: Any) -> bool:
        """Whether the engine forgets what fails: of an alias it dead-letters alone."""
        return fault is broken_version and self.dead_letters_url == self.queue_url

    def delivery(self) -> Any:
        """Which function is invoked, and how Lambda retries."""
        return self.mapping, _invoke_config(self.stack, self.function)

    def retried_soon(self) -> AbstractContextManager[Any]:
        """The engine retries within seconds."""
        return ExitStack()

    def send(self, event: Any, group: str | None) -> None:
        """Invoke the function."""
        self.stack.client("lambda").invoke(
            FunctionName=self.mapping, InvocationType="Event", Payload=text(event)
        )

    def settle(self, sent: Iterable[str]) -> None:
        """Redrive what three failures have left recorded, until every event took effect."""
        wanted, sqs, lambda_ = {*sent}, self.stack.client("sqs"), self.stack.client("lambda")

        def ended() -> bool:
            kept = [
                json.loads(one["Body"])
                for url in (self.queue_url, self.dead_letters_url)
                for one in queues.peek(self.stack, url)
            ]
            kept = [body.get("requestPayload", body) for body in kept]
            return wanted <= self.effects().keys() | {*map(strict_json.fingerprint, kept)}

        def took_effect() -> bool:
            # Anew, as each shows no message twice. MiniStack dead-letters what an alias fails.
            kept = [Queue(sqs, url) for url in (self.queue_url, self.dead_letters_url)]
            # One at a time: a process that MiniStack cannot start takes all others with it.
            Redrive(ToFunction(lambda_, self.function), 1).run(kept)
            return wanted <= self.effects().keys()

        queues.until(ended, seconds=300, what="until each took effect or is recorded")
        # MiniStack retries with the settings of when it was invoked, and keeps that process.
        lambda_.update_function_code(FunctionName=self.function, **_code(self))
        queues.until(took_effect, seconds=300, what="until each took effect", pause=1)
        # A dead letter beside a record is the event a second time.
        letters = [one["Body"] for one in queues.take(self.stack, self.dead_letters_url)]
        assert {strict_json.fingerprint(json.loads(one)) for one in letters} <= wanted


def running(stack: Deployment, slug: str) -> Iterator[Running]:
    """Yield every consumer of a pattern that its stack runs: its name is its module's."""
    sqs = stack.client("sqs")
    for name, delivered in schedules.found():
        of, _, module = name.partition(".")
        if of != slug or not issubclass(delivered.kind, sources.Queue):
            continue
        consumer, read = delivered.consumer, _read(stack, module.partition(" ")[0])
        for configuration, mapping, queue in read:
            if queue.endswith(".fifo") != consumer.fifo:  # a module may read both
                continue
            url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
            redrive = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])
            policy = json.loads(redrive["Attributes"]["RedrivePolicy"])
            dead = policy["deadLetterTargetArn"].rsplit(":", 1)[1]
            yield Running(
                stack,
                name,
                consumer,
                configuration["FunctionName"],
                mapping,
                url,
                sqs.get_queue_url(QueueName=dead)["QueueUrl"],
                configuration["Environment"]["Variables"],
            )
            break


def _read(stack: Deployment, module: str) -> Iterator[tuple[Any, str, str]]:
    """Yield what of a module reads a queue: configuration, id of the mapping, name of the queue."""
    lambda_ = stack.client("lambda")
    for function in sorted(stack.functions.values()):
        configuration = lambda_.get_function_configuration(FunctionName=function)
        if configuration["Handler"].endswith(f".{module}.handler"):
            found = lambda_.list_event_source_mappings(FunctionName=function)
            for mapping in found["EventSourceMappings"]:
                yield configuration, mapping["UUID"], mapping["EventSourceArn"].rsplit(":", 1)[1]


def invoked(stack: Deployment, slug: str) -> Iterator[Invoked]:
    """Yield every function of a pattern that is invoked asynchronously."""
    lambda_, sqs = stack.client("lambda"), stack.client("sqs")
    for of, module, delivered in consumers.declared("DELIVERED"):
        if of != slug or delivered.kind is not sources.Asynchronous:
            continue
        for function in sorted(stack.functions.values()):
            configuration = lambda_.get_function_configuration(FunctionName=function)
            if not configuration["Handler"].endswith(f".{module}.handler"):
                continue
            settings = _invoke_config(stack, function)
            record = settings["DestinationConfig"]["OnFailure"]["Destination"]
            dead = configuration.get("DeadLetterConfig", {"TargetArn": record})["TargetArn"]
            failed, letters = (
                sqs.get_queue_url(QueueName=arn.rsplit(":", 1)[1])["QueueUrl"]
                for arn in (record, dead)
            )
            variables = configuration["Environment"]["Variables"]
            name, consumer = f"{slug}.{module}", delivered.consumer
            yield Invoked(stack, name, consumer, function, function, failed, letters, variables)


def _invoke_config(stack: Deployment, function: str) -> dict[str, Any]:
    configs = stack.client("lambda").list_function_event_invoke_configs(FunctionName=function)
    found = configs["FunctionEventInvokeConfigs"]
    [own] = [one for one in found if one["FunctionArn"].endswith((f":{function}", ":$LATEST"))]
    return {name: own[name] for name in ("MaximumRetryAttempts", "DestinationConfig")}


# The faults. Each goes wrong while its block runs.


@contextmanager
def killed(one: Running) -> Iterator[None]:
    """The function's processes are killed, again and again."""
    seen: set[int] = set()
    with _again_and_again(lambda: seen.update(_kill(one.function))):
        yield
        queues.until(lambda: bool(seen), seconds=60, what="for a process of the function")


def _kill(function: str) -> Iterator[int]:
    """Send SIGKILL to the processes of a function that descend from this one."""
    wanted = f"AWS_LAMBDA_FUNCTION_NAME={function}".encode()
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int(
                (folder / "stat").read_text().rsplit(")", 1)[1].split()[1]
            )
        except OSError:
            continue
    for pid in parents:
        above = pid
        while above in parents and above != os.getpid():
            above = parents[above]
        if above != os.getpid() or pid == above:
            continue
        try:
            if wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                os.kill(pid, signal.SIGKILL)
                yield pid
        except OSError:
            continue


@contextmanager
def out_of_time(one: Running) -> Iterator[None]:
    """The store answers after the function's time is over: it ends in mid-batch."""
    with _store(one, delay=4.0, timeout=3):
        yield


@contextmanager
def store_throttles(one: Running) -> Iterator[None]:
    """The store rejects every second call, and one of three answers is lost after it wrote."""
    with _store(one, throttled=2, lost=3):
        yield


@contextmanager
def throttled(one: Running) -> Iterator[None]:
    """The function may not run at all, then again."""
    with outages.no_concurrency(one.stack, one.function):
        yield


@contextmanager
def broken_version(one: Running) -> Iterator[None]:
    """A broken version is deployed while events flow, and rolled back by the alias."""
    lambda_, name = one.stack.client("lambda"), {"FunctionName": one.function}
    with ExitStack() as undo:
        first = lambda_.publish_version(**name)["Version"]
        alias = lambda_.create_alias(**name, Name="live", FunctionVersion=first)["AliasArn"]
        undo.callback(lambda_.delete_alias, **name, Name="live")
        one.deliver_to(alias)
        undo.callback(one.deliver_to, one.function)
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as made:
            module = lambda_.get_function_configuration(**name)["Handler"].rsplit(".", 1)[0]
            made.writestr(module.replace(".", "/") + ".py", BROKEN)
        undo.callback(lambda_.update_function_code, **name, **_code(one))
        lambda_.update_function_code(**name, ZipFile=archive.getvalue())
        second = lambda_.publish_version(**name)["Version"]
        lambda_.update_alias(**name, Name="live", FunctionVersion=second)
        yield
        lambda_.update_alias(**name, Name="live", FunctionVersion=first)
        one.settle(())


def _code(one: Running) -> dict[str, str]:
    """Return where the code of a function is stored: the asset that the CDK has published."""
    names = {physical: logical for logical, physical in one.stack.functions.items()}
    cloudformation = one.stack.client("cloudformation")
    body = cloudformation.get_template(StackName=one.stack.stack_name)["TemplateBody"]
    template = json.loads(body) if isinstance(body, str) else body
    code = template["Resources"][names[one.function]]["Properties"]["Code"]
    bucket = code["S3Bucket"]["Fn::Sub"]
    for name, value in (("AccountId", one.stack.account), ("Region", one.stack.region)):
        bucket = bucket.replace(f"${{AWS::{name}}}", value)
    return {"S3Bucket": bucket, "S3Key": code["S3Key"]}


@contextmanager
def redeployed(one: Running) -> Iterator[None]:
    """The function is deployed again and again, so that its processes are replaced."""
    code, update = _code(one), one.stack.client("lambda").update_function_code
    with _again_and_again(lambda: update(FunctionName=one.function, **code)):
        yield


FAULTS: dict[str, Callable[[Running], AbstractContextManager[None]]] = {
    made.__doc__.partition(":")[0].rstrip(".").lower(): made  # type: ignore[union-attr]
    for made in (killed, out_of_time, store_throttles, throttled, broken_version, redeployed)
}


@contextmanager
def _again_and_again(do: Callable[[], Any], seconds: float = 0.3) -> Iterator[None]:
    over = threading.Event()

    def work() -> None:
        while not over.wait(seconds):
            do()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _store(
    one: Running, *, delay: float = 0, throttled: int = 0, lost: int = 0, timeout: int = 0
) -> Iterator[None]:
    """Put a proxy between a function and its store, which is slow, says no, or loses answers."""
    target, calls, seen = one.stack.target, count(1), set[int]()
    address = urlsplit(str(target.endpoint_url))
    trust = ssl.create_default_context(cafile=target.certificate) if target.certificate else None

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            number = next(calls)
            seen.add(number)
            time.sleep(delay)
            if throttled and number % throttled == 0:
                self.answer(400, b'{"__type": "ThrottlingException", "message": "slow down"}')
                return
            place = str(address.hostname), address.port
            there = HTTPSConnection(*place, context=trust) if trust else HTTPConnection(*place)
            there.request(self.command, self.path, body, dict(self.headers))
            answer = there.getresponse()
            found = answer.read()
            if lost and number % lost == 0:
                self.answer(500, b'{"__type": "InternalServerError", "message": "lost"}')
            else:
                self.answer(answer.status, found, answer.headers)

        do_PUT = do_GET = do_POST  # noqa: N815

        def answer(self, status: int, body: bytes, headers: Any = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """A function that is out of time waits no longer: that is meant."""

    with Server(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            with outages.settings_of(one.stack, one.function) as (_, use):
                there = {f"AWS_ENDPOINT_URL_{one.store}": url}
                use(timeout, **there) if timeout else use(**there)
                yield
                queues.until(lambda: len(seen) > 1, seconds=60, what="for calls of the store")
        finally:
            server.shutdown()


def untried(consumer: Consumer) -> str:
    """Return why no fault is tried on a consumer here; empty if each is."""
    unread = "" if consumer.work in READ else f"nothing here reads what {consumer.work} did"
    return consumer.untried or unread


@dataclass
class Found:
    """What a fault left behind: how many events there were, and what is wrong."""

    events: int
    seconds: float
    wrong: list[str]


def break_it(one: Running, fault: Callable[[Running], AbstractContextManager[None]]) -> Found:
    """Let events flow, a third of them before a fault, during it, and after it."""
    began, before = time.monotonic(), one.state()
    first = next(_RUNS) * 1000
    numbers = [first + place % GROUPS for place in range(EVENTS)]
    places: Counter[int] = Counter()
    sent: dict[str, Any] = {}
    with one.retried_soon():
        for part in range(3):
            with fault(one) if part == 1 else ExitStack():
                for number in numbers[part::3] if not one.consumer.fifo else _third(numbers, part):
                    places[number] += 1
                    args = (number, places[number]) if one.consumer.fifo else (next(_NUMBERS), 1)
                    event = one.consumer.good(*args)
                    sent[one.consumer.identity(event)] = event
                    one.send(event, one.consumer.name(number) if one.consumer.fifo else None)
                    time.sleep(0.05)
                time.sleep(1 if part == 1 else 0)  # so that what is sent meets the fault
        one.settle(sent)
    wrong = []
    cloud: Any = one
    effects = one.effects()
    if lost := sent.keys() - effects.keys():
        wrong.append(f"{len(lost)} lost, such as {sent[next(iter(lost))]}")
    if twice := {effect for effect in sent if effects[effect] > 1}:
        wrong.append(f"{len(twice)} took effect twice")
    if letters := [*queues.take(one.stack, one.dead_letters_url)]:
        wrong.append(f"{len(letters)} dead letters, such as one for: {queues.reason(letters[0])}")
    if one.consumer.applied:
        for number, last in places.items():
            if one.consumer.applied(cloud, number) != list(range(1, last + 1)):
                wrong.append(f"out of order: group {number}")
    after = one.state()
    wrong += [
        f"{key} is {after[key]}, and was {before[key]}"
        for key in before
        if before[key] != after[key]
    ]
    return Found(len(sent), time.monotonic() - began, wrong)


_NUMBERS = count(10**6)


def _third(numbers: list[int], part: int) -> list[int]:
    size = len(numbers) // 3
    return numbers[part * size : (part + 1) * size if part < 2 else None]


def main(slug: str, *names: str) -> int:
    """Break every consumer of a pattern, or of all, with faults whose names begin with these.

    Returns 1 if a promise did not hold.
    """
    chosen = catalog.patterns() if slug == "all" else [catalog.find(slug)]
    failed = False
    with embedded() as target:
        stacks = target.deploy(stacks=[pattern.stack_name for pattern in chosen])
        for pattern in chosen:
            stack = stacks[pattern.stack_name]
            for one in (*running(stack, pattern.slug), *invoked(stack, pattern.slug)):
                if why := untried(one.consumer):
                    print(f"{one.name}: {why}: see its scenario")
                    continue
                for name, fault in FAULTS.items():
                    if not name.startswith(names or ("",)):
                        continue
                    if isinstance(one, Invoked) and one.is_unrecorded(fault):
                        _write(one.name, name, UNRECORDED)
                        continue
                    try:
                        found = break_it(one, fault)
                    except Exception as error:
                        found = Found(0, 0, [repr(error)])
                    failed |= bool(found.wrong)
                    verdict = "; ".join(found.wrong) or "0 lost, the state as before"
                    counted = f"{found.events} events, {found.seconds:.1f} s"
                    print(f"{one.name}: {name}: {counted}: {verdict}", flush=True)
                    _write(one.name, name, f"**not proven**: {verdict}" if found.wrong else counted)
    return int(failed)


def _write(consumer: str, fault: str, counted: str) -> None:
    cells = (consumer, fault, counted.replace("|", "\\|"), reliability.machine())
    reliability.write("faults", [f"| {' | '.join(cells)} |"], HEAD)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
