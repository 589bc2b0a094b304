"""To the target of a rule or of a schedule, in the form in which EventBridge would have sent it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import records
from .ways import NotTakenError, queue_url, why_not

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .sources import Letter

PATH = re.compile(r"""\.([^.\[\]]+)|\[['"]([^'"]+)['"]\]|\[(\d+)\]""")
NAMED = re.compile(r"<([\w.-]+)>")
UNIVERSAL = "aws-sdk"


@dataclass
class ToTarget:
    """To the target that the account names for the rule or the schedule of a dead letter.

    A letter says which rule or schedule it is of. That is believed only if the account says that
    its dead letters go to this very queue: whoever may write to the queue cannot choose the target.

    Attributes:
        client: Makes a client of a service, by boto3's name of it.
        queue_arn: The dead-letter queue.
    """

    client: Callable[[str], Any]
    queue_arn: str
    _known: dict[str, Any] = field(default_factory=dict)

    def deliver(self, letters: Sequence[Letter]) -> dict[str, str]:
        """Send them, one after the other."""
        found = {letter.id: why_not(self._send, letter) for letter in letters}
        return {id_: why for id_, why in found.items() if why}

    def look(self, letter: Letter) -> dict[str, Any]:
        """Return the target of a letter.

        Raises:
            NotTakenError: the account does not confirm it.
        """
        given = letter.attributes
        if arn := given.get("RULE_ARN"):
            return self._target_of_rule(arn, given.get("TARGET_ARN", ""))
        return self._target_of_schedule(given["SCHEDULE_ARN"])

    def _send(self, letter: Letter) -> None:
        target = self.look(letter)
        if arn := letter.attributes.get("RULE_ARN"):
            event = json.loads(letter.body)
            self._hand_over(target, shaped(target, event, arn), event)
        else:
            self._request(target, letter)

    def _target_of_rule(self, arn: str, target_arn: str) -> dict[str, Any]:
        key = f"{arn} {target_arn}"
        if key not in self._known:
            *bus, rule = arn.partition(":rule/")[2].split("/")
            where = {"EventBusName": bus[0]} if bus else {}
            found = self.client("events").list_targets_by_rule(Rule=rule, **where)["Targets"]
            ours = [one for one in found if one["Arn"] == target_arn or not target_arn]
            self._known[key] = self._confirmed(ours, "rule")
        return dict(self._known[key])

    def _target_of_schedule(self, arn: str) -> dict[str, Any]:
        if arn not in self._known:
            _, group, name = arn.split("/")
            try:
                found = self.client("scheduler").get_schedule(Name=name, GroupName=group)
            except self.client("scheduler").exceptions.ResourceNotFoundException:
                raise NotTakenError("its schedule is gone: name the target with --to") from None
            self._known[arn] = self._confirmed([found["Target"]], "schedule")
        return dict(self._known[arn])

    def _confirmed(self, targets: Sequence[Mapping[str, Any]], what: str) -> dict[str, Any]:
        for target in targets:
            if (target.get("DeadLetterConfig") or {}).get("Arn") == self.queue_arn:
                return dict(target)
        raise NotTakenError(f"its {what} has another dead-letter queue, or another target by now")

    def _hand_over(self, target: Mapping[str, Any], text: str, event: Mapping[str, Any]) -> None:
        """Send a text to a rule's target.

        Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-targets.html
        """
        arn = target["Arn"]
        service = arn.split(":")[2]
        client = self.client("stepfunctions" if service == "states" else service)
        if service == "lambda":
            client.invoke(FunctionName=arn, InvocationType="Event", Payload=text.encode())
        elif service == "sqs":
            group = target.get("SqsParameters", {}).get("MessageGroupId")
            fifo = {"MessageGroupId": group} if group else {}
            if arn.endswith(".fifo"):
                fifo["MessageDeduplicationId"] = f"redrive-{event.get('id', '')}"
            client.send_message(QueueUrl=queue_url(client, arn), MessageBody=text, **fifo)
        elif service == "sns":
            client.publish(TopicArn=arn, Message=text)
        elif service == "states":
            self._start(client, arn, text, str(event.get("id", "")))
        elif service == "kinesis":
            path = target.get("KinesisParameters", {}).get("PartitionKeyPath", "$.id")
            key, name = str(value_at(event, path)), arn.rpartition("/")[2]
            client.put_record(StreamName=name, Data=text.encode(), PartitionKey=key)
        elif service == "firehose":
            name = arn.rpartition("/")[2]
            client.put_record(DeliveryStreamName=name, Record={"Data": text.encode()})
        elif ":event-bus/" in arn:
            self._publish(client, arn, event)
        else:
            what = "an API destination" if service == "events" else service
            raise NotTakenError(
                f"nobody but EventBridge sends to {what}: replay the archive to the rule"
            )

    def _publish(self, bus: Any, arn: str, event: Mapping[str, Any]) -> None:
        """Put an event on another bus, where it has a new id.

        Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-bus-to-bus.html
        """
        if str(event["source"]).startswith("aws."):
            raise NotTakenError("only AWS sends its own events: replay the archive to the rule")
        entry = {"EventBusName": arn, "Source": event["source"], "DetailType": event["detail-type"]}
        entry |= {"Resources": event["resources"], "Time": event["time"]}
        answer = bus.put_events(Entries=[entry | {"Detail": json.dumps(event["detail"])}])
        if answer["FailedEntryCount"]:
            raise NotTakenError(str(answer["Entries"][0]["ErrorCode"]))

    def _start(self, states: Any, machine: str, given: str, name: str) -> None:
        """Start an execution, by the event's id: an event that has started one starts no second."""
        try:
            states.start_execution(stateMachineArn=machine, input=given, name=f"redrive-{name}")
        except states.exceptions.ExecutionAlreadyExists:
            return

    def _request(self, target: Mapping[str, Any], letter: Letter) -> None:
        """Make the request of a schedule that Scheduler could not make.

        Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html
        """
        text = records.read(letter.body, letter.attributes).payload.decode()
        arn = target["Arn"]
        said = records.document(letter.body)
        if arn.split(":")[2] == "lambda" or not isinstance(said, dict):
            self._hand_over(target, text, {"id": letter.id})
        elif f":{UNIVERSAL}:" in arn:
            service, operation = arn.rsplit(":", 2)[1:]
            self._call(self.client({"sfn": "stepfunctions"}.get(service, service)), operation, said)
        elif "MessageBody" in said:
            self._call(self.client("sqs"), "sendMessage", said)
        else:
            self._hand_over(target, text, {"id": letter.id})

    def _call(self, client: Any, operation: str, request: Mapping[str, Any]) -> None:
        """Call an operation of AWS; its parameters may be written with another case."""
        name = operation[0].upper() + operation[1:]
        shape = client.meta.service_model.operation_model(name).input_shape
        names = {member.lower(): member for member in shape.members}
        given = {names[key.lower()]: value for key, value in request.items()}
        method = next(m for m, of in client.meta.method_to_api_mapping.items() if of == name)
        getattr(client, method)(**given)


