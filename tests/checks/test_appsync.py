"""What cuts off the clients of an Event API: each rule at its boundary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serverless_patterns.patterns.checks import appsync
from tests.checks.rules import agree, boundaries

if TYPE_CHECKING:
    from collections.abc import Callable

WRONG = "it must be 1 to 50 letters, digits or dashes, without a dash at either end."


@boundaries(
    lambda: {
        "nothing is authorized by an API key": [
            (appsync.api_key("Live", ["AWS_IAM", "AWS_LAMBDA"]), None),
            (appsync.api_key("Live", ["AWS_IAM", "API_KEY"]), "Live authorizes by an API key: who"),
            (appsync.api_key("Live", ["API_KEY"]), "expires, after 365 days at most, no client"),
        ],
        "a namespace has 1 to 50 letters, digits or inner dashes": [
            (appsync.namespace(name), expected)
            for name, expected in (
                ("a", None),
                ("Orders-2", None),
                ("x" * 50, None),
                ("x" * 51, WRONG),
                ("", f"namespace is ''; {WRONG}"),
                ("-a", WRONG),
                ("a-", WRONG),
                ("a_b", WRONG),
                (7, f"namespace is 7; {WRONG}"),
            )
        ],
        "fields are named after letters and digits, the first a letter": [
            (appsync.field_name(name), expected)
            for name, expected in (
                ("a", None),
                ("Orders2", None),
                ("2orders", "namespace is '2orders'; fields of a GraphQL API are named after it"),
                ("or-ders", "must be letters and digits, the first of them a letter."),
            )
        ],
    }
)
def test_a_rule_says_what_is_wrong(said: Callable[[], str | None], expected: str | None) -> None:
    agree(said, expected)
