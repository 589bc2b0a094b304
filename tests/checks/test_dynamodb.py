"""What the readers of a table's stream never get: each rule at its boundary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serverless_patterns.patterns.checks import dynamodb
from tests.checks.rules import agree, boundaries

if TYPE_CHECKING:
    from collections.abc import Callable

NEW, OLD = '{"dynamodb": {"NewImage": {}}}', '{"dynamodb": {"OldImage": {}}}'
NO_IMAGE = (
    '{"eventName": ["INSERT"]}', '{"dynamodb": {"Keys": {}}}', '{"dynamodb": "NewImage"}',
    '{"dynamodb": ["NewImage"]}', "[]", "no JSON",
)  # fmt: skip


def missing(view: str, *patterns: str) -> str | None:
    return dynamodb.missing_image("Reader", patterns, "Orders", view)


@boundaries(
    lambda: {
        "a filter compares what the stream carries": [
            *((missing("KEYS_ONLY", pattern), None) for pattern in NO_IMAGE),
            (missing("NEW_AND_OLD_IMAGES", NEW, OLD), None),
            (missing("${View}", NEW, OLD), None),
            (missing("NEW_IMAGE", NEW), None),
            (missing("OLD_IMAGE", OLD), None),
            (missing("KEYS_ONLY", NEW), "Reader filters by NewImage, but the stream of Orders has"),
            (missing("NEW_IMAGE", NEW, OLD), "filters by OldImage, but the stream of Orders has"),
            (missing("OLD_IMAGE", NEW), "has OLD_IMAGE: no change matches"),
        ],
        "a stream says what a changed item is now": [
            (dynamodb.no_new_image("Orders", "NEW_IMAGE"), None),
            (dynamodb.no_new_image("Orders", "NEW_AND_OLD_IMAGES"), None),
            (dynamodb.no_new_image("Orders", "${View}"), None),
            (dynamodb.no_new_image("Orders", "OLD_IMAGE"), "stream of Orders has OLD_IMAGE, so"),
            (dynamodb.no_new_image("Orders", "KEYS_ONLY"), "stream of Orders has KEYS_ONLY, so"),
        ],
        "two readers read a stream, or one of a global table": [
            (dynamodb.too_many_readers("Orders", 2), None),
            (dynamodb.too_many_readers("Orders", 3), "3 readers read the stream of Orders, but"),
            (dynamodb.too_many_readers("Orders", 3), "that of a table takes 2: more are throttled"),
            (dynamodb.too_many_readers("Orders", 1, is_global=True), None),
            (dynamodb.too_many_readers("Orders", 2, is_global=True), "of a global table takes 1:"),
        ],
    }
)
def test_a_rule_says_what_is_wrong(said: Callable[[], str | None], expected: str | None) -> None:
    agree(said, expected)
