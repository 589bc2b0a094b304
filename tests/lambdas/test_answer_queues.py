"""The sweep of answer queues: those whose requesters are gone, and no other."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.foundation import answer_queues, replies
from serverless_patterns.lambdas.foundation.sweeps import UnfinishedError
from serverless_patterns.patterns.limits import SQS_LIST_QUEUES
from tests import moto_cloud, queues_in_memory
from tests.moto_cloud import Context, client_error
from tests.queues_in_memory import ANSWERS, PREFIX
from tests.request_reply import handlers

if TYPE_CHECKING:
    from tests.moto_cloud import Cloud
    from tests.queues_in_memory import Queues

cloud = moto_cloud.fixture(handlers.cloud)
queues = queues_in_memory.fixture()


def swept(**event: Any) -> dict[str, int]:
    context: Any = Context()
    return answer_queues.sweep(event, context)


def test_the_sweep_deletes_queues_without_a_heartbeat_and_no_other(
    cloud: Cloud, queues: Queues
) -> None:
    now = time.time()
    ages = {"0" * 16: now - 1801, "1" * 16: now - 1700, "2" * 16: now}
    for name, beat in ages.items():
        tags = {replies.HEARTBEAT: f"{beat:.0f}"}
        queues("CreateQueue", {"QueueName": f"{PREFIX}{name}", "tags": tags})
    queues("CreateQueue", {"QueueName": "another-answers", "tags": {}})
    assert swept() == {"looked": 4, "found": 2}  # one is without a tag
    left = {url.rpartition("/")[2] for url in queues.queues}
    assert left == {"requests", "letters", "another-answers", PREFIX + "1" * 16, PREFIX + "2" * 16}
    assert swept(idle_seconds=1000) == {"looked": 2, "found": 1}


def test_a_queue_that_its_requester_deletes_meanwhile_is_no_error(
    cloud: Cloud, queues: Queues
) -> None:
    def close(name: str, *_: str) -> None:
        if name == "ListQueueTags":
            queues.queues.pop(ANSWERS, None)

    cloud.faults.append(close)
    assert swept() == {"looked": 1, "found": 0}


def test_a_sweep_that_may_not_delete_or_has_no_time_left_fails(
    cloud: Cloud, queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.fail("DeleteQueue", client_error("AccessDenied"))
    with pytest.raises(Exception, match="AccessDenied"):
        swept()
    monkeypatch.setattr(answer_queues, "ENDS_BEFORE", 10**9)
    with pytest.raises(UnfinishedError, match="there are more"):
        swept()
    assert '"ObjectsFound":' in cloud.log.getvalue() or cloud.log_lines("Sweep")[-1]["found"] == 1


def test_a_sweep_lists_as_many_queues_a_call_as_sqs_allows() -> None:
    assert answer_queues.MAX_RESULTS == SQS_LIST_QUEUES
