"""What an outbox may hold: what SQS takes."""

from __future__ import annotations

import pytest

from serverless_patterns.lambdas.foundation.outbox import check
from serverless_patterns.lambdas.foundation.outcomes import RefusedError


@pytest.mark.parametrize("character", ["\x00", "\x1f", "\ud800", "\ufffe", "\uffff"])
def test_a_character_that_sqs_does_not_take_is_refused(character: str) -> None:
    check("\t\n\r ~ä中🚗\ud7ff\ue000\ufffd\U0010ffff", most=99)
    with pytest.raises(RefusedError, match="character"):
        check(f"a{character}b", most=99)


def test_a_body_is_as_long_as_its_bytes() -> None:
    check("äa", most=3)
    with pytest.raises(RefusedError) as refused:
        check("äaa", most=3)
    assert (refused.value.reason, refused.value.detail) == (
        "size",
        "The request has more than 3 bytes.",
    )
