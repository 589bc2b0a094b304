"""To the target of a rule or a schedule, on fakes: its form, confirmed by the account."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import Mock

import boto3
import pytest

from serverless_patterns.redrive.sources import Letter
from serverless_patterns.redrive.targets import ToTarget, shaped, value_at
from tests.moto_cloud import client_error

HERE = "arn:aws:sqs:eu-central-1:1:dead"
RULE = "arn:aws:events:eu-central-1:1:rule/shop/placed"
SCHEDULE = "arn:aws:scheduler:eu-central-1:1:schedule/reminders/one"
EVENT = {"id": "e-1", "source": "shop", "detail": {"order": 'a"b', "total": 1.5, "lines": [7]}}


def arn(service: str, name: str) -> str:
    return f"arn:aws:{service}:eu-central-1:1:{name}"


class Account:
    """An account that has a rule and a schedule with some target, and notes what it is sent."""

    def __init__(self, target: str, **more: Any) -> None:
        self.target = {"Arn": target, "DeadLetterConfig": {"Arn": HERE}, **more}
        self.made: dict[str, Any] = {}
        self.service("events").list_targets_by_rule.return_value = {"Targets": [self.target]}
        self.service("scheduler").get_schedule.return_value = {"Target": self.target}
        self.service("sqs").get_queue_url.return_value = {"QueueUrl": "https://queue"}

    def service(self, name: str) -> Any:
        return self.made.setdefault(name, Mock())

    def deliver(self, *letters: Letter) -> dict[str, str]:
        return ToTarget(self.service, HERE).deliver(letters)


def of_rule(event: Any = EVENT, target: str = "") -> Letter:
    given = {"RULE_ARN": RULE, "ERROR_CODE": "NO_PERMISSIONS"}
    given |= {"TARGET_ARN": target} if target else {}
    return Letter("m-1", json.dumps(event), 0, given)


TARGETS = {
    "lambda": ("function:f", "invoke", {"InvocationType": "Event"}),
    "sqs": ("q", "send_message", {"QueueUrl": "https://queue"}),
    "sns": ("t", "publish", {"Message": json.dumps(EVENT)}),
    "states": ("stateMachine:s", "start_execution", {"name": "redrive-e-1"}),
    "kinesis": ("stream/s", "put_record", {"StreamName": "s", "PartitionKey": "e-1"}),
    "firehose": ("deliverystream/d", "put_record", {"DeliveryStreamName": "d"}),
}


@pytest.mark.parametrize("service", TARGETS)
def test_a_rules_letter_goes_to_the_target_that_the_account_confirms(service: str) -> None:
    name, operation, wanted = TARGETS[service]
    target = arn(service, name)
    account = Account(target)
    assert account.deliver(of_rule(target=target)) == {}
    client = account.made["stepfunctions" if service == "states" else service]
    assert wanted.items() <= getattr(client, operation).call_args.kwargs.items()
    account.service("events").list_targets_by_rule.assert_called_once_with(
        Rule="placed", EventBusName="shop"
    )


def test_to_a_fifo_queue_an_event_goes_in_the_group_of_its_rule() -> None:
    account = Account(arn("sqs", "q.fifo"), SqsParameters={"MessageGroupId": "g"})
    assert account.deliver(of_rule()) == {}
    sent = account.made["sqs"].send_message.call_args.kwargs
    assert (sent["MessageGroupId"], sent["MessageDeduplicationId"]) == ("g", "redrive-e-1")


def test_a_forged_letter_does_not_choose_where_it_goes() -> None:
    account = Account(arn("lambda", "function:f"))
    account.target["DeadLetterConfig"] = {"Arn": "arn:other"}
    assert "another dead-letter queue" in account.deliver(of_rule())["m-1"]
    account.target["DeadLetterConfig"] = None
    assert "another dead-letter queue" in account.deliver(of_rule())["m-1"]
    elsewhere = Account(arn("lambda", "function:f")).deliver(of_rule(target=arn("lambda", "x")))
    assert "another target by now" in elsewhere["m-1"]


def test_what_only_eventbridge_can_send_stays_and_an_error_is_told() -> None:
    account = Account(arn("events", "api-destination/a"))
    assert "nobody but EventBridge sends to an API destination" in account.deliver(of_rule())["m-1"]
    account = Account(arn("events", "event-bus/other"))
    of_aws = of_rule(EVENT | {"source": "aws.s3"})
    assert "only AWS sends its own events" in account.deliver(of_aws)["m-1"]
    account = Account(arn("lambda", "function:f"))
    account.service("lambda").invoke.side_effect = client_error("TooManyRequestsException")
    assert account.deliver(of_rule()) == {"m-1": "TooManyRequestsException"}


def test_another_bus_gets_the_event_and_says_what_it_rejects() -> None:
    account, more = Account(arn("events", "event-bus/other")), {"time": "now", "resources": ["r"]}
    letter = of_rule(EVENT | {"detail-type": "Placed"} | more)
    put = account.service("events").put_events
    put.return_value = {"FailedEntryCount": 0}
    assert account.deliver(letter) == {}
    [entry] = put.call_args.kwargs["Entries"]
    assert json.loads(entry.pop("Detail")) == EVENT["detail"]
    wanted = {"EventBusName": account.target["Arn"], "Source": "shop", "DetailType": "Placed"}
    assert entry == wanted | {"Time": "now", "Resources": ["r"]}
    put.return_value = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}]}
    assert account.deliver(letter) == {"m-1": "InternalFailure"}


TEMPLATE = (
    '{"order": <o>, "text": "order <o> of <t>", "rule": "<aws.events.rule-name>", "all": <d>}'
)


@pytest.mark.parametrize(
    ("form", "wanted"),
    [
        ({}, EVENT),
        ({"Input": '{"fixed": 1}'}, {"fixed": 1}),
        ({"InputPath": "$.detail.lines[0]"}, 7),
        (
            {
                "InputTransformer": {
                    "InputPathsMap": {
                        "o": "$.detail.order",
                        "t": "$.detail.total",
                        "d": "$.detail",
                    },
                    "InputTemplate": TEMPLATE,
                }
            },
            {
                "order": 'a"b',
                "text": 'order a"b of 1.5',
                "rule": "placed",
                "all": EVENT["detail"],
            },
        ),
        (
            {
                "InputTransformer": {
                    "InputPathsMap": {"o": "$.detail.order"},
                    "InputTemplate": '"placed: <o>, <none>"',
                }
            },
            'placed: a"b, ',
        ),
    ],
    ids=["whole", "input", "path", "template", "text"],
)
def test_a_target_gets_an_event_in_the_form_in_which_its_rule_sends_it(
    form: dict[str, Any], wanted: Any
) -> None:
    assert json.loads(shaped(form, EVENT, RULE)) == wanted


def test_a_path_that_leads_nowhere_is_empty() -> None:
    assert value_at(EVENT, "$.detail['order']") == 'a"b'
    assert value_at(EVENT, "$.detail.lines[9].x") == ""


def of_schedule(body: str) -> Letter:
    given = {"SCHEDULE_ARN": SCHEDULE, "SCHEDULED_TIME": "2027-01-31T08:00:00Z"}
    return Letter("m-2", body, 0, given)


def test_a_schedules_letter_is_the_request_that_scheduler_could_not_make() -> None:
    account = Account(arn("lambda", "function:f"))
    payload = '{"at": "<aws.scheduler.scheduled-time>"}'
    request = {"FunctionName": "forged", "Payload": payload}
    assert account.deliver(of_schedule(json.dumps(request))) == {}
    called = account.made["lambda"].invoke.call_args.kwargs
    assert called["FunctionName"] == arn("lambda", "function:f"), "as the account says"
    assert called["Payload"] == b'{"at": "2027-01-31T08:00:00Z"}'
    account.service("scheduler").get_schedule.assert_called_once_with(
        Name="one", GroupName="reminders"
    )


def test_a_universal_target_is_called_as_scheduler_would(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account("arn:aws:scheduler:::aws-sdk:sqs:sendMessage")
    real: Any = boto3.client("sqs", region_name="eu-central-1")
    sent: list[Any] = []
    monkeypatch.setattr(real, "send_message", lambda **given: sent.append(given))
    account.made["sqs"] = real
    body = json.dumps({"queueUrl": "https://q", "MessageBody": "m"})
    assert account.deliver(of_schedule(body)) == {}
    assert sent == [{"QueueUrl": "https://q", "MessageBody": "m"}]


def test_the_letter_of_a_schedule_that_is_gone_stays() -> None:
    account = Account(arn("lambda", "function:f"))

    class GoneError(Exception):
        pass

    scheduler = account.service("scheduler")
    scheduler.exceptions.ResourceNotFoundException = GoneError
    scheduler.get_schedule.side_effect = GoneError
    assert "its schedule is gone" in account.deliver(of_schedule("{}"))["m-2"]
