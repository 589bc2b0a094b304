"""The promises of the construct beyond those of every topic, queue, consumer and alarm."""

from __future__ import annotations

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_sns as sns

from serverless_patterns.patterns.sns_fanout.construct import SnsFanout


def test_a_fifo_topic_is_rejected() -> None:
    stack = Stack(App(), "Stack")
    topic = sns.Topic(stack, "Own", fifo=True, topic_name="own.fifo")
    with pytest.raises(ValueError, match=r"Stack/Own is a FIFO topic.*SnsFifoFanout"):
        SnsFanout(stack, "Fanout", topic=topic)
