"""The faults that scenarios make are the ones that they say."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any
from unittest.mock import Mock

import pytest

from serverless_patterns.sandbox.executions import ANSWER_LOST, UNAVAILABLE, twins
from serverless_patterns.sandbox.outages import FailsInPart, Replay


@pytest.fixture
def sns() -> Any:
    """A client that accepts everything."""

    def publish(TopicArn: str, PublishBatchRequestEntries: list[Any]) -> Any:  # noqa: N803
        assert (TopicArn, bool(PublishBatchRequestEntries)) == ("topic", True)
        return {"Successful": [{"Id": entry["Id"]} for entry in PublishBatchRequestEntries]}

    return Mock(publish_batch=Mock(side_effect=publish))


def publish(client: Any, first: int) -> Any:
    entries = [
        {"Id": str(n), "Message": str(n), "MessageDeduplicationId": f"d{n}"}
        for n in range(first, first + 10)
    ]
    return client.publish_batch(TopicArn="topic", PublishBatchRequestEntries=entries)


def published(sns: Any, name: str) -> set[str]:
    """What the client accepted."""
    batches = asked(sns.publish_batch, "PublishBatchRequestEntries")
    return {entry[name] for entries in batches for entry in entries}


def asked(operation: Mock, argument: str) -> list[Any]:
    return [call.kwargs[argument] for call in operation.mock_calls]


def test_a_batch_fails_in_part_and_half_of_what_failed_was_accepted(sns: Any) -> None:
    client = FailsInPart(sns, share=0.2)
    told, failed = set(), set()
    for first in range(0, 1_000, 10):
        answer = publish(client, first)
        told |= {entry["Id"] for entry in answer["Successful"]}
        failed |= {entry["Id"] for entry in answer["Failed"]}
        assert not any(entry["SenderFault"] for entry in answer["Failed"])
    assert told | failed == {str(n) for n in range(1_000)}
    assert not told & failed
    assert client.failed == len(failed)
    assert 120 < len(failed) < 280
    accepted = published(sns, "Message")
    assert told <= accepted
    assert len(failed) / 4 < len(accepted & failed) < len(failed) * 3 / 4
    assert client.first_sent.keys() == {f"d{n}" for n in range(1_000)}


def test_each_result_of_published_events_is_in_the_place_of_its_entry(sns: Any) -> None:
    def put(Entries: Any) -> Any:  # noqa: N803
        return {"Entries": [{"EventId": one["Detail"]} for one in Entries]}

    sns.put_events = Mock(side_effect=put)
    client, failed = FailsInPart(sns, share=0.2), 0
    for first in range(0, 1_000, 10):
        sent = [{"Detail": f"{number}"} for number in range(first, first + 10)]
        answers = client.put_events(Entries=sent)["Entries"]
        for entry, answer in zip(sent, answers, strict=True):
            failed += "ErrorCode" in answer
            assert answer.get("EventId", entry["Detail"]) == entry["Detail"]
    assert 120 < client.failed == failed < 280
    accepted = sum(len(batch) for batch in asked(sns.put_events, "Entries"))
    assert 1_000 - failed < accepted < 1_000


def test_a_replay_has_new_deduplication_ids(sns: Any) -> None:
    for _ in range(2):
        publish(Replay(sns), 0)
    ids = published(sns, "MessageDeduplicationId")
    assert len(ids) == 20
    assert not {f"d{n}" for n in range(10)} & ids


RETRIED = [{"MaxAttempts": 5, "IntervalSeconds": 3, "BackoffRate": 2}]
RESERVE_LINE = {
    "Arguments": {"TransactItems": [{"Update": {"TableName": "stock"}}]},
    "Retry": [{"MaxAttempts": 0}],
}
STATES = {
    "Charge": {"Arguments": {"FunctionName": "charge"}, "Retry": RETRIED},
    "Lines": {"ItemProcessor": {"States": {"ReserveLine": RESERVE_LINE}}},
    "Ship": {"Arguments": {"QueueUrl": "queue"}, "HeartbeatSeconds": 600},
}


@pytest.fixture
def aws() -> Any:
    """Step Functions, Lambda and IAM, as far as twins need them."""
    made = Mock()
    made.client.return_value = made
    definition = {
        "definition": json.dumps({"States": STATES}),
        "roleArn": "role",
        "type": "STANDARD",
    }
    made.describe_state_machine.return_value = definition
    made.create_state_machine.side_effect = lambda **made: {
        "stateMachineArn": f"arn:{made['name']}"
    }
    role = {"Role": "arn:aws:iam::123456789012:role/carrier"}
    made.get_function_configuration.return_value = role
    return made


def test_a_twin_has_its_faults_only_retries_once_and_is_gone_at_the_end(aws: Any) -> None:
    with twins(aws, "run", "arn:aws:states:r:a:stateMachine:own", answered_by="carrier") as twin:
        first = twin("original", ("Charge", UNAVAILABLE), ("ReserveLine", UNAVAILABLE))
        second = twin("original", ("Ship", ANSWER_LOST))
        [policy] = map(json.loads, asked(aws.put_role_policy, "PolicyDocument"))
        assert policy["Statement"][0]["Resource"] == "arn:aws:states:r:a:stateMachine:run-*"
        aws.delete_role_policy.assert_not_called()
    assert (first, second) == ("arn:run-00", "arn:run-01")
    made = map(json.loads, asked(aws.create_state_machine, "definition"))
    broken, lossy = (definition["States"] for definition in made)
    assert broken["Charge"]["Arguments"] == {"FunctionName": "charge-unavailable"}
    assert broken["Charge"]["Retry"][0]["MaxAttempts"] == 1
    [line] = broken["Lines"]["ItemProcessor"]["States"].values()
    assert line["Arguments"]["TransactItems"] == [{"Update": {"TableName": "stock-unavailable"}}]
    assert line["Retry"][0]["MaxAttempts"] == 0
    assert broken["Ship"]["Arguments"] == {"QueueUrl": "queue"}
    assert broken["Ship"]["TimeoutSeconds"] < 600
    assert "$error" in lossy["Ship"]["Output"]
    assert lossy["Charge"]["Arguments"] == {"FunctionName": "charge"}
    assert asked(aws.delete_state_machine, "stateMachineArn") == [first, second]
    aws.delete_role_policy.assert_called_once_with(RoleName="carrier", PolicyName="run-twins")


def test_twins_are_gone_also_when_the_scenario_fails(aws: Any) -> None:
    made = twins(aws, "run", "arn:states:own", answered_by="carrier")
    with suppress(KeyboardInterrupt), made as twin:
        twin("original")
        raise KeyboardInterrupt
    assert asked(aws.delete_state_machine, "stateMachineArn") == ["arn:run-00"]
    aws.delete_role_policy.assert_called_once()
