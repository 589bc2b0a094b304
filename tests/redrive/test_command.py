"""The promises of the command, on moto: places, ways, order, resumption, poison, privacy."""

from __future__ import annotations

import json
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import boto3
import pytest
from botocore.exceptions import ClientError, NoRegionError

from serverless_patterns.lambdas.foundation.pointers import Pointer
from serverless_patterns.redrive import __main__ as command
from serverless_patterns.redrive import owners, sources, tasks
from serverless_patterns.redrive.sources import HIDDEN_TOGETHER
from tests import moto_cloud
from tests.moto_cloud import client_error
from tests.redrive.test_redrive import ARN, LETTER, record

if TYPE_CHECKING:
    from tests.moto_cloud import Cloud

cloud = moto_cloud.fixture(moto_cloud.cloud)
SECRET = "Geheimnis"  # what a customer sent
RULE = "arn:aws:events:eu-central-1:123456789012:rule/shop/placed"


class Account:
    """An account on moto: queues, and fakes of the services that moto does not execute."""

    def __init__(self, journal: Path) -> None:
        self.sqs: Any = boto3.client("sqs")
        self.journal, self.real = journal, boto3.client
        self.fakes: dict[str, Any] = {"lambda": Mock(), "sns": Mock(), "events": Mock()}
        self.pages("lambda", list_functions={"Functions": []})
        self.pages("sns", list_subscriptions={"Subscriptions": []})
        self.dead, self.url = self.queue("dead"), ""

    def pages(self, service: str, **answers: Any) -> None:
        def paginator(name: str) -> Any:
            return Mock(paginate=lambda **_: [answers[name]])

        self.fakes[service].get_paginator = paginator

    def queue(self, name: str, **given: str) -> str:
        return str(self.sqs.create_queue(QueueName=name, Attributes=given)["QueueUrl"])

    def arn(self, url: str) -> str:
        wanted: Any = {"QueueUrl": url, "AttributeNames": ["QueueArn"]}
        return str(self.sqs.get_queue_attributes(**wanted)["Attributes"]["QueueArn"])

    def serves(self, name: str = "orders", dead: str = "") -> str:
        """Make a queue that dead-letters to ours."""
        policy = {"deadLetterTargetArn": self.arn(dead or self.dead), "maxReceiveCount": 1}
        fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        return self.queue(name, RedrivePolicy=json.dumps(policy), **fifo)

    def leave(self, *bodies: str, url: str = "", group: str = "", **texts: str) -> None:
        given = {k: {"DataType": "String", "StringValue": v} for k, v in texts.items()}
        for body in bodies:
            ids = {"MessageGroupId": group, "MessageDeduplicationId": body} if group else {}
            self.sqs.send_message(
                QueueUrl=url or self.dead, MessageBody=body, MessageAttributes=given, **ids
            )
        time.sleep(0.005)  # what was left just now is older than the run

    def client(self, service: str, region_name: str | None = None) -> Any:
        return self.fakes.get(service) or self.real(service, region_name=region_name)  # type: ignore[call-overload]

    def run(self, do: str, *more: str, url: str = "") -> int:
        line = ["--queue", url or self.dead, "--journal", str(self.journal), "--rate", "10000"]
        return command.main([do, *line, *more])

    def bodies(self, url: str) -> list[str]:
        return [one["Body"] for one in self.messages(url)]

    def messages(self, url: str) -> list[Any]:
        found: list[Any] = []
        wanted: Any = {"MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"]}
        while more := self.sqs.receive_message(QueueUrl=url, **wanted).get("Messages"):
            found += more
            for one in more:
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
        return found

    def left(self, url: str = "") -> int:
        return int(sources.Queue(self.sqs, url or self.dead).count()[0])


