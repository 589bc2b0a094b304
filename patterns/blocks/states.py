"""A state of a definition: what it calls, and the permissions that follow from its arguments.

What no permission follows from is rejected: a service that is not known here, a resource that only
run time knows, another role, an asynchronous call, JSONPath.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ..checks import reject
from ..checks import stepfunctions as checks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
# A definition may be written for any partition.
CALL = re.compile(r"arn:aws[\w-]*:states:::([\w:.-]+)")
_EXPRESSION = "{%"
_WRITES = {
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
    "Delete": "dynamodb:DeleteItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
}
_TRANSACTION = "aws-sdk:dynamodb:transactWriteItems"
# What a step calls, the argument that names its resource, and the permission for it.
_CALLS = {
    f"dynamodb:{name}Item": ("TableName", f"dynamodb:{name.capitalize()}Item")
    for name in ("get", "put", "update", "delete")
} | {
    "lambda:invoke": ("FunctionName", "lambda:InvokeFunction"),
    "sqs:sendMessage": ("QueueUrl", "sqs:SendMessage"),
}
_KNOWN = (
    "Known are DynamoDB's four item calls and transactWriteItems, lambda:invoke and "
    "sqs:sendMessage. Do it in a function, or bring your own state machine."
)
# What a Map writes its results with, in parts if they are large.
_WRITE_RESULTS = (
    "s3:PutObject",
    "s3:GetObject",
    "s3:ListMultipartUploadParts",
    "s3:AbortMultipartUpload",
)


# What the fields of a state, and of what is in it, have to be.
_LIST, _OBJECT, _WHOLE = (list, "a list"), (dict, "an object"), (int, "a whole number")
_FIELDS: dict[str, tuple[Any, str]] = {
    "Type": (str, "a string"),
    "Resource": (str, "a string"),
    "Branches": _LIST,
    "Retry": _LIST,
    "Catch": _LIST,
    "ErrorEquals": _LIST,
    "MaxAttempts": _WHOLE,
    "IntervalSeconds": _WHOLE,
    "MaxDelaySeconds": _WHOLE,
    "BackoffRate": (int | float, "a number"),
    "ItemProcessor": _OBJECT,
    "Iterator": _OBJECT,
    "ProcessorConfig": _OBJECT,
    "ItemReader": _OBJECT,
    "ReaderConfig": _OBJECT,
    "ResultWriter": _OBJECT,
}


class Permission(NamedTuple):
    """What a state does with a resource.

    Attributes:
        name: The resource, as the definition names it.
        action: In IAM's words.
        objects: Which of a bucket's objects, such as ``prices/*``; none when it is the bucket.
    """

    name: str
    action: str
    objects: str = ""


@dataclass(frozen=True)
class State:
    """A state of a definition; a Task state is a step.

    Attributes:
        name: Its name; of one in a Map with the Map's name before it.
        fields: What the definition says of it.
        caught: The errors that it, or a state around it, catches by name.
        language: ``JSONata`` or ``JSONPath``.
    """

    name: str
    fields: Mapping[str, Any]
    caught: frozenset[str]
    language: str

    @property
    def kind(self) -> str:
        """Its type, such as ``Task``."""
        return str(self.fields["Type"])

    @property
    def title(self) -> str:
        """Its type and name, for a message."""
        return f"{'Step' if self.kind == 'Task' else self.kind} {self.name}"

    @property
    def resource(self) -> str:
        """The ARN of a step's call."""
        return str(self.fields["Resource"])

    @property
    def distributed(self) -> bool:
        """Whether it is a Map that runs an execution of its own for each item or batch."""
        return self._processor.get("Mode") == "DISTRIBUTED"

    @property
    def express_items(self) -> bool:
        """Whether it is a Map whose items are Express executions."""
        return self.distributed and self._processor.get("ExecutionType") == "EXPRESS"

    @property
    def may_answer_too_much(self) -> bool:
        """Whether nothing limits its answer to what a state may pass on."""
        if self.kind != "Task":  # it collects the answers of its steps, unless a bucket does
            return not (self.distributed and "Resource" in self.fields.get("ResultWriter", {}))
        returned = self._arguments.get("ReturnValues", "NONE")
        return self._call in ("lambda:invoke", "dynamodb:getItem") or returned != "NONE"

    @property
    def timeout(self) -> float:
        """When a step gives up, in seconds; infinity if the definition does not write it out."""
        seconds = self.fields.get("TimeoutSeconds")
        return seconds if isinstance(seconds, int) else math.inf

    @property
    def longest_wait(self) -> float:
        """How long a step's message must be kept: while it waits for an answer, else 0."""
        if not self.resource.endswith(checks.CALLBACK):
            return 0
        heartbeat = self.fields.get("HeartbeatSeconds")
        return heartbeat if isinstance(heartbeat, int) else self.timeout

    def permissions(self) -> Iterator[Permission]:
        """Yield what a step, or a Map that reads or writes a bucket, does with its resources.

        Raises:
            ValueError: no permission follows from what the definition says; the message says why.
        """
        if self.kind == "Task":
            yield from self._of_step()
        elif self.distributed:
            yield from self._of_reader(self.fields.get("ItemReader"))
            yield from self._of_writer(self.fields.get("ResultWriter"))

    @property
    def _processor(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.fields.get("ItemProcessor", {}).get("ProcessorConfig", {})
        return found

    @property
    def _call(self) -> str:
        return CALL.sub(r"\1", self.resource)

    @property
    def _arguments(self) -> Mapping[str, Any]:
        found = self.fields.get("Arguments")
        return found if isinstance(found, Mapping) else {}

    def _of_step(self) -> Iterator[Permission]:
        call = self._call
        known = call.removesuffix(checks.CALLBACK)
        if known not in (*_CALLS, _TRANSACTION) or (known != call and known.startswith("dynamodb")):
            raise ValueError(
                f"Step {self.name} calls {call}, for which no permission is derived. {_KNOWN}"
            )
        reject(
            checks.in_jsonata(self.name, self.language),
            checks.own_role(self.name, self.fields.get("Credentials")),
            checks.waits_for_function(self.name, self._arguments.get("InvocationType")),
            checks.no_qualifier(self.name, self._arguments.get("Qualifier")),
            checks.sends_token(self.name, self.resource, self._arguments),
        )
        if known == _TRANSACTION:
            items = self._argument("TransactItems", self._arguments)
            for item in items if isinstance(items, list) else [items]:
                yield self._write(item)
        else:
            argument, action = _CALLS[known]
            yield Permission(self._resource(argument, self._arguments), action)

    def _of_reader(self, reader: Any) -> Iterator[Permission]:
        """Yield what a distributed Map needs to read its items from a bucket.

        Source: https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html
        """
        if reader is None:
            return
        reject(checks.in_jsonata(self.name, self.language))
        arguments, config = reader.get("Arguments", {}), reader.get("ReaderConfig", {})
        bucket = self._resource("Bucket", arguments)
        lists = str(reader.get("Resource")).endswith("s3:listObjectsV2")
        if lists:
            yield Permission(bucket, "s3:ListBucket")
        if not lists or config.get("Transformation"):
            # A manifest names other objects of its bucket.
            manifest = config.get("InputType") == "MANIFEST"
            path = f"{_path(arguments.get('Prefix'))}*" if lists else _path(arguments.get("Key"))
            yield Permission(bucket, "s3:GetObject", "*" if manifest or not path else path)

    def _of_writer(self, writer: Any) -> Iterator[Permission]:
        if not writer or "Resource" not in writer:
            return
        reject(checks.in_jsonata(self.name, self.language))
        arguments = writer.get("Arguments", {})
        bucket = self._resource("Bucket", arguments)
        prefix = _path(arguments.get("Prefix")).rstrip("/")
        for action in _WRITE_RESULTS:
            yield Permission(bucket, action, f"{prefix}/*" if prefix else "*")

    def _write(self, item: Any) -> Permission:
        """Return the permission for one write of a transaction."""
        match list(item.items()) if isinstance(item, Mapping) else item:
            case [(str(kind), {"TableName": table})] if kind in _WRITES:
                return Permission(self._placeholder(table), _WRITES[kind])
        raise ValueError(
            f"Step {self.name} has TransactItems {item!r}, whose kind of write and TableName are "
            "not written out, so its permission cannot be derived. Write out both for each item, "
            "or do it in a function."
        )

    def _resource(self, argument: str, arguments: Mapping[str, Any]) -> str:
        return self._placeholder(self._argument(argument, arguments))

    def _argument(self, name: str, arguments: Mapping[str, Any]) -> Any:
        if not isinstance(arguments, Mapping) or name not in arguments:
            raise ValueError(
                f"{self.title} has no {name} in its Arguments, so its permission cannot be "
                "derived. Name it there."
            )
        return arguments[name]

    def _placeholder(self, value: Any) -> str:
        match = PLACEHOLDER.fullmatch(value) if isinstance(value, str) else None
        if not match:
            raise ValueError(
                f"{self.title} names its resource {value!r}: give it as a placeholder such as "
                "${Orders}, so that the permission can be derived."
            )
        return match[1]


def check_fields(name: str, fields: Any, needed: Iterable[str]) -> None:
    """Reject a state, or a part of one, in which a field is missing or of a wrong type.

    Raises:
        ValueError: it is not in Amazon States Language.
    """
    if not isinstance(fields, dict):
        raise ValueError(f"{name} has {fields!r} where an object must be. Write it as one.")
    for key in needed:
        if key not in fields:
            raise ValueError(f"{name} has no {key}. Write it in Amazon States Language.")
    for key in _FIELDS.keys() & fields.keys():
        value, (kind, words) = fields[key], _FIELDS[key]
        if not isinstance(value, kind):
            raise ValueError(f"{name} has {key} {value!r}; it must be {words}.")
        if key == "ErrorEquals" and not all(isinstance(error, str) for error in value):
            raise ValueError(f"{name} has {key} {value!r}; it must be a list of strings.")
        for part in value if key in ("Retry", "Catch") else ():
            check_fields(f"{name}, in {key},", part, ["ErrorEquals"])
        if kind is dict:
            check_fields(f"{name}, in {key},", value, ())


def _path(value: Any) -> str:
    """Return a key or prefix that the definition writes out; none if only run time knows it."""
    text = value if isinstance(value, str) else ""
    return "" if _EXPRESSION in text or PLACEHOLDER.search(text) else text