def shaped(target: Mapping[str, Any], event: Mapping[str, Any], rule: str) -> str:
    """Return what a rule sends to its target of an event.

    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
    """
    if "Input" in target:
        return str(target["Input"])
    if "InputPath" in target:
        return json.dumps(value_at(event, target["InputPath"]))
    if "InputTransformer" not in target:
        return json.dumps(event)
    form = target["InputTransformer"]
    values = {name: value_at(event, path) for name, path in form.get("InputPathsMap", {}).items()}
    values |= {
        "aws.events.rule-arn": rule,
        "aws.events.rule-name": rule.rpartition("/")[2],
        "aws.events.event": event,
        "aws.events.event.json": event,
        "aws.events.event.ingestion-time": event.get("time", ""),
    }
    template = form["InputTemplate"]

    def fill(match: re.Match[str]) -> str:
        value = values.get(match[1], "")
        before = template[: match.start()].replace('\\"', "")
        if before.count('"') % 2 == 0:  # not in a string of the template
            return json.dumps(value)
        return json.dumps(value if isinstance(value, str) else json.dumps(value))[1:-1]

    return NAMED.sub(fill, template)


def value_at(event: Any, path: str) -> Any:
    """Return what a path such as ``$.detail.lines[0]`` names; "" if there is nothing."""
    for name, quoted, number in PATH.findall(path):
        try:
            event = event[int(number)] if number else event[name or quoted]
        except (LookupError, TypeError):
            return ""
    return event