@pytest.fixture
def account(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Account:
    monkeypatch.setattr(sources, "POLL_SECONDS", 0)
    made = Account(tmp_path / "state" / "redrives.jsonl")
    monkeypatch.setattr(boto3, "client", made.client)
    return made


# Queues


def test_an_inspection_says_where_the_body_of_a_claim_check_is(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    pointer = Pointer("bodies", "catalogs/x", 9_437_184)
    account.leave(pointer.body, "no pointer", ExtendedPayloadSize="9437184")
    assert account.run("inspect") == 1
    said = capsys.readouterr().out
    assert "9,437,184 bytes in s3://bodies/catalogs/x" in said
    assert "10 bytes; --bodies shows it" in said


def test_messages_go_back_to_their_queue_or_elsewhere_with_their_attributes(
    account: Account,
) -> None:
    source, other = account.serves(), account.queue("other")
    account.leave("one", kind="order", Reason="total", ReasonDetail="wrong")
    assert account.run("run") == 0
    [back] = account.messages(source)
    assert (back["Body"], sorted(back["MessageAttributes"])) == ("one", ["Redrives", "kind"])
    account.leave("two")
    assert account.run("run", "--to", account.arn(other)) == 0
    assert (account.bodies(other), account.left()) == (["two"], 0)


def test_a_hundred_messages_cost_thirty_calls_and_a_few(account: Account, cloud: Cloud) -> None:
    source = account.serves()
    for start in range(0, 100, 10):
        entries: Any = [{"Id": str(n), "MessageBody": f"m{start + n}"} for n in range(10)]
        account.sqs.send_message_batch(QueueUrl=account.dead, Entries=entries)
    time.sleep(0.005)
    cloud.calls.clear()
    assert account.run("run") == 0
    calls = {name: cloud.calls[name] for name in ("SendMessageBatch", "DeleteMessageBatch")}
    assert calls == {"SendMessageBatch": 10, "DeleteMessageBatch": 10}
    assert cloud.calls.total() <= 40, "one at a time they would cost 300"
    assert account.left(source) == 100


def test_the_order_of_each_group_is_kept_and_a_message_that_stays_holds_up_its_group_only(
    account: Account,
) -> None:
    dead = account.queue("dead.fifo", FifoQueue="true")
    source = account.serves("orders.fifo", dead)
    for n in range(12):
        account.leave(f"a{n}", f"b{n}", url=dead, group="a")
    account.leave("c1", url=dead, group="c", Reason="wrong")
    account.leave("c2", url=dead, group="c", Reason="late")
    account.leave("d1", url=dead, group="d", Reason="late")
    assert account.run("run", "--error", "late|received", url=dead) == 1, "c2 waits behind c1"
    found = account.bodies(source)
    assert [one for one in found if one[0] in "ab"] == [
        x for n in range(12) for x in (f"a{n}", f"b{n}")
    ]
    assert [one for one in found if one[0] in "cd"] == ["d1"]


def test_order_by_hands_over_each_groups_letters_of_a_standard_queue_in_their_turn(
    account: Account,
) -> None:
    source = account.serves()
    turns = [f'{{"order": "{one}", "turn": {n}}}' for one in "ba" for n in (10, 2, 1)]
    account.leave(*turns, "no JSON")
    slow = Mock(wraps=account.sqs)
    account.fakes["sqs"] = slow
    assert account.run("run", "--order-by", "order", "turn") == 0
    hidden = {one.kwargs["VisibilityTimeout"] for one in slow.receive_message.call_args_list}
    assert hidden == {HIDDEN_TOGETHER}, "until all are handed over"
    a, b = ([turns[n] for n in numbers] for numbers in ((5, 4, 3), (2, 1, 0)))
    assert account.bodies(source) == [*a, *b, "no JSON"]


def test_in_a_group_nothing_is_sent_behind_a_message_that_was_not_accepted(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = account.queue("dead.fifo", FifoQueue="true")
    source = account.serves("orders.fifo", dead)
    for group in ("a", "b"):
        account.leave(*(f"{group}{n}" for n in range(3)), url=dead, group=group)
    send = account.sqs.send_message_batch

    def fails(Entries: Any, **more: Any) -> Any:  # noqa: N803
        good = [one for one in Entries if one["MessageBody"] != "a1"]
        answer = send(Entries=good, **more) if good else {}
        bad = [{"Id": one["Id"], "Code": "InternalError"} for one in Entries if one not in good]
        return answer | {"Failed": bad}

    fake = Mock(wraps=account.sqs)
    fake.send_message_batch = fails
    account.fakes["sqs"] = fake
    assert account.run("run", url=dead) == 1
    assert sorted(account.bodies(source)) == ["a0", "b0", "b1", "b2"]


def test_a_fifo_message_that_is_sent_twice_after_a_crash_is_in_its_queue_once(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = account.queue("dead.fifo", FifoQueue="true")
    source = account.serves("orders.fifo", dead)
    account.leave("a1", url=dead, group="a")
    fake = Mock(wraps=account.sqs)
    fake.delete_message_batch.side_effect = client_error("InternalError")
    account.fakes["sqs"] = fake
    assert account.run("run", url=dead) == 1
    account.journal.unlink()  # the crash was before that
    del account.fakes["sqs"]
    assert account.run("run", url=dead) == 0
    assert (account.bodies(source), account.left(dead)) == (["a1"], 0)


def test_a_run_resumes_without_sending_what_was_accepted_already(account: Account) -> None:
    source = account.serves()
    account.leave("one")
    fake = Mock(wraps=account.sqs)
    fake.delete_message_batch.side_effect = client_error("InternalError")
    account.fakes["sqs"] = fake
    assert account.run("run") == 1
    del account.fakes["sqs"]
    assert account.run("run") == 0
    assert (account.bodies(source), account.left()) == (["one"], 0)


def test_poison_that_returns_is_kept_until_it_is_asked_for_again(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    source = account.serves()
    account.leave("poison")
    assert account.run("run") == 0
    [back] = account.messages(source)
    account.leave("poison", n="1")  # by its content: another journal would know the count
    assert account.run("run") == 1
    assert "failed again after a redrive: fix the cause" in capsys.readouterr().out
    assert account.run("run", "--again") == 0
    assert account.bodies(source) == ["poison"]
    count = back["MessageAttributes"]["Redrives"]
    account.sqs.send_message(
        QueueUrl=account.dead, MessageBody="other", MessageAttributes={"Redrives": count}
    )
    time.sleep(0.005)
    account.journal.unlink()
    assert account.run("run") == 1, "and by its count, on another machine"


def test_the_journal_holds_no_content(account: Account) -> None:
    account.serves()
    account.leave(SECRET)
    account.run("run")
    assert account.journal.read_text().count("\n") == 1
    assert SECRET not in account.journal.read_text()
    account.journal.write_text(account.journal.read_text() + '[1, "cut')
    assert account.run("run") == 0, "a line that a crash cut off"


# Whose they are


def test_a_record_goes_to_its_function_if_the_account_confirms_it(account: Account) -> None:
    lambda_ = account.fakes["lambda"]
    there = {"DestinationConfig": {"OnFailure": {"Destination": account.arn(account.dead)}}}
    lambda_.get_function_event_invoke_config.return_value = there
    account.leave(record())
    assert account.run("run") == 0
    lambda_.invoke.assert_called_once_with(
        FunctionName=ARN, InvocationType="Event", Payload=b'{"order": 1}'
    )
    there["DestinationConfig"]["OnFailure"]["Destination"] = "arn:aws:sqs:::other"
    account.leave(record(2))
    assert account.run("run") == 1
    assert account.left() == 1


def test_a_dead_letter_goes_to_the_only_function_or_subscription_that_dead_letters_here(
    account: Account,
) -> None:
    lambda_, arn = account.fakes["lambda"], account.arn(account.dead)
    config = {"FunctionName": "f", "FunctionArn": ARN, "DeadLetterConfig": {"TargetArn": arn}}
    account.pages("lambda", list_functions={"Functions": [config, {"FunctionName": "plain"}]})
    account.leave("{}", **LETTER)
    assert account.run("run") == 0
    assert lambda_.invoke.call_args.kwargs["Payload"] == b"{}"
    account.pages("lambda", list_functions={"Functions": [config, config | {"FunctionArn": "b"}]})
    account.leave('{"n": 2}', **LETTER)
    assert account.run("run") == 1, "of several: nothing is guessed"
    assert account.run("run", "--to", ARN) == 0


def test_a_subscribers_letters_go_to_it_alone(account: Account) -> None:
    topic = "arn:aws:sns:eu-central-1:123456789012:orders"
    one = {"SubscriptionArn": f"{topic}:one", "Protocol": "sqs", "Endpoint": ""}
    other = one | {"SubscriptionArn": f"{topic}:other"}
    pending = {"SubscriptionArn": "PendingConfirmation"}
    subscribed = account.queue("subscribed")
    one["Endpoint"] = account.arn(subscribed)
    found = {"Subscriptions": [one, other, pending]}
    account.pages("sns", list_subscriptions=found, list_subscriptions_by_topic=found)
    policy = json.dumps({"deadLetterTargetArn": account.arn(account.dead)})

    def attributes(SubscriptionArn: str) -> Any:  # noqa: N803
        return {"Attributes": {"RedrivePolicy": policy} if SubscriptionArn.endswith("one") else {}}

    account.fakes["sns"].get_subscription_attributes = attributes
    account.leave(json.dumps({"Type": "Notification", "TopicArn": topic, "Message": "m"}), **LETTER)
    assert account.run("run") == 0
    assert len(account.bodies(subscribed)) == 1


def test_what_nobody_is_known_for_stays(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    account.leave("text")
    assert account.run("run") == 1
    assert "nobody that the account knows: name where it goes with --to" in capsys.readouterr().out
    assert account.left() == 1


@pytest.mark.parametrize("token", [True, False], ids=["standard", "express"])
def test_a_parked_saga_is_answered_or_started_again(account: Account, token: bool) -> None:
    states = account.fakes["stepfunctions"] = Mock()
    states.describe_state_machine.return_value = {"definition": f'"{account.dead}"'}
    kind = "execution" if token else "express"
    parked: Any = {"execution": f"arn:aws:states:eu-central-1:1:{kind}:saga:e", "error": "E"}
    parked |= {"task_token": "t"} if token else {"input": {"order": 1}}
    account.leave(json.dumps(parked))
    assert account.run("run") == 0
    machine = {"stateMachineArn": "arn:aws:states:eu-central-1:1:stateMachine:saga"}
    states.describe_state_machine.assert_called_with(**machine)
    if token:
        states.send_task_success.assert_called_once_with(taskToken="t", output="{}")
    else:
        states.start_execution.assert_called_once_with(**machine, input='{"order": 1}')
    states.describe_state_machine.return_value = {"definition": "of others"}
    account.leave(json.dumps(parked | {"n": 2}))
    assert account.run("run") == 1


def test_a_range_of_a_stream_goes_to_its_reader_if_the_account_confirms_it(
    account: Account,
) -> None:
    stream = "arn:aws:kinesis:eu-central-1:123456789012:stream/s"
    there = {"OnFailure": {"Destination": account.arn(account.dead)}}
    mapping = {"EventSourceArn": stream, "DestinationConfig": there}
    account.fakes["lambda"].list_event_source_mappings.return_value = {
        "EventSourceMappings": [mapping]
    }
    failure = {"requestContext": {"functionArn": ARN, "condition": "RetryAttemptsExhausted"}}
    failure["KinesisBatchInfo"] = {"streamArn": stream, "startSequenceNumber": "1"}
    failure["payload"] = {"Records": [{"kinesis": {"data": "YQ=="}}]}  # type: ignore[dict-item]
    answer = Mock(read=lambda: b'{"batchItemFailures": []}')
    account.fakes["lambda"].invoke.return_value = {"Payload": answer}
    account.leave(json.dumps(failure))
    assert account.run("run", "--dry-run") == 0
    assert not account.fakes["lambda"].invoke.called
    assert account.run("run") == 0
    assert account.fakes["lambda"].invoke.call_args.kwargs["FunctionName"] == ARN


# What it tells


def test_list_and_inspect_tell_how_many_how_old_and_why_and_nothing_of_the_content(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    account.serves()
    account.leave(f'{{"name": "{SECRET}"}}', Reason="total", ReasonDetail=SECRET)
    assert account.run("list") == 1
    said = capsys.readouterr().out
    assert re.search(r"dead  \(queue\)\n +1  dead letters\n +0 h 0 min  the oldest", said)
    assert re.search(r" 1  total\n", said)
    assert account.run("inspect") == 1
    said += capsys.readouterr().out
    assert re.search(r"reason    total\n    age       0 h 0 min\n    attempts  received \d", said)
    assert SECRET not in said
    assert account.run("inspect", "--bodies") == 1
    assert f'"name": "{SECRET}"' in capsys.readouterr().out
    assert account.left() == 1


def test_a_dry_run_changes_nothing_and_a_report_is_written(
    account: Account, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    account.serves()
    account.leave("\x1b[2J", Reason="\x1b[2J")
    file = tmp_path / "report.json"
    assert account.run("run", "--dry-run", "--json", str(file)) == 0
    said = capsys.readouterr().out
    assert "Dry run: nothing was changed." in said
    assert "reasons: \ufffd[2J" in said, "not as it came"
    assert json.loads(file.read_text())["dead"]["matched"] == 1
    assert (account.left(), account.journal.exists()) == (1, False)


def test_what_a_stopped_run_still_hides_is_told(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    account.serves()
    account.leave("one")
    account.sqs.receive_message(QueueUrl=account.dead, VisibilityTimeout=60)
    assert account.run("run") == 1
    assert "1  hidden, by a run that was stopped" in capsys.readouterr().out


def test_what_is_shown_again_before_all_are_read_does_not_end_the_run(account: Account) -> None:
    orders = account.serves()
    account.leave(*(f"poison {number}" for number in range(20)), Redrives="1")
    account.leave("good")
    sqs = account.sqs

    class ShownAgain:
        """Shows what stays again, once, when twenty have been read."""

        def __init__(self) -> None:
            self.read: dict[str, str] = {}

        def __getattr__(self, name: str) -> Any:
            return getattr(sqs, name)

        def receive_message(self, **given: Any) -> Any:
            if len(self.read) == 20:
                for handle in self.read.values():
                    self.show(handle)
                self.read["once"] = ""
            found = sqs.receive_message(**given)
            for one in found.get("Messages", []):
                self.read[one["MessageId"]] = one["ReceiptHandle"]
            return found

        def show(self, handle: str) -> None:
            with suppress(ClientError):
                sqs.change_message_visibility(
                    QueueUrl=account.dead, ReceiptHandle=handle, VisibilityTimeout=0
                )

    account.fakes["sqs"] = ShownAgain()
    assert account.run("run") == 1
    assert account.bodies(orders) == ["good"]


def test_nothing_is_sent_if_the_journal_cannot_be_written(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    orders = account.serves()
    account.leave("one")
    account.journal = Path("/proc/nowhere/journal")
    assert account.run("run") == 1
    assert "nowhere" in capsys.readouterr().out
    assert (account.bodies(orders), account.left()) == ([], 1)
    assert account.run("run", "--dry-run") == 0


def test_a_dry_run_says_what_would_stay(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    account.leave("text")
    assert account.run("run", "--dry-run") == 1
    assert "nobody that the account knows" in capsys.readouterr().out


def test_a_run_that_a_person_stops_says_so(
    account: Account, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    account.serves()
    account.leave("one", "two")
    monkeypatch.setattr(owners.Found, "deliver", Mock(side_effect=KeyboardInterrupt))
    assert account.run("run") == 130
    assert "run it again to resume" in capsys.readouterr().out
    assert account.left() == 2, "shown again"


def test_a_shell_without_a_region_is_told_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(boto3, "client", Mock(side_effect=NoRegionError))
    assert command.main(["list", "--queue", "q"]) == 1
    assert "You must specify a region. What was not accepted is still" in capsys.readouterr().out


GOOD = "run --queue q"
WRONG = (
    "rate 0",
    "rate nan",
    "limit 0",
    "limit x",
    "error (",
    "json nowhere/r.json",
    "to orders-dlq",
    "task --limit 1",
    "task --order-by order turn",
    "order-by order",
    "order-by order turn --bucket b",
    "would-fail json",
    "would-fail json:nothing",
    "would-fail nowhere.to.find:it",
)


@pytest.mark.parametrize("line", ["", "run", "list", *(f"{GOOD} --{one}" for one in WRONG)])
def test_a_wrong_command_line_is_rejected(line: str) -> None:
    with pytest.raises(SystemExit) as exit_:
        command.main(line.split())
    assert exit_.value.code == 2


# The places of a stack, and SQS's own task


def test_a_stack_has_the_places_that_its_template_names(account: Account) -> None:
    def resource(kind: str, **properties: Any) -> dict[str, Any]:
        return {"Type": f"AWS::{kind}", "Properties": properties}

    def arn(name: str) -> dict[str, Any]:
        return {"Fn::GetAtt": [name, "Arn"]}

    template = {
        "Q": resource("SQS::Queue", RedrivePolicy={"deadLetterTargetArn": arn("D1")}),
        "F": resource("Lambda::Function", DeadLetterConfig={"TargetArn": arn("D2")}),
        "C": resource("Lambda::EventInvokeConfig", DestinationConfig={
            "OnFailure": {"Destination": arn("D2")}}),
        "T": resource("Events::Rule", Targets=[{"DeadLetterConfig": {"Arn": arn("D3")}}]),
        "S": resource("StepFunctions::StateMachine", DefinitionSubstitutions=[
            {"Ref": "Q"}, {"Ref": "D4"}]),
        "B": resource("S3::Bucket"),
        "L": resource("KinesisFirehose::DeliveryStream", ExtendedS3DestinationConfiguration={
            "BucketARN": arn("B"), "ErrorOutputPrefix": "errors/!{firehose:error-output-type}/"}),
        **{name: resource("SQS::Queue") for name in ("D1", "D2", "D3", "D4", "Work")},
    }  # fmt: skip
    fake = account.fakes["cloudformation"] = Mock()
    summaries = [
        {"LogicalResourceId": name, "PhysicalResourceId": f"https://sqs/1/{name}"}
        for name in template
    ]
    account.pages("cloudformation", list_stack_resources={"StackResourceSummaries": summaries})
    fake.get_template.return_value = {"TemplateBody": {"Resources": template}}
    found = {place.source.name: place for place in owners.places_of(account.client, "shop")}
    kinds = {name.rpartition("/1/")[2]: place.kinds for name, place in found.items()}
    assert kinds == {
        "D1": ["queue"],
        "D2": ["destination", "function"],
        "D3": ["rule"],
        "D4": ["saga"],
        "B/errors/": ["firehose"],
    }


def test_what_the_condition_of_a_template_leaves_out_and_a_bucket_of_a_parameter_are_no_places(
    account: Account,
) -> None:
    policy = {"RedrivePolicy": {"deadLetterTargetArn": {"Fn::GetAtt": ["Letters", "Arn"]}}}
    lake = {"BucketARN": {"Ref": "Given"}, "ErrorOutputPrefix": "errors/"}
    template = {
        "Left": {"Type": "AWS::SQS::Queue", "Condition": "Never", "Properties": policy},
        "Made": {"Type": "AWS::SQS::Queue", "Properties": policy},
        "Letters": {"Type": "AWS::SQS::Queue", "Condition": "Never"},
        "Nested": {"Type": "AWS::CloudFormation::Stack", "Condition": "Never"},
        "Lake": {
            "Type": "AWS::KinesisFirehose::DeliveryStream",
            "Properties": {"ExtendedS3DestinationConfiguration": lake},
        },
    }
    fake = account.fakes["cloudformation"] = Mock()
    made = [{"LogicalResourceId": n, "PhysicalResourceId": n} for n in ("Made", "Lake")]
    account.pages("cloudformation", list_stack_resources={"StackResourceSummaries": made})
    fake.get_template.return_value = {"TemplateBody": {"Resources": template}}
    assert owners.places_of(account.client, "shop") == []


def test_a_template_in_yaml_is_told_of(account: Account) -> None:
    fake = account.fakes["cloudformation"] = Mock()
    account.pages("cloudformation", list_stack_resources={"StackResourceSummaries": []})
    fake.get_template.return_value = {"TemplateBody": "Resources:\n  Q: {Type: AWS::SQS::Queue}"}
    with pytest.raises(SystemExit, match="shop is YAML: name its places"):
        command.main(["list", "--stack", "shop"])


def test_of_a_stack_one_bucket_is_redriven_to_what_the_stack_says(
    account: Account, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket="lake")
    event = {"attemptsMade": 4, "rawData": "eyJpZCI6IDd9", "errorCode": "Lambda.FunctionError"}
    s3.put_object(Bucket="lake", Key="errors/failed/one", Body=json.dumps(event))
    found = [sources.Bucket(s3, "lake", prefix) for prefix in ("errors/", "o/")]
    of_stack = [owners.Place(one, ["firehose"]) for one in found]
    monkeypatch.setattr(owners, "places_of", lambda *_: of_stack)
    where = ["--stack", "shop", "--bucket", "lake", "--prefix", "errors/failed/"]
    assert command.main(["inspect", *where, "--bodies"]) == 1
    said = capsys.readouterr().out
    assert "lake/errors/failed/" in said
    assert "lake/o/" not in said
    assert '"id": 7' in said, "as it was sent, and not in base64"
    time.sleep(1.1)  # S3 tells the time in whole seconds
    assert command.main(["run", *where, "--would-fail", "builtins:repr", "--dry-run"]) == 1
    assert "would fail again: b'" in capsys.readouterr().out


def task_of(account: Account, *states: str) -> Any:
    fake = account.fakes["sqs"] = Mock(wraps=account.sqs)
    found = [
        {"Status": state, "TaskHandle": "h", "ApproximateNumberOfMessagesMoved": 7}
        for state in states
    ]
    answers = [{"Results": []}, *({"Results": [one]} for one in found)]
    fake.list_message_move_tasks.side_effect = answers
    fake.start_message_move_task.return_value = {"TaskHandle": "h"}
    fake.cancel_message_move_task.return_value = {"ApproximateNumberOfMessagesMoved": 7}
    return fake


def test_sqs_moves_all_by_a_task_of_its_own_with_a_rate_and_elsewhere(
    account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tasks, "LOOK_SECONDS", 0)
    account.serves()
    fake = task_of(account, "RUNNING", "COMPLETED")
    assert account.run("run", "--task", "--to", "arn:other") == 0
    fake.start_message_move_task.assert_called_once_with(
        SourceArn=account.arn(account.dead), DestinationArn="arn:other",
        MaxNumberOfMessagesPerSecond=500,
    )  # fmt: skip
    fake = task_of(account, "RUNNING", "CANCELLED")
    assert account.run("run", "--task") == 1
    assert "SQS says: CANCELLED" in capsys.readouterr().out


def test_a_task_is_cancelled_and_says_how_far_it_came(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = task_of(account)
    fake.list_message_move_tasks.side_effect = None
    fake.list_message_move_tasks.return_value = {
        "Results": [{"Status": "RUNNING", "TaskHandle": "h"}]
    }
    assert account.run("cancel") == 0
    fake.cancel_message_move_task.assert_called_once_with(TaskHandle="h")
    assert "cancelled after 7 messages" in capsys.readouterr().out


def test_a_task_is_refused_where_sqs_has_none(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    assert account.run("run", "--task") == 1, "no queue dead-letters here"
    assert "run it without --task" in capsys.readouterr().out
