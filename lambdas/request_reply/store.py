"""Quotes in DynamoDB: the only file that calls it.

A quote is stored with its answer in one conditional write: effect and answer are never apart.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..foundation import replies, tables
from ..foundation.outcomes import CONFLICT, DUPLICATE, Outcome, compare
from ..foundation.responding import Answered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..foundation.messages import Message
    from .logic import Quote


def keep(received: Sequence[tuple[Quote, Message]]) -> dict[str, Outcome]:
    """Store the quotes that are new, in one call; return each one's answer, or the one it had."""
    first: dict[str, tuple[Quote, Message]] = {}
    for quote, message in received:
        first.setdefault(quote.id, (quote, message))
    table, groups = os.environ["TABLE_NAME"], {id_: it.group_id for id_, (_, it) in first.items()}
    items = {
        id_: {
            "pk": id_,
            **quote.document,
            "fingerprint": quote.fingerprint,
            "answer": replies.result(quote.document),
        }
        for id_, (quote, _) in first.items()
    }
    puts = tables.put_new({id_: tables.new(table, item) for id_, item in items.items()}, groups)

    def outcome(quote: Quote, message: Message) -> Outcome:
        if quote.id in puts.failed:
            return Outcome.failed(puts.failed[quote.id])
        stored = items[quote.id]
        if quote.id in puts.found:
            stored = tables.deserialize(puts.found[quote.id])
        elif first[quote.id][1] is message:
            return Answered("answered", answer=stored["answer"])
        if compare(quote.fingerprint, stored["fingerprint"]) is CONFLICT:
            return CONFLICT
        return Answered(DUPLICATE.kind, answer=stored["answer"])

    return {message.id: outcome(quote, message) for quote, message in received}
