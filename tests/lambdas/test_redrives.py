"""What a dead letter keeps on its way back, and what SQS fails inside a 200."""

from __future__ import annotations

from typing import Any

import pytest

from serverless_patterns.lambdas.foundation import redrives
from tests.moto_cloud import client_error

URL = "https://sqs.eu-central-1.amazonaws.com/123456789012/orders"


class Sqs:
    """Takes every message but those with the body ``bad``."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []

    def send_message_batch(self, *, QueueUrl: str, Entries: Any) -> Any:  # noqa: N803
        failed = [one for one in Entries if one["MessageBody"] == "bad"]
        self.taken += [one for one in Entries if one not in failed]
        return {"Failed": [{"Id": one["Id"], "Code": "InternalError"} for one in failed]}


def letter(id_: str, body: str = "good", **attributes: str) -> dict[str, Any]:
    return {"MessageId": id_, "Body": body, "Attributes": attributes}


def test_of_a_group_nothing_moves_behind_what_failed_and_each_is_named_with_the_reason() -> None:
    sqs = Sqs()
    letters = [
        letter("1", MessageGroupId="a"),
        letter("2", "bad", MessageGroupId="a"),
        letter("3", MessageGroupId="a"),
        letter("4", MessageGroupId="b"),
    ]
    failed = redrives.move(sqs, f"{URL}.fifo", letters)
    assert failed == {"2": "InternalError", "3": redrives.BEHIND}
    assert [one["MessageGroupId"] for one in sqs.taken] == ["a", "b"]


def test_a_call_that_fails_names_each_of_its_letters_with_the_code() -> None:
    class Down:
        def send_message_batch(self, **_: Any) -> Any:
            raise client_error("ServiceUnavailable")

    failed = redrives.move(Down(), URL, [letter("1"), letter("2")])
    assert failed == dict.fromkeys("12", "ServiceUnavailable")


@pytest.mark.parametrize(("said", "times"), [("2", 2), ("", 0), ("x", 0), ("-1", 0)])
def test_a_letter_counts_its_redrives_and_nonsense_counts_as_none(said: str, times: int) -> None:
    one = letter("1")
    assert redrives.times(one) == 0
    one["MessageAttributes"] = {redrives.REDRIVES: {"DataType": "Number", "StringValue": said}}
    assert redrives.times(one) == times
    sqs = Sqs()
    redrives.move(sqs, URL, [one])
    count = {"DataType": "Number", "StringValue": str(times + 1)}
    assert sqs.taken[0]["MessageAttributes"] == {redrives.REDRIVES: count}


def test_a_letter_keeps_its_trace_and_its_group() -> None:
    sqs, trace = Sqs(), "Root=1-5759e988-bd862e3fe1be46a994272793"
    assert redrives.move(sqs, URL, [letter("1", AWSTraceHeader=trace, MessageGroupId="a")]) == {}
    [sent] = sqs.taken
    header = {"DataType": "String", "StringValue": trace}
    assert sent["MessageSystemAttributes"] == {"AWSTraceHeader": header}
    assert sent["MessageGroupId"] == "a"
