"""Whoever may write to a dead-letter queue can write anything: it stays, and stops nothing else."""

from __future__ import annotations

import json
from unittest.mock import Mock

import pytest

from serverless_patterns.lambdas.foundation import redrives
from serverless_patterns.redrive.firehose import ToFirehose
from serverless_patterns.redrive.sources import Letter
from serverless_patterns.redrive.ways import each, post
from tests import moto_cloud
from tests.redrive.test_command import RULE, Account, account
from tests.redrive.test_redrive import LETTER, record

__all__ = ["account"]
cloud = moto_cloud.fixture(moto_cloud.cloud)
RANGE = {"requestContext": {"functionArn": "f"}, "KinesisBatchInfo": {}}
TARGET = "arn:aws:events:eu-central-1:123456789012:event-bus/other"
OF_NOBODY = ("5", "\nmore")  # how those end that would be messages of the queue's own
LETTERS: dict[str, tuple[str, dict[str, str]]] = {
    "an event that is a list": ("[1]", LETTER),
    "a message that is a number": ("5", {}),
    "a schedule without a group": ("{}", {"SCHEDULE_ARN": "x"}),
    "a rule's event that is no JSON": ("no JSON", {"RULE_ARN": RULE}),
    "a rule's event without a source": ('{"id": "1"}', {"RULE_ARN": RULE, "TARGET_ARN": TARGET}),
    "a rule's event that is a list": ("[]", {"RULE_ARN": RULE, "TARGET_ARN": TARGET}),
    "a range of no stream": (json.dumps(RANGE), {}),
    "a range, and more": (f"{json.dumps(RANGE)}\nmore", {}),
    "a record of Firehose, and more": ('{"rawData": "eA==", "errorCode": "E"}\nmore', {}),
    "a saga of no machine": ('{"execution": "x", "input": 1}', {}),
    "a count of 5000 digits": ("{}", {redrives.REDRIVES: "9" * 5000}),
}


@pytest.mark.parametrize("letter", LETTERS)
def test_a_letter_that_says_anything_stays_and_stops_no_other(
    account: Account, letter: str
) -> None:
    body, texts = LETTERS[letter]
    there = {"Arn": TARGET, "DeadLetterConfig": {"Arn": account.arn(account.dead)}}
    account.fakes["events"].list_targets_by_rule.return_value = {"Targets": [there]}
    account.fakes["stepfunctions"] = Mock()
    account.fakes["stepfunctions"].describe_state_machine.return_value = {"definition": ""}
    account.fakes["lambda"].list_event_source_mappings.return_value = {"EventSourceMappings": []}
    alone = body.endswith(OF_NOBODY)
    source = account.queue("orders") if alone else account.serves()
    account.leave(body, **texts)
    account.leave("good")
    for do in (["list"], ["inspect", "--bodies"], ["run", "--dry-run"]):
        account.run(*do)
    assert account.run("run") == 1
    assert account.bodies(source) == ([] if alone else ["good"])
    assert account.left() == (2 if alone else 1)


def test_the_command_does_not_send_to_whom_a_forged_record_names(account: Account) -> None:
    lambda_ = account.fakes["lambda"]
    there = {"DestinationConfig": {"OnFailure": {"Destination": account.arn(account.dead)}}}
    lambda_.get_function_event_invoke_config.return_value = there
    theirs = "arn:aws:lambda:eu-central-1:999999999999:function:invoices"
    account.leave(record(context={"functionArn": f"{theirs}:live"}))
    account.run("run", "--dry-run")
    lambda_.get_function_event_invoke_config.assert_called_with(
        FunctionName=theirs, Qualifier="live"
    )  # of another account, which denies it: not of ours with that name


def test_a_letter_that_would_forge_a_header_is_not_posted() -> None:
    body = json.dumps({"Type": "Notification", "MessageId": "m\r\nHost: other"})
    url, subscription = "http://127.0.0.1:9", "arn:aws:sns:eu-central-1:1:t:s"
    found = each([Letter("m-1", body, 0)], lambda letter: post(url, letter.body, subscription))
    assert found == {"m-1": "damaged: ValueError"}


def test_a_damaged_record_of_firehose_stays_and_stops_no_other() -> None:
    firehose = Mock()
    firehose.describe_delivery_stream.return_value = {"DeliveryStreamDescription": {}}
    firehose.put_record_batch.return_value = {"RequestResponses": [{}]}
    good = Letter("good", '{"rawData": "eA==", "errorCode": "E"}', 0)
    bad = Letter("bad", '{"rawData": "eA==", "errorCode": "E"}\nmore', 0)
    assert [*ToFirehose(lambda _: firehose, "lake").deliver([bad, good])] == ["bad"]
    assert firehose.put_record_batch.call_args.kwargs["Records"] == [{"Data": b"x"}]
