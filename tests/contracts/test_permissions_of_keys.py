"""With a key of yours, every arrow may use it, and nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Template

from serverless_patterns.patterns.blocks.queues import NewQueue
from tests.contracts.builds import Build, builds
from tests.permissions.checked import EXPLAINED, HINT, OF_YOUR_CODE, Checked

if TYPE_CHECKING:
    from collections.abc import Callable


def queue(stack: Stack) -> dict[str, Any]:
    return {"queue": NewQueue(encryption_key=kms.Key(stack, "Key"))}


def topic(stack: Stack) -> dict[str, Any]:
    return {"key": kms.Key(stack, "Key")}


def key(stack: Stack) -> dict[str, Any]:
    return topic(stack)


def lake(stack: Stack) -> dict[str, Any]:
    of_bucket, of_stream = kms.Key(stack, "OfBucket"), kms.Key(stack, "OfStream")
    bucket = s3.Bucket(
        stack, "Own", encryption_key=of_bucket, enforce_ssl=True, minimum_tls_version=1.2
    )
    encrypted = kinesis.StreamEncryption.KMS
    stream = kinesis.Stream(stack, "Stream", encryption=encrypted, encryption_key=of_stream)
    return {"bucket": bucket, "stream": stream}


@pytest.mark.parametrize(
    ("build", "keyed"),
    [
        pytest.param(build, keyed, id=f"{build}-{keyed.__name__}")
        for keyed in (queue, topic, key, lake)
        for build in builds(keyed.__name__)
    ],
)
def test_an_arrow_may_use_the_key_on_its_way_and_nobody_else(
    build: Build, keyed: Callable[[Stack], dict[str, Any]]
) -> None:
    stack = Stack(App(), "Stack")
    build.make(stack, "Pattern", **keyed(stack))
    of = Checked(Template.from_stack(stack).to_json())
    assert [arrow for arrow in of.arrows if arrow.action == "kms:Decrypt"]
    assert not of.wrong(of.cloud.policies)
    assert not of.survivors(EXPLAINED | OF_YOUR_CODE), HINT
