"""The function that programs call to change prices."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.sns_fifo_fanout import price_management
from tests import moto_cloud
from tests.moto_cloud import Context, client_error

from .handlers import change

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.moto_cloud import Cloud


def call(changes: Sequence[Any], seconds_left: float = 60) -> list[dict[str, str]]:
    """Return the results of a call, which has to be JSON as Lambda takes it."""
    left = staticmethod(lambda: seconds_left * 1000)
    context: Any = type("Left", (Context,), {"get_remaining_time_in_millis": left})()
    answer = price_management.handler({"changes": changes}, context)
    results: list[dict[str, str]] = json.loads(json.dumps(answer))["results"]
    return results


@pytest.fixture
def topic(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """A FIFO topic that delivers to the cloud's FIFO queue."""
    sns, sqs = moto_cloud.client("sns"), moto_cloud.client("sqs")
    arn = sns.create_topic(Name="prices.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    found = sqs.get_queue_attributes(QueueUrl=cloud.fifo_queue_url, AttributeNames=["QueueArn"])
    raw = {"RawMessageDelivery": "true"}
    endpoint = found["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=endpoint, Attributes=raw)
    monkeypatch.setenv("TOPIC_ARN", arn)


@pytest.mark.usefixtures("topic")
def test_valid_changes_are_published_and_the_others_refused_with_their_reason(cloud: Cloud) -> None:
    changes = [change(1), change(2, price="-1.00"), {"event_id": 5}, change(3)]
    results = call(changes)
    assert [result["status"] for result in results] == ["published", *["refused"] * 2, "published"]
    assert [result.get("reason") for result in results] == [None, "price", "field", None]
    bodies = [json.loads(letter["Body"]) for letter in cloud.letters()]
    assert bodies == [changes[0], changes[3]]


@pytest.mark.usefixtures("topic")
def test_the_caller_hears_of_each_change_that_sns_rejects(cloud: Cloud) -> None:
    cloud.fail("PublishBatch", client_error("InvalidParameter"), times=3)  # together, then alone
    results = call([change(1), change(1, "OIL-FLT-3")])
    assert results == [{"status": "refused", "reason": "InvalidParameter"}] * 2


@pytest.mark.usefixtures("topic")
def test_it_answers_before_the_function_ends(cloud: Cloud) -> None:
    assert call([change(1)], seconds_left=5) == [{"status": "unpublished", "reason": "OutOfTime"}]
    assert not list(cloud.letters())
