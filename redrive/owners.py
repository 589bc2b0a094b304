"""Whose dead letters a queue or a bucket keeps: asked of the account, which is only read.

A letter's form says who left it; the account confirms it before anything is sent. What neither
tells stays where it is.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from serverless_patterns.lambdas.foundation import aws

from . import records
from .firehose import ToFirehose
from .sources import Bucket, Queue
from .targets import ToTarget
from .ways import (
    NotTakenError,
    ToFunction,
    ToQueue,
    ToSaga,
    ToStreamFunction,
    ToSubscriber,
    Way,
    queue_url,
    why_not,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from .sources import Letter

SUBSTITUTED = re.compile(r"\$\{(\w+)[.}]")
SOURCE = "DeadLetterQueueSourceArn"
# The properties of a template that name where failures go, and whose they are, by resource type.
FAILURES = ("RedrivePolicy", "DeadLetterConfig", "OnFailure", "DeadLetterArn")
KINDS = {
    "AWS::SQS::Queue": records.MESSAGE,
    "AWS::Lambda::Function": "function",
    "AWS::Lambda::EventInvokeConfig": records.RECORD,
    "AWS::Lambda::EventSourceMapping": records.STREAM,
    "AWS::SNS::Subscription": "subscription",
    "AWS::Events::Rule": records.RULE,
    "AWS::Scheduler::Schedule": records.SCHEDULE,
    "AWS::StepFunctions::StateMachine": records.SAGA,
}


@dataclass
class Place:
    """A dead-letter place: a queue or a bucket, and whose dead letters it keeps, if known.

    ``to`` is where all of them go, if no letter says so. Default: each letter says so.
    """

    source: Queue | Bucket
    kinds: list[str] = field(default_factory=list)
    to: str | None = None


class Found:
    """The way of each letter of a place, found by the letter and confirmed by the account.

    Args:
        client: Makes a client of a service, by boto3's name of it.
        source: The place.
        to: Where all letters go instead: the ARN of a queue, a subscription or a function, or the
            URL of a queue. Default: to whom they were meant for.
    """

    def __init__(
        self, client: Callable[[str], Any], source: Queue | Bucket, to: str | None = None
    ) -> None:
        self._client, self._source, self._to = client, source, to
        self._ways: dict[tuple[str, str], Way | str] = {}

    def deliver(self, letters: Sequence[Letter]) -> dict[str, str]:
        """Hand letters over, those of a way together; return why some were not accepted."""
        together: dict[tuple[str, str], list[Letter]] = {}

        def sort(letter: Letter) -> None:
            together.setdefault(self._key(letter), []).append(letter)

        failed = {letter.id: why for letter in letters if (why := why_not(sort, letter))}
        for key, some in together.items():
            way = self.way(*key)
            if isinstance(way, str):
                failed |= dict.fromkeys((letter.id for letter in some), way)
            else:
                failed |= way.deliver(some)
        return failed

    def check(self, letters: Sequence[Letter]) -> dict[str, str]:
        """Return why letters would stay, as far as that is known before anything is sent."""

        def look(letter: Letter) -> None:
            way = self.way(*self._key(letter))
            if isinstance(way, str):
                raise NotTakenError(way)
            if isinstance(way, ToStreamFunction | ToTarget):
                way.look(letter)

        return {letter.id: why for letter in letters if (why := why_not(look, letter))}

    def lines(self) -> list[str]:
        """Return what was fetched from streams, as text."""
        ways = [way for way in self._ways.values() if isinstance(way, ToStreamFunction)]
        oldest = min((way.oldest for way in ways if way.oldest), default=0)
        since = f", the oldest of {datetime.fromtimestamp(oldest, UTC):%Y-%m-%d %H:%M} UTC"
        count = sum(way.records for way in ways)
        return [f"{count:>12,}  records fetched from the stream{since}"] if count else []

    def _key(self, letter: Letter) -> tuple[str, str]:
        """Return the kind of a letter, and whose it is: confirmed, or as its way confirms it.

        Raises:
            NotTakenError: it does not say so, or the account does not confirm it.
        """
        kind = records.kind(letter)
        if self._to is not None:
            return ("stream" if kind == records.STREAM else "to"), self._to
        if kind in (records.RULE, records.SCHEDULE):
            return "target", ""
        if kind == records.RECORD:
            return "function", self._function_of_record(letter)
        if kind == records.STREAM:
            return "stream", self._function_of_range(letter)
        if kind == records.SAGA:
            return "saga", self._machine(letter)
        if kind == records.FIREHOSE:
            raise NotTakenError("name its delivery stream with --to")
        if kind == records.MESSAGE and (url := self._source_queue(letter)):
            return "queue", url
        return self._function_or_subscription(letter, kind)

    def way(self, kind: str, of: str) -> Way | str:
        """Return a way, made once, or why there is none."""
        if (kind, of) not in self._ways:
            try:
                self._ways[kind, of] = self._make(kind, of)
            except ValueError as error:
                self._ways[kind, of] = str(error)
            except (ClientError, BotoCoreError) as error:
                self._ways[kind, of] = aws.code(error)
        return self._ways[kind, of]

    def _make(self, kind: str, of: str) -> Way:
        service = of.split(":")[2] if of.startswith("arn:") else ""
        if kind == "queue" or (kind == "to" and (service == "sqs" or "://" in of)):
            sqs = self._client("sqs")
            return ToQueue(sqs, queue_url(sqs, of))
        if kind == "subscription" or service == "sns":
            return ToSubscriber(self._client, of)
        if service == "firehose":
            return ToFirehose(self._client, of.rpartition("/")[2])
        if kind == "stream":
            return ToStreamFunction(self._client, of)
        if kind == "saga":
            return ToSaga(self._client("stepfunctions"), of)
        if kind == "target":
            return ToTarget(self._client, self._source.arn)
        if service not in ("", "lambda"):
            raise ValueError(f"nothing can be redriven to {service}: see --help for --to")
        return ToFunction(self._client("lambda"), of)

    def _source_queue(self, letter: Letter) -> str:
        """Return the queue that dead-lettered a message: SQS says so of those that it moved."""
        if said := letter.system.get(SOURCE):
            return said
        if len(self._source_queues) > 1:
            raise NotTakenError("of one of several source queues: name it with --to")
        return next(iter(self._source_queues), "")

    @cached_property
    def _source_queues(self) -> list[str]:
        return source_queues(self._client("sqs"), self._source)

    def _function_of_record(self, letter: Letter) -> str:
        """Return the function of an invocation record, if its failures come here."""
        arn = records.read(letter.body, letter.attributes).function
        name = ":".join(arn.split(":")[:7])  # with its account: a name is another one's, too
        config = self._client("lambda").get_function_event_invoke_config(
            FunctionName=name, Qualifier=arn[len(name) + 1 :] or "$LATEST"
        )
        there = _destination(config)
        self._confirm(there, "function")
        return arn.removesuffix(":$LATEST")

    def _function_of_range(self, letter: Letter) -> str:
        """Return the reader of a stream that gave a range up, if its failures come here."""
        said = records.document(letter.body)
        function = str(said["requestContext"]["functionArn"]).removesuffix(":$LATEST")
        named = said.get("KinesisBatchInfo") or said["DDBStreamBatchInfo"]
        found = self._client("lambda").list_event_source_mappings(FunctionName=function)
        stream = str(named["streamArn"]).partition("/consumer/")[0]
        places = [
            _destination(mapping)
            for mapping in found["EventSourceMappings"]
            if str(mapping.get("EventSourceArn", "")).partition("/consumer/")[0] == stream
        ]
        self._confirm(self._source.arn if self._source.arn in places else None, "function")
        return function

    def _machine(self, letter: Letter) -> str:
        """Return the state machine of a parked saga, if its definition names this queue."""
        execution = str(records.document(letter.body)["execution"])
        parts = execution.replace(":express:", ":execution:").split(":")
        machine = ":".join([*parts[:5], "stateMachine", *parts[6:7]])
        said = self._client("stepfunctions").describe_state_machine(stateMachineArn=machine)
        url = self._source.url if isinstance(self._source, Queue) else ""
        self._confirm(self._source.arn if url and url in said["definition"] else None, "saga")
        return machine

    def _confirm(self, there: str | None, what: str) -> None:
        if there != self._source.arn:
            raise NotTakenError(f"its {what} does not dead-letter here: name where it goes (--to)")

    def _function_or_subscription(self, letter: Letter, kind: str) -> tuple[str, str]:
        """Return whose a letter is that does not say so: the only one whose letters come here."""
        owners = self._owners
        if kind == records.MESSAGE:  # no id of a request: Lambda gives one, SNS does not always
            owners = [one for one in owners if one[0] == "subscription"]
        match records.document(letter.body):
            case {"TopicArn": str(topic)}:
                owners = [one for one in owners if one[1].startswith(f"{topic}:")] or owners
        if len(owners) != 1:
            which = "several that dead-letter here" if owners else "nobody that the account knows"
            raise NotTakenError(f"of {which}: name where it goes with --to")
        return owners[0]

    @cached_property
    def _owners(self) -> list[tuple[str, str]]:
        return [*owners(self._client, self._source.arn)]


def _destination(config: Mapping[str, Any]) -> str | None:
    """Return where failures go, of a configuration of Lambda."""
    on_failure = (config.get("DestinationConfig") or {}).get("OnFailure") or {}
    return on_failure.get("Destination")


def source_queues(sqs: Any, source: Queue | Bucket) -> list[str]:
    """Return the URLs of the queues whose dead-letter queue it is."""
    if isinstance(source, Bucket):
        return []
    pages = sqs.get_paginator("list_dead_letter_source_queues").paginate(QueueUrl=source.url)
    return [url for page in pages for url in page.get("queueUrls", [])]


def owners(client: Callable[[str], Any], queue_arn: str) -> Iterator[tuple[str, str]]:
    """Yield the functions and subscriptions whose dead-letter queue it is, with their kind.

    Each function of the account, and each subscription of its topics, is asked.
    """
    for page in client("lambda").get_paginator("list_functions").paginate():
        for found in page["Functions"]:
            if (found.get("DeadLetterConfig") or {}).get("TargetArn") == queue_arn:
                yield "function", found["FunctionArn"]
    sns = client("sns")
    for page in sns.get_paginator("list_subscriptions").paginate():
        for found in page["Subscriptions"]:
            arn = found["SubscriptionArn"]
            if not arn.startswith("arn:"):  # not confirmed yet
                continue
            said = sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
            policy = json.loads(said.get("RedrivePolicy") or "{}")
            if policy.get("deadLetterTargetArn") == queue_arn:
                yield "subscription", arn


def places_of(client: Callable[[str], Any], stack: str) -> list[Place]:
    """Return the dead-letter places of a stack and of those nested in it, as its template says.

    Args:
        client: Makes a client of a service, by boto3's name of it.
        stack: Its name or ARN.
    """
    cloudformation = client("cloudformation")
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    physical = {
        one["LogicalResourceId"]: one.get("PhysicalResourceId", "")
        for page in pages
        for one in page["StackResourceSummaries"]
    }
    template = cloudformation.get_template(StackName=stack)["TemplateBody"]
    template = json.loads(template) if isinstance(template, str) else template
    # One whose condition does not hold is in the template only.
    resources = {name: one for name, one in template["Resources"].items() if physical.get(name)}
    found: dict[str, Place] = {}

    def add(source: Queue | Bucket, kind: str, to: str | None = None) -> None:
        place = found.setdefault(source.name, Place(source, to=to))
        place.kinds = sorted({*place.kinds, kind})

    for name, resource in resources.items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::CloudFormation::Stack":
            nested = places_of(client, physical[name])
            found |= {place.source.name: place for place in nested}
        if resource["Type"] == "AWS::KinesisFirehose::DeliveryStream":
            for part in _below(properties, ["ExtendedS3DestinationConfiguration"]):
                prefix = str(part.get("ErrorOutputPrefix", "")).partition("!{")[0]
                stream = f"arn:aws:firehose:::deliverystream/{physical[name]}"
                for bucket in _named(part.get("BucketARN")):
                    if prefix and bucket in resources:
                        source = Bucket(client("s3"), physical[bucket], prefix)
                        add(source, records.FIREHOSE, stream)
        for place, kind in _failures(resource):
            there = resources.get(place, {})
            if there.get("Type") == "AWS::S3::Bucket":
                add(Bucket(client("s3"), physical[place], "aws/lambda/"), kind)
            # A saga sends to queues of work, too: those have a dead-letter queue of their own.
            of_work = kind == records.SAGA and "RedrivePolicy" in there.get("Properties", {})
            if there.get("Type") == "AWS::SQS::Queue" and not of_work:
                add(Queue(client("sqs"), physical[place]), kind)
    return [*found.values()]


def _failures(resource: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the logical ids that a resource names as where its failures go, with their kind."""
    kind = KINDS.get(resource["Type"])
    if kind == records.SAGA:  # by the URL of the queue, in the definition
        yield from ((name, kind) for name in _named(resource.get("Properties", {})))
    elif kind:
        for part in _below(resource.get("Properties", {}), FAILURES):
            yield from ((name, kind) for name in _named(part))


def _below(value: Any, names: Sequence[str]) -> Iterator[Any]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for name, one in items:
        if name in names:
            yield one
        elif isinstance(one, dict | list):
            yield from _below(one, names)


def _named(value: Any) -> Iterator[str]:
    """Yield the logical ids that are referred to."""
    match value:
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), *_]}:
            yield name
        case {"Fn::Sub": str(text) | [str(text), _]}:
            yield from SUBSTITUTED.findall(text)
        case dict():
            for one in value.values():
                yield from _named(one)
        case list():
            for one in value:
                yield from _named(one)
