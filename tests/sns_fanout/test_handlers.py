"""What the handlers promise besides ``tests/lambdas``."""

from __future__ import annotations

import json
from ast import literal_eval
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from serverless_patterns.lambdas.foundation.outcomes import RefusedError
from serverless_patterns.lambdas.sns_fanout import orders, replicate
from tests.lambdas.orders import order
from tests.moto_cloud import Context, fixture, record

from . import handlers

if TYPE_CHECKING:
    from tests.moto_cloud import Cloud

cloud, with_topic = fixture(handlers.cloud), fixture(handlers.with_topic)


def test_another_order_under_a_known_id_is_rejected(cloud: Cloud) -> None:
    first, another = order(), order(customer_id="customer-8")
    assert cloud.run(orders.handler, record(first)) == []
    assert cloud.run(orders.handler, record(another), record(another)) == []
    assert [item["customer_id"] for item in cloud.items()] == ["customer-7"]
    assert cloud.reasons() == {"conflict": 2}


def test_an_order_that_is_sent_twice_in_a_batch_is_stored_once(cloud: Cloud) -> None:
    assert cloud.run(orders.handler, record(order()), record(order())) == []
    assert len(cloud.items()) == 1
    assert cloud.letters() == []


def replicated(cloud: Cloud, message: Any) -> list[Any]:
    """Run the function with a notification; return what it publishes."""
    replicate.handler(handlers.notification(message), Context())  # type: ignore[arg-type]
    bodies = [body for operation, body in cloud.requests if operation == "Publish"]
    return [literal_eval(body)["Message"] for body in bodies]


def test_tests_get_an_order_without_what_is_about_a_person_in_one_call(with_topic: Cloud) -> None:
    secret: Any = {"email": "jane@example.com", "note": "Geheimnis"}
    line = order()["lines"][0] | {"gift_for": "Jane"}
    [text] = replicated(with_topic, order(lines=[line], **secret))
    assert json.loads(text) == order(lines=order()["lines"][:1], customer_id="somebody")
    said = with_topic.log.getvalue()
    assert not any(word in said for word in ("Geheimnis", "customer-7", "Jane"))


@pytest.mark.parametrize("wrong", ["no JSON", "[]", '{"lines": 1}', '{"lines": [1]}'])
def test_what_is_no_order_fails_and_is_not_published(with_topic: Cloud, wrong: str) -> None:
    with pytest.raises(RefusedError, match=r"not_json|field"):
        replicated(with_topic, wrong)
    assert "Publish" not in with_topic.calls


def test_an_order_that_sns_does_not_take_fails(with_topic: Cloud) -> None:
    with_topic.monkeypatch.setenv("TOPIC_ARN", "arn:aws:sns:eu-central-1:123456789012:gone")
    with pytest.raises(ClientError, match="NotFound"):
        replicated(with_topic, order())
