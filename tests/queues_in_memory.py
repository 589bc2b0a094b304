"""SQS in memory, where moto is too slow: for a thousand messages at once, from many threads."""

from __future__ import annotations

import itertools
import json
import threading
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from serverless_patterns.lambdas.foundation import loops
from tests.moto_cloud import REGION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.moto_cloud import Cloud

PREFIX = "shop-answers-"
NAME = f"{PREFIX}0123456789abcdef"
BASE = f"https://sqs.{REGION}.amazonaws.com/123456789012"
ANSWERS = f"{BASE}/{NAME}"
REQUESTS, LETTERS = f"{BASE}/requests", f"{BASE}/letters"
Answer = tuple[int, dict[str, Any]]


class Queues:
    """The queues of an account, by URL; a message that is received is hidden until ``show()``."""

    def __init__(self, *urls: str) -> None:
        self.queues: dict[str, list[dict[str, Any]]] = {url: [] for url in urls}
        self.tags: dict[str, dict[str, str]] = defaultdict(dict)
        self.made: list[Mapping[str, Any]] = []
        self.failing: dict[str, int] = {}  # operation: how many more entries fail in a 200
        self.calls = Counter[str]()
        self._hidden: dict[str, tuple[str, dict[str, Any]]] = {}
        self._ids, self._changed = itertools.count(), threading.Condition()

    def __call__(self, operation: str, sent: dict[str, Any]) -> Answer:
        """Answer a call."""
        with self._changed:
            self.calls[operation] += 1
            url = sent.get("QueueUrl", "")
            gone = {"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "gone"}
            if url and url not in self.queues:
                return 400, gone
            answer: dict[str, Any] = getattr(self, operation)(url, sent) or {}
            self._changed.notify_all()
            if operation == "ReceiveMessage" and url not in self.queues:  # deleted meanwhile
                return 400, gone
            return 200, answer

    def CreateQueue(self, _: str, sent: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        self.made.append(sent)
        url = f"{BASE}/{sent['QueueName']}"
        self.queues[url], self.tags[url] = [], dict(sent["tags"])
        return {"QueueUrl": url}

    def DeleteQueue(self, url: str, _: Any) -> None:  # noqa: N802
        del self.queues[url]

    def TagQueue(self, url: str, sent: Mapping[str, Any]) -> None:  # noqa: N802
        self.tags[url] |= sent["Tags"]

    def ListQueues(self, _: str, sent: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        wanted = f"{BASE}/{sent['QueueNamePrefix']}"
        return {"QueueUrls": [url for url in self.queues if url.startswith(wanted)]}

    def ListQueueTags(self, url: str, _: Any) -> dict[str, Any]:  # noqa: N802
        return {"Tags": self.tags[url]}

    def SendMessageBatch(self, url: str, sent: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        failed = self._failed("SendMessageBatch", sent)
        for entry in sent["Entries"]:
            if entry["Id"] not in failed:
                self.queues[url].append({**entry, "MessageId": f"m-{next(self._ids)}"})
        return {"Failed": [*failed.values()], "Successful": []}

    def ReceiveMessage(self, url: str, sent: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        if url == REQUESTS:  # whoever responds reads it all
            assert (sent["AttributeNames"], sent["MessageAttributeNames"]) == (["All"], ["All"])
        waits = min(sent["WaitTimeSeconds"], 0.3)
        self._changed.wait_for(lambda: self.queues.get(url, True), timeout=waits)
        there = self.queues.get(url, [])
        taken, there[:] = there[: sent["MaxNumberOfMessages"]], there[10:]
        if not taken:  # there are as many as there is time
            self.calls["ReceiveMessage"] -= 1
        return {"Messages": [self._received(url, message) for message in taken]}

    def DeleteMessageBatch(self, _: str, sent: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        assert len({entry["Id"] for entry in sent["Entries"]}) == len(sent["Entries"])
        for entry in sent["Entries"]:
            self._hidden.pop(entry["ReceiptHandle"], None)
        return {"Failed": [], "Successful": []}

    def ChangeMessageVisibilityBatch(self, _: str, sent: Mapping[str, Any]) -> Any:  # noqa: N802
        assert len({entry["Id"] for entry in sent["Entries"]}) == len(sent["Entries"])
        for entry in sent["Entries"]:
            url, message = self._hidden.pop(entry["ReceiptHandle"])
            self.queues[url].append(message)
        return {"Failed": [], "Successful": []}

    def _received(self, url: str, message: dict[str, Any]) -> dict[str, Any]:
        handle = f"h-{next(self._ids)}"
        self._hidden[handle] = url, message
        message["receives"] = message.get("receives", 0) + 1
        system = {
            "ApproximateReceiveCount": str(message["receives"]),
            "SentTimestamp": "1790000000000",
            **({"MessageGroupId": group} if (group := message.get("MessageGroupId")) else {}),
        }
        return {
            "MessageId": message["MessageId"],
            "Body": message["MessageBody"],
            "ReceiptHandle": handle,
            "Attributes": system,
            "MessageAttributes": message["MessageAttributes"],
        }

    def _failed(self, operation: str, sent: Mapping[str, Any]) -> dict[str, Any]:
        failed = {}
        for entry in sent["Entries"]:
            if self.failing.get(operation, 0):
                self.failing[operation] -= 1
                code = {"Code": "InternalError", "SenderFault": False}
                failed[entry["Id"]] = {"Id": entry["Id"], **code}
        return failed

    def show(self) -> None:
        """Let the visibility timeout of all that is hidden be over."""
        with self._changed:
            for url, message in self._hidden.values():
                self.queues.get(url, []).append(message)
            self._hidden.clear()

    def bodies(self, url: str) -> list[Any]:
        """Return what the messages of a queue say."""
        return [json.loads(one["MessageBody"]) for one in self.queues[url]]

    def put(self, body: Any, to: str = NAME, id_: str = "id-1", deadline: int = 10**14) -> None:
        """Send a request past any requester."""
        attributes = {"ReplyTo": to, "CorrelationId": id_, "Deadline": str(deadline)}
        entry = {
            "Id": "0",
            "MessageBody": body if isinstance(body, str) else json.dumps(body),
            "MessageAttributes": {
                name: {"DataType": "String", "StringValue": value}
                for name, value in attributes.items()
                if value
            },
        }
        self("SendMessageBatch", {"QueueUrl": REQUESTS, "Entries": [entry]})


def work(handler: Any) -> list[str]:
    """Receive a batch of requests, and answer it; return the ids of those that are left."""
    loop = loops.Loop(handler, REQUESTS)
    records = loop._receive()
    done = loop._done(records)
    loop._delete(done)
    return [one["messageId"] for one in records if one not in done]


def fixture() -> Any:
    """Return the fixture ``queues``: of requests, of letters, and of answers."""

    @pytest.fixture
    def queues(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Queues:
        found = Queues(REQUESTS, LETTERS, ANSWERS)
        cloud.fakes["sqs"] = found
        monkeypatch.setenv("QUEUE_URL", REQUESTS)
        monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", LETTERS)
        return found

    return queues
