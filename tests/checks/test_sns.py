"""The rules of SNS, with plain values."""

from __future__ import annotations

import pytest

from serverless_patterns.patterns.checks import sns


@pytest.mark.parametrize("protocol", ["SQS", "sqs"])
def test_a_fifo_topic_delivers_to_a_queue(protocol: str) -> None:
    assert sns.fifo_topic_protocol("One", protocol) is None


def test_a_fifo_topic_delivers_to_nothing_else() -> None:
    problem = sns.fifo_topic_protocol("One", "lambda")
    assert problem is not None
    assert problem.startswith("One has the protocol lambda, but a FIFO topic")
    assert "Subscribe a queue, and let a function" in problem


@pytest.mark.parametrize("fifo", [True, False])
def test_only_a_fifo_topic_delivers_to_a_fifo_queue(fifo: bool) -> None:
    assert (sns.topic_of_fifo_queue("Prices", fifo=fifo) is None) is fifo


@pytest.mark.parametrize("topic", [True, False])
@pytest.mark.parametrize("queue", [True, False])
def test_a_dead_letter_queue_is_of_its_topics_type(topic: bool, queue: bool) -> None:
    problem = sns.dead_letter_queue_type("Kept", topic_fifo=topic, dead_letter_fifo=queue)
    assert (problem is None) is (topic is queue)
    if problem:
        assert f"Make the dead-letter queue {'FIFO' if topic else 'standard'}." in problem


@pytest.mark.parametrize(("days", "kept"), [(0, False), (1, True), (365, True), (366, False)])
def test_an_archive_keeps_messages_for_1_to_365_days(days: int, kept: bool) -> None:
    assert (sns.archive(days) is None) is kept
