"""The second engine's SNS posts as AWS's does: signed as SNS signs, and never redirected."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from serverless_patterns.lambdas.foundation.sns_messages import Verifier
from serverless_patterns.sandbox import queues
from serverless_patterns.sandbox.http_endpoint import Endpoint, listening
from tests.conftest import run
from tests.sandbox.helpers import allow, arn, create_stack, function, ref, resource, role, template
from tests.sandbox.test_localstack import PYTHON
from tests.sandbox.test_localstack import pytestmark as pytestmark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from serverless_patterns.sandbox import Target

# Whether the certificate is where SNS has it, redirects are turned off, and a batch knows how its
# topic signs, without our changes: once one is True, its change can go.
PROBE = """
import inspect
from localstack.services.sns import constants, publisher
batch = inspect.getsource(publisher.PublishDispatcher.publish_batch_to_topic)
print(constants.SNS_CERT_ENDPOINT.startswith("/SimpleNotificationService-"))
print("allow_redirects" in inspect.getsource(publisher))
print("topic_attributes" in batch)
"""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with listening() as here:
        yield here


@pytest.fixture(scope="module")
def topic(second: Target, endpoint: Endpoint) -> str:
    """A topic that signs with SHA256, with an endpoint that has confirmed."""
    sns, sqs = second.client("sns"), second.client("sqs")
    made: str = sns.create_topic(Name="signed", Attributes={"SignatureVersion": "2"})["TopicArn"]
    sqs.create_queue(QueueName="unsigned")
    letters = made.replace(":sns:", ":sqs:").replace(":signed", ":unsigned")
    policy = json.dumps({"deadLetterTargetArn": letters})
    attributes = {"RedrivePolicy": policy}
    sns.subscribe(TopicArn=made, Protocol="http", Endpoint=endpoint.url, Attributes=attributes)
    queues.until(lambda: bool(endpoint.tokens), seconds=60, what="until it is asked to confirm")
    sns.confirm_subscription(TopicArn=made, Token=endpoint.tokens[0])
    return made


def test_messages_and_batches_are_signed_as_sns_signs_them(
    second: Target, endpoint: Endpoint, topic: str
) -> None:
    def certificate(url: str) -> bytes:
        with urlopen(f"{second.endpoint_url}{urlsplit(url).path}") as answer:  # noqa: S310
            found: bytes = answer.read()
        return found

    sns = second.client("sns")
    sns.publish(TopicArn=topic, Message="one", Subject="Subject")
    batch: Any = [{"Id": "1", "Message": "two"}]
    sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=batch)
    queues.until(lambda: len(endpoint.posts) == 2, seconds=60, what="until both are there")
    believes = Verifier(topics={topic}, certificate=certificate, max_age=60)
    taken = [believes.verify(post.body, time.time()) for post in endpoint.posts]
    assert sorted(one.body for one in taken) == ["one", "two"]


def test_a_redirect_is_not_followed_but_dead_lettered(
    second: Target, endpoint: Endpoint, topic: str
) -> None:
    sqs = second.client("sqs")
    url = sqs.get_queue_url(QueueName="unsigned")["QueueUrl"]
    with endpoint.failing(302):
        second.client("sns").publish(TopicArn=topic, Message="redirected")
        found = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
    assert [json.loads(one["Body"])["Message"] for one in found] == ["redirected"]
    assert not endpoint.followed


def test_a_functions_url_begins_with_https(second: Target) -> None:
    url = resource("Lambda::Url", TargetFunctionArn=arn("Called"), AuthType="NONE")
    made = {
        "OfCalled": role("lambda.amazonaws.com", allow("logs:*", "*")),
        "Called": function("def handler(*_): ...", Role=arn("OfCalled")),
        "Url": url,
    }
    stack = create_stack(second, "url", template(made, Called=ref("Called")))
    told = second.client("lambda").get_function_url_config(FunctionName=stack["Called"])
    assert told["FunctionUrl"].startswith("https://")


def test_the_engine_does_not_do_so_by_itself() -> None:
    assert run(str(PYTHON), "-c", PROBE).stdout.split()[-3:] == ["False"] * 3
