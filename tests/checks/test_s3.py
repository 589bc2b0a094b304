"""Which notifications of a bucket arrive, and which would never end: each rule at its boundary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serverless_patterns.patterns.checks import s3
from serverless_patterns.patterns.checks.s3 import Filter
from tests.checks.rules import agree, boundaries

if TYPE_CHECKING:
    from collections.abc import Callable

MADE, PUT, GONE = "s3:ObjectCreated:*", "s3:ObjectCreated:Put", "s3:ObjectRemoved:*"
TWO = "Lake has two notifications for the same event of the same object, for "


@boundaries(
    lambda: {
        "a bucket notifies standard queues and topics": [
            (s3.fifo_target("Lake", "Told"), "Lake notifies Told, which is FIFO"),
        ],
        "a bucket of bodies has no versions": [
            (s3.versions_of_bodies("Lake"), "Lake has versions, so S3 would hide each body"),
        ],
        "no two notifications are about the same event of the same object": [
            (s3.overlapping("Lake", Filter(*one), Filter(*other)), expected)
            for one, other, expected in (
                (((MADE,),), ((GONE,),), None),
                (((MADE,),), ((PUT,),), f"{TWO}{MADE} of '*' and for {PUT} of '*': S3"),
                (((PUT,),), ((MADE,),), TWO),
                (((PUT,),), ((PUT,),), TWO),
                (((PUT,),), (("s3:ObjectCreated:Copy",),), None),
                (((PUT,),), (("s3:ObjectCreated:Pu_",),), None),
                (((MADE,),), (("s3:ObjectCreated_:Put",),), None),
                (((GONE, MADE),), (("s3:ObjectRestore:*", PUT),), f"{TWO}{GONE}, {MADE} of"),
                (((MADE,), "a/"), ((MADE,), "b/"), None),
                (((MADE,), "a/"), ((MADE,), "a/b/"), TWO),
                (((MADE,), "a/b/"), ((MADE,), "a/"), TWO),
                (((MADE,), "", ".jpg"), ((MADE,), "", ".png"), None),
                (((MADE,), "", ".jpg"), ((MADE,), "", "big.jpg"), TWO),
                (((MADE,), "", "big.jpg"), ((MADE,), "", ".jpg"), TWO),
                (((MADE,), "a/", ".jpg"), ((MADE,), "a/", ".png"), None),
            )
        ],
        "a filter has no wildcard at its open end": [
            (s3.wildcard("prefix", "a*/"), None),
            (s3.wildcard("prefix", ""), None),
            (s3.wildcard("prefix", "a/*"), "prefix is 'a/*', but S3 compares * with itself"),
            (s3.wildcard("suffix", "*.csv", suffix=True), "suffix is '*.csv', but S3 compares"),
            (s3.wildcard("suffix", "a*", suffix=True), None),
        ],
        "a filter is encoded": [
            (s3.unencoded("prefix", good), None)
            for good in ("", "a+b/", "%C3%9c%2B(1)_*!'.-/", "2026/", "year%3D2026/")
        ]
        + [
            (s3.unencoded("prefix", bad), f"Write {better!r}: a blank is +")
            for bad, better in (
                ("price lists/", "price+lists/"),
                ("Übersicht/", "%C3%9Cbersicht/"),
                ("year=2026/", "year%3D2026/"),
                ("100%", "100%25"),
                ("~a", "%7Ea"),
            )
        ],
        "what a consumer writes does not invoke it again": [
            (s3.loop("results", results, Filter((MADE,), "in/")), expected)
            for results, expected in (
                ("out/", None),
                ("in/out/", "results is 'in/out/', but s3:ObjectCreated:* of 'in/*' is watched"),
                ("", "Write the results below another prefix, or to another bucket."),
            )
        ],
        "objects outlive the messages about them": [
            (s3.expires_before_read("Lists", 18 * s3.DAY, "Read", 18 * s3.DAY - 1), None),
            (
                s3.expires_before_read("Lists", 18 * s3.DAY, "Read", 19 * s3.DAY),
                "Lists expire after 18 days, but a message about one may wait for 19 days in Read "
                "and its dead-letter queue: its object would be gone. Keep objects for more than "
                "19 days.",
            ),
            (s3.expires_before_read("Lists", 60, "Read", 60), "for more than 60 s."),
        ],
    }
)
def test_a_rule_says_what_is_wrong(said: Callable[[], str | None], expected: str | None) -> None:
    agree(said, expected)
