"""writer → DynamoDB table → Lambda;  failed changes ⇢ failure queue ⇢ alarm"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import aws_lambda as lambda_

from ..blocks.alarms import Alarms
from ..blocks.stream_consumers import StreamConsumer, StreamReaders
from ..blocks.table_streams import NewTable, check_reader, check_readers, source_of, table_of
from ..blocks.values import expect

if TYPE_CHECKING:
    from aws_cdk import aws_dynamodb as dynamodb
    from constructs import Construct

    from ..blocks.stream_consumers import StreamReader

__all__ = [
    "BY_EXPIRY",
    "BY_USERS",
    "Alarms",
    "DynamoDbStreamsToLambda",
    "NewTable",
    "StreamConsumer",
    "operations",
]

DYNAMODB = "dynamodb.amazonaws.com"
# What deletes an item when its time is over is DynamoDB itself; nobody else is named in a change.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html
BY_EXPIRY: dict[str, Any] = {"userIdentity": {"type": ["Service"], "principalId": [DYNAMODB]}}
BY_USERS: dict[str, Any] = {"userIdentity": {"type": [{"exists": False}]}}
OPERATIONS = ("INSERT", "MODIFY", "REMOVE")


def operations(*names: str, **where: Any) -> dict[str, Any]:
    """Return a filter for changes of these kinds: ``INSERT``, ``MODIFY``, ``REMOVE``.

    Args:
        names: Kinds of changes.
        where: More of the pattern, such as ``dynamodb={"Keys": …}``, ``**BY_EXPIRY`` for deletions
            because an item's time was over, and ``**BY_USERS`` for those by anybody else.

    Raises:
        ValueError: an unknown kind, which no change would match.
    """
    if not names or not set(names) <= set(OPERATIONS):
        raise ValueError(
            f"operations is {', '.join(names) or 'empty'}; give some of {', '.join(OPERATIONS)}."
        )
    return dict(lambda_.FilterCriteria.filter({"eventName": [*names], **where}))


class DynamoDbStreamsToLambda(StreamReaders):
    """Work on each change of a table: the write is the event, so neither is lost without the other.

    Readers are added by ``add_consumer()``, two at most; each gets the changes that its filters
    match, in order for each item, at its own pace. A change that fails is isolated, retried, and
    given up, so that it blocks those behind it for a while and not until they expire; it is named
    in the reader's failure queue, which raises an alarm, and stays in the stream, 24 hours at most,
    to be replayed. Delivery is at least once, so consumers must be idempotent.

    Args:
        table: Your own table with a stream, of this account and Region, or the settings of a new
            one.
        alarms: What the alarms do. ``max_age`` is the age of a change that is not yet read.
            Default: 15 minutes.

    Attributes:
        table: Whose changes are read.
        consumers: The readers that were added, in that order.
        alarms: The alarms of all readers.

    Raises:
        ValueError: a configuration that would fail or lose events; the message says what to
            change.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        table: dynamodb.ITable | NewTable = NewTable(),
        alarms: Alarms = Alarms(),
    ) -> None:
        super().__init__(scope, construct_id)
        expect("table", table, "ITable", NewTable)
        expect("alarms", alarms, Alarms)
        self._alarms = alarms.of_pattern(__name__)
        self.table = table_of(self, "Table", table)
        self.consumers = []

    @property
    def alarms(self) -> list[Any]:
        """The alarms of all readers."""
        return [alarm for reader in self.consumers for alarm in reader.alarms]

    def add_consumer(
        self, construct_id: str, consumer: lambda_.IFunction | StreamConsumer
    ) -> StreamReader:
        """Add a reader of the changes, with its own place, failure queue and alarms.

        Args:
            construct_id: Its id below the construct.
            consumer: Function or alias that processes the changes, or with its settings.

        Raises:
            ValueError: a configuration that would fail or lose events, such as a third reader; the
                message says what to change.
        """
        consumer = StreamConsumer.of(consumer)
        check_readers(self.table, len(self.consumers) + 1)
        check_reader(self.table, construct_id, consumer)
        return self._read_by(construct_id, source_of(self.table), consumer)
